"""Policies in forms for deployment: a table that can be read by eye, and an ONNX graph of a network."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rsdet.errors import ConfigError, ExportError
from rsdet.schedule.dqn import DQN
from rsdet.schedule.files import check_replaced
from rsdet.schedule.orbit import J_PER_KWH
from rsdet.schedule.policies import Policy
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission
from rsdet.writing import replacing, write_csv

ENERGY_STEPS, LOAD_STEPS = 16, 40
COLUMNS = ("slot", "energy_from_j", "energy_to_j", "images_from", "images_to", "choice")
INPUTS = ("energy_j", "images", "slot", "battery_j")
OPSET = 17


class LookupTable(Policy):
    """A policy in cells of slot, load and energy; in each, what it chooses with the least energy and the greatest load.

    So what a cell says is allowed everywhere in it. Above the last edge of the load nothing is done. Edges of the
    energy are evenly spaced, and besides them those from which on a row is affordable at the cell's load.
    """

    name: ClassVar[str] = "lut"

    def __init__(self, mission: Mission, rows: Rows):
        super().__init__(mission, rows)
        orbit, sim = mission.orbit, self.simulation
        full = orbit.battery_max_kwh * J_PER_KWH
        top = float(orbit.collected_j.max()) + full if mission.dynamics == "soc" else orbit.reserve_j
        self.images = np.linspace(0.0, 1.02 * mission.max_load + 10, LOAD_STEPS + 1).round()
        even = np.linspace(0.0, top, ENERGY_STEPS + 1)[:-1]
        self.energy = [np.unique([*even, *(n * sim.worst_j)]) for n in self.images[1:]]
        self.cells = [[np.full(len(e), len(rows)) for e in self.energy] for _ in range(orbit.slots)]

    @classmethod
    def of(cls, policy: Policy) -> LookupTable:
        """The table of a policy."""
        made = cls(policy.mission, policy.rows)
        orbit, full = policy.mission.orbit, policy.mission.orbit.battery_max_kwh * J_PER_KWH
        income = made.simulation.collected - orbit.base_w * orbit.slot_s - orbit.battery_min_kwh * J_PER_KWH
        for slot, cells in enumerate(made.cells):
            for j, (images, energies) in enumerate(zip(made.images[1:], made.energy, strict=True)):
                for i, energy in enumerate(energies):
                    battery = float(np.clip(energy - income[slot], 0, full))
                    seen = {"slot": slot, "energy_j": float(energy), "images": int(images), "battery_j": battery}
                    cells[j][i] = policy.choose(seen)
        return made

    def choose(self, seen: Mapping[str, Any]) -> int:
        """What the cell says."""
        if seen["images"] > self.images[-1]:
            return len(self.rows)
        j = max(0, int(np.searchsorted(self.images, seen["images"], "left")) - 1)
        i = np.searchsorted(self.energy[j], seen["energy_j"], "right") - 1
        return int(self.cells[seen["slot"]][j][i])

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """One for the choice of the cell."""
        return (np.arange(len(self.rows) + 1) == self.choose(seen)).astype(float)

    def lines(self) -> list[dict[str, Any]]:
        """Rows of :data:`COLUMNS`; neighbouring cells of energy with the same choice are one."""
        names, found = [*self.rows.names, "idle"], []
        for slot, j in np.ndindex(len(self.cells), LOAD_STEPS):
            column, edges = self.cells[slot][j], [*(math.ceil(e) for e in self.energy[j]), "inf"]
            low = int(self.images[j]) + 1 if j else 0
            for a, b in pairwise([0, *(np.flatnonzero(np.diff(column)) + 1), len(column)]):
                values = (slot + 1, edges[a], edges[b], low, int(self.images[j + 1]), names[column[a]])
                found.append(dict(zip(COLUMNS, values, strict=True)))
        return found

    def write(self, path: Path) -> Path:
        """Write the table as CSV.

        Raises:
            ConfigError: Another file is there, such as the table of measured rows.
        """
        head = ",".join(COLUMNS).encode()
        check_replaced(path, lambda p: p.read_bytes()[: len(head)] == head, "a lookup table")
        return write_csv(path, COLUMNS, self.lines())


def export_onnx(policy: Policy, path: Path) -> Path:
    """Write a network as ONNX: ``state`` (B, 4) float64 of :data:`INPUTS` to ``choice`` (B,) and ``values`` (B, A).

    What is allowed is decided inside the graph. The file is compared with the policy before it gets its name.

    Raises:
        ConfigError: The policy is no network.
        ExportError: The file chooses otherwise than the policy.
    """
    if not isinstance(policy, DQN):
        raise ConfigError(f"format=onnx is for algo=dqn, this policy is {policy.name}; use format=lut.")
    import onnx
    import onnxruntime

    with replacing(path) as new:
        onnx.save(_graph(policy), new)
        session = onnxruntime.InferenceSession(str(new), providers=["CPUExecutionProvider"])
        states = _states(policy)
        got = session.run(["choice"], {"state": states})[0]
        expected = [policy.choose(dict(zip(INPUTS, _plain(s), strict=True))) for s in states]
        if wrong := int((got != expected).sum()):
            raise ExportError(f"the graph chooses otherwise in {wrong} of {len(states)} states; export as format=lut.")
    return path


def _plain(state: np.ndarray) -> tuple[float, int, int, float]:
    return float(state[0]), int(state[1]), int(state[2]), float(state[3])


def _states(policy: Policy, count: int = 2000) -> np.ndarray:
    """States all over the range, at the same chances."""
    rng, m = np.random.default_rng(0), policy.mission
    columns = (
        rng.uniform(0, 1.2 * m.max_energy_j, count), rng.integers(0, int(1.2 * m.max_load) + 1, count),
        rng.integers(0, m.orbit.slots, count), rng.uniform(0, m.orbit.battery_max_kwh * J_PER_KWH, count),
    )  # fmt: skip
    return np.stack(columns, 1).astype(np.float64)


def _graph(policy: DQN) -> Any:
    """The graph of a network with its mask."""
    from onnx import TensorProto, helper, numpy_helper

    m, sim = policy.mission, policy.simulation
    nodes, weights = [], []

    def constant(name: str, value: Any, dtype: Any = np.float64) -> str:
        weights.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(kind: str, inputs: list[str], out: str, **more: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [out], **more))
        return out

    full = policy.observation == "full"
    scale = [1 / m.max_energy_j, 1 / m.max_load, 1 / m.orbit.slots, 1 / (m.orbit.battery_max_kwh * J_PER_KWH)]
    x = node("Mul", ["state", constant("scale", scale)], "scaled")
    order = [0, 1, 2, 3] if full else [0, 1]
    x = node("Gather", [x, constant("order", order, np.int64)], "seen", axis=1)
    if full:
        zero = node("Mul", [node("Slice", [x, constant("from", [0], np.int64), constant("to", [1], np.int64), constant(
            "axis", [1], np.int64)], "first"), constant("nil", 0.0)], "zero")  # fmt: skip
        least = node("Add", [zero, constant("least", m.min_accuracy)], "least_accuracy")
        x = node("Concat", [x, least], "all_seen", axis=1)
    x = node("Clip", [x, constant("low", 0.0), constant("high", 2.0)], "clipped")
    x = node("Cast", [node("Cast", [x], "f32", to=TensorProto.FLOAT)], "f64", to=TensorProto.DOUBLE)
    for i, (weight, bias) in enumerate(policy.layers):
        x = node("Gemm", [x, constant(f"w{i}", weight), constant(f"b{i}", bias)], f"layer{i}", transB=1)
        x = node("Relu", [x], f"relu{i}") if i + 1 < len(policy.layers) else x
    node("Identity", [x], "values")
    first = constant("column0", [0], np.int64), constant("column1", [1], np.int64)
    energy, images = (node("Gather", ["state", c], f"input{i}", axis=1) for i, c in enumerate(first))
    # Equality is allowed, as in the simulation; rows below the least accuracy never are.
    if m.infeasible == "partial":  # as Simulation.allowed: what fits in part is allowed, or what does not fit
        images = node("Min", [images, constant("one", 1.0)], "part")
    if m.infeasible == "penalty":
        energy = node("Add", [energy, constant("any", np.inf)], "boundless")
    fits = node("LessOrEqual", [node("Mul", [images, constant("worst", sim.worst_j)], "demand"), energy], "affordable")
    fits = node("And", [fits, constant("accurate", sim.accurate, bool)], "fits")
    if m.duty is not None and m.infeasible != "penalty":
        need = node("Mul", [images, constant("delays", sim.delays_s)], "time")
        fits = node("And", [fits, node("LessOrEqual", [need, constant("budget", m.duty * m.orbit.slot_s)], "in_time")],
                    "fit")  # fmt: skip
    number = node("Cast", [fits], "number", to=TensorProto.INT64)
    count = node("ReduceSum", [number, constant("axes", [1], np.int64)], "count", keepdims=1)
    none = node("Equal", [count, constant("none", [[0]], np.int64)], "none_fits")
    idle = node("Or", [none, constant("resting", m.dynamics == "soc", bool)], "idle")
    allowed = node("Concat", [fits, idle], "allowed", axis=1)
    masked = node("Where", [allowed, x, constant("never", -np.inf)], "masked")
    node("ArgMax", [masked], "choice", axis=1, keepdims=0)
    count_out = len(policy.rows) + 1
    graph = helper.make_graph(
        nodes, "rsdet-schedule",
        [helper.make_tensor_value_info("state", TensorProto.DOUBLE, ["batch", len(INPUTS)])],
        [
            helper.make_tensor_value_info("choice", TensorProto.INT64, ["batch"]),
            helper.make_tensor_value_info("values", TensorProto.DOUBLE, ["batch", count_out]),
        ],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="rsdet")
    model.ir_version = 9
    said = {"inputs": INPUTS, "choices": [*policy.rows.names, "idle"], "digest": policy.rows.digest}
    model.metadata_props.add(key="rsdet", value=json.dumps({**said, "mission": m.as_dict()}))
    return model

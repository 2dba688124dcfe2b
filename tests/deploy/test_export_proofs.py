"""A dozen good exports are accepted, a dozen of bad ones refused; ``benchmarks/export_proofs.py`` has all of them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if not (BENCHMARKS / "export_proofs.py").is_file():
    pytest.skip("benchmarks/ is not part of this copy", allow_module_level=True)


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


faults, proofs = script("export_faults"), script("export_proofs")
PROVED = [
    *((proofs.Graph(kind, (128, 96), format), seed) for kind in ("yolo", "rtdetr") for seed in (0, 1)
      for format in ("onnx", "openvino")),
    *((proofs.Graph("edsr.yaml", (48, 64), format, proofs.X2), 0) for format in ("onnx", "openvino", "torchscript")),
    (proofs.Graph("aod-net.yaml", (64, 64), keys={"half": True}), 0),
]  # fmt: skip
PLANTED = [
    "transposed kernel", "flipped kernel", "folded normalisation without its shift", "dropped LayerNorm",
    "LayerNorm overflows in FP16, opset 16", "INT8 head, one scale for each tensor", "shifted letterbox",
    "wrong stretch", "swapped classes", "blue for red", "scores too high", "three bits of the weights flipped",
]  # fmt: skip


@pytest.mark.parametrize(("graph", "seed"), PROVED, ids=[f"{g.model}-{g.format}-{s}" for g, s in PROVED])
def test_a_good_export_is_accepted(graph, seed):
    if graph.format == "openvino":
        pytest.importorskip("openvino")
    row = proofs.attempt(graph, seed)
    assert row["outcome"] == "accepted", row["report"]


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_refused(fault):
    row = proofs.attempt(proofs.planted(fault), 0, fault)
    assert row["outcome"] == "refused", row["report"]
    assert any(word in row["report"] for word in ("parity FAILED", "changed")), row["report"]


def test_there_are_thirty_faults_and_two_hundred_proofs():
    assert len(faults.FAULTS) + len(faults.FINISHED) >= 30
    assert 10 * len(proofs.GRAPHS) >= 200

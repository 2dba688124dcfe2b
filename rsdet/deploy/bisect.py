"""Where two forms of one network part: row by row of the model YAML, from the image on.

The exporter names each node of an ONNX graph after the row that it came from (``/model.12/...``). What leaves a row's
nodes is compared with what leaves the row in PyTorch; the first row that differs is where to look.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.runners import first_line, first_output, ort_errors
from rsdet.errors import ExportError

TOL = 1e-3  # of the largest value of a row: rounding in FP32 stays below 1e-4 through every network of ours
TOL_HALF = 3e-2
_ROW = re.compile(r"(?:^|/)model\.(\d+)(?:/|$)")
_LEAST_SCORE = 0.01  # a network that finds nothing has scores whose differences mean nothing
_MOST_ROWS_OFF = 0.05  # share of a head's boxes that may differ: choices among nearly equal scores


@dataclass(frozen=True)
class RowDifference:
    """One row in both networks.

    Attributes:
        row: Number of the row.
        layer: Its class.
        tensor: Name of its output in the graph.
        shape: Shape of the output.
        difference: Largest absolute difference.
        relative: The same as a share of the largest value of the row.
    """

    row: int
    layer: str
    tensor: str
    shape: tuple[int, ...]
    difference: float
    relative: float


@dataclass(frozen=True)
class LayerReport:
    """Outcome of :func:`compare_layers`.

    Attributes:
        rows: Rows that were found on both sides, in order.
        unseen: Rows that leave no tensor of their own in the graph, such as those folded into others.
        tol: Largest accepted relative difference.
    """

    rows: tuple[RowDifference, ...]
    unseen: tuple[int, ...]
    tol: float

    @property
    def first(self) -> RowDifference | None:
        """The first row that differs by more than the tolerance."""
        return next((r for r in self.rows if not r.relative <= self.tol), None)

    @property
    def ok(self) -> bool:
        """True when no row differs."""
        return self.first is None

    def summary(self) -> str:
        """Return the outcome in one line."""
        if self.first is None:
            worst = max(self.rows, key=lambda r: r.relative)
            return f"layers ok: {len(self.rows)} rows agree, most differs row {worst.row} ({worst.relative:.1e})"
        r = self.first
        before = [p.row for p in self.rows if p.row < r.row]
        known = f"rows up to {before[-1]} agree" if before else "no row before it agrees"
        return (
            f"layers differ from row {r.row} on ({r.layer}, {r.tensor}, {'x'.join(map(str, r.shape))}): by up to "
            f"{r.difference:.3g}, {r.relative:.1e} of its largest value (allowed {self.tol:g}); {known}"
        )

    def table(self) -> str:
        """Return one line for each row."""
        lines = [f"{'row':>4}  {'layer':<20} {'difference':>10}  {'relative':>8}  tensor"]
        for r in self.rows:
            mark = "" if r.relative <= self.tol else "  <-- differs"
            lines.append(f"{r.row:>4}  {r.layer:<20} {r.difference:>10.3g}  {r.relative:>8.1e}  {r.tensor}{mark}")
        if self.unseen:
            lines.append(f"not in the graph by name: rows {', '.join(map(str, self.unseen))}")
        return "\n".join(lines)


def compare_layers(
    module: Any,
    artifact: str | Path,
    x: np.ndarray,
    *,
    tol: float = TOL,
    in_graph: Callable[[np.ndarray], np.ndarray] | None = None,
) -> LayerReport:
    """Compare the rows of a network with those of an ONNX file made from it.

    Args:
        module: The network; it is left as it is.
        artifact: ONNX file.
        x: Input of both, ``(B, C, H, W)`` float32 in [0, 1].
        tol: Largest accepted difference as a share of the largest value of a row.
        in_graph: Output of the last row to the form that it has in the file, where that is another one.

    Raises:
        ExportError: The graph does not run, or no row of it can be told.
    """
    reference = deepcopy(module).eval().float()
    expected = _torch_rows(reference, x)
    found = _graph_rows(Path(artifact), x)
    rows, unseen, last = [], [], len(reference.model) - 1
    if in_graph is not None:
        expected[last] = in_graph(expected[last])
    for i, want in expected.items():
        same = {n: v for n, v in found.get(i, {}).items() if v.shape == want.shape}
        errors = {n: _difference(want, v, head=i == last) for n, v in same.items()}
        if not errors:
            unseen.append(i)
            continue
        name = min(errors, key=lambda n: errors[n][1])  # what merely passes through looks like the output, too
        rows.append(RowDifference(i, type(reference.model[i]).__name__, name, want.shape, *errors[name]))
    if not rows:
        raise ExportError(
            f"no row of {Path(artifact).name} can be told by the names of its nodes; expected names such as "
            "/model.0/conv/Conv; export it again with rsdet"
        )
    return LayerReport(tuple(rows), tuple(unseen), tol)


def _torch_rows(module: Any, x: np.ndarray) -> dict[int, np.ndarray]:
    """Output of each row that puts out one tensor; of the head, its detections."""
    import torch

    found: dict[int, np.ndarray] = {}
    last = len(module.model) - 1

    def keep(i: int) -> Any:
        def hook(_: Any, __: Any, out: Any) -> None:
            out = first_output(out) if i == last else out
            if isinstance(out, torch.Tensor):
                found[i] = out.detach().float().cpu().numpy().copy()

        return hook

    handles = [layer.register_forward_hook(keep(i)) for i, layer in enumerate(module.model)]
    try:
        with torch.inference_mode():
            module(torch.from_numpy(x).to(next(module.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return dict(sorted(found.items()))


def _graph_rows(path: Path, x: np.ndarray) -> dict[int, dict[str, np.ndarray]]:
    """Every tensor that leaves the nodes of a row, by row and name."""
    import onnx
    import onnxruntime as ort

    model = onnx.load(str(path))
    row_of = {}
    for node in model.graph.node:
        told = _ROW.search(node.name)
        row_of.update(dict.fromkeys(node.output, int(told.group(1)) if told else None))
    leaving = {o.name for o in model.graph.output}
    for node in model.graph.node:
        told = _ROW.search(node.name)
        here = int(told.group(1)) if told else None
        leaving.update(t for t in node.input if row_of.get(t) is not None and row_of[t] != here)
    wanted = [t for t in leaving if row_of.get(t) is not None]
    outputs = {o.name for o in model.graph.output}
    for name in wanted:
        if name not in outputs:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        values = wanted and session.run(
            wanted, {source.name: x.astype(np.float16 if "float16" in source.type else np.float32)}
        )
    except ort_errors() as e:
        raise ExportError(
            f"{path.name} does not run with its layers as outputs ({first_line(e)}); expected a graph "
            "that ONNX Runtime takes; export it again"
        ) from e
    found: dict[int, dict[str, np.ndarray]] = {}
    for name, value in zip(wanted, values, strict=True):
        found.setdefault(row_of[name], {})[name] = np.asarray(value, dtype=np.float32)
    return found


def _difference(want: np.ndarray, got: np.ndarray, head: bool) -> tuple[float, float]:
    """Largest absolute difference, and as a share of the largest value."""
    if not (np.isfinite(want).all() and np.isfinite(got).all()):
        return float("nan"), float("nan")
    if not head or want.ndim != 3:
        return _plain(want, got)
    if want.shape[-1] == 6:
        return _unordered(want, got)
    # Boxes are pixels, scores at most 1: each by itself.
    parts = [_plain(want[:, :4], got[:, :4]), _plain(want[:, 4:], got[:, 4:], least=_LEAST_SCORE)]
    return max(parts, key=lambda d: d[1])


def _plain(want: np.ndarray, got: np.ndarray, least: float = 1e-9) -> tuple[float, float]:
    difference = float(np.abs(want - got).max(initial=0.0))
    return difference, difference / max(float(np.abs(want).max(initial=0.0)), least)


def _unordered(want: np.ndarray, got: np.ndarray) -> tuple[float, float]:
    """Boxes chosen by score: rows may swap, and some few at the end of the ranking be others."""
    scores = np.abs(want[..., 4]).max(initial=_LEAST_SCORE)
    scale = np.array([np.abs(want[..., :4]).max(initial=1e-9)] * 4 + [scores, 1.0])
    nearest = []
    for w, g in zip(want / scale, got / scale, strict=True):
        distance = np.abs(w[:, None] - g[None]).max(-1)
        nearest += [*distance.min(0), *distance.min(1)]
    relative = float(np.quantile(nearest, 1 - _MOST_ROWS_OFF))
    return relative * float(scale[0]), relative

"""Weights in exported files that are no numbers, told on load: a graph with them finds nothing and says nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import CheckpointError

# What multiplies by its constants; elsewhere infinity has a meaning, such as an anchor that no box may come from.
_WEIGHTED_ONNX = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"))
_WEIGHTED_OPENVINO = frozenset(("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul"))


def check_weights(path: str | Path) -> None:
    """Look at the constants of an ONNX file or an OpenVINO model; files that cannot be read are left to their backend.

    Args:
        path: ``.onnx`` file, OpenVINO folder or ``.xml`` file; anything else is passed over.

    Raises:
        CheckpointError: One of them holds NaN, or a weight is infinite.
    """
    path = Path(path)
    if path.suffix == ".onnx" and path.is_file():
        found = _onnx(path)
    elif path.suffix == ".xml" or (path.is_dir() and path.name.endswith("_openvino_model")):
        found = _openvino(path)
    else:
        return
    for name, value, weight in found:
        if value.dtype.kind == "f" and not np.isfinite(value).all() and (weight or np.isnan(value).any()):
            bad = int((~np.isfinite(value)).sum())
            raise CheckpointError(
                f"{path.name}: {bad} of {value.size} values of {name} are NaN or infinite; the file is damaged, "
                "or so were the weights it was made of; copy or export it again."
            )


def _onnx(path: Path) -> Iterator[tuple[str, np.ndarray, bool]]:
    import onnx
    from onnx import numpy_helper

    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception:  # not ours to judge
        return
    weights = {name for node in graph.node if node.op_type in _WEIGHTED_ONNX for name in node.input}
    for tensor in graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            with contextlib.suppress(ValueError, TypeError):  # of a kind that NumPy lacks, or cut short
                yield tensor.name, numpy_helper.to_array(tensor), tensor.name in weights


def _openvino(path: Path) -> Iterator[tuple[str, np.ndarray, bool]]:
    try:
        import openvino

        xml = path if path.suffix == ".xml" else next(iter(sorted(path.glob("*.xml"))))
        model = openvino.Core().read_model(str(xml))
    except (ImportError, RuntimeError, StopIteration):
        return
    for op in model.get_ops():
        if op.get_type_name() != "Constant":
            continue
        yield op.get_friendly_name(), np.asarray(op.data), not _WEIGHTED_OPENVINO.isdisjoint(_users(op))


def _users(op: Any) -> Iterator[str]:
    for target in op.output(0).get_target_inputs():
        node = target.get_node()
        if node.get_type_name() == "Convert":  # weights stored in half
            yield from _users(node)
        else:
            yield node.get_type_name()

"""Weights in exported files that are no numbers, told on load: a graph with them finds nothing and says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import CheckpointError
from rsdet.runtime.protobuf import fields, varint

# Numbers of fields of ONNX's ModelProto, GraphProto, NodeProto and TensorProto, and its types of real numbers.
_GRAPH, _NODE, _INITIALIZER, _INPUT, _OP_TYPE = 7, 1, 5, 1, 4
_DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _NAME, _RAW_DATA, _DOUBLE_DATA, _DATA_LOCATION = 2, 4, 5, 8, 9, 10, 14
_REAL = {1: "<f4", 10: "<f2", 11: "<f8"}

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
    try:
        whole = memoryview(path.read_bytes())
        graph = [f for number, part in fields(whole, (_GRAPH,)) if number == _GRAPH for f in fields(part)]
        nodes = [[*fields(node)] for number, node in graph if number == _NODE]
        weights = {
            bytes(name).decode()
            for node in nodes
            if any(number == _OP_TYPE and bytes(name).decode() in _WEIGHTED_ONNX for number, name in node)
            for number, name in node
            if number == _INPUT
        }
        for number, tensor in graph:
            if number == _INITIALIZER and (read := _tensor(tensor)):
                yield *read, read[0] in weights
    except (OSError, ValueError, IndexError):  # not ours to judge
        return


def _tensor(message: bytes | memoryview) -> tuple[str, np.ndarray] | None:
    """Name and values of a tensor of real numbers that lies in the file."""
    parts: dict[int, list[bytes | memoryview]] = {}
    for number, content in fields(message):
        parts.setdefault(number, []).append(content)
    kind = _REAL.get(varint(parts.get(_DATA_TYPE, [b"\0"])[-1])[0])
    if kind is None or varint(parts.get(_DATA_LOCATION, [b"\0"])[-1])[0]:
        return None
    name = bytes(parts.get(_NAME, [b""])[-1]).decode()
    if kind == "<f2" and _INT32_DATA in parts:  # a varint each
        packed, at, bits = b"".join(parts[_INT32_DATA]), 0, []
        while at < len(packed):
            value, at = varint(packed, at)
            bits.append(value)
        return name, np.array(bits, "<u2").view(kind)
    typed = _DOUBLE_DATA if kind == "<f8" else _FLOAT_DATA
    return name, np.frombuffer(b"".join(parts.get(_RAW_DATA) or parts.get(typed) or []), kind)


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

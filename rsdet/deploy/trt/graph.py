"""An ONNX graph as the checks need it: who makes a tensor, who uses it, its type and shape, constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ExportError, MissingDependencyError

FLOATS = frozenset({1, 10, 11, 16})  # FLOAT, FLOAT16, DOUBLE, BFLOAT16 of onnx.TensorProto


def load(model: Any) -> Any:
    """Return an ONNX model given as such or as a path.

    Raises:
        ExportError: The file is missing, torn, or no ONNX file.
        MissingDependencyError: The package onnx is not installed.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as e:
        raise MissingDependencyError("the package onnx is not installed; it reads the graph; pip install onnx") from e
    if not isinstance(model, (str, Path)):
        return model
    path = Path(model)
    if not path.is_file():
        raise ExportError(f"{path} does not exist; expected an ONNX file; run rsdet export format=onnx first")
    try:
        found = onnx.load(str(path))
    except (DecodeError, ValueError) as e:
        raise ExportError(f"{path.name} is no readable ONNX file; expected an exported graph; export it again") from e
    if not found.graph.node:
        raise ExportError(f"{path.name} holds no ONNX graph; expected an exported one; export it again")
    return found


@dataclass
class Graph:
    """A graph with its indices. Nodes of bodies of ``If``, ``Loop`` and ``Scan`` are among :meth:`nodes`.

    Attributes:
        model: The ONNX model.
        shapes: Sizes to assume for the graph's inputs, by name; dimensions without a number stay open otherwise.
    """

    model: Any
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @cached_property
    def inferred(self) -> Any:
        """The model with the types and shapes that ONNX can derive."""
        import onnx

        copy = onnx.ModelProto()
        copy.CopyFrom(self.model)
        for value in copy.graph.input:
            for dim, size in zip(value.type.tensor_type.shape.dim, self.shapes.get(value.name, ()), strict=False):
                dim.dim_value = int(size)
        if self.shapes:  # what was inferred for other sizes would contradict these
            del copy.graph.value_info[:]
            for value in copy.graph.output:
                value.type.tensor_type.ClearField("shape")
        try:
            return onnx.shape_inference.infer_shapes(copy, data_prop=True)
        except onnx.shape_inference.InferenceError:
            return copy  # shapes stay unknown; a check that needs one says nothing about that node

    @cached_property
    def nodes(self) -> list[Any]:
        """All nodes in order, those of sub-graphs behind the node that holds them."""
        return list(_nodes(self.model.graph))

    @cached_property
    def names(self) -> dict[int, str]:
        """``id(node)`` to a name that is never empty."""
        return {id(n): n.name or f"{n.op_type} #{i}" for i, n in enumerate(self.nodes)}

    def name(self, node: Any) -> str:
        """Name of a node, its kind and number where it has none."""
        return self.names[id(node)]

    @cached_property
    def producer(self) -> dict[str, Any]:
        """Tensor to the node that makes it."""
        return {out: n for n in self.nodes for out in n.output if out}

    @cached_property
    def consumers(self) -> dict[str, list[Any]]:
        """Tensor to the nodes that use it."""
        found: dict[str, list[Any]] = {}
        for n in self.nodes:
            for name in n.input:
                found.setdefault(name, []).append(n)
        return found

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Tensor to its ``TensorProto``: initializers and constant nodes."""
        found = {t.name: t for g in _graphs(self.model.graph) for t in g.initializer}
        for n in self.nodes:
            if n.op_type == "Constant":
                given = [a.t for a in n.attribute if a.name == "value"]
                found.update(zip(n.output, given, strict=False))
        return found

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is known before the network runs, directly or through Identity and Cast."""
        node = self.producer.get(tensor)
        if tensor in self.constants or (node is not None and node.op_type == "Constant"):
            return True
        return node is not None and node.op_type in ("Identity", "Cast") and self.is_constant(node.input[0])

    def value(self, tensor: str) -> np.ndarray | None:
        """Value of a constant tensor, None for any other."""
        from onnx import numpy_helper

        found = self.constants.get(tensor)
        if found is not None:
            return numpy_helper.to_array(found)
        node = self.producer.get(tensor)
        if node is None:
            return None
        if node.op_type == "Constant":
            given = next((a for a in node.attribute if a.name in ("value_int", "value_ints", "value_float")), None)
            return None if given is None else np.asarray(attribute(given))
        return self.value(node.input[0]) if node.op_type in ("Identity", "Cast") else None

    @cached_property
    def _info(self) -> dict[str, Any]:
        g = self.inferred.graph
        return {v.name: v.type.tensor_type for v in (*g.input, *g.value_info, *g.output)}

    def shape(self, tensor: str) -> tuple[int | None, ...] | None:
        """Shape of a tensor with None for what is not known, None when not even the rank is."""
        found = self.constants.get(tensor)
        if found is not None:
            return tuple(found.dims)
        info = self._info.get(tensor)
        if info is None or not info.HasField("shape"):
            return None
        return tuple(d.dim_value if d.HasField("dim_value") else None for d in info.shape.dim)

    def type(self, tensor: str) -> int:
        """Element type as a number of ``onnx.TensorProto.DataType``, 0 when it is not known."""
        found = self.constants.get(tensor)
        if found is not None:
            return found.data_type
        return self._info[tensor].elem_type if tensor in self._info else 0

    def is_float(self, tensor: str) -> bool:
        """Whether a tensor holds real numbers; True as well when its type is not known."""
        return self.type(tensor) in FLOATS or self.type(tensor) == 0


def attribute(a: Any) -> Any:
    """Plain value of an ``AttributeProto``."""
    import onnx

    value = onnx.helper.get_attribute_value(a)
    return value.decode() if isinstance(value, bytes) else value


def attributes(node: Any) -> dict[str, Any]:
    """Attributes of a node as plain values."""
    return {a.name: attribute(a) for a in node.attribute}


def _graphs(graph: Any) -> Iterator[Any]:
    yield graph
    for n in graph.node:
        for a in n.attribute:
            for g in [a.g] if a.HasField("g") else a.graphs:
                yield from _graphs(g)


def _nodes(graph: Any) -> Iterator[Any]:
    for g in _graphs(graph):
        yield from g.node

"""Walk an ONNX graph and name what a version of TensorRT would not take, before anyone waits for a build.

The rules are data in :mod:`rsdet.deploy.trt.optable`; here they are applied. A graph without problems is not a proof:
the parser and the builder have the last word on the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsdet.deploy.trt import optable as table
from rsdet.deploy.trt.graph import Graph, attributes, load
from rsdet.errors import ConfigError, ExportError, nearest


@dataclass(frozen=True)
class Problem:
    """Something in a graph that TensorRT would not take, or would compute wrongly in FP16.

    Attributes:
        kind: ``operator``, ``attribute``, ``input``, ``output``, ``rank``, ``type``, ``opset``, ``topk``,
            ``data-dependent``, ``layernorm``, ``einsum``, ``int64`` or ``branches``.
        operator: ONNX operator, empty for the graph as a whole.
        node: Name of the node (the layer), empty for the graph as a whole.
        attribute: Attribute, input or output concerned, if one is.
        versions: Versions of TensorRT that fail.
        found: What is there and what was expected.
        remedy: What to do.
    """

    kind: str
    operator: str
    node: str
    attribute: str
    versions: tuple[str, ...]
    found: str
    remedy: str

    def __str__(self) -> str:
        where = f"layer {self.node} ({self.operator})" if self.node else "the graph"
        return f"{where}: {self.found}; TensorRT {', '.join(self.versions)}; {self.remedy}"


def check_graph(model: Any, version: str | Sequence[str] = table.VERSIONS) -> list[Problem]:
    """Find what TensorRT would not take.

    Args:
        model: ONNX model or path of one.
        version: Version or versions of TensorRT: those of the table, or any other, which is judged by its number.

    Returns:
        Problems in order of the graph, each with the versions it concerns. Empty when all is well.

    Raises:
        ExportError: The file cannot be read as ONNX.
        ConfigError: A version that is not of the form ``10.3``.
    """
    versions = (version,) if isinstance(version, str) else tuple(version)
    for v in versions:
        if not all(part.isdigit() for part in v.split(".")[:2]) or table.parse(v) < (8, 6):
            raise ConfigError(
                f"version={v!r}; expected TensorRT 8.6 or later as two numbers; use one of {', '.join(table.VERSIONS)}"
            )
    graph = Graph(load(model))
    merged: dict[tuple[str, ...], Problem] = {}
    for v in versions:
        for p in _problems(graph, v):
            key = (p.kind, p.operator, p.node, p.attribute, p.found)
            known = merged.get(key)
            merged[key] = p if known is None else replace(known, versions=(*known.versions, v))
    order = {graph.name(n): i for i, n in enumerate(graph.nodes)}
    return sorted(merged.values(), key=lambda p: order.get(p.node, -1))


def require_supported(model: Any, version: str) -> None:
    """Refuse a graph that a version of TensorRT would not take.

    Raises:
        ExportError: It has problems; the first one and their number are named.
    """
    found = check_graph(model, version)
    if found:
        more = f" ({len(found) - 1} more: rsdet.deploy.trt.check.check_graph lists them)" if len(found) > 1 else ""
        raise ExportError(f"{found[0]}{more}")


def _problems(graph: Graph, version: str) -> Iterator[Problem]:
    """All problems of a graph for one version."""
    yield from _opset(graph, version)
    pixels = _depends_on_pixels(graph)
    for node in graph.nodes:
        given = attributes(node)
        for rule in (_operator, _values, _constant_inputs, _shapes, _types, _special):
            for kind, attribute, found, remedy in rule(graph, node, given, version):
                yield Problem(kind, node.op_type, graph.name(node), attribute, (version,), found, remedy)
        for attribute, found, remedy in _data_dependent(graph, node, pixels):
            yield Problem("data-dependent", node.op_type, graph.name(node), attribute, (version,), found, remedy)
    for node in split_layer_norms(graph):
        yield Problem(
            "layernorm", node.op_type, graph.name(node), "", (version,),
            "a LayerNormalization taken apart (ReduceMean, Sub, Pow, Sqrt), whose square overflows in FP16",
            "use torch.nn.LayerNorm or functional.layer_norm and opset 17 or higher",
        )  # fmt: skip


Found = Iterator[tuple[str, str, str, str]]  # kind, attribute, what was found, what to do


def _opset(graph: Graph, version: str) -> Iterator[Problem]:
    opset = next((o.version for o in graph.model.opset_import if o.domain in ("", "ai.onnx")), 0)
    known = [v for v in table.VERSIONS if table.parse(v) <= table.parse(version)]
    highest = table.MAX_OPSET[max(known, key=table.parse)]
    if opset < table.MIN_OPSET:
        yield Problem(
            "opset", "", "", "opset", (version,), f"opset {opset}; expected {table.MIN_OPSET} or higher, because lower "
            "ones take LayerNormalization apart", f"export with opset={table.MIN_OPSET}",
        )  # fmt: skip
    elif opset > highest:
        yield Problem(
            "opset", "", "", "opset", (version,), f"opset {opset} is newer than this parser reads",
            f"export with opset={table.MIN_OPSET}",
        )  # fmt: skip


def _operator(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    local = {(f.domain, f.name) for f in graph.model.functions}
    if node.domain not in ("", "ai.onnx"):
        if (node.domain, node.op_type) not in local:
            yield (
                "operator", "domain", f"operator of the domain {node.domain!r}, which needs a plugin",
                "write the layer with operators of the default domain",
            )  # fmt: skip
    elif node.op_type in table.REFUSED:
        yield "operator", "", f"{node.op_type} is not supported", table.REFUSED[node.op_type]
    elif node.op_type not in table.SINCE:
        yield (
            "operator", "", f"{node.op_type} is in no list of supported operators",
            f"write the layer with listed operators.{nearest(node.op_type, table.SINCE)}".rstrip("."),
        )  # fmt: skip
    elif not table.supports(node.op_type, version):
        major, minor = table.SINCE[node.op_type]
        yield (
            "operator", "", f"{node.op_type} is supported from TensorRT {major}.{minor} on",
            "use a later TensorRT, or write the layer with other operators",
        )  # fmt: skip


def _values(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    for name, (allowed, _) in table.VALUES.get(node.op_type, {}).items():
        if name not in given:
            continue
        since = table.VALUE_SINCE.get((node.op_type, name, given[name]))
        later = since is not None and table.parse(version) < since
        if given[name] in allowed and not later:
            continue
        usable = [str(a) for a in allowed if a != given[name]]
        yield "attribute", name, f"{name}={given[name]!r}; expected {' or '.join(usable)}", f"change {name}"
    if node.op_type in table.NO_DILATION and any(d != 1 for d in given.get("dilations", ())):
        yield "attribute", "dilations", f"dilations={list(given['dilations'])}; expected 1", "pool without dilation"
    if node.op_type == "Constant":
        for name in ("sparse_value", "value_string", "value_strings"):
            if name in given:
                yield "attribute", name, f"a constant given as {name}; expected a dense tensor", "use a dense tensor"


def _constant_inputs(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    for index, (name, until, _) in table.CONSTANT_INPUTS.get(node.op_type, {}).items():
        if until is not None and table.parse(version) >= until:
            continue
        if index < len(node.input) and node.input[index] and not graph.is_constant(node.input[index]):
            kind = "topk" if node.op_type == "TopK" else "input"
            remedy = "export a fixed size, dynamic=False" if kind == "topk" else "make it a Python number"
            yield kind, name, f"{name} is computed in the graph; expected a constant", remedy


def _shapes(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    if node.op_type in table.ONE_OUTPUT and any(node.output[1:]):
        yield (
            "output", "", f"{sum(map(bool, node.output))} outputs are used; expected the first one only",
            "leave the others out",
        )  # fmt: skip
    if node.op_type in table.RANKS:
        ranks, _ = table.RANKS[node.op_type]
        shape = graph.shape(node.input[0])
        if shape is not None and len(shape) not in ranks:
            expected = " or ".join(map(str, ranks))
            yield "rank", "", f"an input of {len(shape)} dimensions; expected {expected}", "reshape it before and after"


def _types(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    kinds = {table.UNSUPPORTED_TYPES.get(graph.type(t)) for t in (*node.input, *node.output) if t}
    if node.op_type == "Cast":
        kinds.add(table.UNSUPPORTED_TYPES.get(given.get("to", 1)))
    for kind in sorted(k for k in kinds if k):
        remedy = "compute with real and imaginary parts" if kind.startswith("complex") else "use int32, int64 or float"
        yield "type", "", f"a tensor of type {kind}, which TensorRT has none of", remedy
    if table.parse(version) < table.INT64_SINCE and node.op_type != "Slice":  # the ends of slices are clamped anyway
        for t in node.input:
            value = graph.value(t) if graph.type(t) == 7 and graph.is_constant(t) else None
            if value is not None and value.size and np.abs(value.astype(np.float64)).max() > np.iinfo(np.int32).max:
                yield "int64", t, f"the constant {t} exceeds 32 bits, to which int64 is cast", "use smaller numbers"


def _special(graph: Graph, node: Any, given: dict[str, Any], version: str) -> Found:
    if node.op_type == "TopK":
        k = graph.value(node.input[1]) if len(node.input) > 1 else np.asarray(given.get("k", 1))
        if k is not None and int(k.reshape(-1)[0]) > table.TOPK_MAX:
            yield (
                "topk", "K", f"K={int(k.reshape(-1)[0])}; expected at most {table.TOPK_MAX}",
                "use fewer queries, or choose them in two steps",
            )  # fmt: skip
    elif node.op_type == "Einsum" and table.parse(version) < table.EINSUM_FREE_SINCE:
        terms = given.get("equation", "").replace(" ", "").split("->")[0].split(",")
        if "." in given.get("equation", "") or any(len(set(t)) != len(t) for t in terms):
            yield (
                "einsum", "equation", f"equation={given['equation']!r}; expected no ellipsis and no repeated index",
                "use matmul, transpose and reshape",
            )  # fmt: skip
    elif node.op_type == "If":
        branches = [given[b].output for b in ("then_branch", "else_branch") if b in given]
        ranks = [[len(o.type.tensor_type.shape.dim) for o in b] for b in branches]
        if len(ranks) == 2 and ranks[0] != ranks[1]:
            yield (
                "branches", "", f"branches whose outputs have the ranks {ranks[0]} and {ranks[1]}; expected the same",
                "write the layer without a condition on data",
            )  # fmt: skip


def _depends_on_pixels(graph: Graph) -> set[str]:
    """Tensors whose values depend on those of the graph's inputs, not only on their shapes."""
    found = {i.name for i in graph.model.graph.input} - set(graph.constants)
    for node in graph.nodes:
        if node.op_type in ("Shape", "Size"):
            continue
        if node.op_type in table.DATA_DEPENDENT or any(t in found for t in node.input):
            found.update(o for o in node.output if o)
    return found


def _data_dependent(graph: Graph, node: Any, pixels: set[str]) -> Iterable[tuple[str, str, str]]:
    if node.op_type in table.DATA_DEPENDENT:
        yield "", "its output has as many rows as the data decide", "use masks, or TopK with a fixed number"
    for index in table.SHAPE_INPUTS.get(node.op_type, ()):
        if index < len(node.input) and node.input[index] in pixels:
            yield (
                node.input[index],
                f"the size or position {node.input[index]} is computed from pixel values; expected one that is known "
                "from shapes",
                "use masks, or TopK with a fixed number",
            )


def split_layer_norms(graph: Graph) -> list[Any]:
    """Return the ``Sqrt`` nodes of layer normalisations that were written out: ``Sqrt(ReduceMean((x - mean)^2) + e)``.

    Args:
        graph: The graph.
    """
    found = []
    for node in graph.nodes:
        if node.op_type != "Sqrt":
            continue
        variance = graph.producer.get(node.input[0])
        if variance is not None and variance.op_type == "Add":
            variance = next((p for p in _makers(graph, variance) if p.op_type == "ReduceMean"), None)
        square = _maker(graph, variance, "ReduceMean", 0)
        if square is None or square.op_type not in ("Pow", "Mul"):
            continue
        if square.op_type == "Mul" and square.input[0] != square.input[1]:
            continue
        difference = _maker(graph, square, square.op_type, 0)
        if difference is not None and difference.op_type == "Sub":
            mean = graph.producer.get(difference.input[1])
            if mean is not None and mean.op_type == "ReduceMean" and mean.input[0] == difference.input[0]:
                found.append(node)
    return found


def _maker(graph: Graph, node: Any, operator: str, index: int) -> Any:
    """What makes an input of a node, None unless the node is of that kind."""
    return graph.producer.get(node.input[index]) if node is not None and node.op_type == operator else None


def _makers(graph: Graph, node: Any) -> list[Any]:
    return [graph.producer[t] for t in node.input if t in graph.producer]

"""FP16 written into the graph itself, for strongly typed builds: the only way from TensorRT 11 on.

ONNX Runtime's converter does the bulk. It leaves two things that a strongly typed network would take at their word:
between two layers that are to stay FP32 it casts to FP16 and back, so that a value beyond 65504 is lost after all
(ONNX Runtime removes such pairs when it loads a graph, TensorRT does not), and it appends casts out of order. Both are
put right here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rsdet.deploy.trt.graph import Graph, attributes, load
from rsdet.errors import MissingDependencyError

_FLOAT, _HALF = 1, 10  # numbers of onnx.TensorProto.DataType


def mixed_precision(model: Any, keep: Iterable[str]) -> Any:
    """Write FP16 into a graph; input, output and named layers stay FP32.

    Args:
        model: ONNX model or path of one, FP32.
        keep: Layers that stay FP32.

    Returns:
        The converted model; the given one is left as it is.

    Raises:
        MissingDependencyError: ONNX Runtime, which holds the converter, is not installed.
    """
    import onnx

    try:
        from onnxruntime.transformers import float16
    except ImportError as e:
        raise MissingDependencyError(
            "the package onnxruntime is not installed; it writes FP16 into the graph; pip install onnxruntime"
        ) from e
    copy = onnx.ModelProto()
    copy.CopyFrom(load(model))
    made = float16.convert_float_to_float16(copy, keep_io_types=True, node_block_list=list(keep))
    _drop_round_trips(made)
    _sort(made.graph)
    return made


def _drop_round_trips(model: Any) -> None:
    """Connect what stands before a cast to FP16 with what stands behind the cast back to FP32."""
    graph = Graph(model)
    outputs = {o.name for o in model.graph.output}
    renamed: dict[str, str] = {}
    dropped: set[int] = set()
    for back in graph.nodes:
        down = graph.producer.get(back.input[0]) if _casts(back, _FLOAT) else None
        if down is None or not _casts(down, _HALF):
            continue
        source, result = down.input[0], back.output[0]
        if result in outputs:
            if source not in graph.producer:
                continue  # an input that leaves the network again
            renamed[source] = result
        else:
            renamed[result] = source
        dropped.add(id(back))
    if not renamed:
        return
    for node in graph.nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = _follow(name, renamed)
    kept = [n for n in model.graph.node if id(n) not in dropped]
    used = {t for n in kept for t in n.input} | outputs
    kept = [n for n in kept if not (_casts(n, _HALF) and n.output[0] not in used)]
    _replace(model.graph, kept)


def _follow(name: str, renamed: dict[str, str]) -> str:
    while name in renamed:
        name = renamed[name]
    return name


def _casts(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and attributes(node).get("to") == kind


def _sort(graph: Any) -> None:
    """Put nodes behind what they depend on, otherwise in the order they have."""
    waiting, done = list(graph.node), {n for n in _given(graph)}
    made = {o for n in waiting for o in n.output}
    order: list[Any] = []
    while waiting:
        ready = [n for n in waiting if all(t in done or t not in made for t in n.input)]
        order += ready
        done.update(o for n in ready for o in n.output)
        chosen = {id(n) for n in ready}
        waiting = [n for n in waiting if id(n) not in chosen]
        if not ready:
            order += waiting  # a cycle, which the parser will name
            break
    _replace(graph, order)


def _given(graph: Any) -> Iterable[str]:
    return [*(i.name for i in graph.input), *(t.name for t in graph.initializer), ""]


def _replace(graph: Any, nodes: list[Any]) -> None:
    import onnx

    copies = []
    for n in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(n)
        copies.append(copy)
    del graph.node[:]
    graph.node.extend(copies)

"""Layers that must not run in FP16, by name and with the reason, and those that may run in INT8.

FP16 holds 11 bits and ends at 65504. That is too little for sums of squares (LayerNormalization), for exponents of
wide range (softmax, the decay of heat conduction) and for coordinates: between 512 and 1024 its step is half a pixel.
Everything here is found in the ONNX graph, so that the same names serve the builder, ``trtexec`` and the report.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np

from rsdet.deploy.trt.graph import Graph, attributes, load

#: Operators that stay FP32 wherever they stand.
BY_OPERATOR = {
    "LayerNormalization": "normalisation: sums of squares",
    "InstanceNormalization": "normalisation: sums of squares",
    "GroupNormalization": "normalisation: sums of squares",
    "MeanVarianceNormalization": "normalisation: sums of squares",
    "LpNormalization": "normalisation: sums of squares",
    "Softmax": "softmax: exponents",
    "LogSoftmax": "softmax: exponents",
    "Exp": "exponent, such as the decay exp(-k w^2 t) of heat conduction",
    "Pow": "power",
    "Log": "logarithm",
    "GridSample": "sampling coordinates",
    "TopK": "choice among near-equal scores",
}
LARGE_REDUCTION = 1024  # values in one sum: from here on FP16 loses more than three of its eleven bits
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"})
#: Operators that a chain of coordinates passes through. Learned layers end it: their sums are made in FP32 anyway.
_PASSED_WORDS = """
    Add Sub Mul Div Neg Reciprocal Sqrt Pow Exp Log Sigmoid Clip Min Max Abs Where Concat Slice Split Gather
    GatherElements GatherND Reshape Transpose Unsqueeze Squeeze Expand Flatten Identity Cast Tile ReduceSum Relu
    ReduceMax Softmax Sin Cos TopK
"""
_PASSED = frozenset(_PASSED_WORDS.split())
_CONVOLUTIONS = frozenset({"Conv", "ConvTranspose"})
#: What may be quantised next to convolutions.
_CONVOLUTIONAL_WORDS = """
    Conv ConvTranspose BatchNormalization Relu LeakyRelu Sigmoid HardSwish HardSigmoid Clip Mul Add Concat MaxPool
    AveragePool GlobalAveragePool Resize Split Slice
"""
_WITH_CONVOLUTIONS = frozenset(_CONVOLUTIONAL_WORDS.split())


def fp32_layers(model: Any) -> dict[str, str]:
    """List the layers that must stay FP32 in an FP16 engine.

    Found are: normalisations, softmax, Exp, Log, Pow, TopK and GridSample; sums over 1024 values and more; the
    coordinates that GridSample reads, back to the layer that predicts them; the chain sigmoid(x + inverse sigmoid) of
    reference points; and what turns predictions into the boxes that leave the network, in pixels or relative.

    Args:
        model: ONNX model or path of one.

    Returns:
        Name of the layer (ONNX node) to the reason, in order of the graph. Layers of integers are left out, since
        they have no precision to choose.
    """
    graph = Graph(load(model))
    reasons: dict[int, str] = {}

    def mark(nodes: Iterable[Any], reason: str) -> None:
        for n in nodes:
            reasons.setdefault(id(n), reason)

    for node in graph.nodes:
        if node.op_type in BY_OPERATOR:
            mark([node], BY_OPERATOR[node.op_type])
        elif node.op_type in _REDUCTIONS and _reduced(graph, node) >= LARGE_REDUCTION:
            mark([node], f"sum over {LARGE_REDUCTION} values or more")
        if node.op_type == "GridSample":
            mark(_chain(graph, [node.input[1]]), "sampling coordinates")
        if node.op_type == "TopK":  # ties that FP16 made earlier are not undone by comparing in FP32
            mark(_chain(graph, [node.input[0]]), BY_OPERATOR["TopK"])
        if node.op_type == "Log":
            mark(_inverse_sigmoid(graph, node), "reference points")
    mark(_chain(graph, [o.name for o in graph.model.graph.output]), "boxes and scores that leave the network")
    return {
        graph.name(n): reasons[id(n)]
        for n in graph.nodes
        if id(n) in reasons and n.name and any(o and graph.is_float(o) for o in n.output)
    }


def int8_layers(model: Any) -> list[str]:
    """List the layers that may run in INT8: convolutions outside the head, and what stands between them.

    Args:
        model: ONNX model or path of one, exported with Ultralytics' names ``/model.<row>/...``; in a graph with other
            names the layers that lead to an output without a convolution in between count as head.

    Returns:
        Names of layers. Attention, normalisations and everything in :func:`fp32_layers` are never among them.
    """
    graph = Graph(load(model))
    kept = set(fp32_layers(graph.model))
    rows = {name: _row(name) for name in graph.names.values()}
    head = max((r for r in rows.values() if r is not None), default=None)
    mixed = {r for n in graph.nodes if n.op_type in ("Softmax", "LayerNormalization", "MatMul")
             for r in [rows[graph.name(n)]] if r is not None}  # fmt: skip
    return [
        graph.name(n)
        for n in graph.nodes
        if n.name
        and n.op_type in _WITH_CONVOLUTIONS
        and graph.name(n) not in kept
        and (head is None or rows[graph.name(n)] not in (head, None))
        # A row with attention or heat conduction in it is quantised in its convolutions only.
        and (n.op_type in _CONVOLUTIONS or rows[graph.name(n)] not in mixed)
        and all(graph.is_float(o) for o in n.output)
    ]


def _chain(graph: Graph, tensors: Iterable[str]) -> list[Any]:
    """Nodes between tensors and the learned layers that they come from."""
    queue, found, seen = deque(tensors), [], set()
    while queue:
        node = graph.producer.get(queue.popleft())
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.op_type == "Conv" and _is_expectation(graph, node):
            found.append(node)
        elif node.op_type not in _PASSED or _is_hidden_activation(graph, node):
            continue
        else:
            found.append(node)
        # Indices and numbers have no precision.
        inputs = node.input[:1] if node.op_type == "TopK" or node.op_type.startswith("Gather") else node.input
        queue.extend(t for t in inputs if t and graph.is_float(t))
    return found


def _is_expectation(graph: Graph, node: Any) -> bool:
    """The convolution that turns the distribution of a distance into its mean (DFL): weights 0, 1, 2, …, one output."""
    weight = graph.value(node.input[1])
    return weight is not None and weight.shape[0] == 1 and np.array_equal(weight.ravel(), np.arange(weight.size))


def _is_hidden_activation(graph: Graph, node: Any) -> bool:
    """An activation between learned layers (ReLU, or the sigmoid of SiLU), which belongs to neither coordinates."""
    if node.op_type == "Mul":
        return any(_gates(graph, node, i) for i in (0, 1))
    return node.op_type == "Relu"


def _gates(graph: Graph, node: Any, i: int) -> bool:
    """Whether a product is ``x * sigmoid(x)``."""
    gate = graph.producer.get(node.input[i])
    return gate is not None and gate.op_type == "Sigmoid" and gate.input[0] == node.input[1 - i]


def _inverse_sigmoid(graph: Graph, log: Any) -> list[Any]:
    """The chain around ``log(x / (1 - x))``: its quotient and limits, the sum it goes into, and the sigmoid after."""
    quotient = graph.producer.get(log.input[0])
    if quotient is None or quotient.op_type != "Div":
        return []
    found = [log, quotient]
    for tensor in quotient.input:
        while (node := graph.producer.get(tensor)) is not None and node.op_type in ("Clip", "Sub", "Max", "Min"):
            found.append(node)
            tensor = next((t for t in node.input if t and not graph.is_constant(t)), "")
    for add in graph.consumers.get(log.output[0], []):
        found.append(add)
        found += [n for n in graph.consumers.get(add.output[0], []) if n.op_type == "Sigmoid"]
    return found


def _reduced(graph: Graph, node: Any) -> int:
    """How many values go into one sum; a large number when that is not known."""
    shape = graph.shape(node.input[0])
    axes = graph.value(node.input[1]) if len(node.input) > 1 and node.input[1] else attributes(node).get("axes")
    if shape is None:
        return LARGE_REDUCTION
    sizes = (
        shape if axes is None else [shape[int(a)] for a in np.asarray(axes).ravel() if -len(shape) <= a < len(shape)]
    )
    return LARGE_REDUCTION if None in sizes else int(np.prod(sizes))


def _row(name: str) -> int | None:
    """Row of the model that a layer belongs to: 7 for ``/model.7/cv1/conv/Conv``."""
    found = re.search(r"/model\.(\d+)/", name)
    return int(found.group(1)) if found else None

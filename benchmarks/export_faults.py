"""Faults planted into exported files, each of a kind that goes wrong: what the proof of an export must refuse.

A fault changes the file between the exporter and the proof, as a broken converter would. ``export_proofs.py`` counts
which are refused, and a dozen of them are in the test suite.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, helper, numpy_helper

Edit = Callable[[GraphProto], None]


def edited(path: Path, edit: Edit) -> None:
    """Change an ONNX file in place; raises where the graph has nothing of the kind."""
    model = onnx.load(str(path))
    edit(model.graph)
    onnx.save(model, str(path))


def _weights(graph: GraphProto, ndim: int) -> list[onnx.TensorProto]:
    """Weights of layers (of convolutions: 4, of linear layers: 2), in the order of the graph."""
    ours = {i.name: i for i in graph.initializer if len(i.dims) == ndim and i.data_type == onnx.TensorProto.FLOAT}
    used = [name for node in graph.node if node.op_type in ("Conv", "MatMul", "Gemm") for name in node.input]
    return [ours[n] for n in dict.fromkeys(used) if n in ours]


def weight(ndim: int, at: float, change: Callable[[np.ndarray], np.ndarray], square: bool = False) -> Edit:
    """Change one weight: the one at a share of the way through the network; of ``square``, with equal last axes."""

    def edit(graph: GraphProto) -> None:
        found = [w for w in _weights(graph, ndim) if not square or (w.dims[-1] == w.dims[-2] and w.dims[-1] > 1)]
        chosen = found[min(int(at * len(found)), len(found) - 1)]
        values = change(numpy_helper.to_array(chosen).copy()).astype(np.float32)
        chosen.CopyFrom(numpy_helper.from_array(values, chosen.name))

    return edit


def bias(at: float, change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    """Change the bias of a convolution."""

    def edit(graph: GraphProto) -> None:
        ours = {i.name: i for i in graph.initializer}
        found = [ours[n.input[2]] for n in graph.node if n.op_type == "Conv" and len(n.input) > 2]
        chosen = found[min(int(at * len(found)), len(found) - 1)]
        values = change(numpy_helper.to_array(chosen).copy()).astype(np.float32)
        chosen.CopyFrom(numpy_helper.from_array(values, chosen.name))

    return edit


def coarse(bits: int, begin: float) -> Edit:
    """Round the weights from a share of the way on to so many bits, one scale for each tensor, as a careless INT8."""

    def edit(graph: GraphProto) -> None:
        for ndim in (2, 4):
            found = _weights(graph, ndim)
            for chosen in found[int(begin * len(found)) :]:
                values = numpy_helper.to_array(chosen)
                step = np.abs(values).max() / (2 ** (bits - 1) - 1)
                chosen.CopyFrom(
                    numpy_helper.from_array((np.rint(values / step) * step).astype(np.float32), chosen.name)
                )

    return edit


def replaced(op: str, by: str | None = None, last: bool = False, **attributes: object) -> Edit:
    """Put another operator in the place of one, or other attributes."""

    def edit(graph: GraphProto) -> None:
        node = [n for n in graph.node if n.op_type == op][-1 if last else 0]
        if by is not None:
            node.op_type = by
            del node.attribute[:]
            del node.input[1:]
        for key, value in attributes.items():
            for known in [a for a in node.attribute if a.name == key]:
                node.attribute.remove(known)
            node.attribute.append(helper.make_attribute(key, value))

    return edit


def behind(nodes: Callable[[str, str], list[onnx.NodeProto]], **constants: np.ndarray) -> Edit:
    """Put nodes between the network and its first output."""

    def edit(graph: GraphProto) -> None:
        name = graph.output[0].name
        for node in graph.node:
            for names in (node.output, node.input):
                for i, n in enumerate(names):
                    names[i] = f"{n}_before" if n == name else n
        graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
        graph.node.extend(nodes(f"{name}_before", name))

    return edit


def before(nodes: Callable[[str, str], list[onnx.NodeProto]], **constants: np.ndarray) -> Edit:
    """Put nodes between the input and the network."""

    def edit(graph: GraphProto) -> None:
        name = graph.input[0].name
        for node in graph.node:
            for i, n in enumerate(node.input):
                node.input[i] = f"{name}_after" if n == name else n
        graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
        rest = list(graph.node)
        del graph.node[:]
        graph.node.extend([*nodes(name, f"{name}_after"), *rest])

    return edit


def _add(values: list[float], axis: int) -> Edit:
    shape = [1, 1, 1]
    shape[axis] = len(values)
    return behind(lambda a, b: [helper.make_node("Add", [a, "planted"], [b])],
                  planted=np.array(values, np.float32).reshape(shape))  # fmt: skip


def _pick(indices: list[int], axis: int, place: Callable[..., Edit] = behind) -> Edit:
    return place(lambda a, b: [helper.make_node("Gather", [a, "planted"], [b], axis=axis)],
                 planted=np.array(indices, np.int64))  # fmt: skip


def _scaled(factor: float, place: Callable[..., Edit] = behind) -> Edit:
    return place(lambda a, b: [helper.make_node("Mul", [a, "planted"], [b])], planted=np.float32(factor).reshape(()))


def _moved(place: Callable[..., Edit], px: int) -> Edit:
    """Shift pictures to the right and down; what leaves at one side is lost."""
    return place(
        lambda a, b: [helper.make_node("Pad", [a, "pads"], ["padded"], mode="edge"),
                      helper.make_node("Slice", ["padded", "begin", "end", "axes"], [b])],
        pads=np.array([0, 0, px, px, 0, 0, 0, 0], np.int64), begin=np.array([0, 0], np.int64),
        end=np.array([-px, -px], np.int64), axes=np.array([2, 3], np.int64),
    )  # fmt: skip


def _blurred(a: str, b: str) -> list[onnx.NodeProto]:
    return [helper.make_node("Resize", [a, "", "smaller"], ["half"], mode="linear"),
            helper.make_node("Resize", ["half", "", "larger"], [b], mode="linear")]  # fmt: skip


def half_overflow(graph: GraphProto) -> None:
    """LayerNormalization taken apart in FP16, as operator sets below 17 have it: squares end at the largest number.

    ONNX Runtime computes FP16 in FP32 on processors, so that this is written out in FP32.
    """
    node = next(n for n in graph.node if n.op_type == "LayerNormalization")
    x, y, at, make = node.input[0], node.output[0], list(graph.node).index(node), helper.make_node
    graph.initializer.extend(numpy_helper.from_array(np.array(v, np.float32), k)
                             for k, v in (("large", 1e3), ("most", 65504.0), ("eps", 1e-5)))  # fmt: skip
    parts = [
        make("ReduceMean", [x], ["o0"], axes=[-1]),
        make("Sub", [x, "o0"], ["o1"]),
        make("Mul", ["o1", "large"], ["o2"]),
        make("Mul", ["o2", "o2"], ["o3"]),
        make("Min", ["o3", "most"], ["o4"]),
        make("ReduceMean", ["o4"], ["o5"], axes=[-1]),
        make("Add", ["o5", "eps"], ["o6"]),
        make("Sqrt", ["o6"], ["o7"]),
        make("Div", ["o2", "o7"], ["o8"]),
        make("Mul", ["o8", node.input[1]], ["o9"]),
        make("Add", ["o9", node.input[2]], [y]),
    ]
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*rest[:at], *parts, *rest[at + 1 :]])


def _nan(w: np.ndarray) -> np.ndarray:
    w.reshape(-1)[0] = np.nan
    return w


#: Name -> (kind of network, what is done to its ONNX graph).
FAULTS: dict[str, tuple[str, Edit]] = {
    "transposed kernel": ("yolo", weight(4, 0.5, lambda w: w.swapaxes(-1, -2), square=True)),
    "transposed linear layer": ("rtdetr", weight(2, 0.2, lambda w: w.T, square=True)),
    "flipped kernel": ("restore", weight(4, 0.0, lambda w: w[..., ::-1], square=True)),
    "weight five per cent too large": ("yolo", weight(4, 0.0, lambda w: 1.05 * w)),
    "weight of the wrong sign": ("rtdetr", weight(4, 0.5, lambda w: -w)),
    "weight that is not a number": ("yolo", weight(4, 0.5, _nan)),
    "output channels in another order": ("yolo", weight(4, 0.3, lambda w: w[::-1])),
    "folded normalisation without its shift": ("yolo", bias(0.3, np.zeros_like)),
    "lost bias of the head": ("yolo", bias(0.99, np.zeros_like)),
    "infinite bias": ("rtdetr", bias(0.5, lambda b: b + np.inf)),
    "dropped LayerNorm": ("rtdetr", replaced("LayerNormalization", "Identity")),
    "LayerNorm of another epsilon": ("rtdetr", replaced("LayerNormalization", epsilon=0.5)),
    "LayerNorm overflows in FP16, opset 16": ("rtdetr", half_overflow),
    "INT8 throughout, one scale for each tensor": ("yolo", coarse(8, 0.0)),
    "INT8 head, one scale for each tensor": ("yolo", coarse(8, 0.6)),
    "four bits": ("rtdetr", coarse(4, 0.0)),
    "four bits, pictures": ("restore", coarse(4, 0.0)),
    "shifted letterbox": ("yolo", _add([3.0, 3.0, 0, 0, 0, 0, 0], 1)),
    "wrong stretch": ("rtdetr", behind(lambda a, b: [helper.make_node("Mul", [a, "planted"], [b])],
                                       planted=np.array([1.03, 1, 1.03, 1, 1, 1], np.float32).reshape(1, 1, 6))),
    "swapped classes": ("yolo", _pick([0, 1, 2, 3, 5, 4, 6], 1)),
    "classes counted from one": ("rtdetr", _add([0, 0, 0, 0, 0, 1], 2)),
    "width and height exchanged": ("rtdetr", _pick([0, 1, 3, 2, 4, 5], 2)),
    "scores too high": ("yolo", _add([0, 0, 0, 0, 0.02, 0.02, 0.02], 1)),
    "half of the detections": ("rtdetr", _pick(list(range(20)), 1)),
    "blue for red": ("yolo", _pick([2, 1, 0], 1, before)),
    "blue for red, pictures": ("restore", _pick([2, 1, 0], 1, before)),
    "input divided twice": ("rtdetr", _scaled(1 / 255, before)),
    "input shifted by two pixels": ("rtdetr", _moved(before, 2)),
    "input resized and back": ("yolo", before(_blurred, smaller=np.array([1, 1, 0.5, 0.5], np.float32),
                                              larger=np.array([1, 1, 2, 2], np.float32))),
    "scores before the sigmoid": ("yolo", replaced("Sigmoid", "Identity", last=True)),
    "attention without its softmax": ("rtdetr", replaced("Softmax", "Identity")),
    "the least certain queries": ("rtdetr", replaced("TopK", largest=0)),
    "sampling outside the picture": ("rtdetr", replaced("GridSample", align_corners=1)),
    "pictures three per cent too bright": ("restore", _scaled(1.03)),
    "picture shifted by one pixel": ("restore", _moved(behind, 1)),
}  # fmt: skip


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    weights = max(onnx.load(str(path)).graph.initializer, key=lambda i: len(i.raw_data)).raw_data
    begin = content.index(weights)
    for i in range(3):
        content[begin + i * (len(weights) // 3)] ^= 1
    path.write_bytes(content)


#: Name -> what is done to a file that was accepted, before it is loaded.
FINISHED: dict[str, Callable[[Path], None]] = {
    "three bits of the weights flipped": _flipped,
    "file cut short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]) and None,
    "threshold in the file raised": lambda path: (
        path.write_bytes(path.read_bytes().replace(b'"conf": 0.25', b'"conf": 0.95')) and None
    ),
}

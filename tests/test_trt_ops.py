"""The table of TensorRT's operators, the walk over a graph, and the layers that stay FP32."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from rsdet import RSDet
from rsdet.deploy.trt import optable
from rsdet.deploy.trt.check import check_graph, require_supported
from rsdet.deploy.trt.graph import Graph
from rsdet.deploy.trt.precision import fp32_layers, int8_layers
from rsdet.deploy.trt.typed import mixed_precision
from rsdet.errors import ConfigError, ExportError
from rsdet.modelyaml import list_models

ALL = optable.VERSIONS


def graph(*nodes, inputs=(("x", (1, 3, 8, 8)),), constants=None, opset=17, output=None, kind=TensorProto.FLOAT):
    """A model of a few nodes; the last node's first output leaves it."""
    out = output or nodes[-1].output[0]
    made = helper.make_graph(
        list(nodes), "g", [helper.make_tensor_value_info(n, kind, s) for n, s in inputs],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)])


def node(op, inputs, outputs="y", **kw):
    name = kw.pop("name", f"/layer/{op}")
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **kw)


i64 = lambda *v: np.asarray(v, np.int64)  # noqa: E731
VOLUME = (("x", (1, 3, 4, 8, 8)), ("g", (1, 4, 8, 8, 3)))
CASES = {  # name: (model, kind, attribute, versions that fail, words of the message)
    "unknown operator": (graph(node("Frobnicate", "x")), "operator", "", ALL, "no list"),
    "refused operator": (graph(node("DFT", "x")), "operator", "", ALL, "constant matrix"),
    "too early": (graph(node("Mish", "x"), opset=18), "operator", "", ("8.6", "10.3"), "from TensorRT 10.5"),
    "foreign domain": (graph(node("Gelu", "x", domain="com.acme")), "operator", "domain", ALL, "com.acme"),
    "cubic resize": (
        graph(node("Resize", "x  s", mode="cubic"), constants={"s": np.float32([1, 1, 2, 2])}),
        "attribute", "mode", ALL, "nearest or linear",
    ),
    "antialias": (
        graph(node("Resize", "x  s", mode="linear", antialias=1), constants={"s": np.float32([1, 1, 2, 2])}, opset=18),
        "attribute", "antialias", ALL, "antialias=1",
    ),
    "grid of a volume": (graph(node("GridSample", "x g"), inputs=VOLUME), "rank", "", ALL, "5 dimensions; expected 4"),
    "scatter that adds": (
        graph(node("ScatterND", "x i x", reduction="add"), constants={"i": i64(0)}),
        "attribute", "reduction", ALL, "none",
    ),
    "wrap padding": (
        graph(node("Pad", "x p", mode="wrap"), constants={"p": i64(*[0] * 8)}), "attribute", "mode", ("8.6",), "wrap"
    ),
    "unsorted top-k": (
        graph(node("TopK", "x k", "y i", sorted=0), constants={"k": i64(3)}), "attribute", "sorted", ALL, "sorted=0"
    ),
    "too many queries": (
        graph(node("TopK", "x k", "y i"), inputs=[("x", (1, 9000))], constants={"k": i64(4000)}),
        "topk", "K", ALL, "K=4000; expected at most 3840",
    ),
    "queries from shapes": (
        graph(node("Shape", "x", "s", name="/s"), node("Slice", "s a b", "k", name="/k"), node("TopK", "x k", "y i"),
              constants={"a": i64(3), "b": i64(4)}),
        "topk", "K", ALL, "dynamic=False",
    ),
    "axes computed": (
        graph(node("Shape", "x", "s", name="/s"), node("ReduceMean", "x s"), opset=18), "input", "axes", ALL, "constant"
    ),
    "slice axes computed": (
        graph(node("Shape", "x", "s", name="/s"), node("Slice", "x a b s"), constants={"a": i64(0), "b": i64(1)}),
        "input", "axes", ("8.6",), "constant",
    ),
    "scale computed": (
        graph(node("Relu", "w", "s", name="/r"), node("InstanceNormalization", "x s b"),
              inputs=[("x", (1, 3, 8, 8)), ("w", (3,))], constants={"b": np.float32([0, 0, 0])}),
        "input", "scale", ("8.6",), "constant",
    ),
    "second output": (
        graph(node("LayerNormalization", "x w", "y m"), constants={"w": np.ones(8, np.float32)}),
        "output", "", ALL, "the first one only",
    ),
    "dilated pooling": (
        graph(node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])), "attribute", "dilations", ALL, "dilations"
    ),
    "pooling of a line": (
        graph(node("AveragePool", "x", kernel_shape=[2]), inputs=[("x", (1, 3, 8))]), "rank", "", ALL, "3 dimensions"
    ),
    "ellipsis": (
        graph(node("Einsum", "x x", equation="...ij,...jk->...ik")), "einsum", "equation", ("8.6", "10.3"), "matmul"
    ),
    "complex numbers": (
        graph(node("Neg", "x"), kind=TensorProto.COMPLEX64), "type", "", ALL, "complex64"
    ),
    "unsigned": (graph(node("Cast", "x", to=TensorProto.UINT32)), "type", "", ALL, "uint32"),
    "large integers": (
        graph(node("Cast", "x", "c", to=TensorProto.INT64, name="/c"), node("Add", "c n"), constants={"n": i64(2**40)}),
        "int64", "n", ("8.6",), "32 bits",
    ),
    "rows by data": (graph(node("NonZero", "x")), "data-dependent", "", ALL, "TopK"),
    "size by data": (
        graph(node("ReduceMax", "x", "m", keepdims=0, name="/m"), node("Cast", "m", "n", to=7, name="/n"),
              node("Range", "a n b"), constants={"a": np.int64(0), "b": np.int64(1)}),
        "data-dependent", "n", ALL, "pixel values",
    ),
    "old opset": (graph(node("Relu", "x"), opset=16), "opset", "opset", ALL, "opset 16"),
    "new opset": (graph(node("Relu", "x"), opset=20), "opset", "opset", ("8.6", "10.3"), "newer"),
    "layer normalisation in pieces": (
        graph(
            node("ReduceMean", "x", "m", axes=[-1], name="/m"), node("Sub", "x m", "d", name="/d"),
            node("Pow", "d two", "q", name="/q"), node("ReduceMean", "q", "v", axes=[-1], name="/v"),
            node("Add", "v e", "a", name="/a"), node("Sqrt", "a", "s"), node("Div", "d s", name="/div"),
            constants={"two": np.float32(2), "e": np.float32(1e-5)},
        ),
        "layernorm", "", ALL, "layer_norm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_problem_is_found_and_nothing_else(case):
    model, kind, attribute, versions, words = CASES[case]
    found = [p for p in check_graph(model) if p.kind == kind or p.kind != "opset"]  # some need an opset above 8.6's
    assert [(p.kind, p.attribute, p.versions) for p in found] == [(kind, attribute, versions)], list(map(str, found))
    assert words in str(found[0])
    assert "\n" not in str(found[0])
    if found[0].node:  # the layer is named, in the message too
        assert found[0].node.startswith("/")
        assert f"layer {found[0].node} ({found[0].operator})" in str(found[0])


def test_branches_are_walked_and_compared():
    def branch(op, rank):
        out = helper.make_tensor_value_info("o", TensorProto.FLOAT, [1] * rank)
        return helper.make_graph([node(op, "x", "o", name=f"/b/{op}")], "b", [], [out])

    model = graph(
        node("If", "c", then_branch=branch("Relu", 4), else_branch=branch("Frobnicate", 3)),
        inputs=[("x", (1, 3, 8, 8)), ("c", ())],
    )
    assert {(p.kind, p.node) for p in check_graph(model)} == {("branches", "/layer/If"), ("operator", "/b/Frobnicate")}


def test_what_is_allowed_passes():
    model = graph(
        node("GridSample", "x g", "a", mode="bilinear", padding_mode="zeros", name="/g"),
        node("DepthToSpace", "a", "b", blocksize=1, mode="CRD", name="/d"),
        node("Resize", "b  s", "c", mode="nearest", nearest_mode="floor", name="/r"),
        node("LayerNormalization", "c w", "d", name="/l"),
        node("TopK", "d k", "y i", name="/t"),
        inputs=[("x", (1, 3, 8, 8)), ("g", (1, 8, 8, 2))],
        constants={"s": np.float32([1, 1, 1, 1]), "w": np.ones(8, np.float32), "k": i64(3)},
    )
    assert check_graph(model) == []
    require_supported(model, "10.3.0.26")


def test_a_refusal_names_the_first_layer_and_how_many_more():
    model = graph(node("DFT", "x", "a", name="/one"), node("Unique", "a", name="/two"))
    with pytest.raises(ExportError, match=r"/one \(DFT\).*2 more") as e:
        require_supported(model, "10.3")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("version", ["8.5", "ten", "7.1"])
def test_versions_outside_the_table_are_refused(version):
    with pytest.raises(ConfigError, match=r"8\.6"):
        check_graph(graph(node("Relu", "x")), version)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    with pytest.raises(ExportError, match="does not exist"):
        check_graph(tmp_path / "no.onnx")
    for content in (b"", b"not a graph at all"):
        (tmp_path / "torn.onnx").write_bytes(content)
        with pytest.raises(ExportError, match=r"torn\.onnx"):
            check_graph(tmp_path / "torn.onnx")


def test_the_table_names_operators_of_onnx():
    known = {s.name for s in onnx.defs.get_all_schemas_with_history()}
    retired = {"ImageScaler", "ParametricSoftplus", "ScaledTanh", "SpaceToDepth", "Scatter"}
    assert set(optable.SINCE) - known - retired <= {"Attention", "RMSNormalization", "RotaryEmbedding", "TensorScatter"}
    assert not set(optable.SINCE) & set(optable.REFUSED)


# ------------------------------------------------------------------------------------------------- our own models

TINY_VMC = dict(w1=8, w2=16, w3=16, w4=32, w5=32, neck=32, hd=32, ffn=32, nq=30)
FAMILIES = {"vmc-detr-demo.yaml": TINY_VMC, "rtdetr-r18.yaml": {"scale": "t"}, "sar-ship.yaml": {"scale": "t"}}
PICTURES = [np.random.default_rng(0).integers(0, 255, (90, 140, 3), dtype=np.uint8)]


def exported(name, folder, **values):
    torch.manual_seed(0)
    model = RSDet(name, **values)
    made = model.export(format="onnx", imgsz=64, images=PICTURES, out=folder, verbose=False, box_tol_px=9, score_tol=1)
    return onnx.load(str(made))


@pytest.fixture(scope="module", params=FAMILIES)
def ours(request, tmp_path_factory):
    return request.param, exported(request.param, tmp_path_factory.mktemp("onnx"), **FAMILIES[request.param])


def test_one_model_of_each_family_passes(ours):
    assert [str(p) for p in check_graph(ours[1])] == []


def _others():
    tested = {k.removesuffix(".yaml") for k in FAMILIES}
    names = [n for n in list_models(task="detect") if n.removesuffix(".yaml") not in tested]
    return [n for n in names if not n.startswith("cfar")]  # without a network


@pytest.mark.slow
@pytest.mark.parametrize("name", _others())
def test_every_other_model_passes(name, tmp_path):
    values = {"scale": "t"} if name.startswith("sar-ship") else {"nq": 30} if name.startswith("vmc") else {}
    assert [str(p) for p in check_graph(exported(name, tmp_path, **values))] == []


# ------------------------------------------------------------------------------------------------- precision


def kinds(model, layers):
    by_name = {n.name: n.op_type for n in model.graph.node}
    return {by_name[name] for name in layers}


def test_risky_layers_of_our_models_stay_fp32(ours):
    name, model = ours
    kept = fp32_layers(model)
    named = [n for n in model.graph.node if n.name]
    for op in ("LayerNormalization", "InstanceNormalization", "Softmax", "GridSample", "TopK", "Exp", "Pow"):
        assert all(n.name in kept for n in named if n.op_type == op), op
    convs = [n.name for n in named if n.op_type in ("Conv", "Gemm", "MatMul")]
    assert sum(c in kept for c in convs) <= 1  # learned layers are what FP16 is for; the one is DFL's
    if name.startswith("sar"):
        assert sum(c in kept for c in convs) == 1
        assert any("dfl" in k for k in kept)
    else:  # three sigmoids: the first reference points, and those that each of the decoder's layers makes
        chain = [k for k, why in kept.items() if why in ("reference points", "sampling coordinates")]
        assert {"Sigmoid", "Add", "Log", "Div", "Clip", "GridSample"} <= kinds(model, [*chain, *kept])
    assert len(kept) < 0.35 * len(named)


def test_layers_of_integers_are_never_held(ours):
    graph_ = Graph(ours[1])
    floats = {graph_.name(n) for n in graph_.nodes if any(graph_.is_float(o) for o in n.output)}
    assert set(fp32_layers(ours[1])) <= floats


def test_int8_is_for_convolutions_outside_the_head(ours):
    model = ours[1]
    may = int8_layers(model)
    assert kinds(model, may) & {"Conv"}
    assert not kinds(model, may) & {"MatMul", "Gemm", "Softmax", "LayerNormalization", "GridSample"}
    head = max(int(n.name.split("/model.")[1].split("/")[0]) for n in model.graph.node if "/model." in n.name)
    assert not [n for n in may if f"/model.{head}/" in n]
    assert not set(may) & set(fp32_layers(model))


def test_the_decay_of_heat_conduction_and_large_sums_are_found():
    model = graph(
        node("Neg", "x", "n", name="/neg"), node("Exp", "n", "e", name="/exp"), node("Conv", "e w", "c", name="/conv"),
        node("ReduceMean", "c", "m", axes=[2, 3], name="/large"), node("ReduceMean", "m", "s", axes=[1], name="/small"),
        node("Conv", "s w1", "y", name="/last"), inputs=[("x", (1, 4, 64, 64))],
        constants={"w": np.ones((4, 4, 1, 1), np.float32), "w1": np.ones((1, 1, 1, 1), np.float32)},
    )  # fmt: skip
    assert set(fp32_layers(model)) == {"/exp", "/large"}


def test_what_is_kept_does_not_overflow_where_fp16_would():
    from onnx.reference import ReferenceEvaluator  # NumPy's FP16; ONNX Runtime would compute in FP32 unasked

    model = graph(
        node("Mul", "x h", "a", name="/mul"), node("Pow", "a two", "p", name="/pow"), node("Sqrt", "p", name="/sqrt"),
        inputs=[("x", (2,))], constants={"h": np.float32(1), "two": np.float32(2)},
    )  # fmt: skip
    x = np.float32([300, 3])  # 300^2 is more than FP16 holds
    run = lambda m: ReferenceEvaluator(m).run(None, {"x": x})[0]  # noqa: E731
    with np.errstate(over="ignore"):
        assert np.isinf(run(mixed_precision(model, []))[0])
        np.testing.assert_array_equal(run(mixed_precision(model, fp32_layers(model))), x)


def test_fp16_in_the_graph_is_a_valid_graph_without_round_trips(ours):
    made = mixed_precision(ours[1], fp32_layers(ours[1]))
    onnx.checker.check_model(made, full_check=True)
    graph_ = Graph(made)
    for n in graph_.nodes:
        before = graph_.producer.get(n.input[0]) if n.op_type == "Cast" and n.attribute[0].i == 1 else None
        assert before is None or before.op_type != "Cast" or before.attribute[0].i != 10, n.name
    before, after = ({n.name: n.op_type for n in m.graph.node} for m in (ours[1], made))
    assert before.items() <= after.items()  # nothing of the network is lost
    weights = [t for t in made.graph.initializer if len(t.dims) == 4]
    assert sum(t.data_type == TensorProto.FLOAT16 for t in weights) > 0.8 * len(weights)


def test_boxes_in_pixels_are_closer_with_the_layers_kept(ours):
    import onnxruntime as ort

    name, model = ours
    if not name.startswith("sar"):
        pytest.skip("untrained queries have all but equal scores, whose order any rounding changes")
    x = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)

    def run(m):
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # else casts are taken out
        options.log_severity_level = 3
        return ort.InferenceSession(m.SerializeToString(), options).run(None, {"images": x})[0][:, :4]

    expected = run(model)
    with_layers, without = (np.abs(run(mixed_precision(model, k)) - expected).max() for k in (fp32_layers(model), []))
    assert with_layers < 0.5 * without
    assert with_layers < 1e-3

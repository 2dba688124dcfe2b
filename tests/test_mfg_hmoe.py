"""MFG-HMoE as a whole: published sizes, any input size, who learns, export, its YAMLs."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from learning import silent

from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError
from rsdet.nn.mfg_hmoe import MFGHMoE
from rsdet.nn.networks import build_network
from rsdet.nn.upsample import bicubic
from rsdet.paths import cfg_dir

TINY = dict(dim=12, groups=2, depth=2, heads=2, window=8, features=8, drop_path=0.0)
YAMLS = sorted((cfg_dir() / "models" / "restore").glob("*.yaml"))
OURS = [p for p in YAMLS if p.stem.startswith(("mfg-hmoe", "edsr", "bicubic"))]


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def tiny(upscale: int = 2, **kw) -> MFGHMoE:
    """A small network whose routers use most experts: decided, and centred on what they meet."""
    net = MFGHMoE(upscale, **(TINY | kw))
    router = net.upsample.router
    with torch.no_grad():
        mean = net.eval().features(torch.rand(1, net.channels, 24, 24))[1].mean((0, 2, 3))
        for layer, at in ((router.to_group, mean), *zip(router.to_expert, mean + router.position, strict=True)):
            layer.weight.normal_(0, 60.0)
            layer.bias.copy_(-layer.weight @ at)
    return net.train()


@pytest.mark.parametrize(("upscale", "count"), [(2, 23_144_725), (4, 27_089_173)])
def test_parameters_of_the_paper(upscale, count):
    with torch.device("meta"):
        assert sum(p.numel() for p in MFGHMoE(upscale).parameters()) == count


@pytest.mark.slow
@pytest.mark.parametrize(("upscale", "gmac"), [(2, 111.7), (4, 127.9)])
def test_work_of_the_paper(upscale, gmac):
    cost = complexity(MFGHMoE(upscale, dispatch="dense"), imgsz=64)
    assert cost.gflops_true / 2 == pytest.approx(gmac, abs=0.06)


@pytest.mark.parametrize("upscale", [2, 3, 4])
@pytest.mark.parametrize("size", [(37, 50), (16, 24), (9, 8)])
def test_shape_at_any_size(upscale, size):
    net, x = tiny(upscale).eval(), torch.rand(2, 3, *size)
    y = net(x)
    assert y.shape == (2, 3, size[0] * upscale, size[1] * upscale)
    assert y.isfinite().all()
    assert net.routes(x).shape == (2, *size)


def test_padding_is_seen_by_no_size_that_fits():
    net, x = tiny().eval(), torch.rand(1, 3, 16, 24)
    assert torch.equal(net(x), net.restore(x).clamp(0, 1))
    odd = x[..., :13, :20]
    mirrored = torch.cat([odd, odd[..., -4:, :].flip(2)[..., 1:, :]], 2)
    mirrored = torch.cat([mirrored, mirrored[..., -5:].flip(3)[..., 1:]], 3)
    assert torch.equal(net(odd), net(mirrored)[..., :26, :40])


@pytest.mark.parametrize("gate", ["ste", "joint"])
def test_every_parameter_learns(gate):
    make = partial(tiny, gate=gate, experts=(3, 3))
    assert not silent(make, lambda net: net(torch.rand(4, 3, 24, 24)).square().mean())


@pytest.mark.parametrize(("gate", "parts"), [("hard", {"router", "mfa"}), ("paper", {"to_group"})])
def test_who_does_not_learn(gate, parts):
    make = partial(tiny, gate=gate, experts=(3, 3))
    expected = {n for n, _ in make().named_parameters() if parts & set(n.split("."))}
    assert silent(make, lambda net: net(torch.rand(4, 3, 24, 24)).square().mean(), expected) == expected


def test_ste_computes_what_hard_computes():
    ste, x = tiny().train(), torch.rand(1, 3, 24, 24)
    hard = copy.deepcopy(ste)
    hard.upsample.router.gate = "hard"
    assert torch.equal(ste(x), hard(x))
    assert torch.equal(ste.eval()(x), hard.eval()(x))


def test_sparse_equals_dense():
    net, x = tiny(4).eval(), torch.rand(2, 3, 37, 50)
    outs = []
    for net.upsample.dispatch in ("dense", "sparse", "auto"):
        outs.append(net.train()(x))
    assert (outs[0] - outs[1]).abs().max() < 1e-5
    assert torch.equal(outs[1], outs[2])
    assert len(net.routes(x).unique()) > 8


def test_variants_of_the_trunk():
    plain = tiny(trunk_norm=False, mfa=False, kernels=(3,), experts=(1,))
    assert plain.mfa is None
    f, guide = plain.features(torch.rand(1, 3, 16, 16))
    assert guide is f
    assert sum(p.numel() for p in plain.norms.parameters()) == 0
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(tiny(bicubic_skip=True)(x), bicubic(x, 2))
    assert tiny(channels=1)(torch.rand(1, 1, 16, 16)).shape == (1, 1, 32, 32)


def test_extra_losses_are_given_once_and_only_where_routers_learn():
    net, x = tiny().train(), torch.rand(1, 3, 16, 16)
    assert net.extra_losses() == {}
    net(x)
    (name, loss), again = *net.extra_losses().items(), net.extra_losses()
    assert name == "balance"
    assert loss.requires_grad
    assert again == {}
    hard = tiny(gate="hard").train()
    hard(x)
    assert hard.extra_losses() == {}
    net.eval()(x)
    assert net.extra_losses() == {}


def test_copies_and_pickles_between_steps():
    net, x = tiny().train(), torch.rand(1, 3, 16, 16)
    want = net(x)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), want)
    size = len(pickle.dumps(net)) - 4 * sum(p.numel() for p in net.parameters())
    assert size < 150_000  # no index tables or masks among the weights


def test_half_precision():
    """Pixels whose best two experts are nearly equal may change sides; all others stay."""
    net, x = tiny().eval(), torch.rand(1, 3, 40, 40)
    low = copy.deepcopy(net).half()
    same = low.routes(x.half()) == net.routes(x)
    assert same.float().mean() > 0.9
    near = torch.nn.functional.max_pool2d((~same).float()[None], 3, 1, 1)[0].repeat_interleave(2, 1)
    far = near.repeat_interleave(2, 2)[:, None] == 0
    diff = (low(x.half()).float() - net(x)).abs()
    assert diff[far.expand_as(diff)].max() < 0.02
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net(x).isfinite().all()


@pytest.mark.parametrize("upscale", [2, 4])
@pytest.mark.parametrize("size", [(16, 24), (21, 16)])
def test_onnx_agrees(upscale, size):
    """Judged by PSNR and the share of equal routes: near-ties of routers may fall otherwise in another runtime."""
    import onnxruntime as ort

    net, x, buffer = tiny(upscale, bicubic_skip=True).eval(), torch.rand(1, 3, *size), io.BytesIO()
    torch.nn.init.normal_(net.conv_last.weight, 0, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (x,), buffer, opset_version=17, input_names=["x"], dynamo=False)
    run = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"]).run
    other = torch.rand(1, 3, *size)  # not the image that was traced
    mse = np.square(run(None, {"x": other.numpy()})[0] - net(other).detach().numpy()).mean()
    assert -10 * np.log10(mse) >= 50
    assert len(net.routes(other).unique()) > 4

    buffer, routes = io.BytesIO(), copy.deepcopy(net)
    routes.forward = routes.routes
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(routes, (x,), buffer, opset_version=17, input_names=["x"], dynamo=False)
    run = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"]).run
    assert (run(None, {"x": other.numpy()})[0] == net.routes(other).numpy()).mean() > 0.99


@pytest.mark.filterwarnings("ignore")
def test_a_traced_module_holds_no_routes_of_the_image_it_was_traced_with():
    net, x = tiny().eval(), torch.rand(1, 3, 21, 16)
    net(x)
    traced, other = torch.jit.trace(net, x), torch.rand(3, 3, 21, 16)
    assert len(net.routes(other).unique()) > 8
    assert torch.allclose(traced(other), net(other), atol=1e-5)


def test_the_graph_suits_tensorrt():
    import onnx

    from rsdet.deploy.trt.check import check_graph

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(tiny().eval(), (torch.rand(1, 3, 20, 16),), buffer, opset_version=17, dynamo=False)
    assert check_graph(onnx.load_from_string(buffer.getvalue())) == []


def test_large_sizes_ask_for_smaller_tiles():
    with torch.device("meta"):
        small, half, full = MFGHMoE(2, **TINY), MFGHMoE(2), MFGHMoE(4)
    assert small.whole_px > half.whole_px
    kilobytes = [2e6 / net.whole_px for net in (half, full)]  # of a pixel, of the 2 GB that an image may take
    assert kilobytes == pytest.approx([17.5, 26.7], abs=0.1)


def test_expert_names_follow_the_order_of_routes():
    net = tiny(kernels=(1, 3, 5), experts=(2, 1, 3))
    assert net.expert_names() == ["1x1 #1", "1x1 #2", "3x3 #1", "5x5 #1", "5x5 #2", "5x5 #3"]
    assert [c.kernel_size[0] for c in net.upsample.experts] == [1, 1, 3, 5, 5, 5]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"upscale": 1}, "upscale=1"),
        ({"drop_path": 1.0}, "drop_path"),
        ({"heads": 5}, "multiple of heads"),
        ({"window": 6}, "window"),
        ({"width": 5}, "MFGHMoE cannot be built"),
    ],
)
def test_bad_arguments_are_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        build_network("MFGHMoE", TINY | wrong)


def built(path, scale: str | None, **own):
    """Network of a YAML, its variables filled in here, so that this test needs no task."""
    d = yaml.safe_load(path.read_text())
    if "base" in d:
        base = yaml.safe_load((path.parent / d.pop("base")).read_text())
        d = {**base, **d, "vars": {**base["vars"], **d.get("vars", {})}}
    names = {**d["vars"], **d.get("scales", {}).get(scale or d.get("scale"), {}), **own}
    assert d["task"] == "restore"
    assert d["kind"] == "superres"
    assert set(names) == set(d["args"].values()), "a variable that no argument uses, or the reverse"
    return build_network(d["network"], {k: names[v] for k, v in d["args"].items()}), d


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.stem)
def test_yamls_can_be_built(path):
    content = path.read_text()
    assert content.startswith("# ")
    scales = ["t", "n"] if "bicubic" not in path.stem else [None]
    for scale in scales:
        for upscale in (2, 3, 4):
            net, d = built(path, scale, upscale=upscale)
            assert net.scale == upscale
            assert set(d.get("loss", {})) <= {"l1", "balance"}
            if getattr(getattr(net, "upsample", None), "sizes", None) == (1,):
                assert "balance" not in d["loss"]


def test_the_default_yaml_is_the_network_of_the_paper():
    path = cfg_dir() / "models" / "restore" / "mfg-hmoe.yaml"
    with torch.device("meta"):
        count = sum(p.numel() for p in built(path, None)[0].parameters())
    assert count == 23_144_725

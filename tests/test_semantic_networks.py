"""Semantic networks beside their equations (tests/nn): published counts, invariants of the papers, any size, export."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from learning import silent
from torch import nn
from ultralytics.nn.modules import Conv
from ultralytics.utils.torch_utils import fuse_conv_and_bn

from rsdet import RSDet
from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.modelyaml import read_model_yaml, resolve
from rsdet.nn.deeplab import DeepLabV3Plus
from rsdet.nn.networks import NETWORKS, build_network
from rsdet.nn.reduced_attention import ReducedAttention, TransformerBlock
from rsdet.nn.restoration import RestorationNetwork
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.nn.seguformer import HybridSegUFormer, MultiScaleHead, resized

SMALL = {
    "deeplab": lambda **args: DeepLabV3Plus(**{"depths": (1, 1, 1, 2), "width": 8, "decoder": 16, "low": 8, **args}),
    "seguformer": lambda **args: HybridSegUFormer(
        **{"widths": (8, 8, 16, 16), "depths": (1, 1, 1, 1), "head_dim": 8, "decoder_channels": (16, 8, 8, 8),
           "msd_width": 8, **args}
    ),
    "reduced": lambda **args: SMALL["seguformer"](sr_ratio=(8, 4, 2, 1), **args),
}  # fmt: skip

LAYOUT_A = {"depths": [1] * 4, "decoder_channels": [512, 320, 128, 64], "double_conv": False, "d1_skip": "f1"}


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


@pytest.fixture(params=SMALL)
def make(request):
    return SMALL[request.param]


def lively(net: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights unlike those of a fresh network."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    return net.eval()


def from_yaml(name: str, scale: str | None = None, **values: object) -> SegmentationNetwork:
    d = resolve(read_model_yaml(name), scale, values)
    return build_network(d["network"], {**d["args"], "nc": d["nc"]}, SegmentationNetwork)


def params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# -- published counts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("deeplabv3plus-r50.yaml", 40_472_921),
        ("hybrid-seguformer.yaml", 12_554_049),
        ("hybrid-seguformer-a.yaml", 12_549_313),
        ("deeplabv3plus-small.yaml", 1_052_937),
        ("hybrid-seguformer-n.yaml", 908_241),
    ],
)
def test_parameters_without_data(name, count):
    with torch.device("meta"):
        assert params(from_yaml(name)) == count


def test_cost_of_deeplab():
    with torch.device("meta"):
        cost = complexity(DeepLabV3Plus(), imgsz=512)
    assert cost.gflops_true / 2 == pytest.approx(79.25, abs=0.01)


@pytest.mark.parametrize(
    ("args", "thop", "true"),
    [
        ({}, 30.50, 107.02),
        ({"sr_ratio": [8, 4, 2, 1]}, 30.15, 29.96),
        (LAYOUT_A, 40.05, 73.00),
    ],
)
def test_cost_of_seguformer(args, thop, true):
    with torch.device("meta"):
        cost = complexity(HybridSegUFormer(**args), imgsz=256)
    assert cost.gflops_legacy / 2 == pytest.approx(thop, abs=0.01)
    assert cost.gflops_true / 2 == pytest.approx(true, abs=0.01)
    if not args:  # the paper's 1x1 convolutions of the head come after the resizing: 32.56 G
        later = sum(64 * c * (256**2 - (256 >> i) ** 2) for c, i in zip((320, 128, 64), (3, 2, 1), strict=True)) / 1e9
        assert thop + later == pytest.approx(32.53, abs=0.01)


def test_cost_is_told_at_the_size_of_the_recipe():
    model = RSDet("hybrid-seguformer-n.yaml", depths=[1, 1, 1, 1])
    assert model.info(verbose=False) == model.info(verbose=False, imgsz=256)  # at 512, whole attention takes minutes
    model.yaml["recipe"] = "of another release"
    assert model.info(verbose=False)["params"] == params(model.model)


@pytest.mark.parametrize(
    ("name", "cls"),
    [("deeplabv3plus-r50.yaml", DeepLabV3Plus), ("hybrid-seguformer.yaml", HybridSegUFormer)],
)
def test_the_paper_is_the_default_of_yaml_and_class(name, cls):
    with torch.device("meta"):
        ours, theirs = from_yaml(name), cls()
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert type(ours) is cls


# -- shapes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(64, 64), (80, 48), (50, 70), (33, 17), (16, 16)])
def test_logits_have_the_size_of_the_image(make, size):
    net = make(channels=2, nc=5).eval()
    with torch.no_grad():
        y = net(torch.rand(2, 2, *size))
    assert y.shape == (2, 5, *size)
    assert y.isfinite().all()


def test_maps_and_heads_of_seguformer():
    net = HybridSegUFormer().eval()
    with torch.no_grad():
        maps = net.encode(torch.rand(1, 3, 64, 32))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 32, 16), (128, 16, 8), (320, 8, 4), (512, 4, 2)]
    heads = [{b.attn.heads for b in stage.blocks} for stage in net.stages]
    assert heads == [{1}, {2}, {5}, {8}]


def test_maps_of_deeplab_have_cells_on_the_borders():
    with torch.device("meta"):
        maps = DeepLabV3Plus().encoder(torch.zeros(1, 3, 512, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 129, 17), (512, 65, 9), (1024, 33, 5), (2048, 33, 5)]


def test_what_the_task_asks_of_a_network(make):
    net = make(nc=3)
    assert (net.stride, net.nc, net.channels, net.names) == (16, 3, 3, {0: "0", 1: "1", 2: "2"})
    assert net.load_pretrained() is None


def test_a_hook_changes_what_the_decoder_gets(make):
    net, x = lively(make(nc=3)), torch.rand(2, 3, 40, 32)
    with torch.no_grad():
        plain = net(x)
        net.features.register_forward_hook(lambda _, __, features: tuple(0 * f for f in features))
        changed = net(x)
        want = net.decode(tuple(0 * f for f in net.encode(net.padded(x))), net.padded(x))[..., :40, :]
    assert torch.equal(changed, want)
    assert not torch.allclose(changed, plain, atol=1e-3)


# -- invariants of the layers ------------------------------------------------------------------------------------------


def test_a_transformer_block_knows_no_positions():
    block, z = TransformerBlock(16, 2).eval(), torch.randn(2, 24, 16)
    order = torch.randperm(24)
    assert torch.allclose(block(z[:, order], 4, 6), block(z, 4, 6)[:, order], atol=1e-5)
    reduced = TransformerBlock(16, 2, 2).eval()
    assert not torch.allclose(reduced(z[:, order], 4, 6), reduced(z, 4, 6)[:, order], atol=1e-3)


def test_attention_without_reduction_is_that_of_pytorch():
    ours, theirs = ReducedAttention(24, 3), nn.MultiheadAttention(24, 3, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([ours.q.weight, ours.k.weight, ours.v.weight]).detach()
    theirs.in_proj_bias.data = torch.cat([ours.q.bias, ours.k.bias, ours.v.bias]).detach()
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    z = torch.randn(2, 30, 24)
    assert torch.allclose(ours(z, 5, 6), theirs(z, z, z)[0], atol=1e-6)


def test_reduction_and_resizing_can_change_places():
    head, m, full = MultiScaleHead((6,), 1, 4), torch.randn(2, 6, 5, 7), torch.empty(1, 1, 20, 28)
    assert torch.allclose(resized(head.reduce[0](m), full), head.reduce[0](resized(m, full)), atol=1e-5)


def test_every_parameter_learns(make):
    def loss(net: nn.Module) -> torch.Tensor:
        y = net(torch.rand(2, 3, 64, 64))
        return (y * torch.randn_like(y)).sum()

    # A shift of keys alone moves all scores of a query alike, and batch norm takes a bias back.
    assert not {name for name in silent(make, loss) if not name.endswith(("attn.k.bias", "conv.bias"))}


def test_a_batch_of_one_picture_trains(make):
    net = make()
    net(torch.rand(1, 3, 48, 48)).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_it_learns_two_pictures(make):
    y = torch.zeros(2, 32, 32, dtype=torch.long)
    y[0, :, 16:], y[1, 8:24, :20] = 1, 2
    x = F.one_hot(y, 3).permute(0, 3, 1, 2) + 0.3 * torch.randn(2, 3, 32, 32)
    net = make(nc=3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.25  # ln 3 = 1.10 of a guess


# -- folding, precision, copies, export --------------------------------------------------------------------------------


def test_all_batch_norms_fold_the_way_ultralytics_folds_them(make):
    net, x = lively(make()), torch.rand(2, 3, 40, 32)
    with torch.no_grad():
        want = net(x)
        for m in net.modules():
            if isinstance(m, Conv):
                m.conv = fuse_conv_and_bn(m.conv, m.bn)
                del m.bn
                m.forward = m.forward_fuse
        assert not any(isinstance(m, nn.BatchNorm2d) for m in net.modules())
        assert torch.allclose(net(x), want, atol=1e-4)


def test_half_and_bfloat16_are_close(make):
    net, x = lively(make()), torch.rand(1, 3, 48, 40)
    with torch.no_grad():
        want = net(x)
        half = copy.deepcopy(net).half()(x.half()).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            bf16 = net(x).float()
    assert (half - want).abs().max() < 0.02 * want.abs().max()
    assert (bf16 - want).abs().mean() < 0.05 * want.abs().max()


def test_copies_compute_the_same(make):
    net, x = lively(make()), torch.rand(1, 3, 32, 32)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), net(x))


def exported(net: nn.Module, x: torch.Tensor, **more: object) -> bytes:
    buffer = io.BytesIO()
    torch.onnx.export(net, (x,), buffer, opset_version=17, input_names=["image"], dynamo=False, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(64, 48), (37, 50)])
def test_onnx_agrees_on_plain_operators(make, size):
    import onnx
    import onnxruntime as ort

    net, x = lively(make(nc=3)), torch.rand(2, 3, *size)
    graph = exported(net, x, dynamic_axes={"image": {0: "batch"}})
    kinds = {n.op_type for n in onnx.load_from_string(graph).graph.node}
    assert not kinds & {"GlobalAveragePool", "AveragePool", "GridSample", "ScatterND"}
    assert isinstance(net, HybridSegUFormer) or {"ReduceMean", "Expand"} <= kinds
    session = ort.InferenceSession(graph, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        for batch in (x, torch.rand(3, 3, *size)):
            want = net(batch).numpy()
            assert np.abs(session.run(None, {"image": batch.numpy()})[0] - want).max() < 1e-4 * np.abs(want).max()


def test_onnx_of_any_multiple_of_the_stride(make):
    import onnxruntime as ort

    net = lively(make(nc=3))
    graph = exported(net, torch.rand(1, 3, 64, 48), dynamic_axes={"image": {0: "batch", 2: "height", 3: "width"}})
    session, x = ort.InferenceSession(graph, providers=["CPUExecutionProvider"]), torch.rand(2, 3, 32, 80)
    with torch.no_grad():
        want = net(x).numpy()
    assert np.abs(session.run(None, {"image": x.numpy()})[0] - want).max() < 1e-4 * np.abs(want).max()


# -- ImageNet weights --------------------------------------------------------------------------------------------------


def test_encoder_takes_the_weights_of_timms_resnet50s():
    timm = pytest.importorskip("timm")
    theirs, net = lively(timm.create_model("resnet50s", features_only=False, num_classes=1)), DeepLabV3Plus().eval()
    net.load_resnet(theirs.state_dict())
    x = torch.rand(1, 3, 66, 66)  # half is odd, where both poolings have the same cells
    with torch.no_grad():
        y = theirs.maxpool(theirs.act1(theirs.bn1(theirs.conv1(x))))
        for layer, ours in zip((theirs.layer1, theirs.layer2, theirs.layer3), net.encoder(x), strict=False):
            y = layer(y)
            assert torch.allclose(ours, y, rtol=1e-4, atol=1e-4 * float(y.abs().max()))


def test_weights_are_fetched_when_a_training_starts_and_not_before(monkeypatch):
    timm = pytest.importorskip("timm")
    asked, real = [], timm.create_model

    def create(name, pretrained=False, **args):
        asked.append((name, pretrained))
        return real(name, **args)

    monkeypatch.setattr(timm, "create_model", create)
    net = from_yaml("deeplabv3plus-r50.yaml", weights="imagenet", channels=4)
    assert not asked
    assert "resnet50s" in net.load_pretrained()
    assert asked == [("resnet50s.gluon_in1k", True)]


def test_without_timm_its_weights_cannot_be_had(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(MissingDependencyError, match="timm"):
        from_yaml("deeplabv3plus-r50.yaml", weights="imagenet").load_pretrained()


# -- wrong arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("DeepLabV3Plus", {"nc": 0}, "nc of DeepLabV3Plus"),
        ("DeepLabV3Plus", {"channels": True}, "channels of"),
        ("DeepLabV3Plus", {"depths": [1, 1, 1]}, "four depths"),
        ("DeepLabV3Plus", {"depths": 3}, "four depths|cannot be built"),
        ("DeepLabV3Plus", {"depths": [1, 1, 1, 0]}, "depths of"),
        ("DeepLabV3Plus", {"block": "wide"}, "block="),
        ("DeepLabV3Plus", {"rates": []}, "rates of"),
        ("DeepLabV3Plus", {"width": 32, "weights": "imagenet"}, "ResNet-50"),
        ("DeepLabV3Plus", {"weights": "coco"}, "weights="),
        ("HybridSegUFormer", {"widths": [64, 128, 320]}, "four numbers"),
        ("HybridSegUFormer", {"widths": [64, 128, 320, 500]}, "multiples of head_dim"),
        ("HybridSegUFormer", {"depths": [1, 1, 1, -1]}, "depths of"),
        ("HybridSegUFormer", {"sr_ratio": [8, 4, 2, 2]}, "must divide"),
        ("HybridSegUFormer", {"sr_ratio": [3, 1, 1, 1]}, "must divide"),
        ("HybridSegUFormer", {"d1_skip": "f2"}, "d1_skip"),
        ("HybridSegUFormer", {"decoder_channels": "wide"}, "decoder_channels of"),
        ("HybridSegUFormer", {"msd_width": 0}, "msd_width of"),
        ("HybridSegUFormer", {"layout": "A"}, "cannot be built"),
        ("DeepLabV3", {}, "Did you mean 'DeepLabV3Plus'"),
        ("DWTMANet", {}, "must be one of"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(name, args, said):
    with pytest.raises(ConfigError, match=said) as e:
        build_network(name, args, SegmentationNetwork)
    assert "\n" not in str(e.value)


def test_a_task_gets_networks_of_its_own_kind():
    with pytest.raises(ConfigError, match="must be one of") as e:
        build_network("HybridSegUFormer", {}, RestorationNetwork)
    assert "DWTMANet" in str(e.value)
    assert set(NETWORKS) >= {"DWTMANet", "DeepLabV3Plus", "HybridSegUFormer", "SMP"}

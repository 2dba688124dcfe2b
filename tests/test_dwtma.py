"""DWTMA-Net and AOD-Net: published counts, invariants beside their equations (tests/nn), any size, folding, export."""

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

from rsdet.deploy.complexity import complexity
from rsdet.errors import ConfigError
from rsdet.modelyaml import list_models, load_model_yaml
from rsdet.nn.aodnet import AODNet
from rsdet.nn.dwtma import DWB, MAB, SAOD, DilatedResidual, DWTMANet, SKFusion, StarBlock
from rsdet.nn.fourier import FAM
from rsdet.nn.networks import build_network

ABLATIONS = [name for name in list_models() if str(name).startswith("dwtma-net-ablate")]


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def small(**args) -> DWTMANet:
    return DWTMANet(8, (1, 1, 1, 1, 1), **args)


def lively(net: nn.Module) -> nn.Module:
    """Batch norms with statistics and weights unlike those of a fresh network, so that folding has something to do."""
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.uniform_(m.bias, -0.5, 0.5)
    return net.eval()


def params(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# -- published counts --------------------------------------------------------------------------------------------------


def test_saod_has_the_published_size():
    assert params(SAOD(3)) == 684
    cost = complexity(SAOD(3), inputs=(torch.zeros(1, 3, 64, 64),))
    per_pixel, once = 648, 36
    assert round(cost.gflops_legacy * 1e9 / 2) == per_pixel * 64**2 + once
    pooled = 3 * (512**2 + 1)  # thop counts the mean too
    assert per_pixel * 512**2 + once + pooled == 170_655_783  # paper: 170.66 M at 512 px


def test_the_whole_has_the_published_size():
    with torch.device("meta"):
        assert params(DWTMANet()) == 8_372_536  # paper: 8.34 M
    cost = complexity(DWTMANet(), imgsz=128)
    assert cost.gflops_legacy / 2 * 16 == pytest.approx(188.73, rel=0.005)  # GMAC at 512 px; paper: 188.72
    assert cost.gflops_true > cost.gflops_legacy  # with the FFTs


def test_aod_net_has_the_published_size():
    assert params(AODNet()) == 1761
    cost = complexity(AODNet(), imgsz=64)
    assert cost.gflops_legacy * 1e9 / 2 == 1746 * 64 * 64
    assert round(1746 * 512**2 / 1e6, 2) == 457.70  # printed; it tells that the papers count at 512 px


def test_the_paper_is_the_default_of_the_yaml():
    d = load_model_yaml("dwtma-net.yaml")
    with torch.device("meta"):
        net = build_network(d["network"], d["args"])
    assert params(net) == 8_372_536
    assert d["loss"] == {"l1": 1.0, "fft": 0.1}


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_lack_what_they_say(name):
    d = load_model_yaml(name, scale="t")
    net = build_network(d["network"], d["args"])
    kinds = {type(m) for m in net.modules()}
    row = str(name).removeprefix("dwtma-net-ablate-").removesuffix(".yaml")
    block = next((m for m in net.modules() if isinstance(m, MAB)), None)
    if row.startswith("no-"):
        assert getattr(block, row[3:]) is None
        others = {"ca", "pa", "fam"} - {row[3:]}
        assert all(getattr(block, o) is not None for o in others)
        assert DWB in kinds
        assert net.down1.bands is not None
    else:
        assert (DWB in kinds) == ("dwb" in row)
        assert (block is not None) == ("mab" in row)
        assert (StarBlock in kinds) == ("mab" not in row)
        assert (net.down1.bands is not None) == ("wdm" in row)
    assert net.eval()(torch.rand(1, 3, 24, 16)).shape == (1, 3, 24, 16)


def test_there_is_a_yaml_for_each_row_of_the_tables():
    assert len(ABLATIONS) == 8  # five of six rows of Table 5 (the last is the network itself), three of Table 6


# -- equations ---------------------------------------------------------------------------------------------------------


def test_saod_is_equation_7_and_its_parts_lie_between_0_and_1():
    layer, f = SAOD(4), 3 * torch.randn(2, 4, 9, 11)
    k, b = layer.parameters_of_haze(f)
    assert k.shape == (2, 4, 9, 11)
    assert b.shape == (2, 4, 1, 1)
    for p in (k, b):
        assert p.min() > 0
        assert p.max() < 1
    assert torch.allclose(layer(f), k * f - k + b, atol=1e-5)


def test_the_dilated_block_reaches_four_pixels():
    x = torch.zeros(1, 2, 21, 21, requires_grad=True)
    layer = DilatedResidual(2)
    for m in layer.body:
        if isinstance(m, nn.Conv2d):
            nn.init.constant_(m.weight, 0.1)
    layer(x + 1)[0, :, 10, 10].sum().backward()
    touched = (x.grad[0, 0] != 0).nonzero()
    assert touched.min(0).values.tolist() == [6, 6]
    assert touched.max(0).values.tolist() == [14, 14]


def test_sk_fusion_weights_sum_to_one():
    layer, u, v = SKFusion(16), torch.randn(2, 16, 5, 7), torch.randn(2, 16, 5, 7)
    w = layer.weights(u, v)
    assert w.shape == (2, 2, 16, 1, 1)
    assert torch.allclose(w.sum(1), torch.ones(2, 16, 1, 1))
    assert w[:, 0].std() > 0
    assert torch.allclose(layer(u, u), u, atol=1e-6)
    assert torch.allclose(layer(u, v), w[:, 0] * u + w[:, 1] * v)


@pytest.mark.parametrize("head", ["soft", "residual"])
def test_a_head_of_zeros_gives_the_input(head):
    x = torch.rand(1, 3, 32, 40)
    net = small(head=head)
    assert not torch.allclose(net(x), x, atol=1e-3)
    nn.init.zeros_(net.head.weight)
    nn.init.zeros_(net.head.bias)
    assert torch.equal(net(x), x)
    fresh = small(head=head, identity_start=True)
    assert torch.equal(fresh(x), x)


def test_the_soft_head_is_one_k_for_all_channels():
    net, x = small(), torch.rand(1, 3, 16, 16)
    nn.init.zeros_(net.head.weight)
    with torch.no_grad():
        net.head.bias.copy_(torch.tensor([0.5, 0.1, 0.2, 0.3]))
    assert torch.allclose(net(x), 1.5 * x - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1), atol=1e-6)


def test_aod_net_is_its_equation_and_starts_from_the_input():
    x = torch.rand(1, 3, 20, 20)
    assert (AODNet()(x) - x).abs().max() < 0.25
    net = AODNet()
    nn.init.zeros_(net.conv5.weight)
    nn.init.constant_(net.conv5.bias, 1.3)
    assert torch.allclose(net(x), (1.3 * x - 1.3 + 1).relu(), atol=1e-6)


def test_aod_net_is_local_as_it_says():
    net, x = AODNet().double().eval(), torch.rand(1, 3, 48, 48, dtype=torch.float64)
    whole, part = net(x), net(x[..., 8:40, 8:40])
    assert torch.allclose(whole[..., 15:33, 15:33], part[..., 7:-7, 7:-7], atol=1e-12)


# -- sizes, modes, precision -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(16, 16), (17, 16), (97, 131), (24, 40), (16, 25)])
@pytest.mark.parametrize("make", [small, AODNet])
def test_the_output_has_the_size_of_the_input(make, size):
    net = make().eval()
    with torch.no_grad():
        y = net(torch.rand(1, 3, *size))
    assert y.shape == (1, 3, *size)
    assert y.isfinite().all()
    assert y.min() >= 0
    assert y.max() <= 1


def test_sizes_that_fit_are_not_padded():
    net, x = small().eval(), torch.rand(1, 3, 24, 40)
    assert torch.equal(net(x), net.restore(x).clamp(0, 1))


def test_other_numbers_of_channels():
    net = small(channels=5).eval()
    assert net(torch.rand(1, 5, 16, 24)).shape == (1, 5, 16, 24)
    assert AODNet(channels=1).eval()(torch.rand(1, 1, 16, 24)).shape == (1, 1, 16, 24)


def test_every_parameter_learns():
    assert not silent(small, lambda net: (net(torch.rand(2, 3, 16, 24)) * torch.randn(2, 3, 16, 24)).sum())


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_black_and_white_pictures_train_without_nan(level):
    net, x = small(), torch.full((2, 3, 32, 32), level)
    net(x).square().mean().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())
    assert net.eval()(x).isfinite().all()


def test_half_and_bfloat16_are_close():
    net, x = lively(small()), torch.rand(1, 3, 48, 40)
    with torch.no_grad():
        want = net(x)
        half = copy.deepcopy(net).half()(x.half()).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            bf16 = net(x).float()
    assert (half - want).abs().max() < 0.02
    assert (bf16 - want).abs().mean() < 0.02


def test_copies_hold_no_matrices():
    net, x = small().eval(), torch.rand(1, 3, 24, 32)
    for m in net.modules():
        if isinstance(m, FAM):
            m.form = "matrix"
    want, names = net(x), set(net.state_dict())
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(twin(x), want)
        assert set(twin.state_dict()) == names
    assert not any(b.ndim > 1 for b in net.buffers())


# -- folding and export ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [{}, {"mab": False, "dwb": False, "wdm": False}, {"ca": False}, {"pa": False}])
def test_folding_changes_nothing_but_the_work(args):
    net, x = lively(small(**args)), torch.rand(2, 3, 40, 32)
    with torch.no_grad():
        want = net(x)
        folded = copy.deepcopy(net).fuse()
        assert (folded(x) - want).abs().max() < 1e-5
        assert (folded.fuse()(x) - want).abs().max() < 1e-5  # once more does no harm
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert complexity(folded, imgsz=32).gflops_true < complexity(net, imgsz=32).gflops_true or not args.get("mab", True)
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("size", [(32, 48), (37, 50)])
def test_onnx_agrees_and_holds_no_fft(size, folded):
    import onnx
    import onnxruntime as ort

    net, x, buffer = lively(small()), torch.rand(1, 3, *size), io.BytesIO()
    net = net.fuse() if folded else net
    torch.onnx.export(net, (x,), buffer, opset_version=17, input_names=["image"], dynamo=False)
    kinds = {n.op_type for n in onnx.load_from_string(buffer.getvalue()).graph.node}
    assert not kinds & {"DFT", "STFT"}
    assert "MatMul" in kinds
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        want = net(x).numpy()
    assert want.std() > 0.01
    assert np.abs(session.run(None, {"image": x.numpy()})[0] - want).max() < 1e-4


def test_aod_net_exports():
    import onnxruntime as ort

    net, x, buffer = AODNet().eval(), torch.rand(1, 3, 21, 30), io.BytesIO()
    torch.onnx.export(net, (x,), buffer, opset_version=17, input_names=["image"], dynamo=False)
    session = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, {"image": x.numpy()})[0] - net(x).detach().numpy()).max() < 1e-5


# -- wrong arguments ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"width": 0}, "width"),
        ({"width": 8.5}, "width"),
        ({"blocks": [1, 1]}, "five numbers"),
        ({"blocks": 3}, "five numbers"),
        ({"blocks": [1, 1, 1, 1, -1]}, "five numbers"),
        ({"head": "hard"}, "must be one of"),
        ({"depth": 3}, "cannot be built"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(args, said):
    with pytest.raises(ConfigError, match=said) as e:
        build_network("DWTMANet", args)
    assert "\n" not in str(e.value)


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "gain_db"), [(lambda: small(identity_start=True), 15), (AODNet, 8)])
def test_it_learns_to_remove_haze(make, gain_db):
    g = torch.Generator().manual_seed(0)
    clear = F.interpolate(torch.rand(2, 3, 8, 8, generator=g), size=(32, 32), mode="bilinear")
    hazy = clear * 0.5 + 0.45
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    before = F.mse_loss(hazy, clear)
    for _ in range(40):
        optimizer.zero_grad()
        loss = F.mse_loss(net(hazy), clear)
        loss.backward()
        optimizer.step()
    assert 10 * torch.log10(before / loss.detach()) > gain_db

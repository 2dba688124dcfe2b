"""Change networks beside plain loops: published counts, invariants of the paper, any size, checkpoints."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.losses.change import ChangeLoss
from rsdet.nn.change import ChangeNetwork
from rsdet.nn.fc_siam import FCSiam
from rsdet.nn.networks import build_network
from rsdet.nn.segmentation import SegmentationNetwork
from rsdet.nn.siamese_smp import SiameseSMP
from rsdet.nn.ssanet import SSIF, CSHConv, SSANet
from rsdet.nn.tinycd import MixingBlock, TinyCD

SMALL = {
    "ssa": lambda: SSANet(width=8),
    "diff": lambda: FCSiam("diff", (4, 4, 8, 8)),
    "conc": lambda: FCSiam("conc", (4, 4, 8, 8)),
    "tiny": TinyCD,
}


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(autouse=True)
def _quiet():
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


def lively(net):
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -0.5, 0.5)
            nn.init.uniform_(m.running_var, 0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
    return net.eval()


@pytest.mark.parametrize(("groups", "parameters"), [(1, 5_306_177), (2, 3_543_617), (4, 2_662_337), (8, 2_221_697)])
def test_ssanet_has_the_published_size(groups, parameters):
    assert count(SSANet(groups=groups)) == parameters


@pytest.mark.parametrize(
    ("name", "args", "parameters"),
    [
        ("SSANet", {}, 3_543_617), ("FCSiam", {"join": "diff"}, 1_350_001), ("FCSiam", {"join": "conc"}, 1_545_841),
        ("TinyCD", {}, 285_128),
    ],
)  # fmt: skip
def test_model_yamls_know_them_by_name(name, args, parameters):
    net = build_network(name, args, ChangeNetwork)
    assert count(net) == parameters
    assert net.channels == 6


def test_one_more_class_makes_the_count_of_the_paper_of_fc_siam():
    net = FCSiam("diff")
    assert count(net) + count(nn.Conv2d(16, 1, 3)) == 1_350_146


def test_ssif_by_loops():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float32)
    got, v = SSIF()(x).numpy(), x.numpy().astype(np.float64)
    expected = np.empty_like(v)
    for b, c, i, j in np.ndindex(v.shape):
        over_map, over_channels = v[b, c], v[b, :, i, j]
        q1, q2 = over_map.mean(), over_channels.mean()
        v1, v2 = ((over_map - q1) ** 2).mean(), ((over_channels - q2) ** 2).mean()
        s = (v[b, c, i, j] - q1) ** 2 / (2 * v1 + 1e-6) + (v[b, c, i, j] - q2) ** 2 / (2 * v2 + 1e-6)
        expected[b, c, i, j] = v[b, c, i, j] / (1 + np.exp(-(s + 0.5)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_ssif_emphasises_and_never_suppresses():
    x = torch.randn(2, 8, 9, 7)
    gate = SSIF()(x) / x
    assert gate.min() >= torch.sigmoid(torch.tensor(0.5)) - 1e-4
    assert gate.max() <= 1 + 1e-4
    assert count(SSIF()) == 0
    flat = SSIF()(torch.full((1, 4, 5, 5), 3.0))
    assert torch.allclose(flat, torch.full_like(flat, 3 * float(torch.sigmoid(torch.tensor(0.5)))), atol=1e-4)
    half = SSIF()((1e4 * torch.randn(1, 4, 5, 5)).half())
    assert half.dtype == torch.float16
    assert torch.isfinite(half).all()


def test_cshconv_by_its_parts():
    layer = lively(CSHConv(6, 8, 2))
    x = torch.randn(2, 6, 5, 7)
    first = torch.relu(layer.reduce[1](layer.reduce[0](x)))
    w = layer.grouped.weight
    parts = [
        nn.functional.conv2d(first[:, 2 * g : 2 * g + 2], w[2 * g : 2 * g + 2], padding=1) for g in range(2)
    ]  # a group sees its own half alone
    both = torch.cat(parts, 1) + nn.functional.conv2d(first, layer.point.weight)
    expected = torch.cat([layer.ssif(torch.relu(layer.act[0](both))), first], 1)
    with torch.no_grad():
        assert torch.allclose(layer(x), expected, atol=1e-5)
    with pytest.raises(ConfigError, match="groups=4"):
        CSHConv(6, 12, 4)
    with pytest.raises(ConfigError, match="7 output channels"):
        CSHConv(6, 7, 1)


def test_mixing_takes_channels_in_pairs():
    layer = MixingBlock(3)
    a, b = torch.randn(1, 3, 6, 6), torch.randn(1, 3, 6, 6)
    w, bias = layer.conv.weight, layer.conv.bias
    each = [
        nn.functional.conv2d(torch.cat([a[:, i : i + 1], b[:, i : i + 1]], 1), w[i : i + 1], bias[i : i + 1], padding=1)
        for i in range(3)
    ]
    assert torch.allclose(layer(a, b), layer.norm(layer.act(torch.cat(each, 1))), atol=1e-5)


def test_tied_encoders_do_not_know_the_order_and_see_no_change_in_the_same():
    tied, free = SSANet(8, tied=True), SSANet(8)  # with the statistics of the batch: others silence a fresh network
    a, b = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    there, back = torch.cat([a, b], 1), torch.cat([b, a], 1)
    with torch.no_grad():
        assert torch.allclose(tied(there), tied(back), atol=1e-5)
        assert not torch.equal(free(there), free(back))
        same = tied(torch.cat([a, a], 1))
        assert torch.allclose(same, tied(torch.cat([b, b], 1)), atol=1e-5)
    assert count(tied) < 0.7 * count(free)


def test_siamese_differences_do_not_know_the_order():
    pytest.importorskip("segmentation_models_pytorch")
    net = lively(SiameseSMP(options={"encoder_depth": 3, "decoder_channels": [16, 8, 8]}))
    a, b = torch.rand(1, 3, 40, 32), torch.rand(1, 3, 40, 32)
    with torch.no_grad():
        assert torch.allclose(net(torch.cat([a, b], 1)), net(torch.cat([b, a], 1)), atol=1e-5)
    again = pickle.loads(pickle.dumps(net))
    with torch.no_grad():
        assert torch.equal(again(torch.cat([a, b], 1)), net(torch.cat([a, b], 1)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [(64, 64), (48, 80), (50, 61)])
def test_any_size_gives_a_logit_for_every_pixel(name, size):
    net = lively(SMALL[name]())
    with torch.no_grad():
        y = net(torch.rand(2, 6, *size))
    assert y.shape == (2, 1, *size)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize("name", SMALL)
def test_a_moved_square_is_learnt(name):
    torch.manual_seed(1)
    net = SMALL[name]()
    before = torch.rand(2, 3, 32, 32) * 0.3
    after, truth = before.clone(), torch.zeros(2, 1, 32, 32)
    for i, (y, x) in enumerate(((4, 6), (14, 12))):
        after[i, :, y : y + 10, x : x + 10] += 0.6
        truth[i, :, y : y + 10, x : x + 10] = 1
    pair = torch.cat([before, after], 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    net.train()
    for m in net.modules():
        if isinstance(m, nn.Dropout2d):
            m.p = 0.0
    for _ in range(60 if name == "tiny" else 100):
        loss, _ = ChangeLoss("batch")(net(pair), truth[:, 0])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = net(pair) > 0
    hits = (found & (truth > 0)).sum()
    assert 2 * hits / (found.sum() + truth.sum()) > 0.95


@pytest.mark.parametrize("name", SMALL)
def test_copies_and_graphs_are_the_network(name, tmp_path):
    net = lively(SMALL[name]())
    x = torch.rand(1, 6, 32, 32)
    with torch.no_grad():
        y = net(x)
        assert torch.equal(copy.deepcopy(net)(x), y)
        assert torch.equal(pickle.loads(pickle.dumps(net))(x), y)
        torch.onnx.export(net, (x,), tmp_path / "net.onnx", opset_version=17, dynamo=False)
    got = _run(tmp_path / "net.onnx", x)
    np.testing.assert_allclose(got, y.numpy(), rtol=1e-3, atol=1e-4)


def _run(path, x):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


def test_tinycd_starts_from_the_weights_of_torchvision():
    torchvision = pytest.importorskip("torchvision")
    source = lively(torchvision.models.efficientnet_b4(weights=None).features[:4])
    net = TinyCD(weights="imagenet").eval()
    net.take(source.state_dict())
    x = y = torch.rand(1, 3, 48, 40)
    with torch.no_grad():
        for stage in net.stages:
            y = stage(y)
        assert torch.allclose(y, source(x), atol=1e-5)


def test_arguments_out_of_range():
    for make in (lambda: FCSiam("sum"), lambda: FCSiam("diff", (8, 8)), lambda: SSANet(0), lambda: SSANet(8, 3)):
        with pytest.raises(ConfigError):
            make()
    assert issubclass(ChangeNetwork, SegmentationNetwork)

"""EDSR and bicubic enlargement beside their equations (tests/nn): published sizes, what they keep, export."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch

from rsdet.errors import ConfigError
from rsdet.nn.edsr import EDSR
from rsdet.nn.networks import build_network
from rsdet.nn.upsample import Bicubic, PixelShuffleUp, bicubic


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_keeps_constants_and_inner_slopes(scale):
    assert torch.allclose(bicubic(torch.full((1, 1, 6, 7), 0.3), scale), torch.tensor(0.3), atol=1e-6)
    ramp = torch.arange(12.0).expand(1, 1, 12, 12)
    y = bicubic(ramp, scale)[0, 0, 0]
    want = (torch.arange(12.0 * scale) + 0.5) / scale - 0.5  # centres of the pixels, not their corners
    inner = slice(2 * scale, -2 * scale)
    assert torch.allclose(y[inner], want[inner], atol=1e-5)


def test_bicubic_stays_exact_under_autocast():
    x = torch.rand(1, 3, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = bicubic(x, 2)
    assert torch.equal(y, bicubic(x, 2))


def test_the_bicubic_network_clamps_and_has_nothing_to_learn():
    net = build_network("Bicubic", {"upscale": 3, "channels": 1}).eval()
    assert isinstance(net, Bicubic)
    assert not list(net.parameters())
    y = net((torch.rand(1, 1, 16, 16) > 0.5).float())
    assert y.shape == (1, 1, 48, 48)
    assert y.min() == 0
    assert y.max() == 1


@pytest.mark.parametrize(("scale", "base", "large"), [(2, 1.370, 40.73), (3, 1.555, 43.68), (4, 1.518, 43.09)])
def test_parameters_are_those_published(scale, base, large):
    with torch.device("meta"):
        count = [sum(p.numel() for p in EDSR(scale, *a).parameters()) / 1e6 for a in ((64, 16), (256, 32, 0.1))]
    assert count == [pytest.approx(base, abs=1e-3), pytest.approx(large, abs=5e-3)]


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_shape_at_any_size(scale):
    y = EDSR(scale, 8, 2).eval()(torch.rand(2, 3, 17, 23))
    assert y.shape == (2, 3, 17 * scale, 23 * scale)
    assert y.min() >= 0
    assert y.max() <= 1


def test_without_blocks_that_do_anything_it_is_its_skip():
    net = EDSR(2, 8, 2).eval()
    torch.nn.init.zeros_(net.body[-1].weight)
    torch.nn.init.zeros_(net.body[-1].bias)
    x = torch.rand(1, 3, 16, 16)
    assert torch.allclose(net.restore(x), net.tail(net.upsample(net.head(x))))


def test_the_residual_factor_scales_the_branch():
    a, b, x = EDSR(2, 8, 1).body[0], EDSR(2, 8, 1, 0.1).body[0], torch.randn(1, 8, 6, 6)
    b.load_state_dict(a.state_dict())
    assert torch.allclose((b(x) - x) * 10, a(x) - x, atol=1e-5)


def test_the_bicubic_skip_starts_at_bicubic_and_learns():
    net, x = EDSR(2, 8, 2, bicubic_skip=True), torch.rand(1, 3, 16, 16)
    assert torch.equal(net(x), bicubic(x, 2))
    net(x).square().mean().backward()
    assert net.tail.weight.grad.abs().max() > 0


def test_is_local_as_it_says():
    """What a far pixel is does not matter: the tiler relies on it."""
    net, x = EDSR(2, 8, 2).eval(), torch.rand(1, 3, 32, 32)
    other = x.clone()
    other[..., 20:, 20:] = 0
    assert net.local
    assert torch.equal(net(x)[..., :16, :16], net(other)[..., :16, :16])


@pytest.mark.parametrize("make", [lambda: EDSR(3, 8, 2, bicubic_skip=True), lambda: EDSR(4, 8, 1), lambda: Bicubic(2)])
def test_onnx_agrees(make):
    import onnxruntime as ort

    net, buffer = make().eval(), io.BytesIO()
    if getattr(net, "bicubic_skip", False):
        torch.nn.init.normal_(net.tail.weight, 0, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (torch.rand(1, 3, 17, 20),), buffer, opset_version=17, input_names=["x"], dynamo=False)
    x = torch.rand(1, 3, 17, 20)
    y = ort.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"]).run(None, {"x": x.numpy()})[0]
    assert np.abs(y - net(x).detach().numpy()).max() < 1e-5


@pytest.mark.parametrize("make", [lambda: EDSR(2, 8, 2, bicubic_skip=True), lambda: Bicubic(3)])
def test_half_precision(make):
    net, x = make().eval(), torch.rand(1, 3, 20, 20)
    want = net(x)
    y = net.half()(x.half())
    assert y.dtype == torch.float16
    assert (y.float() - want).abs().max() < 4e-3


def test_pixel_shuffle_up_takes_steps_of_two_or_three():
    assert [sum(isinstance(m, torch.nn.PixelShuffle) for m in PixelShuffleUp(4, s)) for s in (2, 3, 4, 8)] == [
        1,
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("name", "upscale"), [("EDSR", 5), ("EDSR", 1), ("Bicubic", 9), ("Bicubic", 2.5), ("EDSR", True)]
)
def test_factors_that_it_does_not_have_are_refused(name, upscale):
    with pytest.raises(ConfigError, match=r"upscale=.*choose one of them"):
        build_network(name, {"upscale": upscale})

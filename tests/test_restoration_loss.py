"""The losses of image-to-image networks against NumPy, and what a wrong ``loss:`` answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsdet.errors import ConfigError
from rsdet.losses.restoration import TERMS, RestorationLoss, frequency_l1, ssim_loss
from rsdet.metrics.image_quality import ssim


@pytest.fixture(autouse=True)
def _quiet():
    torch.set_num_threads(1)


def pair(h: int = 18, w: int = 23, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    a = torch.rand(2, 3, h, w, dtype=torch.float64)
    return a.to(dtype), (0.7 * a + 0.3 * torch.rand_like(a)).to(dtype)


def by_numpy(name: str, a: torch.Tensor, b: torch.Tensor) -> float:
    x, y = a.double().numpy(), b.double().numpy()
    d = x - y
    if name.startswith("fft"):
        f = np.fft.fft2(d, norm="ortho" if "ortho" in name else None)  # the whole spectrum, not half of it
        return np.abs(f.real).mean() + np.abs(f.imag).mean()
    if name == "ssim":
        return 1 - np.mean([ssim(p.transpose(1, 2, 0), q.transpose(1, 2, 0)) for p, q in zip(x, y, strict=True)])
    return {"l1": np.abs(d).mean(), "mse": (d**2).mean(), "charbonnier": np.sqrt(d**2 + 1e-6).mean()}[name]


@pytest.mark.parametrize("size", [(16, 16), (18, 23), (11, 16), (13, 11)])
@pytest.mark.parametrize("name", TERMS)
def test_terms_are_their_formulas(name, size):
    a, b = pair(*size, dtype=torch.float64)
    assert float(TERMS[name](a, b)) == pytest.approx(by_numpy(name, a, b), rel=1e-9)
    assert float(TERMS[name](a.float(), b.float())) == pytest.approx(by_numpy(name, a, b), rel=2e-5)


@pytest.mark.parametrize("name", TERMS)
def test_equal_pictures_cost_nothing_and_have_a_gradient_that_is_finite(name):
    a, _ = pair()
    a.requires_grad_()
    loss = TERMS[name](a, a.detach().clone())
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1e-3 if name == "charbonnier" else 0, abs=1e-6)
    assert a.grad.isfinite().all()
    black = torch.zeros(1, 3, 16, 16)
    assert TERMS[name](black, black).isfinite()


@pytest.mark.parametrize("name", TERMS)
def test_gradients_are_right(name):
    a, b = pair(11, 12, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: TERMS[name](x, b[:1, :1]), a[:1, :1].requires_grad_())


def test_the_frequency_term_is_symmetric_and_linear():
    a, b = pair()
    assert frequency_l1(a, b).item() == pytest.approx(frequency_l1(b, a).item(), rel=1e-6)
    assert frequency_l1(3 * a, 3 * b).item() == pytest.approx(3 * frequency_l1(a, b).item(), rel=1e-5)
    assert frequency_l1(a, b).item() == pytest.approx(frequency_l1(a, b, "ortho").item() * (18 * 23) ** 0.5, rel=1e-5)


def test_the_sum_is_weighted_and_the_parts_are_not():
    a, b = pair()
    a.requires_grad_()
    total, parts = RestorationLoss({"l1": 1, "fft": 0.1, "mse": 0})(a, b)
    assert list(parts) == ["l1", "fft"]
    assert not any(p.requires_grad for p in parts.values())
    assert total.item() == pytest.approx(parts["l1"].item() + 0.1 * parts["fft"].item())
    total.backward()
    assert a.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_outputs_are_compared_in_full_precision(dtype):
    a, b = pair()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, _ = RestorationLoss({"fft": 1.0, "ssim": 1.0, "l1": 1.0})(a.to(dtype), b)
    want, _ = RestorationLoss({"fft": 1.0, "ssim": 1.0, "l1": 1.0})(a.to(dtype).float(), b)
    assert total.dtype == torch.float32
    assert torch.equal(total, want)


class WithBalance(nn.Module):
    """A network with a loss of its own, while it trains."""

    def extra_losses(self):
        return {"balance": torch.tensor(2.0, requires_grad=True)} if self.training else {}


def test_a_network_adds_its_own_losses():
    a, b = pair()
    loss, net = RestorationLoss({"l1": 1.0, "balance": 0.01}), WithBalance()
    total, parts = loss(a, b, net)
    assert total.item() == pytest.approx(parts["l1"].item() + 0.02)
    assert parts["balance"].item() == 2
    assert not parts["balance"].requires_grad
    assert list(loss(a, b, net.eval())[1]) == ["l1"]  # validation
    assert list(RestorationLoss({"l1": 1.0})(a, b, net.train())[1]) == ["l1"]  # not asked for


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({}, "must name terms"),
        (["l1"], "must name terms"),
        (None, "must name terms"),
        ({"l1": -1}, "weight of l1"),
        ({"l1": "1"}, "weight of l1"),
        ({"l1": True}, "weight of l1"),
        ({"l1": float("nan")}, "weight of l1"),
        ({"l1": 0}, "weight above 0"),
        ({"balance": 1.0}, "weight above 0"),
    ],
)
def test_wrong_terms_are_refused(terms, said):
    with pytest.raises(ConfigError, match=said):
        RestorationLoss(terms)


def test_a_misspelt_term_is_refused_with_a_hint():
    a, b = pair()
    for network in (None, nn.Identity()):
        with pytest.raises(ConfigError, match=r"'ffft' is none of .* Did you mean 'fft'"):
            RestorationLoss({"l1": 1.0, "ffft": 0.1})(a, b, network)
    with pytest.raises(ConfigError, match=r"Did you mean 'balance'"):
        RestorationLoss({"l1": 1.0, "balanse": 0.1})(a, b, WithBalance())


def test_shapes_that_differ_are_refused():
    a, b = pair()
    with pytest.raises(ConfigError, match="must be the same"):
        RestorationLoss({"l1": 1.0})(a, b[:, :, ::2, ::2])
    with pytest.raises(ConfigError, match="11 px or more"):
        ssim_loss(a[..., :10], b[..., :10])

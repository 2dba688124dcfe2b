"""AugIN is its equation, and keeps what it promises to keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from references import semi as written

from rsdet.data.semi.appearance import APPEARANCES, change_appearance
from rsdet.data.semi.augin import VARIANTS, augin
from rsdet.errors import ConfigError

ORDER = [2, 0, 3, 1]


def pictures(seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 3, 9, 7, generator=g, dtype=torch.float64)
    return (x * torch.rand(4, 3, 1, 1, generator=g) * 3 + torch.randn(4, 3, 1, 1, generator=g)).to(dtype)


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_its_equation(variant):
    x = pictures()
    want = torch.from_numpy(written.augin(x.numpy(), ORDER, variant))
    torch.testing.assert_close(augin(x, ORDER, variant), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_mean_and_variance_of_the_batch_stay(variant):
    x = pictures(dtype=torch.float32)
    y = augin(x, ORDER, variant)
    assert not torch.allclose(x, y, atol=0.1)
    torch.testing.assert_close(y.mean((0, 2, 3)), x.mean((0, 2, 3)), rtol=0, atol=1e-5)
    variance = [v.var((0, 2, 3), correction=0) for v in (y, x)]
    torch.testing.assert_close(*variance, rtol=1e-5, atol=0)


def test_sigma_keeps_the_mean_of_each_picture_and_mu_its_spread():
    x = pictures()
    torch.testing.assert_close(augin(x, ORDER, "sigma").mean((2, 3)), x.mean((2, 3)))
    torch.testing.assert_close(augin(x, ORDER, "mu").std((2, 3)), x.std((2, 3)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_picture_paired_with_itself_is_the_same(variant):
    x = pictures()
    torch.testing.assert_close(augin(x, range(4), variant), x)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_flat_picture_stays_flat_and_finite(variant):
    x = pictures()
    x[1] = 0.5
    y = augin(x, ORDER, variant)
    assert y.isfinite().all()
    assert y[1].std((1, 2)).max() < 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_pixels_without_data_neither_count_nor_change(variant):
    x, valid = pictures(), torch.rand(4, 9, 7, generator=torch.Generator().manual_seed(1)) < 0.7
    y = augin(x, ORDER, variant, valid)
    for c in range(3):
        kept = [x[i, c][valid[i]].numpy()[None, None] for i in range(4)]
        for i, j in enumerate(ORDER):
            mean = kept[i].mean() if variant == "sigma" else kept[j].mean()
            ratio = 1 if variant == "mu" else kept[j].std() / kept[i].std()
            want = torch.from_numpy((kept[i] - kept[i].mean()) * ratio + mean)[0, 0]
            torch.testing.assert_close(y[i, c][valid[i]], want)
    assert torch.equal(y.movedim(1, -1)[~valid], x.movedim(1, -1)[~valid])


def test_an_unknown_variant_is_told():
    with pytest.raises(ConfigError, match="sigma, mu, both"):
        augin(pictures(), ORDER, "sgima")


@pytest.mark.parametrize("bands", [1, 3, 5])
@pytest.mark.parametrize("name", APPEARANCES)
def test_augmentations_move_nothing_and_take_any_bands(name, bands):
    torch.manual_seed(0)
    x = torch.zeros(3, bands, 40, 40)
    x[..., 20:] = 0.7
    x += 0.05 * torch.rand_like(x)
    for seed in range(12):
        y = change_appearance(x, name, np.random.default_rng(seed))
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.isfinite().all()
        assert torch.equal(y, change_appearance(x, name, np.random.default_rng(seed)))
        if name in ("jitter", "intensity"):
            assert 0 <= float(y.min()) <= float(y.max()) <= 1
        step = (y[..., 1:] - y[..., :-1]).abs().mean((0, 1, 2))
        assert step.max() < 1e-6 or abs(int(step.argmax()) - 19) <= 1
    assert name == "none" or not torch.equal(x, y)

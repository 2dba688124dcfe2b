"""The dark channel prior against plain loops, on hazed pictures, and on pictures that have nothing to restore."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage

from rsdet.classical.dark_channel import DarkChannelPrior, dark_channel, guided_filter
from rsdet.enhance.base import Enhancer, check_enhancer
from rsdet.errors import ConfigError, DataError


def scene(h: int = 96, w: int = 120, seed: int = 0) -> np.ndarray:
    """A clear picture to which the prior applies: colours with a dark pixel in every window."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((8, 10, 3)).astype(np.float32), (w, h), interpolation=cv2.INTER_NEAREST)
    x = 0.8 * coarse + 0.1 * rng.random((h, w, 3)).astype(np.float32)
    x[rng.random((h, w)) < 0.05] = 0.01
    return np.clip(x, 0, 1)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return -10 * np.log10(np.mean((a.astype(np.float64) - b) ** 2))


@pytest.mark.parametrize("patch_px", [1, 3, 15])
@pytest.mark.parametrize("shape", [(20, 31, 3), (5, 4, 1), (16, 16, 7)])
def test_the_dark_channel_is_a_minimum_filter(patch_px, shape):
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    want = ndimage.minimum_filter(x.min(2), patch_px, mode="constant", cval=np.inf)
    assert np.array_equal(dark_channel(x, patch_px), want)


def test_the_guided_filter_is_its_loops():
    rng = np.random.default_rng(0)
    g, p, r, eps = rng.random((14, 17)), rng.random((14, 17)), 2, 1e-2
    gp, pp = np.pad(g, 2 * r, mode="symmetric"), np.pad(p, 2 * r, mode="symmetric")
    a, b = (np.zeros((14 + 2 * r, 17 + 2 * r)) for _ in range(2))
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            gw, pw = gp[i : i + 2 * r + 1, j : j + 2 * r + 1], pp[i : i + 2 * r + 1, j : j + 2 * r + 1]
            a[i, j] = np.mean((gw - gw.mean()) * (pw - pw.mean())) / (gw.var() + eps)
            b[i, j] = pw.mean() - a[i, j] * gw.mean()
    want = np.zeros((14, 17))
    for i in range(14):
        for j in range(17):
            window = slice(i, i + 2 * r + 1), slice(j, j + 2 * r + 1)
            want[i, j] = a[window].mean() * g[i, j] + b[window].mean()
    got = guided_filter(g.astype(np.float32), p.astype(np.float32), r, eps)
    assert np.abs(got - want).max() < 1e-5


def test_the_fast_guided_filter_is_close_to_the_exact_one_and_both_keep_edges():
    y, x = np.mgrid[:128, :160].astype(np.float32)
    guide = (x > 80).astype(np.float32) * 0.8 + 0.05 * np.sin(y / 9).astype(np.float32)
    noisy = guide + np.random.default_rng(0).normal(0, 0.1, guide.shape).astype(np.float32)
    exact, fast = (guided_filter(guide, noisy, 16, 1e-3, s) for s in (1, 4))
    assert np.abs(exact - fast).mean() < 0.02
    for out in (exact, fast):
        assert np.abs(out - guide).mean() < 0.03
        assert out[:, 85].mean() - out[:, 76].mean() > 0.75


@pytest.mark.parametrize("t", [0.4, 0.6, 0.8])
def test_haze_is_removed_and_its_colour_found(t):
    clear, a = scene(), np.array([0.85, 0.9, 0.95], np.float32)
    hazy = (clear * t + a * (1 - t)).astype(np.float32)
    hazy[:16, :16] = a  # a place where the haze is opaque
    dcp = DarkChannelPrior()
    assert np.abs(dcp.airlight(hazy) - a).max() < 0.03
    inner = np.s_[32:, 32:]
    assert np.abs(dcp.transmission(hazy, a)[inner] - t).mean() < 0.1
    assert psnr(dcp(hazy)[inner], clear[inner]) > psnr(hazy[inner], clear[inner]) + 6
    known = DarkChannelPrior(airlight=a.tolist())
    assert psnr(known(hazy)[inner], clear[inner]) > psnr(hazy[inner], clear[inner]) + 6


def test_omega_zero_changes_nothing():
    x = scene()
    assert np.abs(DarkChannelPrior(omega=0.0)(x) - x).max() < 1e-5


@pytest.mark.parametrize("level", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(64, 64, 3), (1, 1, 3), (2, 3, 1), (17, 40, 5)])
def test_flat_pictures_come_back_as_they_are(level, shape):
    x = np.full(shape, level, np.float32)
    y = DarkChannelPrior()(x)
    assert y.shape == shape
    assert np.abs(y - x).max() < 1e-5


@pytest.mark.parametrize("shape", [(64, 80, 3), (33, 17, 1), (5, 300, 4), (3, 2, 13)])
@pytest.mark.parametrize("kind", ["noise", "black half", "white half", "tiny values"])
def test_anything_gives_finite_values_in_range(shape, kind):
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    half = shape[1] // 2
    if kind == "black half":
        x[:, :half] = 0
    elif kind == "white half":
        x[:, :half] = 1
    elif kind == "tiny values":
        x *= 1e-6
    y = DarkChannelPrior()(x)
    assert y.dtype == np.float32
    assert y.shape == shape
    assert np.isfinite(y).all()
    assert y.min() >= 0
    assert y.max() <= 1


def test_a_stripe_of_sky_is_not_stretched_beyond_t_min():
    x = scene()
    x[:30] = 0.92 + np.random.default_rng(1).normal(0, 0.004, (30, 120, 3)).astype(np.float32)
    y = DarkChannelPrior(t_min=0.25)(x)
    assert np.std(y[:20]) < 4.5 * 0.004
    assert y[:20].mean() > 0.85


def test_sixteen_bits_stay_sixteen_bits():
    x = np.linspace(0.2, 0.21, 4096, dtype=np.float32).reshape(64, 64, 1)
    assert len(np.unique(DarkChannelPrior()(x))) > 4000


def test_it_is_an_enhancer_and_leaves_its_input_alone():
    dcp, x = DarkChannelPrior(), scene()
    assert isinstance(dcp, Enhancer)
    check_enhancer(dcp)
    before = x.copy()
    dcp(x)
    assert np.array_equal(x, before)
    # Sums over another memory layout may be taken in another order.
    assert np.allclose(dcp(np.asfortranarray(x)), dcp(x), atol=1e-5)
    assert np.allclose(dcp(x.astype(np.float64)), dcp(x), atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"omega": 1.2}, "omega=1.2"),
        ({"t_min": 0}, "t_min=0"),
        ({"top": 2}, "top=2"),
        ({"patch_px": 4}, "odd side"),
        ({"patch_px": -1}, "odd side"),
        ({"radius_px": 0}, "radius_px=0"),
        ({"eps": 0}, "eps=0"),
        ({"airlight": [0.9, 0, 0.9]}, "airlight="),
        ({"airlight": 255}, "airlight=255"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(ConfigError, match=said):
        DarkChannelPrior(**settings)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.float32),
        np.full((4, 4, 3), np.nan, np.float32),
    ],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(DataError):
        DarkChannelPrior()(image)


def test_an_airlight_of_other_bands_is_refused():
    with pytest.raises(ConfigError, match="2 values, the picture 3 bands"):
        DarkChannelPrior(airlight=[0.9, 0.9])(scene())


def test_the_model_yaml_builds_it():
    from rsdet.modelyaml import load_model_yaml
    from rsdet.tasks.restore.methods import RestoreMethod

    model = RestoreMethod(load_model_yaml("dcp.yaml", overrides={"omega": 0.8}))
    assert model.run.omega == 0.8
    assert model.scale == 1
    x = scene()
    assert np.array_equal(model.enhancer()(x), DarkChannelPrior(omega=0.8)(x))


def test_tiles_of_a_picture_have_the_airlight_of_the_whole():
    """Each tile would find another one, and the seams would show."""
    from rsdet.enhance.running import enhance

    rng = np.random.default_rng(0)
    x = (0.2 + 0.5 * rng.random((260, 340, 1)) * np.ones(3) + 0.3 * np.linspace(0, 1, 340)[None, :, None]).clip(0, 1)
    x = cv2.GaussianBlur(x.astype(np.float32), (0, 0), 2)
    dcp = DarkChannelPrior(radius_px=8)
    whole, tiled = dcp(x), enhance(dcp, x, tile=120, overlap=60)
    apart = np.abs(enhance(each_by_itself(dcp), x, tile=120, overlap=60) - whole).mean()
    assert np.abs(tiled - whole).mean() < apart / 10


def each_by_itself(dcp):
    """The same without a look at the whole."""

    class Each:
        name, kind, scale, channels, local, min_px = "each", "dehaze", 1, None, False, 1

        def __call__(self, image):
            return dcp(image)

    return Each()

"""Kernels, forward model and noise of blind super-resolution, against plain float64 references."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from rsdet.blind.forward import blur_decimate as blur_torch
from rsdet.blind.forward import gradient_prior, noise_sigma, ssim_distance
from rsdet.data.degrade import build_degradation
from rsdet.data.degrade.blind import add_noise, blur_decimate
from rsdet.data.degrade.kernels import centre_of_mass, gaussian_kernel, kernel_centre, kernel_size, random_kernel
from rsdet.data.degrade.resize import imresize
from rsdet.errors import ConfigError, DataError, RSDetError


@settings(max_examples=80, deadline=None)
@given(
    scale=st.sampled_from([2, 3, 4, 8]),
    align=st.sampled_from(["center", "upstream"]),
    axes=st.sampled_from(["variance", "std"]),
    wide=st.booleans(),
    perturb=st.sampled_from([0.0, 0.4]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sampled_kernels_are_kernels_and_lie_where_they_should(scale, align, axes, wide, perturb, seed):
    k = random_kernel(scale, np.random.default_rng(seed), align=align, axes=axes, wide=wide, perturb=perturb)
    assert k.shape == (kernel_size(scale),) * 2
    assert k.dtype == np.float32
    assert k.min() >= 0
    assert k.sum() == pytest.approx(1, abs=1e-5)
    assert np.abs(centre_of_mass(k.astype(np.float64)) - kernel_centre(len(k), scale, align)).max() < 0.1


def test_widths_are_variances_along_the_axes_of_the_angle():
    k = gaussian_kernel(41, (9.0, 2.0), np.pi / 6, 20.0).astype(np.float64)
    at = np.arange(41) - 20.0
    cov = np.array([[k.sum(0) @ at**2, at @ k @ at], [at @ k @ at, k.sum(1) @ at**2]])
    values, vectors = np.linalg.eigh(cov)
    np.testing.assert_allclose(values, [2, 9], rtol=1e-3)
    assert abs(vectors[:, 1] @ [np.cos(np.pi / 6), np.sin(np.pi / 6)]) == pytest.approx(1, abs=1e-3)


def test_disturbance_is_element_by_element_before_centring():
    rng = np.random.default_rng(0)
    factors = 1 + rng.uniform(-0.4, 0.4, (19, 19))
    k = gaussian_kernel(19, (4, 4), 0, 9.0, factors).astype(np.float64)
    # Divided by its factors it is a Gaussian again, whose centre is not quite that of the kernel.
    smooth = k / factors
    inner = np.log(smooth[4:15, 4:15])
    assert np.abs(np.diff(inner, 3, axis=0)).max() < 1e-3  # the logarithm of a Gaussian is a parabola
    assert np.abs(centre_of_mass(smooth / smooth.sum()) - 9).max() > 0.01


@pytest.mark.parametrize(("scale", "pad", "mode"), [(2, "circular", "wrap"), (3, "replicate", "nearest")])
def test_forward_model_is_correlation_then_decimation(scale, pad, mode):
    rng = np.random.default_rng(1)
    x, k = rng.random((6 * scale, 8 * scale, 2)), random_kernel(scale, rng, perturb=0.4).astype(np.float64)
    want = np.stack([ndimage.correlate(x[..., c], k, mode=mode)[::scale, ::scale] for c in (0, 1)], -1)
    np.testing.assert_allclose(blur_decimate(x, k, scale, pad), want, atol=1e-12)
    t = blur_torch(torch.from_numpy(x.transpose(2, 0, 1))[None], torch.from_numpy(k), scale, pad)
    np.testing.assert_allclose(t[0].permute(1, 2, 0), want, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("pad", ["circular", "replicate"])
def test_a_flat_picture_stays_flat(scale, pad):
    flat = np.full((8 * scale, 8 * scale, 1), 0.3)
    out = blur_decimate(flat, random_kernel(scale, np.random.default_rng(3)).astype(np.float64), scale, pad)
    np.testing.assert_allclose(out, 0.3, atol=1e-6)


def test_an_impulse_at_the_centre_takes_the_middle_of_each_block():
    size, scale = kernel_size(3), 3
    k = np.zeros((size, size))
    k[int(kernel_centre(size, scale)), int(kernel_centre(size, scale))] = 1
    x = np.arange(15.0)[:, None, None] + np.zeros((1, 15, 1))
    np.testing.assert_array_equal(blur_decimate(x, k, scale)[:, 0, 0], [1, 4, 7, 10, 13])


@pytest.mark.parametrize(("align", "shift"), [("center", 0.0), ("upstream", 1.0)])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_only_upstream_alignment_moves_the_ground(align, shift, scale):
    """A blurred, decimated ramp enlarged by bicubic interpolation is the ramp; upstream it is s - 1 pixels late."""
    x = np.broadcast_to(np.arange(40 * scale, dtype=np.float64)[None, :, None], (40 * scale, 40 * scale, 1))
    k = random_kernel(scale, np.random.default_rng(4), align=align, perturb=0.4).astype(np.float64)
    up = imresize(blur_decimate(x, k, scale, "replicate"), scale)
    inner = slice(12 * scale, 28 * scale)
    off = (x - up)[inner, inner].mean()
    assert off == pytest.approx(shift * (scale - 1), abs=0.02)


def test_noise_has_the_stated_moments():
    rng, x = np.random.default_rng(5), np.full((400, 400, 1), 0.4, np.float32)
    gaussian = add_noise(x, rng, "gaussian", 0.03)
    assert gaussian.std() == pytest.approx(0.03, rel=0.02)
    poisson = add_noise(x, rng, "poisson", 0.02, 3e-3)
    assert poisson.mean() == pytest.approx(0.4, abs=1e-3)
    assert poisson.var() == pytest.approx(
        3e-3 * 0.4 + 0.02**2, rel=0.03
    )  # variance of gain * Poisson(x / gain): gain * x
    np.testing.assert_array_equal(add_noise(x, rng, "none", 0.5), x)


def test_degradation_takes_patches_out_of_the_whole_picture():
    """With the margin that it states, the same kernel gives the same pixels, whatever lies around the patch."""
    degrade = build_degradation({"name": "blind", "noise": "none"}, 4)
    clear = np.random.default_rng(6).random((160, 160, 1), np.float32)
    m, kernel = degrade.margin_px, degrade.kernel(np.random.default_rng(7))
    assert m % 4 == 0
    whole = degrade.with_kernel(clear, kernel, np.random.default_rng(8))
    patch = degrade.with_kernel(clear[48 - m : 112 + m, 48 - m : 112 + m], kernel, np.random.default_rng(8))
    np.testing.assert_allclose(patch[m // 4 : -m // 4, m // 4 : -m // 4], whole[12:28, 12:28], atol=1e-6)


def test_degradation_is_seeded_and_in_range():
    degrade = build_degradation({"name": "blind", "noise": "poisson", "sigma": 0.2}, 2)
    clear = np.random.default_rng(0).random((32, 48, 3), np.float32)
    a, b, c = (degrade(clear, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a.shape == (16, 24, 3)
    assert a.dtype == np.float32
    assert a.min() >= 0
    assert a.max() <= 1
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert "poisson noise 0.2, gain 0.003" in degrade.describe()


@pytest.mark.parametrize(
    ("spec", "scale", "says"),
    [
        ({"noise": "gausian"}, 2, "Did you mean 'gaussian'"),
        ({"sigma": 2}, 2, "sigma"),
        ({"sigma": [0.1, 0.0]}, 2, "smaller first"),
        ({"align": "left"}, 2, "center, upstream"),
        ({"kernel_px": 10}, 2, "odd"),
        ({"kernel_px": 3}, 4, "odd"),
        ({"wide": "yes"}, 2, "true or false"),
        ({"perturb": 1.0}, 2, "perturb"),
        ({"kernels": 1}, 2, "no key 'kernels'"),
        ({}, 1, "upscale=2"),
        ({}, 9, "upscale=2"),
        ({"gain": [0.001, 0.002], "noise": "poisson"}, 2, "one number"),
        ({"noise": "none", "sigma": 0.1}, 2, "no sigma"),
        ({"gain": 0.01}, 2, "no gain"),
        ({"kernel": "missing.npy"}, 2, "cannot be read"),
    ],
)
def test_wrong_sections_are_answered(spec, scale, says):
    with pytest.raises(ConfigError, match=says):
        build_degradation({"name": "blind", **spec}, scale)


def test_a_kernel_from_a_file(tmp_path):
    k = 5 * random_kernel(2, np.random.default_rng(0), perturb=0.4)
    np.save(tmp_path / "k.npy", k)
    degrade = build_degradation({"name": "blind", "kernel": str(tmp_path / "k.npy"), "noise": "none"}, 2)
    clear = np.random.default_rng(1).random((32, 32, 1), np.float32)
    out = degrade(clear, np.random.default_rng(2))
    np.testing.assert_allclose(out, blur_decimate(clear, k / k.sum(), 2), atol=1e-6)
    assert "from a file" in degrade.describe()
    for bad in (k[:10, :10], k[:10], k - 1, np.zeros((11, 11))):
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(ConfigError, match="K odd"):
            build_degradation({"name": "blind", "kernel": str(tmp_path / "bad.npy")}, 2)
    with pytest.raises(ConfigError, match="perturb"):
        build_degradation({"name": "blind", "kernel": str(tmp_path / "k.npy"), "perturb": 0.1}, 2)


def test_a_size_that_the_scale_does_not_divide():
    with pytest.raises(DataError, match="multiple of 4"):
        blur_decimate(np.zeros((10, 12, 1)), np.ones((3, 3)) / 9, 4)
    assert issubclass(DataError, RSDetError)


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.03])
def test_noise_estimate_on_smooth_ground(sigma):
    y, x = np.mgrid[:96, :128] / 128
    picture = (0.4 + 0.2 * np.sin(3 * x) + 0.1 * y**2)[..., None]
    noisy = picture + np.random.default_rng(1).normal(0, sigma, picture.shape)
    assert noise_sigma(noisy) == pytest.approx(sigma, rel=0.2, abs=5e-4)


def test_texture_is_not_taken_for_noise_where_some_ground_is_smooth():
    rng = np.random.default_rng(2)
    picture = np.full((96, 96, 1), 0.5)
    picture[:, 40:] += 0.2 * np.sign(rng.normal(size=(96, 56, 1)))  # more than half of it is rough
    assert noise_sigma(picture + rng.normal(0, 0.01, picture.shape)) < 0.012


def test_ssim_distance_equals_the_formula():
    rng = np.random.default_rng(3)
    a = rng.random((20, 24))
    b = np.clip(a + rng.normal(0, 0.2, a.shape), 0, 1)
    at = np.arange(11) - 5.0
    g = np.exp(-(at**2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    values = []
    for i in range(10):
        for j in range(14):
            p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            ma, mb = (w * p).sum(), (w * q).sum()
            va, vb, cov = (w * (p - ma) ** 2).sum(), (w * (q - mb) ** 2).sum(), (w * (p - ma) * (q - mb)).sum()
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    got = ssim_distance(*(torch.from_numpy(v)[None, None] for v in (a, b)))
    assert float(got) == pytest.approx(1 - np.mean(values), abs=1e-9)


def test_no_nan_from_flat_pictures():
    x = torch.zeros(1, 1, 16, 16, requires_grad=True)
    (ssim_distance(x, torch.zeros(1, 1, 16, 16)) + gradient_prior(x)).backward()
    assert torch.isfinite(x.grad).all()

"""PSNR, SSIM, NIQE and LPIPS against their equations and stored values of scikit-image; nothing ever is NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d
from scipy.special import gamma

from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.metrics import niqe as niqe_module
from rsdet.metrics import perceptual
from rsdet.metrics.arrays import as_hwc
from rsdet.metrics.image_quality import Convention, QualityMeter, _pooled, psnr, ssim
from rsdet.metrics.niqe import NiqeModel, NoTextureError, features, niqe


def pair(h=40, w=52, c=3, seed=2024, spread=60):
    r = np.random.default_rng(seed)
    a = r.integers(0, 256, (h, w, c)).astype(np.uint8)
    b = np.clip(a.astype(int) + r.integers(-spread, spread + 1, a.shape), 0, 255).astype(np.uint8)
    return a / 255, b / 255


def scipy_ssim(a, b, mode, cval=0.0):
    """SSIM of one channel by SciPy, in float64."""
    at = np.arange(-5, 6)
    g = np.exp(-(at**2) / (2 * 1.5**2))
    g /= g.sum()

    def f(x):
        return correlate1d(correlate1d(x, g, 0, mode=mode, cval=cval), g, 1, mode=mode, cval=cval)

    ma, mb = f(a), f(b)
    va, vb, cov = f(a * a) - ma**2, f(b * b) - mb**2, f(a * b) - ma * mb
    return ((2 * ma * mb + 1e-4) * (2 * cov + 9e-4)) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))


def test_stored_values_of_scikit_image():
    # skimage 0.26: peak_signal_noise_ratio, structural_similarity(gaussian_weights, sigma=1.5, no sample covariance);
    # the second pair of numbers on the luminance of rgb2ycbcr, 4 px left out at each border, data range 255.
    a, b = pair()
    assert psnr(a, b) == pytest.approx(17.85759769764596, abs=1e-9)
    assert ssim(a, b) == pytest.approx(0.9037681841904147, abs=1e-9)
    y = Convention(colour="y", border=4)
    assert psnr(a, b, y) == pytest.approx(22.88825475914642, abs=1e-6)
    # skimage's constants are of range 255, ours of range 1: the same formula
    assert ssim(a, b, y) == pytest.approx(0.8989851978018335, abs=1e-9)


@pytest.mark.parametrize("kind", ["gaussian", "ffa"])
@pytest.mark.parametrize("shape", [(11, 11, 3), (40, 52, 3), (17, 90, 1), (33, 34, 5)])
def test_ssim_against_scipy(kind, shape):
    a, b = pair(*shape)
    maps = [scipy_ssim(a[..., c], b[..., c], "constant") for c in range(shape[2])]
    inner = [m[5:-5, 5:-5] for m in maps] if kind == "gaussian" else maps
    assert ssim(a, b, Convention(ssim=kind)) == pytest.approx(np.mean(inner), abs=1e-10)


@pytest.mark.parametrize("shape", [(512, 640, 3), (300, 257, 1), (700, 390, 1)])
def test_pooled_ssim_is_pytorch_pooling_first(shape):
    a, b = pair(*shape)
    ratio = max(1, round(min(shape[:2]) / 256))

    def pool(x):
        x = torch.from_numpy(x).permute(2, 0, 1)[None]
        size = (shape[0] // ratio, shape[1] // ratio)
        return torch.nn.functional.adaptive_avg_pool2d(x, size)[0].permute(1, 2, 0).numpy()

    np.testing.assert_allclose(_pooled(a, ratio), pool(a), atol=1e-12)
    assert ssim(a, b, Convention(ssim="pooled")) == pytest.approx(ssim(pool(a), pool(b)), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    h=st.integers(11, 40), w=st.integers(11, 40), c=st.sampled_from([1, 3]), value=st.sampled_from([0.0, 1.0, 0.3]),
    kind=st.sampled_from(["gaussian", "ffa", "pooled"]),
)  # fmt: skip
def test_flat_pictures_have_no_nan(h, w, c, value, kind):
    flat, black = np.full((h, w, c), value), np.zeros((h, w, c))
    convention = Convention(ssim=kind)
    assert ssim(flat, flat, convention) == pytest.approx(1)
    assert 0 < ssim(flat, black, convention) <= 1
    assert psnr(flat, flat, convention) == math.inf
    assert math.isfinite(psnr(flat, black, convention)) == (value > 0)


def test_properties():
    a, b = pair()
    assert psnr(a, b) == psnr(b, a)
    assert ssim(a, b) == pytest.approx(ssim(b, a))
    assert psnr(np.zeros((20, 20, 3)), np.full((20, 20, 3), 0.1)) == pytest.approx(20)
    closer = a + 0.5 * (b - a)
    assert psnr(a, closer) == pytest.approx(psnr(a, b) + 20 * math.log10(2))
    assert ssim(a, closer) > ssim(a, b)


def test_tensors_and_arrays_are_the_same():
    a, b = pair()
    ta, tb = (torch.from_numpy(x).permute(2, 0, 1) for x in (a, b))
    assert psnr(ta, tb) == psnr(a, b)
    assert ssim(ta[None], tb[None]) == ssim(a, b)
    assert psnr(ta.float(), tb.float()) == pytest.approx(psnr(a, b), abs=1e-4)


def test_border_bits_and_luminance():
    a, b = pair()
    inner = Convention(border=3)
    assert psnr(a, b, inner) == psnr(a[3:-3, 3:-3], b[3:-3, 3:-3])
    assert psnr(a + 0.4 / 255, a, Convention(bits=8)) == math.inf
    white = Convention(colour="y").prepare(np.ones((4, 4, 3)))
    black = Convention(colour="y").prepare(np.zeros((4, 4, 3)))
    np.testing.assert_allclose([white, black], [np.full((4, 4, 1), 235 / 255), np.full((4, 4, 1), 16 / 255)])
    gray = np.random.default_rng(0).random((4, 4, 1))
    np.testing.assert_array_equal(Convention(colour="y").prepare(gray), gray)


@pytest.mark.parametrize(
    ("section", "scale", "want"),
    [
        (None, 1, Convention()), (None, 4, Convention("y", 4, "gaussian", 8)),
        ({"border": "scale", "colour": "rgb"}, 3, Convention("rgb", 3, "gaussian", 8)),
        ({"ssim": "ffa"}, 1, Convention(ssim="ffa")), ({"bits": None}, 2, Convention("y", 2, "gaussian", None)),
    ],
)  # fmt: skip
def test_conventions(section, scale, want):
    assert Convention.of(section, scale) == want


def test_convention_names_itself():
    assert Convention.of(None, 4).describe() == "Y, border 4 px, 8 bits, SSIM gaussian"
    assert Convention().describe() == "RGB, whole picture, SSIM gaussian"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"color": "rgb"}, "Did you mean 'colour'"), ({"colour": "lab"}, "colour must be one of rgb, y"),
        ({"border": -1}, "border must be"), ({"border": True}, "border must be"), ({"ssim": "ms"}, "ssim must be"),
        ({"bits": 12}, "bits must be"),
    ],
)  # fmt: skip
def test_wrong_conventions(section, says):
    with pytest.raises(ConfigError, match=says):
        Convention.of(section)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        (np.zeros((20, 20, 3)), np.zeros((20, 21, 3)), "one size"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8), "floats in"),
        (np.full((20, 20, 3), np.nan), np.zeros((20, 20, 3)), "no finite"),
        (np.zeros((5, 20, 3)), np.zeros((5, 20, 3)), "SSIM needs 11 pixels"),
        (np.zeros((3,)), np.zeros((3,)), r"\(H, W, C\)"),
    ],
)
def test_wrong_pictures(a, b, says):
    with pytest.raises(DataError, match=says) as e:
        ssim(a, b)
    assert "\n" not in str(e.value)


def test_border_that_leaves_nothing():
    with pytest.raises(DataError, match="nothing inside a border"):
        psnr(np.zeros((8, 8, 3)), np.zeros((8, 8, 3)), Convention(border=4))


def test_meter_averages_per_picture():
    meter = QualityMeter()
    rows = [meter.update(*pair(seed=s, spread=20 * (s + 1)), name=str(s)) for s in range(3)]
    assert meter.summary() == {
        "images": 3, "psnr": pytest.approx(np.mean([r["psnr"] for r in rows])),
        "ssim": pytest.approx(np.mean([r["ssim"] for r in rows])),
    }  # fmt: skip
    assert [r["name"] for r in meter.rows] == ["0", "1", "2"]
    a, _ = pair()
    meter.update(a, a)
    assert meter.summary()["psnr"] == pytest.approx((sum(r["psnr"] for r in rows) + 100) / 4)


@pytest.mark.parametrize("metrics", [("psnr", "sim"), ("niqe",)])
def test_wrong_meters(metrics):
    with pytest.raises(ConfigError):
        QualityMeter(metrics=metrics)


# -- NIQE


def scene(seed, h=288, w=384):
    """A picture with the spectrum of natural ones, 1 / f, and contrast that changes from place to place."""
    r = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None]) + 1 / w

    def cloud(exponent):
        x = np.fft.irfft2(np.fft.rfft2(r.normal(size=(h, w))) / f**exponent, (h, w))
        return (x - x.mean()) / x.std()

    x = cloud(r.uniform(0.9, 1.3)) * np.exp(0.2 * cloud(2))
    x = np.clip(0.5 + 0.15 * x, 0, 1)
    return np.repeat(x[..., None], 3, 2)


@pytest.fixture(scope="module")
def model():
    return NiqeModel.fit([scene(s) for s in range(30)], "30 made scenes")


def test_niqe_rises_with_blur_and_noise(model):
    import cv2

    clean = scene(99)
    blurred = [niqe(cv2.GaussianBlur(clean, (0, 0), s), model) for s in (1, 2, 4)]
    noisy = [niqe(np.clip(clean + np.random.default_rng(0).normal(0, s, clean.shape), 0, 1), model) for s in (0.1, 0.3)]
    assert niqe(clean, model) < blurred[0] < blurred[1] < blurred[2]
    assert niqe(clean, model) < noisy[0] < noisy[1]


def test_niqe_fits_generalised_gaussians():
    # Known distributions: the fit finds their shape; 2 is normal, 1 Laplace. Their width is that of the definition.
    r = np.random.default_rng(0)
    for shape, sample in ((2.0, r.normal(size=200_000)), (1.0, r.laplace(size=200_000))):
        found, left, right = niqe_module._fit(sample)
        assert found == pytest.approx(shape, abs=0.03)
        width = sample.std() * np.sqrt(gamma(1 / shape) / gamma(3 / shape))
        assert left == pytest.approx(width, rel=0.03)
        assert right == pytest.approx(width, rel=0.03)
    sided = np.concatenate([-2 * np.abs(r.normal(size=100_000)), np.abs(r.normal(size=100_000))])
    _, left, right = niqe_module._fit(sided)
    assert left / right == pytest.approx(2, rel=0.02)


def test_niqe_features_have_the_right_places():
    rows, sharpness = features(scene(3))
    assert rows.shape == (12, 36)
    assert sharpness.shape == (12,)
    assert np.isfinite(rows).all()
    flat = scene(3)
    flat[:96, :96] = 0.5
    rows, sharpness = features(flat)
    assert np.argmin(sharpness) == 0
    assert np.isfinite(rows[1:]).all()
    mirrored = features(scene(3)[:, ::-1].copy())[0]  # rows of patches are in reading order
    np.testing.assert_allclose(mirrored[:, 0].reshape(3, 4)[:, ::-1].ravel(), features(scene(3))[0][:, 0], rtol=0.05)


def test_niqe_of_nothing(model):
    for value in (0.0, 0.5, 1.0):
        with pytest.raises(NoTextureError, match="no texture"):
            niqe(np.full((200, 200, 3), value), model)
    with pytest.raises(DataError, match="96 pixels"):
        niqe(np.zeros((95, 200, 3)), model)
    meter = QualityMeter(metrics=("psnr", "niqe"), niqe_model=model)
    meter.update(np.zeros((100, 100, 3)), np.zeros((100, 100, 3)), "black")
    meter.update(scene(1), scene(1), "scene")
    found = meter.summary()
    assert (found["images"], found["niqe_images"]) == (2, 1)
    assert found["niqe"] == meter.rows[1]["niqe"]
    assert "30 made scenes" in meter.describe()


def test_niqe_models_on_disk(model, tmp_path):
    model.save(tmp_path / "m.npz")
    again = NiqeModel.load(tmp_path / "m.npz")
    assert again.source == model.source
    assert niqe(scene(5), again) == niqe(scene(5), model)
    np.savez(tmp_path / "basicsr.npz", mu_pris_param=model.mean[None], cov_pris_param=model.cov, gaussian_window=0)
    other = NiqeModel.load(tmp_path / "basicsr.npz")
    assert niqe(scene(5), other) == niqe(scene(5), model)
    assert other.source == "basicsr.npz"
    (tmp_path / "bad.npz").write_text("no")
    np.savez(tmp_path / "small.npz", mean=np.zeros(3), cov=np.zeros((3, 3)))
    for name in ("bad.npz", "small.npz", "absent.npz"):
        with pytest.raises(DataError, match="no NIQE model"):
            NiqeModel.load(tmp_path / name)


def test_niqe_of_real_scenes_rises_with_haze(shared_data):
    from rsdet.data.degrade import build_degradation
    from rsdet.data.raster_io import read_image

    images = [read_image(p)[0] for p in sorted((shared_data / "rsscn7").rglob("*.jpg"))]
    real = NiqeModel.fit(images[::2], "rsscn7, every second picture")
    means = [np.mean([niqe(x, real) for x in images[1::10]])]
    for density in ("medium", "dense"):
        haze = build_degradation({"name": "haze", "density": density}, 1)
        means.append(np.mean([niqe(haze(x, np.random.default_rng(0)), real) for x in images[1::10]]))
    assert means == sorted(means)
    assert 3 < means[0] < 8  # the range that is usual for clear photographs


def test_niqe_model_of_too_few():
    with pytest.raises(DataError, match="needs at least 144"):
        NiqeModel.fit([scene(0, 96, 96)])


# -- LPIPS


def test_lpips_without_weights_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: True)  # importing torchmetrics takes seconds
    perceptual._network.cache_clear()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="alexnet-owt") as e:
        perceptual.lpips(*pair())
    assert str(tmp_path) in str(e.value)
    assert "\n" not in str(e.value)


def test_lpips_without_torchmetrics(monkeypatch):
    perceptual._network.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="needs the package torchmetrics; pip install"):
        perceptual.lpips(*pair())


@pytest.mark.slow
def test_lpips_with_stand_in_weights(monkeypatch, tmp_path):
    # The real code with random features: LPIPS of random networks still orders small and large changes.
    pytest.importorskip("torchmetrics")
    torchvision = pytest.importorskip("torchvision")
    perceptual._network.cache_clear()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    path = perceptual.weights_path()
    path.parent.mkdir(parents=True)
    torch.save(torchvision.models.alexnet(weights=None).state_dict(), path)
    monkeypatch.setattr("torch.hub.check_hash", lambda *a: True, raising=False)
    try:
        a, b = pair(64, 64)
        gray = a[..., :1]
        assert perceptual.lpips(a, a) == pytest.approx(0, abs=1e-6)
        assert perceptual.lpips(a, b) > perceptual.lpips(a, a + 0.2 * (b - a)) > 0
        assert perceptual.lpips(gray, gray * 0.5) > 0
        with pytest.raises(DataError, match="from 32 px"):
            perceptual.lpips(a[:16], b[:16])
    finally:
        perceptual._network.cache_clear()


def test_as_hwc_takes_two_dimensions():
    assert as_hwc(np.zeros((3, 4))).shape == (3, 4, 1)

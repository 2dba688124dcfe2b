"""Haze follows I = J t + A (1 - t): exactly, in range, smooth, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsdet.data.degrade import build_degradation
from rsdet.data.degrade.haze import DENSITIES, add_haze, noise_field
from rsdet.errors import ConfigError


def clear(h=40, w=50, seed=0):
    return np.random.default_rng(seed).random((h, w, 3)).astype(np.float32)


def recovered(hazy, j, airlight):
    """t of every pixel, solved from the equation."""
    return ((hazy.astype(np.float64) - airlight) / (j - airlight)).mean(axis=2)


def test_equation_pixel_by_pixel():
    j, t = clear(), np.random.default_rng(1).random((40, 50))
    got = add_haze(j, t, np.array([0.8, 0.9, 1.0]))
    for y, x, c in ((0, 0, 0), (3, 7, 1), (39, 49, 2)):
        assert got[y, x, c] == pytest.approx(j[y, x, c] * t[y, x] + (0.8, 0.9, 1.0)[c] * (1 - t[y, x]), abs=1e-6)


@pytest.mark.parametrize(("t", "want"), [(1.0, "clear"), (0.0, "haze")])
def test_ends(t, want):
    hazy = build_degradation({"name": "haze", "t": t, "airlight": 0.9}, 1)(clear(), np.random.default_rng(0))
    np.testing.assert_allclose(hazy, clear() if want == "clear" else 0.9, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    h=st.integers(1, 70), w=st.integers(1, 70), field=st.sampled_from(["uniform", "noise"]), seed=st.integers(0, 10**6),
    low=st.floats(0, 1), span=st.floats(0, 1),
)  # fmt: skip
def test_any_size_stays_in_range(h, w, field, seed, low, span):
    spec = {"name": "haze", "t": [low, min(low + span, 1)], "field": field, "tint": 0.2}
    degrade = build_degradation(spec, 1)
    hazy = degrade(clear(h, w), np.random.default_rng(seed))
    assert hazy.shape == (h, w, 3)
    assert hazy.dtype == np.float32
    assert hazy.min() >= 0
    assert hazy.max() <= 1
    t = np.broadcast_to(degrade.transmission((h, w), np.random.default_rng(seed)), (h, w))
    assert low - 1e-6 <= t.min() <= t.max() <= min(low + span, 1) + 1e-6


@pytest.mark.parametrize("field", ["uniform", "noise"])
def test_seeded(field):
    degrade = build_degradation({"name": "haze", "field": field}, 1)
    one, two, three = (degrade(clear(), np.random.default_rng(s)) for s in (5, 5, 6))
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, three)


def test_uniform_has_one_t_and_gray_airlight_as_lhid():
    ts, lights = [], []
    degrade = build_degradation({"name": "haze", "field": "uniform"}, 1)
    j = np.zeros((4, 4, 3), np.float32)
    j[0] = 1
    for seed in range(200):
        hazy = degrade(j, np.random.default_rng(seed)).astype(np.float64)
        t = hazy[0, 0, 0] - hazy[1, 0, 0]  # of white less of black
        ts.append(t)
        lights.append(hazy[1, 0, 0] / (1 - t))
        assert np.ptp(hazy[1:]) < 1e-6
    assert 0.35 <= min(ts) < 0.37 < 0.63 < max(ts) <= 0.65
    assert 0.7 <= min(lights) < 0.72 < 0.98 < max(lights) <= 1 + 1e-6


def test_noise_is_smooth_and_fills_its_range():
    fields = [noise_field((128, 128), 64, 4, np.random.default_rng(s)) for s in range(150)]
    values = np.concatenate([f.ravel() for f in fields])
    share = np.histogram(values, 10, (0, 1))[0] / values.size
    assert 0.07 < share.min() <= share.max() < 0.13  # all densities about equally common
    step = max(np.abs(np.diff(f, axis=0)).max() for f in fields)
    assert step < 0.12  # of neighbours; independent pixels would differ by up to 1
    assert np.std([f.mean() for f in fields]) > 0.05  # haze drifts from picture to picture too


def test_larger_blobs_are_smoother():
    def roughness(blob):
        fields = (noise_field((96, 96), blob, 1, np.random.default_rng(s)) for s in range(30))
        return np.mean([np.abs(np.diff(f, axis=1)).mean() for f in fields])

    assert roughness(8) > 2.5 * roughness(32) > 5 * roughness(128)


def test_named_densities_are_in_order_and_do_not_overlap():
    kept = []
    for name in ("light", "medium", "dense"):
        degrade = build_degradation({"name": "haze", "density": name}, 1)
        kept.append(np.mean([degrade(clear(), np.random.default_rng(s)).std() for s in range(20)]))
    assert kept == sorted(kept, reverse=True)  # contrast goes with density
    assert DENSITIES["light"][0] >= DENSITIES["medium"][1] >= DENSITIES["medium"][0] >= DENSITIES["dense"][1]


def test_transmission_maps(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 30).astype(np.uint16), (20, 1))
    Image.fromarray(ramp).save(tmp_path / "map.png")
    degrade = build_degradation({"name": "haze", "maps": str(tmp_path), "airlight": 1.0}, 1)
    for h, w in ((8, 9), (20, 30), (60, 70)):  # a part, the whole, more than the map has
        j = np.zeros((h, w, 3), np.float32)
        t = 1 - degrade(j, np.random.default_rng(1))[..., 0]
        assert t.shape == (h, w)
        along = np.ptp(t, axis=0).max(), np.ptp(t, axis=1).max()
        assert min(along) < 1e-3 < max(along)  # still a ramp along one axis only
    assert "1 maps" in degrade.describe()


def test_depth_maps(tmp_path):
    Image.fromarray(np.full((20, 20), 128, np.uint8)).save(tmp_path / "d.png")
    spec = {"name": "haze", "maps": str(tmp_path), "depth": True, "beta": 1.5, "airlight": 1.0}
    hazy = build_degradation(spec, 1)(np.zeros((10, 10, 3), np.float32), np.random.default_rng(0))
    np.testing.assert_allclose(1 - hazy, np.exp(-1.5 * 128 / 255), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 8])
def test_any_number_of_channels(channels):
    j = np.zeros((6, 6, channels), np.float32)
    hazy = build_degradation({"name": "haze", "tint": 0.1}, 1)(j, np.random.default_rng(0))
    assert hazy.shape == j.shape
    assert channels == 1 or np.ptp(hazy[0, 0]) > 0


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"t": 2}, "t must be"), ({"t": [0.8, 0.2]}, "the smaller first"), ({"t": "thick"}, "t must be"),
        ({"t": [0.1, 0.2, 0.3]}, "t must be"), ({"t": 0.5, "density": "light"}, "give one of them"),
        ({"density": "lite"}, "Did you mean 'light'"), ({"airlight": -1}, "airlight must be"),
        ({"field": "fog"}, "field must be one of"), ({"field": "maps"}, "needs maps:"),
        ({"maps": "/nowhere"}, "holds no pictures"), ({"colour": 1}, "has no key 'colour'"),
        ({"bits": 12}, "bits must be"), ({"octaves": 0}, "octaves must be"), ({"blob_px": 0}, "blob_px must be"),
    ],
)  # fmt: skip
def test_wrong_sections(spec, says):
    with pytest.raises(ConfigError, match=says) as e:
        build_degradation({"name": "haze", **spec}, 1)
    assert "\n" not in str(e.value)


def test_haze_does_not_change_the_size():
    with pytest.raises(ConfigError, match="enlarges by 2"):
        build_degradation("haze", 2)


def test_recovering_t_from_the_result():
    # A second way round: solve the equation for t in every pixel and compare with the field that was drawn.
    degrade = build_degradation({"name": "haze", "airlight": 0.95}, 1)
    j = clear() * 0.5
    t = degrade.transmission((40, 50), np.random.default_rng(9))
    np.testing.assert_allclose(recovered(degrade(j, np.random.default_rng(9)), j, 0.95), t, atol=1e-5)

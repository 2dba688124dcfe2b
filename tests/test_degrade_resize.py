"""Shrinking equals MATLAB's imresize: against the written definition, Pillow inside, and cv2 without antialiasing."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsdet.data.degrade import build_degradation
from rsdet.data.degrade.resize import crop_to_multiple, imresize
from rsdet.errors import ConfigError

RNG = np.random.default_rng(11)


def keys_cubic(x):
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def triangle(x):
    return max(1 - abs(x), 0.0)


def naive(row, factor, kernel, reach, antialias):
    """MATLAB's definition for one row, in its own 1-based coordinates, one output at a time."""
    n, shrink = len(row), min(factor, 1.0) if antialias else 1.0
    out = []
    for k in range(1, math.ceil(round(n * factor, 9)) + 1):
        u = k / factor + 0.5 * (1 - 1 / factor)
        total = weights = 0.0
        for i in range(math.floor(u - reach / shrink) - 1, math.ceil(u + reach / shrink) + 2):
            w = shrink * kernel(shrink * (u - i))
            j = (i - 1) % (2 * n)  # symmetric: 1 2 .. n n .. 2 1 1 2 ..
            total += w * row[j if j < n else 2 * n - 1 - j]
            weights += w
        out.append(total / weights)
    return np.array(out)


@pytest.mark.parametrize("factor", [1 / 2, 1 / 3, 1 / 4, 2, 3, 4, 0.7, 1.0])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("method", "kernel", "reach"), [("bicubic", keys_cubic, 2), ("bilinear", triangle, 1)])
def test_equals_the_definition(factor, antialias, method, kernel, reach):
    image = RNG.random((12, 13, 2))
    got = imresize(image, factor, method=method, antialias=antialias)
    rows = np.apply_along_axis(naive, 0, image, factor, kernel, reach, antialias)
    want = np.apply_along_axis(naive, 1, rows, factor, kernel, reach, antialias)
    np.testing.assert_allclose(got, want, atol=2e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("method", "resample"), [("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)]
)
def test_equals_pillow_away_from_the_border(scale, method, resample):
    # Pillow widens the same kernels; at the border it drops what lies outside instead of mirroring.
    image = RNG.random((48, 60)).astype(np.float32)
    got = imresize(image[..., None], 1 / scale, method=method)[..., 0]
    want = np.asarray(Image.fromarray(image, "F").resize((60 // scale, 48 // scale), resample))
    np.testing.assert_allclose(got[3:-3, 3:-3], want[3:-3, 3:-3], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bilinear_without_antialiasing_is_that_of_opencv(scale):
    image = RNG.random((24, 36, 3)).astype(np.float32)
    got = imresize(image, 1 / scale, method="bilinear", antialias=False)
    np.testing.assert_allclose(got, cv2.resize(image, (36 // scale, 24 // scale)), atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    h=st.integers(1, 20), w=st.integers(1, 20), factor=st.sampled_from([1 / 4, 1 / 3, 0.5, 1, 2, 3, 4]),
    value=st.floats(0, 1), method=st.sampled_from(["bicubic", "bilinear"]), antialias=st.booleans(),
)  # fmt: skip
def test_a_constant_picture_stays_constant(h, w, factor, value, method, antialias):
    out = imresize(np.full((h, w, 1), value, np.float32), factor, method=method, antialias=antialias)
    assert out.shape == (math.ceil(round(h * factor, 9)), math.ceil(round(w * factor, 9)), 1)
    np.testing.assert_allclose(out, value, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_nothing_is_shifted(scale):
    ramp = np.tile(np.arange(48, dtype=np.float32)[None, :, None], (48, 1, 1))
    small = imresize(ramp, 1 / scale)
    inner = small[6:-6, 6:-6, 0]
    want = (np.arange(48 // scale) + 0.5) * scale - 0.5
    if inner.size:
        np.testing.assert_allclose(inner, np.tile(want[6:-6], (inner.shape[0], 1)), atol=1e-3)
    back = imresize(small, scale)
    np.testing.assert_allclose(back[20:28, 20:28], ramp[20:28, 20:28], atol=1e-3)


def test_turning_and_shrinking_commute():
    image = RNG.random((24, 32, 3)).astype(np.float32)
    for turns in range(4):
        a = imresize(np.rot90(image, turns), 0.25)
        np.testing.assert_allclose(a, np.rot90(imresize(image, 0.25), turns), atol=1e-6)


def test_by_size():
    image = RNG.random((10, 15, 3)).astype(np.float32)
    np.testing.assert_allclose(imresize(image, size=(20, 30)), imresize(image, 2), atol=1e-6)
    assert imresize(image, size=(7, 31)).shape == (7, 31, 3)


@given(h=st.integers(1, 40), w=st.integers(1, 40), scale=st.integers(1, 8))
def test_crop_to_multiple(h, w, scale):
    image = np.zeros((h, w, 1), np.float32)
    if min(h, w) < scale:
        with pytest.raises(ConfigError, match="too small"):
            crop_to_multiple(image, scale)
    else:
        assert crop_to_multiple(image, scale).shape[:2] == (h // scale * scale, w // scale * scale)


@pytest.mark.parametrize(
    ("spec", "scale", "says"),
    [
        ({"name": "bicubic"}, 1, "keeps the size"), ({"name": "bicubic", "antialias": 1}, 2, "antialias must be"),
        ({"name": "bicubic", "t": 1}, 2, "has no key 't'"), ({"name": "bicubik"}, 2, "Did you mean 'bicubic'"),
        ({"name": "bilinear", "bits": 7}, 2, "bits must be"), ({"name": "bicubic"}, 2.5, "scale must be"),
        ({}, 2, "mapping with a name"), (5, 2, "mapping with a name"),
    ],
)  # fmt: skip
def test_wrong_sections(spec, scale, says):
    with pytest.raises(ConfigError, match=says) as e:
        build_degradation(spec, scale)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("args", [{}, {"factor": 2, "size": (3, 3)}, {"factor": 0}, {"factor": 2, "method": "lanczos"}])
def test_wrong_arguments(args):
    with pytest.raises(ConfigError, match="imresize takes"):
        imresize(np.zeros((4, 4, 1)), **args)


def test_degradation_stays_in_range_and_names_itself():
    edges = (RNG.random((32, 32, 3)) > 0.5).astype(np.float32)  # overshoots most
    for name in ("bicubic", "bilinear"):
        degrade = build_degradation(name, 4)
        out = degrade(edges, RNG)
        assert out.shape == (8, 8, 3)
        assert out.dtype == np.float32
        assert 0 <= out.min() <= out.max() <= 1
        assert degrade.describe() == f"{name} x4, antialiased"
        assert degrade.margin_px % 4 == 0

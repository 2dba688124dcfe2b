"""CFAR: factors against SciPy, masks against loops, false-alarm rates against the ones asked for, objects by hand."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, ndimage, special, stats

import rsdet.classical.windows
from rsdet.classical.cfar import Detections, ca_cfar, cfar, os_cfar
from rsdet.classical.detector import Cfar
from rsdet.classical.factors import ca_factor, os_factor
from rsdet.classical.looks import estimate_looks
from rsdet.classical.objects import find_objects
from rsdet.errors import ConfigError, DataError

CELLS = np.array([1, 2, 3, 8, 40, 520, 3000, 10000])


# --- factors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [0.3, 1, 3.2, 4, 50])
@pytest.mark.parametrize("pfa", [0.9, 0.5, 1e-2, 1e-6, 1e-12])
def test_ca_factor_is_the_quantile_of_the_f_distribution(pfa, looks):
    # The survival function at the factor, not SciPy's inverse, which has fewer digits in the tail.
    got = stats.f.sf(ca_factor(pfa, CELLS, looks), 2 * looks, 2 * CELLS * looks)
    np.testing.assert_allclose(got, pfa, rtol=1e-8)


@pytest.mark.parametrize("pfa", [0.5, 1e-3, 1e-9])
def test_ca_factor_of_one_look_is_the_closed_form(pfa):
    np.testing.assert_allclose(ca_factor(pfa, CELLS, 1.0), CELLS * (pfa ** (-1 / CELLS) - 1), rtol=1e-9)


def test_ca_factor_of_a_known_background_is_the_gamma_quantile():
    np.testing.assert_allclose(ca_factor(1e-4, 10**7, 4.0), stats.gamma.isf(1e-4, 4) / 4, rtol=1e-5)


@pytest.mark.parametrize("pfa", [0.5, 1e-2, 1e-6, 1e-12])
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (5, 5), (40, 30), (2000, 1500)])
def test_os_factor_of_one_look_is_rohlings_product(pfa, n, k):
    t = float(os_factor(pfa, n, k, 1.0))
    i = np.arange(k)
    assert np.prod((n - i) / (n - i + t)) == pytest.approx(pfa, rel=1e-8)


@pytest.mark.parametrize("looks", [0.7, 3.0, 16.0])
@pytest.mark.parametrize("pfa", [0.3, 1e-4, 1e-9])
@pytest.mark.parametrize(("n", "k"), [(2, 1), (40, 30), (1000, 750)])
def test_os_factor_of_many_looks_is_the_integral(pfa, n, k, looks):
    t = float(os_factor(pfa, n, k, looks))

    def density(u):  # of the k-th of n uniform cells, times P(X > t b)
        return special.gammaincc(looks, t * special.gammaincinv(looks, u)) * stats.beta.pdf(u, k, n - k + 1)

    cuts = [0, *stats.beta.ppf([1e-30, 1e-14, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-9], k, n - k + 1), 1]
    got = sum(integrate.quad(density, a, b, epsabs=0, epsrel=1e-8, limit=200)[0] for a, b in pairwise(cuts))
    assert got == pytest.approx(pfa, rel=1e-6)


def test_os_factor_goes_over_into_the_one_look_form():
    np.testing.assert_allclose(os_factor(1e-6, 40, 30, 1 + 1e-9), os_factor(1e-6, 40, 30, 1.0), rtol=1e-7)


def test_os_factor_by_simulation():
    rng = np.random.default_rng(3)
    n, k, looks, pfa, trials = 24, 18, 4.0, 1e-2, 200_000
    level = np.partition(rng.gamma(looks, 1 / looks, (trials, n)), k - 1, axis=1)[:, k - 1]
    hits = int((rng.gamma(looks, 1 / looks, trials) > os_factor(pfa, n, k, looks) * level).sum())
    assert stats.binomtest(hits, trials, pfa).pvalue > 1e-4


@given(pfa=st.floats(1e-12, 0.2), looks=st.floats(0.2, 30), n=st.integers(2, 400))
@settings(max_examples=30, deadline=None)
def test_a_lower_rate_and_fewer_cells_raise_the_factor(pfa, looks, n):
    assert ca_factor(pfa / 2, n, looks) > ca_factor(pfa, n, looks) > ca_factor(pfa, n + 1, looks)
    k = math.ceil(0.75 * n)
    assert os_factor(pfa / 2, n, k, looks) > os_factor(pfa, n, k, looks) > os_factor(pfa, n, k, looks * 1.5)


# --- masks against loops ----------------------------------------------------------------------------------------------


@cache
def factor(method, pfa, n, k, looks):
    return float(ca_factor(pfa, n, looks) if method == "ca" else os_factor(pfa, n, k, looks))


def by_loops(values, method, pfa, guard, background, looks, rank, valid):
    """The definition, pixel by pixel: detected or not, and intensity over threshold."""
    height, width = values.shape
    mask, ratio = np.zeros(values.shape, bool), np.zeros(values.shape)
    r, g = background // 2, guard // 2
    for y in range(height):
        for x in range(width):
            cells = [
                float(values[v, u]) ** 2
                for v in range(max(0, y - r), min(height, y + r + 1))
                for u in range(max(0, x - r), min(width, x + r + 1))
                if max(abs(v - y), abs(u - x)) > g and valid[v, u]
            ]
            if not cells or not valid[y, x]:
                continue
            n = len(cells)
            if method == "ca":
                threshold = factor(method, pfa, n, 0, looks) * sum(cells) / n
            else:
                k = max(1, math.ceil(rank * n - 1e-9))
                threshold = factor(method, pfa, n, k, looks) * sorted(cells)[k - 1]
            power = float(values[y, x]) ** 2
            if power > threshold:
                mask[y, x], ratio[y, x] = True, power / threshold if threshold else math.inf
    return mask, ratio


@pytest.mark.parametrize("method", ["ca", "os"])
@pytest.mark.parametrize("kind", ["float", "8 bit"])
@pytest.mark.parametrize(
    ("shape", "guard", "background"),
    [((30, 41), 3, 9), ((30, 41), 1, 3), ((6, 40), 5, 11), ((3, 3), 1, 7), ((1, 1), 1, 3), ((25, 4), 3, 31)],
)
def test_equals_the_loop(method, kind, shape, guard, background):
    rng = np.random.default_rng(1)
    values = np.sqrt(rng.gamma(1, 1, shape))
    values[: shape[0] // 3] *= 10  # an edge of clutter
    valid = rng.random(shape) > 0.2
    valid[:, : shape[1] // 6] = False
    if kind == "8 bit":  # many ties, and zeros
        values = np.clip(values * 2, 0, 255).astype(np.uint8)
    settings_ = dict(pfa=0.03, guard_px=guard, background_px=background, looks=1.7)
    found = cfar(values, method, **settings_, valid=valid, rank=0.7)
    mask, ratio = by_loops(values, method, 0.03, guard, background, 1.7, 0.7, valid)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_allclose(found.ratio, ratio, rtol=1e-5)


@pytest.mark.parametrize("method", ["ca", "os"])
def test_strips_do_not_show(monkeypatch, method):
    rng = np.random.default_rng(2)
    values = np.sqrt(rng.gamma(1, 1, (150, 90))) * np.linspace(1, 5, 150)[:, None]
    whole = cfar(values, method, pfa=1e-2, guard_px=3, background_px=9)
    monkeypatch.setattr(rsdet.classical.windows, "_STRIP_PIXELS", 90 * 17)
    parts = cfar(values, method, pfa=1e-2, guard_px=3, background_px=9)
    assert whole.mask.sum() > 20
    np.testing.assert_array_equal(parts.mask, whole.mask)
    np.testing.assert_allclose(parts.ratio, whole.ratio, rtol=1e-6)


def test_os_is_exact_where_levels_settle_little():
    # Two far-apart kinds of clutter in stripes thinner than the ring: no single level suits many pixels.
    rng = np.random.default_rng(5)
    values = np.sqrt(rng.gamma(1, 1, (120, 120))) * np.where(np.arange(120) // 4 % 2, 1, 100)[:, None]
    found = os_cfar(values, pfa=0.02, guard_px=3, background_px=15)
    footprint = np.ones((15, 15), bool)
    footprint[6:9, 6:9] = False
    n = int(footprint.sum())
    k = math.ceil(0.75 * n)
    level = ndimage.rank_filter(values**2, k - 1, footprint=footprint)
    inner = (slice(7, -7), slice(7, -7))
    np.testing.assert_array_equal(found.mask[inner], (values**2 > float(os_factor(0.02, n, k)) * level)[inner])
    assert found.mask[inner].sum() > 50


@pytest.mark.parametrize("method", ["ca", "os"])
def test_a_bright_neighbour_leaves_no_trace_in_dark_sea(method):
    # Running sums in float32 would carry the rounding of 65535^2 into everything right of it.
    rng = np.random.default_rng(6)
    dark = np.sqrt(rng.gamma(1, 1, (60, 200))) * 1e-2
    bright = dark.copy()
    bright[30, 20] = 65535
    ask = dict(pfa=1e-3, guard_px=3, background_px=9)
    away = np.s_[:, 40:]
    np.testing.assert_array_equal(cfar(bright, method, **ask).mask[away], cfar(dark, method, **ask).mask[away])
    assert cfar(bright, method, **ask).mask[30, 20]


@pytest.mark.parametrize("method", ["ca", "os"])
def test_amplitude_and_intensity_are_two_forms_of_one_image(method):
    amplitude = np.sqrt(np.random.default_rng(7).gamma(2, 1, (80, 80)))
    ask = dict(pfa=1e-2, guard_px=3, background_px=9, looks=2.0)
    a = cfar(amplitude, method, **ask)
    b = cfar(amplitude**2, method, **ask, quantity="intensity")
    c = cfar(amplitude.astype(np.float32) * 1000, method, **ask)
    np.testing.assert_array_equal(a.mask, b.mask)
    assert (a.mask != c.mask).sum() <= 1  # rounding to float32


# --- the rate that was asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [1.0, 4.0])
@pytest.mark.parametrize("pfa", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("method", ["ca", "os"])
def test_false_alarm_rate_in_homogeneous_clutter(method, pfa, looks):
    side = 1400
    values = np.sqrt(np.random.default_rng(11).gamma(looks, 1 / looks, (side, side)))
    mask = cfar(values, method, pfa=pfa, guard_px=5, background_px=15, looks=looks).mask
    # Decisions of pixels are independent but for the background that neighbours share, which makes the counts of
    # blocks larger than a ring vary a little more than binomial ones: the bounds take the variance of the blocks.
    blocks = mask.reshape(20, side // 20, 20, side // 20).sum((1, 3)).ravel()
    error = max(blocks.std(ddof=1) * math.sqrt(len(blocks)), math.sqrt(side**2 * pfa)) / side**2
    assert abs(mask.mean() - pfa) < 4 * error  # a chance of 6e-5 for each of the twelve
    assert error < 0.1 * pfa  # and the bound says something: 3 % at the largest rate, 30 % at the smallest


@pytest.mark.parametrize("method", ["ca", "os"])
def test_the_rate_holds_at_borders_and_beside_missing_data(method):
    pfa, hits, pixels = 1e-2, 0, 0
    rng = np.random.default_rng(12)
    for _ in range(60):  # small images are all border; one decision in each corner and edge is independent enough
        values = np.sqrt(rng.gamma(1, 1, (96, 96)))
        valid = np.ones((96, 96), bool)
        valid[40:56, 30:] = False
        mask = cfar(values, method, pfa=pfa, guard_px=5, background_px=15, valid=valid).mask
        rim = valid.copy()
        rim[3:37, 3:-3] = rim[59:-3, 3:-3] = False
        hits, pixels = hits + mask[rim].sum(), pixels + rim.sum()
        assert not mask[~valid].any()
    assert abs(hits / pixels - pfa) < 5 * math.sqrt(pfa / pixels)


def test_os_still_sees_a_ship_beside_a_brighter_one():
    values = np.sqrt(np.random.default_rng(13).gamma(1, 1, (81, 81)))
    values[38:43, 38:43] = 9
    values[38:43, 46:56] = 60
    ask = dict(pfa=1e-6, guard_px=11, background_px=31)
    assert os_cfar(values, **ask).mask[38:43, 38:43].all()
    assert not ca_cfar(values, **ask).mask[38:43, 38:43].any()  # its background holds the other ship


# --- no data, odd images ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ca", "os"])
@pytest.mark.parametrize(
    "values",
    [
        np.full((40, 50), np.nan),
        np.zeros((40, 50)),
        np.zeros((40, 50), np.uint8),
        np.full((40, 50), 7, np.uint16),
        np.ones((1, 1)),
        np.ones((2, 300)),
    ],
    ids=["all NaN", "zeros", "8-bit zeros", "constant", "one pixel", "two rows"],
)
def test_images_without_contrast_have_no_detections(method, values):
    found = cfar(values, method, pfa=1e-3, guard_px=3, background_px=9)
    assert not found.mask.any()
    assert not np.isnan(found.ratio).any()
    for looks in (1.0, "auto"):
        assert len(Cfar(method=method, looks=looks)(values).scores) == 0


def test_nan_is_no_data_whatever_stands_in_the_mask():
    values = np.sqrt(np.random.default_rng(14).gamma(1, 1, (50, 50)))
    masked = values.copy()
    masked[10:20] = np.nan
    valid = np.ones((50, 50), bool)
    valid[10:20] = False
    ask = dict(pfa=0.02, guard_px=3, background_px=9)
    for method in ("ca", "os"):
        np.testing.assert_array_equal(cfar(masked, method, **ask).mask, cfar(values, method, **ask, valid=valid).mask)


def test_rounding_to_zero_makes_no_ships_of_single_grey_levels():
    values = np.zeros((100, 100), np.uint8)
    values[np.random.default_rng(15).random((100, 100)) < 0.05] = 1  # sea below the first grey level
    values[40:44, 40:60] = 200
    boxes = Cfar(min_length=1.0)(values).boxes_xyxy
    np.testing.assert_array_equal(boxes, [[40, 40, 60, 44]])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((4, 4, 3)), "(4, 4, 3)"),
        (np.ones((0, 4)), "(0, 4)"),
        (np.ones((4, 4), complex), "magnitude"),
        (np.full((4, 4), -3.0), "dB"),
        (np.array([[1.0, np.inf]]), "infinite"),
        (np.array([["a"]]), "<U1"),
    ],
)
def test_wrong_values_are_refused(values, said):
    with pytest.raises(DataError) as e:
        ca_cfar(values, pfa=1e-3, guard_px=3, background_px=9)
    assert said in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"pfa": 0.0},
        {"pfa": 1.0},
        {"pfa": 2.0},
        {"pfa": -0.1},
        {"pfa": float("nan")},
        {"guard": 4},
        {"background": 10},
        {"guard": 31, "background": 31},
        {"guard": -1},
        {"guard": 3.0},
        {"looks": 0.0},
        {"looks": "many"},
        {"looks": math.inf},
        {"rank": 0.0},
        {"rank": 1.1},
        {"closing": 2},
        {"closing": 0},
        {"min_length": -1.0},
        {"min_length": 20.0, "max_length": 10.0},
        {"method": "go"},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_before_any_work(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))) as e:
        Cfar(**wrong)
    assert "\n" not in str(e.value)


# --- looks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_looks_are_found_despite_ships_and_gaps(looks, quantity):
    power = np.random.default_rng(16).gamma(looks, 1000 / looks, (320, 330))
    power[100:130, 100:200] *= 500
    power[200:, :90] = np.nan
    values = np.sqrt(power) if quantity == "amplitude" else power
    assert estimate_looks(values, quantity) == pytest.approx(looks, rel=0.05)


def test_looks_of_a_constant_image_are_unknown():
    with pytest.raises(DataError, match="looks"):
        estimate_looks(np.ones((64, 64)))


# --- objects ----------------------------------------------------------------------------------------------------------


def pixels(shape, *spots):
    """Detections at (row, column, ratio)."""
    mask, ratio = np.zeros(shape, bool), np.zeros(shape, np.float32)
    for y, x, r in spots:
        mask[y, x], ratio[y, x] = True, r
    return Detections(mask, ratio)


def test_objects_are_8_connected_and_sorted_by_score():
    found = find_objects(pixels((10, 20), (1, 1, 4), (2, 2, 9), (7, 15, 100)))
    np.testing.assert_array_equal(found.boxes_xyxy, [[15, 7, 16, 8], [1, 1, 3, 3]])
    np.testing.assert_allclose(found.scores, [10 / 11, 3 / 4], rtol=1e-6)
    np.testing.assert_array_equal(found.areas_px, [1, 2])


def test_score_rises_from_half_to_below_one():
    ratios = [1, 1 + 1e-6, 2, 100, 1e12, 1e38, np.inf]
    scores = [float(find_objects(pixels((3, 3), (1, 1, r))).scores[0]) for r in ratios]
    assert scores[0] == 0.5
    assert scores == sorted(scores)
    assert scores[-1] < 1


def test_closing_joins_parts_and_never_reaches_beyond_them():
    apart = pixels((12, 12), (1, 1, 4), (1, 3, 4), (10, 10, 4))
    assert len(find_objects(apart).scores) == 3
    joined = find_objects(apart, closing_px=3)
    # One pixel from the border on every side: a closing that takes the outside for set would fill up to it.
    assert sorted(joined.boxes_xyxy.tolist()) == [[1, 1, 4, 2], [10, 10, 11, 11]]
    assert sorted(joined.areas_px.tolist()) == [1, 3]


def test_sizes_filter_by_the_diagonal_of_the_box():
    bar = pixels((30, 40), *[(5, x, 4) for x in range(10, 22)], *[(20 + i, 5 + i, 4) for i in range(9)])
    assert len(find_objects(bar).scores) == 2
    assert find_objects(bar, min_length_px=12.5).boxes_xyxy.tolist() == [[5, 20, 14, 29]]  # 9 x 9: 12.7
    assert find_objects(bar, max_length_px=12.5).boxes_xyxy.tolist() == [[10, 5, 22, 6]]  # 12 x 1: 12.04
    assert find_objects(bar, min_area_px=10).boxes_xyxy.tolist() == [[10, 5, 22, 6]]


def test_nothing_detected_is_an_empty_list_of_boxes():
    found = find_objects(pixels((5, 5)))
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.scores.shape == found.areas_px.shape == (0,)

"""Methods that learn nothing, against loops, against another package, and on scenes whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from rsdet.classical.anomaly import CRD, RX, Background, LocalRX, LowRank
from rsdet.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def cube():
    """(14, 17, 6): three mixed materials, noise, and two pixels of something else."""
    rng = np.random.default_rng(0)
    x = rng.dirichlet(np.ones(3), (14, 17)) @ rng.random((3, 6)) + 0.01 * rng.standard_normal((14, 17, 6))
    x[3, 4] = x[10, 12] = rng.random(6) + 0.5
    return x


def test_a_scene_in_blocks_is_the_scene(cube):
    far = cube + 1e6  # large numbers: a sum of squares would lose the covariance
    whole = far.reshape(-1, 6)
    found = Background.of([far[:5], far[5:6], far[6:]])
    assert found.count == len(whole)
    assert np.allclose(found.mean, whole.mean(0))
    assert np.allclose(found.covariance, np.cov(whole.T), rtol=1e-6)
    assert np.allclose(found.lowest, whole.min(0))
    assert np.allclose(found.highest, whole.max(0))


def test_pixels_without_a_value_are_no_background(cube):
    holed = cube.copy()
    holed[0, :, 2] = np.nan
    found = Background.of([holed])
    assert found.count == 13 * 17
    assert np.allclose(found.mean, cube[1:].reshape(-1, 6).mean(0))
    with pytest.raises(DataError, match="two or more"):
        Background.of([np.full((3, 3, 2), np.nan)])


def rx(cube, components=None):
    x = cube.reshape(-1, cube.shape[-1])
    away = x - x.mean(0)
    if components:
        _, _, v = np.linalg.svd(away, full_matrices=False)
        away = away @ v[:components].T
    inverse = np.linalg.pinv(np.atleast_2d(np.cov(away.T)))
    return np.array([a @ inverse @ a for a in away]).reshape(cube.shape[:2])


@pytest.mark.parametrize("components", [None, 1, 3])
def test_rx_by_its_definition(cube, components):
    assert np.allclose(RX(components).fit(Background.of([cube]))(cube), rx(cube, components))


def test_rx_of_a_covariance_without_an_inverse(cube):
    doubled = np.concatenate([cube, cube[..., :2] + cube[..., 1:3]], -1)
    assert np.allclose(RX().fit(Background.of([doubled]))(doubled), rx(cube), rtol=1e-6)


def test_the_mean_of_rx_is_known(cube):
    pixels = 14 * 17
    assert RX().fit(Background.of([cube]))(cube).mean() == pytest.approx(6 * (pixels - 1) / pixels)


def test_rx_does_not_depend_on_units(cube):
    moved = cube @ np.random.default_rng(1).standard_normal((6, 6)) + 7
    assert np.allclose(RX().fit(Background.of([moved]))(moved), RX().fit(Background.of([cube]))(cube), rtol=1e-6)


def test_rx_is_that_of_spectral(cube):
    spectral = pytest.importorskip("spectral")
    assert np.allclose(RX().fit(Background.of([cube]))(cube), spectral.rx(cube), rtol=1e-6)


def test_low_rank_by_its_definition(cube):
    x = cube.reshape(-1, 6)
    away = x - x.mean(0)
    _, _, v = np.linalg.svd(away, full_matrices=False)
    left = away - away @ v[:2].T @ v[:2]
    assert np.allclose(LowRank(2).fit(Background.of([cube]))(cube).ravel(), (left**2).sum(1))


def neighbours(cube, y, x, guard, background):
    h, w = cube.shape[:2]
    reach, inner = background // 2, guard // 2
    return np.array([
        cube[i, j]
        for i in range(max(0, y - reach), min(h, y + reach + 1))
        for j in range(max(0, x - reach), min(w, x + reach + 1))
        if max(abs(i - y), abs(j - x)) > inner and np.isfinite(cube[i, j]).all()
    ])  # fmt: skip


@pytest.mark.parametrize("components", [None, 3])
def test_local_rx_by_loops(cube, components):
    background = Background.of([cube])
    got = LocalRX(3, 9, components).fit(background)(cube)
    white = (cube - background.mean) @ background.whitening(components)
    for y, x in ((0, 0), (6, 8), (13, 16), (3, 4)):
        near = neighbours(white, y, x, 3, 9)
        inverse = np.linalg.inv(np.cov(near.T) + 1e-6 * np.eye(near.shape[1]))
        away = white[y, x] - near.mean(0)
        assert got[y, x] == pytest.approx(away @ inverse @ away, rel=1e-6)


def test_crd_by_loops(cube):
    holed = cube.copy()
    holed[7, 7] = np.nan
    background = Background.of([holed])
    got = CRD(3, 7, 1e-3).fit(background)(holed)
    low, high = np.nanmin(holed), np.nanmax(holed)
    unit = (holed - low) / (high - low)
    for y, x in ((0, 0), (6, 8), (13, 16), (3, 4)):
        near, pixel = neighbours(unit, y, x, 3, 7), unit[y, x]
        penalty = np.diag(((near - pixel) ** 2).sum(1))
        weights = np.linalg.solve(near @ near.T + 1e-3 * penalty + 1e-12 * np.eye(len(near)), near @ pixel)
        assert got[y, x] == pytest.approx(np.linalg.norm(pixel - weights @ near), rel=1e-5)
    assert np.isnan(got[7, 7])


@pytest.mark.parametrize("method", [RX(), RX(3), LowRank(2), LocalRX(3, 9, 3), CRD(3, 7, 1e-3)])
def test_what_does_not_belong_scores_highest(cube, method):
    score = method.fit(Background.of([cube]))(cube)
    assert score.shape == cube.shape[:2]
    assert set(map(tuple, np.argwhere(score >= np.sort(score.ravel())[-2]))) == {(3, 4), (10, 12)}
    holed = cube.copy()
    holed[5, 5, 1] = np.nan
    score = method.fit(Background.of([holed]))(holed)
    assert np.isnan(score).sum() == 1
    assert np.isnan(score[5, 5])


@pytest.mark.parametrize("method", [RX(2), LowRank(2), LocalRX(3, 9, 2), CRD(3, 7)])
def test_a_block_with_its_surroundings_scores_as_the_scene(cube, method):
    score = method.fit(Background.of([cube]))
    part = score(cube[6 - method.reach_px if method.reach_px < 6 else 0 :])
    assert np.allclose(part[-(14 - 6 - method.reach_px) :], score(cube)[-(14 - 6 - method.reach_px) :])


def test_pixels_that_are_all_alike_have_a_score():
    flat = np.zeros((12, 12, 2))
    flat[..., 1] = np.arange(12)
    flat[0, 0] = 50, 50
    background = Background.of([flat])
    for method in (RX(), LocalRX(3, 9, None), CRD(3, 7)):
        assert np.isfinite(method.fit(background)(flat)).all(), method


def wide_scene():
    return np.random.default_rng(0).random((10, 10, 20))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda b: RX(0), "components=0"),
        (lambda b: RX(True), "components=True"),
        (lambda b: RX(7).fit(b), "6 bands"),
        (lambda b: LowRank(6).fit(b), "nothing is left over"),
        (lambda b: LocalRX(9, 5), "smaller than background"),
        (lambda b: LocalRX(4, 9), "odd side"),
        (lambda b: LocalRX(1, 3, 0), "components=0"),
        (lambda b: LocalRX(3, 5, None).fit(Background.of([wide_scene()])), "ring of 16 px"),
        (lambda b: CRD(3, 7, 0), "strength=0"),
        (lambda b: CRD(3, 7, True), "strength=True"),
    ],
)
def test_settings_that_cannot_be(cube, make, words):
    background = Background.of([cube])
    with pytest.raises(ConfigError, match=words) as e:
        make(background)
    assert "\n" not in str(e.value)


def test_more_components_than_pixels_vary_in():
    few = np.random.default_rng(0).random((2, 2, 10))
    with pytest.raises(ConfigError, match="vary in 3 directions"):
        RX(5).fit(Background.of([few]))


def test_fewer_pixels_than_bands_are_refused_where_all_would_score_alike():
    few = np.random.default_rng(0).random((2, 3, 20))
    with pytest.raises(ConfigError, match="the same for all"):
        RX().fit(Background.of([few]))
    assert np.ptp(RX(2).fit(Background.of([few]))(few)) > 0


def test_wide_rings_of_few_bands_stay_in_memory():
    from rsdet.classical.anomaly.neighbours import around
    from rsdet.classical.windows import Ring

    x, ring = np.random.default_rng(0).random((40, 40, 2)), Ring(1, 31)
    most = max(len(places) for places, _, _ in around(x, ring))
    assert most * ring.cells**2 * 8 <= 2**25

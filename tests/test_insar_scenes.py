"""Simulated velocity maps: what they promise of ground, radar and labels, and the data set made of them."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from rsdet.data import demo_insar
from rsdet.data.demo_insar import make_demo_insar
from rsdet.data.insar_scenes import render_insar_scene
from rsdet.data.insar_scenes.motion import LEVEL_DEG, SLOPES_DEG
from rsdet.data.insar_scenes.radar import USABLE, LineOfSight
from rsdet.data.insar_scenes.scene import MIN_PX, PEAK_MM_Y, SMOOTH_PX, VISIBLE_MM_Y
from rsdet.data.insar_scenes.terrain import terrain_of
from rsdet.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def scenes():
    return [render_insar_scene(seed, 160) for seed in range(12)]


def test_a_seed_is_a_scene(scenes):
    again = render_insar_scene(3, 160)
    assert np.array_equal(again.velocity, scenes[3].velocity, equal_nan=True)
    assert np.array_equal(again.mask, scenes[3].mask)
    assert not np.array_equal(scenes[4].mask, scenes[3].mask)


def test_velocity_coherence_and_mask_have_the_same_gaps(scenes):
    for s in scenes:
        gaps = s.coherence < USABLE
        assert np.array_equal(np.isnan(s.velocity), gaps)
        assert np.array_equal(s.mask == 255, gaps)
        assert set(np.unique(s.mask)) <= {0, 1, 255}
        assert np.array_equal(s.kinds > 0, s.mask == 1)
        assert s.velocity.dtype == s.coherence.dtype == np.float32
    assert 0.02 < np.mean([(s.mask == 255).mean() for s in scenes]) < 0.4


def test_marked_ground_moves_and_other_ground_does_not(scenes):
    for s in scenes:
        moving = np.abs(s.truth) >= VISIBLE_MM_Y
        assert moving[s.mask == 1].all()
        _, _, stats, _ = cv2.connectedComponentsWithStats((s.mask == 1).astype(np.uint8), connectivity=8)
        assert (stats[1:, cv2.CC_STAT_AREA] >= MIN_PX).all()
        specks = moving & (s.mask == 0)
        assert specks.mean() < 0.01
        assert np.abs(s.truth).max() >= PEAK_MM_Y or not s.truth.any()
    share = np.mean([(s.mask == 1).mean() for s in scenes])
    assert 0.003 < share < 0.1
    assert any((s.mask == 1).any() for s in scenes)
    assert any(not s.truth.any() for s in map(render_insar_scene, range(20), [64] * 20))


def test_noise_is_smaller_than_what_is_marked_and_grows_as_coherence_falls(scenes):
    noise = np.concatenate([(s.velocity - s.truth).ravel() for s in scenes])
    coherence = np.concatenate([s.coherence.ravel() for s in scenes])
    seen = np.isfinite(noise)
    assert noise[seen].std() < VISIBLE_MM_Y / 2
    sharp = noise[seen & (coherence > 0.75)].std()
    assert noise[seen & (coherence < 0.45)].std() > 1.1 * sharp


def test_landslides_lie_on_slopes_and_subsidence_on_level_ground(scenes):
    for s in scenes:
        slope = s.ground.smoothed(SMOOTH_PX).slope_deg
        for kind, fits in ((1, lambda d: d > SLOPES_DEG[0] - 5), (2, lambda d: d < LEVEL_DEG + 8)):
            if (s.kinds == kind).any():
                assert fits(np.median(slope[s.kinds == kind]))


def plane(slope_deg: float, towards_deg: float) -> np.ndarray:
    """Heights of a plane that falls towards an azimuth (clockwise from north)."""
    rows, cols = np.mgrid[:8, :8] * 20.0
    along = cols * math.sin(math.radians(towards_deg)) - rows * math.cos(math.radians(towards_deg))
    return (-math.tan(math.radians(slope_deg)) * along).astype(np.float32)


@pytest.mark.parametrize("azimuth", [0, 45, 90, 200, 270])
@pytest.mark.parametrize("slope", [5.0, 30.0, 60.0])
def test_slope_and_descent_of_a_plane(azimuth, slope):
    ground = terrain_of(plane(slope, azimuth), 20.0)
    assert ground.slope_deg == pytest.approx(np.full((8, 8), slope), abs=1e-3)
    a, s = math.radians(azimuth), math.radians(slope)
    want = [math.sin(a) * math.cos(s), math.cos(a) * math.cos(s), -math.sin(s)]
    assert ground.downhill[:, 3, 3] == pytest.approx(want, abs=1e-5)
    assert float(ground.normal[:, 3, 3] @ ground.downhill[:, 3, 3]) == pytest.approx(0, abs=1e-5)


def test_line_of_sight_of_both_orbits():
    rising, falling = LineOfSight("ascending", 39.0), LineOfSight("descending", 39.0)
    for sight, east in ((rising, -1), (falling, 1)):  # the radar of an ascending orbit stands in the west
        assert np.linalg.norm(sight.towards) == pytest.approx(1)
        assert sight.towards[2] == pytest.approx(math.cos(math.radians(39)))
        assert np.sign(sight.towards[0]) == east
        assert abs(sight.towards[1]) < 0.2
    sinking = np.zeros((3, 2, 2), np.float32)
    sinking[2] = -10
    assert (rising.project(sinking) < 0).all()
    west = terrain_of(plane(20, 270), 20.0)  # falls westward: creeps towards the ascending radar, away from the other
    assert rising.project(100 * west.downhill)[3, 3] > 20
    assert falling.project(100 * west.downhill)[3, 3] < -60


def test_steep_slopes_towards_the_radar_lay_over_and_those_behind_lie_in_shadow():
    sight, facing = LineOfSight("ascending", 39.0), 258.0
    hidden = {
        (slope, azimuth): bool(sight.hidden(terrain_of(plane(slope, azimuth), 20.0))[3, 3])
        for slope in (20, 36, 42, 49, 55) for azimuth in (facing, facing - 180)
    }  # fmt: skip
    towards = [hidden[s, facing] for s in (20, 36, 42, 55)]
    away = [hidden[s, facing - 180] for s in (20, 42, 49, 55)]
    assert towards == [False, False, True, True]
    assert away == [False, False, False, True]


def contents(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".yaml")
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_the_data_set_is_made_once_and_is_the_same_anywhere(tmp_path):
    yaml_file = make_demo_insar(tmp_path / "a", 2, 1, 64, progress=False)
    data = yaml.safe_load(yaml_file.read_text())
    assert (data["task"], data["masks_dir"], data["channels"], data["names"]) == (
        "semantic",
        "masks",
        1,
        {0: "deformation"},
    )
    before = contents(tmp_path / "a")
    assert len(before) == 3 * 4 + 1
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.tif")}
    make_demo_insar(tmp_path / "a", 2, 1, 64, progress=False)
    assert times == {p: p.stat().st_mtime_ns for p in (tmp_path / "a").rglob("*.tif")}
    make_demo_insar(tmp_path / "b", 2, 1, 64, progress=False)
    assert contents(tmp_path / "b") == before
    (tmp_path / "a" / "masks" / "train" / "scene_000000001.png").unlink()
    make_demo_insar(tmp_path / "a", 2, 1, 64, progress=False)
    assert contents(tmp_path / "a") == before


def test_files_hold_the_scene_and_lie_on_earth(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    make_demo_insar(tmp_path / "a", 2, 2, 64, progress=False)
    scene, boxes = render_insar_scene(1, 64), []
    for folder, band in (("images", scene.velocity), ("coherence", scene.coherence), ("slope", scene.ground.slope_deg)):
        with rasterio.open(tmp_path / "a" / folder / "train" / "scene_000000001.tif") as f:
            assert np.array_equal(f.read(1), band, equal_nan=True)
            assert math.isnan(f.nodata)
            assert (f.crs.to_epsg(), f.res) == (32647, (20.0, 20.0))
    mask = cv2.imread(str(tmp_path / "a" / "masks" / "train" / "scene_000000001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(mask, scene.mask)
    for file in (tmp_path / "a" / "images").rglob("*.tif"):
        with rasterio.open(file) as f:
            boxes.append(f.bounds)
    assert len(boxes) == 4
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            assert a.right < b.left or b.right < a.left or a.top < b.bottom or b.top < a.bottom


def test_without_rasterio_the_values_are_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(demo_insar, "has_rasterio", lambda: False)
    make_demo_insar(tmp_path / "a", 1, 1, 64, progress=False)
    read = cv2.imread(str(tmp_path / "a" / "images" / "train" / "scene_000000000.tif"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, render_insar_scene(0, 64).velocity, equal_nan=True)


def test_what_cannot_be_made_is_told(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(DataError, match="something else"):
        make_demo_insar(tmp_path / "mine", 1, 1, 64, progress=False)
    with pytest.raises(ConfigError, match="semantic"):
        make_demo_insar(tmp_path / "a", 1, 1, 64, task="detect")
    with pytest.raises(ConfigError, match="size=8"):
        make_demo_insar(tmp_path / "a", 1, 1, 8)
    with pytest.raises(ConfigError, match="seed=-1"):
        render_insar_scene(-1)
    assert not (tmp_path / "a").exists()

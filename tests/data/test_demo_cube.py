"""The rendered cube: the same for a seed, complete, honest about its split, with something to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsdet.data.cubes.dataset import cube_data
from rsdet.data.cubes.demo import GAP_PX, make_demo_cube
from rsdet.data.cubes.rendering.sensor import NAMES, render_cube_scene
from rsdet.data.cubes.rendering.spectra import GOOD, MATERIALS, WAVELENGTHS_NM, paint
from rsdet.data.cubes.splits import seen_part
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo-cube"
    make_demo_cube(folder, size=64, progress=False)
    return folder


def test_a_seed_decides_everything_and_another_changes_everything(root: Path) -> None:
    a, b, other = (render_cube_scene(seed, 32, 2) for seed in (5, 5, 6))
    for name in ("cube", "lidar", "labels", "targets"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert (getattr(a, name) != getattr(other, name)).any()


def test_cube_lidar_and_maps_lie_on_one_grid_and_say_what_they_are(root: Path) -> None:
    data = cube_data(make_demo_cube(root, size=64, progress=False), "landcover")
    with data.open() as scene:
        values = scene.cube.read()
        assert values.shape == (64, 64, len(WAVELENGTHS_NM))
        assert np.isfinite(values).all()
        np.testing.assert_allclose(scene.cube.wavelengths_nm, WAVELENGTHS_NM, rtol=1e-4)
        np.testing.assert_array_equal(scene.cube.good, GOOD)
        assert scene.read_lidar().shape == (64, 64, 2)
    labels = data.map("labels")
    train, test = data.given()
    assert set(np.unique(labels)) <= set(range(len(NAMES) + 1))
    for part in (train, test):
        np.testing.assert_array_equal(part[part > 0], labels[part > 0])
    assert seen_part(train, test, 2 * GAP_PX) == 0
    leaves, water = (np.median(values[labels == 1 + NAMES.index(name)], 0) for name in ("grass", "water"))
    red, infrared = (int(np.argmin(abs(WAVELENGTHS_NM - nm))) for nm in (670, 860))
    assert leaves[infrared] > 3 * leaves[red]
    assert water[infrared] < 0.1


def test_the_anomalies_are_in_the_scene_and_not_in_the_background(root: Path) -> None:
    data = cube_data(make_demo_cube(root, size=64, progress=False, task="anomaly"), "anomaly")
    truth = data.map("labels") > 0
    assert 3 <= truth.sum() <= 60
    with data.open() as scene:
        values = scene.cube.read(bands=np.flatnonzero(GOOD).tolist()).astype(np.float64)
    centred = values - values.mean((0, 1))
    basis = np.linalg.svd(centred.reshape(-1, centred.shape[2]), full_matrices=False)[2][:10]
    scores = ((centred @ basis.T / (centred @ basis.T).std((0, 1))) ** 2).sum(-1)
    ranks = scores.ravel().argsort().argsort().reshape(scores.shape)
    assert (ranks[truth].mean() / ranks.size) > 0.75  # RX on ten components finds most of them
    (background,) = data.open_general()
    with background:
        assert background.shape == (*values.shape[:2], len(GOOD))
    targets = Path(str(background.path).replace("/images/", "/targets/")).with_suffix(".png")
    import cv2

    assert not cv2.imread(str(targets), 0).any()


def test_spectra_are_reflectances_that_differ() -> None:
    found = np.stack([make(v) for make in MATERIALS.values() for v in (0.0, 1.0)] + [paint(0.0), paint(1.0)])
    assert (found > 0).all()
    assert (found < 0.9).all()
    apart = np.abs(found[:, None] - found[None]).max(-1)[~np.eye(len(found), dtype=bool)]
    assert apart.min() > 0.005


def test_it_is_drawn_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(
        "rsdet.data.cubes.demo.render_cube_scene", lambda seed, size, targets: render_cube_scene(seed, 64, 4)
    )
    monkeypatch.setattr("rsdet.data.cubes.demo._georef", lambda *_: None)
    monkeypatch.setenv("RSDET_HOME", str(tmp_path))
    for task, folder in (("landcover", "demo-cube"), ("anomaly", "demo-cube-anomaly")):
        assert resolve_data("demo-cube", task) == tmp_path / folder / "demo-cube.yaml"
    with pytest.raises(ConfigError, match="64 to 1024"):
        make_demo_cube(tmp_path / "x", size=20)
    with pytest.raises(ConfigError, match="task='detect'"):
        make_demo_cube(tmp_path / "x", task="detect")

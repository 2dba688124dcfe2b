"""Scenes of cube, LiDAR and maps: their YAMLs are checked at once, their grids agree, what is lost is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rsdet.data.cubes.dataset import cube_data, read_cube_data
from rsdet.data.cubes.opening import open_cube
from rsdet.data.cubes.usable import band_ranges, usable_bands
from rsdet.errors import ConfigError, DataError

io = pytest.importorskip("scipy.io")
H, W, B = 12, 9, 6
BASE = {
    "task": "landcover", "cube": {"file": "hsi.mat", "key": "HSI"}, "lidar": {"file": "lidar.mat"},
    "train": "tr.mat", "test": "te.mat", "names": {1: "trees", 2: "roads"},
}  # fmt: skip


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A folder with a cube, LiDAR of two bands and two maps that do not intersect."""
    rng = np.random.default_rng(0)
    train, test = np.zeros((2, H, W), np.uint8)
    train[:3], test[6:] = rng.integers(1, 3, (3, W)), rng.integers(1, 3, (6, W))
    content = {"hsi": {"HSI": rng.random((H, W, B))}, "lidar": {"z": rng.random((H, W, 2))}, "tr": {"TR": train},
               "te": {"TE": test}}  # fmt: skip
    for name, arrays in content.items():
        io.savemat(tmp_path / f"{name}.mat", arrays)
    return tmp_path


def written(folder: Path, **changes: Any) -> Path:
    content = {k: v for k, v in {**BASE, **changes}.items() if v is not None}
    (folder / "scene.yaml").write_text(yaml.safe_dump(content))
    return folder / "scene.yaml"


def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    return capsys.readouterr().out + caplog.text


def test_a_scene_is_read_as_its_yaml_says(scene: Path) -> None:
    data = cube_data(written(scene, gsd=2.5, wavelengths_nm=[400, 900], palette={"roads": "#ff0080"}), "landcover")
    assert (data.name, data.names, data.gsd, data.palette) == (
        "scene",
        {0: "trees", 1: "roads"},
        2.5,
        {1: (255, 0, 128)},
    )
    with data.open() as opened:
        assert opened.cube.shape == (H, W, B)
        np.testing.assert_allclose(opened.cube.wavelengths_nm, [400, 500, 600, 700, 800, 900])
        assert (opened.lidar_bands, opened.read_lidar(slice(2, 5)).shape) == (2, (3, W, 2))
    train, test = data.given()
    assert ((train > 0).sum(), (test > 0).sum()) == (3 * W, 6 * W)
    with cube_data(written(scene, lidar=None)).open() as alone:
        assert alone.read_lidar(slice(2, 5)).shape == (3, W, 0)


def test_a_cube_stands_for_itself_and_the_map_beside_it_for_anomalies(scene: Path) -> None:
    truth = np.zeros((H, W), bool)
    truth[3, 4] = True
    io.savemat(scene / "plane.mat", {"data": np.random.default_rng(0).random((H, W, B)), "map": truth})
    data = cube_data(scene / "plane.mat", "anomaly")
    assert data.names == {0: "anomaly"}
    assert np.argwhere(data.map("labels")).tolist() == [[3, 4]]
    io.savemat(scene / "plane.mat", {"data": np.random.default_rng(0).random((H, W, B)), "map": truth * 255 - 1})
    assert np.argwhere(cube_data(scene / "plane.mat").map("labels")).tolist() == [[3, 4]]  # whatever is above 0
    assert cube_data(scene / "hsi.mat").maps == {}


def test_what_the_yaml_lacks_or_misspells_is_told_at_once(scene: Path) -> None:
    path = written(
        scene, lidars="x.mat", test="gone.mat", palette={"road": "#ffffff"}, gsd=-1, names={1: "trees", 2: "roads"}
    )
    with pytest.raises((ConfigError, DataError)) as e:
        cube_data(path)
    for part in ("4 faults", "Did you mean 'lidar'", "gone.mat is not in", "'road' is no class", "gsd: -1"):
        assert part in str(e.value), str(e.value)
    for changes, message in (
        ({"cube": None}, "names no cube:"),
        ({"names": None}, "no names: of its classes"),
        ({"names": {"a": 1}}, "names must map values"),
        ({"unlabelled": [0, 2]}, "2 is roads in names: and unlabelled"),
        ({"cube": {"file": "hsi.mat", "kay": "HSI"}}, "Did you mean 'key'"),
        ({"palette": {"roads": "red"}}, "no colour"),
        ({"task": "detect"}, "task=detect"),
        ({"split": "blocked"}, "split must be a mapping"),
        ({"split": {"buy": "blocked"}}, "Did you mean 'by'"),
        ({"counts": {"train": 27}}, "counts must map"),
    ):
        with pytest.raises((ConfigError, DataError), match=message):
            cube_data(written(scene, **changes), "landcover")


def test_keys_and_files_may_have_several_names(scene: Path) -> None:
    data = cube_data(written(scene, cube={"file": ["HSI.mat", "hsi.mat"], "key": ["input", "HSI"]}))
    with data.open() as opened:
        assert opened.cube.key == "HSI"
    with pytest.raises(ConfigError, match=r"has no input or Houston; it has HSI \(12 x 9 x 6\)"):
        cube_data(written(scene, cube={"file": "hsi.mat", "key": ["input", "Houston"]})).open()


def test_lidar_of_another_size_is_refused_with_the_axes_that_would_fit(scene: Path) -> None:
    io.savemat(scene / "lidar.mat", {"z": np.ones((W, H))})
    with pytest.raises(DataError, match=r"have 9x12 and 12x9 pixels \(it is transposed: give axes=WH"):
        cube_data(written(scene)).open()
    with cube_data(written(scene, lidar={"file": "lidar.mat", "axes": "WH"})).open() as opened:
        assert opened.read_lidar().shape == (H, W, 1)
    io.savemat(scene / "hsi.mat", {"HSI": np.ones((B, H, W))})
    io.savemat(scene / "lidar.mat", {"z": np.ones((H, W))})
    with pytest.raises(DataError, match=r"axes=BHW of the cube would fit"):
        cube_data(written(scene)).open()
    io.savemat(scene / "lidar.mat", {"z": np.ones((H + 1, W))})
    with pytest.raises(DataError, match="resample it to the grid of the cube"):
        cube_data(written(scene, cube={"file": "hsi.mat", "axes": "BHW"})).open()


def test_rasters_of_another_place_are_refused(scene: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    for name, east, epsg, bands in (("a", 500_000, 32632, B), ("b", 500_001, 32632, 1), ("c", 500_000, 32633, 1)):
        with rasterio.open(
            scene / f"{name}.tif", "w", driver="GTiff", height=H, width=W, count=bands, dtype="float32",
            crs=f"EPSG:{epsg}", transform=rasterio.Affine(2, 0, east, 0, -2, 5e6),
        ) as f:  # fmt: skip
            f.write(np.ones((bands, H, W), np.float32))
    for lidar, message in (("b.tif", r"0\.5 pixels apart"), ("c.tif", "EPSG:32632 and EPSG:32633")):
        with pytest.raises(DataError, match=message):
            cube_data(written(scene, cube="a.tif", lidar=lidar)).open()
    with cube_data(written(scene, cube="a.tif", lidar=["a.tif", "lidar.mat"])).open() as opened:
        assert opened.lidar_bands == B + 2  # what says no place is believed by its size


def test_maps_that_intersect_and_classes_outside_are_refused(scene: Path) -> None:
    io.savemat(scene / "te.mat", {"TE": np.ones((H, W))})
    with pytest.raises(DataError, match=r"scene\.yaml: train and test share 27 of 108 labelled pixels"):
        cube_data(written(scene)).given()
    io.savemat(scene / "te.mat", {"TE": np.full((H, W), 7)})
    io.savemat(scene / "tr.mat", {"TR": np.ones((H, W + 1))})
    with pytest.raises(DataError) as e:
        cube_data(written(scene)).given()
    assert "2 faults" in str(e.value)
    assert "7 (108 px)" in str(e.value)
    assert "9x12 and 10x12" in str(e.value)
    with pytest.raises(DataError, match=r"has no labels: .it has train, test"):
        cube_data(written(scene)).map("labels")


def test_counts_that_differ_from_the_owners_are_told(
    scene: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    data = cube_data(written(scene))
    train = [int((data.map("train") == k).sum()) for k in (1, 2)]
    told = cube_data(written(scene, name="told", counts={"train": [train[0], train[1] + 3], "size": [H, W, B + 1]}))
    told.map("train")
    text = said(capsys, caplog)
    assert f"train has 27 labelled pixels, its owner states 30 (roads {train[1]} for {train[1] + 3})" in text
    assert "the cube is 12 x 9 x 6, its owner states 12 x 9 x 7" in text


def test_constant_and_empty_bands_are_refused_and_left_out_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    values = np.random.default_rng(1).random((H, W, B)).astype(np.float32)
    values[..., 1], values[..., 3], values[..., 4] = np.nan, 5, 5
    values[0, 0, 0], values[2, 2, 5], values[2, 2, 0] = np.nan, np.nan, np.nan
    np.save(tmp_path / "c.npy", values)
    with open_cube(tmp_path / "c.npy") as cube:
        for asked, remedy in (("all", "usable"), (None, "usable"), ("1-4,6", "1-4,6,usable")):
            with pytest.raises(
                DataError, match=rf"no number in: 2; one value .* in: 4.*; bands={remedy} takes the [23]"
            ):
                usable_bands(asked, cube)
        assert usable_bands("1, 3", cube)[0] == [0, 2]
        assert usable_bands([1, "2-4", "Usable"], cube)[0] == [0, 2]
        bands, ranges = usable_bands("usable", cube)
        whole = band_ranges(cube, range(B))
    assert bands == [0, 2, 5]
    text = said(capsys, caplog)
    assert "no number in: 2; one value everywhere in: 4-5; 3 bands are left out" in text
    assert "2 of 108 pixels lack a number" in text
    np.testing.assert_allclose(ranges.low, np.nanmin(values[..., bands], (0, 1)))
    np.testing.assert_allclose(ranges.high, np.nanmax(values[..., bands], (0, 1)))
    assert whole.missing.tolist() == [2, 108, 0, 0, 0, 1]
    np.save(tmp_path / "k.npy", np.ones((H, W, B)))
    with open_cube(tmp_path / "k.npy") as cube, pytest.raises(DataError, match="every band is constant"):
        usable_bands("all", cube)
    values[..., 2] = np.where(np.arange(W) < 5, np.nan, values[..., 2])
    values[..., 0] = np.where(np.arange(W) >= 5, np.nan, values[..., 0])
    np.save(tmp_path / "h.npy", values)
    with (
        open_cube(tmp_path / "h.npy") as cube,
        pytest.raises(DataError, match="no pixel has a number in every band; leave out"),
    ):
        usable_bands("usable", cube)


def test_a_yaml_that_names_no_mapping_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cube must be a file"):
        read_cube_data(tmp_path / "x.yaml", {"cube": 3, "names": {1: "a"}})

"""Maps of InSAR velocity: zero and no data are one grey level, by every reader; coherence says what is no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsdet.data.geotiff import geo_of, write_tiff
from rsdet.data.sar import SarReader, Stretch, check_sar_images, measure, read_sar_header, sar_problem
from rsdet.data.sar.coherence import coherence_file
from rsdet.data.sar.colours import velocity_colours
from rsdet.data.sar.speckle import Speckle
from rsdet.data.tiling import Tile
from rsdet.errors import ConfigError, DataError
from rsdet.writing import write_picture

VELOCITY = {"quantity": "velocity", "stretch": {"v_max": 100}}
COHERENT = {**VELOCITY, "coherence": "coherence", "coherence_min": 0.4}


def written(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, values)
    return path


def placed(path: Path, values: np.ndarray, epsg: int = 32647, east: float = 5e5) -> Path:
    affine = pytest.importorskip("affine")
    path.parent.mkdir(parents=True, exist_ok=True)
    geo = geo_of(np.nan) | {"crs": f"EPSG:{epsg}", "transform": affine.Affine(20, 0, east, 0, -20, 3.2e6)}
    write_tiff(path, values[..., None], None, None, geo)
    return path


def velocities(seed: int = 0, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    values = np.random.default_rng(seed).normal(0, 60, size).astype(np.float32)
    values[3:9, 4:20] = np.nan
    return values


def grey_by_hand(value: float, v_max: float) -> int:
    if not np.isfinite(value):
        return 128
    return int(128 + np.floor(127 * min(max(float(value), -v_max), v_max) / v_max + 0.5))


def reader(section: dict = VELOCITY) -> SarReader:
    return SarReader(Stretch.from_dict(section).measured(np.zeros(0), "float32"), 1)


def test_grey_levels_are_those_of_the_formula(tmp_path):
    values = velocities()
    values[0, :6] = 0, 100, -100, 170, -170, np.inf
    picture = reader()(written(tmp_path / "a.tif", values))[..., 0]
    by_hand = np.array([[grey_by_hand(v, 100) for v in row] for row in values])
    assert (picture == by_hand).mean() > 0.999  # what lies on the limit between two levels may go either way
    assert np.abs(picture.astype(int) - by_hand).max() <= 1
    assert picture[0, :6].tolist() == [128, 255, 1, 255, 1, 128]
    back = (picture[np.isfinite(values)].astype(float) - 128) * 100 / 127
    assert np.abs(back - values[np.isfinite(values)].clip(-100, 100)).max() <= 100 / 127 / 2 + 1e-3


def test_the_scale_is_that_of_all_speeds_and_travels(tmp_path):
    files = [written(tmp_path / f"{i}.tif", velocities(i)) for i in range(3)]
    speeds = np.abs(np.concatenate([velocities(i)[np.isfinite(velocities(i))] for i in range(3)]).astype(np.float64))
    for stretch, by_hand in (
        ({}, np.percentile(speeds, 99.5)),
        ({"method": "percentile", "high": 90}, np.percentile(speeds, 90)),
        ({"method": "sigma", "high": 2}, 2 * np.sqrt((speeds**2).mean())),
    ):
        found = measure(files, Stretch.from_dict({"quantity": "velocity", "stretch": stretch})).stretch
        assert found.range == pytest.approx((-by_hand, by_hand), rel=0.02)  # of a sample, drawn with replacement
        assert Stretch.from_dict(found.to_dict()) == found
    assert "steps of" in found.describe()


def test_coherence_makes_no_data_and_is_found_beside_any_file(tmp_path):
    assert coherence_file("d/images/train/a.tif", "coherence") == Path("d/coherence/train/a.tif")
    assert coherence_file("d/a.tif", "coherence") == Path("d/coherence/a.tif")
    values, coherence = velocities(), np.random.default_rng(1).random((40, 50), np.float32)
    coherence[0, 0] = np.nan
    file = written(tmp_path / "images" / "val" / "a.tif", values)
    alone = reader(COHERENT)(file)  # said once, and all are taken
    assert (alone == reader()(file)).all()
    written(tmp_path / "coherence" / "val" / "a.tif", coherence)
    there = np.isfinite(values) & (coherence >= 0.4)
    picture, valid = reader(COHERENT).with_valid(file)
    assert (valid == there).all()
    assert (picture[~there] == 128).all()
    assert (picture[there] == reader()(file)[there]).all()


@pytest.mark.parametrize("case", ["size", "crs", "place", "range", "bands"])
def test_a_coherence_that_does_not_fit_is_refused_by_name(case, tmp_path):
    values, coherence = velocities(), np.full((40, 50), 0.7, np.float32)
    file, beside = tmp_path / "a.tif", tmp_path / "coherence" / "a.tif"
    if case in ("crs", "place"):
        pytest.importorskip("rasterio")
        placed(file, values)
        placed(beside, coherence, **({"epsg": 32648} if case == "crs" else {"east": 5e5 + 20}))
    else:
        written(file, values)
        other = {"size": coherence[:30], "range": coherence * 255, "bands": np.dstack([coherence] * 3)}
        written(beside, other[case])
    said = {
        "size": "50x40 and 50x30 pixels", "crs": "EPSG:32647 and EPSG:32648", "place": "1 pixels apart",
        "range": "lies in 0 to 1", "bands": "3 bands",
    }  # fmt: skip
    with pytest.raises(DataError, match=said[case]) as e:
        reader(COHERENT)(file)
    assert "\n" not in str(e.value)
    if case != "range":  # which only its pixels tell
        with pytest.raises(DataError, match="SAR images cannot be used"):
            check_sar_images([file], reader(COHERENT).stretch)


def test_the_same_grid_written_twice_fits(tmp_path):
    pytest.importorskip("rasterio")
    file = placed(tmp_path / "a.tif", velocities())
    placed(tmp_path / "coherence" / "a.tif", np.full((40, 50), 0.7, np.float32), east=5e5 + 1e-4)
    assert sar_problem(read_sar_header(file), reader(COHERENT).stretch) == ""


def test_whole_rasters_are_read_as_files_are(tmp_path):
    pytest.importorskip("rasterio")
    from rsdet.scenes.reader import open_raster
    from rsdet.scenes.values import Values
    from rsdet.scenes.view import View

    file = placed(tmp_path / "a.tif", velocities())
    coherence = np.random.default_rng(1).random((40, 50), np.float32)
    placed(tmp_path / "coherence" / "a.tif", coherence)
    whole, there = reader(COHERENT).with_valid(file)
    with open_raster(file) as raster:
        view = View(raster, Values.of(raster, reader(COHERENT)))
        said = view.values.to_dict()
        picture, valid = view.read(Tile(-2, 0, 44, 50))  # reaches outside
    assert (picture[2:-2] == whole).all()
    assert (valid[2:-2] == there).all()
    assert not valid[:2].any()
    assert (picture[:2] == 128).all()
    with open_raster(file) as raster:  # in another process, from what the first one has said
        again = View(raster, Values.of_dict(said))
        assert (again.read(Tile(0, 0, 40, 50))[1] == there).all()
        small, some = View(raster, again.values, ratio=2).read(Tile(0, 0, 20, 25))
        assert 0 < some.sum() < some.size
        assert (small[~some] == 128).all()
    placed(tmp_path / "coherence" / "a.tif", coherence[:20])
    with open_raster(file) as raster, pytest.raises(DataError, match="50x40 and 50x20"):
        Values.of(raster, reader(COHERENT))


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"units": "m/y"}, "multiply files in m/y by 1000"), ({"units": "db"}, "multiply files in m/y by 1000"),
        ({"stretch": {"v_max": -3}}, "low must be below high"),
        ({"stretch": {"method": "range", "low": -50, "high": 100}}, "v_max: 100"),
        ({"stretch": {"v_max": 100, "low": 3}}, "keep v_max"), ({"stretch": "none"}, "leave stretch: none out"),
        ({"stretch": {"per_image": True}}, "one scale for all"), ({"coherence": "c"}, "both or neither"),
        ({"coherence": "c", "coherence_min": 40}, "from 0 to 1"),
        ({"coherence": "../c", "coherence_min": 0.4}, "name of a folder"),
        ({"quantity": "amplitude", "coherence": "c", "coherence_min": 0.4}, "is for quantity: velocity"),
        ({"quantity": "amplitude", "units": "mm/y"}, "is for quantity: velocity"),
        ({"quantity": "amplitude", "stretch": {"v_max": 3}}, "v_max"), ({"quantity": "velocitty"}, "velocity"),
    ],
)  # fmt: skip
def test_sections_that_make_no_sense_are_refused(section, match):
    with pytest.raises(ConfigError, match=match) as e:
        Stretch.from_dict({"quantity": "velocity", **section})
    assert "\n" not in str(e.value)


def test_files_that_are_no_velocities_in_mm_a_year_are_refused(tmp_path):
    metres = written(tmp_path / "m.tif", velocities() / 1000)
    with pytest.raises(DataError, match="multiply those in m/y by 1000"):
        measure([metres], Stretch.from_dict({"quantity": "velocity"}))
    colours = written(tmp_path / "c.png", np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(DataError, match="has 3 bands and a map of velocities one"):
        measure([colours], Stretch.from_dict(VELOCITY))


def test_learning_from_a_coherence_that_is_nowhere_is_refused(tmp_path):
    file = written(tmp_path / "images" / "train" / "a.tif", velocities())
    with pytest.raises(DataError, match=r"none of the 1 training images has a coherence, such as .*coherence/train/a"):
        measure([file], Stretch.from_dict(COHERENT))
    written(tmp_path / "coherence" / "train" / "a.tif", np.full((40, 50), 0.9, np.float32))
    assert measure([file], Stretch.from_dict(COHERENT)).stretch.coherence_min == 0.4


def test_velocities_stored_with_a_scale_are_refused(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rsdet.scenes.reader import open_raster
    from rsdet.scenes.values import Values

    file = placed(tmp_path / "a.tif", velocities())
    assert not read_sar_header(file).scaled
    with rasterio.open(file, "r+") as f:
        f.scales = (0.1,)
    said = "samples times a scale"
    with pytest.raises(DataError, match=said):
        measure([file], Stretch.from_dict(VELOCITY))
    with open_raster(file) as raster, pytest.raises(DataError, match=said):
        Values.of(raster, reader())


def test_people_see_both_directions():
    values = np.array([[-100, 0, 100, np.nan]], np.float32)
    rule = reader().stretch
    back = rule.velocities(reader().array(values)[..., 0])
    assert np.abs(back - np.nan_to_num(values)).max() < 0.5
    seen = velocity_colours(back, np.isfinite(values), rule.range[1]).astype(int)  # RGB
    assert seen[0, 0, 0] > seen[0, 0, 2] + 100  # away from the radar: red
    assert seen[0, 2, 2] > seen[0, 2, 0] + 100  # towards it: blue
    assert len(set(seen[0, 3])) == 1
    assert seen[0, 1].min() > 240


def test_velocities_have_no_speckle():
    with pytest.raises(ConfigError, match="set speckle=0"):
        Speckle.for_stretch(reader().stretch, (8, 32))

"""Two rasters on one grid, or a refusal with the command that mends it; read on one grid where that is asked for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsdet.data.tiling import Tile
from rsdet.errors import DataError
from rsdet.scenes.grids import check_same_grid, gdalwarp_line, on_grid_of
from rsdet.scenes.reader import open_raster

rasterio = pytest.importorskip("rasterio")
from rasterio.transform import Affine, from_bounds, from_origin  # noqa: E402
from rasterio.warp import transform as moved  # noqa: E402

UTM = "EPSG:32632"
PLACE = from_origin(500_000, 5_400_000, 0.5, 0.5)


def write(path: Path, array: np.ndarray, **profile: Any) -> Path:
    usual = {"driver": "GTiff", "crs": UTM, "transform": PLACE, "dtype": array.dtype.name}
    shape = {"height": array.shape[0], "width": array.shape[1], "count": array.shape[2]}
    with rasterio.open(path, "w", **{**usual, **shape, **profile}) as f:
        f.write(array.transpose(2, 0, 1))
    return path


def smooth(xy: np.ndarray) -> np.ndarray:
    """(..., 3) bytes that depend on the place on the map (..., 2) alone, and change little within a pixel."""
    x, y = np.moveaxis(xy - [500_000, 5_399_900], -1, 0)
    waves = [np.sin(x / 19) + np.cos(y / 13), np.sin((x + y) / 23), np.cos(x / 29 - y / 17)]
    return np.rint(np.stack([100 + 40 * w for w in waves], -1)).astype(np.uint8)


def places(transform: Affine, size: tuple[int, int]) -> np.ndarray:
    columns, rows = np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5)
    a, b, c, d, e, f = tuple(transform)[:6]
    return np.stack([a * columns + b * rows + c, d * columns + e * rows + f], -1)


def infos(*paths: Path) -> list[Any]:
    found = []
    for path in paths:
        with open_raster(path) as raster:
            found.append(raster.info)
    return found


FLAT = np.full((60, 80, 3), 90, np.uint8)


def test_rasters_on_one_grid_pass(tmp_path):
    check_same_grid(*infos(write(tmp_path / "a.tif", FLAT), write(tmp_path / "b.tif", FLAT)))
    bare = {"crs": None, "transform": Affine.identity()}
    check_same_grid(*infos(write(tmp_path / "a.tif", FLAT, **bare), write(tmp_path / "b.tif", FLAT, **bare)))


@pytest.mark.parametrize(("second", "profile", "says"), [
    (FLAT[:50], {}, "have 80x60 and 80x50 pixels"),
    (FLAT, {"crs": "EPSG:25832"}, "have the reference systems EPSG:32632 and EPSG:25832"),
    (FLAT, {"transform": from_origin(500_000.25, 5_400_000, 0.5, 0.5)}, "lie up to 0.5 pixels apart"),
    (FLAT, {"transform": from_origin(500_000, 5_400_000, 0.505, 0.5)}, "pixels apart"),
])  # fmt: skip
def test_grids_that_differ_are_refused_with_the_line_that_mends_them(tmp_path, second, profile, says):
    a, b = infos(write(tmp_path / "a.tif", FLAT), write(tmp_path / "the second.tif", second, **profile))
    with pytest.raises(DataError) as e:
        check_same_grid(a, b)
    text = str(e.value)
    assert says in text
    assert "resample=True" in text
    assert "\n" not in text
    words = shlex.split(text[text.index("gdalwarp -t_srs") :].removesuffix("."))
    assert words[:3] == ["gdalwarp", "-t_srs", UTM]
    te, ts = words.index("-te"), words.index("-ts")
    bounds, (width, height) = map(float, words[te + 1 : te + 5]), map(int, words[ts + 1 : ts + 3])
    assert from_bounds(*bounds, width, height) == PLACE
    assert (height, width) == (60, 80)
    assert "-dstalpha" in words  # without a value for "no data" black would be taken for ground
    assert words[-2:] == [str(tmp_path / "the second.tif"), str(tmp_path / "the second-on-grid.tif")]


def test_what_gdalwarp_does_not_write_is_resampled_by_us(tmp_path):
    turned = Affine(0.47, 0.17, 500_000, 0.17, -0.47, 5_400_000)
    a, b = infos(write(tmp_path / "a.tif", FLAT, transform=turned), write(tmp_path / "b.tif", FLAT))
    assert gdalwarp_line(a, b) == ""
    with pytest.raises(DataError, match=r"pass resample=True to read the second on the grid of the first\.$"):
        check_same_grid(a, b)


def test_one_without_a_place_is_refused_with_what_gives_it_one(tmp_path):
    bare = {"crs": None, "transform": Affine.identity()}
    a, b = infos(write(tmp_path / "a.tif", FLAT), write(tmp_path / "b.tif", FLAT, **bare))
    line = f"rio edit-info --like {a.path} --crs like --transform like {b.path} says so"
    for pair in ((a, b), (b, a)):
        with pytest.raises(DataError, match="do not both say where they lie") as e:
            check_same_grid(*pair)
        assert line in str(e.value)
    (small,) = infos(write(tmp_path / "c.tif", FLAT[:40], **bare))
    with pytest.raises(DataError, match="must first say where on Earth it lies"):
        check_same_grid(a, small)
    with pytest.raises(DataError, match="resample=True needs to know where on Earth both lie"):
        on_grid_of(a, small, tmp_path)


@pytest.mark.parametrize("place", [Affine(0.5, 0, float("nan"), 0, -0.5, 5_400_000), Affine(1, 1, 0, 1, 1, 0)])
def test_a_geotransform_that_says_nothing_is_no_place(tmp_path, place):
    """Nor is it the same place as any other, of which numbers that are none would persuade a comparison."""
    a, b = infos(write(tmp_path / "a.tif", FLAT), write(tmp_path / "b.tif", FLAT, transform=place))
    for pair in ((a, b), (b, a)):
        with pytest.raises(DataError, match=r"do not both say where they lie .*rio edit-info --like \S+a.tif"):
            check_same_grid(*pair)
    check_same_grid(b, b)
    with pytest.raises(DataError, match="geotransform without area"):
        on_grid_of(a, b, tmp_path)


@pytest.mark.parametrize(("crs", "place", "size"), [
    (UTM, from_origin(499_990.3, 5_400_007.9, 0.7, 0.7), (110, 130)),
    (UTM, from_origin(499_990.3, 5_400_007.9, 0.17, 0.17), (420, 480)),
    ("EPSG:25833", None, (700, 700)),
])  # fmt: skip
def test_the_second_is_read_on_the_grid_of_the_first(tmp_path, crs, place, size):
    if place is None:  # the same ground, in the next zone of another datum
        (x,), (y,) = moved(UTM, crs, [500_020], [5_399_985])
        place = from_origin(x - 70, y + 70, 0.2, 0.2)
    xy = places(place, size)
    there = np.stack(moved(crs, UTM, *xy.reshape(-1, 2).T), -1).reshape(xy.shape)
    a = write(tmp_path / "a.tif", smooth(places(PLACE, (60, 80))))
    first, second = infos(a, write(tmp_path / "b.tif", smooth(there), crs=crs, transform=place))
    with open_raster(on_grid_of(first, second, tmp_path)) as raster:
        check_same_grid(first, raster.info)
        got, valid = raster.read(Tile(0, 0, 60, 80))
        part, part_valid = raster.read(Tile(17, 23, 20, 31))
    assert valid.all()
    assert got.shape == (60, 80, 3)
    assert np.abs(got.astype(int) - smooth(places(PLACE, (60, 80)))).max() <= 2
    assert (part == got[17:37, 23:54]).all()
    assert part_valid.all()


def test_where_the_second_does_not_reach_there_are_no_data(tmp_path):
    a = write(tmp_path / "a.tif", FLAT)
    b = write(tmp_path / "b.tif", FLAT, transform=from_origin(500_010, 5_400_000, 0.5, 0.5))
    first, second = infos(a, b)
    with open_raster(on_grid_of(first, second, tmp_path)) as raster:
        got, valid = raster.read(Tile(0, 0, 60, 80))
    assert not valid[:, :20].any()
    assert valid[:, 20:].all()
    assert (got[valid] == 90).all()
    far = write(tmp_path / "c.tif", FLAT, transform=from_origin(900_000, 5_400_000, 0.5, 0.5))
    with pytest.raises(DataError, match="lies elsewhere"):
        on_grid_of(first, infos(far)[0], tmp_path)
    with pytest.raises(DataError, match="lies elsewhere") as e:
        check_same_grid(first, infos(far)[0])
    assert "resample=True" not in str(e.value)


def test_numbers_of_colours_are_not_mixed(tmp_path):
    a, path = write(tmp_path / "a.tif", FLAT), write(tmp_path / "b.tif", FLAT[:50, :, :1])
    with rasterio.open(path, "r+") as f:
        f.write_colormap(1, {90: (1, 2, 3, 255)})
    with pytest.raises(DataError, match="gdal_translate -expand rgb"):
        on_grid_of(*infos(a, path), tmp_path)

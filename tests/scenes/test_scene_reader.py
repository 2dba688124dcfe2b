"""Windows of scenes are what the whole file would give, whatever the format, the layout and the order of reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from rsdet.data.pictures import PictureReader, reader_of
from rsdet.data.tiling import Tile, tile_grid
from rsdet.errors import ConfigError, DataError
from rsdet.scenes.reader import Values, View, open_raster

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


def scene(path: Path, samples: np.ndarray, **profile: Any) -> Path:
    """Write (H, W, C) samples as a raster."""
    height, width, count = samples.shape
    options = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": samples.dtype, **profile}
    with rasterio.open(path, "w", **options) as f:
        f.write(np.moveaxis(samples, -1, 0))
    return path


def texture(height: int = 150, width: int = 210, bands: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, bands)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5).reshape(height, width, bands)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tiles.tif", {"photometric": "RGB", "compress": "deflate", **TILED}),
        ("strips.tif", {"photometric": "RGB", "compress": "lzw"}),
        ("planes.tif", {"photometric": "RGB", "interleave": "band", "BIGTIFF": "YES", **TILED}),
        ("cloud.tif", {"driver": "COG"}),
        ("a.png", {"driver": "PNG"}),
        ("a.bmp", {"driver": "BMP"}),
        ("a.webp", {"driver": "WEBP", "LOSSLESS": "YES"}),
    ],
)
def test_windows_are_cut_from_the_picture_of_the_whole(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    path = scene(tmp_path / name, texture(), **options)
    whole = PictureReader()(path)
    with open_raster(path) as raster:
        view = View(raster, Values.of(raster, PictureReader()))
        assert view.size_hw == (150, 210)
        for tile in tile_grid(view.size_hw, 64, 20):
            picture, valid = view.read(tile)
            np.testing.assert_array_equal(picture, whole[tile.slices])
            assert valid.all()


@pytest.mark.parametrize(
    "name", ["palette.png", "palette.tif", "bits.png", "bits.tif", "turned.png", "turned.tif", "turned.jpg"]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_shown_as_the_picture_reader_shows_them(tmp_path: Path, name: str, channels: int) -> None:
    image, more = Image.fromarray(texture()), {}
    if name.startswith("palette"):
        image = image.quantize(40)
    elif name.startswith("bits"):
        image = image.convert("1")
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        more = {"tiffinfo": {274: 6}} if name.endswith("tif") else {"exif": exif}
    image.save(tmp_path / name, **more)
    reader = PictureReader(channels)
    whole = reader(tmp_path / name)
    with open_raster(tmp_path / name) as raster:
        picture, _ = View(raster, Values.of(raster, reader)).read(Tile(20, 30, 90, 80))
    assert np.abs(picture.astype(int) - whole[20:110, 30:110]).max() <= (channels == 1)  # gray is rounded by decoders


def test_each_row_of_a_png_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rsdet.scenes.blocks import Blocks

    path, rows = scene(tmp_path / "a.png", texture(1000, 300), driver="PNG"), []
    decoded = Blocks._decoded

    def counted(self: Blocks, bands: tuple[int, ...], top: int, left: int, height: int, width: int) -> Any:
        rows.extend(range(top, top + height))
        return decoded(self, bands, top, left, height, width)

    monkeypatch.setattr(Blocks, "_decoded", counted)
    with open_raster(path) as raster:
        for tile in tile_grid(raster.info.size_hw, 128, 40):
            raster.read(tile)
    assert rows == list(range(1000))


def test_rows_too_many_to_keep_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import rsdet.scenes.blocks as blocks

    samples = texture(400, 100)
    path = scene(tmp_path / "strips.tif", samples)
    monkeypatch.setattr(blocks, "ROWS_BYTES", 64 * 100 * 3 * 2)
    with open_raster(path) as raster:
        for tile in tile_grid(raster.info.size_hw, 200, 50):
            np.testing.assert_array_equal(raster.read(tile)[0], samples[tile.slices])
    assert "gdal_translate" in caplog.text
    assert len(caplog.records) == 1


@pytest.mark.parametrize("ratio", [0.37, 1.0, 2.6, 9.0])
@pytest.mark.parametrize("overviews", [False, True])
def test_a_pixel_of_a_view_depends_on_its_place_alone(tmp_path: Path, ratio: float, overviews: bool) -> None:
    samples = texture(300, 260).astype(np.float32) * 10
    samples[40:90, 100:180] = -1
    samples[200, ::3] = np.nan
    path = scene(tmp_path / "a.tif", samples, nodata=-1, **TILED)
    if overviews:
        with rasterio.open(path, "r+") as f:
            f.build_overviews([2, 4], rasterio.enums.Resampling.average)
    with open_raster(path) as raster:
        view = View(raster, Values.of(raster, PictureReader()), ratio)
        picture, valid = view.read(Tile(0, 0, *view.size_hw))
        assert 0.5 < valid.mean() < 1
        assert picture[valid].std() > 10
        for tile in [*tile_grid(view.size_hw, 27, 5), *tile_grid(view.size_hw, (11, 28), 3)][:: 1 if ratio > 1 else 29]:
            part, there = view.read(tile)
            np.testing.assert_array_equal(there, valid[tile.slices])
            np.testing.assert_array_equal(part, picture[tile.slices])


@pytest.mark.parametrize(("ratio", "how"), [(2.5, cv2.INTER_AREA), (0.5, cv2.INTER_LINEAR)])
def test_views_lie_on_the_scene(tmp_path: Path, ratio: float, how: int) -> None:
    samples = texture(200, 300)
    path = scene(tmp_path / "a.tif", samples)
    expected = cv2.resize(samples, None, fx=1 / ratio, fy=1 / ratio, interpolation=how).astype(int)
    with open_raster(path) as raster:
        view = View(raster, Values.of(raster, PictureReader()), ratio)
        picture, _ = view.read(Tile(0, 0, *view.size_hw))
        assert picture.shape == expected.shape
        assert np.abs(picture[..., ::-1] - expected).max() <= 1
        raw, _ = raster.read(Tile(10, 20, 100, 50), (round(100 / ratio), round(50 / ratio)))
        place = slice(round(10 / ratio), round(110 / ratio)), slice(round(20 / ratio), round(70 / ratio))
        assert np.abs(raw - expected[place]).max() <= 1


def test_no_data_next_to_data_does_not_darken_it(tmp_path: Path) -> None:
    samples = np.full((64, 64, 1), 200, np.uint8)
    samples[:, 31:] = 0
    with open_raster(scene(tmp_path / "a.tif", samples, nodata=0)) as raster:
        raw, valid = raster.read(Tile(0, 0, 64, 64), (20, 20))
    assert (raw[valid] == 200).all()
    assert not raw[~valid].any()
    assert valid.mean() == pytest.approx(0.5, abs=0.06)


def test_what_lies_outside_is_not_valid(tmp_path: Path) -> None:
    samples = texture(30, 40)
    with open_raster(scene(tmp_path / "a.tif", samples)) as raster:
        raw, valid = raster.read(Tile(-10, 20, 64, 64))
        assert raw.shape == (64, 64, 3)
        assert valid[10:40, :20].all()
        assert valid.sum() == 600
        np.testing.assert_array_equal(raw[10:40, :20], samples[:, 20:])
        assert raster.is_empty(Tile(100, 0, 10, 10))
        view = View(raster, Values.of(raster, PictureReader()), 2.6)
        assert view.size_hw == (12, 16)
        picture, valid = view.read(Tile(0, 0, 64, 64))
        assert valid[:12, :16].all()
        assert valid.sum() == 12 * 16
        assert not picture[~valid].any()


def test_alpha_masks_and_nodata_are_black(tmp_path: Path) -> None:
    samples = texture(40, 60)
    hidden = np.zeros((40, 60), bool)
    hidden[5:20, 10:30] = True
    opacity = np.where(hidden, 0, 255).astype(np.uint8)
    paths = [scene(tmp_path / "alpha.tif", np.dstack([samples, opacity]), photometric="RGB", alpha="YES")]
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        paths.append(scene(tmp_path / "mask.tif", samples))
        with rasterio.open(paths[-1], "r+") as f:
            f.write_mask(~hidden)
    paths.append(scene(tmp_path / "value.tif", np.where(hidden[..., None], 9, samples | 16), nodata=9))
    for path in paths:
        with open_raster(path) as raster:
            assert raster.info.bands == 3
            picture, valid = View(raster, Values.of(raster, PictureReader())).read(Tile(0, 0, 40, 60))
        np.testing.assert_array_equal(valid, ~hidden)
        assert not picture[hidden].any()
        assert picture[valid].all(axis=1).mean() > 0.9
    with open_raster(paths[0]) as raster:
        picture, valid = View(raster, Values.of(raster, PictureReader(1), bands=[4])).read(Tile(0, 0, 40, 60))
        np.testing.assert_array_equal(picture[..., 0], opacity)


def test_deep_scenes_are_stretched_once_in_their_units(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(1000, 3000, (300, 400, 4)).astype(np.uint16)
    samples[:100] = 0
    path = scene(tmp_path / "a.tif", samples, nodata=0, **TILED)
    with rasterio.open(path, "r+") as f:
        f.scales, f.offsets = (0.5,) * 4, (-100.0,) * 4
    with open_raster(path) as raster:
        values = Values.of(raster, PictureReader(), bands=[3, 2, 1])
        assert values.units[0] == pytest.approx((420, 1380), abs=5)
        assert "band 3" in values.describe()
        assert "stretch=" in values.describe()
        again = Values.of_dict(json.loads(json.dumps(values.to_dict())))
        assert again == values
        given = Values.of(raster, PictureReader(4), stretch=[400, 1400])
        picture, valid = View(raster, given).read(Tile(90, 0, 20, 30))
        x = samples[100:110, :30].astype(float) * 0.5 - 100
        expected = np.rint((x - 400) / 1000 * 255).clip(0, 255)[..., [2, 1, 0, 3]]
        assert np.abs(picture[10:] - expected).max() <= 1
        assert not picture[:10].any()
        assert not valid[:10].any()
        each = Values.of(raster, PictureReader(4), stretch=[[400, 1400], [0, 1], [0, 1], [0, 1e9]])
        picture, _ = View(raster, each).read(Tile(120, 0, 20, 30))
        assert picture[..., [0, 1]].min() == 255
        assert picture[..., 3].max() == 0


def test_values_of_the_weights_make_the_picture_of_sar(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = rng.gamma(2, 400, (200, 300, 1)).astype(np.uint16) + 1
    samples[:50] = 0
    path = scene(tmp_path / "a.tif", samples, nodata=0)
    section = {"quantity": "intensity", "dtype": "uint16", "stretch": {"domain": "db", "range": [10.0, 35.0]}}
    reader = reader_of(section)
    whole = reader(path)
    with open_raster(path) as raster:
        values = Values.of(raster, reader)
        for tile in tile_grid((200, 300), 90, 20):
            np.testing.assert_array_equal(View(raster, values).read(tile)[0], whole[tile.slices])
        assert Values.of_dict(json.loads(json.dumps(values.to_dict()))) == values
        with pytest.raises(ConfigError, match="stretch="):
            Values.of(raster, reader, stretch=[0, 1])
    each = reader_of({**section, "stretch": {"domain": "db", "per_image": True, "range": [10.0, 35.0]}})
    with open_raster(path) as raster:
        values = Values.of(raster, each)
        parts = [View(raster, values).read(Tile(60, 0, n, 100))[0][:30] for n in (30, 100)]
        np.testing.assert_array_equal(*parts)  # limits of the scene, not of the window
    other = scene(tmp_path / "b.tif", samples.astype(np.float32))
    with open_raster(other) as raster, pytest.raises(DataError, match="measured on uint16"):
        Values.of(raster, reader)


@pytest.mark.parametrize(
    ("samples", "profile", "asked", "words"),
    [
        (np.zeros((50, 60, 3), np.uint8), {"nodata": 0}, {}, "no valid pixel"),
        (np.full((50, 60, 1), np.nan, np.float32), {}, {}, "no valid pixel"),
        (np.full((50, 60, 1), 7, np.uint16), {}, {}, r"single value \(7\).*stretch="),
        (np.ones((50, 60, 1), np.complex64), {}, {}, "complex"),
        (np.ones((50, 60, 5), np.uint8), {}, {}, "5 bands.*bands="),
        (np.ones((50, 60, 3), np.uint8), {}, {"bands": [1, 2, 4]}, "has 3 bands, bands= asks for 4"),
        (np.ones((50, 60, 3), np.uint8), {}, {"bands": [0, 1, 2]}, "counted from 1"),
        (np.ones((50, 60, 1), np.uint16), {}, {"stretch": [3, 1]}, "smaller first"),
        (np.ones((50, 60, 1), np.uint16), {}, {"stretch": [[0, 1], [0, 1]]}, "each of 1 bands"),
    ],
)
def test_scenes_that_do_not_fit(
    tmp_path: Path, samples: np.ndarray, profile: dict[str, Any], asked: dict[str, Any], words: str
) -> None:
    path = scene(tmp_path / "a.tif", samples, **profile)
    with open_raster(path) as raster, pytest.raises((ConfigError, DataError), match=words):
        Values.of(raster, PictureReader(), **asked)


def test_the_overview_needs_no_more_than_the_file_stores(tmp_path: Path) -> None:
    samples = texture(400, 600)
    path = scene(tmp_path / "a.tif", samples, **TILED)
    with open_raster(path) as raster:
        small, valid = raster.overview(100)
        first = raster.info.identity
        assert small.shape == (67, 100, 3)
        assert valid.all()
        expected = cv2.resize(samples, (100, 67), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - expected).max() <= 2
        assert raster.overview(5000)[0].shape == samples.shape
    with rasterio.open(path, "r+") as f:
        f.build_overviews([2], rasterio.enums.Resampling.nearest)
    with open_raster(path) as raster:
        assert raster.info.identity != first
        assert np.abs(raster.overview(100)[0].astype(int) - expected).mean() < 10

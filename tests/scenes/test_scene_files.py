"""What is refused as a scene, and what is never done: fetching, running code, reading what a file leaves out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rsdet.data.tiling import Tile, tile_grid
from rsdet.errors import DataError
from rsdet.scenes.reader import open_raster

rasterio = pytest.importorskip("rasterio")
pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


def noise(height: int = 200, width: int = 260, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, bands)).astype(np.uint8)


def scene(path: Path, samples: np.ndarray, **profile: Any) -> Path:
    height, width, count = samples.shape
    options = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": samples.dtype, **profile}
    with rasterio.open(path, "w", **options) as f:
        f.write(np.moveaxis(samples, -1, 0))
    return path


def mosaic(path: Path, source: str, relative: int = 1, more: str = "") -> Path:
    """A VRT of one band that shows the first band of a file of 200x260 pixels."""
    path.write_text(
        f'<VRTDataset rasterXSize="260" rasterYSize="200"><VRTRasterBand dataType="Byte" band="1"{more}>'
        f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


def test_a_damaged_block_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    samples = noise()
    path = scene(tmp_path / "a.tif", samples, compress="deflate", **TILED)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = b"\xff" * 200
    path.write_bytes(data)
    refused = []
    with open_raster(path) as raster:
        for tile in tile_grid((200, 260), 64, 0):
            try:
                np.testing.assert_array_equal(raster.read(tile)[0], samples[tile.slices])
            except DataError as e:
                refused.append(str(e))
    assert 1 <= len(refused) <= 4
    assert "window of 64x64 px at column " in refused[0]


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_files_cut_short(tmp_path: Path, name: str) -> None:
    Image.fromarray(noise()).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="cut short"), open_raster(tmp_path / name) as raster:
        raster.read(Tile(0, 0, 200, 260))


def test_mosaics_of_local_files(tmp_path: Path) -> None:
    samples = noise()
    source = scene(tmp_path / "a.tif", samples)
    inner = mosaic(tmp_path / "inner.vrt", "a.tif")
    identities = []
    for path in (inner, mosaic(tmp_path / "b.vrt", str(source), 0), mosaic(tmp_path / "c.vrt", "inner.vrt")):
        with open_raster(path) as raster:
            np.testing.assert_array_equal(raster.read(Tile(20, 30, 90, 80))[0][..., 0], samples[20:110, 30:110, 0])
            identities.append(raster.info.identity)
    scene(source, noise()[::-1], compress="deflate")
    with open_raster(tmp_path / "c.vrt") as raster:
        assert raster.info.identity != identities[-1]


@pytest.mark.parametrize(
    "source",
    [
        "/vsicurl/http://127.0.0.1:9/a.tif",
        "http://127.0.0.1:9/a.tif",
        "missing.tif",
        "GTIFF_DIR:1:a.tif",
        "&lt;GDAL_WMS/&gt;",
        "bad.vrt",
        "words.txt",
    ],
)
@pytest.mark.parametrize("relative", [0, 1])
def test_mosaics_of_anything_else(tmp_path: Path, source: str, relative: int) -> None:
    scene(tmp_path / "a.tif", noise())
    (tmp_path / "words.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"VRT|no scene"):
        open_raster(mosaic(tmp_path / "bad.vrt", source, relative))


@pytest.mark.parametrize(
    "form", ["<{}>{}</{}>", "<SourceFilename/><{}>{}</{}>", '<X {}="{}"/>', '<X xmlns="x"><{}>{}</{}></X>']
)
@pytest.mark.parametrize("name", ["SourceFilename", "sourcefilename", "SOURCEDATASET"])
def test_no_spelling_of_a_source_is_missed(tmp_path: Path, form: str, name: str) -> None:
    """GDAL knows no capitals and no namespaces, and takes attributes for elements."""
    words = tmp_path / "words.txt"
    words.write_text("a" * 400)
    band = f'<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">{form.format(name, words, name)}'
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="20" rasterYSize="20">{band}</VRTRasterBand></VRTDataset>')
    with pytest.raises(DataError, match=r"no scene|not read|no file"):
        open_raster(vrt)


def test_nothing_is_run_or_followed(tmp_path: Path) -> None:
    path = scene(tmp_path / "a.tif", noise())
    code = ' subClass="VRTDerivedRasterBand"><PixelFunctionLanguage>Python</PixelFunctionLanguage'
    with pytest.raises(DataError, match="no code"):
        open_raster(mosaic(tmp_path / "a.vrt", "a.tif", 1, code))
    beside = tmp_path / "a.tif.ovr"
    mosaic(beside, "/vsicurl/http://127.0.0.1:9/a.tif")
    with pytest.raises(DataError, match=r"a\.tif\.ovr"):
        open_raster(path)
    beside.unlink()
    beside = tmp_path / "a.tif.aux.xml"
    beside.write_text(
        '<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/http://127.0.0.1:9/a.tif</MDI>'
        "</Metadata></PAMDataset>"
    )
    with pytest.raises(DataError, match="overviews"):
        open_raster(path)
    beside.unlink()
    with rasterio.open(path, "r+") as f:
        f.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/vsicurl/http://127.0.0.1:9/a.tif")
    for each in (path, mosaic(tmp_path / "b.vrt", "a.tif")):
        with pytest.raises(DataError, match="overviews"):
            open_raster(each)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/vsicurl/http://127.0.0.1:9/a.tif", "not on this machine"),
        ("https://127.0.0.1:9/a.tif", "not on this machine"),
        ("missing.tif", "does not exist"),
        (".", "folder"),
    ],
)
def test_paths_that_are_no_files(path: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_raster(path)


def test_names_are_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("zip:a.tif", "a!b;c d.tif"):
        scene(tmp_path / "plain.tif", noise()).rename(name)
        with open_raster(name) as raster:
            assert raster.info.size_hw == (200, 260)


def test_printing_colours_and_pages(tmp_path: Path) -> None:
    image = Image.fromarray(noise())
    image.convert("CMYK").save(tmp_path / "a.jpg")
    image.save(tmp_path / "a.tif", save_all=True, append_images=[image])
    for name, words in (("a.jpg", "CMYK"), ("a.tif", "2 pages")):
        with pytest.raises(DataError, match=words):
            open_raster(tmp_path / name)


@pytest.mark.parametrize("options", [{"compress": "deflate", **TILED}, {"compress": "deflate"}, {"driver": "PNG"}])
def test_threads_read_at_once(tmp_path: Path, options: dict[str, Any]) -> None:
    samples = noise()
    tiles = [*tile_grid((200, 260), 60, 20)] * 3
    with open_raster(scene(tmp_path / "a", samples, **options)) as raster, ThreadPoolExecutor(4) as pool:
        for tile, (raw, _) in zip(tiles, pool.map(raster.read, tiles), strict=True):
            np.testing.assert_array_equal(raw, samples[tile.slices])


@pytest.mark.parametrize("nodata", [None, 0])
def test_blocks_that_a_file_leaves_out(tmp_path: Path, nodata: int | None) -> None:
    path = tmp_path / "a.tif"
    options = {"driver": "GTiff", "height": 30_000, "width": 30_000, "count": 3, "dtype": "uint8", "nodata": nodata}
    with rasterio.open(path, "w", SPARSE_OK=True, BIGTIFF="YES", tiled=True, **options) as f:
        f.write(np.full((3, 256, 256), 9, np.uint8), window=rasterio.windows.Window(15_360, 15_360, 256, 256))
    with open_raster(path) as raster:
        empty = nodata is not None  # else they are zeros
        assert raster.is_empty(Tile(0, 0, 640, 640)) is empty
        assert raster.read(Tile(5, 5, 10, 10))[1].any() != empty
        assert not raster.is_empty(Tile(15_000, 15_000, 640, 640))
        assert raster.is_empty(Tile(15_000.5, 16_000.5, 640.2, 640.2)) is empty
        small, valid = raster.overview(500)
        assert small.shape == (500, 500, 3)
        assert small.max() == 9
        assert valid.sum() == (25 if empty else 250_000)
        assert (raster.sample() == 9).all() == empty


@pytest.mark.parametrize("key", ["scales", "offsets"])
def test_a_scale_of_which_no_value_comes_is_no_empty_scene(tmp_path: Path, key: str) -> None:
    path = scene(tmp_path / "a.tif", noise().astype(np.int16))
    with rasterio.open(path, "r+") as f:
        setattr(f, key, [1.0, float("nan"), 1.0])
    with pytest.raises(DataError, match=f"states a {key[:-1]} of .*nan.*mend it"):
        open_raster(path)

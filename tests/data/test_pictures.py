"""Pictures as a detector gets them: every band where it belongs, the same values with and without rasterio."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from ultralytics.utils.patches import imread

from rsdet.data import decoding
from rsdet.data.pictures import PictureReader, reader_of
from rsdet.data.raster_io import read_image
from rsdet.data.sar import read_sar, read_sar_header
from rsdet.errors import ConfigError, DataError, MissingDependencyError

rasterio = pytest.importorskip("rasterio")
RNG = np.random.default_rng(0)
RAW = RNG.integers(0, 256, (48, 64, 10), dtype=np.uint8)


def tiff(path: Path, raw: np.ndarray, **profile) -> Path:
    """A TIFF of bands (H, W, C), written by GDAL."""
    h, w, c = raw.shape
    place = {"crs": "EPSG:32632", "transform": rasterio.transform.from_origin(5e5, 5e6, 1, 1)}
    with rasterio.open(path, "w", driver="GTiff", height=h, width=w, count=c, dtype=raw.dtype, **place, **profile) as f:
        f.write(np.moveaxis(raw, -1, 0))
    return path


UNDEFINED = {"photometric": "RGB", "alpha": "UNSPECIFIED"}  # how RGB and near infrared are marked
OPACITY = {"photometric": "RGB", "alpha": "NON-PREMULTIPLIED"}


@pytest.mark.parametrize("profile", [UNDEFINED, OPACITY, {"interleave": "band"}, {"photometric": "MINISBLACK"}])
@pytest.mark.parametrize("bands", [[1, 2, 3], [4, 1, 2], [3], [4]])
def test_bands_are_those_of_the_file_in_the_order_of_the_channels(bands, profile, tmp_path):
    path = tiff(tmp_path / "a.tif", RAW[..., :4], **profile)
    seen = PictureReader(3, bands)(path)[..., ::-1]  # pictures are BGR, channels RGB
    np.testing.assert_array_equal(seen, np.broadcast_to(RAW[..., [b - 1 for b in bands]], (48, 64, 3)))
    restored, _ = read_image(path, bands=bands)
    np.testing.assert_array_equal(np.rint(restored * 255), RAW[..., [b - 1 for b in bands]])


@pytest.mark.parametrize("channels", [1, 3])
def test_three_bands_that_no_tag_calls_colours_are_all_read(channels, tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif", RAW[..., :3], photometric="MINISBLACK")
    expected = RAW[..., :3] if channels == 3 else cv2.cvtColor(RAW[..., :3].copy(), cv2.COLOR_RGB2GRAY)[..., None]
    np.testing.assert_array_equal(PictureReader(channels)(path)[..., ::-1], expected)
    monkeypatch.setattr("rsdet.data.decoding.has_rasterio", lambda: False)
    assert "rasterio" in PictureReader(channels).header_problem(read_sar_header(path))


def test_lab_colours_are_not_taken_for_rgb(tmp_path):
    Image.fromarray(RAW[..., :3]).convert("LAB").save(tmp_path / "a.tif")
    for read in (PictureReader(), read_image):
        with pytest.raises(DataError, match="Lab colours"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize("count", [2, 4, 5, 7])
def test_bands_that_the_weights_cannot_take_are_refused_with_both_counts(count, tmp_path):
    path = tiff(tmp_path / "a.tif", RAW[..., :count], **(UNDEFINED if count == 4 else {}))
    with pytest.raises(DataError, match=rf"a\.tif has {count} bands, the weights take 3 channels; choose them"):
        PictureReader(3)(path)
    with pytest.raises(DataError, match=f"has {count} bands, bands= asks for 9"):
        PictureReader(3, [1, 9, 2])(path)
    last = PictureReader(3, [count, 1, 2])(path)[..., ::-1]
    np.testing.assert_array_equal(last, RAW[..., [count - 1, 0, 1]])


@pytest.mark.parametrize("bands", [[], [0, 1, 2], [1, 2], [1, 2, 3, 4], ["1"], [True, 2, 3], "rgb"])
def test_bands_that_make_no_sense(bands):
    with pytest.raises(ConfigError, match="bands="):
        PictureReader(3, bands)
    with pytest.raises(ConfigError, match="SAR"):
        reader_of({"quantity": "amplitude"}, 3, [1])


@pytest.mark.parametrize("rasterio_there", [True, False])
@pytest.mark.parametrize("name", ["opaque.tif", "premultiplied.tif", "a.png", "gray.png", "palette.png", "a.webp"])
def test_alpha_is_set_aside_and_colours_stay_as_they_are(name, rasterio_there, tmp_path, monkeypatch):
    path, rgba = tmp_path / name, RAW[..., :4].copy()
    if name.endswith(".tif"):
        rgba[..., 3] = np.arange(64)  # who multiplies by it loses the colours
        Image.fromarray(rgba).save(path)  # GDAL's would need rasterio for their place
        if name.startswith("pre"):
            tags = path.read_bytes()
            at = tags.index(b"\x52\x01\x03\x00\x01\x00\x00\x00\x02")  # ExtraSamples: from 2 to 1
            path.write_bytes(tags[: at + 8] + b"\x01" + tags[at + 9 :])
    elif name == "gray.png":
        Image.fromarray(rgba[..., :2], "LA").save(path)
        rgba = np.repeat(rgba[..., :1], 3, axis=2)
    elif name == "palette.png":
        small = Image.fromarray(rgba[..., 0] % 4, "P")
        small.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
        small.save(path, transparency=2)
        rgba = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)[rgba[..., 0] % 4]
    else:
        rgba[..., 3] = 255 if name.endswith("webp") else rgba[..., 3]
        Image.fromarray(rgba).save(path, lossless=True)
    if not rasterio_there:
        monkeypatch.setitem(sys.modules, "rasterio", None)
    np.testing.assert_array_equal(PictureReader(3)(path)[..., ::-1], rgba[..., :3])
    np.testing.assert_array_equal(np.rint(read_image(path, channels=3)[0] * 255), rgba[..., :3])


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["a.jpg", "gray.jpg", "a.png", "gray.png", "a.bmp", "a.webp", "a.tif", "gray.tif"])
def test_everyday_pictures_are_what_ultralytics_reads(name, channels, turn, tmp_path):
    picture = Image.fromarray(RAW[..., 0] if name.startswith("gray") else RAW[..., :3])
    exif = Image.Exif()
    exif[274] = turn
    picture.save(tmp_path / name, **({} if name.endswith("bmp") else {"exif": exif}))
    flag = cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR
    np.testing.assert_array_equal(PictureReader(channels)(tmp_path / name), imread(tmp_path / name, flag))


def test_other_numbers_of_channels_are_read_as_ultralytics_reads_them(tmp_path):
    four = tiff(tmp_path / "four.tif", RAW[..., :4], **UNDEFINED)
    np.testing.assert_array_equal(PictureReader(4)(four), imread(four, cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(PictureReader(4, [4, 3, 2, 1])(four), RAW[..., [3, 2, 1, 0]])
    ten = tiff(tmp_path / "ten.tif", RAW)
    np.testing.assert_array_equal(PictureReader(10)(ten), RAW)
    pages = tmp_path / "pages.tif"  # how Ultralytics stores them
    assert cv2.imwritemulti(str(pages), list(np.moveaxis(RAW, -1, 0)))
    np.testing.assert_array_equal(PictureReader(10)(pages), imread(pages, cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(PictureReader(3, [9, 1, 2])(pages)[..., ::-1], RAW[..., [8, 0, 1]])
    with pytest.raises(DataError, match="has 3 bands, the weights take 4 channels"):
        PictureReader(4)(tiff(tmp_path / "three.tif", RAW[..., :3]))


def test_pages_are_no_bands_and_no_picture_by_themselves(tmp_path):
    for name, pages in (("gray.tif", RAW[..., 0]), ("rgb.tif", RAW[..., :3])):
        page = Image.fromarray(pages)
        page.save(tmp_path / name, save_all=True, append_images=[page, page])
        for read in (PictureReader(3), read_image, read_sar):
            with pytest.raises(DataError, match="has 3 pages; save each as a file of its own"):
                read(tmp_path / name)


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_animations_are_no_pictures_either(suffix, tmp_path):
    frames = [Image.fromarray(np.roll(RAW[..., :3], i, 0)) for i in range(3)]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    for read in (PictureReader(3), read_image):
        with pytest.raises(DataError, match="is an animation of 3 pictures; save each as a file of its own"):
            read(tmp_path / f"a{suffix}")
    frames[0].save(tmp_path / "a.mpo", save_all=True, append_images=frames[1:])  # cameras store a preview so
    assert PictureReader(3)(tmp_path / "a.mpo").shape == (48, 64, 3)


@pytest.mark.parametrize("count", [1, 3])
def test_overviews_and_a_mask_are_no_pages(count, tmp_path):
    big = RNG.integers(1, 256, (600, 700, count), dtype=np.uint8)
    path = tiff(tmp_path / "cog.tif", big, tiled=True, blockxsize=256, blockysize=256)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_TIFF_OVR_BLOCKSIZE=128), rasterio.open(path, "r+") as f:
        f.write_mask(np.full(big.shape[:2], 255, np.uint8))
        f.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    assert read_sar_header(path).pages == 1
    np.testing.assert_array_equal(PictureReader(3)(path)[..., ::-1], np.broadcast_to(big, (600, 700, 3)))
    np.testing.assert_array_equal(np.rint(read_image(path)[0] * 255), big)


CODECS = {"ZSTD": {}, "LZMA": {}, "WEBP": {"webp_lossless": True}, "LERC": {"max_z_error": 0}, "LERC_ZSTD": {}}


@pytest.mark.parametrize("codec", CODECS)
def test_compressions_that_opencv_lacks(codec, tmp_path, monkeypatch):
    count = 3
    try:
        path = tiff(tmp_path / "a.tif", RAW[..., :count], compress=codec, **CODECS[codec])
    except rasterio.errors.RasterioError as e:
        pytest.skip(f"this build of GDAL does not write it: {e}")
    header = read_sar_header(path)
    assert (header.width, header.height, header.bands, header.problem) == (64, 48, 3, "")
    np.testing.assert_array_equal(PictureReader(3)(path)[..., ::-1], RAW[..., :3])
    np.testing.assert_array_equal(np.rint(read_image(path)[0] * 255), RAW[..., :3])
    monkeypatch.setitem(sys.modules, "rasterio", None)
    said = f"a.tif is compressed with {codec.split('_')[0].replace('WEBP', 'WebP')}, which needs the package rasterio"
    for read in (PictureReader(3), read_image, lambda p: read_sar(p)):
        with pytest.raises((DataError, MissingDependencyError), match=said):
            read(path)
    with pytest.raises(DataError, match=said):
        PictureReader(3).check([path])  # before a training starts


def test_bigtiff_is_read(tmp_path):
    path = tiff(tmp_path / "big.tif", RAW[..., :3], BIGTIFF="YES")
    assert path.read_bytes()[2] == 43
    np.testing.assert_array_equal(PictureReader(3)(path)[..., ::-1], RAW[..., :3])


def test_a_picture_larger_than_the_memory_is_named(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(RAW[..., :3]).save(path)

    def full(*args):
        error = cv2.error("Failed to allocate 999 bytes")
        error.code = cv2.Error.StsNoMem
        raise error

    monkeypatch.setattr(cv2, "imdecode", full)
    for read in (PictureReader(3), PictureReader(3, [1, 2, 3]), read_image, read_sar):
        with pytest.raises(DataError, match=r"a\.png does not fit into the memory"):
            read(path)
    with pytest.raises(MemoryError):
        decoding.by_opencv(path, cv2.IMREAD_COLOR)


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (2**21, 4)])
def test_a_header_of_a_huge_picture_is_enough(width, height, tmp_path):
    path = tmp_path / "huge.bmp"
    head = b"BM" + (54).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little")
    path.write_bytes(head + b"".join(v.to_bytes(4, "little") for v in (width, height)) + b"\x01\0\x18\0" + bytes(24))
    with pytest.raises(DataError, match=f"has {width}x{height} pixels"):
        PictureReader(3)(path)


def test_arrays(tmp_path):
    reader = PictureReader(3, [4, 1, 2])
    np.testing.assert_array_equal(reader.array(RAW[..., :4])[..., ::-1], RAW[..., [3, 0, 1]])
    np.testing.assert_array_equal(reader.array(RAW[..., :3]), RAW[..., :3])  # a picture, as OpenCV gives it
    np.testing.assert_array_equal(PictureReader(3).array(Image.fromarray(RAW[..., :4]))[..., ::-1], RAW[..., :3])
    with pytest.raises(DataError, match="has 4 bands, the weights take 3 channels"):
        PictureReader(3).array(RAW[..., :4])

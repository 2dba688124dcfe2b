"""Pictures of any depth in, the same kind of file out: range, alpha, missing data and the place on Earth kept."""

from __future__ import annotations

import builtins
import logging

import cv2
import numpy as np
import pytest

from rsdet.data.raster_io import ImageMeta, read_image, to_channels, write_image
from rsdet.errors import ConfigError, DataError, MissingDependencyError, RSDetError

rasterio = pytest.importorskip("rasterio")
RNG = np.random.default_rng(0)


def _samples(dtype, shape=(13, 17, 3)):
    if np.dtype(dtype).kind == "f":
        return RNG.random(shape).astype(dtype)
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def _write(path, raw):
    assert cv2.imwrite(str(path), raw[..., ::-1] if raw.ndim == 3 and raw.shape[2] == 3 else raw)


def _geotiff(path, raw, **profile):
    profile = {
        "driver": "GTiff", "height": raw.shape[0], "width": raw.shape[1], "count": raw.shape[2], "dtype": raw.dtype,
        "crs": "EPSG:32632", "transform": rasterio.transform.from_origin(500_000, 5_000_000, 0.6, 0.6), **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as f:
        f.write(np.moveaxis(raw, -1, 0))


HOLDS = {".png": ("uint8", "uint16"), ".tif": ("uint8", "uint16", "float32"), ".bmp": ("uint8",), ".webp": ("uint8",)}


@pytest.mark.parametrize(
    ("suffix", "dtype", "channels"),
    [(s, d, c) for s, kinds in HOLDS.items() for d in kinds for c in (1, 3) if (s, c) != (".webp", 1)],
)
def test_lossless_formats_give_back_every_value(tmp_path, suffix, dtype, channels):
    raw = _samples(dtype, (13, 17, channels))
    _write(tmp_path / f"a{suffix}", raw if channels == 3 else raw[..., 0])
    x, meta = read_image(tmp_path / f"a{suffix}")
    full = 1.0 if dtype == "float32" else np.iinfo(dtype).max
    assert x.dtype == np.float32
    assert meta.dtype == dtype
    np.testing.assert_allclose(x, raw.astype(np.float64) / full, atol=1e-7)
    write_image(tmp_path / f"b{suffix}", x, meta)
    again = cv2.imread(str(tmp_path / f"b{suffix}"), cv2.IMREAD_UNCHANGED).reshape(raw.shape)
    np.testing.assert_array_equal(again[..., ::-1], raw)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_geotiff_keeps_corner_and_divides_the_pixel_size(tmp_path, scale):
    raw = _samples("uint16")
    _geotiff(tmp_path / "a.tif", raw)
    x, meta = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "b.tif", np.repeat(np.repeat(x, scale, 0), scale, 1), meta, scale)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        assert b.crs == a.crs
        assert b.dtypes == a.dtypes
        assert (b.transform.c, b.transform.f) == (a.transform.c, a.transform.f)
        assert b.res == pytest.approx((a.res[0] / scale, a.res[1] / scale))
        assert tuple(b.bounds) == pytest.approx(tuple(a.bounds))  # the same ground, so boxes fit both
        np.testing.assert_array_equal(b.read()[:, ::scale, ::scale], a.read())


def test_many_bands_float_and_nodata(tmp_path):
    raw = (_samples("float32", (9, 11, 5)) * 3000).astype(np.float32)
    raw[2, 3] = -9999
    _geotiff(tmp_path / "a.tif", raw, nodata=-9999)
    with pytest.raises(DataError, match="does not say what is black"):
        read_image(tmp_path / "a.tif")
    x, meta = read_image(tmp_path / "a.tif", bands=[4, 3, 2], value_range=(0, 3000))
    assert x.shape == (9, 11, 3)
    assert x.min() >= 0
    assert not meta.valid[2, 3]
    assert meta.valid.sum() == 98
    np.testing.assert_allclose(x[meta.valid], raw[meta.valid][:, [3, 2, 1]] / 3000, atol=1e-6)
    write_image(tmp_path / "b.tif", np.repeat(np.repeat(x, 2, 0), 2, 1), meta, 2)
    with rasterio.open(tmp_path / "b.tif") as b:
        assert b.nodata == -9999
        out = b.read()
    assert (out[:, 4:6, 6:8] == -9999).all()
    assert (out == -9999).sum() == 12
    np.testing.assert_allclose(out[:, ::2, ::2][:, meta.valid], raw[..., [3, 2, 1]][meta.valid].T, rtol=1e-5, atol=1e-3)


def test_a_mask_inside_the_file_is_enlarged(tmp_path):
    mask = np.ones((13, 17), bool)
    mask[:4] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=13, width=17, count=3, dtype="uint8", crs="EPSG:32632",
        transform=rasterio.transform.from_origin(0, 0, 1, 1),
    ) as f:  # fmt: skip
        f.write(_samples("uint8", (3, 13, 17)))
        f.write_mask(mask)
    x, meta = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(meta.valid, mask)
    write_image(tmp_path / "b.tif", np.repeat(np.repeat(x, 2, 0), 2, 1), meta, 2)
    again, meta2 = read_image(tmp_path / "b.tif")
    np.testing.assert_array_equal(meta2.valid, mask.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(again[::2, ::2], x)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_comes_back_gray(tmp_path, suffix):
    raw = _samples("uint16", (9, 12))
    _write(tmp_path / f"a{suffix}", raw)
    x, meta = read_image(tmp_path / f"a{suffix}", channels=3)
    assert x.shape == (9, 12, 3)
    assert meta.channels == 1
    write_image(tmp_path / f"b{suffix}", x, meta)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / f"b{suffix}"), cv2.IMREAD_UNCHANGED), raw)


def test_signed_samples_come_back_signed(tmp_path):
    raw = RNG.integers(-500, 9000, (9, 11, 1)).astype(np.int16)
    _geotiff(tmp_path / "a.tif", raw)
    x, meta = read_image(tmp_path / "a.tif", value_range=(-500, 9000))
    write_image(tmp_path / "b.tif", x, meta)
    with rasterio.open(tmp_path / "b.tif") as b:
        np.testing.assert_array_equal(b.read(1), raw[..., 0])


def test_control_points_move_with_the_pixels(tmp_path):
    from rasterio.control import GroundControlPoint as Point

    points = [Point(0, 0, 10, 50), Point(0, 17, 11, 50), Point(13, 0, 10, 49), Point(13, 17, 11, 49)]
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=13, width=17, count=1, dtype="uint8", gcps=points,
        crs="EPSG:4326",
    ) as f:  # fmt: skip
        f.write(_samples("uint8", (1, 13, 17)))
    x, meta = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "b.tif", np.repeat(np.repeat(x, 3, 0), 3, 1), meta, 3)
    with rasterio.open(tmp_path / "b.tif") as b:
        moved, crs = b.gcps
    assert crs.to_epsg() == 4326
    assert [(p.row, p.col, p.x, p.y) for p in moved] == [(p.row * 3, p.col * 3, p.x, p.y) for p in points]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_is_set_aside_and_enlarged(tmp_path, suffix, dtype):
    raw = np.dstack([_samples(dtype, (8, 10, 3)), np.full((8, 10), np.iinfo(dtype).max, dtype)])
    raw[:, :5, 3] = 0
    if suffix == ".png":
        cv2.imwrite(str(tmp_path / "a.png"), raw[..., [2, 1, 0, 3]])
    else:
        _geotiff(tmp_path / "a.tif", raw, photometric="RGB", alpha="YES")
    x, meta = read_image(tmp_path / f"a{suffix}")
    assert x.shape == (8, 10, 3)
    np.testing.assert_array_equal(meta.alpha, raw[..., 3])
    write_image(tmp_path / f"b{suffix}", np.repeat(np.repeat(x, 2, 0), 2, 1), meta, 2)
    again, meta2 = read_image(tmp_path / f"b{suffix}")
    np.testing.assert_array_equal(again[::2, ::2], x)
    assert (meta2.alpha[:, :9] == 0).all()
    assert (meta2.alpha[:, 11:] == np.iinfo(dtype).max).all()


def test_alpha_and_place_are_not_lost_silently(tmp_path, caplog):
    meta = ImageMeta(alpha=np.zeros((8, 8), np.uint8), geo={"transform": None})
    with caplog.at_level(logging.WARNING, "rsdet"):
        write_image(tmp_path / "a.jpg", np.zeros((8, 8, 3)), meta)
    assert "alpha left out" in caplog.text
    assert "place on Earth left out" in caplog.text


def test_gray_with_alpha_and_palette(tmp_path):
    from PIL import Image

    gray = _samples("uint8", (6, 7))
    Image.merge("LA", [Image.fromarray(gray), Image.fromarray(255 - gray)]).save(tmp_path / "la.png")
    x, meta = read_image(tmp_path / "la.png")
    assert x.shape == (6, 7, 1)
    np.testing.assert_array_equal(np.rint(x[..., 0] * 255), gray)
    np.testing.assert_array_equal(meta.alpha, 255 - gray)
    colour = np.zeros((6, 7, 3), np.uint8)
    colour[:3] = (250, 20, 30)
    step = 1 if int(cv2.__version__.split(".")[0]) < 5 else 0
    for suffix in ("png", "tif"):
        quantized = Image.fromarray(colour).quantize(4)  # to colours that are near, by the release of Pillow
        quantized.save(tmp_path / f"p.{suffix}")
        x, _ = read_image(tmp_path / f"p.{suffix}")
        # OpenCV 4 divides the 16 bits of a colour map by 257 where others shift them: one step of 255 lower.
        np.testing.assert_allclose(np.rint(x * 255), quantized.convert("RGB"), atol=step if suffix == "tif" else 0)


def test_exif_orientation_is_applied_as_ultralytics_does(tmp_path):
    from PIL import Image

    im = Image.fromarray(_samples("uint8", (16, 32, 3)))
    exif = im.getexif()
    exif[274] = 6
    im.save(tmp_path / "a.jpg", exif=exif, quality=95)
    x, _ = read_image(tmp_path / "a.jpg")
    assert x.shape == (32, 16, 3)
    np.testing.assert_array_equal(np.rint(x * 255), cv2.imread(str(tmp_path / "a.jpg"))[..., ::-1])


@pytest.mark.parametrize(
    ("have", "want", "good"), [(1, 3, True), (3, 1, True), (3, None, True), (5, 3, False), (3, 4, False), (2, 1, False)]
)
def test_channels(have, want, good):
    x = RNG.random((4, 5, have)).astype(np.float32)
    if not good:
        with pytest.raises(DataError, match=f"{have} channels and {want} are needed"):
            to_channels(x, want)
        return
    y = to_channels(x, want)
    np.testing.assert_allclose(y.mean(axis=2), x.mean(axis=2), atol=1e-6)


def _damage(tmp_path, name):
    _write(tmp_path / "good.png", _samples("uint8", (64, 64, 3)))
    _write(tmp_path / "good.jpg", _samples("uint8", (64, 64, 3)))
    _geotiff(tmp_path / "good.tif", _samples("uint16", (64, 64, 3)))
    path = tmp_path / name
    good = tmp_path / f"good{path.suffix}"
    if name.startswith("cut"):
        path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    elif name.startswith("empty"):
        path.touch()
    elif name.startswith("text"):
        path.write_text("no picture")
    return path


@pytest.mark.parametrize(
    "name", ["cut.png", "cut.jpg", "cut.tif", "empty.png", "empty.tif", "text.png", "text.tif", "absent.png"]
)
def test_damaged_files_are_one_line(tmp_path, name):
    path = _damage(tmp_path, name)
    with pytest.raises(RSDetError) as e:
        read_image(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("suffix", "dtype", "says"),
    [(".jpg", "uint16", "write .tif"), (".png", "float32", "write .tif"), (".gif", "uint8", "choose one of")],
)
def test_a_format_that_cannot_hold_the_depth_is_refused(tmp_path, suffix, dtype, says):
    with pytest.raises(DataError, match=says):
        write_image(tmp_path / f"a{suffix}", np.zeros((4, 4, 3)), ImageMeta(dtype=dtype))
    assert not list(tmp_path.iterdir())


def test_not_a_number_is_refused(tmp_path):
    with pytest.raises(DataError, match="finite"):
        write_image(tmp_path / "a.png", np.full((4, 4, 3), np.nan))


@pytest.mark.parametrize("args", [{"bands": [0]}, {"bands": [4]}, {"bands": []}, {"value_range": (5, 5)}])
def test_wrong_wishes(tmp_path, args):
    _write(tmp_path / "a.png", _samples("uint8"))
    with pytest.raises(ConfigError):
        read_image(tmp_path / "a.png", **args)


def test_twelve_bits_in_sixteen(tmp_path):
    raw = RNG.integers(0, 4096, (8, 9)).astype(np.uint16)
    _write(tmp_path / "a.png", raw)
    x, meta = read_image(tmp_path / "a.png", value_range=(0, 4095))
    np.testing.assert_allclose(x[..., 0], raw / 4095, atol=1e-6)
    write_image(tmp_path / "b.png", x, meta)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED), raw)


def test_without_rasterio(tmp_path, monkeypatch):
    _write(tmp_path / "plain.tif", _samples("uint16"))
    _geotiff(tmp_path / "geo.tif", _samples("uint16"))
    real = builtins.__import__

    def fail(name, *args, **kwargs):
        if name.split(".")[0] == "rasterio":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    expected, _ = read_image(tmp_path / "plain.tif")
    monkeypatch.setattr(builtins, "__import__", fail)
    x, meta = read_image(tmp_path / "plain.tif")
    np.testing.assert_array_equal(x, expected)
    write_image(tmp_path / "out.tif", x, meta)
    with pytest.raises(MissingDependencyError, match=r"pip install .*rasterio"):
        read_image(tmp_path / "geo.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("count", [2, 4])
def test_alpha_of_a_tiff_without_a_place_stays_alpha(dtype, count, tmp_path):
    raw = _samples(dtype, (13, 17, count))
    profile = {"driver": "GTiff", "height": 13, "width": 17, "count": count, "dtype": dtype}
    colours = {"photometric": "RGB"} if count == 4 else {}
    with rasterio.open(tmp_path / "a.tif", "w", alpha="YES", **colours, **profile) as f:
        f.write(np.moveaxis(raw, -1, 0))
    write_image(tmp_path / "b.tif", *read_image(tmp_path / "a.tif"))
    with rasterio.open(tmp_path / "b.tif") as f:
        assert f.colorinterp[-1].name == "alpha"
        np.testing.assert_array_equal(np.moveaxis(f.read(), 0, -1), raw)


def test_bands_stay_in_order_where_another_than_the_last_is_marked_as_alpha(tmp_path):
    raw = _samples("uint16", (13, 17, 4))
    _geotiff(tmp_path / "a.tif", raw, alpha="YES", photometric="MINISBLACK")  # GDAL marks the second
    x, meta = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(np.rint(x * 65535), raw)
    write_image(tmp_path / "b.tif", x, meta)
    with rasterio.open(tmp_path / "b.tif") as f:
        np.testing.assert_array_equal(np.moveaxis(f.read(), 0, -1), raw)


@pytest.mark.parametrize(("have", "need", "remedy"), [(2, 3, r"\[1,1,1\]"), (5, 3, r"\[1,2,3\]"), (5, 1, r"\[1\]")])
def test_the_bands_that_are_proposed_are_there(have, need, remedy):
    with pytest.raises(DataError, match=f"has {have} channels and {need} are needed; choose .*bands={remedy}$"):
        to_channels(np.zeros((4, 4, have), np.float32), need)

"""SAR files to 8-bit pictures: the reader against values written by hand, the stretch against its equation."""

from __future__ import annotations

import contextlib
import json
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.data.sar import SarReader, Stretch, check_sar_images, measure, read_sar, read_sar_header
from rsdet.data.sar import reader as reader_module
from rsdet.errors import ConfigError, DataError, MissingDependencyError, RSDetError

DB = dict(domain="db", method="range", low=0.0, high=60.0, range=(0.0, 60.0))
_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def tiff(path: Path, array: np.ndarray, tags: dict[int, tuple[str, object]] | None = None, kind: int = 0) -> Path:
    """A TIFF of one strip, written by hand: any sample type, one tag more or other than usual."""
    array = np.asarray(array)
    h, w = array.shape[:2]
    bands = 1 if array.ndim == 2 else array.shape[2]
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    bits = array.dtype.itemsize * 8
    entries: dict[int, tuple[str, object]] = {
        256: ("I", w), 257: ("I", h), 258: ("H", [bits] * bands), 259: ("H", 1), 262: ("H", 2 if bands == 3 else 1),
        273: ("I", 8), 277: ("H", bands), 278: ("I", h), 279: ("I", len(data)),
        339: ("H", [kind or _FORMATS[array.dtype.kind]] * bands), **(tags or {}),
    }  # fmt: skip
    offset = 8 + len(data) + len(data) % 2
    extra_at = offset + 2 + 12 * len(entries) + 4
    rows, extra = b"", b""
    for tag, (code, value) in sorted(entries.items()):
        if code == "s":
            raw, n, t = str(value).encode() + b"\0", len(str(value)) + 1, 2
        else:
            many = value if isinstance(value, list) else [value]
            raw, n, t = struct.pack(f"<{len(many)}{code}", *many), len(many), {"H": 3, "I": 4}[code]
        if len(raw) > 4:
            rows += struct.pack("<HHII", tag, t, n, extra_at + len(extra))
            extra += raw + b"\0" * (len(raw) % 2)
        else:
            rows += struct.pack("<HHI", tag, t, n) + raw.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<I", offset)
    body = data + b"\0" * (len(data) % 2) + struct.pack("<H", len(entries)) + rows + struct.pack("<I", 0) + extra
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + body)
    return path


def _amplitudes(shape: tuple[int, int] = (24, 32), seed: int = 0) -> np.ndarray:
    return 40 * np.sqrt(np.random.default_rng(seed).gamma(4, 1 / 4, shape))


def _levels(x: np.ndarray, lo: float, hi: float) -> np.ndarray:
    """The equation of the stretch, float64."""
    return np.floor(255 * (np.clip(x, lo, hi) - lo) / (hi - lo) + 0.5)


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_every_sample_type_of_a_tiff_is_read_as_it_is(dtype, tmp_path):
    values = np.round(_amplitudes()).astype(dtype)
    if dtype[0] in "if":
        values[0, :3] = [-5, -1, 0]
    image = read_sar(tiff(tmp_path / "a.tif", values))
    assert (image.dtype, image.values.dtype) == (dtype, np.float32)
    np.testing.assert_array_equal(image.values, values.astype(np.float32))
    assert image.valid.all()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_values_under_256_in_a_16_bit_file_are_seen(suffix, tmp_path):
    values = np.arange(1, 241, dtype=np.uint16).reshape(12, 20)
    path = tmp_path / f"dark{suffix}"
    assert cv2.imwrite(str(path), values)
    np.testing.assert_array_equal(read_sar(path).values, values)
    rule = measure([path], Stretch(domain="linear", low=0, high=100)).stretch
    assert len(np.unique(SarReader(rule)(path))) > 230  # Ultralytics' reader gives one level: 0


@pytest.mark.parametrize(
    ("tag", "said", "bad"),
    [("0", None, [0]), (None, 7.0, [7]), ("-9999", 7.0, [-9999, 7]), ("nan", None, []), ("1e99", None, [])],
)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_nodata_of_the_tag_and_of_the_yaml_is_not_valid(tag, said, bad, dtype, tmp_path):
    values = np.array([[0, 7, -9999, 5], [1, 2, 3, 4]], dtype)
    path = tiff(tmp_path / "a.tif", values, {42113: ("s", tag)} if tag else None)
    np.testing.assert_array_equal(read_sar(path, nodata=said).valid, ~np.isin(values, bad))


def test_a_float32_nodata_written_with_the_digits_of_a_float64_is_found(tmp_path):
    values = np.array([[-3.4028235e38, 1.0], [0.1, 2.0]], np.float32)
    path = tiff(tmp_path / "a.tif", values, {42113: ("s", "-3.40282346638529e+38")})
    np.testing.assert_array_equal(read_sar(path, nodata=0.1).valid, [[False, True], [False, True]])


def test_many_threads_read_geotiffs_in_silence(tmp_path, capfd):
    path = tiff(tmp_path / "a.tif", np.ones((16, 16), np.uint16), {42113: ("s", "0")})
    log = cv2 if hasattr(cv2, "getLogLevel") else cv2.utils.logging
    before = log.getLogLevel()
    with ThreadPoolExecutor(8) as pool:
        assert all(im.valid.all() for im in pool.map(read_sar, [path] * 64))
    assert not capfd.readouterr().err  # OpenCV would warn of the nodata tag
    assert log.getLogLevel() == before


def test_nan_and_infinity_are_not_valid_and_become_black(tmp_path):
    values = np.array([[np.nan, np.inf, -np.inf], [1, 10, 1000]], np.float32)
    path = tiff(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_sar(path).valid, [[False] * 3, [True] * 3])
    picture = SarReader(Stretch(**DB, dtype="float32"), channels=1)(path)
    np.testing.assert_array_equal(picture[..., 0], [[0, 0, 0], [0, 85, 255]])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_data_needs_a_rule(dtype, tmp_path):
    values = (_amplitudes() * np.exp(1j * _amplitudes(seed=1))).astype(dtype)
    path = tiff(tmp_path / "slc.tif", values)
    with pytest.raises(DataError, match=r"complex data .* without a magnitude rule; say quantity: complex"):
        read_sar(path)
    pytest.importorskip("rasterio")
    image = read_sar(path, "complex")
    np.testing.assert_allclose(image.values, np.hypot(values.real, values.imag), rtol=1e-6)
    with pytest.raises(DataError, match="no complex data; say quantity: amplitude"):
        read_sar(tiff(tmp_path / "a.tif", np.ones((4, 4), np.uint16)), "complex")


def test_complex_integers_are_read_by_their_magnitude(tmp_path):
    pytest.importorskip("rasterio")
    pairs = np.random.default_rng(0).integers(-3000, 3000, (8, 9, 2)).astype(np.int16)
    path = tiff(tmp_path / "slc.tif", pairs.view(np.int32)[..., 0], kind=5)
    image = read_sar(path, "complex")
    assert image.dtype == "complex_int16"
    np.testing.assert_allclose(image.values, np.hypot(*np.moveaxis(pairs.astype(float), -1, 0)), rtol=1e-6)


def test_without_rasterio_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(MissingDependencyError, match=r"pip install .*rasterio"):
        read_sar(tiff(tmp_path / "slc.tif", np.ones((4, 4), np.complex64)), "complex")


def test_equal_bands_count_as_one_and_others_are_refused(tmp_path):
    gray = np.round(_amplitudes()).astype(np.uint16)
    path = tiff(tmp_path / "rgb.tif", np.repeat(gray[..., None], 3, 2))
    np.testing.assert_array_equal(read_sar(path).values, gray)
    other = np.stack([gray, gray, gray + 1], 2)
    with pytest.raises(DataError, match="3 bands that differ"):
        read_sar(tiff(tmp_path / "vv-vh.tif", other))
    with pytest.raises(DataError, match="2 bands; save the one to look at"):
        read_sar(tiff(tmp_path / "two.tif", other[..., :2], {262: ("H", 1)}))


def test_bands_that_lie_one_after_the_other_are_not_mixed_up(tmp_path):
    """OpenCV takes them for interleaved, so that each band would hold a third of the rows."""
    rasterio = pytest.importorskip("rasterio")
    gray = _amplitudes().astype(np.float32)
    profile = dict(driver="GTiff", height=24, width=32, count=3, dtype="float32", interleave="band")
    with rasterio.open(tmp_path / "a.tif", "w", **profile) as f:
        f.write(np.stack([gray] * 3))
    np.testing.assert_array_equal(read_sar(tmp_path / "a.tif").values, gray)


@pytest.mark.parametrize("kind", ["zstd", "bigtiff", "tiles", "mask", "overviews"])
def test_what_gdal_writes_is_read(kind, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    gray = np.round(_amplitudes((600, 700))).astype(np.uint16)
    profile = dict(driver="GTiff", height=600, width=700, count=1, dtype="uint16")
    profile |= {"zstd": dict(compress="ZSTD"), "bigtiff": dict(BIGTIFF="YES"), "mask": {}}.get(kind, {})
    profile |= {"tiles": dict(tiled=True, compress="DEFLATE"), "overviews": dict(driver="COG")}.get(kind, {})
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "w", **profile) as f:
        f.write(gray, 1)
        if kind == "mask":
            f.write_mask(np.arange(600)[:, None] >= np.full((1, 700), 10))
    image = read_sar(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.values, gray)
    assert image.valid.sum() == (590 if kind == "mask" else 600) * 700


def _two_pages(path: Path) -> Path:
    from PIL import Image

    page = Image.fromarray(np.ones((8, 8), np.uint16))
    page.save(path, save_all=True, append_images=[page])
    return path


def _cut(path: Path, part: float = 0.6) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    return path


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "no.tif", "does not exist"),
        (lambda p: _bytes(p / "a.tif", b""), r"empty \(0 bytes\)"),
        (lambda p: _bytes(p / "a.tif", b"II*\0" + bytes(range(200))), "not a readable TIFF"),
        (lambda p: _bytes(p / "a.png", b"nonsense" * 30), "not a readable image"),
        (lambda p: _cut(tiff(p / "a.tif", np.ones((64, 64), np.uint16))), "readable TIFF|cut short"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint16), {279: ("I", 9999)}), "cut short"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint8), {262: ("H", 0)}), "white is zero"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint8), {262: ("H", 3)}), "palette"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint16), {274: ("H", 6)}), "orientation"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint16), {42113: ("s", "none")}), "nodata tag"),
        (lambda p: tiff(p / "a.tif", np.ones((9, 9), np.uint16), {256: ("I", 0)}), "no pixels"),
        (lambda p: _two_pages(p / "a.tif"), "2 pages"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_in_one_line(make, message, tmp_path):
    path = make(tmp_path)
    assert read_sar_header(path).problem
    with pytest.raises(DataError, match=message) as e:
        read_sar(path)
    assert str(path) in str(e.value)
    assert "\n" not in str(e.value)


def test_a_huge_file_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(reader_module, "MAX_PIXELS", 100)
    with pytest.raises(DataError, match=r"has 11x10 pixels.*cut it into tiles"):
        read_sar(tiff(tmp_path / "a.tif", np.ones((10, 11), np.uint16)))


@settings(max_examples=60, deadline=None)
@given(part=st.floats(0, 0.999), flip=st.integers(0, 10_000), byte=st.integers(1, 255))
def test_damage_of_any_kind_is_an_error_of_ours_or_a_picture(tmp_path_factory, part, flip, byte):
    path = tiff(tmp_path_factory.getbasetemp() / "damaged.tif", np.ones((16, 16), np.uint16), {42113: ("s", "0")})
    data = bytearray(path.read_bytes())
    data[flip % len(data)] ^= byte
    for broken in (bytes(data), bytes(data[: int(part * len(data))])):
        path.write_bytes(broken)
        with contextlib.suppress(RSDetError):  # any other error fails
            assert read_sar(path).values.ndim == 2


# -- the section -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (None, "must be a mapping"),
        ([1], "must be a mapping"),
        ({"quantty": "amplitude"}, "Did you mean 'quantity'"),
        ({"stretch": {"methd": "sigma"}}, "Did you mean 'method'"),
        ({"quantity": "ampltude"}, "Did you mean 'amplitude'"),
        ({"quantity": 3}, "must be text"),
        ({"units": "dB!"}, "must be one of"),
        ({"nodata": "none"}, "must be a number"),
        ({"nodata": True}, "must be a number"),
        ({"stretch": "auto"}, "must be a mapping"),
        ({"stretch": {"low": "1"}}, "must be a number"),
        ({"stretch": {"high": float("inf")}}, "must be finite"),
        ({"stretch": {"low": 99.5, "high": 1}}, "low must be below high"),
        ({"stretch": {"low": 5, "high": 5}}, "low must be below high"),
        ({"stretch": {"low": -1, "high": 99}}, "0..100"),
        ({"stretch": {"method": "sigma", "low": -2, "high": 2}}, "low must be below high"),
        ({"stretch": {"method": "range", "low": 1}}, "needs low: and high:"),
        ({"stretch": {"method": "range", "low": 1, "high": 2, "per_image": True}}, "leave per_image out"),
        ({"stretch": {"per_image": "yes"}}, "true or false"),
        ({"stretch": {"range": [3]}}, r"must be \[low, high\]"),
        ({"stretch": {"range": [3, 2]}}, "low below high"),
        ({"quantity": "complex", "units": "db"}, "cannot be in dB"),
    ],
)
def test_a_wrong_section_is_one_line(section, message):
    with pytest.raises(ConfigError, match=message) as e:
        Stretch.from_dict(section)
    assert "\n" not in str(e.value)
    assert "sar:" in str(e.value)


_NUMBERS = st.floats(-1e6, 1e6).map(lambda v: round(v, 6))
_STRETCHES = st.one_of(
    st.builds(
        Stretch,
        quantity=st.sampled_from(["amplitude", "intensity"]),
        units=st.sampled_from(["linear", "db"]),
        nodata=st.none() | _NUMBERS,
        domain=st.sampled_from(["db", "linear"]),
        method=st.just("percentile"),
        low=st.floats(0, 40),
        high=st.floats(60, 100),
        per_image=st.booleans(),
        range=st.none() | st.tuples(st.floats(-1e6, -1), st.floats(0, 1e6)),
        dtype=st.none() | st.sampled_from(["uint16", "float32"]),
    ),
    st.builds(Stretch, method=st.just("none"), quantity=st.sampled_from(["amplitude", "intensity", "complex"])),
    st.builds(Stretch, method=st.just("sigma"), low=st.floats(0, 5), high=st.floats(0.1, 9), range=st.just((0.0, 1.0))),
    st.builds(Stretch, method=st.just("range"), low=st.floats(-9, 0), high=st.floats(1, 9), range=st.none()),
)


@given(stretch=_STRETCHES)
def test_a_stretch_survives_yaml_and_json(stretch):
    section = stretch.to_dict()
    assert Stretch.from_dict(yaml.safe_load(yaml.safe_dump(section))) == stretch
    assert Stretch.from_dict(json.loads(json.dumps(section))).key == stretch.key


def test_the_section_of_an_8_bit_set_takes_values_as_they_are():
    stretch = Stretch.from_dict({"quantity": "amplitude", "units": "linear", "stretch": "none"})
    values = np.arange(256, dtype=np.float32).reshape(16, 16)
    np.testing.assert_array_equal(stretch.apply(values, np.ones((16, 16), bool)), values)


# -- the stretch -------------------------------------------------------------------------------------------------------

_RULES = [
    ("amplitude", "linear", "db", lambda v: 20 * np.log10(v)),
    ("intensity", "linear", "db", lambda v: 10 * np.log10(v)),
    ("amplitude", "linear", "linear", lambda v: v),
    ("amplitude", "db", "db", lambda v: v),
    ("amplitude", "db", "linear", lambda v: 10 ** (v / 20)),
    ("intensity", "db", "linear", lambda v: 10 ** (v / 10)),
]


@pytest.mark.parametrize(("quantity", "units", "domain", "equation"), _RULES)
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_grey_levels_follow_the_equation(quantity, units, domain, equation, dtype):
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 60, (50, 60)) if units == "db" else rng.gamma(1, 300, (50, 60)) + 1
    values = np.round(values) if dtype == "uint16" else values
    values = values.astype(np.float32)
    x = equation(values.astype(np.float64))
    lo, hi = np.percentile(x, (2, 98))
    stretch = Stretch(quantity=quantity, units=units, domain=domain, range=(lo, hi), dtype=dtype)
    found = stretch.apply(values, np.ones(values.shape, bool))
    exact = 255 * (np.clip(x, lo, hi) - lo) / (hi - lo)
    assert np.abs(found - exact).max() < 0.5 + 1e-3  # the nearest level; float32 limits decide ties
    assert (found == _levels(x, lo, hi)).mean() > 0.999


@pytest.mark.parametrize(("quantity", "units", "domain", "equation"), _RULES)
@given(data=st.data())
def test_brighter_values_are_never_darker_and_the_ends_are_black_and_white(quantity, units, domain, equation, data):
    lo = data.draw(st.floats(0.1, 40))
    hi = lo + data.draw(st.floats(0.1, 60))
    values = np.sort(np.array(data.draw(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=40)), np.float32))
    stretch = Stretch(quantity=quantity, units=units, domain=domain, range=(lo, hi), dtype="float32")
    levels = stretch.apply(values[None], np.ones((1, len(values)), bool)).ravel()
    assert (np.diff(levels.astype(int)) >= 0).all()
    factor = 10 if quantity == "intensity" else 20
    back = {("linear", "db"): lambda x: 10 ** (x / factor), ("db", "linear"): lambda x: factor * np.log10(x)}
    ends = np.array([[back.get((units, domain), lambda x: x)(np.float64(v)) for v in (lo, hi)]], np.float32)
    np.testing.assert_array_equal(stretch.apply(ends, np.ones((1, 2), bool)), [[0, 255]])


@given(seed=st.integers(0, 1000))
def test_amplitude_and_intensity_of_the_same_scene_give_the_same_picture_in_db(seed, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    amplitude = np.round(_amplitudes((16, 16), seed)).astype(np.float32) + 1
    pictures = []
    for quantity, values in (("amplitude", amplitude), ("intensity", amplitude**2)):
        path = tiff(folder / f"{quantity}.tif", values)
        stretch = measure([path], Stretch(quantity=quantity)).stretch
        pictures.append(SarReader(stretch, 1)(path).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1  # limits in float32 decide ties
    assert (pictures[0] == pictures[1]).mean() > 0.99


def test_what_is_not_valid_is_black():
    values = np.full((4, 4), 100, np.float32)
    valid = np.eye(4, dtype=bool)
    picture = Stretch(**DB, dtype="float32").apply(values, valid)
    assert (picture[valid] == 170).all()
    assert (picture[~valid] == 0).all()


def test_negative_values_are_fine_in_db_and_an_error_where_they_are_said_to_be_linear(tmp_path):
    decibels = np.linspace(-25, 5, 64).reshape(8, 8).astype(np.float32)
    path = tiff(tmp_path / "a.tif", decibels)
    stretch = measure([path], Stretch(units="db", low=0, high=100)).stretch
    assert stretch.range == (-25, 5)
    np.testing.assert_array_equal(SarReader(stretch, 1)(path)[..., 0], _levels(decibels.astype(float), -25, 5))
    for domain in ("db", "linear"):
        with pytest.raises(DataError, match=r"a\.tif holds negative values \(lowest -25\).*units: db") as e:
            measure([path], Stretch(domain=domain))
        assert "\n" not in str(e.value)


def test_per_image_limits_are_those_of_each_image(tmp_path):
    paths = [tiff(tmp_path / f"{i}.tif", (_amplitudes((32, 32), i) * 10**i).astype(np.float32)) for i in range(2)]
    stretch = measure(paths, Stretch(low=5, high=95, per_image=True)).stretch
    for path in paths:
        x = 20 * np.log10(read_sar(path).values.astype(float))
        found = SarReader(stretch, 1)(path)[..., 0]
        assert (found == _levels(x, *np.percentile(x, (5, 95)))).mean() > 0.99


# -- measuring ---------------------------------------------------------------------------------------------------------


def test_measured_limits_are_those_of_all_valid_pixels(tmp_path):
    scenes = [np.round(_amplitudes((20, 20), i)).astype(np.uint16) for i in range(5)]
    scenes[0][:, :10] = 0  # nodata: half of one image
    scenes[1][:] = 7  # what the YAML calls no data
    paths = [tiff(tmp_path / f"{i}.tif", s, {42113: ("s", "0")}) for i, s in enumerate(scenes)]
    pixels = np.concatenate([s[(s != 0) & (s != 7)] for s in scenes]).astype(float)
    found = measure(paths, Stretch(nodata=7, low=1, high=99))
    np.testing.assert_allclose(found.stretch.range, np.percentile(20 * np.log10(pixels), (1, 99)), rtol=1e-9)
    assert (found.images, found.pixels, found.stretch.dtype) == (5, pixels.size, "uint16")
    db = 20 * np.log10(pixels)
    sigma = measure(paths, Stretch(nodata=7, method="sigma", low=2, high=3)).stretch
    np.testing.assert_allclose(sigma.range, (db.mean() - 2 * db.std(), db.mean() + 3 * db.std()), rtol=1e-9)


def test_a_sample_is_bounded_the_same_every_time_and_close(tmp_path):
    paths = [tiff(tmp_path / f"{i}.tif", _amplitudes((64, 64), i).astype(np.float32)) for i in range(12)]
    whole = measure(paths, Stretch()).stretch
    one, two = (measure(p, Stretch(), max_files=8, max_pixels=4000) for p in (paths, paths[::-1]))
    assert one == two
    assert (one.images, one.pixels) == (8, 4000)
    np.testing.assert_allclose(one.stretch.range, whole.range, atol=1.0)  # dB
    assert measure(paths, Stretch(), max_files=8, max_pixels=4000, seed=1) != one


@pytest.mark.parametrize(
    ("arrays", "rule", "message"),
    [
        ([np.ones((9, 9), np.uint8), np.ones((9, 9), np.uint16)], {}, r"1\.tif is uint16.*convert them to one type"),
        ([np.ones((9, 9), np.uint16), np.ones((9, 9), np.int16)], {}, "different sample types"),
        ([np.ones((9, 9), np.complex64)], {}, "without a magnitude rule"),
        ([np.zeros((9, 9), np.uint16)], dict(nodata=0), "no valid value"),
        ([np.full((9, 9), 5, np.uint16)], {}, "a single valid value"),
        ([np.ones((9, 9), np.uint16)], dict(method="none"), "stretch: none takes 8-bit"),
        ([np.full((9, 9), -3, np.int16)], {}, "negative values"),
    ],
)
def test_data_that_cannot_be_measured_is_one_line(arrays, rule, message, tmp_path):
    paths = [tiff(tmp_path / f"{i}.tif", a) for i, a in enumerate(arrays)]
    with pytest.raises(DataError, match=message) as e:
        measure(paths, Stretch(**rule))
    assert "\n" not in str(e.value)


def test_files_of_another_type_than_measured_are_named(tmp_path):
    good, other = (tiff(tmp_path / f"{t}.tif", np.ones((9, 9), t)) for t in ("uint16", "uint8"))
    stretch = Stretch(**DB, dtype="uint16")
    with pytest.raises(DataError, match=r"1 of 1 SAR images.*uint8\.tif holds uint8 .* measured on uint16"):
        check_sar_images([other], stretch)
    assert check_sar_images([good], stretch)[0].dtype == "uint16"
    check_sar_images([tiff(tmp_path / "f.tif", np.ones((9, 9)))], Stretch(**DB, dtype="float32"))  # wider floats


# -- arrays ------------------------------------------------------------------------------------------------------------


def test_an_array_gives_the_picture_of_its_file(tmp_path):
    values = np.round(_amplitudes()).astype(np.uint16)
    read = SarReader(Stretch(**DB, nodata=30, dtype="uint16"))
    expected = read(tiff(tmp_path / "a.tif", values))
    assert expected.shape == (24, 32, 3)
    for array in (values, values[..., None], np.repeat(values[..., None], 3, 2)):
        np.testing.assert_array_equal(read.array(array), expected)
    with pytest.raises(DataError, match="the array 3 holds uint8"):
        read.array(values.astype(np.uint8), "the array 3")
    with pytest.raises(ConfigError, match="channels: 4"):
        SarReader(Stretch(), 4)


# -- augmentation ------------------------------------------------------------------------------------------------------


def _noisy(stretch: Stretch | None, gray: np.ndarray, looks: float, seed: int = 0) -> np.ndarray:
    from rsdet.data.sar.speckle import Speckle

    transform = Speckle.for_stretch(stretch, (looks, looks), p=1.0)
    transform.set_random_seed(seed)
    return transform(image=gray)["image"]


@pytest.mark.parametrize("domain", ["db", "linear"])
@pytest.mark.parametrize("quantity", ["amplitude", "intensity"])
def test_speckle_is_gamma_noise_of_so_many_looks_on_the_intensity(quantity, domain):
    looks, power = 6.0, 2 if quantity == "amplitude" else 1
    limits = (0.0, 60.0 * power / 2) if domain == "db" else (0.0, 1000.0)
    stretch = Stretch(quantity=quantity, domain=domain, range=limits, dtype="float32")
    gray = np.full((300, 300), 0.55 if domain == "db" else 0.2, np.float32)
    found = _noisy(stretch, gray, looks).astype(np.float64) * (limits[1] - limits[0]) + limits[0]
    before = float(gray[0, 0]) * (limits[1] - limits[0]) + limits[0]
    factor = 10 if quantity == "intensity" else 20
    linear = [10 ** (v / factor) if domain == "db" else v for v in (found, before)]
    ratio = (linear[0] / linear[1]) ** power
    assert abs(ratio.mean() - 1) < 0.01  # 90,000 draws: standard error 0.0014
    assert abs(ratio.var() * looks - 1) < 0.05


def test_speckle_on_a_picture_is_speckle_on_its_values():
    values = _amplitudes((64, 64)).astype(np.float32)
    stretch = Stretch(**DB, dtype="float32")
    gray = stretch.apply(values, np.ones(values.shape, bool))
    found = _noisy(stretch, gray, 4.0, seed=5)
    from rsdet.data.sar.speckle import Speckle

    twin = Speckle.for_stretch(stretch, (4.0, 4.0), p=1.0)
    twin.set_random_seed(5)
    twin(image=gray)
    noise = twin.params["noise"].astype(float)
    expected = _levels(20 * np.log10(values.astype(float) * np.sqrt(noise)), 0, 60)
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("stretch", [None, Stretch(method="none", dtype="uint8"), Stretch(**DB, dtype="float32")])
def test_speckle_leaves_black_black_and_channels_equal(dtype, stretch):
    gray = np.zeros((40, 40, 3), dtype)
    gray[:20] = 120 if dtype == np.uint8 else 0.5
    found = _noisy(stretch, gray, 3.0)
    assert found.dtype == dtype
    assert not found[20:].any()
    assert len(np.unique(found[:20])) > 20
    assert (found == found[..., :1]).all()


def test_the_knobs_of_training_are_not_written_into_its_arguments():
    from rsdet.data.sar.augment import SAR_TRAINING_DEFAULTS, with_sar_transforms

    hyp = SimpleNamespace(**SAR_TRAINING_DEFAULTS, augmentations=None)
    assert [type(t).__name__ for t in with_sar_transforms(hyp).augmentations] == ["RandomRotate90", "Speckle"]
    assert [type(t).__name__ for t in with_sar_transforms(hyp, rect=True).augmentations] == ["Speckle"]
    assert hyp.augmentations is None
    plain = SimpleNamespace()
    assert with_sar_transforms(plain) is plain


def test_boxes_follow_a_turn_by_90_degrees():
    from ultralytics.data.augment import Albumentations
    from ultralytics.utils.instance import Instances

    from rsdet.data.sar.augment import with_sar_transforms

    transform = Albumentations(p=1.0, transforms=with_sar_transforms(SimpleNamespace(rot90=1.0)).augmentations)
    seen = set()
    for _ in range(40):
        img = np.zeros((64, 64, 3), np.uint8)
        img[10:14, 30:50] = 200
        boxes = Instances(np.array([[40 / 64, 12 / 64, 20 / 64, 4 / 64]], np.float32), segments=np.zeros((0, 1000, 2)),
                          bbox_format="xywh", normalized=True)  # fmt: skip
        out = transform({"img": img, "cls": np.zeros((1, 1)), "instances": boxes})
        y, x = np.nonzero(out["img"][..., 0])
        out["instances"].convert_bbox("xyxy")
        out["instances"].denormalize(64, 64)
        np.testing.assert_allclose(out["instances"].bboxes[0], [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=1e-3)
        seen.add((int(x.min()), int(y.min())))
    assert len(seen) == 4

"""Masks in the forms in which others deliver them become the same class numbers, or are refused by value and place."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rsdet.data.masks.reader import MaskReader
from rsdet.data.masks.values import DamagedMask
from rsdet.errors import ConfigError, DataError

SOIL, ROCK, SAND = (200, 10, 10), (10, 200, 10), (0, 0, 0)
COLOURS = np.array([SOIL, ROCK, SAND, (255, 255, 255)], np.uint8)
NAMES = {0: "soil", 1: "rock", 2: "sand"}
PALETTE = {"soil": "#c80a0a", "rock": [10, 200, 10], "sand": "#000000", "ignore": ["#ffffff"]}


@pytest.fixture
def classes() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4, (37, 53)).astype(np.uint8)


def saved(path: Path, picture: Image.Image | np.ndarray, **kwargs: object) -> Path:
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(path, **kwargs)
    return path


def expected(classes: np.ndarray) -> np.ndarray:
    """255 in place of the fourth, pixel by pixel."""
    out = np.zeros(classes.shape, np.uint8)
    for y, x in np.ndindex(classes.shape):
        out[y, x] = 255 if classes[y, x] == 3 else classes[y, x]
    return out


def paletted(classes: np.ndarray) -> Image.Image:
    picture = Image.fromarray(classes).convert("P")
    picture.putdata(classes.ravel().tolist())
    picture.putpalette(COLOURS.ravel().tolist())
    return picture


def test_numbers_palettes_and_colours_say_the_same(tmp_path, classes):
    numbers = MaskReader.of({"names": NAMES, "label_mapping": {3: 255}})
    colours = MaskReader.of({"names": NAMES, "palette": PALETTE})
    rgba = np.dstack([COLOURS[classes], np.full(classes.shape, 255, np.uint8)])
    want = expected(classes)
    forms = {
        numbers: {
            "index.png": classes, "deep.png": classes.astype(np.uint16), "p.png": paletted(classes),
            "index.bmp": classes, "grey.png": np.dstack([classes] * 3), "index.tif": classes,
            "float.tif": classes.astype(np.float32),
        },
        colours: {
            "rgb.png": COLOURS[classes], "rgba.png": rgba, "colours.png": paletted(classes),
            "rgb.tif": COLOURS[classes],
        },
    }  # fmt: skip
    for name, reader, picture in [(n, r, p) for r, some in forms.items() for n, p in some.items()]:
        found = reader(saved(tmp_path / name, picture))
        assert found.dtype == np.uint8, name
        assert np.array_equal(found, want), name


def test_one_yaml_reads_both_forms_of_a_set(tmp_path, classes):
    """As S5Mars is passed on: numbers from 1 on with 0 for none, or the colours of a palette."""
    reader = MaskReader.of({"names": NAMES, "label_mapping": {0: 255, 1: 0, 2: 1, 3: 2}, "palette": PALETTE})
    numbers = np.array([1, 2, 3, 0], np.uint8)[classes]
    want = expected(classes)
    assert np.array_equal(reader(saved(tmp_path / "n.png", numbers)), want)
    assert np.array_equal(reader(saved(tmp_path / "c.png", paletted(classes))), want)


def test_one_class_has_a_background(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[1:3, 2:5] = (255, 255, 0)
    picture[3, 5] = (9, 9, 9)
    file = saved(tmp_path / "a.png", picture)
    spec = {"names": {0: "landslide"}}
    others = MaskReader.of({**spec, "palette": {"landslide": "#ffff00", "background": "others"}})(file)
    assert (others.sum(), others[1:3, 2:5].min(), others[3, 5]) == (6, 1, 0)
    stated = MaskReader.of({**spec, "palette": {"landslide": "#ffff00", "background": "#000000", "ignore": "others"}})
    assert stated(file)[3, 5] == 255
    binary = saved(tmp_path / "b.png", np.uint8([[0, 255], [255, 0]]))
    assert MaskReader.of({**spec, "label_mapping": {255: 1}})(binary).tolist() == [[0, 1], [1, 0]]
    grey = MaskReader.of({**spec, "palette": {"landslide": "#ffffff", "background": "#000000"}})
    assert grey(binary).tolist() == [[0, 1], [1, 0]]


def test_near_colours_are_other_colours(tmp_path, classes):
    picture = COLOURS[classes].copy()
    picture[5, 7] = (200, 10, 11)
    picture[6, :3] = (199, 10, 10)
    reader = MaskReader.of({"names": NAMES, "palette": PALETTE})
    with pytest.raises(DataError, match=r"a\.png .*#c70a0a \(3 px\), #c80a0b \(1 px\), the first at x=7 y=5.*others"):
        reader(saved(tmp_path / "a.png", picture))
    two = {**PALETTE, "rock": "#c80a0b"}
    assert MaskReader.of({"names": NAMES, "palette": {**two, "ignore": "others"}})(tmp_path / "a.png")[5, 7] == 1


def test_values_beyond_eight_bits(tmp_path, classes):
    deep = (classes.astype(np.uint16) + 1) * 1000
    file = saved(tmp_path / "a.png", deep)
    mapping = {1000: 0, 2000: 1, 3000: 2, 4000: 255}
    assert np.array_equal(MaskReader.of({"names": NAMES, "label_mapping": mapping})(file), expected(classes))
    with pytest.raises(DataError, match=r"4000 \(\d+ px\), the first at") as e:
        MaskReader.of({"names": NAMES, "label_mapping": {1000: 0, 2000: 1, 3000: 2}})(file)
    assert "\n" not in str(e.value)
    aliased = saved(tmp_path / "b.png", (classes.astype(np.uint16) % 3) + 256)  # 256 is not 0
    with pytest.raises(DataError, match="256"):
        MaskReader.of({"names": NAMES})(aliased)


def test_compression_with_losses_is_refused(tmp_path):
    file = saved(tmp_path / "a.jpg", np.zeros((8, 8), np.uint8))
    renamed = tmp_path / "b.png"
    renamed.write_bytes(file.read_bytes())
    for path in (file, renamed, saved(tmp_path / "c.tif", np.zeros((8, 8, 3), np.uint8), compression="jpeg")):
        with pytest.raises(DataError, match="PNG"):
            MaskReader.of({"names": NAMES})(path)


def test_a_cut_file_is_damaged_and_not_a_mask_of_zeros(tmp_path, classes):
    file = saved(tmp_path / "a.png", classes)
    file.write_bytes(file.read_bytes()[:-60])
    with pytest.raises(DamagedMask, match=r"a\.png"):
        MaskReader.of({"names": NAMES, "label_mapping": {3: 255}})(file)


def test_what_a_geotiff_calls_no_data_has_no_class(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = np.int16([[0, 1, 2], [-9999, 1, -9999]])
    for name, nodata in (("a.tif", -9999), ("b.tif", None)):
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", height=2, width=3, count=1, dtype="int16", nodata=nodata
        ) as f:
            f.write(values, 1)
    assert MaskReader.of({"names": NAMES})(tmp_path / "a.tif").tolist() == [[0, 1, 2], [255, 1, 255]]
    with pytest.raises(DataError, match=r"-9999 \(2 px\)"):
        MaskReader.of({"names": NAMES})(tmp_path / "b.tif")
    kept = {"names": NAMES, "label_mapping": {-9999: 0}}
    assert MaskReader.of(kept)(tmp_path / "a.tif").tolist() == [[0, 1, 2], [0, 1, 0]]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"label_mapping": [0, 1]}, "must map"),
        ({"label_mapping": {0: 9}}, "0 to 2"),
        ({"label_mapping": {"one": 1}}, "whole number"),
        ({"palette": {"sol": "#ffffff"}}, "soil"),
        ({"palette": {"soil": "yellow"}}, "no colour"),
        ({"palette": {"soil": [256, 0, 0]}}, "no colour"),
        ({"palette": {"soil": "#ffffff", "rock": [255, 255, 255]}}, "two classes"),
        ({"palette": {"background": "#000000", "soil": "#ffffff"}}, "no class"),
        ({"palette": "soil"}, "must map"),
    ],
)
def test_what_cannot_be_meant_is_said_in_a_line(spec, said):
    with pytest.raises(ConfigError, match=said) as e:
        MaskReader.of({"names": NAMES, **spec})
    assert "\n" not in str(e.value)


def test_grey_levels_in_a_grey_palette_are_values(tmp_path, classes):
    picture = Image.fromarray(classes).convert("P")  # Pillow's grey palette
    cv2.imwrite(str(tmp_path / "l.png"), classes)
    reader = MaskReader.of({"names": NAMES, "label_mapping": {3: 255}})
    assert np.array_equal(reader(saved(tmp_path / "p.png", picture)), reader(tmp_path / "l.png"))


PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x04\x00\x00\x00\x04\x08\x00\x00\x00\x00"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([b"", PNG, b"II*\x00\x08\x00\x00\x00", b"GIF89a", b"BM"]), st.binary(max_size=80))
def test_any_bytes_are_refused_in_a_line(tmp_path_factory, head, tail):
    file = tmp_path_factory.getbasetemp() / "fuzz.png"
    file.write_bytes(head + tail)
    with pytest.raises(DataError) as e:
        MaskReader.of({"names": {0: "a"}})(file)
    assert "\n" not in str(e.value)


def test_more_classes_than_a_mask_holds_are_refused():
    assert len(MaskReader.of({"names": list(map(str, range(255)))}).names) == 255
    for count in (256, 300):  # number 255 is none
        with pytest.raises(ConfigError, match=f"{count} classes, and masks hold 255 at most"):
            MaskReader.of({"names": list(map(str, range(count)))})


@pytest.mark.parametrize(("dtype", "nodata"), [(np.int16, -9999), (np.float32, None)])
def test_no_data_are_not_among_the_others(tmp_path, dtype, nodata):
    rasterio = pytest.importorskip("rasterio")
    mask = np.array([[0, 1, 7, np.nan if nodata is None else nodata]], dtype)
    kind = {"height": 1, "width": 4, "count": 1, "dtype": dtype, "nodata": nodata, "crs": "EPSG:32632"}
    kind["transform"] = rasterio.transform.from_origin(0, 0, 1, 1)
    with rasterio.open(tmp_path / "m.tif", "w", driver="GTiff", **kind) as f:
        f.write(mask, 1)
    reader = MaskReader.of({"names": ["a", "b"], "label_mapping": {"others": 0}})
    assert reader(tmp_path / "m.tif").tolist() == [[0, 1, 0, 255]]

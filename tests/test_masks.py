"""Masks to boxes: regions, colours, kinds of files, and what is wrong with a mask."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from fakes import drops, make_fake, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.cli import run as cli
from rsdet.data.convert import convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.data.importers._images import BadImageError
from rsdet.data.importers.masks import colours, read_mask, regions
from rsdet.errors import ConfigError


def test_masks(tmp_path):
    data, log = read_dataset(make_fake("masks", tmp_path / "s"), "masks", ImportOptions(names=["ship"]))
    got = {r.stem: [o.xyxy_px for o in r.objects] for r in data.splits["train"]}
    assert got == {
        "P01_0_40_0_30": [(2, 2, 12, 6), (20, 10, 24, 28)],
        "P01_30_70_0_30": [(0, 0, 5, 5)],
        "P02_0_40_0_30": [],
        "P02_30_70_0_30": [(10, 10, 18, 18)],
        "P03_0_40_0_30": [(8, 8, 10, 10)],
        "alone": [],  # those with an unusable mask are no background
    }
    assert sorted(drops(log)) == [
        ("masks/P03_0_40_0_30.png", "region at x=1 y=1", "region too small"),
        ("masks/broken.png", "broken.jpg", "unreadable mask"),
        ("masks/lossy.jpg", "lossy.jpg", "lossy mask"),
        ("masks/nobody.png", "", "label without image"),
        ("masks/other.png", "other.jpg", "size does not fit"),
    ]
    assert [r.stem for r in data.splits["train"] if not r.has_label_file] == ["alone"]
    assert any(n.reason.startswith("touching objects of a class are one box") for n in log["train"].notes)


def test_masks_split_by_scene_on_the_command_line(tmp_path, capsys):
    source, out = make_fake("masks", tmp_path / "s"), tmp_path / "out"
    words = ["convert", f"source={source}", "format=masks", f"out={out}", "names=ship", "min_area_px=3"]
    assert cli([*words, "val_prefixes=P02,P03"]) == 0
    assert [p.stem for p in sorted((out / "labels/val").iterdir())] == [
        "P02_0_40_0_30",
        "P02_30_70_0_30",
        "P03_0_40_0_30",
    ]
    assert len((out / "labels/val/P03_0_40_0_30.txt").read_text().splitlines()) == 2
    assert not (out / "splits").exists()
    assert "touching objects" in capsys.readouterr().out
    assert cli([*words[:-2], "min_area_px=3"]) == 2
    assert "masks do not say what they show; give names=ship" in capsys.readouterr().err


@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([255], ()),
        ([2, 1], ("values 1, 2", "one class: a value beside the name is taken alone, names=s=1")),
        ([1, 255], ("values 1, 255", "one class, also 255, which often marks what is not judged: a value")),
        (range(1, 256), ("values 255, 1, 2, 3, 4, 5, 6, 7 and 247 more", "one class, also 255")),
        ([(0, 0, 255), (1, 1, 1)], ("values 1, #ff0000", "is taken alone, names=s=#ff0000")),
    ],
)  # fmt: skip
def test_values_that_became_one_class_are_told(tmp_path, maps, values, said):
    mask = np.zeros((16, 16, *np.shape(values)[1:]), np.uint8)
    mask.reshape(256, *mask.shape[2:])[: len(values)] = values
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), mask)
    _, log = read_dataset(tmp_path, "masks", ImportOptions(names=["s"], min_area_px=1, maps=maps))
    found = [n for n in log["train"].notes if n.where]
    assert [n.where for n in found] == list(said[:1])
    assert not said or said[1] in found[0].reason


def test_classes_by_colour(tmp_path):
    mask = np.zeros((20, 30, 3), np.uint8)
    mask[2:6, 2:10] = (0, 255, 0)
    mask[2:6, 10:14] = (0, 0, 255)  # touches, but is another class
    mask[15, 0:5] = (9, 9, 9)
    picture(tmp_path / "s/images/a.png", (30, 20))
    (tmp_path / "s/masks").mkdir()
    cv2.imwrite(str(tmp_path / "s/masks/a.png"), mask[..., ::-1])
    report = convert(tmp_path / "s", "masks", tmp_path / "out", names="land=#0000ff,ship=#00FF00", progress=False)
    assert report.names == ["land", "ship"]
    rows = [line.split() for line in (tmp_path / "out/labels/train/a.txt").read_text().splitlines()]
    sides = [(int(r[0]), float(r[1]) * 30, float(r[3]) * 30) for r in rows]
    assert sides == [(0, pytest.approx(12), pytest.approx(4)), (1, pytest.approx(6), pytest.approx(8))]
    assert [d.reason for d in report.dropped] == ["class left out: colour #090909, 5 px, is not among the names"]


@pytest.mark.parametrize(
    ("names", "result"),
    [
        (["ship"], (["ship"], None)),
        (["ship=1", "land = 2"], (["ship", "land"], {0x010101: 0, 0x020202: 1})),
        (["ship=#0a0B0c"], (["ship"], {0x0A0B0C: 0})),
        ([], "masks do not say"),
        (["ship", "land"], "must be a class and its colour"),
        (["ship=1", "land"], "must be a class and its colour"),
        (["ship=#00ff0"], "must be a class and its colour"),
        (["ship=256"], "must be a class and its colour"),
        (["=1"], "must be a class and its colour"),
        (["ship=1", "land=#010101"], "given twice"),
        (["ship=#000000"], "is black"),
    ],
)
def test_colours_of_names(names, result):
    if isinstance(result, str):
        with pytest.raises(ConfigError, match=result):
            colours(names)
    else:
        assert colours(names) == result


def test_kinds_of_mask_files(tmp_path):
    from PIL import Image

    values = np.zeros((12, 12), np.uint8)
    values[3, 4] = 2
    palette = Image.fromarray(values, "P")
    palette.putpalette([0, 0, 0, 1, 1, 1, 200, 100, 50] + [0] * 759)
    clear = np.zeros((12, 12, 4), np.uint8)
    clear[..., 0] = 255
    clear[3, 4] = (1, 2, 3, 255)
    for name, image, colour in (
        ("l", Image.fromarray(values), 0x020202),
        ("1", Image.fromarray(values > 0), 0xFFFFFF),
        ("p", palette, 0xC86432),
        ("rgba", Image.fromarray(clear), 0x010203),
    ):
        image.save(tmp_path / f"{name}.png")
        found = read_mask(tmp_path / f"{name}.png")
        assert found[3, 4] == colour, name
        assert np.count_nonzero(found) == 1, name
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(BadImageError, match="more than 8 bits"):
        read_mask(tmp_path / "deep.png")


@st.composite
def separate_rectangles(draw):
    """Rectangles in the cells of a grid, with at least one empty pixel between two of them."""
    found = []
    for row in range(3):
        for column in range(4):
            if draw(st.booleans()):
                w, h = draw(st.integers(1, 9)), draw(st.integers(1, 9))
                x, y = column * 10 + draw(st.integers(0, 9 - w)), row * 10 + draw(st.integers(0, 9 - h))
                found.append((x, y, x + w, y + h))
    return found


@settings(max_examples=100, deadline=None)
@given(separate_rectangles())
def test_drawn_rectangles_are_found(rectangles):
    mask = np.zeros((30, 40), bool)
    for x1, y1, x2, y2 in rectangles:
        mask[y1:y2, x1:x2] = True
    found = regions(mask)
    assert sorted(box for box, _ in found) == sorted(rectangles)
    assert sum(area for _, area in found) == mask.sum()
    assert all(area == (x2 - x1) * (y2 - y1) for (x1, y1, x2, y2), area in found)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.5))
def test_regions_are_those_of_scipy(seed, density):
    ndimage = pytest.importorskip("scipy.ndimage")
    mask = np.random.default_rng(seed).random((15, 17)) < density
    labels, n = ndimage.label(mask, structure=np.ones((3, 3)))
    want = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in ndimage.find_objects(labels)]
    found = regions(mask)
    assert sorted(box for box, _ in found) == sorted(want)
    assert sorted(area for _, area in found) == sorted(np.bincount(labels.ravel())[1:].tolist())
    assert len(found) == n


def test_real_masks(shared_data, tmp_path):
    source = shared_data / "hrsid-ship"
    if not source.is_dir():
        pytest.skip("hrsid-ship is not there")
    stated = re.search(r"(\d+) connected ship regions", (source / "README.md").read_text())[1]
    prefixes = ["P0013", "P0015", "P0016"]
    report = convert(source, "masks", tmp_path / "out", names=["ship"], val_prefixes=prefixes, progress=False)
    counts = report.counts
    assert counts["train"]["images"] + counts["val"]["images"] == 24
    assert counts["train"]["boxes"] + counts["val"]["boxes"] == int(stated) == 47
    scenes = {split: {name.split("_")[0] for name in report.splits[split].files} for split in ("train", "val")}
    assert scenes["val"] == set(prefixes)
    assert not scenes["val"] & scenes["train"]
    assert report.dropped == []

"""Two dates of one place: found in the layouts of public sets, matched by name, checked before anything learns."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet.data.dates import DatePair, LabelReader, check_pairs, date_pairs, read_dates, read_label, read_pair
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir
from rsdet.textfiles import read_yaml

PLAIN = ("A", "B", "label")


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def place(folder: Path, names=("a", "b"), layout=PLAIN, size=16, label=255, suffix=".png") -> Path:
    stripes = np.arange(size * size, dtype=np.int64).reshape(size, size) % 2
    for k, name in enumerate(names):
        rng = np.random.default_rng(k)
        for date in layout[:2]:
            write(folder / date / f"{name}{suffix}", rng.integers(0, 256, (size, size, 3), np.uint8))
        write(folder / layout[2] / f"{name}.png", (stripes * label).astype(np.uint8))
    return folder


OTHERS = [("A", "B", "OUT"), ("Image1", "Image2", "label"), ("time1", "time2", "label"), ("t1", "t2", "mask")]


@pytest.mark.parametrize("layout", [PLAIN, *OTHERS])
def test_layouts_of_public_sets_are_known(tmp_path, layout):
    place(tmp_path / "train", layout=layout)
    pairs = date_pairs({"path": tmp_path, "train": "train"}, "train")
    assert [p.before.name for p in pairs] == ["a.png", "b.png"]
    assert all((p.before.parent.name, p.after.parent.name, p.label.parent.name) == layout for p in pairs)
    stack = read_pair(pairs[0])
    assert stack.shape == (16, 16, 6)
    assert stack.dtype == np.uint8
    assert np.array_equal(stack[..., 3:], cv2.imread(str(pairs[0].after))[..., ::-1])  # the later date last, RGB
    assert np.array_equal(np.unique(read_label(pairs[0])), [0, 1])


def test_folders_by_name_by_split_and_beside(tmp_path):
    place(tmp_path / "train", layout=("2018", "2022", "change"))
    named = {"path": tmp_path, "train": "train", "t1": "2018", "t2": "2022", "label": "change"}
    assert len(date_pairs(named, "train")) == 2
    spelled = {"path": tmp_path, "val": {"t1": "train/2018", "t2": "train/2022", "label": "train/change"}}
    assert date_pairs(spelled, "val") == date_pairs(named, "train")
    for date in PLAIN:  # A/train, as often as train/A
        place(tmp_path / "other", layout=PLAIN)
        shutil.move(tmp_path / "other" / date, tmp_path / date / "train")
    assert len(date_pairs({"path": tmp_path, "train": "train", "t1": "A", "t2": "B", "label": "label"}, "train")) == 2


def test_lists_of_names_and_of_files(tmp_path):
    place(tmp_path, names=("a", "b", "c"))
    (tmp_path / "list").mkdir()
    (tmp_path / "list/train.txt").write_text("c.png\na.png\n")
    (tmp_path / "rows.csv").write_text("label,t2,t1\nlabel/b.png,B/b.png,A/b.png\n")
    (tmp_path / "list/own.txt").write_text("./../A/a.png, ./../B/a.png, ./../label/a.png\n")
    data = {"path": tmp_path, "train": "list/train.txt", "val": "rows.csv", "test": ["list/own.txt", "rows.csv"]}
    assert [p.after.name for p in date_pairs(data, "train")] == ["c.png", "a.png"]
    assert date_pairs(data, "val") == [DatePair(*(tmp_path / d / "b.png" for d in PLAIN))]
    assert [p.before.name for p in date_pairs(data, "test")] == ["a.png", "b.png"]
    (tmp_path / "list/train.txt").write_text("c.png\na.png\nc\n")
    with pytest.raises(DataError, match=r"1 pairs that train names more than once: .*c.png"):
        date_pairs(data, "train")
    (tmp_path / "list/train.txt").write_text("c.png\nzz.png\nyy.png\n")
    with pytest.raises(DataError, match=r"2 lines of train.txt whose earlier date is not there.*yy.png"):
        date_pairs(data, "train")


def test_labels_may_end_otherwise_and_be_missing_where_nobody_asks(tmp_path):
    place(tmp_path / "train", suffix=".bmp")
    data = {"path": tmp_path, "train": "train"}
    assert [p.label.name for p in date_pairs(data, "train")] == ["a.png", "b.png"]
    (tmp_path / "train/label/b.png").unlink()
    assert [p.label is None for p in date_pairs(data, "train", labelled=False)] == [False, True]
    with pytest.raises(DataError, match="1 names without a label: b"):
        date_pairs(data, "train")


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    place(
        tmp_path / "train", names=("sizes", "twice", "values", "label_size", "lonely", "later", "cut", "gray", "good")
    )
    t = tmp_path / "train"
    write(t / "B/sizes.png", np.zeros((8, 8, 3), np.uint8))
    shutil.copy(t / "A/twice.png", t / "B/twice.png")
    write(t / "label/values.png", np.full((16, 16), 7, np.uint8))
    write(t / "label/label_size.png", np.zeros((8, 8), np.uint8))
    (t / "B/lonely.png").unlink()
    (t / "A/later.png").unlink()
    whole = (t / "A/cut.png").read_bytes()
    (t / "A/cut.png").write_bytes(whole[: len(whole) // 2])
    write(t / "label/cut.png", np.full((16, 16), 9, np.uint8))  # its date cannot be read, and it is wrong by itself
    write(t / "B/gray.png", np.zeros((16, 16), np.uint8))
    with pytest.raises(DataError) as e:
        read_dates({"path": tmp_path, "train": "train"}, ("train",))
    for word in (
        "sizes.png (16x16 and 8x8)", "one picture", "values.png holds values that are not declared: 7 (256 px)",
        "label_size.png (8x8, its dates 16x16)", "without a later date: lonely", "cut.png is cut short", "gray.png",
        "without an earlier date: later", "cut.png holds values that are not declared: 9",
    ):  # fmt: skip
        assert word in str(e.value)
    assert "good" not in str(e.value)
    assert "\n" not in str(e.value)


def test_a_single_date_is_named(tmp_path):
    place(tmp_path / "train")
    shutil.rmtree(tmp_path / "train/B")
    with pytest.raises(DataError, match=r"single date: .*A is there, and no folder B"):
        date_pairs({"path": tmp_path, "train": "train"}, "train")
    with pytest.raises(ConfigError, match="no val:"):
        date_pairs({"path": tmp_path, "train": "train"}, "val")
    with pytest.raises(DataError, match=r"train: nowhere: there is no .*nowhere"):
        date_pairs({"path": tmp_path, "train": "nowhere"}, "train")
    with pytest.raises(DataError, match=r"there is no .*list.txt"):
        date_pairs({"path": tmp_path, "train": "list.txt"}, "train")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="Image1 and Image2"):
        date_pairs({"path": tmp_path, "train": "void"}, "train")


def test_a_link_or_a_copy_of_a_date_is_no_second_date(tmp_path):
    a = write(tmp_path / "a.bmp", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "link.bmp").symlink_to(a)
    other = write(tmp_path / "b.bmp", np.ones((8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="one picture"):
        check_pairs([DatePair(a, tmp_path / "link.bmp")])
    with pytest.raises(DataError, match="one picture"):
        check_pairs([DatePair(a, a)])
    check_pairs([DatePair(a, other)])


def test_values_mean_what_is_declared(tmp_path):
    values = np.array([[0, 1, 128, 255]], np.uint8)
    one, both = write(tmp_path / "one.png", values[:, :2]), write(tmp_path / "both.png", values[:, [0, 1, 3]])
    grey = write(tmp_path / "grey.png", values[:, [0, 2, 3]])
    assert LabelReader()(one).tolist() == [[0, 1]]
    with pytest.raises(DataError, match=r"128 \(1 px\)"):
        LabelReader()(grey)
    assert LabelReader.of({"label_mapping": {128: "ignore"}})(grey).tolist() == [[0, 255, 1]]
    assert LabelReader.of({"label_threshold": 100})(grey).tolist() == [[0, 1, 1]]
    with pytest.raises(DataError, match="both 1 and 255"):
        LabelReader()(both)
    assert LabelReader.of({"label_mapping": {1: 1, 255: "ignore"}})(both).tolist() == [[0, 1, 255]]
    colour = write(tmp_path / "colour.png", np.dstack([values, values, 0 * values]))
    with pytest.raises(DataError, match="colours"):
        LabelReader()(colour)


def test_a_set_cannot_use_1_and_255_for_one_thing_in_two_files(tmp_path):
    place(tmp_path / "train", names=("a",))
    place(tmp_path / "train", names=("b",), label=1)
    data = {"path": tmp_path, "train": "train"}
    with pytest.raises(DataError, match="both 1 and 255"):
        read_dates(data, ("train",))
    assert len(read_dates({**data, "label_mapping": {1: 1, 255: 1}}, ("train",))["train"]) == 2


def test_dates_on_two_grids_are_refused(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    def raster(name: str, east: float, epsg: int = 32648) -> Path:
        pixels = np.random.default_rng(len(name)).integers(0, 255, (3, 16, 16), np.uint8)
        profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 3, "dtype": "uint8"}
        with rasterio.open(
            tmp_path / name, "w", crs=f"EPSG:{epsg}", transform=from_origin(east, 3e6, 2, 2), **profile
        ) as f:
            f.write(pixels)
        return tmp_path / name

    first, moved, zone = raster("a.tif", 5e5), raster("bb.tif", 5e5 + 6), raster("ccc.tif", 5e5, 32647)
    check_pairs([DatePair(first, raster("dddd.tif", 5e5 + 0.01))])
    with pytest.raises(DataError, match=r"2 pairs on two grids: .*3\.0 pixels beside .*EPSG:32647"):
        check_pairs([DatePair(first, moved), DatePair(first, zone)])


def test_bands_and_missing_data(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    files = []
    for name in ("a", "b"):
        pixels = np.arange(4 * 64, dtype=np.uint16).reshape(4, 8, 8) + 1000 * (name == "b")
        pixels[:, 0, 0] = 9
        with rasterio.open(
            tmp_path / f"{name}.tif", "w", driver="GTiff", width=8, height=8, count=4, dtype="uint16", nodata=9
        ) as f:
            f.write(pixels)
        files.append(tmp_path / f"{name}.tif")
    pair = DatePair(*files)
    stack = read_pair(pair, bands=[4, 1])
    assert stack.shape == (8, 8, 4)
    assert stack.dtype == np.uint16
    assert stack[0, 0].tolist() == [0] * 4
    assert stack[7, 7].tolist() == [255, 63, 1255, 1063]
    with pytest.raises(DataError, match="has 4 bands, bands= asks for 5"):
        check_pairs([pair], bands=[5])
    with pytest.raises(DataError, match="4 channels, 3 are needed"):
        check_pairs([pair], channels=3)
    with pytest.raises(DataError, match="bring both onto one grid"):
        read_pair(DatePair(files[0], write(tmp_path / "c.png", np.zeros((8, 8, 3), np.uint8))))


def test_a_place_in_two_splits_is_told(tmp_path, caplog):
    place(tmp_path / "train")
    read_dates({"path": tmp_path, "train": "train", "val": "train"})
    assert "2 places are in train and in val" in caplog.text


def test_a_place_of_two_splits_without_a_date_counts_once(tmp_path):
    (place(tmp_path / "train", names=("a", "b", "c")) / "B/a.png").unlink()
    (tmp_path / "list.txt").write_text("a\nb\nd\n")
    lists = {"path": tmp_path / "train", "train": "../list.txt", "val": "../list.txt"}
    for data, said in (
        ({"path": tmp_path, "train": "train", "val": "train"}, r": 1 names without a later date: a \(of 3\)"),
        (lists, r": 2 lines of list.txt whose later date.*; 1 lines of list.txt whose earlier date.* \(of 3\)"),
    ):
        with pytest.raises(DataError, match=said):
            read_dates(data)


SHIPPED = ("levir-cd", "whu-cd", "s2looking", "cdd", "sysu-cd")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_sets_say_what_every_set_says_and_find_files_that_lie_deep(name, tmp_path, monkeypatch):
    content = read_yaml(datasets_dir() / f"{name}.yaml")
    assert all(content[key] for key in ("licence", "homepage", "citation", "instruction", "splits", "names"))
    monkeypatch.setattr("rsdet.data.resolve.datasets_root", lambda: tmp_path)
    with pytest.raises(DataError, match=f"{name}: no files in .*{name}-original; download"):
        resolve_data(name, "change")
    base = tmp_path / f"{name}-original" / "unpacked"
    layout, suffix = (content["t1"], content["t2"], content["label"]), ".jpg" if name == "cdd" else ".png"
    for split in ("train", "val", "test"):
        listed = content[split].endswith(".txt")
        folder = place(base if listed else base / content[split], names=(split,), layout=layout)
        if listed:
            (base / "list").mkdir(exist_ok=True)
            (base / content[split]).write_text(f"{split}.png\n")
        if suffix == ".jpg":
            label = folder / layout[2] / f"{split}.png"
            write(label.with_suffix(".jpg"), cv2.imread(str(label), 0))
            label.unlink()
    ready = resolve_data(name, "change")
    assert ready == tmp_path / name / f"{name}.yaml"
    found = read_dates(read_yaml(ready), ("train", "val", "test"), name)
    assert [pairs[0].before.stem for pairs in found.values()] == ["train", "val", "test"]
    with pytest.raises(ConfigError, match="is for task=change"):
        resolve_data(name, "detect")


def test_real_pairs_of_two_public_sets(shared_data):
    shared = shared_data / "change-pairs"
    if not shared.is_dir():
        pytest.skip(f"no real pairs in {shared}")
    counts = {}
    for name in ("levir-cd", "dsifn-cd"):
        pairs = read_dates({"path": shared / name, "all": "."}, ("all",))["all"]
        counts[name] = len(pairs)
        assert all(read_pair(p).shape == (256, 256, 6) for p in pairs)
        assert sum(bool((read_label(p) == 1).any()) for p in pairs) >= len(pairs) - 1
    assert counts == {"levir-cd": 8, "dsifn-cd": 7}

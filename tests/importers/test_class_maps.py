"""``convert task=semantic``: what says where classes are becomes masks of class numbers; what is dropped is told."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet import cli
from rsdet.data.convert import ConvertReport, convert
from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.errors import ConfigError, DataError, RSDetError


def picture(path: Path, size=(24, 32)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8))
    return path


def mask(out: Path, name: str = "a", split: str = "train") -> np.ndarray:
    return cv2.imread(str(out / "masks" / split / f"{name}.png"), cv2.IMREAD_UNCHANGED)


def names(report: ConvertReport) -> dict[int, str]:
    content = yaml.safe_load(report.data_yaml.read_text())
    assert content["task"] == "semantic"
    assert content["masks_dir"] == "masks"
    return content["names"]


def reasons(report: ConvertReport) -> str:
    return "\n".join(d.reason for d in report.dropped)


def runs(pixels: np.ndarray) -> dict:
    """COCO's run lengths, counted pixel by pixel down the columns."""
    counts, value, n = [], 0, 0
    for p in pixels.T.ravel().tolist():
        if bool(p) != bool(value):
            counts.append(n)
            value, n = p, 0
        n += 1
    return {"size": list(pixels.shape), "counts": [*counts, n]}


# -- COCO -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def panoptic(tmp_path: Path) -> Path:
    root = tmp_path / "coco"
    picture(root / "val2017" / "a.jpg")
    ids = np.zeros((24, 32), np.int64)
    ids[:8], ids[8:16, :16], ids[8:16, 16:], ids[20:] = 7, 256 * 3 + 9, 65536 * 2 + 1, 4  # 16 to 19 is void
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], 2).astype(np.uint8)
    (root / "annotations" / "panoptic_val2017").mkdir(parents=True)
    cv2.imwrite(str(root / "annotations" / "panoptic_val2017" / "a.png"), rgb[..., ::-1])
    segments = [
        {"id": 7, "category_id": 11, "iscrowd": 0}, {"id": 777, "category_id": 11, "iscrowd": 1},
        {"id": 131073, "category_id": 99}, {"id": 12345, "category_id": 12},
    ]  # fmt: skip
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 32, "height": 24}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [{"image_id": 1, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": 11, "name": "car", "isthing": 1}, {"id": 12, "name": "grass", "isthing": 0}],
    }
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content))
    return root


def test_panoptic_segments_are_classes_and_all_that_is_none_is_told(panoptic, tmp_path):
    report = convert(panoptic, "coco-panoptic", tmp_path / "out", task="semantic", progress=False)
    assert names(report) == {0: "car", 1: "grass"}  # every pixel is said, so there is no background
    found = mask(tmp_path / "out", split="val")
    assert (found[:8] == 0).all()  # red is the lowest byte
    assert (found[8:16, :16] == 0).all()  # a crowd has its class
    assert (found[8:16, 16:] == 255).all()  # of an unknown category
    assert (found[16:] == 255).all()  # void, and a number of no segment
    told = reasons(report)
    assert "category_id 99" in told
    assert "segment without class: 128 px" in told
    assert "image without annotation" in told
    assert "segment without pixel: class grass" in "\n".join(n.reason for n in report.notes)
    assert report.splits["val"].forms["crowd taken for its class"] == {"car": 1}
    assert report.splits["val"].pixels == {"car": 8 * 32 + 8 * 16, "grass": 0, "255": 12 * 32 - 8 * 16 + 8 * 16}


def test_categories_that_are_not_asked_for_are_background(panoptic, tmp_path):
    report = convert(panoptic, "coco-panoptic", tmp_path / "out", task="semantic", names=["grass"], progress=False)
    found = mask(tmp_path / "out", split="val")
    assert names(report) == {0: "grass"}
    assert (found[:8] == 0).all()
    assert (found[20:] == 255).all()


def test_a_png_of_another_size_is_refused(panoptic, tmp_path):
    picture(panoptic / "annotations" / "panoptic_val2017" / "a.png", (20, 32))
    with pytest.raises(DataError, match="size does not fit"):
        convert(panoptic, "coco-panoptic", tmp_path / "out", task="semantic", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format", ["coco-panoptic", "ai4mars", "bijie-landslide"])
def test_maps_are_no_boxes(panoptic, tmp_path, format):
    with pytest.raises(ConfigError, match="task=semantic"):
        convert(panoptic, format, tmp_path / "out", progress=False)


json_value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 10**9), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)
segment = st.fixed_dictionaries({}, optional={"id": json_value, "category_id": json_value, "iscrowd": json_value})
entry = st.fixed_dictionaries(
    {"segments_info": st.one_of(json_value, st.lists(st.one_of(segment, json_value), max_size=3))},
    optional={"image_id": st.one_of(st.just(1), json_value), "file_name": st.one_of(st.just("a.png"), json_value)},
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(entry, json_value), max_size=3), st.lists(json_value, max_size=2))
def test_any_panoptic_json_is_answered_or_reported(tmp_path_factory, annotations, categories):
    root = tmp_path_factory.mktemp("p")
    picture(root / "images" / "a.jpg")
    picture(root / "panoptic" / "a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": annotations,
        "categories": [{"id": 1, "name": "x"}, *categories],
    }  # fmt: skip
    (root / "panoptic.json").write_text(json.dumps(content))
    try:
        data, log = read_dataset(root, "coco-panoptic", ImportOptions(task="segment", maps=True))
    except RSDetError:
        return
    json.dumps([part.dropped for part in log.values()])
    for record in (r for records in data.splits.values() for r in records):
        assert record.class_map().shape == (record.height, record.width)


def coco(root: Path, annotations: list[dict]) -> Path:
    picture(root / "images" / "a.jpg")
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 32, "height": 24}],
        "annotations": [{"id": i, "image_id": 1, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": 1, "name": "car"}, {"id": 92, "name": "sky"}],
    }
    (root / "stuff.json").write_text(json.dumps(content))
    return root


def test_stuff_in_run_lengths_keeps_its_holes(tmp_path):
    sky = np.ones((24, 32), bool)
    sky[5:9, 3:20] = sky[14:, :] = False
    crowd = np.zeros((24, 32), bool)
    crowd[15:18, 2:6] = True
    car = [10.0, 12.0, 20.0, 12.0, 20.0, 18.0, 10.0, 18.0]
    root = coco(tmp_path / "coco", [
        {"category_id": 92, "segmentation": runs(sky), "bbox": [0, 0, 32, 14]},
        {"category_id": 1, "segmentation": [car], "bbox": [10, 12, 10, 6]},
        {"category_id": 1, "segmentation": runs(crowd), "bbox": [2, 15, 4, 3], "iscrowd": 1},
        {"category_id": 1, "bbox": [25, 16, 4, 4]},  # a box says not which of its pixels are the car
        {"category_id": 1, "segmentation": [[0, 20, 8, 20, 8, 24, 0, 24]], "bbox": [0, 20, 8, 4], "ignore": 1},
    ])  # fmt: skip
    report = convert(root, "coco", tmp_path / "out", task="semantic", progress=False)
    want = np.full((24, 32), 2)
    want[sky] = 1
    want[12:18, 10:20] = 0
    want[crowd] = 0
    want[20:, :8] = 255
    assert names(report) == {0: "car", 1: "sky", 2: "background"}
    assert np.array_equal(mask(tmp_path / "out"), want)
    assert "no polygon: only an upright box is known" in reasons(report)
    assert report.splits["train"].forms["pixels of two classes, given to the smaller object"] == {"sky": 20}
    convert(root, "coco", tmp_path / "none", task="semantic", background="ignore", progress=False)
    assert np.array_equal(mask(tmp_path / "none"), np.where(want == 2, 255, want))
    convert(root, "coco", tmp_path / "sky", task="semantic", background="sky", progress=False)
    assert np.array_equal(mask(tmp_path / "sky"), np.where(want == 2, 1, want))


def test_a_second_call_writes_nothing_and_follows_the_source(tmp_path):
    root = coco(
        tmp_path / "coco", [{"category_id": 1, "segmentation": [[2, 2, 9, 2, 9, 9, 2, 9]], "bbox": [2, 2, 7, 7]}]
    )
    run = dict(source=root, format="coco", out=tmp_path / "out", task="semantic", names=["car"], progress=False)
    convert(**run)
    file = tmp_path / "out" / "masks" / "train" / "a.png"
    before = file.stat().st_mtime_ns, file.stat().st_ino
    convert(**run)
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before
    with pytest.raises(DataError, match="task=semantic"):
        convert(**{**run, "split": "val", "task": "detect"})
    (root / "images" / "a.jpg").rename(root / "images" / "b.jpg")
    (root / "stuff.json").write_text((root / "stuff.json").read_text().replace("a.jpg", "b.jpg"))
    convert(**run)
    assert not file.exists()
    assert (mask(tmp_path / "out", "b") == 1).sum() == 49


@pytest.mark.parametrize(
    ("given", "said"),
    [({"to": "coco"}, "to=coco"), ({"to": "dota"}, "to=dota"), ({"names": ["car"], "background": "ignore"}, "car")],
)
def test_what_masks_cannot_be_is_said(tmp_path, given, said):
    root = coco(tmp_path / "coco", [{"category_id": 1, "segmentation": [[2, 2, 9, 2, 9, 9]], "bbox": [2, 2, 7, 7]}])
    with pytest.raises(ConfigError, match=said):
        convert(root, "coco", tmp_path / "out", task="semantic", progress=False, **given)


# -- masks ------------------------------------------------------------------------------------------------------------


def pair(root: Path, values: np.ndarray, name: str = "a", folder: str = "masks", end: str = "") -> None:
    picture(root / "images" / f"{name}.jpg", values.shape[:2])
    (root / folder).mkdir(exist_ok=True)
    cv2.imwrite(str(root / folder / f"{name}{end}.png"), values)


@pytest.mark.parametrize(("folder", "end"), [("masks", ""), ("labels", "_mask"), ("gt", "_label")])
def test_folders_of_masks(tmp_path, folder, end):
    values = np.random.default_rng(0).integers(0, 3, (24, 32)).astype(np.uint8)
    pair(tmp_path / "in", values, folder=folder, end=end)
    picture(tmp_path / "in" / "images" / "lonely.jpg")
    run = dict(format="masks", task="semantic", progress=False)
    report = convert(tmp_path / "in", out=tmp_path / "plain", names=["a", "b", "c"], **run)
    assert names(report) == {0: "a", 1: "b", 2: "c"}
    assert np.array_equal(mask(tmp_path / "plain"), values)
    assert sorted(p.name for p in (tmp_path / "plain" / "images" / "train").iterdir()) == ["a.jpg"]
    assert "picture without mask" in reasons(report)
    report = convert(tmp_path / "in", out=tmp_path / "numbers", names=["b=2", "a=1"], **run)
    assert names(report) == {0: "b", 1: "a", 2: "background"}
    assert np.array_equal(mask(tmp_path / "numbers"), np.array([2, 1, 0])[values])
    report = convert(tmp_path / "in", out=tmp_path / "one", names=["thing"], **run)
    assert np.array_equal(mask(tmp_path / "one"), values > 0)
    report = convert(tmp_path / "in", out=tmp_path / "few", names=["a", "b"], **run)
    assert np.array_equal(mask(tmp_path / "few"), np.array([0, 1, 255])[values])
    assert f"2 ({(values == 2).sum()} px)" in reasons(report)


def test_a_data_yaml_says_what_colours_mean(tmp_path):
    values = np.zeros((24, 32, 3), np.uint8)
    values[:, 10:20] = (255, 0, 0)  # BGR
    values[:, 20:] = (0, 0, 255)
    values[0, 0] = (1, 1, 0)
    pair(tmp_path / "in", values)
    spec = {"names": {0: "water", 1: "road"}, "palette": {"water": "#0000ff", "road": "#ff0000", "ignore": "#000000"}}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec))
    report = convert(
        tmp_path / "in", "masks", tmp_path / "out", task="semantic", names=str(tmp_path / "spec.yaml"), progress=False
    )
    want = np.full((24, 32), 255)
    want[:, 10:20], want[:, 20:] = 0, 1
    assert np.array_equal(mask(tmp_path / "out"), want)
    assert "#000101 (1 px), the first at x=0 y=0" in reasons(report)
    text = "water=#0000ff,road=#ff0000"
    report = convert(tmp_path / "in", "masks", tmp_path / "text", task="semantic", names=text, progress=False)
    want[want == 255] = 2
    want[0, 0] = 255
    assert np.array_equal(mask(tmp_path / "text"), want)


def test_masks_are_cut_with_their_pictures(tmp_path):
    values = np.zeros((60, 70), np.uint8)
    values[:30, :30], values[40:, 50:] = 1, 255
    pair(tmp_path / "in", values)
    run = dict(format="masks", task="semantic", names=["thing=1"], tile=20, overlap=0, progress=False)
    report = convert(tmp_path / "in", out=tmp_path / "out", empty=0, **run)
    tiles = sorted((tmp_path / "out" / "masks" / "train").iterdir())
    assert len(tiles) == 4
    for tile in tiles:
        left, top = (int(v) for v in tile.stem.replace("_y", "__x").split("__x")[1:])
        assert np.array_equal(cv2.imread(str(tile), -1), values[top : top + 20, left : left + 20])
        shown = cv2.imread(str(tmp_path / "out" / "images" / "train" / tile.name))
        whole = cv2.imread(str(tmp_path / "in" / "images" / "a.jpg"))
        assert np.array_equal(shown, whole[top : top + 20, left : left + 20])
    assert report.splits["train"].counts["left out"] == 3 * 4 - 4
    every = convert(tmp_path / "in", out=tmp_path / "all", empty=99, **run)
    assert every.splits["train"].counts["images"] == 11  # one has no pixel with a class


def test_lossy_and_strange_masks_are_dropped_by_name(tmp_path):
    pair(tmp_path / "in", np.zeros((24, 32), np.uint8), "a")
    pair(tmp_path / "in", np.zeros((20, 32), np.uint8), "b")
    picture(tmp_path / "in" / "images" / "b.jpg")
    picture(tmp_path / "in" / "images" / "c.jpg")
    cv2.imwrite(str(tmp_path / "in" / "masks" / "c.jpg"), np.zeros((24, 32), np.uint8))
    report = convert(tmp_path / "in", "masks", tmp_path / "out", task="semantic", names=["x", "y"], progress=False)
    told = reasons(report)
    assert "the mask has 32 x 20 px" in told
    assert "compression may change values" in told
    assert report.counts["train"]["images"] == 1


def test_the_owners_layout_of_ai4mars(tmp_path):
    root = tmp_path / "msl"
    for folder in ("images/edr", "images/mxy", "images/rng-30m", "labels/train"):
        (root / folder).mkdir(parents=True)
    for test in ("masked-gold-min1-100agree", "masked-gold-min3-100agree"):
        (root / "labels" / "test" / test).mkdir(parents=True)
    values = np.full((24, 32), 255, np.uint8)
    values[:, :16] = 3
    for name in ("NLA_1EDR_F", "NLA_2EDR_F", "NLA_3EDR_F"):
        picture(root / "images" / "edr" / f"{name}.JPG")
    cv2.imwrite(str(root / "labels" / "train" / "NLA_1EDR_F.png"), values)
    for test, add in (("masked-gold-min1-100agree", 1), ("masked-gold-min3-100agree", 0)):
        cv2.imwrite(str(root / "labels" / "test" / test / "NLA_2EDR_F_merged.png"), values // 2 * 2 + add)
    rover = np.zeros((24, 32), np.uint8)
    rover[:4] = 1
    cv2.imwrite(str(root / "images" / "mxy" / "NLA_1MXY_F.png"), rover)
    cv2.imwrite(str(root / "images" / "rng-30m" / "NLA_1RNG_F.png"), rover[::-1])
    values[values < 255] = 2
    cv2.imwrite(str(root / "labels" / "test" / "masked-gold-min3-100agree" / "NLA_2EDR_F_merged.png"), values)
    report = convert(root, "ai4mars", tmp_path / "out", task="semantic", progress=False)
    assert names(report) == {0: "soil", 1: "bedrock", 2: "sand", 3: "big rock"}
    found = mask(tmp_path / "out", "NLA_1EDR_F")
    assert (found[4:20, :16] == 3).all()
    assert (found == 3).sum() == 16 * 16
    assert (mask(tmp_path / "out", "NLA_2EDR_F", "test") == values).all()
    assert report.counts["train"]["images"] == report.counts["test"]["images"] == 1


def test_the_owners_layout_of_bijie(tmp_path):
    root = tmp_path / "Bijie-landslide-dataset"
    values = np.zeros((24, 32), np.uint8)
    values[5:9] = 255
    for place in ("landslide", "non-landslide"):
        for i in range(2):
            picture(root / place / "image" / f"{place[0]}{i}.png")
            picture(root / place / "dem" / f"{place[0]}{i}.png")
    (root / "landslide" / "mask").mkdir()
    cv2.imwrite(str(root / "landslide" / "mask" / "l0.png"), values)
    report = convert(root, "bijie-landslide", tmp_path / "out", task="semantic", progress=False)
    assert names(report) == {0: "landslide"}
    assert np.array_equal(mask(tmp_path / "out", "l0"), values > 0)
    assert (mask(tmp_path / "out", "n1") == 0).all()
    assert report.counts["train"]["images"] == 3
    assert "picture without mask" in reasons(report)


def test_the_command_line_makes_a_set_that_trains(tmp_path, capsys):
    values = np.zeros((64, 64), np.uint8)
    values[:, 20:] = 7
    for name in "ab":
        pair(tmp_path / "in", values, name)
    line = f"convert source={tmp_path / 'in'} format=masks task=semantic names=slide=7 out={tmp_path / 'out'}"
    assert cli.run(line.split()) == 0
    assert "pixels of train: background 31.2 %, slide 68.8 %" in capsys.readouterr().out
    from semantic_fakes import TRAIN, model_yaml

    from rsdet import RSDet

    model = RSDet(model_yaml(tmp_path, 1))
    model.train(data=tmp_path / "out" / "out.yaml", project=str(tmp_path / "runs"), **TRAIN)
    metrics = model.val(data=tmp_path / "out" / "out.yaml", plots=False, imgsz=64, workers=0)
    assert metrics.scores.matrix.sum(1).tolist() == [2 * 64 * 20, 2 * 64 * 44]

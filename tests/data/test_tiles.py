"""Pictures cut into tiles: what of each object is where, put together again and compared with the untiled truth."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from fakes import contents

from rsdet.data.annotations import Annotation, Dataset, ImageRecord, ImportLog
from rsdet.data.convert import convert
from rsdet.data.forms import area, give_form
from rsdet.data.importers import read_dataset
from rsdet.data.report import ConvertReport
from rsdet.data.splitting import scene_of, seeded_split
from rsdet.data.tiles import Cutting, cut_dataset
from rsdet.errors import ConfigError, DataError
from rsdet.geometry import corners_to_xywhr, polygon_iou, xywhr_to_corners

NAMES = ["car", "harbor"]
PLACE = re.compile(r"(.*)__x(\d+)_y(\d+)$")


def place(name: str) -> tuple[str, int, int]:
    stem, x, y = PLACE.fullmatch(Path(name).stem).groups()
    return stem, int(x), int(y)


def scene(objects: list[Annotation], width=1000, height=700, name="scene") -> tuple[Dataset, ImportLog]:
    return Dataset(NAMES, {"train": [ImageRecord(f"{name}.png", width, height, objects=objects)]}), ImportLog()


def random_objects(task: str, n: int = 100, width=1000, height=700, seed=0) -> list[Annotation]:
    """Objects of 4 to 200 px, many of them across the edges of the picture, each with its number as its origin."""
    rng, made = np.random.default_rng(seed), []
    for i in range(n):
        xywhr = [*rng.uniform(0, [width, height]), *np.exp(rng.uniform(np.log(4), np.log(200), 2)), rng.uniform(0, 3)]
        xywhr[4] = 0 if task == "detect" else xywhr[4]
        ring = xywhr_to_corners([xywhr])[0]
        (x1, y1), (x2, y2) = np.clip(ring.min(0), 0, [width, height]), np.clip(ring.max(0), 0, [width, height])
        if min(x2 - x1, y2 - y1) > 1:
            rings = () if task == "detect" else (tuple(ring.ravel().tolist()),)
            made.append(Annotation(i % 2, (x1, y1, x2, y2), rings, origin=("labels.txt", i)))
    return made


@pytest.mark.parametrize("task", ["detect", "obb", "segment"])
@pytest.mark.parametrize(("tile", "overlap"), [(256, 64), (333, 10), (2000, 0), (150, 90)])
def test_no_object_is_lost_in_silence_and_none_is_moved(task, tile, overlap):
    dataset, log = scene(random_objects(task))
    give_form(dataset, log, task)
    whole = {item.origin[1]: item for item in dataset.splits["train"][0].objects}
    cut_dataset(dataset, log, Cutting(tile, overlap, keep=0.4), task)
    seen = defaultdict(list)
    for record in dataset.splits["train"]:
        _, left, top = place(record.name)
        for item in record.objects:
            x1, y1, x2, y2 = item.xyxy_px
            assert -1e-9 <= x1 < x2 <= record.width + 1e-9
            assert -1e-9 <= y1 < y2 <= record.height + 1e-9
            seen[item.origin[1]].append((item, left, top))
    lost = {int(d.where) for d in log["train"].dropped if d.reason.startswith("in no tile")}
    assert seen.keys() | lost == whole.keys()
    assert not seen.keys() & lost
    assert sum(log["train"].lost.values()) == len(lost)
    for number, parts in seen.items():
        there = whole[number]
        for item, left, top in parts:
            assert item.cls == there.cls
            if task == "detect":
                _, _, w, h = *there.xyxy_px[:2], *np.subtract(there.xyxy_px[2:], there.xyxy_px[:2])
                x1, y1, x2, y2 = np.add(item.xyxy_px, [left, top, left, top])
                assert (x2 - x1) * (y2 - y1) >= 0.4 * w * h - 1e-6
                inside = np.array([there.xyxy_px[:2], (x1, y1), (x2, y2), there.xyxy_px[2:]])
                assert (np.diff(inside, axis=0) >= -1e-9).all()
            elif task == "segment":
                (ring,), (truth,) = item.polygons_px, there.polygons_px
                moved = np.add(np.reshape(ring, (-1, 2)), [left, top])
                share = area(ring) / area(truth)
                assert 0.4 - 1e-6 <= share <= 1 + 1e-6
                if len(ring) >= 6:
                    both = polygon_iou(moved[None], np.reshape(truth, (1, -1, 2)))[0]
                    assert both == pytest.approx(share, abs=1e-6)  # a part of the truth and nothing else


@pytest.mark.parametrize("task", ["detect", "segment"])
def test_boxes_of_all_tiles_together_are_the_truth(task):
    """With an overlap of 0 and all rests kept, the parts cover each object once."""
    dataset, log = scene(random_objects(task))
    give_form(dataset, log, task)
    whole = {i.origin[1]: (i.xyxy_px, i.polygons_px) for i in dataset.splits["train"][0].objects}
    cut_dataset(dataset, log, Cutting(100, 0, keep=0), task)
    edges, areas = {}, Counter()
    for record in dataset.splits["train"]:
        _, left, top = place(record.name)
        for item in record.objects:
            x1, y1, x2, y2 = np.add(item.xyxy_px, [left, top, left, top])
            a1, b1, a2, b2 = edges.get(item.origin[1], (x1, y1, x2, y2))
            edges[item.origin[1]] = min(a1, x1), min(b1, y1), max(a2, x2), max(b2, y2)
            w, h = np.subtract(item.xyxy_px[2:], item.xyxy_px[:2])
            areas[item.origin[1]] += w * h if task == "detect" else sum(map(area, item.polygons_px))
    assert edges.keys() == whole.keys()
    for number, (box, rings) in whole.items():
        corners = np.reshape([v for ring in rings for v in ring] or box, (-1, 2))
        np.testing.assert_allclose(edges[number], [*corners.min(0), *corners.max(0)], atol=0.02)
        w, h = np.subtract(box[2:], box[:2])
        assert areas[number] == pytest.approx(w * h if task == "detect" else sum(map(area, rings)), rel=1e-2, abs=0.05)


def test_an_object_that_fits_into_the_overlap_is_whole_in_some_tile():
    rng = np.random.default_rng(1)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in np.c_[rng.uniform(0, 940, (200, 2)), rng.uniform(2, 60, (200, 2))]]
    dataset, log = scene([Annotation(0, b, origin=("a", i)) for i, b in enumerate(boxes)], 1000, 1000)
    cut_dataset(dataset, log, Cutting(256, 60, keep=1.0), "detect")
    whole = {item.origin[1] for record in dataset.splits["train"] for item in record.objects}
    assert whole == set(range(200))
    assert not log["train"].dropped


def test_an_oriented_box_on_an_edge_is_the_one_that_fits_what_is_seen():
    corners = xywhr_to_corners([[100.0, 50.0, 60.0, 12.0, 0.6]])[0]
    ring = tuple(corners.ravel().tolist())
    item = Annotation(0, (*corners.min(0), *corners.max(0)), (ring,), origin=("a", 1))
    dataset, log = scene([item], 200, 100)
    cut_dataset(dataset, log, Cutting(100, 0, keep=0.3), "obb")
    parts = {place(r.name)[1]: r.objects for r in dataset.splits["train"]}
    assert [len(parts[x]) for x in (0, 100)] == [1, 1]
    for _left, (seen,) in parts.items():
        (made,) = seen.polygons_px
        assert len(made) == 8
        visible = np.clip(np.reshape(made, (4, 2)), 0, 100)
        np.testing.assert_array_equal(visible, np.reshape(made, (4, 2)))
        half = corners_to_xywhr([np.reshape(made, (4, 2))])[0]
        assert half[3] == pytest.approx(12, abs=4)
        assert half[2] == pytest.approx(32, abs=8)
        assert half[4] == pytest.approx(0.6, abs=0.35)
    assert log["train"].forms["cut at the edge of a tile", "car"] == 2


def test_what_a_tile_shows_too_little_of_is_ignored_there_and_no_background():
    inside, across = Annotation(0, (10.0, 10.0, 30.0, 30.0)), Annotation(1, (40.0, 60.0, 110.0, 80.0))
    dataset, log = scene([inside, across], 300, 100)
    dataset.splits["train"][0].ignored_xyxy_px = [(90.0, 0.0, 120.0, 5.0)]
    cut_dataset(dataset, log, Cutting(100, 0, keep=0.4, empty=99), "detect")
    found = {place(r.name)[1]: r for r in dataset.splits["train"]}
    assert found.keys() == {0, 200}  # the middle one shows a rest and no object
    assert found[0].ignored_xyxy_px == [(90.0, 0.0, 100.0, 5.0)]
    assert [o.xyxy_px for o in found[0].objects] == [(10, 10, 30, 30), (40, 60, 100, 80)]
    inside.xyxy_px = (110.0, 10.0, 120.0, 20.0)
    dataset, log = scene([inside, across], 300, 100)
    cut_dataset(dataset, log, Cutting(100, 0, keep=0.4), "detect")
    middle = next(r for r in dataset.splits["train"] if place(r.name)[1] == 100)
    assert middle.ignored_xyxy_px == [(0.0, 60.0, 10.0, 80.0)]
    assert log["train"].forms["less than 40% in a tile, left to others", "harbor"] == 1
    dataset, log = scene([inside, across], 300, 100)
    cut_dataset(dataset, log, Cutting(100, 0, keep=0.4), "detect", regions=False)
    assert not any(r.ignored_xyxy_px for r in dataset.splits["train"])


def test_what_no_tile_shows_enough_of_is_told_by_class(caplog):
    large = Annotation(1, (0.0, 0.0, 900.0, 600.0), origin=("labels.txt", 7))
    dataset, log = scene([large, Annotation(0, (5.0, 5.0, 20.0, 20.0))])
    with caplog.at_level(logging.WARNING, "rsdet"):
        cut_dataset(dataset, log, Cutting(200, 50), "detect")
    assert [(d.file, d.where) for d in log["train"].dropped] == [("labels.txt", "7")]
    assert "class harbor" in log["train"].dropped[0].reason
    assert "1 objects are in no tile (harbor 1)" in caplog.text


def test_tiles_without_objects_are_sampled_the_same_each_time():
    item = Annotation(0, (5.0, 5.0, 20.0, 20.0))

    def names(empty: float, seed: int = 0) -> list[str]:
        dataset, log = scene([item, Annotation(0, (505.0, 5.0, 520.0, 20.0))])
        cut_dataset(dataset, log, Cutting(100, 0, empty=empty, seed=seed), "detect")
        assert log["train"].counts["left out"] == 70 - len(dataset.splits["train"])
        return [r.name for r in dataset.splits["train"]]

    assert len(names(0)) == 2
    assert len(names(0.5)) == 3
    assert len(names(4)) == 10
    assert len(names(1000)) == 70
    assert names(4) == names(4) != names(4, seed=1)
    assert set(names(0.5)) < set(names(4))


# -- on disk ------------------------------------------------------------------------------------------------------


def source(folder: Path, n: int = 5, size: tuple[int, int] = (300, 420), suffix: str = ".png") -> Path:
    """Pictures with two small objects each, and their YOLO labels."""
    for sub in ("images", "labels"):
        (folder / sub).mkdir(parents=True)
    (folder / "classes.txt").write_text("car\nharbor\n")
    for i in range(n):
        image = np.random.default_rng(i).integers(0, 255, (*size, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"s{i}{suffix}"), image)
        (folder / "labels" / f"s{i}.txt").write_text("0 0.1 0.1 0.05 0.05\n1 0.8 0.75 0.1 0.1\n")
    return folder


def test_convert_cuts_pixels_and_labels_alike(tmp_path):
    report = convert(source(tmp_path / "s"), "yolo", tmp_path / "out", tile=128, overlap=0.25, empty=1, progress=False)
    assert report.counts["train"]["pictures"] == 5
    files = sorted((tmp_path / "out/images/train").iterdir())
    for file in files:
        stem, x, y = place(file.name)
        whole = cv2.imread(str(tmp_path / "s/images" / f"{stem}.png"))
        tile = cv2.imread(str(file))
        np.testing.assert_array_equal(tile, whole[y : y + 128, x : x + 128])
        assert tile.shape[:2] == (128, 128)
    assert "tile=128 overlap=32 keep=0.4 empty=1" in report.data_yaml.read_text()
    back, _ = read_dataset(tmp_path / "out", "yolo")
    centres = {
        (place(r.name)[0], o.cls, *np.round(np.add(o.xyxy_px, [*place(r.name)[1:]] * 2), 3))
        for r in back.splits["train"]
        for o in r.objects
        if min(o.xyxy_px) > 0.01 and max(o.xyxy_px) < 127.99
    }
    assert centres == {
        (f"s{i}", c, *np.round([x - w, y - h, x + w, y + h], 3))
        for i in range(5)
        for c, x, y, w, h in ((0, 42, 30, 10.5, 7.5), (1, 336, 225, 21, 15))
    }
    assert report.splits["train"].files[files[0].name] == "images/s0.png"
    before = contents(tmp_path / "out")
    convert(tmp_path / "s", "yolo", tmp_path / "out", tile=128, overlap=0.25, empty=1, progress=False)
    assert contents(tmp_path / "out") == before
    cv2.imwrite(str(tmp_path / "s/images/s0.png"), np.zeros((300, 420, 3), np.uint8))
    convert(tmp_path / "s", "yolo", tmp_path / "out", tile=100, overlap=0, progress=False)
    left = sorted((tmp_path / "out/images/train").iterdir())
    assert all(cv2.imread(str(f)).shape[:2] == (100, 100) for f in left)
    assert not cv2.imread(str(left[0])).any()
    assert {f.stem for f in left} == {f.stem for f in (tmp_path / "out/labels/train").iterdir()}


def test_no_scene_stands_in_two_splits(tmp_path):
    convert(source(tmp_path / "s"), "yolo", tmp_path / "out", tile=100, val_fraction=0.4, progress=False)
    scenes = {
        split: {place(f.name)[0] for f in (tmp_path / "out/images" / split).iterdir()} for split in ("train", "val")
    }
    assert not scenes["train"] & scenes["val"]
    assert [len(scenes[s]) for s in ("train", "val")] == [3, 2]
    assert (tmp_path / "out/splits/val.txt").read_text().split() == sorted(f"{s}.png" for s in scenes["val"])
    (tmp_path / "loose/images").mkdir(parents=True)  # tiles of someone, which are divided afterwards
    (tmp_path / "loose/labels").mkdir()
    (tmp_path / "loose/classes.txt").write_text("car\nharbor\n")
    for file in (*(tmp_path / "out/images").rglob("*.png"), *(tmp_path / "out/labels").rglob("*.txt")):
        (tmp_path / "loose" / file.parent.parent.name / file.name).write_bytes(file.read_bytes())
    convert(tmp_path / "loose", "yolo", tmp_path / "again", val_fraction=0.3, progress=False)
    both = [{place(f.name)[0] for f in (tmp_path / "again/images" / s).iterdir()} for s in ("train", "val")]
    assert not both[0] & both[1]
    assert len(both[1]) == 2


def test_tiles_of_one_scene_cannot_be_divided():
    assert scene_of("a__x0_y512") == "a"
    assert scene_of("P0004__1__0___924") == scene_of("P0004__0.5__512___0") == "P0004"
    assert scene_of("ship_x1_y2") == "ship_x1_y2"
    assert scene_of("__x1_y2") == "__x1_y2"
    with pytest.raises(DataError, match="1 scene, however many its tiles"):
        seeded_split([f"a__x{x}_y0" for x in range(9)], 0.2, 0)


@pytest.mark.parametrize("task", ["obb", "segment"])
def test_polygons_to_yolo_and_coco(tmp_path, task):
    folder = source(tmp_path / "s", 2)
    (folder / "classes.txt").unlink()
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": NAMES, "task": "segment"}))
    for i in range(2):
        corners = np.array([[100, 40], [160, 70], [150, 90], [90, 60]]) / [420, 300]
        (folder / "labels" / f"s{i}.txt").write_text("0 " + " ".join(map(str, corners.ravel())) + "\n")
    convert(folder, "yolo", tmp_path / "out", task=task, tile=128, overlap=0, keep=0.1, progress=False)
    rows = [
        (place(f.name), np.array(line.split()[1:], float))
        for f in sorted((tmp_path / "out/labels/train").glob("s0*.txt"))
        for line in f.read_text().splitlines()
    ]
    assert [(p[1], p[2]) for p, _ in rows] == [(0, 0), (128, 0)]
    assert all((row >= 0).all() and (row <= 1).all() for _, row in rows)
    convert(folder, "yolo", tmp_path / "coco", to="coco", task=task, tile=128, overlap=0, keep=0.1, progress=False)
    made = json.loads((tmp_path / "coco/annotations/train.json").read_text())
    assert {i["file_name"] for i in made["images"] if i["file_name"].startswith("s0")} == {
        f"{p[0]}__x{p[1]}_y{p[2]}.png" for p, _ in rows
    }
    for a in made["annotations"]:
        xs, ys = np.reshape(a["segmentation"][0], (-1, 2)).T
        np.testing.assert_allclose(a["bbox"], [xs.min(), ys.min(), xs.max() - xs.min(), ys.max() - ys.min()], atol=1e-6)


def test_difficult_marks_and_groups_go_with_the_tiles(tmp_path):
    folder = source(tmp_path / "s", 2)
    (folder / "data.yaml").write_text(
        yaml.safe_dump({"names": NAMES, "difficult": "difficult", "groups": {"shore": "shore.txt"}})
    )
    (folder / "difficult").mkdir()
    (folder / "difficult/s0.txt").write_text("1 0.8 0.75 0.1 0.1\n")
    (folder / "shore.txt").write_text("s1\n")
    convert(folder, "yolo", tmp_path / "out", tile=128, overlap=0, progress=False)
    marked = [line for f in (tmp_path / "out/difficult").rglob("*.txt") for line in f.read_text().splitlines()]
    assert marked
    assert all(line.startswith("1 ") for line in marked)
    shore = (tmp_path / "out/groups/shore.txt").read_text().split()
    assert shore
    assert all(name.startswith("s1__x") for name in shore)


def test_a_picture_no_larger_than_a_tile_is_copied_as_it_is(tmp_path):
    folder = source(tmp_path / "s", 2, (90, 128), ".jpg")
    convert(folder, "yolo", tmp_path / "out", tile=128, progress=False)
    copied = tmp_path / "out/images/train/s0__x0_y0.jpg"
    assert copied.read_bytes() == (folder / "images/s0.jpg").read_bytes()


def test_sixteen_bits_stay_sixteen_bits_and_are_never_made_jpeg(tmp_path):
    folder = source(tmp_path / "s", 2)
    deep = np.random.default_rng(0).integers(0, 65535, (300, 420), dtype=np.uint16)
    cv2.imwrite(str(folder / "images/s0.png"), deep)
    convert(folder, "yolo", tmp_path / "out", tile=128, tile_format="jpg", progress=False)
    made = sorted((tmp_path / "out/images/train").iterdir())
    assert {f.suffix for f in made if f.name.startswith("s1")} == {".jpg"}
    for file in (f for f in made if f.name.startswith("s0")):
        _, x, y = place(file.name)
        tile = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(tile, deep[y : y + 128, x : x + 128])


def test_a_geotiff_stays_one_and_every_tile_lies_where_it_lay(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    folder = source(tmp_path / "s", 1, suffix=".tif")
    values = np.random.default_rng(0).integers(1, 4000, (4, 300, 420), dtype=np.uint16)
    values[:, :, 300:] = 0
    place_of = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
    with rasterio.open(
        folder / "images/s0.tif", "w", driver="GTiff", width=420, height=300, count=4, dtype="uint16", nodata=0,
        crs="EPSG:32633", transform=place_of,
    ) as f:  # fmt: skip
        f.write(values)
        f.set_band_description(4, "nir")
    (folder / "labels/s0.txt").write_text("0 0.1 0.1 0.05 0.05\n")
    report = convert(folder, "yolo", tmp_path / "out", tile=64, overlap=0, empty=1000, progress=False)
    made = list((tmp_path / "out/images/train").iterdir())
    assert max(place(f.name)[1] for f in made) < 300  # tiles without data are no background
    for file in made:
        _, x, y = place(file.name)
        with rasterio.open(file) as f:
            np.testing.assert_array_equal(f.read(), values[:, y : y + 64, x : x + 64])
            assert (f.crs, f.nodata, f.descriptions[3]) == ("EPSG:32633", 0, "nir")
            assert f.transform @ (0, 0) == place_of @ (x, y)
    assert yaml.safe_load(report.data_yaml.read_text())["gsd"] == 0.5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"tile": 0}, "tile=0"),
        ({"tile": 64, "overlap": 64}, "overlap=64"),
        ({"tile": 64, "overlap": -0.1}, "overlap=-0.1"),
        ({"tile": 64, "keep": 1.5}, "keep=1.5"),
        ({"tile": 64, "empty": -1}, "empty=-1"),
        ({"tile": 64, "tile_format": "gif"}, "tile_format='gif'"),
    ],
)
def test_values_that_make_no_sense_are_refused_in_one_line(tmp_path, words, says):
    with pytest.raises(ConfigError, match=re.escape(says)) as e:
        convert(source(tmp_path / "s", 1), "yolo", tmp_path / "out", progress=False, **words)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "out").exists()


def test_real_scenes_come_back_whole(shared_data, tmp_path):
    """DOTA scenes in tiles: every object is whole in a tile or told, and its corners are those of the source."""
    convert(shared_data / "dota-sample", "dota", tmp_path / "out", task="obb", tile=256, overlap=0.4, progress=False)
    truth, log = read_dataset(shared_data / "dota-sample", "dota")
    give_form(truth, log, "obb")
    tiles, _ = read_dataset(tmp_path / "out", "yolo")
    seen = defaultdict(list)
    for record in tiles.splits["train"]:
        stem, x, y = place(record.name)
        for item in record.objects:
            seen[stem, item.cls].append(np.add(np.reshape(item.polygons_px[0], (4, 2)), [x, y]))
    told = Counter(d.where for d in ConvertReport.load(tmp_path / "out").dropped if d.reason.startswith("in no tile"))
    for record in truth.splits["train"]:
        for item in record.objects if record.path else ():
            ring = np.reshape(item.polygons_px[0], (4, 2))
            near = seen[record.stem, item.cls]
            found = (
                near and polygon_iou(np.repeat(ring[None], len(near), 0), np.array(near)).max() > 0.3
            )  # cut ones, too
            assert found or told[str(item.origin[1])]

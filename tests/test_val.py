"""Validation under a protocol: original pixels, ignored regions from disk, the ceiling that the queries set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from rsdet import RSDet
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.detect.val import RTDETRVal, ignore_file, read_ignore


@pytest.fixture
def with_ignore(tiny_data, tmp_path) -> Path:
    """The tiny data with one region per validation image that covers all of it."""
    root = tmp_path / "data"
    shutil.copytree(tiny_data.parent, root, ignore=shutil.ignore_patterns("*.cache"))
    (root / "ignore" / "val").mkdir(parents=True)
    for image in (root / "images" / "val").iterdir():
        (root / "ignore" / "val" / f"{image.stem}.txt").write_text("0.5 0.5 1.0 1.0\n")
    data = yaml.safe_load(tiny_data.read_text())
    data.update(path=str(root), ignore="ignore")
    (root / "demo.yaml").write_text(yaml.safe_dump(data))
    return root / "demo.yaml"


def _val(weights: Path, data: Path, tmp_path: Path, **kwargs):
    return RSDet(weights).val(
        data=data, imgsz=96, plots=False, project=str(tmp_path), name="val", exist_ok=True, **kwargs
    )


def test_a_protocol_counts_in_original_pixels_and_leaves_its_numbers_on_disk(tiny_weights, tiny_data, tmp_path):
    metrics = _val(tiny_weights, tiny_data, tmp_path, protocol="aitod")
    ours = metrics.protocol_metrics
    labels = sorted((tiny_data.parent / "labels" / "val").glob("*.txt"))
    assert ours.n_images == len(labels) == 4
    assert ours.n_boxes == sum(len(p.read_text().splitlines()) for p in labels)
    saved = json.loads((tmp_path / "val" / "metrics-aitod.json").read_text())
    assert "aitod" in json.dumps(saved)
    assert (tmp_path / "val" / "metrics-aitod.csv").is_file()


def test_truth_reaches_the_protocol_unchanged(tiny_weights, tiny_data, tmp_path, monkeypatch):
    kept = []
    stock = RTDETRVal.finalize_metrics
    monkeypatch.setattr(RTDETRVal, "finalize_metrics", lambda self: (kept.append(self), stock(self))[1])
    _val(tiny_weights, tiny_data, tmp_path)
    found = np.concatenate([t.boxes_xyxy for t in kept[0].truth])
    true = []
    for label in (tiny_data.parent / "labels" / "val").glob("*.txt"):
        for line in label.read_text().splitlines():
            _, x, y, w, h = map(float, line.split())
            true.append([96 * (x - w / 2), 96 * (y - h / 2), 96 * (x + w / 2), 96 * (y + h / 2)])
    order = [sorted(range(len(b)), key=lambda i, b=b: tuple(np.round(b[i], 1))) for b in (found, true)]
    np.testing.assert_allclose(found[order[0]], np.array(true)[order[1]], atol=2e-3)


def test_ignored_regions_beside_the_labels_are_honoured(tiny_weights, with_ignore, tmp_path):
    metrics = _val(tiny_weights, with_ignore, tmp_path, protocol="visdrone").protocol_metrics
    assert metrics.n_detections > 0
    assert metrics.n_ignored_detections > 0
    assert metrics.n_ignored_boxes > 0
    assert metrics.n_boxes == 0 or metrics.n_ignored_boxes == metrics.n_boxes


def test_ignored_regions_are_for_coco_an_option_that_shows_in_the_name(tiny_weights, with_ignore, tmp_path, caplog):
    plain = _val(tiny_weights, with_ignore, tmp_path, protocol="coco").protocol_metrics
    assert (plain.protocol.name, plain.n_ignored_detections) == ("coco", 0)
    assert "4 ignored regions are not used" in caplog.text
    metrics = _val(tiny_weights, with_ignore, tmp_path, protocol="coco", ignore_regions=True).protocol_metrics
    assert metrics.protocol.name == "coco+ignore"
    assert metrics.n_ignored_detections > 0
    assert (tmp_path / "val" / "metrics-coco+ignore.json").is_file()
    for wrong in (dict(protocol="ultralytics", ignore_regions=True), dict(ignore_regions="yes")):
        with pytest.raises(ConfigError, match="ignore_regions="):
            RSDet(tiny_weights).val(data=with_ignore, **wrong)


def test_area_ranges_are_those_of_the_labels_and_not_of_letterboxed_boxes(tiny_weights, tiny_data, tmp_path):
    root, size = tmp_path / "data", (1913, 1079)
    for folder in ("images/val", "labels/val"):
        (root / folder).mkdir(parents=True)
    Image.new("RGB", size).save(root / "images/val/a.png")
    sides = [(8, 8), (16, 16), (32, 32), (4, 16), (9, 7)]
    rows = [(50 * i + w / 2 + 3, 700 + h / 2, w, h) for i, (w, h) in enumerate(sides)]
    rows = [[v / size[i % 2] for i, v in enumerate(r)] for r in rows]
    (root / "labels/val/a.txt").write_text("".join("0 " + " ".join(f"{v:.6f}" for v in r) + "\n" for r in rows))
    names = yaml.safe_load(tiny_data.read_text())["names"]
    (root / "data.yaml").write_text(
        yaml.safe_dump(dict(path=str(root), train="images/val", val="images/val", names=names))
    )
    found = _val(tiny_weights, root / "data.yaml", tmp_path, protocol="aitod").protocol_metrics.n_boxes_by_area
    assert found == {"all": 5, "vt": 3, "t": 3, "s": 2, "m": 1}


def test_too_few_queries_lower_the_ceiling(tiny_weights, tiny_data, tmp_path, caplog):
    few = RSDet(tiny_weights, nq=1)
    metrics = few.val(data=tiny_data, imgsz=96, plots=False, project=str(tmp_path), name="few")
    counts = [len(p.read_text().splitlines()) for p in (tiny_data.parent / "labels" / "val").glob("*.txt")]
    assert metrics.recall_ceiling == pytest.approx(sum(min(c, 1) for c in counts) / sum(counts))


def test_the_number_of_queries_needs_a_decoder_with_queries(tmp_path):
    path = tmp_path / "plain.yaml"
    path.write_text(
        "family: yolo\nnc: 2\nbackbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 1, Conv, [16, 3, 2]]]\n"
        "head: [[[0, 1], 1, Detect, [nc]]]\n"
    )
    with pytest.raises(ConfigError, match="nq"):
        RSDet(path, nq=3)


def test_an_unknown_protocol_is_answered_with_the_nearest(tiny_weights, tiny_data):
    with pytest.raises(ConfigError, match="'visdrone'"):
        RSDet(tiny_weights).val(data=tiny_data, protocol="visdron")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("/d/images/val/a.jpg", "/d/ignore/val/a.txt"),
        ("/images/d/images/val/x/a.png", "/images/d/ignore/val/x/a.txt"),  # the last folder of that name counts
        ("/d/pictures/a.jpg", None),
    ],
)
def test_where_ignored_regions_are_looked_for(image, expected):
    found = ignore_file(Path(image), "ignore")
    assert found == (Path(expected) if expected else None)


@pytest.mark.parametrize(
    ("text", "result"),
    [("", []), ("0.5 0.5 0.5 1\n\n", [[50, 0, 150, 100]]), ("0.5 0.5 1", DataError), ("a b c d", DataError)],
)
def test_reading_ignored_regions(tmp_path, text, result):
    file = tmp_path / "a.txt"
    file.write_text(text)
    if result is DataError:
        with pytest.raises(DataError, match="convert the dataset again"):
            read_ignore(file, 100, 200)
    else:
        np.testing.assert_allclose(read_ignore(file, 100, 200), np.array(result).reshape(-1, 4))

"""The first command of the README, whole: real detections in the pictures, mostly right."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
import yaml

from rsdet.errors import ConfigError, DataError

NAMES = ("car", "truck", "boat", "plane")


@pytest.mark.slow
def test_the_demo_ends_with_pictures_of_true_detections(tmp_path, capsys):
    from rsdet.demo import run_demo

    table = run_demo(out=tmp_path / "demo", epochs=1)
    printed = capsys.readouterr().out
    assert "starts from the shipped" in printed
    assert len(list((tmp_path / "demo" / "predict").glob("*.jpg"))) == 8
    assert any("coco" in k for k in table)
    coco = json.loads((tmp_path / "demo" / "predict" / "predictions-coco.json").read_text())
    right = total = 0
    for image in coco["images"]:
        label = tmp_path / "demo" / "scenes" / "labels" / "val" / image["file_name"].replace(".jpg", ".txt")
        rows = np.array([[float(v) for v in line.split()] for line in label.read_text().splitlines()])
        size = np.array([image["width"], image["height"]] * 2)
        true = np.concatenate([rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2], 1) * size
        for a in (a for a in coco["annotations"] if a["image_id"] == image["id"]):
            x, y, w, h = a["bbox"]
            lo, hi = np.maximum(true[:, :2], [x, y]), np.minimum(true[:, 2:], [x + w, y + h])
            inter = np.clip(hi - lo, 0, None).prod(1)
            iou = inter / (w * h + (true[:, 2:] - true[:, :2]).prod(1) - inter)
            total += 1
            right += bool((iou[rows[:, 0] == a["category_id"] - 1] >= 0.5).any())
    assert total >= 30
    assert right / total >= 0.6, "the boxes in the pictures must be mostly right"


@pytest.mark.slow
def test_the_real_demo_finds_dehazes_exports_and_shows_it(tmp_path, monkeypatch, capsys):
    """Rendered scenes stand in for the pictures that would be fetched; their digests make that the same way."""
    from rsdet import demo
    from rsdet.data.demo import make_demo

    scenes = make_demo(tmp_path / "scenes", n_train=1, n_val=12, size=320, seed=3).parent
    original, files = tmp_path / "datasets" / "few-original", {}
    for label in sorted((scenes / "labels" / "val").glob("*.txt")):
        boxes = ""
        for line in label.read_text().splitlines():
            kind, x, y, w, h = (float(v) * 320 for v in line.split())
            edges = {"xmin": x - w / 2, "ymin": y - h / 2, "xmax": x + w / 2, "ymax": y + h / 2}
            box = "".join(f"<{k}>{v:.2f}</{k}>" for k, v in edges.items())
            boxes += f"<object><name>{NAMES[int(kind / 320)]}</name><bndbox>{box}</bndbox></object>"
        picture = (scenes / "images" / "val" / f"{label.stem}.jpg").read_bytes()
        files |= {f"Annotations/{label.stem}.xml": f"<annotation>{boxes}</annotation>".encode()}
        files |= {f"JPEGImages/{label.stem}.jpg": picture}
    for name, content in files.items():
        (original / name).parent.mkdir(parents=True, exist_ok=True)
        (original / name).write_bytes(content)
    fetched = {"url": "https://nowhere.invalid/", "files": {k: hashlib.sha256(v).hexdigest() for k, v in files.items()}}
    (tmp_path / "few.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "few",
                "licence": "of the test",
                "citation": "Nobody.",
                "source_format": "voc",
                "sources": {"test": "."},
                "splits": {"test": {"images": 12}},
                "names": dict(enumerate(NAMES)),
                "fetch": [fetched],
            }
        )
    )
    monkeypatch.setattr("rsdet.data.download._datasets_root", lambda: tmp_path / "datasets")
    monkeypatch.setattr(demo, "REAL_DATA", str(tmp_path / "few.yaml"))
    monkeypatch.setattr(demo, "REAL_WEIGHTS", demo.WEIGHTS)
    for left in ("predict/0.jpg", "predict-hazed/0.jpg", "speed/other.json"):  # by an earlier demo, of other pictures
        (tmp_path / "out" / left).parent.mkdir(parents=True)
        (tmp_path / "out" / left).write_bytes(b"not of this one")
    table = demo.run_demo(out=tmp_path / "out", real=True)
    printed = capsys.readouterr().out
    assert "of the test" in printed
    assert "Nobody." in printed
    assert "12 real pictures" in table["AP50 / AP50:95, protocol coco"]
    hazed, dehazed = (float(v) for v in table["AP50 in haze, and after dehazing"].split(";")[0].split(", "))
    clear = float(table["AP50 / AP50:95, protocol coco"].split(" ")[0])
    assert max(hazed, dehazed) < clear
    assert "parity ok" in table["ONNX against PyTorch"]
    page = (tmp_path / "out" / "demo.html").read_text()
    assert page.count("<img") + page.count("<image") >= 6
    assert "found after dehazing" in page


def test_what_a_run_has_left_beside_the_pictures_is_no_picture(tmp_path):
    from rsdet.demo import _busiest, _hazed

    images, labels = tmp_path / "images" / "test", tmp_path / "labels" / "test"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for name in ("a", "b"):
        cv2.imwrite(str(images / f"{name}.jpg"), np.full((16, 16, 3), 90, np.uint8))
        (images / f"{name}.jpg.rsdet-cache.npy").write_bytes(b"of cache=disk")
        (labels / f"{name}.txt").write_text("0 .5 .5 .1 .1\n" * 8)
    (images / "Thumbs.db").write_bytes(b"of a file manager")
    (tmp_path / "few.yaml").write_text("names: [car]\ntest: images/test\n")
    assert _busiest(labels, 8) == [images / "a.jpg", images / "b.jpg"]
    hazed = _hazed(tmp_path / "few.yaml", tmp_path / "hazed", 0)
    assert sorted(p.name for p in (hazed.parent / "images" / "test").iterdir()) == ["a.png", "b.png"]


def test_a_demo_that_cannot_be_is_refused():
    from rsdet.demo import run_demo

    with pytest.raises(DataError, match="1 or more"):
        run_demo(epochs=0)
    with pytest.raises(ConfigError, match="leave epochs= out"):
        run_demo(epochs=3, real=True)

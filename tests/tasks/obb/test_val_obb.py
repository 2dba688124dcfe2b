"""Validation of oriented boxes: what the protocol is handed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml
from exported import model_yaml

from rsdet import RSDet
from rsdet.errors import ConfigError

ROWS = ("0 0.1 0.1 0.4 0.2 0.35 0.4 0.05 0.3", "0 0.6 0.6 0.9 0.6 0.9 0.8 0.6 0.8", "0 0.5 0.1 0.7 0.1 0.7 0.3 0.5 0.3")


@pytest.fixture
def data(tmp_path):
    for folder, rows in (("labels", ROWS), ("difficult", ROWS[1:2])):
        (tmp_path / folder / "val").mkdir(parents=True)
        (tmp_path / folder / "val" / "a.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "images" / "val").mkdir(parents=True)
    picture = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "images" / "val" / "a.png"), picture)
    content = {"path": str(tmp_path), "train": "images/val", "val": "images/val", "names": {0: "ship"}}

    def write(**more):
        (tmp_path / "data.yaml").write_text(yaml.safe_dump({**content, **more}))
        return tmp_path / "data.yaml"

    return write


def test_difficult_objects_count_neither_way(data, tmp_path):
    RSDet(model_yaml("obb", tmp_path, nc=1)).save(str(tmp_path / "weights.pt"))
    model = RSDet(tmp_path / "weights.pt")
    settings = dict(imgsz=64, workers=0, plots=False, project=str(tmp_path))
    for more, n in (({}, 3), ({"difficult": "difficult"}, 2)):
        metrics = model.val(data=data(**more), **settings).protocol_metrics
        assert (metrics.protocol.name, metrics.n_boxes, metrics.n_images) == ("dota", n, 1)
    with pytest.raises(ConfigError, match=r"protocol=coco measures boxes and masks, received oriented boxes"):
        model.val(data=data(), protocol="coco", **settings)

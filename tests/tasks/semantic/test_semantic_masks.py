"""What is wrong with masks is said before anything learns from them, by file, value and number."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from semantic_fakes import TRAIN, data_yaml, model_yaml

from rsdet import RSDet
from rsdet.data.sar.augment import QuarterTurn
from rsdet.errors import DataError, RSDetError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return data_yaml(tmp_path)


def masks(data: Path) -> list[Path]:
    return sorted((data.parent / "masks" / "train").glob("*.png"))


def changed(file: Path, change: object) -> None:
    mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(file), change(mask))


def train(data: Path, **kwargs: object) -> None:
    model = RSDet(model_yaml(data.parent.parent))
    model.train(data=data, project=str(data.parent.parent / "runs"), **{**TRAIN, **kwargs})


def put(value: int, rows: int) -> object:
    def change(mask: np.ndarray) -> np.ndarray:
        mask[:rows] = value
        return mask

    return change


def test_values_that_are_no_class_are_counted(data):
    changed(masks(data)[0], put(9, 2))
    changed(masks(data)[2], put(200, 1))
    with pytest.raises(DataError, match=r"2 masks are wrong, .*scene_.*png holds .* 9 \(192 px\).*label_mapping") as e:
        train(data)
    assert "\n" not in str(e.value)


def test_label_mapping_says_what_values_mean(data):
    changed(masks(data)[0], put(9, 2))
    with pytest.raises(DataError, match="9"):
        train(data)
    data.write_text(data.read_text() + "label_mapping: {9: 255}\n")
    train(data)  # the value has a meaning now
    assert list((data.parent.parent / "runs").rglob("best.pt"))


def test_a_mask_of_another_size_than_its_picture_is_refused(data):
    changed(masks(data)[1], lambda mask: mask[:50])
    with pytest.raises(DataError, match=r"has 96x50 pixels, its picture 96x96"):
        train(data)


def test_masks_without_any_class_are_refused(data):
    for file in masks(data):
        changed(file, put(255, 96))
    with pytest.raises(DataError, match="no pixel of the 4 masks"):
        train(data)


def test_pictures_without_masks_are_refused(data):
    for file in masks(data):
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 4 pictures .* masks_dir"):
        train(data)


def test_a_picture_without_a_label_in_a_batch_is_no_trouble(data):
    for file in masks(data)[1:]:
        changed(file, put(255, 96))
    train(data, batch=1)
    rows = next((data.parent.parent / "runs").rglob("results.csv")).read_text().splitlines()
    assert "nan" not in rows[1]


def test_labels_of_objects_are_refused(tmp_path):
    from rsdet.data.demo import make_demo

    boxes = make_demo(tmp_path / "boxes", n_train=2, n_val=1, size=96, progress=False)
    with pytest.raises(RSDetError, match="task=detect, the model for task=semantic"):
        train(boxes)


def test_a_quarter_turn_turns_the_map_with_the_picture():
    from ultralytics.utils.instance import Instances

    board = np.arange(12, dtype=np.uint8).reshape(3, 4)
    none = Instances(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), normalized=True)
    turned = {(3, 4): 0, (4, 3): 0}
    for _ in range(30):
        labels = {"img": board[..., None].copy(), "semantic_mask": board.copy(), "instances": none}
        out = QuarterTurn(1.0)(labels)
        assert (out["img"][..., 0] == out["semantic_mask"]).all()
        turned[out["semantic_mask"].shape] += 1
    assert all(turned.values())

"""Labels of oriented boxes: what is refused, what is said, and that they turn with the picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.utils import IterableSimpleNamespace
from ultralytics.utils.ops import xywhr2xyxyxyxy

from rsdet.errors import DataError
from rsdet.tasks.detect.dataset import OurYOLODataset

BOX = "0 0.5 0.5 0.4 0.2"
QUAD = "0 0.2 0.3 0.6 0.2 0.7 0.5 0.3 0.6"
OUTLINE = "0 0.2 0.3 0.4 0.2 0.7 0.5 0.6 0.7 0.3 0.6"


def dataset(folder: Path, task: str, *files: str, side: int = 64, **hyp: float) -> OurYOLODataset:
    """A data set with a picture for each label file, white where the first object of it is."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    for i, text in enumerate(files):
        picture = np.zeros((side, side, 3), np.uint8)
        numbers = list(map(float, text.split("\n")[0].split()[1:]))
        if len(numbers) > 5:
            corners = np.reshape(numbers, (-1, 2)) * side - 0.5  # a pixel is at its centre
            cv2.fillPoly(picture, [np.round(corners * 16).astype(np.int32)], (255, 255, 255), shift=4)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), picture)
        (folder / "labels" / f"{i}.txt").write_text(text)
    off = (
        "mosaic",
        "mixup",
        "copy_paste",
        "scale",
        "translate",
        "hsv_h",
        "hsv_s",
        "hsv_v",
        "fliplr",
        "speckle",
        "rot90",
    )
    hyp = IterableSimpleNamespace(**{**vars(get_cfg()), **dict.fromkeys(off, 0.0), "mask_ratio": 1, **hyp})
    data = {"names": {0: "ship"}, "channels": 3}
    return OurYOLODataset(img_path=str(folder / "images"), data=data, task=task, imgsz=side, hyp=hyp, augment=True)


@pytest.mark.parametrize(
    ("task", "files", "said"),
    [
        ("obb", [BOX, BOX], r"0\.txt, \S*1\.txt hold upright boxes .* task=obb learns from four corners"),
        ("segment", [BOX], r"0\.txt holds upright boxes .* task=segment learns from outlines"),
        ("detect", [QUAD, QUAD], r"1\.txt hold oriented boxes .* task=detect learns from upright ones"),
        ("obb", [QUAD, "0 0.5 0.5 0.4 0.2 45"], r"1\.\S+ holds lines of another length .* a box with an angle"),
        ("segment", [OUTLINE, "0 .5 .5 .5 .5 .5 .5 .5 .5"], r"1 labels in \S*1\.txt are outlines without area"),
        ("obb", [QUAD, BOX], r"two kinds: \S*1\.txt holds upright boxes .*, \S*0\.txt holds outlines"),
        ("obb", [QUAD + "\n" + BOX, QUAD], r"the labels of \S*0\.\S+ mix boxes"),
        ("obb", [QUAD, "0 0.2 0.3 0.6 0.2 0.7 0.5"], r"1 labels in \S*1\.txt are no oriented boxes \(three corners"),
        ("obb", [QUAD, "0 0.2 0.3 0.6 0.3 0.7 0.3 0.4 0.3"], r"1 labels in \S*1\.txt are no oriented boxes"),
        ("obb", ["0 0.2 0.2 0.6 0.6 0.6 0.2 0.2 0.6"], r"1 labels in \S*0\.txt are no oriented boxes"),
    ],
)  # fmt: skip
def test_labels_that_a_task_cannot_learn_from_are_refused(tmp_path, task, files, said):
    with pytest.raises(DataError, match=said) as e:
        dataset(tmp_path, task, *files)
    assert "\n" not in str(e.value)
    with pytest.raises(DataError, match=said):  # from the label cache as well
        dataset(tmp_path, task, *files)


@pytest.mark.parametrize(("task", "files"), [("detect", [OUTLINE]), ("obb", [QUAD, OUTLINE]), ("segment", [OUTLINE])])
def test_labels_with_one_meaning_are_taken(tmp_path, task, files):
    assert len(dataset(tmp_path, task, *files)) == len(files)


def test_boxes_without_width_are_told_with_their_files(tmp_path, caplog):
    """They count in val as objects that nothing can find, as every protocol has it: who measures shall know."""
    with caplog.at_level("WARNING", "ultralytics"):
        made = dataset(tmp_path, "detect", f"{BOX}\n0 0.5 0.5 0 0.2", BOX, f"0 0.1 0.1 0.2 0.0\n{BOX}")
    assert [len(x["cls"]) for x in made.labels] == [2, 1, 2]
    (said,) = [r.getMessage() for r in caplog.records if "without width" in r.getMessage()]
    assert "2 labels in " in said
    assert "0.txt" in said and "2.txt" in said and "1.txt" not in said  # noqa: PT018
    caplog.clear()
    for i in (0, 2):
        (tmp_path / f"labels/{i}.txt").write_text(BOX)
    dataset(tmp_path, "detect")
    assert "without width" not in caplog.text


@pytest.mark.parametrize("task", ["obb", "segment"])
def test_quarter_turns_take_corners_and_outlines_along(tmp_path, task):
    """Where the object is white, so it is inside of its box or mask, after each of the four turns."""
    made = dataset(tmp_path, task, QUAD if task == "obb" else OUTLINE, rot90=1.0)
    seen = set()
    for _ in range(40):
        sample = made[0]
        picture = (sample["img"][0].numpy() > 127).astype(np.uint8)
        drawn = np.zeros((64, 64), np.uint8)
        if task == "obb":
            turned = sample["bboxes"] * torch.tensor([64, 64, 64, 64, 1])
            corners = xywhr2xyxyxyxy(turned).numpy()[0] - 0.5  # a pixel is at its centre
            cv2.fillPoly(drawn, [np.round(corners * 16).astype(np.int32)], 1, shift=4)
            assert not (picture & (cv2.dilate(drawn, np.ones((3, 3))) == 0)).any()
            assert drawn.sum() < 1.5 * picture.sum()
        else:
            drawn = (sample["masks"][0].numpy() > 0).astype(np.uint8)
            rim = cv2.morphologyEx(drawn, cv2.MORPH_GRADIENT, np.ones((3, 3)))
            assert not ((picture != drawn) & (rim == 0)).any()
        seen.add(tuple(np.argwhere(picture).mean(0).round(1)))
    assert len(seen) == 4

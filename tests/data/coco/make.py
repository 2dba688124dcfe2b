"""A COCO folder: crowds, ignored annotations, bad entries, images in the usual place and one elsewhere."""

import json
import sys
from pathlib import Path

from PIL import Image

CATEGORIES = [{"id": 7, "name": "ship"}, {"id": 3, "name": "plane"}, {"id": 9, "name": "ignored regions"}]
TRAIN = {
    "images": [
        {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
        {"id": "two", "file_name": "images/sub/b.png", "width": 32, "height": 32},
        {"id": 3, "file_name": "gone.png", "width": 10, "height": 10},
        {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
        "nonsense",
    ],
    "annotations": [
        {"id": 10, "image_id": 1, "category_id": 7, "bbox": [1.5, 2, 10, 20.25], "iscrowd": 0},
        {"id": 11, "image_id": 1, "category_id": 3, "bbox": [0, 0, 30, 30], "iscrowd": 1},
        {"id": 12, "image_id": 1, "category_id": 3, "bbox": [5, 5, 9, 9], "ignore": True},
        {"id": 13, "image_id": 1, "category_id": 3, "bbox": [6, 6, 9, 9], "uncertain": True},
        {"id": 14, "image_id": 1, "category_id": 9, "bbox": [7, 7, 9, 9]},
        {"id": 15, "image_id": 1, "category_id": 5, "bbox": [1, 1, 5, 5]},
        {"id": 16, "image_id": 99, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"id": 17, "image_id": 1, "category_id": 3, "bbox": [1, 1, 5]},
        {"id": 18, "image_id": 1, "category_id": 3, "bbox": [float("nan"), 1, 5, 5]},
        {"id": 19, "image_id": "two", "category_id": 3, "bbox": [1, 1, 5, 5],
         "segmentation": [[1, 1, 6, 1, 6, 6, 1, 6]]},
        {"id": 20, "image_id": 3, "category_id": 3, "bbox": [1, 1, 5, 5]},
        {"image_id": [], "category_id": {}, "bbox": None},
        17,
    ],
    "categories": CATEGORIES,
}  # fmt: skip
VAL = {
    "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 20}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 2, 4, 4]}],
    "categories": CATEGORIES,
}


def _picture(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 120, 60)).save(path)


def make(root: Path) -> None:
    """Write the folder."""
    (root / "annotations").mkdir(parents=True)
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(TRAIN))
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(VAL))
    (root / "annotations" / "captions_val2017.json").write_text(json.dumps({"images": [], "annotations": []}))
    _picture(root / "train2017" / "a.png", (64, 48))
    _picture(root / "images" / "sub" / "b.png", (32, 32))
    _picture(root / "val2017" / "a.png", (20, 20))


if __name__ == "__main__":
    make(Path(sys.argv[1]))

"""A folder laid out as HRSID: COCO JSON for train and test, both again in one file, inshore and offshore apart."""

import json
import sys
from pathlib import Path

from PIL import Image

CATEGORIES = [{"supercategory": "ship", "id": 1, "name": "ship"}]
TRAIN = ["P0001_0_800_0_800.jpg", "P0002_0_800_0_800.jpg", "P0003_0_800_0_800.jpg"]
TEST = ["P0004_0_800_0_800.jpg", "P0005_0_800_0_800.jpg", "P0006_0_800_0_800.jpg"]


def _document(names: list[str], annotations: list[tuple[int, object]]) -> dict:
    images = [{"id": i, "file_name": name, "width": 64, "height": 64} for i, name in enumerate(names)]
    rows = [
        {"id": i, "image_id": image, "category_id": 1, "bbox": bbox, "iscrowd": 0, "segmentation": []}
        for i, (image, bbox) in enumerate(annotations)
    ]
    return {"images": images, "annotations": rows, "categories": CATEGORIES}


def make(root: Path) -> None:
    """Write the folder."""
    home = root / "HRSID_JPG"
    files = {
        "annotations/train2017.json": _document(
            TRAIN,
            [
                (0, [10, 10, 20, 5]),
                (0, [10, 10, 20, 5]),  # twice the same
                (1, [50, 50, 30, 30]),  # over the edge
                (1, [70, 70, 5, 5]),  # outside
                (1, [5, 5, 0, 9]),  # no width
                (1, "8,8,2,2"),  # no list
                (7, [1, 1, 5, 5]),  # image 7 is not there
            ],
        ),
        "annotations/test2017.json": _document(TEST, [(0, [2, 2, 9, 9]), (0, [30, 30, 9, 9]), (1, [8, 8, 8, 8])]),
        "annotations/train_test2017.json": _document(TRAIN + TEST, [(0, [10, 10, 20, 5])]),
        # P0006 is in neither file.
        "inshore_offshore/inshore.json": _document([TRAIN[0], TEST[0]], [(0, [10, 10, 20, 5])]),
        "inshore_offshore/offshore.json": _document([*TRAIN[1:], TEST[1]], []),
    }
    for place, content in files.items():
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    (home / "JPEGImages").mkdir()
    for name in TRAIN + TEST:
        Image.new("L", (64, 64), 40).save(home / "JPEGImages" / name)


if __name__ == "__main__":
    make(Path(sys.argv[1]))

"""A HIT-UAV folder: upright and oriented JSON with the keys of the owner."""

import json
import math
import sys
from pathlib import Path

from PIL import Image

NAMES = ("Person", "Car", "Bicycle", "OtherVehicle", "DontCare")


def make(root: Path) -> None:
    """Write the folder."""
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES)]
    images = [{"id": 0, "filename": "n.jpg", "width": 64, "height": 48}]
    upright = [
        {"id": 0, "image_id": 0, "category_id": 1, "bbox": [10, 10, 20, 10], "area": 200},
        {"id": 1, "image_id": 0, "category_id": 4, "bbox": [40, 30, 10, 10], "area": 100},
    ]
    turned = [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [20, 20, 20, 10, math.pi / 2]}]
    for variant, key, annotations in (("normal_json", "annotation", upright), ("rotate_json", "annotations", turned)):
        folder = root / variant / "annotations"
        folder.mkdir(parents=True)
        document = {"images": images, key: annotations, "categories": categories}
        for split in ("train", "val"):
            (folder / f"{split}.json").write_text(json.dumps(document))
            (root / variant / split).mkdir()
            Image.new("L", (64, 48), 77).save(root / variant / split / "n.jpg")


if __name__ == "__main__":
    make(Path(sys.argv[1]))

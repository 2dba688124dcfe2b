"""A folder laid out as HazyDet: COCO JSON, hazy and clean pictures of equal names, and real haze without clean ones."""

import json
import sys
from pathlib import Path

from PIL import Image

CATEGORIES = [{"id": i, "name": name} for i, name in enumerate(("car", "truck", "bus"))]
HAZY, CLEAN = (180, 180, 180), (20, 60, 20)


def make(root: Path, hazy: str = "hazy_images", clean: str = "clean_images") -> None:
    """Write the folder; its owner's releases differ in how the folders of pictures are written."""
    for split, n in (("train", 3), ("val", 2), ("test", 2), ("RDDTS", 2)):
        home = root / "HazyDet" / split
        names = [f"{split}_{i:03}.jpg" for i in range(n)]
        for folder, colour in ((hazy, HAZY), (clean, CLEAN)):
            if split == "RDDTS" and folder == clean:
                continue
            (home / folder).mkdir(parents=True)
            for name in names:
                Image.new("RGB", (64, 48), colour).save(home / folder / name)
        document = {
            "images": [{"id": i, "file_name": name, "width": 64, "height": 48} for i, name in enumerate(names)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": i % 3, "bbox": [4 + i, 5, 20, 10], "iscrowd": 0, "area": 200}
                for i in range(n)
            ],
            "categories": CATEGORIES,
        }
        (home / f"{split.lower()}_coco.json").write_text(json.dumps(document))


if __name__ == "__main__":
    make(Path(sys.argv[1]))

"""Images and masks: scenes of overlapping tiles, masks of one colour, and all that can be wrong with a mask."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

GREEN, RED = (0, 255, 0), (255, 0, 0)


def save(root: Path, name: str, *rectangles: tuple[int, int, int, int], size: tuple[int, int] = (40, 30)) -> None:
    """An image and its mask with these rectangles ``(x1, y1, x2, y2)`` painted green."""
    width, height = size
    mask = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in rectangles:
        mask[y1:y2, x1:x2] = GREEN
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 60).save(root / "images" / f"{name}.jpg")
    Image.fromarray(mask).save(root / "masks" / f"{name}.png")


def make(root: Path) -> None:
    """Write the folder."""
    save(root, "P01_0_40_0_30", (2, 2, 12, 6), (20, 10, 24, 28))
    save(root, "P01_30_70_0_30", (0, 0, 5, 5))
    save(root, "P02_0_40_0_30")
    save(root, "P02_30_70_0_30", (10, 10, 15, 15), (15, 15, 18, 18))  # they touch at a corner: one region
    save(root, "P03_0_40_0_30", (1, 1, 2, 4), (8, 8, 10, 10))  # 3 px and 4 px
    Image.new("RGB", (40, 30)).save(root / "images" / "alone.jpg")
    Image.new("RGB", (40, 30)).save(root / "masks" / "nobody.png")
    Image.new("RGB", (40, 30)).save(root / "images" / "other.jpg")
    Image.new("RGB", (30, 40)).save(root / "masks" / "other.png")
    Image.new("RGB", (40, 30)).save(root / "images" / "lossy.jpg")
    Image.new("RGB", (40, 30)).save(root / "masks" / "lossy.jpg")
    Image.new("RGB", (40, 30)).save(root / "images" / "broken.jpg")
    (root / "masks" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")


if __name__ == "__main__":
    make(Path(sys.argv[1]))

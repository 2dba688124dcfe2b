"""A VisDrone-DET folder as the owner's zips unpack it, with one of everything that can be wrong in a row."""

import sys
from pathlib import Path

from PIL import Image

TRAIN_ROWS = """\
10,5,20,10,1,4,0,0
0,0,16,12,0,0,0,0
40,30,8,8,0,11,0,0
30,20,6,6,0,1,0,0
50,40,30,20,1,9,0,1,
12,12,0,5,1,4,0,0
200,200,5,5,1,4,0,0
10,5,20,10,1,4,1,2

1,2,3,4,1,12,0,0
nan,2,3,4,1,4,0,0
1,2,3
car 1 2 3 4 5 6 7
"""


def _picture(path: Path, size: tuple[int, int] = (64, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 40).convert("RGB").save(path)


def make(root: Path) -> None:
    """Write the folder."""
    train, val = root / "VisDrone2019-DET-train", root / "VisDrone2019-DET-val"
    for split in (train, val):
        (split / "annotations").mkdir(parents=True)
    _picture(train / "images" / "a.jpg")
    (train / "annotations" / "a.txt").write_text(TRAIN_ROWS)
    _picture(train / "images" / "background.jpg")
    (train / "annotations" / "nobody.txt").write_text("1,1,5,5,1,1,0,0\n")
    _picture(train / "images" / "cut.jpg")
    whole = (train / "images" / "cut.jpg").read_bytes()
    (train / "images" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (train / "annotations" / "cut.txt").write_text("1,1,5,5,1,1,0,0\n")
    (train / "images" / "empty.jpg").touch()
    _picture(val / "images" / "v.jpg", (40, 30))
    (val / "annotations" / "v.txt").write_text("1,2,10,10,1,10,0,0\n0,0,20,20,0,0,0,0\n")
    _picture(root / "VisDrone2019-DET-test-challenge" / "images" / "t.jpg")


if __name__ == "__main__":
    make(Path(sys.argv[1]))

"""A scene of any size from real pictures, as a tiled BigTIFF with a CRS, and the truth moved along.

Cells of 1920x1080 px lie side by side; each holds a frame of aerial-cars, or two of its strips, or six thermal pictures
of HIT-UAV, drawn at random and turned or mirrored at random. Written block by block. Cells farthest from the diagonal
are left out where ``--nodata`` asks for it, as the corners of an image of a satellite are; blocks without a picture are
not written at all.

    python benchmarks/scene_mosaic.py --data datasets --pixels 1e9 --out scenes/mosaic-1e9.tif
    python benchmarks/scene_mosaic.py --data datasets --pixels 1e11 --nodata 0.998 --out scenes/sparse-1e11.tif

``--data`` holds the folders aerial-cars and hit-uav. Beside the scene: ``<name>.npz`` with ``boxes`` (N, 4) xyxy in its
pixels and ``test`` (N,), whether the picture was held back from the training of ``scene_weights.py``.
"""

from __future__ import annotations

import argparse
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
from scene_pictures import Picture, pictures

CELL_HW, BLOCK = (1080, 1920), 512
GREY = 114  # what no picture covers in a cell
LAYOUTS = {1920: [(0, 0)], 1764: [(0, 0), (540, 0)], 640: [(y, x) for y in (0, 540) for x in (0, 640, 1280)]}
SHARES = {1920: 0.6, 1764: 0.1, 640: 0.3}
FLIPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))  # steps along rows and columns


class Mosaic:
    """Which picture lies where.

    Args:
        pool: Pictures to draw from, of widths in :data:`LAYOUTS`.
        pixels: How many the scene has at least.
        nodata: Share of cells without a picture.
        seed: Of the draws.
    """

    def __init__(self, pool: list[Picture], pixels: float, nodata: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        columns = max(1, round(pixels**0.5 / CELL_HW[1]))
        rows = ceil(pixels / (columns * CELL_HW[0] * CELL_HW[1]))
        self.size_hw = (rows * CELL_HW[0], columns * CELL_HW[1])
        y, x = np.divmod(np.arange(rows * columns), columns)
        off = np.abs((y + 0.5) / rows - (x + 0.5) / columns)  # from the diagonal
        self.cells = np.sort(np.argsort(off, kind="stable")[: max(1, round(rows * columns * (1 - nodata)))])
        by_width = {w: [p for p in pool if _read(p).shape[1] == w] for w in LAYOUTS}
        self.placed: dict[tuple[int, int], list[tuple[int, int, Picture, tuple[int, int]]]] = {}
        for cell in self.cells:
            row, column = divmod(int(cell), columns)
            width = rng.choice(list(SHARES), p=list(SHARES.values()))
            self.placed[row, column] = [
                (row * CELL_HW[0] + top, column * CELL_HW[1] + left,
                 by_width[width][rng.integers(len(by_width[width]))], FLIPS[rng.integers(4)])
                for top, left in LAYOUTS[width]
            ]  # fmt: skip

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, 4) xyxy in pixels of the scene, and (N,) whether their picture is one for testing."""
        boxes, test = [np.zeros((0, 4))], [np.zeros(0, bool)]
        for top, left, picture, (sy, sx) in (p for cell in self.placed.values() for p in cell):
            h, w = _read(picture).shape[:2]
            b = picture.boxes.copy()
            if sx < 0:
                b[:, [0, 2]] = w - b[:, [2, 0]]
            if sy < 0:
                b[:, [1, 3]] = h - b[:, [3, 1]]
            boxes.append(b + np.array([left, top, left, top]))
            test.append(np.full(len(b), picture.split == "test"))
        return np.concatenate(boxes), np.concatenate(test)

    def blocks(self) -> list[tuple[int, int]]:
        """Top and left of all blocks that a picture touches, in the order of the file."""
        h, w = CELL_HW
        touched = {
            (y, x)
            for row, column in self.placed
            for y in range(row * h // BLOCK, ((row + 1) * h - 1) // BLOCK + 1)
            for x in range(column * w // BLOCK, ((column + 1) * w - 1) // BLOCK + 1)
        }
        return [(y * BLOCK, x * BLOCK) for y, x in sorted(touched)]

    def block(self, top: int, left: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one block; 0 where no cell is."""
        height, width = min(BLOCK, self.size_hw[0] - top), min(BLOCK, self.size_hw[1] - left)
        out = np.zeros((height, width, 3), np.uint8)
        ch, cw = CELL_HW
        for row in range(top // ch, (top + height - 1) // ch + 1):
            for column in range(left // cw, (left + width - 1) // cw + 1):
                if (row, column) in self.placed:
                    y0, x0 = max(row * ch - top, 0), max(column * cw - left, 0)
                    out[y0 : (row + 1) * ch - top, x0 : (column + 1) * cw - left] = GREY
                for y, x, picture, (sy, sx) in self.placed.get((row, column), ()):
                    _paste(out, _read(picture)[::sy, ::sx], y - top, x - left)
        return out


@cache
def _read(picture: Picture) -> np.ndarray:
    """(H, W, 3) uint8 RGB; black becomes nearly black, as 0 is nodata."""
    rgb = picture.read()[..., ::-1].copy()
    rgb[(rgb == 0).all(2)] = 1
    return rgb


def _paste(out: np.ndarray, source: np.ndarray, top: int, left: int) -> None:
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + source.shape[0], out.shape[0]), min(left + source.shape[1], out.shape[1])
    if y0 < y1 and x0 < x1:
        out[y0:y1, x0:x1] = source[y0 - top : y1 - top, x0 - left : x1 - left]


def write(mosaic: Mosaic, out: Path, compress: str = "jpeg") -> None:
    """Write the scene and its truth; nothing is done where both are there."""
    import rasterio
    from rasterio.windows import Window

    if out.is_file() and out.with_suffix(".npz").is_file():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    boxes, test = mosaic.truth()
    made = out.with_suffix(".part")
    how = {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 90} if compress == "jpeg" else {
        "compress": compress, "predictor": 2}  # fmt: skip
    with rasterio.open(
        made, "w", driver="GTiff", height=mosaic.size_hw[0], width=mosaic.size_hw[1], count=3, dtype="uint8",
        crs="EPSG:32635", transform=rasterio.Affine(0.1, 0, 500_000, 0, -0.1, 5_980_000), nodata=0, tiled=True,
        blockxsize=BLOCK, blockysize=BLOCK, interleave="pixel", bigtiff="yes", sparse_ok=True, **how,
    ) as file:  # fmt: skip
        for top, left in mosaic.blocks():
            block = mosaic.block(top, left)
            file.write(block.transpose(2, 0, 1), window=Window(left, top, block.shape[1], block.shape[0]))
    np.savez_compressed(out.with_suffix(".npz"), boxes=boxes, test=test)
    made.rename(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of aerial-cars and hit-uav")
    parser.add_argument("--pixels", type=float, default=1e9)
    parser.add_argument("--nodata", type=float, default=0.0, help="share of cells that are left out")
    parser.add_argument("--compress", default="jpeg", help="jpeg, or a lossless one of GDAL such as deflate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    mosaic = Mosaic(pictures(args.data), args.pixels, args.nodata, args.seed)
    write(mosaic, args.out, args.compress)
    height, width = mosaic.size_hw
    print(f"{args.out}: {width} x {height} px, {len(mosaic.cells)} cells, {args.out.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()

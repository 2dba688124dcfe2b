"""Draws the gallery of the README and the front page: one tile a task, 480 x 300 pixels, as JPEG beside this file.

python docs/pictures/make.py

What a network found is cut out of pictures below benchmarks/results, which scripts have made. Where there is no such
picture, the tile is a rendered scene with what is true of it; README.md beside this file says which is which.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rsdet.classical.anomaly.background import Background
from rsdet.classical.anomaly.local_rx import LocalRX
from rsdet.data.cubes.rendering.sensor import render_cube_scene
from rsdet.data.cubes.rendering.spectra import GOOD, WAVELENGTHS_NM
from rsdet.data.scenes import NAMES, Scene, render_scene
from rsdet.data.scenes.dates import render_dates

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parents[1] / "benchmarks" / "results"
WIDTH, HEIGHT = 480, 300
COLOURS = [(60, 200, 255), (255, 170, 60), (110, 230, 110), (235, 120, 225)]  # BGR, by class


def cut(name: str, x: int, y: int, w: int, h: int) -> np.ndarray:
    """A part of a committed picture, as a tile."""
    part = cv2.imread(str(RESULTS / name))[y : y + h, x : x + w]
    return cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA if w > WIDTH else cv2.INTER_CUBIC)


def rendered(seed: int) -> tuple[Scene, np.ndarray]:
    """A scene and its picture, BGR."""
    scene = render_scene(seed, (HEIGHT, WIDTH))
    return scene, np.ascontiguousarray(scene.image[..., ::-1])


def outlines(seed: int) -> np.ndarray:
    """A scene with the outlines of its objects."""
    scene, picture = rendered(seed)
    for ring, number in zip(scene.outlines_xy, scene.classes, strict=True):
        points = [np.round(ring * 8).astype(np.int32)]
        cv2.polylines(picture, points, True, COLOURS[number], 1, cv2.LINE_AA, shift=3)
    return picture


def question(seed: int, number: int) -> np.ndarray:
    """A scene with the question of how many there are of a class, and the true answer."""
    scene, picture = rendered(seed)
    count = int((scene.classes == number).sum())
    text = f"How many {NAMES[number]}s are there?  {count}"
    picture[-34:] = (picture[-34:] * 0.25).astype(np.uint8)
    cv2.putText(picture, text, (12, HEIGHT - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def dates(seed: int) -> np.ndarray:
    """A place on an earlier date above the same place later, and the outlines of houses that have appeared or gone."""
    place = render_dates(seed, (HEIGHT // 2, WIDTH))
    rings, _ = cv2.findContours(place.label, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    both = [np.ascontiguousarray(picture[..., ::-1]) for picture in (place.before, place.after)]
    for picture in both:
        cv2.drawContours(picture, rings, -1, COLOURS[0], 1, cv2.LINE_AA)
    tile = np.concatenate(both)
    tile[HEIGHT // 2 - 1 : HEIGHT // 2 + 1] = 255
    return tile


def halves(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The left half of one tile beside the right half of another."""
    tile = np.concatenate([left[:, : WIDTH // 2], right[:, WIDTH // 2 :]], axis=1)
    tile[:, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 255
    return tile


def unlike(seed: int) -> np.ndarray:
    """A rendered cube in three of its bands, and on the right how unlike its surroundings each pixel is by local RX."""
    cube = render_cube_scene(seed, WIDTH // 3).cube
    bands = [int(np.abs(WAVELENGTHS_NM - nm).argmin()) for nm in (470, 550, 650)]
    seen = np.clip(cube[..., bands] / np.percentile(cube[..., bands], 98), 0, 1) ** 0.7
    values = cube[..., GOOD]
    score = np.log(LocalRX().fit(Background.of([values]))(values))
    low, high = np.nanpercentile(score, (2, 99.9))
    score = cv2.applyColorMap(np.uint8(np.clip((score - low) / (high - low), 0, 1) * 255), cv2.COLORMAP_INFERNO)
    rows = slice(30, 30 + HEIGHT // 3)
    return halves(
        *(
            cv2.resize(picture[rows], (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
            for picture in (np.uint8(seen * 255), score)
        )
    )


TILES = {
    "detect": lambda: cut("demo-prediction.jpg", 20, 600, 480, 300),
    "obb": lambda: cut("hit-uav-oriented/0.jpg", 1440, 0, 480, 300),
    "segment": lambda: outlines(9),
    "semantic": lambda: cut("landslides.jpg", 512, 26, 256, 160),
    "change": lambda: dates(7),
    "landcover": lambda: halves(
        cut("landcover-demo-cube.jpg", 0, 110, 480, 300), cut("landcover-demo-cube.jpg", 972, 110, 480, 300)
    ),
    "anomaly": lambda: unlike(0),
    "vqa": lambda: question(4, 3),
    "restore": lambda: halves(
        cut("haze-detection.jpg", 300, 150, 480, 300), cut("haze-detection.jpg", 300, 714, 480, 300)
    ),
    "scenes": lambda: cut("scenes-read-back.jpg", 0, 180, 480, 300),
}


def main() -> None:
    """Draw all tiles."""
    for name, draw in TILES.items():
        cv2.imwrite(str(HERE / f"{name}.jpg"), draw(), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()

"""Writes the embedded data set `data=demo-cube` to disk: a rendered cube with LiDAR, classes and targets, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.envi_writer import write_envi
from rsdet.data.cubes.rendering.ground import PIXEL_M
from rsdet.data.cubes.rendering.sensor import NAMES, render_cube_scene
from rsdet.data.cubes.rendering.spectra import GOOD, WAVELENGTHS_NM
from rsdet.data.cubes.splits import block_folds, fold_split
from rsdet.data.decoding import has_rasterio
from rsdet.data.rendered import MAX_SPLIT, SEEDS_PER_SET, Rendered, check_counts, check_drawable, make_rendered, stem
from rsdet.data.rendered import write_data_yaml as write_yaml
from rsdet.errors import ConfigError
from rsdet.scenes.georef import Georef
from rsdet.writing import write_picture

VERSION = 1  # raise when the renderer changes what it draws, so that folders made before are made anew
EPSG = 32633  # UTM zone 33 north, where the scene is said to lie
CORNER_M = (400_000.0, 5_300_000.0)
SCALE = 10_000.0
LEAST_PART = 0.08  # of a pixel that a target covers, to be one in the map
TRAIN_FOLDS = 5  # one of so many parts of the ground is learnt from
GAP_PX = 4  # between them, at least
_TRIES = 12
PALETTE = ("#7bc043", "#1b7a2f", "#d9c46a", "#a0703c", "#6b6b78", "#3a2f4d", "#c8452f", "#c9c9c9", "#2f6fc8")
_FOLDERS = (("lidar", ".hdr"), ("labels", ".png"), ("train", ".png"), ("test", ".png"), ("targets", ".png"))


def make_demo_cube(
    root: Path | str,
    size: int = 160,
    seed: int = 0,
    progress: bool = True,
    task: str = "landcover",
) -> Path:
    """Render the demonstration data set into a folder, or reuse what lies there when it is the same.

    Two scenes are rendered: one with everything, and one without targets, to learn a background from. A cube is ENVI,
    int16, reflectance times 10000, with wavelengths, bad bands and a place on Earth; LiDAR on its grid is the height of
    the surface in metres and an intensity. Training pixels lie on ground of their own, with a gap to those of the test.

    Args:
        root: Folder of the data set. It is created; one that holds something else is not touched.
        size: Side of the scene in pixels of 2 m, 64 to 1024.
        seed: Number of the data set, 0 or more.
        progress: Show a progress bar while rendering.
        task: What the data YAML is for: `landcover` or `anomaly`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: The size cannot be rendered, or nothing for this task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo-cube", task, ("landcover", "anomaly"))
    check_counts(1, 1, seed)
    if not 64 <= size <= 1024:
        raise ConfigError(f"size={size} received; demo-cube can be drawn with 64 to 1024 pixels along a side.")
    root = Path(root).expanduser().resolve()
    recipe = {"kind": "demo-cube", "version": VERSION, "n_train": 1, "n_val": 1, "size": size, "seed": seed,
              "placed": has_rasterio()}  # fmt: skip

    def draw(scene_seed: int, image: Path) -> None:
        _draw(scene_seed, image, size)

    make_rendered(root, recipe, Rendered("demo-cube", ".hdr", draw, beside=_FOLDERS), progress)
    head = "# Made by rsdet: a rendered cube for showing and testing. Nothing follows from it for real ground.\n"
    return write_yaml(root / "demo-cube.yaml", _content(root, seed, task), head)


def _draw(scene_seed: int, image: Path, size: int) -> None:
    """Write one scene: that of training has targets, that of validation none."""
    background = scene_seed % SEEDS_PER_SET >= MAX_SPLIT
    scene = render_cube_scene(scene_seed, size, targets=0 if background else max(6, size * size // 1800))
    georef = _georef(size, background)
    stored = np.clip(np.rint(scene.cube * SCALE), -32768, 32767).astype(np.int16)
    write_envi(image, stored, wavelengths_nm=WAVELENGTHS_NM, good=GOOD, scale=SCALE, georef=georef,
               description="rendered by rsdet")  # fmt: skip
    beside = {name: image.parents[2] / name / image.parent.name / image.name for name, _ in _FOLDERS}
    write_envi(beside["lidar"], scene.lidar, georef=georef, description="surface in m, intensity; rendered by rsdet")
    train, test = _divided(scene.labels.astype(np.int64), scene_seed)
    maps = {"labels": scene.labels, "train": train, "test": test, "targets": scene.targets >= LEAST_PART}
    for name, values in maps.items():
        write_picture(beside[name].with_suffix(".png"), values.astype(np.uint8))


def _divided(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Large squares to learn from, and the ground of the test; of some divisions that whose rarest class has most."""
    best: tuple[int, np.ndarray, np.ndarray] | None = None
    for n in range(_TRIES):
        folds = block_folds(labels, TRAIN_FOLDS, max(8, len(labels) // 4), seed + n)
        test, train, _ = fold_split(labels, folds, 0, GAP_PX)  # learnt from is the smaller part
        least = min(int(min((train == k).sum(), (test == k).sum())) for k in np.unique(labels[labels > 0]))
        if best is None or least > best[0]:
            best = least, train, test
    return best[1:]  # type: ignore[index]


def _georef(size: int, background: bool) -> Georef | None:
    if not has_rasterio():
        return None
    from rasterio.crs import CRS

    east = CORNER_M[0] + background * (size + 8) * PIXEL_M
    wkt = CRS.from_epsg(EPSG).to_wkt()
    return Georef(wkt, (PIXEL_M, 0.0, east, 0.0, -PIXEL_M, CORNER_M[1]), (size, size))


def _content(root: Path, seed: int, task: str) -> dict[str, Any]:
    first = seed * SEEDS_PER_SET
    scene, background = f"train/{stem(first)}", f"val/{stem(first + MAX_SPLIT)}"
    data: dict[str, Any] = {"task": task, "name": "demo-cube", "path": str(root), "cube": f"images/{scene}.hdr"}
    if task == "anomaly":
        return data | {
            "labels": f"targets/{scene}.png", "names": {1: "target"}, "general": [f"images/{background}.hdr"],
            "gsd": PIXEL_M,
        }  # fmt: skip
    return data | {
        "lidar": f"lidar/{scene}.hdr", "train": f"train/{scene}.png", "test": f"test/{scene}.png",
        "labels": f"labels/{scene}.png", "names": dict(enumerate(NAMES, 1)),
        "palette": dict(zip(NAMES, PALETTE, strict=True)), "gsd": PIXEL_M,
    }  # fmt: skip

"""Writes the embedded data sets `data=demo`, `demo-obb`, `demo-seg` and `demo-sem` to disk in YOLO layout, once.

All have the same pictures; their labels are upright boxes, turned rectangles or polygons of the same objects, or maps
of what covers the ground.
"""

from __future__ import annotations

from pathlib import Path

import cv2

from rsdet.writing import write_picture

from .rendered import (
    MANIFEST,
    Rendered,
    check_counts,
    check_drawable,
    make_rendered,
    polygon_lines,
    write_data_yaml,
    yolo_lines,
)
from .scenes import COVER, NAMES, Scene, render_scene

__all__ = ["MANIFEST", "VERSION", "label_lines", "make_demo"]

VERSION = 2  # raise when the renderer changes what it draws, so that folders made before are made anew
JPEG_QUALITY = 95


def make_demo(
    root: Path | str,
    n_train: int = 600,
    n_val: int = 150,
    size: int = 320,
    seed: int = 0,
    progress: bool = True,
    task: str = "detect",
) -> Path:
    """Render the demonstration data set into a folder, or reuse what lies there when it is the same.

    Args:
        root: Folder of the data set. It is created; one that holds something else is not touched.
        n_train: Training scenes, 1 to 500000.
        n_val: Validation scenes, 1 to 500000; their seeds are never those of training scenes.
        size: Side of the square images in pixels.
        seed: Number of the data set, 0 or more; different numbers share no scene.
        progress: Show a progress bar while rendering.
        task: What the labels are for: `detect`, `obb`, `segment` or `semantic`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: No labels for this task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo", task, ("detect", "obb", "segment", "semantic"))
    check_counts(n_train, n_val, seed)
    root, maps = Path(root).expanduser().resolve(), task == "semantic"
    kind = "demo" if task == "detect" else f"demo-{task}"
    recipe = {"version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed}
    recipe |= {} if task == "detect" else {"kind": kind}

    def draw(scene_seed: int, image: Path) -> str | None:
        scene = render_scene(scene_seed, size)
        write_picture(image, scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not maps:
            return label_lines(scene, task)
        write_picture(image.parents[2] / "masks" / image.parent.name / f"{image.stem}.png", scene.cover)
        return None

    beside = (("masks", ".png") if maps else ("labels", ".txt"),)
    make_rendered(root, recipe, Rendered(kind, ".jpg", draw, beside=beside), progress)
    data = {"task": task, "path": str(root), "train": "images/train", "val": "images/val", "names": NAMES}
    data |= {"masks_dir": "masks", "names": COVER} if maps else {}
    head = "# Made by rsdet: rendered scenes for showing and testing. No accuracy on real images follows from them.\n"
    return write_data_yaml(root / f"{kind}.yaml", data, head)


def label_lines(scene: Scene, task: str = "detect") -> str:
    """Return a scene's YOLO label file, relative to the image size; empty without objects.

    Per object `class cx cy w h`, for `obb` and `segment` `class x1 y1 x2 y2 ...`; see :class:`Scene` for their corners.
    """
    shape = scene.image.shape[:2]
    if task == "detect":
        return yolo_lines(scene.boxes_xyxy, scene.classes, shape)
    return polygon_lines(scene.corners_xy if task == "obb" else scene.outlines_xy, scene.classes, shape)

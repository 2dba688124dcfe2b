"""Writes the embedded set `data=demo-haze` to disk: rendered clear scenes, whose haze is made on the fly."""

from __future__ import annotations

from pathlib import Path

import cv2

from rsdet.data.demo import label_lines
from rsdet.data.rendered import Rendered, check_counts, check_drawable, make_rendered, write_data_yaml
from rsdet.data.scenes import render_scene
from rsdet.writing import write_picture

VERSION = 1  # raise when the renderer changes what it draws, so that folders made before are made anew
# PNG: the artefacts of JPEG would be part of what a network learns to restore.
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]
DEGRADE = {"name": "haze", "t": [0.3, 0.8]}


def make_demo_haze(
    root: Path | str,
    n_train: int = 200,
    n_val: int = 40,
    size: int = 256,
    seed: int = 0,
    progress: bool = True,
    task: str = "restore",
) -> Path:
    """Render the demonstration set of haze into a folder, or reuse what lies there when it is the same.

    The labels of the scenes are written as well, so that the same folder shows whether a detector gains from dehazing.

    Args:
        root: Folder of the set. It is created; one that holds something else is not touched.
        n_train: Training scenes, 1 to 500000.
        n_val: Validation scenes, 1 to 500000; their seeds are never those of training scenes.
        size: Side of the square pictures in pixels.
        seed: Number of the set, 0 or more; different numbers share no scene.
        progress: Show a progress bar while rendering.
        task: What the pictures are for: `restore`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: Another task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo-haze", task, ("restore",))
    check_counts(n_train, n_val, seed)
    root = Path(root).expanduser().resolve()
    recipe = {
        "kind": "demo-haze", "version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed,
    }  # fmt: skip

    def draw(scene_seed: int, image: Path) -> str:
        scene = render_scene(scene_seed, size, clear=True)
        write_picture(image, scene.image[..., ::-1], _FAST_PNG)
        return label_lines(scene)

    make_rendered(root, recipe, Rendered("demo-haze", ".png", draw), progress)
    data = {
        "task": task, "kind": "dehaze", "path": str(root), "train": {"target": "images/train"},
        "val": {"target": "images/val"}, "degrade": DEGRADE,
    }  # fmt: skip
    head = "# Made by rsdet: rendered scenes for showing and testing. Nothing follows from them for real haze.\n"
    return write_data_yaml(root / "demo-haze.yaml", data, head)

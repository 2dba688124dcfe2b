"""Writes the embedded data set `data=demo-change` to disk: rendered places on two dates with labels, once."""

from __future__ import annotations

from pathlib import Path

import cv2

from rsdet.writing import write_picture

from .rendered import Rendered, check_counts, check_drawable, make_rendered, write_data_yaml
from .scenes.dates import render_dates

VERSION = 1  # raise when the renderer changes what it draws, so that folders made before are made anew
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 3]


def make_demo_change(
    root: Path | str,
    n_train: int = 160,
    n_val: int = 40,
    size: int = 256,
    seed: int = 0,
    progress: bool = True,
    task: str = "change",
) -> Path:
    """Render the demonstration set of changes into a folder, or reuse what lies there when it is the same.

    `A` holds the earlier dates, `B` the later ones and `label` 255 where a house has appeared or gone, 0 elsewhere; the
    three files of a place have one name.

    Args:
        root: Folder of the set. It is created; one that holds something else is not touched.
        n_train: Training places, 1 to 500000.
        n_val: Validation places, 1 to 500000; their seeds are never those of training places.
        size: Side of the square pictures in pixels, 64 to 4088.
        seed: Number of the set, 0 or more; different numbers share no place.
        progress: Show a progress bar while rendering.
        task: What the labels are for: `change`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: The size cannot be rendered, or another task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo-change", task, ("change",))
    check_counts(n_train, n_val, seed)
    root = Path(root).expanduser().resolve()
    recipe = {
        "kind": "demo-change", "version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed,
    }  # fmt: skip

    def draw(scene_seed: int, before: Path) -> None:
        scene = render_dates(scene_seed, size)
        for folder, picture in (("A", scene.before), ("B", scene.after)):
            write_picture(_beside(before, folder), picture[..., ::-1], _FAST_PNG)
        write_picture(_beside(before, "label"), scene.label)

    beside = (("B", ".png"), ("label", ".png"))
    make_rendered(root, recipe, Rendered("demo-change", ".png", draw, beside=beside, images="A"), progress)
    data = {
        "task": task, "path": str(root), "train": "train", "val": "val", "t1": "A", "t2": "B", "label": "label",
        "channels": 3, "names": {0: "changed"},
    }  # fmt: skip
    head = "# Made by rsdet: rendered places for showing and testing. No accuracy on real pictures follows from them.\n"
    return write_data_yaml(root / "demo-change.yaml", data, head)


def _beside(before: Path, folder: str) -> Path:
    """The file of a place in another folder of the same split."""
    return before.parents[2] / folder / before.parent.name / before.name

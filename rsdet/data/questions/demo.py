"""Writes the embedded set `data=demo-vqa` to disk: rendered scenes, and questions that follow from what is drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from rsdet.data.questions.generator.making import TABLE, make_questions, write_set
from rsdet.data.questions.generator.scene import UNKNOWN, Item, Scene
from rsdet.data.rendered import Rendered, check_counts, check_drawable, make_rendered
from rsdet.data.scenes import COVER, NAMES, render_scene
from rsdet.data.scenes import Scene as Rendering
from rsdet.writing import write_picture

VERSION = 1  # raise when scenes or questions change, so that folders made before are made anew
JPEG_QUALITY = 95
# Of what covers the ground, what a question can name; "object" are the cars, trucks, boats and planes themselves.
STUFF = {"road": "road", "paved": "pavement", "building": "building", "water": "water", "tree": "tree cover"}


def make_demo_vqa(
    root: Path | str,
    n_train: int = 400,
    n_val: int = 100,
    size: int = 160,
    seed: int = 0,
    progress: bool = True,
    task: str = "vqa",
) -> Path:
    """Render the demonstration set of questions into a folder, or reuse what lies there when it is the same.

    Args:
        root: Folder of the set. It is created; one that holds something else is not touched.
        n_train: Training scenes, 1 to 500000; of very few, no question has two answers.
        n_val: Validation scenes, 1 to 500000; their seeds are never those of training scenes.
        size: Side of the square pictures in pixels.
        seed: Number of the set, 0 or more; different numbers share no scene.
        progress: Show a progress bar while rendering.
        task: What the pictures are for: `vqa`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: Another task.
        DataError: The folder holds other files, a number is out of its range, or too few scenes.
    """
    check_drawable("demo-vqa", task, ("vqa",))
    check_counts(n_train, n_val, seed)
    root = Path(root).expanduser().resolve()
    recipe = {
        "kind": "demo-vqa", "version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed,
    }  # fmt: skip
    drawn: dict[str, list[Scene]] = {"train": [], "val": []}

    def draw(scene_seed: int, image: Path) -> None:
        scene = render_scene(scene_seed, size)
        write_picture(image, scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        split = image.parent.name
        drawn[split].append(as_scene(scene, f"{split}/{image.name}"))

    def finish(folder: Path) -> None:
        write_set(folder, make_questions(drawn, seed), "images", {"name": "demo-vqa"})

    files = ("train.jsonl", "val.jsonl", TABLE, "data.yaml")
    make_rendered(root, recipe, Rendered("demo-vqa", ".jpg", draw, files, finish, beside=()), progress)
    return root / "data.yaml"


def as_scene(drawn: Rendering, image: str) -> Scene:
    """What is known of a rendered scene, as questions are made of it.

    Args:
        drawn: The scene.
        image: Name of its picture.
    """
    lut = np.full(256, UNKNOWN, np.uint8)
    for number, name in COVER.items():
        lut[number] = [*STUFF].index(name) if name in STUFF else len(STUFF)
    height, width = drawn.cover.shape
    items = (
        Item(NAMES[int(cls)], np.asarray(ring, np.float64))
        for cls, ring in zip(drawn.classes, drawn.outlines_xy, strict=True)
    )
    return Scene(
        image, width, height, tuple(NAMES.values()), tuple(items), outlined=True, cover=lut[drawn.cover],
        stuff=tuple(STUFF.values()),
    )  # fmt: skip

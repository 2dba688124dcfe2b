"""Writes the embedded data set `data=demo` to disk in YOLO layout: rendered once, reused afterwards."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import yaml

from rsdet.errors import DataError

from .scenes import NAMES, Scene, render_scene

VERSION = 2  # raise when the renderer changes what it draws, so that folders made before are made anew
MANIFEST = "manifest.json"
YAML_NAME = "demo.yaml"
JPEG_QUALITY = 95
# Seeds of the two splits never meet: a data set has its own million, and validation the upper half of it.
_SEEDS_PER_SET = 1_000_000
_MAX_SPLIT = _SEEDS_PER_SET // 2


def make_demo(
    root: Path | str, n_train: int = 600, n_val: int = 150, size: int = 320, seed: int = 0, progress: bool = True
) -> Path:
    """Render the demonstration data set into a folder, or reuse what lies there when it is the same.

    Args:
        root: Folder of the data set. It is created; one that holds something else is not touched.
        n_train: Training scenes, 1 to 500000.
        n_val: Validation scenes, 1 to 500000; their seeds are never those of training scenes.
        size: Side of the square images in pixels.
        seed: Number of the data set, 0 or more; different numbers share no scene.
        progress: Show a progress bar while rendering.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        DataError: The folder holds other files, or a number is out of its range.
    """
    for name, value, low in (("n_train", n_train, 1), ("n_val", n_val, 1), ("seed", seed, 0)):
        if not low <= value <= _MAX_SPLIT:
            raise DataError(f"{name}={value} received; expected {low} to {_MAX_SPLIT}; choose a number in that range")
    root = Path(root).expanduser().resolve()
    recipe = {"version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed}
    if _is_complete(root, recipe):
        return _write_yaml(root)
    if root.is_file() or (root.is_dir() and any(root.iterdir()) and not (root / MANIFEST).is_file()):
        raise DataError(f"{root} holds something else; expected an empty or a demo folder; give another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    # Rendered beside the target and moved at the end: an interrupted run leaves nothing that looks finished.
    work = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        _render(work, recipe, progress)
        _install(work, root, recipe)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _write_yaml(root)


def _stem(seed: int) -> str:
    return f"scene_{seed:09d}"


def _plan(recipe: dict[str, int]) -> dict[str, range]:
    first = recipe["seed"] * _SEEDS_PER_SET
    return {
        "train": range(first, first + recipe["n_train"]),
        "val": range(first + _MAX_SPLIT, first + _MAX_SPLIT + recipe["n_val"]),
    }


def _is_complete(root: Path, recipe: dict[str, int]) -> bool:
    try:
        found = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # absent or damaged: made anew
    if found != recipe:
        return False
    for split, seeds in _plan(recipe).items():
        for folder, suffix in (("images", ".jpg"), ("labels", ".txt")):
            have = {p.name for p in (root / folder / split).glob(f"*{suffix}")}
            if have != {_stem(s) + suffix for s in seeds}:
                return False
    return True


def _render(folder: Path, recipe: dict[str, int], progress: bool) -> None:
    jobs = [(split, s) for split, seeds in _plan(recipe).items() for s in seeds]
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True)
        (folder / "labels" / split).mkdir(parents=True)
    for split, scene_seed in _track(jobs, progress):
        scene = render_scene(scene_seed, recipe["size"])
        image = folder / "images" / split / f"{_stem(scene_seed)}.jpg"
        if not cv2.imwrite(str(image), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise DataError(f"{image} could not be written; expected a writable folder; check space and rights")
        (folder / "labels" / split / f"{_stem(scene_seed)}.txt").write_text(label_lines(scene), encoding="utf-8")
    (folder / MANIFEST).write_text(json.dumps(recipe), encoding="utf-8")


def _track(jobs: list[tuple[str, int]], progress: bool) -> Iterable[tuple[str, int]]:
    if not progress:
        return jobs
    from rich.progress import track  # lazy: only needed where somebody looks on

    return track(jobs, description="rendering the demo data set")


def label_lines(scene: Scene) -> str:
    """Return a scene's YOLO label file: `class cx cy w h` per object, relative to the image size; empty without any."""
    h, w = scene.image.shape[:2]
    x0, y0, x1, y1 = (scene.boxes_xyxy.astype(np.float64) / (w, h, w, h)).T
    rows = zip(scene.classes, (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, strict=True)
    return "".join(f"{c} {cx:.6f} {cy:.6f} {bw:.6f} {bh:.6f}\n" for c, cx, cy, bw, bh in rows)


def _install(work: Path, root: Path, recipe: dict[str, int]) -> None:
    try:
        os.replace(work, root)  # the target is absent or empty: one atomic step
        return
    except OSError:
        if _is_complete(root, recipe):  # another process was faster
            return
    root.mkdir(exist_ok=True)
    for name in ("images", "labels"):  # the old label caches of the trainer lie in there and must go too
        shutil.rmtree(root / name, ignore_errors=True)
        os.replace(work / name, root / name)
    os.replace(work / MANIFEST, root / MANIFEST)  # last: only now it counts as complete


def _write_yaml(root: Path) -> Path:
    data = {"path": str(root), "train": "images/train", "val": "images/val", "names": NAMES}
    head = "# Made by rsdet: rendered scenes for showing and testing. No accuracy on real images follows from them.\n"
    path = root / YAML_NAME
    text = head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:  # written anew when the folder was moved
        path.write_text(text, encoding="utf-8")
    return path

"""A data set that the package draws itself, on disk in YOLO layout: made once, whole or not at all, then reused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.textfiles import read_json
from rsdet.writing import workplace, write_if_changed

MANIFEST = "manifest.json"
# Seeds of the two splits never meet: a data set has its own million, and validation the upper half of it.
SEEDS_PER_SET = 1_000_000
MAX_SPLIT = SEEDS_PER_SET // 2
Recipe = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What is particular to one rendered data set.

    Attributes:
        kind: Its name, for messages; manifests of any other name are somebody else's.
        suffix: Ending of its image files.
        draw: From a scene's seed and the path of an image to be written, to the text of its label file; None where it
            has written labels itself.
        extras: Files beside the image folders, which `finish` writes.
        finish: Called with the folder when every scene is drawn.
        beside: Folders beside `images` and how their files end, one for each image.
        images: Folder of the images.
    """

    kind: str
    suffix: str
    draw: Callable[[int, Path], str | None]
    extras: tuple[str, ...] = ()
    finish: Callable[[Path], None] | None = None
    beside: tuple[tuple[str, str], ...] = (("labels", ".txt"),)
    images: str = "images"

    @property
    def folders(self) -> tuple[tuple[str, str], ...]:
        """All folders of files that belong to images, and how the files end."""
        return ((self.images, self.suffix), *self.beside)


def check_counts(n_train: int, n_val: int, seed: int) -> None:
    """Raise `DataError` unless both splits have 1 to 500000 scenes and the seed is 0 to 500000."""
    for name, value, low in (("n_train", n_train, 1), ("n_val", n_val, 1), ("seed", seed, 0)):
        if not low <= value <= MAX_SPLIT:
            raise DataError(f"{name}={value} received; expected {low} to {MAX_SPLIT}; choose a number in that range")


def check_drawable(kind: str, task: str, known: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless a set can be labelled for a task."""
    if task not in known:
        raise ConfigError(f"task={task!r} received; {kind} can be drawn for {', '.join(known)}; choose one of them")


def make_rendered(root: Path, recipe: Recipe, spec: Rendered, progress: bool) -> None:
    """Draw a data set into a folder, or leave what lies there when it is the same.

    Args:
        root: Folder of the data set, absolute. It is created; one that holds something else is not touched.
        recipe: What the set depends on: `n_train`, `n_val`, `seed`, the version and whatever else; kept as manifest.
        spec: How it is drawn.
        progress: Show a progress bar.

    Raises:
        DataError: The folder holds other files.
    """
    if _is_complete(root, recipe, spec):
        return
    if root.is_file() or (root.is_dir() and any(root.iterdir()) and not _is_ours(root, spec)):
        raise DataError(f"{root} holds something else; expected an empty or a {spec.kind} folder; give another folder")
    with workplace(root.parent, root.name) as place:  # an interrupted run leaves nothing that looks finished
        _render(place / root.name, recipe, spec, progress)
        _install(place / root.name, root, recipe, spec)


def write_data_yaml(path: Path, data: dict[str, Any], head: str) -> Path:
    """Write a data YAML below a comment, unless it already says the same; returns its path."""
    text = head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    write_if_changed(path, text)  # as it is when the folder was moved
    return path


def yolo_lines(boxes_xyxy: np.ndarray, classes: np.ndarray, shape: tuple[int, int]) -> str:
    """Return the YOLO label file of `(N, 4)` pixel boxes: `class cx cy w h` per line, relative to `(height, width)`."""
    h, w = shape
    x0, y0, x1, y1 = (boxes_xyxy.astype(np.float64) / (w, h, w, h)).T
    rows = zip(classes, (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, strict=True)
    return "".join(f"{c} {cx:.6f} {cy:.6f} {bw:.6f} {bh:.6f}\n" for c, cx, cy, bw, bh in rows)


def polygon_lines(polygons_xy: Sequence[np.ndarray], classes: np.ndarray, shape: tuple[int, int]) -> str:
    """Return the YOLO label file of pixel polygons `(K, 2)`, or of `(4, 2)` corners: `class x1 y1 x2 y2 ...` per line.

    Corners outside the image are written as they are, so that rectangles stay rectangles.
    """
    h, w = shape
    rows = zip(classes, ((polygon / (w, h)).ravel() for polygon in polygons_xy), strict=True)
    return "".join(f"{c} {' '.join(f'{v:.6f}' for v in values)}\n" for c, values in rows)


def stem(seed: int) -> str:
    """Name of a scene's files without ending."""
    return f"scene_{seed:09d}"


def _plan(recipe: Recipe) -> dict[str, range]:
    first = recipe["seed"] * SEEDS_PER_SET
    return {
        "train": range(first, first + recipe["n_train"]),
        "val": range(first + MAX_SPLIT, first + MAX_SPLIT + recipe["n_val"]),
    }


def _manifest(root: Path) -> Any:
    try:
        return read_json(root / MANIFEST)
    except RSDetError:
        return None  # absent or damaged: made anew


def _is_ours(root: Path, spec: Rendered) -> bool:
    found = _manifest(root)
    if found is None:  # a damaged manifest beside the folders that every such set has
        return (root / MANIFEST).is_file() and all((root / name).is_dir() for name, _ in spec.folders)
    return isinstance(found, dict) and {"version", "n_train"} <= found.keys() and found.get("kind", "demo") == spec.kind


def _is_complete(root: Path, recipe: Recipe, spec: Rendered) -> bool:
    if _manifest(root) != recipe or not all((root / name).is_file() for name in spec.extras):
        return False
    for split, seeds in _plan(recipe).items():
        for folder, suffix in spec.folders:
            have = {p.name for p in (root / folder / split).glob(f"*{suffix}")}
            if have != {stem(s) + suffix for s in seeds}:
                return False
    return True


def _render(folder: Path, recipe: Recipe, spec: Rendered, progress: bool) -> None:
    jobs = [(split, s) for split, seeds in _plan(recipe).items() for s in seeds]
    for split in ("train", "val"):
        for name, _ in spec.folders:
            (folder / name / split).mkdir(parents=True)
    for split, seed in _track(jobs, spec.kind, progress):
        text = spec.draw(seed, folder / spec.images / split / (stem(seed) + spec.suffix))
        if text is not None:
            (folder / "labels" / split / f"{stem(seed)}.txt").write_text(text, encoding="utf-8")
    if spec.finish:
        spec.finish(folder)
    (folder / MANIFEST).write_text(json.dumps(recipe), encoding="utf-8")


def _track(jobs: list[tuple[str, int]], kind: str, progress: bool) -> Iterable[tuple[str, int]]:
    if not progress:
        return jobs
    from rich.progress import track  # lazy: only needed where somebody looks on

    return track(jobs, description=f"rendering the {kind} data set")


def _install(work: Path, root: Path, recipe: Recipe, spec: Rendered) -> None:
    try:
        os.replace(work, root)  # the target is absent or empty: one atomic step
        return
    except OSError:
        if _is_complete(root, recipe, spec):  # another process was faster
            return
    root.mkdir(exist_ok=True)
    (root / MANIFEST).unlink(missing_ok=True)  # from here on the folder does not count as complete
    for name, _ in spec.folders:  # the old label caches of the trainer lie in there and must go too
        shutil.rmtree(root / name, ignore_errors=True)
        os.replace(work / name, root / name)
    for name in spec.extras:
        os.replace(work / name, root / name)
    os.replace(work / MANIFEST, root / MANIFEST)  # last: only now it counts as complete

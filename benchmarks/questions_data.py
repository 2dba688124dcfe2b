"""Questions about real scenes for ``questions.py``: tiles of HIT-UAV and aerial-cars with boxes, RSSCN7 with themes."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import cv2
import yaml

KINDS = ("presence", "count", "comparison", "relation")  # where things are is not seen by a network without positions
BOXED: dict[str, dict[str, Any]] = {  # how each is cut; what is tested is the owner's val, or another flight
    "hit-uav": {"format": "hit-uav", "tile": 256, "overlap": 0.0},
    "aerial-cars": {"format": "yolo", "tile": 512, "overlap": 0.0, "val_prefixes": "DJI-00760"},
}
THEME = "What is the theme of this picture?"
THEMES = {
    "aGrass": "grass", "bField": "field", "cIndustry": "industry", "dRiverLake": "river or lake", "eForest": "forest",
    "fResident": "residential", "gParking": "parking",
}  # fmt: skip
HELD_BACK, SPLIT_SEED = 3, 0  # pictures of each theme, and the seed that draws them
SPLITS = ("train", "val")  # val is tested once, at the end of a training


def prepare(pictures: Path, work: Path) -> Path:
    """Write tiles, labels and questions of all three sets into ``work/data``.

    Args:
        pictures: Folder with ``hit-uav``, ``aerial-cars`` and ``rsscn7``.
        work: Folder of the experiment.

    Returns:
        The data YAML of the questions; that of the boxes of a set is :func:`boxes_of` it.
    """
    from rsdet.data.convert import convert
    from rsdet.data.questions.jsonl import write_questions

    folder = work / "data"
    file = folder / "questions.yaml"
    if file.is_file():
        return file
    shutil.rmtree(folder, ignore_errors=True)
    entries: dict[str, list[dict[str, str]]] = {split: [] for split in SPLITS}
    for name in (*BOXED, "rsscn7"):
        if name in BOXED:
            convert(pictures / name, out=folder / name, empty=1e6, progress=False, **BOXED[name])
            found = _asked(boxes_of(file, name))
        else:
            found = _themes(pictures / name, folder / name / "images")
        for split, questions in found.items():
            path = write_questions(folder / name / f"{split}.jsonl", questions)
            entries[split].append({"questions": f"{name}/{path.name}", "images": f"{name}/images"})
    file.write_text(yaml.safe_dump({"task": "vqa", "path": str(folder), **entries, "format": "jsonl"}))
    return file


def boxes_of(questions: Path, name: str) -> Path:
    """Data YAML of the boxes of a set."""
    return questions.parent / name / f"{name}.yaml"


def _asked(boxes: Path) -> dict[str, list[Any]]:
    """Questions of each split, every text with its answers balanced."""
    from rsdet.data.questions.generator.loading import load_scenes
    from rsdet.data.questions.generator.making import make_questions

    loaded = load_scenes(boxes)
    print(boxes.stem, dict(loaded.left_out), flush=True)
    return make_questions(loaded.scenes, 0, KINDS)


def _themes(source: Path, images: Path) -> dict[str, list[Any]]:
    """The theme of each quarter of the pictures, which are divided first; as many of each theme."""
    from rsdet.data.questions.records import Question

    found: dict[str, list[Any]] = {split: [] for split in SPLITS}
    for folder, theme in THEMES.items():
        whole = sorted((source / folder).glob("*.jpg"))
        random.Random(SPLIT_SEED).shuffle(whole)
        for i, picture in enumerate(whole):
            split = SPLITS[i < HELD_BACK]
            (images / split).mkdir(parents=True, exist_ok=True)
            pixels = cv2.imread(str(picture))
            height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
            for k in range(4):
                top, left = k // 2 * height, k % 2 * width
                name = f"{split}/{folder}-{picture.stem}-{k}.png"
                cv2.imwrite(str(images / name), pixels[top : top + height, left : left + width])
                found[split].append(Question(name, THEME, theme, "theme"))
    return found

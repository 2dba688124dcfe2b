"""Writing detections where other programs can read them: a plain JSON and a COCO file."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import RSDetError
from rsdet.quiet import say
from rsdet.textfiles import read_json
from rsdet.writing import write_if_changed


class Outputs:
    """Collects the detections of a run, without the pictures, and writes them at its end.

    Args:
        save_json: Write ``predictions.json``: per image its path, size and boxes (xyxy in pixels).
        save_coco: Write ``predictions-coco.json``: images, categories (ids from 1) and annotations with ``score``.
    """

    def __init__(self, *, save_json: bool = False, save_coco: bool = False):
        self.save_json, self.save_coco = save_json, save_coco
        self.names: dict[int, str] = {}
        self.plain: list[dict[str, Any]] = []
        self.rows: list[list[dict[str, Any]]] = []
        self._seen: Counter[str] = Counter()

    def add(self, result: Any) -> None:
        """Take over one :class:`~rsdet.tasks.detect.predict.DetectResults`."""
        if not (self.save_json or self.save_coco):
            return
        self.names = result.names
        self._seen[str(result.path)] += 1
        self.plain.append({**_plain(result), "frame": self._seen[str(result.path)]})
        self.rows.append(coco_rows(result, len(self.rows) + 1))

    def write(self, folder: Path) -> list[Path]:
        """Write what was asked for into the folder of the run, made if need be; each file whole or not at all."""
        written: list[Path] = []
        if self.save_json:
            kept = [{k: v for k, v in p.items() if k != "frame" or self._seen[p["path"]] > 1} for p in self.plain]
            written.append(_write(folder / "predictions.json", kept))
        if self.save_coco:
            written.append(_write(folder / "predictions-coco.json", self._coco()))
        return written

    def _coco(self) -> dict[str, Any]:
        images, annotations = [], []
        for image_id, (name, p) in enumerate(zip(self._file_names(), self.plain, strict=True), 1):
            images.append({"id": image_id, "file_name": name, "width": p["width"], "height": p["height"]})
        for row in (row for rows in self.rows for row in rows):
            area = round(row["bbox"][2] * row["bbox"][3], 3)
            annotations.append({"id": len(annotations) + 1, **row, "area": area, "iscrowd": 0})
        categories = [{"id": i + 1, "name": n} for i, n in self.names.items()]
        return {"images": images, "annotations": annotations, "categories": categories}

    def _file_names(self) -> list[str]:
        """A name of its own for each image: below the folder they share, frames of a video numbered."""
        return [
            f"{name}#{p['frame']}" if self._seen[p["path"]] > 1 else name
            for name, p in zip(names_below([p["path"] for p in self.plain]), self.plain, strict=True)
        ]


def names_below(paths: Sequence[str | Path]) -> list[str]:
    """Names of files below the folder that they share, with forward slashes; whole paths where they share none."""
    whole = [os.path.abspath(p) for p in paths]
    one_drive = len({os.path.splitdrive(p)[0] for p in whole}) == 1
    shared = os.path.commonpath([os.path.dirname(p) for p in whole]) if one_drive else ""
    return [Path(os.path.relpath(p, shared) if shared else p).as_posix() for p in whole]


def image_ids(names: Sequence[str], listed: Mapping[str, int | str] | None = None) -> list[int | str]:
    """An id for each image of a data set, no two the same.

    Those of the set's own COCO file where it names every image, for whoever evaluates with it; else the number that a
    numeric name stands for, else the name, as Ultralytics has them. Where that would give two images one id (``0123``
    and ``123``, a name in two folders), all ids are file names.

    Args:
        names: File names, see :func:`names_below`.
        listed: File name to id, from the COCO file.
    """
    listed = listed or {}
    seen = Counter(Path(name).name for name in listed)
    by_last = {last: number for name, number in listed.items() if seen[last := Path(name).name] == 1}
    stems = [Path(name).stem for name in names]
    for ids in (
        [listed.get(name, by_last.get(Path(name).name)) for name in names],
        [int(stem) if stem.isdecimal() else stem for stem in stems],
    ):
        if len(set(ids)) == len(names) and None not in ids:
            return ids
    return list(names)


def coco_of_split(root: str | Path, split: str) -> tuple[dict[str, int | str], dict[str, int]]:
    """Ids of images by file name, and of categories by name, from the COCO file of a split.

    It lies in ``annotations/`` of the data set, named as ``convert`` or COCO name it; two empty mappings without one.
    """
    for path in sorted(Path(root, "annotations").glob("*.json")):
        if re.fullmatch(rf"(instances_)?{re.escape(split)}\d*", path.stem):
            with contextlib.suppress(RSDetError, ValueError, LookupError, TypeError):
                found = read_json(path)
                images = {str(i["file_name"]): i["id"] for i in found["images"]}
                categories = {str(c["name"]): int(c["id"]) for c in found.get("categories", ())}
                if all(isinstance(i, (int, str)) for i in images.values()):
                    return images, categories
    return {}, {}


def coco_rows(result: Any, image_id: int | str) -> list[dict[str, Any]]:
    """Rows of a COCO results file: ``bbox`` is x, y, w, h in pixels of the original image, ids start at 1."""
    boxes = result.boxes.cpu().numpy()
    xywh = np.concatenate([boxes.xyxy[:, :2], boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]], 1)
    return [
        {
            "image_id": image_id,
            "category_id": int(c) + 1,
            "bbox": [round(float(v), 3) for v in b],
            "score": round(float(s), 5),
        }
        for b, s, c in zip(xywh, boxes.conf, boxes.cls, strict=True)
    ]


def _plain(result: Any) -> dict[str, Any]:
    boxes = result.boxes.cpu().numpy()
    height, width = result.orig_shape
    return {
        "path": str(result.path),
        "width": width,
        "height": height,
        "boxes": [
            {
                "class": int(c),
                "name": result.names[int(c)],
                "score": round(float(s), 5),
                "xyxy_px": [round(float(v), 3) for v in b],
            }
            for b, s, c in zip(boxes.xyxy, boxes.conf, boxes.cls, strict=True)
        ],
    }


def _write(path: Path, content: Any) -> Path:
    write_if_changed(path, json.dumps(content, indent=1))
    say(f"Detections saved to {path}")
    return path

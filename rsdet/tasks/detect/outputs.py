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

from rsdet.errors import RSDetError
from rsdet.quiet import say
from rsdet.runtime.results import Detections, detections_of
from rsdet.textfiles import read_json
from rsdet.writing import write_if_changed


class Outputs:
    """Collects the detections of a run, without the pictures, and writes them at its end.

    Args:
        save_json: Write ``predictions.json``: per image its path, size and objects, in pixels; upright boxes as
            ``xyxy_px``, turned ones as ``xywhr_px_rad`` and ``corners_px``, masks as ``polygons_px``.
        save_coco: Write ``predictions-coco.json``: images, categories (ids from 1) and annotations with ``score``;
            ``segmentation`` holds the corners of turned boxes and the run lengths of masks.
    """

    def __init__(self, *, save_json: bool = False, save_coco: bool = False):
        self.save_json, self.save_coco = save_json, save_coco
        self.names: dict[int, str] = {}
        self.plain: list[dict[str, Any]] = []
        self.rows: list[list[dict[str, Any]]] = []
        self._seen: Counter[str] = Counter()

    def add(self, result: Any) -> None:
        """Take over one ``Results`` of Ultralytics."""
        if self.save_json or self.save_coco:
            self.add_found(str(result.path), detections_of(result))
            boxes = result.boxes if result.obb is None else result.obb
            for rows in (self.plain[-1]["boxes"], self.rows[-1]) if boxes.is_track else ():
                for row, number in zip(rows, boxes.id.int().tolist(), strict=False):  # rows of what is not asked for
                    row["track_id"] = number

    def add_found(self, path: str, found: Detections) -> None:
        """Take over what was found in one image."""
        if not (self.save_json or self.save_coco):
            return
        self.names = found.names
        self._seen[path] += 1
        height, width = found.size_hw
        image = {"path": path, "width": width, "height": height, "boxes": found.objects() if self.save_json else []}
        self.plain.append({**image, "frame": self._seen[path]})
        self.rows.append(found.coco_rows(len(self.rows) + 1) if self.save_coco else [])

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
            area = row.get("area", round(row["bbox"][2] * row["bbox"][3], 3))
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
    """Rows of a COCO results file, of a ``Results`` of Ultralytics; see :meth:`Detections.coco_rows`."""
    return detections_of(result).coco_rows(image_id)


def _write(path: Path, content: Any) -> Path:
    write_if_changed(path, json.dumps(content, indent=1))
    say(f"Detections saved to {path}")
    return path

"""Writing detections where other programs can read them: a plain JSON and a COCO file."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.files import write_if_changed
from rsdet.quiet import say


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
        paths = [os.path.abspath(p["path"]) for p in self.plain]
        one_drive = len({os.path.splitdrive(p)[0] for p in paths}) == 1
        shared = os.path.commonpath([os.path.dirname(p) for p in paths]) if one_drive else ""
        names = [Path(os.path.relpath(p, shared) if shared else p).as_posix() for p in paths]
        return [
            f"{name}#{p['frame']}" if self._seen[p["path"]] > 1 else name
            for name, p in zip(names, self.plain, strict=True)
        ]


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

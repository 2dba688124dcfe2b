"""Writing detections where other programs can read them: a plain JSON and a COCO file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ultralytics.utils import LOGGER


def save_outputs(
    results: Sequence[Any],
    folder: Path,
    names: dict[int, str],
    *,
    save_json: bool = False,
    save_coco: bool = False,
) -> list[Path]:
    """Write the detections of a run.

    Args:
        results: One :class:`~rsdet.tasks.detect.predict.DetectResults` per image.
        folder: Folder of the run; made if need be.
        names: Class names by index.
        save_json: Write ``predictions.json``: per image its path, size and boxes (xyxy in pixels).
        save_coco: Write ``predictions-coco.json``: images, categories (ids from 1) and annotations with ``score``.

    Returns:
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    if save_json:
        plain = [_plain(r, names) for r in results]
        written.append(_write(folder / "predictions.json", plain))
    if save_coco:
        images, annotations = [], []
        for image_id, r in enumerate(results, 1):
            height, width = r.orig_shape
            images.append({"id": image_id, "file_name": Path(r.path).name, "width": width, "height": height})
            for row in r.to_coco(image_id):
                area = row["bbox"][2] * row["bbox"][3]
                annotations.append({"id": len(annotations) + 1, **row, "area": round(area, 3), "iscrowd": 0})
        categories = [{"id": i + 1, "name": n} for i, n in names.items()]
        coco = {"images": images, "annotations": annotations, "categories": categories}
        written.append(_write(folder / "predictions-coco.json", coco))
    return written


def _plain(result: Any, names: dict[int, str]) -> dict[str, Any]:
    boxes = result.boxes.cpu().numpy()
    height, width = result.orig_shape
    return {
        "path": str(result.path),
        "width": width,
        "height": height,
        "boxes": [
            {
                "class": int(c),
                "name": names[int(c)],
                "score": round(float(s), 5),
                "xyxy_px": [round(float(v), 3) for v in b],
            }
            for b, s, c in zip(boxes.xyxy, boxes.conf, boxes.cls, strict=True)
        ],
    }


def _write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    LOGGER.info(f"Detections saved to {path}")
    return path

"""Layers in pixels of the scene, which need no place: COCO JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.scenes.optional import optional
from rsdet.scenes.table import Table
from rsdet.writing import write_csv


def write_coco(path: Path, table: Table) -> None:
    """A COCO file of one image; ``segmentation`` holds corners of turned boxes and polygons of masks.

    Run lengths, as :mod:`rsdet.tasks.detect.outputs` writes them, would grow with the height of the scene.
    """
    height, width = table.info.size_hw
    image = {"id": 1, "file_name": table.info.path.name, "width": width, "height": height}
    categories = [{"id": i + 1, "name": name} for i, name in table.names.items()]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"images": [{json.dumps(image)}],\n"categories": {json.dumps(categories)},\n"annotations": [')
        for part in table.parts():
            lines = ",\n".join(map(json.dumps, _annotations(table, part)))
            file.write(("," if part.start else "") + "\n" + lines)
        file.write("\n]}\n")


def write_table(path: Path, table: Table) -> None:
    """The columns as CSV; empty where a value is not known."""
    columns = {"fid": table.fid, **table.columns, "cut": table.found.cut.astype(int)}
    rows = (row for part in table.parts() for row in _rows([values[part] for values in columns.values()]))
    write_csv(path, list(columns), (dict(zip(columns, row, strict=True)) for row in rows))


def _rows(columns: Sequence[np.ndarray]) -> Iterator[tuple[Any, ...]]:
    return zip(*([v if v == v else None for v in values.tolist()] for values in columns), strict=True)


def _annotations(table: Table, part: slice) -> Iterator[dict[str, Any]]:
    """Annotations as :meth:`rsdet.runtime.results.Detections.coco_rows` has them."""
    found = table.found
    corners = found.boxes_xyxy[part].reshape(-1, 2, 2)
    columns = {
        "id": table.fid[part].tolist(),
        "category_id": (found.classes[part] + 1).tolist(),
        "bbox": np.round(np.concatenate([corners[:, 0], corners[:, 1] - corners[:, 0]], 1), 3).tolist(),
        "score": table.columns["score"][part].tolist(),
        "area": np.round(optional("shapely").area(table.shapes(part)), 3).tolist(),
    }
    if found.corners is not None:
        columns["segmentation"] = np.round(found.corners[part], 3).reshape(-1, 1, 8).tolist()
    elif found.outlines is not None:
        columns["segmentation"] = [
            [np.round(ring, 3).ravel().tolist() for ring in rings if len(ring) > 2] for rings in found.outlines[part]
        ]
    for row in zip(*columns.values(), strict=True):
        yield {"image_id": 1, **dict(zip(columns, row, strict=True)), "iscrowd": 0}

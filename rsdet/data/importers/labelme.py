"""LabelMe's JSON, one file a picture: ``shapes``, each with ``label``, ``shape_type`` and ``points`` in its pixels.

Polygons, rectangles, turned rectangles (``rotation``, as X-AnyLabeling has them), circles, and the boxes of masks are
read; points and lines have no area. Polygons of one label and one ``group_id`` are one object, as LabelMe's own script
for COCO has it. The picture has the name of the JSON file; pixels inside the file (``imageData``) are not looked at.
"""

from __future__ import annotations

import math
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers._json import flag, identity
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, bounds, number, shown
from rsdet.data.importers._layout import Source
from rsdet.data.importers._text import read_pairs
from rsdet.textfiles import read_json

_OUTLINED = ("polygon", "rotation")
_CORNERS_OF_A_CIRCLE = 36


def _ring(shape: dict) -> list[float] | None:
    """The points ``x1 y1 …``; None where one is none."""
    points = shape.get("points")
    pairs = [p for p in points if isinstance(p, list) and len(p) == 2] if isinstance(points, list) else []
    values = [number(v) for pair in pairs for v in pair]
    return values if values and len(pairs) == len(points) and None not in values else None


def _outline(kind: str, ring: list[float]) -> list[float] | str:
    """The outline of a shape, two corners for one that has none; the reason where it covers nothing."""
    if kind == "circle" and len(ring) == 4 and all(map(math.isfinite, ring)):
        (x, y), radius = ring[:2], math.dist(ring[:2], ring[2:])
        turns = (math.tau * i / _CORNERS_OF_A_CIRCLE for i in range(_CORNERS_OF_A_CIRCLE))
        return [v for t in turns for v in (x + radius * math.cos(t), y + radius * math.sin(t))]
    if (kind in _OUTLINED and len(ring) >= 6) or (kind in ("rectangle", "mask") and len(ring) >= 4):
        return ring
    known = kind in (*_OUTLINED, "rectangle", "mask", "circle")
    return "malformed shape: too few points" if known else f"shape without area: {shown(kind)}"


def read_labels(path: Path, into: Collector, classes: ClassTable) -> None:
    """Put the shapes of one file into its image.

    Raises:
        DataError: The file is not JSON.
    """
    data = read_json(path, wanted="expected LabelMe's JSON; mend or remove the file")
    shapes = data.get("shapes") if isinstance(data, dict) else None
    if not isinstance(shapes, list):
        into.refuse("malformed label file: no list 'shapes', so it is not LabelMe's")
        return
    into.stated(number(data.get("imageWidth")), number(data.get("imageHeight")), by="the JSON")
    groups: dict[tuple, list] = {}  # label and group to where it was first, its rings, and whether it is difficult
    for index, shape in enumerate(shapes, 1):
        where = f"shape {index}"
        shape = shape if isinstance(shape, dict) else {}
        name = str(shape.get("label") or "").strip()
        kind, ring = str(shape.get("shape_type") or "polygon"), _ring(shape)
        outline = "malformed shape: expected points [x, y]" if ring is None else _outline(kind, ring)
        if isinstance(outline, str):
            into.drop(where, outline, name)
        elif kind in ("rectangle", "mask"):
            into.take(where, name, classes, bounds(outline), difficult=flag(shape.get("difficult")))
        else:
            group = identity(shape.get("group_id"))
            key = (name, where if group is None or kind != "polygon" else group)
            known = groups.setdefault(key, [where, [], False])
            known[1].append(outline)
            known[2] |= flag(shape.get("difficult"))
    for (name, _), (where, rings, hard) in groups.items():
        into.take(where, name, classes, bounds([v for ring in rings for v in ring]), rings, difficult=hard)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a folder of pictures with LabelMe's JSON files, or a single JSON file beside its image."""
    files, classes = Source.open(source, ".json"), ClassTable(options.names)
    labels = [p for p in files.with_suffix(".json") if p.name != "convert-report.json"]
    dataset = read_pairs(files, labels, lambda path, into: read_labels(path, into, classes), options, log)
    classes.settle(dataset)
    return dataset

"""Values of COCO JSON as other tools write them: ids and numbers in quotes, polygons and masks in place of boxes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rsdet.data.importers._labels import bounds, number
from rsdet.data.importers._outlines import box_of_runs


def identity(value: object) -> int | float | str | None:
    """An id, the same for 1, 1.0 and "1", which pandas and JavaScript make of one another; None when it is no id."""
    if isinstance(value, str):
        text = value.strip()
        found = re.fullmatch(r"(0|-?[1-9][0-9]{0,17})(\.0+)?", text)
        return int(found[1]) if found else text
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value == int(value) else value
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def flag(value: object) -> bool:
    """Whether a flag such as ``iscrowd`` is set."""
    return value is True or number(value) == 1


def box_values(item: dict, count: int = 4) -> Sequence[float] | None:
    """The numbers of ``bbox``; None where they are not as many or no numbers."""
    raw = item.get("bbox")
    values = [number(v) for v in raw] if isinstance(raw, list) else []
    return values if len(values) == count and None not in values else None


def rings_of(item: dict) -> list[list[float]]:
    """The polygons of ``segmentation``, each ``x1 y1 …``; none where one is not usable, or where it is a mask."""
    rings = item.get("segmentation")
    if isinstance(rings, list) and rings and not isinstance(rings[0], list):
        rings = [rings]  # one ring that is not in a list
    if not isinstance(rings, list) or not all(isinstance(ring, list) for ring in rings):
        return []
    found = [[number(v) for v in ring] for ring in rings if ring]
    usable = all(len(r) >= 6 and len(r) % 2 == 0 and all(v is not None and math.isfinite(v) for v in r) for r in found)
    return found if usable else []


def edges_of(item: dict) -> tuple[float, float, float, float] | None:
    """Edges of an object, in the unit of the file: of its ``bbox``, where that is unusable around polygons or mask."""
    values = box_values(item)
    if values is None or not all(map(math.isfinite, values)) or min(values[2:]) <= 0:
        if rings := rings_of(item):
            return bounds([v for ring in rings for v in ring])
        values = box_of_runs(item.get("segmentation")) or values
    if values is None:
        return None
    x, y, w, h = values
    return x, y, x + w, y + h

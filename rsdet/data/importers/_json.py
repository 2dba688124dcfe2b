"""Values of COCO JSON as other tools write them: ids and numbers in quotes, polygons and masks in place of boxes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from rsdet.data.importers._labels import bounds, number

# Runs of a mask as COCO packs them: 5 bits a character, 7 of them at most, the last of a number below 0x50.
_RUNS = re.compile(r"(?:[P-o]{0,6}[0-O])+")
_LONGEST_SIDE = 1 << 20


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
        values = _mask_box(item.get("segmentation")) or values
    if values is None:
        return None
    x, y, w, h = values
    return x, y, x + w, y + h


def _mask_box(mask: object) -> tuple[float, ...] | None:
    """``x y w h`` around a run-length encoded mask; None where it is none."""
    if not isinstance(mask, dict) or not isinstance(mask.get("size"), list):
        return None
    size, runs = [number(v) for v in mask["size"]], mask.get("counts")
    if len(size) != 2 or not all(v is not None and 0 < v < _LONGEST_SIDE and v == int(v) for v in size):
        return None
    height, width = map(int, size)
    from pycocotools import mask as tools

    try:
        if isinstance(runs, list):
            runs = [int(v) for v in runs]
            if min(runs, default=-1) < 0 or sum(runs) > height * width:
                return None
            packed = tools.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        elif isinstance(runs, str) and _RUNS.fullmatch(runs):  # its decoder trusts what it reads
            packed = {"size": [height, width], "counts": runs.encode()}
        else:
            return None
        return tuple(map(float, tools.toBbox(packed)))
    except (ValueError, TypeError, OverflowError):
        return None

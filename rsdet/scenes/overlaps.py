"""Which objects of different tiles overlap, and how much: the pairs that merging has to decide about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from rsdet.errors import MissingDependencyError, install
from rsdet.scenes.found import Found

_CHUNK, _NEIGHBOURS = 16_384, 1_000_000  # boxes looked up in the tree at once, and about how many answers they may have


@dataclass(frozen=True)
class Pairs:
    """P pairs of objects of the same class that different tiles have found; arrays have P rows.

    Attributes:
        first: Number of the one that comes first in the order of the objects.
        second: Number of the other.
        iou: Intersection over union, float64.
        first_inside: Share of the first one's area that the second covers.
        second_inside: Share of the second one's area that the first covers.
    """

    first: np.ndarray
    second: np.ndarray
    iou: np.ndarray
    first_inside: np.ndarray
    second_inside: np.ndarray

    def take(self, which: np.ndarray) -> Pairs:
        """Some of the pairs, by numbers or by a mask of P."""
        return Pairs(*(getattr(self, f.name)[which] for f in fields(self)))


def overlapping(found: Found, iou: float, inside: float) -> Pairs:
    """Pairs of one class and two tiles with at least this IoU, or of which one lies in the other by this share.

    Overlap is that of the boxes, of turned boxes that of their corners, of masks that of their outlines, exact. Pairs
    are in the order of first, second.

    Args:
        found: N objects; one that comes first is first in its pairs.
        iou: Least intersection over union.
        inside: Least intersection over the area of the smaller.

    Raises:
        MissingDependencyError: shapely is not installed.
    """
    shapely = _shapely()
    some = np.flatnonzero(_seen_twice(found))
    tree = shapely.STRtree(shapely.box(*found.boxes_xyxy[some].T))
    parts, start, size = [], 0, 256
    while start < len(some):
        a, b = tree.query(tree.geometries[start : start + size])
        a, b = some[a + start], some[b]
        start, size = start + size, max(1, min(_CHUNK, 2 * size, size * _NEIGHBOURS // max(1, len(a))))
        good = (a < b) & (found.tiles[a] != found.tiles[b]) & (found.classes[a] == found.classes[b])
        pairs = _measured(found, a[good], b[good])
        parts.append(pairs.take((pairs.iou >= iou) | (np.maximum(pairs.first_inside, pairs.second_inside) >= inside)))
    if not parts:
        return Pairs(*np.zeros((2, 0), np.int64), *np.zeros((3, 0)))
    joined = Pairs(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Pairs)))
    return joined.take(np.lexsort((joined.second, joined.first)))


def areas(rings_of: Sequence[Sequence[np.ndarray]] | np.ndarray) -> np.ndarray:
    """(N,) valid shapely areas of masks: all rings of an outline filled and joined.

    Args:
        rings_of: N outlines of (P, 2) rings, or (N, 1, P, 2); rings of less than three points have no area.
    """
    shapely = _shapely()
    rings = [[ring for ring in outline if len(ring) > 2] for outline in rings_of]
    flat = [ring for some in rings for ring in some]
    if not flat:
        return np.full(len(rings), shapely.Polygon())
    owner = np.repeat(np.arange(len(flat)), [len(ring) for ring in flat])
    polygons = shapely.polygons(shapely.linearrings(np.concatenate(flat), indices=owner))
    for k in np.flatnonzero(~shapely.is_valid(polygons)):
        polygons[k] = shapely.union_all(polygons_of(shapely.make_valid(polygons[k])))
    groups = np.split(polygons, np.cumsum([len(some) for some in rings])[:-1])
    return np.array([group[0] if len(group) == 1 else shapely.union_all(group) for group in groups])


def polygons_of(area: Any) -> list[Any]:
    """The polygons of a shapely geometry, without its lines and points."""
    shapely = _shapely()
    parts = shapely.get_parts(shapely.get_parts(area))
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def _shapely() -> Any:
    try:
        import shapely
    except ImportError as e:
        raise MissingDependencyError(f"Merging needs shapely, which is not installed; run {install('geo')}.") from e
    return shapely


def _seen_twice(found: Found) -> np.ndarray:
    """(N,) bool: boxes that reach into the hull of another tile's boxes. Few do, and only these need a tree."""
    shapely = _shapely()
    boxes = found.boxes_xyxy
    order = np.argsort(found.tiles, kind="stable")
    _, starts = np.unique(found.tiles[order], return_index=True)
    if len(starts) < 2:
        return np.zeros(len(found), bool)
    hulls = np.concatenate([np.fmin.reduceat(boxes[order, :2], starts), np.fmax.reduceat(boxes[order, 2:], starts)], 1)
    rectangles = shapely.box(*hulls.T)
    tile, other = shapely.STRtree(rectangles).query(rectangles)
    tile, other = tile[tile != other], other[tile != other]
    seen = np.zeros(len(found), bool)
    neighbours = np.split(other, np.searchsorted(tile, np.arange(1, len(starts))))
    for mine, near in zip(np.split(order, starts[1:]), neighbours, strict=True):
        box, hull = boxes[mine, None], hulls[near]
        seen[mine] = ((box[..., :2] < hull[:, 2:]) & (box[..., 2:] > hull[:, :2])).all(-1).any(-1)
    return seen


def _measured(found: Found, a: np.ndarray, b: np.ndarray) -> Pairs:
    corners, outlines = found.corners, found.outlines
    if corners is None and outlines is None:
        boxes = found.boxes_xyxy
        sides = np.minimum(boxes[a, 2:], boxes[b, 2:]) - np.maximum(boxes[a, :2], boxes[b, :2])
        both = sides.clip(0).prod(1)
        area_a, area_b = ((boxes[i, 2:] - boxes[i, :2]).prod(1) for i in (a, b))
    else:
        used, at = np.unique(np.concatenate([a, b]), return_inverse=True)
        shapes = areas([outlines[i] for i in used] if corners is None else corners[used, None])
        shape_a, shape_b = shapes[at[: len(a)]], shapes[at[len(a) :]]
        area = _shapely().area
        both, area_a, area_b = area(_shapely().intersection(shape_a, shape_b)), area(shape_a), area(shape_b)
    union = area_a + area_b - both
    iou, in_b, in_a = (np.divide(both, x, out=np.zeros(len(a)), where=both > 0) for x in (union, area_a, area_b))
    return Pairs(a, b, iou, in_b, in_a)

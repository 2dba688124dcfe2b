"""Objects that several tiles or scales have seen become one, as a pure function of the set of what was found.

Objects of one tile are never compared: the network has judged them. A *guest* (its centre lies a little outside the
core of its tile) yields to every owner that it matches and to a better guest; a box cut by the edge of its tile yields
to a whole one in which it lies. What is left and overlaps by ``iou``, or is cut and lies in another cut one, is one
object: the best takes, of each other tile, the one that overlaps it most. So a row of vehicles side by side stays as
many as any one tile has seen.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np

from rsdet.errors import ConfigError, nearest
from rsdet.scenes.found import Found
from rsdet.scenes.fusion import averaged, united
from rsdet.scenes.overlaps import Pairs, overlapping
from rsdet.scenes.settings import MERGING

INSIDE = 0.7
"""Share of an object's area inside another from which it may be a fragment of it."""


def merge(found: Found, method: str = "nms", iou: float = 0.5) -> Found:
    """One object each for what several tiles have found.

    The result depends on the set of objects alone: the same bytes in whatever order and parts they come.

    Args:
        found: Objects of many tiles; tile numbers are unique across scales.
        method: What becomes of objects that are one. ``nms``: the best is kept. ``nmm``: it grows to hold the others
            (boxes: the hull; turned boxes: the rectangle in its own direction; masks: the union). ``wbf``: box and
            score are the means, the box weighted by score (turned boxes and masks: the best one's shape).
            ``soft-nms``: all are kept, scores fall by 1 - IoU with each better one; what falls below all scores that
            came in is dropped.
        iou: Overlap from which two are one, in (0, 1): of boxes, turned boxes or outlines of masks, exact.

    Returns:
        Objects in the order of :meth:`Found.in_order`, none of them a guest.

    Raises:
        ConfigError: No such method.
        MissingDependencyError: shapely is not installed.
    """
    if method not in MERGING:
        raise ConfigError(f"merging={method!r} must be one of {', '.join(MERGING)}.{nearest(str(method), MERGING)}")
    if not len(found):
        return Found.none()
    found = found.in_order()
    pairs = overlapping(found, iou, INSIDE)
    kept = _without_fragments(found, pairs)
    pairs = _with_halves(pairs, found.cut)
    pairs = pairs.take((pairs.iou >= iou) & kept[pairs.first] & kept[pairs.second])
    if method == "soft-nms":
        lowest = found.scores.min()
        found = replace(found, scores=_decayed(found.scores, pairs))
        kept &= found.scores >= lowest
    else:
        into = _taken(found.tiles, pairs)
        kept &= into == np.arange(len(into))
        if method != "nms":
            found = {"nmm": united, "wbf": averaged}[method](found, into)
    return replace(found.take(kept), guest=np.zeros(kept.sum(), bool)).in_order()


def cut_report(found: Found) -> tuple[int, int]:
    """How many objects the edge of a tile has cut, and the overlap that would hold the largest of them.

    Args:
        found: What :func:`merge` gave.

    Returns:
        Number of cut objects, and the largest side of their boxes and 10 % in pixels of the scene, rounded up; an
        object reaches beyond the edge that cuts it, so it may need more.
    """
    boxes = found.boxes_xyxy[found.cut]
    largest = (boxes[:, 2:] - boxes[:, :2]).max(initial=0)
    return len(boxes), ceil(largest * 11 / 10)


def _without_fragments(found: Found, pairs: Pairs) -> np.ndarray:
    """(N,) bool: not the guests that another has, and not the cut objects that lie in a whole one."""
    kept = np.ones(len(found), bool)
    guest, cut = found.guest, found.cut
    a, b = pairs.first, pairs.second
    kept[a[guest[a] & ~guest[b]]] = False
    kept[b[guest[b] & ~guest[a]]] = False
    owners = ~guest[a] & ~guest[b]
    kept[a[owners & cut[a] & ~cut[b] & (pairs.first_inside >= INSIDE)]] = False
    kept[b[owners & cut[b] & ~cut[a] & (pairs.second_inside >= INSIDE)]] = False
    # Among guests the whole ones come first, then the better ones.
    both = guest[a] & guest[b] & kept[a] & kept[b]
    a, b = a[both], b[both]
    swap = cut[a] & ~cut[b]
    better, worse = np.where(swap, b, a), np.where(swap, a, b)
    for i in np.lexsort((worse, better, cut[better])):
        if kept[better[i]]:
            kept[worse[i]] = False
    return kept


def _with_halves(pairs: Pairs, cut: np.ndarray) -> Pairs:
    """The pairs; of two cut objects, of which one lies in the other, that share counts as their overlap."""
    inside = np.maximum(pairs.first_inside, pairs.second_inside)
    halves = cut[pairs.first] & cut[pairs.second] & (inside >= INSIDE)
    return replace(pairs, iou=np.where(halves, inside, pairs.iou))


def _taken(tiles: np.ndarray, pairs: Pairs) -> np.ndarray:
    """(N,) number of the object that each becomes one with, its own for those that stay.

    Best first, an object takes of each other tile the one left that overlaps it most: two objects of a tile are two.
    """
    into = np.arange(len(tiles))
    free = np.ones(len(tiles), bool)
    theirs = tiles[pairs.second]
    order = np.lexsort((pairs.second, -pairs.iou, theirs, pairs.first))
    last = None
    for a, b, tile in zip(*(x[order].tolist() for x in (pairs.first, pairs.second, theirs)), strict=True):
        if last != (a, tile) and free[a] and free[b]:
            into[b], free[b], last = a, False, (a, tile)
    return into


def _decayed(scores: np.ndarray, pairs: Pairs) -> np.ndarray:
    """(N,) float32 scores of linear soft-NMS."""
    out = scores.astype(np.float64)
    a, b, factor = pairs.first, pairs.second, 1 - pairs.iou
    while len(a):
        # An object above all its neighbours stays above them: all of these can be settled at once.
        ahead = out[a] >= out[b]
        better, worse = np.where(ahead, a, b), np.where(ahead, b, a)
        settled = np.ones(len(out), bool)
        settled[worse] = False
        now = settled[better]
        np.multiply.at(out, worse[now], factor[now])
        a, b, factor = a[~now], b[~now], factor[~now]
    return out.astype(np.float32)

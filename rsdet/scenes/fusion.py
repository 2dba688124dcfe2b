"""One shape of several objects: their union, or their mean weighted by score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rsdet.geometry import hulls
from rsdet.scenes.found import Found
from rsdet.scenes.overlaps import areas, polygons_of


def united(found: Found, into: np.ndarray) -> Found:
    """Each object grown to hold all that become one with it.

    Args:
        found: N objects.
        into: (N,) number of the object that each becomes one with; its own for those that stay.

    Returns:
        N objects, of which those that stay have changed: boxes to the hull; turned boxes to the rectangle in the same
        direction around all corners; masks to the union, without holes.
    """
    parts = np.flatnonzero(into != np.arange(len(into)))
    parts = parts[np.argsort(into[parts], kind="stable")]
    if not len(parts):
        return found
    keepers = into[parts]
    boxes = found.boxes_xyxy.copy()
    np.minimum.at(boxes[:, :2], keepers, boxes[parts, :2])
    np.maximum.at(boxes[:, 2:], keepers, boxes[parts, 2:])
    grown = replace(found, boxes_xyxy=boxes)
    if found.corners is not None:
        return _turned(grown, parts, keepers)
    return grown if found.outlines is None else _joined_masks(grown, parts, keepers)


def averaged(found: Found, into: np.ndarray) -> Found:
    """Each object with the mean score of all that become one with it, and their mean box weighted by score.

    A tile that found nothing has no vote: unlike in an ensemble, it need not have seen the object. Turned boxes and
    masks keep their shape.

    Args:
        found: N objects.
        into: (N,) number of the object that each becomes one with; its own for those that stay.
    """
    n, weights = len(into), found.scores.astype(np.float64)
    sums = np.bincount(into, weights, n)
    several = np.bincount(into, minlength=n) > 1
    scores = np.divide(sums, np.bincount(into, minlength=n), out=weights.copy(), where=several)
    if found.corners is not None or found.outlines is not None:
        return replace(found, scores=scores)
    boxes = found.boxes_xyxy.copy()
    several &= sums > 0
    for k in range(4):
        mean = np.bincount(into, weights * boxes[:, k], n)
        np.divide(mean, sums, out=boxes[:, k], where=several)
    return replace(found, scores=scores, boxes_xyxy=boxes)


def _turned(found: Found, parts: np.ndarray, keepers: np.ndarray) -> Found:
    assert found.corners is not None
    whose, at = np.unique(keepers, return_inverse=True)
    own = found.corners[whose]
    side = own[:, 1] - own[:, 0]
    length = np.hypot(*side.T)[:, None]
    along = np.divide(side, length, out=np.tile([1.0, 0.0], (len(whose), 1)), where=length > 0)
    axes = np.stack([along, along[:, ::-1] * (-1, 1)], 2)  # (K, xy, along and across)
    origin = own[:, :1]
    theirs = (found.corners[parts] - origin[at]) @ axes[at]
    mine = (own - origin) @ axes
    low, high = mine.min(1), mine.max(1)
    np.minimum.at(low, at, theirs.min(1))
    np.maximum.at(high, at, theirs.max(1))
    # The same corner comes first, and they go round the same way, as in the keeper.
    upper = mine > mine.mean(1, keepdims=True)
    corners = found.corners.copy()
    corners[whose] = np.where(upper, high[:, None], low[:, None]) @ axes.transpose(0, 2, 1) + origin
    boxes = found.boxes_xyxy.copy()
    boxes[whose] = hulls(corners[whose])
    return replace(found, corners=corners, boxes_xyxy=boxes)


def _joined_masks(found: Found, parts: np.ndarray, keepers: np.ndarray) -> Found:
    import shapely

    assert found.outlines is not None
    outlines = list(found.outlines)
    whose, starts = np.unique(keepers, return_index=True)
    own, theirs = (areas([outlines[i] for i in some]) for some in (whose, parts))
    for keeper, area, mates in zip(whose, own, np.split(theirs, starts[1:]), strict=True):
        pieces = polygons_of(shapely.union_all([area, *mates]))
        outlines[keeper] = [shapely.get_coordinates(piece.exterior)[:-1] for piece in pieces]
    return replace(found, outlines=outlines)

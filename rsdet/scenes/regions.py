"""Connected regions of maps of classes of any size, as polygons with what lies in them.

The map is read a band of rows at a time, and what reaches the last row of a band is joined with what goes on below.
Pixels are neighbours by their sides: those that touch in a corner alone are two regions. So each region is one valid
polygon, whose holes touch its outline in points at most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from rsdet.data.geotiff import BLOCK_PX
from rsdet.scenes.optional import optional

Read = Callable[[int, int], tuple[np.ndarray, Sequence[np.ndarray]]]
"""First row and the one past the last to (h, W) uint8 classes and P planes (h, W) of values, NaN where not known."""


@dataclass(frozen=True)
class Regions:
    """N regions.

    Attributes:
        first: (N,) int64, place of the first pixel of each in reading order: row * W + column.
        classes: (N,) class numbers.
        pixels: (N,) int64.
        counts: (N, P) pixels of which the value of a plane is known.
        sums: (N, P) float64 of the values; 0 of none.
        lowest: (N, P) float64; inf of none.
        highest: (N, P) float64; -inf of none.
        shapes: (N,) shapely polygons in pixels, corners alone.
    """

    first: np.ndarray
    classes: np.ndarray
    pixels: np.ndarray
    counts: np.ndarray
    sums: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    shapes: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def take(self, which: np.ndarray) -> Regions:
        """Some of them, by numbers or by a mask of N."""
        return Regions(**{name: values[which] for name, values in vars(self).items()})

    @classmethod
    def joined(cls, parts: Sequence[Regions]) -> Regions:
        """All of several, in reading order."""
        every = cls(**{name: np.concatenate([vars(p)[name] for p in parts]) for name in vars(parts[0])})
        return every.take(np.argsort(every.first))


@dataclass
class _Open:
    """A region that reaches the last row so far: what is known of it, and its pieces, one or more of each band."""

    known: Regions
    pieces: list = field(default_factory=list)

    def add(self, other: Regions, pieces: Sequence) -> None:
        """Take in what belongs to it."""
        a, b = self.known, other
        first, classes = np.minimum(a.first, b.first), a.classes
        low, high = np.minimum(a.lowest, b.lowest), np.maximum(a.highest, b.highest)
        pixels, counts, sums = a.pixels + b.pixels, a.counts + b.counts, a.sums + b.sums
        self.known = Regions(first, classes, pixels, counts, sums, low, high, a.shapes)
        self.pieces += pieces

    def closed(self) -> Regions:
        """The region with its polygon."""
        if len(self.pieces) > 1:
            self.known.shapes[0] = _corners_alone(optional("shapely").union_all(self.pieces))
        return self.known


def connected_regions(
    read: Read, size_hw: tuple[int, int], kept: Collection[int], rows: int = BLOCK_PX
) -> Iterator[Regions]:
    """Find the regions of a map, in parts, as soon as each is complete.

    What is held in memory is a band, and the polygons that reach its last row.

    Args:
        read: Gives the map and what shall be summed over each region.
        size_hw: Height and width of the map in pixels.
        kept: Classes whose regions are wanted.
        rows: Of a band.

    Yields:
        Regions, in no order; :meth:`Regions.joined` makes one of them.
    """
    height, width = size_hw
    opened: list[_Open] = []
    edge = np.zeros(width, np.int64)  # of each pixel of the last row, its place in `opened` from 1; 0 for none
    above = np.zeros(width, np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        classes, planes = read(top, bottom)
        labels, found = _of_band(classes, planes, kept, top)
        meet = (edge > 0) & (labels[0] > 0) & (above == classes[0])
        pairs = np.unique(np.stack([edge[meet] - 1, labels[0][meet] - 1], 1), axis=0)
        lowest = np.unique(labels[-1][labels[-1] > 0]) - 1 if bottom < height else np.zeros(0, np.int64)
        touching = np.union1d(pairs[:, 1], lowest).astype(np.int64)
        alone = np.ones(len(found), bool)
        alone[touching] = False
        yield found.take(alone)
        count = len(opened)
        pairs[:, 1] = count + np.searchsorted(touching, pairs[:, 1])
        roots = _roots(count + len(touching), pairs.tolist())
        merged: dict[int, _Open] = {}
        parts = [*opened, *(_Open(one := found.take(np.array([i])), [one.shapes[0]]) for i in touching.tolist())]
        for root, part in zip(roots, parts, strict=True):
            if root in merged:
                merged[root].add(part.known, part.pieces)
            else:
                merged[root] = part
        stay = dict.fromkeys(roots[count + i] for i in np.searchsorted(touching, lowest).tolist())
        done = [part.closed() for root, part in merged.items() if root not in stay]
        if done:
            yield Regions.joined(done)
        opened, place = [merged[root] for root in stay], {root: i for i, root in enumerate(stay, 1)}
        number = np.zeros(len(found) + 1, np.int64)
        for i, root in zip(touching.tolist(), roots[count:], strict=True):
            number[i + 1] = place.get(root, 0)
        edge, above = number[labels[-1]], classes[-1]


def _of_band(
    classes: np.ndarray, planes: Sequence[np.ndarray], kept: Collection[int], top: int
) -> tuple[np.ndarray, Regions]:
    """(h, W) numbers of the regions of a band from 1, in reading order, 0 for none; and what they are."""
    labels, of_class = np.zeros(classes.shape, np.int32), [0]
    for k in np.flatnonzero(np.bincount(classes.ravel(), minlength=256)).tolist():
        if k in kept:
            n, here = cv2.connectedComponents((classes == k).astype(np.uint8), connectivity=4, ltype=cv2.CV_32S)
            labels += np.where(here > 0, here + np.int32(len(of_class) - 1), np.int32(0))
            of_class += [k] * (n - 1)
    flat, n = labels.ravel(), len(of_class)
    first = np.zeros(n, np.int64)
    first[flat[::-1]] = np.arange(flat.size)[::-1]  # the last to be written stays
    order = 1 + np.argsort(first[1:])  # OpenCV numbers as its threads come
    number = np.zeros(n, np.int32)
    number[order] = np.arange(1, n)
    labels = number[labels]
    sums = [_summed(labels.ravel(), np.ravel(plane), n) for plane in planes]
    counts, totals, low, high = (
        np.stack([s[i][1:] for s in sums], 1) if sums else np.zeros((n - 1, 0)) for i in range(4)
    )
    pixels = np.bincount(labels.ravel(), minlength=n)[1:]
    where, shapes = first[order] + top * classes.shape[1], _shapes(labels, top, n - 1)
    return labels, Regions(where, np.array(of_class)[order], pixels, counts, totals, low, high, shapes)


def _summed(labels: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, ...]:
    """Number, sum, least and largest of the values of each label, (n,) each."""
    known = np.isfinite(values)
    labels, values = (labels, values) if known.all() else (labels[known], values[known])
    low, high = np.full(n, np.inf), np.full(n, -np.inf)
    np.minimum.at(low, labels, values)
    np.maximum.at(high, labels, values)
    return np.bincount(labels, minlength=n), np.bincount(labels, values, n), low, high


def _shapes(labels: np.ndarray, top: int, n: int) -> np.ndarray:
    """(n,) polygons of the labels from 1, in pixels of the map."""
    shapely, features = optional("shapely"), optional("rasterio.features")
    below = optional("affine").Affine.translation(0, top)
    out = np.empty(n, object)
    for geometry, label in features.shapes(labels, mask=labels > 0, connectivity=4, transform=below):
        shell, *holes = geometry["coordinates"]
        out[int(label) - 1] = shapely.Polygon(shell, holes)
    return out


def _corners_alone(polygon: Any) -> Any:
    """A polygon without the points in the middle of sides that pieces leave where bands meet."""
    shapely = optional("shapely")
    rings = shapely.get_rings(shapely.normalize(polygon))  # each begins in its leftmost corner
    points, of_ring = shapely.get_coordinates(rings, return_index=True)
    inner = (of_ring[2:] == of_ring[:-2])[:, None] & (points[2:] == points[1:-1]) & (points[1:-1] == points[:-2])
    corner = np.ones(len(points), bool)
    corner[1:-1] = ~inner.any(1)
    shell, *holes = shapely.linearrings(points[corner], indices=of_ring[corner])
    return shapely.Polygon(shell, holes)


def _roots(count: int, pairs: Sequence[Sequence[int]]) -> list[int]:
    """Of each of so many things, one that stands for all that it belongs with."""
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for a, b in pairs:
        root[find(b)] = find(a)
    return [find(i) for i in range(count)]

"""Rows of YOLO label files: which numbers are the box, which a polygon, key points, a confidence or a track id.

A row does not say what it is, its length does, and what the whole source has in common. So the rows of all files are
looked at before the first is read: 5 numbers are a box; 6 are a box with a confidence or a track id; an odd number from
7 is a polygon, unless ``kpt_shape`` of the data YAML makes it a box with key points. Without that key, rows of one
length that fit key points as well as polygons are refused, for one of the two readings gives wrong boxes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from rsdet.data.importers._labels import numbers, read_lines, shown, whole
from rsdet.errors import DataError

_FRACTION = 1.01  # labels overshoot the edge a little
_PIXELS = 2.0  # beyond this a number is no fraction of an image, however far outside its box lies


def row_tokens(text: str) -> list[str]:
    """The numbers of a row as text: between blanks, commas or semicolons, with a decimal point or comma."""
    tokens = text.replace(";", " ").split()
    if len(tokens) < 5:
        tokens = text.replace(";", " ").replace(",", " ").split()
    return [token.rstrip(",").replace(",", ".") for token in tokens]


def _fits_key_points(values: Sequence[float]) -> bool:
    """Whether a row can be a box with key points: a box inside the image, and the points in it or close by."""
    xc, yc, w, h = values[1:5]
    if not (0 < w <= _FRACTION and 0 < h <= _FRACTION):
        return False
    if min(xc - w / 2, yc - h / 2) < -0.01 or max(xc + w / 2, yc + h / 2) > _FRACTION:
        return False
    rest = values[5:]
    for step in (2, 3):
        if len(rest) % step or (step == 3 and not all(v in (0, 1, 2) for v in rest[2::3])):
            continue
        points = [p for p in zip(rest[0::step], rest[1::step], strict=True) if p != (0, 0)]  # 0 0: not marked
        if points and all(abs(x - xc) <= 0.75 * w and abs(y - yc) <= 0.75 * h for x, y in points):
            return True
    return False


def _fits_polygon(values: Sequence[float]) -> bool:
    """Whether the second corner, which would be width and height of a box, lies as near the others as corners do."""
    if max(values[1:]) > _FRACTION:
        return False
    for axis in (0, 1):
        others = [*values[1 + axis :: 2][:1], *values[5 + axis :: 2]]
        size = max(others) - min(others)
        if not min(others) - size <= values[3 + axis] <= max(others) + size:
            return False
    return True


class YoloRows:
    """How the rows of one source are to be read.

    Args:
        data: Content of its data YAML: ``kpt_shape`` and ``task`` count.

    Attributes:
        left_aside: What stands beside the boxes, to the number of rows that have it.

    Raises:
        DataError: ``kpt_shape`` is no pair of numbers.
    """

    def __init__(self, data: dict | None = None):
        data = data or {}
        self.left_aside: Counter[str] = Counter()
        shape = self._key_points = data.get("kpt_shape")
        pair = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
        if shape is not None and not (pair and 0 < shape[0] < 10_000 and shape[1] in (2, 3)):
            raise DataError(f"kpt_shape: {shown(shape)} in the data YAML must be [key points, 2 or 3]; mend it")
        self._polygons = data.get("task") in ("segment", "obb")
        self._angles = False  # some sixth number is neither a confidence nor a track id
        self._triangles = True  # 7 numbers are 3 corners, not a box with confidence and track id
        self._fits: dict[int, Counter[tuple[bool, bool]]] = {}
        self._first: dict[int, str] = {}

    def scan(self, labels: Iterable[tuple[Path, str]]) -> None:
        """Look at all rows before any is read.

        Args:
            labels: Label files, each with what a message calls it.

        Raises:
            DataError: The long rows fit key points at least as well as polygons, and nothing says which they are.
        """
        ids: set[bool | None] = set()
        for path, name in labels:
            for line, text in read_lines(path):
                values = numbers(row_tokens(text))
                n = len(values or ())
                if n < 6 or not all(map(math.isfinite, values)):
                    continue
                number = whole(values[-1])
                if n == 6:
                    self._angles |= not (0 <= values[5] <= 1 or (number or 0) > 0)
                if n == 7:  # an id above 1 is no coordinate, an id of 1 may be one
                    ids.add(number > 1 or None if 0 <= values[5] <= 1 and number is not None else False)
                if n % 2:
                    self._first.setdefault(n, f"{name}:{line}")
                    self._fits.setdefault(n, Counter())[_fits_key_points(values), _fits_polygon(values)] += 1
        self._triangles = True not in ids or False in ids
        self._check_polygons()

    def _check_polygons(self) -> None:
        lengths = [n for n in self._fits if n > 7 or self._triangles]
        if self._key_points is not None or self._polygons or len(lengths) != 1:
            return  # key points have one length
        (n,) = lengths
        fits = self._fits[n]
        polygons = fits[False, True] + fits[False, False]
        if polygons > 0 and polygons >= fits[True, False]:
            return
        shapes = " or ".join(f"[{(n - 5) // step}, {step}]" for step in (2, 3) if (n - 5) % step == 0)
        raise DataError(
            f"labels of {n} numbers a row, such as {self._first[n]}, may be polygons or boxes with key points; write "
            f"kpt_shape: {shapes} (key points) or task: segment (polygons) into the data YAML"
        )

    def read(self, values: Sequence[float]) -> tuple[list[float], list[float]] | str:
        """Take a row apart.

        Args:
            values: Its numbers, the class first.

        Returns:
            ``xc yc w h`` (empty for a polygon) and the corners (empty for a box); the reason as text where it is
            neither.
        """
        n, box, beside = len(values), list(values[1:5]), ""
        if self._key_points is not None and n > 5:
            k, step = self._key_points
            if not 0 <= n - 5 - k * step <= 2:
                return f"malformed line: expected class xc yc w h and {k} key points of {step} numbers, received {n}"
            beside = "key points"
        elif n == 6 and not self._angles:
            beside = "sixth number, a confidence or a track id"
        elif n == 7 and not self._triangles:
            beside = "confidence and track id"
        elif n >= 7 and n % 2:
            box = []
        elif n != 5:
            hint = {6: "; the sixth is an angle?"}.get(n, "; for key points write kpt_shape into the data YAML")
            wanted = "class xc yc w h, or class and at least 3 corners"
            return f"malformed line: expected {wanted}, received {n} numbers{hint if n > 5 else ''}"
        corners = [] if box else list(values[1:])
        if any(abs(v) > _PIXELS for v in box or corners):
            return "not fractions of the image: received pixels? divide x and w by its width, y and h by its height"
        if beside:
            self.left_aside[beside] += 1
        return box, corners

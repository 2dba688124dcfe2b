"""A supersampled drawing surface with the layers that an aerial scene needs.

Shapes are drawn three times larger than the final image and averaged down, so that a car of seven pixels still has a
windscreen. Texture and weather are added later at the final size (`sensor.py`), which keeps a scene within 40 ms.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SS = 3  # supersampling factor: 9 samples per final pixel; 4 costs twice the time and shows no difference at 7 px
_SHIFT = 4  # fractional bits of cv2's fixed-point coordinates
_FIX = SS * (1 << _SHIFT)
_HALF = (1 << _SHIFT) // 2  # cv2 puts a pixel's centre on the integer, we put its corner there

RGB = Sequence[float]

# Ground kinds in `Canvas.kind`; a land vehicle may stand on those below BUILDING
FREE, ROAD, PAVED, BUILDING, WATER, TAKEN = range(6)


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(points) * _FIX - _HALF).astype(np.int32)


def _rgb(color: RGB) -> tuple[int, int, int]:
    r, g, b = color
    return (min(255, max(0, int(r))), min(255, max(0, int(g))), min(255, max(0, int(b))))


class Canvas:
    """Layers of one scene. All coordinates given to its methods are final pixels `(x, y)`, corner of the image at 0.

    Attributes:
        color: `(SS*H, SS*W, 3)` uint8 RGB, what things look like without texture and shadow.
        rough: `(SS*H, SS*W)` uint8, how strongly texture shows (0 lacquer, 255 meadow).
        light: `(SS*H, SS*W)` uint8, 255 in the sun and 0 in full shadow.
        ids: `(SS*H, SS*W)` uint16, 0 background, else number of the visible object.
        kind: `(H, W)` uint8, what the ground is used for (`FREE`, `ROAD`, `PAVED`, `BUILDING`, `WATER`, or `TAKEN` by
            an object).
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        shape = (height * SS, width * SS)
        self.color = np.zeros((*shape, 3), np.uint8)
        self.rough = np.full(shape, 255, np.uint8)
        self.light = np.full(shape, 255, np.uint8)
        self.ids = np.zeros(shape, np.uint16)
        self.kind = np.zeros((height, width), np.uint8)

    def poly(self, points: np.ndarray, rgb: RGB, rough: int | None = None, kind: int | None = None) -> None:
        """Fill a polygon `(N, 2)`; `rough` and `kind` are written too when given."""
        fixed = [_fixed(points)]
        cv2.fillPoly(self.color, fixed, _rgb(rgb), cv2.LINE_8, _SHIFT)
        if rough is not None:
            cv2.fillPoly(self.rough, fixed, rough, cv2.LINE_8, _SHIFT)
        if kind is not None:
            cv2.fillPoly(self.kind, [np.rint(points).astype(np.int32)], kind)

    def line(
        self, points: np.ndarray, width: float, rgb: RGB, rough: int | None = None, kind: int | None = None
    ) -> None:
        """Draw an open polyline `(N, 2)` of `width` final pixels with round joints."""
        self.lines([points], width, rgb, rough)
        if kind is not None:
            cv2.polylines(self.kind, [np.rint(points).astype(np.int32)], False, kind, max(1, round(width)))

    def lines(self, paths: Sequence[np.ndarray], width: float, rgb: RGB, rough: int | None = None) -> None:
        """Draw several open polylines of one width and colour."""
        fixed = [_fixed(p) for p in paths]
        thick = max(1, round(width * SS))
        cv2.polylines(self.color, fixed, False, _rgb(rgb), thick, cv2.LINE_8, _SHIFT)
        if rough is not None:
            cv2.polylines(self.rough, fixed, False, rough, thick, cv2.LINE_8, _SHIFT)

    def disc(self, x: float, y: float, radius: float, rgb: RGB, rough: int | None = None) -> None:
        """Fill a circle."""
        centre, r = self._circle(x, y, radius)
        cv2.circle(self.color, centre, r, _rgb(rgb), -1, cv2.LINE_8, _SHIFT)
        if rough is not None:
            cv2.circle(self.rough, centre, r, rough, -1, cv2.LINE_8, _SHIFT)

    def veil(self, points: np.ndarray, rgb: RGB, amount: float) -> None:
        """Blend a colour over a polygon; 0 leaves what is there, 1 covers it."""
        fixed = _fixed(points)
        low = np.maximum(fixed.min(0) >> _SHIFT, 0)
        high = np.minimum((fixed.max(0) >> _SHIFT) + 2, self.light.shape[::-1])
        (x0, y0), (x1, y1) = low, high
        if x0 >= x1 or y0 >= y1:
            return
        window = self.color[y0:y1, x0:x1]
        top = window.copy()
        cv2.fillPoly(top, [fixed - low * (1 << _SHIFT)], _rgb(rgb), cv2.LINE_8, _SHIFT)
        window[:] = cv2.addWeighted(top, amount, window, 1 - amount, 0)

    def shade(self, points: np.ndarray, level: int = 0) -> None:
        """Set the light inside a polygon: 0 is full shadow, 255 full sun."""
        cv2.fillPoly(self.light, [_fixed(points)], level, cv2.LINE_8, _SHIFT)

    def shade_disc(self, x: float, y: float, radius: float, level: int = 0) -> None:
        """Set the light inside a circle."""
        centre, r = self._circle(x, y, radius)
        cv2.circle(self.light, centre, r, level, -1, cv2.LINE_8, _SHIFT)

    def stamp(self, polygons: Sequence[np.ndarray], number: int) -> None:
        """Write a number into polygons of `ids`."""
        for points in polygons:
            cv2.fillPoly(self.ids, [_fixed(points)], number, cv2.LINE_8, _SHIFT)

    def stamp_disc(self, x: float, y: float, radius: float, number: int = 0, layer: np.ndarray | None = None) -> None:
        """Write a number (0 hides what is below) into a circle of a layer, `ids` where none is given."""
        centre, r = self._circle(x, y, radius)
        cv2.circle(self.ids if layer is None else layer, centre, r, number, -1, cv2.LINE_8, _SHIFT)

    def light_at(self, x: float, y: float) -> int:
        """Light at a point; points outside the image answer 255."""
        ix, iy = int(x * SS), int(y * SS)
        inside = 0 <= ix < self.light.shape[1] and 0 <= iy < self.light.shape[0]
        return int(self.light[iy, ix]) if inside else 255

    def under(self, points: np.ndarray) -> np.ndarray:
        """Values of `kind` under a polygon, as a flat array (empty when it lies outside the image)."""
        pts = np.rint(points).astype(np.int32)
        (x0, y0), (x1, y1) = pts.min(0), pts.max(0) + 1
        x0, y0, x1, y1 = max(0, x0), max(0, y0), min(self.width, x1), min(self.height, y1)
        if x0 >= x1 or y0 >= y1:
            return self.kind[0, :0]
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [pts - (x0, y0)], 1)
        return self.kind[y0:y1, x0:x1][mask.view(bool)]

    @staticmethod
    def _circle(x: float, y: float, radius: float) -> tuple[tuple[int, int], int]:
        return (round(x * _FIX - _HALF), round(y * _FIX - _HALF)), max(1, round(radius * _FIX))

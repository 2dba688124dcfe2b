"""Where a scene lies: from its pixels to its map, to longitude and latitude, and to metres on the ground.

Metres are geodesic, on the ellipsoid of the scene's own CRS: one of a projection is stretched, twofold by Web Mercator
at 60 degrees. Pixels are counted from the outer corner of the first one, x to the right and y downwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rsdet.errors import DataError
from rsdet.scenes.crs import LONLAT, globe, transformer
from rsdet.scenes.placement import problem_of

if TYPE_CHECKING:
    from rsdet.scenes.raster import SceneInfo


@dataclass(frozen=True)
class Georef:
    """The place of a scene on Earth, or on another body; plain values, so that it can be pickled.

    Attributes:
        crs_wkt: Its CRS; None for a scene without a place, of which only ``size_hw`` is known.
        transform: a, b, c, d, e, f of x = a col + b row + c and y = d col + e row + f; None without a place.
        size_hw: Height and width of the scene in pixels.
    """

    crs_wkt: str | None
    transform: tuple[float, ...] | None
    size_hw: tuple[int, int]

    @classmethod
    def of(cls, info: SceneInfo) -> Georef:
        """The place that a file tells; none where it has no CRS, or none of a body (see :mod:`rsdet.scenes.placement`).

        Raises:
            DataError: It tells a place in a way that needs another program first.
        """
        problem, fatal = problem_of(info)
        if fatal:
            raise DataError(problem)
        return cls(None, None, info.size_hw) if problem else cls(info.crs_wkt, info.transform, info.size_hw)

    @property
    def placed(self) -> bool:
        """Whether there is a map to draw onto."""
        return self.transform is not None

    def to_map(self, xy_px: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 2) x and y of the scene's CRS, east or longitude first; of a scene that is placed."""
        return _affine(self.transform, xy_px)

    def to_pixels(self, xy_map: np.ndarray) -> np.ndarray:
        """(N, 2) x and y of the scene's CRS to (N, 2) pixels."""
        a, b, c, d, e, f = self.transform  # type: ignore[misc]
        by = a * e - b * d
        # The origin is taken off first: northings have seven digits before the point.
        return _affine((e / by, -b / by, 0.0, -d / by, a / by, 0.0), np.asarray(xy_map, np.float64) - [c, f])

    def to_lonlat(self, xy_px: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to (N, 2) longitude and latitude of WGS 84 in degrees; inf where the CRS shows no ground.

        Raises:
            DataError: The scene lies on another body.
        """
        return _within_180(_moved(self.to_map(xy_px), self.crs_wkt, LONLAT))

    def gsd_m(self) -> float | None:
        """Side in metres of a square with the area of the middle pixel on the ground; None where that is not known."""
        if not self.placed:
            return None
        x, y = self.size_hw[1] / 2, self.size_hw[0] / 2
        corner = np.array([[x - 0.5, y - 0.5], [x + 0.5, y - 0.5], [x + 0.5, y + 0.5], [x - 0.5, y + 0.5]])
        side = math.sqrt(self.extent_m(corner[None]).prod())
        return side if math.isfinite(side) else None

    def extent_m(self, quads: np.ndarray) -> np.ndarray:
        """Length and width of quadrilaterals on the ground, between the middles of their opposite sides.

        Args:
            quads: (N, 4, 2) corners in pixels, in order around each.

        Returns:
            (N, 2) metres, the longer one first; NaN without a place, or where the CRS shows no ground.
        """
        if not self.placed:
            return np.full((len(quads), 2), np.nan)
        middles = ((quads + np.roll(quads, -1, 1)) / 2).reshape(-1, 2)
        own, degrees, geod = globe(self.crs_wkt)
        lonlat = (_moved(self.to_map(middles), self.crs_wkt, own) * degrees).reshape(-1, 4, 2)
        seen = np.isfinite(lonlat).all((1, 2))
        out = np.full((len(quads), 2), np.nan)
        for k in (0, 1):
            (lon1, lat1), (lon2, lat2) = lonlat[seen, k].T, lonlat[seen, k + 2].T
            out[seen, k] = geod.inv(lon1, lat1, lon2, lat2)[2]
        return -np.sort(-out, axis=1)

    def areas_m2(self, xy_px: np.ndarray) -> np.ndarray:
        """Area on the ground of a pixel at each of some places; right where a CRS shears, too.

        Args:
            xy_px: (N, 2) middles of the pixels.

        Returns:
            (N,) square metres; NaN without a place, or where the CRS shows no ground.
        """
        if not self.placed:
            return np.full(len(xy_px), np.nan)
        ends = np.array([[-0.5, 0], [0.5, 0], [0, -0.5], [0, 0.5]])
        own, degrees, geod = globe(self.crs_wkt)
        lonlat = _moved(self.to_map(np.asarray(xy_px)[:, None] + ends), self.crs_wkt, own) * degrees
        lonlat, out = lonlat.reshape(-1, 4, 2), np.full(len(xy_px), np.nan)
        seen = np.isfinite(lonlat).all((1, 2))
        product, between = 1.0, 0.0
        for k, sign in ((0, 1), (2, -1)):  # the middle lines of the pixel, and the azimuths where they cross
            begin, back, length = (np.asarray(v) for v in geod.inv(*lonlat[seen, k].T, *lonlat[seen, k + 1].T))
            product = product * length
            between = between + sign * (begin + ((back - begin) % 360 - 180) / 2)
        out[seen] = product * np.abs(np.sin(np.radians(between)))
        return out


def _affine(transform: tuple[float, ...] | None, xy: np.ndarray) -> np.ndarray:
    a, b, c, d, e, f = transform  # type: ignore[misc]
    x, y = np.asarray(xy, np.float64).reshape(-1, 2).T
    return np.stack([a * x + b * y + c, d * x + e * y + f], 1)


def _moved(xy: np.ndarray, source: str | None, target: str | None) -> np.ndarray:
    return np.stack(transformer(source, target).transform(*xy.T), 1)


def _within_180(lonlat: np.ndarray) -> np.ndarray:
    """Degrees of scenes in geographic CRSs may go on behind 180."""
    out = np.isfinite(lonlat[:, 0]) & (np.abs(lonlat[:, 0]) > 180)
    lonlat[out, 0] = (lonlat[out, 0] + 180) % 360 - 180
    return lonlat

"""What a layer says of each object, the same in every format: columns, numbers and shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.shapes import quads_of, shapes_px

if TYPE_CHECKING:
    from rsdet.scenes.raster import SceneInfo

_ROWS = 50_000


@dataclass(frozen=True)
class Table:
    """The N objects of a scene; see :func:`rsdet.scenes.layers.write_layers` for what it is made of."""

    found: Found
    names: Mapping[int, str]
    georef: Georef
    info: SceneInfo

    @property
    def geometry_type(self) -> str:
        """What a layer of them holds."""
        return "Polygon" if self.found.outlines is None else "MultiPolygon"

    @property
    def fid(self) -> np.ndarray:
        """(N,) numbers of the objects, from 1."""
        return np.arange(1, len(self.found) + 1)

    def parts(self) -> Iterator[slice]:
        """All objects in parts: the shapes of a million at once take gigabytes."""
        for start in range(0, len(self.found), _ROWS):
            yield slice(start, min(start + _ROWS, len(self.found)))

    def shapes(self, part: slice) -> np.ndarray:
        """Shapely geometries of a part, in pixels."""
        return shapes_px(self.found.take(np.arange(part.start, part.stop)))

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """Name of the column -> (N,) values.

        ``class`` (text), ``class_id``, ``score``; ``tile`` and ``scale``, numbers of the tile and of the resolution (in
        ``scales=``) that found it; ``x1_px`` to ``y2_px``, the upright box in pixels; of turned boxes ``angle_deg``, by
        which their longer side is turned from the rows of the picture, clockwise, in [0, 180); ``length_m`` and
        ``width_m`` of the box on the ground where the scene has a place; ``cut``, whether it touches an edge of its
        tile.
        """
        found = self.found
        name_of = {c: self.names.get(c, str(c)) for c in np.unique(found.classes).tolist()}
        columns = {
            "class": np.array([name_of[c] for c in found.classes.tolist()], object),
            "class_id": found.classes,
            "score": np.round(found.scores.astype(np.float64), 5),
            "tile": found.tiles,
            "scale": found.scales.astype(np.int32),
        }
        for name, values in zip(("x1_px", "y1_px", "x2_px", "y2_px"), found.boxes_xyxy.T, strict=True):
            columns[name] = np.round(values, 3)
        if found.corners is not None:
            sides = found.corners[:, :2] - found.corners[:, 1:3]
            longer = sides[np.arange(len(found)), np.argmax(np.linalg.norm(sides, axis=2), axis=1)]
            columns["angle_deg"] = np.round(np.degrees(np.arctan2(longer[:, 1], longer[:, 0])) % 180, 3) % 180
        if self.georef.placed:
            columns["length_m"], columns["width_m"] = np.round(self.georef.extent_m(quads_of(found)), 3).T
        return {**columns, "cut": found.cut}

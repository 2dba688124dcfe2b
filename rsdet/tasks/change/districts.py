"""How much has changed where: a table by the tiles of a map, and one by polygons of others, such as districts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.tiling import Tile, partition
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.scenes.covered import numbered
from rsdet.scenes.features import in_pixels, read_features
from rsdet.scenes.georef import Georef
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.shift import Shift
from rsdet.writing import write_csv

_WINDOW_PX = 1024
_AREAL = (3, 6)  # Polygon and MultiPolygon among the types of shapely
_MEASURES = ("seen_px", "changed_px", "changed_share", "mean_prob")
_ON_GROUND = ("seen_m2", "changed_m2")
_SEEN = "seen_share"  # part of a district that both dates show

Window = tuple[Tile, np.ndarray, np.ndarray, np.ndarray]
"""A window of a map, (h, w) uint8 classes, (h, w) probabilities, and (h, w) square metres of each pixel."""


@dataclass
class Sums:
    """What was counted in N places.

    Attributes:
        seen: (N,) pixels that both dates show.
        changed: (N,) pixels that have changed.
        probability: (N,) sum of the probabilities.
        seen_m2: (N,) square metres that both dates show; NaN where that is not known.
        changed_m2: (N,) square metres that have changed.
    """

    seen: np.ndarray
    changed: np.ndarray
    probability: np.ndarray
    seen_m2: np.ndarray
    changed_m2: np.ndarray

    @classmethod
    def of(cls, count: int) -> Sums:
        """Nothing counted yet."""
        return cls(*np.zeros((2, count), np.int64), *np.zeros((3, count)))

    def add(self, which: np.ndarray, place: np.ndarray, window: Window) -> None:
        """Count the pixels of a window.

        Args:
            which: (M,) numbers of the places that lie there.
            place: (h, w) from 1, which of these a pixel belongs to; 0 for none.
            window: What the map says there.
        """
        _, classes, probability, area = window
        at = np.where(classes == IGNORE, 0, place).ravel()
        there = at > 0
        at, hit, n = at[there] - 1, classes.ravel()[there] == 1, len(which)
        p, m2 = probability.ravel()[there], area.ravel()[there]
        self.seen[which] += np.bincount(at, minlength=n)
        self.changed[which] += np.bincount(at[hit], minlength=n)
        self.probability[which] += np.bincount(at, p, n)
        self.seen_m2[which] += np.bincount(at, m2, n)
        self.changed_m2[which] += np.bincount(at[hit], m2[hit], n)

    def rows(self, on_ground: bool) -> Iterator[dict[str, Any]]:
        """The columns of each place, those of square metres only where they are known."""
        for seen, changed, p, seen_m2, changed_m2 in zip(*(v.tolist() for v in vars(self).values()), strict=True):
            row: dict[str, Any] = {"seen_px": seen, "changed_px": changed}
            if seen:
                row |= {"changed_share": round(changed / seen, 6), "mean_prob": round(p / seen, 4)}
            if on_ground:
                row |= {"seen_m2": round(seen_m2, 2), "changed_m2": round(changed_m2, 2)}
            yield row


@dataclass(frozen=True)
class Districts:
    """N polygons by which a table is made.

    Attributes:
        path: Their file.
        shapes: (N,) shapely geometries in pixels of the map; empty where a district has no place there.
        columns: What the file says of each, by name.
    """

    path: Path
    shapes: np.ndarray
    columns: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, path: str | Path, georef: Georef) -> Districts:
        """Read a file.

        Args:
            path: GeoJSON, GeoPackage or Shapefile of polygons in any CRS.
            georef: The place of the map.

        Raises:
            DataError: The map has no place, the file cannot be read or holds something else, or none of its polygons
                lies on the map.
        """
        path, shapely = Path(path), optional("shapely")
        if not georef.placed:
            raise DataError(f"districts={path} needs rasters with a CRS and a geotransform; leave districts= out.")
        shapes, crs, columns, fids = read_features(path, "districts", None)
        if not len(shapes) or not np.isin(shapely.get_type_id(shapes), _AREAL).all():
            kinds = ", ".join(sorted({"nothing" if s is None else s.geom_type for s in shapes})) or "nothing"
            raise DataError(f"districts={path} must hold polygons and nothing else, received {kinds}; mend the file.")
        shapes = shapely.make_valid(in_pixels(shapes, crs, georef), method="structure", keep_collapsed=False)
        height, width = georef.size_hw
        if not shapely.intersects(shapes, shapely.box(0, 0, width, height)).any():
            raise DataError(
                f"districts={path}: none of its {len(shapes)} polygons lies on {width}x{height} pixels of the map; "
                "check the CRS of both, or pass districts of this place."
            )
        ours = ("fid", *_MEASURES, *_ON_GROUND, _SEEN)
        own = {f"{k}_of_file" if k.lower() in ours else k: v for k, v in columns.items()}
        return cls(path, shapes, {"fid": fids, **own})


def write_districts(out: Path, districts: Districts, classes: Path, probability: Path, georef: Georef) -> Path:
    """Write how much has changed in each district, as a CSV.

    Args:
        out: The table.
        districts: The polygons; a pixel belongs to those that its middle lies in.
        classes: GeoTIFF of what has changed: 1, 0 for nothing, 255 where one of the dates shows nothing.
        probability: GeoTIFF of its probability.
        georef: Where they lie.
    """
    shapely = optional("shapely")
    sums, tree = Sums.of(len(districts.shapes)), shapely.STRtree(districts.shapes)
    for window in _windows(classes, probability, georef, partition(georef.size_hw, _WINDOW_PX)):
        which, layers = numbered(districts.shapes, tree, window[0])
        if len(which):
            for layer in layers:  # several where districts overlap
                sums.add(which, layer, window)
    whole_px, rows = shapely.area(districts.shapes), []
    for i, row in enumerate(sums.rows(on_ground=True)):
        said = {k: _plain(v[i]) for k, v in districts.columns.items()}
        share = min(1.0, row["seen_px"] / whole_px[i]) if whole_px[i] else 0.0
        rows.append({**said, **row, _SEEN: round(share, 4)})
    return write_csv(out, [*districts.columns, *_MEASURES, *_ON_GROUND, _SEEN], rows)


def write_tiles(
    out: Path,
    cells: Sequence[Tile],
    shifts: Mapping[int, Shift],
    classes: Path,
    probability: Path,
    georef: Georef,
) -> Path:
    """Write how much has changed in each tile, and how far the dates lie apart there, as a CSV.

    Args:
        out: The table.
        cells: The tiles, of which each pixel is in one.
        shifts: Number of a tile to the shift that was measured there.
        classes: As in :func:`write_districts`.
        probability: Likewise.
        georef: Likewise.
    """
    sums = Sums.of(len(cells))
    for i, window in enumerate(_windows(classes, probability, georef, cells)):
        sums.add(np.array([i]), np.ones(window[1].shape, np.int64), window)
    rows = []
    for i, (cell, row) in enumerate(zip(cells, sums.rows(georef.placed), strict=True)):
        place = {"tile": i + 1, "top": cell.top, "left": cell.left, "height": cell.height, "width": cell.width}
        if i in shifts:
            s = shifts[i]
            row |= {"shift_x_px": round(s.x_px, 2), "shift_y_px": round(s.y_px, 2), "shift_px": round(s.length_px, 2)}
        rows.append({**place, **row})
    ground = _ON_GROUND if georef.placed else ()
    columns = ["tile", "top", "left", "height", "width", *_MEASURES, *ground, "shift_x_px", "shift_y_px", "shift_px"]
    return write_csv(out, columns, rows)


def _windows(classes: Path, probability: Path, georef: Georef, cells: Sequence[Tile]) -> Iterator[Window]:
    areas = PixelAreas(georef)
    with open_dataset(classes) as numbers, open_dataset(probability) as floats:
        for cell in cells:
            rows, columns = (cell.top, cell.top + cell.height), (cell.left, cell.left + cell.width)
            found = (f.read(1, window=(rows, columns)) for f in (numbers, floats))
            yield cell, *found, areas.rows(*rows, slice(*columns))


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return "" if value is None or value != value else value

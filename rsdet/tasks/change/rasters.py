"""The rasters of a map of changes: the probability, what is taken for changed, and its regions as polygons."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.geotiff import BLOCK_PX, new_tiff
from rsdet.data.tiling import Tile
from rsdet.metrics.confusion import IGNORE
from rsdet.quiet import say
from rsdet.scenes.class_rasters import CLASSES
from rsdet.scenes.dense import Form
from rsdet.scenes.georef import Georef
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.optional import optional
from rsdet.scenes.parts import Parts
from rsdet.scenes.polygons import PolygonTable, write_polygons
from rsdet.scenes.shapes import shapes_map
from rsdet.tasks.change.outputs import PROBABILITY
from rsdet.tasks.change.view import DatesView
from rsdet.tasks.semantic.polygons import POLYGONS, PolygonSettings, polygon_table, told
from rsdet.tasks.semantic.rasters import MapRasters
from rsdet.tasks.semantic.visual import COLOURS
from rsdet.writing import replacing

STEPS = 1024  # of a probability: what floats hold exactly, and what is packed well
CHANGED = 1


class ChangeRasters(MapRasters):
    """The rasters of one pair.

    Args:
        out: That of what has changed; the others lie in folders beside its own.
        names: Class number to name.
        view: The pair.
        geo: Where it lies, see :func:`rsdet.data.geotiff.geo_of`.
        threshold: Probability from which on a pixel has changed.
    """

    def __init__(self, out: Path, names: Mapping[int, str], view: DatesView, geo: dict[str, Any], threshold: float):
        super().__init__(out, names, view, geo, 0)
        self.view: DatesView = view
        self.threshold = threshold
        self.floats = {**geo, "nodata": float("nan")}
        self.form = Form(1, "float32", self.floats)

    def encode(self, band: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (rows, W, 1) in steps, and which are valid."""
        # Rounded down: 0.5 in the file is reached by what reaches it, so that file and map agree.
        steps = np.floor(band.clip(0, 1) * STEPS) / np.float32(STEPS)
        return steps.astype(np.float32), self.view.read(Tile(top, 0, *band.shape[:2]))[1]

    def write(self, parts: Parts, size_hw: tuple[int, int], form: Form) -> None:
        """Copy all parts into the files, block by block, and put them in place; what has changed last."""
        with ExitStack() as stack:
            classes, probability = (
                stack.enter_context(
                    new_tiff(stack.enter_context(replacing(self.file(name))), (*size_hw, 1), dtype, geo)
                )
                for name, dtype, geo in ((CLASSES, "uint8", self.geo), (PROBABILITY, "float32", self.floats))
            )
            classes.write_colormap(1, dict(enumerate(map(tuple, COLOURS))))
            classes.update_tags(**{f"class_{k}": name for k, name in self.names.items()}, threshold=self.threshold)
            for top, samples, _ in parts.rows(BLOCK_PX):
                p, window = samples[..., 0], ((top, top + len(samples)), (0, size_hw[1]))
                probability.write(p, 1, window=window)
                changed = np.where(np.isnan(p), IGNORE, p >= self.threshold).astype(np.uint8)
                classes.write(changed, 1, window=window)

    @property
    def probability(self) -> Path:
        """GeoTIFF of the probability of a change."""
        return self.file(PROBABILITY)

    def outline(self, georef: Georef, settings: PolygonSettings) -> tuple[list[Path], int]:
        """Write what has changed as polygons where they are wanted; returns the files, and how many regions there are.

        Regions smaller than is wanted are told, and are none.
        """
        table, small = self._polygons(georef, settings.min_area_m2)
        if small:
            say(f"{self.out.stem}: {told(len(table), small, settings.min_area_m2)}", logging.INFO)
        made = []
        if settings.of(georef):
            made = write_polygons(self.file(POLYGONS).parent, self.out.stem, table, {CHANGED: self.names[CHANGED]})
        return made, len(table)

    def small(self, size_hw: tuple[int, int]) -> np.ndarray:
        """(h, w) uint8, the map made smaller without losing any change; 255 where no pixel is seen."""
        out = np.empty(size_hw, np.uint8)
        with open_dataset(self.out) as f:
            edges = [np.arange(n + 1) * whole // n for n, whole in zip(size_hw, (f.height, f.width), strict=True)]
            step = max(1, BLOCK_PX * size_hw[0] // f.height)
            for i in range(0, size_hw[0], step):
                rows = edges[0][i : min(i + step, size_hw[0]) + 1]
                part = f.read(1, window=((rows[0], rows[-1]), (0, f.width)))

                def anywhere(mask: np.ndarray, rows: np.ndarray = rows) -> np.ndarray:
                    down = np.logical_or.reduceat(mask, rows[:-1] - rows[0], axis=0)
                    return np.logical_or.reduceat(down, edges[1][:-1], axis=1)

                hit, seen = anywhere(part == CHANGED), anywhere(part != IGNORE)
                out[i : i + len(rows) - 1] = np.where(hit, CHANGED, np.where(seen, 0, IGNORE))
        return out

    def _polygons(self, georef: Georef, least_m2: float) -> tuple[PolygonTable, int]:
        """Each region with its area, mean probability and centroid; and how many smaller ones were left out."""
        areas = PixelAreas(georef)
        with open_dataset(self.out) as classes, open_dataset(self.probability) as probability:

            def read(top: int, bottom: int) -> tuple[np.ndarray, list[np.ndarray]]:
                window = (top, bottom), (0, classes.width)
                return classes.read(1, window=window), [areas.rows(top, bottom), probability.read(1, window=window)]

            table, small = polygon_table(read, self.names, [CHANGED], georef, least_m2, True, None)
        known = dict(table.columns)
        columns = {k: known[k] for k in ("class", "area_m2", "area_px") if k in known}
        return replace(table, columns={**columns, "mean_prob": known["probability"], **_centroids(table)}), small


def _centroids(table: PolygonTable) -> dict[str, np.ndarray]:
    """Columns of the centroids, on the map where there is one, else in pixels."""
    shapely = optional("shapely")
    parts = [np.zeros((0, 2))]
    for part in table.parts():
        shapes = table.shapes(part)
        middles = shapely.centroid(shapes_map(shapes, table.georef) if table.georef.placed else shapes)
        parts.append(shapely.get_coordinates(middles))
    x, y = np.concatenate(parts).T
    return {"centroid_x": x, "centroid_y": y}

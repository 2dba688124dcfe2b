"""The files of the map of a raster: how probabilities become samples, and samples GeoTIFFs and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.geotiff import BLOCK_PX
from rsdet.data.sar.stretch import Stretch
from rsdet.data.tiling import Tile
from rsdet.metrics.confusion import IGNORE
from rsdet.scenes.class_rasters import CONFIDENCE, PERCENT, write_class_rasters
from rsdet.scenes.dense import Form
from rsdet.scenes.georef import Georef
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.parts import Parts
from rsdet.scenes.polygons import write_polygons
from rsdet.scenes.view import View
from rsdet.tasks.semantic.classmap import confidence_of, pixels_of
from rsdet.tasks.semantic.polygons import POLYGONS, Measured, PolygonSettings, drawn_classes, raster_polygons, told
from rsdet.tasks.semantic.visual import COLOURS, LONGEST_PX, overlay, velocity_overlay
from rsdet.writing import write_picture


class MapRasters:
    """The rasters of one map.

    Args:
        out: That of the class numbers; the others lie in folders beside its own.
        names: Class number to name.
        view: The raster that is mapped.
        geo: Where they lie, see :func:`rsdet.data.geotiff.geo_of`.
        probabilities: How many of these are written for each pixel.
        kept: Numbers that stay in the map; None for all.

    Attributes:
        form: What :func:`rsdet.scenes.dense.write_dense` keeps of each pixel: class, percent, probabilities.
    """

    def __init__(
        self,
        out: Path,
        names: Mapping[int, str],
        view: View,
        geo: dict[str, Any],
        probabilities: int,
        kept: Sequence[int] | None = None,
    ):
        self.out, self.names, self.view, self.geo, self.kept = out, names, view, geo, kept
        self.form = Form(2 + probabilities, "float32" if probabilities else "uint8", geo)

    def encode(self, band: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Class, confidence and, where asked for, probabilities of finished rows, and which are valid."""
        rows, width, count = band.shape
        out = np.empty((rows, width, self.form.bands), self.form.dtype)
        out[..., 0] = band[..., 0] > 0.5 if count == 1 else band.argmax(2)
        if self.kept is not None:
            out[..., 0][~np.isin(out[..., 0], self.kept)] = IGNORE
        confidence = confidence_of(band.transpose(2, 0, 1))
        out[..., 1] = np.rint(PERCENT * confidence)
        out[..., 2:] = band[..., : self.form.bands - 2]
        return out, self.view.read(Tile(top, 0, rows, width))[1]

    def write(self, parts: Parts, size_hw: tuple[int, int], form: Form) -> None:
        """Make of all parts the files."""
        write_class_rasters(parts, size_hw, form, self.out, self.names, dict(enumerate(map(tuple, COLOURS))))

    def file(self, name: str) -> Path:
        """Where a file lies."""
        return self.out.parent.parent / name / self.out.name

    def draw(self, path: Path) -> None:
        """Write the map over the raster, small."""
        values = self.view.values
        raw, valid = self.view.raster.overview(LONGEST_PX, values.bands, values.nodata)
        height, width = valid.shape
        with open_dataset(self.out) as f:
            classes = f.read(1, out_shape=(height, width))  # nearest
        rule = None if values.sar is None else Stretch.from_dict(values.sar)
        if rule is not None and rule.signed:
            names = {k: self.names[k] for k in drawn_classes(self.names)}
            picture = velocity_overlay(raw[..., 0], valid, classes, names, rule.range[1], rule.units)
        else:
            picture = overlay(values.shown(raw, valid), classes, self.names)
        write_picture(path, picture, [cv2.IMWRITE_JPEG_QUALITY, 92])

    def outline(self, georef: Georef, settings: PolygonSettings) -> tuple[list[Path], str]:
        """Write the regions as polygons; returns the files, and how many polygons these hold."""
        confidence, measured = self.file(CONFIDENCE), Measured.of(self.view)
        table, small = raster_polygons(self.out, confidence, self.names, georef, settings, measured)
        made = write_polygons(self.out.parent.parent / POLYGONS, self.out.stem, table, self.names)
        return made, told(len(table), small, settings.min_area_m2)

    def areas(self, georef: Georef) -> tuple[np.ndarray, np.ndarray | None]:
        """Pixels of each class, and their area on the ground in square metres, block of rows by block of rows."""
        pixels, area, side = np.zeros(IGNORE, np.int64), np.zeros(IGNORE), PixelAreas(georef)
        height, width = self.view.raster.info.size_hw
        with open_dataset(self.out) as f:
            for top in range(0, height, BLOCK_PX):
                bottom = min(height, top + BLOCK_PX)
                classes = f.read(1, window=((top, bottom), (0, width)))
                pixels = pixels + pixels_of(classes)
                if georef.placed:
                    square = side.rows(top, bottom).ravel()
                    area = area + np.bincount(classes.ravel(), square, IGNORE + 1)[:IGNORE]
        return pixels, area if georef.placed and np.isfinite(area).all() else None

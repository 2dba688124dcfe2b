"""What a prediction writes of maps: numbers and confidence as PNG, and the area of each class as a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.scenes.class_rasters import CLASSES, CONFIDENCE
from rsdet.scenes.polygons import write_polygons
from rsdet.tasks.semantic.classmap import ClassMap, pixels_of
from rsdet.tasks.semantic.polygons import POLYGONS, PolygonSettings, picture_polygons
from rsdet.tasks.semantic.visual import write_index
from rsdet.writing import file_stem, free_name, write_csv, write_picture

AREAS = "areas.csv"
COLUMNS = ("file", "class", "name", "pixels", "share", "area_m2")


class MapOutputs:
    """Writes the maps of a run into its folder: ``classes/``, ``confidence/`` and, at its end, ``areas.csv``.

    Args:
        polygons: Which polygons are written into ``polygons/``.

    Attributes:
        rows: Of the table of areas.
    """

    def __init__(self, polygons: PolygonSettings | None = None) -> None:
        self.polygons = polygons or PolygonSettings()
        self.rows: list[dict[str, Any]] = []
        self._names: set[str] = set()

    def stem(self, file: str | Path) -> str:
        """Name of the results of a file, which no other has."""
        return free_name(file_stem(Path(file).stem), self._names)

    def add_areas(
        self, file: str | Path, pixels: np.ndarray, names: Mapping[int, str], area_m2: np.ndarray | None = None
    ) -> None:
        """Add a picture to the table.

        Args:
            file: The picture.
            pixels: (255,) pixels of each class.
            names: Class number to name.
            area_m2: (255,) area of each class on the ground in square metres, where it is known.
        """
        for k in np.flatnonzero(pixels).tolist():
            row = {"file": str(file), "class": k, "name": names.get(k, str(k)), "pixels": int(pixels[k])}
            row["share"] = round(float(pixels[k] / pixels.sum()), 6)
            self.rows.append(row | ({} if area_m2 is None else {"area_m2": round(float(area_m2[k]), 2)}))

    def write_map(self, folder: Path, file: str | Path, found: ClassMap) -> Path:
        """Write the map of one picture, and note its areas; returns the path of the numbers."""
        stem = self.stem(file)
        path = write_index(folder / CLASSES / f"{stem}.png", found.classes)
        if found.confidence is not None:
            grey = np.rint(255 * found.confidence).astype(np.uint8)
            write_picture(folder / CONFIDENCE / f"{stem}.png", grey)
        if self.polygons.wanted:
            write_polygons(folder / POLYGONS, stem, picture_polygons(found), found.names)
        self.add_areas(file, pixels_of(found.classes), found.names)
        return path

    def write_areas(self, folder: Path) -> None:
        """Write the table, where there is one."""
        if self.rows:
            write_csv(folder / AREAS, COLUMNS, self.rows)

"""From scores to finds: a threshold at a rate of false alarms, connected regions above it, and the files of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.arguments import check_whole
from rsdet.data.geotiff import geo_of, new_tiff
from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.quiet import say
from rsdet.scenes.georef import Georef
from rsdet.scenes.polygons import PolygonTable, check_packages, write_polygons
from rsdet.tasks.anomaly.options import NAMES
from rsdet.writing import replacing, write_csv

FAR = 1e-3  # share of the pixels of a scene that is marked where nobody says otherwise


@dataclass(frozen=True)
class Finds:
    """Connected regions above a threshold, the highest score first.

    Attributes:
        threshold: Scores above it are marked.
        mask: (H, W) uint8: 1 marked, 0 not, 255 without a score.
        boxes_xyxy: (N, 4) float32 in pixels.
        highest: (N,) highest score of each.
        mean: (N,) mean score.
        pixels: (N,) number of pixels.
        peaks_yx: (N, 2) row and column of the highest score.
    """

    threshold: float
    mask: np.ndarray
    boxes_xyxy: np.ndarray
    highest: np.ndarray
    mean: np.ndarray
    pixels: np.ndarray
    peaks_yx: np.ndarray

    def __len__(self) -> int:
        return len(self.highest)


def threshold_of(score: np.ndarray, far: float) -> float:
    """The lowest threshold above which no larger share of the pixels lies.

    Where a scene holds few anomalies, nearly all of its pixels are background, and the share is the rate of false
    alarms, or a little more than it.

    Args:
        score: (H, W), NaN where there is none.
        far: The rate, from 0 to below 1.

    Raises:
        DataError: No pixel has a score.
    """
    known = np.sort(score[np.isfinite(score)])
    if not known.size:
        raise DataError("no pixel of the scene has a score; check the cube for missing values.")
    return float(known[known.size - 1 - int(np.floor(far * known.size))])


def find(score: np.ndarray, threshold: float, min_area_px: int = 1) -> Finds:
    """Find the regions above a threshold; pixels that touch in a corner belong together.

    Args:
        score: (H, W), NaN where there is none.
        threshold: Scores above it are marked.
        min_area_px: Leave out regions of fewer pixels, from the mask too.
    """
    known = np.isfinite(score)
    above = (np.where(known, score, -np.inf) > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    kept = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= min_area_px]
    mask = np.where(known, np.isin(labels, kept), 255).astype(np.uint8)
    boxes, highest, mean, peaks = [], [], [], []
    for k in kept:
        x, y, w, h, _area = (int(v) for v in stats[k])
        values = np.where(labels[y : y + h, x : x + w] == k, score[y : y + h, x : x + w], -np.inf)
        top = int(values.argmax())
        boxes.append((x, y, x + w, y + h))
        highest.append(values.flat[top])
        mean.append(values[np.isfinite(values)].mean())
        peaks.append((y + top // w, x + top % w))
    order = np.argsort(-np.array(highest, np.float64), kind="stable")
    return Finds(
        float(threshold), mask, np.array(boxes, np.float32).reshape(-1, 4)[order], np.array(highest, np.float64)[order],
        np.array(mean, np.float64)[order], stats[kept, cv2.CC_STAT_AREA][order].astype(np.int64),
        np.array(peaks, np.int64).reshape(-1, 2)[order],
    )  # fmt: skip


def normalised(score: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of a map of scores, brought to [0, 1] by its extremes."""
    low, high = float(np.nanmin(score)), float(np.nanmax(score))
    return ((values - low) / ((high - low) or 1.0)).astype(np.float32)


def columns_of(found: Finds, georef: Georef | None) -> dict[str, np.ndarray]:
    """What files say of each find, (N,) values by name; with its place on map and Earth where it has one."""
    columns = {
        "find": np.arange(1, len(found) + 1), "highest": found.highest, "mean": found.mean, "pixels": found.pixels,
        **dict(zip(("x1", "y1", "x2", "y2"), found.boxes_xyxy.astype(np.int64).T, strict=True)),
        "peak_x": found.peaks_yx[:, 1], "peak_y": found.peaks_yx[:, 0],
    }  # fmt: skip
    if georef is None or not georef.placed:
        return columns
    middles = found.peaks_yx[:, ::-1] + 0.5
    columns |= dict(zip(("map_x", "map_y"), georef.to_map(middles).T, strict=True))
    with suppress(DataError, MissingDependencyError):  # of another body; without pyproj
        columns |= dict(zip(("lon", "lat"), georef.to_lonlat(middles).T, strict=True))
    return columns


def write_finds(path: Path, found: Finds, georef: Georef | None) -> Path:
    """Write a table: a row a find; see :func:`columns_of`."""
    columns = columns_of(found, georef)
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return write_csv(path, list(columns), (dict(zip(columns, row, strict=True)) for row in rows))


def write_shapes(folder: Path, stem: str, found: Finds, georef: Georef | None) -> list[Path]:
    """Write the boxes as layers of a map: GeoPackage, GeoJSON and a style; nothing of a cube without a place."""
    if georef is None or not georef.placed:
        return []
    try:
        check_packages()
    except MissingDependencyError as e:
        say(f"{stem}: its finds are in the table alone, not in layers of a map: {e}", logging.WARNING)
        return []
    import shapely

    columns = {**columns_of(found, georef), "class": np.full(len(found), NAMES[0], object)}
    boxes = shapely.to_wkb(shapely.box(*found.boxes_xyxy.astype(np.float64).T))
    del columns["find"]  # the number of the shape
    return write_polygons(folder, stem, PolygonTable(boxes, columns, georef), NAMES)


def write_raster(path: Path, values: np.ndarray, georef: Georef | None, nodata: float) -> Path:
    """Write a GeoTIFF of one band, whole or not at all."""
    geo = geo_of(nodata)
    if georef is not None and georef.placed:
        from affine import Affine
        from rasterio.crs import CRS

        geo["crs"] = CRS.from_wkt(georef.crs_wkt) if georef.crs_wkt else None
        geo["transform"] = Affine(*georef.transform)
    with replacing(path) as made, new_tiff(made, (*values.shape, 1), str(values.dtype), geo) as f:
        f.write(values, 1)
    return path


def check_finding(far: Any, threshold: Any, min_area_px: Any, spectra: Any) -> None:
    """Check what a user asks for.

    Raises:
        ConfigError: A value out of its range, or two thresholds.
    """
    numbers: Sequence[tuple[str, Any]] = (("far", far), ("threshold", threshold))
    for name, value in numbers:
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float)) or value != value):
            raise ConfigError(f"{name}={value!r} must be a number.")
    if far is not None and not 0 <= far < 1:
        raise ConfigError(f"far={far} must be a share of the pixels from 0 to below 1, such as 0.001.")
    if far is not None and threshold is not None:
        raise ConfigError(f"far={far} and threshold={threshold} are two thresholds; give one of them.")
    for name, value, least in (("min_area_px", min_area_px, 1), ("spectra", spectra, 0)):
        check_whole(name, value, least, f"a whole number of {least} or more")

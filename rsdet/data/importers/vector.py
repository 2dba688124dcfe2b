"""Rasters and polygons of a geographic information system: GeoPackage, GeoJSON or Shapefile in any CRS.

``source=`` is a scene or a folder of scenes; ``labels=`` one file of polygons for all of them or a folder with one of
each scene's name. The class stands in a column: ``class_column=``, else one called ``class``, else the only column of
text; with one name in ``names=``, all polygons may be of that class.

A polygon is its outer ring in pixels, which becomes a box, an oriented box or an outline as ``task=`` asks; holes are
filled and counted, and stay holes in masks (``task=semantic``). Polygons beside all scenes are counted, and no loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.annotations import Dataset, ImageRecord, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, shown
from rsdet.data.importers._layout import Source, finish
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.scenes.crs import transformer
from rsdet.scenes.features import read_features
from rsdet.scenes.georef import Georef
from rsdet.scenes.optional import optional
from rsdet.scenes.placement import problem_of
from rsdet.scenes.reader import open_raster
from rsdet.scenes.sources import scenes_of

_WHOLE_PX = 2**26  # a larger scene is no picture to train on
_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp")
_CLASS = "class"


@dataclass(frozen=True)
class _Features:
    """The polygons of a file.

    Attributes:
        file: The file.
        shapes: (N,) shapely geometries, or None.
        wkt: Their CRS.
        classes: (N,) names; empty where the file says none.
        numbers: (N,) by which the file knows them.
    """

    file: Path
    shapes: np.ndarray
    wkt: str
    classes: list[str]
    numbers: np.ndarray

    @classmethod
    def read(cls, file: Path, options: ImportOptions) -> _Features:
        shapes, crs, columns, numbers = read_features(file, "labels", None)
        classes = _classes(file, columns, len(shapes), options)
        return cls(file, shapes, crs.to_wkt(), classes, numbers)

    def in_pixels(self, georef: Georef) -> Iterator[tuple[int, list[np.ndarray], list[np.ndarray]]]:
        """Place in the file, outer rings and holes in pixels of each polygon that meets the scene."""
        shapely = optional("shapely")
        to_scene = transformer(self.wkt, georef.crs_wkt)  # type: ignore[arg-type]
        height, width = georef.size_hw

        def pixels(xy: np.ndarray) -> np.ndarray:
            return georef.to_pixels(np.stack(to_scene.transform(*xy.T), 1))

        for i, shape in enumerate(self.shapes):
            if shape is None or shapely.is_empty(shape) or not shape.geom_type.endswith("Polygon"):
                continue
            parts = shapely.get_parts(shape)
            rings = [pixels(shapely.get_coordinates(shapely.get_exterior_ring(p)))[:-1] for p in parts]
            every = np.concatenate(rings)
            if not np.isfinite(every).all() or (every.max(0) <= 0).any() or (every.min(0) >= [width, height]).any():
                continue
            inner = [r for p in parts for r in shapely.get_rings(p)[1:]]
            yield i, rings, [pixels(shapely.get_coordinates(r))[:-1] for r in inner]


def _classes(file: Path, columns: dict[str, np.ndarray], count: int, options: ImportOptions) -> list[str]:
    """The class of each feature.

    Raises:
        ConfigError: No column, or none that is plainly meant.
    """
    text = [name for name, values in columns.items() if values.dtype.kind == "O"]
    wanted = options.class_column or next((name for name in columns if name.lower() == _CLASS), None)
    if wanted is None and len(text) == 1:
        wanted = text[0]
    if wanted is None and options.names and len(options.names) == 1:
        return list(options.names) * count
    if wanted not in columns:
        have = printable(", ".join(columns)) or "none"
        said = f"has no column {shown(str(wanted))}" if wanted else "does not say which column holds the class"
        raise ConfigError(f"labels={file} {said} (columns: {have}); give class_column=, or one name in names=.")
    return ["" if v is None or v != v else _name(v) for v in columns[wanted]]


def _name(value: Any) -> str:
    return str(int(value)) if isinstance(value, (float, np.floating)) and value == int(value) else str(value).strip()


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read scenes and the polygons on them.

    Raises:
        ConfigError: ``labels=`` or the column of classes is missing, or the scene is too large to be one picture.
        DataError: A file cannot be read, or no polygon lies on any scene.
    """
    if not source.exists():
        raise DataError(f"source {source} does not exist; expected a scene or a folder of scenes; check the path")
    if options.labels is None:
        raise ConfigError("format=vector needs labels=, a .gpkg, .geojson or .shp of polygons, or a folder of them.")
    labels = Path(options.labels).expanduser()
    files = scenes_of(source).files
    split_of = options.splitter.divide(f.name for f in files) if options.splitter else {}
    home = Source(source if source.is_dir() else source.parent)
    classes, dataset, any_used = ClassTable(options.names), Dataset([]), False
    by_file: dict[Path | None, list[Path]] = {}
    for path in files:
        by_file.setdefault(_labels_of(path, labels), []).append(path)
    for file, scenes in by_file.items():
        features, used = None if file is None else _Features.read(file, options), set()
        for path in options.track(scenes, "reading scenes"):
            split = split_of.get(image_key(path.name)) or options.split or "train"
            record, georef = _record(path, options)
            record.has_label_file = features is not None
            dataset.splits.setdefault(split, []).append(record)
            if features is None:
                log.note(split, home.rel(path), "", f"no labels: no such file in {labels.name}, so it is background")
            else:
                used |= _place(record, features, georef, classes, options, log, split)
        if features is not None:
            _tell_unused(features, used, log)
            any_used = any_used or bool(used)
    if not any_used:
        raise DataError(f"labels={labels}: no polygon of it lies on {source}; check both CRSs, or the files.")
    classes.settle(dataset)
    return finish(dataset, home, log)


def _record(path: Path, options: ImportOptions) -> tuple[ImageRecord, Georef]:
    """A scene without its labels, and its place.

    Raises:
        ConfigError: It is too large to be one picture.
        DataError: It cannot be read, or has no place on Earth.
    """
    with open_raster(path) as raster:
        info = raster.info
    if problem := problem_of(info)[0]:
        raise DataError(problem)
    height, width = info.size_hw
    if height * width > _WHOLE_PX and not options.tiled:
        raise ConfigError(f"{path} has {width}x{height} pixels, too many for one picture; give tile=640.")
    return ImageRecord(path.name, width, height, path), Georef.of(info)


def _place(
    record: ImageRecord, features: _Features, georef: Georef, classes: ClassTable, options: ImportOptions,
    log: ImportLog, split: str,
) -> set[int]:  # fmt: skip
    """Put the polygons that meet a scene into its record; their places in the file."""
    into, found = Collector(record, log, split, features.file.name, options.difficult), set()
    for i, rings, holes in features.in_pixels(georef):
        found.add(i)
        every = np.concatenate(rings)
        name, where = features.classes[i], f"feature {features.numbers[i]}"
        if not name:
            into.drop(where, "no class: its column is empty there")
            continue
        polygons, inner = ([ring.ravel().tolist() for ring in some] for some in (rings, holes))
        box = (*every.min(0), *every.max(0))
        into.take(where, name, classes, box, polygons, holes=inner if options.maps else ())
        if holes and not options.maps and classes.find(name) is not None:
            log[split].forms["holes of a polygon filled", name] += len(holes)
    into.close()
    return found


def _labels_of(scene: Path, labels: Path) -> Path | None:
    """The file of polygons of a scene."""
    if not labels.is_dir():
        return labels
    return next((f for s in _SUFFIXES if (f := labels / f"{scene.stem}{s}").is_file()), None)


def _tell_unused(features: _Features, used: set[int], log: ImportLog) -> None:
    """Count what is no polygon, and what lies beside all scenes."""
    kinds: Counter[str] = Counter()
    for i, shape in enumerate(features.shapes):
        if i not in used:
            polygon = shape is not None and shape.geom_type.endswith("Polygon") and not shape.is_empty
            kinds["beside all scenes" if polygon else "no polygon"] += 1
    for kind, n in kinds.items():
        log.drop("", features.file.name, "", f"{kind}: {n} features")

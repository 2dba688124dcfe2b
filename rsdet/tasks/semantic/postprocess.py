"""``rsdet postprocess``: which regions of a map other rasters of the same place speak against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsdet.errors import ConfigError, DataError
from rsdet.modes.mode import say
from rsdet.scenes.polygons import check_packages
from rsdet.tasks.semantic.gis_rules import RasterRule, landcover_rule, layover_rule, ndvi_rule, slope_rule
from rsdet.tasks.semantic.judging import Judge, Rules
from rsdet.tasks.semantic.mapped import mapped_in
from rsdet.writing import new_folder


def postprocess(
    source: str | Path,
    out: str | Path = "postprocess",
    landcover: str | Path | None = None,
    landcover_drop: Sequence[str | int] | None = None,
    landcover_table: str | None = None,
    ndvi: str | Path | None = None,
    ndvi_max: float = 0.5,
    layover: str | Path | None = None,
    layover_drop: Sequence[int] | None = None,
    slope: str | Path | None = None,
    slope_min: float = 10.0,
    min_area_m2: float = 0.0,
    fraction: float = 0.5,
    classes: Sequence[str | int] | None = None,
) -> list[Path]:
    """Judge the polygons of maps of classes by other rasters; none is removed, the reason stands in ``dropped``.

    Rules apply in this order, and the first that holds is the reason: landcover, ndvi, layover, slope, min_area. Each
    raster is brought onto the grid of the map, whatever its CRS and resolution. Where one has no data, it says nothing.
    Reasons that polygons of an earlier call have stay.

    Args:
        source: Folder of a prediction, a GeoTIFF of class numbers, or polygons (.gpkg, .geojson, .shp).
        out: Folder for polygons with all columns, and for the map of those that are kept; a new one where it exists.
        landcover: Raster of land cover codes.
        landcover_drop: Codes, or names of the table or of the file, that no region may lie on; cropland, water and
            built where it is not given.
        landcover_table: What the codes mean: ``esri`` or ``worldcover`` (ESA); for names alone.
        ndvi: Raster of NDVI.
        ndvi_max: Land of a larger NDVI speaks against a region.
        layover: Raster of layover and shadow.
        layover_drop: Its codes that mean these; all but 0 where it is not given.
        slope: Raster of slopes in degrees.
        slope_min: Land of a smaller slope speaks against a region.
        min_area_m2: Regions of fewer square metres on the ground are dropped.
        fraction: Part of a region that a raster must speak against.
        classes: Names or numbers of the classes that are judged; all where it is not given.

    Returns:
        The files.

    Raises:
        ConfigError: No rule, or values that make no sense.
        DataError: The source or a raster cannot be used.
    """
    check_packages()
    if not 0 < fraction <= 1:
        raise ConfigError(f"fraction={fraction} must be above 0 and at most 1; e.g. 0.5.")
    for key, given, of in (
        ("landcover_drop", landcover_drop, landcover),
        ("landcover_table", landcover_table, landcover),
        ("layover_drop", layover_drop, layover),
    ):
        if given is not None and of is None:
            raise ConfigError(f"{key}= needs {key.partition('_')[0]}=, the raster that it is about.")
    rasters: list[RasterRule] = []
    if landcover is not None:
        rasters.append(landcover_rule(Path(landcover), landcover_drop, landcover_table))
    if ndvi is not None:
        rasters.append(ndvi_rule(Path(ndvi), ndvi_max))
    if layover is not None:
        rasters.append(layover_rule(Path(layover), layover_drop))
    if slope is not None:
        rasters.append(slope_rule(Path(slope), slope_min))
    judge = Judge(Rules(rasters, min_area_m2, fraction, classes))
    source = Path(source).expanduser()
    if not source.exists():
        raise DataError(f"source={source} does not exist; pass the folder of a prediction, a GeoTIFF or polygons.")
    found = mapped_in(source)
    verdicts = [judge(m) for m in found]  # whatever is wrong is said before anything is written
    folder, made = new_folder(out), []
    for one, verdict in zip(found, verdicts, strict=True):
        made += verdict.write(folder, one)
        say(f"{one.stem}: {verdict.told}")
    say(f"Results saved to {folder}")
    return made

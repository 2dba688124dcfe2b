"""Ground sampling distance: metres on the ground that a pixel stands for, a fact of a data set and of its models.

``gsd:`` of a data YAML travels with the weights, so that a scene of another resolution can be brought to theirs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, DataError, MissingDependencyError

ALIKE = 1.05  # the largest is at most this many times the smallest: pictures of one resolution


def is_gsd(value: Any) -> bool:
    """Whether it is a number of metres a pixel."""
    return not isinstance(value, bool) and isinstance(value, (int, float)) and isfinite(value) and value > 0


def gsd_of(data: Mapping[str, Any], where: str = " in the data YAML") -> float | None:
    """Metres a pixel that a mapping states as ``gsd``; None where it does not.

    Args:
        data: Content of a data YAML, or arguments.
        where: What it is, for the message.

    Raises:
        ConfigError: It is no positive number.
    """
    value = data.get("gsd")
    if value is None:
        return None
    if not is_gsd(value):
        raise ConfigError(f"gsd: {value!r}{where} must be metres a pixel, a number above 0; such as gsd: 0.3.")
    return float(value)


def measured_gsd(files: Iterable[Path]) -> float | None:
    """Metres a pixel of GeoTIFFs that all have the same, within 5 %; None, and a word about it, where they differ.

    Args:
        files: Pictures of a data set; where one of them lies nowhere on Earth, it is unknown.

    Returns:
        The mean, with three digits; None where a file does not say it.
    """
    found = [file_gsd(file) for file in files]
    known = [gsd for gsd in found if gsd is not None]
    if not known:
        return None
    if len(known) < len(found):
        why = f"{len(found) - len(known)} of {len(found)} pictures do not say theirs"
    elif max(known) > ALIKE * min(known):
        why = f"the pictures have {min(known):.3g} to {max(known):.3g} m a pixel"
    else:
        return float(f"{sum(known) / len(known):.3g}")
    logging.getLogger("rsdet").warning("gsd: is left out of the data YAML: %s; gsd= sets it.", why)
    return None


def file_gsd(file: Path) -> float | None:
    """Metres a pixel in the middle of a GeoTIFF; None for any other file, or one without a known place.

    Needs the packages rasterio and pyproj; without them nothing is known.
    """
    from rsdet.data.geotiff import has_geo_tags

    if file.suffix.lower() not in (".tif", ".tiff") or not has_geo_tags(file):
        return None
    from rsdet.scenes.georef import Georef
    from rsdet.scenes.reader import open_raster

    try:
        with open_raster(file) as raster:
            gsd = Georef.of(raster.info).gsd_m()
    except (DataError, MissingDependencyError):
        return None
    return gsd if is_gsd(gsd) else None

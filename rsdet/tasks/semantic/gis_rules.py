"""Rules by which other rasters of a place tell which regions of a map cannot be what they were taken for.

Order and defaults: section 4.8 of Hybrid-SegUFormer (Remote Sens. 2025, 17, 3514): land cover, NDVI, layover and
shadow, slope; the least area last. The paper states no slope; 10 degrees are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsdet.errors import ConfigError, DataError, nearest
from rsdet.scenes.georef import Georef
from rsdet.scenes.warped import OnGrid, names_of, opened

DISTURBED = ("cropland", "water", "built")
TABLES: dict[str, dict[int, str]] = {
    "esri": {1: "water", 2: "trees", 4: "flooded vegetation", 5: "cropland", 7: "built", 8: "bare", 9: "snow",
             10: "clouds", 11: "rangeland"},
    "worldcover": {10: "trees", 20: "shrubland", 30: "grassland", 40: "cropland", 50: "built", 60: "bare", 70: "snow",
                   80: "water", 90: "wetland", 95: "mangroves", 100: "moss"},
}  # fmt: skip
"""Codes of the land cover of Esri (Sentinel-2, 10 m) and of ESA WorldCover (10 m), in names of our own."""


@dataclass(frozen=True)
class RasterRule:
    """A reason to drop a region, and the raster that tells.

    Attributes:
        name: The reason, and the key of the raster.
        path: The raster.
        drops: (h, w) values to (h, w) bool.
        codes: Its values are codes, not numbers to interpolate.
        limits: Between which its values lie.
        unit: What the values are, for messages.
        sparse: The raster may have data only where it drops.
    """

    name: str
    path: Path
    drops: Callable[[np.ndarray], np.ndarray]
    codes: bool
    limits: tuple[float, float] = (-np.inf, np.inf)
    unit: str = ""
    sparse: bool = False

    def on(self, georef: Georef) -> OnGrid:
        """The raster on a grid."""
        return OnGrid(self.name, self.path, georef, self.codes)

    def answer(self, values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the rule drops, and where that is known.

        Raises:
            DataError: Values that cannot be what they are said to be.
        """
        low, high = self.limits
        wrong = values[known & ((values < low) | (values > high))]
        if wrong.size:
            value = wrong[np.argmax(np.abs(wrong))]
            raise DataError(
                f"{self.name}={self.path} holds {value:g}, and {self.unit} go from {low:.0f} to {high:.0f}; if that "
                f"means no data, say so with rio edit-info --nodata {value:g}, else give the band its scale."
            )
        return known & self.drops(values), known


def landcover_rule(path: Path, drop: Sequence[str | int] | None, table: str | None) -> RasterRule:
    """The rule of land cover.

    Args:
        path: Raster of codes.
        drop: Codes, or names of the table.
        table: One of :data:`TABLES`; None where the file names its codes, or they are given as numbers.

    Raises:
        ConfigError: An unknown table or name, or nothing that says what the codes mean.
        DataError: The file cannot be read.
    """
    if table is not None and table not in TABLES:
        raise ConfigError(f"landcover_table={table} must be one of {', '.join(TABLES)}.{nearest(table, TABLES)}")
    wanted = DISTURBED if drop is None else drop
    names = TABLES[table] if table else _names_in(path)
    numbers = {name: code for code, name in names.items()}
    if not names and not all(isinstance(w, int) for w in wanted):
        raise ConfigError(
            f"landcover={path} does not say what its codes mean; give landcover_table= ({', '.join(TABLES)}), or codes "
            "as in landcover_drop=40,50,80."
        )
    for word in wanted:
        if not isinstance(word, int) and word not in numbers:
            known = ", ".join(f"{name} ({code})" for code, name in names.items())
            raise ConfigError(
                f"landcover_drop: no class is called {word!r}; there are {known}.{nearest(word, numbers)}"
            )
    codes = [w if isinstance(w, int) else numbers[w] for w in wanted]
    return RasterRule("landcover", path, lambda values: np.isin(values, codes), True)


def _names_in(path: Path) -> Mapping[int, str]:
    with opened("landcover", path) as file:
        return names_of(file)


def ndvi_rule(path: Path, most: float) -> RasterRule:
    """Green land: an NDVI above ``most``."""
    if not -1 <= most <= 1:
        raise ConfigError(f"ndvi_max={most} must lie in -1 to 1; e.g. 0.5.")
    return RasterRule("ndvi", path, lambda values: values > most, False, (-1.05, 1.05), "values of NDVI")


def layover_rule(path: Path, drop: Sequence[int] | None) -> RasterRule:
    """Layover and shadow: these codes, or any but 0."""
    how = (lambda values: values != 0) if drop is None else (lambda values: np.isin(values, drop))
    return RasterRule("layover", path, how, True, sparse=True)


def slope_rule(path: Path, least: float) -> RasterRule:
    """Level ground: less than so many degrees."""
    if not 0 < least < 90:
        raise ConfigError(f"slope_min={least} must be degrees between 0 and 90; e.g. 10.")
    return RasterRule("slope", path, lambda values: values < least, False, (-0.01, 90.01), "degrees of slope")

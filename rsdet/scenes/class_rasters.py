"""GeoTIFFs of the classes of a raster, of the confidence in each, and of the probabilities of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from rsdet.data.geotiff import BLOCK_PX, new_tiff
from rsdet.scenes.dense import Form
from rsdet.scenes.parts import Parts
from rsdet.writing import replacing

CLASSES, CONFIDENCE, PROBABILITIES = "classes", "confidence", "probabilities"  # folders
PERCENT = 100


def write_class_rasters(
    parts: Parts,
    size_hw: tuple[int, int],
    form: Form,
    out: Path,
    names: Mapping[int, str],
    colours: Mapping[int, tuple[int, ...]],
    bands: Sequence[str] = (),
) -> None:
    """Copy all parts into the files, block by block, and put them in place; that of the classes last.

    Args:
        parts: Of each pixel class, percent and, where there are more bands, probabilities.
        size_hw: Height and width in pixels.
        form: That of the parts; its ``geo`` says where the files lie.
        out: File of the classes; the others lie in folders beside its own.
        names: Class number to name.
        colours: Class number to RGB or RGBA.
        bands: Names of the bands of probabilities.
    """
    kinds = {CLASSES: (1, "uint8", form.geo), CONFIDENCE: (1, "uint8", form.geo)}
    if form.bands > 2:
        kinds[PROBABILITIES] = (form.bands - 2, "float32", {**form.geo, "nodata": float("nan")})
    with ExitStack() as stack:
        made = {}
        for name, (count, dtype, geo) in kinds.items():
            place = stack.enter_context(replacing(out.parent.parent / name / out.name))
            made[name] = stack.enter_context(new_tiff(place, (*size_hw, count), dtype, geo))
        made[CLASSES].write_colormap(1, dict(colours))
        made[CLASSES].update_tags(**{f"class_{k}": name for k, name in names.items()})
        made[CONFIDENCE].units = ("percent",)
        for k, name in enumerate(bands if PROBABILITIES in made else (), 1):
            made[PROBABILITIES].set_band_description(k, name)
        for top, samples, valid in parts.rows(BLOCK_PX):
            window = (top, top + len(samples)), (0, size_hw[1])
            for band, name in enumerate((CLASSES, CONFIDENCE)):
                made[name].write(samples[..., band].astype(np.uint8), 1, window=window)
            if form.bands > 2:
                probs = np.where(valid[..., None], samples[..., 2:], np.nan).astype(np.float32)
                made[PROBABILITIES].write(probs.transpose(2, 0, 1), window=window)

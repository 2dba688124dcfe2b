"""A raster through a function of NumPy that looks around, in a process that may be killed: no PyTorch."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from affine import Affine

from rsdet.data.geotiff import geo_of
from rsdet.scenes.dense import Form, write_dense
from rsdet.scenes.reader import open_raster

PLACE = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5000000)}


def blur(x: np.ndarray) -> np.ndarray:
    """A function that looks around: mean of 5 pixels along each axis."""
    padded = np.pad(x, ((2, 2), (2, 2), (0, 0)), mode="edge")
    rows = sum(padded[i : i + x.shape[0]] for i in range(5))
    return sum(rows[:, i : i + x.shape[1]] for i in range(5)) / np.float32(25)


def blurred(path: Path, out: Path, tile: int = 48, pause: float = 0.0, **facts: object) -> Path:
    """A blurred raster, by :func:`write_dense`."""

    def slow(x):
        time.sleep(pause)
        return blur(x)

    with open_raster(path) as raster:

        def encode(band, top):
            return np.rint(band * 255).astype(np.uint8), None

        def read(window):
            return raster.read(window)[0].astype(np.float32) / 255

        form = Form(3, "uint8", {**geo_of(), **PLACE})
        return write_dense(
            slow, read, encode, raster.info.size_hw, out, form, tile=tile, overlap=16, facts=facts or {"of": "a test"}
        )

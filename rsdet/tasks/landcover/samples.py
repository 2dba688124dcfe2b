"""Patches that prove and time an export."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ConfigError, RSDetError
from rsdet.tasks.landcover.data import read_land_data
from rsdet.tasks.landcover.model import LandCoverModel
from rsdet.tasks.landcover.patches import padded, patches_at

COUNT = 32  # pixels, spread over all that are labelled


def samples_of(model: Any, images: Sequence[Any] | None) -> list[np.ndarray]:
    """Patches (bands + rasters, p, p) float32 of raw numbers.

    Args:
        model: Loaded wrapper.
        images: Patches of the user, arrays; None for pixels of the data of the training where these are on this disk,
            else numbers drawn around the means of the training.

    Raises:
        ConfigError: Arrays of another shape.
    """
    network = model.model.network
    shape = (network.channels, network.patch, network.patch)
    if images is not None and len(images):
        given = [np.asarray(x, np.float32) for x in images if not isinstance(x, (str, Path))]
        if len(given) < len(images) or any(x.shape != shape for x in given):
            raise ConfigError(f"images= must be arrays of {shape}, patches of raw numbers; or leave it out.")
        return given
    args = (model.ckpt or {}).get("train_args") or getattr(model.model, "args", None) or {}
    data = args.get("data") if isinstance(args, dict) else None
    if data and Path(str(data)).is_file():
        with suppress(RSDetError):  # data that have gone or changed since
            return _of_data(model.model, data)
    rng = np.random.default_rng(0)
    parts = [network.reduction, *([network.scaling] if network.scaling is not None else [])]
    low = np.concatenate([p.low.cpu().numpy() for p in parts])
    factor = np.concatenate([p.factor.cpu().numpy() for p in parts])
    span = np.divide(1.0, factor, out=np.zeros_like(factor), where=factor > 0)
    drawn = rng.random((COUNT, *shape)) * rng.random((COUNT, 1, 1, 1))
    return list((low[:, None, None] + span[:, None, None] * drawn).astype(np.float32))


def _of_data(model: LandCoverModel, data: Any) -> list[np.ndarray]:
    network = model.network
    land = read_land_data(
        data, lidar=network.rasters > 0, patch=network.patch, stored=model.scene
    )  # fmt: skip
    rows, cols = np.nonzero(land.test)
    some = np.linspace(0, len(rows) - 1, min(COUNT, len(rows))).astype(int)
    values = padded(land.values, network.patch, network.fill.cpu().numpy())
    return list(patches_at(values, network.patch, rows[some], cols[some]))

"""``rsdet predict`` of an exported model of oriented boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.scenes.predictor import TilePredictor
from rsdet.tasks.detect.runtime.cli import predict_with, tiles_with
from rsdet.tasks.obb.runtime.detector import OrientedDetector


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Find oriented boxes in images; see :func:`rsdet.runtime.light.predict`."""
    return predict_with(OrientedDetector, args)


def tiles(args: Mapping[str, Any], tile_px: int) -> TilePredictor | None:
    """The same for the tiles of a scene; see :func:`rsdet.runtime.light.tiles`."""
    return tiles_with(OrientedDetector, args, tile_px)

"""``rsdet predict`` of an exported model of instance masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.scenes.predictor import TilePredictor
from rsdet.tasks.detect.runtime.cli import flag, predict_with, tiles_with
from rsdet.tasks.segment.runtime.detector import MaskDetector


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Find objects and their masks in images; see :func:`rsdet.runtime.light.predict`."""
    return predict_with(MaskDetector, args, {"retina_masks": flag})


def tiles(args: Mapping[str, Any], tile_px: int) -> TilePredictor | None:
    """The same for the tiles of a scene; see :func:`rsdet.runtime.light.tiles`."""
    return tiles_with(MaskDetector, args, tile_px, {"retina_masks": flag})

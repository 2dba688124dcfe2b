"""``rsdet predict`` of an exported model of instance masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.tasks.detect.runtime.cli import flag, predict_with
from rsdet.tasks.segment.runtime.detector import MaskDetector


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Find objects and their masks in images; see :func:`rsdet.runtime.light.predict`."""
    return predict_with(MaskDetector, args, {"retina_masks": flag})

"""``rsdet predict`` of an exported model of oriented boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.tasks.detect.runtime.cli import predict_with
from rsdet.tasks.obb.runtime.detector import OrientedDetector


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Find oriented boxes in images; see :func:`rsdet.runtime.light.predict`."""
    return predict_with(OrientedDetector, args)

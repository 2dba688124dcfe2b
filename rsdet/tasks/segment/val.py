"""Validation of instance masks."""

from __future__ import annotations

from ultralytics.models.yolo.segment import SegmentationValidator

from rsdet.tasks.detect.val import OurVal


class SegmentVal(OurVal, SegmentationValidator):
    """Validator of instance masks."""

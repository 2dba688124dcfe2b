"""Validation of oriented boxes."""

from __future__ import annotations

from ultralytics.models.yolo.obb import OBBValidator

from rsdet.tasks.detect.val import OurVal


class OBBVal(OurVal, OBBValidator):
    """Validator of oriented boxes."""

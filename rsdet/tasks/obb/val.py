"""Validation of oriented boxes: Ultralytics' numbers, and beside them those of a named protocol in original pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ultralytics.models.yolo.obb import OBBValidator

from rsdet.geometry import corners_to_xywhr, xywhr_to_corners
from rsdet.tasks.detect.val import OurVal


class OBBVal(OurVal, OBBValidator):
    """Validator of oriented boxes."""

    def postprocess(self, *args: Any, **kwargs: Any) -> list[dict[str, torch.Tensor]]:
        """Boxes as Ultralytics' heads have them: centre, sides and angle, of which none can cross."""
        return super(OurVal, self).postprocess(*args, **kwargs)

    def true_shapes(self, labels: dict[str, Any], height: int, width: int) -> dict[str, Any]:
        """Corners as labelled; those of the smallest rectangle where an outline was."""
        corners = np.zeros((len(labels["segments"]), 4, 2))
        for row, outline in zip(corners, labels["segments"], strict=True):
            points = outline.astype(np.float64) * (width, height)
            row[:] = points if len(points) == 4 else xywhr_to_corners(corners_to_xywhr(points[None]))[0]
        return {"boxes_xyxy": None, "corners": corners}

    def found_shapes(self, pred: dict[str, Any], pbatch: dict[str, Any]) -> dict[str, Any]:
        """Corners of the boxes."""
        boxes = self.scale_preds(pred, pbatch)["bboxes"].double().cpu().numpy()
        return {"boxes_xyxy": None, "corners": xywhr_to_corners(boxes)}

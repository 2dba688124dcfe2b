"""Validation of oriented boxes: Ultralytics' numbers, and beside them those of a named protocol in original pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.models.yolo.obb import OBBValidator

from rsdet.data.difficult import difficult_flags
from rsdet.geometry import corners_to_xywhr, xywhr_to_corners
from rsdet.tasks.detect.val import OurVal, ignore_file


class OBBVal(OurVal, OBBValidator):
    """Validator of oriented boxes."""

    shape = "corners"

    def postprocess(self, *args: Any, **kwargs: Any) -> list[dict[str, torch.Tensor]]:
        """Boxes as Ultralytics' heads have them: centre, sides and angle, of which none can cross."""
        return super(OurVal, self).postprocess(*args, **kwargs)

    def true_shapes(self, labels: dict[str, Any], height: int, width: int) -> dict[str, Any]:
        """Corners as labelled, or those of the smallest rectangle where an outline was; and which are difficult."""
        corners = np.zeros((len(labels["segments"]), 4, 2))
        for row, outline in zip(corners, labels["segments"], strict=True):
            points = outline.astype(np.float64) * (width, height)
            row[:] = points if len(points) == 4 else xywhr_to_corners(corners_to_xywhr(points[None]))[0]
        folder = self.data.get("difficult")
        file = ignore_file(Path(labels["im_file"]), folder) if folder else None
        places = [outline.reshape(-1) for outline in labels["segments"]]
        hard = difficult_flags(file, labels["cls"].reshape(-1), places)
        return {"boxes_xyxy": None, "corners": corners, "crowd": hard}

    def found_shapes(self, pred: dict[str, Any], pbatch: dict[str, Any]) -> dict[str, Any]:
        """Corners of the boxes."""
        boxes = self.scale_preds(pred, pbatch)["bboxes"].double().cpu().numpy()
        return {"boxes_xyxy": None, "corners": xywhr_to_corners(boxes)}

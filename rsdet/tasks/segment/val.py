"""Validation of masks: Ultralytics' numbers, and beside them those of a named protocol in original pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ultralytics.models.yolo.segment import SegmentationValidator
from ultralytics.utils import ops

from rsdet.metrics.masks import to_rle
from rsdet.tasks.detect.val import OurVal

_FINE = "prototypes"  # key of what the masks of one image are made from


class SegmentVal(OurVal, SegmentationValidator):
    """Validator of boxes and masks.

    Ultralytics counts by masks of a quarter of the network's size. The protocols get them drawn in original pixels,
    from the same prototypes.
    """

    shape = "masks"

    def postprocess(self, preds: Any) -> list[dict[str, Any]]:
        """Boxes and masks, and where a protocol is to follow what finer masks are drawn from."""
        kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        stock = self.process

        def keep(protos: torch.Tensor, coefficients: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            kept.append((protos, coefficients))
            return stock(protos, coefficients, *args, **kwargs)

        self.process = keep
        try:
            done = super().postprocess(preds)
        finally:
            self.process = stock
        if not self.training:
            for pred, fine in zip(done, kept, strict=True):
                pred[_FINE] = fine
        return done

    def true_shapes(self, labels: dict[str, Any], height: int, width: int) -> dict[str, Any]:
        """Boxes and outlines as labelled."""
        outlines = [[s.astype(np.float64) * (width, height)] for s in labels["segments"]]
        boxes = super().true_shapes(labels, height, width)["boxes_xyxy"]
        return {"boxes_xyxy": boxes, "masks": outlines}

    def found_shapes(self, pred: dict[str, Any], pbatch: dict[str, Any]) -> dict[str, Any]:
        """Boxes, and masks in the size of the image."""
        protos, coefficients = pred.pop(_FINE)  # nobody else knows the key
        size, pad = tuple(map(int, pbatch["ori_shape"])), pbatch["ratio_pad"]
        boxes = ops.scale_boxes(pbatch["imgsz"], pred["bboxes"].clone(), size, ratio_pad=pad)
        masks = ops.process_mask_native(protos, coefficients, boxes, size)
        return {"boxes_xyxy": boxes.double().cpu().numpy(), "masks": to_rle(masks.cpu().numpy(), size)}

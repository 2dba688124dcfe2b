"""Settings of an export that only networks of instance masks have; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsdet.tasks.detect.options import DetectExport


@dataclass(frozen=True, kw_only=True)
class SegmentExport(DetectExport):
    """Settings of the export of a network of instance masks; the others are those of detectors.

    Args:
        protocol: How AP of masks is counted with ``data``: ``"coco"`` or ``"ultralytics"``.
        mask_iou: Smallest accepted overlap of two masks of an object; 0.95, or 0.9 with ``half``. Up to four pixels may
            differ in any case.
    """

    remedy: ClassVar[str] = "accept more with box_tol_px=, score_tol= and mask_iou="

    mask_iou: float | None = None

    def overlap(self, half: bool) -> float:
        """Smallest accepted overlap of two masks of an object."""
        if self.mask_iou is not None:
            return self.mask_iou
        return 0.9 if half else 0.95

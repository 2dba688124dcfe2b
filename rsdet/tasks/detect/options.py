"""Settings of an export that only detectors have; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsdet.tasks.task import NoOptions


@dataclass(frozen=True, kw_only=True)
class DetectExport(NoOptions):
    """Settings of the export of a detector.

    Args:
        nms: True puts the suppression of a YOLO head into the graph, with ``conf``, ``iou`` and ``max_det``; False
            takes the NMS-free head of a network that has one.
        protocol: How AP is counted with ``data``: ``"coco"``, ``"aitod"``, ``"visdrone"`` or ``"ultralytics"``.
        conf: Score threshold that predictions with the artifact use by default; 0.25 when None.
        iou: Overlap that they suppress above; 0.7 when None.
        max_det: Most boxes per image that they give; 300 when None, or as many as the model has queries.
        parity_conf: Score threshold of the comparison; lowered by itself for a model that finds nothing above it.
        box_tol_px: Largest accepted box difference in original pixels; 0.5, or 2 with ``half``.
        score_tol: Largest accepted score difference; 0.005, or 0.02 with ``half``.
    """

    remedy: ClassVar[str] = "accept more with box_tol_px= and score_tol="

    nms: bool | None = None
    protocol: str = "coco"
    conf: float | None = None
    iou: float | None = None
    max_det: int | None = None
    parity_conf: float = 0.05
    box_tol_px: float | None = None
    score_tol: float | None = None

    def labels(self) -> tuple[str, ...]:
        """Whether suppression is in the graph, or nothing is left to suppress."""
        return {None: (), True: ("nms",), False: ("nms-free",)}[self.nms]

    def overlap(self, half: bool) -> float:
        """Smallest accepted overlap of a pair; of boxes, their distance says all."""
        return 0.0

    def tolerance(self, half: bool) -> tuple[float, float]:
        """Largest accepted differences: of a coordinate in original pixels, and of a score."""
        box, score = (2.0, 0.02) if half else (0.5, 0.005)
        return box if self.box_tol_px is None else self.box_tol_px, score if self.score_tol is None else self.score_tol

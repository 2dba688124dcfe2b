"""Measurement: each number comes with the protocol that it was measured by."""

from rsdet.metrics.detection_areas import (
    IGNORE_RULES,
    PROTOCOLS,
    Protocol,
    evaluate,
    get_protocol,
    recall_ceiling,
)
from rsdet.metrics.detection_records import (
    ImageDetections,
    ImageTruth,
    Truth,
    detections_from_coco,
    truth_from_coco,
)
from rsdet.metrics.report import ClassMetrics, DetectionMetrics

__all__ = [
    "IGNORE_RULES",
    "PROTOCOLS",
    "ClassMetrics",
    "DetectionMetrics",
    "ImageDetections",
    "ImageTruth",
    "Protocol",
    "Truth",
    "detections_from_coco",
    "evaluate",
    "get_protocol",
    "recall_ceiling",
    "truth_from_coco",
]

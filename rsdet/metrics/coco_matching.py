"""Matching and average precision of COCO by pycocotools' ``COCOeval``: greedy matching, each true object once.

``summarize`` is not used, because it looks for a cap of 100 whatever the parameters say; the precision and recall
arrays are read instead.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.metrics.detection_records import ImageDetections, ImageTruth
from rsdet.metrics.masks import pycocotools
from rsdet.metrics.voc_matching import below_curve

if TYPE_CHECKING:
    from rsdet.metrics.detection_areas import Protocol


def coco_arrays(
    pairs: list[tuple[ImageTruth, ImageDetections]], classes: list[int], rule: Protocol, max_dets: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return AP (IoU, class, area) at the largest cap and recall (IoU, class, area, cap), -1 for absent.

    Args:
        pairs: Truth and detections of each image, all with masks or none.
        classes: Class numbers.
        rule: The protocol.
        max_dets: Detection caps, ascending.

    Raises:
        MissingDependencyError: pycocotools is not installed.
    """
    coco = pycocotools("coco").COCO
    masks = any(part.shape == "masks" for pair in pairs for part in pair)

    def rows(parts: Iterable[ImageTruth | ImageDetections]) -> Any:
        table = coco()
        annotations = []
        for image, part in enumerate(parts, 1):
            wh = part.boxes_xyxy[:, 2:] - part.boxes_xyxy[:, :2]
            xywh = np.concatenate([part.boxes_xyxy[:, :2], wh], axis=1).tolist()
            true = isinstance(part, ImageTruth)
            extra, areas = (part.crowd, part.areas) if true else (part.scores, part.shape_areas())
            key = "iscrowd" if true else "score"
            columns = part.classes.tolist(), xywh, areas.tolist(), extra.tolist()
            annotations += [
                {"image_id": image, "category_id": c, "bbox": b, "area": a, key: e, "segmentation": m}
                for c, b, a, e, m in zip(*columns, part.masks or [None] * len(xywh), strict=True)
            ]
        for i, annotation in enumerate(annotations, 1):
            annotation["id"] = i  # from 1: pycocotools reads a match with id 0 as "not matched"
        table.dataset = {
            "images": [{"id": i, "height": t.size_hw[0], "width": t.size_hw[1]} for i, (t, _) in enumerate(pairs, 1)],
            "categories": [{"id": c} for c in classes],
            "annotations": annotations,
        }
        table.createIndex()
        return table

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        run = pycocotools("cocoeval").COCOeval(
            rows(t for t, _ in pairs), rows(d for _, d in pairs), "segm" if masks else "bbox"
        )
        run.params.maxDets = list(max_dets)
        run.params.iouThrs = np.asarray(rule.iou_thresholds, dtype=np.float64)
        run.params.areaRngLbl = rule.area_labels
        run.params.areaRng = [list(rule.areas[a]) for a in run.params.areaRngLbl]
        run.params.recThrs = np.linspace(0, 1, rule.recall_points or 2)
        run.evaluate()
        run.accumulate()
    ap = run.eval["precision"][..., -1].mean(axis=1) if rule.recall_points else _whole_curve(run)
    return ap, run.eval["recall"]


def _whole_curve(run: Any) -> np.ndarray:
    """Return AP (IoU, class, area) as the area below the envelope of each precision-recall curve, -1 for absent."""
    p = run.params
    ap = np.full((len(p.iouThrs), len(p.catIds), len(p.areaRng)), -1.0)
    images = iter(run.evalImgs)  # by class, area, image
    for k, a in np.ndindex(ap.shape[1:]):
        block = [e for e in (next(images) for _ in p.imgIds) if e is not None]
        if not (n := sum(int((e["gtIgnore"] == 0).sum()) for e in block)):
            continue
        order = np.argsort(-np.concatenate([e["dtScores"] for e in block]), kind="stable")
        hits, left_out = (
            np.concatenate([e[key] for e in block], axis=1)[:, order] for key in ("dtMatches", "dtIgnore")
        )
        for t, counted in enumerate(left_out == 0):
            ap[t, k, a] = below_curve(hits[t, counted] > 0, n)
    return ap

"""Make the fixed scene of the metric tests and the reference numbers, with pycocotools alone (no rsdet code).

Run from anywhere: ``python tests/data/metrics/make.py``. Writes truth.json and detections.json (COCO layout: 30 images,
3 classes, boxes from 3 to 300 px, crowds, images without boxes or detections, one image with 300 detections),
reference_coco.json (the 12 numbers of pycocotools' own ``summarize``) and reference_aitod.json (``params`` set to
AI-TOD's ranges and caps, means taken over its arrays).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

HERE = Path(__file__).parent
SIZE = 800


def scene(rng: np.random.Generator) -> tuple[dict, list[dict]]:
    annotations: list[dict] = []
    detections: list[dict] = []
    for image in range(1, 31):
        n = 0 if image in (7, 19) else int(rng.integers(1, 16)) if image != 12 else 160
        for _ in range(n):
            category = int(rng.choice([1, 2, 5], p=[0.6, 0.3, 0.1]))
            # Log-uniform sides: as many boxes between 3 and 9 px as between 90 and 270 px.
            w, h = np.exp(rng.uniform(np.log(3), np.log(300 if n < 100 else 30), 2)).round(2).tolist()
            x, y = (rng.uniform(0, SIZE - side) for side in (w, h))
            x, y = round(float(x), 2), round(float(y), 2)
            crowd = int(rng.random() < 0.04)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": crowd,
                }
            )
            if image == 23 or rng.random() > 0.85:
                continue  # a missed box; image 23 has no detections at all
            jitter = rng.normal(0, rng.choice([0.02, 0.08, 0.2]), 4) * [w, h, w, h]
            bx, by, bw, bh = np.array([x, y, w, h]) + jitter
            found = category if rng.random() < 0.92 else int(rng.choice([1, 2, 5]))
            detections.append(row(image, found, (bx, by, max(bw, 1.0), max(bh, 1.0)), rng.beta(4, 2)))
        for _ in range(0 if image == 23 else 140 if image == 12 else int(rng.integers(0, 9))):
            w, h = np.exp(rng.uniform(np.log(3), np.log(200), 2))
            box = (rng.uniform(0, SIZE - w), rng.uniform(0, SIZE - h), w, h)
            detections.append(row(image, int(rng.choice([1, 2, 5])), box, rng.beta(2, 4)))
    truth = {
        "images": [{"id": i, "width": SIZE, "height": SIZE} for i in range(1, 31)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}, {"id": 5, "name": "ship"}],
        "annotations": annotations,
    }
    return truth, detections


def row(image: int, category: int, box: tuple, score: float) -> dict:
    return {
        "image_id": image,
        "category_id": category,
        "bbox": [round(float(v), 2) for v in box],
        "score": round(float(score), 3),
    }


def mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def main() -> None:
    truth, detections = scene(np.random.default_rng(20261121))
    (HERE / "truth.json").write_text(json.dumps(truth) + "\n")
    (HERE / "detections.json").write_text(json.dumps(detections) + "\n")

    gt = COCO(HERE / "truth.json")
    dt = gt.loadRes(json.loads((HERE / "detections.json").read_text()))

    run = COCOeval(gt, dt, "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    areas = ["small", "medium", "large"]
    names = ["ap", "ap50", "ap75", *(f"ap_{a}" for a in areas), "ar_1", "ar_10", "ar_100", *(f"ar_{a}" for a in areas)]
    coco = dict(zip(names, run.stats.tolist(), strict=True))
    (HERE / "reference_coco.json").write_text(json.dumps(coco, indent=1) + "\n")

    run = COCOeval(gt, dt, "bbox")
    run.params.maxDets = [1, 100, 1500]
    run.params.areaRng = [[0, 1e5**2], [0, 8**2], [8**2, 16**2], [16**2, 32**2], [32**2, 1e5**2]]
    run.params.areaRngLbl = ["all", "vt", "t", "s", "m"]
    run.evaluate()
    run.accumulate()
    precision, recall = run.eval["precision"], run.eval["recall"]
    aitod = {
        "ap": mean(precision[..., 0, 2]),
        "ap50": mean(precision[0, ..., 0, 2]),
        "ap75": mean(precision[5, ..., 0, 2]),
    }
    for i, label in enumerate(run.params.areaRngLbl):
        aitod[f"ap_{label}"] = mean(precision[..., i, 2])
        aitod[f"ar_{label}"] = mean(recall[..., i, 2])
    for m, cap in enumerate(run.params.maxDets):
        aitod[f"ar_{cap}"] = mean(recall[:, :, 0, m])
    for k, category in enumerate([1, 2, 5]):
        aitod[f"class_{category}"] = mean(precision[:, :, k, 0, 2])
    (HERE / "reference_aitod.json").write_text(json.dumps(aitod, indent=1) + "\n")


if __name__ == "__main__":
    main()

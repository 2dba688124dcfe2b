"""Make the fixed scene of the metric tests and the reference numbers, with pycocotools alone (no rsdet code).

Run from anywhere: ``python tests/data/metrics/make.py``. Writes truth.json and detections.json (COCO layout: 30 images,
3 classes, boxes from 3 to 300 px, crowds, images without boxes or detections, one image with 300 detections),
reference_coco.json (the 12 numbers of pycocotools' own ``summarize``) and reference_aitod.json (``params`` set to
AI-TOD's ranges and caps, means taken over its arrays). edges_truth.json and edges_detections.json hold sizes at the
limits of the area ranges, and annotated areas (of a mask, say) that are not those of the boxes; see make_aitod.py.
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


def edges(rng: np.random.Generator) -> tuple[dict, list[dict]]:
    """Boxes of exactly 8², 16², 32² and 96² px, of other shapes too, and areas that say otherwise than the box."""
    shapes = [(8, 8), (4, 16), (16, 16), (8, 32), (32, 32), (64, 16), (96, 96), (7, 9), (33, 31)]
    annotations: list[dict] = []
    detections: list[dict] = []
    for image in range(1, 17):
        for cell in rng.permutation(36)[: int(rng.integers(3, 12))]:
            w, h = shapes[int(rng.integers(len(shapes)))]
            x, y = (100 * int(c) + int(rng.integers(4)) for c in divmod(int(cell), 6))
            x, y = (x + 0.37, y + 0.11) if rng.random() < 0.5 else (x, y)
            area = w * h if rng.random() < 0.6 else float(rng.choice([64, 256, 1024, 9216, round(0.7 * w * h, 1)]))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(rng.integers(1, 3)),
                    "bbox": [x, y, w, h],
                    "area": area,
                    "iscrowd": int(rng.random() < 0.05),
                }
            )
            if rng.random() < 0.8:
                dx, dy = rng.integers(-1, 2, 2).tolist()
                w, h = shapes[int(rng.integers(len(shapes)))] if rng.random() < 0.15 else (w, h)
                detections.append(row(image, annotations[-1]["category_id"], (x + dx, y + dy, w, h), rng.random()))
        for _ in range(int(rng.integers(0, 5))):
            w, h = shapes[int(rng.integers(len(shapes)))]
            x, y = rng.uniform(0, 500, 2)
            detections.append(row(image, int(rng.integers(1, 3)), (x, y, w, h), rng.random()))
    truth = {
        "images": [{"id": i, "width": 600, "height": 600} for i in range(1, 17)],
        "categories": [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}],
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

    truth, detections = edges(np.random.default_rng(20261129))
    (HERE / "edges_truth.json").write_text(json.dumps(truth) + "\n")
    (HERE / "edges_detections.json").write_text(json.dumps(detections) + "\n")

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

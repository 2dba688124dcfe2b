"""Upright or oriented boxes on thermal frames of a drone: two networks of equal cost, each measured by both protocols.

HIT-UAV has both kinds of boxes for the same objects. YOLO11n learns the upright ones, YOLO11n-OBB the oriented ones,
from random weights and with one schedule, three seeds each. Each is then measured by the protocol of its own kind and
by that of the other: an upright box is an oriented one without a turn, and of an oriented box the hull is taken.

    python benchmarks/hit_uav_oriented.py --source HIT-UAV --prepare
    python benchmarks/hit_uav_oriented.py --train obb --seeds 0 1 2      # and detect; goes on where it was stopped
    python benchmarks/hit_uav_oriented.py --gather
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import cv2
import numpy as np
import torch

from rsdet import RSDet, __version__
from rsdet.data.convert import convert
from rsdet.deploy.hardware import describe
from rsdet.geometry import hulls
from rsdet.metrics.detection_areas import evaluate
from rsdet.metrics.detection_records import ImageDetections, ImageTruth
from rsdet.tasks.detect.val import YOLOVal
from rsdet.tasks.obb.val import OBBVal
from rsdet.writing import write_picture, write_text

MODELS = {"detect": "yolo11n.yaml", "obb": "yolo11n-obb.yaml"}
SCHEDULE = {"imgsz": 416, "batch": 8, "epochs": 18, "close_mosaic": 4, "cache": "ram", "plots": False}
SHOWN = 4  # frames drawn
SHOWN_CONF = 0.15  # score above which: these networks are sure of little
RESULTS = Path(__file__).parent / "results"


def weights(work: Path, task: str, seed: int) -> Path:
    return work / "runs" / task / f"hit-{task}-s{seed}" / "weights"


def train(work: Path, task: str, seed: int, device: str) -> None:
    """Train one network, or go on with it."""
    folder = weights(work, task, seed)
    if (folder / "last.pt").is_file():
        try:
            RSDet(folder / "last.pt").train(resume=True)
        except Exception as e:  # it is finished
            print(e)
        return
    RSDet(MODELS[task]).train(
        data=work / f"hit-{task}" / f"hit-{task}.yaml", seed=seed, device=device, workers=0, exist_ok=True,
        project=work / "runs" / task, name=f"hit-{task}-s{seed}", **SCHEDULE,
    )  # fmt: skip


def found(work: Path, task: str, seed: int) -> tuple[list[ImageTruth], list[ImageDetections]]:
    """Truth and detections of the validation frames, in pixels."""
    kept = []
    base = {"detect": YOLOVal, "obb": OBBVal}[task]

    class Keeping(base):
        def finalize_metrics(self) -> None:
            super().finalize_metrics()
            kept.append((self.truth, self.detections))

    data = work / f"hit-{task}" / f"hit-{task}.yaml"
    model = RSDet(weights(work, task, seed) / "best.pt")
    model.val(validator=Keeping, data=data, imgsz=SCHEDULE["imgsz"], workers=0, plots=False, verbose=False,
              project=work / "val", name=f"{task}-{seed}", exist_ok=True)  # fmt: skip
    return kept[-1]


def as_upright(d: ImageDetections) -> ImageDetections:
    """Hulls of oriented boxes."""
    boxes = d.boxes_xyxy if d.corners is None else hulls(d.corners)
    return ImageDetections(image_id=d.image_id, boxes_xyxy=boxes, scores=d.scores, classes=d.classes)


def as_oriented(d: ImageDetections) -> ImageDetections:
    """Corners of upright boxes."""
    corners = d.corners
    if corners is None:
        x1, y1, x2, y2 = d.boxes_xyxy.T
        corners = np.stack([np.stack(c, 1) for c in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))], 1)
    return ImageDetections(image_id=d.image_id, boxes_xyxy=None, corners=corners, scores=d.scores, classes=d.classes)


def draw(work: Path) -> None:
    """Truth and what both networks find, side by side, on the frames where both together find most."""
    frames = sorted((work / "hit-obb" / "images" / "val").iterdir())
    settings = {"imgsz": SCHEDULE["imgsz"], "conf": SHOWN_CONF, "verbose": False}
    found = {task: RSDet(weights(work, task, 0) / "best.pt").predict(frames, **settings) for task in MODELS}
    both = sorted(zip(frames, *found.values(), strict=True), key=lambda row: -len(row[1]) - len(row[2]))
    for n, (frame, *results) in enumerate(both[:SHOWN]):
        truth = cv2.imread(str(frame))
        h, w = truth.shape[:2]
        for line in (work / "hit-obb" / "labels" / "val" / f"{frame.stem}.txt").read_text().splitlines():
            corners = np.array([float(v) for v in line.split()[1:]]).reshape(4, 2) * (w, h)
            cv2.polylines(truth, [np.round(corners).astype(np.int32)], True, (0, 255, 255), 1, cv2.LINE_AA)
        write_picture(
            RESULTS / "hit-uav-oriented" / f"{n}.jpg", np.concatenate([truth, *(r.plot() for r in results)], 1)
        )


def gather(work: Path, seeds: list[int], command: str) -> None:
    """Measure all weights by both protocols and write the table."""
    rows = []
    for seed in seeds:
        kept = {task: found(work, task, seed) for task in MODELS}
        for task in MODELS:
            detections = kept[task][1]
            coco = evaluate(kept["detect"][0], [as_upright(d) for d in detections], protocol="coco")
            dota = evaluate(kept["obb"][0], [as_oriented(d) for d in detections], protocol="dota")
            rows.append({"task": task, "seed": seed, "coco_ap": coco.ap, "coco_ap50": coco.ap50, "dota_ap": dota.ap,
                         "dota_ap50": dota.ap50})  # fmt: skip
    cost = {
        task: RSDet(weights(work, task, 0) / "best.pt").info(verbose=False, imgsz=SCHEDULE["imgsz"]) for task in MODELS
    }
    lines = [
        "| network | parameters | GFLOPs | COCO AP, hulls | COCO AP50, hulls | DOTA AP | DOTA AP50 |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in MODELS:
        mine = [r for r in rows if r["task"] == task]
        cells = []
        for key in ("coco_ap", "coco_ap50", "dota_ap", "dota_ap50"):
            values = [100 * r[key] for r in mine]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        name = MODELS[task].removesuffix(".yaml")
        lines.append(
            f"| {name} | {cost[task]['params']:,} | {cost[task]['gflops_true']:.2f} | " + " | ".join(cells) + " |"
        )
    here = describe("cpu", torch.get_num_threads())
    schedule = ", ".join(f"{k}={v}" for k, v in SCHEDULE.items())
    text = (
        "# Upright against oriented boxes on HIT-UAV\n\n" + "\n".join(lines) + "\n\n"
        f"Mean and standard deviation over seeds {seeds}; 280 frames to train on, 60 to measure on (a tenth of the "
        f"data set: small), from random weights, {schedule}. Protocols of rsdet: coco on the owner's upright boxes, "
        "dota (rotated IoU; AP over 0.5:0.95, AP50 by 11 points as the official kit) on the owner's oriented boxes. "
        "Difficult objects count neither way in dota.\n\n"
        "Nobody would use networks of so few epochs; the table says which kind of box is found sooner, no more.\n\n"
        f"rsdet {__version__}, torch {torch.__version__}, {here['cpu_cores_usable']} cores of {here['cpu']}. Command: "
        f"`{command}`. Pictures (truth, upright, oriented; seed 0, score above {SHOWN_CONF}): `hit-uav-oriented/`.\n"
    )
    write_text(RESULTS / "hit-uav-oriented.md", text)
    write_text(RESULTS / "hit-uav-oriented.json", json.dumps({"rows": rows, "schedule": SCHEDULE}, indent=1))
    print(text)
    draw(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--work", type=Path, default=Path("hit-uav-oriented"))
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--train", choices=[*MODELS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--gather", action="store_true")
    args = parser.parse_args()
    for task in MODELS if args.prepare else ():
        print(convert(args.source, "hit-uav", args.work / f"hit-{task}", task=task).summary())
    for seed in args.seeds if args.train else ():
        train(args.work, args.train, seed, args.device)
    if args.gather:
        gather(args.work, args.seeds, "python benchmarks/hit_uav_oriented.py --gather")


if __name__ == "__main__":
    main()

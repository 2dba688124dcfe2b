"""Two small vehicle detectors for the experiments on whole scenes: one has learnt on tiles, one on whole pictures.

Same network, pictures, start and time; only how the pictures are given differs: in chips of 320 px at full resolution,
or whole, made to fit into 640 px. A sequence of aerial-cars and the validation pictures of HIT-UAV are held
back. Small on purpose: they are there to have something that finds vehicles.

    python benchmarks/scene_weights.py --data datasets --arm tiles --hours 1
    python benchmarks/scene_weights.py --data datasets --arm whole --hours 1
    python benchmarks/scene_weights.py --data datasets --compare      # each on whole pictures and on tiles

``--data`` holds the folders aerial-cars and hit-uav. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import yaml
from chips import cut, save
from scene_pictures import aerial_cars, pictures

CHIP, STEP = 320, 240  # px
SIDES = {"tiles": CHIP, "whole": 640}


def prepare(arm: str, args: argparse.Namespace) -> Path:
    """Write the data set of an arm; returns its YAML."""
    folder = args.work / f"data-{arm}"
    file = folder / "data.yaml"
    if file.is_file():
        return file
    shutil.rmtree(folder, ignore_errors=True)
    for picture in pictures(args.data):
        pixels, name = picture.read(), picture.file.stem
        if arm == "whole" or picture.split == "test":
            save(folder, picture.split, name, pixels, picture.boxes)
            continue
        for place, chip, inside in cut(pixels, picture.boxes, CHIP, STEP):
            if len(inside) or np.random.default_rng(zlib.crc32(f"{name}_{place}".encode())).random() < 0.15:
                save(folder, "train", f"{name}_{place}", chip, inside)
    spec = {"path": str(folder), "train": "images/train", "val": "images/test", "names": {0: "vehicle"}}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return file


def compare(args: argparse.Namespace) -> None:
    """Test both on the frames that were held back, whole in 640 px and in tiles at full resolution (protocol coco)."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.metrics.detection_areas import ImageDetections, ImageTruth, evaluate

    test = [p for p in aerial_cars(args.data / "aerial-cars") if p.split == "test"]
    truth = [ImageTruth(p.file.stem, p.read().shape[:2], p.boxes, np.zeros(len(p.boxes))) for p in test]
    rows: dict[str, dict[str, float]] = {}
    for arm in SIDES:
        model = RSDet(args.work / f"train-{arm}" / "weights" / "last.pt")
        keys = {"conf": 0.01, "save": False, "verbose": False, "device": args.device}
        whole, tiles = [], []
        for p in test:
            (seen,) = model.predict(p.file, imgsz=640, **keys)
            b = seen.boxes.cpu().numpy()
            whole.append(ImageDetections(p.file.stem, b.xyxy, b.conf, b.cls))
            (result,) = model.predict(p.file, tile=640, overlap=128, layers="csv", crops=0, quicklook=False,
                                      project=str(args.work / "four"), name=arm, exist_ok=True, **keys)  # fmt: skip
            f = result.found
            tiles.append(ImageDetections(p.file.stem, f.boxes_xyxy, f.scores, f.classes))
        of = {way: evaluate(truth, found) for way, found in (("whole", whole), ("tiles", tiles))}
        rows[arm] = {f"{k} {way}": float(getattr(m, k) or 0) for way, m in of.items() for k in ("ap50", "ap")}
        print(arm, rows[arm])
    columns = [f"{k}, tested on {way}" for way in ("whole pictures", "tiles") for k in ("AP50", "AP")]
    record = {"columns": columns, "rows": rows, "pictures": len(test), "objects": sum(len(p.boxes) for p in test)}
    (args.work / "four.json").write_text(json.dumps({**record, "hardware": describe(args.device)}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of aerial-cars and hit-uav")
    parser.add_argument("--arm", choices=SIDES, default="tiles")
    parser.add_argument("--compare", action="store_true", help="test what both arms have learnt")
    parser.add_argument("--model", default="yolo11n.yaml", help="YAML, or weights that both arms start from")
    parser.add_argument("--hours", type=float, default=0.9, help="the schedule is fitted into these")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/scenes"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.compare:
        compare(args)
        return
    data = prepare(args.arm, args)

    from rsdet import RSDet

    last = args.work / f"train-{args.arm}" / "weights" / "last.pt"
    if last.is_file():
        RSDet(last).train(resume=True)
        return
    RSDet(args.model).train(
        data=data, time=args.hours, imgsz=SIDES[args.arm], batch=args.batch, nbs=args.batch, recipe="none",
        device=args.device, optimizer="AdamW", lr0=2e-3, lrf=0.02, cos_lr=True, warmup_epochs=0.5, warmup_bias_lr=0.0,
        weight_decay=5e-4, mosaic=0.0, scale=0.3, translate=0.1, erasing=0.0, rot90=0.5, fliplr=0.5, flipud=0.5,
        patience=0, plots=False, val=False, workers=1, project=str(args.work), name=f"train-{args.arm}",
        exist_ok=True, seed=0, amp=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()

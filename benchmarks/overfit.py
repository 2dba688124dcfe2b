"""Does the model learn? It must be able to learn a handful of real images by heart.

Takes a few images of a converted dataset as both training and validation set, switches every augmentation off, and
trains until AP50 reaches the goal. The curve is written as CSV and PNG.

    rsdet convert source=hit-uav format=hit-uav out=hit-uav-yolo
    python benchmarks/overfit.py --data hit-uav-yolo/hit-uav.yaml --out benchmarks/results
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import tempfile
from pathlib import Path

import yaml


def choose(data: dict, n: int, match: str) -> list[Path]:
    """The first ``n`` training images, by name, whose name contains ``match``."""
    folder = Path(data["path"]) / data["train"]
    return [p for p in sorted(folder.iterdir()) if match in p.name][:n]


def subset(data_yaml: Path, n: int, match: str, out: Path) -> Path:
    """Copy a few images with their labels into a dataset whose train and val are the same."""
    data = yaml.safe_load(data_yaml.read_text())
    data["path"] = data.get("path") or str(data_yaml.parent)
    for kind in ("images", "labels"):
        (out / kind / "train").mkdir(parents=True)
    for image in choose(data, n, match):
        shutil.copy(image, out / "images" / "train")
        label = Path(str(image.parent).replace("images", "labels")) / f"{image.stem}.txt"
        shutil.copy(label, out / "labels" / "train")
    small = {"path": str(out), "train": "images/train", "val": "images/train", "names": data["names"]}
    (out / "data.yaml").write_text(yaml.safe_dump(small))
    return out / "data.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="vmc-detr.yaml")
    parser.add_argument("--scale", default="n")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--match", default="_60_", help="part of the file name; _60_ is 60 m altitude in HIT-UAV")
    parser.add_argument("--imgsz", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--goal", type=float, default=0.9)
    parser.add_argument("--lr0", type=float, default=8e-4)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()

    from rsdet import RSDet
    from rsdet.deploy.hardware import describe

    with tempfile.TemporaryDirectory() as tmp:
        data = subset(args.data, args.images, args.match, Path(tmp) / "data")
        model = RSDet(args.model, scale=args.scale)

        def stop_at_goal(trainer: object) -> None:
            if trainer.metrics.get("metrics/mAP50(B)", 0) >= args.goal + 0.02:
                trainer.stop = True

        model.add_callback("on_fit_epoch_end", stop_at_goal)
        still = dict.fromkeys(("hsv_h", "hsv_s", "hsv_v", "translate", "scale", "fliplr", "mosaic", "erasing"), 0.0)
        model.train(
            data=data, epochs=args.epochs, imgsz=args.imgsz, batch=8, nbs=8, recipe="none", optimizer="AdamW",
            lr0=args.lr0, lrf=0.1, warmup_epochs=5, warmup_bias_lr=0.0, weight_decay=1e-4, patience=args.epochs,
            plots=False, project=tmp, name="run", seed=0, auto_augment=None, **still,
        )  # fmt: skip
        metrics = model.val(data=data, imgsz=args.imgsz, protocol="coco", plots=False, project=tmp, name="val")
        with open(Path(tmp) / "run" / "results.csv") as f:
            rows = [{k.strip(): v for k, v in r.items()} for r in csv.DictReader(f)]
    args.out.mkdir(parents=True, exist_ok=True)
    columns = [
        "epoch",
        "time",
        "train/giou_loss",
        "train/cls_loss",
        "train/l1_loss",
        "metrics/mAP50(B)",
        "metrics/mAP50-95(B)",
    ]
    with open(args.out / "overfit16-curve.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    summary = {
        "what": f"{args.model} scale {args.scale}, {args.images} images of HIT-UAV learnt by heart, train = val",
        "imgsz": args.imgsz,
        "epochs": len(rows),
        "ap50_ultralytics": round(float(metrics.box.map50), 4),
        "ap_ultralytics": round(float(metrics.box.map), 4),
        "coco_protocol": metrics.protocol_metrics.to_dict(),
        "hardware": describe(),
    }
    (args.out / "overfit16.json").write_text(json.dumps(summary, indent=1, default=float))
    plot(rows, args.out / "overfit16-curve.png")
    print(f"AP50 {summary['ap50_ultralytics']} after {len(rows)} epochs; written to {args.out}")


def plot(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    epochs = [int(float(r["epoch"])) for r in rows]
    _, ax = plt.subplots(figsize=(6, 3.5))
    for key, label in (("metrics/mAP50(B)", "AP50"), ("metrics/mAP50-95(B)", "AP50:95")):
        ax.plot(epochs, [float(r[key]) for r in rows], label=label)
    ax.axhline(0.9, color="grey", lw=0.8, ls="--")
    ax.set(xlabel="epoch", ylabel="AP, protocol ultralytics", ylim=(0, 1))
    ax.set_title("16 training images learnt by heart", fontsize=10)
    ax.legend()
    plt.tight_layout()
    plt.savefig(path, dpi=110)


if __name__ == "__main__":
    main()

"""Training from scratch on real thermal drone images: VMC-DETR and RT-DETR-R18 of equal cost, side by side.

Same data, schedule, seed and input size for every model. Writes a table, the curves and the settings.

    rsdet convert source=hit-uav format=hit-uav out=hit-uav-yolo
    python benchmarks/hit_uav.py --data hit-uav-yolo/hit-uav-yolo.yaml --models vmc-detr-demo.yaml rtdetr-r18.yaml:t
    python benchmarks/hit_uav.py --data ... --models vmc-detr.yaml:l rtdetr-r18.yaml:l --imgsz 640 --device 0

One model after the other in one process; start one process per model (with --only) to use more cores.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from pathlib import Path

CURVES = ("metrics/mAP50(B)", "metrics/mAP50-95(B)")


def train(model_name: str, args: argparse.Namespace) -> dict:
    """Train and validate one model; returns a row of the table and writes its curve."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    name, _, scale = model_name.partition(":")
    label = model_name.replace(".yaml", "").replace(":", "-")
    model = RSDet(name, scale=scale or None)
    begin = time.time()
    model.train(
        data=args.data, epochs=args.epochs, imgsz=args.imgsz, batch=args.batch, nbs=args.batch, device=args.device,
        recipe="none", optimizer="AdamW", lr0=args.lr0, lrf=0.05, cos_lr=True, warmup_epochs=2, warmup_bias_lr=0.0,
        weight_decay=1e-4, mosaic=0.0, scale=0.3, translate=0.1, fliplr=0.5, flipud=0.5, erasing=0.0, hsv_h=0.0,
        hsv_s=0.0, hsv_v=0.3, patience=args.epochs, plots=False, project=str(args.work), name=label, exist_ok=True,
        seed=args.seed, amp=args.amp,
    )  # fmt: skip
    seconds = time.time() - begin
    best = RSDet(args.work / label / "weights" / "best.pt")
    metrics = best.val(
        data=args.data, imgsz=args.imgsz, batch=args.batch, device=args.device, protocol="coco", plots=False,
        project=str(args.work), name=f"{label}-val", exist_ok=True,
    )  # fmt: skip
    with open(args.work / label / "results.csv") as f:
        rows = [{k.strip(): v for k, v in r.items()} for r in csv.DictReader(f)]
    args.out.mkdir(parents=True, exist_ok=True)
    with open(args.out / f"hit-uav-{label}-curve.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    cost = best.info(verbose=False, imgsz=args.imgsz)
    coco = metrics.protocol_metrics
    row = {
        "model": label,
        "params_m": round(cost["params"] / 1e6, 3),
        "gflops_legacy": round(cost["gflops_legacy"], 3),
        "gflops_true": round(cost["gflops_true"], 3),
        "imgsz": args.imgsz,
        "epochs": args.epochs,
        "train_hours": round(seconds / 3600, 3),
        "coco_ap": coco.ap,
        "coco_ap50": coco.ap50,
        "coco_ap_by_area": coco.ap_by_area,
        "ultralytics_ap50": float(metrics.box.map50),
        "ultralytics_ap": float(metrics.box.map),
        "recall_ceiling": metrics.recall_ceiling,
        "seed": args.seed,
        "hardware": describe(args.device),
        "settings": {k: str(v) for k, v in vars(args).items() if k not in {"data", "work", "out", "only"}},
        "command": shown_command(sys.argv),
    }
    (args.out / f"hit-uav-{label}.json").write_text(json.dumps(row, indent=1))
    return row


def gather(args: argparse.Namespace) -> None:
    """Write the table and the picture of the curves from what every model has written."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    labels = [m.replace(".yaml", "").replace(":", "-") for m in args.models]
    rows = [json.loads((args.out / f"hit-uav-{label}.json").read_text()) for label in labels]
    keys = ["model", "params_m", "gflops_legacy", "imgsz", "epochs", "coco_ap", "coco_ap50"]
    lines = ["| " + " | ".join(keys) + " |", "|" + " --- |" * len(keys)]
    lines += ["| " + " | ".join(_cell(r[k]) for k in keys) + " |" for r in rows]
    (args.out / "hit-uav-table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharex=True)
    for label in labels:
        with open(args.out / f"hit-uav-{label}-curve.csv") as f:
            curve = list(csv.DictReader(f))
        for ax, key in zip(axes, CURVES, strict=True):
            ax.plot([int(float(r["epoch"])) for r in curve], [float(r[key]) for r in curve], label=label)
    for ax, key in zip(axes, ("AP50", "AP50:95"), strict=True):
        ax.set(xlabel="epoch", ylabel=f"{key} on val (protocol: ultralytics)")
        ax.legend()
    fig.suptitle("HIT-UAV subset (280 training, 60 validation images), from scratch", fontsize=10)
    fig.tight_layout()
    fig.savefig(args.out / "hit-uav-curves.png", dpi=110)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="+", default=["vmc-detr-demo.yaml", "rtdetr-r18.yaml:t"])
    parser.add_argument("--only", help="train this one of --models and stop; without it the table is made at the end")
    parser.add_argument("--gather", action="store_true", help="only make the table from what is there")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--lr0", type=float, default=8e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", default=False)
    parser.add_argument("--work", type=Path, default=Path("runs/hit-uav"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if not args.gather:
        for model in [args.only] if args.only else args.models:
            train(model, args)
    if args.gather or not args.only:
        gather(args)


if __name__ == "__main__":
    main()

"""Makes the weights vmc-detr-demo (rsdet/assets/weights) on rendered scenes only.

A detection transformer learns slowly from nothing, so there are two stages:

1. backbone and neck under a dense YOLO head, which gives every pixel a gradient;
2. the same backbone and neck under the RT-DETR decoder of the YAML, from the weights of stage 1.

    python benchmarks/train_demo_weights.py --out runs/demo-weights

About an hour and a half on 2 cores. It says nothing about accuracy on real images.
"""

from __future__ import annotations

import argparse
import csv
import re
import tempfile
from pathlib import Path

import yaml

MODEL = "vmc-detr-demo.yaml"


def dense_twin(folder: Path) -> Path:
    """The YAML of the demo model with a YOLO head in place of the transformer decoder."""
    from rsdet.modelyaml import find_model_yaml, read_yaml

    d = read_yaml(find_model_yaml(MODEL))
    d["family"] = "yolo"
    levels = d["head"][-1][0]
    d["head"][-1] = [levels, 1, "Detect", ["nc"]]
    path = folder / "dense-twin.yaml"
    path.write_text(yaml.safe_dump(d, sort_keys=False))
    return path


def ship(best: Path, target: Path) -> None:
    """Keep the weights, the YAML and the class names; leave out paths, arguments and history of the run."""
    from rsdet import RSDet

    RSDet(best).save_plain(target, half=True)
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")


def keep_curve(table: Path, card: Path) -> None:
    """Write the accuracy by epoch into the card beside the weights, in the place of what stands there under curve."""
    with table.open() as f:
        rows = [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(f)]
    epochs = [int(row["epoch"]) for row in rows]
    first = len(epochs) - 1 - epochs[::-1].index(1)  # a training in the same folder goes on in the same table
    values = [round(float(row["metrics/mAP50-95(B)"]), 5) for row in rows[first:]]
    said = (
        "curve:\n  measure: AP on the scenes held back, protocol ultralytics, of the second stage\n"
        f"  epochs: {epochs[first:]}\n  values: {values}\n"
    )
    print(said)
    if card.is_file():
        card.write_text(re.sub(r"(?m)^curve:.*\n(?: +.*\n)*", said, card.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-weights"))
    parser.add_argument("--scenes", type=int, default=1600)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--dense-epochs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--ship", type=Path, default=Path("rsdet/assets/weights/vmc-detr-demo.safetensors"))
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.out = args.out.resolve()

    from rsdet import RSDet
    from rsdet.data.demo import make_demo

    # Seed 7 and not the demo's 0: the shipped weights have never seen a scene of the demo's validation split.
    data = make_demo(args.out / "scenes", n_train=args.scenes, n_val=100, size=args.size, seed=args.seed)
    common = dict(
        data=data, imgsz=args.size, batch=8, nbs=8, recipe="none", optimizer="AdamW", weight_decay=1e-4,
        warmup_bias_lr=0.0, mosaic=0.0, flipud=0.5, fliplr=0.5, scale=0.2, translate=0.1, erasing=0.0, cos_lr=True,
        plots=False, project=str(args.out), exist_ok=True, seed=args.seed,
    )  # fmt: skip
    dense = args.out / "dense" / "weights" / "last.pt"
    if not dense.is_file():  # else stage 1 is done and only stage 2 is repeated
        with tempfile.TemporaryDirectory() as tmp:
            RSDet(dense_twin(Path(tmp))).train(
                **common, epochs=args.dense_epochs, lr0=2e-3, lrf=0.05, warmup_epochs=0.5, name="dense"
            )
    model = RSDet(MODEL)
    model.train(
        **common, epochs=args.epochs, lr0=1e-3, lrf=0.02, warmup_epochs=0.5, name="detr",
        pretrained=str(dense),
    )  # fmt: skip
    ship(args.out / "detr" / "weights" / "best.pt", args.ship)
    keep_curve(args.out / "detr" / "results.csv", args.ship.with_suffix(".yaml"))


if __name__ == "__main__":
    main()

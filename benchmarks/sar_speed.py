"""What the parts of the SAR ship detector cost in time: its head against Ultralytics' heads, Wise-IoU against CIoU.

Heads: the context-decoupled head (SSCDetect) and the simple decoupled one (Detect with 3x3 towers) on the body of
YOLOv5, and SSCDetect and stock Detect (depthwise towers) on that of YOLO11, in PyTorch and ONNX Runtime, in turns.
Losses: a training step and the criterion alone, with CIoU as Ultralytics computes it and with the losses by name.
Weights are random, so artifacts are not held to the parity check here. Use an idle machine.

    python benchmarks/sar_speed.py --out benchmarks/results/sar-speed
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

LOSSES = (None, "ciou", "siou", "nwd", "wiou-v1", "wiou-v3")  # None: Ultralytics' own criterion, untouched


def heads(args: argparse.Namespace) -> None:
    """Latency of whole detectors that differ in the head."""
    from rsdet import RSDet
    from rsdet.deploy.benchmark import benchmark

    torch.manual_seed(0)
    models = {
        "yolov5-sscdetect": RSDet("sar-ship.yaml", scale=args.scale, attention="nn.Identity"),
        "yolov5-detect": RSDet("sar-ship-ablate-base.yaml", scale=args.scale),
        "yolo11-sscdetect": RSDet("yolo11.yaml", scale=args.scale, head="SSCDetect"),
        "yolo11-detect": RSDet("yolo11.yaml", scale=args.scale),
    }
    benchmark(
        models, formats=args.formats, imgsz=args.imgsz, device=args.device, threads=args.threads, rounds=args.rounds,
        min_s=args.min_s, out=args.out, check=False,
    )  # fmt: skip


def batch_of(n: int, size: int, objects: int) -> dict[str, torch.Tensor]:
    """Random pictures with ``objects`` boxes of 10 to 60 pixels each."""
    g = torch.Generator().manual_seed(0)
    sides = (10 + 50 * torch.rand(n * objects, 2, generator=g)) / size
    return {
        "img": torch.rand(n, 3, size, size, generator=g),
        "batch_idx": torch.arange(n).repeat_interleave(objects).float(),
        "cls": torch.zeros(n * objects, 1),
        "bboxes": torch.cat([0.1 + 0.8 * torch.rand(n * objects, 2, generator=g), sides], 1),
    }


def losses(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time of a training step and of the criterion with each loss."""
    from ultralytics.utils import DEFAULT_CFG

    from rsdet.deploy.timing import time_interleaved
    from rsdet.modelyaml import load_model_yaml
    from rsdet.tasks.detect.model import build

    batch, steps, criteria = batch_of(args.batch, args.train_imgsz, 6), {}, {}
    for name in LOSSES:
        torch.manual_seed(0)
        model = build({**load_model_yaml("sar-ship.yaml", args.scale), "iou_loss": name}, nc=1).train()
        model.args = DEFAULT_CFG
        preds = model(batch["img"])
        raw = {k: v.detach().requires_grad_() if k != "feats" else [f.detach() for f in v] for k, v in preds.items()}

        def step(model: Any = model) -> None:
            model.zero_grad()
            model.loss(batch)[0].sum().backward()

        def criterion(model: Any = model, raw: Any = raw) -> None:
            model.loss(batch, raw)[0].sum().backward()

        steps[name or "stock"], criteria[name or "stock"] = step, criterion
    rows = []
    for what, candidates in (("training step", steps), ("criterion", criteria)):
        race = time_interleaved(candidates, args.rounds, warmup_s=1.0, min_s=args.min_s)
        for name, t in race.timings.items():
            ratio = race.median_of_ratios[name]
            rows.append({"what": what, "loss": name, "times_stock": round(ratio, 3), **t.to_dict()})
            print(f"{what:<14} {name:<8} {t.median_ms:9.2f} ms  {ratio:6.3f} x stock")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["heads", "losses"])
    parser.add_argument("--formats", nargs="+", default=["pytorch", "onnx"])
    parser.add_argument("--scale", default="n")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--train-imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--min-s", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    args = parser.parse_args()
    from rsdet.deploy.hardware import describe, slug
    from rsdet.deploy.records import shown_command

    if args.threads:
        torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.only != "losses":
        heads(args)
    if args.only != "heads":
        about = {"hardware": describe(args.device), "command": shown_command(sys.argv), "batch": args.batch,
                 "imgsz": args.train_imgsz, "scale": args.scale}  # fmt: skip
        file = args.out / f"box-losses-{slug(args.device, 'fp32', torch.get_num_threads())}.json"
        file.write_text(json.dumps({**about, "rows": losses(args)}, indent=1))
        print(f"written to {file}")


if __name__ == "__main__":
    main()

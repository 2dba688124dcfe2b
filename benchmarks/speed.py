"""Speed of VMC-DETR beside RT-DETR-R18 and Ultralytics' RT-DETR-L, on every backend at hand, in one run.

The artifacts take turns, so the ratios hold even on a machine whose speed drifts. Weights are random: they do not
change the time of a detector without suppression, but they leave the choice among near-equal queries to rounding, so
the artifacts are not held to the parity check here. Use an idle machine; the load at the start is stored.

    python benchmarks/speed.py --imgsz 640 --out benchmarks/results/speed
    python benchmarks/speed.py --scale n --imgsz 320 --profile
"""

from __future__ import annotations

import argparse
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vmc-detr.yaml", "rtdetr-r18.yaml", "rtdetr-l.yaml"])
    parser.add_argument("--scale", default=None, help="scale of vmc-detr.yaml, such as n; the paper's when left out")
    parser.add_argument("--formats", nargs="+", default=["pytorch", "onnx", "openvino"])
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=30, help="fewest samples of each artifact")
    parser.add_argument("--min-s", type=float, default=5.0, help="shortest time to sample each artifact for")
    parser.add_argument("--max-s", type=float, default=600.0, help="longest time for one comparison of all artifacts")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=None, help="folder for the CSV and the JSON with raw samples")
    parser.add_argument("--profile", action="store_true", help="also print the slowest rows of each model in PyTorch")
    return parser.parse_args()


def load(name: str, scale: str | None) -> Any:
    """Our models through RSDet; what we do not ship is Ultralytics' own."""
    from rsdet import RSDet
    from rsdet.modelyaml import list_models

    torch.manual_seed(0)
    if Path(name).stem not in {Path(m).stem for m in list_models()} and not Path(name).exists():
        from ultralytics import RTDETR

        return RTDETR(name)
    return RSDet(name, scale=scale if Path(name).stem == "vmc-detr" else None)


def print_profile(name: str, model: Any, imgsz: int, device: str, top: int = 12) -> None:
    from rich.console import Console
    from rich.table import Table

    from rsdet.deploy.rowtimes import row_times

    fused = deepcopy(model.model).eval().fuse(verbose=False).to(device)
    table = Table(title=f"{name}: slowest rows in PyTorch at {imgsz}, fused")
    for head in ("row", "module", "ms", "%", "GFLOPs", "GFLOPs/s"):
        table.add_column(head, justify="left" if head == "module" else "right")
    for r in row_times(fused, imgsz)[:top]:
        rate = f"{r.gflops_per_s:.1f}"
        table.add_row(str(r.index), r.type, f"{r.median_ms:.2f}", f"{100 * r.share:.1f}", f"{r.gflops:.3f}", rate)
    Console().print(table)


def main() -> None:
    args = arguments()
    from rsdet.deploy.benchmark import benchmark

    if args.threads:
        torch.set_num_threads(args.threads)
    models = {Path(name).stem: load(name, args.scale) for name in args.models}
    if args.scale and "vmc-detr" in models:
        models = {(f"{k}-{args.scale}" if k == "vmc-detr" else k): m for k, m in models.items()}
    benchmark(
        models,
        formats=args.formats,
        imgsz=args.imgsz,
        batch=args.batch,
        device=args.device,
        threads=args.threads,
        rounds=args.rounds,
        min_s=args.min_s,
        max_s=args.max_s,
        out=args.out,
        check=False,  # random weights: see the docstring
    )
    if args.profile:
        for name, model in models.items():
            print_profile(name, model, args.imgsz, "cpu" if args.device == "cpu" else f"cuda:{args.device}")


if __name__ == "__main__":
    main()

"""Images per second of rsdet's training beside stock Ultralytics on the same model, data and arguments.

Each run is a process of its own: the stock one never imports rsdet. Runs take turns (ours, stock, ours, stock), each
pair gives one ratio, and the first batches of every run, in which memory is claimed and threads start, are left out.

    python benchmarks/train_throughput.py --pairs 3 --out benchmarks/results/train
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

# A small RT-DETR of stock layers only, so that both sides can build it.
SMALL = {
    "nc": 80,
    "backbone": [
        [-1, 1, "Conv", [32, 3, 2]],
        [-1, 1, "Conv", [64, 3, 2]],
        [-1, 1, "C2f", [64, True]],
        [-1, 1, "Conv", [128, 3, 2]],
        [-1, 1, "C2f", [128, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "C2f", [256, True]],
        [-1, 1, "Conv", [256, 3, 2]],
        [-1, 1, "AIFI", [512, 8]],
    ],
    "head": [[[4, 6, 8], 1, "RTDETRDecoder", ["nc", 256, 300, 4, 8, 3]]],
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=None, help="YAML of stock layers that both know; a small one when left out")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--batches", type=int, default=20, help="batches measured in each run")
    parser.add_argument("--skip", type=int, default=5, help="batches left out at the start of each run")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--out", type=Path, default=None, help="folder for the JSON with raw samples")
    parser.add_argument("--child", choices=("ours", "stock"), help=argparse.SUPPRESS)
    parser.add_argument("--data", help=argparse.SUPPRESS)
    return parser.parse_args()


def train(args: argparse.Namespace) -> None:
    """One run: time from the start of a batch to the start of the next, and of the training step alone."""
    starts: list[float] = []
    steps: list[float] = []

    def begin(_: object) -> None:
        starts.append(time.perf_counter())

    def end(_: object) -> None:
        steps.append(time.perf_counter() - starts[-1])

    settings = {
        "data": args.data, "imgsz": args.imgsz, "batch": args.batch, "epochs": 1, "workers": args.workers,
        "device": args.device, "amp": args.amp, "optimizer": "AdamW", "lr0": 1e-4, "seed": 0, "deterministic": False,
        "val": False, "plots": False, "save": False, "pretrained": False, "verbose": False,
        "project": str(Path(args.data).parent / "runs"), "name": args.child, "exist_ok": True,
    }  # fmt: skip
    if args.child == "ours":
        from rsdet import RSDet

        model, settings["recipe"] = RSDet(args.model), "none"
    else:
        from ultralytics import RTDETR

        model = RTDETR(args.model)
    model.add_callback("on_train_batch_start", begin)
    model.add_callback("on_train_batch_end", end)
    model.train(**settings)
    whole = [b - a for a, b in zip(starts[args.skip :], starts[args.skip + 1 :], strict=False)]
    print("\n" + json.dumps({"batch_s": whole, "step_s": steps[args.skip :]}))


def main() -> None:
    args = arguments()
    if args.child:
        train(args)
        return
    from rsdet.data.demo import make_demo
    from rsdet.deploy.hardware import describe, slug
    from rsdet.deploy.records import shown_command

    with tempfile.TemporaryDirectory(prefix="rsdet-throughput-") as tmp:
        folder = Path(tmp)
        images = args.batch * (args.skip + args.batches + 1)
        data = make_demo(folder / "demo", n_train=images, n_val=args.batch, size=args.imgsz, progress=False)
        model = args.model
        if model is None:
            model = str(folder / "small-rtdetr.yaml")
            Path(model).write_text(yaml.safe_dump({"task": "detect", "family": "rtdetr", **SMALL}), encoding="utf-8")
        environment = {**os.environ, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
        runs: dict[str, list[dict]] = {"ours": [], "stock": []}
        for pair in range(args.pairs):
            for side in runs:
                command = [
                    sys.executable,
                    __file__,
                    *sys.argv[1:],
                    "--child",
                    side,
                    "--data",
                    str(data),
                    "--model",
                    model,
                ]
                done = subprocess.run(command, capture_output=True, text=True, env=environment)
                if done.returncode:
                    sys.exit(f"{side} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
                runs[side].append(json.loads(done.stdout.strip().splitlines()[-1]))
                rate = args.batch / statistics.median(runs[side][-1]["batch_s"])
                print(f"pair {pair + 1}, {side:>5}: {rate:.2f} images/s", flush=True)

    def rate(run: dict, key: str = "batch_s") -> float:
        return args.batch / statistics.median(run[key])

    ratios = [rate(a) / rate(b) for a, b in zip(runs["ours"], runs["stock"], strict=True)]
    summary = {
        "images_per_s_ours": statistics.median(map(rate, runs["ours"])),
        "images_per_s_stock": statistics.median(map(rate, runs["stock"])),
        "ratio_median_of_pairs": statistics.median(ratios),
        "ratio_of_pairs": ratios,
        "step_ratio_median_of_pairs": statistics.median(
            rate(a, "step_s") / rate(b, "step_s") for a, b in zip(runs["ours"], runs["stock"], strict=True)
        ),
    }
    print(json.dumps(summary, indent=1))
    print("ratio above 1: ours trains faster")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        record = {"command": shown_command(sys.argv), "hardware": describe(args.device), **summary, "runs": runs}
        path = args.out / f"train-{slug(args.device, 'amp' if args.amp else 'fp32')}.json"
        path.write_text(json.dumps(record, indent=1), encoding="utf-8")
        print(f"results: {path}")


if __name__ == "__main__":
    main()

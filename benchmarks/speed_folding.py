"""Exported detectors before and after a change, taking turns, on CPU backends.

`--before` is another checkout of this repository. Both export the same random weights; the artifacts then take turns in
one process, so that the ratios hold on a machine with other work. All weights are moved away from their start: layers
that begin as copies of one another, such as the decoder's, would be merged by the exporters and seem to cost nothing.

    git worktree add ../before HEAD~1
    python benchmarks/speed_folding.py --before ../before --out benchmarks/results/speed
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
MODELS = ["vmc-detr.yaml", "rtdetr-r18.yaml"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="other checkout of this repository")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, default=None, help="folder for JSON and Markdown")
    parser.add_argument("--export", nargs=2, default=None, help=argparse.SUPPRESS)  # FOLDER LAYERS, in a child process
    return parser.parse_args()


def export_all(folder: Path, layers: int, imgsz: int) -> None:
    """Export from whichever checkout is on the path; `layers` of the decoder only, 0 for all."""
    import torch

    from rsdet import RSDet
    from rsdet.deploy.export import export

    for name in MODELS:
        torch.manual_seed(0)
        model = RSDet(name)
        with torch.no_grad():
            for p in model.model.parameters():
                p.add_(torch.randn_like(p) * 0.01)
        if layers:
            model.model.model[-1].decoder.eval_idx = layers - 1
        free = {"box_tol_px": 1e9, "score_tol": 1e9}  # random weights: queries change places by rounding
        for fmt, suffix in (("onnx", ".onnx"), ("openvino", "_openvino_model")):
            export(model, fmt, imgsz=imgsz, out=folder / f"{Path(name).stem}{suffix}", verbose=False, **free)
        if layers:
            break
    if not layers:
        demo = RSDet("vmc-detr-demo")
        for fmt, suffix in (("onnx", ".onnx"), ("openvino", "_openvino_model")):
            export(demo, fmt, imgsz=320, out=folder / f"demo{suffix}", verbose=False)


def child(checkout: Path, folder: Path, layers: int, args: argparse.Namespace) -> None:
    folder.mkdir(parents=True)
    command = [sys.executable, __file__, "--before", str(args.before), "--imgsz", str(args.imgsz)]
    env = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    subprocess.run([*command, "--export", str(folder), str(layers)], check=True, env=env)


def differences(before: Any, after: Any) -> dict[str, float]:
    """Largest differences of the detections of the demo weights on rendered scenes."""
    from rsdet.deploy.verify import parity_images
    from rsdet.tasks.detect.decode import preprocess

    box = score = found = changed = 0.0
    for image in parity_images(None, None):
        x = preprocess([image], "rtdetr", (320, 320))
        a, b = before(x)[0], after(x)[0]
        kept = a[:, 4] > 0.05
        found += kept.sum()
        changed += (a[kept, 5] != b[kept, 5]).sum()
        box = max(box, float(np.abs(a[kept, :4] - b[kept, :4]).max(initial=0)) * 320)
        score = max(score, float(np.abs(a[kept, 4] - b[kept, 4]).max(initial=0)))
    return {"detections": int(found), "other_class": int(changed), "box_px": box, "score": score}


def main() -> None:
    args = arguments()
    if args.export:
        export_all(Path(args.export[0]), int(args.export[1]), args.imgsz)
        return
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.runners import OnnxRunner, OpenVinoRunner
    from rsdet.deploy.timing import time_interleaved

    x = np.random.default_rng(0).random((1, 3, args.imgsz, args.imgsz), dtype=np.float32)
    settings = {**vars(args), "before": "another checkout"}
    record: dict[str, Any] = {"hardware": describe(), "settings": settings, "runs": [], "parity": {}}
    for private in ("out", "export"):
        record["settings"].pop(private)
    with tempfile.TemporaryDirectory() as tmp:
        root = Path(tmp)
        for label, checkout, layers in (("before", args.before, 0), ("after", ROOT, 0), ("after-2-layers", ROOT, 2)):
            child(checkout, root / label, layers, args)
        for backend, make, suffix in (("onnx", OnnxRunner, ".onnx"), ("openvino", OpenVinoRunner, "_openvino_model")):
            demos = [make(root / label / f"demo{suffix}", threads=1) for label in ("before", "after")]
            record["parity"][backend] = differences(*demos)
            for threads in args.threads:
                runners = {
                    f"{stem} {label}": make(root / label / f"{stem}{suffix}", threads=threads)
                    for stem, label in (("rtdetr-r18", "before"), ("rtdetr-r18", "after"), ("vmc-detr", "before"),
                                        ("vmc-detr", "after"), ("vmc-detr", "after-2-layers"))
                }  # fmt: skip
                load = os.getloadavg()[0]
                t = time_interleaved({n: lambda r=r: r(x) for n, r in runners.items()}, args.rounds, max_s=400)
                record["runs"].append({
                    "backend": backend, "threads": threads, "load_1min": [load, os.getloadavg()[0]],
                    "timings": {n: v.to_dict() for n, v in t.timings.items()},
                })  # fmt: skip
    text = table(record)
    print(text)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "folding.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
        (args.out / "folding.md").write_text(text)


def table(record: dict[str, Any]) -> str:
    """Throughput relative to the baseline: quartiles of the ratios of one round."""
    hw = record["hardware"]
    size = record["settings"]["imgsz"]
    software = ", ".join(f"{k} {hw.get(k)}" for k in ("torch", "onnxruntime", "openvino"))
    head = (
        f"Throughput relative to RT-DETR-R18, batch 1, {size} px: median and quartiles of the ratio within one round.\n"
        f"{hw.get('cpu')}, {software}; other work ran on the machine. `benchmarks/speed_folding.py`.\n\n"
    )
    lines = [
        "| backend | threads | model | median ms | to R18 before | to R18 after | load |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for run in record["runs"]:
        samples = {n: np.asarray(t["samples_ms"]) for n, t in run["timings"].items()}
        for name, own in samples.items():
            cells = []
            for base in ("rtdetr-r18 before", "rtdetr-r18 after"):
                low, mid, high = np.percentile(samples[base] / own, [25, 50, 75])
                cells.append(f"{mid:.3f} ({low:.3f} to {high:.3f})")
            load = " to ".join(f"{v:.1f}" for v in run["load_1min"])
            row = [run["backend"], run["threads"], name, f"{np.median(own):.0f}", *cells, load]
            lines.append(f"| {' | '.join(map(str, row))} |")
    same = [
        f"- {b}: {p['detections']} detections above 0.05, {p['other_class']} of another class, boxes within "
        f"{p['box_px']:.1e} px, scores within {p['score']:.1e}"
        for b, p in record["parity"].items()
    ]
    return (
        head
        + "\n".join(lines)
        + "\n\nDemo weights on rendered scenes, before against after:\n\n"
        + "\n".join(same)
        + "\n"
    )


if __name__ == "__main__":
    main()

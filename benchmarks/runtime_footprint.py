"""Import time and resident memory of prediction from an exported file: the full path against the small runtime.

Each measurement is one fresh process that imports, loads the file, and detects in one image; the two take turns. Memory
is the resident set after each step and its peak, read from /proc (Linux only). ``hello`` is Python with NumPy alone.

    python benchmarks/runtime_footprint.py --out benchmarks/results/runtime-footprint.json
    python benchmarks/runtime_footprint.py --installed ENVIRONMENT

The second counts the files of an environment, made as docker/runtime.Dockerfile says, and puts their size into the same
file beside what was measured before; the environment must have no PyTorch, and predict from an exported file.

Without --model, the shipped weights of the demo are exported at 320 px first. Use an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

STEPS = {
    "hello": ("import numpy", "", ""),
    "full": (
        "from rsdet import RSDet",
        "model = RSDet(model_path)",
        "found = len(model.predict(picture, conf=0.25, verbose=False)[0])",
    ),
    "runtime": (
        "from rsdet.runtime import Detector",
        "model = Detector(model_path)",
        "found = len(model.predict(picture, conf=0.25))",
    ),
}
PROGRAM = """
import json, sys, time
model_path, picture = sys.argv[1:3]
found, out = None, {{}}
def status(key):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith(key))
def step(name, began):
    out[name + "_s"], out[name + "_rss_mib"] = time.perf_counter() - began, status("VmRSS")
start = t = time.perf_counter()
{0}
step("import", t)
t = time.perf_counter()
{1}
step("load", t)
t = time.perf_counter()
{2}
step("first_image", t)
out |= {{"total_s": time.perf_counter() - start, "peak_rss_mib": status("VmHWM"), "objects": found}}
out["heavy_modules"] = [m for m in ("torch", "ultralytics", "torchvision") if m in sys.modules]
print("RESULT " + json.dumps(out))
"""


def measure(kind: str, model: Path, picture: Path, threads: int, cwd: str) -> dict[str, Any]:
    """Run one fresh process; its wall time includes the start of Python."""
    import time

    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(*STEPS[kind]), str(model), str(picture)],
        cwd=cwd, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wall = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{kind}: {done.stderr.strip().splitlines()[-1]}")
    line = next(s for s in done.stdout.splitlines() if s.startswith("RESULT "))
    return {**json.loads(line.removeprefix("RESULT ")), "process_s": wall}


def demo_model(folder: Path) -> Path:
    from rsdet import RSDet

    return RSDet("vmc-detr-demo").export(format="onnx", imgsz=320, out=folder / "vmc-detr-demo-320.onnx").path


def installed(environment: Path, picture: Path, folder: Path) -> dict[str, Any]:
    """Megabytes (10^6) of an environment's packages, pip left out, after a prediction in it."""
    line = [str(environment / "bin" / "rsdet"), "predict", f"model={demo_model(folder)}", f"source={picture}"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True)
    (site,) = environment.glob("lib/python3.*/site-packages")
    if done.returncode or any((site / name).exists() for name in ("torch", "ultralytics")):
        sys.exit(f"{environment} is no environment without PyTorch: {done.stderr.strip()[-300:]}")
    sizes: dict[str, int] = {}
    for file in site.rglob("*"):
        name = file.relative_to(site).parts[0]
        if file.is_file() and "__pycache__" not in file.parts and name.split("-")[0] not in ("pip", "setuptools"):
            sizes[name] = sizes.get(name, 0) + file.stat().st_size
    large = {k: round(v / 1e6, 1) for k, v in sorted(sizes.items(), key=lambda i: -i[1]) if v > 1e6}
    said = next(s for s in done.stdout.splitlines() if "Results saved" in s).partition(". Results")[0]
    return {"packages_mb": round(sum(sizes.values()) / 1e6, 1), "of_which_mb": large, "predicted": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="exported file; the demo's weights at 320 px by default")
    parser.add_argument("--source", type=Path, help="image; a rendered scene of 640x512 by default")
    parser.add_argument("--installed", type=Path, help="environment whose files are counted, instead of the rest")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/runtime-footprint.json"))
    args = parser.parse_args()

    import cv2

    from rsdet.data.scenes import render_scene
    from rsdet.deploy.hardware import describe, version

    with tempfile.TemporaryDirectory() as folder:
        picture = args.source or Path(folder) / "scene.png"
        if args.source is None:
            cv2.imwrite(str(picture), render_scene(1, (512, 640)).image)
        if args.installed is not None:
            found = installed(args.installed.absolute(), picture.resolve(), Path(folder))
            known = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
            args.out.write_text(json.dumps({**known, "installed": found}, indent=1) + "\n", encoding="utf-8")
            print(json.dumps(found, indent=1))
            return
        model = (args.model or demo_model(Path(folder))).resolve()
        raw: dict[str, list[dict[str, Any]]] = {kind: [] for kind in STEPS}
        for kind in STEPS:  # once for the caches of the disk
            measure(kind, model, picture, args.threads, folder)
        for _ in range(args.runs):
            for kind in STEPS:
                raw[kind].append(measure(kind, model, picture.resolve(), args.threads, folder))
        size_mb = model.stat().st_size / 1e6

    median = {
        kind: {k: statistics.median(r[k] for r in runs) for k, v in runs[0].items() if isinstance(v, float)}
        for kind, runs in raw.items()
    }
    full, small = raw["full"][0]["objects"], raw["runtime"][0]["objects"]
    if full != small:
        sys.exit(f"the two paths disagree: {full} and {small} objects")
    print(f"{'':8} {'import s':>9} {'load s':>7} {'1st image s':>12} {'process s':>10} {'RSS MiB':>8} {'peak MiB':>9}")
    for kind, m in median.items():
        print(
            f"{kind:8} {m['import_s']:9.2f} {m['load_s']:7.2f} {m['first_image_s']:12.2f} {m['process_s']:10.2f} "
            f"{m['first_image_rss_mib']:8.0f} {m['peak_rss_mib']:9.0f}"
        )
    out = {
        "command": " ".join(["python", "benchmarks/runtime_footprint.py", *sys.argv[1:]]),
        "model": {"file": model.name, "size_mb": round(size_mb, 2)},
        "threads": args.threads,
        "runs": args.runs,
        "environment": {
            **describe("cpu", args.threads),
            **{p: version(p) for p in ("onnxruntime", "opencv-python", "numpy", "ultralytics")},
        },
        "median": median,
        "raw": raw,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")
    print(f"Results saved to {args.out}")


if __name__ == "__main__":
    main()

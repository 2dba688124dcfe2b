"""Hybrid-SegUFormer against a U-Net of equal cost: landslides in pictures, deformation in simulated InSAR maps.

    python benchmarks/landslides.py --pictures bijie-landslide                    # all runs; goes on where it was
    python benchmarks/landslides.py --pictures bijie-landslide --memory --export  # besides: memory, exported networks
    python benchmarks/landslides.py --gather                                      # page and picture from what is there

``--pictures`` is a folder with ``images/`` and ``masks/`` (yellow on black); the maps are those of
``data=demo-insar``. Measured is the teacher of the last step, so nothing is chosen on the test. On a GPU:
``--device 0 --size full --side 256 --steps 20000 --maps 2000 500``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from landslides_table import write
from rows import exports_of, once, rows_in

HELD_BACK, SPLIT_SEED = 8, 0  # pictures of Bijie for the test, drawn by this seed
COPIES = 4  # of each training picture of Bijie: an epoch of 16 pictures would be a few steps long
YELLOW = 128  # of red, from which on a pixel of a mask is landslide
UNET = {
    "arch": "unet",
    "encoder": "tu-resnet10t",
    "options": {"encoder_depth": 4, "decoder_channels": [64, 32, 16, 16]},
}
UNET_FULL = {"arch": "unet", "encoder": "resnet34"}
FULL = [1, 1, 1, 1]
REDUCED = [8, 4, 2, 1]
NAMES = {
    "hybrid": "Hybrid-SegUFormer, reduced attention",
    "unet": "U-Net, ResNet-10t",
    "hybrid-alone": "Hybrid-SegUFormer, reduced attention, no teacher in the loss",
    "hybrid-whole": "Hybrid-SegUFormer, whole attention",
}


def network(name: str, size: str) -> tuple[str, dict[str, Any]]:
    """YAML of a network and its settings."""
    if name == "unet":
        return "smp.yaml", UNET if size == "n" else UNET_FULL
    yaml_name = "hybrid-seguformer-n.yaml" if size == "n" else "hybrid-seguformer.yaml"
    return yaml_name, {"sr_ratio": FULL if name == "hybrid-whole" else REDUCED}


def shrunk(array: np.ndarray, side: int, way: int) -> np.ndarray:
    """Array whose longer side is ``side``."""
    scale = side / max(array.shape[:2])
    return cv2.resize(array, None, fx=scale, fy=scale, interpolation=way)


def bijie(args: argparse.Namespace) -> Path:
    """Write the pictures, shrunk to twice the crop, and masks of class numbers."""
    folder = args.work / f"bijie-{args.side}"
    file = folder / "bijie.yaml"
    if file.is_file():
        return file
    shutil.rmtree(folder, ignore_errors=True)
    names = sorted(p.name for p in (args.pictures / "images").iterdir())
    test = set(random.Random(SPLIT_SEED).sample(names, HELD_BACK))
    for name in names:
        split = "test" if name in test else "train"
        image = shrunk(cv2.imread(str(args.pictures / "images" / name)), 2 * args.side, cv2.INTER_AREA)
        mask = (cv2.imread(str(args.pictures / "masks" / name))[..., 2] >= YELLOW).astype(np.uint8)
        mask = cv2.resize(mask, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        for copy in range(COPIES if split == "train" else 1):
            for kind, array in (("images", image), ("masks", mask)):
                (folder / kind / split).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / kind / split / f"{Path(name).stem}-{copy}.png"), array)
    spec = {"path": str(folder), "train": "images/train", "val": "images/test", "masks_dir": "masks"}
    file.write_text(yaml.safe_dump({"task": "semantic", **spec, "names": {0: "landslide"}}, sort_keys=False))
    return file


def insar(args: argparse.Namespace) -> Path:
    """Render the maps."""
    from rsdet.data.demo_insar import make_demo_insar

    return make_demo_insar(args.work / f"demo-insar-{args.side}", *args.maps, size=args.side, progress=False)


SETS = {"demo-insar": insar, "bijie": bijie}


def register() -> None:
    """Give both methods one momentum, so that the same average of the weights is measured."""
    from rsdet.losses.semi_settings import METHODS

    for name in ("supervised", "self-distillation"):
        METHODS[name] = replace(METHODS[name], momentum=0.99, ramp=True)


def train(name: str, kind: str, seed: int, data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train one network and test its last teacher."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{kind}-{name}-seed{seed}"
    yaml_name, settings = network(name, args.size)
    pictures = len(list((data.parent / "images" / "train").iterdir()))
    epochs = max(1, round(args.steps / -(-pictures // args.batch)))
    begin = time.time()
    model = RSDet(yaml_name, **settings)
    model.train(
        data=data, method="self-distillation" if name in ("hybrid", "hybrid-whole") else "supervised", epochs=epochs,
        batch=args.batch, imgsz=args.side, scale=0.5 if kind == "bijie" else 0.2, fliplr=0.5, rot90=0.5, seed=seed,
        optimizer="AdamW", lr0=args.lr, lrf=0.01, cos_lr=True, weight_decay=1e-2, warmup_epochs=1.0,
        warmup_bias_lr=0.0, amp=False, val=False, plots=False, patience=0, workers=args.workers, device=args.device,
        project=str(args.work / "runs"), name=label, exist_ok=True,
    )  # fmt: skip
    seconds = time.time() - begin
    last = RSDet(args.work / "runs" / label / "weights" / "last.pt")
    cost = last.info(verbose=False, imgsz=256)
    scores = last.val(
        data=data, imgsz=2 * args.side if kind == "bijie" else args.side, batch=1, device=args.device, plots=False,
        workers=0, project=str(args.work / "runs"), name=f"{label}-test", exist_ok=True,
    ).scores  # fmt: skip
    found = {k: float(np.nan_to_num(getattr(scores, k)[1])) for k in ("iou", "f1", "precision", "recall")}
    return {
        "set": kind, "model": name, "seed": seed, **found, "accuracy": float(scores.accuracy),
        "train_seconds": round(seconds), "steps": epochs * -(-pictures // args.batch), "params_m": cost["params"] / 1e6,
        "gflops_256": cost["gflops_true"], "hardware": describe(args.device), "command": shown_command(sys.argv),
    }  # fmt: skip


def measure(name: str, size: str, side: int) -> dict[str, float]:
    """Peak memory and time of one forward pass of one picture, for a process of its own."""
    import torch

    from rsdet import RSDet
    from rsdet.deploy.memory import peak_memory

    yaml_name, settings = network(name, size)
    module, x = RSDet(yaml_name, **settings).model.eval(), torch.rand(1, 3, side, side)
    with torch.no_grad():
        module(x[..., :64, :64])  # what the first pass of all takes for itself
        begin = time.process_time()
        with peak_memory() as memory:
            module(x)
    return {"mib": memory.host_mib, "seconds": time.process_time() - begin}


def memory_rows(args: argparse.Namespace) -> None:
    """Memory of the networks in both sizes and at two input sizes, each in a fresh process."""
    for size in ("n", "full"):
        for name in ("hybrid", "hybrid-whole", "unet"):
            for side in (256, 512):

                def run(n: str = name, z: str = size, s: int = side) -> dict[str, Any]:
                    call = [sys.executable, __file__, "--measure", n, z, str(s)]
                    done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=1200)
                    return {"model": n, "size": z, "side": s, **json.loads(done.stdout.splitlines()[-1])}

                once(args.work / "memory" / f"{name}-{size}-{side}.json", {}, run)


def exported(args: argparse.Namespace) -> None:
    """Exports of the networks of the first seed, on maps of the test."""
    maps = sorted((insar(args).parent / "images" / "val").iterdir())[:8]
    weights = {n: args.work / "runs" / f"demo-insar-{n}-seed0" / "weights" / "last.pt" for n in NAMES}
    rows = exports_of({NAMES[n]: f for n, f in weights.items() if f.is_file()}, maps, 256)
    (args.work / "exports.json").write_text(json.dumps(rows, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder with images/ and masks/ of Bijie; without it, maps alone")
    parser.add_argument("--gather", action="store_true", help="make page and picture from the runs that are there")
    parser.add_argument("--memory", action="store_true", help="measure the memory, too")
    parser.add_argument("--export", action="store_true", help="export the networks of seed 0, too")
    parser.add_argument("--measure", nargs=3, metavar=("MODEL", "SIZE", "SIDE"), help=argparse.SUPPRESS)
    parser.add_argument("--only", nargs="+", choices=NAMES, default=["hybrid", "unet"], help="these networks")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--size", choices=("n", "full"), default="n")
    parser.add_argument("--side", type=int, default=128, help="of the maps, and of the training crops")
    parser.add_argument("--maps", type=int, nargs=2, default=[60, 30], help="for training and for the test")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/landslides"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.measure:
        name, size, side = args.measure
        print(json.dumps(measure(name, size, int(side))))
        return
    if args.gather:
        write(args.work, args.out, NAMES, rows_in(args.work / "rows"), rows_in(args.work / "memory"))
        return
    register()
    settings = {k: getattr(args, k) for k in ("size", "side", "maps", "steps", "batch", "lr")}
    data = {kind: make(args) for kind, make in SETS.items() if kind != "bijie" or args.pictures}
    for seed in args.seeds:
        for kind, file in data.items():
            for name in args.only:
                row = args.work / "rows" / f"{kind}-{name}-seed{seed}.json"
                once(row, settings, lambda n=name, k=kind, s=seed, f=file: train(n, k, s, f, args))
    if args.memory:
        memory_rows(args)
    if args.export:
        exported(args)


if __name__ == "__main__":
    main()

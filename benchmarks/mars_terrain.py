"""Semi-supervised segmentation of real Mars terrain: S5Mars, its parts, and what the field compares it with.

150 pictures of Curiosity's navigation cameras with the sparse masks of AI4Mars (soil, bedrock, sand, big rock; 255 is
not labelled). A third of them is held back, whole sites of the rover, drawn once. Every method trains the same network
from scratch for the same number of steps; what is measured is the last teacher, so nothing is chosen on the test.

    python benchmarks/mars_terrain.py --pictures mars-terrain           # all runs, seed by seed; goes on where it was
    python benchmarks/mars_pseudo.py                                    # how good the pseudo-labels are
    python benchmarks/mars_terrain.py --pictures mars-terrain --gather  # the table of the runs that are there

``--pictures`` is a folder with ``images/`` and ``masks/``, files named as the rover names them. On a GPU: ``--device 0
--model deeplabv3plus-r50.yaml --scale "" --side 256 --steps 20000 --batch 8 --momentum 0.996``.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import yaml
from mars_table import write
from rows import exports_of, once, rows_in

HELD_BACK, SPLIT_SEED = 50, 0  # pictures of the test, and the seed that draws their sites
CLASSES = {0: "soil", 1: "bedrock", 2: "sand", 3: "big rock"}
SHARES = (0.2, 1.0)
COMPARED = ("supervised", "mean-teacher", "unimatch", "s5mars")
ABLATED = (
    "s5mars-without-augin", "s5mars-without-mix", "s5mars-hard-only", "s5mars-soft-only", "s5mars-strict",
    "s5mars-light", "s5mars-components",
)  # fmt: skip


def sites(pictures: list[Path]) -> tuple[list[Path], list[Path]]:
    """Pictures for training and for the test, no site of the rover in both: neighbouring frames show the same ground.

    A name such as ``NLA_401051848EDR_F0040916NCAM00424M1`` holds the site (004) after the F.
    """
    by_site: dict[str, list[Path]] = {}
    for picture in sorted(pictures):
        found = re.search(r"EDR_[FS](\d{3})", picture.name)
        by_site.setdefault(found[1] if found else picture.stem, []).append(picture)
    order = sorted(by_site)
    random.Random(SPLIT_SEED).shuffle(order)
    test: list[Path] = []
    for site in order:
        if len(test) + len(by_site[site]) <= HELD_BACK:
            test += by_site[site]
    return sorted(set(pictures) - set(test)), sorted(test)


def prepare(args: argparse.Namespace) -> tuple[Path, Path]:
    """Write pictures and masks, shrunk, and objects to paste (superpixels); returns data YAML and folder of objects."""
    from rsdet.tasks.semantic.masks import masks

    folder = args.work / f"data-{args.side}"
    file, objects = folder / "mars-terrain.yaml", args.work / f"objects-{args.side}"
    if not file.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        for split, pictures in zip(("train", "test"), sites(list((args.pictures / "images").iterdir())), strict=True):
            for kind, suffix, way in (("images", ".jpg", cv2.INTER_AREA), ("masks", ".png", cv2.INTER_NEAREST)):
                (folder / kind / split).mkdir(parents=True)
                for picture in pictures:
                    whole = cv2.imread(str(args.pictures / kind / f"{picture.stem}{suffix}"), cv2.IMREAD_UNCHANGED)
                    small = cv2.resize(whole, (args.side, args.side), interpolation=way)
                    cv2.imwrite(str(folder / kind / split / f"{picture.stem}.png"), small)
        spec = {"path": str(folder), "train": "images/train", "val": "images/test", "masks_dir": "masks"}
        file.write_text(yaml.safe_dump({"task": "semantic", **spec, "names": CLASSES}, sort_keys=False))
    masks(data=file, out=objects, source="superpixel")
    return file, objects


def register(momentum: float) -> None:
    """Give every method the momentum, and S5Mars' ablations a name of their own."""
    from rsdet.losses.semi_settings import METHODS

    for name in COMPARED:
        METHODS[name] = replace(METHODS[name], momentum=momentum)
    whole = METHODS["s5mars"]
    METHODS["s5mars-without-augin"] = replace(whole, appearance="none")
    METHODS["s5mars-without-mix"] = replace(whole, mix=())
    METHODS["s5mars-hard-only"] = replace(whole, t_soft=None)
    METHODS["s5mars-soft-only"] = replace(whole, t_hard=None)
    METHODS["s5mars-strict"] = replace(whole, t_hard=0.95, t_soft=0.95)
    METHODS["s5mars-light"] = replace(whole, lambda_u=0.5)
    METHODS["s5mars-components"] = whole  # what it pastes comes from elsewhere


def plan(args: argparse.Namespace) -> list[tuple[str, float, int]]:
    """Method, share of labels and seed of every run, in an order in which full tables come first."""
    compared = [(m, share, seed) for seed in args.seeds for m in COMPARED for share in SHARES]
    ablated = [(m, SHARES[0], seed) for seed in args.seeds for m in ABLATED]
    return [run for run in compared + ablated if not args.only or run[0] in args.only]


def train(method: str, share: float, seed: int, data: Path, objects: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train one network and test its last teacher."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{method}-{share:g}-seed{seed}"
    pasted: dict[str, Any] = {}
    if method.startswith("s5mars") and "mix" not in method:
        made = {"mask_source": "file", "masks": str(objects)}
        pasted = {"mask_source": "components"} if method.endswith("components") else made
    pictures = len(list((data.parent / "images" / "train").iterdir()))
    steps = -(-pictures // args.batch)  # of an epoch
    model = RSDet(args.model, **({"scale": args.scale} if args.scale else {}))
    begin = time.time()
    model.train(
        data=data, method=method, labeled=share, **pasted, epochs=max(1, round(args.steps / steps)), batch=args.batch,
        imgsz=args.side, scale=0.5, fliplr=0.5, seed=seed, optimizer="AdamW", lr0=args.lr, lrf=0.01, cos_lr=True,
        weight_decay=1e-4, warmup_epochs=1.0, warmup_bias_lr=0.0, amp=False, val=False, plots=False, patience=0,
        workers=args.workers, device=args.device, project=str(args.work / "runs"), name=label, exist_ok=True,
    )  # fmt: skip
    seconds = time.time() - begin
    last = RSDet(args.work / "runs" / label / "weights" / "last.pt")
    cost = last.info(verbose=False, imgsz=args.side)
    scores = last.val(
        data=data, imgsz=args.side, batch=1, device=args.device, plots=False, workers=0,
        project=str(args.work / "runs"), name=f"{label}-test", exist_ok=True,
    ).scores  # fmt: skip
    return {
        "method": method, "labeled": share, "seed": seed, "miou": float(scores.miou), "macc": float(scores.macc),
        "accuracy": float(scores.accuracy), "iou": dict(zip(CLASSES.values(), map(float, scores.iou), strict=True)),
        "train_seconds": round(seconds), "steps": steps * max(1, round(args.steps / steps)),
        "params_m": cost["params"] / 1e6, "gflops": cost["gflops_true"], "hardware": describe(args.device),
        "command": shown_command(sys.argv),
    }  # fmt: skip


def last_loss(run: Path) -> float:
    """Mean loss of the labelled pictures in the last epoch."""
    with open(run / "results.csv") as f:
        *_, last = csv.DictReader(f)
    return float(last["train/supervised_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--gather", action="store_true", help="make the table from the runs that are there")
    parser.add_argument("--export", action="store_true", help="export S5Mars' network of the first seed, too")
    parser.add_argument("--only", nargs="+", choices=(*COMPARED, *ABLATED), help="these methods")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default="deeplabv3plus-small.yaml")
    parser.add_argument("--scale", default="n")
    parser.add_argument("--side", type=int, default=128, help="of all pictures, which are shrunk, and training crops")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=4, help="labelled pictures of a step; as many others beside them")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--momentum", type=float, default=0.99, help="largest share of the old teacher, of all methods")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/mars-terrain"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.gather:
        rows = [r | {"labelled_loss": last_loss(args.work / "runs" / r["run"])} for r in rows_in(args.work / "rows")]
        write(rows, args.work, args.out, COMPARED, ABLATED)
        return
    data, objects = prepare(args)
    register(args.momentum)
    settings = {k: getattr(args, k) for k in ("model", "scale", "side", "steps", "batch", "lr", "momentum")}
    for method, share, seed in plan(args):
        file = args.work / "rows" / f"{method}-{share:g}-seed{seed}.json"
        once(file, settings, lambda m=method, s=share, n=seed: train(m, s, n, data, objects, args))
    if args.export:
        pictures = sorted((data.parent / "images" / "test").iterdir())[:8]
        weights = {m: args.work / "runs" / f"{m}-0.2-seed{args.seeds[0]}" / "weights" / "last.pt" for m in ("s5mars",)}
        made = exports_of(weights, pictures, 256)
        (args.work / "exports.json").write_text(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()

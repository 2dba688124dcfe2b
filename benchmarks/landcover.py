"""What random pixels flatter: land cover by networks and by classifiers of single pixels, on two kinds of split.

The test pixels are the same in both: every few pixels of the test ground. Training pixels, as many of each class, are
drawn from other ground (disjoint), or from all ground around the test pixels (random). Three seeds draw both anew.

    python benchmarks/landcover.py                           # the rendered cube with its LiDAR
    python benchmarks/landcover.py --trento trento-lidar     # and Trento's LiDAR against its class map
    python benchmarks/landcover.py --trento trento-lidar --muufl muufl-demo --gather  # page and pictures

Runs that are there are not run again. Networks are small (6 components, patches of 5 px, 4 channels), for one thread of
a processor; with a GPU: ``--components 20 --patch 8 --base 8 --per-class 100 --epochs 150 --every 1 --device 0``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from landcover_page import gather
from rows import once

SPLITS = ("disjoint", "random")
CAB = ("cab-hl.yaml", "cab-hl-hsi.yaml", "cab-hl-concat.yaml")
TRENTO = ("apple trees", "buildings", "ground", "woods", "vineyard", "roads")
GAP_PX, BLOCK_PX, FOLDS = 8, 40, 3


def scene_of(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """What a data YAML says of files and classes, and maps (H, W): all labels, training ground, test ground."""
    from rsdet.data.cubes.dataset import cube_data
    from rsdet.data.cubes.opening import label_map
    from rsdet.data.cubes.splits import block_folds, fold_split

    if name == "trento-lidar":  # rasters of LiDAR are the bands, for its cube is not there
        labels = label_map(args.trento / "allgrd.mat")
        train, test, _ = fold_split(labels, block_folds(labels, FOLDS, BLOCK_PX), 0, GAP_PX)
        said = {"cube": str(args.trento / "Italy_lidar.mat"), "names": dict(enumerate(TRENTO, 1)), "gsd": 1.0}
        return {"said": said, "labels": labels, "train": train, "test": test}
    data = cube_data("demo-cube", "landcover")
    train, test = data.given()
    said = {
        "cube": str(data.cube.path), "lidar": [str(s.path) for s in data.lidar], "gsd": data.gsd,
        "names": dict(enumerate(data.names.values(), 1)), "palette": data.content.get("palette"),
    }  # fmt: skip
    return {"said": said, "labels": data.map("labels"), "train": train, "test": test}


def data_yaml(name: str, split: str, seed: int, args: argparse.Namespace) -> Path:
    """Write maps and data YAML of one split."""
    from rsdet.data.cubes.splits import random_split

    folder = args.work / "data" / f"{name}-{split}-{seed}"
    path = folder / f"{name}.yaml"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    scene = scene_of(name, args)
    row, column = np.indices(scene["test"].shape)
    every = args.every * (3 if name == "trento-lidar" else 1)
    measured = np.where((row * 7 + column * 3 + seed) % every == 0, scene["test"], 0)
    ground = scene["train"] if split == "disjoint" else np.where(measured, 0, scene["labels"])
    learnt, _ = random_split(ground, args.per_class, seed)
    for key, values in (("train", learnt), ("test", measured)):
        np.save(folder / f"{key}.npy", values)
    said = {"task": "landcover", "name": f"{name}-{split}", "train": "train.npy", "test": "test.npy", **scene["said"]}
    path.write_text(yaml.safe_dump({k: v for k, v in said.items() if v is not None}, sort_keys=False))
    return path


def plan(args: argparse.Namespace) -> list[tuple[str, str, str, int]]:
    """Scene, network, split and seed of every run: all of the first seed, then of the others the quick ones first."""
    first, *more = args.seeds
    quick = [
        ("demo-cube", CAB[0]),
        ("demo-cube", "cnn2d.yaml"),
        *([("trento-lidar", "cnn2d.yaml")] if args.trento else []),
    ]
    slow = [("demo-cube", name) for name in ("cnn3d.yaml", *CAB[1:])]
    order = [(of, first) for of in quick + slow] + [
        (of, seed) for kind in (quick, slow) for seed in more for of in kind
    ]
    return [(*of, split, seed) for of, seed in order for split in SPLITS]


def variables(scene: str, name: str, args: argparse.Namespace) -> dict[str, int]:
    """Sizes of a network; the plain ones get the width that costs about what CAB-HL does."""
    if scene == "trento-lidar":
        return {"components": 2, "patch": 7, "width": 32, "depth": 3}
    sizes = {"components": args.components, "patch": args.patch}
    if name in CAB:
        return {**sizes, "base": args.base}
    if args.base == 8:
        return sizes
    return {**sizes, "width": 28, "depth": 4} if name == "cnn3d.yaml" else {**sizes, "width": 118, "depth": 4}


def run(scene: str, name: str, split: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Train and measure one network, and beside CAB-HL (of Trento, the CNN) the classifiers of single pixels."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command
    from rsdet.tasks.landcover.data import read_land_data

    data, label = data_yaml(scene, split, seed, args), f"{scene}-{Path(name).stem}-{split}-{seed}"
    model = RSDet(name, **variables(scene, name, args))
    began, cpu = time.time(), time.process_time()
    where = {"project": str(args.work / "runs"), "exist_ok": True, "plots": False, "device": args.device}
    model.train(
        data=data, epochs=args.epochs, batch=16, lr0=args.lr, seed=seed, name=label, val=False, verbose=False, **where
    )
    spent, cpu = time.time() - began, time.process_time() - cpu
    last = RSDet(args.work / "runs" / label / "weights" / "last.pt")
    alone = name == CAB[0] or scene == "trento-lidar"
    metrics = last.val(
        data=data, name=f"{label}-test", baselines="svm,svm-pca,forest,forest-pca" if alone else "none", **where
    )
    cost = last.info(verbose=False, imgsz=last.model.network.patch)
    land = read_land_data(data, lidar=True, patch=last.model.network.patch)
    return {
        "scene": scene, "network": Path(name).stem, "split": split, "seed": seed, "said": metrics.split,
        "train_pixels": int(land.train.sum()), "test_pixels": int(land.test.sum()),
        "classes": dict(land.names), "params": cost["params"], "mmac": cost["gflops_true"] / 2 * 1e3,
        "train_seconds": round(spent), "cpu_seconds": round(cpu, 1), "pixels_s": metrics.pixels_s,
        "scores": {
            k: {**s.measures, "classes": s.recall.tolist(), "pixels": s.pixels.tolist()}
            for k, s in metrics.scores.items()
        },
        "hardware": describe(args.device), "command": shown_command(sys.argv),
    }  # fmt: skip


def main() -> None:
    """Do the runs that are missing, or write the page of those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/landcover-benchmark"))
    parser.add_argument("--trento", type=Path, help="folder with Italy_lidar.mat and allgrd.mat")
    parser.add_argument("--muufl", type=Path, help="folder with the cuts of MUUFL Gulfport, for pictures")
    parser.add_argument("--components", type=int, default=6)
    parser.add_argument("--patch", type=int, default=5)
    parser.add_argument("--base", type=int, default=4)
    parser.add_argument("--per-class", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--every", type=int, default=20, help="of the pixels of the test ground, one in so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gather", action="store_true", help="write the page of the runs that are there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.work, args.out = args.work.absolute(), args.out.absolute()
    for key in ("trento", "muufl"):
        if getattr(args, key):
            setattr(args, key, getattr(args, key).absolute())
    torch.set_num_threads(args.threads)
    if args.gather:
        print(gather(args))
        return
    kept = ("components", "patch", "base", "per_class", "epochs", "lr", "every")
    for scene, name, split, seed in plan(args):
        settings = {"scene": scene, "network": name, "split": split, "seed": seed, **{k: vars(args)[k] for k in kept}}
        file = args.work / "rows" / f"{scene}-{Path(name).stem}-{split}-{seed}.json"
        once(file, settings, lambda run_of=(scene, name, split, seed): run(*run_of, args))


if __name__ == "__main__":
    main()

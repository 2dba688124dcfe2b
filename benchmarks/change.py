"""SSA-Net against FC-Siam-diff and TinyCD on one budget: rendered pairs, then real ones, and what a shift costs.

    python benchmarks/change.py --pairs change-pairs     # all runs; goes on where it was
    python benchmarks/change.py --gather                 # page and pictures from what is there

``--pairs`` is a folder with ``levir-cd`` and ``dsifn-cd``, each with ``A``, ``B`` and ``label``. Real pairs are so few
that the networks learn from rendered ones first and go on with the real ones from there. Measured are the weights of
the last step, so nothing is chosen on the test. On a GPU: ``--device 0 --side 256 --picture 256 --batch 8 --steps 20000
--real-steps 2000 --places 2000 200``.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from change_table import write
from rows import once, rows_in

NETWORKS = {"ssa-net": "SSA-Net", "fc-siam-diff": "FC-Siam-diff", "tinycd": "TinyCD"}
SHIFTS = (0, 1, 2, 3, 4)  # pixels that the later date is moved to the right, beside the pixel that every place has
LEAST = 0.03  # part of a training place that has changed; of places for the test nothing is asked
TRAIN_SEED, TEST_SEED = 900_000_000, 950_000_000  # no data set of the package has these


def save(folder: Path, name: str, before: np.ndarray, after: np.ndarray, label: np.ndarray) -> None:
    """Write a pair, RGB."""
    for kind, picture in (("A", before[..., ::-1]), ("B", after[..., ::-1]), ("label", label)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / kind / f"{name}.png"), picture)


def spec(folder: Path, **splits: str) -> Path:
    """Write the data YAML of a folder."""
    file = folder / f"{folder.name}.yaml"
    file.write_text(yaml.safe_dump({"task": "change", "path": str(folder), "names": {0: "changed"}, **splits}))
    return file


def rendered(args: argparse.Namespace) -> dict[str, Path]:
    """Render places for training, and for the test once for each shift.

    Returns:
        Name to data YAML. The trainer always validates its last epoch: that of ``learnt`` does so on a single place.
    """
    from rsdet.data.scenes.dates import render_dates

    n_train, n_test = args.places
    root, room = args.work / f"rendered-{args.picture}-{n_train}-{n_test}", max(SHIFTS)
    files = {name: root / f"{name}.yaml" for name in ("learnt", *(f"shift{s}" for s in SHIFTS))}
    if not (root / "done").is_file():
        shutil.rmtree(root, ignore_errors=True)
        seed, kept = TRAIN_SEED, 0
        while kept < n_train:
            scene = render_dates(seed, args.picture)
            if (scene.label > 0).mean() >= LEAST:
                for split in ("train", "learnt") if not kept else ("train",):
                    save(root / split, str(seed), scene.before, scene.after, scene.label)
                kept += 1
            seed += 1
        for seed in range(TEST_SEED, TEST_SEED + n_test):
            scene = render_dates(seed, (args.picture, args.picture + 2 * room))
            inner = slice(room, room + args.picture)
            for s in SHIFTS:
                moved = scene.after[:, room - s : room - s + args.picture]
                save(root / f"shift{s}", str(seed), scene.before[:, inner], moved, scene.label[:, inner])
        (root / "done").touch()
    for name, file in files.items():
        spec(root, train="train", val=name).rename(file)
    return files


def real(args: argparse.Namespace) -> dict[str, Path]:
    """List the real pairs: every second of each set by name is for the test."""
    root = args.work / "real"
    root.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {"train": [], "val": []}
    for kind in ("levir-cd", "dsifn-cd"):
        for i, file in enumerate(sorted((args.pairs / kind / "A").iterdir())):
            place = [str((args.pairs / kind / date / file.name).resolve()) for date in ("A", "B", "label")]
            rows["val" if i % 2 else "train"].append(",".join(place))
    for split, lines in {**rows, "one": rows["train"][:1]}.items():
        (root / f"{split}.csv").write_text("\n".join(["t1,t2,label", *lines, ""]))
    return {
        name: spec(root, train="train.csv", val=val).rename(root / f"{name}.yaml")
        for name, val in (("learnt", "one.csv"), ("test", "val.csv"))
    }


def train(model: Any, label: str, data: Path, steps: int, seed: int, args: argparse.Namespace) -> tuple[Any, int]:
    """Train for about so many steps; the network with the last weights, and seconds."""
    from rsdet import RSDet
    from rsdet.tasks.change.data import read_change_data
    from rsdet.tasks.change.dataset import ChangeWindows

    dates = read_change_data(data, ("train",))
    windows = len(ChangeWindows(dates.splits["train"], dates.reader, dates.labels, args.side))
    epochs = max(1, round(steps / -(-windows // args.batch)))
    begin = time.time()
    model.train(
        data=data, epochs=epochs, batch=args.batch, imgsz=args.side, lr0=args.lr, dice="batch", seed=seed, val=False,
        plots=False, workers=0, cache="ram", device=args.device, project=str(args.work / "runs"), name=label,
        exist_ok=True,
    )  # fmt: skip
    return RSDet(args.work / "runs" / label / "weights" / "last.pt"), round(time.time() - begin)


def scores(model: Any, data: Path, args: argparse.Namespace) -> dict[str, float]:
    """Measures of the changed pixels, in tiles of the side that was learnt, side by side."""
    found = model.val(
        data=data, imgsz=args.side, overlap=0, plots=False, device=args.device, project=str(args.work / "runs"),
        name="test", exist_ok=True,
    )  # fmt: skip
    means = {k.removeprefix("metrics/"): float(v) for k, v in zip(found.keys, found.mean_results(), strict=True)}
    share = float(found.scores.matrix[1].sum() / found.scores.matrix.sum())
    return {**means, "average_precision": float(found.curve.average_precision), "changed": share}


def run(
    name: str, seed: int, places: dict[str, Path], pairs: dict[str, Path] | None, args: argparse.Namespace
) -> dict[str, Any]:
    """One network and one seed: rendered places with every shift, then real ones."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{name}-seed{seed}"
    model, seconds = train(RSDet(f"{name}.yaml"), label, places["learnt"], args.steps, seed, args)
    cost = model.info(verbose=False, imgsz=256)
    row = {
        "model": name, "seed": seed, "rendered_seconds": seconds,
        "rendered": {test: scores(model, file, args) for test, file in places.items() if test != "learnt"},
    }  # fmt: skip
    if pairs is not None:
        row["untouched"] = scores(model, pairs["test"], args)
        model, row["real_seconds"] = train(model, f"{label}-real", pairs["learnt"], args.real_steps, seed, args)
        row["real"] = scores(model, pairs["test"], args)
    return {
        **row, "params_m": cost["params"] / 1e6, "gflops_256": cost["gflops_true"], "hardware": describe(args.device),
        "command": shown_command(sys.argv),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pairs", type=Path, help="folder with levir-cd and dsifn-cd; without it, rendered places alone"
    )
    parser.add_argument("--gather", action="store_true", help="make page and pictures from the runs that are there")
    parser.add_argument("--only", nargs="+", choices=NETWORKS, default=list(NETWORKS), help="these networks")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--picture", type=int, default=128, help="side of rendered places in pixels")
    parser.add_argument("--side", type=int, default=64, help="of the windows that are learnt from")
    parser.add_argument("--places", type=int, nargs=2, default=[24, 12], help="for training and for the test")
    parser.add_argument("--steps", type=int, default=48, help="on rendered places")
    parser.add_argument("--real-steps", type=int, default=32, help="on real pairs, from there")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/change"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.gather:
        write(args, NETWORKS, SHIFTS, rows_in(args.work / "rows"))
        return
    settings = {k: getattr(args, k) for k in ("picture", "side", "places", "steps", "real_steps", "batch", "lr")} | {
        "pairs": bool(args.pairs)
    }
    places, pairs = rendered(args), real(args) if args.pairs else None
    for seed in args.seeds:
        for name in args.only:
            file = args.work / "rows" / f"{name}-seed{seed}.json"
            once(file, settings, lambda n=name, s=seed: run(n, s, places, pairs, args))


if __name__ == "__main__":
    main()

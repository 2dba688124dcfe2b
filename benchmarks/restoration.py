"""Dehazing of real pairs and super-resolution of aerial scenes: networks of equal budget, and methods without weights.

    python benchmarks/restoration.py --set rice1 --pictures rice1
    python benchmarks/restoration.py --set rice2 --pictures rice2
    python benchmarks/restoration.py --set sr2 --pictures rsscn7      # x2; sr4 is x4
    python benchmarks/restoration.py --gather --shown aerial-cars     # --draw in place of --gather: the pictures alone

``--pictures`` is a folder with ``cloudy/`` and ``clear/`` (pairs of RICE, names beginning with a number) or with one
folder of pictures per class (RSSCN7). Every fourth pair, and of each class every fourth picture, is held back. All
networks of a set train for the same number of steps on the same patches. Neither set states a licence for its
pictures, so none of them is shown: the strips of enlarged pictures are of frames in the folder ``--shown``
(aerial-cars-dataset, CC BY-SA), and of RICE there are none. On a GPU: ``--device 0 --scale full --steps 100000``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

HELD_BACK = 4  # every so many
SHOWN = 3  # frames in a strip
SIDE = 256  # px of each


def networks(args: argparse.Namespace) -> dict[str, tuple[str, dict[str, Any]]]:
    """Rows of the table: YAML and its settings; those without weights are measured only."""
    if args.set.startswith("rice"):
        own = {"scale": args.scale}
        return {
            "dark channel prior": ("dcp.yaml", {}),
            "AOD-Net": ("aod-net.yaml", {}),
            "DWTMA-Net": ("dwtma-net.yaml", own),
        }
    enlarge = {"upscale": int(args.set[2:])}
    own = {**enlarge, "scale": args.scale}
    return {
        "bicubic": ("bicubic.yaml", enlarge),
        "EDSR": ("edsr.yaml", own),
        "MFG-HMoE": ("mfg-hmoe.yaml", own),
        "MFG-HMoE, routers fixed (hard)": ("mfg-hmoe-ablate-hard.yaml", own),
        "MFG-HMoE, random routes": ("mfg-hmoe-ablate-random.yaml", own),
    }


def prepare(args: argparse.Namespace) -> Path:
    """Copy the pictures into train and test, and write the data YAML."""
    folder = args.work / args.set / "data"
    shutil.rmtree(folder, ignore_errors=True)
    if args.set.startswith("rice"):
        keys = sorted(p.name.split("_")[0] for p in (args.pictures / "clear").glob("*.png"))
        for i, key in enumerate(keys):
            split = "test" if i % HELD_BACK == 0 else "train"
            for kind in ("cloudy", "clear"):
                (picture,) = (args.pictures / kind).glob(f"{key}_*")
                (folder / split / kind).mkdir(parents=True, exist_ok=True)
                shutil.copy(picture, folder / split / kind / f"{key}.png")
        spec = {
            "kind": "dehaze" if args.set == "rice1" else "clouds",
            **{s: {"input": f"{t}/cloudy", "target": f"{t}/clear"} for s, t in (("train", "train"), ("val", "test"))},
        }
    else:
        for of_class in sorted(p for p in args.pictures.iterdir() if p.is_dir()):
            for i, picture in enumerate(sorted(of_class.iterdir())):
                split = "test" if i % HELD_BACK == 0 else "train"
                (folder / split).mkdir(parents=True, exist_ok=True)
                shutil.copy(picture, folder / split / f"{of_class.name}-{picture.name}")
        spec = {
            "kind": "superres", "train": {"target": "train"}, "val": {"target": "test"}, "degrade": {"name": "bicubic"},
            "metrics": {"colour": "y", "border": int(args.set[2:])},
        }  # fmt: skip
    file = args.work / args.set / "data.yaml"
    file.write_text(yaml.safe_dump({"task": "restore", "path": str(folder), **spec}, sort_keys=False))
    return file


def row_of(name: str, seed: int, data: Path, args: argparse.Namespace) -> None:
    """Train and measure one row, and keep its pictures."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    model_yaml, settings = networks(args)[name]
    label = f"{args.set}-{name.replace(' ', '-').replace(',', '')}-seed{seed}"
    out = args.work / f"{label}.json"
    if out.is_file():
        print(f"{out} is there")
        return
    model = RSDet(model_yaml, **settings)
    row: dict[str, Any] = {"set": args.set, "model": name, "seed": seed, "steps": 0}
    weights = any(p.requires_grad for p in model.model.parameters())
    if weights:
        row["params_m"] = sum(p.numel() for p in model.model.parameters()) / 1e6
        pictures = len(list((args.work / args.set / "data" / "train").rglob("*"))) // (2 if "rice" in args.set else 1)
        repeats = max(1, round(args.batch * 50 / pictures))  # about 50 steps an epoch
        epochs = max(1, round(args.steps / (pictures * repeats // args.batch)))
        begin = time.time()
        model.train(
            data=data, epochs=epochs, repeats=repeats, batch=args.batch, patch=args.patch, seed=seed, lr0=args.lr,
            lrf=0.01, cos_lr=True, optimizer="Adam", momentum=0.9, weight_decay=0.0, warmup_epochs=1.0, recipe="none",
            val=False, plots=False, workers=0, device=args.device, project=str(args.work), name=label, exist_ok=True,
        )  # fmt: skip
        row |= {"train_seconds": round(time.time() - begin), "steps": epochs * (pictures * repeats // args.batch)}
        model = RSDet(args.work / label / "weights" / "last.pt")
    begin = time.time()
    found = model.val(data=data, project=str(args.work), name=f"{label}-val", exist_ok=True, device=args.device)
    row |= {"restored": found.after, "input": found.before, "convention": found.convention}
    row |= {"val_seconds": round(time.time() - begin, 1), "command": shown_command(sys.argv)}
    row["hardware"] = describe(args.device)
    row["settings"] = {k: getattr(args, k) for k in ("scale", "steps", "batch", "patch", "lr")}
    out.write_text(json.dumps(row, indent=1))
    print(f"{label}: {found.after}")


def pictures(args: argparse.Namespace, kind: str) -> None:
    """A strip of each row of the table, on the middles of frames that may be shown, beside the truth."""
    from rsdet import RSDet
    from rsdet.data.degrade.resize import imresize

    args.set, up = kind, int(kind[2:])
    truth = []
    for file in (frames := sorted(args.shown.glob("*.jpg")))[:: -(-len(frames) // SHOWN)]:
        picture = cv2.imread(str(file))
        top, left = ((n - SIDE) // 2 for n in picture.shape[:2])
        truth.append(picture[top : top + SIDE, left : left + SIDE])
    strips, source = [], args.work / "seen.png"
    for name, (model_yaml, settings) in networks(args).items():
        label = f"{kind}-{name.replace(' ', '-').replace(',', '')}-seed{args.seeds[0]}"
        weights = args.work / label / "weights" / "last.pt"
        if "," in name or not (weights.is_file() or name == "bicubic"):
            continue
        model, cells = RSDet(weights) if weights.is_file() else RSDet(model_yaml, **settings), []
        for clear in truth:
            small = imresize(clear[..., ::-1].astype(np.float32) / 255, 1 / up)
            cv2.imwrite(str(source), np.clip(np.round(small[..., ::-1] * 255), 0, 255).astype(np.uint8))
            (result,) = model.predict(source=source, save=False, verbose=False)
            cells.append(np.clip(np.round(result.image[..., ::-1] * 255), 0, 255).astype(np.uint8))
        strips.append((name, cells))
    columns = []
    for name, cells in [*strips, ("truth", truth)]:
        head = np.full((22, SIDE, 3), 255, np.uint8)
        cv2.putText(head, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
        columns.append(np.vstack([head, *cells]))
    cv2.imwrite(str(args.out / f"restoration-{kind}.jpg"), np.hstack(columns), [cv2.IMWRITE_JPEG_QUALITY, 88])


def spread(values: list[float], digits: int) -> str:
    """Mean and, of several seeds, the smallest and largest value."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def gather(args: argparse.Namespace) -> None:
    """Tables of all sets that are there, and their pictures."""
    rows = [json.loads(f.read_text()) for f in sorted(args.work.glob("*-seed*.json"))]
    lines = []
    for kind in dict.fromkeys(r["set"] for r in rows):
        of_set = [r for r in rows if r["set"] == kind]
        first = of_set[0]
        before = f"PSNR {first['input']['psnr']:.2f}, SSIM {first['input']['ssim']:.4f}"
        lines += [
            f"## {kind}: {first['restored']['images']} held-back pictures; {first['convention']}", "",
            "| model | M parameters | steps | training s | seeds | PSNR dB | SSIM |", "| --- " * 7 + "|",
            f"| input{'' if 'rice' in kind else ', enlarged'} | - | - | - | - | {before.split(', ')[0][5:]} | "
            f"{first['input']['ssim']:.4f} |",
        ]  # fmt: skip
        args.set = kind
        for name in networks(args):
            runs = [r for r in of_set if r["model"] == name]
            if runs:
                one = runs[0]
                cells = [name, f"{one['params_m']:.3f}" if "params_m" in one else "-", str(one["steps"] or "-")]
                cells += [str(one.get("train_seconds", "-")), str(len(runs)) if one["steps"] else "-"]
                cells += [spread([r["restored"][k] for r in runs], d) for k, d in (("psnr", 2), ("ssim", 4))]
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
        args.out.mkdir(parents=True, exist_ok=True)
        if args.shown and kind.startswith("sr"):
            pictures(args, kind)
    print("\n".join(lines))
    (args.out / "restoration.json").write_text(json.dumps(rows, indent=1))
    (args.out / "restoration-table.md").write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["rice1", "rice2", "sr2", "sr4"])
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--only", nargs="+", help="these rows of the table")
    parser.add_argument("--gather", action="store_true", help="make tables and pictures from the runs that are there")
    parser.add_argument("--shown", type=Path, help="folder of frames for the pictures, whose licence allows it")
    parser.add_argument("--draw", action="store_true", help="make the picture of --set alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--scale", default="t")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=64, help="side of the training patches in pixels of the input")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/restoration"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.gather:
        gather(args)
        return
    if args.draw:
        pictures(args, args.set)
        return
    data = prepare(args)
    for seed in args.seeds:
        for name in args.only or networks(args):
            row_of(name, seed, data, args)


if __name__ == "__main__":
    main()

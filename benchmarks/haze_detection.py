"""Does dehazing help detection? Vehicles in aerial pictures, hazed by the scattering model at three densities.

A detector learns on clear, on hazy and on dehazed pictures, each time from scratch with the same schedule, and is
tested on clear and hazy pictures of a sequence that nobody has seen, as they are and after each enhancer.

    python benchmarks/haze_detection.py --pictures aerial-cars --prepare
    python benchmarks/haze_detection.py --enhancers
    python benchmarks/haze_detection.py --arm clear --seeds 0 1 2      # and hazy, enhanced; one process each
    python benchmarks/haze_detection.py --gather

``--pictures`` is a folder with pictures and YOLO labels beside them (aerial-cars-dataset as it is; others with
``--test`` and ``--half``). All objects are one class. On a GPU: ``--device 0 --scale n --enhancer-epochs 300 --epochs
100``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import yaml
from chips import cut, save, spread

CHIP, STEP = 320, 288  # px
DENSITIES = ("light", "medium", "dense")
ENHANCERS = {"dcp": "dcp.yaml", "aod": "aod-net.yaml", "dwtma": "dwtma-net.yaml"}
ARMS = {"clear": "clear", "hazy": "mixed", "enhanced": "mixed-dwtma"}  # arm -> training pictures


def read(folder: Path, halved: str) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Name, BGR picture and boxes (N, 4) xyxy in pixels of every labelled picture."""
    out = []
    for label in sorted(folder.glob("*.txt")):
        image = next((p for s in (".jpg", ".png") if (p := label.with_suffix(s)).is_file()), None)
        if image is None:
            continue
        picture = cv2.imread(str(image))
        if halved and label.name.startswith(halved):
            picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        h, w = picture.shape[:2]
        rows = np.array([[float(v) for v in line.split()[1:5]] for line in label.read_text().splitlines()])
        centre, half = rows.reshape(-1, 4)[:, :2] * [w, h], rows.reshape(-1, 4)[:, 2:] * [w, h] / 2
        out.append((label.stem, picture, np.concatenate([centre - half, centre + half], 1)))
    return out


def rng_of(name: str) -> np.random.Generator:
    """Random numbers that depend on the name alone."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def hazed(picture: np.ndarray, density: str, rng: np.random.Generator) -> np.ndarray:
    """A BGR picture seen through haze."""
    from rsdet.data.degrade import build_degradation

    haze = build_degradation({"name": "haze", "density": density}, 1)
    rgb = picture[..., ::-1].astype(np.float32) / 255
    return np.clip(np.round(haze(rgb, rng)[..., ::-1] * 255), 0, 255).astype(np.uint8)


def prepare(args: argparse.Namespace) -> None:
    """Write clear, hazed and mixed pictures. Every picture has haze of its own, the same for all arms and seeds."""
    shutil.rmtree(args.data, ignore_errors=True)
    counts = {"train chips": 0, "train objects": 0, "test pictures": 0, "test objects": 0}
    for name, picture, boxes in read(args.pictures, args.half):
        if name.startswith(args.test):
            save(args.data / "clear", "test", name, picture, boxes)
            for density in DENSITIES:
                save(args.data / density, "test", name, hazed(picture, density, rng_of(name)), boxes)
            counts["test pictures"] += 1
            counts["test objects"] += len(boxes)
            continue
        for place, chip, inside in cut(picture, boxes, CHIP, STEP):
            rng = rng_of(f"{name}_{place}")
            if len(inside) == 0 and rng.random() < 0.5:  # most of what is left shows fields
                continue
            save(args.data / "clear", "train", f"{name}_{place}", chip, inside)
            density = ("clear", *DENSITIES)[rng.integers(4)]
            seen = chip if density == "clear" else hazed(chip, density, rng)
            save(args.data / "mixed", "train", f"{name}_{place}", seen, inside)
            counts["train chips"] += 1
            counts["train objects"] += len(inside)
    (args.data / "counts.json").write_text(json.dumps(counts))
    print(counts)


def data_yaml(args: argparse.Namespace, train: str, test: str) -> Path:
    """Data YAML of two folders of the prepared pictures."""
    file = args.data / f"{train}-{test}.yaml"
    spec = {
        "path": str(args.data),
        "train": f"{train}/images/train",
        "val": f"{test}/images/test",
        "names": {0: "vehicle"},
    }
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    return file


def enhancers(args: argparse.Namespace) -> None:
    """Train the networks on hazed training chips, then write every hazy picture once more, enhanced."""
    from rsdet import RSDet

    spec = {
        "task": "restore", "kind": "dehaze", "path": str(args.data), "train": {"target": "clear/images/train"},
        "val": {"input": "medium/images/test", "target": "clear/images/test"},
        "degrade": {"name": "haze", "t": [0.15, 0.95]},
    }  # fmt: skip
    file = args.data / "restore.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    for name, model_yaml in ENHANCERS.items():
        weights = args.work / f"enhancer-{name}" / "weights" / "last.pt"
        if model_yaml != "dcp.yaml" and not weights.is_file():
            scale = {"scale": args.enhancer_scale} if name == "dwtma" else {}
            RSDet(model_yaml, **scale).train(
                data=file, epochs=args.enhancer_epochs, batch=8, patch=96, device=args.device, workers=0, plots=False,
                val=False, project=str(args.work), name=f"enhancer-{name}", exist_ok=True, seed=0, recipe="none",
                optimizer="Adam", lr0=1e-3, lrf=0.01, cos_lr=True, warmup_epochs=0, weight_decay=0.0,
            )  # fmt: skip
        model = RSDet(model_yaml if model_yaml == "dcp.yaml" else weights)
        sets = [("clear", "test"), *((d, "test") for d in DENSITIES)] + [("mixed", "train")] * (name == "dwtma")
        for folder, split in sets:
            target = args.data / f"{folder}-{name}"
            shutil.rmtree(target, ignore_errors=True)
            model.predict(
                source=args.data / folder / "images" / split, device=args.device, project=str(target / "images"),
                name=split, exist_ok=True, save=True, verbose=False, **({} if name == "dcp" else {"tile": 960}),
            )  # fmt: skip
            shutil.copytree(args.data / folder / "labels" / split, target / "labels" / split)


def train(arm: str, seed: int, args: argparse.Namespace) -> None:
    """Train one detector, test its last weights on everything it can meet, write one row."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{arm}-seed{seed}"
    out = args.work / f"{label}.json"
    weights = args.work / label / "weights" / "last.pt"
    if not weights.is_file():
        RSDet("sar-ship-ablate-base.yaml", scale=args.scale).train(
            data=data_yaml(args, ARMS[arm], "clear"), epochs=args.epochs, imgsz=CHIP, batch=args.batch, nbs=args.batch,
            recipe="none", device=args.device, optimizer="AdamW", lr0=2e-3, lrf=0.02, cos_lr=True, warmup_epochs=1,
            warmup_bias_lr=0.0, weight_decay=5e-4, mosaic=0.0, scale=0.3, translate=0.1, erasing=0.0, rot90=0.5,
            fliplr=0.5, flipud=0.5, patience=0, plots=False, val=False, workers=args.workers, project=str(args.work),
            name=label, exist_ok=True, seed=seed, amp=False,
        )  # fmt: skip
    model = RSDet(weights)
    row = {"arm": arm, "seed": seed, "ap": {}, "ap50": {}}
    for folder in ("clear", *DENSITIES):
        ways = ["", *(f"-{e}" for e in ENHANCERS)] if arm == "clear" else [""] if arm == "hazy" else ["-dwtma"]
        for way in ways:
            if not (args.data / f"{folder}{way}").is_dir():
                continue
            begin = time.time()
            found = model.val(
                data=data_yaml(args, ARMS[arm], f"{folder}{way}"), imgsz=args.imgsz, batch=1, device=args.device,
                protocol="coco", plots=False, project=str(args.work), name=f"{label}-test", exist_ok=True, workers=0,
            ).protocol_metrics  # fmt: skip
            row["ap"][f"{folder}{way}"], row["ap50"][f"{folder}{way}"] = found.ap, found.ap50
            print(f"{label} {folder}{way}: AP50 {found.ap50:.3f} ({time.time() - begin:.0f} s)")
    row["command"], row["hardware"] = shown_command(sys.argv), describe(args.device)
    row["settings"] = {
        k: str(getattr(args, k)) for k in ("scale", "epochs", "batch", "enhancer_scale", "enhancer_epochs")
    }
    out.write_text(json.dumps(row, indent=1))


def gather(args: argparse.Namespace) -> None:
    """One table: rows are what was learnt and what is done to the picture, columns the haze."""
    rows = [json.loads(f.read_text()) for f in sorted(args.work.glob("*-seed*.json"))]
    done = {"": "nothing", "-dcp": "dark channel prior", "-aod": "AOD-Net", "-dwtma": "DWTMA-Net"}
    table = ["| trained on | done to the picture | clear | light | medium | dense |", "| --- " * 6 + "|"]
    for arm in ARMS:
        runs = [r for r in rows if r["arm"] == arm]
        for way, said in done.items():
            cells = [[r["ap50"].get(f"{d}{way}") for r in runs] for d in ("clear", *DENSITIES)]
            if runs and None not in cells[0]:
                table.append(f"| {arm} pictures | {said} | {' | '.join(spread(c) for c in cells)} |")
    print("\n".join(table))
    args.out.mkdir(parents=True, exist_ok=True)
    counts = json.loads((args.data / "counts.json").read_text())
    quality = {f.stem: json.loads(f.read_text()) for f in args.work.glob("quality*.json")}
    (args.out / f"{args.name}.json").write_text(json.dumps({"data": counts, "runs": rows, **quality}, indent=1))
    (args.out / f"{args.name}-table.md").write_text("\n".join(table) + "\n")
    picture(args)


def picture(args: argparse.Namespace) -> None:
    """What the detector of clear pictures finds in a dense haze, without and with the enhancer before it."""
    from rsdet import RSDet
    from rsdet.tasks.detect.visual import draw

    seed = args.seeds[0]
    model = RSDet(args.work / f"clear-seed{seed}" / "weights" / "last.pt")
    file = sorted((args.data / "dense" / "images" / "test").iterdir())[0]
    weights = args.work / "enhancer-dwtma" / "weights" / "last.pt"
    shown = []
    for chain in ({}, {"enhance": str(weights), "enhance_tile": 960}):
        (found,) = model.predict(
            file, imgsz=args.imgsz, conf=0.3, save=False, verbose=False, device=args.device, **chain
        )
        boxes = found.boxes.cpu().numpy()
        seen = found.orig_img
        if chain:
            seen = cv2.imread(str(args.data / "dense-dwtma" / "images" / "test" / file.name))
        shown.append(draw(seen, boxes.xyxy, boxes.conf, boxes.cls.astype(int), found.names, labels="none"))
        print(f"{file.name} {chain or 'as it is'}: {len(boxes)} objects")
    cv2.imwrite(str(args.out / f"{args.name}.jpg"), np.vstack(shown), [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder with pictures and labels, for --prepare")
    parser.add_argument("--test", default="DJI-00760", help="pictures so named are for testing: a sequence, not frames")
    parser.add_argument(
        "--half", default="DJI", help="pictures so named are halved first; vehicles of 55 px; '' for none"
    )
    parser.add_argument("--imgsz", type=int, default=960, help="side of the test pictures")
    parser.add_argument("--name", default="haze-detection", help="stem of the results")
    parser.add_argument("--prepare", action="store_true", help="write the data set and stop")
    parser.add_argument("--enhancers", action="store_true", help="train the enhancers, write the enhanced pictures")
    parser.add_argument("--gather", action="store_true", help="make the table from the runs that are there")
    parser.add_argument("--arm", choices=ARMS, help="train this one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scale", default="t")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--enhancer-scale", default="t")
    parser.add_argument("--enhancer-epochs", type=int, default=30)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/haze-detection"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    args.data = args.work / "data"
    args.work.mkdir(parents=True, exist_ok=True)
    if args.prepare:
        prepare(args)
    elif args.enhancers:
        enhancers(args)
    elif args.gather:
        gather(args)
    else:
        for seed in args.seeds:
            for arm in [args.arm] if args.arm else ARMS:
                train(arm, seed, args)


if __name__ == "__main__":
    main()

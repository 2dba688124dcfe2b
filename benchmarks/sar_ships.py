"""Ships on real SAR pixels: the detector, the detector without each of its parts, the plain baseline, and CFAR.

A small experiment: 24 chips of HRSID (47 ships). Half of the scenes is for training, together with rendered scenes; the
others are for testing, at native resolution. Same data, schedule and seeds for every model.

    python benchmarks/sar_ships.py --masks hrsid-ship --prepare
    python benchmarks/sar_ships.py --masks hrsid-ship --only full --seeds 0 1 2     # one process per model
    python benchmarks/sar_ships.py --masks hrsid-ship --gather
    python benchmarks/sar_ships.py --masks hrsid-ship --draw        # the pictures alone

``--masks`` is a folder with ``images/`` and ``masks/``, names beginning with the scene. HRSID states no licence for its
images, so that the pictures show rendered scenes. On a GPU: ``--device 0
--scale n --rendered 2000 --epochs 100``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import yaml
from chips import cut, save, spread

TEST_SCENES = ("P0005", "P0007", "P0013", "P0015")  # 12 of 24 chips; tiles of one scene overlap, so scenes are split
CHIP, STEP = 320, 240  # px; training chips cut from the 800 px chips of HRSID
# Chosen on P0001, P0003 and P0004, which are among the training scenes; os has the defaults of cfar.yaml.
CFAR = {"ca": {"guard": 51, "background": 91, "pfa": 1e-6, "closing": 1, "min_length": 16.0}, "os": {}}
PICTURES = (1_000_005, 1_000_003, 1_000_024)  # seeds of rendered scenes: swell, wind sea, coast; none for training
VARIANTS = {
    "full": "sar-ship.yaml",
    "without Wise-IoU": "sar-ship-ablate-sh.yaml",
    "without shuffle attention": "sar-ship-ablate-wh.yaml",
    "without context head": "sar-ship-ablate-ws.yaml",
    "baseline": "sar-ship-ablate-base.yaml",
}


def boxes_of(mask: Path) -> np.ndarray:
    """Boxes (N, 4) xyxy in pixels around the 8-connected regions of a mask."""
    ship = (cv2.imread(str(mask)).max(2) > 127).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ship, connectivity=8)
    x, y, w, h = stats[1:, :4].T
    return np.stack([x, y, x + w, y + h], 1).astype(float)


def as_hrsid(amplitude: np.ndarray, median: float) -> np.ndarray:
    """Linear amplitude cut at 8 bits, as HRSID's chips are, with a median of `median`."""
    gain = median / max(float(np.median(amplitude)), 1.0)
    return np.clip(amplitude * gain, 0, 255).astype(np.uint8)


def prepare(args: argparse.Namespace) -> None:
    """Write the data set: real and rendered training chips, whole test chips."""
    from rsdet.data.sar_scenes import render_sar_scene

    shutil.rmtree(args.data, ignore_errors=True)
    counts = {"train chips": 0, "train ships": 0, "test chips": 0, "test ships": 0}
    for image in sorted((args.masks / "images").iterdir()):
        gray, boxes = cv2.imread(str(image), 0), boxes_of(args.masks / "masks" / f"{image.stem}.png")
        if image.name.startswith(TEST_SCENES):
            save(args.data, "test", image.stem, gray, boxes)
            counts["test chips"] += 1
            counts["test ships"] += len(boxes)
            continue
        counts["train ships"] += len(boxes)
        for place, chip, inside in cut(gray, boxes, CHIP, STEP):
            for copy in range(args.repeat if len(inside) else 1):  # few chips show a ship
                save(args.data, "train", f"{image.stem}_{place}_{copy}", chip, inside)
                counts["train chips"] += 1
    rng = np.random.default_rng(0)
    for seed in range(args.rendered):
        scene = render_sar_scene(seed, CHIP)
        gray = as_hrsid(scene.amplitude, rng.uniform(8, 50))  # its seas are at 5 to 60
        save(args.data, "train", f"rendered_{seed}", gray, scene.boxes_xyxy.astype(float))
    counts["rendered scenes"] = args.rendered
    spec = {"path": str(args.data), "train": "images/train", "val": "images/test", "names": {0: "ship"}, **SAR}
    (args.data / "data.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    (args.data / "counts.json").write_text(json.dumps(counts))
    print(counts)


SAR = {"sar": {"quantity": "amplitude", "units": "linear", "stretch": "none"}}


def train(variant: str, seed: int, args: argparse.Namespace) -> None:
    """Train one model, test its last weights, write one row."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{variant.replace(' ', '-')}-seed{seed}"
    out = args.work / f"{label}.json"
    if out.is_file():
        print(f"{out} is there")
        return
    model = RSDet(VARIANTS[variant], scale=args.scale)
    begin = time.time()
    model.train(
        data=args.data / "data.yaml", epochs=args.epochs, imgsz=CHIP, batch=args.batch, nbs=args.batch, recipe="none",
        device=args.device, optimizer="AdamW", lr0=1e-3, lrf=0.02, cos_lr=True, warmup_epochs=1, warmup_bias_lr=0.0,
        weight_decay=5e-4, mosaic=0.0, scale=0.3, translate=0.1, erasing=0.0, speckle=8.0, rot90=0.5, fliplr=0.5,
        flipud=0.5, hsv_h=0.0, hsv_s=0.0, hsv_v=0.0, patience=0, plots=False, val=False, workers=args.workers,
        project=str(args.work), name=label, exist_ok=True, seed=seed, amp=False,
    )  # fmt: skip
    seconds = time.time() - begin
    last = RSDet(args.work / label / "weights" / "last.pt")
    row = {"variant": variant, "seed": seed, "train_seconds": round(seconds), **test(last, label, args)}
    cost = last.info(verbose=False)
    row |= {"params_m": round(cost["params"] / 1e6, 3), "gflops_640": round(cost["gflops_legacy"], 3)}
    row["command"], row["hardware"] = shown_command(sys.argv), describe(args.device)
    row["settings"] = {k: str(getattr(args, k)) for k in ("scale", "epochs", "batch", "rendered", "repeat")}
    out.write_text(json.dumps(row, indent=1))


def test(model: object, label: str, args: argparse.Namespace) -> dict:
    """Accuracy on the whole test chips, protocol coco."""
    metrics = model.val(
        data=args.data / "data.yaml", imgsz=800, batch=1, device=args.device, protocol="coco", plots=False,
        project=str(args.work), name=f"{label}-test", exist_ok=True, workers=0,
    )  # fmt: skip
    coco = metrics.protocol_metrics
    return {"ap": coco.ap, "ap50": coco.ap50, "recall": float(metrics.box.mr), "precision": float(metrics.box.mp)}


def gather(args: argparse.Namespace) -> None:
    """Mean and spread over the seeds, and CFAR beside them."""
    from rsdet import RSDet

    rows = [json.loads(f.read_text()) for f in sorted(args.work.glob("*-seed*.json"))]
    table = ["| model | parameters (M) | GFLOPs at 640 | seeds | AP | AP50 |", "| --- | --- | --- | --- | --- | --- |"]
    for variant in VARIANTS:
        runs = [r for r in rows if r["variant"] == variant]
        if runs:
            cells = [variant, f"{runs[0]['params_m']:.2f}", f"{runs[0]['gflops_640']:.2f}", str(len(runs))]
            table.append(f"| {' | '.join(cells + [spread([r[k] for r in runs]) for k in ('ap', 'ap50')])} |")
    cfar = {}
    for method, settings in CFAR.items():
        cfar[method] = test(RSDet("cfar", method=method, **settings), f"cfar-{method}", args)
        table.append(f"| {method.upper()}-CFAR | - | - | - | {cfar[method]['ap']:.3f} | {cfar[method]['ap50']:.3f} |")
    print("\n".join(table))
    args.out.mkdir(parents=True, exist_ok=True)
    counts = json.loads((args.data / "counts.json").read_text())
    (args.out / "sar-ships.json").write_text(json.dumps({"data": counts, "runs": rows, "cfar": cfar}, indent=1))
    (args.out / "sar-ships-table.md").write_text("\n".join(table) + "\n")
    pictures(args)


def pictures(args: argparse.Namespace) -> None:
    """Detections of the full model of the first seed on rendered scenes.

    The scenes are dark; for the eye their decibels are stretched between two percentiles. The model saw them as is.
    """
    from rsdet import RSDet
    from rsdet.data.sar_scenes import render_sar_scene
    from rsdet.tasks.detect.visual import draw

    model = RSDet(args.work / f"full-seed{args.seeds[0]}" / "weights" / "last.pt")
    for number, seed in enumerate(PICTURES):
        file, gray = args.work / "seen.png", as_hrsid(render_sar_scene(seed, 800).amplitude, 25)
        cv2.imwrite(str(file), gray)
        (found,) = model.predict(file, imgsz=800, conf=0.3, save=False, verbose=False)
        decibels = 20 * np.log10(gray + 1.0)
        low, high = np.percentile(decibels, [1, 99.8])
        shown = np.clip((decibels - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        boxes = found.boxes.cpu().numpy()
        drawn = draw(np.repeat(shown[..., None], 3, 2), boxes.xyxy, boxes.conf, boxes.cls.astype(int), found.names)
        cv2.imwrite(str(args.out / f"sar-ships-rendered-{number}.jpg"), drawn, [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=Path, required=True, help="folder with images/ and masks/")
    parser.add_argument("--prepare", action="store_true", help="write the data set and stop")
    parser.add_argument("--gather", action="store_true", help="make the table from the runs that are there")
    parser.add_argument("--draw", action="store_true", help="make the pictures from the run that is there")
    parser.add_argument("--only", choices=VARIANTS, help="train this one")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scale", default="t")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rendered", type=int, default=160)
    parser.add_argument("--repeat", type=int, default=3, help="times that a real chip with a ship is in an epoch")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/sar-ships"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    args.data = args.work / "data"
    args.work.mkdir(parents=True, exist_ok=True)
    if args.prepare:
        prepare(args)
    elif args.gather:
        gather(args)
    elif args.draw:
        pictures(args)
    else:
        for seed in args.seeds:
            for variant in [args.only] if args.only else VARIANTS:
                train(variant, seed, args)


if __name__ == "__main__":
    main()

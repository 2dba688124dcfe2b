"""Trains the small weights of the zoo on data that anyone can get: vehicles, ships, dehazing, super-resolution.

    python benchmarks/zoo_small.py yolo11n-vehicles --work zoo-small   # again, until it is done
    python benchmarks/zoo_small.py all --work zoo-small

A training that was stopped goes on where it was. What comes out lies in ``--work/NAME``: the weights in half precision
and their card, measured as ``zoo.py`` measures them again. What the pictures of failures show is to be written into it
by who has looked at them. Vehicles are trained on tiles of the pictures at full resolution, and measured on whole
pictures; ships on rendered scenes, whose seeds those of ``data=demo-sar`` never meet.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from failures import OUT, SHOWN, failures

CREDIT = "aerial-cars-dataset, Yauhen Kharuzhy and the Minsk OSM community, CC BY-SA; KIT AIS data set, CC BY 3.0"
AERIAL = {
    "name": "aerial-cars", "source": "https://github.com/jekhor/aerial-cars-dataset",
    "licence": "CC BY-SA, CC BY 3.0", "credit": CREDIT,
}  # fmt: skip
DIVISION = "one place held back: 8 pictures to validate, 106 of other places to train on"
RENDERED = {
    "name": "demo-sar", "source": "scenes that this package renders (rsdet.data.sar_scenes, seed 7), 1,200 to train on",
    "licence": "AGPL-3.0-or-later, as the code that draws them",
}  # fmt: skip
DETECT = dict(
    imgsz=320, batch=16, nbs=16, optimizer="AdamW", lr0=2e-3, lrf=0.02, cos_lr=True, warmup_epochs=1,
    warmup_bias_lr=0.0, weight_decay=5e-4, mosaic=0.0, translate=0.1, erasing=0.0, fliplr=0.5, flipud=0.5, rot90=0.5,
)  # fmt: skip
RESTORE = dict(batch=8, nbs=8, cache="ram", optimizer="Adam", momentum=0.9, weight_decay=0.0, cos_lr=True, lrf=0.01)


def tiles(work: Path) -> Path:
    """Tiles of aerial-cars at full resolution, one without a vehicle for every four with some."""
    from rsdet.data.convert import convert
    from rsdet.data.resolve import resolve_data

    source = resolve_data("aerial-cars").parent
    return convert(source, "yolo", work / "tiles", tile=320, overlap=64, empty=0.25, progress=False).data_yaml


def ships(work: Path) -> Path:
    """Rendered SAR scenes."""
    from rsdet.data.demo_sar import make_demo_sar

    return make_demo_sar(work / "ships", n_train=1200, n_val=60, seed=7, progress=False)


@dataclass(frozen=True)
class Small:
    """What is trained: the network, on what, how, and what its card says.

    Attributes:
        model: YAML.
        about: What it is for, in one line.
        data: Name of the set that it is measured on, and trained on unless ``train_on`` makes another of it.
        settings: Of the training.
        facts: Of the card: ``data``, ``split``, ``intended_use``.
        variables: Of the YAML.
        train_on: Makes the set to train on.
        sides: Of the inputs that it is measured with, in pixels; the first is what its weights say of themselves.
        baseline: YAML of something that learns nothing, measured beside it.
    """

    model: str
    about: str
    data: str
    settings: dict[str, Any]
    facts: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    train_on: Callable[[Path], Path] | None = None
    sides: tuple[int, ...] = ()
    baseline: str = ""


STREETS = {"data": AERIAL, "split": DIVISION}
HAZE = STREETS | {
    "intended_use": "thin and middling haze on colour pictures of streets and roofs from above, and a start for "
    "trainings; its haze was computed, so nothing is known of real haze"
}
SHARP = STREETS | {
    "intended_use": "colour pictures of streets and roofs that were made small, and a start for trainings; what it "
    "adds looks likely and need not be true, so not for reading plates or counting what cannot be seen"
}
SMALL = {
    "yolo11n-vehicles": Small(
        "yolo11n.yaml", "vehicles on streets, in colour pictures of drones and aircraft, boxes", "aerial-cars",
        DETECT | {"epochs": 10, "scale": 0.5, "recipe": "none"},
        STREETS | {"intended_use": "cars that are about 30 to 60 pixels long in colour pictures (medians of what it "
                   "has learnt on: 35 and 57); larger pictures with tile=640. Few places have been seen, so "
                   "other towns, snow and night may look different to it"},
        train_on=tiles, sides=(1280, 1920),
    ),
    "sar-ship-t-rendered": Small(
        "sar-ship.yaml", "ships in rendered SAR scenes of 2 to 7 m a pixel, 16 bits, boxes", "demo-sar",
        DETECT | {"epochs": 8, "scale": 0.3, "recipe": "none", "speckle": 8.0, "hsv_h": 0.0, "hsv_s": 0.0,
                  "hsv_v": 0.0},
        {"data": RENDERED, "split": "seed 7 to train on; data=demo-sar, whose scenes have other seeds, to measure on",
         "intended_use": "trying, teaching, and a start for trainings on real SAR pictures: it has seen rendered ones "
         "only, with amplitudes of 16 bits, and takes files of no other kind"},
        variables={"scale": "t"}, train_on=ships, sides=(320,), baseline="cfar.yaml",
    ),
    "aod-net-haze": Small(
        "aod-net.yaml", "takes haze from colour pictures from above", "aerial-cars-haze",
        RESTORE | {"epochs": 8, "repeats": 8, "patch": 96, "lr0": 1e-3, "recipe": "none"}, HAZE,
        baseline="dcp.yaml",
    ),
    "dwtma-net-t-haze": Small(
        "dwtma-net-t.yaml", "takes haze from colour pictures from above", "aerial-cars-haze",
        RESTORE | {"epochs": 16, "repeats": 6, "patch": 96, "lr0": 1e-3, "recipe": "none"}, HAZE,
        baseline="dcp.yaml",
    ),
    "edsr-t-x2": Small(
        "edsr-t.yaml", "enlarges colour pictures from above twice", "aerial-cars-sr",
        RESTORE | {"epochs": 8, "repeats": 8, "patch": 48, "lr0": 5e-4, "recipe": "none"}, SHARP, {"upscale": 2},
    ),
    "mfg-hmoe-t-x2": Small(
        "mfg-hmoe-t.yaml", "enlarges colour pictures from above twice", "aerial-cars-sr",
        RESTORE | {"epochs": 8, "repeats": 8, "patch": 48, "lr0": 5e-4, "recipe": "none"}, SHARP, {"upscale": 2},
    ),
}  # fmt: skip


def train(name: str, work: Path) -> Path:
    """Train, or go on; returns the last weights."""
    from rsdet import RSDet

    small, run = SMALL[name], work / name / "run"
    last = run / "weights" / "last.pt"
    if (work / name / "trained").is_file():
        return last
    began = time.time()
    if last.is_file():
        RSDet(last).train(resume=True)
    else:
        data = small.train_on(work) if small.train_on else small.data
        RSDet(small.model, **small.variables).train(
            data=data, **small.settings, seed=0, val=False, plots=False, workers=0, patience=10_000, device="cpu",
            project=str(run.parent), name=run.name, exist_ok=True,
        )  # fmt: skip
    (work / name / "trained").write_text(f"{(time.time() - began) / 60:.0f} minutes in the last call\n")
    return last


def measure(name: str, last: Path, work: Path) -> None:
    """Write weights and card, and draw what they get wrong."""
    from rsdet import RSDet
    from rsdet.checkpoint import save_plain
    from rsdet.data.resolve import resolve_data

    small, restores = SMALL[name], not SMALL[name].sides
    trained = RSDet(last).model
    trained.args = {"imgsz": small.settings["patch"] if restores else small.sides[0]}
    file = save_plain(trained, work / name / name, half=True)
    model = RSDet(file)
    keys = {"data": small.data, "split": "val", "project": str(work / name), "name": "val", "exist_ok": True}
    results = []
    if restores:
        found = model.val(**keys)
        same = {"data": small.data, "split": "val", "images": found.after["images"], "protocol": found.convention}
        values = {"psnr_db": round(float(found.after["psnr"]), 4), "ssim": round(float(found.after["ssim"]), 4)}
        before = f"the input has PSNR {found.before['psnr']:.2f} dB, SSIM {found.before['ssim']:.4f}"
        if small.baseline:
            simple = RSDet(small.baseline).val(**keys).after
            before += f"; {small.baseline} makes {simple['psnr']:.2f} dB and {simple['ssim']:.4f} of it"
        results.append({**same, "imgsz": "whole pictures", **values, "beside": before})
        pictures = strips(name, model)
    else:
        keys |= {"batch": 1, "protocol": "coco", "plots": False, "workers": 0}
        for side in small.sides:
            found = model.val(**keys, imgsz=side).protocol_metrics
            row = {"data": small.data, "split": "val", "images": found.n_images, "protocol": "coco", "imgsz": side}
            results.append(row | {"AP": round(float(found.ap), 4), "AP50": round(float(found.ap50), 4)})
            if small.baseline:
                simple = RSDet(small.baseline).val(**keys, imgsz=side).protocol_metrics
                results[-1]["beside"] = f"{small.baseline} has AP {simple.ap:.4f}, AP50 {simple.ap50:.4f}"
        folder = resolve_data(small.data).parent
        pictures = failures(model, folder, "val", small.sides[0], name, every=1)
    card = {
        "task": model.task, "about": small.about,
        "model": small.model + (f":{s}" if (s := small.variables.get("scale")) else ""),
        "imgsz": small.sides[0] if small.sides else small.settings["patch"], "licence": "AGPL-3.0-or-later",
        **small.facts,
        "command": f"python benchmarks/zoo_small.py {name}", "seeds": [0], "results": results,
        "curve": losses(work / name / "run" / "results.csv"),
        "failures": {"words": "TO BE WRITTEN: what the pictures show", "pictures": pictures},
    }  # fmt: skip
    (work / name / f"{name}.yaml").write_text(yaml.safe_dump(card, sort_keys=False, width=118))
    print(f"{name}: {results}")


def losses(table: Path) -> dict[str, Any]:
    """The first loss of a training by epoch: validated was at the end alone."""
    with table.open() as f:
        rows = [{k.strip(): v for k, v in row.items()} for row in csv.DictReader(f)]
    key = next(k for k in rows[0] if k.startswith("train/"))
    values = [float(row[key]) for row in rows]
    measure = f"{key.removeprefix('train/')} of the training; validated at the end alone"
    return {"measure": measure, "epochs": [int(row["epoch"]) for row in rows], "values": values}


def strips(name: str, model: Any) -> list[str]:
    """Given, made and true, side by side, of the middles of pictures that were held back."""
    from rsdet.data.pairs.spec import read_pair_data
    from rsdet.data.raster_io import read_image
    from rsdet.data.resolve import resolve_data

    data = read_pair_data(resolve_data(SMALL[name].data), splits=["val"])
    scale = SMALL[name].variables.get("upscale", 1)
    make, files = data.degradation(scale), []
    for n, pair in enumerate(data.split("val")[::2][:SHOWN]):
        true, _ = read_image(pair.target)
        top, left = (true.shape[0] // 2 - 160) // 2 * 2, (true.shape[1] // 2 - 160) // 2 * 2
        true = true[top : top + 320, left : left + 320]
        given = make(true, np.random.default_rng(n))
        picture = np.clip(np.round(given * 255), 0, 255).astype(np.uint8)
        (made,) = model.predict(picture, save=False, verbose=False)
        shown = [cv2.resize(p, (320, 320), interpolation=cv2.INTER_NEAREST) for p in (given, made.image, true)]
        file = OUT / f"{name}-{n}.jpg"
        strip = np.clip(np.hstack(shown)[..., ::-1] * 255, 0, 255).astype(np.uint8)
        cv2.imwrite(str(file), strip, [cv2.IMWRITE_JPEG_QUALITY, 88])
        files.append(f"benchmarks/results/zoo/{file.name}")
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=[*SMALL, "all"])
    parser.add_argument("--work", type=Path, default=Path("zoo-small"))
    args = parser.parse_args()
    work = args.work.absolute()
    for name in SMALL if "all" in args.names else args.names:
        measure(name, train(name, work), work)


if __name__ == "__main__":
    main()

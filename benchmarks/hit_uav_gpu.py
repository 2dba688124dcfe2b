"""VMC-DETR beside RT-DETR-R18 at full scale and 640 px on all of HIT-UAV: for a GPU, the same minutes for each model.

    python benchmarks/hit_uav_gpu.py pack --source HIT-UAV --pictures hit-uav.zip   # anywhere: one file below 50 MiB
    python benchmarks/hit_uav_gpu.py latency                                        # on a calm machine, one thread
    python benchmarks/hit_uav_gpu.py run --pictures hit-uav.zip --minutes 60        # where the GPU is

`run` unpacks, trains one model after the other, measures each on the owner's test split and writes rows, curves and the
table. Both families train by the paper's recipe with the same settings: a quarter of the minutes backbone and neck
under a dense YOLO head, which gives every pixel a gradient, the rest under the decoder, from those weights. How many
epochs fit is found on the way, and the learning rates follow. A run that was stopped is run again: it goes on after its
last whole epoch with the minutes that were left. The pictures are re-encoded (grey, as they are), which every row says.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hit_uav_zoo import RESULTS, Network, dense_twin, latencies
from rows import once, rows_in

SIZE = 640
LIMIT = 50 * 2**20  # bytes of the packed file
QUALITIES = range(95, 20, -1)
NETWORKS = {  # GFLOPs with 80 classes at 640 px, legacy
    "rtdetr-r18": Network("rtdetr-r18.yaml", "l"),  # 58.6
    "vmc-detr-flops": Network(  # 58.8; widths are multiples of 8, which suit vector units
        "vmc-detr.yaml", "l", {"w1": 56, "w2": 112, "w3": 232, "w4": 464, "w5": 928, "neck": 232}
    ),
    "vmc-detr-latency": Network(  # 56.0: between m and l, whose throughputs on a calm CPU are 1.3 and 0.81 of RT-DETR's
        "vmc-detr.yaml", "l", {"w1": 56, "w2": 112, "w3": 224, "w4": 448, "w5": 896, "neck": 224}
    ),
    "vmc-detr-m": Network("vmc-detr.yaml", "m"),  # 43.2
    "vmc-detr-lite": Network("vmc-detr-lite.yaml", "l"),  # 59.8
    "vmc-detr": Network("vmc-detr.yaml", "l"),  # 70.7, the paper's
}
DEFAULT = ("rtdetr-r18", "vmc-detr-flops", "vmc-detr-latency")


# -- one file -----------------------------------------------------------------------------------------------------


def encoded(file: Path, quality: int) -> tuple[bytes, float]:
    """A picture as grey JPEG, and its PSNR in dB."""
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    data = cv2.imencode(".jpg", picture, settings)[1]
    return data.tobytes(), cv2.PSNR(picture, cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))


def pack(args: argparse.Namespace) -> None:
    """Convert the owner's files and pack them at the highest quality of JPEG that fits."""
    from rsdet.data.convert import convert

    folder = args.work / "detect"
    if not (folder / "detect.yaml").is_file():
        print(convert(args.source, "hit-uav", folder, task="detect").summary())
    pictures = sorted((folder / "images").rglob("*.jpg"))
    others = [f for name in ("labels", "ignore") for f in sorted((folder / name).rglob("*.txt"))]
    others += [folder / "detect.yaml"]
    sample = pictures[:: max(len(pictures) // 50, 1)]
    fits = 0.98 * args.limit - sum(f.stat().st_size for f in others)  # 0.98: the sample is one
    for quality in QUALITIES:
        if len(pictures) / len(sample) * sum(len(encoded(f, quality)[0]) + 200 for f in sample) > fits:
            continue
        part, psnr = args.pictures.with_suffix(".part"), []
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for f in others:
                archive.write(f, f.relative_to(folder))
            for f in pictures:
                data, db = encoded(f, quality)
                archive.writestr(str(f.relative_to(folder)), data, zipfile.ZIP_STORED)
                psnr.append(min(db, 100.0))
            note = {"pictures": len(pictures), "jpeg_quality": quality, "psnr_db": round(float(np.mean(psnr)), 2)}
            archive.writestr("packed.json", json.dumps(note))
        if (size := part.stat().st_size) < args.limit:
            os.replace(part, args.pictures)
            print(f"{args.pictures}: {size / 2**20:.1f} MiB, {note}")
            return
        part.unlink()
    raise SystemExit(f"{len(pictures)} pictures do not fit into {args.limit / 2**20:.1f} MiB at any quality")


def unpacked(args: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """The data YAML of the packed file, and what the file says of itself."""
    from rsdet.data.archives import unpack

    folder = args.work / f"{args.pictures.stem}-{args.pictures.stat().st_size}"
    if not (folder / "packed.json").is_file():
        unpack(args.pictures, folder)
    return (folder / "detect.yaml").absolute(), json.loads((folder / "packed.json").read_text())


# -- training -----------------------------------------------------------------------------------------------------


class Timed:
    """A training that ends when its time is up, over as many calls as it takes.

    Args:
        folder: Of the run.
        seconds: Its time, of whole epochs with their validation.

    Attributes:
        account: What the epochs that are kept in ``last.pt`` took.
    """

    def __init__(self, folder: Path, seconds: float):
        self.folder, self.file = folder, folder / "time.json"
        self.account: dict[str, Any] = {"of": seconds, "seconds": 0.0, "epochs": 0, "done": False}
        if self.file.is_file():
            self.account = json.loads(self.file.read_text())
            if self.account["of"] != seconds:
                raise SystemExit(f"{folder} is of a run with other minutes; choose another --work")

    def keep(self) -> None:
        """Write the account, whole or not at all."""
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps(self.account))
        os.replace(part, self.file)

    def train(self, fresh: Any, settings: dict[str, Any]) -> Path:
        """Begin or go on; the averaged weights at the end.

        Args:
            fresh: Makes the model to begin with.
            settings: Of the training.
        """
        from rsdet import RSDet

        last = self.folder / "weights" / "last.pt"
        if not self.account["done"]:
            begun = self.account["epochs"] and last.is_file()
            model = RSDet(last) if begun else fresh()
            if not begun or model.ckpt["epoch"] >= 0:  # -1: it was at its end, and was stopped before that was written
                model.add_callback("on_train_start", self.begin)
                model.add_callback("on_train_epoch_start", self.count_all)
                model.add_callback("on_model_save", self.saved)
                model.train(**(dict(resume=True, data=settings["data"]) if begun else settings))
            self.account["done"] = True
            self.keep()
        return last

    def begin(self, trainer: Any) -> None:
        """Count the time of earlier calls."""
        trainer.train_time_start -= self.account["seconds"]

    def count_all(self, trainer: Any) -> None:
        """Let the mean time of an epoch, from which their number follows, be that of all calls."""
        trainer.start_epoch = 0

    def saved(self, trainer: Any) -> None:
        """Note what the epochs that are kept now took."""
        self.account |= {"seconds": time.time() - trainer.train_time_start, "epochs": trainer.epoch + 1}
        self.keep()


def train(name: str, args: argparse.Namespace, data: Path) -> tuple[Path, dict[str, Any]]:
    """Train one network through both stages; its weights, and epochs and seconds of each stage."""
    from rsdet import RSDet
    from rsdet.tasks.training import transfer

    network, runs = NETWORKS[name], (args.work / "runs").absolute()
    accounts, weights = {}, None
    for stage, share in (("dense", args.dense), ("whole", 1 - args.dense)):
        if not share:
            continue
        timed = Timed(runs / f"{name}-s{args.seed}-{stage}", 60 * share * args.minutes)

        def fresh(stage: str = stage, before: Path | None = weights) -> Any:
            if stage == "dense":
                return RSDet(dense_twin(network, runs / f"{name}-dense.yaml"))
            model = RSDet(network.yaml, scale=network.scale, **network.variables)
            if before is not None:
                transfer(model.model, RSDet(before).model)
            return model

        settings = dict(
            data=str(data), time=timed.account["of"] / 3600, imgsz=args.imgsz, batch=args.batch, nbs=args.batch,
            recipe="vmc-detr-paper", cos_lr=True, flipud=0.5, hsv_h=0.0, hsv_s=0.0, device=args.device,
            workers=args.workers, seed=args.seed, patience=10_000, plots=False, project=str(runs),
            name=timed.folder.name, exist_ok=True,
        )  # fmt: skip
        weights = timed.train(fresh, settings)
        accounts[stage] = {k: round(timed.account[k], 1) for k in ("epochs", "seconds")}
    return weights, accounts


def measured(name: str, args: argparse.Namespace, data: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Train a network and measure it on the test split."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe

    weights, stages = train(name, args, data)
    model = RSDet(weights)
    found = model.val(
        data=str(data), split="test", imgsz=args.imgsz, batch=args.batch, device=args.device, protocol="coco",
        workers=args.workers, plots=False, project=str(args.work / "runs"), name=f"{name}-test", exist_ok=True,
    ).protocol_metrics  # fmt: skip
    cost = model.info(verbose=False, imgsz=args.imgsz)
    curve = weights.parents[1] / "results.csv"
    (args.keep / f"{settings['run']}-curve.csv").write_text(curve.read_text())
    return {
        "name": name, "protocol": "coco", "split": "test", "images": found.n_images,
        "AP": round(float(found.ap), 4), "AP50": round(float(found.ap50), 4),
        "params_m": round(cost["params"] / 1e6, 3), "gflops_legacy": round(cost["gflops_legacy"], 3),
        "stages": stages, "hardware": describe(args.device),
    }  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Train and measure what is not measured yet, and write the table."""
    data, packed = unpacked(args)
    args.keep.mkdir(parents=True, exist_ok=True)
    for name in args.models:
        label = f"{name}-s{args.seed}"
        settings = {
            "run": label, "minutes": args.minutes, "dense": args.dense, "imgsz": args.imgsz, "batch": args.batch,
            "seed": args.seed, "packed": packed,
        }  # fmt: skip
        once(args.keep / "rows" / f"{label}.json", settings, lambda n=name, s=settings: measured(n, args, data, s))
        table(args.keep)


def table(keep: Path) -> None:
    """Write the table of all rows that are there."""
    file = keep / "latency.json"
    ms = json.loads(file.read_text())["rows"] if file.is_file() else {}
    columns = (
        "network", "seed", "px", "minutes", "epochs, dense and whole", "M parameters", "GFLOPs, legacy",
        "time of RT-DETR-R18's", "AP test", "AP50 test",
    )  # fmt: skip
    lines = ["# HIT-UAV, all of it, from scratch at full scale", "", f"| {' | '.join(columns)} |"]
    lines.append("|" + " --- |" * len(columns))
    for row in rows_in(keep / "rows"):
        s = row["settings"]
        epochs = " + ".join(str(stage["epochs"]) for stage in row["stages"].values())
        time_of = ms.get(row["name"], {}).get("of_rtdetr_r18", "not measured")
        cells = [row["name"], s["seed"], s["imgsz"], s["minutes"], epochs, row["params_m"], row["gflops_legacy"]]
        cells += [time_of, f"{100 * row['AP']:.1f}", f"{100 * row['AP50']:.1f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "Protocol coco; pictures re-encoded, grey, as the rows say. Time: ONNX Runtime, one thread of a CPU."]
    (keep / "README.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)


def latency(args: argparse.Namespace) -> None:
    """Time all networks on one thread of the CPU, taking turns."""
    kept = latencies(NETWORKS, args.imgsz, args.work / "onnx", args.rounds, "of_rtdetr_r18")
    args.keep.mkdir(parents=True, exist_ok=True)
    (args.keep / "latency.json").write_text(json.dumps(kept, indent=1))
    print(json.dumps(kept["rows"], indent=1))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "latency", "run"))
    parser.add_argument("--source", type=Path, help="the owner's repository, for pack")
    parser.add_argument("--pictures", type=Path, default=Path("hit-uav.zip"), help="the packed file")
    parser.add_argument("--limit", type=int, default=LIMIT, help="bytes of the packed file")
    parser.add_argument("--work", type=Path, default=Path("hit-uav-gpu"), help="data and runs")
    parser.add_argument("--keep", type=Path, default=RESULTS / "hit-uav-gpu", help="rows, curves, table")
    parser.add_argument("--models", nargs="+", choices=NETWORKS, default=DEFAULT)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training for each model")
    parser.add_argument("--dense", type=float, default=0.25, help="part of the minutes under a dense head; 0: none")
    parser.add_argument("--imgsz", type=int, default=SIZE)
    parser.add_argument("--batch", type=int, default=8, help="the paper's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--device", default="0")
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args(argv)
    {"pack": pack, "latency": latency, "run": run}[args.what](args)


if __name__ == "__main__":
    main()

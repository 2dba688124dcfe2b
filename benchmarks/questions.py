"""ACR on questions about real scenes: against what sees less, without its router and its DRE, and beside a detector.

Questions of presence, counts, comparisons and relations are made of the boxes of HIT-UAV (thermal, drone) and
aerial-cars by ``rsdet.data.questions.generator``, each text with its answers balanced, and one of the theme of RSSCN7's
pictures. One network is trained for all of them, from scratch; its last weights are tested once, on other pictures: the
owner's ``val`` of HIT-UAV, another flight of aerial-cars, three pictures of each theme of RSSCN7.

    python benchmarks/questions.py --pictures folder           # the runs that are not in results/questions/ yet
    python benchmarks/questions.py --pictures folder --gather  # the table of the runs that are there

``--pictures`` is a folder with ``hit-uav/``, ``aerial-cars/`` and ``rsscn7/`` as their owners lay them out. On a GPU:
``--device 0 --model acr-r18.yaml --side 256 --epochs 100 --detector-epochs 100``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from questions_data import boxes_of, prepare
from questions_table import write
from rows import once, rows_in

VARIANTS: dict[str, dict[str, Any]] = {"full": {}, "no router": {"router": False}, "no DRE": {"dre": False}}
WITH_BOXES = "hit-uav"  # the set whose counts a detector gives, too
TILES, QUESTIONS = 100, 30  # of the throughput
SHOWN = "How many cars are in the picture?"
ROWS = "questions"  # every run with its answers: intervals can be had again, and another machine goes on


def train(variant: str, seed: int, data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train one network; what it and the baselines answer to all questions of the test."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe
    from rsdet.deploy.records import shown_command

    label = f"{variant.replace(' ', '-')}-seed{seed}"
    begin = time.time()
    cpu = time.process_time()
    RSDet(args.model, **VARIANTS[variant]).train(
        data=data, epochs=args.epochs, batch=args.batch, questions_per_image=4, imgsz=args.side, seed=seed,
        optimizer="AdamW", lr0=args.lr, weight_decay=1e-4, warmup_epochs=1.0, cache="ram", val=False, plots=False,
        workers=args.workers, device=args.device, project=str(args.work / "runs"), name=label, exist_ok=True,
    )  # fmt: skip
    seconds, cpu = time.time() - begin, time.process_time() - cpu
    last = RSDet(weights_of(args, variant, seed))
    tested = last.val(
        data=data, imgsz=args.side, batch=args.batch, device=args.device, plots=False, workers=0,
        project=str(args.work / "runs"), name=f"{label}-test", exist_ok=True,
    )  # fmt: skip
    model = tested.scores["model"]
    return {
        "variant": variant, "seed": seed, "train_seconds": round(seconds), "cpu_seconds": round(cpu),
        "params": sum(p.numel() for p in last.model.parameters()), "router": tested.measures.get("router"),
        "questions": [[q.image, q.text, q.answer, q.kind] for q in model.questions],
        "answers": {name: list(scores.answers) for name, scores in tested.scores.items()},
        "confidence": tested.calibration["as trained"].confidence.round(4).tolist(), "temperature": tested.temperature,
        "ece": {name: c.ece() for name, c in tested.calibration.items()},
        "hardware": describe(args.device), "command": shown_command(sys.argv),
    }  # fmt: skip


def weights_of(args: argparse.Namespace, variant: str, seed: int) -> Path:
    """Last weights of a training."""
    return args.work / "runs" / f"{variant.replace(' ', '-')}-seed{seed}" / "weights" / "last.pt"


def detect(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Train a detector on the same tiles; what its boxes answer to the questions of counts and presence."""
    from rsdet import RSDet
    from rsdet.data.questions.datasets import read_question_data
    from rsdet.runtime.results import detections_of

    begin, cpu = time.time(), time.process_time()
    RSDet(args.detector).train(
        data=boxes_of(data, WITH_BOXES), epochs=args.detector_epochs, batch=16, nbs=16, imgsz=args.detector_side,
        optimizer="AdamW", lr0=2e-3, lrf=0.05, cos_lr=True, warmup_epochs=1.0, warmup_bias_lr=0.0, mosaic=0.0,
        fliplr=0.5, flipud=0.5, amp=False, val=False, plots=False, patience=0, workers=args.workers,
        device=args.device, project=str(args.work / "runs"), name="detector", exist_ok=True, seed=0,
    )  # fmt: skip
    seconds, cpu = time.time() - begin, time.process_time() - cpu
    found = RSDet(args.work / "runs" / "detector" / "weights" / "last.pt")
    asked = read_question_data(data)
    boxes: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for split in ("train", "val"):
        names = [n for n in asked.split(split).images if n.startswith(WITH_BOXES)]
        names = names[:: max(1, len(names) // 300)] if split == "train" else names  # the threshold needs no more
        boxes[split] = {}
        for name in names:
            (result,) = found.predict(
                asked.split(split).images[name], imgsz=args.detector_side, conf=0.02, device=args.device, verbose=False
            )
            seen = detections_of(result)
            boxes[split][name] = seen.classes, seen.scores
    told = {
        conf: answered(asked.split("train").questions, boxes["train"], found.names, conf)
        for conf in np.arange(0.02, 0.7, 0.02).round(2).tolist()
    }
    right = {conf: sum(q[2] == a for q, a in rows) for conf, rows in told.items()}
    conf = max(right, key=lambda c: right[c])
    tested = answered(asked.split("val").questions, boxes["val"], found.names, conf)
    return {
        "detector": args.detector, "conf": conf, "train_seconds": round(seconds), "cpu_seconds": round(cpu),
        "questions": [q for q, _ in tested], "answers": [a for _, a in tested],
        "params": sum(p.numel() for p in found.model.parameters()),
    }  # fmt: skip


def answered(questions: Any, boxes: Any, names: dict[int, str], conf: float) -> list[tuple[list[str], str]]:
    """Questions about counts and presence of a detector's classes, each with the answer of its boxes."""
    from rsdet.data.questions.generator.templates import judged, number
    from rsdet.metrics.asked_objects import AskedObjects

    objects, rows = AskedObjects(names), []
    for q in questions:
        what = objects.parse(q.text)
        if q.image in boxes and not isinstance(what, str):
            classes, scores = boxes[q.image]
            n = int((np.isin(classes, what.classes) & (scores >= conf)).sum())
            rows.append(([q.image, q.text, q.answer, q.kind], number(n) if what.what == "count" else judged(n > 0)))
    return rows


def throughput(data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds for the same questions about many tiles by ``predict``, reading included; two threads."""
    import torch

    from rsdet import RSDet
    from rsdet.data.questions.datasets import read_question_data
    from rsdet.errors import ConfigError

    torch.set_num_threads(args.threads)
    asked = read_question_data(data)
    tiles = [str(p) for p in asked.split("val").images.values()][:TILES]
    texts = list(dict.fromkeys(q.text for q in asked.split("train").questions))[:QUESTIONS]
    weights = weights_of(args, "full", args.seeds[0])
    models, why = {"PyTorch": weights}, ""
    try:
        models["ONNX"] = Path(RSDet(weights).export(format="onnx", imgsz=args.side))
    except ConfigError as e:
        why = str(e)
    took = {}
    for backend, file in models.items():
        model = RSDet(file)
        settings = {"question": texts, "imgsz": args.side, "device": args.device, "save": False, "verbose": False}
        model.predict(tiles[:3], **settings)
        begin = time.perf_counter()
        for result in model.predict(tiles, stream=True, **settings):
            assert len(result.answers) == len(texts)
        took[backend] = time.perf_counter() - begin
    return {"tiles": len(tiles), "questions": len(texts), "threads": args.threads, "seconds": took, "not_exported": why}


def overlay(data: Path, args: argparse.Namespace) -> None:
    """Where the network of the first seed looked, on tiles of the test whose licence lets them be shown."""
    import cv2

    from rsdet import RSDet
    from rsdet.data.questions.datasets import read_question_data

    test = read_question_data(data).split("val")
    chosen = [q for q in test.questions if q.text == SHOWN and q.image.startswith(WITH_BOXES) and q.answer in "234"]
    model, cells = RSDet(weights_of(args, "full", args.seeds[0])), []
    for q in chosen[:: max(1, len(chosen) // 4)][:4]:
        (result,) = model.predict(test.images[q.image], question=SHOWN, imgsz=args.side, device=args.device, top=2)
        cells.append(np.hstack([result.orig_img, result.plot(0)[: result.orig_img.shape[0]]]))
        print(f"shown: {q.image}: {result.answers[0].best} ({q.answer})", flush=True)
    sheet = np.vstack([np.hstack(cells[i : i + 2]) for i in range(0, len(cells) - 1, 2)])
    cv2.imwrite(str(args.work / "overlay.jpg"), sheet, [cv2.IMWRITE_JPEG_QUALITY, 85])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder with hit-uav/, aerial-cars/ and rsscn7/")
    parser.add_argument("--gather", action="store_true", help="make the table from the runs that are there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--model", default="acr-n.yaml")
    parser.add_argument("--side", type=int, default=128, help="of all pictures, which are shrunk")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32, help="questions of a step, four of a picture at most")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--detector", default="yolo26n.yaml")
    parser.add_argument("--detector-epochs", type=int, default=10, help="0: no detector")
    parser.add_argument("--detector-side", type=int, default=192)
    parser.add_argument("--threads", type=int, default=2, help="of the throughput")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/questions"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    args = parser.parse_args()
    args.work = args.work.absolute()
    if args.gather:
        write(rows_in(args.out / ROWS), args.work, args.out)
        return
    data, rows = prepare(args.pictures, args.work), args.out / ROWS
    settings = {k: getattr(args, k) for k in ("model", "side", "epochs", "batch", "lr")}
    for i, seed in enumerate(args.seeds):
        for variant in VARIANTS:
            file = rows / f"{variant.replace(' ', '-')}-seed{seed}.json"
            once(file, settings, lambda v=variant, n=seed: train(v, n, data, args))
        if i == 0 and weights_of(args, "full", seed).is_file():  # what needs the weights of one seed
            once(rows / "throughput.json", {**settings, "threads": args.threads}, lambda: throughput(data, args))
            overlay(data, args)
    if args.detector_epochs:
        of = {k: getattr(args, k) for k in ("detector", "detector_side", "detector_epochs")}
        once(rows / "detector.json", of, lambda: detect(data, args))


if __name__ == "__main__":
    main()

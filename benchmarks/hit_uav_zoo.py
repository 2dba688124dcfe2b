"""Trains what the zoo has of HIT-UAV: two families at equal FLOPs and at equal latency, and three others.

All of HIT-UAV (2,029 thermal pictures to train on, 290 to validate, 579 to test; the owner's split), 320 px, one recipe
for both families of DETR: first the backbone and the neck under a dense YOLO head, which gives every pixel a gradient,
then under the decoder, from those weights. `--part fifth` trains on every fifth picture, for several seeds. A network
called `long` goes on from shipped weights, with two more schedules; it is for use, and no part of the comparison.

    python benchmarks/hit_uav_zoo.py prepare --source HIT-UAV --work hit-uav-zoo
    python benchmarks/hit_uav_zoo.py train vmc-detr-hituav --work hit-uav-zoo --minutes 120   # again, until it is done
    python benchmarks/hit_uav_zoo.py latency --work hit-uav-zoo
    python benchmarks/hit_uav_zoo.py gather --work hit-uav-zoo

A training stops where the next epoch would not fit into `--minutes`, and goes on at the next call: exactly as it was
where `last.pt` of the run is there, else from what lies in `--keep`, which is small enough to be committed: the
averaged weights in half precision, the state of the schedule and the curve. The optimizer then starts anew, with 100
steps of rising rate.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from failures import failures

RESULTS = Path(__file__).parent / "results"
SIZE = 320
EPOCHS = {"all": {"dense": 4, "whole": 12}, "fifth": {"dense": 10, "whole": 30}}  # 4,064 and 2,040 steps of 8 pictures
REWARM = 100  # steps
CREDIT = "HIT-UAV, Suo et al., Scientific Data 10, 227 (2023), CC BY 4.0"
DETR = dict(
    batch=8, nbs=8, recipe="none", optimizer="AdamW", lr0=8e-4, lrf=0.05, cos_lr=True, warmup_epochs=1,
    warmup_bias_lr=0.0, weight_decay=1e-4, mosaic=0.0, scale=0.3, translate=0.1, fliplr=0.5, flipud=0.5, erasing=0.0,
    hsv_h=0.0, hsv_s=0.0, hsv_v=0.3,
)  # fmt: skip
YOLO = dict(
    batch=16, nbs=16, recipe="none", optimizer="AdamW", lr0=2e-3, lrf=0.05, cos_lr=True, warmup_epochs=1,
    warmup_bias_lr=0.0, mosaic=0.5, close_mosaic=4, fliplr=0.5, flipud=0.5, hsv_h=0.0, hsv_s=0.0, hsv_v=0.3,
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """A network to train: its YAML, scale and variables."""

    yaml: str
    scale: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    task: str = "detect"
    start: str | None = None  # weights of the zoo to go on from with two new schedules, in place of a dense head

    @property
    def settings(self) -> dict[str, Any]:
        """Arguments of its training."""
        return (DETR if self.is_transformer else YOLO) | ({"lr0": 5e-4} if self.start else {})

    @property
    def stages(self) -> tuple[str, ...]:
        """Trainings, one after the other, each from the weights of the one before."""
        if self.start:
            return ("whole", "again")
        return ("dense", "whole") if self.is_transformer else ("whole",)

    @property
    def is_transformer(self) -> bool:
        """Whether it has a decoder, which learns slowly from nothing."""
        return "detr" in self.yaml


NETWORKS = {
    "vmc-detr-hituav": Network("vmc-detr-demo.yaml"),
    "vmc-detr-long-hituav": Network("vmc-detr-demo.yaml", start="vmc-detr-hituav"),
    "rtdetr-r18-hituav": Network("rtdetr-r18.yaml", "t"),  # equal FLOPs: 1.30 GFLOPs, both conventions
    "rtdetr-r18-latency-hituav": Network("rtdetr-r18.yaml", "t", {"w2": 48, "w3": 104, "w4": 176}),  # `latency`
    "vmc-detr-lite-hituav": Network("vmc-detr-lite.yaml", "t"),
    "sar-ship-t-hituav": Network("sar-ship.yaml", "t"),
    "yolo11n-obb-hituav": Network("yolo11n-obb.yaml", task="obb"),
}


class OutOfTime(Exception):
    """The next epoch would not fit."""


# -- data ---------------------------------------------------------------------------------------------------------


def data_yaml(work: Path, task: str, part: str) -> Path:
    return work / task / (f"{task}.yaml" if part == "all" else f"{task}-{part}.yaml")


def prepare(args: argparse.Namespace) -> None:
    """Convert the owner's files for both tasks, and list every fifth training picture."""
    from rsdet.data.convert import convert

    for task in ("detect", "obb"):
        folder = (args.work / task).absolute()
        print(convert(args.source, "hit-uav", folder, task=task).summary())
        pictures = sorted((folder / "images" / "train").iterdir())[::5]
        (folder / "fifth.txt").write_text("".join(f"{p}\n" for p in pictures))
        content = yaml.safe_load(data_yaml(args.work, task, "all").read_text())
        part = {**content, "path": str(folder), "train": "fifth.txt"}
        data_yaml(args.work, task, "fifth").write_text(yaml.safe_dump(part, sort_keys=False))


# -- training -----------------------------------------------------------------------------------------------------


def dense_twin(network: Network, path: Path) -> Path:
    """The YAML of a detection transformer with a YOLO head in place of its decoder."""
    from rsdet.modelyaml import load_model_yaml

    d = load_model_yaml(network.yaml, network.scale, network.variables)
    d = {k: v for k, v in d.items() if k in {"task", "nc", "backbone", "head"}} | {"family": "yolo"}
    d["head"] = [*d["head"][:-1], [d["head"][-1][0], 1, "Detect", ["nc"]]]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(d, sort_keys=False))
    return path


class Training:
    """One training, over as many calls as it takes.

    What is kept lies in a folder: ``state.json`` (settings, stage, epochs done, minutes), ``weights.safetensors`` and
    ``curve.csv``.
    """

    def __init__(self, name: str, args: argparse.Namespace):
        self.name, self.network, self.args = name, NETWORKS[name], args
        self.run = name if args.part == "all" and args.seed == 0 else f"{name}-{args.part}-s{args.seed}"
        self.keep, self.runs = args.keep / self.run, (args.work / "runs").absolute()
        self.data = data_yaml(args.work, self.network.task, args.part)
        self.began = self.marked = time.time()
        self.batches = 0
        wanted = {
            "network": asdict(self.network), "settings": self.network.settings, "part": args.part, "seed": args.seed,
            "imgsz": SIZE, "epochs": {},
        }  # fmt: skip
        for stage, n in (("dense", args.dense_epochs), ("whole", args.epochs)):
            wanted["epochs"][stage] = EPOCHS[args.part][stage] if n is None else n
        if self.network.start:
            wanted["epochs"]["again"] = wanted["epochs"]["whole"]
        self.state = {**wanted, "stage": self.network.stages[0], "done": 0, "minutes": 0.0, "restarts": 0}
        if (self.keep / "state.json").is_file():
            self.state = json.loads((self.keep / "state.json").read_text())
            if changed := [k for k in wanted if json.loads(json.dumps(wanted[k])) != self.state[k]]:
                raise SystemExit(f"{self.keep} is of a training with other {', '.join(changed)}; choose another --keep")

    @property
    def validates(self) -> bool:
        """Whether each epoch ends with a validation; on a fifth it would take a third of the time."""
        return self.args.part == "all"

    def go_on(self) -> bool:
        """Train until the end or until time is up; whether it is at its end."""
        stages = self.network.stages
        try:
            for stage in stages[stages.index(self.state["stage"]) :]:
                if stage != self.state["stage"]:
                    self.state |= {"stage": stage, "done": 0}
                if self.state["done"] < self.state["epochs"][stage]:
                    self.stage(stage)
        except OutOfTime:
            print(f"{self.run}: {self.state['done']} epochs of {self.state['stage']} are done; run it again to go on")
            return False
        return True

    def stage(self, stage: str) -> None:
        """Go on with one stage, or begin it."""
        from rsdet import RSDet
        from rsdet.tasks.training import transfer

        last = self.runs / f"{self.run}-{stage}" / "weights" / "last.pt"
        fresh = self.state["done"] == 0
        if not fresh and last.is_file() and RSDet(last).ckpt["epoch"] + 1 == self.state["done"]:
            model = RSDet(last)
            model.add_callback("on_pretrain_routine_end", channels_last)
            model.add_callback("on_model_save", self.epoch_is_over)
            model.train(resume=True, data=str(self.data))
            return
        kept = self.keep / "weights.safetensors"
        if not fresh:
            model = RSDet(kept)
            self.state["restarts"] += 1
        elif self.network.start:
            model = RSDet(kept if stage == "again" else self.network.start)
        elif stage == "dense":
            model = RSDet(dense_twin(self.network, self.runs / f"{self.name}-dense.yaml"))
        else:
            model = RSDet(self.network.yaml, scale=self.network.scale, **self.network.variables)
            if kept.is_file():
                transfer(model.model, RSDet(kept).model)
        model.add_callback("on_pretrain_routine_end", channels_last)
        model.add_callback("on_model_save", self.epoch_is_over)
        if not fresh:
            model.add_callback("on_pretrain_routine_end", self.start_late)
            model.add_callback("on_train_batch_start", self.rewarm)
        model.train(
            data=str(self.data), epochs=self.state["epochs"][stage], imgsz=SIZE, device=self.args.device, workers=0,
            seed=self.args.seed, val=self.validates, patience=10_000, plots=False, project=str(self.runs),
            name=f"{self.run}-{stage}", exist_ok=True, **self.network.settings,
        )  # fmt: skip

    def start_late(self, trainer: Any) -> None:
        """Let the schedule begin where it was."""
        trainer.start_epoch = self.state["done"]
        trainer.scheduler.last_epoch = self.state["done"] - 1
        trainer.train_loader.sampler.epoch = self.state["done"]
        trainer.ema.updates = self.state["done"] * len(trainer.train_loader)

    def rewarm(self, trainer: Any) -> None:
        """Let the rate rise again: the moments of the optimizer are gone."""
        self.batches += 1
        for group in trainer.optimizer.param_groups if self.batches <= REWARM else ():
            group["lr"] = group["initial_lr"] * trainer.lf(trainer.epoch) * self.batches / REWARM

    def epoch_is_over(self, trainer: Any) -> None:
        """Keep what the next call goes on from, and stop where another epoch would not fit."""
        from rsdet.checkpoint import save_plain

        last = self.state["stage"] == self.network.stages[-1] and trainer.epoch + 1 >= trainer.epochs
        now = time.time()
        took, self.marked = now - self.marked, now
        self.state["done"] = trainer.epoch + 1
        self.state["minutes"] = round(self.state["minutes"] + took / 60, 2)
        self.keep.mkdir(parents=True, exist_ok=True)
        averaged = copy.deepcopy(trainer.ema.ema)
        averaged.args = {"imgsz": SIZE}
        save_plain(averaged, self.keep / "weights", half=True)
        measured = self.validates or trainer.epoch + 1 >= trainer.epochs
        values = {k: round(float(v), 5) for k, v in trainer.metrics.items()} if measured else {}
        row = {"stage": self.state["stage"], "epoch": self.state["done"], **values}
        at = self.network.stages.index
        rows = [r for r in curve_of(self.keep) if (at(r["stage"]), int(r["epoch"])) < (at(row["stage"]), row["epoch"])]
        rows = [*rows, row]
        with (self.keep / "curve.csv").open("w", newline="") as f:
            writer = csv.DictWriter(f, list(dict.fromkeys(k for r in rows for k in r)), restval="")
            writer.writeheader()
            writer.writerows(rows)
        part = self.keep / "state.json.part"
        part.write_text(json.dumps(self.state, indent=1))
        os.replace(part, self.keep / "state.json")  # last of all: it vouches for the other two
        if self.args.minutes and now - self.began + took > 60 * self.args.minutes and not last:
            raise OutOfTime


def channels_last(trainer: Any) -> None:
    """Lay the channels of every pixel side by side, which trains a sixth faster on a CPU of today."""
    import torch

    trainer.model.to(memory_format=torch.channels_last)


def curve_of(keep: Path) -> list[dict[str, Any]]:
    file = keep / "curve.csv"
    with file.open() if file.is_file() else open(os.devnull) as f:
        return list(csv.DictReader(f))


# -- measuring ----------------------------------------------------------------------------------------------------


def measure(training: Training) -> None:
    """Measure finished weights on the owner's test split, draw their failures, and write row and card."""
    from rsdet import RSDet
    from rsdet.deploy.hardware import describe

    keep, network, args = training.keep, training.network, training.args
    model = RSDet(keep / "weights.safetensors")
    protocol = {"detect": "coco", "obb": "dota"}[network.task]
    data = data_yaml(args.work, network.task, "all")
    metrics = model.val(
        data=str(data), split="test", imgsz=SIZE, batch=8, device=args.device, protocol=protocol, workers=0,
        plots=False, project=str(training.runs), name=f"{training.run}-test", exist_ok=True,
    )  # fmt: skip
    ours, cost = metrics.protocol_metrics, model.info(verbose=False, imgsz=SIZE)
    result = {
        "data": "hit-uav", "split": "test", "images": ours.n_images, "protocol": protocol, "imgsz": SIZE,
        "AP": round(float(ours.ap), 4), "AP50": round(float(ours.ap50), 4),
    }  # fmt: skip
    row = {
        "name": training.name, **result, "params_m": round(cost["params"] / 1e6, 3),
        "gflops_legacy": round(cost["gflops_legacy"], 3), "gflops_true": round(cost["gflops_true"], 3),
        **{k: training.state[k] for k in ("part", "seed", "epochs", "minutes", "restarts")},
        "hardware": describe(args.device),
    }  # fmt: skip
    (keep / "row.json").write_text(json.dumps(row, indent=1))
    print(f"{training.run}: {result}")
    if args.part == "all":
        pictures = failures(model, data.parent, "test", SIZE, training.name)
        write_card(training, result, pictures)


def write_card(training: Training, result: dict[str, Any], pictures: list[str]) -> None:
    """Write the card of the zoo; what the pictures show is to be written by who has looked at them."""
    state, network = training.state, training.network
    key = next((k for k in curve_of(training.keep)[-1] if k.startswith("metrics/mAP50-95")), "")
    rows = [r for r in curve_of(training.keep) if r["stage"] != "dense"]
    boxes = "oriented boxes" if network.task == "obb" else "boxes"
    card = {
        "task": network.task,
        "about": f"persons, cars, bicycles and other vehicles in thermal pictures of drones, {boxes}",
        "model": network.yaml + (f":{network.scale}" if network.scale else ""),
        "imgsz": SIZE,
        "licence": "AGPL-3.0-or-later",
        "data": {
            "name": "hit-uav", "source": "https://github.com/suojiashun/HIT-UAV-Infrared-Thermal-Dataset",
            "licence": "CC BY 4.0", "credit": CREDIT,
        },
        "split": "the owner's: 2,029 pictures to train on, 290 to validate, 579 to test",
        "command": f"python benchmarks/hit_uav_zoo.py train {training.name} --epochs {state['epochs']['whole']}"
        + (f" --dense-epochs {state['epochs']['dense']}" if "dense" in network.stages else ""),
        "seeds": [state["seed"]],
        "results": [result],
        "curve": {
            "measure": "AP on val, protocol ultralytics", "epochs": [*range(1, len(rows) + 1)],
            "values": [float(r[key]) for r in rows],
        },
        "failures": {"words": "TO BE WRITTEN: what the pictures show", "pictures": pictures},
        "intended_use": "trying, teaching and starting trainings on small machines; 320 px and short trainings, so not "
        "for decisions about people",
    }  # fmt: skip
    (training.keep / f"{training.name}.yaml").write_text(yaml.safe_dump(card, sort_keys=False, width=118))


def latencies(networks: dict[str, Network], imgsz: int, folder: Path, rounds: int, ratio: str) -> dict[str, Any]:
    """Time networks in ONNX Runtime, one thread, taking turns; weights do not matter for it.

    Args:
        networks: The first one is what the others are compared with.
        imgsz: Side of the input in pixels.
        folder: For the exported files, which are made where they are not there.
        rounds: Turns of each network.
        ratio: What the time as a part of that of the first one is called.

    Returns:
        Plain values for a JSON file.
    """
    import numpy as np
    import onnxruntime as ort

    from rsdet import RSDet
    from rsdet.deploy.hardware import describe

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    sessions, times = {}, {name: [] for name in networks}
    for name, n in networks.items():
        file = (folder / f"{name}-{imgsz}.onnx").absolute()
        if not file.is_file():
            RSDet(n.yaml, scale=n.scale, **n.variables).export(format="onnx", imgsz=imgsz, out=file, verbose=False)
        sessions[name] = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).random((1, 3, imgsz, imgsz), dtype=np.float32)
    for _ in range(rounds):
        for name, session in sessions.items():
            begin = time.process_time()  # of this process: others on the machine count as little as they can
            session.run(None, {session.get_inputs()[0].name: x})
            times[name].append(1e3 * (time.process_time() - begin))
    first = next(iter(times.values()))
    rows = {
        name: {
            "median_ms": round(statistics.median(t), 2),
            ratio: round(statistics.median(a / b for a, b in zip(t, first, strict=True)), 3),
        }
        for name, t in times.items()
    }
    return {"rows": rows, "rounds": rounds, "runtime": "ONNX Runtime, one thread", "hardware": describe(threads=1)}


def latency(args: argparse.Namespace) -> None:
    """Time all networks."""
    networks = {k: n for k, n in NETWORKS.items() if not n.start}
    kept = latencies(networks, SIZE, args.work / "onnx", args.rounds, "of_vmc_detr")
    args.keep.mkdir(parents=True, exist_ok=True)
    (args.keep / "latency.json").write_text(json.dumps(kept, indent=1))
    print(json.dumps(kept["rows"], indent=1))


def gather(args: argparse.Namespace) -> None:
    """Write the table and the curves of all that was measured."""
    from rsdet.figures import new_figure, png_of

    rows = [json.loads(f.read_text()) for f in sorted(args.keep.glob("*/row.json"))]
    file = args.keep / "latency.json"
    ms = json.loads(file.read_text())["rows"] if file.is_file() else {}
    lines = [
        "# HIT-UAV, all of it, from scratch at 320 px", "",
        "| network | part | seeds | M parameters | GFLOPs, legacy | time of VMC-DETR's | AP test | AP50 test |",
        "|" + " --- |" * 8,
    ]  # fmt: skip
    for name, part in sorted({(r["name"], r["part"]) for r in rows}):
        mine = [r for r in rows if (r["name"], r["part"]) == (name, part)]
        cells = [name, part, ", ".join(str(r["seed"]) for r in mine), mine[0]["params_m"], mine[0]["gflops_legacy"]]
        cells.append(ms.get(NETWORKS[name].start or name, {}).get("of_vmc_detr", "not measured"))
        for key in ("AP", "AP50"):
            values = [100 * r[key] for r in mine]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.1f}{spread}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    epochs = [f"{e['dense']} and {e['whole']} on {'all' if part == 'all' else 'a fifth'}" for part, e in EPOCHS.items()]
    lines += [
        "", "Protocol coco for boxes, dota for oriented boxes, on the 579 test pictures of the owner's split. Epochs "
        f"under a dense head and under the decoder: {', '.join(epochs)}; YOLO has the latter alone; "
        "`long` goes on from the weights of the row without it, with two more schedules of as many epochs.",
    ]  # fmt: skip
    (RESULTS / "hit-uav-zoo.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    figure, axes = new_figure(6, 3.4)
    for row in (r for r in rows if r["part"] == "all"):
        curve = [r for r in curve_of(args.keep / row["name"]) if r["stage"] != "dense"]
        key = next(k for k in curve[0] if k.startswith("metrics/mAP50-95"))
        axes.plot([*range(1, len(curve) + 1)], [float(r[key]) for r in curve], label=row["name"])
    axes.set(xlabel="epoch", ylabel="AP on val (protocol: ultralytics)")
    axes.legend(fontsize=7)
    (RESULTS / "hit-uav-zoo.png").write_bytes(png_of(figure))


def train(args: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    training = Training(args.name, args)
    if training.go_on():
        measure(training)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("prepare", "train", "latency", "gather"))
    parser.add_argument("name", nargs="?", choices=NETWORKS, help="network to train")
    parser.add_argument("--work", type=Path, default=Path("hit-uav-zoo"), help="data and runs")
    parser.add_argument("--keep", type=Path, default=RESULTS / "hit-uav-zoo", help="what a training goes on from")
    parser.add_argument("--source", type=Path, help="the owner's repository, for prepare")
    parser.add_argument("--part", choices=("all", "fifth"), default="all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="12 on all, 30 on the fifth")
    parser.add_argument("--dense-epochs", type=int, help="4 on all, 10 on the fifth; 0: none")
    parser.add_argument("--minutes", type=float, default=0.0, help="for this call; 0: until the end")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    {"prepare": prepare, "train": train, "latency": latency, "gather": gather}[args.what](args)


if __name__ == "__main__":
    main()

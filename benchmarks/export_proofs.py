"""Are good exports accepted and bad ones refused? Networks x seeds without a fault, and faults planted into files.

    python benchmarks/export_proofs.py                 # goes on where it was stopped
    python benchmarks/export_proofs.py --seeds 3 --only sar-ship

Each proof is an export of its own: a small network of a family, whose weights are drawn and spread by the seed so that
scores and pictures differ, traced, converted and compared with PyTorch on pictures rendered by the seed, at the
tolerances that users get. One that is refused would be a false alarm. Each fault of ``export_faults.py`` is planted
into one file; one that passes would be a miss. Rows are added to the CSV as they come, and the table is written anew.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from export_faults import FAULTS, FINISHED, edited

from rsdet import RSDet
from rsdet.data.scenes import render_scene
from rsdet.deploy import job
from rsdet.deploy.export import export
from rsdet.errors import RSDetError
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.decode import preprocess

RESULTS = Path(__file__).parent / "results"
LOOKED_INTO = """\
## What was refused, and why

Nine of the first 123 exports were refused. Each was repeated alone and its outputs compared row by row.

- **sar-ship suppressed, seeds 1, 2, 8, 9**, one or two detections missing: the file was at fault. Suppression that
  Ultralytics writes into a graph keeps classes one picture apart, so that a box that leaves the picture drops one of
  another class. Files of FP32 (and OpenVINO's with weights of FP16) now keep them 16 pictures apart. Files of FP16 or
  INT8, and of oriented boxes, are as they were and can still be refused for it.
- **sar-ship suppressed, seeds 8 and 9, besides**, one exchanged for one: a false alarm. Of two boxes, or of two classes
  of one box, whose scores are equal to the last digit, the other one was taken. Rows are now judged by the network's
  rows before suppression: each must be one of them, and what is missing must be overlapped by one that is no worse.
- **demo weights half, seed 7, and openvino half, seed 2**, two detections missing, two too many: a false alarm. The
  last queries of the choice are tied. The network is now run with tied queries put first and put last, and has to show
  what is too many (it did to 0.04 px) and to lose what is missing.
- **yolo26-sar-ship, seed 2, and without suppression, seeds 8 and 9** (first draw), boxes off by 0.6 to 30 px: still
  refused. Drawn so, corners lie 500 to 8000 px outside a picture of 128 px and up to 296 of 300 scores are 1.0. PyTorch
  in FP32 is itself 0.13, 0.20 and 1.7 px from FP64 on these pictures; the file is farther from PyTorch than that, and
  why is not settled. Drawn with running statistics of these pictures, as they are now, FP32 is within 0.05 px of FP64.
- **yolo26-sar-ship without suppression, seed 3**, drawn as now: not looked into.

Rows of sar-ship suppressed, of yolo26 (without "first draw"), of vmc-detr and vmc-detr-demo half, and the two of demo
weights named above were run with these changes, all others before them: the new rules are asked only about what the old
ones refuse, and only files with suppression are made otherwise. Of the faults, 22 were planted again afterwards, among
them all that concern the choice of queries; the other 16 were refused before.
"""
COLUMNS = ["kind", "name", "seed", "format", "size", "outcome", "seconds", "report"]
NARROW = {"n": [0.33, 0.125, 1024]}  # depth, width, most channels of a YOLO
TINY = dict(w1=8, w2=16, w3=16, w4=32, w5=32, neck=32, hd=32, ffn=32, nq=30)


@dataclass(frozen=True)
class Graph:
    """A network and how it is exported.

    Attributes:
        model: YAML, or weights, which are taken as they are.
        size: Height and width of the input in pixels.
        format: Format of the file.
        variables: Of the YAML.
        keys: Of the export.
        seen: Running statistics come from the pictures of the proof. Otherwise drawn networks of YOLO26's head, which
            bounds no distance, put corners thousands of pixels outside, where FP32 itself is too coarse.
        lively: Spread the weights; those of a drawn network multiply rounding so much that FP16 means nothing then.
    """

    model: str
    size: tuple[int, int]
    format: str = "onnx"
    variables: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    seen: bool = False
    lively: bool = True


T, X2 = {"scale": "t"}, {"upscale": 2, "scale": "t"}
DEMO = "vmc-detr-demo"  # the one that has learnt something
GRAPHS = {
    "rtdetr-r18": Graph("rtdetr-r18.yaml", (96, 160), variables=T),
    "demo weights": Graph(DEMO, (320, 320)),
    "demo weights half": Graph(DEMO, (320, 320), keys={"half": True}),
    "demo weights openvino half": Graph(DEMO, (160, 320), "openvino", keys={"half": True}),
    "rtdetr-r18 openvino": Graph("rtdetr-r18.yaml", (128, 128), "openvino", T),
    "rtdetr-r18 dynamic": Graph("rtdetr-r18.yaml", (128, 128), variables=T, keys={"dynamic": True}),
    "vmc-detr-demo": Graph("vmc-detr-demo.yaml", (96, 160), variables=TINY),
    "vmc-detr-demo torchscript": Graph("vmc-detr-demo.yaml", (128, 128), "torchscript", TINY),
    "vmc-detr-demo openvino": Graph("vmc-detr-demo.yaml", (128, 96), "openvino", TINY),
    "sar-ship": Graph("sar-ship.yaml", (96, 160)),
    "sar-ship half": Graph("sar-ship.yaml", (128, 128), keys={"half": True}, lively=False),
    "sar-ship openvino": Graph("sar-ship.yaml", (128, 128), "openvino"),
    "sar-ship torchscript": Graph("sar-ship.yaml", (160, 96), "torchscript"),
    "sar-ship free batch": Graph("sar-ship.yaml", (128, 128), keys={"dynamic": "batch"}),
    "sar-ship suppressed": Graph("sar-ship.yaml", (128, 128), keys={"nms": True, "conf": 0.1}),
    "vmc-detr": Graph("vmc-detr.yaml", (160, 160), variables={"scale": "n"}, lively=False),
    "vmc-detr-demo half": Graph("vmc-detr-demo.yaml", (128, 128), variables=TINY, keys={"half": True}, lively=False),
    "yolo26-sar-ship": Graph("yolo26-sar-ship.yaml", (96, 160), seen=True),
    "yolo26-sar-ship without suppression": Graph("yolo26-sar-ship.yaml", (128, 128), keys={"nms": False}, seen=True),
    "aod-net": Graph("aod-net.yaml", (64, 96)),
    "dwtma-net": Graph("dwtma-net.yaml", (64, 64), variables=T),
    "dwtma-net openvino": Graph("dwtma-net.yaml", (64, 96), "openvino", T),
    "edsr x2": Graph("edsr.yaml", (48, 64), variables=X2),
    "edsr x2 half": Graph("edsr.yaml", (64, 64), variables=X2, keys={"half": True}),
}
_CONV = [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [32, 3, 2]]]
SMALL = {  # what faults are planted into: every kind of layer once
    "yolo": {"nc": 3, "family": "yolo", "task": "detect", "backbone": [*_CONV, [-1, 1, "Conv", [64, 3, 2]]],
             "head": [[[2, 3], 1, "Detect", ["nc"]]]},
    "rtdetr": {"nc": 3, "family": "rtdetr", "task": "detect",
               "backbone": [*_CONV, [-1, 1, "Conv", [48, 3, 2]], [-1, 1, "AIFI", [64, 4]]],
               "head": [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, 40, 2, 4, 2, 64]]]},
}  # fmt: skip


def build(graph: Graph, seed: int, folder: Path) -> RSDet:
    """The network of a graph, with weights of a seed."""
    torch.manual_seed(seed)
    if graph.model == DEMO:
        return RSDet(DEMO)
    looks = preprocess(pictures(seed), "yolo", graph.size) if graph.seen else None
    spread = partial(enlivened, looks=looks) if graph.lively else lambda model: model
    if graph.model in SMALL or load_model_yaml(graph.model).get("family") == "yolo":
        path = folder / Path(graph.model).with_suffix(".yaml").name
        d = SMALL[graph.model] if graph.model in SMALL else {**load_model_yaml(graph.model), "scales": NARROW, "nc": 3}
        path.write_text(yaml.safe_dump(d))
        return spread(RSDet(path))
    return spread(RSDet(graph.model, **graph.variables))


def enlivened(model: RSDet, looks: np.ndarray | None = None) -> RSDet:
    """Draw weights so that outputs spread as those of trained networks do.

    Args:
        model: Untrained.
        looks: Inputs (B, C, H, W) that running statistics come from; of rendered scenes when None.
    """
    net = model.model
    if model.task == "restore":
        for p in net.parameters():
            p.data += 0.02 * torch.randn_like(p)
        return model
    head = net.model[-1]
    for name, p in head.named_parameters():
        if p.ndim > 1:
            p.data += 0.1 * torch.randn_like(p)
        elif "cv3" in name and name.endswith(".2.bias"):
            p.data += 4.0  # the prior of a head that expects next to nothing
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    if looks is None:
        scenes = np.stack([render_scene(i, (128, 128)).image for i in range(4)]).transpose(0, 3, 1, 2)
        looks = scenes.astype(np.float32) / 255
    with torch.no_grad():
        net.train().predict(torch.from_numpy(looks))
    net.eval()
    return model


def pictures(seed: int) -> list[np.ndarray]:
    """Two scenes, of odd sizes."""
    return [render_scene(100 * seed + i, hw).image[..., ::-1].copy() for i, hw in enumerate([(97, 211), (160, 128)])]


def attempt(graph: Graph, seed: int, fault: str | None = None) -> dict[str, Any]:
    """One export; the row of the table."""
    begin, stock = time.perf_counter(), job.run_exporter

    def spoilt(*args: Any, **kwargs: Any) -> Path:
        path = stock(*args, **kwargs)
        edited(path, FAULTS[fault][1])
        return path

    folder = Path(tempfile.mkdtemp(prefix="rsdet-proof-"))
    job.run_exporter = spoilt if fault in FAULTS else stock
    try:
        model = build(graph, seed, folder)
        made = export(model, graph.format, imgsz=graph.size, images=pictures(seed), out=folder / "out", verbose=False,
                      **graph.keys)  # fmt: skip
        outcome, report = "accepted", made.parity.summary()
        if fault in FINISHED:
            FINISHED[fault](made.path)
            RSDet(made.path)
    except RSDetError as e:
        outcome, report = "refused", str(e).partition(" (the artifact")[0].replace(str(folder), "")
    finally:
        job.run_exporter = stock
        shutil.rmtree(folder, ignore_errors=True)
    return {"outcome": outcome, "seconds": f"{time.perf_counter() - begin:.1f}", "report": report[:400]}


def planted(fault: str) -> Graph:
    """The network that a fault is planted into."""
    kind = FAULTS[fault][0] if fault in FAULTS else "yolo"
    return Graph("edsr.yaml", (48, 64), variables=X2) if kind == "restore" else Graph(kind, (128, 128))


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", default="", help="part of the name of the graphs to run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    file = args.out / "export-proofs.csv"
    rows = list(csv.DictReader(file.open(encoding="utf-8"))) if file.is_file() else []
    done = {(r["kind"], r["name"], r["seed"]) for r in rows}
    waiting = [("proof", name, str(s), g, None) for s in range(args.seeds) for name, g in GRAPHS.items()]
    waiting = [("fault", name, "0", planted(name), name) for name in (*FAULTS, *FINISHED)] + waiting
    for kind, name, seed, graph, fault in waiting:
        if (kind, name, seed) in done or args.only not in name:
            continue
        row = {"kind": kind, "name": name, "seed": seed, "format": graph.format, "size": "x".join(map(str, graph.size))}
        rows.append({**row, **attempt(graph, int(seed), fault)})
        print(", ".join(str(v) for v in rows[-1].values()), flush=True)
        _write(file, rows)
    _write(file, rows)


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    rows = sorted(rows, key=lambda r: (r["kind"], r["name"], int(r["seed"])))
    with file.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    proofs, faults = ([r for r in rows if r["kind"] == kind] for kind in ("proof", "fault"))
    lines = [
        "# Proofs of exports", "",
        f"{len(proofs)} exports without a fault: {sum(r['outcome'] == 'refused' for r in proofs)} refused. "
        f"{len(faults)} planted faults: {sum(r['outcome'] == 'refused' for r in faults)} refused.", "",
        f"Command: `python benchmarks/export_proofs.py`, which goes on where it was stopped; {_here()}; other work ran "
        "on the machine, so that seconds compare nothing. Each proof is an export with its comparison on two pictures "
        "rendered by the seed, at the tolerances that users get. Weights are drawn by the seed; those of the demo are "
        "trained, and only their pictures change. Small networks and small inputs: nothing follows for others.", "",
        f"Graphs x seeds asked for: {10 * len(GRAPHS)}; not run where the table has less than ten.", "",
        "| network | format | input | exports | refused | seconds each |", "| --- | --- | --- | --- | --- | --- |",
    ]  # fmt: skip
    for name in dict.fromkeys(r["name"] for r in proofs):
        of = [r for r in proofs if r["name"] == name]
        seconds = sum(float(r["seconds"]) for r in of) / len(of)
        refused = sum(r["outcome"] == "refused" for r in of)
        lines.append(f"| {name} | {of[0]['format']} | {of[0]['size']} | {len(of)} | {refused} | {seconds:.1f} |")
    lines += [f"\nRefused: {r['name']}, seed {r['seed']}: {r['report']}" for r in proofs if r["outcome"] == "refused"]
    lines += ["", LOOKED_INTO, "## Planted faults", "", "| planted fault | network | outcome |", "| --- | --- | --- |"]
    lines += [f"| {r['name']} | {planted(r['name']).model} | {r['outcome']} |" for r in faults]
    file.with_suffix(".md").write_text("\n".join([*lines, ""]), encoding="utf-8")


def _here() -> str:
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "ultralytics", "onnx", "onnxruntime", "openvino"))
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, {packages}"


if __name__ == "__main__":
    main()

"""Make the fixed scene of oriented boxes and store what DOTA's own kit says of it.

dota.json holds 12 images and 3 classes: corners, class and difficult flag of true objects (a few not convex, as drawn
labels can be), corners, class and score of detections; reference_dota.json the AP of each class at three overlaps, at
11 recalls and below the whole curve. The kit's overlap is compiled as it is and called without SWIG; its ``np.bool``
is there again in NumPy 2::

    git clone https://github.com/CAPTAIN-WHU/DOTA_devkit
    git -C DOTA_devkit checkout 99388551054be9a6dabb01c8bb2a7eb562d57b4f
    python .../tests/data/metrics/make_dota.py DOTA_devkit
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import io
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np

HERE = Path(__file__).parent
CLASSES = ("ship", "harbor", "plane")
IOUS = (0.5, 0.6, 0.75)


def corners(x: float, y: float, w: float, h: float, r: float) -> np.ndarray:
    c, s = math.cos(r), math.sin(r)
    half = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
    return np.array([x, y]) + half @ np.array([(c, s), (-s, c)])


def scene(rng: np.random.Generator) -> dict[str, dict[str, list]]:
    truth: dict[str, list] = {}
    detections: dict[str, list] = {}
    for image in (f"P{i:04d}" for i in range(12)):
        true, found = truth.setdefault(image, []), detections.setdefault(image, [])
        for _ in range(0 if image == "P0003" else int(rng.integers(4, 20))):
            box = np.array([*rng.uniform(0, 800, 2), *np.exp(rng.uniform(2, 5, 2)), rng.uniform(-2, 4)])
            quad = corners(*box) + rng.normal(0, 0.5, (4, 2))
            if rng.random() < 0.06:
                quad[0] += 0.7 * (quad[2] - quad[0])  # pushed in: not convex
            name = str(rng.choice(CLASSES, p=[0.5, 0.3, 0.2]))
            true.append([*quad.round(1).ravel().tolist(), name, int(rng.random() < 0.15)])
            for _ in range(int(rng.choice([0, 1, 2], p=[0.15, 0.65, 0.2]))):  # missed, found, found twice
                spread = rng.choice([0.03, 0.08, 0.15]) * np.array([box[2], box[3], box[2], box[3], 1])
                moved = corners(*(box + rng.normal(0, 1, 5) * spread))
                said = name if rng.random() < 0.92 else str(rng.choice(CLASSES))
                found.append([*moved.round(2).ravel().tolist(), said, float(rng.beta(4, 2))])
        for _ in range(int(rng.integers(0, 6))):
            stray = corners(*rng.uniform(0, 800, 2), *np.exp(rng.uniform(2, 5, 2)), rng.uniform(-2, 4))
            found.append([*stray.round(2).ravel().tolist(), str(rng.choice(CLASSES)), float(rng.beta(2, 4))])
    return {"truth": truth, "detections": detections}


def kit(folder: Path, work: Path) -> ModuleType:
    """The kit's evaluation, with its overlap behind a C function."""
    (work / "iou.cpp").write_text(
        f'#include "{(folder / "polyiou.cpp").resolve()}"\n'
        'extern "C" double iou(double* p, double* q) { return iou_poly({p, p + 8}, {q, q + 8}); }\n'
    )
    subprocess.run(["g++", "-O2", "-shared", "-fPIC", "-o", work / "iou.so", work / "iou.cpp"], check=True)
    function = ctypes.CDLL(str(work / "iou.so")).iou
    function.restype = ctypes.c_double
    polyiou = ModuleType("polyiou")
    polyiou.VectorDouble = lambda values: (ctypes.c_double * 8)(*values)
    polyiou.iou_poly = function
    sys.modules["polyiou"] = polyiou
    sys.path.insert(0, str(folder))
    return importlib.import_module("dota_evaluation_task1")


def main(folder: Path) -> None:
    data = scene(np.random.default_rng(11))
    (HERE / "dota.json").write_text(json.dumps(data).replace("], [", "],\n [") + "\n")
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        evaluation = kit(folder, work)
        for image, rows in data["truth"].items():
            (work / f"{image}.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
        for name in CLASSES:
            rows = [(i, r) for i, block in data["detections"].items() for r in block if r[8] == name]
            lines = (" ".join(map(str, (image, row[9], *row[:8]))) + "\n" for image, row in rows)
            (work / f"Task1_{name}.txt").write_text("".join(lines))
        (work / "images").write_text("\n".join(data["truth"]))
        for way, eleven in (("11 points", True), ("curve", False)):
            for iou in IOUS:
                for name in CLASSES:
                    with contextlib.redirect_stdout(io.StringIO()):
                        ap = evaluation.voc_eval(
                            str(work / "Task1_{:s}.txt"), str(work / "{:s}.txt"), work / "images", name, iou, eleven
                        )[2]
                    found.setdefault(way, {}).setdefault(str(iou), {})[name] = float(ap)
    (HERE / "reference_dota.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

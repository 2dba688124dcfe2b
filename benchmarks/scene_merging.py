"""How long does merging of a scene take? rsdet and SAHI's postprocess take turns on the same boxes in one process.

Objects of 8 to 30 px, one per 900 px^2, five classes; tiles of 640 px that share 128 px. Each tile sees an object with
a jitter of 0.7 px (sides 5 %) and hands in those whose centre lies in its core or up to 4 px outside. "one scale" has
few boxes twice; "two scales" has each object at full and at half resolution. SAHI gets the same boxes, without tiles,
through its functions on arrays: no time for its Python objects, and of its greedy NMM only which boxes belong
together, while ours makes the boxes, too. Its backend is numpy, the faster one here: torchvision's NMS compares all
boxes of a class (3.2 s for 96,000 boxes of "one scale"); numba was not installed. Seconds are processor time of one
thread, which other work on the machine lengthens least.

    OMP_NUM_THREADS=1 python benchmarks/scene_merging.py --out benchmarks/results/scene-merging.md

needs ``pip install sahi``.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import sahi
import shapely
from sahi.postprocess.backends import set_postprocess_backend
from sahi.postprocess.combine import batched_greedy_nmm, batched_nms

from rsdet.scenes.found import Found
from rsdet.scenes.merging import merge

CORE, GUEST, IOU = 512, 4, 0.5
SCALES = {"one scale": (1.0,), "two scales": (1.0, 0.5)}


def scene(boxes: int, scales: tuple[float, ...], seed: int = 0) -> tuple[Found, int]:
    """About so many boxes as tiles hand them in, and how many objects they are."""
    rng = np.random.default_rng(seed)
    n = round(boxes / len(scales) / 1.03)
    side = (900 * n) ** 0.5
    centre, sides, classes = rng.uniform(0, side, (n, 2)), rng.uniform(8, 30, (n, 2)), rng.integers(0, 5, n)
    parts = []
    for s, ratio in enumerate(scales):
        core, margin = CORE / ratio, GUEST / ratio
        for step in product((-1, 0, 1), repeat=2):
            tile = (centre // core).astype(int) + step
            seen = centre + rng.normal(0, 0.7, centre.shape)
            beyond = np.maximum(tile * core - seen, seen - (tile + 1) * core).max(1)
            own = (beyond < margin) & (tile >= 0).all(1)
            half = (sides * rng.normal(1, 0.05, sides.shape))[own] / 2
            parts.append(
                Found(
                    np.concatenate([seen[own] - half, seen[own] + half], 1),
                    rng.uniform(0.25, 1, own.sum()),
                    classes[own],
                    (s << 40) + (tile[own, 0] << 20) + tile[own, 1],
                    np.full(own.sum(), s),
                    np.zeros(own.sum(), bool),
                    beyond[own] >= 0,
                )
            )
    return Found.joined(parts), n


def contestants(found: Found) -> dict[tuple[str, str], Callable[[], int]]:
    """Who does what, and gives the number of what is left."""
    rows = np.column_stack([found.boxes_xyxy, found.scores, found.classes])
    return {
        ("NMS", "rsdet"): lambda: len(merge(found, "nms", IOU)),
        ("NMS", "SAHI"): lambda: len(batched_nms(rows, "IOU", IOU)),
        ("greedy NMM", "rsdet"): lambda: len(merge(found, "nmm", IOU)),
        ("greedy NMM", "SAHI"): lambda: len(batched_greedy_nmm(rows, "IOU", IOU)),
        ("soft-NMS", "rsdet"): lambda: len(merge(found, "soft-nms", IOU)),
        ("WBF", "rsdet"): lambda: len(merge(found, "wbf", IOU)),
    }


def measure(sizes: list[int], rounds: list[int]) -> list[list[str]]:
    """Rows of the table."""
    table = []
    for run in contestants(scene(3000, (1.0,))[0]).values():
        run()  # imports
    for (size, times), (name, scales) in product(zip(sizes, rounds, strict=True), SCALES.items()):
        found, objects = scene(size, scales)
        runs = contestants(found)
        seconds: dict[tuple[str, str], list[float]] = {who: [] for who in runs}
        left = {}
        for _ in range(times):
            for who, run in runs.items():
                start = time.process_time()
                left[who] = run()
                seconds[who].append(time.process_time() - start)
        for (method, who), taken in seconds.items():
            ours = seconds[method, "rsdet"]
            ratio = statistics.median(t / o for t, o in zip(taken, ours, strict=True))
            row = [name, f"{len(found):,}", f"{objects:,}", method, who, f"{left[method, who]:,}"]
            table.append([*row, f"{statistics.median(taken):.2f}", f"{ratio:.1f}", str(times)])
            print("  ".join(table[-1]), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="Markdown file for the table")
    parser.add_argument("--boxes", type=int, nargs="+", default=[96_000, 1_000_000])
    parser.add_argument("--rounds", type=int, nargs="+", default=[5, 3], help="one for each of --boxes")
    args = parser.parse_args()
    set_postprocess_backend("numpy")
    table = measure(args.boxes, args.rounds)
    head = ["scene", "boxes", "objects", "method", "who", "left", "seconds", "times rsdet", "rounds"]
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, shapely {shapely.__version__}"
    lines = [
        "# Merging of what tiles have found",
        "",
        *__doc__.split("\n\n")[1].splitlines(),
        "",
        f"Medians of the rounds, in which all take turns; IoU {IOU}. 2 cores of an AMD EPYC server CPU, no GPU,",
        f"machine shared with other work. {versions}, SAHI {sahi.__version__}.",
        f"Command: `OMP_NUM_THREADS=1 {shlex.join(['python', *sys.argv])}`.",
        "",
        f"| {' | '.join(head)} |",
        f"|{' --- |' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in table),
        "",
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()

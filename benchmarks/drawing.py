"""Time to draw detections on full HD frames, against Ultralytics' own drawing of the same results.

Both draw the same frame in turn. Medians of the processor time are compared: other programs change it little.

    python benchmarks/drawing.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from ultralytics.engine.results import Results

from rsdet.tasks.detect.predict import DetectResults

NAMES = dict(enumerate(["pedestrian", "people", "bicycle", "car", "van", "truck", "tricycle", "bus", "motor", "boat"]))


def made(n: int, side: tuple[float, float], rng: np.random.Generator) -> Results:
    """A noisy frame with `n` boxes whose sides lie between `side` px."""
    image = rng.integers(0, 255, (1080, 1920, 3), np.uint8)
    corner, size = rng.uniform(0, 1, (n, 2)) * [1800, 1000], rng.uniform(*side, (n, 2))
    rows = np.concatenate([corner, corner + size, rng.uniform(0.2, 1, (n, 1)), rng.integers(0, 10, (n, 1))], 1)
    return Results(image, "frame.jpg", NAMES, boxes=torch.from_numpy(rows).float().reshape(-1, 6))


def main() -> None:
    """Print one line per number of boxes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    rng = np.random.default_rng(0)
    for side in ((8, 40), (60, 200)):
        for n in (0, 10, 100, 300):
            spent: dict[type, list[float]] = {Results: [], DetectResults: []}
            for _ in range(rounds):
                result = made(n, side, rng)
                for kind in spent:
                    result.__class__ = kind
                    begin = time.process_time()
                    result.plot()
                    spent[kind].append(1e3 * (time.process_time() - begin))
            theirs, ours = (statistics.median(v[1:]) for v in spent.values())
            print(f"{n:3d} boxes of {side[0]} to {side[1]} px: Ultralytics {theirs:5.1f} ms, rsdet {ours:5.1f} ms, "
                  f"ratio {ours / theirs:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()

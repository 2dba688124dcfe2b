"""How fast is CFAR? rsdet's form, a loop over pixels, and SciPy's filters take turns in one run.

``loop`` is the definition: for each pixel, NumPy takes the mean (or selects the order statistic) of the ring around
it, cut at borders. ``scipy`` is what one writes with SciPy: two uniform filters for the mean, a rank filter with the
ring as footprint for the order statistic. Both get their threshold factors ready made; rsdet keeps its own from the
first call on. The masks of all forms must be equal (scipy's rank is fixed, so its borders are left out), or nothing is
written.

    python benchmarks/cfar_speed.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import ndimage

from rsdet.classical.cfar import cfar
from rsdet.classical.factors import ca_factor, os_factor
from rsdet.deploy import hardware
from rsdet.deploy.timing import time_interleaved

LOOKS, RANK = 1.0, 0.75
# Side of the scene, guard, background, pfa, and which other forms are fast enough to be waited for.
CASES = {
    "ca": [
        (160, 31, 61, 1e-6, ("loop", "scipy")),
        (800, 31, 61, 1e-6, ("loop", "scipy")),
        (4000, 31, 61, 1e-6, ("scipy",)),
    ],
    "os": [
        (160, 31, 61, 1e-6, ("loop", "scipy")),
        (400, 31, 61, 1e-2, ("scipy",)),
        (800, 5, 15, 1e-6, ("loop", "scipy")),
        (800, 31, 61, 1e-6, ()),
        (4000, 31, 61, 1e-6, ()),
    ],
}


def scene(side: int) -> np.ndarray:
    """(side, side) uint8 amplitudes: one-look sea, land of stronger texture on a fifth of it, a ship now and then."""
    rng = np.random.default_rng(0)
    power = rng.gamma(1, 1, (side, side)) * 120
    land = side // 5
    power[:land] *= 12 * rng.gamma(2, 0.5, (land, side))
    for _ in range(max(2, side * side // 60_000)):
        y, x = rng.integers(land, side - 8), rng.integers(0, side - 25)
        power[y : y + 8, x : x + 25] += 255**2 * 0.5
    return np.clip(np.sqrt(power), 0, 255).astype(np.uint8)


def factors_by_count(method: str, pfa: float, guard: int, background: int) -> np.ndarray:
    """Threshold factor for every number of cells that a cut ring can have."""
    n = np.arange(1, background**2 - guard**2 + 1)
    if method == "ca":
        return np.concatenate([[0], ca_factor(pfa, n, LOOKS)])
    return np.concatenate([[0], os_factor(pfa, n, np.ceil(RANK * n - 1e-9).astype(int), LOOKS)])


def by_loop(values: np.ndarray, method: str, guard: int, background: int, factor: np.ndarray) -> np.ndarray:
    """Each pixel by itself."""
    power = values.astype(np.float64) ** 2
    height, width = power.shape
    r, g = background // 2, guard // 2
    inside = np.ones((background, background), bool)
    inside[r - g : r + g + 1, r - g : r + g + 1] = False
    mask = np.zeros(power.shape, bool)
    for y in range(height):
        top, bottom = max(y - r, 0), min(y + r + 1, height)
        for x in range(width):
            left, right = max(x - r, 0), min(x + r + 1, width)
            ring = inside[top - y + r : bottom - y + r, left - x + r : right - x + r]
            cells = power[top:bottom, left:right][ring]
            n = cells.size
            if n == 0:
                continue
            if method == "ca":
                level = cells.sum() / n
            else:
                k = math.ceil(RANK * n - 1e-9)
                level = np.partition(cells, k - 1)[k - 1]
            mask[y, x] = power[y, x] > factor[n] * level
    return mask


def by_scipy(values: np.ndarray, method: str, guard: int, background: int, factor: np.ndarray) -> np.ndarray:
    """SciPy's filters over the whole scene."""
    power = values.astype(np.float64) ** 2

    def box(a: np.ndarray, side: int) -> np.ndarray:
        return ndimage.uniform_filter(a, side, mode="constant") * side**2

    if method == "ca":
        ones = np.ones_like(power)
        n = np.rint(box(ones, background) - box(ones, guard)).astype(int)
        return power > factor[n] * (box(power, background) - box(power, guard)) / np.maximum(n, 1)
    footprint = np.ones((background, background), bool)
    a, b = background // 2 - guard // 2, background // 2 + guard // 2 + 1
    footprint[a:b, a:b] = False
    n = int(footprint.sum())
    return power > factor[n] * ndimage.rank_filter(power, math.ceil(RANK * n - 1e-9) - 1, footprint=footprint)


def measure(rounds: int, seconds: float) -> list[dict]:
    """One entry per case and form."""
    table = []
    for method, cases in CASES.items():
        for side, guard, background, pfa, others in cases:
            values = scene(side)
            ask = dict(pfa=pfa, guard_px=guard, background_px=background, looks=LOOKS, rank=RANK)
            factor = factors_by_count(method, pfa, guard, background) if others else None
            forms: dict[str, Callable[[], np.ndarray]] = {
                "rsdet": lambda v=values, m=method, a=ask: cfar(v, m, **a).mask
            }
            for name in others:
                run = {"loop": by_loop, "scipy": by_scipy}[name]
                forms[name] = lambda f=run, v=values, m=method, g=guard, b=background, t=factor: f(v, m, g, b, t)
            masks = {name: run() for name, run in forms.items()}
            rim = background // 2
            for name, mask in masks.items():
                cut = np.s_[rim:-rim, rim:-rim] if name == "scipy" and method == "os" else np.s_[:]
                if (wrong := int((mask[cut] != masks["rsdet"][cut]).sum())) > 0:
                    raise SystemExit(
                        f"{name} differs in {wrong} pixels ({method}, {side} px): its speed means nothing."
                    )
            race = time_interleaved(forms, rounds, warmup_s=0.2, min_s=seconds, max_s=120)
            for name, t in race.timings.items():
                row = dict(
                    method=method, scene_px=side, guard_px=guard, background_px=background, pfa=pfa, form=name,
                    detected_px=int(masks[name].sum()), median_ms=round(t.median_ms, 3), p95_ms=round(t.p95, 3),
                    p99_ms=round(t.p99, 3), runs=t.n, mpixel_per_s=round(side**2 / t.median_ms / 1e3, 3),
                    times_rsdet=round(race.median_of_ratios[name], 2), samples_ms=[round(s, 3) for s in t.samples_ms],
                )  # fmt: skip
                table.append(row)
                print(
                    "{method} {scene_px:5} px, windows {guard_px}/{background_px}, pfa {pfa:g}  {form:<6}"
                    "{median_ms:11.2f} ms {mpixel_per_s:8.2f} Mpixel/s  {times_rsdet:8.1f} x".format(**row),
                    flush=True,
                )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder or .json file for the table")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of OpenCV and PyTorch")
    parser.add_argument("--rounds", type=int, default=5, help="fewest samples of each form")
    parser.add_argument("--seconds", type=float, default=1.0, help="shortest time to sample each form for")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    table = measure(args.rounds, args.seconds)
    about = hardware.describe("cpu", args.threads) | {
        "opencv": cv2.__version__,
        "scipy": hardware.version("scipy"),
        "precision": "fp64",
        "command": shlex.join(["python", *sys.argv]),
    }
    out = args.out
    if out.suffix != ".json":
        out = out / f"cfar-speed-{hardware.slug('cpu', 'fp64', args.threads)}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"about": about, "results": table}, indent=1) + "\n", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

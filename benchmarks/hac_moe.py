"""HAC-MoE against bicubic interpolation on gray pictures, blurred, decimated and made noisy as in its paper.

A small budget, and small on purpose: it runs on one core. Crops of 96 px (x2) and 128 px (x4) instead of 1024, a
quarter of the paper's network width, few pictures. It shows whether the method works and which of its parts help
*here*; it does not stand beside the paper's tables. Differences below the spread of the seeds say nothing.

    python benchmarks/hac_moe.py --data DATA --out benchmarks/results --minutes 35
    python benchmarks/hac_moe.py --data DATA --out benchmarks/results --draw

DATA holds ``mars-terrain/images`` (AI4Mars) and ``rsscn7/<class>``. Written after each fit; a second run
goes on where the first ended. These sets state or confirm no licence of their pictures, so none is shown: ``--draw``
fits frames of ``aerial-cars`` (CC BY-SA) and ``hit-uav/images/val`` (CC BY 4.0) instead.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rsdet.blind.enhancer import HACMoE
from rsdet.blind.result import COLUMNS
from rsdet.data.degrade import build_degradation
from rsdet.data.degrade.kernels import centre_of_mass, gaussian_kernel, kernel_centre, variance_range
from rsdet.data.degrade.resize import imresize
from rsdet.data.raster_io import read_image
from rsdet.deploy import hardware
from rsdet.metrics.image_quality import Convention, psnr, ssim

CROP_PX = {2: 96, 4: 128}
BASE = {"channels": 32, "pad": "circular"}  # circular: as the pictures are made
VARIANTS = {
    "default": {},
    "to the last step": {"stop_factor": 0.0},  # whatever the noise is
    "without MoE": {"experts": 0},
    "without CKS and history": {"cks": False, "feature": "none"},
    "80 steps of SSIM": {"ssim_steps": 80},
    "without gradient prior": {"prior": 0.0},
}
MARS, CITY = "mars-terrain/images", "rsscn7/fResident"
# Picture (folder, number in order of names), scale, variant, seeds; in order of importance.
PLAN = [
    ((MARS, 60), 2, "default", (0,)),
    ((MARS, 60), 4, "default", (0,)),
    ((MARS, 60), 2, "default", (1, 2)),
    ((CITY, 2), 2, "default", (0,)),
    ((CITY, 2), 4, "default", (0,)),
    ((MARS, 60), 4, "to the last step", (0,)),
    ((CITY, 2), 2, "to the last step", (0,)),
    ((MARS, 60), 2, "without MoE", (0, 1, 2)),
    ((MARS, 60), 2, "without CKS and history", (0, 1, 2)),
    ((MARS, 60), 2, "80 steps of SSIM", (0, 1, 2)),
    ((MARS, 60), 2, "without gradient prior", (0, 1, 2)),
]
SHOWN = ("aerial-cars", 30), ("hit-uav/images/val", 20)  # drawn at both scales


def crop(data: Path, folder: str, number: int, side: int) -> tuple[str, np.ndarray]:
    """Name and (side, side, 1) middle of a picture."""
    file = sorted((data / folder).glob("*.jpg"))[number]
    picture, _ = read_image(file, channels=1)
    top, left = ((n - side) // 2 for n in picture.shape[:2])
    return f"{folder.split('/')[0]}-{file.stem}", picture[top : top + side, left : left + side]


def best_shift(output: np.ndarray, target: np.ndarray, border: int, bits: Convention) -> tuple[float, float, float]:
    """PSNR after the best shift of at most one pixel along each axis, in steps of a quarter; and the shift."""
    best = (-math.inf, 0.0, 0.0)
    for dy in np.arange(-1, 1.01, 0.25):
        for dx in np.arange(-1, 1.01, 0.25):
            matrix = np.float32([[1, 0, dx], [0, 1, dy]])
            size = output.shape[1], output.shape[0]
            moved = cv2.warpAffine(output, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
            best = max(best, (psnr(moved.reshape(output.shape).clip(0, 1), target, bits), float(dx), float(dy)))
    return best


def kernel_psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR of two kernels, peak 1, as the predecessors of HAC-MoE state it."""
    return -10 * math.log10(float(np.mean((a.astype(np.float64) - b) ** 2)))


def fit(data: Path, which: tuple[str, int], scale: int, variant: str, seed: int, iters: int) -> tuple[dict, dict]:
    """One fit: numbers, and pictures for the sheet."""
    name, clear = crop(data, *which, CROP_PX[scale])
    degrade = build_degradation({"name": "blind"}, scale)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    kernel = degrade.kernel(rng)
    lr = np.rint(degrade.with_kernel(clear, kernel, rng) * 65535).astype(np.float32) / 65535
    method = HACMoE(upscale=scale, iters=iters, **(BASE | VARIANTS[variant]))
    wall, cpu = time.perf_counter(), time.process_time()
    result = method.solve(lr, seed=seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    convention = Convention(border=scale, bits=8)
    bicubic = np.clip(imresize(lr, scale), 0, 1)
    centre, middle = kernel_centre(len(kernel), scale), float(np.mean(variance_range(scale)))
    middle_kernel = gaussian_kernel(len(kernel), (middle, middle), 0, centre)
    column = {c: [row[i] for row in result.losses] for i, c in enumerate(COLUMNS)}
    tail = slice(-50, None)
    steps = len(result.losses)
    row: dict[str, Any] = {"image": name, "scale": scale, "variant": variant, "seed": seed, "steps": steps}
    for label, picture in (("hac_moe", result.image), ("bicubic", bicubic)):
        shifted = best_shift(picture, clear, scale, convention)
        row |= {f"{label}_psnr_db": psnr(picture, clear, convention), f"{label}_ssim": ssim(picture, clear, convention)}
        row |= {f"{label}_best_shift_psnr_db": shifted[0], f"{label}_best_shift_px": shifted[1:]}
    row |= {
        "kernel_psnr_db": kernel_psnr(result.kernel, kernel),
        "kernel_psnr_of_mid_gaussian_db": kernel_psnr(middle_kernel, kernel),
        "kernel_centre_off_px": (centre_of_mass(result.kernel) - centre).round(3).tolist(),
        "lr_residual_db": -10 * math.log10(result.residual),
        "noise_alone_db": -10 * math.log10(np.mean((lr - degrade_clean(degrade, clear, kernel)) ** 2)),
        "history_share_of_loss": float(np.sum(column["history"][tail]) / np.sum(column["total"][tail])),
        "wall_s": wall, "cpu_s": cpu, "steps_per_cpu_s": steps / cpu,
    }  # fmt: skip
    return row, {"clear": clear, "lr": lr, "bicubic": bicubic, "hac": result.image, "k": kernel, "k_hac": result.kernel}


def degrade_clean(degrade: Any, clear: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The degraded picture without its noise."""
    quiet = build_degradation({"name": "blind", "noise": "none"}, degrade.scale)
    return quiet.with_kernel(clear, kernel, np.random.default_rng(0))


def strip(row: dict, p: dict) -> np.ndarray:
    """Truth with the true kernel, input, bicubic, HAC-MoE with its kernel; side by side, stretched for the eye."""
    side, tiles = 256, []
    low, high = np.percentile(p["clear"], (0.5, 99.5))
    for key, title in (
        ("clear", f"{row['image'][:22]} x{row['scale']}"),
        ("lr", "input"),
        ("bicubic", f"bicubic {row['bicubic_psnr_db']:.2f} dB"),
        ("hac", f"HAC-MoE {row['hac_moe_psnr_db']:.2f} dB"),
    ):
        gray = np.clip((p[key][..., 0] - low) / max(high - low, 1e-6), 0, 1)
        tile = cv2.resize((gray * 255).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        if key in ("clear", "hac"):
            k = p["k" if key == "clear" else "k_hac"]
            k = cv2.resize((k / k.max() * 255).astype(np.uint8), (64, 64), interpolation=cv2.INTER_NEAREST)
            tile[:64, :64] = k
            cv2.rectangle(tile, (0, 0), (64, 64), 255, 1)
        tile = cv2.copyMakeBorder(tile, 20, 4, 2, 2, cv2.BORDER_CONSTANT, value=255)
        cv2.putText(tile, title, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, 0, 1, cv2.LINE_AA)
        tiles.append(tile)
    return np.hstack(tiles)


def draw(args: argparse.Namespace) -> None:
    """Fit what may be shown, and write its strips."""
    for which in SHOWN:
        for scale in CROP_PX:
            row, pictures = fit(args.data, which, scale, "default", 0, args.iters)
            file = args.out / f"hac-moe-{which[0].split('/')[0]}-x{scale}.png"
            cv2.imwrite(str(file), strip(row, pictures))
            print(f"{file}: {row['hac_moe_psnr_db']:.2f} dB, bicubic {row['bicubic_psnr_db']:.2f}", flush=True)


def done_before(file: Path, about: dict) -> list[dict]:
    """Fits of an earlier run with the same settings, which are not repeated."""
    if not file.is_file():
        return []
    old = json.loads(file.read_text(encoding="utf-8"))
    same = all(old["about"].get(key) == about[key] for key in ("command", "settings", "cpu", "torch"))
    return old["rows"] if same else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with mars-terrain and rsscn7")
    parser.add_argument("--out", type=Path, required=True, help="folder for hac-moe.json and the pictures")
    parser.add_argument(
        "--iters", type=int, default=120, help="outer steps of five image steps; 120 or 300 in the paper"
    )
    parser.add_argument("--draw", action="store_true", help="only make the pictures")
    parser.add_argument("--minutes", type=float, default=35, help="no fit is begun that would not end by then")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.draw:
        draw(args)
        return
    about = hardware.describe("cpu", 1) | {
        "command": shlex.join(["python", *sys.argv[:1], "--data", "DATA", "--out", "OUT", "--iters", str(args.iters)]),
        "budget": f"small: crops of {CROP_PX} px, width {BASE['channels']} of 128, {args.iters} of 120 outer steps",
        "settings": BASE, "variants": VARIANTS, "metrics": Convention(border=0, bits=8).describe() + ", border = scale",
        "note": "other work ran on the machine: steps per second of processor time, not of wall time",
    }  # fmt: skip
    file = args.out / "hac-moe.json"
    begin, rows = time.monotonic(), done_before(file, about)
    jobs = [(which, scale, variant, seed) for which, scale, variant, seeds in PLAN for seed in seeds]
    for which, scale, variant, seed in jobs:
        key = (crop(args.data, *which, CROP_PX[scale])[0], scale, variant, seed)
        if any(key == (row["image"], row["scale"], row["variant"], row["seed"]) for row in rows):
            continue
        longest = max((row["wall_s"] for row in rows), default=0)
        if time.monotonic() - begin + longest > 60 * args.minutes:
            break
        row, _ = fit(args.data, which, scale, variant, seed, args.iters)
        rows.append(row)
        said = "{image} x{scale} {variant} seed {seed}: {hac_moe_psnr_db:.2f} dB (bicubic {bicubic_psnr_db:.2f}), "
        print((said + "kernel {kernel_psnr_db:.1f} dB, {steps_per_cpu_s:.2f} steps/s").format(**row), flush=True)
        text = json.dumps({"about": about, "fits_planned": len(jobs), "rows": rows}, indent=1)
        file.write_text(text + "\n", encoding="utf-8")
    print(f"written to {file}: {len(rows)} of {len(jobs)} fits")


if __name__ == "__main__":
    main()

"""How fast are the transforms inside DWTMA-Net? Forms of one operation take turns in one run, and must agree first.

Haar transform and its inverse, one after the other: ``sums`` is what rsdet computes; ``formula`` writes the four bands
as printed, on strided slices; ``conv`` is a grouped convolution of stride 2 and its transpose, as most code has it;
``pytorch_wavelets`` is that package, where it is installed (1.3.0 needs ``setuptools<81`` too).

FAM, the attention in the Fourier domain: ``fft`` is what runs in PyTorch; ``matrix`` is what exported graphs hold.

    python benchmarks/dwtma_speed.py --out benchmarks/results --threads 1
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from rsdet.deploy import hardware
from rsdet.deploy.timing import time_interleaved
from rsdet.nn.fourier import FAM
from rsdet.nn.wavelet import haar_dwt, haar_idwt

# Batch, channels, height and width. Levels of the full network on a tile of 256 px; level 1 of scale t in training.
WAVELET_MAPS = [(1, 24, 256, 256), (1, 48, 128, 128), (1, 96, 64, 64), (8, 8, 96, 96)]
FAM_MAPS = [(1, 48, 256, 256), (1, 96, 128, 128), (1, 192, 64, 64), (8, 16, 96, 96), (1, 48, 250, 250)]

Form = Callable[[torch.Tensor], torch.Tensor]


def by_sums(x: torch.Tensor) -> torch.Tensor:
    return haar_idwt(*haar_dwt(x))


def by_formula(x: torch.Tensor) -> torch.Tensor:
    a, b, c, d = x[..., ::2, ::2], x[..., ::2, 1::2], x[..., 1::2, ::2], x[..., 1::2, 1::2]
    ll, ch, cv, cd = (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2
    y = torch.stack(
        ((ll + ch + cv + cd) / 2, (ll + ch - cv - cd) / 2, (ll - ch + cv - cd) / 2, (ll - ch - cv + cd) / 2), 2
    )
    return F.pixel_shuffle(y.flatten(1, 2), 2)


def by_conv(channels: int, device: str) -> Form:
    signs = [[[1, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]
    kernel = torch.tensor(signs, dtype=torch.float32, device=device)[:, None].repeat(channels, 1, 1, 1) / 2

    def run(x: torch.Tensor) -> torch.Tensor:
        bands = F.conv2d(x, kernel, stride=2, groups=channels)
        return F.conv_transpose2d(bands, kernel, stride=2, groups=channels)

    return run


def by_package(device: str) -> Form | None:
    """pytorch_wavelets, or ``None`` where it is not installed."""
    try:
        from pytorch_wavelets import DWTForward, DWTInverse
    except ImportError as e:
        print(f"pytorch_wavelets is left out ({e}).")
        return None
    there = DWTForward(J=1, wave="haar", mode="zero").to(device)
    back = DWTInverse(wave="haar", mode="zero").to(device)
    return lambda x: back(there(x))


def with_gradient(form: Form, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    leaf = x.clone().requires_grad_()

    def run() -> torch.Tensor:
        leaf.grad = None
        form(leaf).square().sum().backward()
        return leaf.grad

    return run


def race(what: str, forms: dict[str, Form], x: torch.Tensor, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """One row per form and mode; the first form is what ratios are relative to."""
    sync = torch.cuda.synchronize if x.is_cuda else None
    rows = []
    for mode in ("inference", "training"):
        runs = {k: with_gradient(f, x) if mode == "training" else (lambda f=f: f(x)) for k, f in forms.items()}
        with torch.inference_mode(mode == "inference"):
            results = {k: run() for k, run in runs.items()}
            first = next(iter(results.values()))
            errors = {k: float((y - first).abs().max() / first.abs().max()) for k, y in results.items()}
            if max(errors.values()) > 1e-5:
                raise SystemExit(f"{what}: the forms disagree, {errors}; their speed means nothing.")
            timed = time_interleaved(runs, rounds, warmup_s=0.2, min_s=seconds, sync=sync)
        for name, t in timed.timings.items():
            row = {
                "what": what,
                "mode": mode,
                "shape": list(x.shape),
                "form": name,
                "times_first": round(timed.median_of_ratios[name], 2),
                "relative_error": errors[name],
                **t.to_dict(),
            }
            rows.append(row)
            told = f"{what} {mode:<9} {'x'.join(map(str, x.shape)):<14} {name:<17}"
            print(f"{told} {t.median_ms:8.3f} ms  {row['times_first']:6.2f} x", flush=True)
    return rows


def measure(device: str, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """All races."""
    torch.manual_seed(0)
    rows, package = [], by_package(device)
    for shape in WAVELET_MAPS:
        forms = {"sums": by_sums, "formula": by_formula, "conv": by_conv(shape[1], device)}
        forms |= {"pytorch_wavelets": package} if package else {}
        rows += race("DWT+IDWT", forms, torch.randn(shape, device=device), rounds, seconds)
    for shape in FAM_MAPS:
        fft, matrix = (FAM(shape[1], form).to(device) for form in ("fft", "matrix"))
        matrix.load_state_dict(fft.state_dict())
        rows += race("FAM", {"fft": fft, "matrix": matrix}, torch.randn(shape, device=device), rounds, seconds)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder or .json file for the table")
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a GPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's setting")
    parser.add_argument("--rounds", type=int, default=20, help="fewest samples of each form")
    parser.add_argument("--seconds", type=float, default=1.0, help="shortest time to sample each form for")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = hardware.torch_device(args.device)
    rows = measure(device, args.rounds, args.seconds)
    about = hardware.describe(device, torch.get_num_threads()) | {"precision": "fp32"}
    about |= {"command": shlex.join(["python", *sys.argv]), "pytorch_wavelets": hardware.version("pytorch_wavelets")}
    out = args.out
    if out.suffix != ".json":
        out = out / f"dwtma-speed-{hardware.slug(device, 'fp32', torch.get_num_threads())}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

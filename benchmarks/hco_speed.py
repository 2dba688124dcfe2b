"""How fast is the spectral step of HCO, IDCT(DCT(u) * decay)? Four forms take turns in one run.

``matmul`` is what rsdet computes: two products with cosine matrices per direction, channel-last. ``einsum`` is the same
on channels-first maps, one einsum per axis. ``fft`` is the textbook fast form, a DCT by one real FFT per axis, in the
layout that suits it (channels first, to which HCO would have to permute). ``direct`` is the double sum over all pixels
for each frequency, as equation (3) is written, not split into rows and columns.

    python benchmarks/hco_speed.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rsdet.deploy import hardware
from rsdet.deploy.timing import time_interleaved
from rsdet.nn.heat import dct_basis, heat_conduct

# Height, width, channels: P4 and P5 of vmc-detr at 640 and at 1024.
MAPS = [(40, 40, 256), (20, 20, 512), (64, 64, 256), (32, 32, 512)]


class FFTDCT:
    """Orthonormal DCT-II and its inverse over the last axis of length ``n``, by one real FFT each (n even)."""

    def __init__(self, n: int, like: torch.Tensor):
        k = torch.arange(n // 2 + 1, dtype=torch.float64)
        self.n, self.twiddle = n, torch.exp(-0.5j * torch.pi * k / n).to(like.device, torch.complex64)
        scale = torch.full((n,), (2 / n) ** 0.5, dtype=torch.float64)
        scale[0] = (1 / n) ** 0.5
        self.scale = scale.to(like)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Samples to spectrum."""
        v = torch.fft.rfft(torch.cat((u[..., ::2], u[..., 1::2].flip(-1)), -1)) * self.twiddle
        return torch.cat((v.real, -v.imag[..., 1:-1].flip(-1)), -1) * self.scale

    def inverse(self, s: torch.Tensor) -> torch.Tensor:
        """Spectrum to samples."""
        s = s / self.scale
        half = self.n // 2
        mirrored = torch.cat((torch.zeros_like(s[..., :1]), s[..., half:].flip(-1)), -1)
        v = torch.fft.irfft(torch.complex(s[..., : half + 1], -mirrored) * self.twiddle.conj(), n=self.n)
        return torch.stack((v[..., :half], v[..., half:].flip(-1)), -1).flatten(-2)


def forms(h: int, w: int, c: int, device: str) -> tuple[dict[str, Callable[[], torch.Tensor]], np.ndarray]:
    """The four forms on one random map, all returning (1, H, W, C) or (1, C, H, W), and the float64 answer."""
    torch.manual_seed(0)
    u = torch.randn(1, h, w, c, device=device)
    decay = torch.rand(h, w, c, device=device)
    d_h, d_w = (dct_basis(n, u.dtype, u.device) for n in (h, w))
    u_first, decay_first = u.permute(0, 3, 1, 2).contiguous(), decay.permute(2, 0, 1).contiguous()
    rows, cols = FFTDCT(h, u), FFTDCT(w, u)
    waves = torch.kron(d_h, d_w)  # (frequencies, pixels)

    def einsum() -> torch.Tensor:
        s = torch.einsum("mw,bcnw->bcnm", d_w, torch.einsum("nh,bchw->bcnw", d_h, u_first)) * decay_first
        return torch.einsum("mw,bchm->bchw", d_w, torch.einsum("nh,bcnm->bchm", d_h, s))

    def fft() -> torch.Tensor:
        s = rows.forward(cols.forward(u_first).transpose(-1, -2)).transpose(-1, -2) * decay_first
        return cols.inverse(rows.inverse(s.transpose(-1, -2)).transpose(-1, -2))

    def direct() -> torch.Tensor:
        s = waves @ u.view(h * w, c) * decay.view(h * w, c)
        return (waves.t() @ s).view(u.shape)

    wide = [dct_basis(n, torch.float64, u.device) for n in (h, w)]
    want = heat_conduct(u.double(), decay.double(), *wide).cpu().numpy()
    return {
        "matmul": lambda: heat_conduct(u, decay, d_h, d_w),
        "einsum": einsum,
        "fft": fft,
        "direct": direct,
    }, want


def measure(device: str, rounds: int, seconds: float) -> list[dict]:
    """One row per map and form."""
    sync = torch.cuda.synchronize if device != "cpu" else None
    table = []
    for h, w, c in MAPS:
        candidates, want = forms(h, w, c, device)
        with torch.inference_mode():
            errors = {}
            for name, run in candidates.items():
                y = run().cpu().numpy()
                y = y if y.shape == want.shape else np.moveaxis(y, 1, -1)
                errors[name] = float(np.abs(y - want).max())
                if errors[name] > 1e-4:
                    raise SystemExit(f"{name} is off by {errors[name]:.1e} on {h}x{w}x{c}: its speed means nothing.")
            race = time_interleaved(candidates, rounds, warmup_s=0.2, min_s=seconds, sync=sync)
        for name, t in race.timings.items():
            table.append(
                {
                    "height": h,
                    "width": w,
                    "channels": c,
                    "form": name,
                    "median_ms": round(t.median_ms, 4),
                    "p95_ms": round(t.p95, 4),
                    "p99_ms": round(t.p99, 4),
                    "runs": t.n,
                    "times_matmul": round(race.median_of_ratios[name], 2),
                    "largest_error": f"{errors[name]:.1e}",
                }
            )
            print(
                "{height}x{width}x{channels} {form:<7} {median_ms:9.3f} ms  {times_matmul:6.2f} x".format(**table[-1])
            )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder or .csv file for the table")
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a GPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's setting")
    parser.add_argument("--rounds", type=int, default=50, help="fewest samples of each form")
    parser.add_argument("--seconds", type=float, default=3.0, help="shortest time to sample each map for")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = hardware.torch_device(args.device)
    table = measure(device, args.rounds, args.seconds)
    about = hardware.describe(device) | {"precision": "fp32", "batch": 1, "command": shlex.join(["python", *sys.argv])}
    out = args.out
    if out.suffix != ".csv":
        out = out / f"hco-speed-{hardware.slug(device, 'fp32', torch.get_num_threads())}.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [*table[0], *about])
        writer.writeheader()
        writer.writerows(row | about for row in table)
    print(f"written to {out}")


if __name__ == "__main__":
    main()

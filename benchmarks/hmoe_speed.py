"""How much does dispatch save? The experts of MFG-HMoE sparse and dense, taking turns in one run.

``sparse`` computes for each pixel the expert that was chosen for it; ``dense`` computes all sixteen everywhere and
masks, as the authors' code does. ``upsampler`` is DR-HMoE alone on 64x64 features, ``network`` the whole of a size of
mfg-hmoe.yaml on one image, ``training`` one forward and backward pass of the upsampler on a batch of patches. Routers
are random and centred, so that pixels spread over the experts; the largest share is in the table. Both forms must
agree, or nothing is written.

    python benchmarks/hmoe_speed.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from rsdet.deploy import hardware
from rsdet.deploy.timing import time_interleaved
from rsdet.nn.hmoe import DRHMoE
from rsdet.nn.mfg_hmoe import MFGHMoE

FORMS = ("sparse", "dense")
SIZES = {  # of mfg-hmoe.yaml
    "t": dict(dim=32, groups=2, depth=2, heads=2, window=8, features=24, drop_path=0.0),
    "full": {},
}
# What runs, upscale, channels of the upsampler or size of the network, batch, side of the input in pixels.
CASES = [
    ("upsampler", 2, 64, 1, 64),
    ("upsampler", 4, 64, 1, 64),
    ("training", 2, 24, 8, 24),
    ("training", 4, 24, 8, 24),
    ("training", 4, 64, 4, 64),
    ("network", 2, "t", 1, 128),
    ("network", 4, "t", 1, 128),
    ("network", 2, "full", 1, 64),
    ("network", 4, "full", 1, 64),
]


def centre(moe: DRHMoE, guide: torch.Tensor) -> float:
    """Make the routers choose among all experts on such a guide; the largest share of one expert."""
    g, router = guide.permute(0, 2, 3, 1).reshape(-1, guide.shape[1]), moe.router
    with torch.no_grad():
        for layer, at in ((router.to_group, 0), *zip(router.to_expert, router.position, strict=True)):
            layer.weight.normal_(0, 1)
            layer.bias.copy_(-layer.weight @ (g + at).mean(0))
        chosen = router(guide).expert
    return float(torch.bincount(chosen.flatten()).max() / chosen.numel())


def candidates(what: str, upscale: int, size: int | str, batch: int, side_px: int, device: str):
    """The two forms, each returning what must be equal, and the largest share."""
    torch.manual_seed(0)
    if what == "network":
        net = MFGHMoE(upscale, **SIZES[size]).to(device).eval()
        moe, x = net.upsample, torch.rand(batch, 3, side_px, side_px, device=device)
        with torch.no_grad():
            share = centre(moe, net.features(x)[1])
        run: Callable[[], torch.Tensor] = lambda: net(x)  # noqa: E731
    else:
        moe = DRHMoE(size, upscale).to(device).train(what == "training")
        f, guide = (torch.randn(batch, size, side_px, side_px, device=device) for _ in range(2))
        share = centre(moe, guide)

        def run() -> torch.Tensor:
            if what == "upsampler":
                return moe(f, guide)
            moe.zero_grad()
            a = f.clone().requires_grad_()
            moe(a, guide).square().mean().backward()
            return a.grad

    def form(dispatch: str) -> Callable[[], torch.Tensor]:
        def go() -> torch.Tensor:
            moe.dispatch = dispatch
            with torch.set_grad_enabled(what == "training"):
                return run()

        return go

    return {name: form(name) for name in FORMS}, share


def measure(device: str, rounds: int, seconds: float) -> list[dict]:
    """One row per case and form."""
    sync, table = (torch.cuda.synchronize if device != "cpu" else None), []
    for what, upscale, size, batch, side_px in CASES:
        fns, share = candidates(what, upscale, size, batch, side_px, device)
        a, b = (fn() for fn in fns.values())
        error = float((a - b).abs().max() / b.abs().max())
        if error > 1e-4:
            raise SystemExit(f"{what} x{upscale}: the forms differ by {error:.1e}; their speed means nothing.")
        race = time_interleaved(fns, rounds, warmup_s=0.2, min_s=seconds, max_s=60, sync=sync)
        for name, t in race.timings.items():
            row = {"what": what, "upscale": upscale, "size": size, "batch": batch, "side_px": side_px, "form": name}
            row |= {"median_ms": round(t.median_ms, 3), "p95_ms": round(t.p95, 3), "runs": t.n}
            row |= {"times_sparse": round(race.median_of_ratios[name], 3), "largest_share": round(share, 3)}
            table.append({**row, "largest_relative_error": error, "samples_ms": [round(s, 3) for s in t.samples_ms]})
            print("{what:<9} x{upscale} {size!s:<4} {form:<6} {median_ms:9.2f} ms {times_sparse:6.2f} x".format(**row))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder or .json file for the table")
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a GPU")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's setting")
    parser.add_argument("--rounds", type=int, default=15, help="fewest samples of each form")
    parser.add_argument("--seconds", type=float, default=2.0, help="shortest time to sample each case for")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = hardware.torch_device(args.device)
    table = measure(device, args.rounds, args.seconds)
    about = hardware.describe(device) | {"precision": "fp32", "command": shlex.join(["python", *sys.argv])}
    out = args.out
    if out.suffix != ".json":
        out = out / f"hmoe-speed-{hardware.slug(device, 'fp32', torch.get_num_threads())}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"about": about, "results": table}, indent=1) + "\n", encoding="utf-8")
    print(f"written to {out}")


if __name__ == "__main__":
    main()

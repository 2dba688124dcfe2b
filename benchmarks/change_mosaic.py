"""Two mosaics of rendered places compared from the command line: seconds, and the most memory, at two sizes.

    python benchmarks/change_mosaic.py --work runs/change-mosaic

What is measured is the pipeline (reading, shifts, tiling, blending, polygons, tables, pictures), so the network is an
FC-Siam-diff an eighth as wide and was never trained: its last bias lets three pixels of a thousand count as changed, in
more and smaller pieces than houses would be. Its map says nothing, and is not shown.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rows import once, write_page

SCENE_PX, SEED, SCENES = 512, 990_000_000, 4
WIDTHS = [2, 4, 8, 16]
CHANGED, OVERLAP_PX = 0.003, 32


def calibrated(work: Path) -> Path:
    """Weights of a small network that were never trained, by which CHANGED of the pixels of a place have changed."""
    import torch

    from rsdet import RSDet
    from rsdet.data.scenes.dates import render_dates

    file = work / "weights.pt"
    if not file.is_file():
        torch.manual_seed(0)
        model, place = RSDet("fc-siam-diff.yaml", widths=WIDTHS), render_dates(SEED, SCENE_PX)
        net, x = model.model.network.eval(), np.concatenate([place.before, place.after], 2).transpose(2, 0, 1)[None]
        with torch.inference_mode():
            logits = net(torch.from_numpy(x).float() / 255)
        last = [m for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))][-1]
        with torch.no_grad():
            last.bias -= float(logits.quantile(1 - CHANGED))
        model.save(file)
    return file


def mosaics(work: Path, side: int) -> tuple[Path, Path]:
    """Write two mosaics of a side in pixels, block by block, of a few places drawn at random, mirrored at random."""
    import rasterio
    from rasterio.transform import from_origin
    from rasterio.windows import Window

    from rsdet.data.scenes.dates import render_dates

    files = work / f"{side}-before.tif", work / f"{side}-after.tif"
    if all(f.is_file() for f in files):
        return files
    scenes = [render_dates(SEED + i, SCENE_PX) for i in range(SCENES)]
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "uint8", "tiled": True,
        "blockxsize": SCENE_PX, "blockysize": SCENE_PX, "compress": "deflate", "zlevel": 1, "photometric": "RGB",
        "crs": "EPSG:32648", "transform": from_origin(500_000, 3_800_000, 0.5, 0.5),
    }  # fmt: skip
    for file, date in zip(files, ("before", "after"), strict=True):
        rng, part = np.random.default_rng(SEED), file.with_suffix(".part.tif")  # the same draws for both dates
        with rasterio.open(part, "w", **profile) as f:
            for top in range(0, side, SCENE_PX):
                for left in range(0, side, SCENE_PX):
                    picture = getattr(scenes[rng.integers(SCENES)], date)
                    picture = picture[:: rng.choice((1, -1)), :: rng.choice((1, -1))][: side - top, : side - left]
                    f.write(picture.transpose(2, 0, 1), window=Window(left, top, *picture.shape[1::-1]))
        part.rename(file)
    return files


def compared(weights: str, before: str, after: str, tile: int, device: str) -> dict[str, Any]:
    """Compare two mosaics, in a process of its own."""
    from rsdet import RSDet

    began, used = time.perf_counter(), time.process_time()
    (found,) = RSDet(weights).predict(
        source=before,
        source2=after,
        tile=tile,
        overlap=OVERLAP_PX,
        device=device,
        project=Path(before).parent / "found",
    )
    files = [p for p in found.save_path.parents[1].rglob("*") if p.is_file()]
    return {
        "seconds": round(time.perf_counter() - began),
        "cpu_seconds": round(time.process_time() - used),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "changed_share": round(found.share, 5),
        "polygons": len(found),
        "shifts": len(found.shifts),
        "written_mib": round(sum(p.stat().st_size for p in files) / 2**20, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[2048, 10_240], help="of the mosaics, in pixels")
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--weights", type=Path, help="instead of those that are made here")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--work", type=Path, default=Path("runs/change-mosaic"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--look", nargs=3, metavar=("WEIGHTS", "BEFORE", "AFTER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.look:
        print(json.dumps(compared(*args.look, args.tile, args.device)))
        return
    work, rows = args.work.absolute(), []
    work.mkdir(parents=True, exist_ok=True)
    weights = args.weights or calibrated(work)
    for side in args.sides:

        def measured(side: int = side) -> dict[str, Any]:
            call = [sys.executable, __file__, "--look", weights, *mosaics(work, side), "--tile", args.tile]
            done = subprocess.run(
                [*map(str, call), "--device", args.device], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            return {
                "side": side, "pixels": side**2, "mosaics_mib": round(2 * 3 * side**2 / 2**20),
                **json.loads(done.stdout.splitlines()[-1]),
            }  # fmt: skip

        rows.append(once(work / "rows" / f"{side}.json", {"tile": args.tile, "device": args.device}, measured))
        write(args, rows)  # those that are there


def write(args: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    """Write ``change-mosaic.json`` and its page."""
    from rsdet.deploy.hardware import describe

    network = "fc-siam-diff.yaml" if args.weights is None else args.weights.name
    content = {
        "network": network,
        "widths": WIDTHS,
        "tile": args.tile,
        "overlap": OVERLAP_PX,
        "rows": rows,
        "hardware": describe(args.device),
    }
    (args.out / "change-mosaic.json").write_text(json.dumps(content, indent=1) + "\n")
    names = {
        "pixels": "pixels of each date", "mosaics_mib": "MiB of both in memory", "peak_rss_mib": "peak RSS, MiB",
        "seconds": "seconds", "cpu_seconds": "of them CPU", "polygons": "polygons", "written_mib": "MiB written",
    }  # fmt: skip
    lines = [
        "# Two mosaics compared", "", (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip(), "",
        f"Tiles of {args.tile} px that share {OVERLAP_PX}; 3 bands of bytes, tiled GeoTIFF; "
        f"{content['hardware']['cpu']}, one thread, with other work on the machine, so that seconds of the "
        "clock say little.", "",
        f"| {' | '.join(names.values())} |", f"|{' --- |' * len(names)}",
        *(f"| {' | '.join(f'{row[k]:,}' for k in names)} |" for row in rows), "",
    ]  # fmt: skip
    write_page(args.out / "change-mosaic.md", lines, [])


if __name__ == "__main__":
    main()

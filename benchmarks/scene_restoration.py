"""Peak memory of restoring rasters of several sizes with a tiny network: bounded by a row of tiles, not by the raster.

    python benchmarks/scene_restoration.py --work runs/scene-restoration --out benchmarks/results/scene-restoration.md

Each run is a process of its own. Peak memory is its ``ru_maxrss``; beside it stands what it had when the raster was
about to be opened, with PyTorch and the model. The small rasters are restored whole as well (``tile=0``, not saved by
windows) and compared with what the windows made.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

SIZES_HW = [(4096, 4096), (8192, 8192), (8192, 16384), (16384, 8192)]
TILES = [256, 512]
HARDWARE = "2 cores of an AMD EPYC server CPU, no GPU, machine shared with other work"
MODEL = """task: restore
family: restore
kind: dehaze
network: TwoConvolutions
args: {channels: 3}
loss: {l1: 1.0}
"""
PAGE = """# Memory of restoring whole rasters

`python benchmarks/scene_restoration.py --work runs/scene-restoration --out benchmarks/results/scene-restoration.md`

Hardware: {hardware}. A network of two convolutions, 8 bits, 3 bands, written as a tiled GeoTIFF by
`predict(tile=..., save=True)`; each run in a process of its own. MiB are 2^20 bytes; the peak is that of the process
(`ru_maxrss`), PyTorch among it, beside it what the run added: GDAL's cache of 128 MiB and a row of tiles, which grows
with the width of the raster and of the tiles, and not with the height. The last column is the largest difference, in
grey levels, to the same raster restored in memory.

| width x height | tile | peak MiB | of the run MiB | s | differ |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}
"""


def make(path: Path, size_hw: tuple[int, int]) -> Path:
    """A georeferenced raster of smooth noise, written by rows of blocks."""
    import rasterio
    from rasterio.transform import from_origin

    rng = np.random.default_rng(0)
    kind = {
        "driver": "GTiff",
        "count": 3,
        "dtype": "uint8",
        "crs": "EPSG:32633",
        "transform": from_origin(5e5, 5e6, 1, 1),
    }
    blocks = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(path, "w", height=size_hw[0], width=size_hw[1], **kind, **blocks) as f:
        for top in range(0, size_hw[0], 512):
            rows = rng.integers(0, 256, (3, 64, size_hw[1] // 8), np.uint8).repeat(8, 1).repeat(8, 2)
            f.write(rows, window=((top, top + 512), (0, size_hw[1])))
    return path


def child(path: Path, work: Path, tile: int) -> None:
    """Restore one raster; print what it took as JSON."""
    import torch
    from torch import nn

    from rsdet import RSDet
    from rsdet.data.raster_io import to_samples
    from rsdet.nn.restoration import RestorationNetwork, network

    @network("TwoConvolutions")
    class TwoConvolutions(RestorationNetwork):
        """Sees three pixels around each."""

        local, min_px, scale, channels, multiple = True, 8, 1, 3, 1

        def __init__(self, channels: int = 3):
            super().__init__()
            self.a, self.b = nn.Conv2d(channels, 4, 5, padding=2), nn.Conv2d(4, channels, 3, padding=1)

        def restore(self, x: torch.Tensor) -> torch.Tensor:
            """A smoothed picture."""
            return x + 0.1 * self.b(torch.relu(self.a(x)))

    torch.manual_seed(0)
    (work / "two-convolutions.yaml").write_text(MODEL)
    model = RSDet(work / "two-convolutions.yaml")
    for parameter in model.model.parameters():
        nn.init.normal_(parameter, std=0.1)
    before, began = _peak_mib(), time.perf_counter()
    given = {"verbose": False, "project": str(work), "name": f"{path.stem}-{tile}", "exist_ok": True}
    (result,) = model.predict(path, tile=tile, save=True, **given)
    told = {"before_mib": before, "peak_mib": _peak_mib(), "seconds": time.perf_counter() - began}
    if max(result.orig_shape) <= 4096:  # after the measurement: both are held whole here
        (whole,) = model.predict(path, tile=tile, save=False, verbose=False)
        written = to_samples(whole.image, "uint8", (0, 255)).astype(int) - np.rint(result.image * 255)
        told["differ"] = float(np.abs(written).max())
    print(json.dumps(told))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/scene-restoration"))
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--hardware", default="2 cores of an AMD EPYC server CPU, no GPU, machine shared with other work"
    )
    parser.add_argument("--child", nargs=2)
    args = parser.parse_args()
    if args.child:
        return child(Path(args.child[0]), args.work, int(args.child[1]))
    args.work.mkdir(parents=True, exist_ok=True)
    lines = []
    for size_hw in SIZES_HW:
        path = args.work / f"{size_hw[1]}x{size_hw[0]}.tif"
        path = path if path.is_file() else make(path, size_hw)
        for tile in TILES:
            words = [sys.executable, __file__, "--work", str(args.work), "--child", str(path), str(tile)]
            done = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            more = done["peak_mib"] - done["before_mib"]
            equal = f"{done['differ']:.0f}" if "differ" in done else ""
            cells = [
                f"{size_hw[1]}x{size_hw[0]}",
                tile,
                f"{done['peak_mib']:.0f}",
                f"{more:.0f}",
                f"{done['seconds']:.0f}",
            ]
            lines.append(f"| {' | '.join(map(str, [*cells, equal]))} |")
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text(PAGE.format(hardware=args.hardware, rows="\n".join(lines)))
    return None


if __name__ == "__main__":
    main()

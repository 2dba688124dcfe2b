"""Speed of restoration networks: one tile through each backend in turn, from array to array, every sample kept."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsdet.deploy.complexity import complexity
from rsdet.deploy.hardware import describe, slug, torch_device
from rsdet.deploy.records import shown_command
from rsdet.deploy.timing import time_interleaved
from rsdet.errors import ConfigError
from rsdet.names import printable
from rsdet.tasks.restore.export import FORMATS, TILE_PX, _size, export
from rsdet.tasks.restore.parity import parity_pictures
from rsdet.tasks.restore.running import runner_of
from rsdet.tasks.restore.torchscript import open_artifact
from rsdet.writing import size_mb, write_if_changed


@dataclass
class RestoreBenchmark:
    """Outcome of :func:`benchmark`.

    Attributes:
        rows: One dictionary per backend.
        hardware: Machine and software.
        command: What was run.
        path: The JSON, where it was written.
    """

    rows: list[dict[str, Any]]
    hardware: dict[str, Any]
    command: str
    path: Path | None = None
    notes: list[str] = field(default_factory=list)

    def table(self) -> str:
        """Plain text, one backend a line."""
        head = f"{'backend':12}{'median ms':>11}{'p95':>9}{'p99':>9}{'Mpx/s':>9}{'x':>7}{'MB':>8}{'PSNR dB':>9}"
        lines = [head]
        for r in self.rows:
            psnr = f"{r['psnr_db']:.3f}" if r.get("psnr_db") is not None else "-"
            lines.append(
                f"{r['backend']:12}{r['median_ms']:>11.2f}{r['p95_ms']:>9.2f}{r['p99_ms']:>9.2f}{r['mpx_per_s']:>9.3f}"
                f"{r['ratio']:>7.2f}{r['size_mb']:>8.2f}{psnr:>9}"
            )
        r = self.rows[0]
        lines.append(
            f"{r['name']}: {r['params']:,} parameters, {r['gflops_legacy']:.2f} GFLOPs (legacy), "
            f"{r['gflops_true']:.2f} (true) for a tile of {r['imgsz'][1]}x{r['imgsz'][0]} px; Mpx/s of input, array to "
            f"array; x: time relative to {r['backend']}, median over rounds"
        )
        return "\n".join([*lines, *self.notes])


def benchmark(
    model: Any,
    formats: Sequence[str] = ("pytorch",),
    *,
    imgsz: int | Sequence[int] | None = None,
    data: str | Path | None = None,
    device: str | int | None = None,
    threads: int | None = None,
    out: str | Path | None = None,
    rounds: int = 20,
    min_s: float = 2.0,
    max_s: float = 60.0,
    warmup_s: float = 1.0,
    verbose: bool = True,
) -> RestoreBenchmark:
    """Measure the latency of a tile and, with ``data``, PSNR of the same artifacts.

    Args:
        model: Loaded ``RSDet`` of this task with PyTorch weights.
        formats: Among ``pytorch``, ``onnx``, ``openvino`` and ``torchscript``; the first is what ratios are relative
            to. ONNX and OpenVINO run on the CPU.
        imgsz: Size of the tile, one number or (height, width); 256 where None.
        data: Data YAML of pairs; adds PSNR of its validation pictures, in tiles for exported files.
        device: Where PyTorch and TorchScript run.
        threads: Threads of every backend; PyTorch's setting when None.
        out: Folder for a JSON with raw samples, hardware and command.
        rounds: Fewest samples of each.
        min_s: Shortest time to sample each for, in seconds.
        max_s: Longest time to sample altogether, in seconds.
        warmup_s: Shortest warm-up of each, in seconds.
        verbose: Print the table.

    Raises:
        ConfigError: A format that is not known.
        ExportError: An artifact disagrees with the network.
    """
    known = ("pytorch", *FORMATS)
    if not formats or any(f not in known for f in formats):
        raise ConfigError(f"formats={list(formats)}; expected formats among {', '.join(known)}.")
    model._check_is_pytorch_model()
    module, device = model.model, torch_device(device)
    size = _size(TILE_PX if imgsz is None else imgsz, module)
    before, threads = torch.get_num_threads(), threads or torch.get_num_threads()
    hardware = describe(device, threads)
    x = parity_pictures(model, size, module.network.channels)[0]
    cost = complexity(module, imgsz=size, ch=module.network.channels)
    torch.set_num_threads(threads)
    try:
        with tempfile.TemporaryDirectory(prefix="rsdet-benchmark-") as folder:
            runs, sizes = {}, {}
            for name in formats:
                runs[name], sizes[name] = _opened(model, name, size, device, threads, Path(folder))
            sync = torch.cuda.synchronize if device.startswith("cuda") else None
            calls = {name: (lambda run=run: run(x)) for name, run in runs.items()}
            timed = time_interleaved(calls, rounds, warmup_s=warmup_s, min_s=min_s, max_s=max_s, sync=sync)
            quality = {name: _quality(model, run, data, Path(folder)) for name, run in runs.items()} if data else {}
    finally:
        torch.set_num_threads(before)
    rows = [
        {
            "name": module.yaml["network"], "kind": module.kind, "scale": module.scale, "backend": name,
            "imgsz": list(size), "params": cost.params, "gflops_legacy": cost.gflops_legacy,
            "gflops_true": cost.gflops_true, "size_mb": sizes[name], "ratio": timed.median_of_ratios[name],
            "mpx_per_s": size[0] * size[1] / 1e3 / t.median_ms, **quality.get(name, {}), **t.to_dict(),
        }
        for name, t in timed.timings.items()
    ]  # fmt: skip
    result = RestoreBenchmark(rows, hardware, shown_command(sys.argv))
    if out is not None:
        result.path = Path(out) / f"{slug(device, 'fp32', threads)}.json"
        content = {"rows": rows, "hardware": hardware, "command": result.command}
        write_if_changed(result.path, json.dumps(content, indent=1))
    if verbose:
        print(printable(result.table(), keep="\n"))
        if result.path is not None:
            print(f"Results saved to {result.path}")
    return result


def _opened(model: Any, name: str, size: tuple[int, int], device: str, threads: int, folder: Path) -> tuple[Any, float]:
    if name == "pytorch":
        mb = sum(p.numel() * p.element_size() for p in model.model.parameters()) / 1e6
        return runner_of(model.model, device), mb
    made = export(model, name, imgsz=size, out=folder, verbose=False)
    return open_artifact(made.path, device if name == "torchscript" else "cpu", threads), size_mb(made.path)


def _quality(model: Any, run: Any, data: str | Path, folder: Path) -> dict[str, float]:
    from rsdet.tasks.restore.api import resolve_data
    from rsdet.tasks.restore.val import RestoreVal

    args = {"data": resolve_data(data), "project": str(folder), "plots": False, "mode": "val", "task": "restore"}
    validator = RestoreVal(args=args)
    validator(model=run)
    return {"psnr_db": validator.metrics.psnr, "ssim": validator.metrics.ssim}

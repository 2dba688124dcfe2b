"""Rows of long experiments: a file for each finished run, so that a stopped experiment goes on where it was."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def once(file: Path, settings: Mapping[str, Any], run: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """The row of a run, which is made where it is not there yet.

    Args:
        file: JSON file of the row; it appears when the run has ended, whole.
        settings: What the run depends on. A row of other settings is not this one and is made anew.
        run: Does the work and returns the rest of the row.
    """
    settings = json.loads(json.dumps(settings))
    if file.is_file() and (row := json.loads(file.read_text()))["settings"] == settings:
        print(f"{file.stem}: there", flush=True)
        return row
    row = {"run": file.stem, **run(), "settings": settings}
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(row))
    os.replace(part, file)
    print(f"{file.stem}: {json.dumps(row)}", flush=True)
    return row


def rows_in(folder: Path) -> list[dict[str, Any]]:
    """All rows of an experiment, by name."""
    return [json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))]


def mean_and_deviation(values: list[float], digits: int = 2, scale: float = 100.0) -> str:
    """Mean and, of several runs, their standard deviation (n - 1), in percent."""
    mean = f"{statistics.mean(values) * scale:.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values) * scale:.{digits}f}"


TURNS = "The three take turns, so the ratios hold on a busy machine; the milliseconds are those of the moment."
EXPORTED = {
    "model": "model", "format": "format", "imgsz": "px", "size_mb": "MB", "network_median_ms": "median ms",
    "ratio_network": "time of PyTorch's", "host_memory_mib": "memory MiB", "parity": "against PyTorch",
}  # fmt: skip


def exports_of(weights: Mapping[str, Path], pictures: list[Path], imgsz: int) -> list[dict[str, Any]]:
    """Export networks to ONNX and OpenVINO, compare their maps with PyTorch's and time all three with one thread."""
    from rsdet import RSDet

    rows = []
    for name, file in weights.items():
        result = RSDet(file).benchmark(
            formats=("pytorch", "onnx", "openvino"), imgsz=imgsz, images=pictures, threads=1, details=False, min_s=2.0
        )
        rows += [{"hardware": result.hardware, **r.summary(), "model": name} for r in result.rows]
    return rows


def write_page(file: Path, lines: list[str], exports: list[dict[str, Any]]) -> Path:
    """Write a page, with a table of exports at its end where there are some."""
    if exports:
        lines = [*lines, "## Exported, one picture, one thread", "", TURNS, "", f"| {' | '.join(EXPORTED.values())} |"]
        lines.append(f"|{' --- |' * len(EXPORTED)}")
        for row in exports:
            cells = [f"{row[k]:.4g}" if isinstance(row[k], float) else str(row[k]) for k in EXPORTED]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    file.write_text("\n".join(lines))
    return file

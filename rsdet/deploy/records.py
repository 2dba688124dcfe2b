"""What a benchmark hands back and writes: a row per artifact, a table, a CSV and a JSON with every sample."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from rsdet.deploy.complexity import Complexity
from rsdet.deploy.memory import UNKNOWN
from rsdet.deploy.timing import Timings


@dataclass
class BenchmarkRow:
    """One artifact at one batch size.

    Attributes:
        model: Name of the model.
        format: Backend.
        imgsz: Height and width of the input in pixels.
        batch: Images per run.
        cost: Parameters and GFLOPs; None for a file that was given without its model.
        network: Time of the network alone, per run.
        end_to_end: Time from image files to boxes, per run.
        ratio_network: Median over rounds of (time / time of the reference in that round); above 1 is slower.
        ratio_end_to_end: The same from file to boxes.
        reference: The artifact that ratios are relative to.
        size_mb: Size of the artifact in MB; None for a loaded model.
        memory: Peak memory and how it was measured.
        parity: Agreement with the PyTorch model, in words.
        accuracy: Metric to value, measured with this artifact; the key begins with the protocol.
        best_images_per_s: Highest rate over all batch sizes, network alone.
        best_batch: Batch size of that rate.
    """

    model: str
    format: str
    imgsz: tuple[int, int]
    batch: int
    cost: Complexity | None
    network: Timings
    end_to_end: Timings
    ratio_network: float
    ratio_end_to_end: float
    reference: str
    size_mb: float | None
    memory: dict[str, Any]
    parity: str
    accuracy: dict[str, float] | None = None
    best_images_per_s: float = 0.0
    best_batch: int = 1

    @property
    def images_per_s(self) -> float:
        """Images per second of the network alone at this batch size."""
        return 1e3 * self.batch / self.network.median_ms

    def summary(self) -> dict[str, Any]:
        """Return the row of the CSV: plain numbers, and words where there is none."""
        cost = self.cost
        row: dict[str, Any] = {
            "model": self.model,
            "format": self.format,
            "imgsz": "x".join(map(str, self.imgsz)),
            "batch": self.batch,
            "params_m": round(cost.params / 1e6, 3) if cost else UNKNOWN,
            "gflops_legacy": round(cost.gflops_legacy, 2) if cost else UNKNOWN,
            "gflops_true": round(cost.gflops_true, 2) if cost else UNKNOWN,
        }
        for name, t in (("network", self.network), ("end_to_end", self.end_to_end)):
            for key in ("median_ms", "p95_ms", "p99_ms", "n"):
                row[f"{name}_{key}"] = round(t.to_dict(raw=False)[key], 3)
        return {
            **row,
            "ratio_network": round(self.ratio_network, 4),
            "ratio_end_to_end": round(self.ratio_end_to_end, 4),
            "ratio_to": self.reference,
            "images_per_s": round(self.images_per_s, 2),
            "best_images_per_s": round(self.best_images_per_s, 2),
            "best_batch": self.best_batch,
            "size_mb": UNKNOWN if self.size_mb is None else round(self.size_mb, 2),
            "host_memory_mib": self.memory["host_mib"],
            "device_memory_mib": self.memory["device_mib"],
            "energy_mj_per_image": UNKNOWN,
            **{k: round(v, 5) for k, v in (self.accuracy or {}).items()},
            "parity": self.parity,
        }


@dataclass
class BenchmarkResult:
    """All rows of a run with what they were measured on.

    Attributes:
        rows: One per artifact and batch size.
        hardware: See :func:`rsdet.deploy.hardware.describe`.
        command: The command line, folders left out.
        notes: What could not be measured, and why.
        csv: The summary on disk; None when nothing was written.
        json: The raw samples on disk; None when nothing was written.
    """

    rows: list[BenchmarkRow]
    hardware: dict[str, Any]
    command: str
    notes: list[str] = field(default_factory=list)
    csv: Path | None = None
    json: Path | None = None

    def save(self, folder: str | Path, stem: str) -> None:
        """Write ``<stem>.csv`` and ``<stem>.json`` into a folder; an earlier run's files are replaced."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.csv, self.json = folder / f"{stem}.csv", folder / f"{stem}.json"
        summaries = [r.summary() for r in self.rows]
        columns = list(dict.fromkeys(k for s in summaries for k in s))
        with self.csv.open("w", newline="", encoding="utf-8") as f:
            writer = csv.DictWriter(f, columns, restval="")
            writer.writeheader()
            writer.writerows(summaries)
        record = {
            "command": self.command,
            "hardware": self.hardware,
            "percentiles": "nearest rank; all samples kept",
            "notes": self.notes,
            "rows": [
                {
                    **s,
                    "memory": r.memory,
                    "network": r.network.to_dict(),
                    "end_to_end": r.end_to_end.to_dict(),
                }
                for r, s in zip(self.rows, summaries, strict=True)
            ],
        }
        self.json.write_text(json.dumps(record, indent=1), encoding="utf-8")

    def tables(self) -> list[Any]:
        """Return ``rich`` tables that fit a terminal: speed, cost, and accuracy where it was measured."""
        from rich.table import Table

        hw = self.hardware
        where = hw["gpu"] or f"{hw['cpu']}, {hw['threads']} threads"
        heads = ("ms per run: median / p95 / p99", "ratio", "file to boxes", "ratio", "img/s")
        speed = _grid(Table, f"speed on {where}, ratios to {self.rows[0].reference}", "artifact", *heads)
        cost = _grid(Table, "cost", "artifact", "M params", "GFLOPs legacy / true", "MB", "peak MiB")
        for r in self.rows:
            name, s = f"{r.model} {r.format}" + (f" b{r.batch}" if r.batch > 1 else ""), r.summary()
            speed.add_row(
                name,
                _times(r.network),
                f"{r.ratio_network:.2f}",
                _times(r.end_to_end),
                f"{r.ratio_end_to_end:.2f}",
                f"{r.images_per_s:.1f}",
            )
            flops = f"{r.cost.gflops_legacy:.3g} / {r.cost.gflops_true:.3g}" if r.cost else UNKNOWN
            memory = r.memory["device_mib"] if hw["gpu"] else r.memory["host_mib"]
            cost.add_row(name, str(s["params_m"]), flops, "-" if r.size_mb is None else f"{r.size_mb:.1f}", str(memory))
        tables = [speed, cost]
        metrics = list(dict.fromkeys(k for r in self.rows for k in r.accuracy or {}))
        if metrics:
            accuracy = _grid(Table, "accuracy of the artifacts that were timed", "artifact", *metrics)
            for r in self.rows:
                if r.accuracy:
                    cells = (f"{r.accuracy[m]:.4f}" if m in r.accuracy else "-" for m in metrics)
                    accuracy.add_row(f"{r.model} {r.format}", *cells)
            tables.append(accuracy)
        return tables

    def print(self) -> None:
        """Print the tables, the notes and where the files lie."""
        from rich.console import Console

        console = Console()
        for table in self.tables():
            console.print(table)
        for note in self.notes:
            console.print(note, markup=False)
        console.print(f"energy per image: {UNKNOWN}", markup=False)
        if self.csv:
            console.print(f"results: {self.csv} and {self.json}", markup=False)


def _grid(kind: Any, title: str, first: str, *heads: str) -> Any:
    table = kind(title=title, title_justify="left")
    table.add_column(first)
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _times(t: Timings) -> str:
    return f"{t.median_ms:.1f} / {t.p95:.1f} / {t.p99:.1f}"


def shown_command(argv: Sequence[str]) -> str:
    """Return a command line without the folders of this machine, for storing beside results."""

    def bare(word: str) -> str:
        key, eq, value = word.rpartition("=")
        return key + eq + (PurePath(value).name if value.startswith(("/", "~")) or value[1:3] == ":\\" else value)

    first, *rest = argv or [""]
    return shlex.join([PurePath(first).name, *map(bare, rest)])

"""What a benchmark hands back and writes: a row per artifact, tables, a CSV, a JSON with every sample and a page."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from rsdet.deploy.complexity import Complexity
from rsdet.deploy.memory import UNKNOWN
from rsdet.deploy.timing import Timings
from rsdet.errors import DataError
from rsdet.names import printable, printable_all
from rsdet.textfiles import read_json
from rsdet.writing import put, workplace, write_csv, write_text

NETWORK, END_TO_END = "network", "end_to_end"


def passes(record: Mapping[str, Any]) -> dict[str, str]:
    """The passes that all rows of a record have been through, to what they are called.

    Args:
        record: What :meth:`BenchmarkResult.record` returns or a JSON file holds.
    """
    names = {NETWORK: "network alone"}
    if all(row.get(END_TO_END) for row in record["rows"]):  # records from before other tasks name no pass
        names[END_TO_END] = (record.get("settings") or {}).get(END_TO_END) or "image files to boxes"
    return names


def pass_name(watched: str, called: Mapping[str, str]) -> str:
    """What a pass is called: ``"network b2"`` is ``"network alone b2"``; ``called`` is from :func:`passes`."""
    name, _, batch = watched.partition(" ")
    return f"{called.get(name, name)} {batch}".strip()


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
        end_to_end: Time from image files to the outcome, per run; None where the task has none.
        ratio_network: Median over rounds of (time / time of the reference in that round); above 1 is slower.
        ratio_end_to_end: The same from files.
        reference: The artifact that ratios are relative to.
        size_mb: Size of the artifact in MB; None for a loaded model.
        memory: Peak memory and how it was measured.
        parity: Agreement with the PyTorch model, in words.
        accuracy: Metric to value, measured with this artifact; the key begins with the protocol.
        best_images_per_s: Highest rate over all batch sizes, network alone.
        best_batch: Batch size of that rate.
        energy: See :meth:`rsdet.deploy.energy.Energy.as_dict`; None when it was not tried.
        pixels: Of the ground, that one input stands for: of a patch around a pixel one, of a picture all its own.
        gsd: Metres a pixel; None where nobody says.
    """

    model: str
    format: str
    imgsz: tuple[int, int]
    batch: int
    cost: Complexity | None
    network: Timings
    end_to_end: Timings | None
    ratio_network: float
    ratio_end_to_end: float | None
    reference: str
    size_mb: float | None
    memory: dict[str, Any]
    parity: str
    accuracy: dict[str, float] | None = None
    best_images_per_s: float = 0.0
    best_batch: int = 1
    energy: dict[str, Any] | None = None
    pixels: int | None = None
    gsd: float | None = None

    @property
    def images_per_s(self) -> float:
        """Images per second of the network alone at this batch size."""
        return 1e3 * self.batch / self.network.median_ms

    @property
    def mpx_per_s(self) -> float:
        """Millions of pixels of the ground per second of the network alone."""
        return (self.pixels or self.imgsz[0] * self.imgsz[1]) * self.images_per_s / 1e6

    @property
    def km2_per_s(self) -> float | None:
        """Square kilometres per second of the network alone; None where the size of a pixel is not known."""
        return None if self.gsd is None else self.mpx_per_s * self.gsd**2

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
        both = {NETWORK: (self.network, self.ratio_network), END_TO_END: (self.end_to_end, self.ratio_end_to_end)}
        timed = {name: pair for name, pair in both.items() if pair[0]}
        for name, (t, _) in timed.items():
            for key in ("median_ms", "p90_ms", "p95_ms", "p99_ms", "n", "warmup_runs"):
                row[f"{name}_{key}"] = round(t.to_dict(raw=False)[key], 3)
            row[f"{name}_warmup_settled"] = t.warmup_stable
        return {
            **row,
            **{f"ratio_{name}": round(ratio, 4) for name, (_, ratio) in timed.items()},
            "ratio_to": self.reference,
            "images_per_s": round(self.images_per_s, 2),
            "mpx_per_s": float(f"{self.mpx_per_s:.4g}"),
            **({} if self.km2_per_s is None else {"km2_per_s": float(f"{self.km2_per_s:.4g}")}),
            "best_images_per_s": round(self.best_images_per_s, 2),
            "best_batch": self.best_batch,
            "size_mb": UNKNOWN if self.size_mb is None else round(self.size_mb, 2),
            "host_memory_mib": self.memory["host_mib"],
            "device_memory_mib": self.memory["device_mib"],
            "energy_mj_per_image": (self.energy or {}).get("mj_per_image", UNKNOWN),
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
        settings: What was measured and how, such as ``task``, ``pictures``, ``precision``, ``rest_before_run_s``,
            ``rest_between_passes_s``, ``warmup_s``, ``rounds``, ``data``.
        watch: Pass (``"network"``, ``"end_to_end"``) to the summary of :class:`rsdet.deploy.watch.Watcher`.
        layers: Model to its rows with ``index``, ``type``, ``median_ms``, ``share``, ``gflops``; slowest first.
        pictures: What models make of pictures, for the page: caption to an image file or an array in BGR. Not in
            the JSON.
        enhance: Time of the enhancers before the detectors, see :func:`rsdet.enhance.timing.time_parts`.
        csv: The summary on disk; None when nothing was written.
        json: The raw samples on disk; None when nothing was written.
        html: The page on disk; None when nothing was written.
    """

    rows: list[BenchmarkRow]
    hardware: dict[str, Any]
    command: str
    notes: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    watch: dict[str, dict[str, Any]] = field(default_factory=dict)
    layers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, Any] = field(default_factory=dict)
    enhance: list[dict[str, Any]] = field(default_factory=list)
    csv: Path | None = None
    json: Path | None = None
    html: Path | None = None

    def save(self, folder: str | Path, stem: str) -> None:
        """Write ``<stem>.csv``, ``.json`` and ``.html`` into a folder; an earlier run's files are replaced."""
        from rsdet.deploy.report_html import write_html

        folder, record = Path(folder), self.record()
        summaries = [r.summary() for r in self.rows]
        columns = list(dict.fromkeys(k for s in summaries for k in s))
        with workplace(folder, stem) as place:  # the three are of one run: all are written before the first is replaced
            made = [
                write_csv(place / f"{stem}.csv", columns, summaries),
                write_text(place / f"{stem}.json", json.dumps(record, indent=1)),
                write_html(record, place / f"{stem}.html", pictures=self.pictures),
            ]
            self.csv, self.json, self.html = (put(f, folder / f.name) for f in made)

    def record(self) -> dict[str, Any]:
        """Return everything as plain values: what the JSON holds."""
        return {
            "command": self.command,
            "hardware": self.hardware,
            "percentiles": "nearest rank; all samples kept",
            "settings": self.settings,
            "notes": self.notes,
            "watch": self.watch,
            "layers": self.layers,
            **({"enhance": self.enhance} if self.enhance else {}),
            "rows": [
                {
                    **r.summary(),
                    "memory": r.memory,
                    "energy": r.energy,
                    "accuracy": r.accuracy,
                    NETWORK: r.network.to_dict(),
                    END_TO_END: r.end_to_end and r.end_to_end.to_dict(),
                }
                for r in self.rows
            ],
        }

    def tables(self) -> list[Any]:
        """Return ``rich`` tables that fit a terminal: speed of each pass, cost, and accuracy where it was measured."""
        from rich.table import Table

        hw = self.hardware
        where = hw["gpu"] or f"{hw['cpu']}, {hw['threads']} threads"
        where += f"; ratios to {self.rows[0].reference}"
        single, placed = all(r.pixels == 1 for r in self.rows), any(r.gsd for r in self.rows)
        heads = ("median", "p90", "p95", "p99", "ratio", "px/s" if single else "img/s")
        called = passes(self.record())
        speeds = [_grid(Table, f"{title}: ms per run on {where}", "artifact", *heads) for title in called.values()]
        for unit in ("Mpx/s", "km2/s")[single : 1 + placed]:  # a column more is a line of 80 less
            speeds[0].add_column(unit, justify="right")
        cost = _grid(Table, "cost", "artifact", "M params", "GFLOPs legacy / true", "MB", "peak MiB", "mJ / image")
        for r in self.rows:
            name, s = f"{r.model} {r.format}" + (f" b{r.batch}" if r.batch > 1 else ""), r.summary()
            km2 = "-" if r.km2_per_s is None else f"{r.km2_per_s:.2g}"
            rates = (f"{r.mpx_per_s:.2f}", km2)[single : 1 + placed]
            timed = ((r.network, r.ratio_network, *rates), (r.end_to_end, r.ratio_end_to_end))
            for table, (t, ratio, *more) in zip(speeds, timed, strict=False):
                times = (f"{ms:.1f}" for ms in (t.median_ms, t.p90, t.p95, t.p99))
                table.add_row(name, *times, f"{ratio:.2f}", f"{1e3 * r.batch / t.median_ms:.1f}", *more)
            flops = f"{r.cost.gflops_legacy:.3g} / {r.cost.gflops_true:.3g}" if r.cost else UNKNOWN
            memory = r.memory["device_mib"] if hw["gpu"] else r.memory["host_mib"]
            energy = s["energy_mj_per_image"]
            cost.add_row(
                name,
                str(s["params_m"]),
                flops,
                "-" if r.size_mb is None else f"{r.size_mb:.1f}",
                str(memory),
                "-" if energy == UNKNOWN else f"{energy:.1f}",
            )
        tables = [*speeds, cost]
        if self.enhance:
            from rsdet.enhance.timing import parts_table

            tables.append(parts_table(self.enhance))
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
            console.print(table, markup=False)
        for note in self.notes:
            console.print(note, markup=False)
        for line in self.how():
            console.print(line, markup=False)
        if self.csv:
            console.print(f"results: {self.csv}, {self.json.name} and {self.html.name}", markup=False)

    def how(self) -> list[str]:
        """Say in a few lines how it was measured: warm-up, rests, clocks, energy."""
        return how_measured(self.record())


def _grid(kind: Any, title: str, first: str, *heads: str) -> Any:
    table = kind(title=title, title_justify="left")
    table.add_column(first, overflow="fold")  # a name cut short could be that of two models
    for head in heads:
        table.add_column(head, justify="right")
    return table


def shown_command(argv: Sequence[str]) -> str:
    """Return a command line without the folders of this machine, for storing beside results."""

    def bare(word: str) -> str:
        key, eq, value = word.rpartition("=")
        return key + eq + (PurePath(value).name if value.startswith(("/", "~")) or value[1:3] == ":\\" else value)

    first, *rest = argv or [""]
    return shlex.join([PurePath(first).name, *map(bare, rest)])


def how_measured(record: Mapping[str, Any]) -> list[str]:
    """Say in a few lines how a record was measured: warm-up and rests, clocks and throttling, energy.

    Args:
        record: What :meth:`BenchmarkResult.record` returns or a JSON file holds.
    """
    from rsdet.deploy.watch import watch_line

    settings, lines, called = record.get("settings") or {}, [], passes(record)
    timings = [r[k] for r in record["rows"] for k in called]
    runs = [t.get("warmup_runs", 0) for t in timings]
    settled = sum(bool(t.get("warmup_stable")) for t in timings)
    rests = [f"{settings[key]:g} s {words}" for key, words in _RESTS.items() if settings.get(key) is not None]
    lines.append(
        f"warm-up: {min(runs)} to {max(runs)} runs each, durations had settled in {settled} of {len(timings)} cases"
        + (f"; rest: {', '.join(rests)}" if rests else "")
    )
    for name, summary in (record.get("watch") or {}).items():
        lines.append(f"{pass_name(name, called)}: {watch_line(summary)}")
    energies = [e for r in record["rows"] if (e := r.get("energy"))]
    meters = dict.fromkeys(e["meter"] for e in energies if e["mj_per_image"] != UNKNOWN)
    reasons = dict.fromkeys(e["why_not"] for e in energies if e["mj_per_image"] == UNKNOWN and e["why_not"])
    lines += [f"energy per image: by {meter}, idle power included" for meter in meters]
    lines += [f"energy per image: {UNKNOWN} ({why})" for why in reasons]
    if not meters and not reasons:
        lines.append(f"energy per image: {UNKNOWN}")
    return lines


_RESTS = {"rest_before_run_s": "before each run", "rest_between_passes_s": "between passes"}


@contextmanager
def foreign_record() -> Iterator[None]:
    """Turn what a value of the wrong kind in a record ends in into one line; also a decorator.

    Raises:
        DataError: In place of the errors of arithmetic, of look-ups and of types.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        why = printable(" ".join(f"{type(e).__name__}: {e}".split()))[:80]
        raise DataError(
            f"a record holds something that a benchmark does not write ({why}); pass the JSON of a benchmark."
        ) from e


def _is_table(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_numbers(value: Any) -> bool:
    return _is_table(value) and all(type(v) in (int, float) for v in (value or {}).values())


_ROW: dict[str, Callable[[Any], bool]] = {
    "model": lambda v: isinstance(v, str),
    "format": lambda v: isinstance(v, str),
    "batch": lambda v: type(v) is int,
    "imgsz": lambda v: isinstance(v, str),
    "accuracy": _is_numbers,
    "energy": _is_table,
    "memory": _is_table,
}


def read_record(path: str | Path) -> dict[str, Any]:
    """Read the JSON of a benchmark.

    Returns:
        The record; every row has its name and the raw samples of its passes.

    Raises:
        DataError: The file is missing or is none that a benchmark wrote.
    """
    path = Path(path)
    wanted = "expected the JSON that `rsdet benchmark ... out=FOLDER` writes; pass that file"
    record = printable_all(read_json(path, wanted=wanted))
    rows = record.get("rows") if isinstance(record, dict) else None
    if not isinstance(rows, list) or not rows or not isinstance(record.get("hardware"), dict):
        raise DataError(f"{path} holds no rows and hardware of a benchmark; {wanted}.")
    tables = [record.get("settings"), record.get("watch")]
    if not all(map(_is_table, tables)) or not all(map(_is_table, (tables[1] or {}).values())):
        raise DataError(f"{path}: settings and watch must be mappings; {wanted}.")
    if not isinstance(record["hardware"].get("cpu_load_1min"), (int, float, type(None))):
        raise DataError(f"{path}: cpu_load_1min of hardware is no number; {wanted}.")
    for i, row in enumerate(rows):
        keys = ("model", "format", "imgsz", "batch", NETWORK, END_TO_END)
        missing = [k for k in keys if not isinstance(row, dict) or k not in row]
        if missing:
            raise DataError(f"{path}: row {i} has no {missing[0]}; {wanted}.")
        for name in (NETWORK, END_TO_END) if row[END_TO_END] is not None else (NETWORK,):
            samples = row[name].get("samples_ms") if isinstance(row[name], dict) else None
            numbers = isinstance(samples, list) and all(type(s) in (int, float) for s in samples)
            if not numbers or not samples or not all(0 < s < math.inf for s in samples):
                raise DataError(f"{path}: {name} of row {i} has no list of positive samples_ms; {wanted}.")
        wrong = next((k for k, fits in _ROW.items() if not fits(row.get(k))), None)
        if wrong:
            raise DataError(f"{path}: {wrong} of row {i} is {str(row.get(wrong))[:40]!r}; {wanted}.")
        if "accuracy" not in row:  # written before it had a place of its own: "coco AP" beside the other columns
            metrics = {k: v for k, v in row.items() if re.fullmatch(r"\w+ AP\S*", k) and isinstance(v, (int, float))}
            row["accuracy"] = metrics or None
    return record

"""Two benchmark runs side by side, and whether their difference is more than the spread of their samples.

The rule: the ratio of the medians (and of the 95th percentiles) is resampled with a circular block bootstrap, whose
blocks of sqrt(n) consecutive samples keep the drift of a machine together; a difference counts when the 99 % interval
of the ratio leaves out 1. Samples that follow each other closely say less than their number: with rho the lag-1
correlation of their ranks, n (1 - rho) / (1 + rho) of them count, and with too few of these there is no verdict, except
where the gap between all samples of one run and all of the other is wider than either run.

What no rule on the samples can know is what differs between two runs as a whole: another neighbour on the machine,
another temperature. So differences of hardware, threads, precision, input size and software are named loudly, and a
small difference that matters should be measured in one run, where artifacts take turns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.records import foreign_record, passes, read_record
from rsdet.errors import ConfigError
from rsdet.names import printable

LEVEL = 0.99
_RESAMPLES = 1000
# Fewest samples that count, and fewest at all, for a verdict; by simulation with correlated samples of one and the
# same process these keep false alarms below about 5 %.
_ENOUGH = {"median": (15, 20), "p95": (40, 100)}
_APART = 8  # fewest samples of each run for a gap between them to mean something
_MACHINE = ("cpu", "cpu_cores_usable", "gpu", "gpu_driver", "cuda", "ram_gib", "os")
_CONDITIONS = ("threads", "cpu_governor")
_SETTINGS = (
    "task",
    "precision",
    "device",
    "data",
    "pictures",
    "rest_before_run_s",
    "rest_between_passes_s",
    "warmup_s",
)
_COSTS = {"params_m": "M params", "gflops_legacy": "GFLOPs legacy", "gflops_true": "GFLOPs true", "size_mb": "file MB",
          "host_memory_mib": "peak host MiB", "device_memory_mib": "peak device MiB",
          "energy_mj_per_image": "mJ per image"}  # fmt: skip


@dataclass(frozen=True)
class Ratio:
    """Time of b over time of a: below 1, b is faster.

    Attributes:
        value: Ratio of the two statistics.
        low: Lower end of its interval.
        high: Upper end.
        verdict: ``"faster"``, ``"slower"``, ``"within the spread"`` or ``"too few samples"``.
    """

    value: float
    low: float
    high: float
    verdict: str

    def __str__(self) -> str:
        if self.verdict == "too few samples":
            return f"{self.value:.3f}  {self.verdict}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]  {self.verdict}"


@dataclass(frozen=True)
class Pair:
    """The same artifact in both runs.

    Attributes:
        name: What it is called in the table.
        a: Row of the first record.
        b: Row of the second.
        ratios: Pass, then ``"median"`` or ``"p95"``, to the ratio.
        accuracy: Metric to its value in a and in b; only what both have.
    """

    name: str
    a: Mapping[str, Any]
    b: Mapping[str, Any]
    ratios: dict[str, dict[str, Ratio]]
    accuracy: dict[str, tuple[float, float]]


@dataclass
class Comparison:
    """Result of :func:`compare`.

    Attributes:
        names: The two files.
        pairs: Artifacts that are in both.
        passes: Passes that both runs have timed, to what they are called.
        differences: What else differs between the runs, loudest first.
        alone: Artifacts of one run only.
        notes: What was not compared, and why.
    """

    names: tuple[str, str]
    pairs: list[Pair]
    passes: dict[str, str]
    differences: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def tables(self) -> list[Any]:
        """Return ``rich`` tables: one per pass, cost where it changed, accuracy where protocols agree."""
        from rich.table import Table

        tables = []
        for name, title in self.passes.items():
            table = _grid(Table, f"{title}: ms per run, ratio b / a [{LEVEL:.0%} interval]", "artifact", "",
                          "a", "b", "ratio b / a")  # fmt: skip
            for pair in self.pairs:
                for i, (stat, ratio) in enumerate(pair.ratios[name].items()):
                    times = (f"{_statistic(np.asarray(r[name]['samples_ms']), stat):.2f}" for r in (pair.a, pair.b))
                    table.add_row("" if i else pair.name, stat, *times, str(ratio))
            tables.append(table)
        costs = _grid(Table, "what else changed", "artifact", "", "a", "b", "ratio b / a")
        for pair in self.pairs:
            for key, words in _COSTS.items():
                a, b = pair.a.get(key), pair.b.get(key)
                if a != b:
                    known = all(isinstance(v, (int, float)) for v in (a, b)) and a
                    said = (f"{v:g}" if isinstance(v, (int, float)) else "-" for v in (a, b))
                    costs.add_row(pair.name, words, *said, f"{b / a:.3f}" if known else "-")
        if costs.row_count:
            tables.append(costs)
        accuracy = _grid(Table, "accuracy under the same protocol", "artifact", "", "a", "b", "b - a")
        for pair in self.pairs:
            for metric, (a, b) in pair.accuracy.items():
                accuracy.add_row(pair.name, metric, f"{a:.4f}", f"{b:.4f}", f"{b - a:+.4f}")
        return [*tables, accuracy] if accuracy.row_count else tables

    def print(self) -> None:
        """Print what differs, the tables, and the rule."""
        from rich.console import Console

        console = Console()
        console.print(f"a: {printable(self.names[0])}\nb: {printable(self.names[1])}", markup=False, highlight=False)
        for line in self.differences:
            console.print(f"DIFFERENT  {line}", style="bold red", markup=False, highlight=False)
        for table in self.tables():
            console.print(table, markup=False)
        for line in [*self.alone, *self.notes]:
            console.print(line, markup=False, highlight=False)
        console.print(
            f"faster, slower: the {LEVEL:.0%} interval of the ratio (block bootstrap of the raw samples) leaves out 1. "
            "It knows the spread within the runs, not what differs between them.",
            markup=False, highlight=False,
        )  # fmt: skip


@foreign_record()
def compare(a: str | Path, b: str | Path, *, seed: int = 0, verbose: bool = True) -> Comparison:
    """Compare two benchmark runs.

    Args:
        a: JSON file of the first run, the one ratios are relative to.
        b: JSON file of the second.
        seed: Seed of the resampling.
        verbose: Print the tables.

    Returns:
        Ratios with verdicts for every artifact that both runs have.

    Raises:
        DataError: A file is none that a benchmark wrote.
        ConfigError: No artifact is in both.
    """
    records = read_record(a), read_record(b)
    matched, alone = _match(*(r["rows"] for r in records))
    if not matched:
        have = [", ".join(dict.fromkeys(_name(row) for row in r["rows"])) for r in records]
        raise ConfigError(
            f"{a} and {b} have no artifact in common ({have[0]}; {have[1]}); expected the same model, format and batch "
            "in both; pass runs of the same models."
        )
    rng = np.random.default_rng(seed)
    differences, notes = _differences(*records), []
    called = [passes(r) for r in records]
    both = {k: v for k, v in called[0].items() if k in called[1]}
    if alone_in := [n for n, mine, theirs in (("a", *called), ("b", *reversed(called))) if set(mine) - set(theirs)]:
        notes.append(f"only {alone_in[0]} was timed from files, which is not compared")
    same_data = len({(r.get("settings") or {}).get("data") for r in records}) == 1
    pairs = []
    for row_a, row_b, loud in matched:
        name = _name(row_a)
        differences += [f"{name}: {line}" for line in loud]
        ratios = {p: ratios_of(row_a[p]["samples_ms"], row_b[p]["samples_ms"], rng) for p in both}
        found, why = _accuracy(row_a.get("accuracy") or {}, row_b.get("accuracy") or {}, same_data)
        pairs.append(Pair(name, row_a, row_b, ratios, found))
        notes += why
    result = Comparison((str(a), str(b)), pairs, both, differences, alone, list(dict.fromkeys(notes)))
    if verbose:
        result.print()
    return result


def ratios_of(a: Sequence[float], b: Sequence[float], rng: np.random.Generator) -> dict[str, Ratio]:
    """Ratio of the medians and of the 95th percentiles of two series of samples, with intervals and verdicts.

    Args:
        a: Samples in ms, in the order they were measured.
        b: Samples in ms of what is compared with it.
        rng: Source of the resampling.
    """
    series = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    drawn = [_resample(v, rng) for v in series]
    counted = [_independent(v) for v in series]
    out = {}
    for stat, (enough, at_least) in _ENOUGH.items():
        value = _statistic(series[1], stat) / _statistic(series[0], stat)
        low, high = np.quantile(drawn[1][stat] / drawn[0][stat], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        few = min(counted) < enough or min(map(len, series)) < at_least
        if few and stat == "median" and min(map(len, series)) >= _APART:
            gap = max(series[0].min() - series[1].max(), series[1].min() - series[0].max())
            few = gap <= max(np.ptp(v) for v in series)
        verdict = "too few samples" if few else "faster" if high < 1 else "slower" if low > 1 else "within the spread"
        out[stat] = Ratio(float(value), float(low), float(high), verdict)
    return out


def _statistic(v: np.ndarray, stat: str) -> Any:
    """Median or nearest-rank p95 along the last axis."""
    return np.median(v, axis=-1) if stat == "median" else np.percentile(v, 95, axis=-1, method="inverted_cdf")


def _resample(v: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    n, block = len(v), max(1, round(math.sqrt(len(v))))
    found: dict[str, list[np.ndarray]] = {stat: [] for stat in _ENOUGH}
    chunk = max(1, min(_RESAMPLES, 2_000_000 // n))  # resamples at a time, to bound the memory
    for start in range(0, _RESAMPLES, chunk):
        count = min(chunk, _RESAMPLES - start)
        begins = rng.integers(0, n, (count, -(-n // block), 1))
        drawn = v[((begins + np.arange(block)) % n).reshape(count, -1)[:, :n]]
        for stat, values in found.items():
            values.append(_statistic(drawn, stat))
    return {stat: np.concatenate(values) for stat, values in found.items()}


def _independent(v: np.ndarray) -> float:
    """Number of independent samples that a series is worth."""
    if len(v) < 3 or v.min() == v.max():
        return len(v)
    ranks = np.argsort(np.argsort(v, kind="stable"), kind="stable").astype(float)
    ranks -= ranks.mean()
    rho = min(max(float((ranks[1:] * ranks[:-1]).sum() / (ranks**2).sum()), 0.0), 0.99)
    return len(v) * (1 - rho) / (1 + rho)


# ------------------------------------------------------------------------------------------------- matching


def _match(
    rows_a: Sequence[Mapping[str, Any]], rows_b: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Mapping[str, Any], Mapping[str, Any], list[str]]], list[str]]:
    """Pair rows by what they are; less strictly where nothing else fits, and then with what differs."""
    keys = ("model", "format", "imgsz", "batch")
    levels = [keys, ("model", "format", "batch")]
    if all(len({r["model"] for r in rows}) == 1 for rows in (rows_a, rows_b)):
        levels += [("format", "imgsz", "batch"), ("format", "batch")]  # one model each, under two names
    if len(rows_a) == len(rows_b) == 1:
        levels.append(())
    left_a, left_b, pairs = list(rows_a), list(rows_b), []
    for level in levels:
        of_a, of_b = _by(left_a, level), _by(left_b, level)
        for key, mine in of_a.items():
            theirs = of_b.get(key, [])
            if len(mine) == len(theirs) == 1:
                a, b = mine[0], theirs[0]
                pairs.append((a, b, [f"{k} is {a[k]} in a and {b[k]} in b" for k in keys if a[k] != b[k]]))
                left_a = [r for r in left_a if r is not a]
                left_b = [r for r in left_b if r is not b]
    order = {id(r): i for i, r in enumerate(rows_a)}
    alone = [f"only in {n}: {_name(r)} at {r['imgsz']}" for n, rows in (("a", left_a), ("b", left_b)) for r in rows]
    return sorted(pairs, key=lambda p: order[id(p[0])]), alone


def _by(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[tuple, list[Mapping[str, Any]]]:
    out: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        out.setdefault(tuple(str(row[k]) for k in keys), []).append(row)
    return out


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Everything besides the artifacts that differs, machine first."""
    out = []
    hw_a, hw_b = a["hardware"], b["hardware"]
    known = set(_MACHINE) | set(_CONDITIONS) | {"date", "cpu_cores_physical", "cpu_cores_logical", "cpu_load_1min"}
    software = [k for k in dict.fromkeys([*hw_a, *hw_b]) if k not in known]
    for kind, keys in (("hardware", _MACHINE), ("conditions", _CONDITIONS), ("software", software)):
        out += [_differs(kind, k, hw_a.get(k), hw_b.get(k)) for k in keys if hw_a.get(k) != hw_b.get(k)]
    of_a, of_b = a.get("settings") or {}, b.get("settings") or {}
    both = [k for k in _SETTINGS if k in of_a and k in of_b]
    out += [_differs("settings", k, of_a[k], of_b[k]) for k in both if of_a[k] != of_b[k]]
    for name, mine, theirs in (("a", of_a, of_b), ("b", of_b, of_a)):
        missing = [k.replace("_", " ") for k in _SETTINGS if k in theirs and k not in mine]
        out += [f"settings: {', '.join(missing)} were not recorded in {name}"] if missing else []
    loads = [hw.get("cpu_load_1min") for hw in (hw_a, hw_b)]
    if None not in loads and abs(loads[0] - loads[1]) > 1:
        out.append(_differs("conditions", "load of the machine", *loads))
    for name, record in (("a", a), ("b", b)):
        for summary in (record.get("watch") or {}).values():
            if summary.get("throttled") == "yes":
                out.append(f"conditions: {name} was throttled ({'; '.join(summary.get('throttled_by', []))})")
    return list(dict.fromkeys(out))


def _differs(kind: str, key: str, a: Any, b: Any) -> str:
    said = ["not known" if v is None else v for v in (a, b)]
    return f"{kind}: {key.replace('_', ' ')} is {said[0]} in a and {said[1]} in b"


def _accuracy(
    a: Mapping[str, float], b: Mapping[str, float], same_data: bool
) -> tuple[dict[str, tuple[float, float]], list[str]]:
    if not a and not b:
        return {}, []
    if not a or not b:
        return {}, [f"accuracy is not compared: it was measured in {'a' if a else 'b'} only"]
    if not same_data:
        return {}, ["accuracy is not compared: the runs were judged on different data"]
    both = [m for m in a if m in b]
    protocols = [sorted({m.split(" ")[0] for m in x}) for x in (a, b)]
    if not both:
        said = [" and ".join(p) for p in protocols]
        return {}, [f"accuracy is not compared: protocol {said[0]} in a, {said[1]} in b"]
    return {m: (float(a[m]), float(b[m])) for m in both}, []


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['model']} {row['format']}" + (f" b{row['batch']}" if row["batch"] != 1 else "")


def _grid(kind: Any, title: str, *heads: str) -> Any:
    table = kind(title=title, title_justify="left")
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i < 2 else "right")
    return table

"""What each choice costs and gives: rows of a table, one per artifact and operating point, from measured benchmarks.

A row without a measured energy is refused, unless a power is stated that then stands beside it; never is it zero.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.memory import UNKNOWN
from rsdet.deploy.records import END_TO_END, NETWORK, passes, read_record
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.paths import cfg_dir

CLIP = 2.0  # standard deviations at which a normal spread ends
MAX_ROWS = 1000
_TEXT = ("model", "format", "precision", "power_mode", "metric_name", "test_set", "energy_source")


@dataclass(frozen=True)
class Spread:
    """A quantity that varies: recorded values, else uniform between two, else normal and cut.

    Attributes:
        values: Recorded values; drawn from with equal chances.
        low: Least value.
        high: Greatest value.
        std: Standard deviation of the cut normal distribution; None for a uniform one.
    """

    low: float
    high: float
    values: tuple[float, ...] = ()
    std: float | None = None

    @property
    def mean(self) -> float:
        """Expected value."""
        return float(np.mean(self.values)) if self.values else (self.low + self.high) / 2

    def draw(self, rng: np.random.Generator) -> float:
        """One value, never outside ``low`` and ``high``."""
        if self.values:
            return float(rng.choice(self.values))
        if self.std:
            return float(np.clip(rng.normal(self.mean, self.std), self.low, self.high))
        return float(rng.uniform(self.low, self.high))

    def scaled(self, factor: float) -> Spread:
        """The same in other units."""
        std = None if self.std is None else self.std * factor
        return Spread(self.low * factor, self.high * factor, tuple(v * factor for v in self.values), std)

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of recorded values."""
        return cls(min(values), max(values), tuple(map(float, values)))


@dataclass(frozen=True)
class Row:
    """One choice.

    Attributes:
        name: Unlike any other's of the table.
        accuracy: The metric as a fraction.
        energy_j: Joules per image.
        delay_s: Seconds per image.
        model: Name of the model.
        format: Backend.
        precision: Of the arithmetic.
        power_mode: Of the machine; empty where it has none.
        batch: Images per run.
        metric_name: What ``accuracy`` is.
        test_set: What it was measured on.
        energy_source: The meter, or the stated model.
    """

    name: str
    accuracy: Spread
    energy_j: Spread
    delay_s: Spread
    model: str = ""
    format: str = ""
    precision: str = ""
    power_mode: str = ""
    batch: int = 1
    metric_name: str = ""
    test_set: str = ""
    energy_source: str = ""

    @property
    def aee(self) -> float:
        """Accuracy per joule (equation 12), of the means."""
        return self.accuracy.mean / self.energy_j.mean

    @property
    def edp_per_accuracy(self) -> float:
        """Energy times delay in J ms, over the accuracy as a fraction, of the means."""
        return self.energy_j.mean * self.delay_s.mean * 1e3 / self.accuracy.mean

    def told(self) -> dict[str, Any]:
        """A row to print."""
        return {
            "choice": self.name, self.metric_name or "accuracy": round(self.accuracy.mean, 4),
            "J/image": round(self.energy_j.mean, 5), "ms/image": round(self.delay_s.mean * 1e3, 3),
            "AEE 1/J": round(self.aee, 4), "EDP/A J ms": round(self.edp_per_accuracy, 4), "energy": self.energy_source,
        }  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """The choices, in the order of a policy's outputs.

    Attributes:
        rows: At least one.
        dropped: One line for each row that another beats or equals in accuracy, energy and delay.
    """

    rows: tuple[Row, ...]
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def names(self) -> list[str]:
        """Names of all choices."""
        return [r.name for r in self.rows]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is in the rows, in order; a policy is for the rows that it was made for."""
        plain = [{k: vars(v) if isinstance(v, Spread) else v for k, v in vars(r).items()} for r in self.rows]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def without_dominated(self) -> Rows:
        """Without rows that no policy could want: Pareto's front of the means."""

        def beats(a: Row, b: Row) -> bool:
            x = (a.accuracy.mean, -a.energy_j.mean, -a.delay_s.mean)
            y = (b.accuracy.mean, -b.energy_j.mean, -b.delay_s.mean)
            return x != y and all(p >= q for p, q in zip(x, y, strict=True))

        better = {b.name: next((a.name for a in self.rows if beats(a, b)), None) for b in self.rows}
        told = [f"{worse} is left out: {name} is no worse in any respect" for worse, name in better.items() if name]
        return Rows(tuple(r for r in self.rows if better[r.name] is None), tuple(told))


def read_rows(
    *tables: str | Path, power_w: float | None = None, metric: str | None = None, pareto: bool = True
) -> Rows:
    """Read tables of choices.

    Args:
        *tables: JSON of ``rsdet benchmark``, or CSVs with the columns of the shipped ``paper-table3.csv``: of
            ``metric``, ``energy_j`` and ``latency_ms`` per image each the value, ``_min`` and ``_max``, ``_mean`` and
            ``_std``, or ``_runs`` (values between blanks).
        power_w: Watts drawn while an artifact runs; makes an energy of the times of rows without one.
        metric: Which of several accuracies of a benchmark.
        pareto: Leave out rows that another dominates.

    Raises:
        DataError: A file cannot be used, rows are of different metrics or test sets, or have no energy.
    """
    if power_w is not None and not (isinstance(power_w, (int, float)) and 0 < power_w < math.inf):
        raise ConfigError(f"power_w={power_w!r} must be a number of watts above 0; e.g. power_w=15.")
    rows: list[Row] = []
    for table in tables or (paper_table(),):
        path = Path(table)
        read = _of_record if path.suffix == ".json" else _of_csv
        rows += read(path, power_w, metric)
        _check_number(rows, "the tables have")
    for what in ("metric_name", "test_set"):
        kinds = sorted({vars(r)[what] for r in rows})
        if len(kinds) > 1:
            said = ", ".join(repr(k) for k in kinds[:4])
            raise DataError(f"rows are of different kinds, {what} {said}: they cannot be compared; give rows of one.")
    names = [r.name for r in rows]
    if twice := next((n for n in names if names.count(n) > 1), None):
        raise DataError(f"two rows are called {twice!r}; give each an engine_id of its own.")
    made = Rows(tuple(rows))
    return made.without_dominated() if pareto else made


def _check_number(rows: Sequence[Any], what: str) -> None:
    if len(rows) > MAX_ROWS:
        raise DataError(f"{what} more than {MAX_ROWS} rows; leave some out.")


def paper_table() -> Path:
    """The table that the paper prints, which cannot be reproduced on its hardware."""
    return cfg_dir() / "schedule" / "paper-table3.csv"


# -- benchmarks -----------------------------------------------------------------------------------------------------


def _of_record(path: Path, power_w: float | None, metric: str | None) -> list[Row]:
    record = read_record(path)
    settings = record.get("settings") or {}
    timed = END_TO_END if END_TO_END in passes(record) else NETWORK
    modes = {w.get("power_mode") for w in (record.get("watch") or {}).values() if w.get("power_mode")}
    rows = []
    _check_number(record["rows"], f"{path} has")
    for row in record["rows"]:
        name = " ".join([row["model"], row["format"], *([f"b{row['batch']}"] if row["batch"] > 1 else [])])
        where = f"{path.name}: {name}"
        accuracy = row.get("accuracy") or {}
        if not accuracy:
            raise DataError(f"{where} has no accuracy; run the benchmark with data=.")
        key = metric or next(iter(accuracy))
        if key not in accuracy:
            raise DataError(f"{where} has no {metric!r}; expected metric= to be one of {', '.join(accuracy)}.")
        delay = Spread.of([float(ms) / 1e3 / row["batch"] for ms in row[timed]["samples_ms"]])
        energy, source = _energy(row.get("energy") or {}, delay, power_w, where)
        value = float(accuracy[key])
        rows.append(Row(
            name, checked(Spread(value, value), f"{where}: {key}", 1.0), energy, delay, row["model"], row["format"],
            str(settings.get("precision", "")), "".join(sorted(modes)[:1]), row["batch"], key,
            str(settings.get("data") or ""), source,
        ))  # fmt: skip
    return rows


def _energy(energy: Mapping[str, Any], delay: Spread, power_w: float | None, where: str) -> tuple[Spread, str]:
    measured = energy.get("mj_per_image", UNKNOWN)
    if isinstance(measured, (int, float)):
        return checked(Spread(measured / 1e3, measured / 1e3), f"{where}: energy"), str(energy.get("meter") or "meter")
    if power_w is None:
        why = printable(str(energy.get("why_not") or "it was not tried"))[:100]
        raise DataError(
            f"{where} has no measured energy ({why}); measure it, or state what the machine draws with power_w=."
        )
    return delay.scaled(power_w), f"stated: {power_w:g} W while it runs"


# -- tables ---------------------------------------------------------------------------------------------------------


def _of_csv(path: Path, power_w: float | None, metric: str | None) -> list[Row]:
    try:
        lines = list(islice(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))), MAX_ROWS + 1))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{path} cannot be read ({e}); pass a CSV or the JSON of a benchmark.") from e
    if not lines:
        raise DataError(f"{path} has no rows; pass a table with a row per artifact.")
    if not any(str(k).startswith("metric") for k in lines[0]):
        found = ", ".join(printable(str(k))[:20] for k in [*lines[0]][:8])
        raise DataError(
            f"{path} has no column metric, its columns are {found}; expected are model, metric (accuracy, 0 to 1), "
            "latency_ms and energy_j, with commas; of a range, metric_min and metric_max and so on."
        )
    _check_number(lines, f"{path} has")
    rows = []
    for number, line in enumerate(lines, 2):
        given = {k: v.strip() for k, v in line.items() if isinstance(k, str) and isinstance(v, str) and v.strip()}
        where = f"{path.name}, line {number}"
        accuracy, delay = _spread(given, "metric", where, 1.0), _spread(given, "latency_ms", where)
        if accuracy is None or delay is None:
            raise DataError(f"{where} has no {'metric' if accuracy is None else 'latency_ms'}; give each row one.")
        energy, delay = _spread(given, "energy_j", where), delay.scaled(1e-3)
        if energy is None:
            energy, source = _energy({"why_not": "the column is empty"}, delay, power_w, where)
            given["energy_source"] = source
        texts = {k: given.get(k, "") for k in _TEXT}
        texts["energy_source"] = texts["energy_source"] or "of the table"
        batch = given.get("batch", "1")
        if not batch.isdecimal() or not int(batch):
            raise DataError(f"{where}: batch is {batch!r}, expected a whole number of 1 or more; mend the table.")
        parts = [given.get(k) for k in ("model", "format", "precision", "power_mode")]
        name = given.get("engine_id") or " ".join(p for p in parts if p)
        if not name:
            raise DataError(f"{where} has neither engine_id nor model; name each row.")
        rows.append(Row(name, accuracy, energy, delay, batch=int(batch), **texts))
    return rows


def _spread(given: Mapping[str, str], what: str, where: str, most: float = math.inf) -> Spread | None:
    """What a row says of a quantity; None for nothing."""

    def number(key: str) -> float:
        try:
            return float(given[key])
        except ValueError:
            raise DataError(f"{where}: {key} is {given[key]!r}, expected a number; mend the table.") from None

    if runs := given.get(f"{what}_runs"):
        try:
            spread = Spread.of([float(v) for v in runs.replace(";", " ").split()])
        except ValueError:
            raise DataError(f"{where}: {what}_runs is {runs[:40]!r}, expected numbers; mend the table.") from None
    elif {f"{what}_min", f"{what}_max"} <= given.keys():
        spread = Spread(number(f"{what}_min"), number(f"{what}_max"))
    elif {f"{what}_mean", f"{what}_std"} <= given.keys():
        mean, std = number(f"{what}_mean"), number(f"{what}_std")
        spread = Spread(mean - CLIP * std, mean + CLIP * std, std=std)
    elif what in given:
        spread = Spread(number(what), number(what))
    else:
        return None
    return checked(spread, f"{where}: {what}", most)


def checked(spread: Spread, where: str, most: float = math.inf) -> Spread:
    """The spread, once its values are known to be possible.

    Raises:
        DataError: They are not above 0, not finite, or above ``most``.
    """
    if not (math.isfinite(spread.high) and 0 < spread.low <= spread.high <= most):
        limit = f" to {most:g}" if most < math.inf else ""
        raise DataError(
            f"{where} goes from {spread.low:g} to {spread.high:g}; expected values above 0{limit}, the least first; "
            "mend the table."
        )
    return spread

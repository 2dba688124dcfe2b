"""Measures the share of a seeded sample of mutants that the tests of their own files notice (`make mutants`).

Verdicts stand in `benchmarks/results/mutants.csv`, one row as soon as it is known: a run that was stopped goes on where
it was, and after an edit only mutants of lines that are new are judged.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import signal
import tempfile
from pathlib import Path

import report
import yaml
from judge import Judge, copies, warm_up
from sample import Mutant, draw

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "benchmarks" / "results" / "mutants.csv"
COLUMNS = ("id", "room", "file", "line", "operator", "was", "becomes", "first", "verdict", "noticed_by", "cpu_s")


def main() -> None:
    """Draw, judge what has no verdict, and write the score."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--again", default="", help="judge these again: cut,survived, as after a new test")
    parser.add_argument("--budget", type=float, default=10, help="CPU seconds of tests for a mutant")
    parser.add_argument("--first", type=int, help="judge only so many of the sample, in its order")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="mutants judged at one time")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    table = yaml.safe_load(Path(__file__).with_name("rooms.yaml").read_text())
    tests = {f: [_path(t) for t in names] for r in table["rooms"].values() for f, names in r["files"].items()}
    sources = {file: (ROOT / file).read_text() for file in tests}  # once: the working tree may be edited meanwhile
    sample = draw(sources, table["rooms"], table["seed"])
    rows = {row["id"]: row for row in _read()}
    to_judge = {"", *given.again.split(",")}
    open_ = [m for m in sample[: given.first] if rows.get(m.id, {}).get("verdict", "") in to_judge]
    open_ = [m for m in open_ if m.id not in table["equivalent"]]
    print(f"{len(sample)} mutants drawn, {len(open_)} to judge", flush=True)

    def done(mutant: Mutant, verdict: str, noticed_by: str, cpu_s: float) -> None:
        was, becomes = mutant.change(sources[mutant.file])
        first = rows.get(mutant.id, {}).get("first") or verdict.replace("cut", "")
        values = (mutant.id, mutant.room, mutant.file, mutant.place[0], mutant.operator.removeprefix("core/"), was,
                  becomes, first, verdict, noticed_by, f"{cpu_s:.1f}")  # fmt: skip
        rows[mutant.id] = dict(zip(COLUMNS, values, strict=True))
        _write([rows[m.id] for m in sample if m.id in rows])
        print(verdict, *values[2:7], noticed_by, sep=" | ", flush=True)

    try:
        if open_:
            with tempfile.TemporaryDirectory() as folder:
                warm_up(Path(folder))
                judge = Judge(copies(ROOT, Path(folder), given.workers), given.budget)
                judge.all(((m, m.file, m.code(sources[m.file]), tests[m.file]) for m in open_), done)
    except KeyboardInterrupt:
        print("stopped; the next run goes on from here")
    finally:
        rows = [{**rows[m.id], "line": m.place[0]} for m in sample if m.id in rows]
        _write(rows)
        command = f"make mutants (seed {table['seed']}, {given.budget:g} s of tests a mutant)"
        page = report.page(rows, len(sample), table, f"{command}; Python {platform.python_version()}, {_machine()}")
        STORE.with_suffix(".md").write_text(page)
        print(page.split("\n\n")[2])


def _path(test: str) -> str:
    file, *function = test.split("::")
    return "::".join([f"tests/{file}.py", *function])


def _machine() -> str:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).is_file() else []


def _read() -> list[dict]:
    if not STORE.is_file():
        return []
    with STORE.open(newline="") as f:
        return list(csv.DictReader(f))


def _write(rows: list[dict]) -> None:
    new = STORE.with_suffix(".csv.new")
    with new.open("w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    new.replace(STORE)


if __name__ == "__main__":
    main()

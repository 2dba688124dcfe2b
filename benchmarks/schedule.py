"""Policies of `rsdet schedule` on the paper's table, on the same with dearer images, and on a table measured here.

    python benchmarks/schedule.py paper tight
    python benchmarks/schedule.py benchmarks/cubesat_hituav.yaml --table runs/speed.json --power-w 15

A mission is a shipped name or a YAML of the same form. Each is a JSON in --work, skipped where it is there; the last
step writes benchmarks/results/schedule.md.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from rsdet.deploy.hardware import describe
from rsdet.schedule.artifacts import LookupTable
from rsdet.schedule.evaluation import baselines, evaluate
from rsdet.schedule.files import LEARNED
from rsdet.schedule.rows import read_rows
from rsdet.schedule.settings import read_mission

OUT = Path(__file__).parent / "results"
ORBITS = range(1000, 1030)  # none of them is learnt from
TRAININGS = 3
HEAD = """# Which model to run when energy is short

`rsdet schedule` on its missions; every number is a mean over 30 orbits with its interval of 95 %, rewards per slot
(equation 19 of Wang et al.). Policies that learn do so three times with other seeds: their row is the mean of three,
the interval that of all 90 orbits. `dp` plans with the distributions and is the reference. "Done" is the share of the
images. Written by `benchmarks/schedule.py`."""


def run(name: str, tables: list[Path], power_w: float | None) -> dict:
    """All policies on one mission."""
    mission, rows = read_mission(name), read_rows(*tables, power_w=power_w)
    found, seconds = {}, {}
    for kind in LEARNED:
        scores = []
        for seed in range(1 if kind.name == "dp" else TRAININGS):
            policy = kind(mission, rows)
            begin = time.perf_counter()
            policy.train(seed)
            seconds[kind.name] = round(time.perf_counter() - begin, 1)
            scores += evaluate({kind.name: policy}, ORBITS)
            if kind.name == "dp":
                optimum = policy
        scores[0].rewards = [r for s in scores for r in s.rewards]
        scores[0].traces = [t for s in scores for t in s.traces]
        found[kind.name] = {**scores[0].row(), "choices": scores[0].shares()}
    others = {**baselines(optimum), "dp as a table": LookupTable.of(optimum)}
    for score in evaluate(others, ORBITS):
        found[score.name] = {**score.row(), "choices": score.shares()}
    fixed = {k: v for k, v in found.items() if k.startswith("always ")}
    return {
        "mission": Path(name).stem, "rows": [r.told() for r in rows.rows], "dropped": list(rows.dropped),
        "table": found, "train_seconds": seconds, "best_fixed": max(fixed, key=lambda k: fixed[k]["reward"]),
        "hardware": describe(), "power_w": power_w,
    }  # fmt: skip


def table(record: dict) -> str:
    """Markdown of one mission."""
    best, dp, dqn = (record["table"][k]["reward"] for k in (record["best_fixed"], "dp", "dqn"))
    lines = [f"## {record['mission']}", "", "| choice | accuracy | J/image | ms/image | AEE 1/J | energy |",
             "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for r in record["rows"]:
        accuracy = list(r.values())[1]
        cells = (r["choice"], accuracy, r["J/image"], r["ms/image"], r["AEE 1/J"], r["energy"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", *(f"{d}." for d in record["dropped"]), ""]
    lines += ["| policy | reward per slot | AEE | accuracy | J/image | done |", "| --- | --- | --- | --- | --- | --- |"]
    for name, r in sorted(record["table"].items(), key=lambda kv: -kv[1]["reward"]):
        lines.append(
            f"| {name} | {r['reward']:.3f} ± {r['reward_ci95']:.3f} | {r['aee']:.3f} | {r['accuracy']:.3f} | "
            f"{r['energy_j_per_image']:.4g} | {100 * r['done']:.1f} % |"
        )
    gain, learnt = 100 * (dp - best) / abs(best), 100 * (dqn - best) / abs(best)
    took = f"{record['train_seconds']['dqn']:.0f} s on {record['hardware']['cpu']}, one thread, beside other work"
    lines += ["", f"Over the best fixed choice ({record['best_fixed']}): the optimum {dp - best:+.3f} ({gain:+.1f} %), "
              f"deep Q-learning {dqn - best:+.3f} ({learnt:+.1f} %). One training of dqn took {took}."]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for, and write the table of all that is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("missions", nargs="*")
    parser.add_argument("--table", type=Path, action="append", default=[])
    parser.add_argument("--power-w", type=float)
    parser.add_argument("--work", type=Path, default=Path("runs/schedule"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for name in args.missions:
        file = args.work / f"{Path(name).stem}.json"
        if not file.exists():
            np.seterr(all="raise", under="ignore")
            file.write_text(json.dumps(run(name, args.table, args.power_w), indent=1))
    records = [json.loads(f.read_text()) for f in sorted(args.work.glob("*.json"))]
    if records:
        (OUT / "schedule.json").write_text(json.dumps(records, indent=1) + "\n")
        text = "\n\n".join([HEAD, *map(table, records)]) + "\n"
        (OUT / "schedule.md").write_text(text)
        print(text)


if __name__ == "__main__":
    main()

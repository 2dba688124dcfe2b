"""Pictures of an evaluation: what policies gain, and what one does along the orbit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError
from rsdet.figures import new_figure, png_of
from rsdet.names import printable
from rsdet.textfiles import read_json
from rsdet.writing import write_bytes

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999")  # apart for all eyes
_WANTED = "pass the folder that `rsdet schedule eval out=` wrote"


def read_evaluation(folder: str | Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The summary and the trace that an evaluation wrote.

    Raises:
        DataError: They are not there, or hold something else.
    """
    import csv

    folder = Path(folder)
    summary = read_json(folder / "summary.json", wanted=_WANTED)
    try:
        with open(folder / "trace.csv", encoding="utf-8", newline="") as f:
            trace = list(csv.DictReader(f))
        for row in trace:
            float(row["energy_j"]), float(row["used_j"]), int(row["slot"])
        if not trace or not {"policy", "reward", "reward_ci95"} <= summary["table"][0].keys():
            raise KeyError("table")
    except (OSError, KeyError, TypeError, ValueError, IndexError, AttributeError) as e:
        raise DataError(f"{folder} holds no evaluation ({type(e).__name__}: {e}); {_WANTED}.") from e
    return summary, trace


def draw(folder: str | Path) -> list[Path]:
    """Draw ``policies.png`` and ``orbit.png`` into the folder of an evaluation."""
    summary, trace = read_evaluation(folder)
    return [
        write_bytes(Path(folder) / "policies.png", policies(summary["table"])),
        write_bytes(Path(folder) / "orbit.png", orbit(trace)),
    ]


def policies(table: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of the reward per slot of each policy, with intervals of 95 %."""
    rows = list(reversed(table))
    figure, axes = new_figure(6.4, 0.9 + 0.35 * len(rows))
    means, spread = [r["reward"] for r in rows], [r["reward_ci95"] or 0.0 for r in rows]
    colours = [_COLOURS[1] if r is table[0] else _COLOURS[0] for r in rows]
    axes.barh(range(len(rows)), means, xerr=spread, color=colours, ecolor="black", capsize=2, height=0.6)
    axes.set_yticks(range(len(rows)), [printable(str(r["policy"]))[:40] for r in rows], fontsize=8)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_xlabel("reward per slot, mean over orbits and its 95 % interval")
    return png_of(figure)


def orbit(trace: Sequence[Mapping[str, str]]) -> bytes:
    """PNG of what slots may spend and do spend, and of which rows are chosen, over all orbits of a trace."""
    slots = sorted({int(t["slot"]) for t in trace})
    by_slot = {s: [t for t in trace if int(t["slot"]) == s] for s in slots}
    figure, axes = new_figure(7.2, 4.0)
    names = list(dict.fromkeys(t["choice"] for t in trace))
    bottom = np.zeros(len(slots))
    for i, name in enumerate(names):
        share = np.array([np.mean([t["choice"] == name for t in by_slot[s]]) for s in slots])
        label = printable(name)[:40]
        axes.bar(slots, share, 0.95, bottom, color=_COLOURS[i % len(_COLOURS)], alpha=0.45, label=label)
        bottom += share
    axes.set(xlabel="slot", ylabel="share of orbits", ylim=(0, 1), xlim=(slots[0] - 0.6, slots[-1] + 0.6))
    axes.legend(fontsize=7, loc="upper left")
    joules = axes.twinx()
    for key, style, label in (("energy_j", "-", "may spend"), ("used_j", "--", "spends")):
        mean = [np.mean([float(t[key]) for t in by_slot[s]]) / 1e6 for s in slots]
        joules.plot(slots, mean, style, color="black", linewidth=1.2, label=label)
    joules.set(ylabel="MJ, mean over orbits", ylim=(0, None))
    joules.legend(fontsize=7, loc="upper right")
    return png_of(figure)

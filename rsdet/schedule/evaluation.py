"""Policies measured over many orbits, beside all that a policy must be compared with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import ConfigError
from rsdet.schedule.dynamic import DynamicProgramming
from rsdet.schedule.policies import Fixed, Greedy, Policy, Random
from rsdet.schedule.simulation import TRACE, Simulation
from rsdet.writing import json_text, write_csv, write_text

NORMAL_95 = 1.96  # standard errors of a 95 % interval; 30 orbits are enough for it
COLUMNS = ("policy", "reward", "reward_ci95", "aee", "accuracy", "energy_j_per_image", "done", "infeasible_slots")


@dataclass
class Score:
    """One policy over all orbits.

    Attributes:
        name: The policy.
        rewards: Mean reward per slot of each orbit.
        traces: Rows of :data:`TRACE`, with ``seed`` before them.
    """

    name: str
    rewards: list[float] = field(default_factory=list)
    traces: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """A row of the table. ``aee`` is the mean over slots with a result, accuracy and energy those of images."""
        worked = [t for t in self.traces if t["done"]]
        images = sum(t["done"] for t in worked)
        asked = sum(t["images"] for t in self.traces)
        spread = np.std(self.rewards, ddof=1) if len(self.rewards) > 1 else math.nan
        nothing = float("nan")
        return {
            "policy": self.name,
            "reward": round(float(np.mean(self.rewards)), 4),
            "reward_ci95": round(float(NORMAL_95 * spread / math.sqrt(len(self.rewards))), 4),
            "aee": _mean([t["accuracy"] / t["energy_per_image_j"] for t in worked]),
            "accuracy": round(sum(t["accuracy"] * t["done"] for t in worked) / images, 4) if images else nothing,
            "energy_j_per_image": round(sum(t["used_j"] for t in worked) / images, 5) if images else nothing,
            "done": round(images / asked, 4) if asked else nothing,
            "infeasible_slots": sum(not t["feasible"] for t in self.traces),
        }

    def shares(self) -> dict[str, float]:
        """Share of the slots in which each row was chosen."""
        counts = Counter(t["choice"] for t in self.traces)
        return {name: round(n / len(self.traces), 4) for name, n in counts.most_common()}


def evaluate(policies: Mapping[str, Policy], seeds: Sequence[int]) -> list[Score]:
    """Run policies through the same orbits: the same seeds, so that loads are the same where draws are as many.

    Args:
        policies: By name, all of one mission and one table.
        seeds: An orbit each.
    """
    scores = []
    for name, policy in policies.items():
        score = Score(name)
        for seed in seeds:
            sim = Simulation(policy.mission, policy.rows)
            sim.reset(np.random.default_rng(seed))
            rewards = []
            while not sim.over:
                rewards.append(sim.step(policy.choose(sim.observation())).reward)
            score.rewards.append(float(np.mean(rewards)))
            score.traces += [{"seed": seed, **t} for t in sim.trace]
        scores.append(score)
    return scores


def baselines(policy: Policy) -> dict[str, Policy]:
    """What a policy is compared with: each row alone, chance, the best of the moment, and the optimum."""
    m, rows = policy.mission, policy.rows
    found: dict[str, Policy] = {f"always {name}": Fixed(m, rows, i) for i, name in enumerate(rows.names)}
    found |= {"random": Random(m, rows), "greedy": Greedy(m, rows)}
    if not isinstance(policy, DynamicProgramming):
        optimum = DynamicProgramming(m, rows)
        optimum.train()
        found["dp"] = optimum
    return {k: v for k, v in found.items() if not (k == policy.name == "greedy")}


def check_seeds(seeds: int) -> range:
    """Seeds of as many orbits.

    Raises:
        ConfigError: Fewer than one, or too many.
    """
    if type(seeds) is not int or not 1 <= seeds <= 100_000:
        raise ConfigError(f"seeds={seeds!r} must be a whole number from 1 to 100000; e.g. 30.")
    return range(seeds)


def write_scores(scores: Sequence[Score], policy: Policy, folder: Path) -> Path:
    """Write ``summary.json`` and ``trace.csv``, a row per slot of every orbit of the first policy."""
    m = policy.mission
    table = [s.row() for s in scores]
    fixed = [r for r in table if r["policy"].startswith("always ")]
    best = max(fixed, key=lambda r: r["reward"]) if fixed else None
    gain = None if best is None else round(table[0]["reward"] - best["reward"], 4)
    content = {
        "policy": scores[0].name, "seeds": len(scores[0].rewards), "mission": m.as_dict(), "rows": [
            r.told() for r in policy.rows.rows], "dropped_rows": list(policy.rows.dropped), "table": table,
        "choices": {s.name: s.shares() for s in scores}, "best_fixed": best and best["policy"],
        "gain_over_best_fixed": gain,
    }  # fmt: skip
    write_text(folder / "summary.json", json_text(content))
    return write_csv(folder / "trace.csv", ["seed", *TRACE], scores[0].traces)


def table(scores: Iterable[Score]) -> str:
    """The table in text."""
    rows = [s.row() for s in scores]
    width = max(len(r["policy"]) for r in rows)
    lines = [f"{'policy':{width}}  reward/slot (95 %)    AEE   accuracy  J/image   images done  did not fit"]
    for r in rows:
        interval = "(1 orbit)" if math.isnan(r["reward_ci95"]) else f"+-{r['reward_ci95']:.4f}"
        lines.append(
            f"{r['policy']:{width}}  {r['reward']:8.4f} {interval:9}  {r['aee']:6.3f}  "
            f"{r['accuracy']:8.4f}  {r['energy_j_per_image']:8.5f}  {100 * r['done']:8.1f} %  "
            f"{r['infeasible_slots']:6d}"
        )
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4) if values else float("nan")

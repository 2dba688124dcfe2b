"""``rsdet schedule``: which model to run when energy is short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.arguments import fit
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import Mode, say
from rsdet.writing import with_ending

if TYPE_CHECKING:
    from rsdet.schedule.rows import Rows


def _rows(table: str | Sequence[str], power_w: float | None, metric: str | None, pareto: bool) -> Rows:
    from rsdet.schedule.rows import read_rows

    tables = [table] if isinstance(table, str) else list(table)
    if not tables:
        say("no table=: that of the paper is taken, which cannot be reproduced on its hardware")
    rows = read_rows(*tables, power_w=power_w, metric=metric, pareto=pareto)
    for line in rows.dropped:
        say(line)
    return rows


def train(
    *,
    table: str | Sequence[str] = (),
    orbit: str = "paper",
    algo: str = "dqn",
    out: str = "policy.safetensors",
    seed: int = 0,
    episodes: int = 2000,
    observation: str = "full",
    row: int = 0,
    power_w: float | None = None,
    metric: str | None = None,
    pareto: bool = True,
    **mission: Any,
) -> Path:
    """Make a policy of a table of measured artifacts.

    Args:
        table: JSON of ``rsdet benchmark``, or CSVs of the same form as ``cfg/schedule/paper-table3.csv``, which is
            taken where none is given and cannot be reproduced.
        orbit: ``paper``, ``tight`` (ten times the energy per image), ``cubesat`` (a small satellite with one battery
            for day and night) or a YAML of the same form.
        algo: ``dqn`` (stable-baselines3), ``dp`` (dynamic programming, the optimum), ``greedy``, ``q``, ``reinforce``,
            ``random`` or ``fixed``.
        out: The file.
        seed: Of everything random.
        episodes: Orbits to learn from.
        observation: What the network of ``dqn`` sees: ``full``, or ``paper`` (energy and load alone).
        row: Number of the row that ``fixed`` takes, from 0, in the order of the table.
        power_w: Watts drawn while a model runs, for rows without a measured energy; stands beside them.
        metric: Which accuracy of a benchmark counts.
        pareto: Leave out rows that another dominates.
        **mission: Keys of the mission to set besides, such as ``min_accuracy=0.5``, ``infeasible=partial``,
            ``dynamics=soc``, ``duty=0.5``.
    """
    from rsdet.schedule.files import ALGORITHMS, save_policy
    from rsdet.schedule.observing import OBSERVATIONS
    from rsdet.schedule.policies import POLICIES
    from rsdet.schedule.settings import read_mission

    if algo not in ALGORITHMS:
        raise ConfigError(f"algo={algo!r} must be one of {', '.join(ALGORITHMS)}.{nearest(algo, ALGORITHMS)}")
    if observation not in OBSERVATIONS:
        raise ConfigError(f"observation={observation!r} must be one of {', '.join(OBSERVATIONS)}.")
    if type(episodes) is not int or not 1 <= episodes <= 10**7:
        raise ConfigError(f"episodes={episodes!r} must be a whole number of 1 or more; e.g. 2000.")
    asked = read_mission(orbit, **mission)
    rows = _rows(table, power_w, metric, pareto)
    policy = POLICIES[algo](asked, rows)
    policy.train(seed, episodes=episodes, observation=observation, row=row)
    path = save_policy(policy, out)
    say(f"{algo} for {len(rows)} choices: {path}")
    return path


def evaluate(
    *,
    policy: str,
    table: str | Sequence[str] = (),
    seeds: int = 30,
    out: str = "schedule",
    power_w: float | None = None,
    metric: str | None = None,
    pareto: bool = True,
) -> Path:
    """Run a policy through many orbits, beside each row alone, chance, the best of the moment and the optimum.

    Args:
        policy: File of ``schedule train``.
        table: The table that it is going to be used with, compared with the one that it was made for; nothing where
            not given.
        seeds: How many orbits.
        out: Folder for ``summary.json``, ``trace.csv``, ``policies.png``, ``orbit.png``.
        power_w: As in training.
        metric: As in training.
        pareto: As in training.
    """
    from rsdet.schedule import evaluation
    from rsdet.schedule.artifacts import LookupTable
    from rsdet.schedule.files import load_policy
    from rsdet.schedule.plots import draw

    made = load_policy(policy, _rows(table, power_w, metric, pareto) if table else None)
    orbits = evaluation.check_seeds(seeds)
    entrants = {made.name: made, f"{made.name} as a table": LookupTable.of(made), **evaluation.baselines(made)}
    scores = evaluation.evaluate(entrants, orbits)
    evaluation.write_scores(scores, made, Path(out))
    draw(out)
    say(evaluation.table(scores))
    say(f"{seeds} orbits, {len(made.rows)} choices; {out}/summary.json, trace.csv, policies.png, orbit.png")
    return Path(out)


def plot(*, source: str = "schedule") -> list[Path]:
    """Draw the pictures of an evaluation anew.

    Args:
        source: Folder of ``schedule eval``.
    """
    from rsdet.schedule.plots import draw

    made = draw(source)
    say(f"{', '.join(map(str, made))}")
    return made


def export(*, policy: str, format: str = "lut", out: str | None = None) -> Path:
    """Write a policy for deployment.

    Args:
        policy: File of ``schedule train``.
        format: ``lut``, a table of slot, energy and load that can be read by eye; or ``onnx``, of ``algo=dqn``.
        out: The file; beside the policy where None: ``policy-lut.csv`` or ``policy.onnx``.
    """
    from rsdet.schedule.artifacts import LookupTable, export_onnx
    from rsdet.schedule.files import load_policy

    ends = {"lut": "-lut.csv", "onnx": ".onnx"}  # a table of measured rows may well be called policy.csv
    if format not in ends:
        raise ConfigError(f"format={format!r} must be one of {', '.join(ends)}.{nearest(format, ends)}")
    made, beside = load_policy(policy), Path(policy)
    suffix = Path(ends[format]).suffix
    path = beside.with_name(beside.stem + ends[format]) if out is None else with_ending(out, suffix)
    path = LookupTable.of(made).write(path) if format == "lut" else export_onnx(made, path)
    say(f"{format}: {path}")
    return path


DOES: dict[str, Callable[..., Any]] = {"train": train, "eval": evaluate, "plot": plot, "export": export}


def _run(args: dict[str, Any]) -> None:
    args = dict(args)
    what = args.pop("what", None)
    if what not in DOES:
        raise ConfigError(
            f"schedule must be asked for one of {', '.join(DOES)}, received {what!r}.{nearest(str(what), DOES)}"
        )
    DOES[what](**fit(DOES[what], args, f"schedule {what}"))


MODE = Mode(
    "choose among measured models along an orbit, when energy is short",
    _run,
    examples=(
        "schedule train table=speed.json orbit=tight algo=dp out=policy.safetensors",
        "schedule eval policy=policy.safetensors seeds=30 out=evaluation",
        "schedule export policy=policy.safetensors format=lut",
    ),
    positional=("what",),
    functions=lambda: tuple(DOES.values()),
)

"""Files of policies: arrays as safetensors, with mission and rows as JSON in the header. Nothing in them is run."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rsdet._version import __version__
from rsdet.errors import ConfigError, DataError
from rsdet.schedule.dqn import DQN
from rsdet.schedule.dynamic import DynamicProgramming
from rsdet.schedule.learning import QLearning, Reinforce
from rsdet.schedule.policies import POLICIES, Fixed, Greedy, Policy, Random
from rsdet.schedule.rows import Row, Rows, Spread, checked
from rsdet.schedule.settings import mission_of
from rsdet.writing import replacing, with_ending

LEARNED = (DQN, DynamicProgramming, QLearning, Reinforce)
ALGORITHMS = tuple(p.name for p in (DQN, DynamicProgramming, Greedy, QLearning, Reinforce, Random, Fixed))
_KEY, _BROKEN = "rsdet.schedule", (KeyError, TypeError, ValueError, IndexError, AttributeError)


def save_policy(policy: Policy, path: str | Path) -> Path:
    """Write a policy; one that is there is replaced.

    Raises:
        ConfigError: What is there is something else.
    """
    rows = [{k: vars(v) if isinstance(v, Spread) else v for k, v in vars(r).items()} for r in policy.rows.rows]
    said = {
        "policy": policy.name, "version": __version__, "mission": policy.mission.as_dict(), "rows": rows,
        "digest": policy.rows.digest,
    }  # fmt: skip
    path = with_ending(path, ".safetensors")
    check_replaced(path, _is_policy, "a policy")
    arrays = {"": np.zeros(1)} | {k: np.ascontiguousarray(v) for k, v in policy.arrays().items()}
    with replacing(path) as new:
        save_file(arrays, new, {_KEY: json.dumps(said)})
    return path


def check_replaced(path: Path, is_one: Callable[[Path], bool], what: str) -> None:
    """Refuse to write over files of others.

    Raises:
        ConfigError: Something is there, and is no older one of the same kind.
    """
    if path.exists() and not (path.is_file() and is_one(path)):
        raise ConfigError(f"{path} is there, and is not {what}; pass another out=, or take it away first.")


def _is_policy(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy") as f:
            return _KEY in (f.metadata() or {})
    except (OSError, SafetensorError):
        return False


def load_policy(path: str | Path, rows: Rows | None = None) -> Policy:
    """Read a policy.

    Args:
        path: The file.
        rows: The table that it is going to be used with; its own where None.

    Raises:
        DataError: The file is none, or was made for other rows or another order of them.
    """
    try:
        with safe_open(path, framework="numpy") as f:
            said = json.loads((f.metadata() or {})[_KEY])
            arrays = {k: f.get_tensor(k) for k in f.keys() if k}  # noqa: SIM118 (no mapping)
        own = Rows(tuple(_row(r) for r in said["rows"]))
        policy = POLICIES[said["policy"]](mission_of(said["mission"], str(path)), own)
        policy.load(arrays)
        policy.values(policy.simulation.observation())  # shapes fit
    except (OSError, SafetensorError, *_BROKEN) as e:
        why = f"{type(e).__name__}: {e}"[:120]
        raise DataError(f"{path} is no policy of `rsdet schedule train` ({why}); train one.") from e
    if own.digest != said.get("digest"):
        raise DataError(f"{path} was changed since it was written; train it again.")
    if rows is not None and rows.digest != own.digest:
        raise DataError(
            f"{path} was made for other rows ({', '.join(own.names)[:80]}) than those of the table "
            f"({', '.join(rows.names)[:80]}), or for other values of them; train it again."
        )
    return policy


def _row(plain: dict[str, Any]) -> Row:
    spreads = {
        k: Spread(**{**plain[k], "values": tuple(plain[k]["values"])}) for k in ("accuracy", "energy_j", "delay_s")
    }
    for key, spread in spreads.items():
        checked(spread, f"row {plain['name']!r}: {key}", 1.0 if key == "accuracy" else math.inf)
    return Row(**{**plain, **spreads})

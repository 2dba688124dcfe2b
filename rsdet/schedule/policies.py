"""Policies that need no training, and what all have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rsdet.errors import ConfigError
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission
from rsdet.schedule.simulation import Simulation

POLICIES: dict[str, type[Policy]] = {}


class Policy(ABC):
    """Chooses a row in every slot.

    Args:
        mission: What it is made for.
        rows: The choices.

    Attributes:
        name: What it is called in files and tables.
    """

    name: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.name:
            POLICIES[cls.name] = cls

    def __init__(self, mission: Mission, rows: Rows):
        self.mission, self.rows = mission, rows
        self.simulation = Simulation(mission, rows, keep=False)  # knows what is allowed
        accuracy = np.array([r.accuracy.mean for r in rows.rows])
        self.delays = np.array([r.delay_s.mean for r in rows.rows])
        self.energy = np.array([r.energy_j.mean for r in rows.rows]) * mission.energy_scale
        rewards = mission.aee_weight * accuracy / self.energy
        rewards += mission.accuracy_weight * (accuracy - mission.min_accuracy)
        self.rewards = np.append(rewards, mission.infeasible_reward)  # expected, of each choice; the last is idle

    def train(self, seed: int = 0, **settings: Any) -> None:  # noqa: B027 (most have nothing to learn)
        """Learn; nothing here."""

    @abstractmethod
    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """What each choice is worth, (rows + 1,), from :meth:`Simulation.observation`."""

    def expected(self, energy_j: Any, images: Any) -> tuple[np.ndarray, np.ndarray]:
        """Share of a load that each choice is expected to process, and its reward.

        Args:
            energy_j: Joules that the slot may spend; a number, or several of shape S.
            images: What there is to do; likewise.

        Returns:
            Two arrays that go with (S, rows + 1).
        """
        sim, m = self.simulation, self.mission
        if m.infeasible == "mask":
            return np.ones(1), self.rewards
        share: Any = sim.fits(energy_j, images)
        if m.infeasible == "partial":
            part = sim.part(np.asarray(energy_j)[..., None], self.energy, self.delays)
            share = np.where(share, 1.0, np.minimum(1.0, part / np.maximum(1, images)[..., None]))
        share = np.concatenate([share, np.ones((*share.shape[:-1], 1))], -1)
        return share, share * self.rewards + (1 - share) * m.infeasible_reward

    def choose(self, seen: Mapping[str, Any]) -> int:
        """The best of the choices that are allowed."""
        allowed = self.simulation.allowed(seen["energy_j"], seen["images"])
        return int(np.where(allowed, self.values(seen), -np.inf).argmax())

    def arrays(self) -> dict[str, np.ndarray]:
        """What it has learnt, for a file."""
        return {}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:  # noqa: B027 (likewise)
        """Take over what :meth:`arrays` gave."""


def shaped(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """An array of a file as float64.

    Args:
        arrays: All of the file.
        name: Its name.
        shape: Its shape; None for any length.

    Raises:
        ValueError: It has another shape, or holds NaN or infinity.
    """
    array = np.array(arrays[name], np.float64)
    fits = array.ndim == len(shape) and all(b is None or a == b for a, b in zip(array.shape, shape, strict=True))
    if not fits or not np.isfinite(array).all():
        raise ValueError(f"{name} of shape {array.shape} does not fit, or is not finite")
    return array


class Greedy(Policy):
    """The greatest reward now."""

    name = "greedy"

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """Expected rewards."""
        return self.expected(seen["energy_j"], seen["images"])[1]


class Random(Policy):
    """Any of the choices that are allowed, with equal chances."""

    name = "random"

    def __init__(self, mission: Mission, rows: Rows, seed: int = 0):
        super().__init__(mission, rows)
        self.rng = np.random.default_rng(seed)

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """Random numbers; to do nothing is the last resort."""
        return np.append(self.rng.random(len(self.rows)), -1.0)


class Fixed(Policy):
    """One row always; nothing where it is not allowed.

    Args:
        mission: What it is made for.
        rows: The choices.
        row: Its number.
    """

    name = "fixed"

    def __init__(self, mission: Mission, rows: Rows, row: int = 0):
        super().__init__(mission, rows)
        self.row = row

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """The row above idling, idling above all others."""
        values = np.full(len(self.rows) + 1, -1.0)
        values[[self.row, -1]] = 1.0, 0.0
        return values

    def choose(self, seen: Mapping[str, Any]) -> int:
        """The row where it is allowed, else nothing."""
        allowed = self.simulation.allowed(seen["energy_j"], seen["images"])
        return self.row if allowed[self.row] else len(self.rows)

    def train(self, seed: int = 0, row: int = 0, **settings: Any) -> None:
        """Take a row.

        Args:
            seed: Nothing is random.
            row: Its number, from 0.
            **settings: Of other policies.

        Raises:
            ConfigError: There is no such row.
        """
        if type(row) is not int or not 0 <= row < len(self.rows):
            names = ", ".join(f"{i}: {name}" for i, name in enumerate(self.rows.names))[:200]
            raise ConfigError(f"row={row!r} must be the number of a row ({names}).")
        self.row = row

    def arrays(self) -> dict[str, np.ndarray]:
        """The row."""
        return {"row": np.array([self.row])}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take the row."""
        self.train(row=int(shaped(arrays, "row", (1,))[0]))

"""Policies that learn by trial without a library: tabular Q-learning, and REINFORCE with a linear softmax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rsdet.schedule.orbit import J_PER_KWH
from rsdet.schedule.policies import Policy, shaped
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission
from rsdet.schedule.simulation import Simulation

ENERGY_BINS, LOAD_BINS = 20, 10


class QLearning(Policy):
    """A table over bins of energy and load, learnt from single steps; what is not allowed is never tried."""

    name: ClassVar[str] = "q"

    def __init__(self, mission: Mission, rows: Rows):
        super().__init__(mission, rows)
        self.table = np.zeros((ENERGY_BINS, LOAD_BINS, len(rows) + 1))

    def _bin(self, seen: Mapping[str, Any]) -> tuple[int, int]:
        e = int(ENERGY_BINS * seen["energy_j"] / self.mission.max_energy_j)
        n = int(LOAD_BINS * seen["images"] / self.mission.max_load)
        return min(e, ENERGY_BINS - 1), min(n, LOAD_BINS - 1)

    def train(
        self, seed: int = 0, episodes: int = 2000, rate: float = 0.1, gamma: float = 0.99, **settings: Any
    ) -> None:
        """Learn.

        Args:
            seed: Of everything random.
            episodes: Orbits.
            rate: Of learning.
            gamma: Discount of a later slot.
            **settings: Of other policies.
        """
        rng, sim = np.random.default_rng(seed), Simulation(self.mission, self.rows, keep=False)
        for episode in range(episodes):
            explore = max(0.05, 0.9 - 0.85 * episode / max(1, episodes / 2))
            sim.reset(rng)
            while not sim.over:
                seen = sim.observation()
                state, allowed = self._bin(seen), sim.allowed(seen["energy_j"], seen["images"])
                best = int(np.where(allowed, self.table[state], -np.inf).argmax())
                choice = int(rng.choice(np.flatnonzero(allowed))) if rng.random() < explore else best
                reward = sim.step(choice).reward
                later = 0.0
                if not sim.over:
                    after = sim.observation()
                    ahead = sim.allowed(after["energy_j"], after["images"])
                    later = np.where(ahead, self.table[self._bin(after)], -np.inf).max()
                self.table[(*state, choice)] += rate * (reward + gamma * later - self.table[(*state, choice)])

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """The row of the table."""
        return self.table[self._bin(seen)]

    def arrays(self) -> dict[str, np.ndarray]:
        """The table."""
        return {"table": self.table}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over a table."""
        self.table = shaped(arrays, "table", self.table.shape)


class Reinforce(Policy):
    """A softmax over linear functions of energy, load and place, learnt from whole orbits."""

    name: ClassVar[str] = "reinforce"

    def __init__(self, mission: Mission, rows: Rows):
        super().__init__(mission, rows)
        self.weight = np.zeros((len(rows) + 1, 6))

    def _features(self, seen: Mapping[str, Any]) -> np.ndarray:
        m = self.mission
        e, n = seen["energy_j"] / m.max_energy_j, seen["images"] / m.max_load
        charge = seen["battery_j"] / (m.orbit.battery_max_kwh * J_PER_KWH)
        return np.array([1.0, e, n, n / (e + 0.05), seen["slot"] / m.orbit.slots, charge])

    def train(
        self, seed: int = 0, episodes: int = 2000, rate: float = 0.02, gamma: float = 0.99, **settings: Any
    ) -> None:
        """Learn; see :meth:`QLearning.train`. Returns are compared with a running mean for each slot."""
        rng, sim = np.random.default_rng(seed), Simulation(self.mission, self.rows, keep=False)
        usual = np.zeros(self.mission.orbit.slots)
        for episode in range(episodes):
            sim.reset(rng)
            rewards, gradients = [], []
            while not sim.over:
                seen = sim.observation()
                x = self._features(seen)
                allowed = sim.allowed(seen["energy_j"], seen["images"])
                logits = np.where(allowed, self.weight @ x, -np.inf)
                p = np.exp(logits - logits.max())
                p /= p.sum()
                choice = int(rng.choice(len(p), p=p))
                gradients.append(np.outer((np.arange(len(p)) == choice) - p, x))
                rewards.append(sim.step(choice).reward)
            returns, total = np.zeros(len(rewards)), 0.0
            for i in reversed(range(len(rewards))):
                total = rewards[i] + gamma * total
                returns[i] = total
            if episode == 0:
                usual = returns.copy()
            ahead = returns - usual
            usual += 0.05 * ahead
            step = sum(a * g for a, g in zip(ahead / (np.abs(ahead).mean() + 1e-9), gradients, strict=True))
            self.weight += rate * step / len(rewards)

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """Logits."""
        return self.weight @ self._features(seen)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights."""
        return {"weight": self.weight}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over weights."""
        self.weight = shaped(arrays, "weight", self.weight.shape)

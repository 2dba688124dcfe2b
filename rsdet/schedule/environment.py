"""The simulation as an environment of Gymnasium, for whoever learns by reinforcement."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rsdet.schedule.observing import observe
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission
from rsdet.schedule.simulation import Simulation


class ScheduleEnv(gymnasium.Env):
    """One orbit: an observation and a choice a slot, ``slots`` choices an episode.

    Observations are float32 in [0, 2], see :func:`rsdet.schedule.observing.observe`. Actions are the rows, and after
    them to do nothing. One that does not fit brings ``infeasible_reward`` and no result, or by ``partial`` a share of
    both; :meth:`action_masks` says which a policy has.

    Args:
        mission: What is asked for.
        rows: The choices.
        observation: ``full`` or ``paper``.
        reward_scale: Multiplies rewards.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, mission: Mission, rows: Rows, observation: str = "full", reward_scale: float = 1.0):
        self.simulation, self.observation, self.reward_scale = Simulation(mission, rows), observation, reward_scale
        size = len(observe(self.simulation, self.simulation.observation(), observation))
        self.observation_space = gymnasium.spaces.Box(0.0, 2.0, (size,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(len(rows) + 1)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin an orbit."""
        super().reset(seed=seed)
        self.simulation.reset(self.np_random)
        return self._seen(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Make a choice."""
        outcome = self.simulation.step(int(action))
        reward = outcome.reward * self.reward_scale
        return self._seen(), reward, self.simulation.over, False, {"feasible": outcome.feasible, "done": outcome.done}

    def action_masks(self) -> np.ndarray:
        """(rows + 1,) bool, the choices that are allowed."""
        return self.simulation.allowed(self.simulation.energy_j, self.simulation.images)

    def _seen(self) -> np.ndarray:
        return observe(self.simulation, self.simulation.observation(), self.observation)

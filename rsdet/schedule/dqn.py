"""Deep Q-learning by stable-baselines3, with the settings that the paper states.

Its Huber loss is quadratic below an error of 1: with rewards divided by :data:`REWARD_SCALE` it is the squared error
that the paper prints. Which choices are allowed follows from the observation, so the network itself puts them last;
those are tried while it learns, at a price, and never taken afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rsdet.errors import MissingDependencyError, install
from rsdet.schedule.observing import observe
from rsdet.schedule.policies import Policy, shaped
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission

HIDDEN = (64, 64)
REWARD_SCALE = 0.01  # a return of 30 slots stays below 1 or so
BATCH, BUFFER, TARGET_EVERY = 64, 10_000, 500


class DQN(Policy):
    """A network of two hidden layers that estimates what each choice is worth.

    Args:
        mission: What it is made for.
        rows: The choices.
        observation: ``full`` or ``paper``, see :func:`rsdet.schedule.observing.observe`.
    """

    name: ClassVar[str] = "dqn"

    def __init__(self, mission: Mission, rows: Rows, observation: str = "full"):
        super().__init__(mission, rows)
        self.observation = observation
        self.layers: list[tuple[np.ndarray, np.ndarray]] = []  # weight (out, in) and bias of each

    def train(
        self,
        seed: int = 0,
        episodes: int = 2000,
        rate: float = 1e-3,
        gamma: float = 0.99,
        observation: str | None = None,
        **settings: Any,
    ) -> None:
        """Learn.

        Args:
            seed: Of everything random.
            episodes: Orbits.
            rate: Learning rate of Adam.
            gamma: Discount of a later slot.
            observation: Instead of the one it was made with.
            **settings: Of other policies.

        Raises:
            MissingDependencyError: stable-baselines3 is not installed.
        """
        try:
            import torch
            from stable_baselines3 import DQN as Agent

            from rsdet.schedule.environment import ScheduleEnv
        except ImportError as e:
            raise MissingDependencyError(f"algo=dqn needs stable-baselines3; {install('schedule')}") from e
        self.observation = observation or self.observation
        env = ScheduleEnv(self.mission, self.rows, self.observation, REWARD_SCALE)
        env.simulation.keep = False
        agent = Agent(
            "MlpPolicy", env, learning_rate=rate, gamma=gamma, batch_size=BATCH, buffer_size=BUFFER,
            learning_starts=BATCH, train_freq=1, gradient_steps=1, target_update_interval=TARGET_EVERY,
            exploration_initial_eps=0.9, exploration_final_eps=0.05, exploration_fraction=0.5, max_grad_norm=10.0,
            policy_kwargs={"net_arch": list(HIDDEN), "activation_fn": torch.nn.ReLU}, seed=seed, device="cpu",
        )  # fmt: skip
        agent.learn(episodes * self.mission.orbit.slots)
        linear = [m for m in agent.policy.q_net.modules() if isinstance(m, torch.nn.Linear)]
        self.layers = [(m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy()) for m in linear]

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """The network's estimates."""
        x = observe(self.simulation, seen, self.observation).astype(np.float64)
        for i, (weight, bias) in enumerate(self.layers):
            x = weight @ x + bias
            x = np.maximum(x, 0) if i + 1 < len(self.layers) else x
        return x

    def arrays(self) -> dict[str, np.ndarray]:
        """Weights and biases."""
        both = {f"{i}.{k}": v for i, layer in enumerate(self.layers) for k, v in zip("wb", layer, strict=True)}
        return {**both, "full": np.array([self.observation == "full"], np.float32)}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over weights and biases."""
        self.observation = "full" if shaped(arrays, "full", (1,))[0] else "paper"
        width = len(observe(self.simulation, self.simulation.observation(), self.observation))
        self.layers = []
        for i in range(max(1, len(arrays) // 2)):
            weight = shaped(arrays, f"{i}.w", (None, width))
            width = len(weight)
            self.layers.append((weight, shaped(arrays, f"{i}.b", (width,))))
        if width != len(self.rows) + 1:
            raise ValueError(f"the network has {width} outputs for {len(self.rows) + 1} choices")

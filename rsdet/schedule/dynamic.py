"""The reference optimum: dynamic programming over slots and what is left of the energy, backwards from the last slot.

The one number that later slots depend on is, by ``dynamics: paper``, what the night has used so far, and by ``soc`` the
charge of the battery; it is divided into bins between which values are interpolated. Loads are replaced by equally
likely quantiles, energies by their means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rsdet.schedule.orbit import J_PER_KWH
from rsdet.schedule.policies import Policy, shaped
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission


class DynamicProgramming(Policy):
    """Plans the whole orbit ahead.

    Args:
        mission: What it is made for.
        rows: The choices.
        bins: Of the energy.
        quantiles: Of the load.
    """

    name: ClassVar[str] = "dp"

    def __init__(self, mission: Mission, rows: Rows, bins: int = 400, quantiles: int = 24):
        super().__init__(mission, rows)
        self.quantiles = quantiles
        orbit = mission.orbit
        self.soc = mission.dynamics == "soc"
        top = orbit.battery_max_kwh * J_PER_KWH if self.soc else orbit.reserve_j
        self.grid = np.linspace(0.0, top, bins)
        self.worth = np.zeros((orbit.slots + 1, bins))

    def train(self, seed: int = 0, **settings: Any) -> None:
        """Fill the table of values."""
        for slot in reversed(range(self.mission.orbit.slots)):
            self.worth[slot] = self._of(slot, self.grid[:, None], self._loads(slot)).max(-1).mean(-1)

    def _loads(self, slot: int) -> np.ndarray:
        load = self.mission.load
        if not self.mission.is_range:
            return np.array([load[slot]])
        return load[0] + (load[1] - load[0]) * (np.arange(self.quantiles) + 0.5) / self.quantiles

    def _of(self, slot: int, state: Any, images: Any) -> np.ndarray:
        """Value of each choice, minus infinity where it is not allowed.

        Args:
            slot: Its number.
            state: Joules, see the module; of a shape that goes with that of ``images``.
            images: What there is to do.

        Returns:
            (S, rows + 1) for states and loads that together have the shape S.
        """
        sim, orbit = self.simulation, self.mission.orbit
        state, images = np.broadcast_arrays(state, images)
        before, night = state[..., None], None if self.soc or not sim.dark[slot] else sim.night(slot)
        energy_j = sim.available(slot, np.zeros(orbit.slots), state)
        if night is not None:
            energy_j = np.maximum(0.0, (night[0] - state) / (night[1].stop - slot))
        share, rewards = self.expected(energy_j, images)
        spent = share * images[..., None] * np.append(self.energy, 0.0)
        after = np.zeros_like(spent)
        if self.soc:
            after = before + sim.collected[slot] - orbit.base_w * orbit.slot_s - spent
        elif night is not None:
            after = (before + spent) * (slot + 1 < night[1].stop)
        later = np.interp(after.clip(0.0, self.grid[-1]), self.grid, self.worth[slot + 1])
        return np.where(sim.allowed(energy_j, images), rewards + later, -np.inf)

    def values(self, seen: Mapping[str, Any]) -> np.ndarray:
        """Reward now and value of what is left."""
        slot, state = seen["slot"], 0.0
        if self.soc:
            state = seen["battery_j"]
        elif self.simulation.dark[slot]:  # what the night has used follows from what this slot may spend
            reserve, stretch = self.simulation.night(slot)
            state = reserve - seen["energy_j"] * (stretch.stop - slot)
        return self._of(slot, state, seen["images"])

    def arrays(self) -> dict[str, np.ndarray]:
        """The table of values."""
        return {"worth": self.worth}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take over a table."""
        self.worth = shaped(arrays, "worth", (self.mission.orbit.slots + 1, None))
        self.grid = np.linspace(0.0, self.grid[-1], self.worth.shape[1])

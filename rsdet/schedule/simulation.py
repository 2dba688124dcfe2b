"""One orbit, slot by slot: what there is to do, which choices the energy allows, and what comes of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.errors import ConfigError
from rsdet.schedule.orbit import J_PER_KWH
from rsdet.schedule.rows import Rows
from rsdet.schedule.settings import Mission

TRACE = (
    "slot", "sun", "energy_j", "images", "choice", "accuracy", "energy_per_image_j", "delay_s", "used_j", "reward",
    "feasible", "done", "dropped", "battery_j",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What came of a slot.

    Attributes:
        reward: Equation 19, or that of a slot without a result.
        used_j: Joules that the images took.
        done: Images that were processed.
        feasible: Whether the choice was allowed; to do nothing always is.
    """

    reward: float
    used_j: float
    done: int
    feasible: bool


class Simulation:
    """One orbit with a table of choices.

    The choice after the last row is to do nothing.

    Args:
        mission: The orbit and what is asked for.
        rows: The choices.
        keep: Whether :attr:`trace` is kept.

    Attributes:
        slot: Number of the slot, from 0.
        images: What there is to do in it.
        trace: A dictionary with :data:`TRACE` for each slot that is over.
    """

    def __init__(self, mission: Mission, rows: Rows, keep: bool = True):
        self.mission, self.rows, self.keep = mission, rows, keep
        self.collected, self.dark = mission.orbit.collected_j, mission.orbit.place >= mission.orbit.sun_slots
        self._stretch = {i: s for s in mission.orbit.stretches for i in s}
        self.worst_j = np.array([r.energy_j.high for r in rows.rows]) * mission.energy_scale
        self.delays_s = np.array([r.delay_s.high for r in rows.rows])
        self.accurate = np.array([r.accuracy.mean >= mission.min_accuracy for r in rows.rows])
        if not self.accurate.any():
            best = max(rows.rows, key=lambda r: r.accuracy.mean)
            raise ConfigError(
                f"no row reaches min_accuracy={mission.min_accuracy:g}, the best is {best.name} with "
                f"{best.accuracy.mean:.3f}; lower it."
            )
        self.reset(np.random.default_rng(0))

    @property
    def idle(self) -> int:
        """The choice to do nothing."""
        return len(self.rows)

    def reset(self, rng: np.random.Generator) -> None:
        """Go to the first slot of a new orbit."""
        self.rng, self.slot, self.trace = rng, 0, []
        self.battery = self.mission.orbit.battery_start_kwh * J_PER_KWH
        self.used = np.zeros(self.mission.orbit.slots)
        self._arrive()

    @property
    def over(self) -> bool:
        """Whether all slots have passed."""
        return self.slot >= self.mission.orbit.slots

    @property
    def energy_j(self) -> float:
        """Joules that this slot may spend on images (equations 6 and 7); 0 where the orbit is over."""
        return 0.0 if self.over else float(self.available(self.slot, self.used, self.battery))

    def available(self, slot: int, used: np.ndarray, battery: Any) -> Any:
        """Joules that a slot may spend, after ``used`` (slots,) in those before it and with a charge, or several."""
        orbit = self.mission.orbit
        if self.mission.dynamics == "soc":
            income = self.collected[slot] - orbit.base_w * orbit.slot_s
            return np.maximum(0.0, battery + income - orbit.battery_min_kwh * J_PER_KWH)
        if not self.dark[slot]:
            return max(0.0, float(self.collected[slot]) - orbit.charging_j)
        reserve, stretch = self.night(slot)
        return max(0.0, (reserve - float(used[stretch.start : slot].sum())) / (stretch.stop - slot))

    def night(self, slot: int) -> tuple[float, range]:
        """Joules that the battery may give in the night that a slot belongs to, and its slots.

        Of a night that began before the orbit did, what is left is taken to be its even share.
        """
        orbit, stretch = self.mission.orbit, self._stretch[slot]
        return orbit.reserve_j * min(1.0, len(stretch) / (orbit.slots - orbit.sun_slots)), stretch

    def fits(self, energy_j: Any, images: Any) -> np.ndarray:
        """Rows that energy, time and accuracy allow in the worst recorded case.

        Args:
            energy_j: Joules that the slot may spend; a number, or several of shape S.
            images: What there is to do; likewise.

        Returns:
            (S, rows) bool.
        """
        energy_j, images = (np.asarray(v)[..., None] for v in (energy_j, images))
        fits = self.accurate & (images * self.worst_j <= energy_j)
        if self.mission.duty is not None:
            fits &= images * self.delays_s <= self.mission.duty * self.mission.orbit.slot_s
        return fits

    def allowed(self, energy_j: Any, images: Any) -> np.ndarray:
        """Choices that a policy has: by ``mask`` what fits, by ``partial`` what fits in part, by ``penalty`` all.

        To do nothing is one where nothing else is and, by ``dynamics: soc``, always: it may pay off later. Rows below
        the least accuracy never are.

        Args:
            energy_j: As in :meth:`fits`.
            images: Likewise.

        Returns:
            (S, rows + 1) bool.
        """
        how = self.mission.infeasible
        some = np.minimum(images, {"mask": np.inf, "partial": 1, "penalty": 0}[how])
        fits = self.fits(energy_j, some)
        idle = ~fits.any(-1, keepdims=True) | (self.mission.dynamics == "soc")
        return np.concatenate([fits, idle], -1)

    def part(self, energy_j: Any, energies: Any, delays: Any) -> Any:
        """Images that energy and time of a slot are enough for, at so much for each."""
        limit = energy_j / energies
        if self.mission.duty is None:
            return limit
        return np.minimum(limit, self.mission.duty * self.mission.orbit.slot_s / delays)

    def step(self, choice: int) -> Outcome:
        """Make a choice for this slot and go to the next.

        Raises:
            ConfigError: The orbit is over, or there is no such choice.
        """
        if self.over or not 0 <= choice <= self.idle:
            raise ConfigError(
                f"choice {choice} in slot {self.slot + 1}: there is no such choice, or the orbit is over."
            )
        m, energy_j = self.mission, self.energy_j
        feasible = choice == self.idle or bool(self.fits(energy_j, self.images)[choice])
        accuracy = energy = delay = 0.0
        done, reward = 0, m.infeasible_reward
        if choice < self.idle:
            row = self.rows.rows[choice]
            accuracy, delay = row.accuracy.draw(self.rng), row.delay_s.draw(self.rng)
            energy = row.energy_j.draw(self.rng) * m.energy_scale
            done = self.images
            if not feasible:
                done = min(done, int(self.part(energy_j, energy, delay))) if m.infeasible == "partial" else 0
            if feasible or done:
                share = 1.0 if feasible else done / self.images
                reward = m.aee_weight * accuracy / energy + m.accuracy_weight * (accuracy - m.min_accuracy)
                reward = share * reward + (1 - share) * m.infeasible_reward
        used = done * energy
        orbit = m.orbit
        income = self.collected[self.slot] - orbit.base_w * orbit.slot_s - used
        self.battery = float(np.clip(self.battery + income, 0.0, orbit.battery_max_kwh * J_PER_KWH))
        self.used[self.slot] = used
        if self.keep:
            name = self.rows.names[choice] if choice < self.idle else "idle"
            battery = round(self.battery, 3) if m.dynamics == "soc" else ""
            self.trace.append(dict(zip(TRACE, (
                self.slot + 1, not self.dark[self.slot], round(energy_j, 3), self.images, name, round(accuracy, 6),
                round(energy, 6), round(done * delay, 3), round(used, 3), round(reward, 6), feasible, done,
                self.images - done, battery,
            ), strict=True)))  # fmt: skip
        self.slot += 1
        self._arrive()
        return Outcome(float(reward), float(used), done, feasible)

    def _arrive(self) -> None:
        """Draw what there is to do in this slot."""
        if self.over:
            self.images = 0
            return
        load = self.mission.load
        mean = self.rng.uniform(*load) if self.mission.is_range else load[self.slot]
        self.images = int(self.rng.poisson(mean))

    def observation(self) -> dict[str, Any]:
        """What a policy may look at: slot, joules, images, and the charge of the battery in joules."""
        return {"slot": self.slot, "energy_j": self.energy_j, "images": self.images, "battery_j": self.battery}

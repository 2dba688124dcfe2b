"""What a network is given of a slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rsdet.schedule.orbit import J_PER_KWH
from rsdet.schedule.simulation import Simulation

OBSERVATIONS = ("full", "paper")


def observe(simulation: Simulation, seen: Mapping[str, Any], kind: str = "full") -> np.ndarray:
    """What a network is given of :meth:`Simulation.observation`.

    Args:
        simulation: Knows the scales.
        seen: The observation.
        kind: ``paper``: joules and images in parts of what is usual; ``full``: the place in the orbit, the charge of
            the battery and the least accuracy besides.

    Returns:
        (2,) or (5,) float32 in [0, 2].
    """
    m = simulation.mission
    values = [seen["energy_j"] / m.max_energy_j, seen["images"] / m.max_load]
    if kind == "full":
        full = m.orbit.battery_max_kwh * J_PER_KWH
        values += [seen["slot"] / m.orbit.slots, seen["battery_j"] / full, m.min_accuracy]
    return np.clip(values, 0.0, 2.0).astype(np.float32)

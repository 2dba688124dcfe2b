"""Energy along one orbit: what the panels bring in each slot, and what the battery may give in the dark.

Source: Wang et al., adaptive inference on LEO satellites, equations 2 to 7. Equation 3 is read with time as a fraction
of the period, which alone gives the printed peak; the sum of equation 7 begins with the first dark slot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.errors import ConfigError

EARTH_KM = 6371.0
GM_M3_S2 = 3.986004418e14
J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Orbit:
    """A circular orbit in equal slots, with panels and a battery.

    Attributes:
        altitude_km: Above the mean radius of the Earth.
        slots: How many parts the period has.
        sunlit: Share of the period in the sun, 0 to 1; from ``beta_deg`` where None.
        beta_deg: Angle between the plane of the orbit and the sun.
        dark_first: Slots that pass in the dark before the sun rises; the sun's slots move by as many.
        efficiency: Of the panels.
        area_m2: Of the panels.
        peak_w_m2: Irradiance at its peak.
        sigma: Width of the irradiance in periods; a quarter of the share in the sun where None.
        battery_max_kwh: Full.
        battery_min_kwh: Never below this.
        battery_start_kwh: At the start of the orbit.
        base_w: Drawn by all else at any time; counted by ``dynamics: soc`` alone.
    """

    altitude_km: float = 500.0
    slots: int = 30
    sunlit: float | None = 0.70
    beta_deg: float = 0.0
    dark_first: int = 0
    efficiency: float = 0.25
    area_m2: float = 100.0
    peak_w_m2: float = 1360.0
    sigma: float | None = None
    battery_max_kwh: float = 10.0
    battery_min_kwh: float = 2.0
    battery_start_kwh: float = 6.4
    base_w: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value)):
                raise ConfigError(f"orbit: {name}={value!r} must be a number; mend the file.")
        if not 2 <= self.slots <= 10_000 or self.slots != int(self.slots):
            raise ConfigError(f"orbit: slots={self.slots} must be a whole number from 2 to 10000; e.g. 30.")
        if not 0 <= self.dark_first <= self.slots - self.sun_slots or self.dark_first != int(self.dark_first):
            raise ConfigError(
                f"orbit: dark_first={self.dark_first} must be a whole number from 0 to the "
                f"{self.slots - self.sun_slots} slots in the dark."
            )
        if self.sun_slots == 0:
            raise ConfigError(
                f"orbit: no slot of {self.slots} lies in the sun (sunlit={self.share_in_sun:.3f}); nothing charges the "
                "battery; give sunlit= or beta_deg= of an orbit that sees the sun."
            )
        order = (0, self.battery_min_kwh, self.battery_start_kwh, self.battery_max_kwh)
        if list(order) != sorted(order) or self.battery_max_kwh == self.battery_min_kwh:
            raise ConfigError(
                f"orbit: battery_min_kwh={self.battery_min_kwh}, battery_start_kwh={self.battery_start_kwh} and "
                f"battery_max_kwh={self.battery_max_kwh} must rise from 0; mend the file."
            )
        for name in ("efficiency", "area_m2", "peak_w_m2"):
            if vars(self)[name] <= 0:
                raise ConfigError(f"orbit: {name}={vars(self)[name]} must be above 0; nothing charges the battery.")
        if self.altitude_km < 100 or self.base_w < 0 or (self.sigma is not None and self.sigma <= 0):
            raise ConfigError("orbit: altitude_km must be 100 or more, base_w 0 or more, sigma above 0; mend the file.")

    @property
    def period_s(self) -> float:
        """Period in seconds (equation 2)."""
        return 2 * math.pi * math.sqrt(((EARTH_KM + self.altitude_km) * 1e3) ** 3 / GM_M3_S2)

    @property
    def slot_s(self) -> float:
        """Length of a slot in seconds."""
        return self.period_s / self.slots

    @property
    def share_in_sun(self) -> float:
        """Share of the period in the sun: as stated, else that of a cylinder of shadow."""
        if self.sunlit is not None:
            return float(self.sunlit)
        q = EARTH_KM / (EARTH_KM + self.altitude_km)
        cos_beta = math.cos(math.radians(self.beta_deg))
        inside = math.sqrt(1 - q * q) / cos_beta if cos_beta > 1e-12 else math.inf
        return 1 - math.acos(min(1.0, inside)) / math.pi

    @property
    def sun_slots(self) -> int:
        """Slots in the sun."""
        if not 0 <= self.share_in_sun <= 1:
            raise ConfigError(f"orbit: sunlit={self.sunlit} must be a share from 0 to 1; e.g. 0.7.")
        return int(self.share_in_sun * self.slots + 1e-9)

    @property
    def place(self) -> np.ndarray:
        """(slots,) place of each slot in a period that begins at sunrise; from :attr:`sun_slots` on it is dark."""
        return (np.arange(self.slots) - self.dark_first) % self.slots

    @property
    def collected_j(self) -> np.ndarray:
        """(slots,) joules that the panels bring (equations 3 and 4), by the error function."""
        mu, sigma = self.share_in_sun, self.sigma or self.share_in_sun / 4
        edges = np.linspace(0, 1, self.slots + 1).clip(0, mu)
        scaled = (2 * edges - mu) / (2 * sigma * math.sqrt(2))
        erf = np.array([math.erf(v) for v in scaled])
        per_m2 = self.peak_w_m2 * self.period_s * sigma * math.sqrt(math.pi / 2) * np.diff(erf)
        return (self.efficiency * self.area_m2 * per_m2)[self.place]

    @property
    def charging_j(self) -> float:
        """Joules that each slot in the sun sends to the battery, which it thereby fills (equation 5)."""
        return (self.battery_max_kwh - self.battery_start_kwh) * J_PER_KWH / self.sun_slots

    @property
    def reserve_j(self) -> float:
        """Joules that the battery may give in the dark."""
        return (self.battery_max_kwh - self.battery_min_kwh) * J_PER_KWH

    @property
    def stretches(self) -> list[range]:
        """Runs of dark slots, in order; the one before sunrise is the end of an earlier orbit's."""
        dark, found, first = self.place >= self.sun_slots, [], None
        for i, here in enumerate([*dark, False]):
            if here and first is None:
                first = i
            elif not here and first is not None:
                found.append(range(first, i))
                first = None
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return dict(vars(self))

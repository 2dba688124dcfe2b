"""What a mission is: its orbit, its load, what is asked of the models, and how a choice is rewarded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, nearest
from rsdet.paths import cfg_dir
from rsdet.schedule.orbit import Orbit
from rsdet.textfiles import read_yaml

DYNAMICS = ("paper", "soc")
INFEASIBLE = ("mask", "penalty", "partial")


@dataclass(frozen=True)
class Mission:
    """One orbit's work.

    Attributes:
        orbit: Where the energy comes from.
        load: Least and greatest mean number of images in a slot; each slot draws a mean between them, and its number
            by Poisson's law around that (equation 8). Or a number for each slot.
        min_accuracy: What a model must reach (equation 16), as a fraction.
        aee_weight: Of accuracy per joule in the reward (equation 19).
        accuracy_weight: Of what is above ``min_accuracy`` in the reward.
        infeasible_reward: Of a slot in which nothing could be done, or, by ``penalty``, was tried in vain.
        infeasible: ``mask``: choices that the energy or the time of the slot do not allow are never taken;
            ``penalty``: they may be, bring ``infeasible_reward`` and no result; ``partial``: they may be where one
            image fits; what fits is done and brings its share of the reward, the rest brings that of
            ``infeasible_reward``, is dropped and counted.
        duty: Share of a slot in which images are processed; None leaves time out, as the paper does.
        dynamics: ``paper``: equations 6 and 7, by which work in the sun does not touch the battery; ``soc``: one state
            of charge for all.
        energy_scale: Multiplies every energy per image.
    """

    orbit: Orbit = field(default_factory=Orbit)
    load: tuple[float, ...] = (5e4, 5e5)
    min_accuracy: float = 0.70
    aee_weight: float = 1.5
    accuracy_weight: float = 10.0
    infeasible_reward: float = -5.0
    infeasible: str = "mask"
    duty: float | None = None
    dynamics: str = "paper"
    energy_scale: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("dynamics", DYNAMICS), ("infeasible", INFEASIBLE)):
            value = vars(self)[name]
            if value not in known:
                raise ConfigError(f"{name}={value!r} must be one of {', '.join(known)}.{nearest(str(value), known)}")
        numbers = {k: v for k, v in vars(self).items() if k.endswith(("weight", "reward", "accuracy", "scale"))}
        for name, value in numbers.items():
            if not _is_number(value):
                raise ConfigError(f"{name}={value!r} must be a number; mend the file.")
        if not 0 <= self.min_accuracy < 1 or self.energy_scale <= 0:
            raise ConfigError("min_accuracy must be from 0 to below 1 and energy_scale above 0; mend the file.")
        if self.duty is not None and not (_is_number(self.duty) and 0 < self.duty <= 1):
            raise ConfigError(f"duty={self.duty!r} must be above 0 to 1, or null to leave time out.")
        good = all(_is_number(v) and 0 <= v <= 1e9 for v in self.load)
        if not good or len(self.load) not in (2, self.orbit.slots) or (self.is_range and self.load[0] > self.load[1]):
            raise ConfigError(
                f"load must be [least, greatest] images a slot, or a number for each of {self.orbit.slots} slots, up "
                f"to 1e9; received {str(list(self.load))[:60]}."
            )

    @property
    def is_range(self) -> bool:
        """Whether :attr:`load` is a least and a greatest mean."""
        return len(self.load) == 2 and self.orbit.slots != 2

    @property
    def max_load(self) -> float:
        """Images that a slot hardly ever has more of; the scale of observations."""
        return max(1.0, *self.load)

    @property
    def max_energy_j(self) -> float:
        """Joules that a slot hardly ever has more of; the scale of observations."""
        return max(float(self.orbit.collected_j.max()), self.orbit.reserve_j / 9)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for files."""
        return {**vars(self), "orbit": self.orbit.as_dict(), "load": list(self.load)}


def read_mission(name: str | Path = "paper", **changes: Any) -> Mission:
    """Read a mission.

    Args:
        name: A shipped one, ``paper``, ``tight`` or ``cubesat``, or the path of a YAML of the same form.
        **changes: Fields of :class:`Mission` to set besides.

    Raises:
        ConfigError: No such file, a key that is none, or a value out of its range.
    """
    shipped = {p.stem: p for p in (cfg_dir() / "schedule").glob("*.yaml")}
    path = shipped.get(str(name).removesuffix(".yaml"), Path(name))
    if not path.is_file():
        raise ConfigError(
            f"orbit={name}: no such file; expected {', '.join(sorted(shipped))} or the path of a YAML."
            f"{nearest(str(name), shipped)}"
        )
    content = read_yaml(path)
    mission = mission_of(content, path.name)
    _check_keys(changes, Mission, "the mission")
    if isinstance(changes.get("load"), list):
        changes["load"] = tuple(changes["load"])
    return replace(mission, **changes)


def mission_of(content: Mapping[str, Any], where: str) -> Mission:
    """A mission from plain values; see :func:`read_mission`."""
    content = dict(content)
    orbit = content.pop("orbit", {})
    if not isinstance(orbit, Mapping):
        raise ConfigError(f"{where}: orbit: must be a mapping, received {orbit!r}; mend the file.")
    _check_keys(orbit, Orbit, f"{where}: orbit")
    _check_keys(content, Mission, where)
    if "load" in content:
        load = content["load"]
        content["load"] = tuple(load) if isinstance(load, (list, tuple)) else (load,)
    return Mission(orbit=Orbit(**orbit), **content)


def _check_keys(content: Mapping[str, Any], cls: type, where: str) -> None:
    known = [f.name for f in fields(cls)]
    unknown = [str(k) for k in content if k not in known]
    if unknown:
        raise ConfigError(f"{where}: no key {unknown[0]!r}.{nearest(unknown[0], known)} Keys: {', '.join(known)}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

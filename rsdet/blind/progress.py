"""What a fit tells while it runs, and how it ends before its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import log10

from rsdet.progress import duration

# Why a fit ended.
FINISHED, NOISE, TIME, TOLD, INTERRUPTED = "finished", "noise level", "time limit", "told to", "interrupted"
EARLY = (TIME, TOLD, INTERRUPTED)


@dataclass(frozen=True)
class Progress:
    """State of a fit after a step.

    Attributes:
        stage: ``kernel`` while the kernel generator warms up, then ``image``.
        step: Steps of this stage that are done.
        steps: Steps of this stage in all.
        residual: Mean squared error between the input and the degraded result; None in the first stage.
        seconds: Since the fit began.
        seconds_left: Until the last step or the time limit at this pace; None before the first image step.
        tile: Number of the tile, from 1.
        tiles: Number of tiles.
    """

    stage: str
    step: int
    steps: int
    residual: float | None
    seconds: float
    seconds_left: float | None
    tile: int = 1
    tiles: int = 1

    def line(self) -> str:
        """One line for a terminal, such as ``tile 1/4, step 120/600, residual 31.2 dB, 2 min 5 s left``."""
        tile = f"tile {self.tile}/{self.tiles}, " if self.tiles > 1 else ""
        if self.residual is None:
            return f"{tile}kernel warm-up {self.step}/{self.steps}"
        left = f", {duration(self.seconds_left)} left" if self.seconds_left is not None else ""
        residual = f"{-10 * log10(max(self.residual, 1e-12)):.1f} dB"
        return f"{tile}step {self.step}/{self.steps}, residual {residual}{left}"


Callback = Callable[[Progress], "bool | None"]


class Clock:
    """Time since the start and time left, by the pace of the image steps of this run.

    Args:
        limit_s: Seconds after which to stop; None for no limit.
    """

    def __init__(self, limit_s: float | None = None):
        self.start, self.limit_s = time.perf_counter(), limit_s
        self._first: tuple[int, float] | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.start

    @property
    def is_over(self) -> bool:
        """Whether the limit is reached."""
        return self.limit_s is not None and self.seconds >= self.limit_s

    def seconds_left(self, step: int, steps: int) -> float | None:
        """Seconds until the last step or the limit, whichever comes first."""
        now = self.seconds
        if self._first is None:
            self._first = (step, now)
        first, at = self._first
        left = (steps - step) * (now - at) / (step - first) if step > first else None
        limit = None if self.limit_s is None else max(self.limit_s - now, 0.0)
        return min((v for v in (left, limit) if v is not None), default=None)

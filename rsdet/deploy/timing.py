"""Latency with every sample kept.

Nothing is dropped as an outlier: the slow runs are what the tail percentiles are about. Comparisons are made between
callables that take turns in one run, so that a machine which slows down slows all of them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsdet.errors import ConfigError

_WINDOW = 5  # runs per window of the warm-up's stability test


@dataclass(frozen=True)
class Timings:
    """Durations of one callable, in the order they were measured.

    Percentiles are nearest-rank: the smallest sample that at least that share of all samples does not exceed. It is
    always a duration that occurred; with fewer than 100 samples p99 is the slowest run, and no interpolation hides it.

    Attributes:
        samples_ms: Every duration in milliseconds.
        warmup_runs: Calls made before the first sample.
        warmup_stable: Whether the warm-up ended because durations had settled, not because its time was up.
    """

    samples_ms: tuple[float, ...]
    warmup_runs: int = 0
    warmup_stable: bool = False

    def percentile(self, q: float) -> float:
        """Return the nearest-rank percentile in milliseconds, ``q`` in [0, 100]."""
        return float(np.percentile(self.samples_ms, q, method="inverted_cdf"))

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples_ms)

    @property
    def median_ms(self) -> float:
        """Median; the mean of the middle two for an even number of samples."""
        return float(np.median(self.samples_ms))

    @property
    def p90(self) -> float:
        """90th percentile in milliseconds."""
        return self.percentile(90)

    @property
    def p95(self) -> float:
        """95th percentile in milliseconds."""
        return self.percentile(95)

    @property
    def p99(self) -> float:
        """99th percentile in milliseconds."""
        return self.percentile(99)

    @property
    def mean(self) -> float:
        """Arithmetic mean in milliseconds."""
        return float(np.mean(self.samples_ms))

    @property
    def std(self) -> float:
        """Sample standard deviation in milliseconds; 0 for one sample."""
        return float(np.std(self.samples_ms, ddof=1)) if self.n > 1 else 0.0

    def to_dict(self, raw: bool = True) -> dict[str, Any]:
        """Return the statistics, and the raw samples unless told otherwise, as plain numbers."""
        stats = {
            "n": self.n,
            "median_ms": self.median_ms,
            "p90_ms": self.p90,
            "p95_ms": self.p95,
            "p99_ms": self.p99,
            "mean_ms": self.mean,
            "std_ms": self.std,
            "min_ms": min(self.samples_ms),
            "max_ms": max(self.samples_ms),
            "warmup_runs": self.warmup_runs,
            "warmup_stable": self.warmup_stable,
        }
        return {**stats, "samples_ms": list(self.samples_ms)} if raw else stats


@dataclass(frozen=True)
class Interleaved:
    """Timings of several callables that took turns.

    Attributes:
        timings: Name to timings; sample ``i`` of each belongs to round ``i``.
        reference: Name that the ratios are relative to.
        ratio_of_medians: Name to median divided by the reference's median; above 1 is slower.
        median_of_ratios: Name to the median over rounds of (duration / duration of the reference in that round). The
            better figure on a machine whose speed drifts.
    """

    timings: dict[str, Timings]
    reference: str
    ratio_of_medians: dict[str, float]
    median_of_ratios: dict[str, float]


def time_interleaved(
    fns: Mapping[str, Callable[[], Any]],
    rounds: int = 20,
    *,
    warmup_s: float = 1.0,
    min_s: float = 0.0,
    max_s: float = 300.0,
    sync: Callable[[], Any] | None = None,
    rest_s: float = 0.0,
) -> Interleaved:
    """Time several callables in turns: A B C, A B C, and so on.

    Args:
        fns: Name to callable; the first is what ratios are relative to.
        rounds: Fewest rounds.
        warmup_s: Shortest warm-up of each. It goes on until the median of the last five runs is within 5 % of that of
            the five before, at most four times as long.
        min_s: Shortest time to sample for, in seconds for each callable on average.
        max_s: Longest time to sample for altogether, in seconds; one round is always made.
        sync: Called before and after each run to wait for the device.
        rest_s: Pause before each run, outside the measured time. Some runtimes keep their threads spinning for a few
            milliseconds after a run; a rest keeps that out of the next one's time.

    Returns:
        Timings and paired ratios.

    Raises:
        ConfigError: There is nothing to time, or fewer than one round is asked for.
    """
    if not fns or rounds < 1:
        raise ConfigError(
            f"got {len(fns)} callables and rounds={rounds}; expected at least one of each; pass what to time"
        )
    warm = {name: _warm_up(fn, warmup_s, sync) for name, fn in fns.items()}
    samples: dict[str, list[float]] = {name: [] for name in fns}
    gc.collect()
    begin, done = time.perf_counter(), 0
    while True:
        for name, fn in fns.items():
            if rest_s:
                time.sleep(rest_s)
            samples[name].append(_run(fn, sync))
        done += 1
        elapsed = time.perf_counter() - begin
        if elapsed >= max_s or (done >= rounds and sum(map(sum, samples.values())) >= 1e3 * min_s * len(fns)):
            break
    timings = {name: Timings(tuple(s), *warm[name]) for name, s in samples.items()}
    ref = next(iter(fns))
    base = np.asarray(samples[ref])
    return Interleaved(
        timings=timings,
        reference=ref,
        ratio_of_medians={name: t.median_ms / timings[ref].median_ms for name, t in timings.items()},
        median_of_ratios={name: float(np.median(np.asarray(s) / base)) for name, s in samples.items()},
    )


def _run(fn: Callable[[], Any], sync: Callable[[], Any] | None) -> float:
    if sync:
        sync()
    start = time.perf_counter_ns()
    fn()
    if sync:
        sync()
    # One tick at least: a ratio to a zero would be meaningless on a coarse clock.
    return max(time.perf_counter_ns() - start, 1) / 1e6


def _warm_up(fn: Callable[[], Any], warmup_s: float, sync: Callable[[], Any] | None) -> tuple[int, bool]:
    """Run until durations settle; return the number of runs and whether they did."""
    if warmup_s <= 0:
        return 0, False
    runs: list[float] = []
    begin = time.perf_counter()
    while True:
        runs.append(_run(fn, sync))
        elapsed = time.perf_counter() - begin
        settled = False
        if len(runs) >= 2 * _WINDOW:
            last, before = np.median(runs[-_WINDOW:]), np.median(runs[-2 * _WINDOW : -_WINDOW])
            settled = bool(abs(last - before) <= 0.05 * before)
        if (settled and elapsed >= warmup_s) or elapsed >= 4 * warmup_s:
            return len(runs), settled

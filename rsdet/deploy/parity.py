"""Do two backends of one network put out the same numbers? The comparison of tasks that know no better one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.errors import ConfigError

if TYPE_CHECKING:
    from rsdet.deploy.verify import Run

TOL, TOL_HALF = 1e-3, 3e-2  # of the largest value of an output: rounding in FP32 stays below 1e-4


@dataclass(frozen=True)
class RawReport:
    """Outcome of a comparison number by number.

    Attributes:
        max_abs_diff: Largest difference, in the unit of the tensors.
        tol: What it was judged by.
        has_nan: A value is infinite or not a number.
        shape: Shape of the output that departs most.
        vacuous: The network puts out one and the same number everywhere, so that nothing is shown.
        part: Which part of the outputs this is about, where they were compared in parts because the network finds next
            to nothing.
    """

    max_abs_diff: float
    tol: float
    has_nan: bool
    shape: tuple[int, ...]
    vacuous: bool = False
    part: str = ""

    @property
    def ok(self) -> bool:
        """True when all values are finite and within the tolerance."""
        return not self.has_nan and self.max_abs_diff <= self.tol

    def summary(self) -> str:
        """Return the outcome in one line."""
        if self.has_nan:
            return f"parity FAILED: raw output {self.shape} has values that are not finite"
        word = "FAILED" if not self.ok else "not shown (the network puts out one number only)" if self.vacuous else "ok"
        if self.part:
            return (
                f"parity {word}: the network finds next to nothing, so that all its candidates were compared; most "
                f"apart are {self.part}, by {self.max_abs_diff:.2g} (allowed {self.tol:g})"
            )
        return (
            f"parity {word}: raw output {self.shape} differs by at most {self.max_abs_diff:.2g} (allowed {self.tol:g})"
        )


def compare_raw(a: Any, b: Any, tol: float = 1e-3, part: str = "") -> RawReport:
    """Compare two raw outputs element by element.

    Args:
        a: Any array or tensor on the CPU.
        b: The same shape.
        tol: Largest accepted absolute difference.
        part: See :class:`RawReport`.

    Raises:
        ConfigError: The shapes differ.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ConfigError(
            f"got outputs of shape {a.shape} and {b.shape}; expected the same; export at the size you compare"
        )
    finite = bool(np.isfinite(a).all() and np.isfinite(b).all())
    diff = float(np.abs(a - b).max(initial=0.0)) if finite else float("nan")
    return RawReport(diff, tol, not finite, a.shape, part=part)


def worst(reports: Sequence[RawReport]) -> RawReport:
    """The report of several that speaks most against an artifact."""
    return max(reports, key=lambda r: (r.has_nan, r.max_abs_diff / max(r.tol, 1e-30)))


def compare_outputs(runs: Sequence[Run], half: bool = False) -> RawReport:
    """Compare all outputs of all runs, each relative to its largest value.

    Args:
        runs: What came of the same inputs on both sides.
        half: The artifact computes in FP16.
    """
    reports = []
    for outputs in zip(*(zip(r.expected, r.got, strict=True) for r in runs), strict=True):
        largest = max(float(np.abs(a).max(initial=0.0)) for a, _ in outputs)
        tol = (TOL_HALF if half else TOL) * (largest if np.isfinite(largest) else 1.0)
        reports += [compare_raw(a, b, tol) for a, b in outputs]
    everything = [a for r in runs for a in r.expected]
    found = worst(reports)
    return RawReport(**{**vars(found), "vacuous": all(a.size == 0 or np.ptp(a) == 0 for a in everything)})

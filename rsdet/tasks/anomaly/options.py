"""What the task calls what it finds, and settings of an export that it alone has; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsdet.tasks.task import NoOptions

NAMES = {0: "anomaly"}
MAX_DIFF, MAX_DIFF_HALF = 1e-3, 3e-2  # rounding in FP32 stays below 1e-5 of the largest residual


@dataclass(frozen=True, kw_only=True)
class AnomalyExport(NoOptions):
    """Settings of the export of a network that rebuilds backgrounds.

    Args:
        max_diff: Largest accepted difference between artifact and network, as a part of the largest residual (what the
            network takes away from its input); 1e-3, or 3e-2 with ``half``.
    """

    remedy: ClassVar[str] = "accept more with max_diff="

    max_diff: float | None = None

    def largest(self, half: bool) -> float:
        """Largest accepted difference."""
        return self.max_diff if self.max_diff is not None else MAX_DIFF_HALF if half else MAX_DIFF

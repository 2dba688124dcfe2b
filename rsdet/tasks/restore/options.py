"""Settings of an export that only restoration networks have; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsdet.tasks.task import NoOptions

MIN_PSNR_DB = 50.0  # rounding to 8 bits costs 59 dB: what is above 50 cannot be seen
MAX_DIFF, MAX_DIFF_HALF = 2 / 255, 8 / 255  # largest difference of any pixel


@dataclass(frozen=True, kw_only=True)
class RestoreExport(NoOptions):
    """Settings of the export of a restoration network.

    Args:
        min_psnr_db: Smallest accepted PSNR between artifact and network, in dB.
        max_diff: Largest accepted difference of a pixel, full scale 1; 2/255, or 8/255 with ``half``.
    """

    remedy: ClassVar[str] = "accept more with min_psnr_db= and max_diff="

    min_psnr_db: float = MIN_PSNR_DB
    max_diff: float | None = None

    def largest(self, half: bool) -> float:
        """Largest accepted difference of a pixel."""
        return self.max_diff if self.max_diff is not None else MAX_DIFF_HALF if half else MAX_DIFF

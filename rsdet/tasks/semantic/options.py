"""Settings of an export that only semantic networks have; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rsdet.tasks.task import NoOptions

AGREEMENT, AGREEMENT_HALF = 0.999, 0.99  # of the pixels; those whose two best classes are all but equal may differ
LOGIT_TOL, LOGIT_TOL_HALF = 1e-3, 2e-2  # of the largest logit


@dataclass(frozen=True, kw_only=True)
class SemanticExport(NoOptions):
    """Settings of the export of a semantic network.

    Args:
        min_agreement: Smallest accepted part of the pixels to which both give one class; 0.999, or 0.99 with ``half``.
        logit_tol: Largest accepted difference of a logit as a part of the largest logit; 0.001, or 0.02 with ``half``.
    """

    remedy: ClassVar[str] = "accept more with min_agreement= and logit_tol="

    min_agreement: float | None = None
    logit_tol: float | None = None

    def allowed(self, half: bool) -> tuple[float, float]:
        """Agreement and part of the largest logit that are asked for."""
        usual = (AGREEMENT_HALF, LOGIT_TOL_HALF) if half else (AGREEMENT, LOGIT_TOL)
        given = (self.min_agreement, self.logit_tol)
        return tuple(u if g is None else g for g, u in zip(given, usual, strict=True))  # type: ignore[return-value]

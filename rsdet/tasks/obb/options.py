"""Settings of an export that only networks of oriented boxes have; nothing heavy is imported here."""

from __future__ import annotations

from dataclasses import dataclass

from rsdet.tasks.detect.options import DetectExport


@dataclass(frozen=True, kw_only=True)
class OBBExport(DetectExport):
    """Settings of the export of a network of oriented boxes; the others are those of detectors.

    Args:
        protocol: How AP is counted with ``data``: ``"dota"`` or ``"ultralytics"``.
        box_tol_px: Largest accepted distance of two corners in original pixels; 0.5, or 2 with ``half``.
    """

    protocol: str = "dota"

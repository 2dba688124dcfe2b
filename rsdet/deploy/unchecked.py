"""Formats that Ultralytics writes and that cannot be compared with the network here: which there are, what they take.

Nothing heavy is imported at the top; :mod:`rsdet.deploy.handing_on` makes them.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.errors import ConfigError

if TYPE_CHECKING:
    from rsdet.deploy.settings import ExportSettings

# Keys about what is proved, or about engines.
_OF_PROOFS = ("images", "max_drop", "debug", "stac", "triton", "cpp", "workspace_mb")


def formats(proved: Collection[str]) -> list[str]:
    """Formats of Ultralytics without those that are proved here."""
    from ultralytics.engine.exporter import export_formats

    return [name for name in export_formats()["Argument"][1:] if name not in proved]


def _calibrated(format: str, int8: bool) -> bool:
    """Whether a format is in eight bits, as some are whatever is asked for, and their ranges are measured on data."""
    from ultralytics.engine.exporter import FP16_FORMATS, FP32_UNSUPPORTED_FORMATS, export_formats

    table = export_formats()
    taken = dict(zip(table["Argument"], table["Arguments"], strict=True))[format]
    return (int8 or format in FP32_UNSUPPORTED_FORMATS - FP16_FORMATS) and "data" in taken


def check(settings: ExportSettings) -> None:
    """Refuse settings of which nothing would come, and a calibration on data that nobody has named.

    Raises:
        ConfigError: One of them.
    """
    s = settings
    usual = type(s)()
    if said := [key for key in _OF_PROOFS if getattr(s, key) != getattr(usual, key)]:
        raise ConfigError(f"{said[0]}= with unchecked=True, which proves and describes nothing; leave it out")
    if s.dynamic == "batch":
        raise ConfigError("dynamic=batch with unchecked=True; Ultralytics frees batch and size together: dynamic=True")
    if s.out is not None and Path(s.out).suffix:
        raise ConfigError(f"out={s.out} with unchecked=True must be a folder: the name says that nothing was proved")
    calibrated = _calibrated(s.format, s.int8)
    if calibrated and s.data is None:  # Ultralytics would fetch a set of its own
        raise ConfigError(f"format={s.format} in eight bits is calibrated on data=, a data YAML; add it")
    if s.data is not None and not calibrated:
        raise ConfigError(f"data= with format={s.format} calibrates and measures nothing; leave it out")


def exporter_settings(settings: ExportSettings) -> dict[str, Any]:
    """Export arguments of Ultralytics beyond the usual ones: what was said, and nothing that was not."""
    s, usual = settings, type(settings)()
    return {key: getattr(s, key) for key in ("opset", "simplify") if getattr(s, key) != getattr(usual, key)}

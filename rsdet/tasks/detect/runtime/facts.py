"""What prediction needs to know about an exported model of objects.

A file that does not say how its pictures are prepared is refused, never guessed at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime.metadata import merged, say_untrained, unreadable

FAMILIES = ("rtdetr", "yolo")


@dataclass(frozen=True)
class Facts:
    """What prediction needs to know about an exported detector.

    Attributes:
        file: Name of the file, for messages.
        family: ``"rtdetr"`` or ``"yolo"``.
        names: Class number -> name.
        channels: Channels of the pictures.
        imgsz: Height and width in pixels that it was exported with; None where it does not say.
        stride: What heights and widths of the input are multiples of.
        end2end: Rows come out final, without suppression.
        sar: How SAR files become pictures; None for a model of ordinary pictures.
        bands: Bands of the files that it was trained with, counted from 1; None for all.
        gsd: Metres a pixel of the pictures that it was trained with; None where that is unknown.
        stored: What :func:`rsdet.tasks.detect.thresholds.predict_settings` reads: the thresholds in the file, and
            whether suppression is in its graph.
    """

    file: str
    family: str
    names: dict[int, str]
    channels: int = 3
    imgsz: tuple[int, int] | None = None
    stride: int = 32
    end2end: bool = False
    sar: dict[str, Any] | None = None
    bands: list[int] | None = None
    gsd: float | None = None
    stored: dict[str, Any] = field(default_factory=dict)


def read_facts(raw: Mapping[str, Any], file: str, task: str = "detect", families: Sequence[str] = FAMILIES) -> Facts:
    """Read the metadata of an artifact.

    Args:
        raw: Entries as they stand in the file.
        file: Its name, for messages.
        task: Task that it must be for.
        families: Families that can be decoded.

    Raises:
        ConfigError: The file holds a model of another task.
        CheckpointError: Metadata that are missing or cannot be read.
    """
    known = merged(raw, file)
    if "names" not in known or "task" not in known:
        missing = " and ".join(f"{k}:" for k in ("task", "names") if k not in known)
        raise CheckpointError(
            f"{file} does not say what it is (no {missing} in its metadata); expected a detector exported by rsdet or "
            "Ultralytics; export it again."
        )
    if known["task"] != task:
        raise ConfigError(
            f"{file} is a model for task={known['task']!r}; expected one for task={task!r}; rsdet.RSDet loads both."
        )
    # Ultralytics says which head it is, rsdet the family.
    family = known.get("family") or ("rtdetr" if "RTDETR" in str(known.get("head", "")) else "yolo")
    if family not in families:
        raise CheckpointError(f"{file} is of family {family!r}; expected {' or '.join(families)}; export it again.")
    say_untrained(known, file)
    args = known.get("args")
    nms_inside = isinstance(args, Mapping) and bool(args.get("nms"))
    try:
        return Facts(
            file=file,
            family=family,
            names=known["names"],
            channels=int(known.get("channels", 3)),
            imgsz=_size(known.get("imgsz")),
            stride=int(known.get("stride", 32)),
            end2end=bool(known.get("end2end", False)) or nms_inside,
            sar=known.get("sar"),
            bands=known.get("bands"),
            gsd=known.get("gsd"),
            stored={k: known[k] for k in ("thresholds", "nms") if k in known},
        )
    except (TypeError, ValueError, AttributeError) as e:
        raise unreadable(file, e) from e


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = (value, value) if isinstance(value, (int, float)) else value
    return int(height), int(width)

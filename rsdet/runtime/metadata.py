"""What an exported file says about itself: the entries of Ultralytics, and ours on top where rsdet made the file.

The same entries as :func:`rsdet.deploy.artifact.read_metadata` returns, but taken from the loaded backend and checked:
a file that does not say how its pictures are prepared is refused, never guessed at.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rsdet.errors import CheckpointError, ConfigError

KEY = "rsdet"
FAMILIES = ("rtdetr", "yolo")
_PYTHON = ("imgsz", "names", "args", "stride", "batch", "channels", "end2end")  # Ultralytics writes them as Python text


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
        stored: What :func:`rsdet.deploy.thresholds.predict_settings` reads: the thresholds in the file, and whether
            suppression is in its graph.
    """

    file: str
    family: str
    names: dict[int, str]
    channels: int = 3
    imgsz: tuple[int, int] | None = None
    stride: int = 32
    end2end: bool = False
    sar: dict[str, Any] | None = None
    stored: dict[str, Any] = field(default_factory=dict)


def read_facts(raw: Mapping[str, Any], file: str) -> Facts:
    """Read the metadata of an artifact.

    Args:
        raw: Entries as they stand in the file.
        file: Its name, for messages.

    Raises:
        ConfigError: The file holds a model of another task.
        CheckpointError: Metadata that are missing or cannot be read.
    """
    known = _merged(raw, file)
    if "names" not in known or "task" not in known:
        missing = " and ".join(f"{k}:" for k in ("task", "names") if k not in known)
        raise CheckpointError(
            f"{file} does not say what it is (no {missing} in its metadata); expected a detector exported by rsdet or "
            "Ultralytics; export it again."
        )
    if known["task"] != "detect":
        raise ConfigError(f"{file} is a model for task={known['task']!r}; the runtime takes detectors only.")
    # Ultralytics says which head it is, rsdet the family.
    family = known.get("family") or ("rtdetr" if "RTDETR" in str(known.get("head", "")) else "yolo")
    if family not in FAMILIES:
        raise CheckpointError(f"{file} is of family {family!r}; expected {' or '.join(FAMILIES)}; export it again.")
    args = known.get("args")
    nms_inside = isinstance(args, Mapping) and bool(args.get("nms"))
    try:
        return Facts(
            file=file,
            family=family,
            names=_names(known["names"]),
            channels=int(known.get("channels", 3)),
            imgsz=_size(known.get("imgsz")),
            stride=int(known.get("stride", 32)),
            end2end=bool(known.get("end2end", False)) or nms_inside,
            sar=known.get("sar"),
            stored={k: known[k] for k in ("thresholds", "nms") if k in known},
        )
    except (TypeError, ValueError, AttributeError) as e:
        raise _unreadable(file, e) from e


def _merged(raw: Mapping[str, Any], file: str) -> dict[str, Any]:
    found = dict(raw)
    ours = found.pop(KEY, None)
    try:
        for key in _PYTHON:
            if isinstance(found.get(key), str):
                found[key] = ast.literal_eval(found[key])
        ours = json.loads(ours) if isinstance(ours, str) else dict(ours or {})
        return {**found, **ours}
    except (ValueError, SyntaxError, TypeError) as e:
        raise _unreadable(file, e) from e


def _unreadable(file: str, e: Exception) -> CheckpointError:
    why = " ".join(str(e).split())[:80]
    return CheckpointError(f"the metadata of {file} cannot be read ({why}); copy or export it again.")


def _names(value: Any) -> dict[int, str]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {int(k): str(v) for k, v in pairs}


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = (value, value) if isinstance(value, (int, float)) else value
    return int(height), int(width)

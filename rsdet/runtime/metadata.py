"""What an exported file says about itself: the entries of Ultralytics, and ours on top where rsdet made the file.

The same entries as :func:`rsdet.deploy.artifact.read_metadata` returns, but taken from the loaded backend and checked:
a file that does not say how its pictures are prepared is refused, never guessed at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rsdet.errors import CheckpointError, ConfigError, RSDetError
from rsdet.names import class_names, printable_all
from rsdet.quiet import say
from rsdet.textfiles import parse_json, parse_literal

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
        bands: Bands of the files that it was trained with, counted from 1; None for all.
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
    bands: list[int] | None = None
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
    known = merged(raw, file)
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
            stored={k: known[k] for k in ("thresholds", "nms") if k in known},
        )
    except (TypeError, ValueError, AttributeError) as e:
        raise _unreadable(file, e) from e


def say_untrained(known: Mapping[str, Any], file: str) -> None:
    """Say it where a file was exported from random weights."""
    if known.get("untrained") is True:
        say(f"{file} was exported from a model without weights: what it finds means nothing.", logging.WARNING)


def merged(raw: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Entries of Ultralytics overlaid with ours, as plain values of the kinds that they must have.

    Args:
        raw: Entries as they stand in the file.
        file: Its name, for messages.

    Raises:
        CheckpointError: One of them cannot be read or is of another kind.
    """
    found = dict(raw)
    ours = found.pop(KEY, None) or {}
    try:
        for key in _PYTHON:
            if isinstance(found.get(key), str):
                found[key] = parse_literal(found[key], key)
        ours = parse_json(ours, KEY) if isinstance(ours, str) else ours
    except RSDetError as e:
        raise _unreadable(file, e) from e
    if not isinstance(ours, Mapping):
        raise _unreadable(file, f"{KEY}: holds {type(ours).__name__}")
    known = {**found, **ours}
    for key, fits in _KINDS.items():
        if known.get(key) is not None and not fits(known[key]):
            raise _unreadable(file, f"{key}: holds {str(known[key])[:40]}")
    names = class_names(known["names"], twins=True) if known.get("names") is not None else None
    return {**printable_all(known), **({} if names is None else {"names": names})}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 20


def _is_size(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_number, value)))


def _is_names(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or (
        isinstance(value, Mapping) and all(isinstance(k, int) or (isinstance(k, str) and k.isdecimal()) for k in value)
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "imgsz": _is_size, "names": _is_names, "task": _is_text, "family": _is_text, "head": _is_text, "kind": _is_text,
    "args": _is_mapping, "sar": _is_mapping, "thresholds": _is_mapping, "engine": _is_mapping, "stride": _is_number,
    "batch": _is_number, "channels": _is_number, "scale": _is_number, "multiple": _is_number, "min_px": _is_number,
}  # fmt: skip


def _unreadable(file: str, e: Exception | str) -> CheckpointError:
    why = " ".join(str(e).split())[:80].rstrip(".;, ")
    return CheckpointError(f"the metadata of {file} cannot be read ({why}); copy or export it again.")


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = (value, value) if isinstance(value, (int, float)) else value
    return int(height), int(width)

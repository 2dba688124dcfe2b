"""What an exported file says about itself: the entries of Ultralytics, and ours on top where rsdet made the file.

The same entries as :func:`rsdet.deploy.artifact.read_metadata` returns, read without PyTorch and Ultralytics, and
before a backend is asked to load the graph.
"""

from __future__ import annotations

import logging
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsdet import digest
from rsdet.data.gsd import is_gsd
from rsdet.errors import CheckpointError, ConfigError, RSDetError, nearest_file
from rsdet.names import class_names, printable_all
from rsdet.quiet import say
from rsdet.runtime.protobuf import fields
from rsdet.textfiles import parse_json, parse_literal, read_json, read_yaml

KEY = "rsdet"
_METADATA_PROPS = 14  # field of ONNX's ModelProto; its entries have a key (1) and a value (2)
MOST = 1 << 20  # of pixels along a side, and of whatever else a file counts
_PYTHON = ("imgsz", "names", "args", "stride", "batch", "channels", "end2end")  # Ultralytics writes them as Python text


def stored_metadata(path: str | Path) -> dict[str, Any]:
    """Entries as they stand in an exported file or beside it; its graph is not loaded.

    Args:
        path: ``.onnx`` file, OpenVINO folder or ``.xml`` file, or a folder of parts (:mod:`rsdet.runtime.parts`).

    Raises:
        ConfigError: No such file, or of a kind that is not run here.
        CheckpointError: It cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise ConfigError(f"{str(path)!r} does not exist.{nearest_file(path)} Check the path.")
    if (path / digest.PARTS).is_file():
        return {KEY: read_json(path / digest.PARTS, CheckpointError, "export it again")}
    if path.is_dir() or path.suffix == ".xml":
        sidecar = (path if path.is_dir() else path.parent) / "metadata.yaml"
        return read_yaml(sidecar, CheckpointError) if sidecar.is_file() else {}
    if path.suffix != ".onnx":
        raise ConfigError(
            f"{path.name} is of no kind that the runtime loads; expected .onnx or an OpenVINO folder; `rsdet export` "
            "makes them, and rsdet.RSDet loads everything else."
        )
    try:
        with path.open("rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = fields(content, (_METADATA_PROPS,))
            entries = [dict(fields(value)) for number, value in found if number == _METADATA_PROPS]
            return {bytes(e.get(1, b"")).decode(): bytes(e.get(2, b"")).decode() for e in entries}
    except (OSError, ValueError, IndexError) as e:
        why = f"it is cut short or no ONNX file: {e}"
        raise CheckpointError(f"{path.name} cannot be loaded ({why}); copy or export it again.") from e


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
        raise unreadable(file, e) from e
    if not isinstance(ours, Mapping):
        raise unreadable(file, f"{KEY}: holds {type(ours).__name__}")
    known = {**found, **ours}
    for key, fits in _KINDS.items():
        if known.get(key) is not None and not fits(known[key]):
            raise unreadable(file, f"{key}: holds {str(known[key])[:40]}")
    names = class_names(known["names"], twins=True) if known.get("names") is not None else None
    return {**printable_all(known), **({} if names is None else {"names": names})}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < MOST


def is_size(value: Any) -> bool:
    """Whether it is a side in pixels, or height and width."""
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
    "imgsz": is_size, "names": _is_names, "task": _is_text, "family": _is_text, "head": _is_text, "kind": _is_text,
    "args": _is_mapping, "sar": _is_mapping, "thresholds": _is_mapping, "engine": _is_mapping, "stride": _is_number,
    "batch": _is_number, "channels": _is_number, "scale": _is_number, "multiple": _is_number, "min_px": _is_number,
    "gsd": is_gsd,
}  # fmt: skip


def unreadable(file: str, e: Exception | str) -> CheckpointError:
    """The error that says why the metadata of a file are of no use."""
    why = " ".join(str(e).split())[:80].rstrip(".;, ")
    return CheckpointError(f"the metadata of {file} cannot be read ({why}); copy or export it again.")

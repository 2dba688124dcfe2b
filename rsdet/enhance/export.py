"""Export of a chain with its detector: each part an artifact of its own, and a small JSON that names them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.deploy.export import export
from rsdet.enhance.chain import EnhanceChain, Part
from rsdet.enhance.chain_json import ChainFile, write_chain_json
from rsdet.errors import ConfigError
from rsdet.loadedmodel import opened
from rsdet.names import printable
from rsdet.writing import disk_errors

FORMATS = {"onnx": "onnx", "openvino": "openvino", "torchscript": "torchscript", "engine": "onnx"}
"""Format of a detector -> format of the networks before it; an engine of those would be one that nobody can check."""

SHARED = ("half", "opset", "simplify", "device", "verbose")  # settings of the detector's export that suit any part


@dataclass(frozen=True)
class ChainExport:
    """What an export of a chain made.

    Attributes:
        path: The JSON; ``rsdet predict model=<path> source=...`` runs it.
        detector: What the export of the detector gave.
        parts: What that of each network gave; the path of a file for all else.
    """

    path: Path
    detector: Any
    parts: list[Any]


def export_chain(model: Any, chain: EnhanceChain, settings: Mapping[str, Any]) -> ChainExport:
    """Export a detector and the chain before it into one folder.

    Args:
        model: The detector, a loaded :class:`rsdet.RSDet`.
        chain: The chain; networks must come from files.
        settings: Arguments of :func:`rsdet.deploy.export.export`. ``out`` is the folder, ``<detector>-chain`` beside
            the weights where not given. ``imgsz`` is that of the detector; networks of the chain are exported for
            tiles of ``enhance_tile=``, 256 px where not given, that share ``enhance_overlap=``.

    Raises:
        ConfigError: A part that cannot be exported, or a format that enhancers do not run in.
        ExportError: A part disagrees with its PyTorch model.
    """
    settings = dict(settings)
    format = settings.get("format", "onnx")
    if format not in FORMATS:
        raise ConfigError(f"format={format!r} with enhance=; expected one of {', '.join(FORMATS)}; choose one.")
    for key in ("triton", "cpp"):  # they would run the detector, and on what nothing has been done to
        if settings.get(key):
            raise ConfigError(f"{key}=True with enhance=, which makes a chain of several files; leave {key}= out.")
    for part in chain.parts:
        _check(part)
    own = Path(getattr(model, "ckpt_path", None) or model.model_name or "model")
    folder = Path(settings.pop("out", None) or own.with_name(f"{own.stem}-chain"))
    if folder.suffix:
        raise ConfigError(f"out={folder} must be a folder: a chain is several files.")
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    shared = {k: v for k, v in settings.items() if k in SHARED}
    names, made = [], []
    for part in chain.parts:
        name, result = _export_part(part, folder, FORMATS[format], chain.tile, shared)
        names.append(name)
        made.append(result)
    detector = export(model, out=folder, **{**settings, "format": format})
    imgsz = detector.metadata.get("imgsz")
    # The tile is in the graphs; what needs no graph had better see the whole picture.
    file = ChainFile(names, detector.path.name, None, chain.overlap, list(imgsz) if imgsz else None)
    path = write_chain_json(folder / "chain.json", file)
    if settings.get("verbose", True):
        print(printable(f"{chain.describe()} -> detector: {path}; rsdet predict model={path} source=..."))
    return ChainExport(path, detector, made)


def _check(part: Part) -> None:
    e = part.enhancer
    if getattr(e, "offline", False):
        raise ConfigError(f"enhance={e.name} optimises on each picture and has nothing to export; leave it out.")
    if part.source is None:
        raise ConfigError(f"enhance={e.name} is a Python object without a file and cannot be exported; pass its file.")


def _export_part(part: Part, folder: Path, format: str, tile: int | None, shared: dict[str, Any]) -> tuple[Any, Any]:
    """What the JSON says of a part, and what its export gave."""
    source = Path(part.source or "")
    if hasattr(part.enhancer, "network"):
        size = {} if not tile else {"imgsz": tile}
        result = export(opened(str(part.source), **part.settings), format=format, out=folder, **size, **shared)
        return Path(result.path).name, result
    if source.exists():  # an exported file, or a user's YAML of a method
        target = folder / source.name
        if source.resolve() != target.resolve():
            with disk_errors(folder):
                shutil.copytree(source, target, dirs_exist_ok=True) if source.is_dir() else shutil.copy2(source, target)
        return (part.settings and {"model": source.name, **part.settings}) or source.name, target
    return ({"model": str(part.source), **part.settings} if part.settings else str(part.source)), source

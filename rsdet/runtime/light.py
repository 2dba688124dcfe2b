"""``rsdet predict`` of an exported file without PyTorch and Ultralytics, where its task has a module for that.

What the file is for stands in its metadata, which are read before any graph is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from rsdet import tasks
from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.errors import RSDetError
from rsdet.runtime.backends import is_deployable
from rsdet.runtime.metadata import merged, stored_metadata

if TYPE_CHECKING:
    from rsdet.scenes.predictor import TilePredictor


class Summary(NamedTuple):
    """Outcome of :func:`predict`.

    Attributes:
        images: Images looked at.
        objects: Objects found.
        save_dir: Folder of the run.
        skipped: One line for each file that was left out.
        said: What was done, in one clause.
    """

    images: int
    objects: int
    save_dir: Path
    skipped: list[str]
    said: str


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Predict with an exported file.

    Args:
        args: Arguments of ``rsdet predict``. They are left as they are.

    Returns:
        What was done, or None for what only the full path does; nothing has happened then.

    Raises:
        RSDetError: Bad input, or no image of the source can be used.
    """
    light = _module(args)
    return None if light is None else light.predict(args)


def tiles(args: Mapping[str, Any], tile_px: int) -> TilePredictor | None:
    """An exported file as what looks at the tiles of a scene.

    Args:
        args: Arguments of ``rsdet predict`` without those about scenes.
        tile_px: Side of the tiles.

    Returns:
        The model, or None for what only the full path does.
    """
    light = _module(args)
    return None if light is None or not hasattr(light, "tiles") else light.tiles(args, tile_px)


def takes_tiles(args: Mapping[str, Any]) -> bool:
    """Whether ``model=`` names an exported file of a task that looks at the tiles of scenes."""
    return hasattr(_module(args), "tiles")


def _module(args: Mapping[str, Any]) -> ModuleType | None:
    """The module of the task of the exported file that ``model=`` names; None where only the full path will do."""
    file = _exported(args.get("model"))
    if file is None:
        return None
    task = merged(stored_metadata(file), file.name).get("task")
    if task not in tasks.names() or args.get("task") not in (None, task):
        return None
    light = tasks.get(task).light
    return None if light is None else import_module(light)


def _exported(model: Any) -> Path | None:
    """The exported file that ``model=`` names, itself or by a chain of exported files; None for anything else."""
    if is_deployable(model):
        return Path(model)
    if not is_chain_json(model):
        return None
    try:
        chain = read_chain_json(model)
    except RSDetError:
        return None  # the full path says what is wrong with it
    parts = [Path(model).parent / p if isinstance(p, str) else p for p in (*chain.enhance, chain.model)]
    return parts[-1] if all(map(is_deployable, parts)) else None

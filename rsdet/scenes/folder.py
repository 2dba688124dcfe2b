"""The folder of a run over scenes: an unfinished one of the same run is continued, a finished one never."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, RSDetError
from rsdet.quiet import say
from rsdet.scenes.ledger import SUFFIX, fingerprint, remove
from rsdet.textfiles import read_json
from rsdet.writing import new_folder, write_text

MARK = ".unfinished.json"
_LEDGER = re.compile(rf"(.*){re.escape(SUFFIX)}(?:\.\d+-of-\d+)?")


def scene_folder(
    project: Path, name: str | None, facts: Mapping[str, Any], *, exist_ok: bool = False, shared: bool = False
) -> tuple[Path, bool]:
    """Folder of a run, and whether it goes on with what is there.

    Args:
        project: Folder of all runs.
        name: Its name; where None, the newest unfinished run of the same, whatever its name, or else ``predict``.
        facts: What decides the outcome of the run; equal ones are one run.
        exist_ok: Take the folder of this name though a finished run lies in it.
        shared: Many processes begin this run at once.

    Raises:
        ConfigError: The name belongs to an unfinished run with other facts, or many begin a run without a name.
    """
    if shared and name is None:
        raise ConfigError("job= does a share of a run, and all its processes must agree on a folder; pass name=.")
    identity = fingerprint(facts)
    wanted = project / (name or "predict")
    unfinished = {folder: _identity(folder) for folder in _begun(wanted, named=name is not None)}
    same = [folder for folder, stored in unfinished.items() if stored == identity]
    if same:
        return max(same, key=lambda folder: (folder / MARK).stat().st_mtime_ns), True
    if name is not None and wanted in unfinished:
        raise ConfigError(
            f"{wanted} holds an unfinished run of another model, other scenes or other settings; run that one to its "
            "end, remove the folder, or give this run another name=."
        )
    if shared and not exist_ok and wanted.is_dir() and any(not p.name.startswith(".") for p in wanted.iterdir()):
        if (wanted / MARK).is_file():  # another process has begun it just now
            return scene_folder(project, name, facts, shared=True)
        raise ConfigError(f"{wanted} holds a finished run; give this one another name=, or pass exist_ok=True.")
    folder = new_folder(wanted, exist_ok or shared)
    write_text(folder / MARK, json.dumps({"identity": identity}, indent=1) + "\n")
    return folder, False


def continued_folder(place: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
    """:func:`scene_folder`, with a line where an unfinished run goes on.

    Args:
        place: ``project``, ``name`` and ``exist_ok``.
        facts: See there.
    """
    folder, continued = scene_folder(facts=facts, **place)
    if continued:
        say(f"an unfinished run of the same model, files and settings lies in {folder} and is continued.")
    return folder


def shared_folder(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Folder of a run that was done in shares.

    Args:
        folder: What the user says.
        facts: What decides the outcome of the run.

    Raises:
        ConfigError: It holds none, or those of another run.
    """
    if not (folder / MARK).is_file():
        raise ConfigError(f"merge={folder} holds no unfinished run; pass the folder that job= has put its shares into.")
    if _identity(folder) != fingerprint(facts):
        raise ConfigError(
            f"merge={folder} holds shares of another model, other scenes or other settings; pass the same as with job=."
        )
    return folder


def finish(folder: Path, failed: AbstractSet[str] = frozenset()) -> None:
    """Mark a run as done: nobody will continue it, unless tiles are done of a scene that failed.

    Args:
        folder: Of the run.
        failed: Scenes of it that have no layers, by the stems of their names.
    """
    ledgers = {path: found[1] for path in folder.iterdir() if (found := _LEDGER.fullmatch(path.name))}
    for path, stem in ledgers.items():
        if stem not in failed:
            remove(path)
    if failed & {*ledgers.values()}:
        return
    (folder / MARK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()  # of a run of which nothing came


def give_up(folder: Path) -> None:
    """Free the name of a run of which nothing came: nobody would go on with it, and it may be called again, mended."""
    if any(folder.rglob(".*.parts")):  # rows that are done
        return
    (folder / MARK).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _begun(wanted: Path, named: bool) -> list[Path]:
    """Unfinished runs of the name, also with a number behind it; without a name, any of which nobody does shares."""
    if not wanted.parent.is_dir():
        return []
    folders = [p for p in wanted.parent.iterdir() if (p / MARK).is_file()]
    if not named:
        return [p for p in folders if not any(p.glob(f"*{SUFFIX}.*-of-*"))]
    form = re.compile(re.escape(wanted.name) + r"(-\d+)?")
    return [p for p in folders if form.fullmatch(p.name)]


def _identity(folder: Path) -> str | None:
    try:
        return str(read_json(folder / MARK)["identity"])
    except (RSDetError, KeyError, TypeError):
        return None  # cut short when the machine went down: not to be continued

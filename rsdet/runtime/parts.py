"""Networks of several graphs: a folder with a file for each part, and ``parts.json``, which says what they are.

The JSON holds what any exported file says of itself, and besides ``parts`` (name to ``file``, ``inputs`` and
``outputs`` in their order) and ``files`` (name to SHA-256), so that parts of two exports are never run as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet import digest
from rsdet.errors import CheckpointError
from rsdet.runtime.backends import Network, open_part
from rsdet.runtime.metadata import KEY, merged, stored_metadata, unreadable


def open_parts(folder: str | Path, threads: int | None = None) -> tuple[dict[str, Any], dict[str, Network]]:
    """Load the parts of a network, once they are known to be those that were exported together.

    Args:
        folder: The folder.
        threads: Threads for one operator; the backend's own choice when None.

    Returns:
        What the folder says of itself, as it stands there, and the parts by their names.

    Raises:
        CheckpointError: A file is missing, or another one than it was.
        MissingDependencyError: The backend is not installed.
    """
    folder = Path(folder)
    stored = stored_metadata(folder)
    digest.check(folder, merged(stored, folder.name))
    said: dict[str, Any] = stored[KEY]
    parts = said.get("parts")
    if not isinstance(parts, Mapping) or not all(isinstance(p, Mapping) for p in parts.values()):
        raise unreadable(folder.name, "it names no parts")
    networks = {}
    for name, part in parts.items():
        if part.get("file") not in said["files"]:
            raise unreadable(folder.name, f"it has no file of {name}")
        networks[name] = open_part(folder / part["file"], threads)
        if networks[name].inputs != part.get("inputs"):
            raise CheckpointError(
                f"{part['file']} of {folder.name} takes {', '.join(networks[name].inputs)}; expected "
                f"{part.get('inputs')}; export it again."
            )
    return said, networks

"""The SHA-256 of an exported file, kept inside it: a file that was changed after its export is refused.

The entry itself is counted as zeros, so that it can stand in what it is the digest of. Nothing but the standard library
is needed: every loader checks, with PyTorch and without.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rsdet.errors import CheckpointError

KEY = "sha256"
PARTS = "parts.json"  # of a network of several graphs, in their folder; see rsdet.runtime.parts
BLANK = "0" * 64
_LOCATION = re.compile(rb"\n\x08location\x12([\x01-\x7f])", re.DOTALL)  # an entry of ONNX, up to the length of the name
_MOST_DENSE = 100  # times that an archive may grow when it is read; weights hardly shrink, code by ten
_ID = "serialization_id"  # PyTorch's own digest of an archive, ours included


def digest(path: str | Path, entry: str = BLANK, sidecar: Path | None = None) -> str:
    """SHA-256 of an artifact.

    Args:
        path: File, or folder of OpenVINO, or the ``.xml`` in it.
        entry: The digest as it stands in the artifact.
        sidecar: File to take instead of the ``metadata.yaml`` of a folder.
    """
    found = hashlib.sha256()
    for name, content in _parts(Path(path), sidecar):
        found.update(f"{name} {len(content)} ".encode())
        view, begin = memoryview(content), 0  # no second copy of large files
        while (at := content.find(entry.encode(), begin)) >= 0:
            found.update(view[begin:at])
            found.update(BLANK.encode())
            begin = at + len(BLANK)
        found.update(view[begin:])
    return found.hexdigest()


def seal(file: Path, folder: Path | None = None) -> None:
    """Put the digest of an artifact in the place of the zeros that stand for it.

    Args:
        file: The file that holds them.
        folder: The artifact, where the file is to be the ``metadata.yaml`` of a folder.
    """
    entry = digest(folder or file, sidecar=file)
    file.write_bytes(file.read_bytes().replace(BLANK.encode(), entry.encode()))


def check(path: str | Path, meta: Mapping[str, Any]) -> None:
    """Refuse an artifact that is no longer what was exported; one that holds no digest is taken as it is.

    Args:
        path: File or folder.
        meta: What it says of itself.

    Raises:
        CheckpointError: It was changed.
    """
    entry = meta.get(KEY)
    several = (Path(path) / PARTS).is_file()
    if entry is None and not several:
        return
    try:
        same = isinstance(entry, str) and len(entry) == len(BLANK) and digest(path, entry) == entry
    except zipfile.BadZipFile:  # a part does not fit its own checksum
        same = False
    if not same:
        raise CheckpointError(
            f"{Path(path).name} was changed since it was exported (its SHA-256 differs); copy or export it again."
        )
    if several:
        _check_files(Path(path), meta.get("files"))


def _check_files(folder: Path, files: Any) -> None:
    """Make sure that the graphs in a folder are those that its JSON was written with."""
    if not isinstance(files, Mapping) or not files or any(Path(name).name != name for name in files):
        raise CheckpointError(f"{folder.name}: {PARTS} names no files; export it again.")
    for name, known in files.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder.name} has no {name}, which {PARTS} names; copy the whole folder.")
        if digest(folder / name) != known:
            raise CheckpointError(
                f"{name} is not the file that {folder.name}/{PARTS} was written with: it was changed, or is of another "
                "export; copy the whole folder, or export it again."
            )


def _parts(path: Path, sidecar: Path | None) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all that belongs to an artifact; of several graphs, the JSON has the digests itself."""
    if path.is_dir() and (path / PARTS).is_file():
        yield PARTS, (sidecar or path / PARTS).read_bytes()
        return
    if path.is_dir():
        path = next(iter(sorted(path.glob("*.xml"))), path / "model.xml")
    if path.suffix == ".xml":
        files = [path, path.with_suffix(".bin"), sidecar or path.parent / "metadata.yaml"]
        yield from ((f.suffix, f.read_bytes()) for f in files if f.is_file())
    elif path.suffix == ".torchscript":
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > _MOST_DENSE * path.stat().st_size:
                raise zipfile.BadZipFile("too dense for weights")
            for name in sorted(archive.namelist()):
                if not name.endswith(_ID):
                    yield name.partition("/")[2], archive.read(name)  # the folder has the name of the file
    else:
        content = path.read_bytes()
        yield "", content
        if path.suffix == ".onnx":  # weights may lie beside the graph, which then names their file
            places = {content[m.end() : m.end() + m[1][0]] for m in _LOCATION.finditer(content)}
            beside = [path.with_name(p.decode("utf-8", "replace").rpartition("/")[2]) for p in sorted(places)]
            yield from ((f.name, f.read_bytes()) for f in beside if f.is_file())

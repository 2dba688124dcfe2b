"""Unpacking archives that others made: all or nothing, and only into the folder meant for it."""

from __future__ import annotations

import errno
import hashlib
import logging
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple, NoReturn

from rsdet.errors import DataError
from rsdet.quiet import say
from rsdet.writing import workplace

# Pictures hardly compress, label text does so 3 to 20 times; a set that grows 200-fold is made to fill the disk.
_MAX_RATIO = 200
_ALWAYS_FINE = 64 << 20  # bytes; small text archives may compress any amount
_CHUNK = 1 << 20
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


_COLLIDES = (FileExistsError, IsADirectoryError, NotADirectoryError)


class _Header(tarfile.TarInfo):
    """A header of a tar; where there is none and no mark of the end either, tarfile itself says the tar ends there."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """The next header.

        Raises:
            ReadError: There is none, and this is not the end.
        """
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as e:
            raise tarfile.ReadError(f"no end mark behind {archive.offset:,} bytes: {e}") from e


class _Member(NamedTuple):
    name: str
    size: int
    is_dir: bool
    open: object  # () -> IO[bytes]


def unpack(archive: str | Path, folder: str | Path, only: Sequence[str] = (), contents: str | None = None) -> Path:
    """Unpack a zip or tar archive.

    The files appear in ``folder`` only when every one of them has been read and its checksum was right; until then
    they lie beside it under a temporary name.

    Args:
        archive: ``.zip``, ``.tar``, ``.tar.gz``, ``.tgz``, … (recognised by content).
        folder: Where to; existing files of the same name are replaced, others stay.
        only: Patterns of the members to unpack, such as ``*/labels/*``; all of them where there are none.
        contents: Digest that :func:`digest_of` must give for what was unpacked, where the bytes of the archive itself
            are made anew by each server.

    Returns:
        The folder.

    Raises:
        DataError: Other contents than those of the digest, or none of ``only``; a damaged or encrypted file, one cut
            short, or no archive; a member that is absolute, leads out of the folder, or is a link or device; declared
            sizes that do not fit the disk or are out of all proportion.
    """
    archive, folder = Path(archive), Path(folder)
    with workplace(folder.parent, folder.name) as place:
        scratch = place / folder.name
        scratch.mkdir()
        try:
            _extract(archive, scratch, _limit(archive, folder.parent), only)
        except (*_DAMAGE, OSError) as e:
            if getattr(e, "errno", None) is not None:  # the disk's fault; damage comes without a number
                raise
            detail = " ".join(str(e).split()) or type(e).__name__
            raise DataError(f"{archive} is damaged ({detail}); delete it and run it again") from e
        except RuntimeError as e:  # zipfile: encrypted
            raise DataError(f"{archive} cannot be unpacked ({e}); expected an archive without password") from e
        if only and not any(scratch.iterdir()):
            raise DataError(f"{archive} holds nothing like {', '.join(only)}; it is not what was asked for, delete it")
        if contents is not None and (found := digest_of(scratch)) != contents.lower():
            raise DataError(
                f"what {archive} holds has the digest {found}, expected {contents.lower()}; nothing of it was kept; "
                "delete it and run it again, or check the dataset YAML"
            )
        _merge(scratch, folder)
    return folder


def digest_of(folder: Path) -> str:
    """SHA-256 over the files of a folder, whatever their dates and order: each a line of path and SHA-256."""
    total = hashlib.sha256()
    for name, file in sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*") if p.is_file()):
        one = hashlib.sha256()
        with file.open("rb") as f:
            while chunk := f.read(_CHUNK):
                one.update(chunk)
        total.update(f"{name} {one.hexdigest()}\n".encode())
    return total.hexdigest()


def _limit(archive: Path, parent: Path) -> int:
    """Bytes that the contents may have."""
    by_ratio = max(_ALWAYS_FINE, archive.stat().st_size * _MAX_RATIO)
    return min(by_ratio, shutil.disk_usage(parent).free)


def _extract(archive: Path, scratch: Path, limit: int, only: Sequence[str]) -> None:
    total, seen, twice = 0, set[Path](), list[str]()
    for member in _members(archive):
        target = scratch / _safe(member.name, archive)
        if only and (member.is_dir or not any(fnmatchcase(member.name, pattern) for pattern in only)):
            continue
        if member.is_dir:
            try:
                target.mkdir(parents=True, exist_ok=True)
            except _COLLIDES:
                _refuse(archive, member.name, "is a file and a folder at once")
            continue
        total += member.size
        if total > limit:
            raise DataError(
                f"{archive} would unpack to more than {limit:,} bytes, the free space or {_MAX_RATIO} times its own "
                "size; free some space, or do not trust it"
            )
        if target in seen:
            twice.append(member.name)
        seen.add(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as inside, target.open("wb") as outside:
                _copy_exactly(inside, outside, member, archive)
        except _COLLIDES:
            _refuse(archive, member.name, "is a file and a folder at once")
        except OSError as e:
            if e.errno != errno.ENAMETOOLONG:
                raise
            _refuse(archive, f"{member.name[:40]}…", "has a longer name than a file can have")
    if twice:
        say(
            f"{archive} holds {len(twice)} files more than once, such as {twice[0]}; the last of each was kept.",
            logging.WARNING,
        )


def _copy_exactly(inside: IO[bytes], outside: IO[bytes], member: _Member, archive: Path) -> None:
    done = 0
    while chunk := inside.read(_CHUNK):
        done += len(chunk)
        if done > member.size:
            break
        outside.write(chunk)
    if done != member.size:
        raise DataError(f"{archive} is damaged ({member.name} has another size than declared); delete it and try again")


def _members(archive: Path) -> Iterator[_Member]:
    """The files and folders of an archive.

    Raises:
        DataError: No archive, or a member that is neither file nor folder.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            for info in z.infolist():
                if not info.filename:
                    _refuse(archive, "", "is no name")
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    _refuse(archive, info.filename, "is a link or device")
                yield _Member(info.filename, info.file_size, info.is_dir(), lambda info=info: z.open(info))
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive, tarinfo=_Header) as t:
            for info in t:
                if not (info.isreg() or info.isdir()):
                    _refuse(archive, info.name, "is a link or device")
                yield _Member(info.name, info.size, info.isdir(), lambda info=info: t.extractfile(info))
            while t.fileobj.read(_CHUNK):  # the checksum of a compressed tar stands at its very end
                pass
    else:
        raise DataError(f"{archive} is no zip or tar archive; delete it and run it again")


def _safe(name: str, archive: Path) -> PurePosixPath:
    """The path of a member below the folder.

    Raises:
        DataError: It is absolute or leads upwards.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        _refuse(archive, name, "leads out of the folder")
    return path


def _refuse(archive: Path, name: str, why: str) -> NoReturn:
    raise DataError(f"{archive} holds {name!r}, which {why}; nothing was unpacked; do not trust this archive")


def _merge(scratch: Path, folder: Path) -> None:
    """Move the unpacked files into place: in one step when the folder is new."""
    if not folder.exists():
        scratch.rename(folder)
        return
    for here, _, files in os.walk(scratch):
        there = folder / Path(here).relative_to(scratch)
        there.mkdir(parents=True, exist_ok=True)
        for name in files:
            Path(here, name).replace(there / name)

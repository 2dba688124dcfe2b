"""Downloading one file: resumed after a break, verified at the end, never left half under its name."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rsdet.errors import DataError, RSDetError
from rsdet.textfiles import read_json
from rsdet.usererrors import one_line
from rsdet.writing import alone, disk_errors, write_if_changed

_CHUNK = 1 << 18
_TIMEOUT_S = 30
_TRIES = 4


def fetch(
    url: str, target: str | Path, *, size: int | None = None, sha256: str | None = None, progress: bool = True
) -> Path:
    """Download a file, going on where an earlier attempt stopped.

    Bytes gather in ``<target>.part``; the file gets its name when its length is what the server (or ``size``) says and
    its digest is ``sha256``. A file that changed on the server between two attempts is started anew.

    Args:
        url: ``http`` or ``https``.
        target: File to make; if it is there with the right size and digest, nothing is fetched.
        size: Expected length in bytes.
        sha256: Expected digest, hexadecimal.
        progress: Show a progress bar.

    Raises:
        DataError: No address, not reachable, wrong length, wrong digest, or no space.
        WriteError: Another process fetches the same file right now, or it cannot be written.
    """
    try:
        known = urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname is not None and url.isascii()
    except ValueError:
        known = False
    if not known:
        raise DataError(
            f"url {url!r} must start with http:// or https:// and be plain ASCII; mend it where it is stated"
        )
    target = Path(target)
    if target.is_file() and _is_right(target, size, sha256):
        return target
    part = target.with_name(f"{target.name}.part")
    with disk_errors(target.parent), alone(target.parent, f"download of {target.name}", "end it"):
        if target.is_file() and _is_right(target, size, sha256):  # by another process, meanwhile
            return target
        if part.is_symlink():  # not made here
            part.unlink()
        total = None
        for attempt in range(_TRIES):
            try:
                total = _continue(url, part, size, progress)
                break
            except urllib.error.HTTPError as e:
                if e.code < 500 or attempt == _TRIES - 1:
                    why = one_line(str(e.reason))
                    raise DataError(f"{url} answered {e.code} {why}; check the address, or try later") from e
            except (http.client.InvalidURL, UnicodeError) as e:
                raise DataError(f"url {url!r} is no address ({one_line(str(e))}); mend it where it is stated") from e
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as e:
                if attempt == _TRIES - 1:
                    reason = one_line(str(getattr(e, "reason", None) or e))
                    kept = part.stat().st_size if part.exists() else 0
                    raise DataError(
                        f"{url} broke off ({reason}); {kept:,} bytes are kept; run it again to go on from there"
                    ) from e
            time.sleep(0.2 * 4**attempt)
        _verify(part, url, size or total, sha256)
        part.replace(target)
        _notes(part).unlink(missing_ok=True)
    return target


def _notes(part: Path) -> Path:
    """Where the version of a partial file is remembered."""
    return part.with_name(f"{part.name}.json")


def _continue(url: str, part: Path, size: int | None, progress: bool) -> int | None:
    """Fetch what is missing of a partial file; the full length if the server tells."""
    notes: dict = {}
    with suppress(RSDetError):
        notes = read_json(_notes(part))
    version = notes.get("version") if isinstance(notes, dict) and notes.get("url") == url else None
    if not isinstance(version, str) or not (
        version.isascii() and version.isprintable()
    ):  # what cannot stand in a header is not ours
        version = None
    have = part.stat().st_size if part.exists() and version else 0
    headers = {"User-Agent": "rsdet", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        opener = urllib.request.build_opener(_Redirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as e:
        if e.code != 416 or not have:  # an answer to a part that was not asked for is an error as any other
            raise
        length = (e.headers.get("Content-Range") or "").rpartition("/")[2]
        if length == str(have):
            return have  # all of it is here already
        part.unlink(missing_ok=True)
        return _continue(url, part, size, progress)
    with response:
        if response.status == 206 and _range_start(response) == have:
            total = _as_int((response.headers.get("Content-Range") or "").rpartition("/")[2])
            known = {total, notes.get("total")} - {None}
            if have and (_version(response) not in (None, version) or len(known) > 1):
                part.unlink(missing_ok=True)  # a server that goes on whatever If-Range asks, with another file
                return _continue(url, part, size, progress)
        else:
            have = 0
            total = _as_int(response.headers.get("Content-Length"))
        if size is not None and total is not None and size != total:
            raise DataError(
                f"{url} has {total:,} bytes, expected {size:,}; the file on the server is another one, so nothing was "
                "fetched: look for a newer rsdet, or mend the bytes where they are stated"
            )
        free = shutil.disk_usage(part.parent).free
        if total is not None and total - have > free:
            raise DataError(f"{url} needs {total - have:,} bytes, {part.parent} has {free:,} free; free some space")
        version = _version(response) or (version if have else None)
        if version:
            write_if_changed(_notes(part), json.dumps({"url": url, "version": version, "total": total}))
        else:
            _notes(part).unlink(missing_ok=True)
        with part.open("ab" if have else "wb") as f, _bar(part.name.removesuffix(".part"), have, total, progress) as go:
            while chunk := response.read(_CHUNK):
                f.write(chunk)
                have += len(chunk)
                go(len(chunk))
                if size is not None and have > size:  # without end, perhaps; the check of the length says it
                    return None
    if total is not None and have < total:
        raise http.client.IncompleteRead(b"", total - have)
    return total


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a server to another place of the web, and to nothing else."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request that follows.

        Raises:
            HTTPError: The place is no page of the web.
        """
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.HTTPError(newurl, code, f"{msg}: it leads to {newurl[:80]!r}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _version(response: http.client.HTTPResponse) -> str | None:
    """What tells this file from an earlier or later one of the same address; weak tags vouch for no bytes."""
    tag = response.headers.get("ETag") or "W/"
    return response.headers.get("Last-Modified") if tag.startswith("W/") else tag


def _range_start(response: http.client.HTTPResponse) -> int | None:
    unit, _, rest = (response.headers.get("Content-Range") or "").partition(" ")
    return _as_int(rest.partition("-")[0]) if unit == "bytes" else None


def _as_int(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _is_right(path: Path, size: int | None, sha256: str | None) -> bool:
    return (size is None or path.stat().st_size == size) and (sha256 is None or _digest(path) == sha256.lower())


def _verify(part: Path, url: str, size: int | None, sha256: str | None) -> None:
    """Check length and digest; a file that fails is deleted, for going on with it would fail again.

    Raises:
        DataError: One of them is wrong.
    """
    have = part.stat().st_size
    problem = None
    if size is not None and have != size:
        problem = f"has {have:,} bytes, expected {size:,}"
    elif sha256 is not None and (found := _digest(part)) != sha256.lower():
        problem = f"has the SHA-256 {found}, expected {sha256.lower()}"
    if problem:
        part.unlink()
        _notes(part).unlink(missing_ok=True)
        raise DataError(
            f"the download of {url} {problem}; it was deleted; run it again, and where that does not help, the file on "
            "the server is another one: look for a newer rsdet, or mend what is stated of it"
        )


class _bar:
    """A progress bar in bytes; entering it gives the function to call with the bytes that came."""

    def __init__(self, name: str, have: int, total: int | None, show: bool):
        self.name, self.have, self.total, self.show = name, have, total, show

    def __enter__(self) -> Callable[[int], None]:
        if not self.show:
            return lambda n: None
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        console = Console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.bar.start()
        task = self.bar.add_task(self.name, total=self.total, completed=self.have)
        return lambda n: self.bar.update(task, advance=n)

    def __exit__(self, *_: object) -> None:
        if self.show:
            self.bar.stop()

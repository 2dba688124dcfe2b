"""A run in shares, for any scheduler: a list of windows, one share of them in each process, and their parts joined.

All processes are given the same command. ``plan=jobs.jsonl`` writes the windows and stops, ``job=3/100`` does the third
of a hundred shares of all tiles, and ``merge=FOLDER`` joins what the shares have found, on one machine or on many that
see the same folder. A part is a ledger as any other: a share that was stopped goes on when it is run again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rsdet.errors import ConfigError
from rsdet.scenes.ledger import SUFFIX, Ledger, Unfinished
from rsdet.scenes.plan import Spot
from rsdet.scenes.settings import share
from rsdet.scenes.work import SceneWork

_BEGIN = b'{"scene": '
_TILES = 256  # of a line of the plan


def check_plan(path: Path) -> None:
    """Refuse to write a plan over anything but a plan.

    Raises:
        ConfigError: A folder or another file lies there.
    """
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(len(_BEGIN))
        if head in (b"", _BEGIN):
            return
    if os.path.lexists(path):
        raise ConfigError(f"plan={path} is there and no plan; pass a file that is not, such as plan=jobs.jsonl.")


def plan_lines(work: SceneWork) -> Iterator[str]:
    """Windows of a scene as JSON lines: runs of tiles, and the rectangle in pixels of the scene that they cover."""
    for first in range(0, len(work.plan), _TILES):
        last = min(first + _TILES, len(work.plan)) - 1
        window = _window(work.plan[first], work.plan[last], work.info.size_hw)
        yield json.dumps({"scene": str(work.info.path.absolute()), "first": first, "last": last, "window_px": window})


def _window(first: Spot, last: Spot, size_hw: tuple[int, int]) -> list[int]:
    """x1, y1, x2, y2 of what a run of tiles covers: part of a row, or rows from edge to edge."""
    a, b = first.tile, last.tile
    if first.scale != last.scale:
        return [0, 0, size_hw[1], size_hw[0]]
    top, down = round(a.top * first.ratio), min(round((b.top + b.height) * last.ratio), size_hw[0])
    if a.top != b.top:
        return [0, top, size_hw[1], down]
    return [round(a.left * first.ratio), top, min(round((b.left + b.width) * last.ratio), size_hw[1]), down]


def part_path(folder: Path, stem: str, job: str) -> Path:
    """Where a share of a scene is kept."""
    number, of = share(job)
    width = len(str(of))
    return folder / f"{stem}{SUFFIX}.{number:0{width}d}-of-{of}"


def share_of(job: str, tiles: int) -> range:
    """Tiles of a share: equal runs, so that each process reads one place of the scene."""
    number, of = share(job)
    return range(tiles * (number - 1) // of, tiles * number // of)


def join_parts(into: Ledger, folder: Path, stem: str, identity: str, tiles: int) -> None:
    """Take over all parts of a scene.

    Raises:
        DataError: One belongs to another run.
        Unfinished: There are none, or tiles are missing that nobody has done.
    """
    form = re.compile(rf"{re.escape(stem + SUFFIX)}\.(\d+)-of-(\d+)")
    parts = {path: (int(m[1]), int(m[2])) for path in sorted(folder.iterdir()) if (m := form.fullmatch(path.name))}
    if not parts:
        raise Unfinished(f"merge={folder} holds no share of {stem}; run all of them there first, such as job=1/8.")
    counts = {"looked_at": 0, "full": 0}
    for path in parts:
        part = Ledger(path, identity)
        try:
            into.take(part)
            counts = {name: n + (part.fact(name) or 0) for name, n in counts.items()}
        finally:
            part.close()
    if missing := into.missing(0, tiles):
        of = max(of for _, of in parts.values())
        jobs = _undone(missing, {number for number, all_ in parts.values() if all_ == of}, of, tiles)
        named = ", ".join(f"job={number}/{of}" for number in jobs[:5])
        raise Unfinished(
            f"{sum(map(len, missing))} of {tiles} tiles of {stem} are not done; run {named}"
            f"{f' and {len(jobs) - 5} more' if len(jobs) > 5 else ''} to the end, then merge again."
        )
    into.note(**{name: min(n, tiles) for name, n in counts.items()})  # shares of two plans may overlap


def _undone(missing: Sequence[range], begun: set[int], of: int, tiles: int) -> list[int]:
    """Numbers of the shares that hold missing tiles, and of those without tiles here that nobody has begun."""
    shares = {number: share_of(f"{number}/{of}", tiles) for number in range(1, of + 1)}
    return [
        number
        for number, own in shares.items()
        if (any(gap.start < own.stop and own.start < gap.stop for gap in missing) if own else number not in begun)
    ]

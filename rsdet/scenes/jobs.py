"""A run in shares, for any scheduler: a list of windows, one share of them in each process, and their parts joined.

All processes are given the same command. ``plan=jobs.jsonl`` writes the windows and stops, ``job=3/100`` does the third
of a hundred shares of all tiles, and ``merge=FOLDER`` joins what the shares have found, on one machine or on many that
see the same folder. A part is a ledger as any other: a share that was stopped goes on when it is run again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rsdet.errors import DataError
from rsdet.scenes.ledger import SUFFIX, Ledger
from rsdet.scenes.settings import share
from rsdet.scenes.work import SceneWork

_TILES = 256  # of a line of the plan


def plan_lines(work: SceneWork) -> Iterator[str]:
    """Windows of a scene as JSON lines: runs of tiles, and the rectangle in pixels of the scene that they cover."""
    for first in range(0, len(work.plan), _TILES):
        numbers = range(first, min(first + _TILES, len(work.plan)))
        tiles = [(work.plan[n].tile, work.plan[n].ratio) for n in (numbers[0], numbers[-1])]
        lefts, tops = [t.left * r for t, r in tiles], [t.top * r for t, r in tiles]
        rights, downs = [(t.left + t.width) * r for t, r in tiles], [(t.top + t.height) * r for t, r in tiles]
        line: dict[str, Any] = {"scene": str(work.info.path.absolute()), "first": numbers[0], "last": numbers[-1]}
        one_row = tops[0] == tops[1]
        line["window_px"] = [
            round(v)
            for v in (
                min(lefts) if one_row else 0,
                min(tops),
                max(rights) if one_row else work.info.size_hw[1],
                max(downs),
            )
        ]
        yield json.dumps(line)


def part_path(folder: Path, stem: str, job: str) -> Path:
    """Where a share of a scene is kept."""
    number, of = share(job)
    width = len(str(of))
    return folder / f"{stem}.part-{number:0{width}d}-of-{of}{SUFFIX}"


def share_of(job: str, tiles: int) -> range:
    """Tiles of a share: equal runs, so that each process reads one place of the scene."""
    number, of = share(job)
    return range(tiles * (number - 1) // of, tiles * number // of)


def join_parts(into: Ledger, folder: Path, stem: str, identity: str, tiles: int) -> None:
    """Take over all parts of a scene.

    Raises:
        DataError: There are none, one belongs to another run, or tiles are missing that nobody has done.
    """
    paths = sorted(folder.glob(f"{_escaped(stem)}.part-*-of-*{SUFFIX}"))
    if not paths:
        raise DataError(f"merge={folder} holds no part of {stem}; run its shares there first, such as job=1/8.")
    looked_at = 0
    for path in paths:
        part = Ledger(path, identity)
        try:
            into.take(part)
            looked_at += part.fact("looked_at") or 0
        finally:
            part.close()
    if missing := into.missing(0, tiles):
        of = paths[0].name.removesuffix(SUFFIX).rpartition("-of-")[2]
        jobs = sorted({-(-(n + 1) * int(of) // tiles) for gap in missing for n in (gap[0], gap[-1])})
        named = ", ".join(f"job={j}/{of}" for j in jobs[:5])
        raise DataError(
            f"{sum(map(len, missing))} of {tiles} tiles of {stem} are not done; run {named}"
            f"{' and others' if len(jobs) > 5 else ''} to the end, then merge again."
        )
    into.note(looked_at=looked_at)


def _escaped(text: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in text)

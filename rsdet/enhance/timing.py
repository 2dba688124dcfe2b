"""Latency of a chain part by part, each on the very pictures that it gets in the chain."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rsdet.deploy.timing import time_interleaved
from rsdet.enhance.chain import EnhanceChain
from rsdet.enhance.running import enhance


def time_parts(chain: EnhanceChain, images: Sequence[np.ndarray], timing: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Time every part and the whole chain in turns.

    Args:
        chain: The chain.
        images: Source pictures (H, W, C) uint8, BGR; each run takes the next one.
        timing: Arguments of :func:`rsdet.deploy.timing.time_interleaved`.

    Returns:
        One row per part, then one for the whole with the conversion from and to 8 bits: ``part``, ``kind``, ``scale``,
        ``input_px`` (height, width of the first picture), ``share`` of the whole, and the statistics of
        :meth:`rsdet.deploy.timing.Timings.to_dict`.
    """
    names, inputs = list(chain.mean_ms()), [_as_float(x) for x in images]
    runs: dict[str, Callable[[], Any]] = {}
    rows = []
    for name, part in zip(names, chain.parts, strict=True):
        e = part.enhancer
        runs[name] = _turns(lambda x, e=e: enhance(e, x, tile=chain.tile, overlap=chain.overlap), inputs)
        rows.append({"part": name, "kind": e.kind, "scale": e.scale, "input_px": list(inputs[0].shape[:2])})
        inputs = [enhance(e, x, tile=chain.tile, overlap=chain.overlap) for x in inputs]
    runs["chain"] = _turns(chain.apply_bgr, images)
    whole = {"part": "chain", "kind": "all", "scale": chain.scale, "input_px": list(images[0].shape[:2])}
    found = time_interleaved(runs, **timing).timings
    return [
        {**row, "share": found[row["part"]].median_ms / found["chain"].median_ms, **found[row["part"]].to_dict()}
        for row in [*rows, whole]
    ]


def _turns(run: Callable[[np.ndarray], Any], pictures: Sequence[np.ndarray]) -> Callable[[], Any]:
    turn = iter(range(sys.maxsize))
    return lambda: run(pictures[next(turn) % len(pictures)])


def _as_float(picture: np.ndarray) -> np.ndarray:
    rgb = picture[..., ::-1] if picture.shape[2] == 3 else picture
    return np.ascontiguousarray(rgb, dtype=np.float32) / np.float32(255)


def parts_table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A ``rich`` table of what :func:`time_parts` found."""
    from rich.table import Table

    table = Table(title="enhance: ms per picture, part by part", title_justify="left")
    table.add_column("part", overflow="fold")
    for head in ("input px", "median", "p90", "p95", "p99", "share"):
        table.add_column(head, justify="right")
    for r in rows:
        size = f"{r['input_px'][1]}x{r['input_px'][0]}"
        times = (f"{r[key]:.1f}" for key in ("median_ms", "p90_ms", "p95_ms", "p99_ms"))
        table.add_row(str(r["part"]), size, *times, f"{r['share']:.0%}")
    return table

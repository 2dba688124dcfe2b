"""Rewrites of a whole network for inference: the same function from fewer and larger steps.

They come after batch norms have been folded into convolutions, because a linear layer can be merged with its neighbour
only then. All are algebra, exact up to rounding:

- CAGFM, the RepC3 behind it and the upsampling before it become one layer (:mod:`rsdet.nn.gated_repc3`);
- C2f and VHeatC2f get two convolutions in the place of one and a split (:mod:`rsdet.nn.unsplit`);
- the decoder reads its maps without projecting them first (:mod:`rsdet.nn.folded_decoder`).

A folded network is not meant to be trained, and its state dict has other names: fold a copy.
"""

from __future__ import annotations

from torch import nn
from ultralytics.nn.modules import C2f, RepC3, RTDETRDecoder

from rsdet.nn.cagfm import CAGFM
from rsdet.nn.folded_decoder import FoldedDecoder
from rsdet.nn.gated_repc3 import GatedRepC3
from rsdet.nn.heat import VHeatC2f
from rsdet.nn.unsplit import UnsplitC2f

__all__ = ["fold_rows"]


def fold_rows(rows: nn.Sequential) -> None:
    """Fold the rows of an Ultralytics model in place; rows that fit no rule stay as they are.

    Args:
        rows: Rows with ``i``, their number, and ``f``, the rows that they read; batch norms are folded.
    """
    _fold_fusions(rows)
    for row in list(rows):
        if type(row) in (C2f, VHeatC2f):
            _put(rows, row, UnsplitC2f(row))
        elif type(row) is RTDETRDecoder:
            _put(rows, row, FoldedDecoder(row))


def _fold_fusions(rows: nn.Sequential) -> None:
    readers: dict[int, list[nn.Module]] = {row.i: [] for row in rows}
    for row in rows:
        for source in _sources(row):
            readers.get(source, []).append(row)
    pairs = {
        row: readers[row.i][0]
        for row in rows
        if type(row) is CAGFM and len(readers[row.i]) == 1 and type(readers[row.i][0]) is RepC3
    }
    doubling = {r.i for r in rows if _doubles(r) and readers[r.i] and all(s in pairs for s in readers[r.i])}
    # Rows without work stay and hand on what they are given, so that the numbers of all others hold.
    for fusion, rep in pairs.items():
        _put(rows, rep, GatedRepC3(fusion, rep, [i in doubling for i in _sources(fusion)]))
        _put(rows, fusion, nn.Identity())
    for i in doubling:
        _put(rows, rows[i], nn.Identity())


def _put(rows: nn.Sequential, old: nn.Module, new: nn.Module) -> None:
    for name in ("i", "f", "type", "np"):  # what Ultralytics keeps on a row
        setattr(new, name, getattr(old, name))
    rows[old.i] = new.train(old.training)


def _sources(row: nn.Module) -> list[int]:
    """Numbers of the rows that a row reads; -1 is the image."""
    return [row.i + f if f < 0 else f for f in ([row.f] if isinstance(row.f, int) else row.f)]


def _doubles(row: nn.Module) -> bool:
    return type(row) is nn.Upsample and row.mode == "nearest" and row.scale_factor in (2, (2, 2)) and row.size is None

"""How two dates are looked at: the tiles, what counts as changed, and whether both are given one brightness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rsdet.data.tiling import Run, partition, tiled
from rsdet.errors import ConfigError
from rsdet.progress import Line, Tiles
from rsdet.runtime.geometry import Placement, lay, to_input
from rsdet.scenes.histogram import counts_of, matched, matching_tables
from rsdet.scenes.shift import Shift, spread, tile_shift
from rsdet.tasks.change.outputs import THRESHOLD
from rsdet.tasks.semantic.classmap import logits_in_picture, probabilities
from rsdet.tasks.semantic.scenes import Mapper

_WINDOW_PX, _WINDOWS = 256, 16  # of a picture on which its shift is measured: their side, and how many at most


@dataclass(frozen=True)
class Looking:
    """How pairs are looked at.

    Attributes:
        tile: Side of the tiles in pixels of the pictures.
        overlap: Pixels that neighbouring tiles share.
        threshold: Probability from which on a pixel has changed.
        batch: Tiles that the network gets at a time.
        match: Give the later date the brightness of the earlier one.
    """

    tile: int
    overlap: int
    threshold: float = THRESHOLD
    batch: int = 1
    match: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.match, bool):
            raise ConfigError(f"match={self.match} must be True or False.")

    def run_of(self, mapper: Mapper) -> Run:
        """A model as what looks at tiles (h, w, 2 * bands) of whole numbers up to 255, several where ``batch`` says so.

        It gives the probability of a change, (h, w, 1) float32.
        """

        def run(tiles: np.ndarray) -> np.ndarray:
            tiles = tiles if self.batch > 1 else tiles[None]
            shape = tiles.shape[1:3]
            laid = tuple(max(1, round(n * min(mapper.size) / self.tile)) for n in shape)
            place = Placement(shape, mapper.size, laid, (0, 0))
            logits = mapper.run(to_input([lay(t.astype(np.uint8), place) for t in tiles]))
            found = np.stack([probabilities(logits_in_picture(x, place))[0] for x in logits])[..., None]
            return found if self.batch > 1 else found[0]

        return run

    def probability(self, mapper: Mapper, stack: np.ndarray, line: Line | None = None) -> np.ndarray:
        """(H, W) float32, the probability of a change in each pixel.

        Args:
            mapper: The model.
            stack: (H, W, 2 * bands) uint8, both dates.
            line: Says how far it is.
        """
        side, said = min(self.tile, max(stack.shape[:2])), None if line is None else Tiles(line)
        return tiled(
            self.run_of(mapper), stack.astype(np.float32), side, min(self.overlap, side - 1), batch=self.batch,
            progress=said,
        )[..., 0].clip(0, 1)  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """What decides the outcome, as plain values."""
        return {k: v for k, v in asdict(self).items() if k != "batch"}


def matched_dates(stack: np.ndarray) -> np.ndarray:
    """A pair of pictures whose later date has the brightness of the earlier one.

    Args:
        stack: (H, W, 2 * bands) uint8; black in all bands means no data.
    """
    before, after = np.split(stack, 2, axis=2)
    both = before.any(axis=2) & after.any(axis=2)
    tables = matching_tables(counts_of(after[both]), counts_of(before[both]))
    return np.concatenate([before, np.where(both[..., None], matched(after, tables), after)], axis=2)


def picture_shifts(stack: np.ndarray) -> list[Shift]:
    """How far the dates of a pair of pictures (H, W, 2 * bands) lie apart, in windows that say so."""
    before, after = np.split(stack, 2, axis=2)
    both = before.any(axis=2) & after.any(axis=2)
    windows = partition((len(stack), stack.shape[1]), _WINDOW_PX)
    found = (tile_shift(*(x[windows[i].slices] for x in (before, after, both))) for i in spread(len(windows), _WINDOWS))
    return [shift for shift in found if shift is not None]


def tile_side(fixed: Sequence[int] | None, asked: int | None, usual: int) -> int:
    """Side of the tiles in pixels.

    Args:
        fixed: Height and width that a graph takes; None for any.
        asked: What the user wants; None for no wish.
        usual: What is taken then.

    Raises:
        ConfigError: Another size than that of the graph, to which tiles would have to be stretched.
    """
    if fixed is None:
        return asked or usual
    if asked not in (None, min(fixed)):
        raise ConfigError(
            f"tiles of {asked} px, and the graph takes {fixed[1]}x{fixed[0]} only; leave tile= and imgsz= out, or "
            "export with another imgsz= or dynamic=True."
        )
    return min(fixed)

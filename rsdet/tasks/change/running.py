"""Pairs of pictures through a network, tile by tile at their own resolution; once for every backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsdet.data.dates import DatePair
from rsdet.data.decoding import within_memory
from rsdet.data.tiling import tiled
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.runtime.geometry import Placement, lay, to_input
from rsdet.tasks.change.outputs import THRESHOLD, ChangeOutputs, ChangeResult, change_map
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.source import PairSource
from rsdet.tasks.semantic.classmap import logits_in_picture, probabilities
from rsdet.tasks.semantic.scenes import Mapper


@dataclass(frozen=True)
class Looking:
    """How pairs are looked at.

    Attributes:
        tile: Side of the tiles in pixels of the pictures.
        overlap: Pixels that neighbouring tiles share.
        threshold: Probability from which on a pixel has changed.
        batch: Tiles that the network gets at a time.
    """

    tile: int
    overlap: int
    threshold: float = THRESHOLD
    batch: int = 1

    def probability(self, mapper: Mapper, stack: np.ndarray, line: Line | None = None) -> np.ndarray:
        """(H, W) float32, the probability of a change in each pixel.

        Args:
            mapper: The model.
            stack: (H, W, 2 * bands) uint8, both dates.
            line: Says how far it is.
        """
        side = min(self.tile, max(stack.shape[:2]))

        def run(tiles: np.ndarray) -> np.ndarray:
            tiles = tiles if self.batch > 1 else tiles[None]
            shape = tiles.shape[1:3]
            laid = tuple(max(1, round(n * min(mapper.size) / self.tile)) for n in shape)
            place = Placement(shape, mapper.size, laid, (0, 0))
            logits = mapper.run(to_input([lay(t.astype(np.uint8), place) for t in tiles]))
            found = np.stack([probabilities(logits_in_picture(x, place))[0] for x in logits])[..., None]
            return found if self.batch > 1 else found[0]

        overlap, said = min(self.overlap, side - 1), None if line is None else Tiles(line)
        return tiled(run, stack.astype(np.float32), side, overlap, batch=self.batch, progress=said)[..., 0].clip(0, 1)


@dataclass
class PairRun:
    """Compares the dates of pairs, tells and writes.

    Attributes:
        mapper: The model.
        reader: Reads pairs.
        looking: How they are looked at.
        outputs: Writes.
        folder: Gives the folder of the run; None where nothing is saved.
        verbose: Tell.
        skipped: One line for each pair that could not be done.
    """

    mapper: Mapper
    reader: PairReader
    looking: Looking
    outputs: ChangeOutputs
    folder: Callable[[], Path] | None = None
    verbose: bool = True
    skipped: list[str] = field(default_factory=list)

    def over(self, found: PairSource) -> Iterator[ChangeResult]:
        """Results one after the other; a pair that cannot be read is left out and named.

        Raises:
            DataError: None could be done.
        """
        self.skipped, done = found.skipped, 0
        for number, pair in enumerate(found.pairs, 1):
            head = f"pair {number}/{len(found.pairs)} {printable(str(pair.before))}"
            try:
                with within_memory(pair.before), Line(head, self.verbose) as line:
                    result = self._one(pair, line)
            except DataError as e:
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            if self.verbose:
                (height, width), share = result.orig_shape, 100 * float(result.changed.mean())
                ms = result.speed["inference"]
                say(
                    f"{head}: {width}x{height}, {share:.2f} % changed in {len(result)} places, {ms:.0f} ms",
                    logging.INFO,
                )
            yield result
        if not done:
            more = f" (and {len(self.skipped) - 1} more)" if self.skipped[1:] else ""
            raise DataError(f"{self.skipped[0]}{more}.")
        for text in self.skipped:
            say(f"left out: {printable(text)}", logging.WARNING)

    def _one(self, pair: DatePair, line: Line) -> ChangeResult:
        result, stack = looked_at(pair, self.reader, self.mapper, self.looking, line)
        if self.folder is not None:
            result.save_path = self.outputs.write_pair(self.folder(), result, stack)
        return result


def looked_at(
    pair: DatePair, reader: PairReader, mapper: Mapper, looking: Looking, line: Line | None = None
) -> tuple[ChangeResult, np.ndarray]:
    """What a model finds in a pair, and both of its dates (H, W, 2 * bands) uint8.

    Raises:
        DataError: The pair cannot be read.
    """
    began = time.perf_counter()
    stack = reader(pair)
    read = time.perf_counter()
    probability = looking.probability(mapper, stack, line)
    speed = {"preprocess": (read - began) * 1e3, "inference": (time.perf_counter() - read) * 1e3}
    found = change_map(probability, dict(mapper.names), looking.threshold, mapper.size)
    return ChangeResult(pair, probability, found, speed), stack


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

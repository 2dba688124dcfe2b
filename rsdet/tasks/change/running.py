"""Pairs of pictures through a network, tile by tile at their own resolution; once for every backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.dates import DatePair
from rsdet.data.decoding import within_memory
from rsdet.data.sources import tell_left_out
from rsdet.errors import DataError
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.quiet import say
from rsdet.scenes.shift import told
from rsdet.tasks.change.looking import Looking, matched_dates, picture_shifts
from rsdet.tasks.change.outputs import ChangeOutputs, ChangeResult, change_map
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.scenes import SceneChange, SceneWishes, compare_scenes
from rsdet.tasks.change.source import PairSource
from rsdet.tasks.semantic.scenes import Mapper


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
        scenes: ``project``, ``name`` and ``exist_ok`` of the folder of rasters, which are always saved.
        wishes: What was said of these.
        skipped: One line for each pair that could not be done.
    """

    mapper: Mapper
    reader: PairReader
    looking: Looking
    outputs: ChangeOutputs
    folder: Callable[[], Path] | None = None
    verbose: bool = True
    scenes: Mapping[str, Any] = field(default_factory=dict)
    wishes: SceneWishes = field(default_factory=SceneWishes)
    skipped: list[str] = field(default_factory=list)

    def over(self, found: PairSource) -> Iterator[ChangeResult | SceneChange]:
        """Results one after the other, rasters first; a pair that cannot be read is left out and named.

        Raises:
            DataError: None could be done.
        """
        self.skipped, done, lost = found.skipped, 0, []
        if found.scenes:
            try:
                for scene in compare_scenes(
                    self.mapper, found.scenes, self.scenes, self.outputs, lost, self.looking, self.wishes, self.verbose
                ):
                    done += 1
                    yield scene
            except DataError as e:  # of all of them
                self.skipped.append(str(e).rstrip("."))
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
                said = f"{width}x{height}, {share:.2f} % changed in {result.places}, {ms:.0f} ms"
                say(f"{head}: {said}", logging.INFO)
            yield result
        tell_left_out(self.skipped, done)
        self.skipped += lost

    def _one(self, pair: DatePair, line: Line) -> ChangeResult:
        result, stack = looked_at(pair, self.reader, self.mapper, self.looking, line)
        if said := told(picture_shifts(stack)):
            say(f"{printable(str(pair.before))}: {said}.", logging.WARNING)
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
    stack = matched_dates(stack) if looking.match else stack
    read = time.perf_counter()
    probability = looking.probability(mapper, stack, line)
    speed = {"preprocess": (read - began) * 1e3, "inference": (time.perf_counter() - read) * 1e3}
    found = change_map(probability, dict(mapper.names), looking.threshold, mapper.size)
    return ChangeResult(pair, probability, found, speed), stack

"""Comparer: an exported file and two dates in, the changed pixels out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsdet import digest
from rsdet.data.dates import DatePair
from rsdet.errors import CheckpointError
from rsdet.runtime.backends import in_batches, open_network
from rsdet.runtime.metadata import stored_metadata
from rsdet.tasks.change.looking import Looking, tile_side
from rsdet.tasks.change.outputs import THRESHOLD, ChangeResult
from rsdet.tasks.change.reading import DATES, PairReader
from rsdet.tasks.change.running import looked_at
from rsdet.tasks.detect.runtime.facts import read_facts
from rsdet.tasks.semantic.classmap import class_names
from rsdet.tasks.semantic.scenes import Mapper, overlap_px


class Comparer:
    """A change network in an exported file, on the CPU.

    Args:
        path: ``.onnx`` file, or OpenVINO folder, made by ``rsdet export``.
        threads: Threads for one operator; the backend's own choice when None.
        bands: Bands of the files to take of each date, counted from 1; those of the training when None.

    Attributes:
        names: Class number -> name, of the one class.
        backend: Name and version of what runs it.
        reader: Reads pairs as the model was trained on them.
        imgsz: Height and width of the input in pixels; where a graph has a free size, the one it was exported with.
        free_size: The graph takes inputs of any height and width.

    Raises:
        ConfigError: No such file, or a model of another task.
        CheckpointError: A file that cannot be loaded, or does not say what it is.
        MissingDependencyError: The backend is not installed.
    """

    task = "change"

    def __init__(self, path: str | Path, threads: int | None = None, *, bands: Sequence[int] | int | None = None):
        file = Path(path)
        self._facts = read_facts(stored_metadata(file), file.name, self.task, ("network",))
        self._network = open_network(file, threads)
        self._batch, channels, height, width = self._network.shape
        if (channels or self._facts.channels) != self._facts.channels or self._facts.channels % DATES:
            raise CheckpointError(
                f"{self._facts.file} says channels: {self._facts.channels} and its graph takes {channels}; export it "
                "again."
            )
        self.names, self.backend = self._facts.names, self._network.backend
        self.reader = PairReader(self._facts.channels // DATES, self._facts.bands if bands is None else bands)
        fixed = None if height is None or width is None else (height, width)
        self.free_size, self.imgsz = fixed is None, fixed or self._facts.imgsz or (256, 256)
        self._digest = digest.digest(file)

    def compare(
        self,
        before: str | Path,
        after: str | Path,
        *,
        tile: int | None = None,
        overlap: float | None = None,
        threshold: float = THRESHOLD,
    ) -> ChangeResult:
        """Compare two pictures of one place.

        Args:
            before: The earlier picture.
            after: The later one.
            tile: Side of the tiles in pixels; that of the input where None.
            overlap: What neighbouring tiles share: below 1 a part of the tile, from 1 on pixels; a quarter where None.
            threshold: Probability from which on a pixel has changed.

        Raises:
            DataError: The pictures cannot be used together.
        """
        side = self.tile(tile)
        looking = Looking(side, overlap_px(overlap, side), threshold)
        return looked_at(DatePair(Path(before), Path(after)), self.reader, self.mapper(side), looking)[0]

    def tile(self, asked: int | None = None) -> int:
        """Side of the tiles for a wish; see :func:`rsdet.tasks.change.running.tile_side`."""
        return tile_side(None if self.free_size else self.imgsz, asked, max(self.imgsz))

    def mapper(self, tile: int) -> Mapper:
        """The file as what compares tiles of a side in pixels."""
        side = -(-tile // self._facts.stride) * self._facts.stride
        facts = {"file": self._digest, "backend": self.backend, "reading": str(self.reader)}
        size = (side, side) if self.free_size else self.imgsz
        return Mapper(self.logits, self.reader.of_one_date, class_names(self.names), 1, size, facts)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Logits (B, 1, H, W) of inputs (B, 2 * bands, H, W), of a graph that may take a fixed number at a time.

        Raises:
            CheckpointError: The graph gives something else.
        """

        def checked(part: np.ndarray) -> list[np.ndarray]:
            out = self._network(part)[0]
            if out.shape != (len(part), 1, *x.shape[2:]):
                raise CheckpointError(
                    f"{self._facts.file} gives {out.shape} for inputs of {part.shape}, not one logit a pixel; export "
                    "it again."
                )
            return [out]

        return in_batches(checked, x, self._batch)[0]

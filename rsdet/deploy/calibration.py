"""Pictures to calibrate INT8 on: training images, made into network inputs as in use.

Training images, because accuracy is measured on the others afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.errors import DataError
from rsdet.tasks.task import Task

MOST = 512  # images; ranges settle long before


class Calibration:
    """Pictures as Ultralytics' exporter takes them: batches of ``{"img": uint8 (B, C, H, W)}``.

    Args:
        files: Picture files, at least one; the last batch is filled up from the start.
        batch: Pictures per batch.
        read: File -> picture.
        prepare: Pictures -> network input ``(B, C, H, W)`` float32 in [0, 1].
    """

    def __init__(
        self,
        files: Sequence[Path],
        batch: int,
        read: Callable[[Path], np.ndarray],
        prepare: Callable[[list[np.ndarray]], np.ndarray],
    ):
        missing = -len(files) % batch
        self.files = [*files, *(files[i % len(files)] for i in range(missing))]
        self.batch, self.read, self.prepare = batch, read, prepare

    def __len__(self) -> int:
        return len(self.files) // self.batch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import torch

        for x in self.arrays():
            yield {"img": torch.from_numpy(np.rint(x * 255).astype(np.uint8))}  # exact: it was made from uint8

    def arrays(self) -> Iterator[np.ndarray]:
        """Network inputs, float32 in [0, 1], one batch at a time."""
        for i in range(len(self)):
            chunk = self.files[i * self.batch : (i + 1) * self.batch]
            yield self.prepare([self.read(f) for f in chunk])


def calibration_of(
    task: Task, data: str | Path, spec: Mapping[str, Any], size: tuple[int, int], batch: int = 1, most: int = MOST
) -> Calibration:
    """Training images of a dataset, spread over it.

    Args:
        task: Reads and prepares them.
        data: Data YAML or the name of a shipped dataset.
        spec: What the model says of itself; ``bands`` of the data YAML win over its own.
        size: Input size, (height, width) in pixels.
        batch: Pictures per batch.
        most: Largest number of images.

    Raises:
        DataError: The dataset has no training image.
    """
    from rsdet.data.resolve import split_files

    files, found = split_files(data, "train", most, task.name)
    if not files:
        raise DataError(f"data={data} has no training image to calibrate INT8 on; add some, or leave int8 out.")
    told = {**spec, "bands": spec.get("bands") if found.get("bands") is None else found["bands"]}
    return Calibration(
        files, batch, lambda f: task.read(f, told), lambda pictures: task.preprocess(pictures, told, size)
    )

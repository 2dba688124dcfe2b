"""Pictures to calibrate INT8 on: training images, made into network inputs as in use.

Training images, because accuracy is measured on the others afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy.decode import preprocess
from rsdet.errors import DataError

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
    data: str | Path,
    *,
    family: str,
    size: tuple[int, int],
    batch: int = 1,
    channels: int = 3,
    sar: dict[str, Any] | None = None,
    bands: list[int] | None = None,
    most: int = MOST,
) -> Calibration:
    """Training images of a dataset, spread over it.

    Args:
        data: Data YAML or the name of a shipped dataset.
        family: ``"rtdetr"`` or ``"yolo"``: how pictures are resized.
        size: Input size, (height, width) in pixels.
        batch: Pictures per batch.
        channels: Channels of the network.
        sar: How the model's SAR files become pictures.
        bands: Bands of the files that the model takes.
        most: Largest number of images.

    Raises:
        DataError: The dataset has no training image.
    """
    from rsdet.data.pictures import reader_of
    from rsdet.data.resolve import split_files

    files, spec = split_files(data, "train", most)
    if not files:
        raise DataError(f"data={data} has no training image to calibrate INT8 on; add some, or leave int8 out.")
    return Calibration(
        files,
        batch,
        reader_of(sar, channels, bands if spec.get("bands") is None else spec["bands"]),
        lambda pictures: preprocess(pictures, family, size),
    )

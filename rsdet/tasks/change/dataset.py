"""Samples of a training: windows of pairs at their own resolution, whose two dates and label share one geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from rsdet.data.dates import DatePair, LabelReader
from rsdet.data.sar.header import read_sar_header
from rsdet.data.turns import Turns
from rsdet.metrics.confusion import IGNORE
from rsdet.runtime.geometry import PAD
from rsdet.tasks.change.reading import PairReader


@dataclass(frozen=True)
class Views(Turns):
    """What may be done to a sample.

    Attributes:
        jitter: Of each date by itself, how much brightness and contrast change at most: parts of 1.
        swap: Probability that the two dates change roles.
    """

    jitter: float = 0.0
    swap: float = 0.0

    def lit(self, dates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change the light of both dates (S, S, 2 * C) uint8, and now and then their order."""
        both = np.split(dates, 2, axis=2)
        if rng.random() < self.swap:
            both = both[::-1]
        if self.jitter:
            both = [self._lit(date, *rng.uniform(-self.jitter, self.jitter, 2)) for date in both]
        return np.concatenate(both, 2)

    @staticmethod
    def _lit(date: np.ndarray, brightness: float, contrast: float) -> np.ndarray:
        values = date.astype(np.float32)
        mean = values.mean()
        return np.rint((values - mean) * (1 + contrast) + mean + 255 * brightness).clip(0, 255).astype(np.uint8)


class ChangeWindows(Dataset):
    """Samples ``{"img", "change", "im_file"}``: (2 * bands, S, S) uint8 and (S, S) int64 of 0, 1 and 255.

    An epoch has as many windows of a pair as cover its area. Where a picture is smaller than a window, the rest is
    gray and of no class. Everything random about a sample comes from (seed, epoch, its number), and the epoch is part
    of the index: ``dataset[i + epoch * len(dataset)]``, as :class:`rsdet.tasks.resuming.Passes` counts.

    Args:
        pairs: Of one split.
        reader: Reads them.
        labels: Reads their labels.
        side: Side of the windows in pixels.
        views: What is done to them; None for nothing, and windows in the middle.
        seed: Any whole number.
        cache: Keep what was read in memory.
    """

    def __init__(
        self,
        pairs: Sequence[DatePair],
        reader: PairReader,
        labels: LabelReader,
        side: int,
        views: Views | None = None,
        seed: int = 0,
        cache: bool = False,
    ):
        self.pairs, self.reader, self.labels = list(pairs), reader, labels
        self.side, self.views, self.seed = side, views, seed
        headers = [read_sar_header(p.before) for p in self.pairs]
        counts = [max(1, round(h.width * h.height / side**2)) for h in headers]
        self.windows = np.repeat(np.arange(len(self.pairs)), counts)
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample; see the class."""
        epoch, i = divmod(index, len(self))
        rng = np.random.default_rng((self.seed % 2**32, epoch, i))
        number = int(self.windows[i])
        dates, change = self.read(number)
        sample = self._window(dates, change, rng)
        if self.views is not None:
            sample = self.views(sample, rng)
        shown, change = sample[..., :-1], sample[..., -1]
        if self.views is not None:
            shown = self.views.lit(shown, rng)
        return {
            "img": torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1))),
            "change": torch.from_numpy(change.astype(np.int64)),
            "im_file": str(self.pairs[number].before),
        }

    def read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Both dates (H, W, 2 * bands) uint8 and the label (H, W) uint8 of a pair."""
        if self._kept is not None and number in self._kept:
            return self._kept[number]
        pair = self.pairs[number]
        found = self.reader.labelled(pair, self.labels)
        if self._kept is not None:
            self._kept[number] = found
        return found

    def _window(self, dates: np.ndarray, change: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(S, S, 2 * bands + 1) uint8: a window of both dates and of the label, which no later step tells apart."""
        height, width = change.shape
        room = np.maximum([height - self.side, width - self.side], 0)
        top, left = rng.integers(0, room + 1) if self.views is not None else room // 2
        at = slice(top, top + self.side), slice(left, left + self.side)
        sample = np.full((self.side, self.side, dates.shape[2] + 1), PAD, np.uint8)
        sample[..., -1] = IGNORE
        part = np.concatenate([dates[at], change[at][..., None]], 2)
        sample[: part.shape[0], : part.shape[1]] = part
        return sample

"""Samples of semi-supervised training: a labelled picture and one that need not be, weakly augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, default_collate
from ultralytics.utils import LOGGER, RANK

from rsdet.data.semi.labelled import divide
from rsdet.data.semi.object_masks import ObjectChoice
from rsdet.data.semi.weak import WeakView
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE

NAMES = ("weak", "weak_label", "weak_valid", "object", "valid")  # of what a batch holds beside Ultralytics' own


@dataclass(frozen=True)
class SemiData:
    """What a sample is made of, beside a data set.

    Attributes:
        labeled: Share of its pictures whose masks are used, or a file that lists them.
        unlabeled: Folders, globs or lists of more pictures.
        seed: Of the share, and of every sample.
        crop: Side of a sample in pixels.
        scale: How much smaller or larger than in the file it is drawn, at most: 1 / (1 + scale) to 1 + scale.
        flip: Probability of a mirrored sample.
        rot90: Whether samples are turned.
        objects: Folder of masks of objects, ``<name of the picture>.json``; None for none.
        choice: Which of these objects may be pasted.
    """

    labeled: float | str = 1.0
    unlabeled: tuple[str, ...] = ()
    seed: int = 0
    crop: int = 512
    scale: float = 1.0
    flip: float = 0.5
    rot90: bool = False
    objects: Path | None = None
    choice: ObjectChoice = field(default_factory=ObjectChoice)


class SemiDataset(Dataset):
    """Pairs of a labelled and another picture; all that is random about one comes from seed, epoch and number.

    Args:
        base: The data set of pictures and masks.
        spec: What is made of it.

    Attributes:
        share: Which pictures have labels.
    """

    def __init__(self, base: Any, spec: SemiData):
        self.base, self.spec = base, spec
        self.labels, self.include_class, self.load_mask = base.labels, base.include_class, base.load_mask
        self._place = {Path(f): i for i, f in enumerate(base.im_files)}
        self.share = divide(list(self._place), spec.labeled, spec.seed, spec.unlabeled)
        self._known = frozenset(self.share.labelled)
        if RANK in {-1, 0}:
            LOGGER.info(f"semi-supervised: {self.share.describe()}")
        if not any((self._mask(p) != IGNORE).any() for p in self.share.labelled):
            raise DataError(
                f"no pixel of the {len(self.share.labelled)} masks with labels ({self.share.how}) has a class (all are "
                f"{IGNORE}); raise labeled=, or check what the masks hold."
            )

    def __len__(self) -> int:
        return len(self.share.unlabelled)

    def __getitem__(self, index: int) -> dict[str, Any]:
        epoch, i = divmod(index, len(self))
        labelled = self.share.labelled[self._partners(epoch)[i]]
        rng = np.random.default_rng((self.spec.seed, epoch, i))
        img, mask, valid, _ = self._sample(labelled, rng, objects=False)
        other = self._sample(self.share.unlabelled[i], rng, objects=True)
        return {
            "img": img,
            "semantic_mask": mask,
            "im_file": str(labelled),
            **dict(zip(NAMES, (*other, valid), strict=True)),
        }

    @staticmethod
    def collate_fn(batch: list[dict[str, Any]]) -> dict[str, Any]:
        """Stack samples."""
        return default_collate(batch)

    @lru_cache(maxsize=2)  # noqa: B019 (one data set lives as long as the training)
    def _partners(self, epoch: int) -> np.ndarray:
        """The labelled picture beside each other one: all of them equally often, in a new order in every epoch."""
        count = len(self.share.labelled)
        rng = np.random.default_rng((self.spec.seed, epoch))
        laps = [rng.permutation(count) for _ in range(-(-len(self) // count))]
        return np.concatenate(laps)[: len(self)]

    def _mask(self, path: Path) -> np.ndarray:
        i = self._place[path]
        mask = self.base.load_mask(i, image_shape=tuple(self.base.labels[i]["shape"]))
        kept = self.base.include_class
        return mask if kept is None else np.where(np.isin(mask, kept), mask, np.uint8(IGNORE))

    def _sample(self, path: Path, rng: np.random.Generator, objects: bool) -> Sequence[torch.Tensor]:
        """Picture (C, H, W) uint8, labels (H, W), where there are data, and one object."""
        s, reader = self.spec, self.base.reader
        picture, there = reader.with_valid(path) if reader.of_values else (reader(path), None)
        size = picture.shape[:2]
        view = WeakView.draw(size, s.crop, rng, (1 / (1 + s.scale), 1 + s.scale), s.flip, s.rot90)
        mask = self._mask(path) if path in self._known else np.full(size, IGNORE, np.uint8)
        there = np.ones(size, bool) if there is None else there
        cut = np.zeros(size, bool)
        if objects and s.objects is not None and (file := s.objects / f"{path.stem}.json").is_file():
            cut = s.choice.draw(file, size, rng)
        shown = view.apply(picture, fill=reader.stretch.blank if reader.of_values else 0, smooth=True)
        shown = np.ascontiguousarray((shown[..., ::-1] if shown.shape[2] == 3 else shown).transpose(2, 0, 1))
        labels = view.apply(mask, fill=IGNORE).astype(np.int64)
        return tuple(torch.from_numpy(x) for x in (shown, labels, view.apply(there), view.apply(cut)))

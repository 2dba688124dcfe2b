"""Patches for a training: turned, and given to it in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from ultralytics.data.build import InfiniteDataLoader

from rsdet.data.turns import Turns
from rsdet.tasks.landcover.patches import patches_at
from rsdet.tasks.loaders import shuffled_loader


class PatchDataset(Dataset):
    """Samples ``{"img": (C, p, p) float32, "cls": class from 0, "im_file": the scene}``.

    Everything random about a sample comes from (seed, epoch, its number), and the epoch is part of the index:
    ``dataset[i + epoch * len(dataset)]``, as :class:`rsdet.tasks.resuming.Passes` counts.

    Args:
        scene: See :func:`rsdet.tasks.landcover.patches.padded`.
        patch: Side of a patch.
        labels: (H, W) class numbers from 1.
        mask: (H, W) bool: the pixels.
        turns: What is done to patches, cube and LiDAR alike; None for nothing. The pixel of an even patch moves by one
            with it.
        seed: Any whole number.
        name: Of the scene.
    """

    def __init__(
        self,
        scene: np.ndarray,
        patch: int,
        labels: np.ndarray,
        mask: np.ndarray,
        turns: Turns | None = None,
        seed: int = 0,
        name: str = "",
    ):
        self.scene, self.patch, self.turns, self.seed, self.name = scene, patch, turns, seed, name
        self.rows, self.cols = np.nonzero(mask)
        self.classes = torch.from_numpy(labels[mask].astype(np.int64) - 1)

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample; see the class."""
        epoch, i = divmod(index, len(self))
        patch = patches_at(self.scene, self.patch, self.rows[i : i + 1], self.cols[i : i + 1])[0]
        if self.turns is not None:
            rng = np.random.default_rng((self.seed % 2**32, epoch, i))
            patch = self.turns(patch.transpose(1, 2, 0), rng).transpose(2, 0, 1)
        return {"img": torch.from_numpy(np.ascontiguousarray(patch)), "cls": self.classes[i], "im_file": self.name}


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: patches (N, C, p, p), classes (N,)."""
    return {
        "img": torch.stack([s["img"] for s in samples]), "cls": torch.stack([s["cls"] for s in samples]),
        "im_file": [s["im_file"] for s in samples],
    }  # fmt: skip


def train_loader(dataset: PatchDataset, batch: int, *, workers: int = 0, seed: int = 0) -> InfiniteDataLoader:
    """Batches of patches; a last one of a single patch, which BatchNorm cannot learn from, is left out."""
    batch = min(batch, len(dataset))
    single = len(dataset) % batch == 1 and batch > 1
    return shuffled_loader(dataset, batch, workers=workers, seed=seed, drop_last=single, collate=collate)

"""Patches for a training: turned, and given to it in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, RandomSampler, SequentialSampler
from ultralytics.data.build import InfiniteDataLoader, seed_worker

from rsdet.tasks.landcover.patches import patches_at
from rsdet.tasks.resuming import count_passes


class Turns:
    """Mirror and turn patches at random, cube and LiDAR alike. The pixel of an even patch moves by one with it.

    Args:
        fliplr: Probability that left and right are exchanged.
        flipud: That top and bottom are.
        rot90: Of a turn by 90, 180 or 270 degrees.
    """

    def __init__(self, fliplr: float = 0.0, flipud: float = 0.0, rot90: float = 0.0):
        self.fliplr, self.flipud, self.rot90 = fliplr, flipud, rot90

    def __call__(self, patch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change a patch (C, p, p)."""
        left, up, turn = rng.random(3)
        k = int(rng.integers(1, 4))
        patch = patch[..., ::-1] if left < self.fliplr else patch
        patch = patch[:, ::-1] if up < self.flipud else patch
        return np.rot90(patch, k, (1, 2)) if turn < self.rot90 else patch


class PatchDataset(Dataset):
    """Samples ``{"img": (C, p, p) float32, "cls": class from 0, "im_file": the scene}``.

    Everything random about a sample comes from (seed, epoch, its number), and the epoch is part of the index:
    ``dataset[i + epoch * len(dataset)]``, as :class:`rsdet.tasks.resuming.Passes` counts.

    Args:
        scene: See :func:`rsdet.tasks.landcover.patches.padded`.
        patch: Side of a patch.
        labels: (H, W) class numbers from 1.
        mask: (H, W) bool: the pixels.
        turns: What is done to patches; None for nothing.
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
            patch = self.turns(patch, np.random.default_rng((self.seed % 2**32, epoch, i)))
        return {"img": torch.from_numpy(np.ascontiguousarray(patch)), "cls": self.classes[i], "im_file": self.name}


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch: patches (N, C, p, p), classes (N,)."""
    return {
        "img": torch.stack([s["img"] for s in samples]), "cls": torch.stack([s["cls"] for s in samples]),
        "im_file": [s["im_file"] for s in samples],
    }  # fmt: skip


def loader_of(dataset: PatchDataset, batch: int, *, shuffle: bool, workers: int = 0, seed: int = 0) -> Any:
    """Batches of patches; shuffled, in an order that depends on seed and epoch alone.

    A last one of a single patch, which BatchNorm cannot learn from, is left out.
    """
    batch = min(batch, len(dataset))
    sampler = RandomSampler(dataset, generator=torch.Generator()) if shuffle else SequentialSampler(dataset)
    loader = InfiniteDataLoader(
        dataset, batch_size=batch, sampler=sampler, collate_fn=collate, num_workers=workers,
        drop_last=shuffle and len(dataset) % batch == 1 and batch > 1, worker_init_fn=seed_worker,
        pin_memory=workers > 0, generator=torch.Generator().manual_seed(seed % 2**32),
    )  # fmt: skip
    return count_passes(loader, seed) if shuffle else loader

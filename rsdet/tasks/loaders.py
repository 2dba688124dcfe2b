"""Batches of data sets that Ultralytics has no loaders for, and the way to the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, DistributedSampler, RandomSampler, Sampler, SequentialSampler
from ultralytics.data.build import InfiniteDataLoader, seed_worker

from rsdet.tasks.resuming import count_passes


def shuffled_loader(
    dataset: Dataset, batch: int, *, workers: int, seed: int, rank: int = -1, world: int = 1, **options: Any
) -> InfiniteDataLoader:
    """Batches in an order that depends on seed and epoch alone.

    Args:
        dataset: Its index carries the epoch, as :class:`rsdet.tasks.resuming.Passes` counts.
        batch: Samples of a batch and process.
        workers: Worker processes.
        seed: Of the order.
        rank: Of this process; -1 without others.
        world: Number of processes.
        **options: See :func:`loader_of`.
    """
    if rank >= 0 and world > 1:
        sampler: Any = DistributedSampler(dataset, world, rank, shuffle=True, seed=seed)
    else:
        sampler = RandomSampler(dataset, generator=torch.Generator())
    return count_passes(loader_of(dataset, batch, sampler, workers=workers, seed=seed, **options), seed)


def loader_of(
    dataset: Dataset,
    batch: int,
    sampler: Sampler[int] | Sequence[int] | None = None,
    *,
    workers: int,
    seed: int = 0,
    drop_last: bool = False,
    collate: Callable[[Sequence[Any]], Any] | None = None,
) -> InfiniteDataLoader:
    """Batches of a data set.

    Args:
        dataset: The data set.
        batch: Samples of a batch, as far as there are so many.
        sampler: Draws them; in their own order where None.
        workers: Worker processes.
        seed: Of what workers draw at random.
        drop_last: Leave out a batch that is not full.
        collate: Makes a batch of samples; PyTorch's own way where None.
    """
    sampler = SequentialSampler(dataset) if sampler is None else sampler
    return InfiniteDataLoader(
        dataset, batch_size=max(1, min(batch, len(sampler))), sampler=sampler, drop_last=drop_last, collate_fn=collate,
        num_workers=workers, worker_init_fn=seed_worker, pin_memory=workers > 0,
        generator=torch.Generator().manual_seed(seed % 2**32),  # else PyTorch draws from what dropout draws from
    )  # fmt: skip


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch with its tensors on a device."""
    move = {"device": device, "non_blocking": device.type == "cuda"}
    return {k: v.to(**move) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}


def pictures_to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The same, with pictures ``img`` of bytes as numbers in [0, 1]."""
    moved = to_device(batch, device)
    return {**moved, "img": moved["img"].float() / 255}

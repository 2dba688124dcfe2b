"""From a data YAML of pairs to the loaders of a training or a validation."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from ultralytics.data.build import InfiniteDataLoader

from rsdet.data.pairs import PairData, read_pair_data
from rsdet.data.pairs.dataset import PairDataset, PairSampler, collate
from rsdet.data.raster_io import write_image
from rsdet.data.resolve import resolve_data
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say
from rsdet.tasks.loaders import loader_of

CACHES = {None: "none", False: "none", True: "ram", "ram": "ram", "disk": "disk", "none": "none"}


def read_pairs(data: str | Path, model: Any, splits: tuple[str, ...]) -> PairData:
    """Read a data set and make sure that a model can work on it.

    Args:
        data: Path of the data YAML.
        model: Network or method with ``scale``, ``kind`` and ``channels`` (None for any number).
        splits: Splits that are needed.

    Raises:
        DataError: A split is missing, the channels do not fit, or what :func:`read_pair_data` finds.
        ConfigError: The YAML is none, or is for another task.
    """
    pairs = read_pair_data(data, scale=model.scale, splits=splits)
    for split in splits:
        pairs.split(split)
    channels = channels_of(model)
    if channels is not None and pairs.channels != channels:
        raise DataError(
            f"{pairs.path.name} has channels: {pairs.channels}, the model takes {channels}; build the model with "
            f"channels={pairs.channels}, or change the data YAML."
        )
    if pairs.kind is not None and pairs.kind != model.kind:
        say(f"{pairs.path.name} is for {pairs.kind}, the model is for {model.kind}.", logging.WARNING)
    return pairs


def channels_of(model: Any) -> int | None:
    """Channels that a network, method or enhancer takes; None for any number."""
    network = getattr(model, "network", model)
    return getattr(network, "channels", None)


def cache_of(cache: Any) -> str:
    """How :class:`PairDataset` shall keep pictures, from what Ultralytics' ``cache=`` takes."""
    if cache not in CACHES:
        raise ConfigError(f"cache={cache!r} must be ram, disk or none.")
    return CACHES[cache]


def train_loader(
    pairs: PairData, *, scale: int, patch: int, batch: int, repeats: int, seed: int, cache: str, workers: int,
    rank: int = -1, world: int = 1, fraction: float = 1.0, augment: bool = True,
) -> InfiniteDataLoader:  # fmt: skip
    """Random patches of the split ``train``.

    Args:
        pairs: The data set.
        scale: Target pixels per input pixel.
        patch: Side of the input patches in pixels.
        batch: Patches per batch and process.
        repeats: Patches of each picture in an epoch.
        seed: Of order and patches.
        cache: ``none``, ``ram`` or ``disk``.
        workers: Worker processes.
        rank: Of this process; -1 without others.
        world: Number of processes.
        fraction: Part of the pictures to use.
        augment: Turn and mirror at random.
    """
    chosen = pairs.split("train")
    chosen = chosen[: max(1, round(len(chosen) * fraction))] if isinstance(fraction, float) else chosen[:fraction]
    dataset = PairDataset(
        chosen, scale=scale, patch_px=patch, augment=augment, degrade=pairs.degradation(scale), seed=seed, cache=cache,
        **pairs.reading(),
    )  # fmt: skip
    sampler = PairSampler(len(dataset), seed, rank=max(rank, 0), world=max(world, 1), repeats=repeats)
    return loader_of(dataset, batch, sampler, workers=workers, seed=seed, drop_last=True, collate=collate)


def val_dataset(pairs: PairData, split: str, *, scale: int, seed: int, cache: str) -> PairDataset:
    """Whole pictures of a split; inputs made on the fly are the same in every run with the same seed."""
    return PairDataset(
        pairs.split(split), scale=scale, degrade=pairs.degradation(scale), seed=seed, cache=cache, **pairs.reading()
    )


def val_loader(dataset: PairDataset, *, rank: int = -1, world: int = 1, workers: int = 0) -> InfiniteDataLoader:
    """Whole pictures one at a time; of several processes, each takes every so many."""
    sampler = None if rank < 0 else range(rank, len(dataset), world)  # no picture twice, or it would count twice
    return loader_of(dataset, 1, sampler, workers=workers, collate=collate)


def input_files(data: str | Path, scale: int, folder: Path, most: int) -> list[Path]:
    """Files of inputs of the validation split, spread over it.

    Args:
        data: Data YAML or the name of a shipped dataset.
        scale: Target pixels per input pixel.
        folder: Where inputs go that are no files as they are: degraded on the fly, bands chosen, values stretched.
        most: No more than these.
    """
    pairs = read_pair_data(resolve_data(data, "restore"), scale=scale, splits=("val",))
    step = -(-len(pairs.split("val")) // most)
    inputs = [p.input for p in pairs.split("val")[::step]]
    if None not in inputs and pairs.bands is None and pairs.value_range is None:
        return inputs
    made = val_dataset(pairs, "val", scale=scale, seed=0, cache="none")
    suffix = ".png" if pairs.channels in (1, 3) else ".tif"
    return [
        write_image(folder / f"{Path(made[i]['im_file']).stem}-{i}{suffix}", made[i]["img"].numpy().transpose(1, 2, 0))
        for i in range(0, len(made), step)
    ]


def check_has_work(loader: InfiniteDataLoader, pairs: PairData) -> None:
    """Refuse a training set without a single batch."""
    if not len(loader):
        raise DataError(f"{pairs.path.name}: train gives no batch; lower batch=, or raise repeats=.")

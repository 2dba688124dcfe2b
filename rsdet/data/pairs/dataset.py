"""Pairs as a PyTorch dataset: patches for training, whole pictures for validation, inputs made on the fly."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from rsdet.data.degrade import Degradation
from rsdet.data.degrade.resize import crop_to_multiple
from rsdet.data.pairs.cache import Store, as_float
from rsdet.data.pairs.crops import cut, draw_place, turn
from rsdet.data.pairs.matching import Pair
from rsdet.errors import ConfigError, DataError


class PairDataset(Dataset):
    """Samples ``{"img", "target", "im_file", "ori_shape"}`` of pairs.

    ``img`` is (C, h, w) and ``target`` (C, scale * h, scale * w), float32 in [0, 1]; ``im_file`` the path of the input
    (of the target where the input is made of it); ``ori_shape`` (height, width) of the whole input picture.

    Everything random about a sample comes from (seed, epoch, its key): it is the same in any worker, on any rank and
    with any number of workers. The epoch is part of the index: ``dataset[i + epoch * len(dataset)]``, as
    :class:`PairSampler` counts, because a worker that prefetches is ahead of any counter in the main process.

    Args:
        pairs: Of one split.
        scale: Target pixels per input pixel.
        channels: Channels of both pictures.
        patch_px: Side of the square patch of the *input*; the target's patch is ``scale`` times as large. Smaller
            pictures are mirrored at the border. None gives whole pictures, cut to a multiple of the scale.
        augment: Quarter turns and mirroring, at random.
        degrade: Makes the inputs that pairs lack.
        seed: Any whole number.
        cache: ``none``, ``ram`` or ``disk``; see :class:`rsdet.data.pairs.cache.Store`.
        bands: Bands to take of the files, counted from 1.
        value_range: File values that are black and white.
        cache_dir: Folder for ``cache="disk"``.

    Raises:
        ConfigError: A patch of less than one pixel, or a pair without input and no ``degrade``.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        scale: int = 1,
        channels: int = 3,
        patch_px: int | None = None,
        augment: bool = False,
        degrade: Degradation | None = None,
        seed: int = 0,
        cache: str = "none",
        bands: list[int] | None = None,
        value_range: tuple[float, float] | None = None,
        cache_dir: Path | None = None,
    ):
        if patch_px is not None and (not isinstance(patch_px, int) or patch_px < 1):
            raise ConfigError(f"patch must be a whole number of pixels from 1, received {patch_px!r}")
        if degrade is None and (bare := [p for p in pairs if p.input is None]):
            raise ConfigError(f"{bare[0].target} has no input and nothing makes one; add degrade: to the data YAML")
        if degrade is not None and degrade.scale != scale:
            raise ConfigError(f"degrade: shrinks by {degrade.scale} and the model enlarges by {scale}; make them equal")
        self.pairs, self.scale, self.patch_px = list(pairs), scale, patch_px
        self.augment, self.degrade, self.seed = augment, degrade, seed
        self.store = Store(cache, cache_dir, channels=channels, bands=bands, value_range=value_range)
        self.store.fill(p for pair in self.pairs for p in (pair.input, pair.target) if p)

    def __len__(self) -> int:
        return len(self.pairs)

    def rng(self, index: int) -> np.random.Generator:
        """The generator of a sample; ``index`` counts on from epoch to epoch."""
        epoch, i = divmod(index, len(self.pairs))
        return np.random.default_rng(
            (self.seed % 2**32, epoch, zlib.crc32(self.pairs[i].key.encode("utf-8", "replace")))
        )

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample; see the class."""
        if index < 0:
            index += len(self.pairs)
        pair, rng = self.pairs[index % len(self.pairs)], self.rng(index)
        target = self.store.get(pair.target)
        made = pair.input is None
        source = target if made else self.store.get(pair.input)
        s = self.scale
        hw = tuple(n // s for n in target.shape[:2]) if made else source.shape[:2]
        if not made:
            self._check_sizes(pair, source, target)
        size = (self.patch_px, self.patch_px) if self.patch_px else hw
        y, x = draw_place(hw, self.patch_px, rng) if self.patch_px else (0, 0)
        turns, flip = (int(rng.integers(4)), bool(rng.integers(2))) if self.augment else (0, False)
        if made:
            img, clear = self._degraded(crop_to_multiple(target, s), y, x, size, turns, flip, rng)
        else:
            img = turn(as_float(cut(source, y, x, *size)), turns, flip)
            clear = turn(
                as_float(cut(target[: hw[0] * s, : hw[1] * s], y * s, x * s, size[0] * s, size[1] * s)), turns, flip
            )
        return {
            "img": _tensor(img), "target": _tensor(clear), "im_file": str(pair.input or pair.target), "ori_shape": hw,
        }  # fmt: skip

    def _degraded(
        self,
        target: np.ndarray,
        y: int,
        x: int,
        size: tuple[int, int],
        turns: int,
        flip: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Input and target of a place; the input equals this place of the whole degraded picture."""
        s, margin = self.scale, self.degrade.margin_px if self.patch_px else 0
        wide = cut(target, y * s - margin, x * s - margin, size[0] * s + 2 * margin, size[1] * s + 2 * margin)
        bits = np.iinfo(wide.dtype).bits if wide.dtype.kind == "u" else None
        wide = np.ascontiguousarray(turn(as_float(wide), turns, flip))
        img = self.degrade(wide, rng)
        bits = bits if self.degrade.bits == "source" else self.degrade.bits
        if bits is not None:  # as if it had been stored: a network must not see what a file cannot hold
            img = np.rint(img * np.float32(2**bits - 1)) / np.float32(2**bits - 1)
        inner = margin // s
        img = img[inner : img.shape[0] - inner, inner : img.shape[1] - inner]
        return img, wide[margin : wide.shape[0] - margin, margin : wide.shape[1] - margin]

    def _check_sizes(self, pair: Pair, source: np.ndarray, target: np.ndarray) -> None:
        if tuple(n // self.scale for n in target.shape[:2]) != source.shape[:2]:
            (h, w), (th, tw) = source.shape[:2], target.shape[:2]
            raise DataError(f"{pair.input} is {w}x{h} and its target {tw}x{th}, not x{self.scale}; mend or remove them")


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), np.float32, order="C"))  # a copy: never the cache


class PairSampler(Sampler[int]):
    """Indices for :class:`PairDataset` that carry the epoch; each pass over it is the next one.

    Args:
        n: Samples of the dataset.
        seed: Of the order, a new one each epoch, the same on every rank.
        rank: Of this process; it takes every ``world``-th sample.
        world: Processes. Where they do not divide ``n``, the first samples are taken twice.
        start_epoch: Number of the next pass; set it when a training is resumed.
        repeats: Each sample this many times an epoch, with a patch of its own each time.
    """

    def __init__(self, n: int, seed: int = 0, rank: int = 0, world: int = 1, start_epoch: int = 0, repeats: int = 1):
        self.n, self.seed, self.rank, self.world = n, seed, rank, world
        self.epoch, self.repeats = start_epoch, repeats

    def __len__(self) -> int:
        return -(-self.n * self.repeats // self.world)

    def __iter__(self) -> Iterator[int]:
        # A repeat is an epoch of its own to the dataset, so that it draws another patch.
        first = self.epoch * self.repeats * self.n
        self.epoch += 1
        order = np.random.default_rng((self.seed % 2**32, first)).permutation(self.n * self.repeats)
        order = np.resize(order, len(self) * self.world)
        return iter((first + order[self.rank :: self.world]).tolist())

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: it counts its passes itself, since workers that prefetch are ahead of the trainer."""


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Batch of samples: tensors stacked, all else listed.

    Raises:
        DataError: Pictures of different sizes.
    """
    shapes = {tuple(s["img"].shape) for s in samples}
    if len(shapes) > 1:
        sizes = ", ".join(f"{w}x{h}" for _, h, w in sorted(shapes)[:3])
        raise DataError(f"pictures of {len(shapes)} sizes ({sizes}) cannot be one batch; use batch=1 or patch=")
    stacked = {key: torch.stack([s[key] for s in samples]) for key in ("img", "target")}
    return stacked | {key: [s[key] for s in samples] for key in ("im_file", "ori_shape")}

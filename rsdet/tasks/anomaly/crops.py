"""What a network learns from: random crops of cubes, turned and mirrored, with or without masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from ultralytics.data.build import InfiniteDataLoader

from rsdet.data.pairs.dataset import PairSampler, collate
from rsdet.errors import DataError
from rsdet.tasks.anomaly.scene import CubeScene
from rsdet.tasks.loaders import loader_of

_CELL_PX = 8  # of the grid that masks are spread over, one in a cell
_MASKS, _MASK_PX = (1, 32), (3, 20)  # masks of a crop, and pixels of a mask: AETNet's


class CropDataset(Dataset):
    """Crops of cubes; a sample depends on seed and index alone, and an index beyond the cubes is another crop.

    Args:
        scenes: Cubes of the same bands; held in memory, scaled as networks take them.
        side: Of the crops in pixels; cut to the smallest cube.
        seed: Of places, turns and masks.
        masked: Set some pixels of the input to zero, as AETNet does: the loss is that of the whole crop.

    Raises:
        DataError: The cubes have different numbers of bands.
    """

    def __init__(self, scenes: Sequence[CubeScene], side: int, seed: int = 0, masked: bool = False):
        if len({scene.bands for scene in scenes}) > 1:
            told = ", ".join(f"{scene.name} {scene.bands}" for scene in scenes)
            raise DataError(f"the cubes have different numbers of usable bands ({told}); choose some with bands=.")
        self.names = [scene.name for scene in scenes]
        self.cubes = [torch.from_numpy(scene.scaled(slice(0, scene.size_hw[0]))).share_memory_() for scene in scenes]
        self.side = min(side, *(n for scene in scenes for n in scene.size_hw))
        self.seed, self.masked = seed, masked

    def __len__(self) -> int:
        return len(self.cubes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``img`` and ``target`` (B, side, side) float32, with the name of the cube."""
        rng = np.random.default_rng((self.seed % 2**32, index))
        cube, name = self.cubes[index % len(self)].numpy(), self.names[index % len(self)]
        top, left = (int(rng.integers(0, n - self.side + 1)) for n in cube.shape[:2])
        x = cube[top : top + self.side, left : left + self.side]
        x = np.rot90(x, int(rng.integers(4)))
        x = x[:, ::-1] if rng.random() < 0.5 else x
        target = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)))
        image = target
        if self.masked:
            image = target.clone()
            image[:, torch.from_numpy(random_masks(rng, self.side))] = 0
        return {"img": image, "target": target, "im_file": name, "ori_shape": (self.side, self.side)}


def random_masks(rng: np.random.Generator, side: int) -> np.ndarray:
    """Where a crop is masked: some connected patches, each in a cell of its own.

    Args:
        rng: Random numbers.
        side: Of the crop in pixels.

    Returns:
        (side, side) bool.
    """
    out = np.zeros((side, side), bool)
    across = max(1, side // _CELL_PX)
    count = min(int(rng.integers(_MASKS[0], _MASKS[1] + 1)), across**2)
    for cell in rng.choice(across**2, count, replace=False).tolist():
        top, left = cell // across * _CELL_PX, cell % across * _CELL_PX
        window = out[top : top + _CELL_PX, left : left + _CELL_PX]
        _grow(rng, window, min(int(rng.integers(_MASK_PX[0], _MASK_PX[1] + 1)), window.size))
    return out


def _grow(rng: np.random.Generator, window: np.ndarray, pixels: int) -> None:
    """Set so many connected pixels of an empty window."""
    height, width = window.shape
    edge = [(int(rng.integers(height)), int(rng.integers(width)))]
    while pixels and edge:
        y, x = edge.pop(int(rng.integers(len(edge))))
        if window[y, x]:
            continue
        window[y, x] = True
        pixels -= 1
        near = ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1))
        edge += [(i, j) for i, j in near if 0 <= i < height and 0 <= j < width and not window[i, j]]


def crop_loader(
    dataset: CropDataset, *, batch: int, repeats: int, workers: int, rank: int = -1, world: int = 1
) -> InfiniteDataLoader:
    """Crops to train on.

    Args:
        dataset: The crops.
        batch: Crops per batch and process.
        repeats: Crops of each cube in an epoch.
        workers: Worker processes.
        rank: Of this process; -1 without others.
        world: Number of processes.
    """
    sampler = PairSampler(len(dataset), dataset.seed, rank=max(rank, 0), world=max(world, 1), repeats=repeats)
    return loader_of(dataset, batch, sampler, workers=workers, seed=dataset.seed, drop_last=True, collate=collate)


class SceneList(Dataset):
    """Scenes in the place of a validation set, for what Ultralytics asks of one."""

    def __init__(self, scenes: Sequence[CubeScene]):
        self.scenes = list(scenes)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> CubeScene:
        return self.scenes[index]

    def __iter__(self) -> Iterator[CubeScene]:
        return iter(self.scenes)


def scene_loader(scenes: Sequence[CubeScene]) -> InfiniteDataLoader:
    """Whole scenes one by one."""
    return loader_of(SceneList(scenes), 1, workers=0, collate=list)

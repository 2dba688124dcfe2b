"""An object of one picture of a batch, turned and scaled in its place, pasted into another with all that belongs to it.

Maps of a batch (pictures, classes, confidences, probabilities) go the same way, so that what lies at a pixel of the
result comes from one pixel of one picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rsdet.errors import ConfigError


@dataclass(frozen=True)
class ObjectChange:
    """What happens to a cut-out object, about its own middle.

    Attributes:
        flip: Probability of a horizontal flip.
        rotate: Probability of a turn by 0 to 30 degrees.
        rescale: Probability of a change of its size to 0.8 to 1.25.
    """

    flip: float = 0.5
    rotate: float = 0.5
    rescale: float = 0.5
    degrees: tuple[float, float] = (0.0, 30.0)
    scales: tuple[float, float] = (0.8, 1.25)

    def __post_init__(self) -> None:
        for name in ("flip", "rotate", "rescale"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)!r} received; expected a probability, 0 to 1")

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """(2, 2) float64: from an offset (x, y) in the result to the offset in the source."""
        angle = math.radians(rng.uniform(*self.degrees)) if rng.random() < self.rotate else 0.0
        scale = rng.uniform(*self.scales) if rng.random() < self.rescale else 1.0
        mirror = -1.0 if rng.random() < self.flip else 1.0
        c, s = math.cos(angle) / scale, math.sin(angle) / scale
        return np.array([[mirror * c, mirror * s], [-s, c]])


def paste(
    maps: Sequence[torch.Tensor], regions: torch.Tensor, order: Sequence[int], changes: np.ndarray
) -> list[torch.Tensor]:
    """Maps of a batch with a region of picture ``order[i]`` in picture i, changed on the way.

    Args:
        maps: Each (B, H, W) or (B, C, H, W), of any type. All take the nearest pixel of the source.
        regions: (B, H, W) bool, what is cut out of picture ``order[i]``; where it leaves the picture, it is lost.
        order: Whose pixels each picture gets.
        changes: (B, 2, 2) from offsets in the result to offsets in the source, see :meth:`ObjectChange.draw`.

    Returns:
        New maps; elsewhere they hold what they held.
    """
    rows, cols, inside = _source_pixels(regions, changes)
    at = torch.arange(len(regions), device=regions.device)[:, None, None]
    place = (regions[at, rows, cols] & inside).nonzero(as_tuple=True)
    source = torch.as_tensor(order, device=regions.device)[place[0]], rows[place], cols[place]
    result = []
    for m in maps:
        mixed = m.clone().movedim(1, -1) if m.ndim == 4 else m.clone()
        mixed[place] = (m.movedim(1, -1) if m.ndim == 4 else m)[source]
        result.append(mixed.movedim(-1, 1) if m.ndim == 4 else mixed)
    return result


def _source_pixels(regions: torch.Tensor, changes: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Row and column in the source of every pixel of the result, (B, H, W) each, and whether it lies in the picture."""
    h, w = regions.shape[1:]
    device = regions.device
    rows, cols = (torch.arange(n, device=device, dtype=torch.float32) for n in (h, w))
    mass = regions.sum((1, 2)).clamp(min=1)
    # Half pixels: a flip then maps pixels on pixels.
    middle = [
        ((regions.sum(2) * rows).sum(1) / mass * 2).round() / 2,
        ((regions.sum(1) * cols).sum(1) / mass * 2).round() / 2,
    ]
    y, x = rows[:, None] - middle[0][:, None, None], cols[None] - middle[1][:, None, None]
    change = torch.from_numpy(changes.astype(np.float32)).to(device)[:, :, :, None, None]
    from_x = (change[:, 0, 0] * x + change[:, 0, 1] * y + middle[1][:, None, None]).round().long()
    from_y = (change[:, 1, 0] * x + change[:, 1, 1] * y + middle[0][:, None, None]).round().long()
    inside = (from_x >= 0) & (from_x < w) & (from_y >= 0) & (from_y < h)
    return from_y.clamp(0, h - 1), from_x.clamp(0, w - 1), inside

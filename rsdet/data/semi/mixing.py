"""Strong augmentations that paste part of one picture of a batch into another: CutMix and S5Mars' SAM-Mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from rsdet.data.semi.pasting import ObjectChange, paste
from rsdet.data.semi.regions import component, cutmix_rectangle
from rsdet.errors import ConfigError, nearest

KINDS = ("object", "components", "rect", "box")
# Where masks of SAM-Mix come from -> what is pasted. Those of files and of what is written to files come with samples.
MASK_SOURCES = {
    "file": "object", "sam": "object", "fastsam": "object", "superpixel": "object", "components": "components",
    "rect": "rect",
}  # fmt: skip


@dataclass(frozen=True)
class Mix:
    """One round of pasting.

    Attributes:
        kind: What is cut out. ``object``: the mask that comes with the sample (SAM-Mix), ``components``: a connected
            region of one pseudo-class, both with a rectangle where there is none; ``rect`` and ``box``: CutMix, see
            :func:`rsdet.data.semi.regions.cutmix_rectangle`.
        p: Probability that a picture gets something.
        min_px: Pixels that an object needs, or a rectangle stands in for it.
        change: What happens to objects on the way; rectangles stay as they are.
    """

    kind: str = "object"
    p: float = 1.0
    min_px: int = 100
    change: ObjectChange = field(default_factory=ObjectChange)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(
                f"mix={self.kind!r} received; expected one of {', '.join(KINDS)}.{nearest(self.kind, KINDS)}"
            )
        if not 0 <= self.p <= 1:
            raise ConfigError(f"mix: p={self.p!r} received; expected a probability, 0 to 1")

    def __call__(
        self,
        maps: Sequence[torch.Tensor],
        classes: torch.Tensor,
        objects: torch.Tensor | None,
        rng: np.random.Generator,
    ) -> list[torch.Tensor]:
        """Mix a batch.

        Args:
            maps: (B, H, W) and (B, C, H, W), all that belongs to the pictures.
            classes: (B, H, W) pseudo-classes, for ``components``.
            objects: (B, H, W) masks of objects, for ``object``; None or zeros where there is none.
            rng: Source of all randomness.

        Returns:
            The maps, mixed: outside of what was pasted every value is the one it was.
        """
        count, size = len(classes), tuple(classes.shape[1:])
        order = rng.permutation(count)
        regions, changes = np.zeros((count, *size), bool), np.tile(np.eye(2), (count, 1, 1))
        found = self._objects(classes, objects, order, rng)
        for i in range(count):
            if rng.random() >= self.p:
                continue
            if found is not None and found[i].sum() >= max(self.min_px, 1):
                regions[i], changes[i] = found[i], self.change.draw(rng)
            else:
                regions[i] = cutmix_rectangle(size, rng, "box" if self.kind == "box" else "rect")
        return paste(maps, torch.from_numpy(regions).to(classes.device), order, changes)

    def _objects(
        self, classes: torch.Tensor, objects: torch.Tensor | None, order: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray | None:
        """(B, H, W) bool, the object in the source of each picture; None for rectangles."""
        if self.kind == "components":
            found = classes.cpu().numpy().astype(np.uint8)
            return np.stack([component(found[i], rng) for i in order])
        if self.kind == "object" and objects is not None:
            return objects.cpu().numpy().astype(bool)[order]
        return None

"""Several enhancers as one object, which prediction, validation, benchmark and export understand.

A detector behind a chain sees the enhanced picture and knows nothing of it. Two things tie both together: the picture
comes back as the 8 bits that the detector's reader makes, and boxes found in it are divided by the chain's scale, which
is exact because every part returns exactly scale times the pixels it got.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsdet.enhance.base import Enhancer
from rsdet.enhance.running import check_tiling, enhance
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import say


@dataclass(frozen=True)
class Part:
    """One link of a chain.

    Attributes:
        enhancer: What runs.
        source: File or shipped YAML that it came from; None for a Python object.
        settings: Values that were given for the variables of a YAML.
        key: Tells it from every other, so that pictures kept on disk are never taken for those of another.
    """

    enhancer: Enhancer
    source: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    key: str = ""


class EnhanceChain:
    """Enhancers that work one after the other.

    Args:
        parts: In the order of work.
        tile: Side of the tiles in pixels of each part's input; 0 for the whole at once; None cuts only what is large.
        overlap: Pixels that neighbouring tiles share; chosen where None.

    Attributes:
        parts: The links.
        scale: Pixels of the enhanced picture per pixel of the source, along each axis.
        channels: Channels that it takes; None for any number.
        part_ms: Milliseconds that each part took on the last picture.
        pictures: Pictures enhanced since :meth:`restart`.

    Raises:
        ConfigError: No part, parts that take other channels than those before them, or impossible tiles.
    """

    def __init__(self, parts: Iterable[Part | Enhancer], tile: int | None = None, overlap: int | None = None):
        self.parts = [p if isinstance(p, Part) else Part(p) for p in parts]
        if not self.parts:
            raise ConfigError("enhance= is empty; pass weights, a YAML or an exported file of task=restore.")
        check_tiling(tile, overlap)
        self.tile, self.overlap = tile, overlap
        self.scale = int(np.prod([p.enhancer.scale for p in self.parts]))
        known = {p.enhancer.name: p.enhancer.channels for p in self.parts if p.enhancer.channels is not None}
        if len(set(known.values())) > 1:
            told = ", ".join(f"{name} takes {n}" for name, n in known.items())
            raise ConfigError(f"the parts of enhance= take different channels ({told}); use parts that take the same.")
        self.channels = next(iter(known.values()), None)
        self.part_ms: dict[str, float] = {}
        self.restart()
        self._say_order()

    def restart(self) -> None:
        """Begin to measure time anew."""
        self.pictures, self._spent_ms = 0, dict.fromkeys(self._names(), 0.0)

    def mean_ms(self) -> dict[str, float]:
        """Milliseconds per picture of each part since :meth:`restart`."""
        return {name: ms / max(1, self.pictures) for name, ms in self._spent_ms.items()}

    def time_line(self) -> str:
        """Say what each part took per picture."""
        return "Enhance: " + ", ".join(f"{ms:.1f}ms {name}" for name, ms in self.mean_ms().items()) + " per image"

    def _names(self) -> list[str]:
        names = [p.enhancer.name for p in self.parts]
        return [n if names.count(n) == 1 else f"{n} ({i + 1})" for i, n in enumerate(names)]

    def _say_order(self) -> None:
        kinds = [p.enhancer.kind for p in self.parts]
        late = next((i for i, k in enumerate(kinds) if k != "superres" and "superres" in kinds[:i]), None)
        if late is not None:
            first = self.parts[kinds.index("superres")].enhancer
            say(
                f"enhance: {first.name} enlarges before {self.parts[late].enhancer.name} ({kinds[late]}), which then "
                f"has {first.scale**2} times the pixels and sees what enlarging has made of the haze; usually it "
                "stands first."
            )

    @property
    def offline(self) -> str | None:
        """Name of a part that takes minutes per picture; None where there is none."""
        slow = (p.enhancer.name for p in self.parts if getattr(p.enhancer, "offline", False))
        return next(slow, None)

    @property
    def key(self) -> str:
        """Short name for what this chain makes of a picture."""
        told = json.dumps(
            [[p.key or repr(p.enhancer), p.enhancer.scale] for p in self.parts] + [self.tile, self.overlap]
        )
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def to(self, device: Any) -> EnhanceChain:
        """Move what can be moved."""
        for p in self.parts:
            if hasattr(p.enhancer, "to"):
                p.enhancer.to(device)
        return self

    def apply(self, image: np.ndarray, name: str = "the picture") -> np.ndarray:
        """Enhance a picture.

        Args:
            image: (H, W, C) float32 in [0, 1], RGB or gray.
            name: Of the picture, for messages.

        Returns:
            (scale * H, scale * W, C) float32 in [0, 1].

        Raises:
            DataError: A part cannot take the picture, or makes none.
        """
        took = {}
        for part_name, p in zip(self._names(), self.parts, strict=True):
            begin = time.perf_counter()
            image = enhance(p.enhancer, image, tile=self.tile, overlap=self.overlap, name=name)
            took[part_name] = 1e3 * (time.perf_counter() - begin)
        self.part_ms, self.pictures = took, self.pictures + 1
        self._spent_ms = {k: ms + took[k] for k, ms in self._spent_ms.items()}
        return image

    def apply_bgr(self, image: np.ndarray, name: str = "the picture") -> np.ndarray:
        """Enhance a picture as OpenCV and Ultralytics hold it.

        Args:
            image: (H, W, C) or (H, W) uint8, BGR where it has three channels.
            name: Of the picture, for messages.

        Returns:
            (scale * H, scale * W, C) uint8 in the same order, rounded; a gray picture without C stays without.

        Raises:
            DataError: Not 8 bits, or as :meth:`apply`.
        """
        if image.dtype != np.uint8:
            raise DataError(f"{name} holds {image.dtype}, detectors take 8 bits (uint8); stretch it to 0..255 first.")
        planes = image if image.ndim == 3 else image[..., None]
        rgb = planes[..., ::-1] if planes.shape[2] == 3 else planes
        y = self.apply(rgb.astype(np.float32) / np.float32(255), name)
        y = np.rint(np.clip(y, 0, 1) * 255).astype(np.uint8)
        y = np.ascontiguousarray(y[..., ::-1] if y.shape[2] == 3 else y)
        return y if image.ndim == 3 else y[..., 0]

    def to_source(self, boxes_xyxy: Any) -> Any:
        """Boxes of the enhanced picture in pixels of the source.

        Args:
            boxes_xyxy: (N, 4) pixels, array or tensor; corners are counted from the outer edge of the first pixel.
        """
        return boxes_xyxy / self.scale

    def describe(self) -> str:
        """Say in one line what is done."""
        words = []
        for p in self.parts:
            size = f", x{p.enhancer.scale}" if p.enhancer.scale > 1 else ""
            words.append(f"{p.enhancer.name} ({p.enhancer.kind}{size})")
        return " -> ".join(words)

    def check_detector(self, channels: int | None, sar: dict[str, Any] | None = None) -> None:
        """Make sure that a detector can look at what this chain makes.

        Args:
            channels: Channels that the detector takes, where known.
            sar: How the detector's SAR files become pictures; None for ordinary ones.

        Raises:
            ConfigError: Channels that differ, or haze to be removed from radar pictures.
        """
        if channels is not None and self.channels is not None and channels != self.channels:
            raise ConfigError(
                f"enhance= takes {self.channels} channels and the detector {channels}; use an enhancer with {channels} "
                "channels."
            )
        if sar is None:
            return
        wrong = next((p.enhancer for p in self.parts if p.enhancer.kind != "superres"), None)
        if wrong is not None:
            raise ConfigError(
                f"enhance={wrong.name} is for {wrong.kind}, and the detector takes radar pictures, which see through "
                "it; leave enhance= out."
            )
        say("enhance: works on the 8-bit picture that the detector's stretch makes of a SAR file, not on its values.")

    def check_fast(self, what: str) -> None:
        """Refuse parts that take minutes per picture where there are many.

        Args:
            what: What there is, such as ``a video``.

        Raises:
            ConfigError: There is such a part.
        """
        if self.offline:
            raise ConfigError(
                f"enhance={self.offline} takes minutes per picture and cannot be used for {what}; enhance the pictures "
                f"once (rsdet predict model={self.offline}.yaml source=...), then run the detector on what it wrote."
            )


def size_note(chain: EnhanceChain, source_hw: tuple[int, int], imgsz: int | tuple[int, int]) -> str | None:
    """One line where what a chain has enlarged would be shrunk again on its way into the detector; else None.

    Args:
        chain: The chain.
        source_hw: Height and width of a source picture.
        imgsz: Input size of the detector.
    """
    longest = max(imgsz) if isinstance(imgsz, (tuple, list)) else int(imgsz)
    if chain.scale == 1 or max(source_hw) * chain.scale <= longest:
        return None
    wanted = -(-max(source_hw) * chain.scale // 32) * 32
    grown = longest * chain.scale
    return (
        f"enhance: enlarges x{chain.scale} to {source_hw[1] * chain.scale}x{source_hw[0] * chain.scale} px, which "
        f"imgsz={longest} shrinks again, and most of the gain is lost; give imgsz={min(wanted, grown)}."
    )

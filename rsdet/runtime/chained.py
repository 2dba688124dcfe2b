"""A chain JSON whose parts are all exported files: enhancers and detector, without PyTorch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.enhance.loading import load_chain
from rsdet.errors import RSDetError
from rsdet.runtime.backends import is_deployable
from rsdet.runtime.detector import Detections, Detector
from rsdet.runtime.postprocess import Rules


class ChainedDetector(Detector):
    """A detector that looks at enhanced pictures; boxes are in pixels of the original ones.

    Args:
        path: Chain JSON, made by ``rsdet export ... enhance=...``.
        threads: Threads for one operator of the detector; the backend's own choice when None.
        bands: As for :class:`Detector`.

    Attributes:
        chain: What enhances.

    Raises:
        ConfigError: No chain, or parts that do not fit together.
        CheckpointError: A part is missing, is another file than it was, or cannot be loaded.
    """

    def __init__(self, path: str | Path, threads: int | None = None, *, bands: Sequence[int] | None = None):
        path = Path(path)
        super().__init__(path.parent / str(read_chain_json(path).model), threads, bands=bands)
        self.chain = load_chain(path)
        self.chain.check_detector(self.channels, {} if self.reader.of_values else None)

    def detect(
        self, pictures: Sequence[np.ndarray], rules: Rules, imgsz: int | Sequence[int] | None = None
    ) -> list[Detections]:
        """Enhance, then detect; see :meth:`Detector.detect`."""
        began = time.perf_counter()
        enhanced = [self.chain.apply_bgr(p) for p in pictures]
        spent = 1e3 * (time.perf_counter() - began) / max(1, len(pictures))
        found = super().detect(enhanced, rules, imgsz)
        return [self._in_source(d, p, spent) for d, p in zip(found, pictures, strict=True)]

    def _in_source(self, d: Detections, picture: np.ndarray, spent_ms: float) -> Detections:
        keep = len(d) if picture.any() or not self.reader.of_values else 0  # an enhancer makes something of mere nodata
        return replace(
            d, boxes_xyxy=self.chain.to_source(d.boxes_xyxy)[:keep], scores=d.scores[:keep], classes=d.classes[:keep],
            size_hw=picture.shape[:2], speed_ms={"enhance": spent_ms, **d.speed_ms},
        )  # fmt: skip


def is_deployable_chain(path: Any) -> bool:
    """Whether ``model=`` names a chain that needs nothing but NumPy, OpenCV and the backends."""
    if not is_chain_json(path):
        return False
    try:
        found = read_chain_json(path)
    except RSDetError:
        return False  # the full path says what is wrong with it
    folder = Path(path).parent
    parts = [found.model, *found.enhance]
    return all(isinstance(p, str) and is_deployable(folder / p) for p in parts)


def open_detector(path: str | Path, bands: Sequence[int] | None = None) -> Detector:
    """The detector of an exported file, or of a chain JSON."""
    return (ChainedDetector if is_chain_json(path) else Detector)(path, bands=bands)

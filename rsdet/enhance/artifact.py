"""An exported restoration network as an enhancer; ONNX and OpenVINO need no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsdet import digest
from rsdet.data.tiling import tiled
from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime.graph import open_graph

RIM_SHARE = 8  # tiles of a fixed-size graph overlap by this share of their side


class ArtifactEnhancer:
    """A graph (B, C, h, w) to (B, C, s * h, s * w) that carries the metadata of ``rsdet export``.

    A graph of one size runs in tiles of that size, blended; smaller pictures are continued by reflection.

    Args:
        path: ``.onnx``, ``.torchscript`` or ``.engine`` file, OpenVINO folder or ``.xml`` file.
        threads: Threads for one operator; the backend's own choice when None.
        device: Where it runs (``"cpu"`` stands for the first GPU where it is an engine); see
            :func:`rsdet.runtime.graph.open_graph`.

    Raises:
        ConfigError: The file holds a model of another task.
        CheckpointError: It does not say what it is, or the backend refuses it.
        MissingDependencyError: The backend is not installed.
    """

    offline = False

    def __init__(self, path: str | Path, threads: int | None = None, device: Any = "cpu"):
        self.path = Path(path)
        anywhere = self.path.suffix == ".engine" and str(device) == "cpu"
        self.graph = open_graph(self.path, None if anywhere else device, threads)
        meta = self.graph.said
        if meta.get("task") not in (None, "restore"):
            raise ConfigError(
                f"enhance={self.path.name} is a model for task={meta['task']!r}; an enhancer is one for task='restore'."
            )
        if "task" not in meta or "kind" not in meta:
            raise CheckpointError(
                f"{self.path.name} does not say what it is (no task: and kind: in its metadata); expected a model of "
                "task=restore that `rsdet export` has made; export it again."
            )
        self.height, self.width = self.graph.shape[2:]
        self.meta: dict[str, Any] = meta
        self.name, self.kind, self.scale = self.path.name, str(meta["kind"]), int(meta.get("scale", 1))
        self.channels, self.local = int(meta.get("channels", 3)), bool(meta.get("local", False))
        self.multiple = int(meta.get("multiple", 1))
        self.min_px = 1 if self.height else int(meta.get("min_px", 16))

    @property
    def tile_hw(self) -> tuple[int, int] | None:
        """Height and width of the tiles that a graph of one size takes; None for one that takes any."""
        return (self.height, self.width) if self.height else None

    @property
    def key(self) -> str:
        """Tells this file from every other."""
        return digest.digest(self.path)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(H, W, C) float32 in [0, 1] to (scale * H, scale * W, C), whatever sizes the graph takes."""
        if not self.height:
            down, right = (-n % self.multiple for n in image.shape[:2])
            return self._padded(image, down, right)
        size = (self.height, self.width)
        if image.shape[:2] == size:
            return self._run(image)
        down, right = (max(0, n - have) for n, have in zip(size, image.shape[:2], strict=True))
        if not (down or right):
            return self._tiles(image)
        x = _continued(image, down, right)
        y = self._tiles(x) if x.shape[:2] != size else self._run(x)
        return np.ascontiguousarray(y[: image.shape[0] * self.scale, : image.shape[1] * self.scale])

    def _tiles(self, image: np.ndarray) -> np.ndarray:
        return tiled(self._run, image, (self.height, self.width), min(self.height, self.width) // RIM_SHARE, self.scale)

    def _padded(self, image: np.ndarray, down: int, right: int) -> np.ndarray:
        y = self._run(_continued(image, down, right) if down or right else image)
        return np.ascontiguousarray(y[: image.shape[0] * self.scale, : image.shape[1] * self.scale])

    def _run(self, x: np.ndarray) -> np.ndarray:
        y = self.graph(x.transpose(2, 0, 1)[None])[0]
        return np.ascontiguousarray(np.clip(y, 0, 1).transpose(1, 2, 0))


def _continued(image: np.ndarray, down: int, right: int) -> np.ndarray:
    """Continue a picture by reflection as the networks do; by its border where it is too small to be reflected."""
    mode = "reflect" if down < image.shape[0] and right < image.shape[1] else "edge"
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode=mode)

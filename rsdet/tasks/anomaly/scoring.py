"""From a scene to a score per pixel by a network that rebuilds the background."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.classical.anomaly import RX, Background
from rsdet.data.cubes.bands import shown
from rsdet.data.tiling import Progress, tiled_rows
from rsdet.errors import CheckpointError, ConfigError, DataError, WriteError
from rsdet.quiet import say
from rsdet.runtime.backends import in_batches
from rsdet.runtime.graph import open_graph
from rsdet.tasks.anomaly.scene import CubeScene

TILE_PX, OVERLAP_PX = 64, 8  # those of the paper's scenes, and of AETNet
SCORED = ("residual", "recon")  # what the Mahalanobis distance is taken of: cube minus background, or background
_HELD_BYTES = 2**30  # backgrounds up to this stay in memory, larger ones go to a temporary file


def check_scored(value: Any) -> str:
    """Make sure that ``score_on`` is one of :data:`SCORED`.

    Raises:
        ConfigError: It is not.
    """
    if value not in SCORED:
        raise ConfigError(f"score_on={value!r} must be residual (cube minus background) or recon (background).")
    return value


class Rebuilder:
    """A network, or an exported file of one, as a function of tiles.

    Args:
        model: :class:`~rsdet.tasks.anomaly.model.AnomalyModel`, or the path of an exported file.
        device: Where it runs; the CPU where None, of an exported file see :func:`rsdet.runtime.graph.open_graph`.

    Attributes:
        backend: What runs an exported file, in words.
        said: What it says of itself.
        bands: That it takes.
        places: Those of the cube that it was trained on, numbers from 1; None for all.
        score_on: What its training was judged by.
        tile_hw: Size of its graph; None where it takes any.

    Raises:
        CheckpointError: An exported file of something else.
    """

    backend = ""

    def __init__(self, model: Any, device: Any = None):
        if isinstance(model, (str, Path)):
            graph = open_graph(model, device)
            if graph.said.get("task") != "anomaly" or "channels" not in graph.said or graph.size_hw is None:
                raise CheckpointError(f"{model} is no exported network of task=anomaly; export it again.")
            self.backend = graph.backend
            self._take(graph, graph.said, graph.size_hw, graph.shape[0] or 1, 1)
        else:
            self.network, self.device = model.network.eval().to(device or "cpu"), device or "cpu"
            self._take(self._on_torch, model.yaml, None, 0, model.network.min_px)

    @classmethod
    def of_graph(
        cls, run: Callable[[np.ndarray], np.ndarray], tile_hw: tuple[int, int], batch: int, said: Mapping[str, Any]
    ) -> Rebuilder:
        """A graph that somebody has opened: its size, its tiles at a time, and what it says of itself."""
        made = cls.__new__(cls)
        made._take(run, said, tile_hw, batch, 1)
        return made

    def _take(
        self, run: Any, said: Mapping[str, Any], tile_hw: tuple[int, int] | None, batch: int, min_px: int
    ) -> None:
        self.run: Callable[[np.ndarray], np.ndarray] = run
        self.said, self.tile_hw, self._batch, self.min_px = said, tile_hw, batch, min_px
        self.bands = int(said["channels"])
        about = said.get("anomaly") or {}
        self.places, self.score_on = about.get("bands"), check_scored(about.get("score_on", "residual"))

    def _on_torch(self, x: np.ndarray) -> np.ndarray:
        import torch  # which exported files do without

        with torch.inference_mode():
            return self.network(torch.from_numpy(x).to(self.device)).float().cpu().numpy()

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """(N, h, w, B) scaled to the background of the same shape."""
        height, width = tiles.shape[1:3]
        x = tiles.transpose(0, 3, 1, 2)
        if self.tile_hw is not None:  # a graph of one size: filled up by reflection
            down, right = self.tile_hw[0] - height, self.tile_hw[1] - width
            mode = "reflect" if down < height and right < width else "edge"
            x = np.pad(x, ((0, 0), (0, 0), (0, down), (0, right)), mode)
        (found,) = in_batches(lambda part: [self.run(np.ascontiguousarray(part))], x, self._batch)
        return found[..., :height, :width].transpose(0, 2, 3, 1)

    def tiling(self, tile: int | None, overlap: int | None) -> tuple[int | tuple[int, int], int]:
        """Tile and overlap in pixels; those of an exported graph, whose size is fixed, are its own.

        Raises:
            ConfigError: Another tile than the graph's, or one smaller than the network takes.
        """
        if tile and self.tile_hw is not None and (tile, tile) != self.tile_hw:
            raise ConfigError(f"tile={tile}: this exported file takes {self.tile_hw[0]} px; leave tile= out.")
        if tile and tile < self.min_px:
            raise ConfigError(f"tile={tile} is smaller than the {self.min_px} px that the network takes.")
        size = self.tile_hw or tile or TILE_PX
        return size, OVERLAP_PX if overlap is None else overlap


def network_scores(
    run: Rebuilder,
    scene: CubeScene,
    scored: Sequence[str] = ("residual",),
    *,
    tile: int | None = None,
    overlap: int | None = None,
    batch: int = 4,
    progress: Progress | None = None,
) -> dict[str, np.ndarray]:
    """Score a scene by a network: its background tile by tile, then one Mahalanobis distance over the whole scene.

    Args:
        run: The network.
        scene: The scene.
        scored: Which of :data:`SCORED`.
        tile: Side of the tiles in pixels; 64 where None.
        overlap: Pixels that neighbours share, blended; 8 where None.
        batch: Tiles at a time.
        progress: Called with the number of tiles done and of all.

    Returns:
        (H, W) float32 for each, NaN where a pixel has no value in some band.

    Raises:
        DataError: The scene has other bands, or is smaller than the network takes.
    """
    (height, width), bands = scene.size_hw, scene.bands
    if bands != run.bands:
        raise DataError(
            f"{scene.name} has {bands} usable bands, the network takes {run.bands}; choose them with bands=, or train "
            "on this scene (fit=scene)."
        )
    if run.places and [b + 1 for b in scene.places] != list(run.places):
        trained = shown([b - 1 for b in run.places])
        say(
            f"{scene.name}: the bands {shown(scene.places)} go to a network that was trained on {trained}; scores mean "
            "something where these are of the same wavelengths.",
            logging.WARNING,
        )
    if min(height, width) < run.min_px:
        raise DataError(f"{scene.name} is {width}x{height} px; the network takes {run.min_px} px or more.")
    size, shared = run.tiling(tile, overlap)
    if run.tile_hw is not None and (height < run.tile_hw[0] or width < run.tile_hw[1]):
        say(
            f"{scene.name} is {width}x{height} px, and this exported file takes {run.tile_hw[1]}x{run.tile_hw[0]}: it "
            "is continued by reflection, which the network would not do; export with imgsz= of the scene.",
            logging.WARNING,
        )
    if not isinstance(size, tuple):
        size = (size, size)
    shared = min(shared, min(size) - 1)
    shape = (len(scored), height, width, bands)
    with tempfile.TemporaryDirectory() as folder:
        needed = 4 * int(np.prod(shape))
        large = needed > _HELD_BYTES
        if large and (free := shutil.disk_usage(folder).free) < needed:  # a map of a full disk ends the process
            raise WriteError(
                f"backgrounds of {scene.name} need {needed / 1e9:.1f} GB in {tempfile.gettempdir()}, which has "
                f"{free / 1e9:.1f} GB free; free some space there, or set TMPDIR to another folder."
            )
        kept: np.ndarray = (
            np.memmap(Path(folder) / "backgrounds", np.float32, "w+", shape=shape) if large else np.empty(shape, "f4")
        )

        def read(top: int, left: int, high: int, wide: int) -> np.ndarray:
            return scene.scaled(slice(top, top + high), slice(left, left + wide))

        def tiles(x: np.ndarray) -> np.ndarray:
            return run(x if x.ndim == 4 else x[None]) if batch > 1 else run(x[None])[0]

        for top, rebuilt in tiled_rows(tiles, read, scene.size_hw, size, shared, batch=batch, progress=progress):
            rows = slice(top, top + len(rebuilt))
            missing = ~scene.valid(rows)
            for i, what in enumerate(scored):
                kept[i, rows] = rebuilt if what == "recon" else scene.scaled(rows) - rebuilt
                kept[i, rows][missing] = np.nan
        return {what: _mahalanobis(kept[i], scene) for i, what in enumerate(scored)}


def _mahalanobis(values: np.ndarray, scene: CubeScene) -> np.ndarray:
    score = RX().fit(Background.of(values[rows] for rows in scene.rows()))
    out = np.empty(scene.size_hw, np.float32)
    for rows in scene.rows():
        out[rows] = score(values[rows])
    return out

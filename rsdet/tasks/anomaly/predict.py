"""Prediction of anomalies: cubes in; a raster of scores, a mask, boxes and the spectra of the strongest finds out.

Ultralytics' predictor letterboxes pictures of 8 bits; of it, the settings, the folder of the run and the callbacks are
kept, and the loop is our own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.engine.predictor import BasePredictor
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import select_device

from rsdet.data.cubes.opening import SUFFIXES
from rsdet.data.decoding import within_memory
from rsdet.data.sources import files_of, together
from rsdet.enhance.running import check_tiling
from rsdet.errors import DataError, RSDetError
from rsdet.names import printable
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.tasks.anomaly.beside import method_score
from rsdet.tasks.anomaly.finds import (
    FAR,
    Finds,
    check_finding,
    find,
    normalised,
    threshold_of,
    write_finds,
    write_raster,
    write_shapes,
)
from rsdet.tasks.anomaly.options import NAMES
from rsdet.tasks.anomaly.scene import CubeScene
from rsdet.tasks.anomaly.scoring import Rebuilder, check_scored, network_scores
from rsdet.tasks.anomaly.visual import enlarged, score_picture, spectra_plot
from rsdet.tasks.detect.predict import DetectResults
from rsdet.tasks.runs import PredictFolder
from rsdet.writing import free_name, write_bytes, write_picture


class AnomalyResults(DetectResults):
    """Result with the finds of a cube as boxes, whose confidence is the score brought to [0, 1] by the extremes.

    Attributes:
        score: (H, W) float32, NaN where a pixel has no value in some band.
        finds: The regions, with their scores as they are.
        spectra: (N, B) of the pixels with the highest score of each of the strongest finds.
        files: What was written.
    """

    score: np.ndarray
    finds: Finds
    spectra: np.ndarray
    files: tuple[Path, ...] = ()


class AnomalyPredict(PredictFolder, BasePredictor):
    """Predictor of the task ``anomaly``.

    Attributes:
        skipped: One line for each file that was left out.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        super().__init__(cfg, overrides, _callbacks)
        self.skipped: list[str] = []
        self._names: set[str] = set()

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        self.model = model
        self.method = getattr(model, "method", None)
        self.run = None if self.method is not None else Rebuilder(model, self.device)

    def configure(
        self,
        model: Any,
        *,
        bands: Any = None,
        key: str | None = None,
        axes: str | None = None,
        far: float | None = None,
        threshold: float | None = None,
        min_area_px: int = 1,
        spectra: int = 5,
        score_on: str | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            bands: Bands of the cubes: ``all``, numbers from 1, ``1-50``, ``450-900nm``; ``usable``, alone or beside
                these, leaves out what is constant or holds no number. Those of the training, else all, where None.
            key: Variable of MATLAB files that holds the cube.
            axes: What the axes of an array are, such as ``BHW``; rows, columns, bands where None.
            far: Share of the pixels that is marked at most, the rate of false alarms where anomalies are few; 0.001
                where neither it nor ``threshold`` is given.
            threshold: Scores above it are marked, in the place of ``far``.
            min_area_px: Leave out regions of fewer pixels.
            spectra: So many of the strongest finds are plotted with their spectra.
            score_on: ``residual`` or ``recon``, of networks; as they were trained where None.
            tile: Side of the tiles in pixels in which networks rebuild scenes; 64 where None.
            overlap: Pixels that neighbouring tiles share; 8 where None.

        Raises:
            ConfigError: A value out of its range.
        """
        check_tiling(tile, overlap, prefix="")
        check_finding(far, threshold, min_area_px, spectra)
        if score_on is not None:
            check_scored(score_on)
        self.reading = {"key": key, "axes": axes}
        self.bands = bands if bands is not None else (self.run and self.run.places) or "all"
        self.far, self.threshold = FAR if far is None and threshold is None else far, threshold
        self.min_area_px, self.spectra, self.score_on = min_area_px, spectra, score_on
        self.tiling, self._names = {"tile": tile, "overlap": overlap}, set()
        if self.run is not None:
            self.run.tiling(tile, overlap)

    def __call__(self, source: Any = None, model: Any = None, stream: bool = False, **kwargs: Any) -> Any:
        """Search cubes; a generator with ``stream``, which holds one at a time."""
        results = self._searched(source)
        return results if stream else list(results)

    def _searched(self, source: Any) -> Iterator[AnomalyResults]:
        cubes, done = _cubes(source), 0
        self.sources = [c for c in cubes if isinstance(c, Path)]
        self.skipped = []
        self.run_callbacks("on_predict_start")
        for number, cube in enumerate(cubes, 1):
            name = f"array{number}" if isinstance(cube, np.ndarray) else str(cube)
            try:
                with within_memory(name), CubeScene.open(cube, self.bands, **self.reading) as scene:
                    result = self._one(scene, name, f"{number}/{len(cubes)}")
            except RSDetError as e:
                if len(cubes) == 1:
                    raise
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            self.results = [result]
            self.run_callbacks("on_predict_postprocess_end")
            yield result
        self.run_callbacks("on_predict_end")
        if not done:
            more = f" (and {len(self.skipped) - 1} more)" if len(self.skipped) > 1 else ""
            raise DataError(f"{self.skipped[0]}{more}.")
        for line in self.skipped:
            LOGGER.warning(f"left out: {line}")

    def _one(self, scene: CubeScene, name: str, which: str) -> AnomalyResults:
        begin = time.perf_counter()
        with Line(f"cube {which} {printable(Path(name).name)}", self.args.verbose) as line:
            tell = Tiles(line)
            if self.method is not None:
                score = method_score(self.method, scene, tell)
            else:
                what = self.score_on or self.run.score_on
                score = network_scores(self.run, scene, (what,), **self.tiling, progress=tell)[what]
        threshold = threshold_of(score, self.far) if self.threshold is None else float(self.threshold)
        known = int(np.isfinite(score).sum())
        if self.threshold is None and 0 < self.far * known < 1:
            say(f"{name}: far={self.far:g} of its {known} pixels is less than one, so none is marked; raise far=.")
        found = find(score, threshold, self.min_area_px)
        ms = {"inference": (time.perf_counter() - begin) * 1e3}
        boxes = np.concatenate([
            found.boxes_xyxy, normalised(score, found.highest)[:, None], np.zeros((len(found), 1), np.float32)
        ], axis=1)  # fmt: skip
        result = AnomalyResults(scene.picture(), name, dict(NAMES), boxes=torch.from_numpy(boxes), speed=ms)
        result.score, result.finds = score, found
        peaks = found.peaks_yx[: self.spectra]
        result.spectra = np.array([scene.read(slice(y, y + 1), slice(x, x + 1))[0, 0] for y, x in peaks])
        if self.args.save:
            result.files = self._write(result, scene)
        (h, w), marked, n = scene.size_hw, int((found.mask == 1).sum()), len(found)
        if self.args.verbose:
            LOGGER.info(
                f"cube {which} {printable(name)}: {w}x{h}, {scene.bands} bands, {n} find{'s' * (n != 1)} of {marked} "
                f"px above {threshold:.4g}, {ms['inference']:.0f} ms"
            )
        return result

    def _write(self, result: AnomalyResults, scene: CubeScene) -> tuple[Path, ...]:
        folder, georef, found = self.make_folder(), scene.cube.georef, result.finds
        stem = free_name(scene.name, self._names)
        files = [
            write_raster(folder / f"{stem}_score.tif", result.score, georef, float("nan")),
            write_raster(folder / f"{stem}_mask.tif", found.mask, georef, 255),
            write_finds(folder / f"{stem}_finds.csv", found, georef),
            *write_shapes(folder, f"{stem}_finds", found, georef),
            write_picture(folder / f"{stem}_score.png", enlarged(score_picture(result.score))),
        ]
        result.legend = True
        files.append(write_picture(folder / f"{stem}_finds.png", result.plot()))
        result.legend = False
        if len(result.spectra):
            names = [f"{i}: score {s:.4g}" for i, s in enumerate(found.highest[: self.spectra], 1)]
            spectra = list(zip(names, result.spectra, strict=True))
            plot = spectra_plot(spectra, scene.background, scene.wavelengths_nm, f"{scene.name}: strongest finds")
            files.append(write_bytes(folder / f"{stem}_spectra.png", plot))
        return tuple(files)


def _cubes(source: Any) -> list[Path | np.ndarray]:
    """Files and arrays that a source stands for.

    Raises:
        DataError: There is none, or it is something else.
    """
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    arrays = [s for s in several if isinstance(s, np.ndarray)]
    if arrays and len(arrays) == len(several):
        return arrays
    if not several or not all(isinstance(s, (str, Path)) and str(s).strip() for s in several):
        raise DataError(
            "predict needs source=: a cube (.hdr, .mat, .npy, .tif), a folder, a glob, or arrays (H, W, B)."
        )
    files: list[Path] = []
    groups = [[p] if (p := Path(s).expanduser()).is_file() else files_of(s, SUFFIXES) for s in several]
    for path in together(several, groups):
        files += [path] if path.suffix.lower() in SUFFIXES or not path.exists() or path in map(Path, several) else []
    if not files:
        raise DataError(f"source {str(source)!r} holds no cubes; they end in {', '.join(SUFFIXES)}.")
    return list(files)

"""Cubes through a network or a method, one after the other, told and written; once for every backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.opening import SUFFIXES
from rsdet.data.decoding import within_memory
from rsdet.data.sources import files_of, tell_left_out, together
from rsdet.enhance.running import check_tiling
from rsdet.errors import DataError, RSDetError
from rsdet.names import printable
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.scenes.optional import optional
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
from rsdet.tasks.detect.visual import draw
from rsdet.writing import file_stem, free_name, write_bytes, write_picture


@dataclass
class Searched:
    """What was found in a cube.

    Attributes:
        name: The file, or what an array is called.
        picture: (H, W, 3) uint8 BGR, the cube for people.
        score: (H, W) float32, NaN where a pixel has no value in some band.
        finds: The regions, with their scores as they are.
        spectra: (N, B) of the pixels with the highest score of each of the strongest finds.
        speed: Milliseconds of the parts.
        files: What was written.
    """

    name: str
    picture: np.ndarray
    score: np.ndarray
    finds: Finds
    spectra: np.ndarray
    speed: dict[str, float]
    files: tuple[Path, ...] = ()

    @property
    def scores(self) -> np.ndarray:
        """(N,) float32 highest score of each find, brought to [0, 1] by the extremes of all scores."""
        return normalised(self.score, self.finds.highest)


@dataclass
class SearchRun:
    """Scores, finds, tells and writes.

    Attributes:
        run: The network; None for a method.
        method: The method; None for a network.
        folder: Gives the folder of the run, made at the first call; None where nothing is saved.
        verbose: Tell.
        bands: Bands of the cubes, those of the training, else all, where None.
        key: Variable of MATLAB files that holds the cube.
        axes: What the axes of an array are.
        far: Share of the pixels that is marked at most; 0.001 where neither it nor ``threshold`` is given.
        threshold: Scores above it are marked.
        min_area_px: Leave out regions of fewer pixels.
        spectra: So many of the strongest finds are plotted with their spectra.
        score_on: ``residual`` or ``recon``; as the network was trained where None.
        tile: Side of the tiles in pixels; 64, or that of an exported file, where None.
        overlap: Pixels that neighbouring tiles share; 8 where None.
        skipped: One line for each file that was left out.

    Raises:
        ConfigError: A value out of its range.
        MissingDependencyError: What writes rasters is not installed.
    """

    run: Rebuilder | None
    method: Any = None
    folder: Callable[[], Path] | None = None
    verbose: bool = True
    bands: Any = None
    key: str | None = None
    axes: str | None = None
    far: float | None = None
    threshold: float | None = None
    min_area_px: int = 1
    spectra: int = 5
    score_on: str | None = None
    tile: int | None = None
    overlap: int | None = None
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_tiling(self.tile, self.overlap, prefix="")
        check_finding(self.far, self.threshold, self.min_area_px, self.spectra)
        if self.score_on is not None:
            check_scored(self.score_on)
        if self.run is not None:
            self.run.tiling(self.tile, self.overlap)
        if self.folder is not None:
            optional("rasterio", what="rasters of scores are written with")  # before minutes are spent
        if self.bands is None:
            self.bands = (self.run and self.run.places) or "all"
        if self.far is None and self.threshold is None:
            self.far = FAR
        self._names: set[str] = set()

    def over(self, cubes: Sequence[Path | np.ndarray]) -> Iterator[Searched]:
        """Results one after the other; of several cubes, one that cannot be searched is left out and named.

        Raises:
            RSDetError: The only one, or all of them.
        """
        done = 0
        for number, cube in enumerate(cubes, 1):
            name = f"array{number}" if isinstance(cube, np.ndarray) else str(cube)
            try:
                with within_memory(name), CubeScene.open(cube, self.bands, self.key, self.axes) as scene:
                    result = self._one(scene, name, f"{number}/{len(cubes)}")
            except RSDetError as e:
                if len(cubes) == 1:
                    raise
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            yield result
        tell_left_out(self.skipped, done)

    def _one(self, scene: CubeScene, name: str, which: str) -> Searched:
        begin = time.perf_counter()
        with Line(f"cube {which} {printable(Path(name).name)}", self.verbose) as line:
            tell = Tiles(line)
            if self.run is None:
                score = method_score(self.method, scene, tell)
            else:
                what = self.score_on or self.run.score_on
                tiles = {"tile": self.tile, "overlap": self.overlap}
                score = network_scores(self.run, scene, (what,), **tiles, progress=tell)[what]
        threshold = threshold_of(score, self.far or 0.0) if self.threshold is None else float(self.threshold)
        known = int(np.isfinite(score).sum())
        if self.threshold is None and self.far is not None and 0 < self.far * known < 1:
            say(f"{name}: far={self.far:g} of its {known} pixels is less than one, so none is marked; raise far=.")
        found = find(score, threshold, self.min_area_px)
        ms = {"inference": (time.perf_counter() - begin) * 1e3}
        peaks = found.peaks_yx[: self.spectra]
        spectra = np.array([scene.read(slice(y, y + 1), slice(x, x + 1))[0, 0] for y, x in peaks])
        result = Searched(name, scene.picture(), score, found, spectra, ms)
        if self.folder is not None:
            result.files = self._write(result, scene, self.folder())
        (h, w), marked, n = scene.size_hw, int((found.mask == 1).sum()), len(found)
        if self.verbose:
            say(
                f"cube {which} {printable(name)}: {w}x{h}, {scene.bands} bands, {n} find{'s' * (n != 1)} of {marked} "
                f"px above {threshold:.4g}, {ms['inference']:.0f} ms",
                logging.INFO,
            )
        return result

    def _write(self, result: Searched, scene: CubeScene, folder: Path) -> tuple[Path, ...]:
        georef, found = scene.cube.georef, result.finds
        stem = free_name(file_stem(scene.name), self._names)
        drawn = draw(
            result.picture, found.boxes_xyxy, result.scores, np.zeros(len(found), int), dict(NAMES), legend=True,
            enlarge=True,
        )  # fmt: skip
        files = [
            write_raster(folder / f"{stem}_score.tif", result.score, georef, float("nan")),
            write_raster(folder / f"{stem}_mask.tif", found.mask, georef, 255),
            write_finds(folder / f"{stem}_finds.csv", found, georef),
            *write_shapes(folder, f"{stem}_finds", found, georef),
            write_picture(folder / f"{stem}_score.png", enlarged(score_picture(result.score))),
            write_picture(folder / f"{stem}_finds.png", drawn),
        ]
        if len(result.spectra):
            names = [f"{i}: score {s:.4g}" for i, s in enumerate(found.highest[: self.spectra], 1)]
            spectra = list(zip(names, result.spectra, strict=True))
            try:
                plot = spectra_plot(spectra, scene.background, scene.wavelengths_nm, f"{scene.name}: strongest finds")
            except ModuleNotFoundError as e:
                say(f"{stem}: no picture of its spectra, for {e.name} is not installed: pip install {e.name}.")
            else:
                files.append(write_bytes(folder / f"{stem}_spectra.png", plot))
        return tuple(files)


def cubes_of(source: Any) -> list[Path | np.ndarray]:
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

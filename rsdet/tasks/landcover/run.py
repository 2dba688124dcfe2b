"""Cubes through a model, one after the other, told and written; once for every backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.dataset import cube_data
from rsdet.data.cubes.opening import open_cube
from rsdet.data.cubes.usable import row_blocks
from rsdet.data.sources import tell_left_out
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.filestate import file_state
from rsdet.modelyaml import YAML_SUFFIXES
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.quiet import say
from rsdet.scenes.folder import continued_folder, finish, give_up
from rsdet.scenes.optional import optional
from rsdet.scenes.parts import forget
from rsdet.tasks.landcover.classifier import PatchClassifier
from rsdet.tasks.landcover.mapping import LandCoverMap, OpenScene, map_cube, map_into
from rsdet.writing import check_apart, file_stem, free_name, write_csv

AREAS = "areas.csv"
COLUMNS = ("file", "class", "name", "pixels", "share", "area_m2")


@dataclass
class MapRun:
    """Maps, tells and writes.

    Attributes:
        classifier: The model.
        place: ``project``, ``name`` and ``exist_ok`` of the folder, which goes on where it was stopped.
        save: Write maps.
        verbose: Tell.
        lidar: Rasters of LiDAR on the grid of the one cube; with a data YAML as source, its own where None.
        key: Variable of a MATLAB file that is the cube.
        lidar_key: The same of the rasters.
        axes: Order of the axes of a cube in a file that does not say it.
        save_probabilities: Write the probability of each class.
        folder: Of the run, once there is one.
        skipped: One line for each cube that was left out.

    Raises:
        ConfigError: Weights that were never trained.
        MissingDependencyError: What writes maps is not installed.
    """

    classifier: PatchClassifier
    place: Mapping[str, Any]
    save: bool = True
    verbose: bool = True
    lidar: str | Sequence[str] | None = None
    key: str | None = None
    lidar_key: str | None = None
    axes: str | None = None
    save_probabilities: bool = False
    folder: Path | None = None
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.classifier.scene:
            raise ConfigError("the model was never trained, so that it knows no classes; train it first.")
        if self.save:
            optional("rasterio", what="maps are written with")  # before minutes are spent
        self.save_probabilities = bool(self.save_probabilities)
        self._lidar = [self.lidar] if isinstance(self.lidar, (str, Path)) else list(self.lidar or ())
        self._names: set[str] = set()

    def over(self, files: Sequence[Path]) -> Iterator[LandCoverMap]:
        """Maps one after the other; a cube that cannot be mapped is left out and named.

        Raises:
            ConfigError: LiDAR for several cubes.
            DataError: None could be mapped.
        """
        if self._lidar and len(files) > 1:
            raise ConfigError("lidar= belongs to one cube, and the source holds several; map them one by one.")
        if self.save:
            self._go_on(files)
        rows: list[dict[str, Any]] = []
        done = 0
        for number, path in enumerate(files, 1):
            head = f"cube {number}/{len(files)} {printable(str(path))}"
            try:
                with Line(head, self.verbose) as line:
                    result = self._one(path, line)
            except DataError as e:
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            rows += _area_rows(result)
            if self.verbose:
                (height, width), spent = result.orig_shape, result.speed["inference"] / 1e3
                say(f"{head}: {width}x{height}, {len(result)} classes, {spent:.1f} s, {result.rate()}", logging.INFO)
            yield result
        if self.folder is not None and not done:
            give_up(self.folder)
        tell_left_out(self.skipped, done)
        if self.folder is not None:
            write_csv(self.folder / AREAS, COLUMNS, rows)
            if not self.skipped:
                finish(self.folder)
                forget(self.folder / "classes")

    def _go_on(self, files: Sequence[Path]) -> None:
        """The folder of an unfinished run of the same model, files and settings, else a new one."""
        facts = {
            "model": self.classifier.key, "files": _state([*files, *map(Path, self._lidar)]),
            "keys": [{"key": self.key, "axes": self.axes}, self.lidar_key], "probabilities": self.save_probabilities,
        }  # fmt: skip
        self.folder = continued_folder(self.place, facts)
        check_apart(self.folder, files)

    def _one(self, path: Path, line: Line) -> LandCoverMap:
        with ExitStack() as stack:
            cube, lidar, gsd = self._open(path, stack)
            scene = OpenScene(self.classifier, cube, lidar)
            if self.classifier.rasters and not lidar:
                say(
                    f"{path}: without LiDAR, pixels are classified by the cube alone; weights that were trained with "
                    "lidar_dropout= are used to that.",
                    logging.WARNING,
                )
            _say_of_gaps(lidar)
            if self.folder is not None:
                facts = {"scene": _state([path, *(p for raster in (cube, *lidar) for p in raster.files)])}
                stem = free_name(file_stem(path.stem), self._names)
                result = map_into(
                    scene, self.folder, stem, probabilities=self.save_probabilities, facts=facts, line=line
                )
            else:
                began = time.perf_counter()
                probs = map_cube(scene)
                classes = np.where(np.isnan(probs[..., 0]), 0, np.nan_to_num(probs).argmax(2) + 1).astype(np.uint8)
                spent = (time.perf_counter() - began) * 1e3
                result = LandCoverMap(str(path), classes, self.classifier.names, speed={"inference": spent})
            result.path = str(path)
            if lost := int(result.pixels[0]):
                say(
                    f"{path}: {lost} of {result.classes.size} pixels lack a number in some band and are of no class.",
                    logging.WARNING if lost == result.classes.size else logging.INFO,
                )
            result.gsd = (cube.georef.gsd_m() if cube.georef is not None else None) or gsd
        return result

    def _open(self, path: Path, stack: ExitStack) -> tuple[CubeFile, list[CubeFile], float | None]:
        """The cube of a file or a data YAML, and its LiDAR where the model takes some."""
        if path.suffix.lower() not in YAML_SUFFIXES:
            cube = stack.enter_context(open_cube(path, self.key, self.axes))
            return cube, [stack.enter_context(open_cube(p, self.lidar_key)) for p in self._lidar], None
        data = cube_data(path, "landcover")
        scene = stack.enter_context(data.open(lidar=self.classifier.rasters > 0 and not self._lidar))
        given = [stack.enter_context(open_cube(p, self.lidar_key)) for p in self._lidar]
        return scene.cube, given or scene.lidar, data.gsd


def cubes_of(source: Any) -> list[Path]:
    """Cubes, or data YAMLs, that a source names.

    Raises:
        DataError: It names none, or files that are not there.
    """
    several = source if isinstance(source, (list, tuple)) else [source]
    several = [p for s in several for p in (s.split(",") if isinstance(s, str) else [s])]
    if not several or not all(isinstance(s, (str, Path)) and str(s).strip() for s in several):
        raise DataError("predict needs source=; pass a cube (.hdr, .mat, .tif, .npy), several, or a data YAML.")
    files = [Path(str(s).strip()).expanduser() for s in several]
    if missing := [str(p) for p in files if not p.is_file()]:
        raise DataError(f"source={', '.join(missing)} does not exist or is no file; pass cubes or a data YAML.")
    return files


def _say_of_gaps(lidar: Sequence[CubeFile]) -> None:
    """Say where a raster of LiDAR has no data, which the mean of the training stands for.

    Raises:
        DataError: It has none anywhere.
    """
    for raster in lidar:
        blocks = row_blocks(raster, raster.shape[2])
        lost, pixels = sum(int((~np.isfinite(raster.read(r)).all(2)).sum()) for r in blocks), np.prod(raster.size_hw)
        if lost == pixels:
            raise DataError(f"{raster.path} has no data anywhere; pass another as lidar=, or leave it out.")
        if lost:
            say(f"{raster.path}: {lost} of {pixels} pixels lack a number, for which the mean of the training stands.")


def _state(files: Sequence[Path]) -> list[Any]:
    try:
        return [[str(path.absolute()) for path in files], file_state(files)]
    except OSError as e:
        raise RSDetError(f"{e.filename} cannot be read ({e.strerror}); check the path.") from e


def _area_rows(result: LandCoverMap) -> list[dict[str, Any]]:
    pixels, area = result.pixels, result.area_m2
    whole = max(1, int(pixels[1:].sum()))
    return [
        {"file": result.path, "class": k, "name": result.names[k - 1], "pixels": int(pixels[k]),
         "share": round(float(pixels[k] / whole), 6)} | ({} if area is None else {"area_m2": round(float(area[k]), 2)})
        for k in np.flatnonzero(pixels).tolist() if k
    ]  # fmt: skip

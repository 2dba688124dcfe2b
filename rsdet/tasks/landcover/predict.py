"""Prediction of land cover: cubes in, maps of classes in the same place out.

Of Ultralytics' predictor the settings, the folder of the run and the callbacks are kept; the loop is our own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.engine.predictor import BasePredictor
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import select_device

from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.dataset import cube_data
from rsdet.data.cubes.opening import open_cube
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.modelyaml import YAML_SUFFIXES
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.quiet import say
from rsdet.scenes.folder import finish, scene_folder
from rsdet.scenes.parts import forget
from rsdet.tasks.landcover.classifier import opened
from rsdet.tasks.landcover.mapping import LandCoverMap, OpenScene, map_cube, map_into
from rsdet.tasks.runs import PredictFolder
from rsdet.writing import check_apart, free_name, write_csv

AREAS = "areas.csv"
COLUMNS = ("file", "class", "name", "pixels", "share", "area_m2")


class LandCoverPredict(PredictFolder, BasePredictor):
    """Predictor of the task ``landcover``.

    Attributes:
        skipped: One line for each cube that was left out.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        super().__init__(cfg, overrides, _callbacks)
        self.skipped: list[str] = []
        self._names: set[str] = set()

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        self.model, self.classifier = model, opened(model, self.device)

    def configure(
        self,
        model: Any,
        *,
        lidar: str | Sequence[str] | None = None,
        key: str | None = None,
        lidar_key: str | None = None,
        axes: str | None = None,
        save_probabilities: bool = False,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            lidar: Rasters of LiDAR on the grid of the cube; with a data YAML as source, its own are taken. Without any,
                a network that can do without classifies by the cube alone.
            key: Variable of a MATLAB file that is the cube; needed where it holds several.
            lidar_key: The same of the rasters.
            axes: Order of the axes of a cube in a file that does not say it, ``HWB`` where None.
            save_probabilities: Write the probability of each class.

        Raises:
            ConfigError: Weights that were never trained.
        """
        if not self.classifier.scene:
            raise ConfigError("the model was never trained, so that it knows no classes; train it first.")
        several = [lidar] if isinstance(lidar, (str, Path)) else list(lidar or ())
        self.lidar, self.reading = several, {"key": key, "axes": axes}
        self.lidar_key, self.save_probabilities = lidar_key, bool(save_probabilities)
        self._names, self.skipped = set(), []

    def __call__(self, source: Any = None, model: Any = None, stream: bool = False, **kwargs: Any) -> Any:
        """Map cubes; a generator with ``stream``."""
        results = self._mapped(source)
        return results if stream else list(results)

    def _mapped(self, source: Any) -> Iterator[LandCoverMap]:
        files = _files(source)
        if self.lidar and len(files) > 1:
            raise ConfigError("lidar= belongs to one cube, and the source holds several; map them one by one.")
        self.sources = files
        if self.args.save:
            self._go_on(files)
        self.run_callbacks("on_predict_start")
        rows: list[dict[str, Any]] = []
        done = 0
        for number, path in enumerate(files, 1):
            head = f"cube {number}/{len(files)} {printable(str(path))}"
            try:
                with Line(head, self.args.verbose) as line:
                    result = self._one(path, line)
            except DataError as e:
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            rows += _area_rows(result)
            if self.args.verbose:
                (height, width), spent = result.orig_shape, result.speed["inference"] / 1e3
                LOGGER.info(f"{head}: {width}x{height}, {len(result)} classes, {spent:.1f} s, {result.rate()}")
            self.results = [result]
            self.run_callbacks("on_predict_postprocess_end")
            yield result
        self.run_callbacks("on_predict_end")
        if not done:
            raise DataError(f"{self.skipped[0]}{f' (and {len(self.skipped) - 1} more)' if self.skipped[1:] else ''}.")
        for text in self.skipped:
            LOGGER.warning(f"left out: {text}")
        if self.args.save:
            write_csv(self.save_dir / AREAS, COLUMNS, rows)
            if not self.skipped:
                finish(self.save_dir)
                forget(self.save_dir / "classes")

    def _go_on(self, files: Sequence[Path]) -> None:
        """The folder of an unfinished run of the same model, files and settings, else a new one."""
        facts = {
            "model": self.classifier.key, "files": [_identity(p) for p in (*files, *map(Path, self.lidar))],
            "keys": [self.reading, self.lidar_key], "probabilities": self.save_probabilities,
        }  # fmt: skip
        place = {"project": Path(self.args.project), "name": self.args.name, "exist_ok": self.args.exist_ok}
        self.save_dir, continued = scene_folder(facts=facts, **place)
        self._made = self.save_dir
        check_apart(self.save_dir, self.sources)
        if continued:
            say(f"an unfinished run of the same model, files and settings lies in {self.save_dir} and is continued.")

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
            if self.args.save:
                facts = {"scene": [_identity(p) for p in (path, cube.path, *(r.path for r in lidar))]}
                stem = free_name(path.stem, self._names)
                result = map_into(
                    scene, self.save_dir, stem, probabilities=self.save_probabilities, facts=facts, line=line
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
            cube = stack.enter_context(open_cube(path, self.reading["key"], self.reading["axes"]))
            return cube, [stack.enter_context(open_cube(p, self.lidar_key)) for p in self.lidar], None
        data = cube_data(path, "landcover")
        scene = stack.enter_context(data.open(lidar=self.classifier.rasters > 0 and not self.lidar))
        given = [stack.enter_context(open_cube(p, self.lidar_key)) for p in self.lidar]
        return scene.cube, given or scene.lidar, data.gsd


def _files(source: Any) -> list[Path]:
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


def _identity(path: Path) -> list[Any]:
    try:
        stat = path.stat()
    except OSError as e:
        raise RSDetError(f"{path} cannot be read ({e.strerror}); check the path.") from e
    return [str(path.absolute()), stat.st_size, stat.st_mtime_ns]


def _area_rows(result: LandCoverMap) -> list[dict[str, Any]]:
    pixels, area = result.pixels, result.area_m2
    whole = max(1, int(pixels[1:].sum()))
    return [
        {"file": result.path, "class": k, "name": result.names[k - 1], "pixels": int(pixels[k]),
         "share": round(float(pixels[k] / whole), 6)} | ({} if area is None else {"area_m2": round(float(area[k]), 2)})
        for k in np.flatnonzero(pixels).tolist() if k
    ]  # fmt: skip

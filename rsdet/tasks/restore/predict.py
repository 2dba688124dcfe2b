"""Prediction of what restores pictures: files in, files of the same depth and place out.

Ultralytics' predictor letterboxes 8-bit pictures, which would lose what restoration is about; of it, the settings, the
folder of the run and the callbacks are kept, and the loop is our own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.engine.predictor import BasePredictor
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import select_device

from rsdet.data.decoding import within_memory
from rsdet.data.pictures import check_bands
from rsdet.data.raster_io import ImageMeta, check_range
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.enhance.running import check_tiling
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.quiet import say
from rsdet.scenes.folder import finish, scene_folder
from rsdet.scenes.parts import forget
from rsdet.scenes.settings import SceneSettings
from rsdet.tasks.restore.results import RestoreResults, SceneResults, suffix_for
from rsdet.tasks.restore.routes import check_flag, routed_network, write_routes
from rsdet.tasks.restore.running import apply, digest_of, runner_of
from rsdet.tasks.restore.scenes import by_windows, restore_scene
from rsdet.tasks.restore.source import Source, find
from rsdet.tasks.runs import PredictFolder
from rsdet.writing import free_name


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, once what there was has been written; the message says what that is."""


class RestorePredict(PredictFolder, BasePredictor):
    """Predictor of the task ``restore``.

    Attributes:
        skipped: One line for each file that was left out.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        super().__init__(cfg, overrides, _callbacks)
        self.skipped: list[str] = []
        self.tile: int | None = None
        self.overlap: int | None = None
        self.save_routes, self.reading = False, {"bands": None, "value_range": None}
        self._names: set[str] = set()
        self._scenes: set[Path] = set()
        self._facts: dict[str, Any] = {}

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Take the model."""
        self.device = select_device(self.args.device, verbose=False)
        self.model = ArtifactEnhancer(model) if isinstance(model, (str, Path)) else model
        self.run = runner_of(self.model, self.device, half=self.args.quantize == 16)
        self.per_image = hasattr(self.run, "solve")
        if self.per_image and self.device.type != "cpu":
            self.run.device = str(self.device)

    def configure(
        self,
        model: Any,
        *,
        tile: int | None = None,
        overlap: float | None = None,
        bands: int | Sequence[int] | None = None,
        value_range: Any = None,
        save_routes: bool = False,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            tile: Side of the tiles that large pictures are cut into, 0 for none; see
                :func:`rsdet.tasks.restore.running.apply`. Rasters of more than 2^24 pixels that are saved, and with
                ``tile`` all that lie on Earth, are never held in memory; the same command goes on where a run was
                stopped.
            overlap: What neighbouring tiles share: below 1 a fraction of the tile, from 1 on pixels; an eighth of the
                tile, 64 px at most, where None.
            bands: Bands of the files to take, counted from 1.
            value_range: File values that are black and white, where the files are not of 8 or 16 bits.
            save_routes: Write beside each picture which expert took which pixel; for models that have experts.

        Raises:
            ConfigError: A value out of its range, or one that does not apply to this model.
        """
        if isinstance(overlap, float):
            if not tile:
                raise ConfigError(f"overlap={overlap} is a share of a tile, and there is no tile=; e.g. tile=512.")
            overlap = SceneSettings(tile=tile, overlap=overlap).overlap_px
        check_tiling(tile, overlap, prefix="")
        check_range(value_range)
        if tile and tile < getattr(self.run, "min_px", 1):
            raise ConfigError(f"tile={tile} is smaller than the {self.run.min_px} px that the model takes.")
        self.tile, self.overlap, self.save_routes = tile, overlap, check_flag("save_routes", save_routes)
        self.reading = {"bands": check_bands(bands), "value_range": value_range}
        self._names = set()
        if self.save_routes:
            routed_network(self.run)
        if self.per_image and (tile is not None or overlap is not None):
            raise ConfigError("tile= and overlap= do not apply: this method has settings tile_px= and overlap_px=.")

    def __call__(self, source: Any = None, model: Any = None, stream: bool = False, **kwargs: Any) -> Any:
        """Restore; a generator with ``stream``, which holds one picture at a time."""
        results = self._restored(source)
        return results if stream else list(results)

    def _restored(self, source: Any) -> Iterator[RestoreResults]:
        found = find(source)
        self.sources = [found.video] if found.video else found.files
        yield from self._video(found.video) if found.video else self._all(found)

    def _all(self, source: Source) -> Iterator[RestoreResults]:
        self.skipped = source.skipped
        streams = self.args.save and not self.per_image and not self.save_routes
        self._scenes = by_windows(source.files, self.tile) if streams else set()
        if self._scenes:
            self._go_on()
        channels = self.run.channels if not self.reading["bands"] else None
        self.run_callbacks("on_predict_start")
        done = 0
        for name, image, meta in source.pictures(self._scenes, channels=channels, **self.reading):
            which = f"{done + 1}/{len(source)}"
            try:
                with within_memory(name):
                    result = self._scene(Path(name), which) if image is None else self._one(name, image, meta, which)
            except DataError as e:  # of this picture: too small, other channels
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            self.results = [result]
            self.run_callbacks("on_predict_postprocess_end")
            yield result
            if result.stopped and result.extras.get("why") == "interrupted":
                raise Interrupted(f"{result.save_path or name} is the best so far; {len(source) - done} not begun.")
        self.run_callbacks("on_predict_end")
        if not done:
            more = f" (and {len(self.skipped) - 1} more)" if len(self.skipped) > 1 else ""
            raise DataError(f"{self.skipped[0]}{more}.")
        if self._scenes and done == len(source):
            finish(self.save_dir)
            forget(self.save_dir)
        for line in self.skipped:
            LOGGER.warning(f"left out: {line}")

    def _one(self, name: str, image: np.ndarray, meta: ImageMeta, which: str) -> RestoreResults:
        begin = time.perf_counter()
        extras: dict[str, Any] = {}
        solved = None
        if self.per_image:
            with Line(f"image {which} {name}", self.args.verbose) as line:
                solved = self.run.solve(image, progress=lambda p: line.now_and_then(p.line), seed=self.args.seed)
            output, extras = solved.image, {"kernel": solved.kernel, "losses": solved.losses, "why": solved.stopped}
        else:
            output = apply(self.run, image, tile=self.tile, overlap=self.overlap, name=name)
        ms = (time.perf_counter() - begin) * 1e3
        result = RestoreResults(
            name, output, image, self.run.scale, meta, {"inference": ms}, extras=extras,
            stopped=bool(solved is not None and solved.is_partial),
        )  # fmt: skip
        if self.args.save:
            self._save(result, solved)
        (h, w), (oh, ow) = image.shape[:2], output.shape[:2]
        told = f", {solved.summary()}" if solved is not None else ""
        if self.args.verbose:
            LOGGER.info(f"image {which} {printable(name)}: {w}x{h} -> {ow}x{oh}, {ms:.0f} ms{told}")
        return result

    def _go_on(self) -> None:
        """The folder of an unfinished run of the same model, files and settings, else a new one."""
        files = [str(p.absolute()) for p in self.sources]
        half = self.args.quantize == 16
        self._facts = {"model": digest_of(self.model, self.run), "device": str(self.device), "half": half}
        facts = {**self._facts, "files": files, "tile": self.tile, "overlap": self.overlap, **self.reading}
        place = {"project": Path(self.args.project), "name": self.args.name, "exist_ok": self.args.exist_ok}
        self.save_dir, continued = scene_folder(facts=facts, **place)
        self._made = self.save_dir
        if continued:
            say(f"an unfinished run of the same model, files and settings lies in {self.save_dir} and is continued.")

    def _scene(self, path: Path, which: str) -> SceneResults:
        self.make_folder()
        suffix = path.suffix.lower() if path.suffix.lower() in (".tif", ".tiff") else ".tif"
        target = self.save_dir / f"{free_name(path.stem, self._names, suffix)}{suffix}"
        with Line(f"image {which} {path.name}", self.args.verbose) as line:
            asked = {"tile": self.tile, "overlap": self.overlap, **self.reading}
            result = restore_scene(self.run, path, target, facts=self._facts, line=line, **asked)
        (h, w), s = result.orig_shape, result.scale
        if self.args.verbose:
            spent = result.speed["inference"] / 1e3
            LOGGER.info(f"image {which} {printable(str(path))}: {w}x{h} -> {w * s}x{h * s}, {spent:.0f} s")
        return result

    def _save(self, result: RestoreResults, solved: Any) -> None:
        self.make_folder()
        suffix = suffix_for(result.path, result.meta)
        stem = free_name(Path(result.path).stem, self._names, suffix)
        if solved is not None:
            result.save_path = solved.save(self.save_dir, stem, result.meta, suffix)[0]
        else:
            result.save(self.save_dir / f"{stem}{suffix}")
        if self.save_routes:
            write_routes(self.run, result.orig_image, self.save_dir / f"{stem}_routes.png")

    def _video(self, path: Path) -> Iterator[RestoreResults]:
        """Restore a video frame by frame; 8 bits, as videos have."""
        if self.per_image:
            raise ConfigError(f"{path.name} is a video, and this method takes minutes for each picture; pass images.")
        reader, writer, n = cv2.VideoCapture(str(path)), None, 0
        total, fps = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)), reader.get(cv2.CAP_PROP_FPS) or 25.0
        target = (self.make_folder() if self.args.save else self.save_dir) / f"{path.stem}.mp4"
        try:
            while True:
                ok, frame = reader.read()
                if not ok:
                    break
                n += 1
                image = frame[..., ::-1].astype(np.float32) / 255
                image = image.mean(2, keepdims=True) if self.run.channels == 1 else image
                begin = time.perf_counter()
                output = apply(self.run, image, tile=self.tile, overlap=self.overlap, name=f"{path.name} frame {n}")
                speed = {"inference": (time.perf_counter() - begin) * 1e3}
                result = RestoreResults(str(path), output, image, self.run.scale, speed=speed)
                if self.args.save:
                    shown = np.rint(np.repeat(output, 3 // output.shape[2], 2)[..., ::-1] * 255).astype(np.uint8)
                    if writer is None:
                        size = shown.shape[1], shown.shape[0]
                        writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
                    writer.write(np.ascontiguousarray(shown))
                    result.save_path = target
                if self.args.verbose and (n % 25 == 1 or n == total):
                    LOGGER.info(f"video {path.name}: frame {n}/{total}, {speed['inference']:.0f} ms")
                yield result
        finally:
            reader.release()
            if writer is not None:
                writer.release()
        if not n:
            raise DataError(f"{path} holds no frame that can be decoded; copy it again.")

"""Pictures and videos through a model, one after the other, told and written; once for every backend."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet.data.decoding import within_memory
from rsdet.data.pictures import check_bands
from rsdet.data.raster_io import ImageMeta, check_range, too_dark
from rsdet.data.sources import frames_lost, tell_left_out
from rsdet.errors import ConfigError, DataError
from rsdet.names import printable
from rsdet.progress import Line
from rsdet.quiet import say
from rsdet.scenes.folder import continued_folder, finish, give_up
from rsdet.scenes.parts import forget
from rsdet.scenes.settings import SceneSettings
from rsdet.tasks.restore.results import RestoreResults, SceneResults, suffix_for
from rsdet.tasks.restore.running import apply, check_tiles, digest_of
from rsdet.tasks.restore.scenes import by_windows, restore_scene
from rsdet.tasks.restore.source import Source
from rsdet.writing import check_apart, file_stem, free_name


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, once what there was has been written; the message says what that is."""


@dataclass
class RestoreRun:
    """Restores, tells and writes.

    Attributes:
        model: What :func:`rsdet.tasks.restore.running.runner_of` took.
        run: What it gave.
        folder: Gives the folder of the run, made at the first call; None where nothing is saved.
        place: ``project``, ``name`` and ``exist_ok`` of a folder that goes on where it was stopped.
        tile: As in :func:`rsdet.tasks.restore.running.apply`.
        overlap: As there, or below 1 a share of the tile.
        bands: Bands of the files to take, counted from 1.
        value_range: File values that are black and white.
        write_routes: Writes the picture of who took which pixel of a picture to a path; None where nobody asks for it.
        facts: What tells this run from one on another device.
        seed: For methods that draw numbers.
        verbose: Tell.
        skipped: One line for each file that was left out.

    Raises:
        ConfigError: A value out of its range, or one that does not apply to this model.
    """

    model: Any
    run: Any
    folder: Callable[[], Path] | None
    place: Mapping[str, Any]
    tile: int | None = None
    overlap: float | None = None
    bands: Any = None
    value_range: Any = None
    write_routes: Callable[[np.ndarray, Path], Any] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    verbose: bool = True
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if isinstance(self.overlap, float):
            if not self.tile:
                raise ConfigError(f"overlap={self.overlap} is a share of a tile, and there is no tile=; e.g. tile=512.")
            self.overlap = SceneSettings(tile=self.tile, overlap=self.overlap).overlap_px
        check_tiles(self.run, self.tile, self.overlap)
        check_range(self.value_range)
        self.per_image = hasattr(self.run, "solve")
        if self.per_image and (self.tile is not None or self.overlap is not None):
            raise ConfigError("tile= and overlap= do not apply: this method has settings tile_px= and overlap_px=.")
        self.reading = {"bands": check_bands(self.bands), "value_range": self.value_range}
        self.tiling: dict[str, Any] = {"tile": self.tile, "overlap": self.overlap}
        self._names: set[str] = set()

    def over(self, source: Source) -> Iterator[RestoreResults]:
        """Results one after the other; a picture that cannot be restored is left out and named.

        Raises:
            DataError: None could be done.
            Interrupted: Ctrl-C in a method that has its best so far.
        """
        self.skipped = source.skipped
        return self._video(source.video) if source.video else self._all(source)

    def _all(self, source: Source) -> Iterator[RestoreResults]:
        streams = self.folder is not None and not self.per_image and self.write_routes is None
        scenes = by_windows(source.files, self.tile) if streams else set()
        if scenes:
            self._go_on(source.files)
        channels = self.run.channels if not self.reading["bands"] else None
        done = 0
        for name, image, meta in source.pictures(scenes, channels=channels, **self.reading):
            which = f"{done + 1}/{len(source)}"
            try:
                with within_memory(name):
                    if image is None and self.folder is not None:
                        result = self._scene(Path(name), self.folder(), which)
                    else:
                        result = self._one(name, image, meta, which)
            except DataError as e:  # of this picture: too small, other channels
                self.skipped.append(str(e).rstrip("."))
                continue
            done += 1
            yield result
            if result.stopped and result.extras.get("why") == "interrupted":
                raise Interrupted(f"{result.save_path or name} is the best so far; {len(source) - done} not begun.")
        if self.folder is not None and scenes and done == len(source):
            finish(self.folder())
            forget(self.folder())
        elif scenes and not done:
            give_up(self.folder())
        tell_left_out(self.skipped, done)

    def _one(self, name: str, image: np.ndarray, meta: ImageMeta, which: str) -> RestoreResults:
        if self.value_range is None and (dark := too_dark(meta.dtype, float(image.max()) * 65535)):
            say(f"{printable(name)}: {dark}", logging.WARNING)
        begin = time.perf_counter()
        extras: dict[str, Any] = {}
        solved = None
        if self.per_image:
            with Line(f"image {which} {name}", self.verbose) as line:
                solved = self.run.solve(image, progress=lambda p: line.now_and_then(p.line), seed=self.seed)
            output, extras = solved.image, {"kernel": solved.kernel, "losses": solved.losses, "why": solved.stopped}
        else:
            output = apply(self.run, image, name=name, **self.tiling)
        ms = (time.perf_counter() - begin) * 1e3
        result = RestoreResults(
            name, output, image, self.run.scale, meta, {"inference": ms}, extras=extras,
            stopped=bool(solved is not None and solved.is_partial),
        )  # fmt: skip
        if self.folder is not None:
            self._save(result, self.folder(), solved)
        (h, w), (oh, ow) = image.shape[:2], output.shape[:2]
        told = f", {solved.summary()}" if solved is not None else ""
        self._tell(f"image {which} {printable(name)}: {w}x{h} -> {ow}x{oh}, {ms:.0f} ms{told}")
        return result

    def _tell(self, line: str) -> None:
        if self.verbose:
            say(line, logging.INFO)

    def _go_on(self, files: list[Path]) -> None:
        """The folder of an unfinished run of the same model, files and settings, else a new one."""
        self.facts = {"model": digest_of(self.model, self.run), **self.facts}
        facts = {**self.facts, "files": [str(p.absolute()) for p in files], **self.tiling, **self.reading}
        folder = continued_folder(self.place, facts)
        check_apart(folder, files)
        self.folder = lambda: folder

    def _scene(self, path: Path, folder: Path, which: str) -> SceneResults:
        suffix = path.suffix.lower() if path.suffix.lower() in (".tif", ".tiff") else ".tif"
        target = folder / f"{free_name(file_stem(path.stem), self._names, suffix)}{suffix}"
        with Line(f"image {which} {path.name}", self.verbose) as line:
            result = restore_scene(self.run, path, target, facts=self.facts, line=line, **self.tiling, **self.reading)
        (h, w), s = result.orig_shape, result.scale
        spent = result.speed["inference"] / 1e3
        self._tell(f"image {which} {printable(str(path))}: {w}x{h} -> {w * s}x{h * s}, {spent:.0f} s")
        return result

    def _save(self, result: RestoreResults, folder: Path, solved: Any) -> None:
        suffix = suffix_for(result.path, result.meta)
        stem = free_name(Path(result.path).stem, self._names, suffix)
        if solved is not None:
            result.save_path = solved.save(folder, stem, result.meta, suffix)[0]
        else:
            result.save(folder / f"{stem}{suffix}")
        if self.write_routes is not None:
            self.write_routes(result.orig_image, folder / f"{stem}_routes.png")

    def _video(self, path: Path) -> Iterator[RestoreResults]:
        """Restore a video frame by frame; 8 bits, as videos have."""
        if self.per_image:
            raise ConfigError(f"{path.name} is a video, and this method takes minutes for each picture; pass images.")
        reader, writer, n = cv2.VideoCapture(str(path)), None, 0
        total, fps = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)), reader.get(cv2.CAP_PROP_FPS) or 25.0
        target = None if self.folder is None else self.folder() / f"{path.stem}.mp4"
        try:
            while True:
                ok, frame = reader.read()
                if not ok:
                    break
                n += 1
                image = frame[..., ::-1].astype(np.float32) / 255
                image = image.mean(2, keepdims=True) if self.run.channels == 1 else image
                begin = time.perf_counter()
                output = apply(self.run, image, name=f"{path.name} frame {n}", **self.tiling)
                speed = {"inference": (time.perf_counter() - begin) * 1e3}
                result = RestoreResults(str(path), output, image, self.run.scale, speed=speed)
                if target is not None:
                    shown = np.rint(np.repeat(output, 3 // output.shape[2], 2)[..., ::-1] * 255).astype(np.uint8)
                    if writer is None:
                        size = shown.shape[1], shown.shape[0]
                        writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
                    writer.write(np.ascontiguousarray(shown))
                    result.save_path = target
                if n % 25 == 1 or n == total:
                    self._tell(f"video {path.name}: frame {n}/{total}, {speed['inference']:.0f} ms")
                yield result
        finally:
            reader.release()
            if writer is not None:
                writer.release()
        if not n:
            raise DataError(f"{path} holds no frame that can be decoded; copy it again.")
        if line := frames_lost(path, n, total, fps):
            self.skipped.append(line)
            say(f"left out: {line}", logging.WARNING)

"""One scene made ready for one model: views at the model's resolution, tiles, and what is found in any of them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rsdet._version import __version__
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.scenes.ahead import ahead
from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.layers import check_layers, usual_layers
from rsdet.scenes.placement import placement_problem
from rsdet.scenes.plan import Plan, Spot
from rsdet.scenes.predictor import TilePredictor
from rsdet.scenes.reader import Values, View, open_raster
from rsdet.scenes.settings import SceneSettings

_SAME = 0.02  # two ground sampling distances that differ by less are one
_FARTHEST = 256  # and of two that differ by more one is a mistake: millions of tiles of nothing, or one of a pixel
_EVERY_S = 1.0  # tiles without data are noted so often


class Changed(DataError):
    """A scene that was changed while it was read: nothing of what was found can be used."""


@dataclass
class Batch:
    """Tiles that are done together.

    Attributes:
        first: Number of the first tile.
        last: Number of the last tile; all between that are neither looked at nor unread have no data.
        spots: Tiles that were looked at.
        pictures: What was seen there.
        unread: Why a tile could not be read.
        found: What was found in each of ``spots``.
        looked_at: How many were looked at.
        full: How many of these hold as many objects as the model gives at most.
    """

    first: int
    last: int
    spots: list[Spot] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    unread: dict[int, str] = field(default_factory=dict)
    found: dict[int, Found] = field(default_factory=dict)
    looked_at: int = 0
    full: int = 0


class SceneWork:
    """A scene, open, and what looks at it; a context manager.

    Args:
        path: File of the scene.
        predictor: The model.
        settings: Keys of the run.
        values: What an earlier part of this run has measured of the scene.

    Attributes:
        layers: Layers that are written: those asked for, else what suits a scene with or without a place on Earth.
        plan: The tiles.
        values: How samples become pictures.
        identity: What decides the outcome, as plain values.
        spent_s: Seconds that the network took, and that it waited for tiles.
        done: Tiles that were done here, those without data among them.

    Raises:
        ConfigError: Settings that do not fit the model.
        DataError: The scene cannot be used; the message says why.
    """

    def __init__(
        self, path: Path, predictor: TilePredictor, settings: SceneSettings, values: dict[str, Any] | None = None
    ):
        self.predictor, self.settings = predictor, settings
        self.raster = open_raster(path)
        try:
            self._prepare(path, values)
        except BaseException:
            self.raster.close()
            raise

    def _prepare(self, path: Path, values: dict[str, Any] | None) -> None:
        s, info = self.settings, self.raster.info
        self.info, self.georef = info, Georef.of(info)
        self.layers = usual_layers(self.georef) if s.layers is None else tuple(s.layers)
        check_layers(self.layers, self.georef, info)  # before hours are spent
        self.ratios = [self._ratio(path) / float(scale) for scale in s.scales]  # type: ignore[union-attr]
        self.aoi = None if s.aoi is None else _area(s.aoi, self.georef, info.size_hw)
        self.values = (
            Values.of(self.raster, self.predictor.reader, self.predictor.bands, s.stretch)
            if values is None
            else Values.of_dict(values)
        )
        self.views = [View(self.raster, self.values, ratio) for ratio in self.ratios]
        self.plan = Plan([v.size_hw for v in self.views], self.ratios, s.tile or 0, s.overlap_px)
        self.spent_s, self.done = {"network": 0.0, "waiting": 0.0}, 0

    def __enter__(self) -> SceneWork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.raster.close()

    @property
    def notices(self) -> list[str]:
        """What is worth saying before it begins."""
        base = self.ratios[0] * float(self.settings.scales[0])  # type: ignore[index]
        seen = f"seen at the resolution of the model, {base:.3g} pixels of the scene to one of its" if base != 1 else ""
        return [text for text in (placement_problem(self.info), seen, self.values.describe()) if text]

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides what is found here."""
        return scene_identity(self.info.identity, self.predictor, self.settings)

    def detect(self, numbers: Iterable[range]) -> Iterator[Batch]:
        """Look at tiles.

        Args:
            numbers: Ranges of tiles in order.

        Yields:
            Batches in order that cover all of these numbers; each is read while the network looks at the one before.
        """
        with closing(ahead(self._read(numbers))) as batches:
            while True:
                began = time.perf_counter()
                batch = next(batches, None)
                self.spent_s["waiting"] += time.perf_counter() - began
                if batch is None:
                    return
                began = time.perf_counter()
                seen = self.predictor.look(batch.pictures, self.settings.tile or 0)
                self.spent_s["network"] += time.perf_counter() - began
                for spot, objects in zip(batch.spots, seen, strict=True):
                    part = self._inside(spot.take(objects))
                    if len(part):
                        batch.found[spot.number] = part
                batch.pictures, batch.looked_at = [], len(batch.spots)
                batch.full = sum(len(objects) >= (self.predictor.max_det or inf) for objects in seen)
                yield batch

    def nothing(self) -> Found:
        """No objects, in the form in which the model finds them: layers have the same columns as with some."""
        spot = self.plan[0]
        black = np.zeros((spot.tile.height, spot.tile.width, self.predictor.reader.channels), np.uint8)
        return spot.take(self.predictor.run([black])[0]).take(np.zeros(0, np.int64))

    def _read(self, numbers: Iterable[range]) -> Iterator[Batch]:
        for some in numbers:
            batch, began = Batch(some.start, some.start), time.monotonic()
            for number in some:
                spot = self.plan[number]
                batch.last = number
                if picture := self._picture(spot, batch):
                    batch.spots.append(spot)
                    batch.pictures.append(picture[0])
                idle = not batch.spots and time.monotonic() - began > _EVERY_S
                if len(batch.spots) == self.predictor.batch or idle or self._shape_changes(number + 1, some):
                    yield batch
                    batch, began = Batch(number + 1, number + 1), time.monotonic()
            if batch.first < some.stop:
                yield batch

    def _shape_changes(self, following: int, some: range) -> bool:
        return following < some.stop and len(self.plan.grids) > 1 and following in self.plan.starts

    def _picture(self, spot: Spot, batch: Batch) -> tuple[np.ndarray] | None:
        """The picture of a tile; None where there is nothing to be looked at."""
        if self.aoi is not None and not self.aoi.intersects(_box(spot)):
            return None
        view = self.views[spot.scale]
        if view.is_empty(spot.tile):
            return None
        try:
            picture, valid = view.read(spot.tile)
        except RSDetError as e:
            batch.unread[spot.number] = str(e).rstrip(".")
            return None
        return (picture,) if valid.any() else None

    def _inside(self, found: Found) -> Found:
        """Objects whose centre lies in the area of interest."""
        if self.aoi is None or not len(found):
            return found
        import shapely

        centres = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        return found.take(np.asarray(shapely.contains_xy(self.aoi, centres[:, 0], centres[:, 1])))

    def check_unchanged(self) -> None:
        """Make sure that the file is the one that was opened.

        Raises:
            Changed: It is not.
        """
        with open_raster(self.info.path) as now:
            if now.info.identity != self.info.identity:
                raise Changed(
                    f"{self.info.path} was changed while it was read, so that its tiles do not belong together; run "
                    "the command again once it is whole."
                )

    def _ratio(self, path: Path) -> float:
        """Pixels of the scene per pixel that the model expects."""
        s = self.settings
        wanted = None if s.gsd is False else (s.gsd or self.predictor.gsd)
        if wanted is None:
            return 1.0
        has = s.scene_gsd or self.georef.gsd_m()
        if has is None:
            raise ConfigError(
                f"{self.predictor.model} sees {wanted:g} m a pixel and {path} does not say how many metres its pixels "
                "have; pass scene_gsd=, such as scene_gsd=0.3, or gsd=False to read it as it is."
            )
        ratio = float(wanted) / has
        if not 1 / _FARTHEST <= ratio <= _FARTHEST:
            raise ConfigError(
                f"{self.predictor.model} sees {wanted:g} m a pixel and {path} has {has:g} m, more than {_FARTHEST} "
                "times apart; check gsd= and scene_gsd=, which are in metres."
            )
        return 1.0 if abs(ratio - 1) < _SAME else ratio


def scene_identity(scene: str, predictor: TilePredictor, settings: SceneSettings) -> dict[str, Any]:
    """Everything that decides what is found in a scene, as plain values."""
    return {"scene": scene, "model": predictor.identity, "settings": deciding(settings)}


def deciding(s: SceneSettings) -> dict[str, Any]:
    """Settings that decide what is found, as plain values.

    Raises:
        DataError: The area of interest cannot be read.
    """
    return {
        "rsdet": __version__,  # another one may find something else
        "tile": s.tile, "overlap": s.overlap_px, "scales": list(s.scales), "gsd": s.gsd, "scene_gsd": s.scene_gsd,  # type: ignore[arg-type]
        "stretch": s.stretch, "aoi": None if s.aoi is None else _content(s.aoi),
        "merging": s.merging, "merging_iou": s.merging_iou,
    }  # fmt: skip


def _area(aoi: str, georef: Georef, size_hw: tuple[int, int]) -> Any:
    """The area of interest in pixels of the scene."""
    from rsdet.scenes.aoi import aoi_in_pixels  # most runs have none

    return aoi_in_pixels(aoi, georef, size_hw)


def _content(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as e:
        raise DataError(f"aoi={path} cannot be read ({e.strerror}); pass a GeoJSON or GeoPackage of polygons.") from e


def _box(spot: Spot) -> Any:
    import shapely

    t = spot.tile
    sides = np.array([t.left, t.top, t.left + t.width, t.top + t.height]) * spot.ratio
    return shapely.box(*sides)

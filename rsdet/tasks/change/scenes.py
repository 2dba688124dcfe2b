"""Pairs of rasters of any size to maps of changes: in tiles of their own resolution, blended, where they lie on Earth.

What is found is written as files and never held: the probability, what has changed, its regions as polygons, tables of
areas, both dates with a slider between. A run that was stopped goes on; see :mod:`rsdet.scenes.dense`.
"""

from __future__ import annotations

import filecmp
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rsdet._version import __version__
from rsdet.data.dates import DatePair
from rsdet.data.geotiff import geo_of, geo_of_dataset
from rsdet.data.pictures import PictureReader
from rsdet.data.tiling import partition
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.names import printable
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.scenes.class_rasters import CLASSES
from rsdet.scenes.dense import write_dense
from rsdet.scenes.grids import check_same_grid, grid_difference, on_grid_of
from rsdet.scenes.opening import open_dataset
from rsdet.scenes.polygons import check_packages
from rsdet.scenes.reader import Raster, open_raster
from rsdet.scenes.shift import Shift, told
from rsdet.tasks.change.districts import Districts, write_districts, write_tiles
from rsdet.tasks.change.looking import Looking
from rsdet.tasks.change.outputs import ChangeOutputs
from rsdet.tasks.change.rasters import CHANGED, ChangeRasters
from rsdet.tasks.change.swipe import SWIPE, write_swipe
from rsdet.tasks.change.view import DatesView
from rsdet.tasks.change.visual import compared
from rsdet.tasks.semantic.scenes import Mapper, are_scenes, georef_of, over_scenes
from rsdet.tasks.semantic.visual import LONGEST_PX
from rsdet.writing import workplace, write_picture

TABLES = "tables"


@dataclass(frozen=True)
class SceneWishes:
    """What can be said of pairs of rasters.

    Attributes:
        resample: Read a later date that lies on another grid on that of the earlier one; such are refused otherwise.
        districts: File of polygons by which areas are told; None for none.
        stretch: Values that become black and white, where rasters are not of bytes.

    Raises:
        ConfigError: A value out of its range.
    """

    resample: bool = False
    districts: str | None = None
    stretch: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.resample, bool):
            raise ConfigError(f"resample={self.resample} must be True or False.")
        if self.districts is not None:
            if not isinstance(self.districts, (str, Path)) or not Path(self.districts).is_file():
                raise ConfigError(f"districts={self.districts} is no file; pass a GeoJSON or GeoPackage of polygons.")
            object.__setattr__(self, "districts", str(self.districts))

    def facts(self) -> dict[str, Any]:
        """What decides the outcome, as plain values."""
        return {k: v for k, v in asdict(self).items() if k != "districts"}

    def check_of_use(self, rasters: Sequence[DatePair], pictures: Sequence[DatePair]) -> None:
        """Refuse what was said of rasters where there are pictures alone.

        Raises:
            ConfigError: Something was.
        """
        said = [f"{k}=" for k, v in asdict(self).items() if v not in (None, False)]
        if said and pictures and not rasters:
            raise ConfigError(
                f"{', '.join(said)} are for GeoTIFFs that lie on Earth, and {pictures[0].before} is none; leave them "
                "out."
            )


@dataclass
class SceneChange:
    """What has changed between two rasters, in files.

    Attributes:
        pair: The rasters.
        save_path: GeoTIFF of what has changed.
        orig_shape: Height and width in pixels.
        names: Class number to name.
        pixels: (255,) pixels of each class.
        area_m2: (255,) their area on the ground in square metres; None where that is not known.
        regions: Number of changed regions.
        files: Everything else that was written.
        shifts: How far the dates lie apart, in tiles that say so.
        speed: Milliseconds of the parts.
    """

    pair: DatePair
    save_path: Path
    orig_shape: tuple[int, int]
    names: Mapping[int, str]
    pixels: np.ndarray
    area_m2: np.ndarray | None
    regions: int
    files: Sequence[Path]
    shifts: Sequence[Shift]
    speed: dict[str, float]

    @property
    def path(self) -> str:
        """The earlier raster."""
        return str(self.pair.before)

    @property
    def share(self) -> float:
        """Part of what both dates show that has changed."""
        return float(self.pixels[CHANGED] / max(1, self.pixels.sum()))

    def __len__(self) -> int:
        """Number of changed regions."""
        return self.regions

    def summary(self) -> str:
        """What was found, in a clause."""
        area = "" if self.area_m2 is None else f" ({self.area_m2[CHANGED]:,.0f} m2)"
        return f"{100 * self.share:.2f} % changed{area} in {self.regions} place{'s' * (self.regions != 1)}"


def is_scene_pair(pair: DatePair) -> bool:
    """Whether a pair is compared without ever being held: one of its rasters is large, or lies on Earth."""
    return bool(are_scenes([pair.before, pair.after], None))


def scene_problem(pair: DatePair, wishes: SceneWishes) -> str:
    """Why two rasters cannot be compared, in a line; empty where they can, as far as their headers say."""
    try:
        with open_raster(pair.before) as before, open_raster(pair.after) as after:
            if _same_content(pair):
                raise DataError(f"{pair.before} and {pair.after} are one picture; pass two dates.")
            if not wishes.resample:
                check_same_grid(before.info, after.info)
    except DataError as e:
        return str(e).rstrip(".")
    return ""


def _same_content(pair: DatePair) -> bool:
    one, two = pair.before, pair.after
    return one.samefile(two) or (one.stat().st_size == two.stat().st_size and filecmp.cmp(one, two, shallow=False))


def compare_scenes(
    mapper: Mapper,
    pairs: Sequence[DatePair],
    run: Mapping[str, Any],
    outputs: ChangeOutputs,
    skipped: list[str],
    looking: Looking,
    wishes: SceneWishes,
    verbose: bool = True,
) -> Iterator[SceneChange]:
    """Compare rasters, pair by pair, in the folder of an unfinished run of the same, else a new one.

    Args:
        mapper: The model.
        pairs: The rasters.
        run: ``project``, ``name`` and ``exist_ok``.
        outputs: Takes the areas.
        skipped: Takes a line for each pair that was left out.
        looking: Tiles and threshold.
        wishes: What else was said.
        verbose: Tell.

    Raises:
        DataError: None of them could be compared.
    """

    def one(pair: DatePair, folder: Path, line: Line) -> tuple[SceneChange, str]:
        found = compare_scene(mapper, pair, folder, outputs.stem(pair.before), looking, wishes, outputs, line)
        outputs.add_areas(pair.before, found.pixels, found.names, found.area_m2)
        (height, width), spent = found.orig_shape, found.speed["inference"] / 1e3
        return found, f"{width}x{height}, {found.summary()}, {spent:.1f} s"

    files = [[str(p.absolute()) for p in (pair.before, pair.after)] for pair in pairs]
    facts = {**mapper.facts, **wishes.facts(), **looking.facts(), "files": files}
    yield from over_scenes(
        pairs, lambda pair: str(pair.before), "pair", facts, run, skipped, one, outputs.write_areas, verbose
    )


def compare_scene(
    mapper: Mapper,
    pair: DatePair,
    folder: Path,
    stem: str,
    looking: Looking,
    wishes: SceneWishes,
    outputs: ChangeOutputs,
    line: Line,
) -> SceneChange:
    """Compare two rasters into ``classes/<stem>.tif`` and its companions; a run that was stopped goes on.

    Args:
        mapper: The model.
        pair: The rasters.
        folder: Of the run.
        stem: Name of the results.
        looking: Tiles and threshold.
        wishes: What else was said.
        outputs: Says which polygons are written.
        line: What says how far it is.

    Raises:
        DataError: The rasters do not fit together or the model, or a part of one cannot be read; what is done is kept.
        WriteError: The disk is full; what is done is kept.
    """
    began = time.perf_counter()
    check_packages()
    with ExitStack() as stack:
        before, after = (stack.enter_context(open_raster(p)) for p in (pair.before, pair.after))
        read_as = _on_one_grid(before, after, wishes, folder, stack)
        size_hw, georef = before.info.size_hw, georef_of(before.info)
        districts = None if wishes.districts is None else Districts.of(wishes.districts, georef)
        view = DatesView.of(before, after, read_as, _reader(mapper), wishes.stretch)
        for said in view.describe():
            line.write(said, end="\n" * line.on_terminal)
        cells = partition(size_hw, looking.tile)
        view, shifts = view.surveyed(cells, looking.match)
        if said := told(shifts.values()):
            say(f"{printable(str(pair.before))}: {said}.", logging.WARNING)

        with open_dataset(before.info.path) as f:
            place = {k: v for k, v in geo_of_dataset(f).items() if k in ("crs", "transform", "gcps")}
        out = folder / CLASSES / f"{stem}.tif"
        rasters = ChangeRasters(out, mapper.names, view, {**geo_of(IGNORE), **place}, looking.threshold)
        side = min(looking.tile, max(size_hw))
        values = [v.values.to_dict() for v in (view.before, view.after)]
        facts = {
            **mapper.facts, **wishes.facts(), **looking.facts(), "input": mapper.size, "values": values,
            "scenes": [r.info.identity for r in (before, after)], "rsdet": __version__,
        }  # fmt: skip
        write_dense(
            looking.run_of(mapper), lambda w: view.read(w)[0].astype(np.float32), rasters.encode,
            size_hw, out, rasters.form, tile=side, overlap=min(looking.overlap, side - 1), facts=facts,
            batch=looking.batch, progress=Tiles(line), join=rasters.write,
        )  # fmt: skip
        ms = {"inference": (time.perf_counter() - began) * 1e3}

        made, regions = rasters.outline(georef, outputs.polygons)
        pixels, area = rasters.areas(georef)
        probability = rasters.probability
        made.append(write_tiles(folder / TABLES / f"{stem}-tiles.csv", cells, shifts, out, probability, georef))
        if districts is not None:
            made.append(write_districts(folder / TABLES / f"{stem}-districts.csv", districts, out, probability, georef))
        every = list(shifts.values())
        found = SceneChange(pair, out, size_hw, mapper.names, pixels, area, regions, made, every, ms)
        made += _drawn(folder, stem, view, rasters, found, outputs.swipe is not False)
    return found


def _on_one_grid(before: Raster, after: Raster, wishes: SceneWishes, folder: Path, stack: ExitStack) -> Raster:
    """The later date on the grid of the earlier one."""
    if not wishes.resample:
        check_same_grid(before.info, after.info)
    if not grid_difference(before.info, after.info):
        return after
    place = stack.enter_context(workplace(folder, "grid"))
    return stack.enter_context(open_raster(on_grid_of(before.info, after.info, place)))


def _reader(mapper: Mapper) -> PictureReader:
    reader: PictureReader = mapper.reader
    return reader


def _drawn(
    folder: Path, stem: str, view: DatesView, rasters: ChangeRasters, found: SceneChange, swipe: bool
) -> list[Path]:
    """Both dates side by side, and with a slider between."""
    stack, _ = view.overview(LONGEST_PX)
    changed, pair = rasters.small(stack.shape[:2]), found.pair
    shown = compared(stack, changed, found.share)
    made = [write_picture(folder / f"{stem}.jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])]
    if swipe:
        (height, width), shrink = found.orig_shape, max(found.orig_shape) / max(stack.shape[:2])
        said = f"{width} x {height} pixels, {found.summary()}." + f" Shown {shrink:.1f} times smaller." * (shrink > 1)
        tags = pair.before.name, pair.after.name
        made.append(write_swipe(folder / SWIPE / f"{stem}.html", stack, changed, " and ".join(tags), tags, said))
    return made

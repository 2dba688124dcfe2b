"""``predict`` on whole scenes: one after the other, each continued where an earlier run was stopped."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from rsdet.data.sources import first_of
from rsdet.errors import ConfigError, DataError, RSDetError, WriteError
from rsdet.names import printable
from rsdet.progress import duration
from rsdet.quiet import say
from rsdet.scenes.folder import MARK, finish, scene_folder, shared_folder
from rsdet.scenes.found import Found
from rsdet.scenes.jobs import check_plan, join_parts, part_path, plan_lines, share_of
from rsdet.scenes.ledger import SUFFIX, Ledger, Unfinished, fingerprint, remove
from rsdet.scenes.merging import cut_report, merge
from rsdet.scenes.predictor import TilePredictor
from rsdet.scenes.progress import Progress
from rsdet.scenes.ray_engine import check_ray, on_ray
from rsdet.scenes.reader import open_raster
from rsdet.scenes.result import SceneResult
from rsdet.scenes.settings import SceneSettings
from rsdet.scenes.sources import scenes_of
from rsdet.scenes.values import nothing_valid
from rsdet.scenes.work import Changed, SceneWork, deciding
from rsdet.stac import check_stac
from rsdet.writing import check_apart, file_stem, free_names, put, workplace, write_text


@dataclass
class SceneRun:
    """A run over scenes.

    Args:
        predictor: The model.
        settings: Keys about scenes.
        source: What to look at.
        project: Folder of all runs.
        name: Name of this run.
        exist_ok: Take the folder of that name though a finished run lies in it.
        verbose: Say what is done.

    Attributes:
        save_dir: Folder of this run.
        skipped: One line for each scene that was left out, or was only done in part.
        windows: Lines of the plan.
        objects: How many were found.
    """

    predictor: TilePredictor
    settings: SceneSettings
    source: Any
    project: Path
    name: str | None = None
    exist_ok: bool = False
    verbose: bool = True
    save_dir: Path = field(init=False)
    skipped: list[str] = field(init=False, default_factory=list)
    windows: list[str] = field(init=False, default_factory=list)
    objects: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        s = self.settings
        check_fit(self.predictor, s)
        self.name = None if self.name is None else str(self.name)
        if s.engine == "ray":
            check_ray(self.predictor)
        if s.stac:
            check_stac()
        found = scenes_of(self.source)
        self.files, self.skipped = found.files, found.skipped
        facts = {
            "model": self.predictor.identity,
            "scenes": [(str(p.absolute()), _state(p)) for p in self.files],
            "settings": deciding(s),
        }
        self.continued = False
        if self._writes_plan:
            check_plan(plan := Path(str(s.plan)).expanduser().absolute())
            self.save_dir = plan.parent
        elif s.merge is not None:
            self.save_dir = shared_folder(Path(s.merge).expanduser().absolute(), facts)
        else:
            how = {"exist_ok": self.exist_ok, "shared": s.job is not None}
            self.save_dir, self.continued = scene_folder(self.project, self.name, facts, **how)
        if not self._writes_plan:
            check_apart(self.save_dir, self.files)

    def __iter__(self) -> Iterator[SceneResult]:
        """Results, one a scene; a scene that cannot be used does not stop the others."""
        if self.verbose and not self._writes_plan:
            say(f"{self.predictor.model}: {self.predictor.backend}; results go to {printable(str(self.save_dir))}")
            tile, (height, width), stride = self.settings.tile or 0, self.predictor.input_hw, self.predictor.stride
            if max(abs(height - tile), abs(width - tile)) >= stride:
                say(f"tiles of {tile} px are resized to the {width}x{height} px of the model; use tile={width}.")
            if self.continued and self.settings.job is None:
                say("an unfinished run of the same model, scenes and settings lies there and is continued.")
        failed: set[str] = set()
        for number, (path, stem) in enumerate(zip(self.files, _stems(self.files), strict=True), 1):
            try:
                result = self._one(path, stem, f"{number}/{len(self.files)}")
            except (WriteError, Unfinished):
                raise  # no other scene will fare better
            except KeyboardInterrupt as e:
                raise KeyboardInterrupt("the same command goes on from the last finished tile.") from e
            except RSDetError as e:
                failed.add(stem)
                self.skipped.append(str(e).rstrip("."))
                if len(self.files) > 1:
                    say(f"left out: {self.skipped[-1]}", logging.WARNING)
                continue
            if result is not None:
                self.objects += len(result)
                yield result
        if self._writes_plan:
            write_text(Path(str(self.settings.plan)).expanduser(), "".join(f"{line}\n" for line in self.windows))
        elif self.settings.job is None:
            finish(self.save_dir, failed)
        if len(failed) == len(self.files):
            raise DataError(first_of(self.skipped))

    @property
    def _writes_plan(self) -> bool:
        return self.settings.plan is not None and self.settings.job is None

    @property
    def outcome(self) -> str:
        """What has been done, in one clause."""
        scenes = _many(len(self.files), "scene")
        if self._writes_plan:
            return f"{_many(len(self.windows), 'window')} of {scenes} in {self.settings.plan}"
        if self.settings.job is not None:
            return f"share {self.settings.job} of {scenes} done"
        return f"{_many(self.objects, 'object')} in {scenes}"

    def _one(self, path: Path, stem: str, which: str) -> SceneResult | None:
        began, s = time.perf_counter(), self.settings
        with SceneWork(path, self.predictor, s) as work:
            if self._writes_plan:
                self.windows += plan_lines(work)
                return None
            for notice in work.notices if self.verbose and s.merge is None else ():
                say(f"{path.name}: {notice}")
            identity, share = fingerprint(work.identity), range(len(work.plan))
            kept = self.save_dir / f"{stem}{SUFFIX}"
            if s.job is not None:
                kept, share = part_path(self.save_dir, stem, s.job), share_of(s.job, len(work.plan))
            ledger = Ledger(kept, identity)
            try:
                if s.merge is not None:
                    join_parts(ledger, self.save_dir, stem, identity, len(work.plan))
                else:
                    detect_into(ledger, work, share, f"scene {which} {path.name}", self.verbose)
                    work.check_unchanged()
                if s.job is not None:
                    return None
                result = finished(ledger, work, self.save_dir, stem)
            except Changed:
                remove(kept)
                raise
            finally:
                empty = s.job is None and not ledger.count
                ledger.close()
                if empty:
                    remove(kept)
        result.spent_s["all"] = time.perf_counter() - began
        if result.unread:
            first = next(iter(result.unread.values()))
            self.skipped.append(
                f"{path}: {len(result.unread)} of {result.tiles} tiles could not be read, and nothing was looked for "
                f"there; {first}"
            )
        if self.verbose:
            _tell(result, which, work.done)
        return result


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _stems(files: Sequence[Path]) -> Iterator[str]:
    """What the results of each scene are called: no two alike, nor a scene like a layer of another or the mark."""
    taken = {Path(MARK).stem}
    for path in files:
        stem = next(s for s in free_names(file_stem(path.stem)) if not {s, f"{s}-coco"} & taken)
        taken |= {stem, f"{stem}-coco"}
        yield stem


def _state(path: Path) -> str | None:
    """What changes when a scene does; None for one that cannot be opened, which is told when its turn comes."""
    try:
        with open_raster(path) as raster:
            return raster.info.identity
    except RSDetError:
        return None


def check_fit(predictor: TilePredictor, settings: SceneSettings) -> None:
    """Refuse tiles that the network cannot look at.

    Raises:
        ConfigError: They are smaller than its stride.
    """
    if (settings.tile or 0) < predictor.stride:
        raise ConfigError(
            f"tile={settings.tile} is smaller than the stride of {predictor.model}, {predictor.stride} px; use a "
            "multiple of it, e.g. tile=640."
        )


def detect_into(ledger: Ledger, work: SceneWork, share: range, label: str, verbose: bool = False) -> None:
    """Look at all tiles of a share that the ledger does not have yet."""
    missing = ledger.missing(share.start, share.stop)
    looked_at, full = (ledger.fact(name) or 0 for name in ("looked_at", "full"))
    height, width = work.info.size_hw
    pixels = height * width / len(work.plan)  # of a tile, without what others see, too
    with Progress(label, len(share), len(share) - sum(map(len, missing)), verbose) as progress:
        for batch in on_ray(work, missing) if work.settings.engine == "ray" else work.detect(missing):
            looked_at, full = looked_at + batch.looked_at, full + batch.full
            ledger.add(batch.first, batch.last, batch.found, batch.unread, looked_at=looked_at, full=full)
            tiles = batch.last - batch.first + 1
            work.done += tiles
            progress.add(tiles, sum(map(len, batch.found.values())), tiles * pixels)


def finished(ledger: Ledger, work: SceneWork, folder: Path, stem: str) -> SceneResult:
    """Merge what the ledger holds, and put the layers of a scene in place.

    Raises:
        DataError: No tile had data.
    """
    from rsdet.scenes.layers import write_layers

    s, unread, looked_at = work.settings, ledger.unread(), ledger.fact("looked_at") or 0
    if not looked_at and s.aoi is None and not unread:
        raise nothing_valid(work.info)
    if not looked_at and unread:
        raise DataError(f"{work.info.path}: {next(iter(unread.values()))}, nor could any other tile be read.")
    parts = list(ledger.parts()) or [work.nothing()]
    found = merge(Found.joined(parts), s.merging, s.merging_iou) if len(parts[0]) else parts[0]
    names, made = work.predictor.names, []
    with workplace(folder, "layers") as place:
        made += write_layers(place, stem, found, names, work.georef, work.info, work.layers)
        if s.quicklook:
            from rsdet.scenes.quicklook import write_quicklook

            made.append(place / f"{stem}-quicklook.png")
            write_quicklook(made[-1], work.raster, work.values, found, names)
        if s.crops and len(found):
            from rsdet.scenes.contact_sheet import write_contact_sheet

            made.append(place / f"{stem}-contact-sheet.png")
            write_contact_sheet(made[-1], work.raster, work.values, found, names, s.crops)
        result = SceneResult(
            work.info, found, names, work.georef, [folder / p.name for p in made], len(work.plan), looked_at, unread,
            _cut(found, work), ledger.fact("full") or 0, dict(work.spent_s),
        )  # fmt: skip
        made.append(write_text(place / f"{stem}.json", json.dumps(_report(result, work), indent=1) + "\n"))
        if s.stac:
            from rsdet.scenes.stac import write_item

            made.append(write_item(place, folder, stem, made, work, found))
        for path in made:
            put(path, folder / path.name)
    return result


def _cut(found: Found, work: SceneWork) -> tuple[int, int]:
    """Objects that the edge of a tile cuts, and the overlap that would do, as ``overlap=`` takes it."""
    many, enough = cut_report(found)
    return many, ceil(enough / min(work.ratios))


def _report(result: SceneResult, work: SceneWork) -> Mapping[str, Any]:
    return {
        **result.summary(),
        "model": work.predictor.model,
        "backend": work.predictor.backend,
        "values": work.values.to_dict(),
        "scene_pixels_per_model_pixel": work.ratios,
        "identity": work.identity,
    }


def _tell(result: SceneResult, which: str, done: int) -> None:
    (height, width), seconds = result.info.size_hw, max(result.spent_s["all"], 1e-9)
    rate = height * width * done / result.tiles / seconds / 1e6
    say(
        f"scene {which} {printable(Path(result.path).name)}: {_many(len(result), 'object')}, {width}x{height} px in "
        f"{result.looked_at} of {result.tiles} tiles, {duration(seconds)} ({rate:.3g} Mpx/s)"
    )
    if not len(result):
        say("nothing was found; lower conf= shows what scored less, and tile= should be the size of the training.")
    many, enough = result.cut
    if many:
        say(f"{many} objects are cut by the edge of a tile; overlap={enough} would hold the largest of them whole.")
    if result.full:
        say(
            f"{result.full} tiles hold as many objects as max_det= allows, and others may be lost there; raise it, or "
            "make the tiles smaller.",
            logging.WARNING,
        )

"""``rsdet predict`` of an exported semantic network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import digest
from rsdet.data.sources import files_of, together
from rsdet.runtime.light import Summary
from rsdet.tasks.detect.runtime.cli import TAKES, Run, flag, number, or_none, place_of, run_folder, understood, whole
from rsdet.tasks.detect.source import usable_source
from rsdet.tasks.semantic.classmap import ClassMap, class_names, shown_classes
from rsdet.tasks.semantic.outputs import MapOutputs
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.runtime.segmenter import Segmenter
from rsdet.tasks.semantic.scenes import Mapper, are_scenes, map_scenes, overlap_px
from rsdet.tasks.semantic.visual import overlay_of
from rsdet.writing import write_picture

_STOCK = (
    "model", "source", "task", "device", "classes", "imgsz", "batch", "save", "project", "name", "exist_ok", "bands",
    "verbose",
)  # fmt: skip
_TAKES = {
    **{key: TAKES[key] for key in _STOCK},
    "tile": or_none(whole),
    "overlap": or_none(number),
    "save_probabilities": flag,
    "polygons": or_none(flag),
    "min_area_m2": number,
}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Map pictures and rasters; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES):
        return None
    several = args["source"] if isinstance(args["source"], list) else [args["source"]]
    groups = [files_of(s) for s in several]
    if None in groups:
        return None  # a video, a stream
    segmenter = Segmenter(args["model"], bands=args.get("bands"))
    maps = MapOutputs(PolygonSettings(args.get("polygons"), args.get("min_area_m2", 0.0)))
    files = together(several, groups)
    scenes = are_scenes(files, args.get("tile"))
    if args.get("verbose", True):
        print(f"Using {segmenter.backend} on the CPU\n")
    if scenes:
        if len(scenes) < len(files):
            return None  # pictures and rasters together
        return _map_scenes(args, segmenter, maps, files)
    with usable_source(args["source"], segmenter.reader) as usable:
        folder = run_folder(args, segmenter.task, usable.files, args.get("save", True))
        run = _MapRun(args, segmenter, segmenter.size(args.get("imgsz")), folder, maps)
        try:
            for _ in run.over(sorted(usable.files, key=lambda p: str(p.absolute()))):
                pass
        finally:  # what was mapped before an interruption is kept
            maps.write_areas(folder)
        usable.check_read(run.read, run.unread)
    return Summary(len(run.read), run.objects, folder, usable.skipped, _done(len(run.read)))


class _MapRun(Run):
    """Reads, maps, tells and writes."""

    def __init__(
        self, args: Mapping[str, Any], segmenter: Segmenter, size: tuple[int, int], folder: Path, maps: MapOutputs
    ):
        super().__init__(args, segmenter, size, folder)
        self.maps = maps

    def _detected(self, group: list[Any]) -> list[Any]:
        found, reader = super()._detected(group), self.detector.reader
        return [(one, d.where(reader.valid(one[1]))) for one, d in found] if reader.of_values else found

    def said(self, d: ClassMap) -> str:
        """What is told behind the path of a picture."""
        return f"{d.input_hw[0]}x{d.input_hw[1]} {len(d)} classes, {d.speed_ms['inference']:.1f}ms"

    def write(self, path: str, picture: np.ndarray, d: ClassMap) -> None:
        """Write the map, and the picture below it."""
        stem = self.maps.write_map(self.folder, path, d).stem
        write_picture(self.folder / f"{stem}.jpg", overlay_of(picture, self.detector.reader, d.classes, d.names))


def _map_scenes(args: Mapping[str, Any], segmenter: Segmenter, maps: MapOutputs, files: list[Path]) -> Summary:
    size = segmenter.imgsz
    tile = args.get("tile") or (max(np.ravel(args["imgsz"])) if segmenter.free_size and "imgsz" in args else max(size))
    side = -(-tile // segmenter.stride) * segmenter.stride
    facts = {"file": digest.digest(Path(args["model"])), "backend": segmenter.backend, "reading": str(segmenter.reader)}
    mapper = Mapper(
        segmenter.logits, segmenter.reader, class_names(segmenter.names), segmenter.planes,
        (side, side) if segmenter.free_size else size, facts,
    )  # fmt: skip
    run = place_of(args, segmenter.task)
    skipped: list[str] = []
    shown = shown_classes(segmenter.names, args.get("classes"))
    done = list(
        map_scenes(
            mapper, files, run, maps, skipped, tile=int(tile), overlap=overlap_px(args.get("overlap"), int(tile)),
            with_probabilities=args.get("save_probabilities", False), classes=shown,
            verbose=args.get("verbose", True),
        )
    )  # fmt: skip
    return Summary(len(done), sum(map(len, done)), done[0].save_path.parents[1], skipped, _done(len(done)))


def _done(pictures: int) -> str:
    from rsdet.tasks.semantic.task import TASK

    return TASK.outcome(pictures, 0)

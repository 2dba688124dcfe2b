"""``rsdet predict`` of an exported change network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.tasks.change.looking import Looking
from rsdet.tasks.change.outputs import THRESHOLD, ChangeOutputs
from rsdet.tasks.change.running import PairRun
from rsdet.tasks.change.runtime.comparer import Comparer
from rsdet.tasks.change.scenes import SceneChange, SceneWishes
from rsdet.tasks.change.source import find_pairs, usable
from rsdet.tasks.change.task import TASK
from rsdet.tasks.detect.runtime.cli import TAKES, flag, number, or_none, place_of, run_folder, understood
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.scenes import overlap_px

_STOCK = (
    "model", "source", "task", "device", "imgsz", "batch", "save", "project", "name", "exist_ok", "bands", "verbose",
)  # fmt: skip


_TAKES = {
    **{key: TAKES[key] for key in _STOCK},
    "source2": or_none(TAKES["source"]),
    "tile": lambda v: v is None or (type(v) is int and v > 0),
    "overlap": or_none(number),
    "threshold": lambda v: number(v) and v <= 1,
    "polygons": or_none(flag),
    "min_area_m2": number,
    **dict.fromkeys(("resample", "match"), flag),
    "swipe": or_none(flag),
    "districts": lambda v: v is None or isinstance(v, str),
}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Compare pairs; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES) or isinstance(args.get("imgsz"), list):
        return None
    comparer = Comparer(args["model"], bands=args.get("bands"))
    side = comparer.tile(args.get("tile") or args.get("imgsz"))
    looking = Looking(
        side, overlap_px(args.get("overlap"), side), args.get("threshold", THRESHOLD), match=args.get("match", False)
    )
    wishes = SceneWishes(args.get("resample", False), args.get("districts"))
    outputs = ChangeOutputs(PolygonSettings(args.get("polygons"), args.get("min_area_m2", 0.0)), args.get("swipe"))
    verbose, saved = args.get("verbose", True), args.get("save", True)
    source = find_pairs(args["source"], args.get("source2"))
    found = usable(source, comparer.reader.bands, comparer.reader.taken, wishes)
    if found.scenes and found.pairs:
        return None  # pictures and rasters together
    if verbose:
        print(f"Using {comparer.backend} on the CPU\n")
    scenes = place_of(args, comparer.task)
    folder = scenes["project"] if found.scenes else run_folder(args, comparer.task, found.files, saved)

    run = PairRun(
        comparer.mapper(side), comparer.reader, looking, outputs, (lambda: folder) if saved else None, verbose, scenes,
        wishes,
    )  # fmt: skip
    pairs = regions = 0
    try:
        for result in run.over(found):
            pairs, regions = pairs + 1, regions + len(result)
            if isinstance(result, SceneChange):
                folder = result.save_path.parents[1]
    finally:  # what was found before an interruption is kept
        if outputs.rows and (saved or found.scenes):
            outputs.write_areas(folder)
    return Summary(pairs, regions, folder, run.skipped, TASK.outcome(pairs, regions))

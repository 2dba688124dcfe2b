"""``rsdet predict`` of an exported network that rebuilds backgrounds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rsdet.runtime.light import Summary
from rsdet.runtime.metadata import say_untrained
from rsdet.tasks.anomaly.run import SearchRun, cubes_of
from rsdet.tasks.anomaly.scoring import Rebuilder
from rsdet.tasks.anomaly.task import TASK
from rsdet.tasks.detect.runtime.cli import TAKES, checked_later, run_folder, understood

_STOCK = ("model", "source", "task", "device", "batch", "save", "project", "name", "exist_ok", "verbose")
_OWN = ("bands", "key", "axes", "far", "threshold", "min_area_px", "spectra", "score_on", "tile", "overlap")
_TAKES = {**{key: TAKES[key] for key in _STOCK}, **dict.fromkeys(_OWN, checked_later)}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Search cubes; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES):
        return None
    model, saved, verbose = Rebuilder(args["model"]), args.get("save", True), args.get("verbose", True)
    cubes = cubes_of(args["source"])
    folder = cache(lambda: run_folder(args, TASK.name, [c for c in cubes if isinstance(c, Path)], saved))
    own = {k: args[k] for k in _OWN if k in args}
    run = SearchRun(model, folder=folder if saved else None, verbose=verbose, **own)
    say_untrained(model.said, Path(args["model"]).name)
    if verbose:
        print(f"Using {model.backend}\n")
    done = finds = 0
    for result in run.over(cubes):
        done, finds = done + 1, finds + len(result.finds)
    return Summary(done, finds, folder(), run.skipped, TASK.outcome(done, finds))

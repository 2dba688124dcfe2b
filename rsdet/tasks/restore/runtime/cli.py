"""``rsdet predict`` of an exported network that restores pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.runtime.light import Summary
from rsdet.runtime.metadata import say_untrained
from rsdet.tasks.detect.runtime.cli import TAKES, checked_later, place_of, run_folder, understood
from rsdet.tasks.restore.run import RestoreRun
from rsdet.tasks.restore.source import find
from rsdet.tasks.restore.task import TASK

_STOCK = ("model", "source", "task", "device", "save", "project", "name", "exist_ok", "verbose")
_OWN = ("tile", "overlap", "bands", "value_range")
_TAKES = {**{key: TAKES[key] for key in _STOCK}, **dict.fromkeys(_OWN, checked_later)}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Restore pictures, rasters and videos; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES):
        return None
    model, saved, verbose = ArtifactEnhancer(args["model"]), args.get("save", True), args.get("verbose", True)
    place = place_of(args, TASK.name)
    found = find(args["source"])
    files = [found.video] if found.video else found.files
    folder = cache(lambda: run_folder(args, TASK.name, files, saved))  # made once there is something to write
    facts, own = {"device": "cpu", "half": False}, {k: args[k] for k in _OWN if k in args}
    run = RestoreRun(model, model, folder if saved else None, place, facts=facts, verbose=verbose, **own)
    say_untrained(model.meta, model.name)
    if verbose:
        print(f"Using {model.graph.backend}\n")
    done = sum(1 for _ in run.over(found))
    return Summary(done, 0, (run.folder or folder)(), run.skipped, TASK.outcome(done, 0))

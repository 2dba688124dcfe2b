"""``rsdet predict`` of an exported network for land cover."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsdet.modelyaml import YAML_SUFFIXES
from rsdet.runtime.light import Summary
from rsdet.runtime.metadata import say_untrained
from rsdet.tasks.detect.runtime.cli import TAKES, checked_later, flag, place_of, run_folder, understood
from rsdet.tasks.landcover.classifier import opened
from rsdet.tasks.landcover.run import MapRun, cubes_of
from rsdet.tasks.landcover.task import TASK

_STOCK = ("model", "source", "task", "device", "save", "project", "name", "exist_ok", "verbose")
_OWN = {**dict.fromkeys(("lidar", "key", "lidar_key", "axes"), checked_later), "save_probabilities": flag}
_TAKES = {**{key: TAKES[key] for key in _STOCK}, **_OWN}


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Map cubes; see :func:`rsdet.runtime.light.predict`."""
    if not understood(args, _TAKES):
        return None
    files = cubes_of(args["source"])
    if any(f.suffix.lower() in YAML_SUFFIXES for f in files):
        return None  # data YAMLs are Ultralytics' to read
    model = opened(args["model"])
    saved, verbose = args.get("save", True), args.get("verbose", True)
    place = place_of(args, TASK.name)
    run = MapRun(model, place, saved, verbose, **{k: args[k] for k in _OWN if k in args})
    say_untrained(model.said, Path(args["model"]).name)
    if verbose:
        print(f"Using {model.exported}\n")
    done = sum(1 for _ in run.over(files))
    folder = run.folder or run_folder(args, TASK.name, files, made=False)
    return Summary(done, 0, folder, run.skipped, TASK.outcome(done, 0))

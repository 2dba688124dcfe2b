"""Objects followed from frame to frame by Ultralytics' trackers, whatever the form of their boxes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ultralytics.nn.modules.head import Detect
from ultralytics.utils import ROOT

from rsdet.errors import ConfigError, nearest
from rsdet.quiet import say
from rsdet.runtime.results import Detections, OrientedDetections, detections_of
from rsdet.scenes import settings as scenes
from rsdet.scenes.optional import optional
from rsdet.textfiles import read_yaml
from rsdet.writing import free_name, write_text

_STOCK = ROOT / "cfg" / "trackers"


def natural(path: str | Path) -> list[Any]:
    """Sorting key by which frame 10 follows frame 9, whatever stands before the number."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]


def track(
    model: Any, source: Any, stream: bool, persist: bool, tracker: str, save_tracks: bool, given: dict[str, Any]
) -> Any:
    """Follow objects; see :meth:`rsdet.RSDet.track`.

    Args:
        model: The :class:`rsdet.RSDet`.
        source: Video, folder of frames, or several.
        stream: Return a generator.
        persist: Go on with the tracks of the last call.
        tracker: Name of one of Ultralytics' trackers, or a YAML.
        save_tracks: Write the tracks of each sequence.
        given: Arguments of ``predict``.

    Raises:
        MissingDependencyError: ``lap`` is not installed.
        ConfigError: Such a tracker cannot be, or a key looks at no frames.
    """
    if given.get("embed") is not None:
        raise ConfigError("embed= finds nothing that could be followed; leave it out, or use predict.")
    if key := next((k for k in given if k in scenes.KEYS and given[k] is not None), None):
        raise ConfigError(f"{key}= is for scenes, in which nothing moves; leave it out, or use predict.")
    optional("lap", "track", "tracking needs")  # else Ultralytics asks for it, after the model has been set up
    given = {**given, "tracker": str(_checked(tracker, model)), "mode": "track"}
    given["conf"] = 0.1 if given.get("conf") is None else given["conf"]  # trackers decide about weak ones themselves
    given["batch"] = given.get("batch") or 1
    _register(model, persist)
    results = _results(model, model.predict(source, stream=True, **given), Tracks(save_tracks))
    return results if stream else list(results)


def _checked(tracker: str, model: Any) -> Path:
    """The YAML of a tracker, once it is known that nothing in it would be missing or fetched."""
    from ultralytics.trackers.track import TRACKER_MAP  # needs lap

    path = next((p for p in (Path(tracker), _STOCK / tracker, _STOCK / f"{tracker}.yaml") if p.is_file()), None)
    if path is None:
        known = sorted(p.stem for p in _STOCK.glob("*.yaml"))
        raise ConfigError(
            f"tracker={tracker!r} is no file and no tracker.{nearest(tracker, known)} Trackers: {', '.join(known)}."
        )
    spec = read_yaml(path)
    kind = spec.get("tracker_type")
    if kind not in TRACKER_MAP:
        raise ConfigError(f"{path.name}: tracker_type: {kind!r} must be one of {', '.join(sorted(TRACKER_MAP))}.")
    if missing := sorted({*read_yaml(_STOCK / f"{kind}.yaml")} - {*spec}):
        raise ConfigError(f"{path.name} lacks {', '.join(missing)}; copy them from {_STOCK / f'{kind}.yaml'}.")
    head = getattr(getattr(model.model, "model", None), "__getitem__", lambda i: None)(-1)
    native = isinstance(head, Detect) and not head.end2end
    if spec.get("with_reid") and spec.get("model", "auto") == "auto" and not native:
        raise ConfigError(
            f"{path.name}: with_reid: true with model: auto takes the features of a YOLO head with suppression, and "
            f"{model.model_name} has none; name a file under model:, which is not fetched, or leave with_reid: out."
        )
    return path


def _register(model: Any, persist: bool) -> None:
    """Put Ultralytics' callbacks on a model, in the place of those of an earlier call."""
    from ultralytics.trackers.track import on_predict_start

    for event, function in (("on_predict_start", on_predict_start), ("on_predict_postprocess_end", _follow)):
        others = [c for c in model.callbacks[event] if getattr(c, "func", None) is not function]
        model.callbacks[event] = [*others, partial(function, persist=persist)]


def _follow(predictor: Any, persist: bool) -> None:
    """Give the objects of a batch their tracks, and leave those out that belong to none.

    Ultralytics begins anew with each path, so that no object would be followed from file to file: frames are told as
    their folder meanwhile. It also leaves detections in a frame in which nothing is followed, and in no other.
    """
    from ultralytics.trackers.track import on_predict_postprocess_end

    if predictor.args.mode != "track":
        return
    paths = [r.path for r in predictor.results]
    if predictor.dataset.mode == "image":
        for result in predictor.results:
            result.path = str(Path(result.path).parent)
    on_predict_postprocess_end(predictor, persist)
    for result, path in zip(predictor.results, paths, strict=True):
        result.path = path
        if not (result.boxes if result.obb is None else result.obb).is_track:
            result.clear()


class Tracks:
    """Tracks of a run, as rows of the MOT challenge: a file for each video and each folder of frames.

    A row is ``frame,id,left,top,width,height,score,class,-1,-1``: frames and classes from 1, pixels of the frame, as
    VisDrone has it; of turned boxes x and y of the four corners follow.

    Args:
        save: Keep the rows, which :meth:`write` writes.
    """

    def __init__(self, save: bool) -> None:
        self.save = save
        self.rows: dict[str, list[str]] = {}
        self._ids: set[tuple[str, int]] = set()
        self._seen: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}

    def add(self, result: Any, predictor: Any) -> None:
        """Take over the tracks of one frame."""
        dataset, path = predictor.dataset, str(result.path)
        images = dataset.mode == "image"
        sequence = str(Path(path).parent) if images else path
        self._seen[sequence] += 1
        boxes = result.boxes if result.obb is None else result.obb
        ids = boxes.id.int().tolist() if boxes.is_track else []
        self._ids |= {(sequence, i) for i in ids}
        if not self.save:
            return
        frame = self._seen[sequence] * (predictor.args.vid_stride if dataset.mode == "video" else 1)
        if images:
            self._numbers = self._numbers or _numbers(getattr(dataset, "files", ()))
            frame = self._numbers.get(path, frame)
        self.rows.setdefault(sequence, []).extend(_rows(frame, ids, detections_of(result)))

    def outcome(self) -> str:
        """What was done, in one clause."""
        n, frames = len(self._ids), sum(self._seen.values())
        return f"{n} object{'s' * (n != 1)} followed through {frames} frame{'s' * (frames != 1)}"

    def write(self, folder: Path) -> None:
        """Write ``<folder>/<sequence>.txt``, each whole or not at all; an empty one where nothing was followed."""
        taken: set[str] = set()
        for sequence, rows in self.rows.items():
            name = Path(sequence).stem if Path(sequence).suffix else Path(sequence).name
            write_text(folder / f"{free_name(name or 'frames', taken)}.txt", "".join(f"{row}\n" for row in rows))
        say(f"Tracks saved to {folder}")


def _rows(frame: int, ids: list[int], found: Detections) -> Iterator[str]:
    if not ids:
        return
    turned = found.corners.reshape(-1, 8) if isinstance(found, OrientedDetections) else np.zeros((len(found), 0))
    xywh = np.concatenate([found.boxes_xyxy[:, :2], found.boxes_xyxy[:, 2:] - found.boxes_xyxy[:, :2]], 1)
    for i, box, score, c, corners in zip(ids, xywh, found.scores, found.classes, turned, strict=True):
        pixels, more = ([f"{v:.2f}" for v in values] for values in (box, corners))
        yield ",".join(map(str, [frame, i, *pixels, f"{score:.4f}", int(c) + 1, -1, -1, *more]))


def _numbers(files: Any) -> dict[str, int]:
    """Number of each frame within its folder, from 1; one that cannot be read keeps its own."""
    seen: Counter[str] = Counter()
    out = {}
    for file in map(str, files):
        seen[str(Path(file).parent)] += 1
        out[file] = seen[str(Path(file).parent)]
    return out


def _results(model: Any, stream: Iterator[Any], tracks: Tracks) -> Iterator[Any]:
    try:
        for result in stream:
            tracks.add(result, model.predictor)
            yield result
    finally:  # what was followed before an interruption is kept
        if tracks.rows:
            tracks.write(model.predictor.make_folder() / "tracks")
        if model.predictor is not None:
            model.predictor.outcome = tracks.outcome()

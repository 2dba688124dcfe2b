"""``rsdet predict`` of an exported model of objects, as long as it asks for nothing beyond images and their objects.

Same words, same lines on the screen, same files as the full path, which is Ultralytics' predictor; whatever this one
does not do (videos, streams, crops, other devices) is left to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet import digest
from rsdet.data.decoding import within_memory
from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.errors import DataError, RSDetError
from rsdet.names import printable
from rsdet.quiet import say
from rsdet.runtime.backends import is_deployable
from rsdet.runtime.light import Summary
from rsdet.runtime.results import Detections
from rsdet.scenes.predictor import TilePredictor
from rsdet.tasks.detect import visual
from rsdet.tasks.detect.outputs import Outputs
from rsdet.tasks.detect.runtime.detector import Detector
from rsdet.tasks.detect.runtime.postprocess import Rules
from rsdet.tasks.detect.source import usable_source
from rsdet.writing import check_apart, free_name, new_folder, write_picture

_Read = tuple[int, str, np.ndarray]  # number, path and pixels of a picture
Check = Callable[[Any], bool]


def flag(value: Any) -> bool:
    """Whether a value is True or False."""
    return isinstance(value, bool)


def checked_later(value: Any) -> bool:
    """True: whatever it is, what it is for checks it, with a message of its own."""
    return True


def whole(value: Any) -> bool:
    """Whether a value is a whole number of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(value: Any) -> bool:
    return whole(value) and value >= 1


def number(value: Any) -> bool:
    """Whether a value is a number of 0 or more."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _share(value: Any) -> bool:
    return number(value) and value <= 1


def _path(value: Any) -> bool:
    return isinstance(value, (str, Path))


def _processor(value: Any) -> bool:
    return value in (None, "cpu")


def _source(value: Any) -> bool:
    return _path(value) or (isinstance(value, list) and all(isinstance(s, str) for s in value))


def or_none(check: Check) -> Check:
    """The same check, which None passes."""
    return lambda value: value is None or check(value)


def _some(check: Check, most: int | None = None) -> Check:
    def one_or_several(value: Any) -> bool:
        several = value if isinstance(value, list) else [value]
        return 1 <= len(several) <= (most or len(several)) and all(map(check, several))

    return one_or_several


# What is understood, and which values. All else, and that is every mistake too, is for the full path and its messages.
TAKES: dict[str, Check] = {
    "model": _path,
    "source": _source,
    "task": or_none(_path),
    "device": _processor,
    "conf": or_none(_share),
    "iou": _share,
    "max_det": _count,
    "classes": or_none(_some(whole)),
    "agnostic_nms": flag,
    "imgsz": _some(_count, most=2),
    "batch": _count,
    "save": flag,
    "save_json": flag,
    "save_coco": flag,
    "project": or_none(_path),
    "name": or_none(_path),
    "exist_ok": flag,
    "bands": _some(_count),
    "line_width": or_none(_count),
    "show_labels": flag,
    "show_boxes": flag,
    "verbose": flag,
}


def _enhancers(value: Any) -> bool:
    """Whether ``enhance=`` names exported files alone, or none."""
    from rsdet.enhance.loading import split_spec  # brings the room of enhancers, which few detectors need

    return value == "none" or all(map(is_deployable, split_spec(value)))


_ENHANCE: dict[str, Check] = {
    "enhance": _enhancers, "enhance_tile": or_none(whole), "enhance_overlap": or_none(whole)
}  # fmt: skip


def _opened(
    detector_class: type[Detector], args: Mapping[str, Any], own: Mapping[str, Check] | None
) -> Detector | None:
    """The detector that arguments ask for; None for what only the full path does."""
    own = {**_ENHANCE, **(own or {})}
    alone = args.get("enhance", "none") == "none" and {"enhance_tile", "enhance_overlap"} & set(args)
    if alone or not understood({"source": "", **args}, {**TAKES, **own}):
        return None
    more = {k: args[k] for k in own if k in args}
    return detector_class(args["model"], bands=args.get("bands"), **more)


def predict(args: Mapping[str, Any]) -> Summary | None:
    """Detect objects in images with an exported file; see :func:`rsdet.runtime.light.predict`."""
    return predict_with(Detector, args)


def predict_with(
    detector_class: type[Detector],
    args: Mapping[str, Any],
    own: Mapping[str, Check] | None = None,
) -> Summary | None:
    """Find objects in images with an exported file.

    Args:
        detector_class: What runs it.
        args: Arguments of ``rsdet predict``, ``model`` and ``source`` among them. They are left as they are.
        own: Keys that only this class has, arguments of its constructor, and which values they take.

    Returns:
        What was done, or None for what only the full path does; nothing has happened then.

    Raises:
        RSDetError: Bad input, or no image of the source can be used.
    """
    detector = _opened(detector_class, args, own) if "source" in args else None
    if detector is None:
        return None
    size = detector.size(args.get("imgsz"))
    outputs = Outputs(save_json=args.get("save_json", False), save_coco=args.get("save_coco", False))
    with usable_source(args["source"], detector.reader) as usable:
        if not usable.files:
            return None  # a video, a stream
        if args.get("verbose", True):
            print(f"Using {detector.backend} on the CPU\n")
        folder = run_folder(
            args, detector.task, usable.files, args.get("save", True) or outputs.save_json or outputs.save_coco
        )
        run = Run(args, detector, size, folder)
        try:
            for path, found in run.over(sorted(usable.files, key=lambda p: str(p.absolute()))):
                outputs.add_found(path, found)
        finally:  # what was found before an interruption is kept
            if outputs.plain:
                outputs.write(folder)
        usable.check_read(run.read, run.unread)
    said = f"{run.objects} objects in {len(run.read)} images"
    return Summary(len(run.read), run.objects, folder, usable.skipped, said)


def understood(args: Mapping[str, Any], takes: Mapping[str, Check]) -> bool:
    """Whether all arguments of a prediction are known, with values that they can have."""
    return {"model", "source"} <= set(args) and all(k in takes and takes[k](v) for k, v in args.items())


def tiles(args: Mapping[str, Any], tile_px: int) -> TilePredictor | None:
    """An exported detector for the tiles of a scene; see :func:`rsdet.runtime.light.tiles`."""
    return tiles_with(Detector, args, tile_px)


def tiles_with(
    detector_class: type[Detector], args: Mapping[str, Any], tile_px: int, own: Mapping[str, Check] | None = None
) -> TilePredictor | None:
    """An exported model for the tiles of a scene; arguments as for :func:`predict_with`, without a source."""
    detector = _opened(detector_class, args, own)
    if detector is None:
        return None
    size = detector.size(args.get("imgsz") or (tile_px if detector.free_size else None))
    rules = _rules(detector, args)
    facts = {"imgsz": size, "rules": str(rules), "bands": args.get("bands"), **{k: args.get(k) for k in own or {}}}
    if detector.chain is not None:
        facts["enhance"] = detector.chain.key
        if args.get("enhance_tile") is None:
            say("tile= cuts the scene, and an enhancer gets its tiles; to cut these again for it, say enhance_tile=.")
    given = {k: v for k, v in args.items() if k != "model"}
    again = {"model": str(args["model"]), "settings": {}, "given": given, "gpu": False}
    return TilePredictor(
        lambda pictures: detector.detect(pictures, rules, size),
        detector.reader, detector.names, {"files": _digests(Path(args["model"])), **facts}, Path(args["model"]).name,
        detector.task, f"{detector.backend} on the CPU", size, detector.stride,
        args.get("batch") or detector.fixed_batch or 1, detector.bands, detector.gsd, detector.family, again,
        rules.max_det,
    )  # fmt: skip


def _digests(file: Path) -> list[str]:
    """SHA-256 of an exported file, or of all that a chain names."""
    files = [file]
    if is_chain_json(file):
        chain = read_chain_json(file)
        files += [file.parent / part for part in (*chain.enhance, chain.model) if isinstance(part, str)]
    return [digest.digest(f) for f in files]


def _rules(detector: Detector, args: Mapping[str, Any]) -> Rules:
    """What is kept, by the arguments and what the file says."""
    classes = args.get("classes")
    return detector.rules(
        args.get("conf"),
        args.get("iou"),
        args.get("max_det"),
        (classes,) if isinstance(classes, int) else None if classes is None else tuple(classes),
        args.get("agnostic_nms", False),
    )


class Run:
    """Reads, detects, tells and draws, batch by batch.

    Args:
        args: Arguments of the prediction.
        detector: What looks at the pictures.
        size: Height and width of its input in pixels.
        folder: Of the run.

    Attributes:
        read: Pictures that are done.
        unread: Pictures that could not be, and why.
        objects: Number of all that was found.
    """

    def __init__(self, args: Mapping[str, Any], detector: Detector, size: tuple[int, int], folder: Path):
        self.detector, self.size, self.folder = detector, size, folder
        self.rules = _rules(detector, args)
        self.batch, self.save, self.tell = args.get("batch", 1), args.get("save", True), args.get("verbose", True)
        self.style = {k: args.get(k) for k in ("line_width", "show_labels", "show_boxes")}
        self.read: set[str] = set()
        self.unread: dict[str, str] = {}
        self.objects = 0
        self._spent: dict[str, float] = {}
        self._stems: set[str] = set()

    def over(self, paths: Sequence[Path]) -> Iterator[tuple[str, Detections]]:
        """Path of each picture and what was found in it, once it is written."""
        shape = self.size
        for group in self._groups(paths):
            lines = []
            for (i, path, picture), d in (found := self._detected(group)):
                try:
                    if self.save:
                        with within_memory(path):
                            self.write(path, picture, d)
                except DataError as e:  # too large to be drawn
                    self.unread[path] = str(e)
                    continue
                lines.append(printable(f"image {i}/{len(paths)} {path}: {self.said(d)}"))
                self._spent = {k: self._spent.get(k, 0.0) + ms for k, ms in d.speed_ms.items()}
                self.objects += len(d)
                self.read.add(path)
            if self.tell and lines:
                print("\n".join(lines))
            for (_, path, _), d in found:
                shape = d.input_hw
                if path in self.read:
                    yield path, d
        if self.read and self.tell:
            n = len(self.read)
            speed = ", ".join(f"{ms / n:.1f}ms {k}" for k, ms in self._spent.items())
            print(f"Speed: {speed} per image at shape {(min(self.batch, n), self.detector.channels, *shape)}")

    def _detected(self, group: list[_Read]) -> list[tuple[_Read, Detections]]:
        """What is found in each picture of a batch; one that ends the batch is noted, and the others are done alone."""
        try:
            with within_memory(group[0][1]):
                found = self.detector.detect([picture for _, _, picture in group], self.rules, self.size)
        except DataError as e:
            if len(group) > 1:
                return [done for one in group for done in self._detected([one])]
            self.unread[group[0][1]] = str(e)
            return []
        return list(zip(group, found, strict=True))

    def _groups(self, paths: Sequence[Path]) -> Iterator[list[_Read]]:
        group: list[_Read] = []
        for i, path in enumerate(paths, 1):
            whole = str(path.absolute())  # as Ultralytics names it
            try:
                group.append((i, whole, self.detector.reader(path)))
            except RSDetError as e:
                self.unread[whole] = str(e)
            if len(group) == self.batch:
                yield group
                group = []
        if group:
            yield group

    def said(self, d: Any) -> str:
        """What is told behind the path of a picture, as Ultralytics does."""
        counts = zip(*np.unique(d.classes, return_counts=True), strict=True)
        what = "".join(f"{n} {d.names.get(int(c), c)}{'s' if n > 1 else ''}, " for c, n in counts)
        return f"{d.input_hw[0]}x{d.input_hw[1]} {what or '(no detections), '}{d.speed_ms['inference']:.1f}ms"

    def write(self, path: str, picture: np.ndarray, d: Any) -> None:
        """Write the picture with what was found in it."""
        shapes, boxes = d.shapes, self.style["show_boxes"] is not False
        if boxes or "masks" in shapes:
            bare = [("", f"{v:.2f}") for v in d.scores] if self.style["show_labels"] is False else None
            picture = visual.draw(
                picture, d.boxes_xyxy, d.scores, d.classes, d.names, line=self.style["line_width"],
                labels="auto" if boxes else "none", texts=bare, **shapes,
            )  # fmt: skip
        stem = free_name(Path(path).stem, self._stems)  # a.png and a.jpg do not overwrite each other
        write_picture(self.folder / f"{stem}.jpg", picture)


def place_of(args: Mapping[str, Any], task: str) -> dict[str, Any]:
    """``project``, ``name`` and ``exist_ok`` of a run, the first a folder below that which the command is run in."""
    project = Path(args.get("project") or Path("runs") / task).expanduser().absolute()
    return {"project": project, "name": args.get("name"), "exist_ok": args.get("exist_ok", False)}


def run_folder(args: Mapping[str, Any], task: str, sources: Sequence[Path], made: bool) -> Path:
    """Folder of the run, numbered where there is one already, below the folder that the command is run in."""
    place = place_of(args, task)
    wanted = place["project"] / (place["name"] or "predict")
    folder = new_folder(wanted, place["exist_ok"]) if made else wanted.resolve()
    if args.get("save", True):
        check_apart(folder, sources)
    return folder

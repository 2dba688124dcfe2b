"""Reading labels without trusting them: text lines, numbers, class names, boxes."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rsdet.data.annotations import MIN_SIDE_PX, Annotation, Box, Dataset, ImageRecord, ImportLog, kind_of
from rsdet.data.importers._frames import Frames, move
from rsdet.data.splitting import Splitter
from rsdet.errors import DataError
from rsdet.names import class_names

T = TypeVar("T")

# Labels with six decimals overshoot the edge of a picture by this much at most; that is rounding, not clipping.
_ROUNDING_PX = 1e-2

_FULL_TURN = 2 * math.pi + 1e-3  # files hold few decimals

# Class names by which datasets mark a region in which nothing is to be judged (letters only, lower case).
_IGNORE_NAMES = frozenset({"dontcare", "ignore", "ignored", "ignoreregion", "ignoredregion", "ignoredregions"})


def _untracked(items: Iterable[T], description: str) -> Iterable[T]:
    return items


@dataclass(frozen=True)
class ImportOptions:
    """What the user asked of an importer.

    Attributes:
        split: Where the source holds several splits, the only one to read; otherwise the split to file everything
            under. None reads all, and files what belongs to no split under ``train``.
        names: Class names in the wanted order; others are dropped. None takes the classes of the source.
        task: What the labels are for, ``detect``, ``obb`` or ``segment``: where a source has several variants, the one
            that says most about it is read.
        difficult: ``object`` keeps objects marked difficult as objects, ``ignore`` turns them into ignored regions.
        others: VisDrone's category 11: ``ignore`` makes it an ignored region, ``drop`` leaves it out.
        min_area_px: Regions of a mask with fewer pixels are dropped.
        angle_unit: Of turned boxes given by an angle: ``radians``, or ``degrees``.
        splitter: Divides the images of a source that has no splits.
        labels: File or folder of polygons beside rasters.
        class_column: Its column that holds the class; None finds it.
        tiled: Pictures will be cut, and may be of any size.
        maps: Masks of classes are asked for; ``task`` is then ``segment``.
        meaning: Of these: a data YAML with ``label_mapping`` or ``palette``, which say what masks of the source hold.
        track: Wraps the loop over the images to show progress.
    """

    split: str | None = None
    names: Sequence[str] | None = None
    task: str = "detect"
    difficult: str = "object"
    others: str = "ignore"
    min_area_px: int = 4
    angle_unit: str = "radians"
    splitter: Splitter | None = None
    labels: str | Path | None = None
    class_column: str | None = None
    tiled: bool = False
    maps: bool = False
    meaning: Mapping[str, object] | None = None
    track: Callable[[Iterable[T], str], Iterable[T]] = _untracked


def read_text(path: Path) -> str:
    """Text of a label file, whatever its bytes are.

    UTF-8 with or without a byte-order mark, UTF-16 with one; bytes that are neither become replacement characters, so
    that only the line they stand in fails.

    Raises:
        DataError: The file cannot be read at all.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise DataError(f"cannot read the label file {path}: {e.strerror or e}; expected a readable file") from e
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Lines that are not blank, stripped, with their number from 1 as an editor counts them."""
    lines = re.split(r"\r\n|\r|\n", read_text(path))
    return [(i, stripped) for i, line in enumerate(lines, 1) if (stripped := line.strip())]


def numbers(tokens: Iterable[str]) -> list[float] | None:
    """The tokens as floats (NaN and infinity included), None when one of them is no number."""
    values = []
    for token in tokens:
        try:
            values.append(float(token))
        except ValueError:
            return None
        if "_" in token:  # Python reads 1_0 as 10; no label format does
            return None
    return values


def number(value: object) -> float | None:
    """A JSON value as float, in quotes or not; None when it is no number. Whole numbers too large become infinite."""
    if isinstance(value, str):
        return (numbers([value]) or [None])[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def whole(value: float) -> int | None:
    """The float as int, None when it has a fraction or is not finite."""
    return int(value) if math.isfinite(value) and value == int(value) else None


def shown(text: object, width: int = 60) -> str:
    """A quoted piece of input that fits into a message."""
    piece = repr(text)
    return piece if len(piece) <= width else piece[: width - 1] + "…"


def rotated_corners(cx: float, cy: float, w: float, h: float, angle_rad: float) -> tuple[float, ...]:
    """Corners of a box turned clockwise (image axes, y down) by ``angle_rad`` about its centre, as 8 numbers."""
    if not abs(angle_rad) < 1e9:  # sin(inf) is an error in Python; NaN coordinates are reported as what they are
        angle_rad = math.nan
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    corners = ((-w / 2, -h / 2), (w / 2, -h / 2), (w / 2, h / 2), (-w / 2, h / 2))
    return tuple(v for dx, dy in corners for v in (cx + c * dx - s * dy, cy + s * dx + c * dy))


def bounds(polygon: Sequence[float]) -> Box:
    """Upright box around a polygon ``x1, y1, …``; with a NaN inside, at least one edge is NaN."""
    xs, ys = polygon[0::2], polygon[1::2]
    if not all(map(math.isfinite, polygon)):
        return (math.nan,) * 4
    return min(xs), min(ys), max(xs), max(ys)


class ClassTable:
    """Class names to indices.

    Args:
        names: The classes. None: learn them from the source, in alphabetical order in the end.
    """

    def __init__(self, names: Sequence[str] | None):
        self.learns = names is None
        self.names = list(names or ())
        self._exact = {name: i for i, name in enumerate(self.names)}
        loose = [self._fold(name) for name in self.names]
        # Two classes that differ in spelling only can be told apart by exact spelling alone.
        self._loose = {key: i for i, key in enumerate(loose) if loose.count(key) == 1}

    @staticmethod
    def _fold(name: str) -> str:
        return re.sub(r"[\s_-]+", " ", name.strip()).casefold()

    def find(self, name: str) -> int | None:
        """Index of a class: exact spelling first, then without regard to case and to space, ``-`` and ``_``."""
        name = name.strip()
        hit = self._exact.get(name)
        if hit is None and not self.learns:
            hit = self._loose.get(self._fold(name))
        if hit is None and self.learns and name:
            hit = self._exact[name] = len(self.names)
            self.names.append(name)
        return hit

    def ignores(self, name: str) -> bool:
        """Whether this is the name of an ignored region, and not a class the user asked for."""
        if name in self._exact or self._fold(name) in self._loose:
            return False
        return re.sub(r"[\W_]+", "", name).casefold() in _IGNORE_NAMES

    def settle(self, dataset: Dataset, order: Sequence[str] | None = None) -> None:
        """Give a dataset its final class names; learnt ones are sorted, or put into ``order``, and re-indexed."""
        if self.learns:
            final = list(order) if order is not None else sorted(self.names)
            to = {old: final.index(name) for old, name in enumerate(self.names)}
            for records in dataset.splits.values():
                for record in records:
                    for item in record.objects:
                        item.cls = to[item.cls]
            self.names = final
        dataset.names = list(class_names(self.names).values())


class Collector:
    """Checks the boxes of one image as they come: good ones end in the record, bad ones in the log.

    Args:
        record: Image that the boxes belong to; its size must be known.
        log: Where everything dropped is written.
        split: Split of the image.
        file: Label file, as the report shall call it.
        difficult: See :class:`ImportOptions`.
        frames: What the stated sizes of the source tell, shared by its images.
        angle_unit: See :class:`ImportOptions`.

    Attributes:
        refused: The image cannot be used with these labels; all that comes is counted as lost.
    """

    def __init__(
        self,
        record: ImageRecord,
        log: ImportLog,
        split: str,
        file: str,
        difficult: str = "object",
        frames: Frames | None = None,
        angle_unit: str = "radians",
    ):
        self.record, self.log, self.split, self.file = record, log, split, file
        self.refused = self._told = False
        self._ignore_difficult = difficult == "ignore"
        self._degrees = angle_unit == "degrees"
        self._frames = frames or Frames()
        self._size = record.width, record.height
        self._orientation = 1
        self._seen: dict[tuple, object] = {}
        self._why = ""

    def stated(self, width: float | None, height: float | None, by: str) -> None:
        """Say what size of the image the boxes are meant for, in pixels, before any is added.

        A size that is no size (missing, 0) is passed over; one that does not fit the picture refuses it.

        Args:
            width: As the source states it, with the EXIF orientation applied or not.
            height: Likewise.
            by: Who says so, for the message.
        """
        self._told = True
        known = all(v is not None and math.isfinite(v) and v > 0 for v in (width, height))
        size = (width, height) if known else None
        orientation, unsure = self._frames.orientation_of(self.record, size)
        said = f"{by} says {width or 0:g} x {height or 0:g} px, the image has {self._size[0]} x {self._size[1]}"
        if orientation is None:
            self.refuse(f"size does not fit: {said}, so its boxes cannot be placed; mend or remove the stated size")
            return
        if unsure:
            self._frames.open.append((self.record, self.split, self.file))
        self._orientation = orientation
        if size is not None and size != self._size:
            self.record.width, self.record.height = size
            how = f"boxes turned by EXIF orientation {orientation}" if orientation > 1 else "boxes scaled"
            self.log.note(self.split, self.file, self.record.name, f"size differs, {how}: {said}")

    def close(self) -> None:
        """Bring what was added to the pixels of the file."""
        if not self._told:
            self.stated(None, None, by="nobody")
        move(self.record, (self.record.width, self.record.height), self._size, self._orientation)

    def refuse(self, reason: str) -> None:
        """Leave the image out: with its labels unusable it would pass for background."""
        self.log.drop(self.split, self.file, self.record.name, reason)
        self.refused, self._why = True, kind_of(reason)

    def drop(self, where: object, reason: str, name: str = "") -> None:
        """Record one label, of a class if that is known, that cannot be used."""
        if not self.refused:
            self.log.drop(self.split, self.file, where, reason)
        self.log[self.split].lost[name, self._why or kind_of(reason)] += 1

    def corners(self, turned: Sequence[float]) -> tuple[float, ...]:
        """Corners of a turned box ``xc yc w h angle``, the angle clockwise as seen.

        Raises:
            DataError: The angle is more than a full turn in the unit that was stated.
        """
        *box, angle = turned
        if self._degrees:
            counts = self.log[self.split].counts
            counts["turned by degrees"] += angle != 0
            counts["turned by much"] += abs(angle) > _FULL_TURN
            angle = math.radians(angle)
        elif math.isfinite(angle) and abs(angle) > _FULL_TURN:
            raise DataError(
                f"{self.file}: the angle {angle:g} of a turned box is more than a full turn in radians; if the file "
                "has degrees, give angle_unit=degrees, else mend it"
            )
        return rotated_corners(*box, angle)

    def take(
        self,
        where: object,
        name: str,
        classes: ClassTable,
        box: Box,
        polygons: Sequence[Sequence[float]] = (),
        corners: Sequence[float] | None = None,
        difficult: bool = False,
        holes: Sequence[Sequence[float]] = (),
        runs: dict | None = None,
    ) -> None:
        """Take one object by the name of its class: it may be an ignored region, or of a class not asked for."""
        if classes.ignores(name):
            self.add(where, None, box, polygons, holes=holes, runs=runs)
        elif (cls := classes.find(name)) is not None:
            self.add(where, cls, box, polygons, corners, difficult, name=classes.names[cls], holes=holes, runs=runs)
        elif classes.learns or not name:
            self.drop(where, f"unknown class: {shown(name)}")
        else:
            self.drop(where, f"class left out: {shown(name)} is not among the names asked for", name)

    def add(
        self,
        where: object,
        cls: int | None,
        box: Box,
        polygons: Sequence[Sequence[float]] = (),
        corners: Sequence[float] | None = None,
        difficult: bool = False,
        merge: bool = False,
        name: str = "",
        holes: Sequence[Sequence[float]] = (),
        runs: dict | None = None,
    ) -> None:
        """Take one box.

        Args:
            where: Line number or id, for the report.
            cls: Class index; None makes it an ignored region.
            box: Edges in pixels, of any quality.
            polygons: Rings of corners in pixels, kept beside the box.
            corners: Corners of the oriented box, where they are not the polygon.
            difficult: The source marks the object as difficult.
            merge: Say nothing when the same thing was there before (COCO repeats a region for every class).
            name: Name of the class, to count what is lost of it.
            holes: Rings of holes in the polygons.
            runs: The object as COCO's run lengths, of the size of the image.
        """
        box = tuple(map(float, box))
        if problem := self._problem(box):
            if cls is not None:
                self.drop(where, problem, name)
            elif not self.refused:
                self.log.drop(self.split, self.file, where, problem)
            return
        (x1, y1, x2, y2), w, h = box, self.record.width, self.record.height
        clipped = (max(x1, 0.0), max(y1, 0.0), min(x2, float(w)), min(y2, float(h)))
        if difficult and cls is not None:
            self.log[self.split].counts["difficult"] += 1
            if self._ignore_difficult:
                cls = None
        rings = tuple(tuple(map(float, ring)) for ring in polygons)
        key = (cls, clipped, rings if cls is not None else ())
        if key in self._seen:
            if not merge:
                reason = f"duplicate annotation: the same as {self._seen[key]}"
                self.log.drop(self.split, self.file, where, reason)
            return
        self._seen[key] = where
        if max(abs(a - b) for a, b in zip(box, clipped, strict=True)) > _ROUNDING_PX:
            self.log[self.split].counts["clipped"] += 1
        turned = tuple(map(float, corners)) if corners is not None else None
        inner = tuple(tuple(map(float, ring)) for ring in holes)
        origin, index = (self.file, where), -1 if cls is None else cls
        item = Annotation(index, clipped, rings, difficult, turned, origin, inner, runs)
        if cls is None:
            self.record.ignored_xyxy_px.append(clipped)
            self.record.ignored.append(item)
        else:
            self.record.objects.append(item)

    def _problem(self, box: Box) -> str:
        """Why a box cannot be used; an empty string where it can."""
        if self.refused:
            return self._why
        if not all(map(math.isfinite, box)):
            return f"non-finite number: box {box}"
        x1, y1, x2, y2 = box
        if x2 - x1 < MIN_SIDE_PX or y2 - y1 < MIN_SIDE_PX:
            return f"zero-area box: {x2 - x1:g} x {y2 - y1:g} px"
        w, h = self.record.width, self.record.height
        if min(x2, w) - max(x1, 0.0) < MIN_SIDE_PX or min(y2, h) - max(y1, 0.0) < MIN_SIDE_PX:
            edges = ", ".join(f"{v:g}" for v in box)
            return f"box outside the image: edges {edges} in {w:g} x {h:g} px"
        return ""

"""A detection dataset in memory: what every importer makes and every exporter reads.

Pixels are continuous: the left edge of an image is 0.0, its right edge is its width. A box is four edges
``(x1, y1, x2, y2)`` in pixels, lies inside its image and has sides of at least :data:`MIN_SIDE_PX`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rsdet.data.tiling import Tile
from rsdet.names import printable

Box = tuple[float, float, float, float]

# A label written with ten decimals is exact to a few millionths of a pixel; anything thinner than this is no object.
MIN_SIDE_PX = 1e-3
NOTHING, UNKNOWN = -1, -2  # of a map of classes: no object covers the pixel; nobody knows what it is


@dataclass(slots=True)
class Annotation:
    """One object.

    All that the source says of its place is kept, in pixels of the picture; the exporter decides which is written.

    Attributes:
        cls: Index into :attr:`Dataset.names`.
        xyxy_px: Edges of the upright box, in pixels, clipped to the image.
        polygons_px: Rings of corners ``(x1, y1, …, xn, yn)`` in pixels as the source gave them, not clipped: one for an
            object in one piece, none where the source has upright boxes only. An oriented box is one ring as well.
        difficult: The source marks the object as hard (DOTA, Pascal VOC). Kept as an object.
        corners_px: Corners of the oriented box, where the source has one beside another polygon (SSDD).
        origin: Label file, and line or id in it, as reports name them.
        holes_px: Rings of holes in the polygons, where the source has some and masks are asked for.
        runs: The object as COCO's run lengths in pixels of the picture, where the source has it so; see
            :mod:`rsdet.data.importers._outlines`.
    """

    cls: int
    xyxy_px: Box
    polygons_px: tuple[tuple[float, ...], ...] = ()
    difficult: bool = False
    corners_px: tuple[float, ...] | None = None
    origin: tuple[str, object] = ("", "")
    holes_px: tuple[tuple[float, ...], ...] = ()
    runs: dict | None = None


@dataclass(slots=True)
class ImageRecord:
    """One image with everything that is known about it.

    Attributes:
        name: File name, unique (without its suffix) inside a split.
        width: Width in pixels as a decoder shows the picture, EXIF orientation applied.
        height: Height in pixels, likewise.
        path: The file itself, None when only its labels are at hand.
        objects: The objects in the order of the source.
        ignored_xyxy_px: Regions in which nothing is to be judged.
        has_label_file: False for an image that the source says nothing about: background.
        groups: Groups that the image is measured in, besides the whole (inshore, offshore).
        orientation: EXIF orientation, 1 to 8, that decoders apply to the stored pixels; 1 where they apply none.
        window: What of the file the image is; None for all of it.
        ignored: The same regions with their outlines; of no class.
        class_map: Reads the class of every pixel, (H, W) int16: index into the names, :data:`NOTHING` or
            :data:`UNKNOWN`; where the source has maps in the place of objects.
    """

    name: str
    width: int
    height: int
    path: Path | None = None
    objects: list[Annotation] = field(default_factory=list)
    ignored_xyxy_px: list[Box] = field(default_factory=list)
    has_label_file: bool = True
    groups: tuple[str, ...] = ()
    orientation: int = 1
    window: Tile | None = None
    ignored: list[Annotation] = field(default_factory=list)
    class_map: Callable[[], np.ndarray] | None = None

    @property
    def stem(self) -> str:
        """Name without its suffix: what image and label file share."""
        return Path(self.name).stem


@dataclass(slots=True)
class Dataset:
    """Images by split, and the class names.

    Attributes:
        names: Class names; the index is the class.
        splits: Split name (``train``, ``val``, ``test``, …) to its images, sorted by name.
        gsd: Metres a pixel that the source states for all images.
        covered: Maps say the class of every pixel, so that nothing is left for a background.
    """

    names: list[str]
    splits: dict[str, list[ImageRecord]] = field(default_factory=dict)
    gsd: float | None = None
    covered: bool = False


class Dropped(NamedTuple):
    """One thing that was left out, or one remark.

    Attributes:
        file: File it was found in, relative to the source.
        where: Line number, annotation id or image name inside that file; empty for the file as a whole.
        reason: ``kind: detail``; the kind is a fixed phrase, so that reasons can be counted.
    """

    file: str
    where: str
    reason: str


def kind_of(reason: str) -> str:
    """The fixed phrase that a reason starts with."""
    return reason.split(":", 1)[0]


@dataclass(slots=True)
class SplitLog:
    """What happened while one split was read."""

    dropped: list[Dropped] = field(default_factory=list)
    notes: list[Dropped] = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)  # clipped, difficult
    lost: Counter = field(default_factory=Counter)  # (class name or "", kind of reason) of boxes that were not kept
    forms: Counter = field(default_factory=Counter)  # (how a label got its form, class name) of those that were kept


class ImportLog(dict[str, SplitLog]):
    """Everything dropped and remarked, by split; the split ``""`` holds what belongs to none."""

    def __missing__(self, split: str) -> SplitLog:
        self[split] = SplitLog()
        return self[split]

    def drop(self, split: str, file: str, where: object, reason: str) -> None:
        """Record something that was left out."""
        self[split].dropped.append(Dropped(printable(file), printable(str(where)), printable(reason)))

    def note(self, split: str, file: str, where: object, reason: str) -> None:
        """Record a remark about something that was kept."""
        self[split].notes.append(Dropped(printable(file), printable(str(where)), printable(reason)))

    def retract(self, files: set[str]) -> None:
        """Take back what was said about files that found their place after all."""
        for split in self.values():
            split.dropped = [d for d in split.dropped if d.file not in files]

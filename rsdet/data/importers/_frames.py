"""The frame that labels are in: pixels of the picture they were drawn on, which need not be those of the file.

Pictures are resized after they were labelled, and cameras store them turned: readers show them as the EXIF orientation
says, some tools label them as they are stored. The size that a label file states tells: of one shape with the file, its
boxes are scaled; of the shape of the stored picture, they are turned as the picture is. A size that fits neither is
refused, for the boxes would lie in the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rsdet.data.annotations import Box, Dataset, ImageRecord, ImportLog

Size = tuple[float, float]
_TAG = "orientation tag"


def same_shape(a: Size, b: Size) -> bool:
    """Whether one picture can be the other one resized: the sides agree to within a pixel of the smaller picture."""
    return abs(a[0] * b[1] - a[1] * b[0]) <= max(sum(a), sum(b))


def turned(x: float, y: float, size: Size, orientation: int) -> tuple[float, float]:
    """Where a point of a stored picture lies once its EXIF orientation is applied.

    Args:
        x: Pixels from the left edge of the stored picture.
        y: Pixels from its upper edge.
        size: Width and height of the stored picture.
        orientation: 1 to 8.
    """
    w, h = size
    x, y = (w - x if orientation in (2, 3, 7, 8) else x), (h - y if orientation in (3, 4, 6, 7) else y)
    return (y, x) if orientation >= 5 else (x, y)


def move(record: ImageRecord, old: Size, new: Size, orientation: int = 1) -> None:
    """Bring the labels of an image from one frame to another.

    Args:
        record: The image; its width and height become those of the new frame.
        old: Width and height of the frame the labels are in.
        new: Width and height of the frame they shall be in.
        orientation: Applied to the old frame before it is scaled.
    """
    record.width, record.height = int(new[0]), int(new[1])
    if old == new and orientation == 1:
        return
    width, height = old if orientation < 5 else old[::-1]
    sx, sy = new[0] / width, new[1] / height

    def point(x: float, y: float) -> tuple[float, float]:
        x, y = turned(x, y, old, orientation)
        return x * sx, y * sy

    def box(edges: Box) -> Box:
        (xa, ya), (xb, yb) = point(*edges[:2]), point(*edges[2:])
        x1, x2, y1, y2 = min(xa, xb), max(xa, xb), min(ya, yb), max(ya, yb)
        return max(x1, 0.0), max(y1, 0.0), min(x2, float(new[0])), min(y2, float(new[1]))

    def ring(corners: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(v for x, y in zip(corners[0::2], corners[1::2], strict=True) for v in point(x, y))

    record.objects, record.ignored = (
        [
            replace(
                item,
                xyxy_px=box(item.xyxy_px),
                polygons_px=tuple(map(ring, item.polygons_px)),
                corners_px=ring(item.corners_px) if item.corners_px else None,
                holes_px=tuple(map(ring, item.holes_px)),
                runs=None,  # they are of the old frame, and the polygons stand for them
            )
            for item in items
        ]
        for items in (record.objects, record.ignored)
    )
    record.ignored_xyxy_px = [box(edges) for edges in record.ignored_xyxy_px]


@dataclass
class Frames:
    """What the stated sizes of one source tell about its turned pictures.

    Some leave it open, such as a picture upside down or a square one: these follow the others of the source.

    Attributes:
        stored: Number of pictures whose labels are certainly in the frame as stored.
        shown: Number of pictures whose labels are certainly in the frame as shown.
        open: Pictures with labels of which the size says nothing, with split and label file.
    """

    stored: int = 0
    shown: int = 0
    open: list[tuple[ImageRecord, str, str]] = field(default_factory=list)

    def orientation_of(self, record: ImageRecord, stated: Size | None) -> tuple[int | None, bool]:
        """How labels in pixels of a picture of the stated size are to be turned.

        Returns:
            Orientation to apply, None where the size fits in no frame; and whether nothing tells, so that the labels
            are taken to be as the picture is shown.
        """
        shown = record.width, record.height
        if stated is None:
            return 1, record.orientation > 1
        as_shown = same_shape(stated, shown)
        as_stored = same_shape(stated[::-1] if record.orientation >= 5 else stated, shown)
        if record.orientation == 1 or as_shown == as_stored:
            return (1 if as_shown else None), record.orientation > 1
        self.stored += as_stored
        self.shown += as_shown
        return (record.orientation if as_stored else 1), False

    def settle(self, dataset: Dataset, log: ImportLog) -> None:
        """Let the open pictures follow the others; where these disagree, leave them out."""
        kind, unclear = f"{_TAG} of no clear meaning", set()
        for record, split, file in self.open:
            if not record.objects and not record.ignored_xyxy_px:
                continue
            where = f"{record.name}, orientation {record.orientation}"
            if self.stored and self.shown:
                reason = f"{kind}: the labels of some others follow it, of some they do not; save the picture upright"
                log.drop(split, file, where, reason)
                log[split].lost["", kind] += len(record.objects)
                unclear.add(id(record))
            elif self.stored:
                size = record.width, record.height
                move(record, size[::-1] if record.orientation >= 5 else size, size, record.orientation)
                log.note(split, file, where, f"{_TAG} applied to the labels: as in {self.stored} others")
            elif not self.shown:
                log.note(split, file, where, f"{_TAG} not applied to the labels: taken to be as the picture is shown")
        for split, records in dataset.splits.items():
            dataset.splits[split] = [record for record in records if id(record) not in unclear]

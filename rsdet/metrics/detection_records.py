"""What an evaluation compares: the true boxes and the detections of each image, and their COCO JSON readers."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from rsdet.errors import DataError
from rsdet.geometry import hulls, polygon_area
from rsdet.metrics.masks import RLE, rle_areas, rle_boxes, to_rle
from rsdet.textfiles import read_json


def _boxes(value: object, what: str, image_id: object) -> np.ndarray:
    boxes = np.asarray(value, dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"image {image_id!r}: {what} have shape {boxes.shape}; expected (N, 4) x1 y1 x2 y2 in pixels")
    bad = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < boxes[:, :2]).any(1)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"image {image_id!r}: {what}[{i}] is {boxes[i].tolist()}; expected finite x1 <= x2 and y1 <= y2 in pixels; "
            "check the box format (xyxy, not xywh) and the model output for NaN"
        )
    return boxes


def _column(value: object, n: int, dtype: type, what: str, image_id: object) -> np.ndarray:
    column = np.asarray(value).reshape(-1)
    if len(column) != n:
        raise DataError(f"image {image_id!r}: {len(column)} {what} for {n} boxes; expected one per box")
    if column.size and not np.isfinite(column.astype(np.float64)).all():
        raise DataError(f"image {image_id!r}: {what} hold NaN or infinity; expected finite numbers")
    return column.astype(dtype)


def box_areas(boxes_xyxy: np.ndarray) -> np.ndarray:
    """Return (N,) areas in px^2; sides to a millionth of a px, so that x + 8 - x is 8 at any x."""
    return np.round(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 6).prod(axis=1)


class _Shapes:
    """What truth and detections share: boxes, and beside them the corners of oriented boxes, or masks."""

    image_id: Hashable
    boxes_xyxy: np.ndarray
    corners: np.ndarray | None
    masks: tuple[RLE, ...] | None

    def _put_shapes(self, what: str, size_hw: tuple[int, int] | None) -> None:
        boxes, put = self.boxes_xyxy, object.__setattr__
        if self.corners is not None:
            corners = np.asarray(self.corners, np.float64)
            corners = corners.reshape(0, 4, 2) if corners.size == 0 else corners
            if corners.shape[1:] != (4, 2):
                raise DataError(
                    f"image {self.image_id!r}: corners of {what} boxes have shape {corners.shape}; expected (N, 4, 2) "
                    "x and y in pixels"
                )
            put(self, "corners", corners)
            boxes = hulls(corners)
        if self.masks is not None:
            try:
                put(self, "masks", to_rle(self.masks, size_hw))
            except DataError as e:
                raise DataError(f"image {self.image_id!r}: {e}") from e
            boxes = rle_boxes(self.masks) if boxes is None else boxes
        put(self, "boxes_xyxy", _boxes(boxes, f"{what} boxes", self.image_id))
        if self.masks is not None and len(self.masks) != len(self.boxes_xyxy):
            n = len(self.boxes_xyxy)
            raise DataError(f"image {self.image_id!r}: {len(self.masks)} masks for {n} boxes; expected one per box")

    @property
    def shape(self) -> str:
        """What the objects are compared by: ``masks``, ``corners`` or ``boxes``."""
        return "masks" if self.masks is not None else "corners" if self.corners is not None else "boxes"

    def shape_areas(self) -> np.ndarray:
        """(N,) areas in px^2 of what the objects are compared by."""
        if self.masks is not None:
            return rle_areas(self.masks)
        return box_areas(self.boxes_xyxy) if self.corners is None else polygon_area(self.corners)

    def _picked(self, index: np.ndarray, columns: tuple[str, ...]) -> dict[str, object]:
        kept = {k: getattr(self, k)[index] for k in ("boxes_xyxy", *columns)}
        if self.masks is not None:
            kept["masks"] = tuple(self.masks[i] for i in np.arange(len(self.masks))[index])
        return kept if self.corners is None else {**kept, "corners": self.corners[index]}


@dataclass(frozen=True, eq=False)
class ImageTruth(_Shapes):
    """The true objects of one image.

    Attributes:
        image_id: Number or name, unique in the dataset.
        size_hw: Height and width of the original image in px.
        boxes_xyxy: (N, 4) boxes in px of the original image; stored as float64. None where corners or masks are given.
        classes: (N,) class numbers.
        ignore_xyxy: (M, 4) ignored regions, without a class.
        groups: Names of the groups it belongs to, measured apart, such as ``{"inshore"}``.
        crowd: (N,) true where a box is a COCO crowd, or difficult in DOTA: detections of its class that belong to it
            count neither way.
        areas: (N,) areas in px^2 that decide the area range, as annotated (COCO: of the mask); those of the boxes,
            oriented boxes or masks where not given.
        corners: (N, 4, 2) corners of oriented boxes, x and y in px of the original image; None where they are upright.
        masks: N masks in any form that `masks.to_rle` takes, of the size of the image; stored as RLE. None without.
    """

    image_id: Hashable
    size_hw: tuple[int, int]
    boxes_xyxy: np.ndarray | None
    classes: np.ndarray
    ignore_xyxy: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    groups: frozenset[str] = frozenset()
    crowd: np.ndarray | None = None
    areas: np.ndarray | None = None
    corners: np.ndarray | None = None
    masks: tuple[RLE, ...] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        self._put_shapes("true", self.size_hw)
        put(self, "ignore_xyxy", _boxes(self.ignore_xyxy, "ignored regions", self.image_id))
        n = len(self.boxes_xyxy)
        put(self, "classes", _column(self.classes, n, np.int64, "classes", self.image_id))
        crowd = np.zeros(n) if self.crowd is None else self.crowd
        put(self, "crowd", _column(crowd, n, np.bool_, "crowd flags", self.image_id))
        areas = self.shape_areas() if self.areas is None else self.areas
        put(self, "areas", _column(areas, n, np.float64, "areas", self.image_id))
        put(self, "groups", frozenset([self.groups] if isinstance(self.groups, str) else self.groups))

    def pick(self, index: np.ndarray) -> ImageTruth:
        """Return the image with the true objects at `index` (a mask or positions) alone."""
        return replace(self, **self._picked(index, ("classes", "crowd", "areas")))


@dataclass(frozen=True, eq=False)
class ImageDetections(_Shapes):
    """The detections of one image: boxes (N, 4) xyxy in px of the original image, scores (N,), classes (N,).

    Beside the boxes, or with None in their place, the corners (N, 4, 2) of oriented boxes in px, or N masks in a form
    that `masks.to_rle` takes, an array (N, H, W) or RLE.
    """

    image_id: Hashable
    boxes_xyxy: np.ndarray | None
    scores: np.ndarray
    classes: np.ndarray
    corners: np.ndarray | None = None
    masks: tuple[RLE, ...] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        self._put_shapes("detected", None)
        n = len(self.boxes_xyxy)
        put(self, "scores", _column(self.scores, n, np.float64, "scores", self.image_id))
        put(self, "classes", _column(self.classes, n, np.int64, "classes", self.image_id))

    def pick(self, index: np.ndarray) -> ImageDetections:
        """Return the detections at `index` (a mask or positions), in that order."""
        return replace(self, **self._picked(index, ("scores", "classes")))


@dataclass(frozen=True)
class Truth:
    """The true boxes of a dataset: its images and, where known, the class names."""

    images: tuple[ImageTruth, ...]
    names: Mapping[int, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ImageTruth]:
        return iter(self.images)

    def __len__(self) -> int:
        return len(self.images)


def _load(source: object, what: str) -> object:
    if not isinstance(source, str | Path):
        return source
    return read_json(source, wanted=f"expected the {what} as COCO JSON; check the path")


def truth_from_coco(source: Mapping | str | Path, *, ignore_classes: Collection[int | str] = ()) -> Truth:
    """Read a COCO annotation file or dict.

    Args:
        source: ``{"images": [{id, height, width}], "annotations": [{image_id, category_id, bbox xywh, iscrowd,
            area}], "categories": [{id, name}]}``; an image may carry ``"groups": ["inshore"]``. Without ``area``, the
            box's own is taken.
        ignore_classes: Ids or names of categories whose boxes are regions to ignore, e.g. ``("ignored regions",)``.

    Raises:
        DataError: The file cannot be read, a key is missing, or an annotation names an unknown image.
    """
    data = _load(source, "truth")
    try:
        names = {int(c["id"]): str(c["name"]) for c in data.get("categories", [])}
        ignored = {c for c, name in names.items() if c in ignore_classes or name in ignore_classes}
        found: dict[Hashable, list] = {image["id"]: [] for image in data["images"]}
        for a in data["annotations"]:
            x, y, w, h = a["bbox"]
            more = (
                int(a["category_id"]),
                bool(a.get("iscrowd", 0)),
                float(w * h if a.get("area") is None else a["area"]),
            )
            found[a["image_id"]].append((x, y, x + w, y + h, *more))
        images = []
        for image in data["images"]:
            boxes = [r for r in found[image["id"]] if r[4] not in ignored]
            images.append(
                ImageTruth(
                    image_id=image["id"],
                    size_hw=(int(image["height"]), int(image["width"])),
                    boxes_xyxy=[r[:4] for r in boxes],
                    classes=[r[4] for r in boxes],
                    ignore_xyxy=[r[:4] for r in found[image["id"]] if r[4] in ignored],
                    groups=frozenset(image.get("groups", ())),
                    crowd=[r[5] for r in boxes],
                    areas=[r[6] for r in boxes],
                )
            )
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise DataError(
            f"truth is no COCO annotation set ({type(e).__name__}: {e}); expected images, annotations and categories "
            "with ids that fit together; convert other formats with rsdet convert"
        ) from e
    return Truth(tuple(images), {c: n for c, n in names.items() if c not in ignored})


def detections_from_coco(source: Sequence[Mapping] | str | Path) -> list[ImageDetections]:
    """Read a COCO result list or file, ``[{image_id, category_id, bbox xywh, score}]``, grouped by image.

    Raises:
        DataError: The file cannot be read, a key is missing, or a box is not finite or has a negative size.
    """
    found: dict[Hashable, list] = {}
    try:
        for r in _load(source, "detections"):
            x, y, w, h = r["bbox"]
            found.setdefault(r["image_id"], []).append((x, y, x + w, y + h, r["score"], r["category_id"]))
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(
            f"detections are no COCO result list ({type(e).__name__}: {e}); expected a list of image_id, category_id, "
            "bbox (x, y, w, h) and score"
        ) from e
    return [
        ImageDetections(i, [r[:4] for r in rows], [r[4] for r in rows], [r[5] for r in rows])
        for i, rows in found.items()
    ]

"""What was found in one image: boxes, turned boxes, or boxes with masks, and how they are written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import compress
from typing import Any, ClassVar

import numpy as np

from rsdet.geometry import hulls, xywhr_to_corners
from rsdet.runtime.masks import Mask, in_picture, patch_of


@dataclass(frozen=True)
class Detections:
    """What was found in one image, best first.

    Attributes:
        boxes_xyxy: (N, 4) float32, x1, y1, x2, y2 in pixels of the original image.
        scores: (N,) float32 in [0, 1].
        classes: (N,) int64.
        names: Class number -> name, of all classes of the model.
        size_hw: Height and width of the original image in pixels.
        input_hw: Height and width of the network's input in pixels.
        speed_ms: ``preprocess``, ``inference`` and ``postprocess``, milliseconds an image.
    """

    boxes_xyxy: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    names: dict[int, str]
    size_hw: tuple[int, int]
    input_hw: tuple[int, int]
    speed_ms: dict[str, float] = field(default_factory=dict)

    _OF_OBJECTS: ClassVar[tuple[str, ...]] = ("boxes_xyxy", "scores", "classes")

    def __len__(self) -> int:
        return len(self.scores)

    def best(self, n: int) -> Detections:
        """The n best of them."""
        return replace(self, **{name: getattr(self, name)[:n] for name in self._OF_OBJECTS})

    def where(self, keep: np.ndarray) -> Detections:
        """Those that (N,) bool says."""
        chosen: dict[str, Any] = {
            k: list(compress(v, keep)) if isinstance(v := getattr(self, k), list) else v[keep] for k in self._OF_OBJECTS
        }
        return replace(self, **chosen)

    @property
    def shapes(self) -> dict[str, Any]:
        """What :func:`rsdet.tasks.detect.visual.draw` draws in the place of upright boxes."""
        return {}

    def objects(self) -> list[dict[str, Any]]:
        """Class, name, score and box of each object, in pixels of the original image, as a plain JSON takes them."""
        return [
            {"class": int(c), "name": self.names.get(int(c), str(int(c))), "score": round(float(s), 5), **shape}
            for c, s, shape in zip(self.classes, self.scores, self._plain_shapes(), strict=True)
        ]

    def coco_rows(self, image_id: int | str) -> list[dict[str, Any]]:
        """Rows of a COCO results file: ``bbox`` is x, y, w, h in pixels of the original image, ids start at 1."""
        xywh = np.concatenate([self.boxes_xyxy[:, :2], self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]], 1)
        return [
            {
                "image_id": image_id,
                "category_id": int(c) + 1,
                "bbox": _rounded(b),
                "score": round(float(s), 5),
                **shape,
            }
            for b, s, c, shape in zip(xywh, self.scores, self.classes, self._coco_shapes(), strict=True)
        ]

    def _plain_shapes(self) -> list[dict[str, Any]]:
        return [{"xyxy_px": _rounded(b)} for b in self.boxes_xyxy]

    def _coco_shapes(self) -> list[dict[str, Any]]:
        return [{}] * len(self)


@dataclass(frozen=True)
class OrientedDetections(Detections):
    """Turned boxes; ``boxes_xyxy`` are the upright boxes around them.

    Attributes:
        boxes_xywhr: (N, 5) float32, centre, sides and angle in pixels of the original image and radians; the side w is
            turned by the angle from the x axis towards the y axis.
    """

    boxes_xywhr: np.ndarray = field(default_factory=lambda: np.zeros((0, 5), np.float32))

    _OF_OBJECTS: ClassVar[tuple[str, ...]] = (*Detections._OF_OBJECTS, "boxes_xywhr")

    @classmethod
    def of(
        cls,
        boxes_xywhr: np.ndarray,
        scores: np.ndarray,
        classes: np.ndarray,
        names: dict[int, str],
        size_hw: tuple[int, int],
        input_hw: tuple[int, int],
    ) -> OrientedDetections:
        """Turned boxes, with the upright ones around them."""
        around = hulls(xywhr_to_corners(boxes_xywhr)).astype(np.float32)
        return cls(around, scores, classes, names, size_hw, input_hw, boxes_xywhr=boxes_xywhr)

    @property
    def corners(self) -> np.ndarray:
        """(N, 4, 2) x and y in pixels of the original image, in the order of Ultralytics; they may lie outside."""
        return xywhr_to_corners(self.boxes_xywhr)

    @property
    def shapes(self) -> dict[str, Any]:
        """What is drawn in the place of upright boxes."""
        return {"corners": self.corners}

    def _plain_shapes(self) -> list[dict[str, Any]]:
        boxes = zip(self.boxes_xywhr, self.corners, strict=True)
        return [
            {"xywhr_px_rad": [*_rounded(b[:4]), round(float(b[4]), 5)], "corners_px": [_rounded(p) for p in corners]}
            for b, corners in boxes
        ]

    def _coco_shapes(self) -> list[dict[str, Any]]:
        areas = np.asarray(self.boxes_xywhr[:, 2:4], np.float64).prod(1)
        return [
            {"segmentation": [_rounded(c.reshape(-1))], "area": round(float(a), 3)}
            for c, a in zip(self.corners, areas, strict=True)
        ]


@dataclass(frozen=True)
class MaskDetections(Detections):
    """Boxes with the pixels that their objects cover.

    Attributes:
        patches: N masks, each with its place in the original image.
    """

    patches: list[Mask] = field(default_factory=list)

    _OF_OBJECTS: ClassVar[tuple[str, ...]] = (*Detections._OF_OBJECTS, "patches")

    @property
    def masks(self) -> np.ndarray:
        """(N, H, W) bool of the original image; a byte for each of its pixels and each object."""
        none = np.zeros((0, *self.size_hw), bool)
        return np.stack([p.whole(self.size_hw).view(bool) for p in self.patches]) if self.patches else none

    @property
    def shapes(self) -> dict[str, Any]:
        """What is drawn in the place of upright boxes."""
        return {"masks": self.patches}

    def _plain_shapes(self) -> list[dict[str, Any]]:
        return [
            {**box, "polygons_px": [p.tolist() for p in mask.polygons()]}
            for box, mask in zip(super()._plain_shapes(), self.patches, strict=True)
        ]

    def _coco_shapes(self) -> list[dict[str, Any]]:
        return [{"segmentation": p.rle(self.size_hw), "area": p.area} for p in self.patches]


def detections_of(result: Any) -> Detections:
    """What a ``Results`` of Ultralytics holds; masks in pixels of the original image, whichever way they were made."""
    result = result.cpu().numpy()
    boxes = result.boxes if result.obb is None else result.obb
    rest = (boxes.conf, boxes.cls.astype(np.int64), result.names, result.orig_shape, result.orig_shape)
    if result.obb is not None:
        return OrientedDetections.of(boxes.xywhr, *rest)
    if result.masks is not None:
        patches = [in_picture(patch_of(m), m.shape, result.orig_shape) for m in result.masks.data]
        return MaskDetections(boxes.xyxy, *rest, patches=patches)
    return Detections(boxes.xyxy, *rest)


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 3) for v in values]

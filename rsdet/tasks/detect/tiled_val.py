"""Validation of whole pictures by tiles: what ``predict tile=`` finds in each, measured against the untiled truth.

A picture is read as in any validation, cut into the tiles of scenes, and what is found in them is merged as in scenes;
labels stay as they are. So a model is measured on a data set as it is used on a scene of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import cv2
import numpy as np
import torch

from rsdet.geometry import corners_to_xywhr
from rsdet.metrics.masks import to_rle
from rsdet.scenes.found import Found
from rsdet.scenes.merging import merge
from rsdet.scenes.plan import Plan
from rsdet.scenes.predictor import TilePredictor
from rsdet.scenes.run import check_fit
from rsdet.scenes.settings import SceneSettings

KEYS = ("tile", "overlap", "merging", "merging_iou")
_TAKEN = ("conf", "iou", "max_det", "agnostic_nms", "classes", "device", "quantize")  # of what val is told


def tiles_of(given: Mapping[str, Any]) -> SceneSettings | None:
    """What is asked for about tiles; None without ``tile``.

    Raises:
        ConfigError: A value that makes no sense.
    """
    settings = SceneSettings(**{k: given[k] for k in KEYS if given.get(k) is not None})
    return None if settings.tile is None else settings


class TiledLook:
    """A model that looks at pictures by tiles.

    Args:
        predictor: The model.
        settings: How pictures are cut, and objects merged.

    Raises:
        ConfigError: Tiles that the network cannot look at.
    """

    def __init__(self, predictor: TilePredictor, settings: SceneSettings):
        check_fit(predictor, settings)
        self.predictor, self.settings = predictor, settings

    @classmethod
    def of(cls, model: Any, settings: SceneSettings, args: Any) -> TiledLook:
        """The look of a loaded model, with the thresholds of a validation.

        Args:
            model: The :class:`rsdet.RSDet`.
            settings: How.
            args: Ultralytics' arguments of the validation.
        """
        given = {k: v for k in _TAKEN if (v := getattr(args, k, None)) is not None}
        return cls(import_module(model.definition.tiles).open_tiles(model, given, settings.tile), settings)

    def __call__(self, picture: np.ndarray) -> Found:
        """Objects of a picture (H, W, C) uint8, in its pixels."""
        plan, parts = Plan([picture.shape[:2]], [1.0], self.settings.tile or 0, self.settings.overlap_px), []
        for first in range(0, len(plan), self.predictor.batch):
            spots = [plan[n] for n in range(first, min(first + self.predictor.batch, len(plan)))]
            tiles = [np.ascontiguousarray(picture[s.tile.slices]) for s in spots]
            seen = self.predictor.look(tiles, self.settings.tile or 0)
            parts += [spot.take(objects) for spot, objects in zip(spots, seen, strict=True)]
        return merge(Found.joined(parts), self.settings.merging, self.settings.merging_iou)

    def __str__(self) -> str:
        s = self.settings
        return f"tiles of {s.tile} px that share {s.overlap_px}, merged by {s.merging}, against the untiled truth"


def original_shapes(found: Found, shape: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Shapes of objects as :class:`rsdet.metrics.detection_areas.ImageDetections` takes them, in original pixels.

    Args:
        found: The objects.
        shape: ``boxes``, ``corners`` or ``masks``.
        size_hw: Height and width of the picture.
    """
    if shape == "corners":
        return {"boxes_xyxy": None, "corners": _corners(found)}
    if shape == "boxes":
        return {"boxes_xyxy": found.boxes_xyxy}
    drawn = (_drawn(outline, box, size_hw) for outline, box in _outlines(found))
    return {"boxes_xyxy": found.boxes_xyxy, "masks": to_rle(drawn, size_hw)}


def network_shapes(
    found: Found, shape: str, pbatch: Mapping[str, Any], mask_hw: tuple[int, int] | None
) -> dict[str, torch.Tensor]:
    """The same as Ultralytics' table takes them, in pixels of the network's input.

    Args:
        found: The objects.
        shape: As in :func:`original_shapes`.
        pbatch: What Ultralytics prepared of the picture: ``imgsz`` and ``ratio_pad``.
        mask_hw: Height and width of the masks of its labels.
    """
    (gain_y, gain_x), (pad_x, pad_y) = pbatch["ratio_pad"]
    gain, pad, device = np.array([gain_x, gain_y]), np.array([pad_x, pad_y]), pbatch["bboxes"].device
    boxes = found.boxes_xyxy * np.tile(gain, 2) + np.tile(pad, 2)
    if shape == "corners":
        boxes = corners_to_xywhr(_corners(found) * gain + pad)
    shapes = {"bboxes": torch.as_tensor(boxes, dtype=torch.float32, device=device)}
    if shape == "masks":
        less = np.array(mask_hw[::-1]) / np.array(tuple(pbatch["imgsz"])[::-1])  # type: ignore[index]
        masks = np.zeros((len(found), *mask_hw), np.uint8)  # type: ignore[misc]
        for mask, (outline, box) in zip(masks, _outlines(found), strict=True):
            mask[:] = _drawn([(r * gain + pad) * less for r in outline], (box * np.tile(gain, 2) + np.tile(pad, 2)) *
                             np.tile(less, 2), mask_hw)  # fmt: skip
        shapes["masks"] = torch.as_tensor(masks, device=device)
    return shapes


def _corners(found: Found) -> np.ndarray:
    return np.zeros((0, 4, 2)) if found.corners is None else found.corners


def _outlines(found: Found) -> Sequence[tuple[Sequence[np.ndarray], np.ndarray]]:
    return list(zip(found.outlines or (), found.boxes_xyxy, strict=True))


def _drawn(outline: Sequence[np.ndarray], box: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """The pixels of a mask, whose rings go through the middles of those at its rim; of one without rings, its box."""
    mask = np.zeros(size_hw, np.uint8)
    rings = [np.rint(ring - 0.5).astype(np.int32) for ring in outline if len(ring)]
    for ring in rings:  # one by one: even-odd filling would leave out what two of them share
        cv2.fillPoly(mask, [ring], 1)
    if not rings:
        x1, y1, x2, y2 = np.rint(box).astype(int)
        mask[max(y1, 0) : y2, max(x1, 0) : x2] = 1
    return mask

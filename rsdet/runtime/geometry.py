"""How a picture is laid into the network's input, and boxes back: the geometry of Ultralytics' predictors.

The ``rtdetr`` family stretches the picture to the input. The ``yolo`` family letterboxes it: scaled by
r = min(H/h, W/w), each side rounded to whole pixels, centred, the rest filled with 114.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

PAD = 114


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in an input.

    Attributes:
        size_hw: Height and width of the picture in pixels.
        input_hw: Height and width of the input in pixels.
        resized_hw: Height and width of the picture in the input.
        top_left: First row and column that it covers.
    """

    size_hw: tuple[int, int]
    input_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    top_left: tuple[int, int]

    @property
    def scale(self) -> np.ndarray:
        """Pixels of the input for one of the picture, along x, y, x and y."""
        # The sides are rounded each by itself, so x and y have scales of their own.
        y, x = (r / s for r, s in zip(self.resized_hw, self.size_hw, strict=True))
        return np.array([x, y, x, y])

    @property
    def offset(self) -> np.ndarray:
        """Pixels of the input before the picture, along x, y, x and y."""
        return np.array([*self.top_left[::-1]] * 2, dtype=np.float64)

    def to_input(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes of the picture, (N, 4) in its pixels, in pixels of the input; float64."""
        boxes: np.ndarray = np.asarray(boxes_xyxy, np.float64) * self.scale + self.offset
        return boxes

    def to_picture(self, boxes_xyxy: np.ndarray) -> np.ndarray:
        """Boxes of the input, (N, 4) in its pixels, in pixels of the picture and cut off at its rim; float64."""
        height, width = self.size_hw
        boxes = (np.asarray(boxes_xyxy, np.float64) - self.offset) / self.scale
        inside: np.ndarray = boxes.clip(0, [width, height, width, height])
        return inside


def stretched(size_hw: tuple[int, int], input_hw: tuple[int, int]) -> Placement:
    """The picture fills the input; its aspect is not kept."""
    return Placement(size_hw, input_hw, input_hw, (0, 0))


def letterboxed(size_hw: tuple[int, int], input_hw: tuple[int, int], stride: int | None = None) -> Placement:
    """The picture keeps its aspect and lies in the middle.

    Args:
        size_hw: Height and width of the picture in pixels.
        input_hw: Height and width of the input in pixels.
        stride: Cut the padding of the input down to what makes its sides multiples of the stride, as Ultralytics does
            for graphs of free size; keep the input as it is when None.
    """
    ratio = min(i / s for i, s in zip(input_hw, size_hw, strict=True))
    height, width = (max(round(s * ratio), 1) for s in size_hw)  # a thin picture keeps a pixel
    if stride:
        input_hw = height + (input_hw[0] - height) % stride, width + (input_hw[1] - width) % stride
    # An odd pixel of padding goes below and to the right.
    return Placement(size_hw, input_hw, (height, width), ((input_hw[0] - height) // 2, (input_hw[1] - width) // 2))


def lay(picture: np.ndarray, placement: Placement) -> np.ndarray:
    """Resize a picture (bilinear) and pad it.

    Args:
        picture: (H, W, C) uint8.
        placement: Where it shall lie.

    Returns:
        (H', W', C) uint8 of the size of the input.
    """
    height, width = placement.resized_hw
    if picture.shape[:2] != (height, width):
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    if (height, width) == placement.input_hw:
        return picture
    out = np.full((*placement.input_hw, picture.shape[2]), PAD, dtype=np.uint8)
    top, left = placement.top_left
    out[top : top + height, left : left + width] = picture
    return out


def to_input(laid: Sequence[np.ndarray]) -> np.ndarray:
    """Stack pictures of the input's size, (H, W, C) uint8 and BGR, to (B, C, H, W) float32 in [0, 1] and RGB."""
    stack = np.stack(laid)
    if stack.shape[-1] == 3:
        stack = stack[..., ::-1]
    x = np.ascontiguousarray(stack.transpose(0, 3, 1, 2), dtype=np.float32)
    x /= 255.0
    return x

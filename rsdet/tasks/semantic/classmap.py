"""From logits to a map of classes in pixels of the picture; NumPy and OpenCV alone, once for every backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from rsdet.metrics.confusion import IGNORE
from rsdet.runtime.geometry import Placement

BACKGROUND = "background"


@dataclass(frozen=True)
class ClassMap:
    """The class of each pixel of a picture.

    Attributes:
        classes: (H, W) uint8 class numbers, 255 where there is none.
        confidence: (H, W) float32, the probability of that class; None where the graph says classes alone.
        names: Class number to name.
        input_hw: Height and width of the network's input in pixels.
        speed_ms: ``preprocess``, ``inference`` and ``postprocess``, milliseconds a picture.
    """

    classes: np.ndarray
    confidence: np.ndarray | None
    names: Mapping[int, str]
    input_hw: tuple[int, int]
    speed_ms: dict[str, float] = field(default_factory=dict)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        height, width = self.classes.shape
        return height, width

    def __len__(self) -> int:
        """Number of classes that occur."""
        return int(np.count_nonzero(pixels_of(self.classes)))

    def best(self, n: int) -> ClassMap:
        """The map without classes where ``n`` is 0, as of a picture without data; else as it is."""
        return self if n else replace(self, classes=np.full_like(self.classes, IGNORE))

    def where(self, valid: np.ndarray) -> ClassMap:
        """The map without classes where (H, W) is False."""
        return replace(self, classes=np.where(valid, self.classes, np.uint8(IGNORE)))

    def only(self, classes: np.ndarray | list[int] | None) -> ClassMap:
        """The map without all classes but these."""
        if classes is None:
            return self
        return replace(self, classes=np.where(np.isin(self.classes, classes), self.classes, np.uint8(IGNORE)))


def class_names(names: Mapping[int, str]) -> dict[int, str]:
    """Names of the numbers in a map: of a network with one class, that class is 1 and all else is 0."""
    return {0: BACKGROUND, 1: next(iter(names.values()))} if len(names) == 1 else dict(names)


def shown_classes(names: Mapping[int, str], wanted: int | Collection[int] | None) -> list[int] | None:
    """Numbers in a map that ``classes=`` leaves in it; None for all, as of a network with one class.

    Args:
        names: Class number to name, as the network has them.
        wanted: One or several numbers of these.
    """
    return None if wanted is None or len(names) == 1 else sorted(np.ravel(np.array(wanted)).tolist())


def classes_of(logits: np.ndarray) -> np.ndarray:
    """(H, W) uint8 classes of logits (K, H, W), K of 255 at most; with one, 1 where it is positive."""
    return (logits[0] > 0 if len(logits) == 1 else logits.argmax(0)).astype(np.uint8)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(K, H, W) float32 probabilities: softmax, or of one class the sigmoid."""
    if len(logits) == 1:
        return 0.5 * (1 + np.tanh(0.5 * logits))
    e = np.exp(logits - logits.max(0))
    return e / e.sum(0)


def confidence_of(probs: np.ndarray) -> np.ndarray:
    """(H, W) probability of the most probable class, of probabilities (K, H, W)."""
    return np.maximum(probs[0], 1 - probs[0]) if len(probs) == 1 else probs.max(0)


def logits_in_picture(output: np.ndarray, placement: Placement, how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Planes (K, H, W) in pixels of the picture.

    Args:
        output: Planes (K, h, w) of the network's input, or of a part of its size.
        placement: Where the picture lies in the input.
        how: OpenCV's interpolation.
    """
    planes = resized(np.asarray(output, np.float32).transpose(1, 2, 0), placement.input_hw, how)
    (top, left), (height, width) = placement.top_left, placement.resized_hw
    return resized(planes[top : top + height, left : left + width], placement.size_hw, how).transpose(2, 0, 1)


def to_picture(output: np.ndarray, placement: Placement) -> tuple[np.ndarray, np.ndarray | None]:
    """Classes and confidence of a picture in its own pixels.

    Args:
        output: Logits (K, h, w), or the map that a graph makes of them, (h, w), which has no confidence.
        placement: Where the picture lies in the input.
    """
    if output.ndim == 2:
        return logits_in_picture(output[None], placement, cv2.INTER_NEAREST)[0].astype(np.uint8), None
    planes = logits_in_picture(output, placement)
    return classes_of(planes), confidence_of(probabilities(planes))


def resized(planes: np.ndarray, size_hw: tuple[int, int], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """(h, w, K) to (H, W, K)."""
    if planes.shape[:2] == size_hw:
        return planes
    return cv2.resize(np.ascontiguousarray(planes), size_hw[::-1], interpolation=how).reshape(*size_hw, -1)


def pixels_of(classes: np.ndarray) -> np.ndarray:
    """(255,) pixels of each class number in a map."""
    return np.bincount(classes.ravel(), minlength=IGNORE + 1)[:IGNORE]

"""Detector: an exported file and a picture in, boxes out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.pictures import reader_of, to_picture
from rsdet.deploy.thresholds import CONF, IOU, MAX_DET, predict_settings
from rsdet.errors import CheckpointError, ConfigError
from rsdet.quiet import silent_opencv
from rsdet.runtime.backends import open_network
from rsdet.runtime.geometry import Placement, lay, letterboxed, stretched, to_input
from rsdet.runtime.metadata import read_facts
from rsdet.runtime.postprocess import Rules, check_output, rows

DEFAULT_IMGSZ = (640, 640)  # of Ultralytics; only for a graph of free size that does not say its own


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

    def __len__(self) -> int:
        return len(self.scores)


class Detector:
    """A detector in an exported file, on the CPU.

    Args:
        path: ``.onnx`` file, or OpenVINO folder (or the ``.xml`` in it), made by ``rsdet export`` or by Ultralytics.
        threads: Threads for one operator; the backend's own choice when None.
        bands: Bands of the files to take, counted from 1, in the order of the channels; those in the file when None.

    Attributes:
        names: Class number -> name.
        imgsz: Height and width of the input in pixels; where a graph has a free size, the one it was exported with.
        channels: Channels of the pictures.
        free_size: The graph takes inputs of any height and width.
        backend: Name and version of what runs it.
        reader: Reads files as the model was trained on them.

    Raises:
        ConfigError: No such file, or not a detector.
        CheckpointError: A file that cannot be loaded, or does not say what it is.
        MissingDependencyError: The backend is not installed.
    """

    def __init__(self, path: str | Path, threads: int | None = None, *, bands: Sequence[int] | None = None):
        self._network = open_network(path, threads)
        self._facts = read_facts(self._network.metadata, self._network.file)
        batch, channels, height, width = self._network.shape
        self.channels = channels or self._facts.channels
        if self.channels != self._facts.channels:
            raise CheckpointError(
                f"{self._facts.file} says channels: {self._facts.channels} and its graph takes {self.channels}; "
                "export it again."
            )
        self.names, self.backend = self._facts.names, self._network.backend
        self.reader = reader_of(self._facts.sar, self.channels, self._facts.bands if bands is None else bands)
        self.free_size = height is None or width is None
        self.imgsz = (self._facts.imgsz or DEFAULT_IMGSZ) if self.free_size else (height, width)
        self._batch = batch

    def predict(
        self,
        image: Any,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        *,
        classes: Sequence[int] | None = None,
        agnostic: bool = False,
        imgsz: int | Sequence[int] | None = None,
    ) -> Detections:
        """Detect objects in one image.

        Args:
            image: Path, (H, W, C) uint8 array in BGR order, or Pillow image. Of an array with more channels than the
                model takes, ``bands`` are taken. For a SAR model: path, or values as they stand in files.
            conf: Lowest score; as for the next two, what the file holds when None, else 0.25.
            iou: Largest overlap of two boxes of a class that are both kept, else 0.7; of no effect on networks without
                suppression.
            max_det: Most boxes of the image, else 300.
            classes: Class numbers to keep; all when None.
            agnostic: Suppress across classes.
            imgsz: Input size in pixels of a graph of free size, one number or (height, width).

        Raises:
            ConfigError: A value out of its range, or a size that the graph does not take.
            DataError: The image cannot be used.
        """
        with silent_opencv():
            pictures = [to_picture(image, self.reader)]
        return self.detect(pictures, self.rules(conf, iou, max_det, _some(classes), agnostic), imgsz)[0]

    def predict_batch(
        self,
        images: Sequence[Any],
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        **kwargs: Any,
    ) -> list[Detections]:
        """Detect objects in several images in one run of the network; arguments as in :meth:`predict`."""
        with silent_opencv():
            pictures = [to_picture(image, self.reader) for image in images]
        imgsz, classes = kwargs.pop("imgsz", None), _some(kwargs.pop("classes", None))
        return self.detect(pictures, self.rules(conf, iou, max_det, classes, **kwargs), imgsz)

    def rules(self, conf: float | None, iou: float | None, max_det: int | None, *args: Any, **kwargs: Any) -> Rules:
        """Thresholds completed by those in the file; the other arguments are those of :class:`Rules`.

        Raises:
            ConfigError: A wish that suppression inside the graph cannot fulfil.
        """
        given = {k: v for k, v in (("conf", conf), ("iou", iou), ("max_det", max_det)) if v is not None}
        found = {"conf": CONF, "iou": IOU, "max_det": MAX_DET} | predict_settings(self._facts.stored, given)
        return Rules(found["conf"], found["iou"], found["max_det"], *args, **kwargs)

    def detect(
        self, pictures: Sequence[np.ndarray], rules: Rules, imgsz: int | Sequence[int] | None = None
    ) -> list[Detections]:
        """Detect objects in pictures that are read already.

        Args:
            pictures: (H, W, C) uint8 with the channels of the model, BGR.
            rules: What is kept.
            imgsz: Input size in pixels of a graph of free size.
        """
        _check(rules)
        if not pictures:
            return []
        began = time.perf_counter()
        places = self._places([p.shape[:2] for p in pictures], self.size(imgsz))
        x = to_input([lay(p, place) for p, place in zip(pictures, places, strict=True)])
        prepared = time.perf_counter()
        out = self._run(x)
        ran = time.perf_counter()
        found = []
        for picture, place, o in zip(pictures, places, out, strict=True):
            boxes, scores, classes = rows(o, self._facts, place, rules)
            if self.reader.of_values and not picture.any():  # nothing but nodata: whatever it says is not of a scene
                boxes, scores, classes = boxes[:0], scores[:0], classes[:0]
            found.append((boxes, scores, classes, place))
        spans = (prepared - began, ran - prepared, time.perf_counter() - ran)
        keys = ("preprocess", "inference", "postprocess")
        speed = {k: s * 1e3 / len(pictures) for k, s in zip(keys, spans, strict=True)}
        return [Detections(b, s, c, self.names, p.size_hw, p.input_hw, speed) for b, s, c, p in found]

    def size(self, imgsz: int | Sequence[int] | None = None) -> tuple[int, int]:
        """Height and width of the input for a wish; sides of a free size are rounded up to multiples of the stride.

        Raises:
            ConfigError: No size, or not that of a graph of fixed size.
        """
        if imgsz is None:
            return self.imgsz
        each = list(imgsz) if isinstance(imgsz, (list, tuple)) else [imgsz]
        whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in each)
        if not 1 <= len(each) <= 2 or not whole:
            raise ConfigError(f"imgsz={imgsz!r} must be a positive whole number, or height and width; e.g. imgsz=640.")
        stride = self._facts.stride
        height, width = (-(-int(n) // stride) * stride for n in (each * 2)[:2])
        if not self.free_size and (height, width) != self.imgsz:
            taken = "x".join(str(n) for n in self.imgsz)
            raise ConfigError(
                f"imgsz={imgsz} and {self._facts.file} takes {taken} only; leave imgsz= out, or export with another "
                "imgsz= or dynamic=True."
            )
        return height, width

    def _places(self, sizes: list[tuple[int, int]], input_hw: tuple[int, int]) -> list[Placement]:
        if self._facts.family == "rtdetr":
            return [stretched(s, input_hw) for s in sizes]
        return [letterboxed(s, input_hw) for s in sizes]  # to the full input, graphs of free size too, as RSDet does

    def _run(self, x: np.ndarray) -> np.ndarray:
        """Run any number of images through a graph that may take a fixed number at a time."""
        step = self._batch or len(x)
        outs = []
        for i in range(0, len(x), step):
            part = x[i : i + step]
            missing = step - len(part)
            if missing:
                part = np.concatenate([part, np.zeros((missing, *x.shape[1:]), x.dtype)])
            out = self._network(part)
            check_output(out, step, self._facts)
            outs.append(out[: step - missing])
        return outs[0] if len(outs) == 1 else np.concatenate(outs)


def _some(classes: Sequence[int] | int | None) -> tuple[int, ...] | None:
    return None if classes is None else (classes,) if isinstance(classes, (int, np.integer)) else tuple(classes)


def _check(rules: Rules) -> None:
    for key in ("conf", "iou"):
        value = getattr(rules, key)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
            raise ConfigError(f"{key}={value!r} must be a number from 0 to 1; e.g. {key}=0.5.")
    if isinstance(rules.max_det, bool) or not isinstance(rules.max_det, (int, np.integer)) or rules.max_det < 1:
        raise ConfigError(f"max_det={rules.max_det!r} must be a whole number of 1 or more; e.g. max_det=300.")

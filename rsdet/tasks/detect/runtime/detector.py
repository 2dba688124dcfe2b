"""Detector: an exported file and a picture in, boxes out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rsdet.data.pictures import reader_of, to_picture
from rsdet.enhance.chain_json import is_chain_json, read_chain_json
from rsdet.errors import CheckpointError, ConfigError
from rsdet.quiet import silent_opencv
from rsdet.runtime.backends import in_batches, open_network
from rsdet.runtime.geometry import Placement, lay, letterboxed, stretched, to_input
from rsdet.runtime.metadata import stored_metadata
from rsdet.runtime.results import Detections
from rsdet.tasks.detect.runtime.facts import FAMILIES, read_facts
from rsdet.tasks.detect.runtime.postprocess import Rules, check_output, rows
from rsdet.tasks.detect.thresholds import CONF, IOU, MAX_DET, predict_settings

DEFAULT_IMGSZ = (640, 640)  # of Ultralytics; only for a graph of free size that does not say its own


class Detector:
    """A detector in an exported file, on the CPU; one of another task derives from it.

    Args:
        path: ``.onnx`` file, or OpenVINO folder (or the ``.xml`` in it), made by ``rsdet export`` or by Ultralytics; or
            the chain JSON that ``rsdet export ... enhance=...`` makes: the detector then looks at enhanced pictures.
        threads: Threads for one operator; the backend's own choice when None.
        bands: Bands of the files to take, counted from 1, in the order of the channels; those in the file when None.
        enhance: Exported files of the task ``restore`` that enhance pictures before, in the order of work; ``"none"``
            for none, whatever a chain JSON names.
        enhance_tile: Side of their tiles in pixels; see :class:`rsdet.enhance.chain.EnhanceChain`.
        enhance_overlap: Pixels that neighbouring tiles share.

    Attributes:
        names: Class number -> name.
        imgsz: Height and width of the input in pixels; where a graph has a free size, the one it was exported with.
        channels: Channels of the pictures.
        free_size: The graph takes inputs of any height and width.
        backend: Name and version of what runs it.
        reader: Reads files as the model was trained on them.
        chain: What enhances pictures before; None where nothing does.

    Raises:
        ConfigError: No such file, or not a detector.
        CheckpointError: A file that cannot be loaded, or does not say what it is.
        MissingDependencyError: The backend is not installed.
    """

    task: ClassVar[str] = "detect"
    families: ClassVar[Sequence[str]] = FAMILIES
    outputs: ClassVar[int] = 1  # that are looked at

    def __init__(
        self,
        path: str | Path,
        threads: int | None = None,
        *,
        bands: Sequence[int] | None = None,
        enhance: Any = None,
        enhance_tile: int | None = None,
        enhance_overlap: int | None = None,
    ):
        file = Path(path)
        if is_chain_json(path):
            file = file.parent / str(read_chain_json(path).model)
        self._facts = read_facts(stored_metadata(file), file.name, self.task, self.families)
        self._network = open_network(file, threads)
        batch, channels, height, width = self._network.shape
        self.channels = channels or self._facts.channels
        if self.channels != self._facts.channels:
            raise CheckpointError(
                f"{self._facts.file} says channels: {self._facts.channels} and its graph takes {self.channels}; "
                "export it again."
            )
        self.names, self.backend = self._facts.names, self._network.backend
        self.reader = reader_of(self._facts.sar, self.channels, self._facts.bands if bands is None else bands)
        fixed = None if height is None or width is None else (height, width)
        self.free_size = fixed is None
        self.imgsz = fixed or self._facts.imgsz or DEFAULT_IMGSZ
        self._batch = batch
        self.chain = None
        spec = path if enhance is None and is_chain_json(path) else enhance
        if spec not in (None, "none"):
            from rsdet.enhance.loading import load_chain  # brings the room of enhancers, which few detectors need

            self.chain = load_chain(spec, tile=enhance_tile, overlap=enhance_overlap)
            self.chain.check_detector(self.channels, {} if self.reader.of_values else None)

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

    def prepare(self, image: Any, imgsz: int | Sequence[int] | None = None) -> tuple[np.ndarray, Placement]:
        """What the network is shown of one image, for whoever runs the file by other means.

        Args:
            image: As in :meth:`predict`.
            imgsz: As in :meth:`predict`.

        Returns:
            (1, C, H, W) float32, and where the image lies in it; :meth:`decode` makes objects of the answer.

        Raises:
            ConfigError: A size that the graph does not take.
            DataError: The image cannot be used.
        """
        with silent_opencv():
            picture = to_picture(image, self.reader)
        seen = picture if self.chain is None else self.chain.apply_bgr(picture)
        x, (place,) = self._input([seen], imgsz)
        return x, replace(place, size_hw=picture.shape[:2])

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

    @property
    def stride(self) -> int:
        """What height and width of the input are multiples of."""
        return self._facts.stride

    @property
    def fixed_batch(self) -> int | None:
        """Images that the graph takes at a time; None for any number."""
        return self._batch

    @property
    def family(self) -> str:
        """Its family."""
        return self._facts.family

    @property
    def bands(self) -> Sequence[int] | None:
        """Bands of the files, counted from 1; None for all."""
        return getattr(self.reader, "bands", None)

    @property
    def gsd(self) -> float | None:
        """Metres a pixel that it was trained with; None where nobody said."""
        return getattr(self._facts, "gsd", None)

    def rules(
        self, conf: float | None = None, iou: float | None = None, max_det: int | None = None, *args: Any, **kwargs: Any
    ) -> Rules:
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
        seen = pictures if self.chain is None else [self.chain.apply_bgr(p) for p in pictures]
        enhanced = time.perf_counter()
        x, places = self._input(seen, imgsz)
        prepared = time.perf_counter()
        outs = self._run(x)
        ran = time.perf_counter()
        found = []
        for picture, place, *own in zip(pictures, places, *outs, strict=True):
            # What an enhancer has enlarged lies in the input as the picture itself does: objects are in its pixels.
            found.append(self.decode(own, replace(place, size_hw=picture.shape[:2]), rules))
            if self.reader.is_blank(picture):  # whatever it says is not of a scene
                found[-1] = found[-1].best(0)
        spans = {
            "preprocess": prepared - enhanced,
            "inference": ran - prepared,
            "postprocess": time.perf_counter() - ran,
        }
        if self.chain is not None:
            spans = {"enhance": enhanced - began, **spans}
        return [replace(d, speed_ms={k: s * 1e3 / len(pictures) for k, s in spans.items()}) for d in found]

    def check(self, outs: Sequence[np.ndarray], batch: int) -> None:
        """Make sure that outputs can be what the metadata say; see :func:`check_output`."""
        check_output(outs[0], batch, self._facts)

    def decode(self, outs: Sequence[np.ndarray], placement: Placement, rules: Rules) -> Detections:
        """Objects of one image.

        Args:
            outs: Outputs of the network, without the axis of images.
            placement: Where the picture lies in the input.
            rules: What is kept.
        """
        found = rows(outs[0], self._facts, placement, rules)
        return Detections(*found, self.names, placement.size_hw, placement.input_hw)

    def size(self, imgsz: int | Sequence[int] | None = None) -> tuple[int, int]:
        """Height and width of the input for a wish; sides of a free size are rounded up to multiples of the stride.

        Raises:
            ConfigError: No size, or not that of a graph of fixed size.
        """
        if imgsz is None:
            return self.imgsz
        each: list[Any] = list(imgsz) if isinstance(imgsz, (list, tuple)) else [imgsz]
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

    def _input(
        self, seen: Sequence[np.ndarray], imgsz: int | Sequence[int] | None
    ) -> tuple[np.ndarray, list[Placement]]:
        places = self._places([p.shape[:2] for p in seen], self.size(imgsz))
        return to_input([lay(p, place) for p, place in zip(seen, places, strict=True)]), places

    def _places(self, sizes: list[tuple[int, int]], input_hw: tuple[int, int]) -> list[Placement]:
        if self._facts.family == "rtdetr":
            return [stretched(s, input_hw) for s in sizes]
        return [letterboxed(s, input_hw) for s in sizes]  # to the full input, graphs of free size too, as RSDet does

    def _run(self, x: np.ndarray) -> list[np.ndarray]:
        """Run any number of images through a graph that may take a fixed number at a time."""

        def checked(part: np.ndarray) -> list[np.ndarray]:
            outs = self._network(part)[: self.outputs]
            self.check(outs, len(part))
            return outs

        return in_batches(checked, x, self._batch)


def _some(classes: Sequence[int] | int | None) -> tuple[int, ...] | None:
    return None if classes is None else (classes,) if isinstance(classes, (int, np.integer)) else tuple(classes)


def _check(rules: Rules) -> None:
    for key in ("conf", "iou"):
        value = getattr(rules, key)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value <= 1:
            raise ConfigError(f"{key}={value!r} must be a number from 0 to 1; e.g. {key}=0.5.")
    if isinstance(rules.max_det, bool) or not isinstance(rules.max_det, (int, np.integer)) or rules.max_det < 1:
        raise ConfigError(f"max_det={rules.max_det!r} must be a whole number of 1 or more; e.g. max_det=300.")

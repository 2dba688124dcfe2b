"""Segmenter: an exported file and a picture in, the class of each pixel out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from rsdet.errors import CheckpointError
from rsdet.runtime.geometry import Placement
from rsdet.tasks.detect.runtime.detector import Detector
from rsdet.tasks.detect.runtime.postprocess import Rules
from rsdet.tasks.semantic.classmap import ClassMap, class_names, shown_classes, to_picture


class Segmenter(Detector):
    """A semantic network in an exported file, on the CPU; the arguments are those of :class:`Detector`."""

    task: ClassVar[str] = "semantic"
    families: ClassVar[Sequence[str]] = ("network", "yolo")

    def predict(self, image: Any, *args: Any, **kwargs: Any) -> ClassMap:
        """Map one picture; of values, what is no data has no class. The arguments are those of :class:`Detector`."""
        found = super().predict(image, *args, **kwargs)
        return found.where(self.reader.valid(image)) if self.reader.of_values else found

    @property
    def planes(self) -> int:
        """Maps of logits that the network gives."""
        return len(self.names)

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Logits (B, K, h, w) of inputs (B, C, H, W).

        Raises:
            CheckpointError: The graph gives classes and no logits.
        """
        (out,) = self._run(x)
        if out.ndim != 4:
            raise CheckpointError(
                f"{self._facts.file} gives classes and no logits to blend tiles by; export it with rsdet."
            )
        return out

    def check(self, outs: Sequence[np.ndarray], batch: int) -> None:
        """Make sure that an output can be maps of the classes."""
        out = outs[0]
        if out.ndim not in (3, 4) or len(out) != batch or (out.ndim == 4 and out.shape[1] != self.planes):
            raise CheckpointError(
                f"{self._facts.file} gives {out.shape} for {batch} pictures and {self.planes} classes; export it again."
            )

    def decode(self, outs: Sequence[np.ndarray], placement: Placement, rules: Rules) -> ClassMap:
        """The class of each pixel of a picture."""
        found = ClassMap(*to_picture(outs[0], placement), class_names(self.names), placement.input_hw)
        return found.only(shown_classes(self.names, rules.classes))

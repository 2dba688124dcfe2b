"""The outcome of a validation: what one confusion matrix over the split says of the changed pixels, and of objects."""

from __future__ import annotations

import math

import numpy as np

from rsdet.metrics.map_objects import say_objects
from rsdet.tasks.change.model import NAMES
from rsdet.tasks.semantic.classmap import class_names
from rsdet.tasks.semantic.metrics import SemanticMetrics

MEASURES = ("F1", "precision", "recall", "IoU", "kappa")


class ChangeMetrics(SemanticMetrics):
    """Accuracy of the class of changed pixels, F1 first; the attributes are those of the base class."""

    def __init__(self) -> None:
        super().__init__(dict(NAMES))

    @property
    def keys(self) -> list[str]:
        """Names of the measures, the one that a checkpoint is chosen by first, and last the part of objects hit."""
        return [f"metrics/{name}" for name in (*MEASURES, "object_recall")]

    def mean_results(self) -> list[float]:
        """Values of :attr:`keys`; 0 where there is nothing to measure."""
        s = self.scores
        found = (
            s.f1[1],
            s.precision[1],
            s.recall[1],
            s.iou[1],
            s.kappa,
            self.objects.rows(class_names(NAMES))[0]["recall"],
        )
        return [0.0 if math.isnan(v) else float(v) for v in found]

    def merge(self, other: ChangeMetrics) -> None:
        """Add the counts of other pairs."""
        if other.matrix is not None:
            self.matrix = other.matrix if self.matrix is None else self.matrix + other.matrix
        self.nt_per_image, self.images = self.nt_per_image + other.nt_per_image, self.images + other.images
        self.objects.truth += other.objects.truth
        self.objects.found += other.objects.found
        if self.curve is not None and other.curve is not None:
            self.curve.counts += other.curve.counts

    def line(self) -> str:
        """The measures in one line, in percent."""
        named = zip(self.keys, self.mean_results(), strict=True)
        return ", ".join(f"{k.removeprefix('metrics/').replace('_', ' ')} {100 * v:.2f}" for k, v in named)

    def table(self) -> str:
        """The outcome in plain text."""
        s = self.scores
        (tn, fp), (fn, tp) = s.matrix.tolist()
        lines = [
            f"changed pixels: {self.line()}",
            f"{tp:,} found, {fp:,} found where nothing has changed, {fn:,} missed, {tn:,} unchanged ("
            f"{100 * (tp + fn) / max(1, int(s.matrix.sum())):.2f} % changed)",
            say_objects(self.objects.rows(class_names(NAMES))),
        ]
        if not s.matrix.sum():
            lines.append("no pixel of them is labelled, so that there is nothing to measure")
        elif not tp + fn:
            lines.append("nothing has changed in any of them, so that precision is all there is to measure")
        if self.curve is not None and np.any(self.curve.counts[1]):
            f1, threshold = self.curve.best
            lines.append(
                f"average precision {100 * self.curve.average_precision:.2f}; F1 is highest, {100 * f1:.2f}, with "
                f"threshold={threshold:g}"
            )
        return "\n".join(line for line in lines if line)

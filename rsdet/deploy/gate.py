"""The accuracy gate: an artifact may cost only so much of what its task measures.

Parity says whether two files compute the same; where they are not meant to (INT8), or where a user wants it in the unit
that counts, model and artifact are validated on the same files in the same way. Both go through
:meth:`rsdet.tasks.task.Task.score`, the artifact's numbers are those of the file itself.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsdet.deploy.artifact import family_of
from rsdet.deploy.complexity import as_module
from rsdet.deploy.exporter import private_copy
from rsdet.deploy.settings import ExportSettings
from rsdet.loadedmodel import opened
from rsdet.quiet import hushed
from rsdet.tasks.task import Task


@dataclass(frozen=True)
class GateReport:
    """Outcome of :func:`accuracy_gate`.

    Attributes:
        measure: What was measured, such as ``AP (coco)``.
        data: Name of the data YAML.
        model: Accuracy of the PyTorch model.
        artifact: Accuracy of the artifact.
        max_drop: Largest accepted loss, in ``unit``.
        images: Number of images.
        unit: Unit of losses.
        per_one: How many of that unit make one of ``model`` and ``artifact``.
    """

    measure: str
    data: str
    model: float
    artifact: float
    max_drop: float
    images: int
    unit: str = "points of 100"
    per_one: float = 100.0

    @property
    def drop(self) -> float:
        """Loss in the unit; negative when the artifact is better."""
        return self.per_one * (self.model - self.artifact)

    @property
    def ok(self) -> bool:
        """True when the loss is within what is accepted."""
        return self.drop <= self.max_drop + 1e-9

    @property
    def vacuous(self) -> bool:
        """True when the model itself finds nothing right, so that ``ok`` says nothing."""
        return self.model <= 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the metadata."""
        return {**asdict(self), "drop": round(self.drop, 4)}

    def summary(self) -> str:
        """Return the outcome in one line."""
        word = "not shown (the model finds nothing right)" if self.vacuous else "ok" if self.ok else "FAILED"
        return (
            f"accuracy {word}: {self.measure} {self.per_one * self.model:.2f} -> {self.per_one * self.artifact:.2f}, "
            f"change {0 - self.drop:+.2f} {self.unit} (allowed -{self.max_drop:g}) on {self.images} images of "
            f"{self.data}"
        )


def accuracy_gate(
    task: Task, model: Any, artifact: str | Path, settings: ExportSettings, device: str, project: str | Path
) -> GateReport:
    """Validate a model and an artifact made from it on the same files.

    Args:
        task: The task of both.
        model: Loaded wrapper; it is left as it is.
        artifact: The exported file.
        settings: Those of the export.
        device: Where both run.
        project: Folder for what the validations write.

    Raises:
        DataError: The data has nothing to measure by.
    """
    given = {
        "data": settings.data, "imgsz": settings.size[0], "batch": settings.batch, "plots": False, "verbose": False,
        "device": device.removeprefix("cuda:"), "project": str(project), **task.score_settings(settings),
    }  # fmt: skip
    # Both tables are kept off the screen: what they come to is one line.
    with hushed(logging.ERROR), contextlib.redirect_stdout(io.StringIO()):
        ours = opened(private_copy(model))
        ours.family = family_of(model, as_module(model), task)
        before, after = (task.score(m, **given) for m in (ours, opened(str(artifact))))
    measure = next(iter(before))
    return GateReport(
        measure, Path(settings.data).name, before[measure], after[measure], settings.allowed, before.images,
        *task.loss_unit,
    )  # fmt: skip

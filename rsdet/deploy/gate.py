"""The accuracy gate: an artifact may cost only so much AP.

Parity says whether two files compute the same; where they are not meant to (INT8), or where a user wants it in the unit
that counts, model and artifact are validated on the same files under the same protocol. Both go through
:meth:`rsdet.RSDet.val`, the artifact's numbers are those of the file itself.
"""

from __future__ import annotations

import contextlib
import io
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rsdet.deploy.exporter import private_copy
from rsdet.errors import ConfigError, DataError
from rsdet.quiet import hushed

MAX_DROP = 0.1  # points of 100: what rounding may cost, in FP32 and FP16
MAX_DROP_INT8 = 1.0  # eight bits cost some


@dataclass(frozen=True)
class GateReport:
    """Outcome of :func:`accuracy_gate`.

    Attributes:
        protocol: Name of the protocol that AP is counted by.
        data: Name of the data YAML.
        ap_model: AP of the PyTorch model, 0 to 1.
        ap_artifact: AP of the artifact, 0 to 1.
        max_drop: Largest accepted drop in points of 100.
        images: Number of images.
    """

    protocol: str
    data: str
    ap_model: float
    ap_artifact: float
    max_drop: float
    images: int

    @property
    def drop(self) -> float:
        """Loss of AP in points of 100; negative when the artifact is better."""
        return 100 * (self.ap_model - self.ap_artifact)

    @property
    def ok(self) -> bool:
        """True when the loss is within what is accepted."""
        return self.drop <= self.max_drop + 1e-9

    @property
    def vacuous(self) -> bool:
        """True when the model itself finds nothing right, so that ``ok`` says nothing."""
        return self.ap_model <= 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the metadata."""
        return {**asdict(self), "drop": round(self.drop, 4)}

    def summary(self) -> str:
        """Return the outcome in one line."""
        word = "not shown (the model finds nothing right)" if self.vacuous else "ok" if self.ok else "FAILED"
        return (
            f"accuracy {word}: AP ({self.protocol}) {100 * self.ap_model:.2f} -> {100 * self.ap_artifact:.2f}, "
            f"change {0 - self.drop:+.2f} points of 100 (allowed -{self.max_drop:g}) on {self.images} images of "
            f"{self.data}"
        )


def accuracy_gate(
    model: Any,
    artifact: str | Path,
    *,
    data: str | Path,
    size: tuple[int, int],
    batch: int = 1,
    protocol: str = "coco",
    max_drop: float = MAX_DROP,
    family: str = "rtdetr",
    device: str = "cpu",
    suppression: dict[str, Any] | None = None,
    project: str | Path = "runs/detect",
) -> GateReport:
    """Validate a model and an artifact made from it on the same files.

    Args:
        model: Loaded wrapper; it is left as it is.
        artifact: The exported file.
        data: Data YAML or the name of a shipped dataset.
        size: Input size, (height, width) in pixels.
        batch: Images per run of the artifact.
        protocol: ``"ultralytics"``, ``"coco"``, ``"aitod"`` or ``"visdrone"``.
        max_drop: Largest accepted drop of AP in points of 100.
        family: ``"rtdetr"`` or ``"yolo"``.
        device: Where both run.
        suppression: Settings of ``val`` for both, such as the ``conf`` and ``iou`` that a graph with NMS in it holds.
        project: Folder for what the validations write.

    Raises:
        ConfigError: The size is not square.
        DataError: The data has no labels to measure by.
    """
    from rsdet.model import RSDet

    check_square(size)
    settings = {
        "data": data, "protocol": protocol, "imgsz": size[0], "batch": batch, "plots": False, "verbose": False,
        "device": device.removeprefix("cuda:"), "project": str(project), **(suppression or {}),
    }  # fmt: skip
    # Both tables are kept off the screen: what they come to is one line.
    with hushed(logging.ERROR), contextlib.redirect_stdout(io.StringIO()):
        ours = RSDet(private_copy(model))
        ours.family = family
        before, images = _ap(ours.val(**settings), protocol, data)
        after, _ = _ap(RSDet(str(artifact)).val(**settings), protocol, data)
    return GateReport(protocol, Path(data).name, before, after, max_drop, images)


def check_square(size: tuple[int, int]) -> None:
    """Refuse a size that validation cannot have.

    Raises:
        ConfigError: It is oblong.
    """
    if size[0] != size[1]:
        raise ConfigError(
            f"imgsz={size[0]},{size[1]} with data=; expected a square size, because validation is square; leave data= "
            "out, or export a square artifact"
        )


def _ap(metrics: Any, protocol: str, data: str | Path) -> tuple[float, int]:
    """AP between 0 and 1, and the number of images."""
    ours = metrics.protocol_metrics
    ap = metrics.box.map if protocol == "ultralytics" else ours.ap
    if ap is None:
        raise DataError(f"data={data} has no labelled object in its val split, so that no AP can be measured; add some")
    return float(ap), int(ours.n_images if ours is not None else getattr(metrics, "seen", 0) or 0)


def allowed_drop(max_drop: float | None, int8: bool) -> float:
    """What may be lost, in points of 100.

    Raises:
        ConfigError: ``max_drop`` is negative.
    """
    if max_drop is None:
        return MAX_DROP_INT8 if int8 else MAX_DROP
    if max_drop < 0:
        raise ConfigError(f"max_drop={max_drop}; expected points of 100, 0 or more; e.g. max_drop=0.5")
    return float(max_drop)

"""Export that proves itself: the artifact is run against the PyTorch model on real images before anyone gets it.

The graph is made by Ultralytics' own exporter. Around it, rsdet refuses settings known to go wrong, writes into the
file what a deployment must know (family, class names, pre-processing, thresholds, which weights it came from), compares
the detections of both and, with ``data=``, their accuracy. All of it happens in a folder of its own: an artifact that
passes is renamed to its place, one that does not to ``*.rejected``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.bisect import LayerReport
from rsdet.deploy.complexity import as_module
from rsdet.deploy.exporter import quiet
from rsdet.deploy.gate import GateReport
from rsdet.deploy.hardware import torch_device
from rsdet.deploy.job import Job
from rsdet.deploy.parity import ParityReport, RawReport
from rsdet.deploy.thresholds import thresholds
from rsdet.deploy.verify import parity_images
from rsdet.deploy.wishes import FORMATS, MIN_OPSET, Wishes, input_size, precision
from rsdet.names import printable
from rsdet.writing import put, size_mb, workplace

__all__ = ["FORMATS", "MIN_OPSET", "ExportResult", "export", "read_metadata"]

_COPIES = 3  # of the weights that lie on the disk at most: as made, with metadata, and what was there before

read_metadata = artifacts.read_metadata


@dataclass(frozen=True)
class ExportResult:
    """What :func:`export` made.

    Attributes:
        path: The artifact: a file, or a folder for OpenVINO.
        format: Its kind.
        parity: Comparison with the PyTorch model; None for INT8, which is judged by its accuracy.
        size_mb: Size on disk in MB (10^6 bytes).
        seconds: Time for the export and its check.
        metadata: What was written into the artifact.
        accuracy: Outcome of the accuracy gate, with ``data=``.
        layers: Outcome of ``debug="layers"``.
        tensorrt: What versions of TensorRT would not take in an ONNX graph, one line each.
    """

    path: Path
    format: str
    parity: ParityReport | RawReport | None
    size_mb: float
    seconds: float
    metadata: dict[str, Any]
    accuracy: GateReport | None = None
    layers: LayerReport | None = None
    tensorrt: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the outcome in one line."""
        said = [r.summary() for r in (self.parity, self.accuracy, self.layers) if r is not None]
        return f"{self.format} -> {self.path} ({self.size_mb:.1f} MB, {self.seconds:.0f} s); {'; '.join(said)}"

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)


def export(
    model: Any,
    format: str = "onnx",
    *,
    imgsz: int | Sequence[int] | None = None,
    half: bool = False,
    int8: bool = False,
    dynamic: bool | str = False,
    nms: bool | None = None,
    simplify: bool = True,
    opset: int = MIN_OPSET,
    batch: int = 1,
    device: str | int | None = None,
    images: Sequence[str | Path | np.ndarray] | None = None,
    data: str | Path | None = None,
    protocol: str = "coco",
    max_drop: float | None = None,
    conf: float | None = None,
    iou: float | None = None,
    max_det: int | None = None,
    parity_conf: float = 0.05,
    box_tol_px: float | None = None,
    score_tol: float | None = None,
    debug: str | None = None,
    workspace_mb: float = 1024.0,
    out: str | Path | None = None,
    verbose: bool = True,
    **kwargs: Any,
) -> ExportResult:
    """Export a model and check the artifact against it.

    Args:
        model: A loaded ``RSDet``, ``RTDETR`` or ``YOLO`` with PyTorch weights; it is left as it is.
        format: ``"onnx"``, ``"openvino"``, ``"torchscript"`` or ``"engine"`` (TensorRT, built where it will run).
        imgsz: Input size in pixels, one number or (height, width); the model's own when None.
        half: FP16. ONNX: FP16 inside with FP32 input and output. OpenVINO: FP16 weights.
        int8: INT8, for OpenVINO and TensorRT; needs ``data`` and is judged by its accuracy alone.
        dynamic: True leaves batch, height and width free (checked at a second, oblong size too), ``"batch"`` the batch.
        nms: True puts the suppression of a YOLO head into the graph, with ``conf``, ``iou`` and ``max_det``; False
            takes the NMS-free head of a network that has one.
        simplify: Fold constants of an ONNX graph with onnxslim.
        opset: ONNX operator set, at least 17.
        batch: Images per run of a graph that is not dynamic.
        device: Where to trace; the CPU when None.
        images: Paths or BGR arrays to check with. By default images of the validation set named in the model's
            training arguments if they are on this disk, else rendered scenes.
        data: Data YAML: AP of model and artifact are measured on its validation images; INT8 is calibrated on its
            training images.
        protocol: How AP is counted: ``"coco"``, ``"aitod"``, ``"visdrone"`` or ``"ultralytics"``.
        max_drop: Largest accepted drop of AP in points of 100; 0.1, or 1 with ``int8``.
        conf: Score threshold that predictions with the artifact use by default; 0.25 when None.
        iou: Overlap that they suppress above; 0.7 when None.
        max_det: Most boxes per image that they give; 300 when None, or as many as the model has queries.
        parity_conf: Score threshold of the comparison; lowered by itself for a model that finds nothing above it.
        box_tol_px: Largest accepted box difference in original pixels; 0.5, or 2 with ``half``.
        score_tol: Largest accepted score difference; 0.005, or 0.02 with ``half``.
        debug: ``"layers"`` compares an ONNX graph with the model row by row, whatever the outcome.
        workspace_mb: Limit for scratch memory while an engine is built, in MB.
        out: Path of the artifact or folder to put it in; beside the weights (or here for a YAML) when None.
        verbose: Print Ultralytics' log and the one-line summary.
        **kwargs: Further export arguments of Ultralytics.

    Returns:
        Path, reports, size and time.

    Raises:
        ConfigError: An argument that cannot work.
        MissingDependencyError: A package that the format needs is not installed.
        ExportError: The exporter failed, the disk is full, or the artifact disagrees with the model.
    """
    begin = time.perf_counter()
    module = as_module(model)
    family = getattr(model, "family", None) or artifacts.family_of(module)
    task = getattr(model, "task", None) or getattr(module, "task", None) or "detect"
    half, int8 = precision(half, int8, kwargs)
    queries = getattr(getattr(module, "model", [None])[-1], "num_queries", None)
    kept = thresholds(conf, iou, max_det, queries or 0)
    wishes = Wishes(
        format, family, task, input_size(model, module, imgsz), half, int8, dynamic, nms, simplify, opset, batch, data,
        protocol, max_drop, debug, workspace_mb, kept, kwargs,
    )  # fmt: skip
    wishes.check()
    device = torch_device(device)
    tolerance = (2.0, 0.02) if half else (0.5, 0.005)
    job = Job(
        model, module, wishes, parity_images(model, images), device, verbose, parity_conf,
        tolerance[0] if box_tol_px is None else box_tol_px, tolerance[1] if score_tol is None else score_tol,
    )  # fmt: skip
    folder, stem, exact = _target(module, out)
    weights_mb = sum(p.numel() for p in module.parameters()) * 4 / 1e6
    with workplace(folder, stem, need_mb=_COPIES * weights_mb) as place, quiet(verbose):
        if format == "engine":
            from rsdet.deploy.engine import export_engine

            target = exact or folder / f"{stem}.engine"
            made, reports = export_engine(job, place, target.with_suffix(".onnx"), target, queries)
        else:
            made = job.make(place, stem, queries)
            target = exact or folder / made.name
            reports = job.prove(made, target)
            made = put(made, target)
    result = ExportResult(made, format, size_mb=size_mb(made), seconds=time.perf_counter() - begin, **reports)
    if verbose:
        print(printable(result.summary(), keep="\n"))
    return result


def _target(module: Any, out: str | Path | None) -> tuple[Path, str, Path | None]:
    """Folder, name without suffix, and the exact path where the user gave one."""
    own = getattr(module, "pt_path", None) or getattr(module, "yaml_file", None) or module.yaml.get("yaml_file", "")
    own = Path(own or "model")
    if out is None:
        return own.parent if own.suffix == ".pt" else Path(), own.stem, None
    out = Path(out)
    exact = out if out.suffix or out.name.endswith("_openvino_model") else None
    return (out.parent if exact else out), own.stem, exact

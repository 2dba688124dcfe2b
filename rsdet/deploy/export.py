"""Export that proves itself: the artifact is run against the PyTorch model on real images before anyone gets it.

The graph is made by Ultralytics' own exporter. Around it, rsdet refuses settings known to go wrong, writes into the
file what a deployment must know (family, class names, pre-processing, which weights it came from), compares what both
put out as the task does and, with ``data=``, their accuracy. All of it happens in a folder of its own: an artifact that
passes is renamed to its place, one that does not to ``*.rejected``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet import tasks
from rsdet.deploy import artifact as artifacts
from rsdet.deploy.bisect import LayerReport
from rsdet.deploy.complexity import as_module
from rsdet.deploy.exporter import quiet
from rsdet.deploy.gate import GateReport
from rsdet.deploy.handing_on import hand_on
from rsdet.deploy.hardware import torch_device
from rsdet.deploy.job import Job
from rsdet.deploy.parts import folder_name, leave_commands
from rsdet.deploy.serving import write_cpp, write_triton
from rsdet.deploy.settings import FORMATS, MIN_OPSET, SUFFIXES, ExportSettings
from rsdet.names import printable
from rsdet.paths import home, weights_dir
from rsdet.tasks.task import Report
from rsdet.writing import put, size_mb, workplace

__all__ = ["FORMATS", "MIN_OPSET", "ExportResult", "export", "read_metadata"]

_COPIES = 3  # of the weights that lie on the disk at most: as made, with metadata, and what was there before

read_metadata = artifacts.read_metadata


@dataclass(frozen=True)
class ExportResult:
    """What :func:`export` made.

    Attributes:
        path: The artifact: a file, or a folder for OpenVINO and for a network of several graphs.
        format: Its kind.
        parity: Comparison with the PyTorch model; None for INT8, which is judged by its accuracy, and for what is
            not proved.
        size_mb: Size on disk in MB (10^6 bytes).
        seconds: Time for the export and its check.
        metadata: What was written into the artifact, ``{"proved": False}`` for what Ultralytics alone has made.
        accuracy: Outcome of the accuracy gate, with ``data=``.
        layers: Outcome of ``debug="layers"``.
        stac: The STAC item beside it, with ``stac=True``.
        triton: The model repository beside it, with ``triton=True``.
        cpp: The program beside it, with ``cpp=True``.
        tensorrt: What versions of TensorRT would not take in an ONNX graph, one line each.
    """

    path: Path
    format: str
    parity: Report | None
    size_mb: float
    seconds: float
    metadata: dict[str, Any]
    accuracy: GateReport | None = None
    layers: LayerReport | None = None
    stac: Path | None = None
    triton: Path | None = None
    cpp: Path | None = None
    tensorrt: tuple[str, ...] = ()

    def summary(self) -> str:
        """Return the outcome in one line."""
        said = [r.summary() for r in (self.parity, self.accuracy, self.layers) if r is not None] or ["not proved"]
        return f"{self.format} -> {self.path} ({self.size_mb:.1f} MB, {self.seconds:.0f} s); {'; '.join(said)}"

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)


def export(model: Any, format: str = "onnx", **keys: Any) -> ExportResult:
    """Export a model and check the artifact against it.

    Args:
        model: A loaded ``RSDet``, ``RTDETR`` or ``YOLO`` with PyTorch weights; it is left as it is.
        format: ``"onnx"``, ``"openvino"``, ``"torchscript"`` or ``"engine"`` (TensorRT, built where it will run); with
            ``unchecked=True`` another one of Ultralytics', which is compared with nothing.
        **keys: Those of :class:`rsdet.deploy.settings.ExportSettings`, of the task's
            :attr:`~rsdet.tasks.task.Task.export_options` such as :class:`rsdet.tasks.detect.options.DetectExport`, and
            further export arguments of Ultralytics.

    Returns:
        Path, reports, size and time.

    Raises:
        ConfigError: An argument that cannot work.
        MissingDependencyError: A package that the format needs is not installed.
        ExportError: The exporter failed, the disk is full, or the artifact disagrees with the model.
    """
    begin = time.perf_counter()
    module = as_module(model)
    task = tasks.get(getattr(model, "task", None) or module.task)
    settings = ExportSettings.of(task, model, {**keys, "format": format})
    task.exporter_settings(module, settings)  # what this network cannot do is refused before anything is read
    device = torch_device(settings.device)
    own = _own_file(model, module)
    folder, exact = _target(own, settings.out)
    if settings.unchecked:
        stem = settings.name(own.stem, task.input_size(model, None), format)
        made, mb, seconds = hand_on(Job(task, model, module, settings, {}, device), folder, stem)
        return ExportResult(made, settings.format, None, mb, seconds, {"proved": False})
    samples = {size: task.sample(model, size, settings.images) for size in settings.sizes}
    job = Job(task, model, module, settings, samples, device)
    names = {f: settings.name(own.stem, task.input_size(model, None), f) for f in {settings.graph, format}}
    if job.parts:
        names = {f: folder_name(names[f].removesuffix(SUFFIXES[f]), task.name, f) for f in names}
    target = exact or folder / names[format]
    weights_mb = sum(p.numel() for p in module.parameters()) * 4 / 1e6
    with workplace(folder, own.stem, need_mb=_COPIES * weights_mb) as place, quiet(settings.verbose):
        if format == "engine" and job.parts:
            raise leave_commands(job, place, folder / names["onnx"])
        if format == "engine":
            from rsdet.deploy.engine import export_engine

            graph = exact.with_suffix(".onnx") if exact else folder / names["onnx"]
            made, reports = export_engine(job, place, graph, target)
        else:
            made = job.make(place, names[format].removesuffix(SUFFIXES[format]))
            reports = job.prove(made, target)
            made = put(made, target)
    if settings.stac:
        from rsdet.deploy.stac import write_item

        reports["stac"] = write_item(job, made, reports["metadata"])
    if settings.triton:
        reports["triton"] = write_triton(made)
    if settings.cpp:
        reports["cpp"] = write_cpp(made, reports["metadata"])
    result = ExportResult(made, format, size_mb=size_mb(made), seconds=time.perf_counter() - begin, **reports)
    if settings.verbose:
        print(printable(result.summary(), keep="\n"))
    return result


def _own_file(model: Any, module: Any) -> Path:
    """Where the weights came from, or the YAML."""
    own = (
        getattr(module, "pt_path", None)
        or getattr(model, "ckpt_path", None)
        or getattr(module, "yaml_file", None)
        or module.yaml.get("yaml_file", "")
    )
    return Path(own or "model")


def _target(own: Path, out: str | Path | None) -> tuple[Path, Path | None]:
    """Folder of the artifact, and the exact path where the user gave one."""
    if out is None:
        of_zoo = own.resolve().parent in (weights_dir().resolve(), (home() / "weights").resolve())  # nobody's workplace
        return own.parent if own.suffix in (".pt", ".safetensors") and not of_zoo else Path(), None
    out = Path(out)
    exact = out if out.suffix or out.name.endswith(SUFFIXES["openvino"]) else None
    return (out.parent if exact else out), exact

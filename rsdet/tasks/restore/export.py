"""Export of restoration networks: a graph of one size, run in tiles of it, proven by the pictures that it makes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.export import ExportResult, _target
from rsdet.deploy.exporter import _one_at_a_time, quiet, run_exporter
from rsdet.deploy.hardware import torch_device
from rsdet.deploy.wishes import MIN_OPSET, _check_format, _check_packages
from rsdet.errors import ConfigError, ExportError, RSDetError
from rsdet.names import printable
from rsdet.tasks.restore import engine
from rsdet.tasks.restore.model import RestoreModel
from rsdet.tasks.restore.parity import MAX_DIFF, MIN_PSNR_DB, PictureParity, compare_pictures, parity_pictures
from rsdet.tasks.restore.running import runner_of
from rsdet.tasks.restore.task import TASK
from rsdet.tasks.restore.torchscript import open_artifact
from rsdet.writing import put, size_mb, workplace

FORMATS = ("onnx", "openvino", "torchscript", "engine")
TILE_PX = 256
_COPIES = 3


def export(
    model: Any,
    format: str = "onnx",
    *,
    imgsz: int | Sequence[int] | None = None,
    half: bool = False,
    simplify: bool = True,
    opset: int = MIN_OPSET,
    batch: int = 1,
    device: str | int | None = None,
    images: Sequence[str | Path | np.ndarray] | None = None,
    min_psnr_db: float = MIN_PSNR_DB,
    max_diff: float | None = None,
    workspace_mb: float = 1024.0,
    out: str | Path | None = None,
    verbose: bool = True,
) -> ExportResult:
    """Export a restoration network and check the artifact against it.

    Args:
        model: Loaded ``RSDet`` with PyTorch weights; it is left as it is.
        format: ``"onnx"``, ``"openvino"``, ``"torchscript"`` or ``"engine"`` (TensorRT, built where it will run).
        imgsz: Size of the tiles in input pixels, one number or (height, width); 256 where None. Pictures of any size
            run in tiles of it.
        half: FP16. ONNX: FP16 inside with FP32 input and output. OpenVINO: FP16 weights.
        simplify: Fold constants of an ONNX graph with onnxslim.
        opset: ONNX operator set, at least 17.
        batch: Tiles per run.
        device: Where to trace; the CPU when None.
        images: Paths or arrays to check with; rendered scenes under haze where None.
        min_psnr_db: Smallest accepted PSNR between artifact and network.
        max_diff: Largest accepted difference of a pixel, full scale 1; 2/255, or 8/255 with ``half``.
        workspace_mb: Limit for scratch memory while an engine is built, in MB.
        out: Path of the artifact or folder to put it in; beside the weights (or here for a YAML) when None.
        verbose: Print Ultralytics' log and the one-line summary.

    Raises:
        ConfigError: An argument that cannot work.
        MissingDependencyError: A package that the format needs is not installed.
        ExportError: The exporter failed, the disk is full, or the artifact disagrees with the network.
    """
    begin = time.perf_counter()
    module: RestoreModel = model.model
    size = _size(imgsz, module)
    graph = "onnx" if format == "engine" else format
    _check_format(format, opset)
    _check_packages(format, simplify, False)
    if not isinstance(batch, int) or batch < 1:
        raise ConfigError(f"batch={batch!r} must be a whole number of 1 or more; e.g. batch=1.")
    device = torch_device(device)
    pictures = parity_pictures(model, size, module.network.channels, images)
    settings: dict[str, Any] = {"format": graph, "imgsz": list(size), "batch": batch}
    settings["device"] = device.removeprefix("cuda:")
    if half and format != "engine":  # TensorRT lowers the precision itself
        settings["quantize"] = 16
    if graph == "onnx":
        settings.update(opset=opset, simplify=simplify)
    folder, stem, exact = _target(module, out)
    weights_mb = sum(p.numel() for p in module.parameters()) * 4 / 1e6
    with workplace(folder, stem, need_mb=_COPIES * weights_mb) as place, quiet(verbose):
        with _of_any_size():
            made = run_exporter(model, module, settings, place, stem)
        meta = _describe(model, module, graph, size, batch, half and format != "engine")
        artifacts.write_metadata(made, graph, meta)
        target = exact or folder / (f"{stem}.engine" if format == "engine" else made.name)
        allowed = max_diff if max_diff is not None else (8 / 255 if half else MAX_DIFF)
        proof = (device, pictures, min_psnr_db, allowed)
        here = target.with_suffix(".onnx") if format == "engine" else target
        parity, tensorrt = _prove(module, made, here, graph, *proof, verbose)
        made = put(made, here)
        if format == "engine":
            where = "cuda:0" if device == "cpu" else device
            made = engine.build(
                made, target, place, half=half, workspace_mb=workspace_mb, device=where, verbose=verbose
            )
            meta = artifacts.read_metadata(made)
            parity, _ = _prove(module, made, target, format, *proof, verbose)
            made = put(made, target)
    result = ExportResult(made, format, parity, size_mb(made), time.perf_counter() - begin, meta, tensorrt=tensorrt)
    if verbose:
        print(printable(result.summary(), keep="\n"))
    return result


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Ultralytics takes a file below 0.1 MB for a failed export; a network such as AOD-Net has no more."""
    from ultralytics.engine import exporter

    with _one_at_a_time:
        stock, exporter.file_size = exporter.file_size, lambda path: max(stock(path), 0.1001)
        try:
            yield
        finally:
            exporter.file_size = stock


def _size(imgsz: int | Sequence[int] | None, module: RestoreModel) -> tuple[int, int]:
    each = list(imgsz) if isinstance(imgsz, (list, tuple)) else [TILE_PX if imgsz is None else imgsz]
    height, width = (each * 2)[:2]
    multiple, least = int(module.network.multiple), module.network.min_px
    for n in (height, width):
        if not isinstance(n, int) or len(each) > 2 or n < least or n % multiple:
            near = max(least, round(n / multiple) * multiple) if isinstance(n, int) else TILE_PX
            near = math.ceil(near / multiple) * multiple
            raise ConfigError(f"imgsz={imgsz}; expected multiples of {multiple}, {least} or more; use {near}.")
    return height, width


def _describe(
    model: Any, module: RestoreModel, format: str, size: tuple[int, int], batch: int, half: bool
) -> dict[str, Any]:
    return {
        **artifacts.describe(model, module, "restore", format), **TASK.describe(module), "imgsz": list(size),
        "batch": batch, "half": half,
    }  # fmt: skip


def _prove(
    module: RestoreModel, made: Path, target: Path, format: str, device: str, pictures: list[np.ndarray],
    min_psnr_db: float, max_diff: float, verbose: bool,
) -> tuple[PictureParity, tuple[str, ...]]:  # fmt: skip
    """Compare pictures; what fails is put beside its place, renamed."""
    try:
        home = device if format in ("torchscript", "engine") else "cpu"
        reference = runner_of(module, device)
        parity = compare_pictures(reference, open_artifact(made, home), pictures, min_psnr_db, max_diff)
        if not parity.ok:
            raise ExportError(f"{format} artifact disagrees with the network: {parity.summary()}")
    except RSDetError as e:
        raise engine.reject(made, target, e) from e
    if format != "onnx":
        return parity, ()
    from rsdet.deploy.trt.check import check_graph

    found = tuple(str(p) for p in check_graph(made))
    if found and verbose:
        print(f"TensorRT would not take this graph ({len(found)} places; nothing to do with other backends):")
        print("\n".join(f"  {p}" for p in found[:5]) + ("\n  ..." if len(found) > 5 else ""))
    return parity, found

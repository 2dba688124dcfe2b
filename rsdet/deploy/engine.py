"""``format=engine``: the ONNX graph, checked, the ``trtexec`` command beside it, and the engine where one can be built.

Ultralytics' exporter would build an engine whatever the graph is and whatever becomes of it in FP16. Here the graph is
checked against what TensorRT takes, and the engine against the network and, with ``data=``, its accuracy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.deploy import artifact as artifacts
from rsdet.errors import ExportError, MissingDependencyError
from rsdet.writing import put

if TYPE_CHECKING:
    from rsdet.deploy.job import Job


def export_engine(job: Job, place: Path, onnx: Path, engine: Path) -> tuple[Path, dict[str, Any]]:
    """Make an engine and what it is made from.

    Args:
        job: The export.
        place: Where to work.
        onnx: Where the graph shall lie; ``<name>.trtexec.txt`` is written beside it.
        engine: Where the engine shall lie.

    Returns:
        The engine, and fields of the result.

    Raises:
        MissingDependencyError: There is no TensorRT or no GPU; graph and command lie there.
        ExportError: The graph is not supported, or graph or engine disagree with the network.
    """
    from rsdet.deploy.trt.build import build_engine
    from rsdet.deploy.trt.check import check_graph
    from rsdet.deploy.trt.environment import require_tensorrt
    from rsdet.deploy.trt.trtexec import trtexec_command, write_trtexec

    s = job.settings
    made = job.make(place, onnx.stem)
    reports = job.prove(made, onnx, format="onnx")
    hopeless = next((p for p in check_graph(made) if len(p.versions) == len(check_versions())), None)
    put(made, onnx)
    if hopeless is not None:
        raise ExportError(f"{hopeless} (the graph is {onnx})")
    settings = {"half": s.half or s.int8, "workspace_mb": s.workspace_mb, "opt_shapes": _shapes(job)}
    text = write_trtexec(onnx, trtexec_command(onnx, engine=engine, **settings))
    try:
        require_tensorrt()
    except MissingDependencyError as e:
        raise MissingDependencyError(f"{e}; or take {onnx} to the device and run the command in {text}") from e
    built = build_engine(
        onnx, place / engine.name, **{**settings, "half": s.half}, int8=s.int8, device=job.device,
        calibration=job.calibration().arrays() if s.int8 else (), verbose=s.verbose,
    )  # fmt: skip
    said = artifacts.read_metadata(built.path)
    job.meta = {**job.meta, **{k: said[k] for k in ("format", "half", "int8", "engine")}}
    artifacts.write_metadata(built.path, "engine", job.meta)
    tensorrt = reports.get("tensorrt", ())
    reports = {**job.prove(built.path, engine), "tensorrt": tensorrt, "layers": reports.get("layers")}
    return put(built.path, engine), reports


def check_versions() -> tuple[str, ...]:
    """Versions of TensorRT that a graph is checked for."""
    from rsdet.deploy.trt import optable

    return tuple(optable.VERSIONS)


def _shapes(job: Job) -> list[tuple[int, ...]] | None:
    """Smallest, usual and largest input of a graph that is not of one shape."""
    s = job.settings
    if not s.dynamic:
        return None
    channels = job.meta["channels"]
    smallest = tuple(map(min, zip(*s.sizes, strict=True)))
    return [(1, channels, *smallest), (s.batch, channels, *s.size), (s.batch, channels, *s.size)]

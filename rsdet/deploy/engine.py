"""``format=engine``: the ONNX graph, checked, the ``trtexec`` command beside it, and the engine where one can be built.

Ultralytics' exporter would build an engine whatever the graph is and whatever becomes of it in FP16. Here the graph is
checked against what TensorRT takes, and the engine against the network and, with ``data=``, its accuracy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.wishes import oblong
from rsdet.errors import ExportError, MissingDependencyError
from rsdet.writing import put

if TYPE_CHECKING:
    from rsdet.deploy.job import Job


def export_engine(job: Job, place: Path, onnx: Path, engine: Path, queries: int | None) -> tuple[Path, dict[str, Any]]:
    """Make an engine and what it is made from.

    Args:
        job: The export.
        place: Where to work.
        onnx: Where the graph shall lie; ``<name>.trtexec.txt`` is written beside it.
        engine: Where the engine shall lie.
        queries: Queries of the network, where it has some.

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

    w = job.wishes
    made = job.make(place, onnx.stem, queries)
    reports = job.prove(made, onnx, format="onnx")
    hopeless = next((p for p in check_graph(made) if len(p.versions) == len(check_versions())), None)
    put(made, onnx)
    if hopeless is not None:
        raise ExportError(f"{hopeless} (the graph is {onnx})")
    settings = {"half": w.half or w.int8, "workspace_mb": w.workspace_mb, "opt_shapes": _shapes(job)}
    text = write_trtexec(onnx, trtexec_command(onnx, engine=engine, **settings))
    try:
        require_tensorrt()
    except MissingDependencyError as e:
        raise MissingDependencyError(f"{e}; or take {onnx} to the device and run the command in {text}") from e
    built = build_engine(
        onnx, place / engine.name, **{**settings, "half": w.half}, int8=w.int8, device=job.device,
        calibration=job.calibration().arrays() if w.int8 else (), verbose=job.verbose,
    )  # fmt: skip
    job.meta = {**artifacts.read_metadata(built.path), **{k: job.meta[k] for k in ("nms", "thresholds")}}
    job.meta = {k: v for k, v in job.meta.items() if k not in _ULTRALYTICS}
    tensorrt = reports.get("tensorrt", ())
    reports = {**job.prove(built.path, engine), "tensorrt": tensorrt, "layers": reports.get("layers")}
    return put(built.path, engine), reports


_ULTRALYTICS = frozenset(("description", "author", "date", "license", "docs", "head", "args", "stride", "end2end"))


def check_versions() -> tuple[str, ...]:
    """Versions of TensorRT that a graph is checked for."""
    from rsdet.deploy.trt import optable

    return tuple(optable.VERSIONS)


def _shapes(job: Job) -> list[tuple[int, ...]] | None:
    """Smallest, usual and largest input of a graph that is not of one shape."""
    w = job.wishes
    if not w.dynamic:
        return None
    channels = int((getattr(job.module, "yaml", None) or {}).get("channels", 3))
    smallest = tuple(map(min, zip(w.size, oblong(w.size), strict=True))) if w.dynamic is True else w.size
    return [(1, channels, *smallest), (w.batch, channels, *w.size), (w.batch, channels, *w.size)]

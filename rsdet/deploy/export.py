"""Export that proves itself: the artifact is run against the PyTorch model on real images before anyone gets it.

The graph is made by Ultralytics' own exporter. Around it, rsdet refuses settings known to go wrong, writes into the
file what a deployment must know (family, class names, pre-processing, which weights it came from), and compares the
detections of both. An artifact that does not agree is renamed to ``*.rejected``.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.deploy import artifact as artifacts
from rsdet.deploy.complexity import as_module
from rsdet.deploy.decode import preprocess_rule
from rsdet.deploy.hardware import torch_device
from rsdet.deploy.parity import ParityReport, RawReport
from rsdet.deploy.verify import parity_images, verify
from rsdet.errors import ConfigError, ExportError, MissingDependencyError, RSDetError, nearest
from rsdet.quiet import hushed

FORMATS = ("onnx", "openvino", "torchscript")
MIN_OPSET = 17  # below it LayerNormalization is taken apart, which overflows in FP16

read_metadata = artifacts.read_metadata


@dataclass(frozen=True)
class ExportResult:
    """What :func:`export` made.

    Attributes:
        path: The artifact: a file, or a folder for OpenVINO.
        format: Its kind.
        parity: Comparison with the PyTorch model.
        size_mb: Size on disk in MB (10^6 bytes).
        seconds: Time for the export and its check.
        metadata: What was written into the artifact.
    """

    path: Path
    format: str
    parity: ParityReport | RawReport
    size_mb: float
    seconds: float
    metadata: dict[str, Any]

    def summary(self) -> str:
        """Return the outcome in one line."""
        return f"{self.format} -> {self.path} ({self.size_mb:.1f} MB, {self.seconds:.0f} s); {self.parity.summary()}"

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
    dynamic: bool = False,
    simplify: bool = True,
    opset: int = MIN_OPSET,
    batch: int = 1,
    device: str | int | None = None,
    images: Sequence[str | Path | np.ndarray] | None = None,
    conf: float = 0.05,
    box_tol_px: float | None = None,
    score_tol: float | None = None,
    out: str | Path | None = None,
    verbose: bool = True,
    **kwargs: Any,
) -> ExportResult:
    """Export a model and check the artifact against it.

    Args:
        model: A loaded ``RSDet``, ``RTDETR`` or ``YOLO`` with PyTorch weights.
        format: ``"onnx"``, ``"openvino"`` or ``"torchscript"``.
        imgsz: Input size in pixels, one number or (height, width); the model's own when None.
        half: FP16. ONNX: FP16 inside with FP32 input and output. OpenVINO: FP16 weights.
        dynamic: Leave batch, height and width free; checked at a second, oblong size too.
        simplify: Fold constants of an ONNX graph with onnxslim.
        opset: ONNX operator set, at least 17.
        batch: Images per run of a graph that is not dynamic.
        device: Where to trace; the CPU when None.
        images: Paths or BGR arrays to check with. By default images of the validation set named in the model's
            training arguments if they are on this disk, else rendered scenes.
        conf: Score threshold of the comparison; lowered by itself for a model that finds nothing above it.
        box_tol_px: Largest accepted box difference in original pixels; 0.5, or 2 with ``half``.
        score_tol: Largest accepted score difference; 0.005, or 0.02 with ``half``.
        out: Path of the artifact or folder to put it in; beside the weights (or here for a YAML) when None.
        verbose: Print Ultralytics' log and the one-line summary.
        **kwargs: Further export arguments of Ultralytics, such as ``nms=False`` for an NMS-free YOLO head.

    Returns:
        Path, parity report, size and time.

    Raises:
        ConfigError: An argument that cannot work.
        MissingDependencyError: A package that the format needs is not installed.
        ExportError: The exporter failed, or the artifact disagrees with the model.
    """
    from ultralytics.engine.model import Model

    begin = time.perf_counter()
    _check_arguments(format, opset, kwargs)
    _check_packages(format, simplify)
    module = as_module(model)
    family = getattr(model, "family", None) or artifacts.family_of(module)
    device = torch_device(device)
    size = _imgsz(model, module, imgsz)
    images = parity_images(model, images)
    settings: dict[str, Any] = {"format": format, "imgsz": list(size), "batch": batch, "dynamic": dynamic, **kwargs}
    settings["device"] = device.removeprefix("cuda:")
    if half:
        settings["quantize"] = 16
    if format == "onnx":
        settings.update(opset=opset, simplify=simplify)
    queries = getattr(getattr(module, "model", [None])[-1], "num_queries", None)
    if queries:
        settings["max_det"] = int(queries)  # the default of 300 would cut a model with more queries short
    with _quiet(verbose):
        with _dynamic(module, dynamic), _named(module, out) as (source, target):
            try:
                # The base class's method: RSDet.export() is what calls this function.
                made = Path(Model.export(model, **settings))
            except (RuntimeError, ValueError, AssertionError, TypeError, KeyError, NotImplementedError, OSError) as e:
                raise ExportError(
                    f"{format} export of {source} failed ({_first_line(e)}); expected a graph that the format can "
                    "hold; try another opset, dynamic=False or half=False"
                ) from e
        made = _move(made, target)
        meta = artifacts.describe(model, module, family, format)
        meta.update(
            imgsz=list(size), batch=batch, dynamic=dynamic, half=half, opset=opset if format == "onnx" else None,
            preprocess=preprocess_rule(family, meta.get("sar")),
        )  # fmt: skip
        artifacts.write_metadata(made, format, meta)
        tolerance = (2.0, 0.02) if half else (0.5, 0.005)
        try:
            report = verify(
                module,
                made,
                task=meta["task"],
                family=family,
                sizes=[size, _oblong(size)] if dynamic else [size],
                batch=batch,
                images=images,
                conf=conf,
                box_tol_px=tolerance[0] if box_tol_px is None else box_tol_px,
                score_tol=tolerance[1] if score_tol is None else score_tol,
                end2end=kwargs.get("nms") is False,
                device=device if format == "torchscript" else "cpu",
            )
        except RSDetError as e:
            raise ExportError(f"{e} (the artifact was kept as {_reject(made)})") from e
        if not report.ok:
            raise ExportError(
                f"{format} artifact disagrees with the PyTorch model: {report.summary()}; kept as {_reject(made)}; "
                "export again with other settings, or accept more with box_tol_px= and score_tol="
            )
    result = ExportResult(made, format, report, _size_mb(made), time.perf_counter() - begin, meta)
    if verbose:
        print(result.summary())
    return result


def _check_arguments(format: str, opset: int, kwargs: dict[str, Any]) -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    if format not in FORMATS:
        raise ConfigError(
            f"format={format!r} cannot be checked against PyTorch here; expected one of {', '.join(FORMATS)}."
            + nearest(str(format), FORMATS)
        )
    if not isinstance(opset, int) or opset < MIN_OPSET:
        raise ConfigError(
            f"opset={opset}; expected {MIN_OPSET} or higher, because lower ones split LayerNormalization, which "
            f"overflows in FP16; leave opset out"
        )
    if kwargs.get("nms"):
        raise ConfigError(
            "nms=True cannot be checked for parity; expected nms left out, or nms=False for an NMS-free head"
        )
    if kwargs.get("int8") or kwargs.get("quantize") not in (None, 16, 32):
        raise ConfigError(
            "INT8 was asked for; expected FP32 or half=True; INT8 needs an accuracy gate, not a parity check"
        )
    for key in kwargs:
        if key not in DEFAULT_CFG_DICT and key != "int8":
            raise ConfigError(
                f"{key}= is no export argument; expected one of Ultralytics'.{nearest(key, DEFAULT_CFG_DICT)}"
            )


def _check_packages(format: str, simplify: bool) -> None:
    needs = {"openvino": {"openvino": "pip install rsdet[openvino]"}}.get(format, {})
    if format == "onnx":
        needs = {"onnx": "pip install onnx", "onnxruntime": "pip install onnxruntime"}
        if simplify:
            needs["onnxslim"] = "pip install onnxslim, or pass simplify=False"
    for package, remedy in needs.items():
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"format={format} needs the package {package}, which is not installed; {remedy}"
            )


def _imgsz(model: Any, module: Any, imgsz: int | Sequence[int] | None) -> tuple[int, int]:
    if imgsz is None:
        imgsz = (
            (getattr(module, "args", None) or {}).get("imgsz") or getattr(model, "overrides", {}).get("imgsz") or 640
        )
    h, w = (imgsz, imgsz) if isinstance(imgsz, int) else (*imgsz, *imgsz)[:2]
    stride = int(max(module.stride)) if hasattr(module, "stride") else 32
    bad = [s for s in (h, w) if not isinstance(s, int) or s < stride or s % stride]
    if bad:
        near = max(stride, round(float(bad[0]) / stride) * stride)
        raise ConfigError(f"imgsz={imgsz}; expected multiples of {stride}; use {near} in place of {bad[0]}")
    return h, w


def _oblong(size: tuple[int, int]) -> tuple[int, int]:
    """A second size for a dynamic graph: about half as high, so that any frozen height shows."""
    return max(64, size[0] // 64 * 32), size[1]


@contextmanager
def _dynamic(module: Any, dynamic: bool) -> Iterator[None]:
    """Tell layers that must be traced differently for free sizes; they carry an attribute ``dynamic``."""
    changed = [(m, vars(m).get("dynamic")) for m in module.modules() if dynamic and hasattr(m, "dynamic")]
    for m, _ in changed:
        m.dynamic = True
    try:
        yield
    finally:
        for m, before in changed:
            if before is None:
                del m.dynamic  # it was the class's
            else:
                m.dynamic = before


@contextmanager
def _named(module: Any, out: str | Path | None) -> Iterator[tuple[str, Path | None]]:
    """Point Ultralytics' exporter to where the artifact shall lie; yields (name for messages, exact target)."""
    own = getattr(module, "pt_path", None) or getattr(module, "yaml_file", None) or module.yaml.get("yaml_file", "")
    name = Path(own or "model").name
    if out is None:
        yield name, None
        return
    out = Path(out)
    exact = out if out.suffix or out.name.endswith("_openvino_model") else None
    folder = out.parent if exact else out
    folder.mkdir(parents=True, exist_ok=True)
    before = vars(module).get("pt_path")
    module.pt_path = str(folder / f"{Path(name).stem}.pt")
    try:
        yield name, exact
    finally:
        if before is None:
            del module.pt_path
        else:
            module.pt_path = before


@contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Keep out what no user can act on: the tracer's guesses, which the parity check settles, and deprecations."""
    import torch

    with nullcontext() if verbose else hushed(logging.ERROR), warnings.catch_warnings():
        for category in (torch.jit.TracerWarning, FutureWarning, DeprecationWarning):
            warnings.simplefilter("ignore", category)
        for known in ("Exporting aten::index operator", "ONNX export mode is set to TrainingMode.EVAL, but operator"):
            warnings.filterwarnings("ignore", message=known, category=UserWarning)  # instance norm knows no other mode
        yield


def _move(made: Path, target: Path | None) -> Path:
    if target is None or made.resolve() == target.resolve():
        return made
    _remove(target)
    return made.replace(target)


def _reject(made: Path) -> Path:
    rejected = made.with_name(f"{made.name}.rejected")
    _remove(rejected)
    return made.replace(rejected)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size_mb(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6


def _first_line(e: BaseException) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:200]

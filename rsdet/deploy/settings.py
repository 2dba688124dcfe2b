"""Settings of an export, checked before any work: what is known to go wrong is refused with a remedy.

Nothing heavy is imported here, so that ``rsdet help`` can print every key.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.arguments import fit
from rsdet.deploy import serving, unchecked
from rsdet.errors import ConfigError, MissingDependencyError, install, nearest
from rsdet.stac import check_stac
from rsdet.tasks.task import NoOptions, Task

SUFFIXES = {"onnx": ".onnx", "openvino": "_openvino_model", "torchscript": ".torchscript", "engine": ".engine"}
FORMATS = tuple(SUFFIXES)
RENAMED = {"tflite": "litert", "tfjs": "litert"}  # as Ultralytics has it
MIN_OPSET = 17  # below it LayerNormalization is taken apart, which overflows in FP16
MAX_DROP = 0.1  # points of 100, or decibels: what rounding may cost, in FP32 and FP16
MAX_DROP_INT8 = 1.0  # eight bits cost some
_PRECISIONS = {None: "fp32", 32: "fp32", 16: "fp16", 8: "int8"}
_NO_KEYS = ("options", "more")  # filled in here, not by users


@dataclass(frozen=True, kw_only=True)
class ExportSettings:
    """Settings of one export, whatever the task.

    Args:
        format: ``"onnx"``, ``"openvino"``, ``"torchscript"`` or ``"engine"`` (TensorRT, built where it will run).
        imgsz: Input size in pixels, one number or (height, width); the model's own when None.
        half: FP16. ONNX: FP16 inside with FP32 input and output. OpenVINO: FP16 weights.
        int8: INT8, for OpenVINO and TensorRT; needs ``data`` and is judged by its accuracy alone.
        dynamic: True leaves batch, height and width free (checked at a second, oblong size too), ``"batch"`` the batch.
        simplify: Fold constants of an ONNX graph with onnxslim.
        opset: ONNX operator set, at least 17.
        batch: Inputs per run of a graph that is not dynamic.
        device: Where to trace; the CPU when None.
        images: Paths or arrays to check with. By default images of the validation set named in the model's training
            arguments if they are on this disk, else rendered ones.
        data: Data YAML: accuracy of model and artifact is measured on its validation images; INT8 is calibrated on its
            training images.
        max_drop: Largest accepted loss of accuracy with ``data``, in points of 100 (in dB for restored pictures); 0.1,
            or 1 with ``int8``.
        debug: ``"layers"`` compares an ONNX graph with the model row by row, whatever the outcome.
        workspace_mb: Limit for scratch memory while an engine is built, in MB.
        stac: Write ``<artifact>.stac.json`` beside it: a STAC item with what the model is (MLM extension).
        triton: Write ``<stem>_triton/`` beside an ONNX file: a model repository of NVIDIA's Triton server.
        cpp: Write ``<stem>.cpp`` beside an ONNX file: a program that runs it by ONNX Runtime, without Python.
        out: Path of the artifact or folder to put it in; beside the weights (or here for a YAML) when None.
        unchecked: For a format of Ultralytics that cannot be compared with the model here, such as ncnn, mnn, litert or
            coreml: hand the model on to its exporter. The name of what comes out says not-proved.
        verbose: Print Ultralytics' log and the one-line summary.
        options: Settings that only the task has, its :attr:`~rsdet.tasks.task.Task.export_options`.
        more: Further export arguments of Ultralytics.
    """

    format: str = "onnx"
    imgsz: int | Sequence[int] | None = None
    half: bool = False
    int8: bool = False
    dynamic: bool | str = False
    simplify: bool = True
    opset: int = MIN_OPSET
    batch: int = 1
    device: str | int | None = None
    images: Sequence[str | Path | np.ndarray] | None = None
    data: str | Path | None = None
    max_drop: float | None = None
    debug: str | None = None
    workspace_mb: float = 1024.0
    stac: bool = False
    triton: bool = False
    cpp: bool = False
    out: str | Path | None = None
    unchecked: bool = False
    verbose: bool = True
    options: Any = field(default_factory=NoOptions)
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, task: Task, model: Any, keys: Mapping[str, Any]) -> ExportSettings:
        """Settings from keys by name, checked, with the input size filled in.

        Args:
            task: The task of the model.
            model: Loaded wrapper.
            keys: What the user gave.

        Raises:
            ConfigError: An unknown key, a wrong value, or values that do not fit together.
            MissingDependencyError: A package that the format needs is not installed.
        """
        keys = {**keys, "format": RENAMED.get(str(keys.get("format")), keys.get("format", FORMATS[0]))}
        own = {f.name for f in fields(task.export_options)}
        common = {f.name for f in fields(cls)} - {*_NO_KEYS}
        more = {k: v for k, v in keys.items() if k not in own | common}
        fit(cls, {k: v for k, v in keys.items() if k in common}, "export", also=_NO_KEYS)  # half=yes is no precision
        half, int8 = _precision(bool(keys.get("half")), bool(keys.get("int8")), more.pop("quantize", None))
        _check_keys(more, sorted(own | common), task)
        given = {**{k: v for k, v in keys.items() if k in common}, "half": half, "int8": int8}
        made = cls(
            **fit(cls, given, "export", also=_NO_KEYS), more=more,
            options=task.export_options(**fit(task.export_options, {k: keys[k] for k in own & keys.keys()}, "export")),
        )  # fmt: skip
        _check_format(made.format, made.opset, made.unchecked)
        made = replace(made, imgsz=task.input_size(model, made.imgsz))
        made._check(task)
        return made

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        height, width = self.imgsz if isinstance(self.imgsz, Sequence) else (self.imgsz, self.imgsz)
        return height, width

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Sizes to check at: that of the input and, where it is free, another one."""
        return [self.size, oblong(self.size)] if self.dynamic is True else [self.size]

    @property
    def graph(self) -> str:
        """Format that Ultralytics' exporter makes; an engine is built by us, from its ONNX graph."""
        return "onnx" if self.format == "engine" else self.format

    @property
    def allowed(self) -> float:
        """Largest accepted loss of accuracy."""
        return allowed_drop(self.max_drop, self.int8)

    def name(self, stem: str, own_size: tuple[int, int], format: str) -> str:
        """Name of an artifact, told apart from others of the same weights by what is not usual about it.

        Args:
            stem: Name of the weights.
            own_size: Size that the model is exported at where nobody says otherwise.
            format: Its format; the graph of an engine is in FP32 whatever the engine is.
        """
        precision = "int8" if self.int8 else "half" if self.half else None
        words = [
            precision if format == self.format else None, *self.options.labels(),
            {True: "dynamic", "batch": "dynamic-batch"}.get(self.dynamic),
            None if self.size == own_size else "x".join(map(str, dict.fromkeys(self.size))),
            "not-proved" if self.unchecked else None,
        ]  # fmt: skip
        return "-".join([stem, *filter(None, words)]) + SUFFIXES.get(format, "")  # else as Ultralytics has it

    def exporter_settings(self, device: str) -> dict[str, Any]:
        """Export arguments of Ultralytics."""
        settings: dict[str, Any] = {
            "format": self.graph, "imgsz": list(self.size), "batch": self.batch, "dynamic": bool(self.dynamic),
            **self.more, "device": device.removeprefix("cuda:"),
        }  # fmt: skip
        if self.half and self.format != "engine":  # TensorRT lowers the precision itself
            settings["quantize"] = 16
        if self.int8 and self.format != "engine":
            settings.update(quantize=8, **({"data": str(self.data)} if self.data is not None else {}))
        if self.unchecked:
            return {**settings, **unchecked.exporter_settings(self)}
        if self.graph == "onnx":
            settings.update(opset=self.opset, simplify=self.simplify)
        return settings

    def _check(self, task: Task) -> None:
        if self.dynamic not in (False, True, "batch"):
            raise ConfigError(
                f"dynamic={self.dynamic!r}; expected False, True (batch and size) or batch; e.g. dynamic=batch"
            )
        if self.dynamic == "batch" and self.format == "torchscript":
            raise ConfigError("dynamic=batch with format=torchscript, which states no sizes; use dynamic=True or onnx")
        self._check_precision(task)
        if self.debug not in (None, "layers"):
            raise ConfigError(f"debug={self.debug!r}; expected layers, or nothing; e.g. debug=layers")
        if self.debug and self.graph != "onnx":
            raise ConfigError(f"debug=layers with format={self.format}; it looks into ONNX graphs; use format=onnx")
        self.allowed  # noqa: B018 - a negative one is refused
        if self.unchecked:
            unchecked.check(self)
        elif self.data is not None:
            check_square(self.size)
        elif self.max_drop is not None:
            raise ConfigError("max_drop= needs data=, a data YAML on which accuracy is measured; add it")
        task.check_export(self)
        if self.stac:
            check_stac()
        serving.check(self.format, self.triton, self.cpp)
        _check_packages(self.format, self.simplify, self.int8)

    def _check_precision(self, task: Task) -> None:
        if self.half and self.int8:
            raise ConfigError("half=True and int8=True; expected one of them; INT8 keeps sensitive layers in float")
        if not self.int8:
            return
        if not task.takes_int8:
            raise ConfigError(
                f"int8=True with task={task.name}, which eight bits are too coarse for; expected FP32 or FP16; use "
                "half=True, or leave int8= out"
            )
        if self.format not in ("openvino", "engine") and not self.unchecked:
            raise ConfigError(
                f"INT8 with format={self.format} was asked for; expected openvino or engine, whose accuracy can be "
                "kept; use format=openvino, or format=engine on a GPU; or half=True"
            )
        if self.data is None and not self.unchecked:
            raise ConfigError(
                "INT8 needs data=, a data YAML: its training images set the ranges, its validation images show what "
                "accuracy is left; add data="
            )


def allowed_drop(max_drop: float | None, int8: bool) -> float:
    """What may be lost, in points of 100 or in decibels.

    Raises:
        ConfigError: ``max_drop`` is negative.
    """
    if max_drop is None:
        return MAX_DROP_INT8 if int8 else MAX_DROP
    if max_drop < 0:
        raise ConfigError(f"max_drop={max_drop}; expected points of 100, 0 or more; e.g. max_drop=0.5")
    return float(max_drop)


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


def input_size(model: Any, imgsz: int | Sequence[int] | None, usual: int) -> tuple[int, int]:
    """Height and width of the input; the model's own when None.

    Args:
        model: Loaded wrapper, or a network.
        imgsz: What the user gave.
        usual: Side in pixels of a model that says nothing.

    Raises:
        ConfigError: No multiple of the stride.
    """
    from rsdet.deploy.complexity import as_module

    module = as_module(model)
    if imgsz is None:
        trained = getattr(module, "args", None) or {}
        imgsz = trained.get("imgsz") or getattr(model, "overrides", {}).get("imgsz") or usual
    h, w = (imgsz, imgsz) if isinstance(imgsz, int) else (*imgsz, *imgsz)[:2]
    stride = int(max(module.stride)) if hasattr(module, "stride") else 32
    bad = [s for s in (h, w) if not isinstance(s, int) or s < stride or s % stride]
    if bad:
        near = max(stride, round(float(bad[0]) / stride) * stride)
        raise ConfigError(f"imgsz={imgsz}; expected multiples of {stride}; use {near} in place of {bad[0]}")
    return h, w


def oblong(size: tuple[int, int]) -> tuple[int, int]:
    """A second size for a graph of free size: about half as high, so that any frozen height shows."""
    return max(64, size[0] // 64 * 32), size[1]


def _precision(half: bool, int8: bool, word: Any) -> tuple[bool, bool]:
    """``half``, ``int8``, and Ultralytics' newer word ``quantize`` for both."""
    if word not in _PRECISIONS:
        raise ConfigError(f"quantize={word!r}; expected 32, 16 or 8; half=True and int8=True say the same")
    return half or _PRECISIONS[word] == "fp16", int8 or _PRECISIONS[word] == "int8"


def _check_format(format: str, opset: int, handed_on: bool) -> None:
    if format in FORMATS and handed_on:
        raise ConfigError(
            f"unchecked=True with format={format}, which is compared with the model; leave unchecked= out"
        )
    if format not in FORMATS:
        others = unchecked.formats(FORMATS)
        if format not in others:
            raise ConfigError(
                f"format={format!r} cannot be checked against PyTorch here; expected one of {', '.join(FORMATS)}."
                f"{nearest(str(format), [*FORMATS, *others])} With unchecked=True also {', '.join(others)}."
            )
        if not handed_on:
            raise ConfigError(
                f"format={format} cannot be checked against PyTorch here; expected one of {', '.join(FORMATS)}; "
                "unchecked=True hands the model on to Ultralytics, and the name says not-proved"
            )
    if not isinstance(opset, int) or opset < MIN_OPSET:
        raise ConfigError(
            f"opset={opset}; expected {MIN_OPSET} or higher, because lower ones split LayerNormalization, which "
            f"overflows in FP16; leave opset out"
        )


def _check_keys(more: Mapping[str, Any], known: Sequence[str], task: Task) -> None:
    if not more:
        return
    from ultralytics.utils import DEFAULT_CFG_DICT

    stock = task.stock_keys("export")
    stock = DEFAULT_CFG_DICT.keys() if stock is None else stock
    for key in more:
        if key not in stock:
            raise ConfigError(
                f"{key}= is no export argument of task={task.name}.{nearest(key, [*known, *stock])} It takes "
                f"{', '.join(known)}."
            )


def _check_packages(format: str, simplify: bool, int8: bool) -> None:
    needs = {}
    if format == "openvino":
        needs["openvino"] = install("openvino")
        if int8:
            needs["nncf"] = install("int8")
    if format in ("onnx", "engine"):
        needs = {"onnx": "pip install onnx", "onnxruntime": "pip install onnxruntime"}
        if simplify:
            needs["onnxslim"] = "pip install onnxslim, or pass simplify=False"
    for package, remedy in needs.items():
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(
                f"format={format} needs the package {package}, which is not installed; {remedy}"
            )

"""What an export is asked for, checked before any work: settings known to go wrong are refused with a remedy."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rsdet.deploy.freesize import check_dynamic
from rsdet.deploy.gate import allowed_drop, check_square
from rsdet.errors import ConfigError, MissingDependencyError, install, nearest

FORMATS = ("onnx", "openvino", "torchscript", "engine")
MIN_OPSET = 17  # below it LayerNormalization is taken apart, which overflows in FP16
_PRECISIONS = {None: "fp32", 32: "fp32", 16: "fp16", 8: "int8"}


@dataclass
class Wishes:
    """The settings of one export; :func:`rsdet.deploy.export.export` explains them."""

    format: str
    family: str
    task: str
    size: tuple[int, int]
    half: bool = False
    int8: bool = False
    dynamic: bool | str = False
    nms: bool | None = None
    simplify: bool = True
    opset: int = MIN_OPSET
    batch: int = 1
    data: Any = None
    protocol: str = "coco"
    max_drop: float | None = None
    debug: str | None = None
    workspace_mb: float = 1024.0
    thresholds: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def allowed(self) -> float:
        """Largest accepted drop of AP in points of 100."""
        return allowed_drop(self.max_drop, self.int8)

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: A wrong value, or values that do not fit together.
            MissingDependencyError: A package that the format needs is not installed.
        """
        _check_format(self.format, self.opset)
        _check_keys(self.more)
        check_dynamic(self.dynamic, self.format)
        self._check_precision()
        self._check_nms()
        if self.debug not in (None, "layers"):
            raise ConfigError(f"debug={self.debug!r}; expected layers, or nothing; e.g. debug=layers")
        if self.debug and self.format not in ("onnx", "engine"):
            raise ConfigError(f"debug=layers with format={self.format}; it looks into ONNX graphs; use format=onnx")
        self.allowed  # noqa: B018 - a negative one is refused
        if self.data is not None:
            self._check_protocol()
            check_square(self.size)
        elif self.max_drop is not None:
            raise ConfigError("max_drop= needs data=, a data YAML on which accuracy is measured; add it")
        _check_packages(self.format, self.simplify, self.int8)

    def _check_precision(self) -> None:
        if self.half and self.int8:
            raise ConfigError("half=True and int8=True; expected one of them; INT8 keeps sensitive layers in float")
        if not self.int8:
            return
        if self.format not in ("openvino", "engine"):
            remedy = "use format=openvino, or format=engine on a GPU; or half=True"
            raise ConfigError(
                f"INT8 with format={self.format} was asked for; expected openvino or engine, whose accuracy can be "
                f"kept; {remedy}"
            )
        if self.data is None:
            raise ConfigError(
                "INT8 needs data=, a data YAML: its training images set the ranges, its validation images show what "
                "accuracy is left; add data="
            )

    def _check_nms(self) -> None:
        if self.nms is True and self.family == "rtdetr":
            raise ConfigError(
                "nms=True with a model of the RT-DETR family, which has no suppression: each query is one object; "
                "leave nms= out"
            )
        if self.nms is True and self.task != "detect":
            raise ConfigError(f"nms=True with task={self.task}; expected a detector; leave nms= out")
        if self.nms is True and self.format == "engine":
            raise ConfigError(
                "nms=True with format=engine; suppression gives as many rows as the data decide, which TensorRT takes "
                "by plugins only; leave nms= out, predict suppresses after the engine"
            )
        if self.nms is True and self.dynamic:
            raise ConfigError("nms=True with dynamic; suppression is written out image by image; choose one of them")
        if self.nms is True and not self.thresholds["conf"] > 0:
            raise ConfigError("nms=True with conf=0; the rows of an image are filled up with zeros; use conf=0.001")

    def _check_protocol(self) -> None:
        from rsdet.metrics.detection_areas import PROTOCOLS

        known = ["ultralytics", *PROTOCOLS]
        if self.protocol not in known:
            raise ConfigError(f"protocol must be one of {known}, received {self.protocol!r}."
                              f"{nearest(self.protocol, known)}")  # fmt: skip

    def exporter_settings(self, device: str, queries: int | None) -> dict[str, Any]:
        """Export arguments of Ultralytics; an engine is built by us, from its ONNX graph."""
        graph = "onnx" if self.format == "engine" else self.format
        settings: dict[str, Any] = {
            "format": graph, "imgsz": list(self.size), "batch": self.batch, "dynamic": bool(self.dynamic), **self.more,
            "device": device.removeprefix("cuda:"), "max_det": int(queries or self.thresholds["max_det"]),
        }  # fmt: skip
        if self.nms is not None:
            settings["nms"] = self.nms
        if self.nms:
            settings.update(self.thresholds)
        if self.half and self.format != "engine":
            settings["quantize"] = 16
        if self.int8 and self.format != "engine":
            settings.update(quantize=8, data=str(self.data))
        if graph == "onnx":
            settings.update(opset=self.opset, simplify=self.simplify)
        return settings


def precision(half: bool, int8: bool, more: dict[str, Any]) -> tuple[bool, bool]:
    """``half``, ``int8``, and Ultralytics' newer word ``quantize`` for both.

    Raises:
        ConfigError: A value of ``quantize`` that is not known.
    """
    word = more.pop("quantize", None)
    if word not in _PRECISIONS:
        raise ConfigError(f"quantize={word!r}; expected 32, 16 or 8; half=True and int8=True say the same")
    return half or _PRECISIONS[word] == "fp16", int8 or _PRECISIONS[word] == "int8"


def input_size(model: Any, module: Any, imgsz: int | Sequence[int] | None) -> tuple[int, int]:
    """Height and width of the input; the model's own when None.

    Raises:
        ConfigError: No multiple of the stride.
    """
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


def oblong(size: tuple[int, int]) -> tuple[int, int]:
    """A second size for a graph of free size: about half as high, so that any frozen height shows."""
    return max(64, size[0] // 64 * 32), size[1]


def _check_format(format: str, opset: int) -> None:
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


def _check_keys(more: dict[str, Any]) -> None:
    from ultralytics.utils import DEFAULT_CFG_DICT

    for key in more:
        if key not in DEFAULT_CFG_DICT:
            raise ConfigError(
                f"{key}= is no export argument; expected one of Ultralytics'.{nearest(key, DEFAULT_CFG_DICT)}"
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

"""Parameters and floating point operations of a model, by two conventions that never share a name.

``legacy`` is what detection papers print. It reproduces the count of the thop package that Ultralytics used up to its
8.0 line: ``2 * (multiply-adds of Conv and Linear modules + 4 per element that a normalisation layer puts out)``, on
the unfused model. Matrix products, attention and Fourier transforms that are called as functions are not in it.
Stock RT-DETR-L gives 108.34 GFLOPs at 640x640 and 80 classes, and is published as 108.3.

``true`` is every multiply-add of the forward pass, times two: all convolutions and matrix products however they are
called, attention scores and attention-weighted sums (``torch.utils.flop_counter``), plus what that counter leaves at
zero (``rsdet.deploy.flops``): Fourier transforms as ``5 N log2 N`` for N complex and ``2.5 N log2 N`` for N real
points, grid sampling and resizing as one multiply-add per neighbour read. Not in it: normalisation, activations,
pooling, softmax, additions and other element-wise work.

Both are measured in one forward pass at exactly the size asked for. Nothing is extrapolated from a smaller image:
a frequency map or a global attention does not grow linearly with the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rsdet.deploy.flops import counting
from rsdet.errors import ConfigError

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm)  # BatchNorm, SyncBatchNorm, InstanceNorm, LayerNorm


@dataclass(frozen=True)
class LayerCost:
    """Cost of one top-level row of a model.

    Attributes:
        index: Row number; -1 for what happens outside every row.
        type: Class name of the module, or its name in the parent where the parent is no numbered list.
        params: Parameters that no earlier row owns.
        legacy: GFLOPs by the papers' convention.
        true: GFLOPs of every multiply-add.
    """

    index: int
    type: str
    params: int
    legacy: float
    true: float


@dataclass(frozen=True)
class Complexity:
    """Cost of one forward pass at batch size 1.

    Attributes:
        params: Number of parameters, shared ones once.
        gflops_legacy: GFLOPs by the papers' convention (see the module's text).
        gflops_true: GFLOPs of every multiply-add.
        layers: One entry per top-level row; each column sums to the total.
        input_shape: ``(B, C, H, W)`` of the input that was measured.
        fused: True when the normalisation layers had been fused into the convolutions before measuring. The legacy
            convention is defined on the unfused model, so its number is then too low.
    """

    params: int
    gflops_legacy: float
    gflops_true: float
    layers: tuple[LayerCost, ...]
    input_shape: tuple[int, ...]
    fused: bool = False

    def table(self, detailed: bool = True) -> str:
        """Return the rows and their total as plain text, one row a line; only the total unless ``detailed``."""
        if not detailed:
            return str(self)

        width = max([len(r.type) for r in self.layers] + [5])

        def line(row: object, name: str, params: object, legacy: str, true: str) -> str:
            return f"{row:>4}  {name:<{width}}  {params:>12}  {legacy:>13}  {true:>11}"

        def numbers(params: int, legacy: float, true: float) -> tuple[str, str, str]:
            return f"{params:,}", f"{legacy:.3f}", f"{true:.3f}"

        head = line("row", "module", "params", "GFLOPs legacy", "GFLOPs true")
        body = [
            line(r.index if r.index >= 0 else "-", r.type, *numbers(r.params, r.legacy, r.true)) for r in self.layers
        ]
        total = line("", "total", *numbers(self.params, self.gflops_legacy, self.gflops_true))
        size = "x".join(map(str, self.input_shape))
        note = f"input {size}; legacy = papers' convention" + (" (model is fused: too low)" if self.fused else "")
        return "\n".join([head, *body, total, f"{note}; true = every multiply-add x2"])

    def __str__(self) -> str:
        return (
            f"{self.params / 1e6:.2f} M parameters, {self.gflops_legacy:.2f} GFLOPs (legacy), "
            f"{self.gflops_true:.2f} GFLOPs (true) at {self.input_shape[-2]}x{self.input_shape[-1]}"
        )


def complexity(
    model: nn.Module,
    imgsz: int | Sequence[int] = 640,
    ch: int | None = None,
    *,
    inputs: tuple[Any, ...] | None = None,
) -> Complexity:
    """Count parameters and operations of a model by running it once.

    The model is left as found: every module's training flag is restored, its device and weights are not touched.

    Args:
        model: Any module, or an object with a module in ``.model`` (``RSDet``, ``YOLO``, ``RTDETR``). The rows are
            the rows of the YAML for an Ultralytics model and the direct children for any other.
        imgsz: Height and width of the zero image to run, in pixels; one number for a square.
        ch: Channels of the image; by default what the model's YAML says, else 3.
        inputs: Positional arguments for ``forward`` instead of a zero image (batch size 1 is up to the caller).

    Returns:
        The counts.

    Raises:
        ConfigError: The model does not run at this size.
    """
    module = as_module(model)
    h, w = _hw(imgsz)
    if inputs is None:
        channels = ch or int((getattr(module, "yaml", None) or {}).get("channels", 3))
        weight = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
        inputs = (torch.zeros(1, channels, h, w, device=weight.device, dtype=weight.dtype),)
    listed = list(rows(module))
    try:
        with torch.no_grad(), _eval_mode(module), counting() as counter, _Meter(module, listed, counter) as meter:
            module(*inputs)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as e:
        shape = next((tuple(i.shape) for i in inputs if isinstance(i, torch.Tensor)), None)
        reason = (str(e).strip().splitlines() or [type(e).__name__])[0]
        raise ConfigError(
            f"{type(module).__name__} does not run on an input of shape {shape} ({reason}); "
            "expected a size it accepts; give imgsz as a multiple of its largest stride (32 for most) and ch as trained"
        ) from e
    return meter.result(tuple(next((i.shape for i in inputs if isinstance(i, torch.Tensor)), ())))


def as_module(model: Any) -> nn.Module:
    """Return the ``nn.Module`` itself or the one that an Ultralytics wrapper holds.

    Raises:
        ConfigError: There is none, for instance because an exported file was loaded.
    """
    from ultralytics.engine.model import Model  # a module itself, but its forward is predict()

    module = getattr(model, "model", None) if isinstance(model, Model) or not isinstance(model, nn.Module) else model
    if not isinstance(module, nn.Module):
        raise ConfigError(
            f"got {type(model).__name__} without PyTorch layers; expected a PyTorch model; "
            "load the .pt or .yaml file instead of an exported one"
        )
    return module


# ------------------------------------------------------------------------------------------------- counting


class _Meter:
    """Charges operations and parameters to the outermost row that is running."""

    def __init__(self, model: nn.Module, rows: list[tuple[int, str, nn.Module]], counter: FlopCounterMode):
        self.model, self.rows, self.counter = model, rows, counter
        self.row_of: dict[nn.Module, int] = {}
        for i, (_, _, row) in enumerate(rows):
            for m in row.modules():
                self.row_of.setdefault(m, i)
        outside = len(rows)  # last slot: work done by the model itself between its rows
        self.legacy, self.true = [0] * (outside + 1), [0] * (outside + 1)
        self.current: int | None = None
        self.entered: list[tuple[nn.Module, int]] = []
        self.handles: list[Any] = []

    def __enter__(self) -> _Meter:
        for m in self.model.modules():
            if m in self.row_of:
                self.handles.append(m.register_forward_pre_hook(self._enter))
            macs = _legacy_rule(m)
            if macs is not None:
                self.handles.append(m.register_forward_hook(self._charge(macs)))
            if m in self.row_of:
                self.handles.append(m.register_forward_hook(self._leave))
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _enter(self, m: nn.Module, _: Any) -> None:
        if self.current is None:
            self.current = self.row_of[m]
            self.entered.append((m, self.counter.get_total_flops()))

    def _leave(self, m: nn.Module, _: Any, __: Any) -> None:
        # Only the module that opened the row may close it; a recursive call of it would close too early, but a
        # layer that calls itself has no meaning in a feed-forward network.
        if self.entered and self.entered[-1][0] is m:
            _, before = self.entered.pop()
            self.true[self.current] += self.counter.get_total_flops() - before
            self.current = None

    def _charge(self, macs: Callable[[nn.Module, Any], int]) -> Callable[[nn.Module, Any, Any], None]:
        def hook(m: nn.Module, _: Any, out: Any) -> None:
            self.legacy[-1 if self.current is None else self.current] += 2 * macs(m, out)

        return hook

    def result(self, shape: tuple[int, ...]) -> Complexity:
        total_true = self.counter.get_total_flops()
        self.true[-1] = total_true - sum(self.true[:-1])
        seen: set[int] = set()
        params = [_new_params(row, seen) for _, _, row in self.rows]
        params.append(_new_params(self.model, seen))
        names = [(index, name) for index, name, _ in self.rows] + [(-1, "(outside the rows)")]
        layers = [
            LayerCost(index, name, p, legacy / 1e9, true / 1e9)
            for (index, name), p, legacy, true in zip(names, params, self.legacy, self.true, strict=True)
        ]
        if not (params[-1] or self.legacy[-1] or self.true[-1]) and self.rows:
            layers.pop()
        return Complexity(
            params=sum(params),
            gflops_legacy=sum(self.legacy) / 1e9,
            gflops_true=total_true / 1e9,
            layers=tuple(layers),
            input_shape=shape,
            fused=_is_fused(self.model),
        )


def rows(model: nn.Module) -> Iterator[tuple[int, str, nn.Module]]:
    """Yield (index, label, module): the rows of the YAML of an Ultralytics model, else the direct children."""
    listed = getattr(model, "model", None)
    if isinstance(network := getattr(model, "network", None), nn.Module):  # a single row; its parts say more
        model, listed = network, None
    if isinstance(listed, (nn.Sequential, nn.ModuleList)):
        for i, row in enumerate(listed):
            yield i, type(row).__name__, row
    else:
        for i, (name, row) in enumerate(model.named_children()):
            yield i, f"{name} ({type(row).__name__})", row


def _new_params(module: nn.Module, seen: set[int]) -> int:
    fresh = [p for p in module.parameters() if id(p) not in seen]
    seen.update(id(p) for p in fresh)
    return sum(p.numel() for p in fresh)


def _is_fused(model: nn.Module) -> bool:
    # Fusing takes the ``bn`` away from Ultralytics' Conv blocks; a model designed without norms is not "fused".
    from ultralytics.nn.modules import Conv

    return any(isinstance(m, Conv) and not hasattr(m, "bn") for m in model.modules())


def _legacy_rule(m: nn.Module) -> Callable[[nn.Module, Any], int] | None:
    """Multiply-adds that the legacy convention charges to a module, as a function of (module, output)."""
    if isinstance(m, nn.modules.conv._ConvNd):
        # Transposed convolutions too: the convention charges every output element a full kernel, stride or not.
        return lambda c, out: out.numel() * (c.in_channels // c.groups) * math.prod(c.kernel_size)
    if isinstance(m, nn.Linear):
        return lambda fc, out: out.numel() * fc.in_features
    if isinstance(m, _NORMS):
        affine = getattr(m, "affine", False) or getattr(m, "elementwise_affine", False)
        return lambda _, out: (4 if affine else 2) * out.numel()
    return None


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    # Module by module: a frozen part inside a training model keeps its own flag.
    flags = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for m, flag in flags:
            m.training = flag


def _hw(imgsz: int | Sequence[int]) -> tuple[int, int]:
    pair = (imgsz, imgsz) if isinstance(imgsz, int) else tuple(int(s) for s in imgsz)
    if len(pair) == 1:
        pair = pair * 2
    if len(pair) != 2 or min(pair) < 1:
        raise ConfigError(
            f"imgsz={imgsz} is not a size; expected a positive integer or (height, width); e.g. imgsz=640"
        )
    return pair

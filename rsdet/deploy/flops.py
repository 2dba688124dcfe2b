"""Operation counts of what ``torch.utils.flop_counter`` leaves at zero: Fourier transforms, sampling, resizing.

Each formula gets the shapes of an operator's inputs and output and returns floating point operations, a multiply-add
being two. Fourier transforms count as ``5 N log2 N`` for N complex points and half of it for N real ones, which is
the customary figure of FFT benchmarks whatever algorithm runs; sampling and resizing count one multiply-add per
neighbour read, the computation of coordinates and weights not included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count every operation that runs inside; ask the yielded counter for ``get_total_flops()`` at any time."""
    # In eval mode PyTorch may run nn.MultiheadAttention as one opaque kernel, which the counter reads as zero.
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _fft(real: bool) -> Callable[..., int]:
    """Operations of an FFT over the transformed axes; ``real`` when one side of it is real (half the work)."""

    def formula(x_shape: Sequence[int], dim: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any) -> int:
        # The one-sided spectrum is shorter, so the real signal is the larger of the two shapes.
        full = max(x_shape, out_shape, key=math.prod)
        points = math.prod(full[d] for d in dim)
        return round((2.5 if real else 5.0) * math.prod(full) * math.log2(points)) if points > 1 else 0

    return formula


def _grid_sample(x_shape: Sequence[int], grid: Any, mode: int = 0, *_: Any, out_shape: Any, **__: Any) -> int:
    # mode 0 linear, 1 nearest, 2 cubic; the operator's output may come with saved tensors behind it.
    out = _first_shape(out_shape)
    taps = {0: 2, 1: 0, 2: 4}[int(mode)]
    return 2 * math.prod(out) * (taps ** (len(out) - 2) if taps else 0)


def _resize(taps: int) -> Callable[..., int]:
    def formula(*_: Any, out_shape: Any, **__: Any) -> int:
        out = _first_shape(out_shape)
        return 2 * math.prod(out) * taps ** (len(out) - 2)

    return formula


def _resize_smooth(support: int) -> Callable[..., int]:
    """Antialiased resizing: two one-dimensional filters, each as wide as the shrinking factor asks for."""

    def formula(x_shape: Sequence[int], *_: Any, out_shape: Any, **__: Any) -> int:
        (h, w), (oh, ow) = x_shape[-2:], _first_shape(out_shape)[-2:]
        planes = math.prod(x_shape[:-2])
        taps_w, taps_h = (math.ceil(support * max(1.0, i / o)) for i, o in ((w, ow), (h, oh)))
        return 2 * planes * (h * ow * taps_w + oh * ow * taps_h)

    return formula


def _first_shape(shape: Any) -> Sequence[int]:
    # An operator with several outputs gives a tuple of shapes.
    return shape if isinstance(shape, torch.Size) or isinstance(shape[0], int) else shape[0]


_aten = torch.ops.aten


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Scores and weighted sums of fused attention; shapes (B, heads, tokens, channels)."""
    return sdpa_flop_count(query, key, value)


FORMULAS: dict[Any, Callable[..., int]] = {
    # The fused attention of processors, which PyTorch's own table leaves out.
    _aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    _aten._fft_c2c: _fft(real=False),
    _aten._fft_r2c: _fft(real=True),
    _aten._fft_c2r: _fft(real=True),
    _aten.grid_sampler_2d: _grid_sample,
    _aten.grid_sampler_3d: _grid_sample,
    _aten.cudnn_grid_sampler: _grid_sample,
    _aten.upsample_linear1d: _resize(2),
    _aten.upsample_bilinear2d: _resize(2),
    _aten.upsample_trilinear3d: _resize(2),
    _aten.upsample_bicubic2d: _resize(4),
    _aten._upsample_bilinear2d_aa: _resize_smooth(2),
    _aten._upsample_bicubic2d_aa: _resize_smooth(4),
}

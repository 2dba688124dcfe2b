"""Attention in windows: W-MSA, plain and shifted, and the overlapping cross attention OCAB of HAT.

From "Activating More Pixels in Image Super-Resolution Transformer" (HAT, Chen et al., CVPR 2023, arXiv 2205.04437),
whose window attention is that of Swin (arXiv 2103.14030)::

    Attention(Q, K, V) = softmax(Q K^T / sqrt(d) + B) V,    B: learnt bias per head and relative position

Maps are channel-last here, (B, H, W, C) with H and W multiples of the window: linear layers and norms work on them as
they are and only the convolutions between need another view.

What is done differently from the usual code, with the same result:

- A shifted window attends across the seam of the rolled map, which a mask of -100 forbids. Only the last row and the
  last column of windows hold a seam, so there are four masks, whatever the size of the map: windows are attended to
  in up to four groups, each with its own mask. No mask of the size of the map exists.
- Index tables are constants outside the state dict (see :mod:`rsdet.nn.constants`).
- The products go through ``scaled_dot_product_attention``.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError
from rsdet.nn.constants import constant

__all__ = ["MLP", "OCAB", "WindowAttention", "relative_index", "shift_mask"]

FORBIDDEN = -100.0  # added to a score that the mask forbids; half precision holds it


def relative_index(query_px: int, key_px: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Which entry of the bias table belongs to each pair of a query window and the key window centred on it.

    Args:
        query_px: Side of the query window.
        key_px: Side of the key window.
        device: Device of the result.

    Returns:
        (query_px^2 * key_px^2,) integers in [0, (query_px + key_px - 1)^2), query-major.
    """

    def make() -> np.ndarray:
        def positions(n: int) -> np.ndarray:
            return np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2)

        apart = positions(query_px)[:, None] - positions(key_px)[None] + key_px - 1
        return (apart[..., 0] * (query_px + key_px - 1) + apart[..., 1]).reshape(-1)

    return constant(("relative index", query_px, key_px), make, torch.int64, device)


def shift_mask(
    window: int, shift: int, last_row: bool, last_col: bool, dtype: torch.dtype, device: torch.device | str
) -> torch.Tensor:
    """Mask of a window after the map was rolled by ``shift`` to the left and upwards.

    Args:
        window: Side of the window.
        shift: Pixels that the map was rolled by, 1 to ``window - 1``.
        last_row: The window lies in the last row of windows, where the map's lower and upper ends meet.
        last_col: It lies in the last column.
        dtype: Floating type of the result.
        device: Device of the result.

    Returns:
        (window^2, window^2): 0 where both pixels come from the same side of the seam, -100 elsewhere.
    """

    def make() -> np.ndarray:
        wrapped = np.arange(window) >= window - shift
        side = (2 * (wrapped & last_row)[:, None] + (wrapped & last_col)[None]).reshape(-1)
        return np.where(side[:, None] == side[None], 0.0, FORBIDDEN)

    return constant(("shift mask", window, shift, last_row, last_col), make, dtype, device)


def to_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Cut (B, H, W, C) into (B, H/window, W/window, window^2, C)."""
    rows, cols, c = int(x.shape[1]) // window, int(x.shape[2]) // window, int(x.shape[3])
    x = x.reshape(-1, rows, window, cols, window, c).transpose(2, 3)
    return x.reshape(-1, rows, cols, window * window, c)


def from_windows(x: torch.Tensor, window: int) -> torch.Tensor:
    """Inverse of :func:`to_windows`."""
    rows, cols, c = (int(n) for n in (x.shape[1], x.shape[2], x.shape[4]))
    x = x.reshape(-1, rows, cols, window, window, c).transpose(2, 3)
    return x.reshape(-1, rows * window, cols * window, c)


class MLP(nn.Sequential):
    """Two linear layers with a GELU between them, on the last axis.

    Args:
        dim: Channels of input and output.
        ratio: Width of the hidden layer relative to ``dim``.
    """

    def __init__(self, dim: int, ratio: float):
        hidden = int(dim * ratio)
        super().__init__(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))


class WindowAttention(nn.Module):
    """Multi-head self-attention within windows, W-MSA, or SW-MSA with a shift (HAT section 3.2).

    Args:
        dim: Channels, a multiple of ``heads``.
        window: Side of a window in pixels.
        heads: Number of heads.
        shift: Pixels by which the grid of windows is moved, 0 to ``window - 1``.
    """

    def __init__(self, dim: int, window: int, heads: int, shift: int = 0):
        super().__init__()
        if dim % heads:
            raise ConfigError(f"dim={dim} must be a multiple of heads={heads}; change one of them.")
        self.dim, self.window, self.heads, self.shift = dim, window, heads, shift
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to (B, H, W, C); H and W are multiples of the window."""
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        qkv = self.qkv(to_windows(x, self.window))
        y = self._by_seam(qkv) if self.shift else self._attend(qkv, self.bias())
        x = from_windows(self.proj(y), self.window)
        return torch.roll(x, (self.shift, self.shift), (1, 2)) if self.shift else x

    def bias(self) -> torch.Tensor:
        """B, (1, heads, window^2, window^2)."""
        return _bias(self.bias_table, self.window, self.window)

    def _by_seam(self, qkv: torch.Tensor) -> torch.Tensor:
        """Attend to the windows in groups that share a mask: inner ones, last column, last row, corner."""
        bias, rows, cols = self.bias(), int(qkv.shape[1]), int(qkv.shape[2])

        def groups(n: int) -> list[tuple[slice, bool]]:
            return [(slice(0, n - 1), False)] * (n > 1) + [(slice(n - 1, n), True)]

        strips = []
        for row, last_row in groups(rows):
            strip = []
            for col, last_col in groups(cols):
                mask = bias
                if last_row or last_col:
                    mask = bias + shift_mask(self.window, self.shift, last_row, last_col, bias.dtype, bias.device)
                strip.append(self._attend(qkv[:, row, col], mask))
            strips.append(torch.cat(strip, 2) if len(strip) > 1 else strip[0])
        return torch.cat(strips, 1) if len(strips) > 1 else strips[0]

    def _attend(self, qkv: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        rows, cols, n = (int(i) for i in qkv.shape[1:4])
        q, k, v = qkv.reshape(-1, n, 3, self.heads, self.dim // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        return y.transpose(1, 2).reshape(-1, rows, cols, n, self.dim)


class OCAB(nn.Module):
    """Overlapping cross-attention block (HAT section 3.3): each window looks at a larger one around it.

    Queries come from windows of M x M pixels, keys and values from windows of ``M0 = (1 + overlap) M`` with the same
    centres (HAT equation 8); beyond the map, keys and values are zero. A residual and an MLP follow.

    Args:
        dim: Channels, a multiple of ``heads``.
        window: M, side of the query window in pixels.
        heads: Number of heads.
        overlap: Relative growth of the key window.
        mlp_ratio: Width of the MLP's hidden layer relative to ``dim``.
    """

    def __init__(self, dim: int, window: int, heads: int, overlap: float = 0.5, mlp_ratio: float = 2.0):
        super().__init__()
        self.dim, self.window, self.heads = dim, window, heads
        self.reach = int(window * overlap) // 2  # pixels that the key window extends to each side
        if dim % heads or 2 * self.reach != window * overlap:
            raise ConfigError(
                f"dim={dim}, heads={heads}, window={window}: dim must be a multiple of heads, and window x overlap "
                f"({overlap}) an even number of pixels; take a window of 4, 8 or 16."
            )
        self.norm1 = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window + 2 * self.reach - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias_table, std=0.02)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_ratio)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, H, W, C) to (B, H, W, C); H and W are multiples of the window."""
        q, kv = self.qkv(self.norm1(x)).split((self.dim, 2 * self.dim), -1)
        q, kv = to_windows(q, self.window), self._overlapping(kv)
        rows, cols, n = (int(i) for i in q.shape[1:4])
        head = self.dim // self.heads
        q = q.reshape(-1, n, self.heads, head).transpose(1, 2)
        k, v = kv.reshape(-1, int(kv.shape[3]), 2, self.heads, head).permute(2, 0, 3, 1, 4).unbind(0)
        bias = _bias(self.bias_table, self.window, self.window + 2 * self.reach)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        y = from_windows(y.transpose(1, 2).reshape(-1, rows, cols, n, self.dim), self.window)
        x = x + self.proj(y)
        return x + self.mlp(self.norm2(x))

    def _overlapping(self, x: torch.Tensor) -> torch.Tensor:
        """Cut (B, H, W, C) into the larger windows, (B, rows, cols, M0^2, C), by two gathers with constant indices."""
        reach, side = self.reach, self.window + 2 * self.reach
        c = int(x.shape[3])
        counts = [int(n) // self.window for n in x.shape[1:3]]
        x = F.pad(x, (0, 0, reach, reach, reach, reach))
        for axis, count in enumerate(counts, start=1):
            x = x.index_select(axis, _overlapping_index(count, self.window, side, x.device))
        x = x.reshape(-1, counts[0], side, counts[1], side, c).transpose(2, 3)
        return x.reshape(-1, *counts, side * side, c)


def _bias(table: torch.Tensor, query_px: int, key_px: int) -> torch.Tensor:
    """Bias (1, heads, query_px^2, key_px^2) from its table."""
    entries = table[relative_index(query_px, key_px, table.device)]
    return entries.reshape(query_px**2, key_px**2, -1).permute(2, 0, 1)[None]


def _overlapping_index(count: int, step: int, side: int, device: torch.device) -> torch.Tensor:
    """Positions along one axis of ``count`` windows of ``side`` pixels, ``step`` apart, one window after another."""

    def make() -> np.ndarray:
        return (np.arange(count)[:, None] * step + np.arange(side)[None]).reshape(-1)

    return constant(("overlapping", count, step, side), make, torch.int64, device)

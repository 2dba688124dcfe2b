"""SDENet written out: stripes pixel by pixel, float64, without a line of the package (Remote Sens. 2024, 16, 4518)."""

from __future__ import annotations

import numpy as np
from references.plain import Array, Weights, conv, gelu, layer_norm, softmax


def stripe(size: int) -> int:
    """Largest divisor that is no more than an eighth."""
    return max(n for n in range(1, size + 1) if size % n == 0 and n <= max(1, size // 8))


def attention(w: Weights, q: Array, k: Array, v: Array, heads: int, vertical: bool) -> Array:
    """One map of all stripes; each pixel looks at those of its stripe."""
    b, c, height, width = q.shape
    out = np.zeros_like(q)
    depth, across = c // heads, stripe(width if vertical else height)
    for i, n in np.ndindex(b, (width if vertical else height) // across):
        lines = slice(n * across, (n + 1) * across)
        cut = (slice(None), slice(None), lines) if vertical else (slice(None), lines, slice(None))
        qs, ks, vs = (x[i][cut] for x in (q, k, v))
        near = conv(w["lepe"], vs[None], groups=c)[0]  # zeros beyond the border of the stripe
        flat = [x.reshape(c, -1) for x in (qs, ks, vs)]
        for h in range(heads):
            rows = slice(h * depth, (h + 1) * depth)
            share = softmax(flat[0][rows].T @ flat[1][rows] / depth**0.5)
            near[rows] += (flat[2][rows] @ share.T).reshape(near[rows].shape)
        out[i][cut] = near
    return out


def block(w: Weights, x: Array, heads: int, printed: bool = False) -> Array:
    y = layer_norm(w["norm1"], x, 1)
    q, k, v = np.split(conv(w["qkv"], y + x if printed else y), 3, axis=1)
    half = x.shape[1] // 2
    halves = [
        attention(w[name], *(t[:, part] for t in (q, k, v)), heads // 2, name == "vertical")
        for name, part in (("vertical", slice(0, half)), ("horizontal", slice(half, None)))
    ]
    x = x + conv(w["proj"], np.concatenate(halves, 1))
    return x + conv(w["mlp"][2], gelu(conv(w["mlp"][0], layer_norm(w["norm2"], x, 1))))


def doubled(w: Weights, x: Array) -> Array:
    """Transposed convolution of 2x2 and stride 2: each pixel becomes four."""
    b, _, height, width = x.shape
    out = np.zeros((b, w.weight.shape[1], 2 * height, 2 * width))
    for dy, dx in np.ndindex(2, 2):
        out[:, :, dy::2, dx::2] = np.einsum("bchw,cd->bdhw", x, w.weight[:, :, dy, dx])
    return out + w.bias[:, None, None]


def sdenet(w: Weights, x: Array, vm: bool = True, printed: bool = False, skip: bool = True) -> Array:
    """The network in inference: the mean of the variational mapping."""
    height, width = x.shape[2:]
    x = np.pad(x, ((0, 0), (0, 0), (4, 4), (4, 4)), "reflect")
    x = np.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % 4), (0, -x.shape[3] % 4)), "reflect")
    a = block(w["encode1"], conv(w["embed"], x), 2, printed)
    b = block(w["encode2"], conv(w["down1"], a, 2, padding=1), 4, printed)
    y = conv(w["down2"], b, 2, padding=1)
    y = conv(w["middle"]["back"], conv(w["middle"]["mean"], y)) if vm else block(w["middle"], y, 8, printed)
    y = block(w["decode2"], conv(w["join2"], np.concatenate([doubled(w["up2"], y), b], 1)), 4, printed)
    y = block(w["decode1"], conv(w["join1"], np.concatenate([doubled(w["up1"], y), a], 1)), 2, printed)
    y = conv(w["out"], y) + (x if skip else 0)
    return y[..., 4 : 4 + height, 4 : 4 + width]

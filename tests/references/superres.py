"""Super-resolution written out: bicubic enlargement, EDSR, and MFG-HMoE with the trunk of HAT.

Maps of the trunk are (B, H, W, C), its windows are taken pixel by pixel: no rolled maps, no masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from references.plain import (
    Array,
    Weights,
    conv,
    gelu,
    layer_norm,
    leaky_relu,
    linear,
    pixel_shuffle,
    pooled,
    relu,
    sigmoid,
    softmax,
)  # fmt: skip


def imresize(x: Array, scale: int) -> Array:
    """MATLAB's bicubic imresize of the last two axes, enlarging: Keys' kernel, normalised, symmetric border."""

    def along(n: int) -> Array:
        m = np.zeros((n * scale, n))
        mirror = [*range(n), *range(n - 1, -1, -1)]
        for i in range(n * scale):
            u = (i + 0.5) / scale - 0.5
            taps = np.arange(int(np.floor(u)) - 1, int(np.floor(u)) + 3)
            t = np.abs(u - taps)
            share = np.where(t <= 1, 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
            for tap, weight in zip(taps, share / share.sum(), strict=True):
                m[i, mirror[tap % (2 * n)]] += weight
        return m

    return along(x.shape[-2]) @ x @ along(x.shape[-1]).T


def edsr(w: Weights, x: Array, upscale: int, blocks: int, factor: float = 1.0, skip: bool = False) -> Array:
    """EDSR: residual blocks, the long skip, steps of sub-pixel convolution, without clamping."""
    first = conv(w["head"], x)
    *body, last = w["body"].parts(blocks + 1)
    y = first
    for block in body:
        y = y + factor * conv(block["body"][2], relu(conv(block["body"][0], y)))
    y = conv(last, y) + first
    for i, s in enumerate({2: [2], 3: [3], 4: [2, 2], 8: [2, 2, 2]}[upscale]):
        y = pixel_shuffle(conv(w["upsample"][2 * i], y), s)
    y = conv(w["tail"], y)
    return y + imresize(x, upscale) if skip else y


# -- HAT ---------------------------------------------------------------------------------------------------------------


def attend(q: Array, k: Array, v: Array, bias: Array) -> Array:
    """softmax(q k^T / sqrt(d) + bias) v of one query of each image (B, d); k and v (B, n, d), bias (n,)."""
    scores = (k * q[:, None]).sum(2) / np.sqrt(q.shape[1]) + bias
    return (softmax(scores)[..., None] * v).sum(1)


def window_attention(w: Weights, x: Array, window: int, heads: int, shift: int = 0) -> Array:
    """(S)W-MSA: a pixel attends to its own window, on a grid moved by the shift; at edges they are smaller."""
    _, h, width, c = x.shape
    q, k, v = np.split(linear(w["qkv"], x), 3, -1)
    y, d, m = np.zeros_like(x), c // heads, window
    cells = [(i, j) for i in range(h) for j in range(width)]
    home = {(i, j): ((i - shift) // m, (j - shift) // m) for i, j in cells}
    for i, j in cells:
        rows, cols = np.array([p for p in cells if home[p] == home[i, j]]).T
        entries = (i - rows + m - 1) * (2 * m - 1) + j - cols + m - 1
        for head in range(heads):
            part = slice(head * d, head * d + d)
            bias = w.bias_table[entries, head]
            y[:, i, j, part] = attend(q[:, i, j, part], k[:, rows, cols, part], v[:, rows, cols, part], bias)
    return linear(w["proj"], y)


def mlp(w: Weights, x: Array) -> Array:
    return linear(w[2], gelu(linear(w[0], x)))


def ocab(w: Weights, x: Array, window: int, heads: int, overlap: float = 0.5) -> Array:
    """Overlapping cross attention: keys and values from a larger window with the same centre, zeros beyond the map."""
    _, h, width, c = x.shape
    q, k, v = np.split(linear(w["qkv"], layer_norm(w["norm1"], x)), 3, -1)
    y, d, m, reach = np.zeros_like(x), c // heads, window, int(window * overlap / 2)
    side = m + 2 * reach
    k, v = (np.pad(a, ((0, 0), (reach, reach), (reach, reach), (0, 0))) for a in (k, v))
    rows, cols = np.divmod(np.arange(side * side), side)
    for i in range(h):
        for j in range(width):
            top, left = i // m * m, j // m * m  # of the larger window, in the padded maps
            entries = (i - top - rows + side - 1) * (m + side - 1) + j - left - cols + side - 1
            for head in range(heads):
                part = slice(head * d, head * d + d)
                keys, values = (a[:, top + rows, left + cols, part] for a in (k, v))
                y[:, i, j, part] = attend(q[:, i, j, part], keys, values, w.bias_table[entries, head])
    x = x + linear(w["proj"], y)
    return x + mlp(w["mlp"], layer_norm(w["norm2"], x))


def first(x: Array) -> Array:
    """(B, H, W, C) to (B, C, H, W)."""
    return x.transpose(0, 3, 1, 2)


def last(x: Array) -> Array:
    """(B, C, H, W) to (B, H, W, C)."""
    return x.transpose(0, 2, 3, 1)


def cab(w: Weights, x: Array) -> Array:
    """Two 3x3 convolutions around a bottleneck, and channel attention."""
    y = conv(w["body"][2], gelu(conv(w["body"][0], first(x))))
    return last(y * sigmoid(conv(w["gain"][2], relu(conv(w["gain"][0], pooled(y))))))


def hab(w: Weights, x: Array, window: int, heads: int, shift: int, kept: Sequence[Array | float] = (1.0, 1.0)) -> Array:
    """HAT equation 3; ``kept`` is what stochastic depth multiplies the two dropped branches by."""
    n = layer_norm(w["norm1"], x)
    x = x + kept[0] * window_attention(w["attn"], n, window, heads, shift) + 0.01 * cab(w["cab"], n)
    return x + kept[1] * mlp(w["mlp"], layer_norm(w["norm2"], x))


def rhag(w: Weights, x: Array, window: int, heads: int, depth: int) -> Array:
    """Hybrid attention blocks, every second one shifted by half a window, an OCAB, a convolution, the input."""
    *blocks, crossing = w["blocks"].parts(depth + 1)
    y = x
    for i, block in enumerate(blocks):
        y = hab(block, y, window, heads, window // 2 * (i % 2))
    return x + last(conv(w["conv"], first(ocab(crossing, y, window, heads))))


# -- MFG-HMoE ----------------------------------------------------------------------------------------------------------


def routes(w: Weights, g: Array, k: int, gate: str) -> tuple[Array, Array]:
    """Equations 5 and 6 and the gates, for one pixel: the chosen experts, numbered through, and their factors."""
    p = softmax(linear(w["to_group"], g))
    i = int(p.argmax())
    q = softmax(linear(w["to_expert"][i], g + w.position[i]))
    best = np.argsort(-q, kind="stable")[:k]
    start = sum(len(w["to_expert"][j].bias) for j in range(i))
    return start + best, {"paper": q[best], "joint": p[i] * q[best]}.get(gate, q[best] / q[best].sum())


def dr_hmoe(w: Weights, f: Array, guide: Array, upscale: int, k: int = 1, gate: str = "ste") -> Array:
    """Equations 4 to 7, one pixel after another."""
    (b, c, h, width), s = f.shape, upscale
    y = np.zeros((b, c, h * s, width * s))
    for n, i, j in np.ndindex(b, h, width):
        for e, factor in zip(*routes(w["router"], guide[n, :, i, j], k, gate), strict=True):
            expert = w["experts"][e]
            reach = expert.weight.shape[-1] // 2
            padded = np.pad(f[n], ((0, 0), (reach, reach), (reach, reach)))
            seen = padded[:, i : i + 2 * reach + 1, j : j + 2 * reach + 1]
            out = np.einsum("ocab,cab->o", expert.weight, seen) + expert.bias
            y[n, :, i * s : i * s + s, j * s : j * s + s] += factor * out.reshape(c, s, s)
    return y


def mfa(w: Weights, norm: Weights, levels: Sequence[Array]) -> Array:
    """Equations 2 and 3, with two convolutions in 2 as the authors' code has."""
    total = 0
    for level, x in zip(w["levels"].parts(), levels, strict=True):
        total = total + conv(level[2], leaky_relu(conv(level[0], first(x))))
    return leaky_relu(conv(w["aggregate"][0], first(layer_norm(norm, last(total)))))


def mfg_hmoe(
    w: Weights, x: Array, upscale: int, window: int, heads: int, groups: int, depth: int, k: int = 1, gate: str = "ste",
    skip: bool = False,
) -> Array:  # fmt: skip
    """Equation 1, for sizes that are multiples of the window, without clamping."""
    start = conv(w["conv_first"], x)
    t, levels = layer_norm(w["norm_first"], last(start)), []
    for i, group in enumerate(w["groups"].parts(groups)):
        t = rhag(group, t, window, heads, depth)
        t = layer_norm(w["norms"][i], t) if w["norms"].has(str(i)) else t
        levels.append(t)
    body = conv(w["conv_body"], first(layer_norm(w["norm"], t))) + start
    f = leaky_relu(conv(w["to_features"][0], body))
    guide = mfa(w["mfa"], w["norm"], levels) if w.has("mfa") else f
    y = conv(w["conv_last"], dr_hmoe(w["upsample"], f, guide, upscale, k, gate))
    return y + imresize(x, upscale) if skip else y

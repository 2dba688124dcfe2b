"""ACR written out, one question at a time and without its pads: SCConv, ResNet, gated attention, router, branches."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from references.plain import (
    Array,
    Weights,
    batch_norm,
    conv,
    gelu,
    layer_norm,
    linear,
    max_pool,
    relu,
    sigmoid,
    softmax,
)  # fmt: skip

# -- dual reconstruction -----------------------------------------------------------------------------------------------


def group_norm(w: Weights, x: Array, groups: int = 16) -> Array:
    y = np.empty_like(x)
    for b in range(len(x)):
        for channels in np.split(np.arange(x.shape[1]), groups):
            part = x[b, channels]
            y[b, channels] = (part - part.mean()) / np.sqrt(part.var() + 1e-5)
    return y * w.weight[:, None, None] + w.bias[:, None, None]


def sru(w: Weights, x: Array, gate: str = "soft") -> Array:
    """Equations 23 to 26, value by value."""
    gamma, g = w["norm"].weight, group_norm(w["norm"], x)
    more, less = np.empty_like(x), np.empty_like(x)
    for at in np.ndindex(x.shape):
        score = float(sigmoid(gamma[at[1]] / (gamma.sum() + 1e-5) * g[at]))
        if score > 0.5:
            more[at], less[at] = x[at], 0
        elif gate == "soft":
            more[at] = less[at] = score * x[at]
        else:
            more[at], less[at] = 0, x[at]
    half = x.shape[1] // 2
    return np.concatenate((more[:, :half] + less[:, half:], more[:, half:] + less[:, :half]), 1)


def cru(w: Weights, x: Array) -> Array:
    """Equations 27 to 29, the weights channel by channel."""
    half = x.shape[1] // 2
    up, low = conv(w["squeeze_up"], x[:, :half]), conv(w["squeeze_low"], x[:, half:])
    y1 = conv(w["gwc"], up, groups=2) + conv(w["pwc_up"], up)
    y2 = np.concatenate((conv(w["pwc_low"], low), low), 1)
    y = np.empty_like(x)
    for b in range(len(x)):
        for c in range(x.shape[1]):
            e1, e2 = math.exp(y1[b, c].mean()), math.exp(y2[b, c].mean())
            y[b, c] = (e1 * y1[b, c] + e2 * y2[b, c]) / (e1 + e2)
    return y


def scconv(w: Weights, x: Array, gate: str = "soft") -> Array:
    y = cru(w["cru"], sru(w["sru"], x, gate))
    return x + w.scale * (y - x) if w.has("scale") else y


# -- image -------------------------------------------------------------------------------------------------------------


def inserted(w: Weights, x: Array, gate: str) -> Array:
    return scconv(w["dre"], x, gate) if w.has("dre") else x


def shortcut(w: Weights, x: Array, s: int) -> Array:
    if not w.has("downsample"):
        return x
    return batch_norm(w["downsample"][1], conv(w["downsample"][0], x, s))


def bottleneck(w: Weights, x: Array, s: int, gate: str = "soft") -> Array:
    y = relu(batch_norm(w["bn1"], conv(w["conv1"], x)))
    y = relu(batch_norm(w["bn2"], inserted(w, conv(w["conv2"], y, s), gate)))
    return relu(batch_norm(w["bn3"], conv(w["conv3"], y)) + shortcut(w, x, s))


def basic(w: Weights, x: Array, s: int, gate: str = "soft") -> Array:
    y = relu(batch_norm(w["bn1"], inserted(w, conv(w["conv1"], x, s), gate)))
    return relu(batch_norm(w["bn2"], conv(w["conv2"], y)) + shortcut(w, x, s))


def resnet(w: Weights, x: Array, block: str = "bottleneck", stride: int = 32, gate: str = "soft") -> Array:
    x = max_pool(relu(batch_norm(w["bn1"], conv(w["conv1"], x, 2))), 3, 2)
    for i, first in enumerate((1, 2, 2, stride // 16), 1):
        for j, part in enumerate(w[f"layer{i}"].parts()):
            x = (bottleneck if block == "bottleneck" else basic)(part, x, 1 if j else first, gate)
    return x


def cells(w: Weights, x: Array, **args: object) -> Array:
    """(B, N, dim), cell after cell."""
    y = resnet(w["encoder"], x, **args)
    places = [(i, j) for i in range(y.shape[2]) for j in range(y.shape[3])]
    return np.stack([linear(w["project"], y[:, :, i, j]) for i, j in places], 1)


# -- one question ------------------------------------------------------------------------------------------------------


def attention(w: Weights, x: Array, source: Array, heads: int) -> tuple[Array, list[Array]]:
    """(M, dim) that looks at (N, dim): the result, and the weights (M, N) of each head."""
    q, k, v = linear(w["q"], x), linear(w["k"], source), linear(w["v"], source)
    seen, weights, d = [], [], x.shape[1] // heads
    for h in range(heads):
        these = slice(h * d, (h + 1) * d)
        weights.append(softmax(q[:, these] @ k[:, these].T / math.sqrt(d)))
        seen.append(weights[-1] @ v[:, these])
    return linear(w["out"], np.concatenate(seen, 1)), weights


def position(place: int, dim: int) -> Array:
    half = dim // 2
    angles = [place / 10_000 ** (i / half) for i in range(half)]
    return np.array([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def question(w: Weights, tokens: Sequence[int], heads: int) -> tuple[Array, Array, Array]:
    """Equations 1 to 7 of words without pads: ``W_t`` (L, dim), ``q_att`` (dim,), ``alpha`` (L,)."""
    vectors = w["embedding"].weight[list(tokens)]
    words = np.stack([v + position(i, len(v)) for i, v in enumerate(vectors)])
    for part in w["layers"].parts():
        words = layer_norm(part["norm1"], words + attention(part["attn"], words, words, heads)[0])
        hidden = gelu(linear(part["ffn"][0], words))
        words = layer_norm(part["norm2"], words + linear(part["ffn"][3], hidden))
    both = np.concatenate((vectors, words), 1)
    g = np.tanh(linear(w["value"], both)) * sigmoid(linear(w["gate"], both))
    alpha = softmax(linear(w["score"], g)[:, 0])
    return words, sum(a * t for a, t in zip(alpha, words, strict=True)), alpha


def mlp(w: Weights, x: Array) -> Array:
    return linear(w[2], relu(linear(w[0], x)))


def pooled(w: Weights, x: Array) -> Array:
    return softmax(mlp(w["score"], x)[:, 0]) @ x


def cross(w: Weights, v: Array, q: Array, heads: int) -> tuple[Array, Array, Array]:
    """Equations 9 to 20: cells, words, and the mean of the heads of what the words looked at."""
    v1 = attention(w["image_to_text"], v, q, heads)[0]
    q1, weights = attention(w["text_to_image"], q, v, heads)
    return layer_norm(w["norm_image"], v + v1), layer_norm(w["norm_text"], q + q1), sum(weights) / heads


def branch(w: Weights, v: Array, words: Array, attended: Array, heads: int) -> tuple[Array, Array]:
    """Equation 21 up to the classifier."""
    for part in w["layers"].parts():
        v, words, seen = cross(part, v, words, heads)
    return layer_norm(w["norm"], pooled(w["pool_image"], v) + pooled(w["pool_text"], words)) * attended, seen


def answer(
    w: Weights, v: Array, tokens: Sequence[int], heads: int, closed: bool | None = None
) -> tuple[Array, Array, Array]:
    """Logits (A,), logits of the types (2,), and attention (L, N) for the words of one question."""
    words, attended, _ = question(w["question"], tokens, heads)
    types = mlp(w["router"], attended)
    p = softmax(types)
    kind = (0 if p[0] > p[1] else 1) if closed is None else (0 if closed else 1)  # equation 8
    fused, seen = branch(w["branches"][kind], v, words, attended, heads)
    return mlp(w["classifiers"][kind], fused), types, seen

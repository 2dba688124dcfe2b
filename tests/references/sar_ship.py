"""The SAR ship detector written out: shuffle attention, the context-decoupled head, Wise-IoU with its running mean."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from references.plain import Array, Weights, conv, conv_bn_silu, pixel_shuffle, sigmoid, twice
from references.polygons import turned_box


def shuffle_attention(w: Weights, x: Array) -> Array:
    """Equations 1 to 3, group by group: half by its means, half by its norm; then the two halves channel by channel."""
    d, c = len(w.channel_weight), x.shape[1]
    y = np.empty_like(x)
    for i in range(c):
        q, spatial = i % d, i // d % 2  # within a group: d channels of one half, then d of the other
        mean, var = (f(x[:, i], (1, 2), keepdims=True) for f in (np.mean, np.var))
        if spatial:
            norm = (x[:, i] - mean) / np.sqrt(var + 1e-5) * w.norm_weight[q] + w.norm_bias[q]
            y[:, i] = x[:, i] * sigmoid(w.spatial_weight[q] * norm + w.spatial_bias[q])
        else:
            y[:, i] = x[:, i] * sigmoid(w.channel_weight[q] * mean + w.channel_bias[q])
    shuffled = np.empty_like(x)
    for q in range(c // 2):
        shuffled[:, 2 * q], shuffled[:, 2 * q + 1] = y[:, q], y[:, c // 2 + q]
    return shuffled


def sce(w: Weights, level: Array, coarser: Array) -> Array:
    """Equation 4: the level halved, beside the coarser one."""
    return np.concatenate([conv_bn_silu(w["down"], level, 2), coarser], 1)


def cropped(x: Array, like: Array) -> Array:
    return x[:, :, : like.shape[2], : like.shape[3]]


def dpe(w: Weights, finer: Array, level: Array, coarser: Array) -> Array:
    """Equation 6: P_l + up(A P_l+1) + Down(B P_l-1 + up P_l)."""
    edges = conv_bn_silu(w["align_finer"], finer) + cropped(twice(level), finer)
    enlarged = cropped(twice(conv_bn_silu(w["align_coarser"], coarser)), level)
    return level + enlarged + conv_bn_silu(w["down"], edges, 2)


def tower(w: Weights, x: Array) -> Array:
    """Two 3x3 convolutions and a 1x1 with bias."""
    return conv(w[2], conv_bn_silu(w[1], conv_bn_silu(w[0], x)))


def head(w: Weights, maps: Sequence[Array], prefix: str = "") -> Array:
    """(B, 4 reg_max + nc, A): box distributions and class scores of all cells; ``prefix``: of which branch."""
    found = []
    for i in range(len(maps) - 2):
        finer, level, coarser = maps[i : i + 3]
        boxes = tower(w[f"{prefix}cv2"][i], dpe(w[f"{prefix}dpe"][i], finer, level, coarser))
        coarse = tower(w[f"{prefix}cv3"][i], sce(w[f"{prefix}sce"][i], level, coarser))
        scores = cropped(pixel_shuffle(coarse, 2), level)  # equation 5
        both = np.concatenate([boxes, scores], 1)
        found.append(both.reshape(*both.shape[:2], -1))
    return np.concatenate(found, 2)


class WiseIoU:
    """Wise-IoU of one pair of boxes after another, and the running mean that versions 2 and 3 judge a pair by."""

    def __init__(self, version: int, momentum: float):
        self.version, self.momentum, self.mean, self.seen = version, momentum, 1.0, []

    def pair(self, p: Sequence[float], g: Sequence[float]) -> float:
        """Equations 7 and 13 to 19, boxes as x1, y1, x2, y2."""
        w, h = (max(min(p[i + 2], g[i + 2]) - max(p[i], g[i]), 0) for i in (0, 1))
        union = (p[2] - p[0]) * (p[3] - p[1]) + (g[2] - g[0]) * (g[3] - g[1]) - w * h
        return self.weigh(1 - w * h / union, p, g)

    def weigh(self, loss: float, p: Sequence[float], g: Sequence[float]) -> float:
        """1 - IoU with gain and attention, and seen by the running mean."""
        self.seen.append(loss)
        apart = sum(((p[i] + p[i + 2]) / 2 - (g[i] + g[i + 2]) / 2) ** 2 for i in (0, 1))
        enclosing = sum((max(p[i + 2], g[i + 2]) - min(p[i], g[i])) ** 2 for i in (0, 1))
        beta = loss / self.mean
        r = {1: 1.0, 2: beta**0.5, 3: beta / (3 * 1.9 ** (beta - 3))}[self.version]
        return r * math.exp(apart / enclosing) * loss

    def step(self) -> None:
        """The optimizer has stepped: m becomes (1 - a) m + a times the mean of all pairs since the last step."""
        if self.seen:
            self.mean = (1 - self.momentum) * self.mean + self.momentum * sum(self.seen) / len(self.seen)
        self.seen = []


def upright(x: float, y: float, w: float, h: float, r: float) -> tuple[float, ...]:
    """x1, y1, x2, y2 around a turned box, from its corners."""
    corners = turned_box(x, y, w, h, r)
    return tuple(f(p[k] for p in corners) for f in (min, max) for k in (0, 1))


class WiseProbIoU(WiseIoU):
    """The same with 1 - ProbIoU of turned boxes: the Hellinger distance of two Gaussians (arXiv:2106.06072)."""

    floor = 0.01  # that Ultralytics adds to both variances

    def gaussian(self, b: Sequence[float]) -> tuple[Array, Array]:
        turn = np.array([[math.cos(b[4]), -math.sin(b[4])], [math.sin(b[4]), math.cos(b[4])]])
        return np.array(b[:2]), turn @ np.diag([b[2] ** 2 / 12 + self.floor, b[3] ** 2 / 12 + self.floor]) @ turn.T

    def distance(self, p: Sequence[float], g: Sequence[float]) -> float:
        """1 - ProbIoU, boxes as x, y, w, h, r."""
        (m1, c1), (m2, c2) = self.gaussian(p), self.gaussian(g)
        both = (c1 + c2) / 2
        apart = (m1 - m2) @ np.linalg.inv(both) @ (m1 - m2) / 8
        shape = math.log(np.linalg.det(both) / math.sqrt(np.linalg.det(c1) * np.linalg.det(c2))) / 2
        return math.sqrt(1 - math.exp(-(apart + shape)))

    def pair(self, p: Sequence[float], g: Sequence[float]) -> float:
        return self.weigh(self.distance(p, g), upright(*p), upright(*g))

"""Operators on float64 arrays, each by its definition and in loops over what is small: no code of the package.

Maps are (B, C, H, W) unless said otherwise. ``w`` is a :class:`Weights`, the part of a state dict that a layer owns.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

Array = np.ndarray


class Weights:
    """A state dict as float64 arrays: ``w["cv1"]`` is the part below that name, ``w.bias`` an array of this part.

    Args:
        arrays: The whole state dict.
        eps: Of the batch norms. PyTorch's is 1e-5; Ultralytics sets 1e-3 when it builds a model from rows.
        training: Batch norms take the statistics of the batch.
    """

    def __init__(self, arrays: dict[str, Array], eps: float = 1e-5, training: bool = False, at: str = ""):
        self.arrays, self.eps, self.training, self.at = arrays, eps, training, at

    def __getitem__(self, part: str | int) -> Weights:
        return Weights(self.arrays, self.eps, self.training, f"{self.at}{part}.")

    def __getattr__(self, name: str) -> Array:
        return self.arrays[self.at + name]

    def has(self, name: str) -> bool:
        """Whether there is an array, or a part, of this name."""
        return any(k == self.at + name or k.startswith(f"{self.at}{name}.") for k in self.arrays)

    def parts(self, count: int | None = None) -> list[Weights]:
        """The numbered parts, in their order; there must be ``count`` of them where that is given."""
        found = [self[i] for i in itertools.takewhile(lambda i: self.has(str(i)), itertools.count())]
        assert count is None or len(found) == count, f"{self.at}: {len(found)} parts instead of {count}"
        return found


# -- of one number -----------------------------------------------------------------------------------------------------


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), in the form that does not overflow."""
    return 0.5 + 0.5 * np.tanh(x / 2)


def silu(x: Array) -> Array:
    return x * sigmoid(x)


def relu(x: Array) -> Array:
    return np.where(x > 0, x, 0.0)


def leaky_relu(x: Array, slope: float = 0.01) -> Array:
    return np.where(x > 0, x, slope * x)


def gelu(x: Array) -> Array:
    """x times the standard normal distribution function."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def softmax(x: Array, axis: int = -1) -> Array:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


# -- of channels -------------------------------------------------------------------------------------------------------


def linear(w: Weights, x: Array, axis: int = -1) -> Array:
    """A linear layer on one axis."""
    y = np.moveaxis(x, axis, -1) @ w.weight.T
    return np.moveaxis(y + w.bias if w.has("bias") else y, -1, axis)


def layer_norm(w: Weights, x: Array, axis: int = -1, eps: float = 1e-5) -> Array:
    x = np.moveaxis(x, axis, -1)
    y = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return np.moveaxis(y * w.weight + w.bias, -1, axis)


def batch_norm(w: Weights, x: Array) -> Array:
    mean, var = (x.mean((0, 2, 3)), x.var((0, 2, 3))) if w.training else (w.running_mean, w.running_var)
    scale = w.weight / np.sqrt(var + w.eps)
    return (x - mean[:, None, None]) * scale[:, None, None] + w.bias[:, None, None]


def pooled(x: Array) -> Array:
    """Global average pooling, (B, C, 1, 1)."""
    return x.mean((2, 3), keepdims=True)


# -- of places ---------------------------------------------------------------------------------------------------------


def pad(x: Array, by: int, mode: str = "constant") -> Array:
    return np.pad(x, ((0, 0), (0, 0), (by, by), (by, by)), mode=mode)


def conv(
    w: Weights, x: Array, stride: int = 1, dilation: int = 1, groups: int = 1, border: str = "constant",
    padding: int | None = None,
) -> Array:  # fmt: skip
    """A convolution tap by tap, padded so that stride 1 keeps the size where nothing else is said."""
    out, inside, k, _ = w.weight.shape
    assert inside * groups == x.shape[1], "channels"
    assert k % 2 or padding is not None, "kernels are odd"
    reach = dilation * (k // 2) if padding is None else padding
    h, width = x.shape[2:]
    x, each = pad(x, reach, border), out // groups
    rows, cols = ((n + 2 * reach - dilation * (k - 1) - 1) // stride + 1 for n in (h, width))
    y = np.zeros((len(x), out, rows, cols))
    for g in range(groups):
        these, source = slice(g * each, (g + 1) * each), x[:, g * inside : (g + 1) * inside]
        for a in range(k):
            for b in range(k):
                seen = source[:, :, a * dilation :, b * dilation :][:, :, ::stride, ::stride][:, :, :rows, :cols]
                y[:, these] += np.einsum("oc,bchw->bohw", w.weight[these, :, a, b], seen)
    return y + w.bias[:, None, None] if w.has("bias") else y


def windows(x: Array, k: int, stride: int) -> Array:
    """(B, C, rows, cols, k^2): the places that each window of a pooling sees."""
    rows, cols = ((n - k) // stride + 1 for n in x.shape[2:])
    at = [(a, b) for a in range(k) for b in range(k)]
    return np.stack([x[:, :, a:, b:][:, :, ::stride, ::stride][:, :, :rows, :cols] for a, b in at], -1)


def max_pool(x: Array, k: int, stride: int) -> Array:
    """Padded by k // 2 with what is never the largest."""
    return windows(np.pad(x, ((0, 0), (0, 0), (k // 2,) * 2, (k // 2,) * 2), constant_values=-np.inf), k, stride).max(
        -1
    )


def mean_of_twos(x: Array) -> Array:
    """2 x 2 means; an odd last row or column is averaged on its own."""
    h, w = (-(-n // 2) for n in x.shape[2:])
    cell = lambda i, j: x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((2, 3))  # noqa: E731
    return np.stack([np.stack([cell(i, j) for j in range(w)], -1) for i in range(h)], -2)


def nearest(x: Array, h: int, w: int) -> Array:
    """Nearest-neighbour resizing: place i reads place floor(i * old / new)."""
    i, j = (np.array([i * old // new for i in range(new)]) for old, new in zip(x.shape[2:], (h, w), strict=True))
    return x[:, :, i][:, :, :, j]


def twice(x: Array) -> Array:
    return nearest(x, 2 * x.shape[2], 2 * x.shape[3])


def bilinear_matrix(old: int, new: int, corners: bool = False) -> Array:
    """(new, old): linear interpolation between the centres of cells, constant beyond the outer ones.

    With ``corners`` the outer centres of both lie on each other.
    """
    m = np.zeros((new, old))
    for i in range(new):
        at = i * (old - 1) / max(new - 1, 1) if corners else min(max((i + 0.5) * old / new - 0.5, 0), old - 1)
        low = min(int(at), old - 1)
        m[i, low] += 1 - (at - low)
        m[i, min(low + 1, old - 1)] += at - low
    return m


def bilinear(x: Array, h: int, w: int, corners: bool = False) -> Array:
    return bilinear_matrix(x.shape[-2], h, corners) @ x @ bilinear_matrix(x.shape[-1], w, corners).T


def pixel_shuffle(x: Array, s: int) -> Array:
    """Channel c s^2 + s i + j of a place becomes channel c at row parity i and column parity j of it."""
    b, c, h, w = x.shape
    y = np.zeros((b, c // s**2, s * h, s * w))
    for i in range(s):
        for j in range(s):
            y[:, :, i::s, j::s] = x[:, s * i + j :: s**2]
    return y


# -- stock layers of Ultralytics ---------------------------------------------------------------------------------------


def conv_bn(w: Weights, x: Array, stride: int = 1, padding: int | None = None) -> Array:
    return batch_norm(w["bn"], conv(w["conv"], x, stride, padding=padding))


def conv_bn_silu(w: Weights, x: Array, stride: int = 1) -> Array:
    """Ultralytics' Conv."""
    return silu(conv_bn(w, x, stride))


def c2f(w: Weights, x: Array) -> Array:
    """C2f with shortcuts: two halves, a chain of residual pairs of 3x3 from the second, everything concatenated."""
    parts = np.split(conv_bn_silu(w["cv1"], x), 2, 1)
    for pair in w["m"].parts():
        parts.append(parts[-1] + conv_bn_silu(pair["cv2"], conv_bn_silu(pair["cv1"], parts[-1])))
    return conv_bn_silu(w["cv2"], np.concatenate(parts, 1))


def adown(w: Weights, x: Array) -> Array:
    """ADown of YOLOv9: means of 2 x 2 one place apart, half by a 3x3 of stride 2, half by max pooling and a 1x1."""
    x = windows(x, 2, 1).mean(-1)
    a, b = np.split(x, 2, 1)
    return np.concatenate([conv_bn_silu(w["cv1"], a, 2), conv_bn_silu(w["cv2"], max_pool(b, 3, 2))], 1)

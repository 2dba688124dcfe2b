"""CAB-HL and the plain networks for land cover by their definitions, on float64 arrays; no code of the package."""

from __future__ import annotations

import numpy as np
from references.plain import Array, Weights, batch_norm, conv, linear, relu, softmax


def conv3d(w: Weights, x: Array) -> Array:
    """A convolution of odd kernel over (N, C, K, p, p), tap by tap, padded so that the size stays."""
    out, _, k, _, _ = w.weight.shape
    r = k // 2
    padded = np.pad(x, ((0, 0), (0, 0), (r, r), (r, r), (r, r)))
    depth, rows, cols = x.shape[2:]
    y = np.zeros((len(x), out, depth, rows, cols))
    for a in range(k):
        for b in range(k):
            for c in range(k):
                seen = padded[:, :, a : a + depth, b : b + rows, c : c + cols]
                y += np.einsum("oi,nidhw->nodhw", w.weight[:, :, a, b, c], seen)
    return y + w.bias[:, None, None, None] if w.has("bias") else y


def norm3d(w: Weights, x: Array) -> Array:
    n, c, d, h, v = x.shape
    return batch_norm(w, x.reshape(n, c, d * h, v)).reshape(x.shape)


def multi_path_3d(w: Weights, x: Array) -> Array:
    """Paths of 7, 5 and 3: conv, BN, ReLU, 1x1x1, BN, ReLU; joined by a 3x3x3; the input is added."""
    paths = [
        relu(norm3d(p[4], conv3d(p[3], relu(norm3d(p[1], conv3d(p[0], x)))))) for p in w["paths"].parts(3)
    ]  # fmt: skip
    return conv3d(w["join"], np.concatenate(paths, 1)) + x


def multi_path_depthwise(w: Weights, x: Array) -> Array:
    """The same in the plane, with a depthwise 3x3 before the 1x1."""
    paths = []
    for p in w["paths"].parts(3):
        y = relu(batch_norm(p[1], conv(p[0], x)))
        y = conv(p[3], y, groups=y.shape[1])
        paths.append(relu(batch_norm(p[5], conv(p[4], y))))
    return conv(w["join"], np.concatenate(paths, 1)) + (conv(w["same"], x) if w.has("same") else x)


def cross_attention(w: Weights, asks: Array, answers: Array, heads: int) -> Array:
    """Each head by itself: softmax(Q K^T / sqrt(width of a head)) V; heads side by side, then W_O."""
    q, k, v = linear(w["query"], asks), linear(w["key"], answers), linear(w["value"], answers)
    width = q.shape[2] // heads
    found = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        scores = np.einsum("ntd,nsd->nts", q[..., part], k[..., part]) / np.sqrt(width)
        found.append(np.einsum("nts,nsd->ntd", softmax(scores), v[..., part]))
    return linear(w["out"], np.concatenate(found, 2))


def tokens(x: Array) -> Array:
    """(N, C, K, p, p) or (N, C, p, p) to (N, p p, channels), place by place."""
    flat = x.reshape(len(x), -1, *x.shape[-2:])
    return np.stack([flat[:, :, i, j] for i in range(x.shape[-2]) for j in range(x.shape[-1])], 1)


def untokens(t: Array, shape: tuple[int, ...]) -> Array:
    out, side = np.zeros((len(t), t.shape[2], *shape[-2:])), shape[-1]
    for place in range(t.shape[1]):
        out[:, :, place // side, place % side] = t[:, place]
    return out.reshape(shape)


def reduced(w: Weights, x: Array) -> Array:
    """Bands (N, B, p, p) scaled, and projected where there are axes."""
    y = (x - w.low[:, None, None]) * w.factor[:, None, None]
    return np.einsum("kb,nbij->nkij", w.axes, y - w.mean[:, None, None]) if w.has("axes") else y


def cabhl(w: Weights, x: Array, bands: int, heads: int, fusion: str = "attention") -> Array:
    """Raw numbers (N, bands + rasters, p, p) to logits."""
    model = w
    h = reduced(model["reduction"], x[:, :bands])[:, None]
    there = x.shape[1] > bands
    lidar = reduced(model["scaling"], x[:, bands:]) if there else None
    for stage in model["stages"].parts():
        h = multi_path_3d(stage["hsi"], h)
        f = tokens(h)
        if stage.has("lidar") and lidar is not None:
            lidar = multi_path_depthwise(stage["lidar"], lidar)
        if fusion == "attention":
            answers = f if not stage.has("lidar") else None if lidar is None else tokens(lidar)
            f = f if answers is None else f + cross_attention(stage["attention"], f, answers, heads)
        elif fusion == "concat" and lidar is not None:
            f = linear(stage["mix"], np.concatenate([f, tokens(lidar)], 2))
        h = untokens(f, h.shape)
    head = model["head"]
    flat = h.reshape(len(h), -1, *h.shape[-2:])
    return linear(model["out"], relu(batch_norm(head[1], conv(head[0], flat))).mean((2, 3)))


def patch_cnn(w: Weights, x: Array, bands: int, three: bool) -> Array:
    """Raw numbers to logits by 3 px convolutions, of the plane or of a volume."""
    hsi, lidar = reduced(w["reduction"], x[:, :bands]), reduced(w["scaling"], x[:, bands:])
    if three:
        y = np.concatenate([hsi[:, None], np.repeat(lidar[:, :, None], hsi.shape[1], 2)], 1)
    else:
        y = np.concatenate([hsi, lidar], 1)
    layers, i = w["layers"], 0
    while layers.has(str(i)):
        y = relu(norm3d(layers[i + 1], conv3d(layers[i], y)) if three else
                 batch_norm(layers[i + 1], conv(layers[i], y)))  # fmt: skip
        i += 3
    return linear(w["out"], y.mean(tuple(range(2, y.ndim))))

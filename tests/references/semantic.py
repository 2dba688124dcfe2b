"""DeepLabV3+ and Hybrid-SegUFormer written out: dilated ResNet, ASPP, attention with coarser keys, U-Net, MSD."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from references.plain import (
    Array,
    Weights,
    batch_norm,
    bilinear,
    conv,
    gelu,
    layer_norm,
    linear,
    mean_of_twos,
    pooled,
    relu,
    softmax,
)  # fmt: skip


def conv_bn(w: Weights, x: Array, stride: int = 1, dilation: int = 1) -> Array:
    return batch_norm(w["bn"], conv(w["conv"], x, stride, dilation))


def conv_bn_relu(w: Weights, x: Array, stride: int = 1, dilation: int = 1) -> Array:
    return relu(conv_bn(w, x, stride, dilation))


# -- DeepLabV3+ --------------------------------------------------------------------------------------------------------


def max_pool_up(x: Array) -> Array:
    """3x3 windows of stride 2 that begin at -1, 1, 3, ..., as long as they begin on the map."""
    h, w = x.shape[2:]
    rows, cols = ([range(max(a, 0), min(a + 3, n)) for a in range(-1, n, 2)] for n in (h, w))
    return np.stack([np.stack([x[:, :, r][..., c].max((2, 3)) for c in cols], -1) for r in rows], -2)


def bottleneck(w: Weights, x: Array, stride: int = 1, dilation: int = 1) -> Array:
    y = conv_bn_relu(w["cv2"], conv_bn_relu(w["cv1"], x), stride, dilation)
    through = conv_bn(w["shortcut"], x, stride) if w.has("shortcut") else x
    return relu(conv_bn(w["cv3"], y) + through)


def basic(w: Weights, x: Array, stride: int = 1, dilation: int = 1) -> Array:
    y = conv_bn(w["cv2"], conv_bn_relu(w["cv1"], x, stride, dilation), 1, dilation)
    through = x
    if w.has("shortcut"):
        through = conv_bn(w["shortcut"][1], mean_of_twos(x) if stride == 2 else x)
    return relu(y + through)


def dilated_resnet(w: Weights, x: Array, depths: Sequence[int], block: str = "bottleneck") -> list[Array]:
    for i, layer in enumerate(w["stem"].parts(3)):
        x = conv_bn_relu(layer, x, 2 if i == 0 else 1)
    x, maps = max_pool_up(x), []
    make = {"bottleneck": bottleneck, "basic": basic}[block]
    for stage, layers, stride in zip(w["stages"].parts(4), depths, (1, 2, 2, 1), strict=True):
        for j, layer in enumerate(stage.parts(layers)):
            multi_grid = (2, 4, 8)[min(j, 2)] if len(maps) == 3 else 1
            x = make(layer, x, stride if j == 0 else 1, multi_grid)
        maps.append(x)
    return maps


def aspp(w: Weights, x: Array, rates: Sequence[int] = (6, 12, 18)) -> Array:
    image, point, *dilated = w["branches"].parts(2 + len(rates))
    spread = conv_bn_relu(image["cv"], pooled(x)) * np.ones((1, 1, *x.shape[2:]))
    maps = [conv_bn_relu(b, x, 1, d) for b, d in zip(dilated, rates, strict=True)]
    return conv_bn_relu(w["mix"], np.concatenate([spread, conv_bn_relu(point, x), *maps], 1))


def deeplab(w: Weights, x: Array, depths: Sequence[int], block: str, rates: Sequence[int] = (6, 12, 18)) -> Array:
    fine, *_, coarse = dilated_resnet(w["encoder"], x, depths, block)
    coarse = bilinear(aspp(w["aspp"], coarse, rates), *fine.shape[2:], corners=True)
    y = np.concatenate([coarse, conv_bn_relu(w["low"], fine)], 1)
    for layer in w["fuse_maps"].parts(2):
        y = conv_bn_relu(layer, y)
    return bilinear(conv(w["classifier"], y), *x.shape[2:], corners=True)


# -- Hybrid-SegUFormer -------------------------------------------------------------------------------------------------


def cells(x: Array) -> Array:
    """(B, C, H, W) to (B, H W, C)."""
    return x.reshape(*x.shape[:2], -1).transpose(0, 2, 1)


def as_map(z: Array, h: int, w: int) -> Array:
    return z.transpose(0, 2, 1).reshape(len(z), -1, h, w)


def attention(w: Weights, z: Array, h: int, width: int, heads: int, ratio: int = 1) -> Array:
    """One query after another; with a ratio its keys and values are those of cells of ratio x ratio."""
    source = z
    if ratio > 1:
        x, k = as_map(z, h, width), w["reduce"]
        coarse = np.zeros((len(z), z.shape[2], h // ratio, width // ratio))
        for i, j in np.ndindex(coarse.shape[2:]):
            cell = x[:, :, i * ratio : (i + 1) * ratio, j * ratio : (j + 1) * ratio]
            coarse[:, :, i, j] = np.einsum("ocab,ncab->no", k.weight, cell) + k.bias
        source = layer_norm(w["norm"], cells(coarse))
    q, k, v = linear(w["q"], z), linear(w["k"], source), linear(w["v"], source)
    y, d = np.zeros_like(z), z.shape[2] // heads
    for i in range(z.shape[1]):
        for head in range(heads):
            part = slice(head * d, head * d + d)
            share = softmax((k[:, :, part] * q[:, i, None, part]).sum(2) / np.sqrt(d))
            y[:, i, part] = (share[..., None] * v[:, :, part]).sum(1)
    return linear(w["out"], y)


def transformer_block(w: Weights, z: Array, h: int, width: int, heads: int, ratio: int = 1) -> Array:
    z = z + attention(w["attn"], layer_norm(w["norm1"], z), h, width, heads, ratio)
    return z + linear(w["ffn"][2], gelu(linear(w["ffn"][0], layer_norm(w["norm2"], z))))


def stage(w: Weights, x: Array, depth: int, heads: int, ratio: int = 1) -> Array:
    """Equation 1 and the blocks."""
    x = gelu(conv_bn(w["down"], x, 2))
    z, size = cells(x), x.shape[2:]
    for i in range(depth):
        z = transformer_block(w["blocks"][i], z, *size, heads, ratio)
    assert not w["blocks"].has(str(depth))
    return as_map(z, *size)


def up_block(w: Weights, below: Array, skip: Array, double: bool = True) -> Array:
    b, _, h, width = below.shape
    y = np.zeros((b, w["up"].weight.shape[1], 2 * h, 2 * width))
    for i, j in np.ndindex(2, 2):
        y[:, :, i::2, j::2] = np.einsum("io,bihw->bohw", w["up"].weight[..., i, j], below)
    y = np.concatenate([y + w["up"].bias[:, None, None], bilinear(skip, 2 * h, 2 * width)], 1)
    for layer in w["convs"].parts(1 + double):
        y = conv_bn_relu(layer, y)
    return y


def multi_scale_head(w: Weights, *maps: Array) -> Array:
    """As the paper has it: each map resized, then its 1x1 convolution."""
    full = maps[-1].shape[2:]
    same = [conv(r, bilinear(m, *full)) for r, m in zip(w["reduce"].parts(len(maps)), maps, strict=True)]
    return conv(w["classifier"], conv_bn_relu(w["mix"], np.concatenate(same, 1)))


def seguformer(
    w: Weights, x: Array, depths: Sequence[int], heads: Sequence[int], ratios: Sequence[int] = (1, 1, 1, 1),
    double: bool = True, d1_skip: str = "image", msd: bool = True,
) -> Array:  # fmt: skip
    f, at = [], x
    for part, depth, n, ratio in zip(w["stages"].parts(4), depths, heads, ratios, strict=True):
        f.append(at := stage(part, at, depth, n, ratio))
    d4 = up_block(w["ups"][0], f[3], f[2], double)
    d3 = up_block(w["ups"][1], d4, f[1], double)
    d2 = up_block(w["ups"][2], d3, f[0], double)
    d1 = up_block(w["ups"][3], d2, {"image": x, "f1": f[0]}[d1_skip], double)
    return multi_scale_head(w["head"], d4, d3, d2, d1) if msd else conv(w["head"], d1)

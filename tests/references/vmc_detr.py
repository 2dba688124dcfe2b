"""VMC-DETR written out (section 3 of the paper): heat blocks, MFADM, ESE, CAGFM, and the ResNet-18 of the baseline."""

from __future__ import annotations

import numpy as np
from references.plain import (
    Array,
    Weights,
    adown,
    bilinear,
    conv,
    conv_bn,
    conv_bn_silu,
    gelu,
    layer_norm,
    linear,
    max_pool,
    mean_of_twos,
    nearest,
    pooled,
    relu,
    sigmoid,
    silu,
)  # fmt: skip


def cosines(n: int) -> Array:
    """Orthonormal DCT-II: D[k, i] = s_k cos(pi k (i + 1/2) / n)."""
    d = np.zeros((n, n))
    for k in range(n):
        for i in range(n):
            d[k, i] = np.sqrt((1 if k == 0 else 2) / n) * np.cos(np.pi * k * (i + 0.5) / n)
    return d


def hco(w: Weights, x: Array, fve: Array) -> Array:
    """Equation 3 on half of a linear layer's output, gated by the other half; k t = ReLU(Linear(FVE))."""
    c, h, width = x.shape[1:]
    both = linear(w["in_proj"], conv(w["dwconv"], x, groups=c), 1)
    u, z = both[:, :c], both[:, c:]
    kt = relu(linear(w["to_k"], bilinear(fve, h, width), 0))
    d_h, d_w = cosines(h), cosines(width)
    spectrum = d_h @ u @ d_w.T
    for n in range(h):
        for m in range(width):
            spectrum[:, :, n, m] *= np.exp(-((np.pi * n / h) ** 2 + (np.pi * m / width) ** 2) * kt[:, n, m])
    u = d_h.T @ spectrum @ d_w
    return linear(w["out_proj"], layer_norm(w["norm"], u, 1, 1e-6) * silu(z), 1)


def heat_block(w: Weights, x: Array, fve: Array) -> Array:
    """Post-norm: x + LN(HCO(x)), then x + LN(MLP(x))."""
    x = x + layer_norm(w["norm1"], hco(w["hco"], x, fve), 1, 1e-6)
    hidden = gelu(linear(w["mlp"][0], x, 1))
    return x + layer_norm(w["norm2"], linear(w["mlp"][2], hidden, 1), 1, 1e-6)


def vheat_c2f(w: Weights, x: Array, n: int | None = None) -> Array:
    """Figure 4b: two halves, a chain of blocks from the second, everything concatenated."""
    parts = np.split(conv_bn_silu(w["cv1"], x), 2, 1)
    for block in w["m"].parts(n):
        parts.append(heat_block(block, parts[-1], w.fve))
    return conv_bn_silu(w["cv2"], np.concatenate(parts, 1))


def halved(w: Weights, x: Array, down: str) -> Array:
    """Table 9."""
    if down == "ADown":
        return adown(w, x)
    if down == "conv":
        return conv_bn_silu(w, x, 2)
    if down == "avgpool":
        return conv_bn_silu(w["cv"], mean_of_twos(x))
    # Half way between the centres of two cells: linear interpolation is the mean of a 2 x 2 cell, odd rests are cut.
    return conv_bn_silu(w["cv"], mean_of_twos(x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]))


def mfadm(w: Weights, p5: Array, p4: Array, p3: Array, down: str = "ADown") -> Array:
    """F = X + Conv1x1(X + sum_k X * DW_k) (equation 4) of the gathered levels, and a last 1x1."""
    size = p4.shape[2:]
    fine = nearest(halved(w["down3"], p3, down), *size)
    x = np.concatenate([conv_bn_silu(w["cv5"], nearest(p5, *size)), conv_bn_silu(w["cv4"], p4), fine], 1)
    spread = x.copy()
    for dw in w["dw"].parts():
        spread += conv(dw, x, groups=x.shape[1])
    return conv_bn_silu(w["project"], x + conv_bn_silu(w["pw"], spread))


def ese_gate(w: Weights, x: Array) -> Array:
    """Equations 5 and 6: the sigmoid of one full layer on the means, (B, C, 1, 1)."""
    return sigmoid(conv(w["fc"], pooled(x)))


def ese(w: Weights, x: Array) -> Array:
    """Equation 7."""
    return ese_gate(w, x) * x


def cagfm(w: Weights, *maps: Array) -> Array:
    """Equations 8 and 9; inputs of another width pass a 1x1 convolution first."""
    maps = [conv_bn_silu(w["align"][i], x) if w["align"].has(str(i)) else x for i, x in enumerate(maps)]
    gates = np.split(ese_gate(w["ese"], np.concatenate(maps, 1)), len(maps), 1)
    fused = []
    for i in range(len(maps)):
        y = gates[i] * maps[i]
        for k in range(len(maps)):
            if k != i:
                y = y + maps[k]
        fused.append(y)
    return np.concatenate(fused, 1)


# -- the baseline's backbone, ResNet-18 of variant "d" -----------------------------------------------------------------


def stem(w: Weights, x: Array) -> Array:
    """Three 3x3 convolutions, the first of stride 2, and the largest of 3x3 with stride 2."""
    for i, stride in enumerate((2, 1, 1)):
        x = relu(conv_bn(w["conv"][i], x, stride))
    return max_pool(x, 3, 2)


def basic_block(w: Weights, x: Array, stride: int) -> Array:
    """Two 3x3 convolutions and a shortcut; the shortcut is halved by means before its 1x1 convolution."""
    y = conv_bn(w["cv2"], relu(conv_bn(w["cv1"], x, stride)))
    if w.has("shortcut"):
        x = conv_bn(w["shortcut"][1], mean_of_twos(x) if stride == 2 else x)
    return relu(y + x)


def basic_layer(w: Weights, x: Array, stride: int) -> Array:
    for i, block in enumerate(w.parts()):
        assert block.has("shortcut") == (i == 0)
        x = basic_block(block, x, stride if i == 0 else 1)
    return x

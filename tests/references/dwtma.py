"""DWTMA-Net and AOD-Net written out: Haar bands, SAOD, dilated block, attentions, SK fusion, the U-shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from references.plain import (
    Array,
    Weights,
    batch_norm,
    conv,
    leaky_relu,
    pixel_shuffle,
    pooled,
    relu,
    sigmoid,
    softmax,
)  # fmt: skip


def haar(x: Array) -> tuple[Array, Array, Array, Array]:
    """LL, cH, cV, cD of each 2 x 2 cell [[a, b], [c, d]]; the last row or column of an odd size counts twice."""
    x = np.pad(x, ((0, 0), (0, 0), (0, x.shape[2] % 2), (0, x.shape[3] % 2)), mode="edge")
    a, b, c, d = x[:, :, ::2, ::2], x[:, :, ::2, 1::2], x[:, :, 1::2, ::2], x[:, :, 1::2, 1::2]
    return (a + b + c + d) / 2, (a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2


def haar_back(ll: Array, ch: Array, cv: Array, cd: Array) -> Array:
    """The transpose of :func:`haar`, which is its inverse."""
    y = np.zeros((*ll.shape[:2], 2 * ll.shape[2], 2 * ll.shape[3]))
    y[:, :, ::2, ::2], y[:, :, ::2, 1::2] = (ll + ch + cv + cd) / 2, (ll + ch - cv - cd) / 2
    y[:, :, 1::2, ::2], y[:, :, 1::2, 1::2] = (ll - ch + cv - cd) / 2, (ll - ch - cv + cd) / 2
    return y


def wdm(w: Weights, x: Array) -> Array:
    """Equation 2: Conv(x) + Conv(DWT(x)); the first term alone in the ablation."""
    y = conv(w["conv"], x, stride=2)
    return y + conv(w["bands"], np.concatenate(haar(x), 1)) if w.has("bands") else y


def saod(w: Weights, f: Array) -> Array:
    """Equations 5 to 7: K f - K + b."""
    k = sigmoid(conv(w["to_k"][3], leaky_relu(conv(w["to_k"][1], conv(w["to_k"][0], f)), 0.2)))
    b = sigmoid(conv(w["to_b"][3], leaky_relu(conv(w["to_b"][1], pooled(f)), 0.2)))
    return k * f - k + b


def dilated(w: Weights, x: Array) -> Array:
    """Section 3.2: dilations 1, 2, 1, and the input."""
    y = relu(conv(w["body"][0], x))
    y = relu(conv(w["body"][2], y, dilation=2))
    return conv(w["body"][4], y) + x


def dwb(w: Weights, x: Array) -> Array:
    """Equations 3 and 8: SAOD on LL, one dilated block for the three details."""
    ll, *details = haar(x)
    y = haar_back(saod(w["saod"], ll), *(dilated(w["details"], d) for d in details))
    return y[:, :, : x.shape[2], : x.shape[3]]


def fam(w: Weights, x: Array) -> Array:
    """1x1, ReLU, 1x1 on the real and imaginary parts of the orthonormal spectrum, and back."""
    spectrum = np.fft.rfft2(x, norm="ortho")
    parts = np.concatenate([spectrum.real, spectrum.imag], 1)
    re, im = np.split(conv(w["expand"], relu(conv(w["reduce"], parts))), 2, 1)
    return np.fft.irfft2(re + 1j * im, s=x.shape[2:], norm="ortho")


def _gate(w: Weights, x: Array, first: int) -> Array:
    return sigmoid(conv(w[first + 2], relu(conv(w[first], x))))


def mab(w: Weights, x: Array) -> Array:
    """Equations 9 to 11; the ablation leaves out CA, PA or FAM."""
    y = batch_norm(w["bn1"], conv(w["dw1"], x, groups=x.shape[1]))
    z = batch_norm(w["bn_point"], conv(w["point"], y)) + batch_norm(w["bn_cross"], conv(w["cross"], y))
    z = conv(w["mix"], relu(z))
    attended = []
    if w.has("pa"):
        attended.append(z * _gate(w["pa"], z, 0))  # one gate per pixel
    if w.has("ca"):
        attended.append(z * _gate(w["ca"], pooled(z), 1))  # one gate per channel
    a = sum(attended) if attended else z
    if w.has("fam"):
        a = a * sigmoid(fam(w["fam"], z))
    return x + conv(w["dw2"], batch_norm(w["bn_out"], conv(w["out"], a)), groups=x.shape[1])


def star_block(w: Weights, x: Array) -> Array:
    """StarNet: x + DW(BN(1x1(ReLU6(1x1 y) * 1x1 y))), y = BN(DW x)."""
    both = conv(w["both"], batch_norm(w["bn1"], conv(w["dw1"], x, groups=x.shape[1])))
    a, b = np.split(both, 2, 1)
    star = np.minimum(relu(a), 6) * b
    return x + conv(w["dw2"], batch_norm(w["bn_out"], conv(w["out"], star)), groups=x.shape[1])


def ffeb(w: Weights, x: Array) -> Array:
    """Figure 1: the wavelet block, then the attention block."""
    x = dwb(w["dwb"], x) if w.has("dwb") else x
    return mab(w["mab"], x) if w.has("mab.mix") else star_block(w["mab"], x)


def sk_fusion(w: Weights, u: Array, v: Array) -> Array:
    """Weights of u and v, per channel a softmax of two numbers made from the mean of u + v."""
    logits = conv(w["to_weights"][3], relu(conv(w["to_weights"][1], pooled(u + v))))
    c = u.shape[1]
    share = softmax(np.stack([logits[:, :c], logits[:, c:]]), 0)
    return share[0] * u + share[1] * v


def dwtma_net(w: Weights, x: Array, blocks: Sequence[int]) -> Array:
    """Figure 1, for sizes that are multiples of 8, without clamping; the soft head has one channel more than x.

    Args:
        w: Weights of the network.
        x: (B, C, H, W).
        blocks: N_1 to N_5.
    """

    def level(i: int, y: Array) -> Array:
        for block in w[f"level{i}"].parts(blocks[i - 1]):
            y = ffeb(block, y)
        return y

    def up(i: int, y: Array) -> Array:
        return pixel_shuffle(conv(w[f"up{i}"][0], y), 2)

    a = level(1, conv(w["stem"], x, border="reflect"))
    b = level(2, wdm(w["down1"], a))
    u = up(1, level(3, wdm(w["down2"], b)))
    u = up(2, level(4, sk_fusion(w["fuse1"], u, b) + u))
    y = conv(w["head"], level(5, sk_fusion(w["fuse2"], u, a) + u), border="reflect")
    if y.shape[1] == x.shape[1]:
        return x + y
    k, shift = y[:, :1], y[:, 1:]
    return k * x - shift + x


def aod_net(w: Weights, x: Array, b: float = 1.0) -> Array:
    """AOD-Net, figure 3: five convolutions make K; the result is K x - K + b, not below 0."""
    x1 = relu(conv(w["conv1"], x))
    x2 = relu(conv(w["conv2"], x1))
    x3 = relu(conv(w["conv3"], np.concatenate([x1, x2], 1)))
    x4 = relu(conv(w["conv4"], np.concatenate([x2, x3], 1)))
    k = relu(conv(w["conv5"], np.concatenate([x1, x2, x3, x4], 1)))
    return relu(k * x - k + b)

"""Detectors row by row as their sheets list them: which row reads what, and what each of ours computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from references import sar_ship, vmc_detr
from references.agree import weights_of
from references.plain import Array, Weights, adown, c2f, conv_bn, silu, twice
from torch import nn


def _conv(w: Weights, x: Array, stride: int = 1, act: bool = True, padding: int | None = None) -> Array:
    y = conv_bn(w, x, stride, padding)
    return silu(y) if act else y


WRITTEN: dict[str, Callable[..., Array]] = {
    "ADown": adown,
    "BasicLayer": vmc_detr.basic_layer,
    "C2f": c2f,
    "CAGFM": vmc_detr.cagfm,
    "Concat": lambda w, *x: np.concatenate(x, 1),
    "Conv": _conv,
    "ConvStem": vmc_detr.stem,
    "Identity": lambda w, x: x,
    "MFADM": vmc_detr.mfadm,
    "ShuffleAttention": sar_ship.shuffle_attention,
    "Upsample": lambda w, x: twice(x),
    "VHeatC2f": vmc_detr.vheat_c2f,
}
GIVEN = {"AIFI", "RepC3", "C3", "SPPF"}  # Ultralytics' own: computed by the row itself


class Rows:
    """Computes rows of a built model by their definitions.

    Args:
        model: In float64 and eval mode.

    Attributes:
        found: Output of each row that was asked for.
    """

    def __init__(self, model: nn.Module):
        self.rows, self.weights = model.model, weights_of(model)["model"]
        self.found: dict[int, Array] = {}

    def __call__(self, i: int, kind: str, *inputs: Array, **settings: int | bool | None) -> Array:
        """Row ``i``, which is to be of this kind."""
        assert type(self.rows[i]).__name__ == kind, (i, kind)
        if kind in GIVEN:
            with torch.no_grad():
                y = self.rows[i](*(torch.from_numpy(x) for x in inputs)).numpy()
        else:
            y = WRITTEN[kind](self.weights[i], *inputs, **settings)
        self.found[i] = y
        return y


Levels = tuple[Array, ...]


# -- VMC-DETR, its ablations and its baseline --------------------------------------------------------------------------


def heat_backbone(row: Rows, x: Array, heat4: str = "VHeatC2f", heat5: str = "VHeatC2f") -> Levels:
    """Rows 0 to 8: P3, P4 and P5."""
    x = row(1, "Conv", row(0, "Conv", x, stride=2), stride=2)
    p3 = row(4, "C2f", row(3, "Conv", row(2, "C2f", x), stride=2))
    p4 = row(6, heat4, row(5, "Conv", p3, stride=2))
    return p3, p4, row(8, heat5, row(7, "Conv", p4, stride=2))


def lite_backbone(row: Rows, x: Array) -> Levels:
    """The same with ADown in the place of the convolutions behind the stem."""
    x = row(1, "ADown", row(0, "Conv", x, stride=2))
    p3 = row(4, "C2f", row(3, "ADown", row(2, "C2f", x)))
    p4 = row(6, "VHeatC2f", row(5, "ADown", p3))
    return p3, p4, row(8, "VHeatC2f", row(7, "ADown", p4))


def resnet_backbone(row: Rows, x: Array) -> Levels:
    """Rows 0 to 4: P3, P4 and P5."""
    x = row(1, "BasicLayer", row(0, "ConvStem", x), stride=1)
    p3 = row(2, "BasicLayer", x, stride=2)
    p4 = row(3, "BasicLayer", p3, stride=2)
    return p3, p4, row(4, "BasicLayer", p4, stride=2)


def encoder(row: Rows, i: int, p5: Array) -> Array:
    """1x1 without activation, AIFI, 1x1."""
    return row(i + 2, "Conv", row(i + 1, "AIFI", row(i, "Conv", p5, act=False)))


def mfadm_neck(row: Rows, i: int, p3: Array, p4: Array, p5: Array, join: str) -> Levels:
    """From the encoder, row ``i``, on: P3, P4 and P5 for the decoder. In vmc-detr.yaml i is 9 and ``join`` CAGFM."""
    f5 = encoder(row, i, p5)
    i += 3
    gathered = row(i, "MFADM", f5, p4, p3)
    down = row(i + 1, "ADown", gathered)
    n5 = row(i + 3, "RepC3", row(i + 2, join, down, p5))  # P5'
    up = row(i + 4, "Upsample", gathered)
    n3 = row(i + 6, "RepC3", row(i + 5, join, up, p3))  # P3'
    again = row(i + 7, "MFADM", n5, gathered, n3)  # P4'
    down2 = row(i + 8, "ADown", again)
    out5 = row(i + 10, "RepC3", row(i + 9, join, down, down2, n5))
    up2 = row(i + 11, "Upsample", again)
    return row(i + 13, "RepC3", row(i + 12, join, up, up2, n3)), again, out5


def ccfm_neck(row: Rows, i: int, p3: Array, p4: Array, p5: Array, join: str) -> Levels:
    """The neck of RT-DETR, from the encoder on: down the levels with 1x1 laterals, and up again."""
    f5 = encoder(row, i, p5)
    x = row(i + 5, join, row(i + 3, "Upsample", f5), row(i + 4, "Conv", p4, act=False))
    f4 = row(i + 7, "Conv", row(i + 6, "RepC3", x))
    x = row(i + 10, join, row(i + 8, "Upsample", f4), row(i + 9, "Conv", p3, act=False))
    out3 = row(i + 11, "RepC3", x)
    out4 = row(i + 14, "RepC3", row(i + 13, join, row(i + 12, "Conv", out3, stride=2), f4))
    return out3, out4, row(i + 17, "RepC3", row(i + 16, join, row(i + 15, "Conv", out4, stride=2), f5))


# -- the SAR ship detector ---------------------------------------------------------------------------------------------


def sar_ship_levels(row: Rows, x: Array, attention: str, context: bool) -> Levels:
    """What the head reads: P3, P4, P5, and with the context-decoupled head P2 before and P6 behind them."""
    p2 = row(2, "C3", row(1, "Conv", row(0, "Conv", x, stride=2, padding=2), stride=2))
    b3 = row(4, "C3", row(3, "Conv", p2, stride=2))
    b4 = row(6, "C3", row(5, "Conv", b3, stride=2))
    b5 = row(9, "SPPF", row(8, "C3", row(7, "Conv", b4, stride=2)))
    t5 = row(10, "Conv", b5)
    t4 = row(14, "Conv", row(13, "C3", row(12, "Concat", row(11, "Upsample", t5), b4)))
    p3 = row(17, "C3", row(16, "Concat", row(15, "Upsample", t4), b3))
    p4 = row(20, "C3", row(19, "Concat", row(18, "Conv", p3, stride=2), t4))
    x = row(23, "C3", row(22, "Concat", row(21, "Conv", p4, stride=2), t5))
    p5 = row(24, attention, x)
    if not context:
        return p3, p4, p5
    return p2, p3, p4, p5, row(26, "C3", row(25, "Conv", p5, stride=2))

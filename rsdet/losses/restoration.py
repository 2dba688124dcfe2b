"""Losses of image-to-image networks: a weighted sum of terms that a model YAML names.

::

    loss: {l1: 1.0, fft: 0.1}

With d = output - target, (B, C, H, W), and F the 2-D Fourier transform over H and W:

===============  =====================================================================================================
``l1``           mean |d|
``mse``          mean d^2
``charbonnier``  mean sqrt(d^2 + 1e-6), L1 with a smooth minimum (Lai et al., CVPR 2017; epsilon = 1e-3)
``fft``          mean |Re F(d)| + mean |Im F(d)|, F without normalisation (DWTMA-Net equation 13 with its lambda of 0.1)
``fft_ortho``    the same with the orthonormal F: smaller by sqrt(H W), so its weight holds for patches of any size
``ssim``         1 - SSIM (Wang et al., IEEE TIP 2004; Gaussian windows of 11 px, sigma 1.5, those inside the picture)
===============  =====================================================================================================

DWTMA-Net does not print the normalisation of F. MIMO-UNet (Cho et al., ICCV 2021), where the 0.1 comes from, uses none,
and averages real and imaginary parts together, which is half of the sum here. At 80 px the weighted term is then 1.4 to
9 times the L1 term.

Terms of a network's own (the balance loss of a mixture of experts) come from its ``extra_losses()`` and are weighted by
the key of the same name. Everything is computed in float32, also under autocast: half-precision FFTs overflow and exist
for powers of two only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.errors import ConfigError, nearest
from rsdet.nn.constants import constant
from rsdet.nn.precision import full_precision

__all__ = ["TERMS", "RestorationLoss", "frequency_l1", "ssim_loss"]

_SSIM_PX, _SSIM_SIGMA = 11, 1.5


def frequency_l1(output: torch.Tensor, target: torch.Tensor, norm: str = "backward") -> torch.Tensor:
    """``mean |Re F(d)| + mean |Im F(d)|`` of the difference d (DWTMA-Net equation 13, without its factor lambda).

    Args:
        output: (B, C, H, W).
        target: Likewise.
        norm: Normalisation of F: ``backward`` (none) or ``ortho``.

    Returns:
        A scalar. It is linear in the scale of the difference, and 0 for equal images.
    """
    # Of a real image, half of the spectrum mirrors the other: columns 1 to (W - 1) // 2 count twice.
    spectrum = torch.fft.rfft2(output - target, norm=norm)
    w = output.shape[-1]

    def make() -> np.ndarray:
        twice = np.full(w // 2 + 1, 2.0)
        twice[0] = 1
        if w % 2 == 0:
            twice[-1] = 1
        return twice / w

    weight = constant(("mirrored columns", w), make, output.dtype, output.device)
    return ((spectrum.real.abs() + spectrum.imag.abs()).mean((0, 1, 2)) * weight).sum()


def ssim_loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """1 - SSIM, data range 1, mean over channels and over the windows that lie inside the picture.

    Raises:
        ConfigError: The pictures are smaller than a window, 11 px.
    """
    if min(output.shape[-2:]) < _SSIM_PX:
        raise ConfigError(
            f"the loss ssim needs patches of {_SSIM_PX} px or more, received "
            f"{output.shape[-1]}x{output.shape[-2]} px; enlarge patch or leave ssim out of loss."
        )
    c = output.shape[1]

    def make() -> np.ndarray:
        g = np.exp(-((np.arange(_SSIM_PX) - _SSIM_PX // 2) ** 2) / (2 * _SSIM_SIGMA**2))
        return g / g.sum()

    taps = constant(("ssim window",), make, output.dtype, output.device)
    maps = torch.cat([output, target, output * output, target * target, output * target], 1)
    rows = taps.view(1, 1, -1, 1).expand(5 * c, 1, -1, 1)
    smooth = F.conv2d(F.conv2d(maps, rows, groups=5 * c), rows.transpose(2, 3), groups=5 * c)
    x, y, xx, yy, xy = smooth.chunk(5, 1)
    c1, c2 = 0.01**2, 0.03**2
    s = (2 * x * y + c1) * (2 * (xy - x * y) + c2) / ((x * x + y * y + c1) * (xx - x * x + yy - y * y + c2))
    return 1 - s.mean()


TERMS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "l1": F.l1_loss,
    "mse": F.mse_loss,
    "charbonnier": lambda output, target: ((output - target).square() + 1e-6).sqrt().mean(),
    "fft": frequency_l1,
    "fft_ortho": lambda output, target: frequency_l1(output, target, "ortho"),
    "ssim": ssim_loss,
}


class RestorationLoss:
    """Weighted sum of :data:`TERMS` and of a network's own losses.

    Args:
        terms: Weight of each term, 0 or more; a term of weight 0 is not computed.

    Raises:
        ConfigError: No term, or a weight that is no such number.
    """

    def __init__(self, terms: Mapping[str, float]):
        if not isinstance(terms, Mapping) or not terms:
            raise ConfigError(f"loss: must name terms and their weights, such as {{l1: 1.0}}, received {terms!r}.")
        for name, weight in terms.items():
            number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
            if not number or not math.isfinite(weight) or weight < 0:
                raise ConfigError(f"loss: the weight of {name} must be a number, 0 or more, received {weight!r}.")
        self.terms = {str(k): float(v) for k, v in terms.items() if v > 0}
        if not set(self.terms) & set(TERMS):
            raise ConfigError(f"loss: needs a term of {list(TERMS)} with a weight above 0, received {dict(terms)}.")

    def __call__(
        self, output: torch.Tensor, target: torch.Tensor, network: nn.Module | None = None
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch.

        Args:
            output: (B, C, H, W), not clamped.
            target: The clear pictures, of the same shape, in [0, 1].
            network: Where its ``extra_losses()`` are asked for; they are there after a forward pass in training.

        Returns:
            The weighted sum, and the terms without their weights and without gradient, by name.

        Raises:
            ConfigError: A term that neither this file nor the network knows, or shapes that differ.
        """
        if output.shape != target.shape:
            raise ConfigError(
                f"the network gives {tuple(output.shape)} (B, C, H, W), the target is {tuple(target.shape)}; the scale "
                "of the model and that of the data must be the same."
            )
        extra = self._extra(network)
        wide = torch.promote_types(output.dtype, torch.float32)
        with full_precision(output.device):
            output, target = output.to(wide), target.to(wide)
            parts = {k: TERMS[k](output, target) for k in self.terms if k in TERMS}
            parts |= {k: extra[k] for k in self.terms if k in extra}
            total = sum(self.terms[k] * v.to(wide) for k, v in parts.items())
        return total, {k: v.detach() for k, v in parts.items()}

    def _extra(self, network: nn.Module | None) -> dict[str, torch.Tensor]:
        """The network's own losses; empty while it does not train."""
        asked = [k for k in self.terms if k not in TERMS]
        give = getattr(network, "extra_losses", None)
        extra = give() if give else {}  # also where none is asked for: the network need not keep them
        # A network that gives none now may give some in training; one that does not train is in no position to.
        known = [*TERMS, *extra] if extra or not give else None
        for name in asked:
            if known is not None and name not in known:
                raise ConfigError(f"loss: {name!r} is none of {known}.{nearest(name, known)}")
        return extra

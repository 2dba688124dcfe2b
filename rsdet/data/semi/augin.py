"""AugIN: pictures of a batch exchange the mean or the spread of their channels (S5Mars equation 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rsdet.errors import ConfigError, nearest

VARIANTS = ("sigma", "mu", "both")
_SMALLEST = 1e-6  # spread of a flat channel, which has no texture to be scaled


def augin(
    pictures: torch.Tensor, order: Sequence[int], variant: str = "sigma", valid: torch.Tensor | None = None
) -> torch.Tensor:
    """Give every picture the statistics of another, channel by channel.

    With mean mu and population deviation sigma over H and W, picture i becomes
    ``(x_i - mu_i) / sigma_i * sigma_order(i) + mu_i`` (``sigma``), ``x_i - mu_i + mu_order(i)`` (``mu``), or both.
    Mean and variance of the whole batch stay as they are, so nothing is clipped.

    Args:
        pictures: (B, C, H, W) float, in any range.
        order: Permutation of the batch: whose statistics each picture gets. Its own are allowed.
        variant: ``sigma``, ``mu`` or ``both``.
        valid: (B, H, W) bool: statistics are those of these pixels, and others stay; None for all.

    Raises:
        ConfigError: No such variant.
    """
    if variant not in VARIANTS:
        raise ConfigError(
            f"augin={variant!r} received; expected one of {', '.join(VARIANTS)}.{nearest(variant, VARIANTS)}"
        )
    share = torch.ones_like(pictures[:, :1]) if valid is None else valid[:, None].to(pictures.dtype)
    count = share.sum((2, 3), keepdim=True).clamp(min=1)
    mean = (pictures * share).sum((2, 3), keepdim=True) / count
    spread = (((pictures - mean) * share).square().sum((2, 3), keepdim=True) / count).sqrt()
    order = torch.as_tensor(order, device=pictures.device)
    result = pictures - mean
    if variant != "mu":
        result = result / spread.clamp(min=_SMALLEST) * spread[order]
    result = result + (mean if variant == "sigma" else mean[order])
    return result if valid is None else torch.where(valid[:, None].bool(), result, pictures)

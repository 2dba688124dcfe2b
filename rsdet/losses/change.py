"""The loss of change networks: cross-entropy and Dice of one logit a pixel, both of labelled pixels alone.

Source: SSA-Net (Remote Sens. 2025, 17, 2249), equations 8 to 10; Dice with squares in its denominator.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from rsdet.errors import ConfigError
from rsdet.metrics.confusion import IGNORE

DICE = ("sample", "batch")
EPS = 1e-6


class ChangeLoss:
    """Cross-entropy plus Dice.

    Args:
        dice: ``sample``: Dice of each picture, then the mean, as the paper; a picture without a change then adds
            nearly 1 whatever is found. ``batch``: Dice of all pixels of a batch.

    Raises:
        ConfigError: Another word.
    """

    def __init__(self, dice: str = "sample"):
        if dice not in DICE:
            raise ConfigError(f"dice={dice!r} must be one of {', '.join(DICE)}.")
        self.dice = dice

    def __call__(self, logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss and its terms.

        Args:
            logits: (B, 1, H, W).
            target: (B, H, W), 1 where something has changed, 0 where not, 255 where nobody knows.

        Returns:
            The sum, with a gradient, and ``bce`` and ``dice`` without; 0 where no pixel is labelled.
        """
        logits = logits[:, 0].float()
        known = target != IGNORE
        truth = (target == 1).float()
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        bce = torch.where(known, each, 0.0).sum() / known.sum().clamp(min=1)
        p = torch.where(known, logits.sigmoid(), 0.0)
        axes = (1, 2) if self.dice == "sample" else (0, 1, 2)
        both = (p * truth * known).sum(axes)
        either = (p**2).sum(axes) + (truth * known).sum(axes)
        labelled = known.sum(axes) > 0
        each = torch.where(labelled, 1 - 2 * both / (either + EPS), 0.0)
        dice = each.sum() / labelled.sum().clamp(min=1)
        return bce + dice, {"bce": bce.detach(), "dice": dice.detach()}

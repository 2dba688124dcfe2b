"""Pixelwise losses of semi-supervised segmentation: against labels, and against pseudo-labels hard, soft or squared.

With p_s the student's softmax, p_t the teacher's, conf = max p_t, and means over all valid pixels (S5Mars equations 2,
3 and 6; without nodata these are all B * H * W):

===========  ===========================================================================
supervised   sum of CE(p_s, y) / labelled pixels; 0 without any
hard         mean of CE(p_s, argmax p_t) * 1[conf > t_hard]
soft         mean of -sum_c p_t log p_s * 1[conf < t_soft]
squared      mean over pixels and classes of (p_s - p_t)^2 (Mean Teacher)
===========  ===========================================================================

A network with a single logit s counts as one with the two logits (0, s), whose softmax is (1 - sigmoid(s), sigmoid(s)):
CE is then binary cross-entropy. Everything is computed in float32 or wider.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

IGNORE = 255  # of a label: not labelled


class PseudoLabels(NamedTuple):
    """What a teacher says of a batch, and where it needs no asking.

    Attributes:
        probs: (B, K, H, W) softmax of the teacher.
        classes: (B, H, W) int64, its argmax; the label where there is one.
        confidence: (B, H, W), its maximum; 1 where there is a label.
        known: (B, H, W) bool, pixels with a label: they take part in the hard loss alone.
        valid: (B, H, W) bool, pixels with data: no other takes part or is counted.
    """

    probs: torch.Tensor
    classes: torch.Tensor
    confidence: torch.Tensor
    known: torch.Tensor
    valid: torch.Tensor

    @classmethod
    def of(
        cls, logits: torch.Tensor, labels: torch.Tensor | None = None, valid: torch.Tensor | None = None
    ) -> PseudoLabels:
        """Pseudo-labels from a teacher's logits, without gradient.

        Args:
            logits: (B, K, H, W).
            labels: (B, H, W) int64 of the same pictures, 255 where there is none; None without any.
            valid: (B, H, W) bool; None where all pixels hold data.
        """
        probs = class_logits(logits.detach()).softmax(1)
        confidence, classes = probs.max(1)
        known = torch.zeros_like(classes, dtype=torch.bool) if labels is None else labels != IGNORE
        if labels is not None:
            classes = torch.where(known, labels, classes)
        valid = torch.ones_like(known) if valid is None else valid.bool()
        return cls(probs, classes, confidence.masked_fill(known, 1.0), known, valid)


def class_logits(logits: torch.Tensor) -> torch.Tensor:
    """(B, K, H, W) logits in float32 or wider; a single logit becomes those of background and foreground."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def supervised_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the labelled pixels, summed and divided by their number; 0 where there is none.

    Args:
        logits: (B, K, H, W).
        labels: (B, H, W) int64, 255 where there is none.
    """
    loss = F.cross_entropy(class_logits(logits), labels, ignore_index=IGNORE, reduction="sum")
    return loss / (labels != IGNORE).sum().clamp(min=1)


def ohem_loss(logits: torch.Tensor, labels: torch.Tensor, below: float = 0.7, at_least: int = 100_000) -> torch.Tensor:
    """Mean cross-entropy of hard pixels (AugSeg): probability of the label under ``below``, ``at_least`` so many."""
    pixels = F.cross_entropy(class_logits(logits), labels, reduction="none", ignore_index=IGNORE)[labels != IGNORE]
    if not len(pixels):
        return pixels.sum()
    right = (-pixels.detach()).exp()
    limit = right.kthvalue(min(at_least, len(right))).values
    return pixels[(right < below) | (right <= limit)].mean()


def hard_loss(logits: torch.Tensor, pseudo: PseudoLabels, t_hard: float) -> torch.Tensor:
    """Cross-entropy with the classes that the teacher is sure of, and with the labels that are known.

    Args:
        logits: (B, K, H, W) of the student.
        pseudo: What it should have said.
        t_hard: Confidence above which a pixel counts; 0 takes all.
    """
    chosen = (pseudo.known | (pseudo.confidence > t_hard)) & pseudo.valid
    target = pseudo.classes.masked_fill(~chosen, IGNORE)
    return F.cross_entropy(class_logits(logits), target, ignore_index=IGNORE, reduction="sum") / _count(pseudo)


def soft_loss(logits: torch.Tensor, pseudo: PseudoLabels, t_soft: float) -> torch.Tensor:
    """Cross-entropy with the teacher's probabilities where its confidence is below ``t_soft``, labels left out."""
    chosen = (pseudo.confidence < t_soft) & pseudo.valid & ~pseudo.known
    pixels = -(pseudo.probs * class_logits(logits).log_softmax(1)).sum(1)
    return pixels.masked_fill(~chosen, 0.0).sum() / _count(pseudo)


def squared_loss(logits: torch.Tensor, pseudo: PseudoLabels) -> torch.Tensor:
    """Squared difference of probabilities, mean over classes and valid pixels.

    For a single logit this is mean (sigmoid(s) - sigmoid(t))^2: both classes differ by as much.
    """
    pixels = (class_logits(logits).softmax(1) - pseudo.probs).square().mean(1)
    return pixels.masked_fill(~pseudo.valid, 0.0).sum() / _count(pseudo)


def _count(pseudo: PseudoLabels) -> torch.Tensor:
    return pseudo.valid.sum().clamp(min=1)

"""The one loop of semi-supervised segmentation: what a step learns from labelled pictures and from others.

Pictures without labels are seen twice: weakly augmented by whom makes pseudo-labels, and strongly augmented by the
student, who shall say the same::

    L = supervised + lambda_u * sum over views of weight * (hard + lambda_s * soft, or squared)

:mod:`rsdet.losses.semi_settings` says what each method does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rsdet.data.semi.appearance import change_appearance
from rsdet.errors import ConfigError
from rsdet.losses.feature_dropout import feature_dropout, named_layers
from rsdet.losses.pseudo_labels import (
    IGNORE,
    PseudoLabels,
    hard_loss,
    ohem_loss,
    soft_loss,
    squared_loss,
    supervised_loss,
)
from rsdet.losses.semi_settings import SemiSettings


class LabelledBatch(TypedDict):
    """What every batch holds: ``image`` (B, C, H, W) float and ``label`` (B, H, W) int64, 255 where there is none."""

    image: torch.Tensor
    label: torch.Tensor


class SemiBatch(LabelledBatch, total=False):
    """A batch of labelled pictures and of others, all of one size.

    Attributes:
        valid: (B, H, W) bool, pixels of ``image`` that hold data; all, where it is absent.
        weak: (U, C, H, W), pictures weakly augmented.
        weak_label: (U, H, W) int64, what is labelled in them, 255 elsewhere; nothing, where it is absent.
        weak_valid: (U, H, W) bool, as ``valid``; False in what a crop adds around a picture, too.
        object: (U, H, W), one object of each, zeros where there is none; for the mix ``object``.
    """

    valid: torch.Tensor
    weak: torch.Tensor
    weak_label: torch.Tensor
    weak_valid: torch.Tensor
    object: torch.Tensor


class View(NamedTuple):
    """Pictures that the student shall label as given; None stands for the labelled pictures themselves."""

    pictures: torch.Tensor | None
    target: PseudoLabels
    weight: float


def full_logits(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """(B, K, H, W) logits of the size of the pictures: the first output of a network, enlarged where it is smaller."""
    output = network(pictures)
    output = output[0] if isinstance(output, (list, tuple)) else output
    if output.shape[-2:] == pictures.shape[-2:]:
        return output
    return F.interpolate(output, pictures.shape[-2:], mode="bilinear", align_corners=False)


class SemiMethod:
    """The loss of a batch by one method.

    Args:
        settings: Of the method.
        features: Names of the student's layers whose output loses channels in the feature stream.
        forward: From a network and pictures to logits of their size.

    Raises:
        ConfigError: The method has a feature stream and no layer is named.
    """

    def __init__(
        self,
        settings: SemiSettings,
        features: Sequence[str] = (),
        forward: Callable[[nn.Module, torch.Tensor], torch.Tensor] = full_logits,
    ):
        if settings.feature_weight and not features:
            raise ConfigError("features= is empty; name the layers of the network whose output loses channels")
        self.settings, self.features, self.forward = settings, tuple(features), forward

    def losses(
        self, student: nn.Module, teacher: nn.Module, batch: SemiBatch, rng: np.random.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch.

        Args:
            student: In training mode. It is called once with a gradient, with all pictures in one batch.
            teacher: Its EMA, in eval mode.
            batch: See :class:`SemiBatch`; a method that learns from labels alone needs the labelled half only.
            rng: Source of all randomness but that of dropout.

        Returns:
            The loss, and its terms without their weights and without gradient: ``supervised``, and ``hard``, ``soft``
            or ``squared`` where the method has them.
        """
        views = self._views(student, teacher, batch, rng)
        first, answers = self._answers(student, batch["image"], views)
        label = batch["label"]
        if (valid := batch.get("valid")) is not None:
            label = label.masked_fill(~valid.bool(), IGNORE)
        parts = {"supervised": ohem_loss(first, label) if self.settings.ohem else supervised_loss(first, label)}
        parts |= self._consistency(views, answers)
        return self._total(parts), {name: value.detach() for name, value in parts.items()}

    def _views(self, student: nn.Module, teacher: nn.Module, batch: SemiBatch, rng: np.random.Generator) -> list[View]:
        s = self.settings
        if not s.lambda_u:
            return []
        if s.distill:
            axes = (-1,) if s.flip_teacher else ()
            logits = self._judge(teacher, batch["image"].flip(axes)).flip(axes)
            return [View(None, PseudoLabels.of(logits, None, batch.get("valid")), 1.0)]
        weak, valid, label = batch["weak"], batch.get("weak_valid"), batch.get("weak_label")
        logits = self._judge(teacher if s.labels_by == "teacher" else student, weak)
        pseudo = PseudoLabels.of(logits, label, valid)
        views = [self._strong(weak, pseudo, batch.get("object"), weight, rng) for weight in s.streams]
        return views + ([View(weak, pseudo, s.feature_weight)] if s.feature_weight else [])

    def _strong(
        self, weak: torch.Tensor, pseudo: PseudoLabels, objects: torch.Tensor | None, weight: float,
        rng: np.random.Generator,
    ) -> View:  # fmt: skip
        pictures = change_appearance(weak, self.settings.appearance, rng, pseudo.valid)
        for mix in self.settings.mix:
            pictures, *maps = mix([pictures, *pseudo], pseudo.classes, objects, rng)
            pseudo = PseudoLabels(*maps)
        return View(pictures, pseudo, weight)

    def _judge(self, network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), _evaluating(network):
            return self.forward(network, pictures)

    def _answers(
        self, student: nn.Module, image: torch.Tensor, views: Sequence[View]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The student's logits of the labelled pictures, and of every view."""
        pictures = [image, *(v.pictures for v in views if v.pictures is not None)]
        dropped = len(pictures[-1]) if views and self.settings.feature_weight else 0
        layers = named_layers(student, self.features) if dropped else ()
        with feature_dropout(layers, dropped, self.settings.feature_p):
            logits = self.forward(student, torch.cat(pictures)).split([len(p) for p in pictures])
        rest = iter(logits[1:])
        return logits[0], [logits[0] if v.pictures is None else next(rest) for v in views]

    def _consistency(self, views: Sequence[View], answers: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        s, pairs = self.settings, list(zip(answers, views, strict=True))
        if not pairs:
            return {}
        if s.squared:
            return {"squared": sum(v.weight * squared_loss(a, v.target) for a, v in pairs)}
        parts = {}
        if s.t_hard is not None:
            parts["hard"] = sum(v.weight * hard_loss(a, v.target, s.t_hard) for a, v in pairs)
        if s.t_soft is not None:
            parts["soft"] = sum(v.weight * soft_loss(a, v.target, s.t_soft) for a, v in pairs)
        return parts

    def _total(self, parts: dict[str, torch.Tensor]) -> torch.Tensor:
        s = self.settings
        soft = s.lambda_s * (1.0 if s.soft_outside_lambda else s.lambda_u)
        weights = {"supervised": 1.0, "hard": s.lambda_u, "squared": s.lambda_u, "soft": soft}
        return sum(weights[name] * value for name, value in parts.items())


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode for a while; every layer then goes back to the mode that it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

"""The teacher of semi-supervised training: a running mean of the student's weights, moved after every step."""

from __future__ import annotations

import torch
from torch import nn
from ultralytics.utils.torch_utils import ModelEMA, unwrap_model


def teacher_momentum(step: int, most: float = 0.996) -> float:
    """Share of the old teacher at a step counted from 0: 0, 1/2, 2/3, 3/4 ... until ``most`` (0.996 from step 249)."""
    return min(1 - 1 / (step + 1), most)


class EMATeacher(ModelEMA):
    """Stands where Ultralytics' trainer keeps its EMA, so it is validated, saved and resumed as that one.

    Parameters and float buffers (statistics of batch norms) are averaged, whole numbers are copied. ``ema`` is the
    teacher: in eval mode, without gradient.

    Args:
        student: Network to follow.
        momentum: Largest share of the old teacher.
        ramp: Begin as the student and rise as :func:`teacher_momentum` (S5Mars); else constant from the first step
            (Hybrid-SegUFormer, with 0.99).
        updates: Steps already made.
    """

    def __init__(self, student: nn.Module, momentum: float = 0.996, ramp: bool = True, updates: int = 0):
        super().__init__(student, updates=updates)
        self.decay = lambda updates: teacher_momentum(updates - 1, momentum) if ramp else momentum

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the teacher towards the student."""
        super().update(model)
        if self.enabled:
            state = unwrap_model(model).state_dict()
            for name, value in self.ema.state_dict().items():
                if not value.dtype.is_floating_point:
                    value.copy_(state[name])

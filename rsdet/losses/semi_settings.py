"""Methods of semi-supervised segmentation as settings of the one loop in :mod:`rsdet.losses.semi`.

=================  =========  ==================================  ======================  =============================
method             labels by  strong view                         loss of it              source
=================  =========  ==================================  ======================  =============================
supervised         -          -                                   -                       -
mean-teacher       teacher    noise                               squared                 Tarvainen, Valpola, NIPS 2017
fixmatch           student    colour jitter, CutMix               hard above 0.95         Sohn et al., NeurIPS 2020
augseg             teacher    random intensity, CutMix            hard                    Zhao et al., CVPR 2023
unimatch           student    two of colour jitter and CutMix,    hard above 0.95         Yang et al., CVPR 2023
                              one of dropped feature channels
s5mars             teacher    AugIN, then SAM-Mix                 hard above 0.7,         Zhang et al., TGRS 2024
                                                                  soft below 0.9
self-distillation  teacher    the labelled pictures themselves    squared, weight 0.1     Zhao et al., Remote Sens. 2025
=================  =========  ==================================  ======================  =============================

Known departures. FixMatch's strong view is the one that UniMatch's authors use for segmentation. UniMatch halves its
whole loss, which is a matter of the learning rate. Where the student labels, it does so in eval mode, so that no
picture counts twice in the statistics of its batch norms. AugSeg's adaptive choice of labelled pictures as sources of
CutMix is left out. Pixels of unlabelled pictures that do carry a label use it in every method, as S5Mars does.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from typing import Any

from rsdet.data.semi.appearance import check_appearance
from rsdet.data.semi.mixing import Mix
from rsdet.errors import ConfigError, nearest


@dataclass(frozen=True)
class SemiSettings:
    """What a method does.

    Attributes:
        lambda_u: Weight of all that stands on pseudo-labels; 0 learns from labels alone.
        lambda_s: Weight of the soft loss beside the hard one.
        labels_by: Who makes pseudo-labels: ``teacher``, the EMA, or ``student``.
        streams: Weight of each strong view of the pictures.
        appearance: How strong views look, see :mod:`rsdet.data.semi.appearance`.
        mix: What is pasted into them, one round after the other.
        feature_weight: Weight of one more view, not augmented, with channels of the student's features dropped.
        feature_p: Probability of a channel to be dropped.
        t_hard: Confidence above which the hard loss counts; None leaves it out, 0 takes all pixels.
        t_soft: Confidence below which the soft loss counts; None leaves it out.
        squared: The squared difference of probabilities instead of both.
        soft_outside_lambda: ``lambda_u`` does not weigh the soft loss (as the release of S5Mars has it).
        ohem: Labelled pixels count where they are hard (as that release), else all of them.
        distill: Pseudo-labels are those of the labelled pictures, not of others; there are no strong views.
        flip_teacher: In distillation, the teacher sees the pictures mirrored.
        momentum: Of the teacher, see :class:`rsdet.losses.ema_teacher.EMATeacher`.
        ramp: Likewise.
    """

    lambda_u: float = 1.0
    lambda_s: float = 1.0
    labels_by: str = "teacher"
    streams: tuple[float, ...] = (1.0,)
    appearance: str = "none"
    mix: tuple[Mix, ...] = ()
    feature_weight: float = 0.0
    feature_p: float = 0.5
    t_hard: float | None = None
    t_soft: float | None = None
    squared: bool = False
    soft_outside_lambda: bool = False
    ohem: bool = False
    distill: bool = False
    flip_teacher: bool = False
    momentum: float = 0.996
    ramp: bool = True

    def __post_init__(self) -> None:
        for name in ("lambda_u", "lambda_s", "feature_weight"):
            _check_number(name, getattr(self, name), math.inf)
        for name in ("feature_p", "momentum", "t_hard", "t_soft"):
            if getattr(self, name) is not None or not name.startswith("t_"):
                _check_number(name, getattr(self, name), 1.0)
        if self.labels_by not in ("teacher", "student"):
            raise ConfigError(f"labels_by={self.labels_by!r} received; expected teacher or student")
        check_appearance(self.appearance)
        if self.t_hard is not None and self.t_soft is not None and self.t_hard > self.t_soft:
            logging.getLogger("rsdet").warning(
                "t_hard=%g is above t_soft=%g: pixels whose confidence lies between them teach nothing",
                self.t_hard, self.t_soft,
            )  # fmt: skip


def _check_number(name: str, value: Any, largest: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        upto = "0 to 1" if largest == 1 else "0 or more"
        raise ConfigError(f"{name}={value!r} received; expected a number, {upto}; change {name}")


_JITTERED = SemiSettings(labels_by="student", appearance="jitter", mix=(Mix("box", p=0.5),), t_hard=0.95)
METHODS: dict[str, SemiSettings] = {
    "supervised": SemiSettings(lambda_u=0.0),
    "mean-teacher": SemiSettings(appearance="noise", squared=True),
    "fixmatch": _JITTERED,
    "augseg": SemiSettings(lambda_u=2.0, appearance="intensity", mix=(Mix("rect"),), t_hard=0.0),
    "unimatch": replace(_JITTERED, streams=(0.25, 0.25), feature_weight=0.5),
    "s5mars": SemiSettings(lambda_u=2.0, appearance="augin-sigma", mix=(Mix("object"),), t_hard=0.7, t_soft=0.9),
    "self-distillation": SemiSettings(lambda_u=0.1, squared=True, distill=True, momentum=0.99, ramp=False),
}


def method_settings(method: str, **changes: Any) -> SemiSettings:
    """Settings of a method by name, some of them changed.

    Raises:
        ConfigError: No such method, or a value that cannot be.
    """
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise ConfigError(f"method={method!r} received; expected one of {known}.{nearest(str(method), METHODS)}")
    return replace(METHODS[method], **changes)

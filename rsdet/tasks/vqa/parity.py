"""Do exported parts answer as their network does?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rsdet.deploy.verify import Run
from rsdet.errors import DataError
from rsdet.tasks.vqa.answering import softmax

TOL, TOL_HALF = 1e-3, 2e-2  # of a probability; features may be further apart where a threshold is nearby


@dataclass(frozen=True)
class AnswerParity:
    """Outcome of :func:`compare_answers`.

    Attributes:
        pictures: Pictures that were asked about.
        questions: Questions, over all of them.
        closed: How many of them the network takes for questions of yes or no.
        same: Questions to which both give one answer by one route.
        ties: Of the others, those whose two best answers or whose types are equally likely within the tolerance.
        apart: Largest difference of a probability, of an answer or a type; where the types tie, of the types alone.
        answers: Different answers that the network gives.
        tol: What it was judged by.
        spread: How much the probabilities of the network vary; 0 where all questions are answered alike.
    """

    pictures: int
    questions: int
    closed: int
    same: int
    ties: int
    apart: float
    answers: int
    tol: float
    spread: float

    @property
    def ok(self) -> bool:
        """Whether all answers and types are the same, ties aside, and all probabilities are near enough."""
        return self.same + self.ties == self.questions and self.apart <= self.tol

    @property
    def vacuous(self) -> bool:
        """Whether the network says one and the same to everything."""
        return self.spread <= self.tol

    def summary(self) -> str:
        """The outcome in one line."""
        word = "FAILED" if not self.ok else "not shown (all is answered alike)" if self.vacuous else "ok"
        return (
            f"parity {word}: {self.same} of {self.questions} answers about {self.pictures} pictures agree "
            f"({self.ties} ties; {self.closed} closed questions, {self.answers} different answers), largest difference "
            f"of a probability {self.apart:.2g} (allowed {self.tol:g})"
        )


def compare_answers(runs: Sequence[Run], half: bool = False) -> AnswerParity:
    """Compare what a network and its exported parts say to the same questions.

    Args:
        runs: Pictures, and logits (Q, A) and probabilities of the types (Q, 2) of both.
        half: The artifact has weights in FP16.

    Raises:
        DataError: The outputs differ in size.
    """
    tol = TOL_HALF if half else TOL
    (logits, types), (logits_got, types_got) = (
        [np.concatenate([np.asarray(side[i], np.float64) for side in sides]) for i in (0, 1)]
        for sides in ([r.expected for r in runs], [r.got for r in runs])
    )
    if logits.shape != logits_got.shape or types.shape != types_got.shape:
        raise DataError(f"the network gives {logits.shape} and its parts {logits_got.shape}; export again.")
    p, got = softmax(logits), softmax(logits_got)
    torn = np.abs(types[:, 0] - types[:, 1]) <= 2 * tol
    of_types, of_answers = np.abs(types - types_got).max(1), np.abs(p - got).max(1)
    closed, closed_got = types[:, 0] > types[:, 1], types_got[:, 0] > types_got[:, 1]
    best = np.sort(p, 1)[:, ::-1]
    near = best[:, 0] - best[:, 1] <= 2 * tol if p.shape[1] > 1 else np.ones(len(p), bool)
    same = (p.argmax(1) == got.argmax(1)) & (closed == closed_got)
    apart = np.where(torn & (closed != closed_got), of_types, np.maximum(of_types, of_answers))
    ties = ~same & (torn | near)
    return AnswerParity(
        sum(len(r.x) for r in runs), len(p), int(closed.sum()), int(same.sum()), int(ties.sum()),
        float(np.nan_to_num(apart, nan=np.inf).max()), len(set(p.argmax(1).tolist())), tol, float(np.ptp(p, 0).max()),
    )  # fmt: skip

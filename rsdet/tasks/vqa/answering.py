"""A network as a function: questions about a picture in, answers with probabilities out. Nothing here needs PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from rsdet.data.questions.nearest import closest_question
from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import PAD, Vocabulary
from rsdet.tasks.vqa.results import Answer

_AT_ONCE = 256  # questions


@dataclass(frozen=True)
class Said:
    """What a network says to Q questions about one picture.

    Attributes:
        probabilities: (Q, A) of each answer.
        closed: (Q,) probability that it is a question of yes or no.
        attention: (Q, N) where it looked, one weight for each visual token; each row sums to 1.
    """

    probabilities: np.ndarray
    closed: np.ndarray
    attention: np.ndarray

    @classmethod
    def of(
        cls, logits: np.ndarray, types: np.ndarray, attention: np.ndarray, tokens: np.ndarray, temperature: float = 1.0
    ) -> Said:
        """What the head of a network says.

        Args:
            logits: (Q, A).
            types: (Q, 2) probabilities of closed and open.
            attention: (Q, L, N).
            tokens: (Q, L); words count in where was looked, pads do not.
            temperature: That the logits are divided by.
        """
        words = (tokens != PAD).astype(np.float32)
        words[:, 0] = 1
        looked = np.einsum("qln,ql->qn", attention, words) / words.sum(1, keepdims=True)
        return cls(softmax(logits / np.float32(temperature)), types[:, 0], looked)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (Q, A) of logits."""
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@dataclass
class Answering:
    """A network with its vocabulary.

    Attributes:
        encode: Pictures (B, 3, S, S) float32 in [0, 1], RGB, to whatever ``ask`` takes for each, in a sequence.
        ask: What ``encode`` gave for one picture, and tokens (Q, L) int64, to what is said.
        vocabulary: Numbers of words and answers.
        side: S, in pixels.
        length: L; longer questions are cut.
    """

    encode: Callable[[np.ndarray], Sequence[Any]]
    ask: Callable[[Any, np.ndarray], Said]
    vocabulary: Vocabulary
    side: int
    length: int
    _notes: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def encoded(self, picture: np.ndarray) -> Any:
        """What is known of a picture (H, W, 3) uint8 in BGR; questions need nothing else of it."""
        x = squared(picture, self.side).transpose(2, 0, 1)[None].astype(np.float32) / 255
        return self.encode(np.ascontiguousarray(x))[0]

    def said(self, encoded: Any, texts: Sequence[str]) -> Said:
        """What the network says to any number of questions."""
        tokens = np.asarray(self.vocabulary.encode(list(texts), self.length), np.int64)
        parts = [self.ask(encoded, tokens[i : i + _AT_ONCE]) for i in range(0, len(tokens), _AT_ONCE)]
        return Said(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("probabilities", "closed", "attention")))

    def answers(
        self, encoded: Any, questions: Sequence[Question], top: int = 3, min_confidence: float = 0.0
    ) -> list[Answer]:
        """Answers to questions about a picture.

        Args:
            encoded: What :meth:`encoded` gave.
            questions: The questions.
            top: How many answers are told for each.
            min_confidence: Probability below which none is given.
        """
        return self.told(self.said(encoded, [q.text for q in questions]), questions, top, min_confidence)

    def told(self, said: Said, questions: Sequence[Question], top: int, min_confidence: float) -> list[Answer]:
        """What was said, in words; see :meth:`answers`."""
        made = []
        for question, p, closed, attention in zip(
            questions, said.probabilities, said.closed, said.attention, strict=True
        ):
            order = np.argsort(-p, kind="stable")[:top]
            best = tuple((self.vocabulary.answers[i], float(p[i])) for i in order)
            made.append(
                Answer(
                    question.text, best, bool(closed > 0.5), float(closed), best[0][1] < min_confidence,
                    kind=question.kind, attention=attention, **self._about(question.text),
                )
            )  # fmt: skip
        return made

    def _about(self, text: str) -> dict[str, Any]:
        """What is to be noted of a question, whatever the picture."""
        if text not in self._notes:
            near = closest_question(text, self.vocabulary.asked)
            about = {"nearest": near.text, "far": near.far} if self.vocabulary.asked else {}
            self._notes[text] = {"unknown": tuple(self.vocabulary.unknown(text)), **about}
        return self._notes[text]


def squared(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 in BGR as the network takes it: (S, S, 3) uint8 in RGB, whatever its shape was."""
    height, width = picture.shape[:2]
    how = cv2.INTER_AREA if min(height, width) > side else cv2.INTER_LINEAR
    made = picture if (height, width) == (side, side) else cv2.resize(picture, (side, side), interpolation=how)
    return made[..., ::-1]

"""Pictures with questions about them, as batches: a picture is read and encoded once for all that is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.data.turns import Turns
from rsdet.metrics.answers import question_types
from rsdet.tasks.vqa.answering import squared

Reader = Callable[[Path], np.ndarray]


def to_tensor(picture: np.ndarray) -> torch.Tensor:
    """(C, S, S) uint8 of (S, S, C)."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


class AskedPictures(Dataset):
    """Samples ``{"img", "tokens", "answer", "closed", "index", "im_file"}``: a picture and questions about it.

    ``img`` is (3, S, S) uint8; ``tokens`` (q, L) and ``answer`` (q,) are int64, with -1 for an answer that the
    vocabulary lacks; ``closed`` (q,) is bool; ``index`` (q,) says which of ``questions`` they are.

    Everything random about a sample comes from (seed, epoch, its number), and the epoch is part of the index:
    ``dataset[i + epoch * len(dataset)]``, as :class:`rsdet.tasks.resuming.Passes` counts.

    Args:
        questions: Of one split.
        files: Path of each picture by the name that questions have for it.
        vocabulary: Numbers of words and answers.
        side: Side of the square picture in pixels.
        length: Tokens of a question.
        reader: Reads a file to (H, W, 3) uint8 in BGR.
        per_image: Questions of a picture in an epoch, 0 for all. The others follow in the next epochs, each as often.
        grouped: Whether a sample is a picture with its questions; else it is one question with its picture.
        turns: What is done to pictures; None for nothing.
        seed: Any whole number.
        cache: Keep the pictures, as they are before ``turns``, in memory.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        files: Mapping[str, Path],
        vocabulary: Vocabulary,
        *,
        side: int,
        length: int,
        reader: Reader,
        per_image: int = 0,
        grouped: bool = True,
        turns: Turns | None = None,
        seed: int = 0,
        cache: bool = False,
    ):
        self.questions, self.files, self.reader, self.side = list(questions), files, reader, side
        self.per_image, self.turns, self.seed = per_image, turns, seed
        groups: dict[str, list[int]] = {}
        for i, question in enumerate(self.questions):
            groups.setdefault(question.image, []).append(i)
        single = [(q.image, [i]) for i, q in enumerate(self.questions)]
        self.samples = list(groups.items()) if grouped else single
        self.tokens = torch.as_tensor(vocabulary.encode([q.text for q in self.questions], length))
        self.answers = torch.tensor([vocabulary.answer_index(q.answer) for q in self.questions], dtype=torch.int64)
        self.closed = torch.tensor(question_types(self.questions, vocabulary), dtype=torch.bool)
        self._kept: dict[str, np.ndarray] | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.samples)

    def mean_questions(self) -> int:
        """Questions to a picture, the mean, rounded up."""
        return -(-len(self.questions) // len(self))

    def asked(self, index: int) -> list[int]:
        """Numbers of the questions of a sample; ``index`` counts on from epoch to epoch."""
        epoch, i = divmod(index, len(self))
        all_of_it = self.samples[i][1]
        if not 0 < self.per_image < len(all_of_it):
            return all_of_it
        parts = -(-len(all_of_it) // self.per_image)  # epochs until each question of the picture was asked
        order = self._rng(epoch // parts, i, 1).permutation(len(all_of_it))
        at = epoch % parts * self.per_image
        return [all_of_it[j] for j in order[at : at + self.per_image]]

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample; see the class."""
        epoch, i = divmod(index, len(self))
        name, numbers = self.samples[i][0], torch.tensor(self.asked(index))
        picture = self.picture(name)
        if self.turns is not None:
            picture = self.turns(picture, self._rng(epoch, i, 0))
        return {
            "img": to_tensor(picture), "tokens": self.tokens[numbers], "answer": self.answers[numbers],
            "closed": self.closed[numbers], "index": numbers, "im_file": str(self.files[name]),
        }  # fmt: skip

    def picture(self, name: str) -> np.ndarray:
        """(S, S, 3) uint8 in RGB of the picture that questions call so."""
        if self._kept is None:
            return squared(self.reader(self.files[name]), self.side)
        if name not in self._kept:
            self._kept[name] = np.ascontiguousarray(squared(self.reader(self.files[name]), self.side))
        return self._kept[name]

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng((self.seed % 2**32, *numbers))


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch: pictures (I, 3, S, S), questions one after the other (Q, ...), and how many each picture has."""
    batch = {key: torch.cat([s[key] for s in samples]) for key in ("tokens", "answer", "closed", "index")}
    counts = torch.tensor([len(s["index"]) for s in samples])
    pictures = torch.stack([s["img"] for s in samples])
    return {
        **batch,
        "img": pictures,
        "counts": counts,
        "im_file": [s["im_file"] for s in samples],
        "cls": batch["answer"],
    }

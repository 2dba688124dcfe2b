"""Exported parts as a network, without PyTorch and Ultralytics."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rsdet.data.questions.vocabulary import Vocabulary
from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime.parts import open_parts
from rsdet.tasks.vqa.answering import Answering, Said


class Parts:
    """An image encoder and an answer head in a folder, on the CPU.

    Args:
        folder: The folder.
        threads: Threads for one operator; the backend's own choice when None.

    Attributes:
        said: What the folder says of itself.
        vocabulary: Numbers of words and answers.
        length: Tokens of a question.
        side: Of the pictures, in pixels.

    Raises:
        CheckpointError: The files do not belong together, or are none of this task.
    """

    def __init__(self, folder: str | Path, threads: int | None = None):
        self.name = Path(folder).name
        self.said, networks = open_parts(folder, threads)
        if set(networks) != {"encoder", "answers"} or not isinstance(self.said.get("length"), int):
            raise CheckpointError(f"{self.name} is no network that answers questions; export it again.")
        self.encoder, self.head = networks["encoder"], networks["answers"]
        self.vocabulary = Vocabulary.from_dict(self.said.get("vocabulary"), self.name)
        self.length, self.side = self.said["length"], int(np.ravel(self.said["imgsz"])[0])

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Visual tokens (B, N, d) of pictures (B, 3, S, S) in [0, 1], RGB."""
        return self.encoder(np.ascontiguousarray(x, np.float32))[0]

    def answers(self, cells: np.ndarray, tokens: np.ndarray) -> list[np.ndarray]:
        """Logits (Q, A), probabilities (Q, 2) of closed and open, attention (Q, L, N).

        Raises:
            CheckpointError: The graph knows another number of answers than the vocabulary.
        """
        found = self.head(cells, np.ascontiguousarray(tokens, np.int64))
        if found[0].shape[1:] != (len(self.vocabulary.answers),):
            raise CheckpointError(
                f"{self.name} chooses among {found[0].shape[1]} answers and its vocabulary has "
                f"{len(self.vocabulary.answers)}; export it again."
            )
        return found

    def answering(self, temperature: float = 1.0) -> Answering:
        """Questions to answers.

        Args:
            temperature: That the logits of answers are divided by.
        """

        def ask(cells: np.ndarray, tokens: np.ndarray) -> Said:
            return Said.of(*self.answers(np.repeat(cells[None], len(tokens), 0), tokens), tokens, temperature)

        return Answering(self.encode, ask, self.vocabulary, self.side, self.length)


def check_side(side: int, own: int) -> None:
    """Refuse another size of pictures than that of an export.

    Raises:
        ConfigError: It is another.
    """
    if side != own:
        raise ConfigError(f"imgsz={side}, but the exported graphs take {own}; leave imgsz= out, or export once more.")

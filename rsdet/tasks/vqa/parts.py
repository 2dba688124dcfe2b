"""The two graphs of a network: made, run as one beside it, and in its place where it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rsdet.data.questions.records import Question
from rsdet.data.questions.vocabulary import UNKNOWN, Vocabulary
from rsdet.deploy.parts import Part
from rsdet.deploy.runners import Runner
from rsdet.errors import CheckpointError
from rsdet.nn.answering import AnswerHead, Answers, ImageEncoder, expand
from rsdet.tasks.vqa.exported import Parts
from rsdet.tasks.vqa.model import VqaModel
from rsdet.tasks.vqa.torch_answering import answering_of

_EACH = 6  # questions of either type, that a proof asks of a picture
_MOST_PICTURES, _MOST_QUESTIONS = 4, 64  # that an engine takes at once


def known(model: VqaModel) -> Vocabulary:
    """The vocabulary of a network; of one that has seen no data, words and answers by their numbers."""
    n = model.network
    words, answers = (f"word{i}" for i in range(1, n.tokens)), (f"answer{i}" for i in range(n.answers))
    return model.vocabulary or Vocabulary(tuple(words), tuple(answers))


def some_questions(vocabulary: Vocabulary, each: int = _EACH) -> list[str]:
    """Questions of both types, as the training had them."""
    asked = vocabulary.asked or vocabulary.words
    closed = [q for q in asked if q in vocabulary.closed]
    return [*closed[:each], *[q for q in asked if q not in vocabulary.closed][:each]]


def proof_tokens(vocabulary: Vocabulary, length: int) -> np.ndarray:
    """What a proof asks, (Q, L): questions of both types, one unknown word, and one that is cut."""
    texts = some_questions(vocabulary)
    return vocabulary.encode([*texts, "", " ".join(texts * length)], length)


def parts_of(model: VqaModel, side: int) -> dict[str, Part]:
    """The image encoder and the answer head.

    Args:
        model: The network; it is copied by nobody, and left as it is.
        side: Of its pictures in pixels.
    """
    was = model.training
    model.eval()
    encoder, head = ImageEncoder(model), AnswerHead(model)
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    tokens = torch.from_numpy(proof_tokens(known(model), model.length)[:3])
    with torch.inference_mode():
        cells = encoder(image[:1]).shape[1:]
    model.train(was)
    return {
        "encoder": Part(encoder, {"image": image}, ("features",), _MOST_PICTURES),
        "answers": Part(
            head, {"features": torch.rand(len(tokens), *cells), "tokens": tokens}, ("logits", "types", "attention"),
            _MOST_QUESTIONS,
        ),
    }  # fmt: skip


class Proof(nn.Module):
    """A network that is asked the questions of a proof: pictures (B, 3, S, S) to what :class:`AnswerHead` gives."""

    def __init__(self, model: VqaModel):
        super().__init__()
        self.model, self.head = model, AnswerHead(model)
        self.register_buffer("tokens", torch.from_numpy(proof_tokens(known(model), model.length)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits (BQ, A), types (BQ, 2), attention (BQ, L, N)."""
        cells = expand(self.model.encode_image(x), len(self.tokens))
        return self.head(cells, self.tokens.repeat(len(x), 1))


class PartsRunner(Runner):
    """Exported parts as one: :meth:`outputs` answers the questions of :class:`Proof`, a call one unknown word."""

    errors = (CheckpointError,)

    def __init__(self, folder: Path, threads: int | None = None):
        self.parts = Parts(folder, threads)
        self.format = str(self.parts.said["format"])
        self.tokens = proof_tokens(self.parts.vocabulary, self.parts.length)

    def outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        """See :class:`Proof`."""
        cells = np.repeat(self.parts.encode(x), len(self.tokens), 0)
        return tuple(self.parts.answers(cells, np.tile(self.tokens, (len(x), 1))))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logits (B, A), as the network gives them where it is called without a question."""
        tokens = np.zeros((len(x), self.parts.length), np.int64)
        tokens[:, 0] = UNKNOWN
        return self.parts.answers(self.parts.encode(x), tokens)[0]


def asking(run: Any, questions: int, side: int, read: Callable[[Path], np.ndarray]) -> Callable[[Sequence[Path]], Any]:
    """What a benchmark times: files to the answers to so many questions about each, which is encoded once.

    Args:
        run: The network in PyTorch, or :class:`PartsRunner`.
        questions: How many.
        side: Of the pictures of a network in PyTorch, in pixels.
        read: Reads a file.
    """
    if isinstance(run, PartsRunner):
        answering, vocabulary = run.parts.answering(), run.parts.vocabulary
    else:
        vocabulary = known(run.module)
        answering = answering_of(run.module, side, run.device, vocabulary=vocabulary)
    texts = some_questions(vocabulary, questions // 2)
    asked = [Question("", texts[i % len(texts)]) for i in range(questions)]
    return lambda files: [answering.answers(answering.encoded(read(file)), asked) for file in files]


class PartsNetwork(nn.Module):
    """Exported parts in the place of a :class:`VqaModel`, where it is measured."""

    def __init__(self, folder: str | Path):
        super().__init__()
        self.parts = Parts(folder)
        self.vocabulary, self.length, self.side = self.parts.vocabulary, self.parts.length, self.parts.side
        self.routes = bool(self.parts.said.get("routes", True))

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        """Visual tokens of pictures."""
        return torch.from_numpy(self.parts.encode(x.cpu().numpy())).to(x)

    def answer(self, v0: torch.Tensor, tokens: torch.Tensor) -> Answers:
        """Answers to questions, one for each set of visual tokens."""
        logits, types, attention = map(torch.from_numpy, self.parts.answers(v0.cpu().numpy(), tokens.cpu().numpy()))
        return Answers(logits, types.clamp_min(1e-12).log(), attention)


def described(model: VqaModel) -> Mapping[str, Any]:
    """What exported parts say of themselves: what a question and a picture become, and by which words."""
    facts = {k: model.yaml[k] for k in ("picture_px", "gsd", "bands") if model.yaml.get(k) is not None}
    return {
        **facts, "vocabulary": known(model).as_dict(), "length": model.length, "routes": model.routes,
        "stride": int(model.network.multiple), "input": "RGB in [0, 1], resized to a square; its mean is in the graph",
    }  # fmt: skip

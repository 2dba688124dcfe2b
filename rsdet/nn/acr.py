"""ACR: a ResNet with dual reconstruction, a question encoder, and a branch of reasoning for each type of question.

"Adaptive Conditional Reasoning for Remote Sensing Visual Question Answering" (Remote Sens. 2025). A router calls a
question closed (yes or no) or open, and the branch of that type joins image and question. What the paper leaves open is
decided as the published 47.9 M parameters allow: 47,820,499 with the 73 words and 166 answers of EarthVQA.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torchvision.models import get_weight

from rsdet.errors import CheckpointError, ConfigError
from rsdet.nn.answering import AnsweringNetwork, Answers
from rsdet.nn.constants import constant
from rsdet.nn.networks import check_counts, network
from rsdet.nn.question_encoder import EncodedQuestion, QuestionEncoder, sinusoids
from rsdet.nn.reasoning import ReasoningBranch
from rsdet.nn.resnet_sc import ClassicResNet

__all__ = ["ACR"]

STARTS = ("random", "identity")
CLOSED, OPEN = 0, 1  # of the types and the branches
NEVER = -1e4  # logit of an answer that is ruled out: probability 0, and finite in half precision


@network("ACR")
class ACR(AnsweringNetwork):
    """The network of the paper, from ResNet-50 down to what a CPU trains.

    Args:
        depths: Blocks of the stages of the image encoder.
        width: Channels of its stem, see :class:`rsdet.nn.resnet_sc.ClassicResNet`; a multiple of 16 with ``dre``.
        block: ``bottleneck`` or ``basic``.
        stride: Pixels of a side of a cell, 32 or 16.
        dre: Dual reconstruction (SRU and CRU) in every block.
        dre_init: ``random``, or ``identity``: it changes nothing until it has learnt to, for pretrained encoders.
        gate: Gate of SRU, ``soft`` or ``hard``, see :class:`rsdet.nn.scconv.SRU`.
        dim: Channels of words and cells.
        heads: Heads of every attention.
        layers: Layers of cross-attention in each branch.
        encoder_layers: Layers of the question encoder.
        dropout: Dropout of the question encoder.
        router: False: no types, one branch for all questions; the row "no TCR" of the paper.
        shared_head: One classifier for both branches.
        closed_mask: The closed branch answers nothing but what :meth:`restrict_closed` was told.
        image_positions: Add sinusoids of row and column to the cells, whose order is not seen otherwise.
        weights: ``imagenet``: start the image encoder from torchvision's weights (IMAGENET1K_V1), which are downloaded
            when a training starts (ResNet-50 and ResNet-18 alone).
        channels: Channels of the image.
        tokens: Words that are known, and the pad.
        answers: Number of answers.
        length: Tokens of a question.

    Raises:
        ConfigError: Arguments out of range.
    """

    def __init__(
        self,
        depths: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        block: str = "bottleneck",
        stride: int = 32,
        dre: bool = True,
        dre_init: str = "random",
        gate: str = "soft",
        dim: int = 512,
        heads: int = 8,
        layers: int = 2,
        encoder_layers: int = 3,
        dropout: float = 0.1,
        router: bool = True,
        shared_head: bool = False,
        closed_mask: bool = False,
        image_positions: bool = False,
        weights: str | None = None,
        channels: int = 3,
        tokens: int = 74,
        answers: int = 166,
        length: int = 16,
    ):
        super().__init__(channels, tokens, answers, length)
        check_counts("ACR", dim=dim, heads=heads, layers=layers, encoder_layers=encoder_layers)
        if dim % heads or dim % 4:
            raise ConfigError(f"dim of ACR must be a multiple of 4 and of heads, received dim={dim}, heads={heads}.")
        if dre_init not in STARTS:
            raise ConfigError(f"dre_init must be {' or '.join(STARTS)}, received {dre_init!r}.")
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
            raise ConfigError(f"dropout of ACR must be in [0, 1), received {dropout!r}.")
        if closed_mask and not router:
            raise ConfigError("closed_mask=True needs closed questions, which router=False does not know; drop one.")
        self.multiple, self.weights, self.image_positions = stride, weights, image_positions
        self.encoder = ClassicResNet(channels, depths, width, block, stride, dre, gate, dre_init == "identity")
        if weights not in (None, "imagenet") or (weights and not self.encoder.published):
            raise ConfigError(
                f"weights={weights!r}; a ResNet-50 or ResNet-18 has weights=imagenet, others have none; leave it out."
            )
        self.project = nn.Linear(self.encoder.out_channels, dim)
        self.question = QuestionEncoder(tokens, dim, heads, encoder_layers, dropout)
        self.router = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, 2)) if router else None
        self.branches = nn.ModuleList(ReasoningBranch(dim, heads, layers) for _ in range(1 + bool(router)))
        different = 1 if shared_head else len(self.branches)
        self.classifiers = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, answers)) for _ in range(different)
        )
        self.register_buffer("allowed", torch.ones(answers, dtype=torch.bool) if closed_mask else None)

    def restrict_closed(self, answers: Iterable[int]) -> None:
        """Say which answers, by number, the closed branch may give; for ``closed_mask``.

        Raises:
            ConfigError: The network was built without it, or there are no such answers.
        """
        chosen = sorted(set(answers))
        if self.allowed is None or not chosen or not 0 <= chosen[0] <= chosen[-1] < self.answers:
            raise ConfigError(
                f"closed_mask=True takes numbers of answers below {self.answers}, received {chosen}; where neither yes "
                "nor no is an answer, train with closed_mask=False."
            )
        self.allowed.fill_(False)
        self.allowed[chosen] = True

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        """Cells (B, N, dim) of images (B, C, H, W) of any size, row by row."""
        y = self.encoder(self.padded(x))
        rows, columns = int(y.shape[2]), int(y.shape[3])
        v = self.project(y.flatten(2).transpose(1, 2))
        if not self.image_positions:
            return v
        dim = self.project.out_features
        return v + constant(
            ("cells", rows, columns, dim), lambda: cell_positions(rows, columns, dim), v.dtype, v.device
        )

    def types_of(self, question: EncodedQuestion) -> torch.Tensor:
        """Logits (Q, 2) of closed and open; equal ones without a router."""
        if self.router is None:
            return torch.zeros_like(question.attended[:, :2])
        return self.router(question.attended)

    def reason(self, kind: int, v: torch.Tensor, question: EncodedQuestion) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and attention by one branch."""
        fused, attention = self.branches[kind](v, question)
        logits = self.classifiers[kind if len(self.classifiers) > 1 else 0](fused)
        if kind == CLOSED and self.allowed is not None:
            logits = logits.masked_fill(~self.allowed, NEVER)
        return logits, attention

    def answer(self, v: torch.Tensor, tokens: torch.Tensor, route: torch.Tensor | None = None) -> Answers:
        """Answer one question for each encoding, see :meth:`AnsweringNetwork.answer`.

        Where ``route`` is given, as in training, each branch sees its own questions alone. Otherwise both see all and
        the likelier type selects; a question of which both are equally likely is open (equation 8).
        """
        question = self.question(tokens)
        types = self.types_of(question)
        if self.router is None:
            logits, seen = self.reason(0, v, question)
            return Answers(logits, types, seen)
        if route is None:
            closed = (types[:, CLOSED] > types[:, OPEN])[:, None]
            (logits0, seen0), (logits1, seen1) = (self.reason(k, v, question) for k in (CLOSED, OPEN))
            logits, seen = torch.where(closed, logits0, logits1), torch.where(closed[..., None], seen0, seen1)
            return Answers(logits, types, seen)
        numbers = [mask.nonzero()[:, 0] for mask in (route, ~route)]
        said = [self.reason(k, v[i], question.at(i)) for k, i in zip((CLOSED, OPEN), numbers, strict=True) if len(i)]
        back = torch.cat(numbers).argsort()
        logits, seen = (torch.cat(parts)[back] for parts in zip(*said, strict=True))
        return Answers(logits, types, seen)

    def load_words(self, vectors: Mapping[int, np.ndarray]) -> None:
        """Start words from vectors of another training, see :func:`rsdet.nn.question_encoder.fitted`."""
        self.question.load_words(vectors)

    def load_pretrained(self) -> str | None:
        """Load ImageNet weights into the image encoder.

        Raises:
            CheckpointError: They could not be had.
        """
        if self.weights is None:
            return None
        name = self.encoder.published
        try:
            state = get_weight(f"{name}_Weights.IMAGENET1K_V1").get_state_dict(check_hash=True)
        except (OSError, RuntimeError) as e:  # no connection, or not the file that it should be
            why = " ".join(str(e).split())
            raise CheckpointError(f"weights=imagenet could not be had ({why}); connect, or leave weights out.") from e
        self.load_resnet(state)
        return f"image encoder from torchvision's {name} (IMAGENET1K_V1)"

    def load_resnet(self, state: dict[str, torch.Tensor]) -> None:
        """Load the image encoder from the state dict of torchvision's network of the same shape."""
        self.encoder.load_classic(state)


def cell_positions(rows: int, columns: int, dim: int) -> np.ndarray:
    """(rows * columns, dim) float64: sinusoids of the row in one half of the channels, of the column in the other."""
    half = dim // 2
    row, column = sinusoids(rows, half)[:, None], sinusoids(columns, half)[None]
    shape = (rows, columns, half)
    return np.concatenate((np.broadcast_to(row, shape), np.broadcast_to(column, shape)), 2).reshape(-1, dim)

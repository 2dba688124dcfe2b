"""A network that answers questions, in the form that Ultralytics trains and stores, with its vocabulary."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.utils import LOGGER

from rsdet.arguments import fit
from rsdet.data.questions.numbers import number_of
from rsdet.data.questions.vocabulary import UNKNOWN, Vocabulary
from rsdet.errors import ConfigError
from rsdet.losses.answers import AnswerLoss
from rsdet.modelyaml import load_model_yaml
from rsdet.nn.answering import AnsweringNetwork, Answers, expand
from rsdet.nn.networks import build_network
from rsdet.tasks.network_model import OneNetwork

NAMES = {0: "answer"}
YES_NO = frozenset({"yes", "no"})
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]; its weights expect this


class VqaModel(OneNetwork[AnsweringNetwork]):
    """Pictures (I, 3, S, S) in [0, 1], RGB, and questions about them to answers.

    Args:
        cfg: Name, path or resolved dictionary of a model YAML. A ``vocabulary:`` in it (a
            :class:`rsdet.data.questions.vocabulary.Vocabulary`) says how many words and answers the network has;
            without one, its arguments do.
        ch: Channels of the picture, 3.
        verbose: Print a line about the network.

    Attributes:
        yaml: The resolved dictionary; the vocabulary travels in it, so that weights of every form have it.
        model: One row, the network.
        names: What it does, in the form in which detectors name their classes.

    Raises:
        ConfigError: No such network, or arguments that it does not take.
    """

    task = "vqa"
    family = "vqa"

    def __init__(self, cfg: str | Path | dict[str, Any], ch: int | None = None, verbose: bool = False):
        super().__init__()
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        if ch not in (None, 3):
            raise ConfigError(f"the network takes pictures of 3 channels, received {ch}; choose them with bands=.")
        args = dict(d.get("args") or {})
        known = Vocabulary.from_dict(d["vocabulary"], "the model") if d.get("vocabulary") else None
        if known is not None:
            args |= {"tokens": known.size - 1, "answers": len(known.answers)}
        network = build_network(d["network"], args, AnsweringNetwork)
        if known is not None and args.get("closed_mask"):
            network.restrict_closed(i for i, a in enumerate(known.answers) if a.casefold() in YES_NO)
        self.hold(network, {**d, "args": args, "channels": 3}, NAMES)
        self._known = known
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        if verbose:
            LOGGER.info(self.describe())

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and stored: plain values and layers; the vocabulary stands in :attr:`yaml`."""
        return {**vars(self), "_known": None}

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Words and answers of the training; None for a network that is fresh from a YAML."""
        if self._known is None and self.yaml.get("vocabulary"):
            self._known = Vocabulary.from_dict(self.yaml["vocabulary"], "the model")
        return self._known

    @property
    def length(self) -> int:
        """Tokens of a question; longer ones are cut."""
        return int(self.network.length)

    def describe(self) -> str:
        """Say in one line what it is."""
        n, known = self.network, self.vocabulary is not None
        blind = f", which does not see the {self.blind}" if self.blind else ""
        of = f"{n.tokens - 1} words, {n.answers} answers{'' if known else ' (its data are not known yet)'}"
        return f"{self.yaml['network']}: {n.np:,} parameters, {of}{blind}"

    @property
    def blind(self) -> str | None:
        """What the network was trained without: ``image`` or ``question``; None for nothing."""
        return self.yaml.get("blind")

    def word_tensors(self) -> list[str]:
        """Names of the weights with a row for each word."""
        return [f"{m}.weight" for m, layer in self.named_modules() if isinstance(layer, nn.Embedding)]

    def answer_tensors(self) -> list[str]:
        """Names of the weights with a row for each answer."""
        heads = [
            m for m, layer in self.named_modules() if m.endswith("classifiers") and isinstance(layer, nn.ModuleList)
        ]
        last = [f"{m}.{i}.{len(head) - 1}" for m in heads for i, head in enumerate(self.get_submodule(m))]
        return [f"{name}.{kind}" for name in last for kind in ("weight", "bias")]

    def load_pretrained(self) -> str | None:
        """Load what the YAML asks for, for the start of a training; says what it was."""
        return self.network.load_pretrained()

    def encode_image(self, x: torch.Tensor) -> torch.Tensor:
        """Visual tokens (I, N, d) of pictures (I, 3, S, S) in [0, 1]; one set serves any number of questions."""
        x = torch.zeros_like(x) if self.blind == "image" else (x - self.mean) / self.std
        return self.network.encode_image(x)

    def answer(self, v0: torch.Tensor, tokens: torch.Tensor, route: torch.Tensor | None = None) -> Answers:
        """Answers (Q, A) to questions ``tokens`` (Q, L), one for each set of visual tokens (Q, N, d)."""
        if self.blind == "question":  # one unknown word; of the type of the question, too, nothing is known then
            tokens, route = self._nothing_asked(tokens), None
        return self.network.answer(v0, tokens, route)

    def predict(self, x: torch.Tensor, tokens: torch.Tensor | None = None, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Logits (B, A) of one question a picture, ``tokens`` (B, L); of one unknown word where it is not given."""
        if tokens is None:
            tokens = self._nothing_asked(x.new_zeros((len(x), self.length), dtype=torch.int64))
        return self.answer(self.encode_image(x), tokens).logits

    @staticmethod
    def _nothing_asked(tokens: torch.Tensor) -> torch.Tensor:
        tokens = torch.zeros_like(tokens)
        tokens[:, 0] = UNKNOWN
        return tokens

    def loss(self, batch: dict[str, Any], preds: Answers | None = None) -> tuple[torch.Tensor, dict[str, Any]]:
        """Loss of a batch and its parts, over its questions.

        Args:
            batch: ``img`` (I, 3, S, S) in [0, 1]; ``counts`` (I,), the questions of each picture; ``tokens`` (Q, L);
                ``answer`` (Q,), -1 where the network does not know it; ``closed`` (Q,) bool, the true type, by which
                questions are routed.
            preds: Answers, where they are known already.
        """
        if self.criterion is None:
            self.criterion = self.init_criterion()
        if preds is None:
            v0 = expand(self.encode_image(batch["img"]), batch["counts"])
            preds = self.answer(v0, batch["tokens"], batch["closed"])
        total, parts = self.criterion(preds, batch["answer"], batch["closed"])
        return total * self.loss_share, parts

    def init_criterion(self) -> Any:
        """Cross-entropy of answers and types, by those arguments of :class:`AnswerLoss` that ``loss:`` states.

        ``numbers: true`` there makes wrong counts cost more, the further off they are.

        Raises:
            ConfigError: It takes no such arguments.
        """
        given = dict(self.yaml.get("loss") or {})
        if given.pop("numbers", False) and self.vocabulary is not None:
            found = [number_of(a) for a in self.vocabulary.answers]
            given["numbers"] = [math.nan if n is None else n for n in found]
        if not self.routes:
            given["type_weight"] = 0.0
        return AnswerLoss(**fit(AnswerLoss, given, "loss: of the model YAML"))

    @property
    def routes(self) -> bool:
        """Whether closed and open questions are told apart."""
        return bool(self.yaml["args"].get("router", True))

"""Weights for other words and answers: what both know goes over by its name, never by its number."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rsdet.data.questions.vocabulary import answer_key
from rsdet.tasks.training import transfer, transfer_line
from rsdet.tasks.vqa.model import VqaModel

FIRST_WORD = 2  # its token; 0 is the pad, 1 the unknown word


def transfer_words(model: VqaModel, source: torch.nn.Module) -> str:
    """Copy every weight that fits; vectors of words and rows of answers go to those of the same name.

    Words and answers that the source does not have stay as they are.

    Args:
        model: Receives; changed in place.
        source: A network with a vocabulary of its own, or any other.

    Returns:
        What was taken, in words.
    """
    state = dict(source.float().state_dict())
    told = ""
    old = source.vocabulary if isinstance(source, VqaModel) else None
    new = model.vocabulary
    if old is not None and new is not None and (old.words, old.answers) != (new.words, new.answers):
        words = _pairs(old.words, new.words)
        answers = _pairs([answer_key(a) for a in old.answers], [answer_key(a) for a in new.answers])
        mine = model.state_dict()
        for name in model.word_tensors():
            state[name] = _moved(
                mine[name], state.get(name), [(0, 0), (1, 1), *((a + FIRST_WORD, b + FIRST_WORD) for a, b in words)]
            )
        for name in model.answer_tensors():
            state[name] = _moved(mine[name], state.get(name), answers)
        told = (
            f" Other words and answers than in the weights: {len(words)} of {len(new.words)} words and {len(answers)} "
            f"of {len(new.answers)} answers are known to them, the rest starts anew."
        )
    return transfer_line(transfer(model, state), len(model.state_dict())) + told


def _pairs(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Numbers of the same text in both."""
    at = {text: i for i, text in enumerate(old)}
    return [(at[text], j) for j, text in enumerate(new) if text in at]


def _moved(mine: torch.Tensor, theirs: torch.Tensor | None, pairs: list[tuple[int, int]]) -> torch.Tensor:
    """Rows of ours with those of theirs that belong to them."""
    if theirs is None or theirs.shape[1:] != mine.shape[1:]:
        return mine
    made = mine.clone()
    for i, j in pairs:
        made[j] = theirs[i]
    return made

"""What sees less answers the same questions: fitted on the training, told beside the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from rsdet.data.questions.records import Questions
from rsdet.metrics.answer_baselines import ImageOnly, fit_baselines
from rsdet.tasks.loaders import pictures_to_device
from rsdet.tasks.vqa.model import VqaModel

MOST_PICTURES = 2000  # of the training, that the baseline without questions is fitted on


def spread(questions: Questions, most: int = MOST_PICTURES) -> Questions:
    """Questions about so many pictures at most, spread over all of them."""
    names = list(dict.fromkeys(q.image for q in questions))
    kept = frozenset(names[:: -(-len(names) // most) or 1])
    return [q for q in questions if q.image in kept]


@torch.inference_mode()
def encodings(network: VqaModel, loader: Any, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
    """Name of each picture of a loader, and the mean (d,) of its visual tokens."""
    dataset = loader.dataset
    for batch in loader:
        first = batch["counts"].cumsum(0) - batch["counts"]
        names = [dataset.questions[int(batch["index"][i])].image for i in first]
        cells = network.encode_image(pictures_to_device(batch, device)["img"]).mean(1)
        yield from zip(names, cells.float().cpu().numpy(), strict=True)


def baseline_answers(
    train: Questions, questions: Questions, seen: Mapping[str, np.ndarray], asked: Mapping[str, np.ndarray]
) -> dict[str, list[str]]:
    """Answers of all baselines by their names.

    Args:
        train: Questions of the training.
        questions: Those that are asked.
        seen: Encodings of pictures of the training, on which the baseline without questions is fitted.
        asked: Encodings of the pictures that questions are asked about; names may be those of other pictures there.
    """
    with torch.inference_mode(False):
        fitted = fit_baselines(train)
        image_only = ImageOnly.fit([q for q in train if q.image in seen], seen.__getitem__)
        fitted["image only"] = replace(image_only, encode=asked.__getitem__)
        return {name: baseline.answers(questions) for name, baseline in fitted.items()}

"""A task in full, and no more than that: what has changed between two pictures of one place.

It stands outside the package, and everything of the toolkit works with it; CONTRIBUTING.md walks through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsdet.tasks.task import Scores, Task


class TwoDates(Task):
    """Changed pixels by a network that sees both dates, stacked along the channels."""

    name = "two_dates"
    about = "what has changed between two pictures of one place"
    families = ("two_dates",)
    imgsz = 64

    def classes(self, family: str) -> dict[str, Any]:
        """Model, trainer, validator and predictor."""
        from toy_tasks.two_dates import parts

        return {"model": parts.Model, "trainer": parts.Train, "validator": parts.Val, "predictor": parts.Predict}

    def usual(self, mode: str, model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """Adam, and no warm-up: a few layers need neither schedule."""
        if mode != "train":
            return {}
        return {"optimizer": "Adam", "lr0": 0.01, "warmup_epochs": 0.0, "amp": False, "imgsz": self.imgsz}

    def outcome(self, images: int, items: int) -> str:
        """Say how many places were looked at."""
        return f"{images} place{'s' * (images != 1)} compared"

    def sample(self, model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[Any]:
        """Rendered places, (6, H, W) in [0, 1]."""
        from toy_tasks.two_dates.parts import render

        return [render(seed, size)[0] for seed in range(2)]

    def score(self, model: Any, data: str | Path, **settings: Any) -> Scores:
        """Intersection over union of the changed pixels."""
        return Scores(model.val(data=data, **settings).results_dict)


TASK = TwoDates()

"""Predictors with a loop of their own.

Ultralytics' predictor letterboxes pictures of 8 bits; of it, the settings, the folder of the run and the callbacks are
kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ultralytics.cfg import DEFAULT_CFG
from ultralytics.engine.predictor import BasePredictor

from rsdet.tasks.runs import PredictFolder


class FilePredictor(PredictFolder, BasePredictor):
    """Predictor that reads what it is given by itself, and writes what comes of it.

    Attributes:
        skipped: One line for each file that was left out.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        super().__init__(cfg, overrides, _callbacks)
        self.skipped: list[str] = []

    def __call__(self, source: Any = None, model: Any = None, stream: bool = False, **kwargs: Any) -> Any:
        """Predict; a generator with ``stream``, which holds one result at a time."""
        results = self.over(source)
        return results if stream else list(results)

    def over(self, source: Any) -> Iterator[Any]:
        """Results of a source, one after the other."""
        raise NotImplementedError

    def done(self, result: Any) -> Any:
        """A result, once the callbacks have it."""
        self.results = [result]
        self.run_callbacks("on_predict_postprocess_end")
        return result

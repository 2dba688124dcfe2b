"""The outcome of a validation in the form in which Ultralytics' trainer and its loggers ask for it."""

from __future__ import annotations

from collections.abc import Mapping


class Measures:
    """Base of the outcomes of tasks."""

    @property
    def measures(self) -> Mapping[str, float]:
        """Numbers by name, in their order."""
        raise NotImplementedError

    @property
    def fitness(self) -> float:
        """What the best checkpoint is chosen by: the first number."""
        return self.mean_results()[0]

    @property
    def keys(self) -> list[str]:
        """Columns of a training's ``results.csv``."""
        return [f"metrics/{name}" for name in self.measures]

    def mean_results(self) -> list[float]:
        """Values of :attr:`keys`."""
        return list(self.measures.values())

    @property
    def results_dict(self) -> dict[str, float]:
        """Numbers by name, as Ultralytics' loggers take them."""
        return {**dict(zip(self.keys, self.mean_results(), strict=True)), "fitness": self.fitness}

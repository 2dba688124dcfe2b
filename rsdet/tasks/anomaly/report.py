"""The outcome of a validation: the model beside the methods that learn nothing, always."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.metrics.anomaly import AnomalyScores
from rsdet.tasks.measures import Measures
from rsdet.writing import json_text, write_csv, write_if_changed


@dataclass
class AnomalyMetrics(Measures):
    """Areas of a model on a scene, and those of the methods beside it.

    Attributes:
        data: Name of the scene.
        model: Areas of the model; None where the scene has no map.
        highest: Highest score of any pixel, what a training chooses its weights by.
        rows: A row a method, that of the model first: ``method``, every measure, ``seconds``.
        speed: Milliseconds for the scene.
        save_dir: Folder of the run.
    """

    data: str = ""
    model: AnomalyScores | None = None
    highest: float = math.nan
    rows: list[dict[str, Any]] = field(default_factory=list)
    speed: dict[str, float] = field(default_factory=dict)
    save_dir: Path = Path()

    @property
    def measures(self) -> dict[str, float]:
        """Areas of the model, NaN without a map, and the highest score."""
        m = self.model
        areas = (m.auc_df, m.auc_dt, m.auc_ft) if m else (math.nan,) * 3
        return {**dict(zip(("auc_df", "auc_dt", "auc_ft"), areas, strict=True)), "highest": self.highest}

    @property
    def auc(self) -> float:
        """AUC(D,F) of the model; NaN without a map."""
        return self.model.auc_df if self.model else math.nan

    @property
    def fitness(self) -> float:
        """What the best weights are chosen by: the highest score of any pixel (Algorithm 1), which needs no map."""
        return self.highest

    def table(self) -> str:
        """Plain text, a method a line."""
        if not self.rows:
            return f"{self.data} has no map of anomalies, so nothing is measured; highest score {self.highest:.4g}."
        names = [k for k in self.rows[0] if k not in ("method", "seconds")]
        wide = max(len(r["method"]) for r in self.rows) + 2
        lines = [f"{'':{wide}}" + "".join(f"{k:>10}" for k in names) + f"{'seconds':>10}"]
        for row in self.rows:
            lines.append(
                f"{row['method']:{wide}}" + "".join(f"{row[k]:>10.4f}" for k in names) + f"{row['seconds']:>10.2f}"
            )
        return "\n".join(
            [*lines, f"{self.data}; the first row is what the model is judged by, and rows of no network learn nothing"]
        )

    def write(self) -> Path:
        """Write ``metrics.json`` and ``metrics.csv`` into the folder of the run."""
        path = self.save_dir / "metrics.json"
        rows = [{k: str(v) if v in (math.inf, -math.inf) else v for k, v in row.items()} for row in self.rows]
        content = {"data": self.data, "highest": self.highest, "methods": rows, "speed_ms": self.speed}
        write_if_changed(path, json_text(content))
        if rows:
            write_csv(self.save_dir / "metrics.csv", list(rows[0]), rows)
        return path

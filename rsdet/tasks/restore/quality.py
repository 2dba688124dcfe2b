"""The outcome of a validation: each number beside its convention and beside what the input has."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.metrics.image_quality import BETTER_HIGH
from rsdet.tasks.measures import Measures
from rsdet.writing import write_csv, write_if_changed

UNITS = {"psnr": "dB", "ssim": "", "niqe": "", "lpips": ""}


@dataclass
class RestoreMetrics(Measures):
    """Quality of the restored pictures of a split; the best checkpoint is chosen by the PSNR.

    Attributes:
        data: Name of the data set and its split.
        convention: How pictures were compared.
        after: Mean of each metric over the restored pictures, and ``images``.
        before: The same of the inputs, enlarged by bicubic interpolation where the model enlarges; empty where it was
            not measured.
        rows: Per picture: ``name``, each metric, and each as ``input_…``.
        speed: Milliseconds per picture.
        save_dir: Folder of the run.
    """

    data: str = ""
    convention: str = ""
    after: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    speed: dict[str, float] = field(default_factory=dict)
    save_dir: Path = Path()

    @property
    def measures(self) -> dict[str, float]:
        """PSNR in dB and SSIM."""
        return {"psnr_db": self.psnr, "ssim": self.ssim}

    @property
    def psnr(self) -> float:
        """Mean PSNR in dB."""
        return float(self.after.get("psnr", math.nan))

    @property
    def ssim(self) -> float:
        """Mean SSIM."""
        return float(self.after.get("ssim", math.nan))

    def table(self) -> str:
        """Input and output in plain text, a metric a line."""
        names = [k for k in self.after if k in BETTER_HIGH]
        lines = [f"{'':8}{'input':>10}{'restored':>10}{'gain':>10}"]
        for k in names:
            after, before = self.after[k], self.before.get(k)
            head = f"{k.upper()}{' dB' if UNITS[k] else ''}"
            digits = 2 if k == "psnr" else 4
            cells = ["-" if before is None else f"{before:.{digits}f}", f"{after:.{digits}f}"]
            gain = "-" if before is None else f"{(after - before) * (1 if BETTER_HIGH[k] else -1):+.{digits}f}"
            lines.append(f"{head:8}{cells[0]:>10}{cells[1]:>10}{gain:>10}")
        lines.append(f"{self.after.get('images', 0)} pictures of {self.data}; {self.convention}")
        return "\n".join(lines)

    def write(self) -> Path:
        """Write ``metrics.json`` and, a row per picture, ``metrics.csv`` into the folder of the run."""
        content = {
            "data": self.data, "convention": self.convention, "restored": self.after, "input": self.before,
            "speed_ms": self.speed, "pictures": self.rows,
        }  # fmt: skip
        path = self.save_dir / "metrics.json"
        write_if_changed(path, json.dumps(_finite(content), indent=1))
        if self.rows:
            write_csv(self.save_dir / "metrics.csv", list(self.rows[0]), self.rows)
        return path


def _finite(value: Any) -> Any:
    """JSON knows no infinity: the PSNR of equal pictures becomes a word."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

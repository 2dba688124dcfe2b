"""Pictures of how good answers are: reliability diagram, accuracy over coverage, confusion of answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rsdet.figures import new_figure, png_of
from rsdet.metrics.answers import AnswerScores
from rsdet.metrics.calibration import BINS, Calibration
from rsdet.names import printable
from rsdet.quiet import plain_labels
from rsdet.writing import write_bytes

_LIGHT, _ORANGE, _GREY = "#9ecae1", "#d55e00", "#777777"  # apart for colour-blind eyes, too
_LONGEST = 26  # characters of an answer beside the confusion
_POINTS = 2000  # of a curve; more are no wider on paper


def write_answer_pictures(
    folder: Path, scores: AnswerScores, calibrations: Mapping[str, Calibration], most: int = 20
) -> list[Path]:
    """Write ``confusion.png``, ``coverage.png`` and a reliability diagram for each calibration.

    Args:
        folder: Of the run.
        scores: Of the model.
        calibrations: Name to calibration, as ``{"as trained": ..., "with temperature": ...}``.
        most: Answers in the confusion.

    Returns:
        The files.
    """
    pictures = {"confusion": confusion_picture(scores, most), "coverage": coverage_curve(calibrations)}
    pictures |= {f"reliability-{'-'.join(name.split())}": reliability_diagram(c) for name, c in calibrations.items()}
    return [write_bytes(folder / f"{name}.png", data) for name, data in pictures.items()]


def reliability_diagram(calibration: Calibration) -> bytes:
    """PNG of accuracy over confidence in bins of equal width; how many answers a bin holds stands as a grey line."""
    every = calibration.reliability()
    held = [b for b in every if b.questions]
    figure, axes = new_figure(4.6, 4.2)
    axes.plot([0, 1], [0, 1], "--", color="black", linewidth=1, label="calibrated")
    axes.bar(
        [b.low for b in held],
        [b.accuracy for b in held],
        1 / BINS,
        align="edge",
        color=_LIGHT,
        edgecolor="white",
        linewidth=0.5,
        label="right",
    )
    axes.plot(
        [b.confidence for b in held],
        [b.accuracy for b in held],
        "o",
        color=_ORANGE,
        markersize=4,
        label="mean of the bin",
    )
    share = [b.questions / len(calibration.right) for b in held]
    axes.plot(
        [(b.low + b.high) / 2 for b in held], share, ".-", color=_GREY, linewidth=0.8, label="part of all answers"
    )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="probability of the answer", ylabel="part that is right")
    ece = calibration.ece()
    worth = "no answers" if math.isnan(ece) else f"{len(calibration.right)} answers, ECE {100 * ece:.2f} %, {BINS} bins"
    axes.set_title(worth, fontsize=9)
    axes.legend(fontsize=7, loc="upper left")
    return png_of(figure)


def coverage_curve(calibrations: Mapping[str, Calibration]) -> bytes:
    """PNG of accuracy over coverage, a line for each name; a model that knows what it knows falls to the right."""
    figure, axes = new_figure(4.8, 3.6)
    with plain_labels():
        for name, calibration in calibrations.items():
            curve = np.array(calibration.curve()).reshape(-1, 3)
            if len(curve) > _POINTS:
                curve = curve[np.linspace(0, len(curve) - 1, _POINTS).round().astype(int)]
            axes.plot(100 * curve[:, 1], 100 * curve[:, 2], linewidth=1.4, label=printable(name))
        axes.axvline(90, color=_GREY, linewidth=0.8, linestyle=":")
        axes.set(xlim=(0, 100), xlabel="coverage: questions answered, %", ylabel="accuracy of what is answered, %")
        axes.grid(alpha=0.3)
        if calibrations:
            axes.legend(fontsize=7)
        return png_of(figure)


def confusion_picture(scores: AnswerScores, most: int = 20) -> bytes:
    """PNG of the most frequent true answers against those given: parts of each row, and numbers of questions."""
    names, matrix = scores.confusion(most)
    total = matrix.sum(1, keepdims=True)
    parts = np.divide(matrix, total, out=np.zeros(matrix.shape), where=total > 0)
    side = 2.2 + 0.36 * len(names)
    figure, axes = new_figure(side + 0.8, side)
    if not names:
        axes.set_title("no answers", fontsize=9)
        return png_of(figure)
    shown = [printable(name) if len(name) <= _LONGEST else f"{printable(name)[:_LONGEST]}…" for name in names]
    with plain_labels():
        drawn = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(names)), shown, rotation=90, fontsize=7)
        axes.set_yticks(range(len(names)), [f"{s} ({n})" for s, n in zip(shown, total[:, 0], strict=True)], fontsize=7)
        for i, j in np.argwhere(matrix):
            ink = "white" if parts[i, j] > 0.55 else "black"
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=6, color=ink)
        axes.set(xlabel="answer given", ylabel="true answer (questions)")
        figure.colorbar(drawn, ax=axes, shrink=0.6, label="part of the row").ax.tick_params(labelsize=7)
        return png_of(figure)

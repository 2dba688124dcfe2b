"""Figures of curves and tables, by matplotlib's object interface: no global state of pyplot, no window system."""

from __future__ import annotations

import io
import warnings
from typing import Any


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """An empty figure and its axes.

    Args:
        width: In inches, of 110 px when it is written.
        height: Likewise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # comes with Ultralytics; the runtime works without
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def png_of(figure: Any) -> bytes:
    """The figure as a PNG; letters that its font does not know are boxes, without a warning for each."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(data, format="png", dpi=110)
    return data.getvalue()

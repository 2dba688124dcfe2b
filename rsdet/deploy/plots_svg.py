"""Plots of a benchmark as SVG text: latency distributions with every sample, and accuracy against latency.

Drawn here and not with matplotlib: the text stays text, the colours follow the page's light or dark theme by its CSS
classes, and the file needs nothing from outside. Sizes are in pixels of an 860 px wide drawing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

WIDTH = 860
COLOURS = 8  # classes c0 to c7 of the page's style; further models share the last one
_ROW = 34  # height of one row of the distribution plot
_BAND = 18  # height that the samples of a row are spread over
_MANY = 100  # samples in a row beyond which its dots are smaller
_CHAR = 7.0  # width of a letter at the size of the labels


@dataclass(frozen=True)
class Strip:
    """One row of :func:`distributions`: a label, all samples in the order they were measured, and a colour number."""

    label: str
    samples_ms: Sequence[float]
    colour: int


@dataclass(frozen=True)
class Dot:
    """One artifact of :func:`scatter`; artifacts of one group are joined by a line, ``shape`` tells them apart."""

    group: str
    shape: str
    x_ms: float
    x_p95_ms: float
    y: float
    colour: int


class Axis:
    """Maps values to pixels, in logarithms where the values span much."""

    def __init__(
        self, low: float, high: float, start: float, end: float, log: bool | None = None, margin: float = 0.03
    ):
        self.log = high / low > 6 if log is None else log
        pad = margin * ((math.log(high / low) if self.log else high - low) or 1)
        self.low, self.high = (low / math.exp(pad), high * math.exp(pad)) if self.log else (low - pad, high + pad)
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        """Pixel of a value."""
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values inside the axis, about six."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                found = [s * 10.0**d for d in decades for s in steps if self.low <= s * 10.0**d <= self.high]
                if len(found) <= 9:
                    return found
            return found
        rough = (self.high - self.low) / 6
        size = 10 ** math.floor(math.log10(rough))
        step = next(s * size for s in (1, 2, 5, 10) if s * size >= rough)
        return [i * step for i in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]


def distributions(strips: Sequence[Strip], title: str, ident: str) -> str:
    """Draw a row per artifact: every sample, the box from the 25th to the 75th percentile, median and p95.

    Args:
        strips: The rows.
        title: What the plot shows, for those who cannot see it.
        ident: Unique name of the plot in the page.
    """
    left = min(270.0, 24 + _CHAR * max(len(s.label) for s in strips))
    right, top = WIDTH - 130, 8
    bottom = top + _ROW * len(strips)
    axis = Axis(min(min(s.samples_ms) for s in strips), max(max(s.samples_ms) for s in strips), left, right)
    parts = _vertical_grid(axis, top, bottom, "ms per run" + (", logarithmic" if axis.log else ""))
    for i, strip in enumerate(strips):
        y = top + _ROW * (i + 0.5)
        v = np.asarray(strip.samples_ms, dtype=float)
        q25, q75, p95 = (float(np.percentile(v, q, method="inverted_cdf")) for q in (25, 75, 95))
        median, colour = float(np.median(v)), f"c{min(strip.colour, COLOURS - 1)}"
        spread = np.linspace(-0.5, 0.5, len(v)) * _BAND if len(v) > 1 else [0.0]
        spots = dict.fromkeys(f"M{axis.at(x):.1f} {y + dy:.1f}h0" for x, dy in zip(v, spread, strict=True))
        told = f"{strip.label}: median {median:.4g} ms, p95 {p95:.4g} ms, slowest {v.max():.4g} ms, {len(v)} samples"
        x25, x75, x50, x95 = (axis.at(q) for q in (q25, q75, median, p95))
        parts += [
            f'<g class="strip {colour}"><title>{escape(told)}</title>',
            f'<rect class="hit" x="0" y="{y - _ROW / 2:.1f}" width="{WIDTH}" height="{_ROW}"/>',
            f'<text class="label" x="{left - 12:.1f}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(_short(strip.label))}</text>",
            f'<path class="dots{" many" if len(v) > _MANY else ""}" d="{"".join(spots)}"/>',
            f'<rect class="box" x="{x25:.1f}" y="{y - 11:.1f}" width="{max(x75 - x25, 1):.1f}" height="22" rx="2"/>',
            f'<path class="median" d="M{x50:.1f} {y - 13:.1f}v26"/>',
            f'<path class="p95" d="M{x95:.1f} {y - 6:.1f}l4 6l-4 6l-4 -6z"/>',
            f'<text class="value" x="{WIDTH - 4}" y="{y + 4:.1f}" text-anchor="end">{median:.4g} ms, '
            f"n={len(v)}</text></g>",
        ]
    return _svg(parts, bottom + 44, title, ident)


def scatter(dots: Sequence[Dot], y_name: str, title: str, ident: str) -> str:
    """Draw accuracy (up) against median latency (right), a line from each median to its p95.

    Args:
        dots: The artifacts.
        y_name: Name of the accuracy with its protocol.
        title: What the plot shows, for those who cannot see it.
        ident: Unique name of the plot in the page.
    """
    left, right, top, bottom = 64.0, WIDTH - 170, 14.0, 330.0
    x = Axis(min(d.x_ms for d in dots), max(d.x_p95_ms for d in dots), left, right, margin=0.08)
    low, high = min(d.y for d in dots), max(d.y for d in dots)
    if high - low < 0.02:  # all alike: no drama in the third decimal
        low, high = low - 0.02, high + 0.02
    y = Axis(low, high, bottom, top, log=False, margin=0.12)
    parts = _vertical_grid(x, top, bottom, "median ms per run, network alone" + (", logarithmic" if x.log else ""))
    ticks = y.ticks()
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9)) if len(ticks) > 1 else 3
    for value in ticks:
        at = y.at(value)
        parts.append(f'<path class="grid" d="M{left} {at:.1f}H{right}"/>')
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{value:.{decimals}f}</text>'
        )
    middle = (top + bottom) / 2
    parts.append(
        f'<text class="name" transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_name)}</text>"
    )
    labels = []
    for group in dict.fromkeys(d.group for d in dots):
        mine = sorted((d for d in dots if d.group == group), key=lambda d: d.x_ms)
        colour = f"c{min(mine[0].colour, COLOURS - 1)}"
        line = " ".join(f"{x.at(d.x_ms):.1f},{y.at(d.y):.1f}" for d in mine)
        parts.append(f'<g class="{colour}"><polyline class="join" points="{line}"/>')
        for d in mine:
            px, py = x.at(d.x_ms), y.at(d.y)
            told = f"{d.group} {d.shape}: {y_name} {d.y:.4g}, median {d.x_ms:.4g} ms, p95 {d.x_p95_ms:.4g} ms"
            parts.append(
                f'<g class="dot"><title>{escape(told)}</title><path class="whisker" d="M{px:.1f} {py:.1f}'
                f'H{x.at(d.x_p95_ms):.1f}"/>{marker(d.shape, px, py)}</g>'
            )
        parts.append("</g>")
        labels.append([y.at(mine[-1].y), x.at(mine[-1].x_p95_ms), group, colour, y.at(mine[-1].y)])
    parts += _labels(labels, top)
    return _svg(parts, bottom + 44, title, ident)


_SHAPES = {  # paths around the origin
    "pytorch": "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z",
    "onnx": "M-5.5 -5.5h11v11h-11z",
    "openvino": "M0 -7l7 12h-14z",
    "engine": "M0 -7.5l7.5 7.5l-7.5 7.5l-7.5 -7.5z",
    "torchscript": "M-7 -5h14l-7 12z",
}


def marker(shape: str, x: float, y: float) -> str:
    """Return the mark of a backend at a place."""
    return f'<path class="mark" transform="translate({x:.1f} {y:.1f})" d="{_SHAPES.get(shape, _SHAPES["engine"])}"/>'


def _labels(labels: list[list], top: float) -> list[str]:
    """Names behind the last dot of each group, moved apart where they would overlap."""
    labels.sort()
    last = -math.inf
    for label in labels:
        label[0] = last = max(label[0], last + 15)
    over = max(0.0, labels[-1][0] - 326)
    if over and labels[0][0] - over > top:
        for label in labels:
            label[0] -= over
    out = []
    for at, px, name, colour, own in labels:
        x = max(px + 14, px + 8)
        lead = f'<path class="lead" d="M{px + 3:.1f} {own:.1f}L{x - 2:.1f} {at:.1f}"/>' if abs(at - own) > 6 else ""
        out.append(f'<g class="{colour}">{lead}<text class="label named" x="{x:.1f}" y="{at + 4:.1f}">')
        out.append(f"{escape(_short(name, 22))}</text></g>")
    return out


def _vertical_grid(axis: Axis, top: float, bottom: float, name: str) -> list[str]:
    parts = []
    for value in axis.ticks():
        at = axis.at(value)
        parts.append(f'<path class="grid" d="M{at:.1f} {top}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
    middle = (axis.start + axis.end) / 2
    parts.append(f'<text class="name" x="{middle:.0f}" y="{bottom + 38}" text-anchor="middle">{escape(name)}</text>')
    return parts


def _svg(parts: Sequence[str], height: float, title: str, ident: str) -> str:
    return (
        f'<svg id="{ident}" class="plot" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-labelledby="{ident}-t"><title id="{ident}-t">{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

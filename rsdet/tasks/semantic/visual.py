"""Maps of classes for people: the colour table, a map over its picture, and what the colours mean."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rsdet.data.pictures import PictureReader
from rsdet.data.sar.colours import DIVERGING, NO_VELOCITY, velocity_colours
from rsdet.data.sar.picture import SarReader
from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.detect.lettering import text_height
from rsdet.tasks.detect.visual import class_colour, legend_strip, to_display
from rsdet.tasks.semantic.classmap import BACKGROUND
from rsdet.tasks.semantic.polygons import drawn_classes
from rsdet.writing import write_bytes

TINT = 0.5  # part of the colour in a pixel
LONGEST_PX = 2048  # pictures of maps larger than this are shrunk to it

INK = (0, 0, 0)
SMALLEST_PX, OUTLINE_PART = 480, 700  # smaller pictures are enlarged; pixels of a picture for one of its outlines

COLOURS = np.array([class_colour(k) for k in range(IGNORE)] + [(0, 0, 0)], np.uint8)
"""(256, 3) RGB of each class number; black where there is none."""


def overlay(picture: np.ndarray, classes: np.ndarray, names: Mapping[int, str], legend: bool = True) -> np.ndarray:
    """Lay a map over its picture, with the share of each class below.

    Args:
        picture: (H, W, C) uint8, BGR where it has three channels.
        classes: (H, W) uint8, 255 where the picture is to be seen alone, as it is where all else is background.
        names: Class number to name.
        legend: Add the strip with the classes.

    Returns:
        (H', W, 3) uint8 BGR.
    """
    shown = to_display(picture)
    tinted = cv2.addWeighted(shown, 1 - TINT, COLOURS[classes][..., ::-1], TINT, 0)
    plain = [IGNORE, *(k for k, name in names.items() if name == BACKGROUND)]
    shown = np.where(np.isin(classes, plain)[..., None], shown, tinted)
    if not legend:
        return shown
    shares = np.bincount(classes.ravel(), minlength=IGNORE + 1)[:IGNORE] * 100 / classes.size
    said = {k: f"{names.get(k, k)} {shares[k]:.1f} %" for k in np.flatnonzero(shares).tolist()}
    entries = [(class_colour(k), text, "") for k, text in said.items()]
    strip = legend_strip(shown.shape[1], np.zeros(0, int), {}, text_height(max(shown.shape[:2])), entries)
    return np.concatenate([shown, strip[..., ::-1]])


def overlay_of(
    picture: np.ndarray, reader: PictureReader | SarReader, classes: np.ndarray, names: Mapping[int, str]
) -> np.ndarray:
    """Lay a map over its picture as :func:`overlay` does, or of velocities as :func:`velocity_overlay` does.

    Args:
        picture: What the reader has made of a file.
        reader: The reader.
        classes: (H, W) uint8, 255 where there is none.
        names: Class number to name.
    """
    rule = reader.stretch if isinstance(reader, SarReader) else None
    if rule is None or not rule.signed or rule.range is None:
        return overlay(picture, classes, names)
    drawn = {k: names[k] for k in drawn_classes(names)}
    return velocity_overlay(
        rule.velocities(picture[..., 0]), classes != IGNORE, classes, drawn, rule.range[1], rule.units
    )


def velocity_overlay(
    velocity: np.ndarray, valid: np.ndarray, classes: np.ndarray, names: Mapping[int, str], limit: float, unit: str
) -> np.ndarray:
    """Show velocities by a diverging colour map, white at rest, with the regions of a map outlined, and a legend.

    Args:
        velocity: (H, W) values.
        valid: (H, W) bool: where there are some.
        classes: (H, W) uint8; those that are named are outlined.
        names: Class number to name.
        limit: Velocities from here on have the colours of the ends.
        unit: Of velocities and limit.

    Returns:
        (H', W', 3) uint8 BGR; a small picture is enlarged by a whole factor.
    """
    steps = np.linspace(-limit, limit, len(DIVERGING))
    shown = velocity_colours(velocity, valid, limit)
    factor = max(1, -(-SMALLEST_PX // max(classes.shape)))
    shown, classes = (x.repeat(factor, 0).repeat(factor, 1) for x in (shown, classes))
    width = max(1, round(max(classes.shape) / OUTLINE_PART))
    inks = {k: INK if len(names) == 1 else class_colour(k) for k in names}
    shares = np.bincount(classes.ravel(), minlength=IGNORE + 1) * 100 / classes.size
    entries = [(tuple(DIVERGING[i]), f"{steps[i]:g} {unit}", "") for i in (0, len(steps) // 2, -1)]
    entries += [] if valid.all() else [(NO_VELOCITY, "no velocity", "")]
    for k, ink in inks.items():
        inside = (classes == k).astype(np.uint8)
        shown[(cv2.dilate(inside, np.ones((3, 3), np.uint8), iterations=width) > 0) & (inside == 0)] = ink
        entries.append((ink, f"around {names[k]} {shares[k]:.1f} %", ""))
    strip = legend_strip(shown.shape[1], np.zeros(0, int), {}, text_height(max(shown.shape[:2])), entries)
    return np.ascontiguousarray(np.concatenate([shown, strip])[..., ::-1])


def write_index(path: Path, classes: np.ndarray) -> Path:
    """Write class numbers as a PNG with the colour table; whole or not at all."""
    image, made = Image.fromarray(classes), io.BytesIO()
    image.putpalette(COLOURS.ravel().tolist())
    image.save(made, format="PNG", transparency=IGNORE)
    return write_bytes(path, made.getvalue())

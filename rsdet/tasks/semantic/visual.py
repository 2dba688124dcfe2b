"""Maps of classes for people: the colour table, a map over its picture, and what the colours mean."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.detect.lettering import text_height
from rsdet.tasks.detect.visual import class_colour, legend_strip, to_display
from rsdet.writing import write_bytes

TINT = 0.5  # part of the colour in a pixel
LONGEST_PX = 2048  # pictures of maps larger than this are shrunk to it

COLOURS = np.array([class_colour(k) for k in range(IGNORE)] + [(0, 0, 0)], np.uint8)
"""(256, 3) RGB of each class number; black where there is none."""


def overlay(picture: np.ndarray, classes: np.ndarray, names: Mapping[int, str], legend: bool = True) -> np.ndarray:
    """Lay a map over its picture, with the share of each class below.

    Args:
        picture: (H, W, C) uint8, BGR where it has three channels.
        classes: (H, W) uint8, 255 where the picture is to be seen alone.
        names: Class number to name.
        legend: Add the strip with the classes.

    Returns:
        (H', W, 3) uint8 BGR.
    """
    shown = to_display(picture)
    tinted = cv2.addWeighted(shown, 1 - TINT, COLOURS[classes][..., ::-1], TINT, 0)
    shown = np.where((classes == IGNORE)[..., None], shown, tinted)
    if not legend:
        return shown
    shares = np.bincount(classes.ravel(), minlength=IGNORE + 1)[:IGNORE] * 100 / classes.size
    said = {k: f"{names.get(k, k)} {shares[k]:.1f} %" for k in np.flatnonzero(shares).tolist()}
    entries = [(class_colour(k), text, "") for k, text in said.items()]
    strip = legend_strip(shown.shape[1], np.zeros(0, int), {}, text_height(max(shown.shape[:2])), entries)
    return np.concatenate([shown, strip[..., ::-1]])


def write_index(path: Path, classes: np.ndarray) -> Path:
    """Write class numbers as a PNG with the colour table; whole or not at all."""
    image, made = Image.fromarray(classes), io.BytesIO()
    image.putpalette(COLOURS.ravel().tolist())
    image.save(made, format="PNG", transparency=IGNORE)
    return write_bytes(path, made.getvalue())

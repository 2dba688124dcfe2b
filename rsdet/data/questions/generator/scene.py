"""What the labels of one picture say, whatever form they have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNKNOWN = 255  # of a map of the ground: nothing is known of the pixel


@dataclass(frozen=True)
class Item:
    """A labelled object.

    Attributes:
        name: Its class.
        ring: (K, 2) corners in pixels, see :mod:`rsdet.data.questions.generator.shapes`.
    """

    name: str
    ring: np.ndarray


@dataclass(frozen=True)
class Scene:
    """One picture and its labels.

    Attributes:
        image: Name of the picture, relative to the folder of the images.
        width: Pixels.
        height: Pixels.
        names: Classes of objects that were labelled, whether there are any here or not.
        items: The objects.
        unsure: Classes about which nothing is asked here.
        outlined: Rings fit their objects (outlines, oriented boxes), so that areas can be told.
        cover: (H, W) uint8, what covers the ground at each pixel, by its place in :attr:`stuff`; 255 is unknown.
        stuff: Classes of the ground.
        theme: Class of the picture as a whole; empty where it has none.
        themes: Classes that it might have had.
    """

    image: str
    width: int
    height: int
    names: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    unsure: frozenset[str] = frozenset()
    outlined: bool = False
    cover: np.ndarray | None = None
    stuff: tuple[str, ...] = ()
    theme: str = ""
    themes: tuple[str, ...] = ()

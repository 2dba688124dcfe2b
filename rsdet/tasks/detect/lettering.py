"""Text on pictures: the first font at hand that knows the letters, and words drawn once and kept."""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN = 3  # px of ground beside the text of a label


def text_height(longest: int) -> int:
    """Height of text in px on a picture whose longer side has so many."""
    return int(np.clip(round(longest / 110), 12, 40))


def _font_files() -> list[str]:
    spec = importlib.util.find_spec("matplotlib")  # comes with Ultralytics; found without importing it
    bundled = []
    if spec is not None and spec.origin:
        bundled = [str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")]
    # Names that PIL looks for in the system's font folders; the later ones know Chinese, Japanese and Korean.
    system = ["DejaVuSans.ttf", "Arial.ttf", "NotoSansCJK-Regular.ttc", "msyh.ttc", "PingFang.ttc", "Arial Unicode.ttf"]
    return bundled + system


@lru_cache(maxsize=64)
def find_font(
    size: int, letters: frozenset[str], wish: str | None = None
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the first font at hand that knows all the letters, else the first at hand. Nothing is downloaded."""
    first = None
    for name in [*([wish] if wish else []), *_font_files()]:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:
            continue  # not on this machine
        unknown = bytes(font.getmask("\uffff"))
        if all(c.isspace() or bytes(font.getmask(c)) != unknown for c in letters):
            return font
        first = first or font
    return first or ImageFont.load_default(size)


class Pen:
    """Writes labels in one font. Names and numbers are drawn apart and kept: frames of a video share nearly all."""

    def __init__(self, size: int, letters: frozenset[str], font: str | None):
        self.size, self.font = size, find_font(size, letters, font)

    def width(self, *words: str) -> int:
        """Width of a label in px."""
        return sum(length(self.font, w) for w in words) + (len(words) - 1) * length(self.font, " ") + 2 * MARGIN

    def cover(self, *words: str) -> np.ndarray:
        """(H, W, 1) part of each pixel of a label that is ink, 0..1."""
        page, x = np.zeros((self.size + 4, self.width(*words), 1), np.float32), 0
        for w in words:
            part = _cover(self.font, w, self.size + 4)
            page[:, x : x + part.shape[1]] += part
            x += part.shape[1] - 2 * MARGIN + length(self.font, " ")
        return page


@lru_cache(maxsize=4096)
def length(font: Any, text: str) -> int:
    """Width of a text in px."""
    return math.ceil(font.getlength(text))


def fitted(font: Any, text: str, room: int) -> str:
    """The text, or its beginning where all of it is wider than so many px."""
    while len(text) > 1 and length(font, text) > room:
        text = text[:-2] + "…"
    return text


@lru_cache(maxsize=1024)
def _cover(font: Any, word: str, height: int) -> np.ndarray:
    page = Image.new("L", (length(font, word) + 2 * MARGIN, height))
    ImageDraw.Draw(page).text((MARGIN, height / 2), word, font=font, fill=255, anchor="lm")
    return np.asarray(page, np.float32)[..., None] / 255

"""Questions about what covers the ground, by maps that have a class for every pixel.

- **Presence**: yes where at least :data:`LEAST_PX` pixels are of the class, no where none is.
- **Area**: the share of the picture's pixels that are of the class, in the ranges of :data:`~.templates.SHARES`.
- **Comparison**: more pixels of one class than of another; asked where both are there, and one has at least
  :data:`CLEARLY` times the pixels of the other.

Pixels of which nothing is known (255) might be of any class: a question is asked only where its answer is the same
whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rsdet.data.questions.generator import templates as say
from rsdet.data.questions.generator.scene import UNKNOWN, Scene
from rsdet.data.questions.records import Question

LEAST_PX = 16
CLEARLY = 1.1


def ground_questions(scene: Scene) -> Iterator[Question]:
    """All questions about the ground of a picture, before any are chosen; none where there is no map."""
    if scene.cover is None:
        return
    pixels = np.bincount(scene.cover.reshape(-1), minlength=UNKNOWN + 1)
    total, unknown = scene.cover.size, int(pixels[UNKNOWN])
    have = {name: int(pixels[i]) for i, name in enumerate(scene.stuff) if name not in scene.unsure}

    def ask(text: str, answer: str, kind: str) -> Question:
        return Question(scene.image, text, answer, kind)

    for name, n in have.items():
        if n >= LEAST_PX or n + unknown == 0:
            yield ask(say.presence(name, stuff=True), say.judged(n > 0), "presence")
        if say.share(n, total) == say.share(n + unknown, total):
            yield ask(say.area(name, stuff=True), say.share(n, total), "area")
    for name, n in have.items():
        for other, m in have.items():
            clear = n >= CLEARLY * (m + unknown) or m >= CLEARLY * (n + unknown)
            if name != other and min(n, m) >= LEAST_PX and clear:
                yield ask(say.comparison(name, other, stuff=True), say.judged(n > m), "comparison")

"""Questions about objects.

- An object is **in the picture** where the centre of its label is (:func:`~.shapes.centre`, :func:`~.shapes.inside`).
- **Nothing is asked** about a class of which an object is marked difficult, or reaches into the picture with its centre
  outside: people would not agree whether it counts. Both are in ``unsure``, see :func:`certain`.
- **Presence**: yes where an object of the class is in the picture.
- **Count**: how many are; more than :data:`~.templates.MOST_COUNT` are ``more than 20``.
- **Comparison**: strictly more of one class than of another; asked where both are in the picture.
- **Area**: the share of the picture's pixels whose centre lies in an object of the class, in the ranges of
  :data:`~.templates.SHARES`; asked where labels fit the objects, which upright boxes do not.
- **Relation**: two objects are next to each other where the distance of their edges is less than :data:`NEXT_TO` times
  the mean of their sizes (:func:`~.shapes.size`); asked where both classes are there, and two objects are.
- **Where**: one of nine equal fields, by the centre of the only object of the class; or of the largest, where its area
  is at least :data:`LARGER` times that of the second.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rsdet.data.questions.generator import templates as say
from rsdet.data.questions.generator.scene import Item, Scene
from rsdet.data.questions.generator.shapes import box_gaps, centre, covered, edge_distance, field, inside, size
from rsdet.data.questions.records import Question
from rsdet.geometry import hulls

NEXT_TO = 1.0
LARGER = 1.2


def certain(scene: Scene) -> dict[str, list[Item]]:
    """Classes that can be asked about, each with its objects that are in the picture."""
    found: dict[str, list[Item]] = {name: [] for name in scene.names}
    unsure = set(scene.unsure)
    for item in scene.items:
        if inside(centre(item.ring), scene.width, scene.height):
            found[item.name].append(item)
        elif reaches_in(item, scene):
            unsure.add(item.name)
    return {name: items for name, items in found.items() if name not in unsure}


def reaches_in(item: Item, scene: Scene) -> bool:
    """Whether the upright box around an object overlaps the picture."""
    (x1, y1), (x2, y2) = item.ring.min(0), item.ring.max(0)
    return bool(x1 < scene.width and y1 < scene.height and x2 > 0 and y2 > 0)


def object_questions(scene: Scene, next_to: float = NEXT_TO) -> Iterator[Question]:
    """All questions about the objects of a picture, before any are chosen.

    Args:
        scene: The picture and its labels.
        next_to: See :data:`NEXT_TO`.
    """

    def ask(text: str, answer: str, kind: str) -> Question:
        return Question(scene.image, text, answer, kind)

    found = certain(scene)
    for name, items in found.items():
        yield ask(say.presence(name), say.judged(bool(items)), "presence")
        yield ask(say.count(name), say.number(len(items)), "count")
        if scene.outlined:
            pixels = covered((i.ring for i in items), scene.width, scene.height)
            yield ask(say.area(name), say.share(pixels, scene.width * scene.height), "area")
        if len(items) == 1:
            yield ask(say.where(name), _field(items[0], scene), "where")
        elif items:
            largest, second = sorted(items, key=lambda i: -size(i.ring))[:2]
            if size(largest.ring) ** 2 >= LARGER * size(second.ring) ** 2:
                yield ask(say.where(name, largest=True), _field(largest, scene), "where")
    there = [name for name, items in found.items() if items]
    for k, name in enumerate(there):
        for other in there[k:]:
            if name != other:
                more = len(found[name]) - len(found[other])
                yield ask(say.comparison(name, other), say.judged(more > 0), "comparison")
                yield ask(say.comparison(other, name), say.judged(more < 0), "comparison")
            if name != other or len(found[name]) > 1:
                beside = any_next_to(found[name], found[other], next_to)
                yield ask(say.relation(name, other), say.judged(beside), "relation")


def any_next_to(some: Sequence[Item], others: Sequence[Item], k: float = NEXT_TO) -> bool:
    """Whether an object is next to another one: their edges less apart than ``k`` times the mean of their sizes."""
    most = k * (_sizes(some)[:, None] + _sizes(others)[None]) / 2
    near = box_gaps(_boxes(some), _boxes(others)) < most  # no shapes are less apart than the boxes around them
    return any(
        edge_distance(some[i].ring, others[j].ring) < most[i, j]
        for i, j in zip(*np.nonzero(near), strict=True)
        if some[i] is not others[j]
    )


def _sizes(items: Sequence[Item]) -> np.ndarray:
    return np.array([size(i.ring) for i in items])


def _boxes(items: Sequence[Item]) -> np.ndarray:
    return np.array([hulls(i.ring) for i in items]).reshape(-1, 4)


def _field(item: Item, scene: Scene) -> str:
    return field(centre(item.ring), scene.width, scene.height)

"""The wording of all questions that are made, and of their answers."""

from __future__ import annotations

from itertools import pairwise

from rsdet.data.questions.generator.nouns import noun, plural

KINDS = ("presence", "count", "comparison", "area", "relation", "where", "theme")
MOST_COUNT = 20  # more are "more than 20"
# Shares of the picture in percent: an answer for each pair, the upper end belongs to it, the lower does not.
SHARES = (0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
YES, NO = "yes", "no"
THEME = "What is the theme of the picture?"
DIRECTED = frozenset({"where"})  # kinds whose answers change when a picture is mirrored or turned


def presence(name: str, stuff: bool = False) -> str:
    """Whether a class is in the picture; ``stuff`` is what covers the ground, which has no number."""
    return f"Is there any {noun(name)} in the picture?" if stuff else f"Are there any {plural(name)} in the picture?"


def count(name: str) -> str:
    """How many objects of a class there are."""
    return f"How many {plural(name)} are in the picture?"


def comparison(name: str, other: str, stuff: bool = False) -> str:
    """Whether there are more objects of one class than of another, or whether one covers more of the ground."""
    if stuff:
        return f"Is there more {noun(name)} than {noun(other)} in the picture?"
    return f"Are there more {plural(name)} than {plural(other)} in the picture?"


def area(name: str, stuff: bool = False) -> str:
    """How much of the picture a class covers."""
    return f"How much of the picture {f'is {noun(name)}' if stuff else f'do {plural(name)} cover'}?"


def relation(name: str, other: str) -> str:
    """Whether an object of one class is next to one of another, or to another one of its own."""
    beside = f"other {plural(name)}" if name == other else plural(other)
    return f"Are there any {plural(name)} next to {beside} in the picture?"


def where(name: str, largest: bool = False) -> str:
    """In which part of the picture the only, or the largest, object of a class is."""
    return f"Where is the {'largest ' * largest}{noun(name)} in the picture?"


def of_theme(name: str) -> str:
    """Whether a class is the theme of the picture."""
    return f"Is this a picture of {noun(name)}?"


def judged(true: bool) -> str:
    """Answer of a closed question."""
    return YES if true else NO


def number(n: int) -> str:
    """Answer about a number of objects."""
    return str(n) if n <= MOST_COUNT else f"more than {MOST_COUNT}"


def share(pixels: int, of: int) -> str:
    """Answer about a share of the picture: ``0%``, or the range ``(low, high]`` of :data:`SHARES` that it is in.

    Args:
        pixels: Pixels of a class.
        of: Pixels of the picture.
    """
    if pixels == 0:
        return "0%"
    return next(f"{low}%-{high}%" for low, high in pairwise(SHARES) if 100 * pixels <= high * of)

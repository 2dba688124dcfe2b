"""What classes are called in a question: ``small-vehicle`` is a small vehicle, several are small vehicles."""

from __future__ import annotations

import re

_ALIKE = frozenset({"aircraft", "hovercraft", "watercraft", "people", "sheep", "spacecraft", "livestock", "debris"})
IRREGULAR = {"person": "people", "man": "men", "woman": "women", "child": "children", "leaf": "leaves"}


def noun(name: str) -> str:
    """A class name in words and lower case: ``OtherVehicle``, ``other_vehicle`` and ``other-vehicle`` are one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return " ".join(re.sub(r"[_\-/]+", " ", apart).lower().split())


def plural(name: str) -> str:
    """Plural of a class name in words: its last word, by the rules of English.

    A word that ends with a single s and not with ``us``, ``as`` or ``is`` is taken for a plural already (``cars``).
    """
    head, _, last = noun(name).rpartition(" ")
    return f"{head} {_plural_of(last)}".strip()


def _plural_of(word: str) -> str:
    if word in _ALIKE or word in IRREGULAR.values():
        return word
    if word in IRREGULAR:
        return IRREGULAR[word]
    if re.search(r"(s[su]s?|us|as|is|x|z|ch|sh)$", word):
        return f"{word}es"
    if word.endswith("s"):
        return word
    return f"{word[:-1]}ies" if re.search(r"[^aeiou]y$", word) else f"{word}s"

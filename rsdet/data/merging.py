"""Classes of a source that become one: cars, lorries and buses are vehicles to who counts vehicles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from rsdet.data.annotations import Dataset
from rsdet.errors import ConfigError, nearest
from rsdet.names import printable

Merge = Mapping[str, Sequence[str]]


def read_merge(text: str | Sequence[str] | Merge | None) -> dict[str, list[str]]:
    """New class to the classes of the source that it is made of.

    Args:
        text: Such a mapping, or as it is typed: ``vehicle=car+truck+bus,person=pedestrian+people``, also in parts.

    Raises:
        ConfigError: It is neither, or a class is in two of them.
    """
    if not text:
        return {}
    found: dict[str, list[str]] = {}
    words = text.split(",") if isinstance(text, str) else text
    if isinstance(words, Mapping) and not any(isinstance(olds, str) for olds in words.values()):
        found = {printable(str(new)): [str(old) for old in olds] for new, olds in words.items()}
    elif isinstance(words, Sequence) and all(isinstance(word, str) and "=" in word for word in words):
        for word in words:
            new, _, olds = word.partition("=")
            found.setdefault(printable(new.strip()), []).extend(old.strip() for old in olds.split("+"))
    olds = list(chain.from_iterable(found.values()))
    if not found or not all([*found, *olds]):
        raise ConfigError(f"merge={text!r} must be such as merge=vehicle=car+truck+bus,person=pedestrian+people")
    if twice := next((old for old in olds if olds.count(old) > 1), None):
        raise ConfigError(f"merge={text!r} has {twice!r} twice; a class can be a part of one only")
    return found


def parts_of(names: Sequence[str], merge: Merge) -> list[str]:
    """Classes of the source behind class names of the result."""
    return [old for name in names for old in merge.get(name, [name])]


def merge_classes(dataset: Dataset, merge: Merge) -> None:
    """Make one class of several, in place; it stands where the first of them stood, the others move up.

    Raises:
        ConfigError: The source has no such class, or one that is called as a new one is and is no part of it.
    """
    new_of = {old: new for new, olds in merge.items() for old in olds}
    if missing := next((old for old in new_of if old not in dataset.names), None):
        known = f"{', '.join(dataset.names)}.{nearest(missing, dataset.names)}"
        raise ConfigError(f"merge: the source has no class {missing!r}; it has {known}")
    if taken := next((n for n in dataset.names if n in merge and n not in new_of), None):
        raise ConfigError(f"merge: the source has a class {taken!r} of its own; make it a part, or take another name")
    merged = [new_of.get(name, name) for name in dataset.names]
    names = list(dict.fromkeys(merged))
    numbers = np.array([names.index(name) for name in merged], np.int16)
    for record in chain.from_iterable(dataset.splits.values()):
        for thing in record.objects:
            thing.cls = int(numbers[thing.cls])
        if record.class_map is not None:
            record.class_map = _renumbered(record.class_map, numbers)
    dataset.names = names


def _renumbered(read: Callable[[], np.ndarray], numbers: np.ndarray) -> Callable[[], np.ndarray]:
    def class_map() -> np.ndarray:
        old = read()
        return np.where(old >= 0, numbers[np.maximum(old, 0)], old)  # below 0: NOTHING and UNKNOWN

    return class_map

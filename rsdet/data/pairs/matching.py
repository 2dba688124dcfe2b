"""Which input belongs to which target: by equal names, or by what two patterns pick out of the names."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.data.images import SUFFIXES
from rsdet.errors import ConfigError, DataError

SHOWN = 3  # names that a message gives of each problem


@dataclass(frozen=True)
class Pair:
    """One sample.

    Attributes:
        key: What input and target have in common; unique within a split unless several inputs share a target.
        input: Picture that the network gets; None where it is made of the target by a degradation.
        target: The picture that it should make.
    """

    key: str
    input: Path | None
    target: Path


@dataclass
class Problems:
    """What is wrong with a set, gathered so that all of it can be said at once.

    Attributes:
        found: Kind of problem -> the files or pairs that have it.
        of: How many samples were looked at.
    """

    found: dict[str, list[str]] = field(default_factory=dict)
    of: int = 0
    _seen: set[tuple[str, Hashable]] = field(default_factory=set)

    def look_at(self, samples: Iterable[Hashable]) -> None:
        """Count samples, each once: two splits may be one folder."""
        new = {("", sample) for sample in samples} - self._seen
        self.of += len(new)
        self._seen |= new

    def add(self, kind: str, what: str, of: Hashable = None) -> None:
        """Note one case.

        Args:
            kind: Of problem.
            what: For the message.
            of: The file or files that have it, which are noted once.
        """
        if (kind, of) in self._seen:
            return
        if of is not None:
            self._seen.add((kind, of))
        self.found.setdefault(kind, []).append(what)

    def raise_any(self, name: str, remedy: str) -> None:
        """Raise one line about everything that was noted.

        Raises:
            DataError: Something was.
        """
        if not self.found:
            return
        said = []
        for kind, items in self.found.items():
            more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
            said.append(f"{len(items)} {kind}: {', '.join(items[:SHOWN])}{more}")
        raise DataError(f"{name}: {'; '.join(said)} (of {self.of}). {remedy}")


class Pattern:
    """How a file name gives its key: all of it without suffix, or group 1 of a regular expression that fits it."""

    def __init__(self, text: Any, side: str):
        self.regex = None
        if text is None:
            return
        try:
            self.regex = re.compile(text)
        except (re.error, TypeError) as e:
            raise ConfigError(f"pairing: {side}: {text!r} is no regular expression ({e}); such as '(.+)_hazy'") from e
        if self.regex.groups < 1:
            raise ConfigError(f"pairing: {side}: {text!r} has no group; put the key into brackets, such as '(.+)_hazy'")

    def key(self, path: Path, folder: Path | None) -> str | None:
        """Key of a file, with its folder below ``folder`` in front; None where the pattern does not fit."""
        stem = path.stem
        if self.regex is not None:
            found = self.regex.fullmatch(stem)
            if found is None or found[1] is None:
                return None
            stem = found[1]
        above = path.parent.relative_to(folder).as_posix() if folder is not None else "."
        return stem if above == "." else f"{above}/{stem}"


def list_pictures(entry: Any, root: Path, where: str) -> list[tuple[Path, Path | None]]:
    """Pictures of one side of a split.

    Args:
        entry: A folder, a ``.txt`` list with one path a line, a picture, or several of these; relative to ``root``.
        root: Folder of the set.
        where: For messages, such as ``train: input``.

    Returns:
        Each picture with the folder that its key is relative to (None for lists, whose lines say nothing of one).

    Raises:
        ConfigError: Not a path.
        DataError: Nothing there.
    """
    found: list[tuple[Path, Path | None]] = []
    for item in entry if isinstance(entry, (list, tuple)) else [entry]:
        if not isinstance(item, (str, Path)) or not str(item):
            raise ConfigError(f"{where} must be a folder or a .txt list below {root}, received {item!r}")
        place = root / Path(item).expanduser()
        if place.is_dir():
            below = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            found += [(p, place) for p in below if not any(part.startswith(".") for part in p.relative_to(place).parts)]
        elif place.suffix.lower() == ".txt" and place.is_file():
            found += [(p, None) for p in _listed(place, root)]
        elif place.suffix.lower() in SUFFIXES and place.is_file():
            found.append((place, None))
        else:
            raise DataError(f"{where}: {place} does not exist; expected a folder of pictures or a .txt list of them")
    if not found:
        raise DataError(f"{where}: no pictures in {entry} below {root}; expected {', '.join(SUFFIXES)}")
    return found


def _listed(path: Path, root: Path) -> list[Path]:
    """Paths that a list holds: absolute, or relative to the set's folder; ``./`` means the list's own, as elsewhere."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"cannot read the list {path} ({e}); expected one picture a line") from e
    stripped = [line.strip() for line in lines if line.strip()]
    return [path.parent / line[2:] if line.startswith("./") else root / line for line in stripped]


def match(
    inputs: list[tuple[Path, Path | None]],
    targets: list[tuple[Path, Path | None]],
    pairing: dict[str, Any],
    problems: Problems,
) -> list[Pair]:
    """Pairs in the order of the inputs; what has no partner goes to ``problems``.

    Args:
        inputs: From :func:`list_pictures`.
        targets: Likewise.
        pairing: The section of the data YAML; several inputs may share a target where it gives a pattern.
        problems: Filled.
    """
    by_input, by_target = Pattern(pairing.get("input"), "input"), Pattern(pairing.get("target"), "target")
    problems.look_at(path for path, _ in inputs)
    of_key: dict[str, Path] = {}
    for path, folder in targets:
        key = by_target.key(path, folder)
        if key is None:
            problems.add("targets whose names do not fit pairing", path.name, path)
        elif key in of_key:
            problems.add("targets with a key that another has", f"{path.name} ({key})", path)
        else:
            of_key[key] = path
    pairs, used = [], set()
    for path, folder in inputs:
        key = by_input.key(path, folder)
        if key is None:
            problems.add("inputs whose names do not fit pairing", path.name, path)
        elif key not in of_key:
            problems.add("inputs without target", path.name, path)
        elif key in used and by_input.regex is None:
            problems.add("inputs with a key that another has", f"{path.name} ({key})", path)
        else:
            used.add(key)
            pairs.append(Pair(key, path, of_key[key]))
    for key in of_key.keys() - used:
        problems.add("targets without input", of_key[key].name, of_key[key])
    for kind in problems.found.values():
        kind.sort()
    return pairs

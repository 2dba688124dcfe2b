"""Which pictures of a training set have labels: a share drawn by a seed, or a list in a file.

The draw depends on nothing but the names and the seed, so it is the same on every machine, and a smaller share of the
same seed is part of a larger one.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rsdet.data.groups import image_key
from rsdet.data.sources import files_of
from rsdet.errors import ConfigError, DataError, nearest


@dataclass(frozen=True)
class LabelledShare:
    """A training set divided.

    Attributes:
        labelled: Pictures whose labels are used.
        unlabelled: All pictures of the set and of the folders besides: what is not labelled in the former is learnt
            from, too. Labels are used of those that are ``labelled``.
        how: Where the division comes from, in words.
    """

    labelled: tuple[Path, ...]
    unlabelled: tuple[Path, ...]
    how: str

    def describe(self) -> str:
        """One line to print."""
        besides = len(self.unlabelled) - len(self.labelled)
        return f"{len(self.labelled)} pictures with labels ({self.how}), {besides} without"

    def among(self, others: Iterable[str | Path]) -> int:
        """How many of other pictures, such as those of a validation, are learnt from, whatever path leads there."""
        return len({Path(p).resolve() for p in self.unlabelled} & {Path(p).resolve() for p in others})


def divide(
    pictures: Sequence[Path], labeled: float | str | Path = 1.0, seed: int = 0, folders: Sequence[str | Path] = ()
) -> LabelledShare:
    """Divide a training set.

    Args:
        pictures: Its pictures, in the order of the set.
        labeled: Share of them that keeps its labels, above 0 to 1, rounded up; or a text file with a name, or a place
            in the order counted from 0, a line. Where pictures share a name, a line says their folders, too.
        seed: Of the share.
        folders: Folders, globs or lists of pictures without labels; those of the set among them count once.

    Raises:
        ConfigError: A share out of its range.
        DataError: The list cannot be read, names a picture that is not there, several at once or nothing at all, or a
            folder has none.
    """
    besides: list[Path] = []
    for folder in folders:
        found = files_of(folder)
        if not found:
            raise DataError(f"unlabeled={str(folder)!r} holds no pictures; give a folder, a glob or a list of them")
        besides += found
    share = _as_share(labeled)
    if share is None:
        places, how = _listed(Path(labeled), pictures), f"listed in {Path(labeled).name}"
    else:
        count = max(1, math.ceil(round(share * len(pictures), 6)))
        order = sorted(range(len(pictures)), key=lambda i: (_digest(pictures[i], seed), i))
        places, how = sorted(order[:count]), f"{share:g} of {len(pictures)}, seed {seed}"
    there = {p.resolve() for p in pictures} if besides else set()
    everything = dict.fromkeys([*pictures, *(p for p in besides if p.resolve() not in there)])
    return LabelledShare(tuple(pictures[i] for i in places), tuple(everything), how)


def _as_share(labeled: float | str | Path) -> float | None:
    """The share; None for the name of a file."""
    try:
        share = float(labeled)
    except (TypeError, ValueError):
        return None
    if not 0 < share <= 1:
        raise ConfigError(
            f"labeled={labeled!r} received; expected a share above 0 to 1, or a text file with a name a line"
        )
    return share


def _digest(picture: Path, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{image_key(picture.name)}".encode("utf-8", "surrogateescape")).digest()


def _listed(file: Path, pictures: Sequence[Path]) -> list[int]:
    """Places of the pictures that a list names."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as e:
        raise DataError(f"labeled={file} cannot be read ({e}); give a share or a text file with a name a line") from e
    lines = [line for line in lines if line and not line.startswith("#")]
    by_name: dict[str, list[int]] = defaultdict(list)
    for i, picture in enumerate(pictures):
        by_name[image_key(picture.name)].append(i)
    keys = [image_key(line) for line in lines]
    if lines and all(line.isdecimal() for line in lines) and not by_name.keys() & set(keys):
        by_name = {str(i): [i] for i in range(len(pictures))}
        keys = [str(int(line)) for line in lines]
    unknown = [line for line, key in zip(lines, keys, strict=True) if key not in by_name]
    if unknown:
        hint = nearest(unknown[0], [p.name for p in pictures])
        raise DataError(
            f"labeled={file} names {len(unknown)} of {len(lines)} that are not among the {len(pictures)} training "
            f"pictures, such as {unknown[0]!r}.{hint} Mend the list."
        )
    if not lines:
        raise DataError(f"labeled={file} names no picture; write a name a line")
    meant = {_meant(line, by_name[key], pictures, file) for line, key in zip(lines, keys, strict=True)}
    return sorted(meant)


def _meant(line: str, places: Sequence[int], pictures: Sequence[Path], file: Path) -> int:
    """The picture of a line among those of its name: the one whose folders, then suffix, are most like the line's.

    Raises:
        DataError: Several are.
    """
    said = PurePosixPath(line.replace("\\", "/"))

    def alike(i: int) -> tuple[int, bool]:
        pairs = zip(reversed(said.parent.parts), reversed(pictures[i].parent.parts), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)), pictures[
            i
        ].name == said.name

    most = max(map(alike, places))
    found = [i for i in places if alike(i) == most]
    if len(found) > 1:
        raise DataError(
            f"labeled={file} names {line!r}, which may be {pictures[found[0]]} or {pictures[found[1]]}; write as much "
            "of the path as tells them apart."
        )
    return found[0]

"""Splits for sources that have none: by a seeded order of the file names, or by what the names begin with.

The seeded split must be the same on every machine and in every version of Python, so no random generator is asked: the
images are ordered by the SHA-256 of ``"<seed>/<name without suffix>"`` and the first ones are ``val``. It depends on
nothing but the set of names. Two releases of one dataset agree on nearly every image that both have.

The lists are written to ``<out>/splits/train.txt`` and ``val.txt``. Where they exist already (another run, or a split
that someone else published) they are checked against the names and used.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rsdet.data.groups import image_key
from rsdet.errors import ConfigError, DataError
from rsdet.writing import write_if_changed

FOLDER = "splits"
_TILE = re.compile(r"(?<=.)(__x\d+_y\d+|__\d+(\.\d+)?__-?\d+___-?\d+)$")


def seeded_split(stems: Iterable[str], fraction: float, seed: int) -> dict[str, str]:
    """Divide images into ``train`` and ``val``; tiles of one scene stay together (:func:`scene_of`).

    Args:
        stems: Image names without suffix.
        fraction: Part that becomes ``val``, 0 to 1; scenes are counted, rounded half up, and either part gets one.
        seed: Any whole number.

    Returns:
        Stem to split.

    Raises:
        DataError: Fewer than two scenes.
    """
    scenes: dict[str, list[str]] = {}
    for stem in sorted(set(stems)):
        scenes.setdefault(scene_of(stem), []).append(stem)
    order = sorted(scenes, key=lambda s: (hashlib.sha256(f"{seed}/{s}".encode("utf-8", "surrogateescape")).digest(), s))
    if len(order) < 2:
        what = "image" if sum(map(len, scenes.values())) < 2 else "scene, however many its tiles,"
        raise DataError(f"{len(order)} {what} cannot be divided into train and val; leave val_fraction= out")
    n_val = min(max(int(len(order) * fraction + 0.5), 1), len(order) - 1)
    return {stem: "val" if i < n_val else "train" for i, scene in enumerate(order) for stem in scenes[scene]}


def scene_of(stem: str) -> str:
    """What a tile was cut from, by the names that ``rsdet convert tile=`` and DOTA's kit give tiles; else the name."""
    return _TILE.sub("", stem)


class Splitter:
    """Divides the images of a source that has no splits of its own.

    Args:
        folder: The converted dataset, where the lists are looked for and written.
        fraction: Part of the images that becomes ``val``; None when the names decide.
        seed: Seed of the order.
        prefixes: Images whose names begin so are ``val``, all others ``train``.
    """

    def __init__(self, folder: Path, fraction: float | None, seed: int = 0, prefixes: Sequence[str] | None = None):
        self.folder, self.fraction, self.seed, self.prefixes = folder / FOLDER, fraction, seed, prefixes
        self._names: dict[str, list[str]] = {}

    @classmethod
    def of(
        cls, folder: Path, fraction: float | None, seed: int, prefixes: Sequence[str] | str | None
    ) -> Splitter | None:
        """What the options of a conversion ask for; None when they ask for nothing.

        Raises:
            ConfigError: Both ways at once, or a value out of its range.
        """
        if isinstance(prefixes, str):
            prefixes = [part.strip() for part in prefixes.split(",")]
        if fraction is None and prefixes is None:
            return None
        if fraction is not None and prefixes is not None:
            raise ConfigError("val_fraction= and val_prefixes= both say which images are val; give one of them")
        if fraction is not None and not 0 < fraction < 1:
            raise ConfigError(f"val_fraction={fraction!r} must lie between 0 and 1, such as 0.2 for a split of 4:1")
        if prefixes is not None and not (prefixes and all(prefixes)):
            raise ConfigError(
                f"val_prefixes={prefixes!r} must be beginnings of image names; such as val_prefixes=P01,P02"
            )
        return cls(folder, fraction, seed, prefixes)

    def divide(self, names: Iterable[str]) -> dict[str, str]:
        """Split of each image.

        Args:
            names: File names of all images of the source.

        Returns:
            Name without suffix to split.

        Raises:
            DataError: A prefix fits no image or all, or the lists in the folder are not of these images.
        """
        by_stem = {image_key(name): name for name in sorted(names)}
        if bad := [name for name in by_stem.values() if any("\ud800" <= c <= "\udfff" for c in name)]:
            raise DataError(f"the file name {bad[0]!r} is not UTF-8 and cannot stand in a list; rename the file")
        result = self._by_prefix(by_stem) if self.prefixes else self._by_lists(by_stem)
        self._names = {part: sorted(by_stem[s] for s, p in result.items() if p == part) for part in ("train", "val")}
        return result

    def save(self) -> None:
        """Write the lists of a seeded split; a split by prefixes needs none, the prefixes say it all."""
        for part, names in self._names.items() if self.fraction is not None else ():
            if not (self.folder / f"{part}.txt").exists():
                write_if_changed(self.folder / f"{part}.txt", "".join(f"{name}\n" for name in names))

    def _by_prefix(self, by_stem: dict[str, str]) -> dict[str, str]:
        for prefix in self.prefixes:
            if not any(stem.startswith(prefix) for stem in by_stem):
                raise DataError(
                    f"val_prefixes: no image begins with {prefix!r}; the first is {min(by_stem, default='-')}"
                )
        result = {stem: "val" if stem.startswith(tuple(self.prefixes)) else "train" for stem in by_stem}
        if "train" not in result.values():
            raise DataError(
                f"val_prefixes={','.join(self.prefixes)} fits all {len(result)} images; none is left for train"
            )
        return result

    def _by_lists(self, by_stem: dict[str, str]) -> dict[str, str]:
        drawn = seeded_split(by_stem, self.fraction, self.seed)
        listed = {part: self._listed(part) for part in ("train", "val")}
        if listed["train"] is None and listed["val"] is None:
            return drawn
        remedy = f"use the lists of these very images, or delete {self.folder} to have the split drawn by split_seed="
        for part, other in (("train", "val"), ("val", "train")):
            if listed[part] is None:
                listed[part] = by_stem.keys() - listed[other]
        both = listed["train"] & listed["val"]
        unknown = (listed["train"] | listed["val"]) - by_stem.keys()
        missing = by_stem.keys() - listed["train"] - listed["val"]
        for found, what in (
            (both, "are in both lists"),
            (unknown, "are not in the source"),
            (missing, "are in no list"),
        ):
            if found:
                raise DataError(
                    f"the lists in {self.folder}: {len(found)} images {what}, such as {min(found)}; {remedy}"
                )
        result = {stem: "val" if stem in listed["val"] else "train" for stem in by_stem}
        differ = sum(result[stem] != drawn[stem] for stem in by_stem)
        if differ:
            logging.getLogger("rsdet").warning(
                "%s: %d of %d images lie elsewhere than val_fraction=%g split_seed=%d would put them; the lists are "
                "used (delete the folder to have the split drawn)",
                self.folder, differ, len(result), self.fraction, self.seed,
            )  # fmt: skip
        return result

    def _listed(self, part: str) -> set[str] | None:
        path = self.folder / f"{part}.txt"
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines() if path.exists() else None
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(
                f"cannot read the list {path} ({e}); expected one image name a line; mend or delete it"
            ) from e
        return None if lines is None else {image_key(line) for line in lines if line.strip()}

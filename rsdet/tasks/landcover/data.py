"""A scene as this task takes it: cube and LiDAR as one array, labels, and which of its pixels are learnt from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.arguments import check_number, check_whole
from rsdet.data.cubes.bands import bands_of
from rsdet.data.cubes.dataset import CubeData, cube_data
from rsdet.data.cubes.splits import block_folds, fold_split, hold_out, missing_classes, random_split, seen_part
from rsdet.data.cubes.usable import usable_bands
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.tasks.landcover.visual import colours_of

KINDS = ("disjoint", "random", "blocked")
FLATTERED = 0.1  # from this part of the test pixels on, their surroundings are known from the training
PER_CLASS, FOLDS, BLOCK_PX = 50, 5, 16  # where neither the user nor the data YAML says it
_WORDS = {
    "disjoint": "maps of training and test",
    "random": "RANDOM pixels",
    "blocked": "blocks of ground",
}


@dataclass(frozen=True)
class SplitChoice:
    """How training and test pixels are chosen; None where nobody says.

    Attributes:
        by: One of :data:`KINDS`.
        per_class: Training pixels of each class, of a random split; below 1 a part of them.
        fold: Which of the folds is tested, from 0, of a blocked one.
        folds: How many there are.
        block_px: Side of the blocks in pixels.
        seed: Of pixels that are drawn, and blocks.
    """

    by: str | None = None
    per_class: float | None = None
    fold: int | None = None
    folds: int | None = None
    block_px: int | None = None
    seed: int | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SplitChoice:
        """What the keys of a user or of a data YAML ask for.

        Raises:
            ConfigError: A value out of its range.
        """
        named = {**given, "by": given.get("split_by", given.get("by"))}
        made = cls(**{f.name: named.get(f.name) for f in fields(cls)})
        if made.by not in (None, *KINDS):
            raise ConfigError(f"split_by={made.by!r} must be one of {', '.join(KINDS)}.{nearest(str(made.by), KINDS)}")
        for key, least in (("fold", 0), ("folds", 2), ("block_px", 1)):
            value = getattr(made, key)
            if value is not None:
                check_whole(key, value, least, f"a whole number, {least} or more")
        if made.per_class is not None:
            check_number(
                "per_class", made.per_class, 1e-9, math.inf, "pixels of each class, or a part of them; e.g. 50"
            )
        if (made.fold or 0) >= (made.folds or FOLDS):
            raise ConfigError(f"fold={made.fold} of {made.folds or FOLDS}; they are counted from 0.")
        return made

    def over(self, other: SplitChoice) -> SplitChoice:
        """This one, completed by another."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(other, **{k: v for k, v in own.items() if v is not None})


def choice_of(keys: Mapping[str, Any]) -> SplitChoice:
    """What the keys of a user ask for.

    Raises:
        ConfigError: A value out of its range.
    """
    return SplitChoice.of({**keys, "seed": keys.get("split_seed")})


@dataclass
class LandData:
    """A scene with its labels and its split.

    Attributes:
        values: (H, W, bands + rasters) float32 as in the files, NaN where there are no data.
        labels: (H, W) class numbers from 1, 0 where nothing is labelled.
        train: (H, W) bool: pixels to learn from, all with data.
        test: (H, W) bool: pixels to measure by, likewise.
        names: Class number from 0 to name.
        bands: Bands of the cube.
        places: Of these bands in the file, from 0.
        count: Bands that the file has.
        split: How training and test pixels were chosen, as plain values.
        palette: (classes + 1, 3) RGB, that of no class first.
        name: Of the data set.
        gsd: Metres a pixel; None where nobody says.
        notes: Lines that a user should read.
    """

    values: np.ndarray
    labels: np.ndarray
    train: np.ndarray
    test: np.ndarray
    names: Mapping[int, str]
    bands: int
    places: Sequence[int]
    count: int
    split: Mapping[str, Any]
    palette: np.ndarray
    name: str
    gsd: float | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def channels(self) -> int:
        """Bands and rasters."""
        return int(self.values.shape[2])

    @property
    def rasters(self) -> int:
        """Rasters of LiDAR."""
        return self.channels - self.bands

    def described(self) -> dict[str, Any]:
        """What weights say of the scene, as plain values."""
        return {
            "name": self.name, "bands": [int(b) for b in self.places], "of": self.count, "split": dict(self.split),
            "palette": self.palette.tolist(),
        }  # fmt: skip

    def split_line(self, patch: int) -> str:
        """The split in words, with what patches of a side see of it."""
        s = self.split
        more = {
            "random": f", {s.get('per_class'):g} a class" if s["by"] == "random" else "",
            "blocked": f" of {s.get('block_px')} px, fold {s.get('fold')} of {s.get('folds')}",
        }  # fmt: skip
        seen = seen_part(self.train, self.test, patch)
        warned = ": accuracies look better than they are" if seen > FLATTERED else ""
        return (
            f"split by {_WORDS[s['by']]}{more.get(s['by'], '')}: {int(self.train.sum())} training and "
            f"{int(self.test.sum())} test pixels, {100 * seen:.0f} % of these with a training pixel in their patch of "
            f"{patch} px{warned}"
        )


def read_land_data(
    path: str | Path,
    *,
    lidar: bool,
    bands: Any = None,
    choice: SplitChoice | None = None,
    patch: int = 1,
    stored: Mapping[str, Any] | None = None,
) -> LandData:
    """Read a scene.

    Args:
        path: Data YAML.
        lidar: Whether LiDAR is wanted; there need not be any.
        bands: See :func:`rsdet.data.cubes.bands.bands_of`; the data YAML's where None.
        choice: What the user says of the split; the data YAML says the rest.
        patch: Side of a patch in pixels: pixels of training so near to a test block are left out of a blocked split.
        stored: What weights say of the scene of their training: its bands are taken, and of data of the same name its
            split, where the user says nothing else.

    Raises:
        ConfigError: The YAML, bands or split cannot be.
        DataError: Files that cannot be read or do not lie on one grid, or too few labelled pixels.
    """
    data = cube_data(path, "landcover")
    choice = choice or SplitChoice()
    if stored and stored.get("name") == data.name:
        choice = choice.over(SplitChoice.of(stored.get("split") or {})) if choice.by is None else choice
    with data.open(lidar) as scene:
        taken = [b + 1 for b in stored["bands"]] if stored else bands if bands is not None else data.bands
        places = bands_of(taken, scene.cube) if stored else usable_bands(taken, scene.cube)[0]
        count, georef = scene.cube.shape[2], scene.cube.georef
        parts = [scene.cube.read(bands=places), *([scene.read_lidar()] if scene.lidar else [])]
    values = np.concatenate(parts, 2) if len(parts) > 1 else parts[0]
    check_rasters(values[..., len(places) :], data.name)
    train, test, split = split_of(data, choice.over(SplitChoice.of(data.split)), patch)
    there = np.isfinite(values[..., : len(places)]).all(2)
    notes = []
    if lost := int((((train > 0) | (test > 0)) & ~there).sum()):
        notes.append(f"{data.name}: {lost} labelled pixels have no data in some band and are left out")
    names = data.names
    if lacking := missing_classes(train, test, names):
        notes.append(f"{data.name}: {', '.join(lacking)} is measured and not learnt: it cannot be found")
    if absent := [name for k, name in names.items() if not ((train == k + 1) | (test == k + 1)).any()]:
        notes.append(
            f"{data.name}: no labelled pixel is {', '.join(absent)}: nothing is learnt of it; a list of names: counts "
            "from 1, a map that counts from 0 needs names: {0: ...} and unlabelled: [255] or whatever is of no class"
        )
    palette = colours_of(len(names), data.palette)
    made = LandData(
        values, np.maximum(train, test), (train > 0) & there, (test > 0) & there, names, len(places), places, count,
        split, palette, data.name, data.gsd or (georef.gsd_m() if georef is not None else None), notes,
    )  # fmt: skip
    if stored and stored.get("name") == data.name and dict(stored["split"]) != dict(split):
        learnt = split_of(data, SplitChoice.of(stored["split"]), patch)[0] > 0
        if both := int((learnt & made.test).sum()):
            notes.append(f"{data.name}: the model has learnt from {both} of these test pixels, in another split")
    notes.append(f"{data.name}: {made.split_line(patch)}")
    return made


def check_rasters(values: np.ndarray, name: str) -> None:
    """Refuse rasters of LiDAR (H, W, R) that say nothing: no data anywhere, or one value everywhere.

    Raises:
        DataError: There are some; all are named.
    """
    known = np.isfinite(values)
    low, high = (f(np.where(known, values, fill), (0, 1)) for f, fill in ((np.min, np.inf), (np.max, -np.inf)))
    kinds = ((low > high, "no data anywhere"), (low == high, "one value everywhere"))
    faults = [f"raster {k + 1} has {what}" for which, what in kinds for k in np.flatnonzero(which)]
    if faults:
        raise DataError(
            f"{name}: of the LiDAR, {', '.join(faults)}; take it out of lidar: in the data YAML, or give lidar=False."
        )


def split_of(data: CubeData, choice: SplitChoice, patch: int) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Training and test map of a scene, classes from 1, and how they were chosen.

    Raises:
        ConfigError: There are no maps for it.
        DataError: Maps that intersect, or too few pixels.
    """
    given = {"train", "test"} <= data.maps.keys()
    by = choice.by or ("disjoint" if given else "random")
    if by == "disjoint":
        if not given:
            has = ", ".join(data.maps) or "no map"
            raise ConfigError(f"split_by=disjoint needs train: and test: of {data.path} (it has {has}); use blocked.")
        return (*data.given(), {"by": by})
    labels = data.map("labels") if "labels" in data.maps else np.maximum(*data.given())
    seed = choice.seed or 0
    if by == "random":
        per_class = PER_CLASS if choice.per_class is None else choice.per_class
        return (*random_split(labels, per_class, seed, data.names), {"by": by, "per_class": per_class, "seed": seed})
    fold, folds, side = choice.fold or 0, choice.folds or FOLDS, choice.block_px or BLOCK_PX
    train, test, _ = fold_split(labels, block_folds(labels, folds, side, seed), fold, patch // 2)
    return train, test, {"by": by, "fold": fold, "folds": folds, "block_px": side, "seed": seed}


def held_out(land: LandData, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training pixels in two parts, (H, W) bool each: to learn from, and to choose a checkpoint by.

    Raises:
        DataError: A class has a single one.
    """
    learnt, held = hold_out(np.where(land.train, land.labels, 0), seed=seed, names=land.names)
    return learnt > 0, held > 0

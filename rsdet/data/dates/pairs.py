"""Which picture belongs to which: the earlier and the later date of a place, and the label of what has changed.

A data YAML of the task ``change``:

.. code-block:: yaml

    task: change
    path: levir-cd
    train: train                  # a folder that holds A, B and label, or the folders of another known layout
    val: {t1: val/2018, t2: val/2022, label: val/change}   # or these three
    test: list/test.txt           # or a list
    t1: A                         # names of the three folders of every split, where they are none of the known ones
    t2: B
    label: label

The three files of a place have one name, up to the suffix. A list holds one name a line, of files in the three folders,
or two or three columns with commas: earlier, later, label, relative to ``path`` (``./``: to the list). A first line
``t1,t2,label`` may say another order. Further keys: ``channels`` of one date, ``bands``, and what
:mod:`rsdet.data.dates.labels` reads.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.decoding import within_memory
from rsdet.data.images import SUFFIXES
from rsdet.data.pairs.matching import Problems, list_pictures
from rsdet.data.raster_io import check_header, read_samples, take_bands
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import text_of

SIDES = ("t1", "t2", "label")
CALLED = {"t1": "earlier date", "t2": "later date", "label": "label"}
LAYOUTS = (  # folders of the two dates, and what that of the labels is called
    ("A", "B", ("label", "OUT", "labels")),  # LEVIR-CD, WHU-CD, CDD
    ("Image1", "Image2", ("label",)),  # S2Looking
    ("time1", "time2", ("label",)),  # SYSU-CD
    ("t1", "t2", ("label", "mask")),
)
REMEDY = (
    "Give the files of a place one name in all three folders, and name the folders by t1:, t2: and label: in the data "
    "YAML where they are called otherwise."
)
_EITHER = ", ".join(f"{a} and {b}" for a, b, _ in LAYOUTS)

Side = list[tuple[Path, Path | None]]


@dataclass(frozen=True)
class DatePair:
    """One place on two dates.

    Attributes:
        before: The earlier picture.
        after: The later one.
        label: What has changed; None where nobody says.
    """

    before: Path
    after: Path
    label: Path | None = None


def date_pairs(
    data: Mapping[str, Any], split: str, *, labelled: bool = True, problems: Problems | None = None
) -> list[DatePair]:
    """Pairs of a split of a data YAML, in the order of their names, or of the list.

    Args:
        data: Its content, with an absolute ``path``; see the module for what it may say.
        split: ``train``, ``val`` or ``test``.
        labelled: A pair without a label is refused.
        problems: Filled with what does not match; without it, that is raised.

    Raises:
        ConfigError: There is no such split, or its entry is none.
        DataError: Nothing is there, there is a single date, or names do not match; all in one line.
    """
    entries = data.get(split)
    if not entries:
        raise ConfigError(
            f"the data YAML has no {split}:; add the folder of that split, or a list of names, such as "
            f"{split}: {split}.txt"
        )
    root, found, own = Path(str(data.get("path") or ".")), [], Problems() if problems is None else problems
    for entry in entries if isinstance(entries, list) else [entries]:
        found += _pairs(data, root, entry, f"{split}: {entry}", labelled, own)
    for pair, times in Counter(found).items():
        if times > 1:
            own.add(f"pairs that {split} names more than once", str(pair.before))
    if problems is None:
        own.raise_any(split, REMEDY)
    return found


def match_dates(
    before: Side, after: Side, label: Side | None, problems: Problems, labelled: bool = False
) -> list[DatePair]:
    """Pairs of files with equal names up to the suffix; what has no partner goes to ``problems``.

    Args:
        before: Files and the folders that their names are relative to, from
            :func:`rsdet.data.pairs.matching.list_pictures`.
        after: Likewise.
        label: Likewise; None without labels.
        problems: Filled.
        labelled: A pair without a label is a problem.
    """
    sides = {"t1": before, "t2": after} | ({} if label is None else {"label": label})
    named = {side: _named(files, side, problems) for side, files in sides.items()}
    keys = sorted(set().union(*named.values()))
    needed = ("t1", "t2", "label") if labelled else ("t1", "t2")
    files = {key: tuple(named[side].get(key) for side in sides) for key in keys}
    problems.look_at(files.values())
    pairs = []
    for key in keys:
        missing = [side for side in needed if key not in named.get(side, {})]
        for side in missing:
            problems.add(f"names without {'an' if side == 't1' else 'a'} {CALLED[side]}", key, files[key])
        if not missing:
            pairs.append(DatePair(named["t1"][key], named["t2"][key], named.get("label", {}).get(key)))
    return pairs


def read_pair(pair: DatePair, bands: Sequence[int] | None = None) -> np.ndarray:
    """Both dates, stacked along the channels.

    Args:
        pair: The files.
        bands: Bands to take of each, counted from 1; None for all but alpha.

    Returns:
        (H, W, 2 * C) of the type of the files, the earlier date first; 0 where a file says that there are no data.

    Raises:
        DataError: One cannot be read, or the two differ in size, bands or type.
        ConfigError: ``bands`` names some that a file does not have.
    """
    return read_pair_and_gaps(pair, bands)[0]


def read_pair_and_gaps(pair: DatePair, bands: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """Both dates as :func:`read_pair` gives them, and where one of them has no data, (H, W) bool; None for nowhere."""
    (one, first), (two, second) = (read_date(path, bands) for path in (pair.before, pair.after))
    if one.shape != two.shape or one.dtype != two.dtype:
        said = [f"{x.shape[1]}x{x.shape[0]} with {x.shape[2]} bands of {x.dtype}" for x in (one, two)]
        raise DataError(f"{pair.before} is {said[0]} and {pair.after} {said[1]}; bring both onto one grid.")
    known = [valid for valid in (first, second) if valid is not None]
    return np.concatenate([one, two], axis=2), ~np.logical_and.reduce(known) if known else None


def read_date(path: Path, bands: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """One date, (H, W, C) of the type of the file, and where it has data, (H, W) bool; None for everywhere."""
    with within_memory(path):
        samples = read_samples(check_header(path))
        raw, _, _ = take_bands(samples, bands, path)
        if samples.valid is not None:
            raw[~samples.valid] = 0
        return raw, samples.valid


def _pairs(
    data: Mapping[str, Any], root: Path, entry: Any, where: str, labelled: bool, problems: Problems
) -> list[DatePair]:
    names = {side: str(data[side]) for side in SIDES if data.get(side)}
    if isinstance(entry, Mapping):
        if not {"t1", "t2"} <= entry.keys() <= set(SIDES):
            raise ConfigError(f"{where} must be a folder, a list, or {{t1: folder, t2: folder, label: folder}}")
        folders = {side: root / str(place) for side, place in entry.items() if place}
    else:
        place = root / str(entry)
        if place.is_file():
            return _of_list(place, root, names, labelled, problems)
        folders = _folders(place, root, str(entry), names, where)
    if labelled and "label" not in folders:
        raise DataError(f"{where} has no folder of labels beside {folders['t1']}; add it, or name it by label:")
    sides = {side: list_pictures(folder.absolute(), root, f"{where}: {side}") for side, folder in folders.items()}
    return match_dates(sides["t1"], sides["t2"], sides.get("label"), problems, labelled)


def _folders(place: Path, root: Path, entry: str, names: Mapping[str, str], where: str) -> dict[str, Path]:
    """The folders of a split: those that the data YAML names, or those of a known layout."""
    if not place.is_dir() and not any((root / names.get(side, "A") / entry).is_dir() for side in ("t1", "t2")):
        raise DataError(f"{where}: there is no {place}; mend the data YAML, or put the pictures there")
    first, second, labels = next(
        (layout for layout in LAYOUTS if any((place / date).is_dir() for date in layout[:2])), LAYOUTS[0]
    )
    wanted = {"t1": (names.get("t1", first),), "t2": (names.get("t2", second),)}
    wanted["label"] = (names["label"],) if "label" in names else labels
    found = {}
    for side, options in wanted.items():  # A/train beside train/A
        places = [p for option in options for p in (place / option, root / option / entry) if p.is_dir()]
        if places:
            found[side] = places[0]
    missing = [side for side in SIDES if side not in found and (side != "label" or side in names)]
    if len(missing) == 1 and missing[0] != "label":
        (other,) = {"t1", "t2"} - set(missing)
        raise DataError(
            f"{where} has a single date: {found[other]} is there, and no folder {wanted[missing[0]][0]} beside it for "
            f"the {CALLED[missing[0]]}; add it, or name it by {missing[0]}: in the data YAML"
        )
    if missing:
        looked = f"no {' and '.join(wanted[side][0] for side in missing)}" if names else f"none of {_EITHER}"
        raise DataError(f"{where}: {place} holds {looked}; name the folders by t1:, t2: and label: in the data YAML")
    return found


def _of_list(file: Path, root: Path, names: Mapping[str, str], labelled: bool, problems: Problems) -> list[DatePair]:
    """Pairs that a list names: files by columns, or one name for the files of the three folders."""
    text = text_of(file, DataError, "a list of pairs, one a line")
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if any(map(str.strip, row))]
    order = list(SIDES)
    if rows and set(rows[0]) <= set(SIDES) and {"t1", "t2"} <= set(rows[0]):
        order = rows.pop(0)
    pairs = []
    problems.look_at((file, *row) for row in rows)
    for row in rows:
        line = (file, *row)
        if len(row) == 1:
            cells = {side: _beside(root, names, side, row[0]) for side in SIDES}
        elif len(row) <= len(order) and len(row) >= 2:
            cells = {side: _placed(cell, file, root) for side, cell in zip(order, row, strict=False) if cell}
        else:
            problems.add(f"lines of {file.name} that are neither a name nor {','.join(order)}", ",".join(row), line)
            continue
        gone = [side for side in ("t1", "t2", "label") if not (p := cells.get(side)) or not p.is_file()]
        if not labelled and gone == ["label"] and not (len(row) > 1 and cells.get("label")):
            gone, cells["label"] = [], None
        for side in gone:
            gap = str(cells.get(side) or row[0])
            problems.add(f"lines of {file.name} whose {CALLED[side]} is not there", gap, line)
        if not gone:
            pairs.append(DatePair(cells["t1"], cells["t2"], cells.get("label")))
    if not rows:
        raise DataError(f"{file} names no pairs; expected one name a line, or t1,t2,label")
    return pairs


def _beside(root: Path, names: Mapping[str, str], side: str, name: str) -> Path | None:
    """The file of a name in the folder of a side; another suffix will do, as labels often have."""
    at = SIDES.index(side)
    for layout in LAYOUTS:
        options = (names[side],) if side in names else layout[2] if side == "label" else (layout[at],)
        for folder in (root / str(option) for option in options):
            if folder.is_dir():
                file = folder / name
                others = (file.with_suffix(s) for s in SUFFIXES) if file.suffix.lower() in SUFFIXES else (
                    file.with_name(file.name + s) for s in SUFFIXES
                )  # fmt: skip
                return next((f for f in (file, *others) if f.is_file()), file)
    return None


def _placed(cell: str, file: Path, root: Path) -> Path:
    return file.parent / cell[2:] if cell.startswith("./") else root / Path(cell).expanduser()


def _named(files: Side, side: str, problems: Problems) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path, folder in files:
        key = (path.relative_to(folder) if folder is not None else Path(path.name)).with_suffix("").as_posix()
        if key in found:
            problems.add(f"files of the {CALLED[side]} with the name of another", path.name, path)
        found.setdefault(key, path)
    return found

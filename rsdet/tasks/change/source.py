"""What ``source=`` and ``source2=`` stand for: pairs of files, matched, with a line for each that has no partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsdet.data.dates import DatePair, check_pairs, date_pairs, match_dates
from rsdet.data.images import SUFFIXES
from rsdet.data.pairs.matching import Problems
from rsdet.data.sources import files_of, first_of, name_problem, together
from rsdet.errors import DataError
from rsdet.tasks.change.scenes import SceneWishes, is_scene_pair, scene_problem

_TWO = "name the later date by source2=, or pass a folder that holds both, such as A and B"


@dataclass
class PairSource:
    """Pairs to look at, in order.

    Attributes:
        pairs: The files.
        scenes: Those that are rasters, which are compared without being held.
        skipped: One line for each file that was left out.
    """

    pairs: list[DatePair] = field(default_factory=list)
    scenes: list[DatePair] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All files."""
        return [path for pair in (*self.scenes, *self.pairs) for path in (pair.before, pair.after)]


def find_pairs(source: Any, source2: Any = None) -> PairSource:
    """Make pairs of two sources, or of one that holds both dates.

    Args:
        source: The earlier date: file, folder, glob, list, several of them in a list or with commas; or, without
            ``source2``, a folder of a known layout (:data:`rsdet.data.dates.pairs.LAYOUTS`).
        source2: The later date, likewise. Two files are a pair whatever they are called, of several those with one
            name, up to the suffix.

    Raises:
        DataError: A source is missing, does not exist or holds no pictures, or there are no pairs.
    """
    if _nothing(source):
        raise DataError(f"predict needs source=, the earlier date, and source2=, the later one; or {_TWO}.")
    if _nothing(source2):
        return _both_in(source)
    sides = [_pictures(s, key) for s, key in ((source, "source"), (source2, "source2"))]
    if all(len(files) == 1 for files in sides):
        return PairSource([DatePair(sides[0][0], sides[1][0])])
    problems = Problems()
    pairs = match_dates(*([(p, _folder(p)) for p in files] for files in sides), None, problems)
    lost = [f"{what} is among {kind}" for kind, each in problems.found.items() for what in each]
    if not pairs:
        raise DataError(
            f"source= has {len(sides[0])} pictures and source2= {len(sides[1])}, and no two have one name "
            f"({sides[0][0].name}, {sides[1][0].name}); give the two dates of a place one name, or pass two files."
        )
    return PairSource(pairs, skipped=lost)


def usable(
    found: PairSource, bands: int | None, taken: Sequence[int] | None, wishes: SceneWishes | None = None
) -> PairSource:
    """The pairs of a source whose files can be used together, and a line for each other one.

    Args:
        found: What :func:`find_pairs` gave.
        bands: Bands of one date that the model takes.
        taken: Which bands of the files these are.
        wishes: What was said of rasters.

    Raises:
        ConfigError: Something was said of rasters, and there are pictures alone.
        DataError: There is none.
    """
    good = PairSource(skipped=list(found.skipped))
    for pair in found.pairs:
        if is_scene_pair(pair):
            if problem := scene_problem(pair, wishes or SceneWishes()):
                good.skipped.append(problem)
            else:
                good.scenes.append(pair)
            continue
        problems = Problems()
        check_pairs([pair], channels=bands, bands=taken, problems=problems, bits=8)
        if problems.found:
            said = "; ".join(f"{kind}: {', '.join(what)}" for kind, what in problems.found.items())
            good.skipped.append(f"{pair.before} and {pair.after} are no two dates of a place ({said})")
        else:
            good.pairs.append(pair)
    if wishes is not None:
        wishes.check_of_use([pair for pair in found.pairs if pair not in good.pairs], good.pairs)
    if not (good.pairs or good.scenes):
        raise DataError(first_of(good.skipped))
    return good


def _nothing(source: Any) -> bool:
    return source is None or (isinstance(source, (str, list, tuple)) and not source)


def _both_in(source: Any) -> PairSource:
    several = source if isinstance(source, (list, tuple)) else [source]
    if len(several) == 1 and isinstance(several[0], (str, Path)) and Path(several[0]).is_dir():
        folder, problems = Path(several[0]).absolute(), Problems()
        try:
            pairs = date_pairs({"path": str(folder), "predict": "."}, "predict", labelled=False, problems=problems)
        except DataError as e:
            raise DataError(f"source={source} is a single date or none ({str(e).rstrip('.')}); {_TWO}.") from e
        lost = [f"{what} is among {kind}" for kind, each in problems.found.items() for what in each]
        if not pairs:
            raise DataError(f"source={source}: no two dates have one name; {_TWO}.")
        return PairSource(pairs, skipped=lost)
    raise DataError(f"source={source} is a single date; {_TWO}.")


def _pictures(source: Any, key: str) -> list[Path]:
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    if not all(isinstance(s, (str, Path)) for s in several):
        raise DataError(
            f"{key}= must be files or folders, received {type(several[0]).__name__}; write arrays to files."
        )
    groups = [files_of(s) for s in several]
    files = together(several, groups) if None not in groups else []
    good = [p for p in files if p.suffix.lower() in SUFFIXES and not name_problem(p)]
    if not good:
        raise DataError(f"{key}={source} holds no pictures; they end in {', '.join(SUFFIXES)}.")
    return good


def _folder(path: Path) -> Path:
    return path.parent

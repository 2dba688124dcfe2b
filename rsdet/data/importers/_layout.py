"""Where things lie: which files a source has, which label belongs to which image, which split both are in.

Owners lay their sets out in many ways (``images/train``, ``train/images``, ``…-DET-val/annotations``, side by side).
One rule covers them: take away the folders that only say what kind of file lies in them, and an image and its label
have the same path.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rsdet.data.annotations import Dataset, ImageRecord, ImportLog
from rsdet.data.images import SUFFIXES
from rsdet.data.importers._images import BadImageError, ImageInfo, probe
from rsdet.data.importers._labels import ImportOptions
from rsdet.errors import DataError

_ROLE = re.compile(
    r"images?|imgs?|jpegimages|allimages|labels?|labeltxt.*|labelxmls?|annotations?|annots?|xmls?|txts?|part\d+|"
    r"(?:train|val)set_reclabeltxt",
    re.IGNORECASE,
)
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "valset": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
    "trainval": "trainval",
}
_SKIPPED_FOLDERS = {"__MACOSX", "__pycache__"}


def split_of(name: str, at_end: bool = False) -> str | None:
    """Split that a file or folder name speaks of: ``VisDrone2019-DET-test-dev`` is ``test``, ``part1`` is None.

    Args:
        name: One path component, without suffix.
        at_end: Accept the word at the end only (for a folder the user named, such as ``test-images-of-may``).
    """
    words = re.findall(r"[a-z]+", name.lower())
    if words[-2:] == ["test", "challenge"]:
        return "test-challenge"
    if words[-2:] == ["test", "dev"]:
        return "test"
    found = {_SPLIT_WORDS[word] for word in (words[-1:] if at_end else words) if word in _SPLIT_WORDS}
    return found.pop() if len(found) == 1 else None


def folded(name: str) -> str:
    """A name of a file without what differs between systems: case, and how accents are spelt."""
    return unicodedata.normalize("NFC", name).casefold()


@dataclass
class Source:
    """The files below a folder, found in one walk; hidden ones are left out.

    Attributes:
        root: Folder that relative paths start from.
        files: All files, sorted.
        only: The one label file that was named as source; None for a folder.
    """

    root: Path
    files: list[Path] = field(default_factory=list)
    only: Path | None = None

    @classmethod
    def open(cls, source: Path, label_suffix: str) -> Source:
        """Look through a dataset folder, or through the surroundings of a single label file.

        A folder that holds one kind of file only, and is named after it (``annotations``), stands for its parent.

        Raises:
            DataError: There is nothing at ``source``.
        """
        if not source.exists():
            raise DataError(f"source {source} does not exist; expected a dataset folder or a label file")
        source = Path(os.path.abspath(source))  # keep symbolic links: the layout is what the user sees
        if source.is_file():
            home = source.parent
            while _ROLE.fullmatch(home.name) or (split_of(home.name) and _ROLE.fullmatch(home.parent.name)):
                home = home.parent
            return cls(home, _surroundings(home, source.parent), source)
        files = walk(source)
        suffixes = {file.suffix.lower() for file in files}
        if _ROLE.fullmatch(source.name) and (suffixes.isdisjoint(SUFFIXES) or label_suffix not in suffixes):
            return cls(source.parent, _surroundings(source.parent, source))
        return cls(source, files)

    @cached_property
    def images(self) -> list[Path]:
        """The files whose suffix is that of an image."""
        return [file for file in self.files if file.suffix.lower() in SUFFIXES]

    def with_suffix(self, suffix: str) -> list[Path]:
        """The files with this suffix, or the one that was named as source."""
        return [self.only] if self.only else [file for file in self.files if file.suffix.lower() == suffix]

    def rel(self, path: Path) -> str:
        """Path as the report shows it."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.name

    def split(self, path: Path) -> str | None:
        """Split that the folders above a file speak of, the nearest first, the root's own name last."""
        for part in reversed(path.relative_to(self.root).parts[:-1]):
            if found := split_of(part):
                return found
        return split_of(self.root.name, at_end=True)

    def key(self, path: Path) -> tuple[str, ...]:
        """What an image and its label have in common: the path without the folders that name the kind of file."""
        rel = path.relative_to(self.root)
        return (*(part for part in rel.parts[:-1] if not _ROLE.fullmatch(part)), rel.stem)


def _surroundings(home: Path, inner: Path) -> list[Path]:
    """Files that can belong to the folder ``inner``: its own, and those of the image and label folders of ``home``.

    Not all of ``home``: a user who names one file of a large disk must not wait for the disk to be read.
    """
    near = [d for d in sorted(home.iterdir()) if d.is_dir() and (_ROLE.fullmatch(d.name) or split_of(d.name))]
    # A result of an earlier conversion is not part of its source.
    near = [d for d in near if not (d / "convert-report.json").exists()]
    return sorted({file for folder in (inner, *near) for file in walk(folder)})


def walk(root: Path) -> list[Path]:
    """All files below a folder, through symbolic links but never in a circle."""
    found, seen = [], set()
    for folder, inside, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            inside.clear()
            continue
        seen.add(real)
        inside[:] = sorted(d for d in inside if not d.startswith(".") and d not in _SKIPPED_FOLDERS)
        found += [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
    return found


@dataclass(slots=True)
class Pair:
    """An image with its label file (None: the source says nothing about it) and its split (None: none named)."""

    image: Path
    label: Path | None
    split: str | None


def pair(source: Source, labels: Iterable[Path], log: ImportLog) -> list[Pair]:
    """Join images and label files.

    First by :meth:`Source.key`; then, for what is left, by the name alone where that leaves no choice. What stays
    alone is reported: a label without image is dropped, an image without label is background. A label may be named
    after the whole file, ``a.png.txt``.
    """
    by_key: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for label in labels:
        by_key[source.key(label)].append(label)
    pairs, alone = [], []
    keys = {source.key(image) for image in source.images}
    taken: dict[tuple[str, ...], Path] = {}
    for image in source.images:
        key = source.key(image)
        split = source.split(image)
        whole = (*key[:-1], image.name)
        if key in taken and taken[key].parent == image.parent and whole not in by_key:
            log.drop(split or "", source.rel(image), "", f"duplicate image name: {taken[key].name} has its label")
            continue
        taken[key] = image
        found = by_key.get(key) or (by_key.get(whole, []) if whole not in keys else [])
        # DOTA ships upright and oriented labels side by side; the oriented ones (labelTxt) hold all there is.
        found.sort(key=lambda p: (p.parent.name.lower() != "labeltxt", p))
        label = found[0] if found else None
        (pairs if label else alone).append(Pair(image, label, split or (source.split(label) if label else None)))
    used = {p.label for p in pairs}
    second = {p for group in by_key.values() for p in group[1:] if p not in used and group[0] in used}
    for label in sorted(second):
        log.drop(source.split(label) or "", source.rel(label), "", "second label file: the image has another one")
    _pair_by_name(source, alone, [p for g in by_key.values() for p in g if p not in used and p not in second], log)
    if source.only:
        return [p for p in pairs + alone if p.label == source.only]
    return pairs + alone


def _pair_by_name(source: Source, alone: list[Pair], labels: list[Path], log: ImportLog) -> None:
    """Give images without label the only label of their name, if it is the only image of that name as well.

    Names are compared as systems do that know no case and spell accents their own way.
    """
    images: dict[str, list[Pair]] = defaultdict(list)
    for item in alone:
        images[folded(item.image.stem)].append(item)
        images[folded(item.image.name)].append(item)
    by_name: dict[str, list[Path]] = defaultdict(list)
    for label in labels:
        by_name[folded(label.stem)].append(label)
    for name, group in by_name.items():
        splits = [source.split(label) for label in group]
        rivals = Counter(splits)  # counted once per name: the same name in thousands of folders must stay linear
        fits_by_split: dict[str | None, list[Pair]] = defaultdict(list)
        for item in images.get(name, ()):
            fits_by_split[item.split].append(item)
        for label, split in zip(group, splits, strict=True):
            n_rivals = len(group) if split is None else rivals[split] + rivals[None]
            near = fits_by_split if split is None else (split, None)
            n_fits = sum(len(fits_by_split.get(s, ())) for s in near)
            if n_fits == 1 and n_rivals == 1:
                item = next(fits_by_split[s][0] for s in near if fits_by_split.get(s))
                item.label, item.split = label, item.split or split
            else:
                reason = f"{n_fits} images and {n_rivals} labels have the name" if n_fits else "no image of this name"
                log.drop(split or "", source.rel(label), "", f"label without image: {reason}")


def image_record(path: Path, source: Source, split: str, log: ImportLog) -> ImageRecord | None:
    """Measure an image; None, with the reason in the log, when it cannot be used."""
    try:
        info: ImageInfo = probe(path)
    except BadImageError as e:
        log.drop(split, source.rel(path), "", f"unreadable image: {e}")
        return None
    for remark in info.remarks:
        log.note(split, source.rel(path), "", remark)
    return ImageRecord(path.name, info.width, info.height, path, orientation=info.orientation)


def file_under(found: Iterable[str | None], options: ImportOptions) -> dict[str | None, str | None]:
    """Where each split that the source names goes: to itself, to the split the user asked for, or to None: not read.

    Raises:
        DataError: The user asked for a split that a source with several of them does not have.
    """
    splits = set(found)
    if options.split is None:
        return {s: s or "train" for s in splits}
    if len(splits) <= 1:
        return {s: options.split for s in splits}
    if options.split not in splits:
        have = ", ".join(sorted(s for s in splits if s))
        raise DataError(f"split={options.split} is not in the source; it has {have}; name one of these")
    return {s: s if s == options.split else None for s in splits}


def check_undivided(found: Iterable[str | None]) -> None:
    """A source of one split may be divided, whatever its folder is called.

    Raises:
        DataError: It has several.
    """
    if len(own := sorted({s for s in found if s})) > 1:
        raise DataError(
            f"the source has the splits {', '.join(own)}; val_fraction= and val_prefixes= divide one that has none, or "
            "one; leave them out, or give the folder or label file of one split as source"
        )


def finish(dataset: Dataset, source: Source, log: ImportLog) -> Dataset:
    """Sort the images, and make their names unique inside each split: a label file is found by the stem alone."""
    for split, records in dataset.splits.items():
        records.sort(key=lambda r: (r.name, str(r.path)))
        taken: set[str] = set()
        kept = []
        for record in records:
            if record.stem in taken:
                folder = record.path.parent.name if record.path else ""
                renamed = f"{folder}__{record.name}"
                where = source.rel(record.path) if record.path else record.name
                if Path(renamed).stem in taken or not folder:
                    log.drop(split, where, "", "duplicate image name: another image of this split has it")
                    log[split].lost["", "duplicate image name"] += len(record.objects)
                    continue
                log.note(split, where, "", f"renamed: {renamed}, because another image has the same name")
                record.name = renamed
            taken.add(record.stem)
            kept.append(record)
        dataset.splits[split] = sorted(kept, key=lambda r: r.name)
    return dataset

"""SSDD, the official release: Pascal VOC files, the owner's split, inshore and offshore test images.

The archive holds the same 1,160 images four times (``BBox_SSDD``, ``RBox_SSDD``, ``PSeg_SSDD`` and all labels in
``BBox_RBox_PSeg_SSDD``), each as ``voc_style`` and ``coco_style``. Read are the upright boxes of
``BBox_SSDD/voc_style`` (``RBox_SSDD`` for ``task=obb``, ``PSeg_SSDD`` for ``segment``; where a part is missing, the one
with all labels), or of the part that was named as source: ``JPEGImages`` with ``Annotations``, and the split in
``ImageSets/Main/train.txt`` and ``test.txt``. Where these lists are missing (as in the first release) the owner's rule
decides: images whose number ends in 1 or 9 are the test set. Lists ``*_inshore.txt`` and ``*_offshore.txt``, or folders
``JPEGImages_*_inshore`` and ``JPEGImages_*_offshore``, say which image is which.

Source: Zhang et al., SAR Ship Detection Dataset (SSDD): Official Release and Comprehensive Data Analysis, Remote
Sensing 13(18), 3690 (2021), doi 10.3390/rs13183690.
"""

from __future__ import annotations

import os
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._labels import ClassTable, Collector, ImportOptions, read_lines
from rsdet.data.importers._layout import Pair, Source, walk
from rsdet.data.importers._lists import assign_listed
from rsdet.data.importers._text import read_pairs
from rsdet.data.importers.voc import read_labels
from rsdet.errors import DataError

GROUPS = ("inshore", "offshore")
TEST_DIGITS = "19"
_BEST = {"detect": "BBox_SSDD", "obb": "RBox_SSDD", "segment": "PSeg_SSDD"}
_ALL = "BBox_RBox_PSeg_SSDD"
_SPLITS = ("train", "test")


def official_split(stem: str) -> str | None:
    """Split of an image by the owner's rule: numbers that end in 1 or 9 are ``test``; None without a number."""
    return None if not stem[-1:].isdecimal() else "test" if stem[-1] in TEST_DIGITS else "train"


def _homes(source: Path) -> list[Path]:
    """Folders that hold images and labels in VOC style."""
    found = []
    for folder, inside, _ in os.walk(source, followlinks=False):
        names = set(inside)
        if any(f"JPEGImages{end}" in names and f"Annotations{end}" in names for end in ("", "_train", "_test")):
            found.append(Path(folder))
            inside.clear()
    return sorted(found)


def _files(home: Path, kind: str) -> list[Path]:
    """Files of ``JPEGImages`` or ``Annotations``; of the folders per split where the complete one was taken away."""
    whole = home / kind
    folders = [whole] if whole.is_dir() else [home / f"{kind}_{split}" for split in _SPLITS]
    return [file for folder in folders if folder.is_dir() for file in walk(folder)]


def _group_lists(home: Path) -> dict[str, set[str]]:
    """Group to the names (without suffix) of its images, by lists and by folders."""
    found: dict[str, set[str]] = {}
    for group in GROUPS:
        for path in sorted((home / "ImageSets").rglob(f"*_{group}.txt")):
            found.setdefault(group, set()).update(image_key(text) for _, text in read_lines(path))
        for folder in sorted(home.glob(f"JPEGImages_*_{group}")):
            found.setdefault(group, set()).update(image_key(file.name) for file in walk(folder))
    return found


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read the unpacked archive, one of its four parts, or a ``voc_style`` folder.

    Raises:
        DataError: No folder with ``JPEGImages`` and ``Annotations``.
    """
    if not source.exists():
        raise DataError(f"source {source} does not exist; expected the unpacked folder Official-SSDD-OPEN")
    homes = _homes(Path(os.path.abspath(source)))
    if not homes:
        raise DataError(
            f"no folder with JPEGImages and Annotations below {source}; expected Official-SSDD-OPEN as unpacked, or "
            "its BBox_SSDD/voc_style; coco_style is not read here: use format=coco for it"
        )
    home = next((h for part in (_BEST[options.task], _ALL) for h in homes if part in h.parts), homes[0])
    for other in homes:
        if other != home:
            log.note("", os.path.relpath(other, source), "", f"part not read: {home.name} of {home.parent.name} is")
    files = Source(home, _files(home, "JPEGImages") + _files(home, "Annotations"))
    classes = ClassTable(options.names)
    groups = _group_lists(home)
    lists = {home / "ImageSets" / "Main" / f"{split}.txt": split for split in _SPLITS}
    lists = {path: split for path, split in lists.items() if path.is_file()}

    def assign(pairs: list[Pair]) -> list[Pair]:
        if len(lists) == len(_SPLITS):
            pairs = assign_listed(pairs, lists, {path: home for path in lists}, files, log)
        else:
            for item in pairs:
                item.split = official_split(item.image.stem)
                if item.split is None:
                    log.drop("", files.rel(item.image), "", "image in no split: its name does not end in a number")
        astray = [p for p in pairs if official_split(p.image.stem) not in (None, p.split)]
        if astray:
            reason = f"split of another rule: {len(astray)} images are not where the rule of the last digit puts them"
            log.note("", files.rel(astray[0].image), "", reason)
        return [p for p in pairs if p.split]

    def tag(into: Collector) -> None:
        stem = into.record.path.stem
        into.record.groups = tuple(group for group in sorted(groups) if stem in groups[group])

    labels = files.with_suffix(".xml")
    dataset = read_pairs(files, labels, lambda p, c: read_labels(p, c, classes), options, log, assign, after=tag)
    classes.settle(dataset)
    return dataset

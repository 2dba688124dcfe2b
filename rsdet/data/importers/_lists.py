"""Splits that are listed in text files: ``ImageSets/Main/train.txt`` (Pascal VOC), ``train.txt`` (darknet)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from rsdet.data.annotations import ImportLog
from rsdet.data.images import SUFFIXES
from rsdet.data.importers._labels import read_lines
from rsdet.data.importers._layout import Pair, Source, split_of

_LIST = re.compile(r"(train|training|val|valid|validation|test|trainval)([-_]?dev)?\d*", re.IGNORECASE)


def split_lists(files: Iterable[Path]) -> dict[Path, str]:
    """The files that list the images of a split, with its name; ``trainval`` only counts where it stands alone."""
    found = {file: split for file in files if _LIST.fullmatch(file.stem) and (split := split_of(file.stem))}
    if {"train", "val"} & set(found.values()):
        return {file: split for file, split in found.items() if split != "trainval"}
    return {file: "train" if split == "trainval" else split for file, split in found.items()}


def names_images(file: Path) -> bool:
    """Whether a text file lists images: the first line that is no comment ends like an image's name."""
    first = next((text for _, text in read_lines(file) if not text.startswith("#")), "")
    return PurePosixPath(first.replace("\\", "/")).suffix.lower() in SUFFIXES


def stated_splits(data: dict, root: Path) -> dict[Path, str]:
    """What the keys ``train:``, ``val:`` and ``test:`` of a data YAML name, lists and folders, with its split."""
    found: dict[Path, str] = {}
    for split in ("train", "val", "test"):
        places = data.get(split)
        for place in places if isinstance(places, list) else [places]:
            near = [root / str(data.get("path") or "") / place, root / place] if isinstance(place, str) else []
            there = next((p for p in map(Path, map(os.path.normpath, near)) if os.path.exists(p)), None)
            if there is not None:
                found.setdefault(there, split)
    return found


def assign_listed(
    pairs: list[Pair], lists: dict[Path, str], base: dict[Path, Path], source: Source, log: ImportLog
) -> list[Pair]:
    """Put the images into the splits that list them; images in no list are dropped.

    Args:
        pairs: All images.
        lists: List file to split.
        base: List file to the folder below which its images lie.
        source: Names the files for the report.
        log: Where everything dropped is written.
    """
    split_by_image: dict[Path, str] = {}
    by_stem: dict[Path, dict[str, list[Path]]] = {}
    for folder in set(base.values()):
        index = by_stem[folder] = defaultdict(list)
        for item in pairs:
            if item.image.is_relative_to(folder):
                index[item.image.stem].append(item.image)
    for file, split in sorted(lists.items(), key=lambda x: ("train val test".find(x[1]), x[0])):
        for line, text in read_lines(file):
            if text.startswith("#"):
                continue
            image = _listed_image(text, by_stem[base[file]])
            if image is None:
                log.drop(split, source.rel(file), line, f"listed image not found: {text[:80]}")
            elif split_by_image.setdefault(image, split) != split:
                reason = f"listed twice: the image is in {split_by_image[image]} already, which keeps it"
                log.drop(split, source.rel(file), line, reason)
    kept = []
    for item in pairs:
        item.split = split_by_image.get(item.image)
        if item.split:
            kept.append(item)
        else:
            log.drop("", source.rel(item.image), "", "image in no list: the split files do not name it")
    return kept


def _listed_image(text: str, by_stem: dict[str, list[Path]]) -> Path | None:
    """The image that a line means: a path, a file name, or a name without suffix, maybe followed by a flag."""
    parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        return None
    name = parts[-1]
    stem = name.rsplit(".", 1)[0] if PurePosixPath(name).suffix.lower() in SUFFIXES else name
    found = by_stem.get(stem) or by_stem.get(stem.split()[0]) or []
    if len(found) > 1:
        exact = [image for image in found if image.parts[-len(parts) :] == tuple(parts)]
        found = exact or found
    return found[0] if len(found) == 1 else None

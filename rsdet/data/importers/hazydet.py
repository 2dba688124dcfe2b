"""HazyDet: COCO JSON beside two pictures of each name, one with haze and one without.

Layout of the owner's archive: ``{train,val,test}/{hazy_images,clean_images}`` (with a blank in some releases) and
``{train,val,test}/{train,val,test}_coco.json``, whose names fit both pictures. The hazy ones are read, the benchmark
is about them; the clean ones make pairs (``datasets/hazydet-restore.yaml``). ``RDDTS``, the real haze, is read where
its JSON file is named as source.

Source: Feng et al., HazyDet: Open-Source Benchmark for Drone-View Object Detection with Depth-Cues in Hazy Scenes,
arXiv:2409.19833.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.images import SUFFIXES
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source, split_of
from rsdet.data.importers.coco import Dialect, read_documents

_CLEAN = re.compile(r"(clean|clear)[ _-]?(images?)?", re.IGNORECASE)


def _is_clean(path: Path, root: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and any(
        _CLEAN.fullmatch(part) for part in path.relative_to(root).parent.parts
    )


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a HazyDet folder, or one of its JSON files."""
    files = Source.open(source, ".json")
    files = replace(files, files=[p for p in files.files if not _is_clean(p, files.root)])
    found = [p for p in files.with_suffix(".json") if p.name != "convert-report.json"]
    candidates = [p for p in found if split_of(p.stem) or split_of(p.parent.name)] or found
    for path in found:
        if path not in candidates:
            log.note("", files.rel(path), "", "JSON not read: no split of the benchmark; name the file as source")
    return read_documents(files, candidates, Dialect(), options, log)

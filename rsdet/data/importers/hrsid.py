"""HRSID: COCO JSON, the owner's split in ``train2017.json`` and ``test2017.json``, inshore and offshore listed apart.

Layout of the owner's archive, inside ``HRSID_JPG``: ``JPEGImages/*.jpg``, ``annotations/train2017.json`` and
``test2017.json``, and, in the later archive only, ``inshore_offshore/inshore.json`` and ``offshore.json``: COCO files
of all images, train and test, of which only the names of the images are used here. ``train_test2017.json`` holds both
splits again and is not read.

Source: Wei et al., HRSID: A High-Resolution SAR Images Dataset for Ship Detection and Instance Segmentation, IEEE
Access 8 (2020).
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source, split_of
from rsdet.data.importers.coco import Dialect, read_documents
from rsdet.errors import DataError
from rsdet.textfiles import read_json

GROUPS = ("inshore", "offshore")
_FOLDER = "inshore_offshore"


def group_lists(homes: set[Path]) -> dict[str, set[str]]:
    """Group to the names (without suffix) of its images, from the COCO files in ``inshore_offshore``.

    Raises:
        DataError: One of the files is not JSON, or has no list of images.
    """
    found: dict[str, set[str]] = {}
    for home in sorted(homes):
        for group in GROUPS:
            path = home / _FOLDER / f"{group}.json"
            if not path.is_file():
                continue
            content = read_json(path, wanted="expected COCO JSON; mend or remove the file")
            images = content.get("images") if isinstance(content, dict) else None
            if not isinstance(images, list):
                raise DataError(f"{path} has no list 'images'; expected COCO JSON as the owner of HRSID gives it")
            names = [item.get("file_name") for item in images if isinstance(item, dict)]
            found.setdefault(group, set()).update(image_key(name) for name in names if isinstance(name, str))
    return found


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read an HRSID folder, or one of its JSON files."""
    files = Source.open(source, ".json")
    found = [p for p in files.with_suffix(".json") if p.name != "convert-report.json" and p.parent.name != _FOLDER]
    candidates = [p for p in found if split_of(p.stem)] or found
    dataset = read_documents(files, candidates, Dialect(), options, log)
    groups = group_lists({p.parent.parent for p in candidates})
    for split, records in dataset.splits.items():
        for record in records:
            # Renamed pictures (two of one name) keep the name of their file.
            stem = record.path.stem if record.path else record.stem
            record.groups = tuple(group for group in sorted(groups) if stem in groups[group])
        bare = [record for record in records if not record.groups]
        if groups and bare:
            reason = f"image neither inshore nor offshore: {len(bare)} images, measured in the whole only"
            log.note(split, bare[0].name, "", reason)
    return dataset

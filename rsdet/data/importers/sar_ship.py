"""SAR-Ship-Dataset, both releases: chips with a VOC XML each (the first) or with a YOLO text file each (the later).

First release (43,819 chips): ``ship_detection_online`` with XML files, in folders or beside the images. Later release
(39,729 chips, errors and repeated clips removed): ``ship_dataset_v0`` with ``name.jpg`` and ``name.txt`` side by side,
one line ``class xc yc w h`` a ship. There is no official split; the dataset YAML asks for a seeded one.

Source: Wang et al., A SAR Dataset of Ship Detection for Deep Learning under Complex Backgrounds, Remote Sensing 11(7),
765 (2019), doi 10.3390/rs11070765.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.importers import voc, yolo
from rsdet.data.importers._labels import ImportOptions
from rsdet.data.importers._layout import Source
from rsdet.errors import DataError

NAMES: Sequence[str] = ("ship",)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read one release of the SAR-Ship-Dataset.

    Raises:
        DataError: Both releases are in the folder.
    """
    options = replace(options, names=options.names or NAMES)
    files = Source.open(source, ".xml").files
    stems = {p.stem for p in files if p.suffix.lower() == ".jpg"}
    by_suffix = {end: [p for p in files if p.suffix.lower() == end and p.stem in stems] for end in (".xml", ".txt")}
    if all(by_suffix.values()):
        xml, txt = by_suffix[".xml"], by_suffix[".txt"]
        raise DataError(
            f"{source} holds {len(xml)} XML and {len(txt)} text labels, which are of two releases of the dataset "
            f"(such as {xml[0].name} and {txt[0].name}); expected one; move the other elsewhere"
        )
    return (voc if by_suffix[".xml"] else yolo).read(source, options, log)

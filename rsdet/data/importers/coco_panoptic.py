"""COCO panoptic: a JSON file of segments, and a PNG a picture whose colours are their numbers.

``annotations`` have ``file_name`` of the PNG and ``segments_info`` with ``id`` (R + 256 G + 65536 B) and
``category_id``; things and stuff are classes alike, and so is a crowd, as in the converter of panopticapi. The PNGs lie
in a folder called as the JSON file, in one with ``panoptic`` in its name, or beside it. Pixels of number 0, of no
segment or of a category that is not listed have no class; those of a category that ``names=`` leaves out are
background.

Source: Kirillov et al., Panoptic Segmentation, CVPR 2019; https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from rsdet.data.annotations import NOTHING, UNKNOWN, Dataset, ImageRecord, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._images import calm_pillow
from rsdet.data.importers._json import flag, identity
from rsdet.data.importers._labels import ClassTable, ImportOptions, shown
from rsdet.data.importers._layout import Source, file_under, finish, split_of
from rsdet.data.importers.coco import Dialect, Document, Finder, divided, read_categories, record_of
from rsdet.data.masks.values import read_values
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_json

_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True, eq=False)
class SegmentMap:
    """Reads the PNG of a picture.

    Attributes:
        path: The file.
        classes: Number of a segment to its class.
    """

    path: Path
    classes: Mapping[int, int] = field(default_factory=dict)

    def numbers(self) -> np.ndarray:
        """Numbers of segments, (H, W) int32.

        Raises:
            DataError: It cannot be read, or holds no colours.
        """
        colours, coloured, _ = read_values(self.path, expand=True)
        if not coloured:
            raise DataError(f"{self.path} has one channel; expected colours, which are numbers of segments.")
        return (colours >> 16) | (colours & 0xFF00) | ((colours & 0xFF) << 16)  # red is the lowest byte of the number

    def __call__(self) -> np.ndarray:
        """Classes, (H, W) int16."""
        segments, place = np.unique(self.numbers(), return_inverse=True)
        classes = np.array([self.classes.get(int(s), UNKNOWN) for s in segments], np.int16)
        return classes[place].reshape(place.shape)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a folder with panoptic JSON files, PNGs and pictures, or a single JSON file.

    Raises:
        ConfigError: Boxes were asked for.
        DataError: There is no such file, or the pictures were to be divided and are already.
    """
    files = Source.open(source, ".json")
    if not options.maps:
        raise ConfigError("format=coco-panoptic holds maps of classes; give task=semantic.")
    documents = list(_documents(files, log))
    if not documents:
        raise DataError(
            f"no panoptic JSON found in {source}; expected images, categories and annotations with segments_info in a "
            "*.json file; give the file itself as source."
        )
    names: list[str] = []
    for document in documents:
        read_categories(document, names, ClassTable(options.names))
    classes, dataset = ClassTable(options.names or names), Dataset([])
    dataset.covered = all(classes.find(name) is not None for name in names)
    goes_to, finder = file_under((d.split for d in documents), options), Finder(files)
    drawn = divided(documents, finder, options)
    with calm_pillow():
        for document in documents:
            if (split := goes_to[document.split]) is not None:
                _read_document(document, split, drawn, finder, classes, options, log, dataset)
    classes.settle(dataset)
    return finish(dataset, files, log)


def _documents(files: Source, log: ImportLog) -> list[Document]:
    found = []
    for path in files.with_suffix(".json"):
        data = read_json(path, wanted="expected COCO's panoptic JSON; mend or remove the file")
        parts = [data.get(key) for key in _LISTS] if isinstance(data, dict) else []
        segments = len(parts) == 3 and all(isinstance(p, list) for p in parts)
        if not segments or not any(isinstance(a, dict) and "segments_info" in a for a in parts[1]):
            log.note("", files.rel(path), "", "JSON not read: it has no annotations with segments_info")
            continue
        found.append(Document(path, *parts, Dialect(), split_of(path.stem) or files.split(path)))
    return found


def _read_document(
    document: Document, split: str, drawn: dict[str, str], finder: Finder, classes: ClassTable, options: ImportOptions,
    log: ImportLog, dataset: Dataset,
) -> None:  # fmt: skip
    file = finder.files.rel(document.path)
    items = {identity(i.get("id")): i for i in document.images if isinstance(i, dict)}
    for number, item in enumerate(options.track(document.annotations, f"reading {document.path.name}")):
        where = f"annotation number {number}"
        image = items.pop(identity(item.get("image_id")), None) if isinstance(item, dict) else None
        if image is None:
            log.drop(split, file, where, "unknown image: image_id is not in images, or it has another annotation")
            continue
        home = drawn.get(image_key(document.file_name(image) or ""), split)
        record = record_of(image, document, finder, home, log)
        if not isinstance(record, ImageRecord):
            continue
        problem = _give_map(record, item, document, finder, classes, log, home)
        if problem:
            log.drop(home, file, record.name, problem)
            log[home].lost["", problem.partition(":")[0]] += 1
        else:
            dataset.splits.setdefault(home, []).append(record)
    for image in items.values():
        log.drop(split, file, shown(image.get("file_name")), "image without annotation: it says nothing of any pixel")


def _give_map(
    record: ImageRecord, item: dict, document: Document, finder: Finder, classes: ClassTable, log: ImportLog, split: str
) -> str:
    """Let a record read its PNG; why it cannot, else "". What has no class in it is in the log."""
    png = _png_of(str(item.get("file_name")), document, finder.files)
    if png is None:
        return f"no PNG of segments: {shown(item.get('file_name'))} is not there"
    infos = item.get("segments_info")
    of_segment: dict[int, int] = {}
    name_of: dict[int, str] = {}
    file = finder.files.rel(document.path)
    for info in infos if isinstance(infos, list) else []:
        number = identity(info.get("id")) if isinstance(info, dict) else None
        if not isinstance(number, int):
            log.drop(split, file, record.name, f"malformed segment: {shown(info)}")
            continue
        name = document.classes.get(identity(info.get("category_id")), "")
        if not name:
            reason = f"unknown class: category_id {shown(info.get('category_id'))} is not in categories"
            log.drop(split, file, f"{record.name}, segment {number}", reason)
            continue
        cls = classes.find(name)
        of_segment[number], name_of[number] = NOTHING if cls is None else cls, name
        if cls is not None and flag(info.get("iscrowd")):
            log[split].forms["crowd taken for its class", name] += 1
    class_map = SegmentMap(png, of_segment)
    try:
        numbers, counts = np.unique(pixels := class_map.numbers(), return_counts=True)
    except DataError as e:
        return f"unreadable PNG of segments: {e}"
    if pixels.shape != (record.height, record.width):
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        return f"size does not fit: {png.name} has {size} px, the image {record.width} x {record.height}"
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        if number and number not in of_segment:
            reason = f"segment without class: {count} px of a number that is none of segments_info, or of no class"
            log.drop(split, finder.files.rel(png), f"segment {number}", reason)
    for number in of_segment.keys() - set(numbers.tolist()):
        log.note(split, finder.files.rel(png), f"segment {number}", f"segment without pixel: class {name_of[number]}")
    record.class_map = class_map
    return ""


def _png_of(name: str, document: Document, files: Source) -> Path | None:
    clean = PurePosixPath(name.replace("\\", "/")).name
    here = document.path.parent
    homes = [here / document.path.stem, *sorted(p for p in here.glob("*panoptic*") if p.is_dir()), here]
    near = next((home / clean for home in homes if clean and (home / clean).is_file()), None)
    if near is not None:
        return near
    found = [p for p in files.images if p.name == clean and "panoptic" in str(p.parent.relative_to(files.root)).lower()]
    return found[0] if len(found) == 1 else None

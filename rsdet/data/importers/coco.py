"""COCO JSON: ``images``, ``annotations`` (``bbox`` = left, top, width, height in pixels), ``categories``.

``iscrowd: 1`` and the fields ``ignore`` and ``uncertain`` (TinyPerson: both are neither right nor wrong there) make an
annotation an ignored region, whatever its class; so does a category with a name like ``ignored regions``. Images are
found by ``file_name``, relative to the JSON file, its parents, and their ``images`` and split folders, last by the bare
name anywhere in the source.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rsdet.data.annotations import Dataset, ImageRecord, ImportLog
from rsdet.data.importers._images import calm_pillow
from rsdet.data.importers._labels import (
    ClassTable,
    Collector,
    ImportOptions,
    bounds,
    number,
    rotated_corners,
    shown,
    whole,
)
from rsdet.data.importers._layout import Source, file_under, finish, image_record, split_of
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_json

_FOLDERS = ("", "images", "JPEGImages", "imgs")


@dataclass(frozen=True)
class Dialect:
    """How a JSON file calls its parts.

    Attributes:
        annotations: Key of the list of annotations; the first one present counts.
        file_name: Key of an image's file name, likewise.
        turned: ``bbox`` is ``[xc, yc, w, h, angle in radians]``.
    """

    annotations: tuple[str, ...] = ("annotations",)
    file_name: tuple[str, ...] = ("file_name",)
    turned: bool = False


@dataclass
class _Document:
    """One JSON file, taken apart but not yet believed."""

    path: Path
    images: list
    annotations: list
    categories: list
    dialect: Dialect
    split: str | None = None
    classes: dict[object, str] = field(default_factory=dict)  # category id to name


def _open_document(path: Path, dialect: Dialect, wanted: bool) -> _Document | str:
    """The parts of a JSON file; the reason as text when it is no set of boxes.

    Raises:
        DataError: Such a file was named by the user (``wanted``), or is not JSON.
    """
    data = read_json(path, wanted="expected COCO JSON; mend or remove the file")
    problem = None
    parts: list = []
    if not isinstance(data, dict):
        problem = f"holds a {type(data).__name__}, not an object"
    else:
        for keys in (("images",), dialect.annotations, ("categories",)):
            key = next((k for k in keys if k in data), None)
            if key is None or not isinstance(data[key], list):
                hint = "; it has 'annotation' as HIT-UAV does: use format=hit-uav" if "annotation" in data else ""
                problem = f"has no list '{keys[0]}'{hint}"
                break
            parts.append(data[key])
        else:
            if parts[1] and not any(isinstance(a, dict) and "bbox" in a for a in parts[1]):
                problem = "has annotations without bbox (captions?)"
    if problem is None:
        return _Document(path, *parts, dialect)
    if wanted:
        raise DataError(f"{path} {problem}; expected COCO JSON with images, annotations and categories")
    return problem


def _documents(files: Source, candidates: Sequence[Path], dialect: Dialect, log: ImportLog) -> Iterator[_Document]:
    """The JSON files that hold boxes; the others are named in the report."""
    instances = [p for p in candidates if p.name.startswith("instances_")]
    for path in candidates:
        if instances and path not in instances:
            log.note("", files.rel(path), "", "JSON not read: the instances_*.json files hold the boxes")
            continue
        document = _open_document(path, dialect, wanted=path == files.only or len(candidates) == 1)
        if isinstance(document, str):
            log.note("", files.rel(path), "", f"JSON not read: it {document}")
            continue
        document.split = split_of(path.stem) or files.split(path)
        yield document


def _hashable_id(value: object) -> object:
    """An id that may serve as a key: JSON allows lists and objects there."""
    return value if isinstance(value, int | str) else None


class _Finder:
    """Finds image files by the names a JSON file gives them."""

    def __init__(self, files: Source):
        self.files = files
        self._known = set(files.images)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for image in files.images:
            self._by_name[image.name].append(image)

    def find(self, name: str, document: _Document) -> Path | str:
        """The file, or the reason why there is none."""
        clean = PurePosixPath(name.replace("\\", "/"))
        if not clean.name:
            return f"no file name: {shown(name)}"
        if not clean.is_absolute() and ".." not in clean.parts:
            homes = [h for h in document.path.parents if h == self.files.root or h.is_relative_to(self.files.root)]
            splits = ["", document.split or "", document.path.stem.removeprefix("instances_")]
            for home in homes:
                for folder in _FOLDERS:
                    for split in dict.fromkeys(splits):
                        for path in (home / folder / split / clean, home / split / folder / clean):
                            if path in self._known:
                                return path
        found = self._by_name.get(clean.name, [])
        if len(found) > 1 and document.split:
            found = [path for path in found if self.files.split(path) == document.split] or found
        if len(found) == 1:
            return found[0]
        return f"{len(found)} files have the name" if found else "no such file"


def _read_categories(document: _Document, names: list[str], classes: ClassTable) -> None:
    """Learn the names of a document's category ids, and collect the classes in the order of their ids."""
    listed = []
    for item in document.categories:
        if isinstance(item, dict) and "name" in item and _hashable_id(item.get("id")) is not None:
            listed.append((item["id"], str(item["name"]).strip()))
    listed.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]))
    document.classes = dict(listed)
    names += [name for _, name in listed if name not in names and not classes.ignores(name)]


def _polygon(item: dict, box: tuple) -> list[float] | None:
    """The corners of an annotation's polygons; None when it has none (or a mask instead)."""
    rings = item.get("segmentation")
    if not isinstance(rings, list) or not rings or not all(isinstance(r, list) for r in rings):
        return None
    values = [number(v) for ring in rings for v in ring]
    usable = len(values) >= 6 and len(values) % 2 == 0 and all(v is not None and math.isfinite(v) for v in values)
    return values if usable else None


def _read_annotation(item: dict, where: object, document: _Document, into: Collector, classes: ClassTable) -> None:
    """Put one annotation into its image."""
    raw = item.get("bbox")
    values = [number(v) for v in raw] if isinstance(raw, list) else []
    if len(values) != (5 if document.dialect.turned else 4) or None in values:
        into.drop(where, f"malformed bbox: {shown(raw)}")
        return
    if document.dialect.turned:
        if values[2] <= 0 or values[3] <= 0:
            into.drop(where, f"zero-area box: {values[2]:g} x {values[3]:g} px")
            return
        angle = values[4] if abs(values[4]) < 1e9 else math.nan
        polygon = list(rotated_corners(*values[:4], angle))
        box = bounds(polygon)
    else:
        x, y, w, h = values
        box = (x, y, x + w, y + h)
        polygon = _polygon(item, box)
    name = document.classes.get(_hashable_id(item.get("category_id")))
    if any(item.get(key) in (1, True) for key in ("iscrowd", "ignore", "uncertain")):
        into.add(where, None, box, merge=True)
    elif name is None:
        into.drop(where, f"unknown class: category_id {shown(item.get('category_id'))} is not in categories")
    elif classes.ignores(name):
        into.add(where, None, box)
    elif (cls := classes.find(name)) is None:
        into.drop(where, f"unknown class: {name} is not among the names asked for")
    else:
        into.add(where, cls, box, polygon, difficult=item.get("difficult") in (1, True))


def _record(item: dict, document: _Document, finder: _Finder, split: str, log: ImportLog) -> ImageRecord | None:
    """One entry of ``images``; None, with the reason in the log, when it cannot be used."""
    files = finder.files
    name = next((item[key] for key in document.dialect.file_name if isinstance(item.get(key), str)), None)
    file = files.rel(document.path)
    if name is None:
        log.drop(split, file, f"image {item.get('id')!r}", f"malformed image entry: no {document.dialect.file_name[0]}")
        return None
    stated = tuple(whole(v) if (v := number(item.get(key))) is not None else None for key in ("width", "height"))
    path = finder.find(name, document)
    if isinstance(path, Path):
        record = image_record(path, files, split, log)
        if record and all(stated) and stated != (record.width, record.height):
            said = f"{stated[0]} x {stated[1]}"
            reason = f"size differs: the JSON says {said} px, the image has {record.width} x {record.height}"
            log.note(split, file, path.name, reason)
        return record
    if all(v is not None and v > 0 for v in stated):
        clean = PurePosixPath(name.replace("\\", "/")).name or "unnamed"
        return ImageRecord(clean, *stated)  # labels alone: an exporter may still have a use for them
    log.drop(split, file, printable_name(name), f"label without image: {path}")
    return None


def _groups(item: dict) -> tuple[str, ...]:
    """``groups`` of an image entry, as our exporter writes them: plain names, for each becomes a file."""
    names = item.get("groups")
    names = [g for g in names if isinstance(g, str)] if isinstance(names, list) else []
    return tuple(sorted({g for g in names if g and PurePosixPath(g).name == g and "\\" not in g and g[0] != "."}))


def printable_name(name: str) -> str:
    """A file name short enough for a report."""
    return name if len(name) <= 120 else name[:119] + "…"


def read_documents(
    files: Source, candidates: Sequence[Path], dialect: Dialect, options: ImportOptions, log: ImportLog
) -> Dataset:
    """Read the JSON files among ``candidates`` that hold boxes into one dataset.

    Raises:
        ConfigError: The images were to be divided.
        DataError: A file is not JSON, or none of them holds boxes.
    """
    if options.splitter is not None:
        raise ConfigError(
            "val_fraction= and val_prefixes= divide sources with one label file per image; a COCO file is a split by "
            "itself; leave them out"
        )
    documents = list(_documents(files, candidates, dialect, log))
    if not documents:
        raise DataError(
            f"no COCO JSON with boxes found in {files.root}; expected images, annotations and categories in a *.json "
            "file; give the file itself as source"
        )
    names: list[str] = []
    closed = ClassTable(options.names)
    for document in documents:
        _read_categories(document, names, closed)
    classes = ClassTable(options.names or names)
    goes_to = file_under((d.split for d in documents), options)
    finder = _Finder(files)
    dataset = Dataset([])
    seen: set[tuple[str, Path | str]] = set()
    with calm_pillow():
        for document in documents:
            split = goes_to[document.split]
            if split is not None:
                _read_document(document, split, finder, classes, options, log, dataset, seen)
    classes.settle(dataset)
    return finish(dataset, files, log)


def _read_document(
    document: _Document,
    split: str,
    finder: _Finder,
    classes: ClassTable,
    options: ImportOptions,
    log: ImportLog,
    dataset: Dataset,
    seen: set,
) -> None:
    """Add the images and boxes of one JSON file to the dataset."""
    file = finder.files.rel(document.path)
    by_image: dict[object, Collector | None] = {}
    records = dataset.splits.setdefault(split, [])
    for item in options.track(document.images, f"reading {document.path.name}"):
        image_id = _hashable_id(item.get("id")) if isinstance(item, dict) else None
        if image_id is None:
            log.drop(split, file, "images", f"malformed image entry: {shown(item)}")
            continue
        if image_id in by_image:
            log.drop(split, file, f"image {image_id!r}", "duplicate image id: the first one counts")
            continue
        record = by_image[image_id] = _record(item, document, finder, split, log)
        if record is None:
            continue
        key = (split, record.path or record.name)
        if key in seen:
            log.drop(split, file, record.name, "duplicate image: another entry or JSON file describes it")
            by_image[image_id] = None
            continue
        seen.add(key)
        record.groups = _groups(item)
        records.append(record)
        by_image[image_id] = Collector(record, log, split, file, options.difficult)
    lost = 0
    for index, item in enumerate(document.annotations):
        if not isinstance(item, dict):
            log.drop(split, file, f"annotation number {index}", f"malformed annotation: {shown(item)}")
            continue
        where = f"annotation {item['id']}" if "id" in item else f"annotation number {index}"
        image_id = _hashable_id(item.get("image_id"))
        if image_id not in by_image:
            log.drop(split, file, where, f"unknown image: image_id {shown(item.get('image_id'))} is not in images")
        elif by_image[image_id] is None:
            lost += 1
        else:
            _read_annotation(item, where, document, by_image[image_id], classes)
    if lost:
        log.note(split, file, "", f"annotations of images left out: {lost}")


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a COCO folder (``annotations/*.json`` with the images around it) or a single JSON file."""
    files = Source.open(source, ".json")
    candidates = [p for p in files.with_suffix(".json") if p.name != "convert-report.json"]
    return read_documents(files, candidates, Dialect(), options, log)

"""COCO JSON: ``images``, ``annotations`` (``bbox`` = left, top, width, height in pixels), ``categories``.

``iscrowd: 1`` and the fields ``ignore`` and ``uncertain`` (TinyPerson: both are neither right nor wrong there) make an
annotation an ignored region, whatever its class; so does a category with a name like ``ignored regions``. Images are
found by ``file_name``, relative to the JSON file, its parents, and their ``images`` and split folders, last by the bare
name anywhere in the source.

``segmentation`` is read as polygons, or as a mask in run lengths, packed or not, of which the outer edges are taken: a
label has no place for holes, so these are filled and counted. A mask of another size than the picture is left aside and
named, and its box is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from rsdet.data.annotations import Dataset, ImageRecord, ImportLog
from rsdet.data.groups import image_key
from rsdet.data.importers._frames import Frames
from rsdet.data.importers._images import calm_pillow
from rsdet.data.importers._json import box_values, edges_of, flag, identity, rings_of
from rsdet.data.importers._labels import (
    ClassTable,
    Collector,
    ImportOptions,
    bounds,
    number,
    shown,
    whole,
)
from rsdet.data.importers._layout import Source, check_undivided, file_under, finish, folded, image_record, split_of
from rsdet.data.importers._outlines import decoded_runs, outlines
from rsdet.errors import DataError
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
class Document:
    """One JSON file, taken apart but not yet believed."""

    path: Path
    images: list
    annotations: list
    categories: list
    dialect: Dialect
    split: str | None = None
    fractions: bool = False
    classes: dict[object, str] = field(default_factory=dict)  # category id to name

    def file_name(self, item: object) -> str | None:
        """The file that an entry of ``images`` names."""
        named = item if isinstance(item, dict) else {}
        return next((named[key] for key in self.dialect.file_name if isinstance(named.get(key), str)), None)


def _open_document(path: Path, dialect: Dialect, wanted: bool) -> Document | str:
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
            if parts[1] and not any(isinstance(a, dict) and ("bbox" in a or "segmentation" in a) for a in parts[1]):
                problem = "has annotations without bbox and segmentation (captions?)"
    if problem is None:
        return Document(path, *parts, dialect)
    if wanted:
        raise DataError(f"{path} {problem}; expected COCO JSON with images, annotations and categories")
    return problem


def _documents(files: Source, candidates: Sequence[Path], dialect: Dialect, log: ImportLog) -> Iterator[Document]:
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


class Finder:
    """Finds image files by the names a JSON file gives them."""

    def __init__(self, files: Source):
        self.files = files
        self._known = set(files.images)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for image in files.images:
            self._by_name[folded(image.name)].append(image)

    def find(self, name: str, document: Document) -> Path | str:
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
        found = self._by_name.get(folded(clean.name), [])
        found = [path for path in found if path.name == clean.name] or found
        if len(found) > 1 and document.split:
            found = [path for path in found if self.files.split(path) == document.split] or found
        if len(found) == 1:
            return found[0]
        return f"{len(found)} files have the name" if found else "no such file"


def read_categories(document: Document, names: list[str], classes: ClassTable) -> list[str]:
    """Learn the names of a document's category ids, and collect the classes in the order of their ids.

    Returns:
        Names that several ids have.
    """
    listed = []
    for item in document.categories:
        if isinstance(item, dict) and "name" in item and identity(item.get("id")) is not None:
            listed.append((identity(item["id"]), str(item["name"]).strip()))
    listed.sort(key=lambda pair: (isinstance(pair[0], str), pair[0]))
    document.classes = dict(listed)
    new = dict.fromkeys(name for _, name in listed if name not in names and not classes.ignores(name))
    names += new
    return sorted({name for name in new if sum(name == other for _, other in listed) > 1})


def _in_fractions(document: Document) -> bool:
    """Whether all boxes lie within one pixel of the corner: they are fractions of the picture, as Azure writes them."""
    found = False
    for item in document.annotations if not document.dialect.turned else ():
        edges = edges_of(item) if isinstance(item, dict) else None
        if edges is not None and not all(-0.01 <= v <= 1.01 for v in edges):
            return False
        found |= edges is not None
    return found


def _read_annotation(
    item: dict, where: object, document: Document, into: Collector, classes: ClassTable, maps: bool
) -> None:
    """Put one annotation into its image; for ``maps``, with the pixels that a mask covers."""
    name = document.classes.get(identity(item.get("category_id")), "")
    rings: list[Sequence[float]] = []
    if document.dialect.turned:
        turned = box_values(item, 5)
        if turned is not None and min(turned[2:4]) <= 0:
            into.drop(where, f"zero-area box: {turned[2]:g} x {turned[3]:g} px", name)
            return
        rings = [into.corners(turned)] if turned else []
        box = bounds(rings[0]) if turned else None
    else:
        box, rings = edges_of(item), rings_of(item)
    if box is None:
        into.drop(where, f"malformed bbox: {shown(item.get('bbox'))}, and no polygon or mask in its place", name)
        return
    if document.fractions:
        w, h = into.record.width, into.record.height
        box = (box[0] * w, box[1] * h, box[2] * w, box[3] * h)
        rings = [[v * (h if i % 2 else w) for i, v in enumerate(ring)] for ring in rings]
    place = item.get("segmentation")
    doubtful = ("ignore", "uncertain") if maps else ("iscrowd", "ignore", "uncertain")  # a crowd has a class, no boxes
    if any(flag(item.get(key)) for key in doubtful):
        runs = place if maps and isinstance(place, dict) and _fits(place, into) else None
        into.add(where, None, box, rings, merge=True, runs=runs)
        return
    runs = None
    if isinstance(place, dict):
        rings = _mask_outlines(place, where, name, into)
        runs = place if maps and rings else None
        if maps and flag(item.get("iscrowd")) and rings:
            into.log[into.split].forms["crowd taken for its class", name] += 1
    elif not rings and isinstance(place, list) and any(place):
        reason = f"polygon not used: expected lists of 3 or more corners x, y, received {shown(place)}; its box is kept"
        into.log.note(into.split, into.file, where, reason)
    if not name:
        into.drop(where, f"unknown class: category_id {shown(item.get('category_id'))} is not in categories")
    else:
        into.take(where, name, classes, box, rings, difficult=flag(item.get("difficult")), runs=runs)


def _fits(mask: dict, into: Collector) -> bool:
    """Whether a mask in run lengths is one of the picture."""
    return mask.get("size") == [into.record.height, into.record.width] and decoded_runs(mask) is not None


def _mask_outlines(mask: dict, where: object, name: str, into: Collector) -> list[tuple[float, ...]]:
    """The outer edges of a run-length encoded mask; none, with a remark, where it does not fit the picture."""
    size = into.record.height, into.record.width
    pixels = decoded_runs(mask) if mask.get("size") == list(size) else None
    if pixels is None:
        reason = f"mask not used: its size and runs are no mask of {size[1]:g} x {size[0]:g} px"
        into.log.note(into.split, into.file, where, f"{reason}, size {shown(mask.get('size'))}; its box is kept")
        return []
    rings, holes = outlines(pixels)
    if holes:
        into.log[into.split].forms["holes of a mask filled", name] += holes
    return rings


def record_of(item: dict, document: Document, finder: Finder, split: str, log: ImportLog) -> ImageRecord | str:
    """One entry of ``images``; where it cannot be used, the kind of the reason, which is in the log."""
    files = finder.files
    name = document.file_name(item)
    file = files.rel(document.path)
    if name is None:
        log.drop(split, file, f"image {item.get('id')!r}", f"malformed image entry: no {document.dialect.file_name[0]}")
        return "malformed image entry"
    path = finder.find(name, document)
    if isinstance(path, Path):
        return image_record(path, files, split, log) or "unreadable image"
    size = tuple(whole(v) if (v := number(item.get(key))) is not None else None for key in ("width", "height"))
    if all(v is not None and v > 0 for v in size):
        clean = PurePosixPath(name.replace("\\", "/")).name or "unnamed"
        return ImageRecord(clean, *size)  # labels alone: an exporter may still have a use for them
    log.drop(split, file, printable_name(name), f"label without image: {path}")
    return "label without image"


def _groups(item: dict) -> tuple[str, ...]:
    """``groups`` of an image entry, as our exporter writes them: plain names, for each becomes a file."""
    names = item.get("groups")
    names = [g for g in names if isinstance(g, str)] if isinstance(names, list) else []
    return tuple(sorted({g for g in names if g and PurePosixPath(g).name == g and "\\" not in g and g[0] != "."}))


def printable_name(name: str) -> str:
    """A file name short enough for a report."""
    return name if len(name) <= 120 else name[:119] + "…"


def divided(documents: Sequence[Document], finder: Finder, options: ImportOptions) -> dict[str, str]:
    """Split of each image (:func:`image_key`) where they are to be divided; nothing where they are not.

    Raises:
        DataError: The documents are of several splits already.
    """
    if options.splitter is None:
        return {}
    check_undivided(d.split for d in documents)
    named = [(d, name) for d in documents for item in d.images if (name := d.file_name(item))]
    there = [name for d, name in named if isinstance(finder.find(name, d), Path)]  # or val may hold none that is there
    names = there or [name for _, name in named]
    return options.splitter.divide(PurePosixPath(name.replace("\\", "/")).name for name in names)


def read_documents(
    files: Source, candidates: Sequence[Path], dialect: Dialect, options: ImportOptions, log: ImportLog
) -> Dataset:
    """Read the JSON files among ``candidates`` that hold boxes into one dataset.

    Raises:
        DataError: A file is not JSON, none of them holds boxes, or their images were to be divided and are already.
    """
    documents = list(_documents(files, candidates, dialect, log))
    if not documents:
        raise DataError(
            f"no COCO JSON with boxes found in {files.root}; expected images, annotations and categories in a *.json "
            "file; give the file itself as source"
        )
    names: list[str] = []
    closed = ClassTable(options.names)
    for document in documents:
        for name in read_categories(document, names, closed):
            log.note("", files.rel(document.path), "", f"categories of one name are one class: {name}")
    classes = ClassTable(options.names or names)
    goes_to = file_under((d.split for d in documents), options)
    finder = Finder(files)
    drawn = divided(documents, finder, options)
    dataset, frames = Dataset([]), Frames()
    seen: set[tuple[str, Path | str]] = set()
    with calm_pillow():
        for document in documents:
            split = goes_to[document.split]
            if split is not None:
                _read_document(document, split, drawn, finder, classes, options, log, dataset, seen, frames)
    frames.settle(dataset, log)
    classes.settle(dataset)
    return finish(dataset, files, log)


def _read_document(
    document: Document,
    split: str,
    drawn: dict[str, str],
    finder: Finder,
    classes: ClassTable,
    options: ImportOptions,
    log: ImportLog,
    dataset: Dataset,
    seen: set,
    frames: Frames,
) -> None:
    """Add the images and boxes of one JSON file to the dataset."""
    file = finder.files.rel(document.path)
    by_image: dict[object, Collector | str] = {}
    for item in options.track(document.images, f"reading {document.path.name}"):
        image_id = identity(item.get("id")) if isinstance(item, dict) else None
        if image_id is None:
            log.drop(split, file, "images", f"malformed image entry: {shown(item)}")
            continue
        if image_id in by_image:
            log.drop(split, file, f"image {image_id!r}", "duplicate image id: the first one counts")
            continue
        home = drawn.get(image_key(document.file_name(item) or ""), split)
        record = by_image[image_id] = record_of(item, document, finder, home, log)
        if isinstance(record, str):
            continue
        key = (home, record.path or record.name)
        if key in seen:
            log.drop(home, file, record.name, "duplicate image: another entry or JSON file describes it")
            by_image[image_id] = "duplicate image"
            continue
        seen.add(key)
        record.groups = _groups(item)
        into = by_image[image_id] = Collector(record, log, home, file, options.difficult, frames, options.angle_unit)
        into.stated(number(item.get("width")), number(item.get("height")), by="the JSON")
        if not into.refused:
            dataset.splits.setdefault(home, []).append(record)
    document.fractions = _in_fractions(document)
    if document.fractions:
        log.note(split, file, "", "boxes are fractions of the picture: multiplied by its size")
    without_image = 0
    for index, item in enumerate(document.annotations):
        if not isinstance(item, dict):
            log.drop(split, file, f"annotation number {index}", f"malformed annotation: {shown(item)}")
            log[split].lost["", "malformed annotation"] += 1
            continue
        where = f"annotation {item['id']}" if "id" in item else f"annotation number {index}"
        into = by_image.get(identity(item.get("image_id")), "unknown image")
        if isinstance(into, Collector):
            _read_annotation(item, where, document, into, classes, options.maps)
            continue
        name = document.classes.get(identity(item.get("category_id")), "")
        log[split].lost[name, into] += 1
        if into == "unknown image":
            log.drop(split, file, where, f"unknown image: image_id {shown(item.get('image_id'))} is not in images")
        else:
            without_image += 1
    for into in by_image.values():
        if isinstance(into, Collector):
            into.close()
    if without_image:
        log.note(split, file, "", f"annotations of images left out: {without_image}")


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a COCO folder (``annotations/*.json`` with the images around it) or a single JSON file."""
    files = Source.open(source, ".json")
    candidates = [p for p in files.with_suffix(".json") if p.name != "convert-report.json"]
    return read_documents(files, candidates, Dialect(), options, log)

"""YOLO text files: ``class xc yc w h``, or ``class x1 y1 … xn yn`` for polygons, as fractions of the image.

Key points, confidences and track ids beside a box are left aside; see :mod:`rsdet.data.importers._yolo_rows`.

Any of the usual layouts: ``images/train`` with ``labels/train``, ``train/images`` with ``train/labels``, image and
label side by side, splits listed in ``train.txt``, or in the lists and folders that the data YAML names. Class names
come from ``names=``, from a data YAML (``names:``), a ``*.names`` file or a ``classes.txt``; a class with a name like
DontCare is an ignored region, unless asked for. Ignored regions are read from the folder that the data YAML calls
``ignore:``, rows of difficult objects from the one it calls ``difficult:``, groups of images from the lists it calls
``groups:``, so that what :func:`rsdet.data.convert.convert` wrote comes back whole.
"""

from __future__ import annotations

from pathlib import Path

from rsdet.data.annotations import Dataset, ImportLog
from rsdet.data.groups import read_groups
from rsdet.data.gsd import gsd_of
from rsdet.data.importers._labels import (
    ClassTable,
    Collector,
    ImportOptions,
    bounds,
    numbers,
    read_lines,
    shown,
    whole,
)
from rsdet.data.importers._layout import Pair, Source
from rsdet.data.importers._lists import assign_listed, names_images, split_lists, stated_splits
from rsdet.data.importers._text import read_pairs
from rsdet.data.importers._yolo_rows import YoloRows, row_tokens
from rsdet.data.label_kind import label_kind
from rsdet.errors import DataError, RSDetError
from rsdet.names import class_names
from rsdet.textfiles import read_yaml

_NAME_FILES = ("classes.txt", "obj.names", "names.txt", "classnames.txt", "labels.txt")


def read_labels(
    path: Path,
    into: Collector,
    names: list[str],
    classes: ClassTable,
    rows: YoloRows | None = None,
    hard: Path | None = None,
) -> None:
    """Put the objects of one label file into its image.

    Args:
        path: Label file.
        into: Collector of the image.
        names: Class names of the source, by number.
        classes: Class names of the result.
        rows: What the rows of the source have in common; None for plain boxes and polygons.
        hard: File with the rows of difficult objects, if there is one.
    """
    difficult = {text for _, text in read_lines(hard)} if hard is not None else ()
    rows = rows or YoloRows()
    width, height = into.record.width, into.record.height
    for line, text in read_lines(path):
        values = numbers(row_tokens(text))
        row = rows.read(values) if values else "malformed line: expected numbers, received"
        if isinstance(row, str):
            into.drop(line, f"{row}: {shown(text)}")
            continue
        number = whole(values[0])
        if number is None or not 0 <= number < len(names):
            into.drop(line, f"unknown class: {shown(text.split()[0])}, expected 0 to {len(names) - 1}")
            continue
        corners = [v * (height if i % 2 else width) for i, v in enumerate(row[1])]
        box = bounds(corners) if corners else _edges(row[0], width, height)
        into.take(line, names[number], classes, box, [corners] if corners else (), difficult=text in difficult)


def _edges(xywh: list[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Normalised centre and size to edges in pixels."""
    xc, yc, w, h = xywh
    return (xc - w / 2) * width, (yc - h / 2) * height, (xc + w / 2) * width, (yc + h / 2) * height


def read_ignored(path: Path, into: Collector) -> None:
    """Put the regions ``xc yc w h`` of one file of the ``ignore`` folder into their image."""
    for line, text in read_lines(path):
        values = numbers(text.split())
        if values is None or len(values) != 4:
            into.drop(line, f"malformed line: expected xc yc w h in the ignore file, received {shown(text)}")
        else:
            into.add(f"ignore line {line}", None, _edges(values, into.record.width, into.record.height))


def _data_yaml(files: Source) -> dict:
    """The data YAML of the source, empty when it has none."""
    for path in files.files:
        if path.suffix.lower() in {".yaml", ".yml"} and path.parent == files.root:
            try:
                data = read_yaml(path)
            except RSDetError:  # not ours to judge: the next one may be the data YAML
                continue
            if isinstance(data.get("names"), list | dict):
                return data
    return {}


def _source_names(files: Source, data: dict, options: ImportOptions) -> list[str]:
    """Class names of the source, by number."""
    if data:
        names = data["names"]
        numbered = dict(enumerate(names)) if isinstance(names, list) else names
        by_number = {str(k): str(v) for k, v in numbered.items()}
        missing = [i for i in range(len(by_number)) if str(i) not in by_number]
        if missing:
            last = len(by_number) - 1
            raise DataError(f"names in the data YAML must be numbered 0 to {last}; {missing[0]} is missing; add it")
        return [by_number[str(i)] for i in range(len(by_number))]
    for path in files.files:
        if path.parent == files.root and (path.name.lower() in _NAME_FILES or path.suffix.lower() == ".names"):
            return [text for _, text in read_lines(path)]
    if options.names:
        return list(options.names)
    raise DataError(
        f"YOLO labels hold class numbers only and no names were found in {files.root}; expected a data YAML with "
        "names:, a classes.txt or a *.names file; give names=car,truck,… or names=<file>"
    )


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a YOLO folder, or a single label file beside its image."""
    files = Source.open(source, ".txt")
    data = _data_yaml(files)
    names = list(class_names(_source_names(files, data, options)).values())  # two numbers of one name stay two
    regions = ClassTable(None)
    classes = ClassTable(options.names or [name for name in names if not regions.ignores(name)])
    besides = {key: files.root / str(data[key]) for key in ("ignore", "difficult") if data.get(key)}
    beside: dict[str, dict[tuple[str, ...], Path]] = {"ignore": {}, "difficult": {}}
    groups = read_groups(data, files.root)
    group_files = {files.root / str(place) for place in (data.get("groups") or {}).values()}
    stated = stated_splits(data, files.root) if files.only is None else {}
    labels, lists = [], []
    stems = {image.stem for image in files.images}
    for path in files.with_suffix(".txt"):
        kind = next((key for key, folder in besides.items() if path.is_relative_to(folder)), None)
        if kind is not None:
            beside[kind][files.key(files.root / path.relative_to(besides[kind]))] = path
        elif path in group_files or path.name.lower() in _NAME_FILES or path.name.lower().startswith("readme"):
            continue
        elif path in stated or (path.stem not in stems and split_lists([path]) and names_images(path)):
            lists.append(path)
        else:
            labels.append(path)
    rows = YoloRows(data)
    rows.scan((path, files.rel(path)) for path in labels)

    def read_one(path: Path, into: Collector) -> None:
        read_labels(path, into, names, classes, rows, beside["difficult"].get(files.key(into.record.path)))

    def read_more(into: Collector) -> None:
        into.record.groups = tuple(g for g in sorted(groups) if into.record.stem in groups[g])
        region = beside["ignore"].get(files.key(into.record.path))
        if region is not None:
            into.file = files.rel(region)
            read_ignored(region, into)

    def assign(pairs: list[Pair]) -> list[Pair]:
        found = split_lists(lists)
        if said := {path: stated[path] for path in lists if path in stated}:  # it knows better than names of files
            found = said | {path: split for path, split in found.items() if split not in said.values()}
        for item in pairs:  # folders called neither train nor val
            if item.split is None:
                item.split = next((stated[folder] for folder in item.image.parents if folder in stated), None)
        return assign_listed(pairs, found, {f: files.root for f in found}, files, log) if found else pairs

    dataset = read_pairs(files, labels, read_one, options, log, assign, after=read_more)
    if "kpt_shape" not in data and (kinds := label_kind(labels)).kind == "mixed":
        rare = min((group for kind, group in kinds.files.items() if kind not in ("empty", "unclear")), key=len)
        if options.task != "detect":
            named = ", ".join(files.rel(f) for f in rare[:3]) + (f" and {len(rare) - 3} more" if len(rare) > 3 else "")
            raise DataError(
                f"mixed label kinds in {files.root}: upright boxes beside corners or polygons ({kinds}); the fewer are "
                f"{named}; give each kind a folder of its own, or write upright boxes of all (task=detect)."
            )
        log.note("", files.rel(rare[0]), "", f"mixed label kinds: upright boxes beside polygons; {kinds}")
    for what, count in rows.left_aside.items():
        log.note("", files.rel(labels[0]), "", f"numbers left aside: {what}, in {count} rows")
    classes.settle(dataset)
    dataset.gsd = gsd_of(data)
    return dataset

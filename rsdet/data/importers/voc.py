"""Pascal VOC XML, upright (``bndbox``) and oriented as roLabelImg writes it (``robndbox``), or polygons.

``robndbox`` is ``cx cy w h angle``, the angle in radians and clockwise as seen. A polygon is ``polygon`` with
``x1 y1 x2 y2 …``, or SSDD's ``segm`` with points ``x,y``; corners ``x1 y1 …`` of SSDD's ``rotated_bndbox`` are kept
beside it.

With or without ``ImageSets/Main/{train,val,test}.txt``. Edges are taken as they stand in the file: ``xmin=10, xmax=20``
is 10 px wide. The VOC challenge itself counted pixels from 1 and both edges inclusive; the tools that write VOC files
today do not, and a file does not say who wrote it.

Objects marked difficult stay objects (the VOC evaluation skips them when it matches); they are counted in the report.
``difficult="ignore"`` makes them ignored regions instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PureWindowsPath
from xml.etree.ElementTree import Element

from rsdet.data.annotations import Dataset, ImportLog, printable
from rsdet.data.importers._labels import (
    ClassTable,
    Collector,
    ImportOptions,
    bounds,
    numbers,
)
from rsdet.data.importers._layout import Pair, Source, folded
from rsdet.data.importers._lists import assign_listed, split_lists
from rsdet.data.importers._text import read_pairs
from rsdet.data.importers._xml import parse_xml
from rsdet.errors import DataError

ReadObjects = Callable[[Path, Collector, ClassTable], None]


def values_of(parent: Element | None, tags: tuple[str, ...]) -> list[float] | None:
    """The children as numbers, None when one is missing or is no number."""
    if parent is None:
        return None
    texts = [(parent.findtext(tag) or "").strip() for tag in tags]
    return numbers(texts)


def points_of(places: Iterable[Element]) -> list[float] | None:
    """Corners ``x1 y1 …`` of elements that hold ``x,y`` each; None where there are fewer than three or one is none."""
    points = [numbers((place.text or "").split(",")) for place in places]
    whole = len(points) > 2 and all(point is not None and len(point) == 2 for point in points)
    return [v for point in points for v in point] if whole else None


def _rings(places: list[Element]) -> list[list[float]]:
    """Polygons: the children ``x1 y1 x2 y2 …`` of each element, where there are three corners or more."""
    found = []
    for place in places:
        said, ring = {child.tag: child.text or "" for child in place}, []
        while point := numbers(said.get(f"{axis}{len(ring) // 2 + 1}", "") for axis in "xy"):
            ring += point
        found += [ring] if len(ring) >= 6 else []
    return found


def read_labels(path: Path, into: Collector, classes: ClassTable) -> None:
    """Put the objects of one annotation file into its image.

    Raises:
        DataError: The file is not XML, or an angle is in another unit.
    """
    root = parse_xml(path)
    into.stated(*(values_of(root.find("size"), ("width", "height")) or (None, None)), by="the XML")
    swapped = []
    for index, item in enumerate(root.iter("object"), 1):
        where = f"object {index}"
        name = (item.findtext("name") or "").strip()
        edges = values_of(item.find("bndbox"), ("xmin", "ymin", "xmax", "ymax"))
        turned = values_of(item.find("robndbox"), ("cx", "cy", "w", "h", "angle"))
        outlines = (points_of(place) for place in item.findall("segm"))
        polygons = _rings(item.findall("polygon")) + [ring for ring in outlines if ring]
        corners = next(iter(_rings(item.findall("rotated_bndbox"))), None)
        if turned is not None and min(turned[2:4]) > 0:
            corners = into.corners(turned)
        elif turned is not None and edges is None and not polygons:
            into.drop(where, f"zero-area box: {turned[2]:g} x {turned[3]:g} px", name)
            continue
        if corners and not polygons:
            polygons, corners = [corners], None
        if edges is None and polygons:
            edges = bounds([v for ring in polygons for v in ring])
        if edges is None:
            into.drop(where, "malformed object: expected bndbox with the numbers xmin, ymin, xmax, ymax", name)
            continue
        x1, y1, x2, y2 = edges
        if x1 > x2 or y1 > y2:  # drawn from the lower right corner: the same box
            swapped.append(where)
            edges = [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
        hard = (item.findtext("difficult") or "0").strip() not in {"0", ""}
        into.take(where, name, classes, edges, polygons, corners, difficult=hard)
    if swapped:
        into.log.note(into.split, into.file, swapped[0], f"edges swapped: {len(swapped)} boxes, put in order")


def _pair_by_content(source: Source, pairs: list[Pair], labels: list[Path], log: ImportLog) -> None:
    """Images whose XML has another name: the ``<filename>`` inside says which image is meant."""
    used = {p.label for p in pairs}
    spare = [label for label in labels if label not in used]
    without = defaultdict(list)
    for item in pairs:
        if item.label is None:
            without[folded(item.image.name)].append(item)
            without[folded(item.image.stem)].append(item)
    if not spare or not without:
        return
    found = set()
    for label in spare:
        name = PureWindowsPath((parse_xml(label).findtext("filename") or "").strip()).name
        fits = [item for item in without.get(folded(name), ()) if item.label is None]
        if len(fits) == 1:
            fits[0].label = label
            found.add(printable(source.rel(label)))
    log.retract(found)


def read(source: Path, options: ImportOptions, log: ImportLog) -> Dataset:
    """Read a Pascal VOC folder, or a single XML file beside its image.

    Raises:
        DataError: A file is not XML, or one of CVAT's own holds all pictures.
    """
    files = Source.open(source, ".xml")
    for path in files.with_suffix(".xml"):
        if path.stem.lower() == "annotations" and parse_xml(path).find("image") is not None:
            raise DataError(f"{path} is XML of CVAT's own; export the task from CVAT as COCO, Pascal VOC or YOLO")
    return read_xml(files, options, log)


def read_xml(
    files: Source,
    options: ImportOptions,
    log: ImportLog,
    read_objects: ReadObjects = read_labels,
    order: Sequence[str] | None = None,
) -> Dataset:
    """Read a folder with one XML file per image.

    Args:
        files: The files; splits come from lists below ``ImageSets``, else from the names of folders.
        options: What the user asked for.
        log: Where everything dropped is written.
        read_objects: Puts the objects of one file into its image.
        order: The classes of the format in their official order, where the source has no others.
    """
    classes = ClassTable(options.names)
    labels = files.with_suffix(".xml")
    sets = [p for p in files.files if p.suffix.lower() == ".txt" and "ImageSets" in p.parts]
    lists = split_lists([p for p in sets if p.parent.name == "Main"] or sets)  # beside Main lie those of other tasks
    base = {p: p.parents[len(p.parts) - 1 - p.parts.index("ImageSets")] for p in lists}

    def assign(pairs: list[Pair]) -> list[Pair]:
        _pair_by_content(files, pairs, labels, log)
        if lists and files.only is None:
            return assign_listed(pairs, lists, base, files, log)
        return pairs

    dataset = read_pairs(files, labels, lambda p, c: read_objects(p, c, classes), options, log, assign)
    known = order is not None and classes.names and set(classes.names) <= set(order)
    classes.settle(dataset, order if known else None)
    return dataset

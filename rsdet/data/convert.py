"""``rsdet convert``: any supported dataset into the folder layout that Ultralytics trains on, COCO JSON or DOTA's text.

The originals are only read. Running it again writes nothing that is there already, follows a changed source, and takes
away what the source no longer has; files it did not write are never touched.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rsdet.data.annotations import Dataset, ImageRecord, ImportLog
from rsdet.data.converted import check_free, check_kept, check_places, kept_splits, marked, remove_stale
from rsdet.data.exporters.coco import write_coco
from rsdet.data.exporters.dota import check_words
from rsdet.data.exporters.folder import SEMANTIC, data_yaml_text, write_labels, write_maps
from rsdet.data.forms import TASKS, give_form
from rsdet.data.groups import write_groups
from rsdet.data.gsd import gsd_of, measured_gsd
from rsdet.data.importers import IMPORTERS, ImportOptions, read_dataset
from rsdet.data.importers._labels import read_lines
from rsdet.data.importers._layout import Source
from rsdet.data.lost import check_losses
from rsdet.data.masks.maps import ClassMaps, cut_maps, keep_outlined
from rsdet.data.merging import Merge, merge_classes, read_merge
from rsdet.data.report import ConvertReport, SplitReport
from rsdet.data.splitting import Splitter
from rsdet.data.tiles import Cutting, cut_dataset
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.textfiles import read_yaml
from rsdet.writing import alone, write_if_changed

__all__ = ["ConvertReport", "convert", "write_coco"]

T = TypeVar("T")
_CHOICES = {
    "format": tuple(IMPORTERS),
    "to": ("yolo", "coco", "dota"),
    "task": (*TASKS, SEMANTIC),
    "link": ("copy", "symlink", "hardlink"),
    "difficult": ("object", "ignore"),
    "others": ("ignore", "drop"),
    "angle_unit": ("radians", "degrees"),
}
_EXPORTS = {  # tools whose names are no formats
    "cvat": "coco, voc and yolo", "labelimg": "voc and yolo", "label-studio": "coco, voc and yolo",
    "labelstudio": "coco, voc and yolo", "roboflow": "coco, voc and yolo",
}  # fmt: skip


def convert(
    source: str | Path,
    format: str,
    out: str | Path,
    *,
    split: str | None = None,
    names: Sequence[str] | str | None = None,
    to: str = "yolo",
    link: str = "copy",
    progress: bool = True,
    task: str | None = None,
    obb: bool | None = None,
    difficult: str = "object",
    others: str = "ignore",
    min_area_px: int = 4,
    angle_unit: str = "radians",
    val_fraction: float | None = None,
    split_seed: int = 0,
    val_prefixes: Sequence[str] | str | None = None,
    merge: str | Sequence[str] | Merge | None = None,
    gsd: float | None = None,
    labels: str | Path | None = None,
    class_column: str | None = None,
    tile: int | None = None,
    overlap: float = 0.2,
    keep: float = 0.4,
    empty: float = 0.1,
    tile_format: str = "png",
    background: str = "background",
    extra: dict | None = None,
    allow_empty: bool = False,
) -> ConvertReport:
    """Convert a dataset.

    Writes ``out/images/<split>/``, ``out/labels/<split>/*.txt``, ``out/<folder name>.yaml`` and
    ``out/convert-report.json``; beside them, where there is something to write, ``out/ignore/<split>/*.txt`` (ignored
    regions, one ``xc yc w h`` a line, never among the labels), ``out/difficult/<split>/*.txt`` (the rows of objects
    marked difficult once more) and ``out/groups/*.txt`` (images that are measured apart: inshore, offshore). For
    ``task="semantic"``, ``out/masks/<split>/*.png`` stands in the place of labels: class numbers, 255 for no class.

    In place of labels and YAML, ``to="coco"`` writes ``out/annotations/<split>.json`` and ``to="dota"``
    ``out/labelTxt/<split>/*.txt``. So ``rsdet convert source=my-yolo format=yolo out=my-coco to=coco`` makes COCO JSON
    of YOLO labels in any of their three forms.

    Splits that an earlier call put into ``out`` from another source stay.

    Args:
        source: Dataset folder as its owner lays it out, one of its splits, or a single label file.
        format: ``ai4mars``, ``bijie-landslide``, ``coco``, ``coco-panoptic``, ``dota``, ``fair1m``, ``hazydet``,
            ``hit-uav``, ``hrsc2016``, ``hrsid``, ``labelme``, ``masks``,
            ``sar-ship-dataset``, ``ssdd``, ``vector`` (rasters and polygons of a GIS, see ``labels``), ``visdrone``,
            ``voc`` (roLabelImg as well) or ``yolo``.
        out: Folder to write; not inside ``source``.
        split: The only split to read, where the source has several; else the name to file everything under.
        names: Class names in the wanted order, others are dropped: a list, ``"car,truck"`` or a file with one name a
            line (or a YAML with ``names:``). None takes the classes of the source. Masks need one name, or a colour for
            each: ``ship=#00ff00,land=#0000ff``. For ``task="semantic"`` they may also have names in the order of their
            numbers, or a data YAML that says by ``label_mapping`` and ``palette`` what they hold
            (:mod:`rsdet.data.masks`).
        to: ``yolo``, ``coco`` or ``dota``.
        link: ``copy`` the images, or ``symlink`` or ``hardlink`` them. Training through :class:`~rsdet.model.RSDet`
            writes into no picture; a plain ``YOLO`` may write damaged JPEG files anew, and then only copies keep the
            originals safe.
        progress: Show progress bars.
        task: The form of the labels: ``detect`` writes upright boxes (COCO JSON keeps the polygons of the source
            beside them), ``obb`` the four corners of oriented boxes, ``segment`` polygons; see :mod:`rsdet.data.forms`
            for what becomes of a label of another form. ``semantic`` writes masks: a pixel is of the object that its
            centre is in, of two classes the smaller object's, of none in a region to ignore and where a raster has no
            data. None is ``detect``, and ``obb`` for ``to="dota"``.
        obb: The former name of ``task="obb"``; gone with the next release.
        difficult: ``object`` keeps objects marked difficult (DOTA, VOC) and the mark, ``ignore`` makes them ignored
            regions.
        others: VisDrone's category 11: ``ignore`` makes it an ignored region, ``drop`` leaves it out.
        min_area_px: Regions of a mask with fewer pixels are dropped.
        angle_unit: Unit of the angles of turned boxes in the source (roLabelImg, HRSC2016, HIT-UAV): ``radians``, as
            these formats have it, or ``degrees``, as some tools write them.
        val_fraction: For a source without splits, or of one: the part of its images that becomes ``val``, such as 0.2.
            Drawn from the file names by ``split_seed``, the same everywhere, and written to ``out/splits/train.txt``
            and ``val.txt``; lists that lie there already are checked and used.
        split_seed: Another number draws another split.
        val_prefixes: For a source without splits, or of one: images whose names begin so become ``val``, such as the
            scenes that overlapping tiles were cut from.
        merge: Classes that become one: ``vehicle=car+truck+bus,person=pedestrian+people``, or such a mapping of lists;
            by the names of the source, and after ``names`` has said which of them are read.
        gsd: Metres a pixel of the pictures, for the data YAML and what is trained on it; measured where they are
            GeoTIFFs of one resolution.
        labels: Of ``vector``: GeoPackage, GeoJSON or Shapefile of polygons on the scenes of ``source``, in any CRS; or
            a folder with one of each scene's name.
        class_column: Of ``vector``: the column that holds the class; one called ``class`` or the only one of text where
            it is left out.
        tile: Side in pixels of the tiles that pictures are cut into, named ``<picture>__x<left>_y<top>``; a picture
            no larger is copied (or linked). All tiles of a picture are in its split. TIFF files stay such, of any depth
            and in their place on Earth; see :mod:`rsdet.data.tiles`.
        overlap: What neighbouring tiles share: below 1 a fraction of the tile, from 1 on pixels. Objects that fit into
            it are whole in some tile.
        keep: Share of an object's area that a tile must show; a tile that shows less has an ignored region there.
        empty: Tiles without object for each with some; drawn by ``split_seed``.
        tile_format: Of tiles of 8-bit pictures that are no TIFF: ``png``, or ``jpg`` (quality 95).
        background: Of ``task="semantic"``: the class of what no object covers, one more or one of the source;
            ``ignore`` gives it none (255). Beside a single class it is 0 and has no name.
        extra: More keys for the data YAML, such as ``{"protocol": "visdrone"}``.
        allow_empty: Go on where the source, a split or a class keeps less than a tenth of its boxes, or where there is
            no label at all: pictures of background, or what is left of damaged labels.

    Returns:
        Counts, everything dropped and why, and the path of the data YAML.

    Raises:
        ConfigError: An argument has a value that is none of the above.
        DataError: Nothing to read, nothing usable in it or (see ``allow_empty``) next to nothing, a file that cannot be
            parsed at all, or ``out`` is unsafe to write to. Nothing is written then.
    """
    task = _task(task, obb, to)
    given = {"format": format, "to": to, "task": task, "link": link, "difficult": difficult, "others": others}
    for key, value in {**given, "angle_unit": angle_unit}.items():
        if value not in _CHOICES[key]:
            known = ", ".join(_CHOICES[key])
            hint = f" {value} exports {_EXPORTS[value]}." if value in _EXPORTS else nearest(value, _CHOICES[key])
            raise ConfigError(f"{key}={value!r} is unknown; expected one of {known}.{hint}")
    if split is not None and (
        not isinstance(split, str) or not split.strip() or Path(split).name != split or split.startswith(".")
    ):
        raise ConfigError(f"split={split!r} must be a plain folder name such as train, val or test")
    gsd_of({"gsd": gsd}, "")
    cutting = Cutting.of(tile, overlap, keep, empty, split_seed, tile_format)
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if (labels is None) != (format != "vector"):
        raise ConfigError(f"labels= and format=vector belong together; received labels={labels} format={format}.")
    check_places(source, out, format)
    parts = read_merge(merge)
    before = ConvertReport.load(out)
    splitter = Splitter.of(out, val_fraction, split_seed, val_prefixes)
    if splitter and split is not None:
        raise ConfigError("split= names one split for all images, val_fraction= and val_prefixes= make two; give one")
    maps = task == SEMANTIC
    options = ImportOptions(
        split, class_names(names), "segment" if maps else task, difficult, others, min_area_px, angle_unit, splitter,
        labels, class_column, cutting is not None, maps, _meaning(names) if maps else None, _tracker(progress),
    )  # fmt: skip
    dataset, log = read_dataset(source, format, options)
    _leave_out_missing(dataset, log, to)
    _check_angles(log, source)
    if maps:
        keep_outlined(dataset, log)
    else:
        give_form(dataset, log, task, one_ring=to == "yolo")
    if to == "dota":
        check_words(dataset.names)
        _leave_out_regions(dataset, log)
    if not allow_empty:
        check_losses(dataset, log, source, format, split, "outlines or masks" if maps else "boxes")
    _check_not_empty(dataset, log, source, format)
    if parts:
        merge_classes(dataset, parts)
    drawing = ClassMaps.of(dataset, background) if maps else None
    if cutting is not None:
        if drawing is not None:
            cut_maps(dataset, log, cutting, drawing)
        else:
            cut_dataset(dataset, log, cutting, task, regions=to != "dota")
        _check_not_empty(dataset, log, source, format)
    if drawing is not None:
        dataset.names = list(drawing.names)
    kept: dict[str, SplitReport] = {}
    if before is None:
        check_free(out)
    else:
        kept = kept_splits(before, source, format, split, set(dataset.splits))
        check_kept(kept, before, dataset, out, to, task)

    report = ConvertReport(out, out / f"{_folder_name(out)}.yaml" if to == "yolo" else None, dataset.names)
    report.splits = kept
    for name in sorted({*dataset.splits, *(s for s in log if log[s].dropped or log[s].notes)}):
        part = report.splits[name] = SplitReport(os.path.abspath(source), format, to, task)
        part.count(dataset.splits.get(name, []), log[name], dataset.names)
        part.files = {r.name: _origin(r, source) for r in dataset.splits.get(name, []) if r.path}
    with alone(out, "convert"):
        if ConvertReport.load(out) != before:
            raise DataError(f"another conversion has written to {out} meanwhile; run this one again")
        marked(before or report, report).save()
        remove_stale(before, report)
        if drawing is not None:
            write_maps(dataset, report, link, drawing, options)
        else:
            write_labels(dataset, report, to, link, task, options)
        if splitter:
            splitter.save()
        groups = write_groups(report, before)
        if to == "yolo":
            written = (out / "images" / s / f for s, part in report.splits.items() for f in part.files)
            more = {"gsd": gsd or dataset.gsd or measured_gsd(written), **(extra or {}), "groups": groups}
            extra = {k: v for k, v in more.items() if v}
            how = f"format={format}" if cutting is None else f"format={format} {cutting}"
            write_if_changed(report.data_yaml, data_yaml_text(report, how, task, extra))
        report.complete = True
        report.save()
    return report


def _task(task: str | None, obb: bool | None, to: str) -> str:
    """The form that is asked for, by its present or its former name.

    Raises:
        ConfigError: By both, or a form that DOTA's labels do not have.
    """
    if obb is not None:
        if task is not None:
            raise ConfigError(f"obb= is the former name of task=obb, received both (task={task}); leave obb= out")
        logging.getLogger("rsdet").warning(
            "obb= is now task=obb (or segment, detect); obb= goes with the next release."
        )
        task = "obb" if obb else None
    if task == SEMANTIC and to != "yolo":
        raise ConfigError(f"task=semantic: masks are no labels of to={to}; leave to= out")
    if to == "dota" and task == "segment":
        raise ConfigError(
            "task=segment: DOTA's labels have four corners and hold no polygons; give task=obb or to=coco"
        )
    return task if task is not None else "obb" if to == "dota" else "detect"


def class_names(names: Sequence[str] | str | None) -> list[str] | None:
    """Class names from a list, ``"car,truck"``, a text file with one name a line, or a YAML with ``names:``.

    Raises:
        ConfigError: No names, or a name twice.
    """
    if names is None:
        return None
    if isinstance(names, str):
        path = Path(names).expanduser()
        if "," not in names and path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
            names = _yaml_names(path)
        elif "," not in names and path.is_file():
            names = [text for _, text in read_lines(path)]
        elif path.suffix.lower() in {".names", ".txt", ".yaml", ".yml"}:
            raise ConfigError(f"names={names} does not exist; expected class names or a file of them; check the path")
        else:
            names = names.split(",")
    result = [str(name).strip() for name in names] if isinstance(names, (list, tuple)) else []
    if not result or not all(result):
        raise ConfigError(f"names must be a list of class names, received {names!r}; give names=car,truck")
    twice = sorted({name for name in result if result.count(name) > 1})
    if twice:
        raise ConfigError(f"names holds {', '.join(twice)} more than once; give every class one name")
    return result


def _meaning(names: Sequence[str] | str | None) -> dict | None:
    """A data YAML given as ``names=`` that says what masks hold."""
    path = Path(names).expanduser() if isinstance(names, str) and "," not in names else Path()
    content = read_yaml(path) if path.suffix.lower() in {".yaml", ".yml"} else {}
    return content if {"label_mapping", "palette"} & content.keys() else None


def _yaml_names(path: Path) -> list[str]:
    names = read_yaml(path).get("names")
    if isinstance(names, dict):
        names = [names[key] for key in sorted(names, key=lambda k: (str(type(k)), k))]
    if not isinstance(names, list):
        raise ConfigError(f"names={path} has no list 'names:'; expected a data YAML; add the key")
    return names


def _check_angles(log: ImportLog, source: Path) -> None:
    """Say so where angles that are to be degrees look like radians."""
    turned = sum(part.counts["turned by degrees"] for part in log.values())
    if turned and not sum(part.counts["turned by much"] for part in log.values()):
        reason = f"angles may be radians: as degrees, all {turned} turn by less than 6.3; then leave angle_unit= out"
        log.note("", source.name, "", reason)


def _leave_out_regions(dataset: Dataset, log: ImportLog) -> None:
    """DOTA's labels have no place for ignored regions."""
    for split, records in dataset.splits.items():
        for record in records:
            for box in record.ignored_xyxy_px:
                edges = ", ".join(f"{v:g}" for v in box)
                log.drop(split, record.name, edges, "ignored region left out: DOTA's labels have none")
            record.ignored_xyxy_px = []


def _leave_out_missing(dataset: Dataset, log: ImportLog, to: str) -> None:
    """Labels without image are of no use for training; COCO JSON may hold them."""
    if to == "coco":
        return
    for split, records in dataset.splits.items():
        for record in records:
            if record.path is None:
                log.drop(split, record.name, "", "label without image: no such file in the source")
                log[split].lost.update((dataset.names[o.cls], "label without image") for o in record.objects)
        dataset.splits[split] = [record for record in records if record.path is not None]


def _check_not_empty(dataset: Dataset, log: ImportLog, source: Path, format: str) -> None:
    """Drop empty splits.

    Raises:
        DataError: Nothing is left, or there is no class.
    """
    dataset.splits = {split: records for split, records in dataset.splits.items() if records}
    if dataset.splits and dataset.names:
        return
    items = [item for part in log.values() for item in (*part.dropped, *part.notes)]
    first = f" (first of {len(items)} problems: {items[0].file}: {items[0].reason})" if items else ""
    what, more = ("class", ", or give names=") if dataset.splits else ("usable image", "")
    raise DataError(f"no {what} found in {source} read as format={format}{first}; check format= and the folder{more}")


def _folder_name(out: Path) -> str:
    return Path(os.path.abspath(out)).name or "dataset"


def _origin(record: ImageRecord, source: Path) -> str:
    """Where an image came from, as the report shows it."""
    root = Path(os.path.abspath(source))
    home = Source(root.parent if root.is_file() else root)
    return os.fsencode(home.rel(record.path)).decode("utf-8", "backslashreplace")


def _tracker(progress: bool):
    """A progress bar on standard error, or none."""

    def track(items: Iterable[T], description: str) -> Iterable[T]:
        from rich.console import Console
        from rich.progress import track as rich_track

        console = Console(stderr=True)
        if not console.is_terminal:
            return items  # a log file has no use for bars
        return rich_track(items, description, console=console, transient=True)

    def plain(items: Iterable[T], description: str) -> Iterable[T]:
        return items

    return track if progress else plain

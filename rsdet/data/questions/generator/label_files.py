"""Labels of one picture on disk as a scene: label files of YOLO's three forms, and masks of class numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.annotations import ImageRecord, ImportLog, kind_of
from rsdet.data.importers._labels import ClassTable, Collector
from rsdet.data.importers._yolo_rows import YoloRows
from rsdet.data.importers.yolo import read_ignored, read_labels
from rsdet.data.label_kind import label_kind
from rsdet.data.masks.look import ignored_folders, mask_of, read_classes
from rsdet.data.masks.reader import MaskReader
from rsdet.data.questions.generator.nouns import noun, plural
from rsdet.data.questions.generator.scene import UNKNOWN, Item, Scene
from rsdet.errors import ConfigError, DataError
from rsdet.names import class_names

_HARMLESS = ("duplicate annotation", "class left out")


def check_called_apart(names: Iterable[str]) -> None:
    """Refuse classes that a question cannot tell apart.

    Raises:
        ConfigError: Two have the same name, or plural, in words.
    """
    taken: dict[str, str] = {}
    for name in names:
        for word in {noun(name), plural(name)}:
            if word in taken:
                raise ConfigError(f"names: {taken[word]!r} and {name!r} are both {word!r} in a question; rename one.")
        taken |= {noun(name): name, plural(name): name}


class UncertainError(Exception):
    """A picture whose labels do not say for certain what is there; the message says why."""


class _Uncut(Collector):
    """Keeps objects as their labels have them, also where they are cut at the edge of the picture."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.rings: list[np.ndarray] = []

    def add(self, where: object, cls: int | None, box: Any, polygons: Any = (), *more: Any, **named: Any) -> None:
        """Take one object; its first polygon, or the corners of its box."""
        before = len(self.record.objects)
        super().add(where, cls, box, polygons, *more, **named)
        if len(self.record.objects) > before:
            x1, y1, x2, y2 = box
            corners = polygons[0] if polygons else (x1, y1, x2, y1, x2, y2, x1, y2)
            self.rings.append(np.array(corners, np.float64).reshape(-1, 2))


class BoxReader:
    """Reads label files of boxes, oriented boxes or polygons.

    Args:
        spec: Content of the data YAML, as Ultralytics checks it.
        files: Pictures of the split, whose labels are looked at before any is read.
    """

    def __init__(self, spec: Mapping[str, Any], files: Iterable[Path]):
        self.spec = spec
        self.source_names = list(class_names(spec["names"]).values())
        regions = ClassTable(None)
        self.classes = ClassTable([n for n in self.source_names if not regions.ignores(n)])
        check_called_apart(self.classes.names)
        self.rows = YoloRows(dict(spec))
        labels = [p for f in files if (p := self._beside(f, "labels")).is_file()]
        self.rows.scan((p, p.name) for p in labels)
        self.outlined = label_kind(labels).kind in ("obb", "segment")

    def read(self, file: Path, image: str, width: int, height: int) -> Scene:
        """The scene of a picture; one without a label file has no objects.

        Raises:
            UncertainError: Its labels do not say for certain what is there.
        """
        log = ImportLog()
        into = _Uncut(ImageRecord(file.name, width, height, file), log, "", file.name)
        labels, hard = self._beside(file, "labels"), self._beside(file, self.spec.get("difficult"))
        if labels.is_file():
            hard = hard if hard.is_file() and hard != labels else None
            read_labels(labels, into, self.source_names, self.classes, self.rows, hard)
        region = self._beside(file, self.spec.get("ignore"))
        if region.is_file() and region != labels:
            read_ignored(region, into)
        if into.record.ignored_xyxy_px:
            raise UncertainError("pictures with ignored regions")
        if any(kind_of(d.reason) not in _HARMLESS for d in log[""].dropped):
            raise UncertainError("pictures with labels that cannot be read")
        names, objects = self.classes.names, into.record.objects
        items = tuple(Item(names[o.cls], ring) for o, ring in zip(objects, into.rings, strict=True))
        unsure = frozenset(names[o.cls] for o in objects if o.difficult)
        return Scene(image, width, height, tuple(names), items, unsure, self.outlined)

    @staticmethod
    def _beside(image: Path, folder: Any) -> Path:
        from ultralytics.data.utils import img2label_paths  # brings PyTorch

        return Path(img2label_paths([str(image)], **({"label_dir": str(folder)} if folder else {}))[0])


class MapReader:
    """Reads masks of classes, as the task semantic does: by ``label_mapping``, ``palette`` and ``ignore_masks``.

    Args:
        spec: Content of the data YAML, as Ultralytics checks it.
    """

    def __init__(self, spec: Mapping[str, Any]):
        self.masks = MaskReader.of(spec)
        self.folder, self.left_out = str(spec.get("masks_dir") or "masks"), ignored_folders(spec)
        self.names = tuple(class_names(spec["names"]).values())
        check_called_apart(self.names)

    def read(self, file: Path, image: str, width: int, height: int) -> Scene:
        """The scene of a picture.

        Raises:
            UncertainError: It has no mask, or one of another size or with values that are no classes.
        """
        mask, *others = (self._beside(file, folder) for folder in (self.folder, *self.left_out))
        if mask is None:
            raise UncertainError("pictures without a mask")
        try:
            cover = read_classes(self.masks, mask, [other for other in others if other is not None])
        except DataError as e:
            raise UncertainError("masks that cannot be read, or with values that are no classes") from e
        if cover.shape != (height, width):
            raise UncertainError("masks of another size than their picture")
        if len(self.names) == 1:  # masks say 1 where it is, and 0 beside it, which has no name
            cover = np.where(cover == UNKNOWN, np.uint8(UNKNOWN), (cover != 1).astype(np.uint8))
        return Scene(image, width, height, cover=cover, stuff=self.names)

    @staticmethod
    def _beside(file: Path, folder: str) -> Path | None:
        from ultralytics.data.utils import img2label_paths  # brings PyTorch

        return mask_of(Path(img2label_paths([str(file)], label_dir=folder, suffix=".png")[0]))

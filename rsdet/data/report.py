"""What a conversion did: counts, everything dropped with its reason, and which file came from where."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rsdet.data.annotations import Dropped, ImageRecord, SplitLog, kind_of, printable
from rsdet.errors import RSDetError
from rsdet.names import lies_below
from rsdet.textfiles import read_json
from rsdet.writing import write_if_changed

REPORT_NAME = "convert-report.json"
_VERSION = 1
CUT = ("pictures", "left out")  # of data that are cut into tiles
COUNTS = (*CUT, "images", "boxes", "ignored", "background", "unlabelled", "clipped", "difficult", "dropped")


@dataclass
class SplitReport:
    """One split of the result.

    Attributes:
        source: What it was read from.
        format: Format it was read as.
        to: Format it was written in.
        task: Form of the labels: ``detect``, ``obb``, ``segment`` or ``semantic``.
        counts: ``images``, ``boxes``, ``ignored`` (regions), ``background`` (images without object), ``unlabelled``
            (background for want of a label file), ``clipped`` and ``difficult`` (boxes), ``dropped`` (things); of data
            that are cut, ``pictures`` (which tiles were made of) and ``left out`` (tiles without object).
        boxes_by_class: Class name to number of boxes.
        dropped: Everything left out.
        notes: Remarks about what was kept.
        files: Name of each written image to the file it came from, relative to the source.
        groups: Group of images that is measured apart to the names of its images.
        forms: How labels got the form of the task, where they did not have it, to class name to number of labels; of
            masks, what became of pixels and objects.
        pixels: Of masks: class name, and ``255`` for none, to number of pixels.
    """

    source: str = ""
    format: str = ""
    to: str = "yolo"
    task: str = "detect"
    counts: dict[str, int] = field(default_factory=dict)
    boxes_by_class: dict[str, int] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)
    notes: list[Dropped] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    forms: dict[str, dict[str, int]] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)

    def count(self, records: list[ImageRecord], log: SplitLog, names: list[str]) -> None:
        """Fill in the numbers."""
        by_class = Counter(item.cls for record in records for item in record.objects)
        self.boxes_by_class = {name: by_class[i] for i, name in enumerate(names)}
        self.dropped, self.notes = list(log.dropped), list(log.notes)
        in_group = sorted({group for record in records for group in record.groups})
        self.groups = {g: [printable(r.name) for r in records if g in r.groups] for g in in_group}
        self.forms = {}
        plain = (self.task, self.to) == ("detect", "yolo") and not log.counts[CUT[0]]
        for (how, name), number in sorted(log.forms.items()) if not plain else ():
            self.forms.setdefault(how, {})[name] = number
        self.counts = {
            "images": len(records),
            "boxes": by_class.total(),
            "ignored": sum(len(record.ignored_xyxy_px) for record in records),
            "background": sum(not record.objects for record in records),
            "unlabelled": sum(not record.has_label_file for record in records),
            "clipped": log.counts["clipped"],
            "difficult": log.counts["difficult"],
            "dropped": len(self.dropped),
        } | {key: log.counts[key] for key in CUT if key in log.counts}
        if self.task == "semantic":  # maps have no boxes, and every pixel has a class
            self.counts = {k: v for k, v in self.counts.items() if k not in ("background", "clipped", "difficult")}


@dataclass
class ConvertReport:
    """What :func:`rsdet.data.convert.convert` made; it covers the whole output folder.

    Attributes:
        out: The folder.
        data_yaml: Data YAML to train with; None for ``to=coco``.
        names: Class names.
        splits: One report per split; ``""`` holds what belongs to none (a label without image).
        complete: False while a conversion runs, or when it was interrupted.
        remark: What the data YAML takes for train and val where the source has not both; "" where it has.
    """

    out: Path
    data_yaml: Path | None = None
    names: list[str] = field(default_factory=list)
    splits: dict[str, SplitReport] = field(default_factory=dict)
    complete: bool = False
    remark: str = ""

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Numbers by split; see :class:`SplitReport`."""
        return {split: report.counts for split, report in self.splits.items() if split}

    @property
    def dropped(self) -> list[Dropped]:
        """Everything left out, ``(file, line or id, reason)``."""
        return [item for report in self.splits.values() for item in report.dropped]

    @property
    def notes(self) -> list[Dropped]:
        """Remarks about what was kept."""
        return [item for report in self.splits.values() for item in report.notes]

    def summary(self) -> str:
        """A page of text: a table of counts, the kinds of things dropped, where to look further."""
        always = ("images", "boxes") if any(part.task != "semantic" for part in self.splits.values()) else ("images",)
        shown = [c for c in COUNTS if c in always or any(r.get(c) for r in self.counts.values())]
        width = max([5, *map(len, self.counts)])
        lines = ["  ".join([f"{'split':<{width}}", *(f"{c:>10}" for c in shown)])]
        for split, row in sorted(self.counts.items()):
            lines.append("  ".join([f"{split:<{width}}", *(f"{row.get(c, 0):>10}" for c in shown)]))
        for title, items in (("dropped", self.dropped), ("notes", self.notes)):
            groups: dict[str, list[Dropped]] = {}
            for item in items:
                groups.setdefault(kind_of(item.reason), []).append(item)
            if groups:
                lines.append(f"{title}:")
            for kind, group in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0])):
                first = ":".join(part for part in (group[0].file, group[0].where) if part)
                lines.append(f"  {len(group):>7} x {kind}, e.g. {first}")
        lines += self._forms()
        lines += self._pixels()
        if self.remark:
            several = len({file for part in self.splits.values() for file in part.files.values()}) > 1
            more = " val_fraction=0.2 divides such a source." if several else ""
            lines.append(f"note: {self.remark}{more}")
        lines.append(f"report: {printable(str(self.out / REPORT_NAME))}")
        if self.data_yaml:
            lines.append(f"data:   {printable(str(self.data_yaml))}")
        return "\n".join(lines)

    def _forms(self) -> list[str]:
        """How labels got the form of the task: a line each, with the classes, the commonest first."""
        total: dict[tuple[str, str], Counter[str]] = {}
        for part in self.splits.values():
            for how, by_class in part.forms.items():
                total.setdefault((part.task, how), Counter()).update(by_class)
        lines, before = [], ""
        for (task, how), by_class in sorted(total.items()):
            lines += [f"labels for {task}:"] if task != before else []
            most = ", ".join(f"{printable(name)} {n}" for name, n in by_class.most_common(4))
            lines.append(f"  {by_class.total():>7} x {how} ({most}{', ...' if len(by_class) > 4 else ''})")
            before = task
        return lines

    def _pixels(self) -> list[str]:
        """The share of each class in the masks, a line a split."""
        lines = []
        for split, part in sorted(self.splits.items()):
            total = sum(part.pixels.values())
            shares = (f"{printable(name)} {100 * n / total:.3g} %" for name, n in part.pixels.items() if n)
            lines += [f"pixels of {split}: {', '.join(shares)}"] if total else []
        return lines

    def save(self, path: str | Path | None = None) -> Path:
        """Write the report as JSON, by default into the output folder; equal reports are equal bytes."""
        path = Path(path) if path is not None else self.out / REPORT_NAME
        splits = {}
        for name, report in sorted(self.splits.items()):
            splits[name] = dict(vars(report))
            for key in ("dropped", "notes"):
                splits[name][key] = [item._asdict() for item in getattr(report, key)]
        data = {
            "version": _VERSION,
            "complete": self.complete,
            "data_yaml": self.data_yaml.name if self.data_yaml else None,
            "names": self.names,
            "splits": splits,
        }
        write_if_changed(path, json.dumps(data, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, out: Path) -> ConvertReport | None:
        """The report in an output folder; None when there is none, or when it is not one of ours."""
        try:
            data = read_json(out / REPORT_NAME)
            if data["version"] != _VERSION:
                return None
            report = cls(out, out / data["data_yaml"] if data["data_yaml"] else None, data["names"])
            report.complete = bool(data["complete"])
            for name, fields in data["splits"].items():
                split = report.splits[name] = SplitReport(**fields)
                split.dropped = [Dropped(**item) for item in split.dropped]
                split.notes = [Dropped(**item) for item in split.notes]
            named = [(*split.files, *split.groups, name or ".x") for name, split in report.splits.items()]
            if not all(map(lies_below, [data["data_yaml"] or ".x", *(n for part in named for n in part)])):
                return None  # what is named here is taken away when it is no more: nothing elsewhere
        except (RSDetError, KeyError, TypeError, AttributeError):  # any other JSON, or none
            return None
        return report

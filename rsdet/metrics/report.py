"""The result of a detection evaluation: one object that prints, tabulates and saves itself with its protocol."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rsdet.writing import write_csv, write_text

if TYPE_CHECKING:
    from rich.console import Console

    from rsdet.metrics.detection_areas import Protocol

MISSING = "n/a"
COLUMNS = ("protocol", "group", "class", "metric", "iou", "area", "max_det", "value", "n_boxes")


@dataclass(frozen=True)
class ClassMetrics:
    """The numbers of one class at the largest cap, over all areas; fractions 0..1, None without a true box."""

    class_id: int
    name: str
    n_boxes: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None


@dataclass(frozen=True)
class DetectionMetrics:
    """Detection accuracy under one protocol.

    Every accuracy is a fraction 0..1, averaged over the classes that have true boxes as the protocol averages; None
    where there was nothing to measure. AP figures are taken at `max_det`, the largest cap of the protocol.

    Attributes:
        protocol: What the numbers mean.
        max_det: The cap that AP, and AR per area, are measured at.
        ap: AP averaged over the protocol's IoU thresholds.
        ap50: AP at IoU 0.5; None if the protocol lacks that threshold.
        ap75: AP at IoU 0.75; None if the protocol lacks that threshold.
        ap_by_area: Area label -> AP.
        ar_by_area: Area label -> average recall.
        ar: Cap -> average recall over all areas.
        per_class: One entry per class, by class number.
        n_images: Images measured.
        n_boxes: True boxes to find: without crowds and without those dropped in ignored regions.
        n_boxes_by_area: Area label -> true boxes.
        n_detections: Detections received.
        n_ignored_detections: Of these, dropped in ignored regions.
        n_ignored_boxes: True boxes dropped in ignored regions.
        recall_ceilings: Number of model outputs per image -> largest recall they allow.
        groups: Group of images -> the metrics of its images alone.
        plain_mean: ``AP``, ``AP50`` and ``AP75`` with each class counted once, where the protocol averages otherwise;
            else empty.
        below_curve: ``AP``, ``AP50`` and ``AP75`` as the area below the whole curve, where the protocol averages at 11
            recalls; else empty.
        look: How pictures were looked at, where not as a whole.
    """

    protocol: Protocol
    max_det: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_by_area: Mapping[str, float | None]
    ar_by_area: Mapping[str, float | None]
    ar: Mapping[int, float | None]
    per_class: tuple[ClassMetrics, ...]
    n_images: int
    n_boxes: int
    n_boxes_by_area: Mapping[str, int]
    n_detections: int
    n_ignored_detections: int
    n_ignored_boxes: int
    recall_ceilings: Mapping[int, float | None]
    groups: Mapping[str, DetectionMetrics] = field(default_factory=dict)
    plain_mean: Mapping[str, float | None] = field(default_factory=dict)
    below_curve: Mapping[str, float | None] = field(default_factory=dict)
    look: str = ""

    def to_dict(self) -> dict:
        """Return plain Python data, ready for JSON: numbers unrounded, None where nothing could be measured."""
        return asdict(self)

    def table(self) -> list[dict[str, object]]:
        """Return one row per number, with the columns of `COLUMNS`; value None where nothing could be measured.

        Rows of one class and of one group carry its name; the rows of the whole have empty strings.
        """
        rows = self._rows()
        for group, metrics in self.groups.items():
            rows += [{**row, "group": group} for row in metrics._rows()]
        return rows

    def _rows(self) -> list[dict[str, object]]:
        span = f"{self.protocol.iou_thresholds[0]:.2f}:{self.protocol.iou_thresholds[-1]:.2f}"

        def row(
            metric: str,
            value: float | None,
            n: int,
            *,
            iou: str = span,
            area: str = "all",
            cap: int = self.max_det,
            of: str = "",
        ) -> dict[str, object]:
            cells = (self.protocol.name, "", of, metric, iou, area, cap, value, n)
            return dict(zip(COLUMNS, cells, strict=True))

        rows = [
            row("AP", self.ap, self.n_boxes),
            row("AP50", self.ap50, self.n_boxes, iou="0.50"),
            row("AP75", self.ap75, self.n_boxes, iou="0.75"),
        ]
        ious = {"AP": span, "AP50": "0.50", "AP75": "0.75"}
        rows += [row(f"{k}, each class once", v, self.n_boxes, iou=ious[k]) for k, v in self.plain_mean.items()]
        rows += [row(f"{k}, area below the curve", v, self.n_boxes, iou=ious[k]) for k, v in self.below_curve.items()]
        small = [a for a in self.ap_by_area if a != "all"]
        rows += [row(f"AP_{a}", self.ap_by_area[a], self.n_boxes_by_area[a], area=a) for a in small]
        rows += [row(f"AR@{k}", value, self.n_boxes, cap=k) for k, value in self.ar.items()]
        rows += [row(f"AR_{a}", self.ar_by_area[a], self.n_boxes_by_area[a], area=a) for a in small]
        for c in self.per_class:
            rows.append(row("AP", c.ap, c.n_boxes, of=c.name))
            rows.append(row("AP50", c.ap50, c.n_boxes, iou="0.50", of=c.name))
            rows.append(row("AP75", c.ap75, c.n_boxes, iou="0.75", of=c.name))
            rows.append(row(f"AR@{self.max_det}", c.ar, c.n_boxes, of=c.name))
        return rows

    def to_csv(self, path: str | Path) -> Path:
        """Write `table` as CSV, one number per line; ``n/a`` where nothing could be measured."""
        rows = ({k: MISSING if v is None else v for k, v in row.items()} for row in self.table())
        return write_csv(path, COLUMNS, rows)

    def to_json(self, path: str | Path) -> Path:
        """Write `to_dict` as JSON; ``null`` where nothing could be measured."""
        return write_text(path, json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def print(self, console: Console | None = None) -> None:
        """Print the numbers in percent under the protocol's description, then one line per class and per group."""
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        console = console or Console()
        protocol = self.protocol

        def grid(of: str, *heads: str) -> Table:
            # The name is in every title, so that a table pasted elsewhere still says what it is.
            return Table(*heads, title=f"protocol={protocol.name}: {of}, %", title_justify="left")

        console.print(f"protocol={protocol.name} · {protocol.description}", markup=False, highlight=False)
        table = grid("all classes", "metric", "IoU", "area", "max det", "%", "true boxes")
        for r in self._rows():
            if not r["class"]:
                cells = (r["metric"], r["iou"], r["area"], r["max_det"], _percent(r["value"]), r["n_boxes"])
                table.add_row(*map(str, cells))
        console.print(table)

        classes = grid("per class", "class", "true boxes", "AP", "AP50", "AP75", f"AR@{self.max_det}")
        for c in self.per_class:
            classes.add_row(escape(c.name), str(c.n_boxes), *map(_percent, (c.ap, c.ap50, c.ap75, c.ar)))
        console.print(classes)

        if self.groups:
            areas = [a for a in self.ap_by_area if a != "all"]
            heads = ("group", "images", "true\nboxes", "AP", "AP50", "AP75", *(f"AP\n{a}" for a in areas))
            groups = grid("per group of images", *heads, f"AR\n@{self.max_det}")
            # Ten columns and more: without lines between them they fit into 80 characters.
            groups.box, groups.padding, groups.pad_edge = SIMPLE_HEAD, (0, 1, 0, 0), False
            groups.columns[0].no_wrap = True
            for name, m in {"(all)": self, **self.groups}.items():
                numbers = (m.ap, m.ap50, m.ap75, *(m.ap_by_area[a] for a in areas), m.ar[m.max_det])
                groups.add_row(escape(name), str(m.n_images), str(m.n_boxes), *map(_percent, numbers))
            console.print(groups)

        ceilings = ", ".join(f"{q}: {_percent(v)}" for q, v in self.recall_ceilings.items())
        lines = [
            f"{self.n_images} images, {self.n_boxes} true boxes, {self.n_detections} detections",
            f"largest recall (%) with so many outputs per image: {ceilings}",
        ]
        if self.n_ignored_detections or self.n_ignored_boxes:
            n = f"{self.n_ignored_detections} detections and {self.n_ignored_boxes} true boxes dropped"
            lines.append(f"ignored regions: {n}; rule: {protocol.ignore_text}")
        for line in lines:
            console.print(line, markup=False, highlight=False)


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.1f}"

"""Detection accuracy under a named protocol: COCO, AI-TOD or VisDrone, never a number without its protocol.

The engine is pycocotools' ``COCOeval`` (greedy matching, 101-point interpolated precision). What differs between the
protocols is data: area ranges, detection caps and what happens in ignored regions. ``summarize`` is not used, because
it looks for a cap of 100 whatever the parameters say; the precision and recall arrays are read instead, and AP is
always the one at the largest cap of the protocol.

Areas are ``w * h`` of the box in original pixels. COCO's own annotation files carry mask areas: on COCO itself AP is
identical, the figures per area are not.

Sources: Lin et al., Microsoft COCO (ECCV 2014); Wang et al., AI-TOD (ICPR 2020); Zhu et al., VisDrone (TPAMI 2021) and
the VisDrone2018-DET-toolkit, whose rules for ignored regions and caps are followed here.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsdet.errors import ConfigError, DataError, MissingDependencyError, nearest
from rsdet.metrics.detection_records import ImageDetections, ImageTruth, Truth, detections_from_coco, truth_from_coco
from rsdet.metrics.report import ClassMetrics, DetectionMetrics

__all__ = [
    "CAPS",
    "IGNORE_RULES",
    "PROTOCOLS",
    "ImageDetections",
    "ImageTruth",
    "Protocol",
    "Truth",
    "covered_fraction",
    "detections_from_coco",
    "evaluate",
    "get_protocol",
    "recall_ceiling",
    "truth_from_coco",
]

IGNORE_RULES = {
    "drop-both": "true boxes and detections with >= 50 % of their area inside ignored regions are dropped",
    "keep-hits": (
        "detections with >= 50 % of their area inside ignored regions are dropped, unless they overlap a true box of "
        "their class with IoU >= 0.5"
    ),
    "none": "ignored regions are not used: detections in them count as false",
}
CAPS = {"class": "per image and class", "image": "per image over all classes"}
QUERY_COUNTS = (100, 300, 500, 900, 1500)
_EVERYTHING = (0.0, 1e10)  # the 0 .. (1e5)^2 of pycocotools


@dataclass(frozen=True)
class Protocol:
    """What a detection number means.

    Attributes:
        name: Short name, printed beside every number.
        areas: Label -> (lowest, highest) box area in px^2. Both ends are inclusive, as in pycocotools: a box of
            exactly 32 x 32 px belongs to two neighbouring ranges. Must hold ``"all"``.
        max_dets: Detection caps, ascending. AP is reported at the last one.
        iou_thresholds: IoU thresholds that AP and AR are averaged over.
        ignore_rule: A key of `IGNORE_RULES`.
        description: One line for people.
        cap: A key of `CAPS`: whether the caps hold per class (pycocotools) or over all classes (VisDrone toolkit).
    """

    name: str
    areas: Mapping[str, tuple[float, float]]
    max_dets: tuple[int, ...]
    iou_thresholds: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
    ignore_rule: str = "keep-hits"
    description: str = ""
    cap: str = "class"

    def __post_init__(self) -> None:
        for key, known in ((self.ignore_rule, IGNORE_RULES), (self.cap, CAPS)):
            if key not in known:
                raise ConfigError(f"protocol {self.name!r}: received {key!r}; expected one of {', '.join(known)}")
        if "all" not in self.areas:
            raise ConfigError(f"protocol {self.name!r}: areas are {list(self.areas)}; expected a range named 'all'")
        if not self.max_dets or list(self.max_dets) != sorted(set(self.max_dets)) or self.max_dets[0] < 1:
            raise ConfigError(f"protocol {self.name!r}: max_dets is {self.max_dets}; expected ascending counts >= 1")

    @property
    def ignore_text(self) -> str:
        """The rule for ignored regions as a sentence."""
        return IGNORE_RULES[self.ignore_rule]

    def with_max_det(self, max_det: int) -> Protocol:
        """Return the same protocol with another largest cap, under a name that shows the change."""
        if max_det < 1:
            raise ConfigError(f"max_det must be >= 1, received {max_det}; the cap of {self.name!r} is used without it")
        if max_det == self.max_dets[-1]:
            return self
        return replace(
            self,
            name=f"{self.name}@{max_det}",
            max_dets=(*(d for d in self.max_dets if d < max_det), max_det),
            description=f"{self.description} CHANGED: largest cap {max_det}, not comparable with {self.name}.",
        )


PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            name="coco",
            areas={
                "all": _EVERYTHING,
                "small": (0.0, 32.0**2),
                "medium": (32.0**2, 96.0**2),
                "large": (96.0**2, 1e10),
            },
            max_dets=(1, 10, 100),
            description=(
                "COCO API: AP over IoU 0.50:0.95, 101 points, at most 100 detections per image and class; "
                "small < 32² < medium < 96² < large px²."
            ),
        ),
        Protocol(
            name="aitod",
            areas={
                "all": _EVERYTHING,
                "vt": (0.0, 8.0**2),
                "t": (8.0**2, 16.0**2),
                "s": (16.0**2, 32.0**2),
                "m": (32.0**2, 1e10),
            },
            max_dets=(1, 100, 1500),
            description=(
                "AI-TOD: AP over IoU 0.50:0.95, 101 points, at most 1500 detections per image and class; "
                "vt < 8² < t < 16² < s < 32² < m px²."
            ),
        ),
        Protocol(
            name="visdrone",
            areas={
                "all": _EVERYTHING,
                "small": (0.0, 32.0**2),
                "medium": (32.0**2, 96.0**2),
                "large": (96.0**2, 1e10),
            },
            max_dets=(1, 10, 100, 500),
            ignore_rule="drop-both",
            cap="image",
            description=(
                "VisDrone: AP over IoU 0.50:0.95, at most 500 detections per image over all classes, ignored regions "
                "dropped as in the DET toolkit; 101 points instead of the toolkit's every point."
            ),
        ),
    )
}


def get_protocol(protocol: str | Protocol) -> Protocol:
    """Return the protocol of that name; a `Protocol` is passed through.

    Raises:
        ConfigError: The name is unknown.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if protocol not in PROTOCOLS:
        raise ConfigError(
            f"unknown protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}.{nearest(protocol, PROTOCOLS)}"
        )
    return PROTOCOLS[protocol]


def evaluate(
    truth: Truth | Sequence[ImageTruth],
    detections: Iterable[ImageDetections],
    *,
    protocol: str | Protocol = "coco",
    max_det: int | None = None,
    class_agnostic: bool = False,
    by_group: bool = False,
    names: Mapping[int, str] | None = None,
) -> DetectionMetrics:
    """Measure detections against the truth under one protocol.

    Equal scores are ranked as pycocotools ranks them: by image id, then by the order given.

    Args:
        truth: The images of the split, all of them: an image without true boxes still yields false detections.
        detections: At most one entry per image; an image without an entry has no detections.
        protocol: A name of `PROTOCOLS` or an own `Protocol`.
        max_det: Another largest cap; the protocol's name then shows it.
        class_agnostic: Treat every class as one.
        by_group: Measure the images of each group apart too.
        names: Class number -> name; default: those of `truth`.

    Returns:
        The metrics, as fractions 0..1; None where nothing could be measured (no true box of that kind).

    Raises:
        ConfigError: The protocol is unknown.
        DataError: An image id occurs twice, or detections belong to an image that the truth lacks.
        MissingDependencyError: pycocotools is not installed.
    """
    rule = get_protocol(protocol)
    rule = rule if max_det is None else rule.with_max_det(int(max_det))
    names = dict(names if names is not None else getattr(truth, "names", {}))
    images = sorted(truth, key=lambda t: (type(t.image_id).__name__, t.image_id))
    detections = list(detections)
    found = {d.image_id: d for d in detections}
    known = {t.image_id for t in images}
    if len(known) != len(images) or len(found) != len(detections):
        raise DataError("an image id occurs more than once; expected one truth and one detection entry per image")
    if strange := [i for i in found if i not in known]:
        raise DataError(
            f"detections for image {strange[0]!r} ({len(strange)} such images), which the truth does not hold; "
            "expected the same image ids in both: check that they belong to the same split"
        )
    pairs = [(t, found.get(t.image_id) or ImageDetections(t.image_id, [], [], [])) for t in images]
    if class_agnostic:
        pairs = [
            (replace(t, classes=np.zeros_like(t.classes)), replace(d, classes=np.zeros_like(d.classes)))
            for t, d in pairs
        ]
        names = {0: "any class"}
    metrics = _measure(pairs, rule, names)
    groups = sorted({g for t in images for g in t.groups}) if by_group else []
    return replace(metrics, groups={g: _measure([p for p in pairs if g in p[0].groups], rule, names) for g in groups})


def recall_ceiling(truth: Truth | Iterable[ImageTruth], n_queries: int) -> float | None:
    """Return the largest recall that a model with `n_queries` outputs per image can reach.

    ``sum_i min(n_i, n_queries) / sum_i n_i`` over the images i with n_i true boxes (crowds not counted); None without
    any true box.
    """
    if n_queries < 1:
        raise ConfigError(f"n_queries must be >= 1, received {n_queries}")
    counts = np.array([np.count_nonzero(~t.crowd) for t in truth], dtype=np.int64)
    total = int(counts.sum())
    return float(np.minimum(counts, n_queries).sum() / total) if total else None


def covered_fraction(boxes_xyxy: np.ndarray, regions_xyxy: np.ndarray) -> np.ndarray:
    """Return (N,) the part of each box, 0..1, that lies inside the union of the regions (exact, no raster).

    A box without area counts as uncovered.
    """
    area = np.prod(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], axis=1)
    if not len(boxes_xyxy) or not len(regions_xyxy):
        return np.zeros(len(boxes_xyxy))
    low = np.maximum(boxes_xyxy[:, None, :2], regions_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], regions_xyxy[None, :, 2:])
    parts = np.prod(np.clip(high - low, 0, None), axis=2)
    covered = parts.sum(1)
    # Only where several regions meet one box can the sum count a place twice.
    for i in np.flatnonzero((parts > 0).sum(1) > 1):
        hit = np.flatnonzero(parts[i] > 0)
        xs, ys = (np.unique(np.concatenate([low[i, hit, k], high[i, hit, k]])) for k in (0, 1))
        inside = np.zeros((len(ys) - 1, len(xs) - 1), dtype=bool)
        for j in hit:
            inside |= np.outer(
                (ys[:-1] >= low[i, j, 1]) & (ys[1:] <= high[i, j, 1]),
                (xs[:-1] >= low[i, j, 0]) & (xs[1:] <= high[i, j, 0]),
            )
        covered[i] = (np.outer(np.diff(ys), np.diff(xs)) * inside).sum()
    return np.divide(covered, area, out=np.zeros_like(covered), where=area > 0)


def _iou(a_xyxy: np.ndarray, b_xyxy: np.ndarray) -> np.ndarray:
    side = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:]) - np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    inter = np.prod(np.clip(side, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:] - x[:, :2], axis=1) for x in (a_xyxy, b_xyxy))
    union = area_a[:, None] + area_b[None] - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def _apply_ignored(t: ImageTruth, d: ImageDetections, rule: str) -> tuple[ImageTruth, ImageDetections]:
    if rule == "none" or not len(t.ignore_xyxy):
        return t, d
    drop = covered_fraction(d.boxes_xyxy, t.ignore_xyxy) >= 0.5
    if rule == "drop-both":
        keep = covered_fraction(t.boxes_xyxy, t.ignore_xyxy) < 0.5
        t = replace(t, boxes_xyxy=t.boxes_xyxy[keep], classes=t.classes[keep], crowd=t.crowd[keep])
    else:
        # A labelled object at the rim of a region must stay findable, or dropping would cost recall.
        same = (d.classes[:, None] == t.classes[None]) & ~t.crowd[None]
        drop &= ~((_iou(d.boxes_xyxy, t.boxes_xyxy) >= 0.5) & same).any(1)
    return t, d.pick(~drop)


def _top(d: ImageDetections, k: int) -> ImageDetections:
    return d if len(d.scores) <= k else d.pick(np.argsort(-d.scores, kind="stable")[:k])


def _mean(values: np.ndarray) -> float | None:
    values = values[values > -1]  # -1 marks "no true box here" in pycocotools
    return float(values.mean()) if values.size else None


def _measure(
    pairs: list[tuple[ImageTruth, ImageDetections]], rule: Protocol, names: Mapping[int, str]
) -> DetectionMetrics:
    n_truth, n_found = (sum(len(p[k].classes) for p in pairs) for k in (0, 1))
    pairs = [_apply_ignored(t, d, rule.ignore_rule) for t, d in pairs]
    truth = [t for t, _ in pairs]
    classes = sorted({int(c) for pair in pairs for part in pair for c in part.classes} | {int(c) for c in names})
    # Crowds are no objects to find, so they are left out of every count of true boxes.
    true_classes = np.concatenate([t.classes[~t.crowd] for t in truth]) if truth else np.zeros(0, np.int64)
    boxes = np.concatenate([t.boxes_xyxy[~t.crowd] for t in truth]) if truth else np.zeros((0, 4))
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)

    top = rule.max_dets[-1]
    if rule.cap == "image":  # pycocotools caps per class only, so each cap is a run on detections cut beforehand
        runs = {k: _coco_arrays([(t, _top(d, k)) for t, d in pairs], classes, rule, (k,)) for k in rule.max_dets}
        recalls = {k: recall[:, :, 0, 0] for k, (_, recall) in runs.items()}
        precision, recall = runs[top]
    else:
        precision, recall = _coco_arrays(pairs, classes, rule, rule.max_dets)
        recalls = {k: recall[:, :, 0, m] for m, k in enumerate(rule.max_dets)}
    precision, recall = precision[..., -1], recall[..., -1]  # (IoU, 101, class, area), (IoU, class, area)

    labels = _area_labels(rule)
    at = {t: i for i, t in enumerate(np.round(rule.iou_thresholds, 6).tolist())}

    def ap_at(iou: float, block: np.ndarray) -> float | None:
        return _mean(block[at[iou]]) if iou in at else None

    everything = precision[..., 0]
    return DetectionMetrics(
        protocol=rule,
        max_det=top,
        ap=_mean(everything),
        ap50=ap_at(0.5, everything),
        ap75=ap_at(0.75, everything),
        ap_by_area={a: _mean(precision[..., i]) for i, a in enumerate(labels)},
        ar_by_area={a: _mean(recall[..., i]) for i, a in enumerate(labels)},
        ar={k: _mean(r) for k, r in recalls.items()},
        per_class=tuple(
            ClassMetrics(
                class_id=c,
                name=str(names.get(c, c)),
                n_boxes=int(np.count_nonzero(true_classes == c)),
                ap=_mean(everything[..., i]),
                ap50=ap_at(0.5, everything[..., i]),
                ap75=ap_at(0.75, everything[..., i]),
                ar=_mean(recall[:, i, 0]),
            )
            for i, c in enumerate(classes)
        ),
        n_images=len(pairs),
        n_boxes=len(boxes),
        n_boxes_by_area={
            a: int(np.count_nonzero((area >= rule.areas[a][0]) & (area <= rule.areas[a][1]))) for a in labels
        },
        n_detections=n_found,
        n_ignored_detections=n_found - sum(len(d.classes) for _, d in pairs),
        n_ignored_boxes=n_truth - sum(len(t.classes) for t in truth),
        recall_ceilings={q: recall_ceiling(truth, q) for q in QUERY_COUNTS},
    )


def _area_labels(rule: Protocol) -> list[str]:
    return ["all", *(a for a in rule.areas if a != "all")]


def _coco_arrays(
    pairs: list[tuple[ImageTruth, ImageDetections]], classes: list[int], rule: Protocol, max_dets: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return pycocotools' precision (IoU, 101, class, area, cap) and recall (IoU, class, area, cap), -1 for absent."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as e:
        raise MissingDependencyError(
            "detection metrics need pycocotools, which is not installed; expected pycocotools>=2.0.8; "
            "run: pip install 'pycocotools>=2.0.8'"
        ) from e

    def rows(parts: Iterable[ImageTruth | ImageDetections]) -> COCO:
        table = COCO()
        annotations = []
        for image, part in enumerate(parts, 1):
            wh = part.boxes_xyxy[:, 2:] - part.boxes_xyxy[:, :2]
            xywh = np.concatenate([part.boxes_xyxy[:, :2], wh], axis=1).tolist()
            extra = part.crowd if isinstance(part, ImageTruth) else part.scores
            key = "iscrowd" if isinstance(part, ImageTruth) else "score"
            annotations += [
                {"image_id": image, "category_id": c, "bbox": b, "area": a, key: e}
                for c, b, a, e in zip(part.classes.tolist(), xywh, wh.prod(1).tolist(), extra.tolist(), strict=True)
            ]
        for i, annotation in enumerate(annotations, 1):
            annotation["id"] = i  # from 1: pycocotools reads a match with id 0 as "not matched"
        table.dataset = {
            "images": [{"id": i} for i in range(1, len(pairs) + 1)],
            "categories": [{"id": c} for c in classes],
            "annotations": annotations,
        }
        table.createIndex()
        return table

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        run = COCOeval(rows(t for t, _ in pairs), rows(d for _, d in pairs), "bbox")
        run.params.maxDets = list(max_dets)
        run.params.iouThrs = np.asarray(rule.iou_thresholds, dtype=np.float64)
        run.params.areaRngLbl = _area_labels(rule)
        run.params.areaRng = [list(rule.areas[a]) for a in run.params.areaRngLbl]
        run.evaluate()
        run.accumulate()
    return run.eval["precision"], run.eval["recall"]

"""Detection accuracy under a named protocol: COCO, AI-TOD, VisDrone or DOTA, never a number without its protocol.

What differs between the protocols is data: what is compared (boxes, oriented boxes, masks), how detections are matched
(`coco_matching`, `voc_matching`), area ranges, detection caps, what happens in ignored regions, and over what AP is
averaged. AP is always the one at the largest cap of the protocol.

Areas of true boxes are those of the annotation where it states them (COCO: of the mask), else ``w * h`` in original
pixels. Labels in YOLO form state none, and no crowds: validated on them, figures of COCO itself are near, not equal.

The VisDrone2018-DET-toolkit averages over a list that holds each class once for every image it occurs in: a class seen
in 500 images weighs a hundred times as much as one seen in 5. ``protocol=visdrone`` means that number; the plain mean
of the classes, which papers report as well, is given beside it. Areas, which the toolkit does not know, are averaged
the same way over the images that hold a class in that range.

``protocol=dota`` is task 1 of DOTA's kit: its number is AP50, with precision averaged at 11 recalls as its script has
it. The kit can be asked for other IoU thresholds, which AP averages over; both are given as the area below the whole
curve too. A class without a true object counts in no mean here; the kit's mean over a fixed list takes it as 0.
Labels in YOLO form do not say which objects are difficult: `data.difficult` has a folder for it.

Sources: Lin et al., Microsoft COCO (ECCV 2014); Wang et al., AI-TOD (ICPR 2020); Zhu et al., VisDrone (TPAMI 2021);
Xia et al., DOTA (CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsdet.errors import ConfigError, DataError, nearest
from rsdet.metrics.coco_matching import coco_arrays
from rsdet.metrics.detection_records import (
    ImageDetections,
    ImageTruth,
    Truth,
    detections_from_coco,
    truth_from_coco,
)
from rsdet.metrics.ignored_regions import IGNORE_RULES, apply_ignored, covered_fraction
from rsdet.metrics.report import ClassMetrics, DetectionMetrics
from rsdet.metrics.voc_matching import voc_arrays

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

SHAPES = {"boxes": "boxes", "corners": "oriented boxes", "masks": "masks"}
MATCHINGS = {
    "coco": "a detection takes the true object that it overlaps most among those still free",
    "voc": "a detection belongs to the true object that it overlaps most, free or not",
}
CAPS = {
    "class": "per image and class",
    "image": "per image over all classes",
    "none": "all count; the number is what a validation keeps per image",
}
MEANS = {"classes": "each class counts once", "images": "each class counts once for every image that holds it"}
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
        mean: A key of `MEANS`: how AP and AR of the classes become one number.
        recall_points: Recalls 0..1 at which precision is averaged into AP; None for every point of the curve.
        shapes: Keys of `SHAPES`: what it compares.
        matching: A key of `MATCHINGS`; ``voc`` knows no area ranges, ``coco`` no oriented boxes.
    """

    name: str
    areas: Mapping[str, tuple[float, float]]
    max_dets: tuple[int, ...]
    iou_thresholds: tuple[float, ...] = tuple(np.linspace(0.5, 0.95, 10).tolist())
    ignore_rule: str = "none"
    description: str = ""
    cap: str = "class"
    mean: str = "classes"
    recall_points: int | None = 101
    shapes: tuple[str, ...] = ("boxes",)
    matching: str = "coco"

    def __post_init__(self) -> None:
        rules = ((self.ignore_rule, IGNORE_RULES), (self.cap, CAPS), (self.mean, MEANS), (self.matching, MATCHINGS))
        for key, known in (*rules, *((shape, SHAPES) for shape in self.shapes)):
            if key not in known:
                raise ConfigError(f"protocol {self.name!r}: received {key!r}; expected one of {', '.join(known)}")
        if "all" not in self.areas:
            raise ConfigError(f"protocol {self.name!r}: areas are {list(self.areas)}; expected a range named 'all'")
        if not self.max_dets or list(self.max_dets) != sorted(set(self.max_dets)) or self.max_dets[0] < 1:
            raise ConfigError(f"protocol {self.name!r}: max_dets is {self.max_dets}; expected ascending counts >= 1")

    @property
    def area_labels(self) -> list[str]:
        """Labels of the areas, ``"all"`` first."""
        return ["all", *(a for a in self.areas if a != "all")]

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
            cap="image" if self.cap == "none" else self.cap,
            description=f"{self.description} CHANGED: largest cap {max_det}, not comparable with {self.name}.",
        )

    def with_ignore_regions(self, use: bool) -> Protocol:
        """Return the same protocol with ignored regions honoured or not, under a name that shows a change."""
        if use == (self.ignore_rule != "none"):
            return self
        rule = "keep-hits" if use else "none"
        return replace(
            self,
            name=f"{self.name}{'+' if use else '-'}ignore",
            ignore_rule=rule,
            description=f"{self.description} CHANGED: {IGNORE_RULES[rule]}; not comparable with {self.name}.",
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
            shapes=("boxes", "masks"),
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
            mean="images",
            recall_points=None,
            description=(
                "VisDrone DET toolkit: AP over IoU 0.50:0.95, every point, at most 500 detections per image over all "
                "classes, ignored regions dropped; each class counts once for every image that holds it."
            ),
        ),
        Protocol(
            name="dota",
            areas={"all": _EVERYTHING},
            max_dets=(2000,),
            cap="none",
            recall_points=11,
            shapes=("corners",),
            matching="voc",
            description=(
                "DOTA devkit, task 1: AP50 of oriented boxes by exact IoU > 0.50, 11 points (VOC 2007), difficult "
                "objects count neither way, all detections count; AP over IoU 0.50:0.95 by the same rule."
            ),
        ),
    )
}


def protocols_for(shape: str) -> list[str]:
    """Names of the protocols that compare a shape, a key of `SHAPES`."""
    return [name for name, p in PROTOCOLS.items() if shape in p.shapes]


def get_protocol(protocol: str | Protocol, shape: str | None = None) -> Protocol:
    """Return the protocol of that name; a `Protocol` is passed through.

    Args:
        protocol: The name.
        shape: What it shall compare, a key of `SHAPES`; anything where None.

    Raises:
        ConfigError: The name is unknown, or the protocol does not compare that shape.
    """
    if not isinstance(protocol, Protocol):
        if protocol not in PROTOCOLS:
            raise ConfigError(
                f"unknown protocol {protocol!r}; expected one of {', '.join(PROTOCOLS)}.{nearest(protocol, PROTOCOLS)}"
            )
        protocol = PROTOCOLS[protocol]
    if shape is not None and shape not in protocol.shapes:
        raise ConfigError(
            f"protocol={protocol.name} measures {' and '.join(SHAPES[s] for s in protocol.shapes)}, received "
            f"{SHAPES[shape]}; for these there are {', '.join(['ultralytics', *protocols_for(shape)])}."
        )
    return protocol


def evaluate(
    truth: Truth | Sequence[ImageTruth],
    detections: Iterable[ImageDetections],
    *,
    protocol: str | Protocol = "coco",
    max_det: int | None = None,
    ignore_regions: bool | None = None,
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
        ignore_regions: Whether detections in ignored regions are dropped; as the protocol has it where None (VisDrone
            drops them, COCO and AI-TOD count them as false). The name shows a change.
        class_agnostic: Treat every class as one.
        by_group: Measure the images of each group apart too.
        names: Class number -> name; default: those of `truth`.

    Returns:
        The metrics, as fractions 0..1; None where nothing could be measured (no true box of that kind).

    Raises:
        ConfigError: The protocol is unknown, or does not compare what the images hold.
        DataError: An image id occurs twice, detections belong to an image that the truth lacks, or some have masks or
            oriented boxes and others do not.
        MissingDependencyError: pycocotools is not installed.
    """
    images, detections = sorted(truth, key=lambda t: (type(t.image_id).__name__, t.image_id)), list(detections)
    shapes = sorted({x.shape for x in (*images, *detections)})
    if len(shapes) > 1:
        received = " and ".join(SHAPES[s] for s in shapes)
        raise DataError(f"truth and detections hold {received}; expected one of these for all images")
    rule = get_protocol(protocol, *shapes)
    rule = rule if max_det is None else rule.with_max_det(int(max_det))
    rule = rule if ignore_regions is None else rule.with_ignore_regions(ignore_regions)
    names = dict(names if names is not None else getattr(truth, "names", {}))
    found = {d.image_id: d for d in detections}
    known = {t.image_id for t in images}
    if len(known) != len(images) or len(found) != len(detections):
        raise DataError("an image id occurs more than once; expected one truth and one detection entry per image")
    if strange := [i for i in found if i not in known]:
        raise DataError(
            f"detections for image {strange[0]!r} ({len(strange)} such images), which the truth does not hold; "
            "expected the same image ids in both: check that they belong to the same split"
        )
    empty = {s: () for s in shapes if s != "boxes"}
    pairs = [(t, found.get(t.image_id) or ImageDetections(t.image_id, (), (), (), **empty)) for t in images]
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


def _top(d: ImageDetections, k: int) -> ImageDetections:
    return d if len(d.scores) <= k else d.pick(np.argsort(-d.scores, kind="stable")[:k])


def _mean(values: np.ndarray, weights: np.ndarray | None = None) -> float | None:
    known = values > -1  # -1 marks "no true box here" in pycocotools
    if not known.any():
        return None
    return float(
        np.average(values[known], weights=None if weights is None else np.broadcast_to(weights, values.shape)[known])
    )


def _measure(
    pairs: list[tuple[ImageTruth, ImageDetections]], rule: Protocol, names: Mapping[int, str]
) -> DetectionMetrics:
    n_truth, n_found = (sum(len(p[k].classes) for p in pairs) for k in (0, 1))
    pairs = [apply_ignored(t, d, rule.ignore_rule) for t, d in pairs]
    truth = [t for t, _ in pairs]
    classes = sorted({int(c) for pair in pairs for part in pair for c in part.classes} | {int(c) for c in names})
    labels = rule.area_labels
    holds = _boxes_of(truth, classes, [rule.areas[a] for a in labels])

    top = rule.max_dets[-1]
    whole = None
    if rule.matching == "voc":
        pairs = [(t, _top(d, top)) for t, d in pairs] if rule.cap == "image" else pairs
        ap, whole, recall = (x[..., None] for x in voc_arrays(pairs, classes, rule.iou_thresholds, rule.recall_points))
        recalls = {top: recall[:, :, 0]}
    elif rule.cap == "image":  # pycocotools caps per class only, so each cap is a run on detections cut beforehand
        runs = {k: coco_arrays([(t, _top(d, k)) for t, d in pairs], classes, rule, (k,)) for k in rule.max_dets}
        recalls = {k: recall[:, :, 0, 0] for k, (_, recall) in runs.items()}
        ap, recall = runs[top][0], runs[top][1][..., -1]
    else:
        ap, recall = coco_arrays(pairs, classes, rule, rule.max_dets)
        recalls = {k: recall[:, :, 0, m] for m, k in enumerate(rule.max_dets)}
        recall = recall[..., -1]

    at = {t: i for i, t in enumerate(np.round(rule.iou_thresholds, 6).tolist())}

    def ap_at(iou: float, block: np.ndarray, weights: np.ndarray | None = None) -> float | None:
        return _mean(block[at[iou]], weights) if iou in at else None

    weights = (holds > 0).sum(0) if rule.mean == "images" else np.ones(holds.shape[1:])  # (class, area)
    everything, weight = ap[..., 0], weights[:, 0]

    def ap_of(block: np.ndarray) -> dict[str, float | None]:
        return {"AP": _mean(block), "AP50": ap_at(0.5, block), "AP75": ap_at(0.75, block)}

    return DetectionMetrics(
        protocol=rule,
        max_det=top,
        ap=_mean(everything, weight),
        ap50=ap_at(0.5, everything, weight),
        ap75=ap_at(0.75, everything, weight),
        ap_by_area={a: _mean(ap[..., i], weights[:, i]) for i, a in enumerate(labels)},
        ar_by_area={a: _mean(recall[..., i], weights[:, i]) for i, a in enumerate(labels)},
        ar={k: _mean(r, weight) for k, r in recalls.items()},
        per_class=tuple(
            ClassMetrics(
                class_id=c,
                name=str(names.get(c, c)),
                n_boxes=int(holds[:, i, 0].sum()),
                ap=_mean(everything[:, i]),
                ap50=ap_at(0.5, everything[:, i : i + 1]),
                ap75=ap_at(0.75, everything[:, i : i + 1]),
                ar=_mean(recall[:, i, 0]),
            )
            for i, c in enumerate(classes)
        ),
        n_images=len(pairs),
        n_boxes=int(holds[..., 0].sum()),
        n_boxes_by_area={a: int(holds[..., i].sum()) for i, a in enumerate(labels)},
        n_detections=n_found,
        n_ignored_detections=n_found - sum(len(d.classes) for _, d in pairs),
        n_ignored_boxes=n_truth - sum(len(t.classes) for t in truth),
        recall_ceilings={q: recall_ceiling(truth, q) for q in QUERY_COUNTS},
        plain_mean=ap_of(everything) if rule.mean != "classes" else {},
        below_curve={} if whole is None else ap_of(whole[..., 0]),
    )


def _boxes_of(truth: Sequence[ImageTruth], classes: Sequence[int], ranges: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the (image, class, area) numbers of true boxes; crowds are no objects to find, so they are left out."""
    counts = np.zeros((len(truth), len(classes), len(ranges)), dtype=np.int64)
    for n, t in zip(counts, truth, strict=True):
        own = (np.asarray(classes)[:, None] == t.classes) & ~t.crowd  # (class, box)
        for i, (low, high) in enumerate(ranges):
            n[:, i] = (own & (t.areas >= low) & (t.areas <= high)).sum(1)
    return counts

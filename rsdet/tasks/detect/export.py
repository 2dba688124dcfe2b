"""What an export needs to know of detectors: settings that go wrong, thresholds, heads, and what proves a file."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rsdet.deploy.parity import RawReport, compare_raw, worst
from rsdet.deploy.runners import TorchRunner
from rsdet.deploy.settings import ExportSettings
from rsdet.deploy.verify import Run
from rsdet.errors import ConfigError, ExportError
from rsdet.tasks.detect.decode import detections_from_raw
from rsdet.tasks.detect.parity import UPRIGHT, ParityReport, Ties, Upright, compare, match
from rsdet.tasks.detect.settings import rule_of
from rsdet.tasks.detect.thresholds import thresholds
from rsdet.tasks.task import Report

_MOST = 1000  # detections per image
_FEWEST = 20  # detections per image that the threshold is lowered for
_IOU_TOL = 0.02  # of the overlap at which one box drops another: a pixel of a side of a hundred
_RAW_TOL = 2e-3  # of raw outputs, where there are no detections to compare


def check_export(settings: ExportSettings, shape: str = "boxes") -> None:
    """Refuse what cannot work.

    Args:
        settings: Those of the export.
        shape: What accuracy is measured of, a key of :data:`rsdet.metrics.detection_areas.SHAPES`.

    Raises:
        ConfigError: A wrong value, or values that do not fit together.
    """
    o = settings.options
    kept = thresholds(o.conf, o.iou, o.max_det)
    if o.nms is True and settings.format == "engine":
        raise ConfigError(
            "nms=True with format=engine; suppression gives as many rows as the data decide, which TensorRT takes "
            "by plugins only; leave nms= out, predict suppresses after the engine"
        )
    if o.nms is True and settings.dynamic:
        raise ConfigError("nms=True with dynamic; suppression is written out image by image; choose one of them")
    if o.nms is True and not kept["conf"] > 0:
        raise ConfigError("nms=True with conf=0; the rows of an image are filled up with zeros; use conf=0.001")
    if settings.data is not None:
        rule_of(o.protocol, None, shape)


def queries(module: Any) -> int:
    """Queries of a network of the RT-DETR family: the most boxes that it can find; 0 of others."""
    return getattr(getattr(module, "model", [None])[-1], "num_queries", None) or 0


def stored_thresholds(module: Any, settings: ExportSettings) -> dict[str, Any]:
    """Thresholds that an artifact predicts with unless the user says otherwise."""
    o = settings.options
    return thresholds(o.conf, o.iou, o.max_det, queries(module))


def exporter_settings(module: Any, settings: ExportSettings) -> dict[str, Any]:
    """Arguments of Ultralytics' exporter about the head.

    Raises:
        ConfigError: ``nms=True`` for a network whose queries need no suppression.
    """
    kept, nms = stored_thresholds(module, settings), settings.options.nms
    if nms and queries(module):
        raise ConfigError(
            "nms=True with a model of the RT-DETR family, which has no suppression: each query is one object; "
            "leave nms= out"
        )
    if nms is None:
        return {"max_det": queries(module) or kept["max_det"]}
    return {"nms": nms, "max_det": queries(module) or kept["max_det"], **(kept if nms else {})}


def describe(module: Any, settings: ExportSettings) -> dict[str, Any]:
    """With which thresholds outputs become boxes."""
    return {"nms": bool(settings.options.nms), "thresholds": stored_thresholds(module, settings)}


def score_settings(settings: ExportSettings) -> dict[str, Any]:
    """Arguments of ``val`` by which weights and artifact are measured alike."""
    o = settings.options
    kept = thresholds(o.conf, o.iou, o.max_det) if o.nms else {} if o.nms is None else {"nms": False}
    return {"protocol": o.protocol, **kept}


def reference(module: Any, settings: ExportSettings) -> Any:
    """The network with the one of its two heads that was exported."""
    copy = deepcopy(module)
    if hasattr(copy, "end2end"):
        copy.end2end = settings.options.nms is False
    return copy


def in_graph(output: np.ndarray, settings: ExportSettings) -> np.ndarray:
    """Rows of the head: corners in place of centre and size where suppression follows in the graph."""
    if not settings.options.nms:
        return output
    centre, half, rest = np.split(output, [2, 4], axis=1)
    return np.concatenate([centre - half / 2, centre + half / 2, rest], axis=1)


class Form:
    """How outputs of a detector are read and compared; what other objects differ in derives from it.

    Args:
        family: How pictures are resized and outputs laid out.
        shape: How rows are compared.

    Attributes:
        extra: Columns of an output behind box, and scores or score and class.
        behind: What stands behind the box in an output.
    """

    extra = 0
    behind = "scores"

    def __init__(self, family: str, shape: Upright = UPRIGHT):
        self.family, self.shape = family, shape

    def rows(
        self, outs: Sequence[np.ndarray], size: tuple[int, int], shapes: Sequence[tuple[int, int]], conf: float,
        most: int = _MOST, iou: float = 0.7,
    ) -> list[np.ndarray]:  # fmt: skip
        """Rows for :func:`rsdet.tasks.detect.parity.compare`, one array per image, best first.

        Args:
            outs: Outputs of the network.
            size: Height and width of its input in pixels.
            shapes: Height and width of each original image.
            conf: Lowest score to keep.
            most: Most detections per image.
            iou: Overlap above which the worse one is dropped.
        """
        return detections_from_raw(outs[0], self.family, size, shapes, conf, max_det=most, iou=iou)

    def beside(self, runs: Sequence[Run], half: bool) -> list[RawReport]:
        """Comparison of the outputs behind the first, for networks that find nothing to compare by."""
        return []

    def before_suppression(self, raw: np.ndarray) -> bool:
        """Whether an output holds every candidate, with a score for each class."""
        return self.family == "yolo" and raw.shape[-1] != 6 + self.extra

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Best score of every candidate, ``(B, N)``."""
        if not self.before_suppression(raw):
            return raw[..., 4]
        return raw[:, 4 : raw.shape[1] - self.extra].max(1)


@dataclass(frozen=True)
class Detections:
    """Detections of both sides of all runs.

    Attributes:
        runs: What both sides put out.
        form: How outputs are read.
    """

    runs: Sequence[Run]
    form: Form

    def boxes(self, conf: float, most: int = _MOST, iou: float = 0.7) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Boxes of the network and of the artifact, one array per image."""
        return self.one("expected", conf, most, iou), self.one("got", conf, most, iou)

    def one(self, side: str, conf: float, most: int = _MOST, iou: float = 0.7) -> list[np.ndarray]:
        """Boxes of one side."""
        found = []
        for r in self.runs:
            shapes = [im.shape[:2] for im in r.samples]
            found += self.form.rows(getattr(r, side), r.size, shapes, conf, most, iou)
        return found


def compare_boxes(reference: TorchRunner, runs: Sequence[Run], settings: ExportSettings, form: Form) -> Report:
    """Compare what a network and an artifact find.

    Where the network finds next to nothing above ``parity_conf`` (an untrained one), the threshold is lowered until
    about twenty detections an image are compared. The rows of a graph with suppression in it are compared with those of
    the network, suppressed with the same.

    Raises:
        ExportError: Nothing is found, so that the suppression in the graph cannot be checked.
    """
    box_tol, score_tol = settings.options.tolerance(settings.half)
    both, limits = Detections(runs, form), {"box_tol_px": box_tol, "score_tol": score_tol, "shape": form.shape}
    limits |= {"min_iou": settings.options.overlap(settings.half)}
    if settings.options.nms:
        return _suppressed(both, stored_thresholds(reference.module, settings), limits)
    first = [(r.expected[0], r.got[0]) for r in runs]
    unsound = [(a, b) for a, b in first if a.shape == b.shape and not (np.isfinite(a).all() and np.isfinite(b).all())]
    if unsound:
        return worst([compare_raw(a, b, _RAW_TOL) for a, b in unsound])
    scores = np.concatenate([form.scores(a).ravel() for a, _ in first])
    conf = settings.options.parity_conf
    threshold = _threshold(scores, sum(len(a) for a, _ in first), conf)
    if threshold < conf and any(form.before_suppression(a) for a, _ in first):
        # Suppression among scores that are all but equal is a lottery; rows before it have a fixed order.
        parts = [(slice(0, 4), box_tol, "boxes (pixels)"), (slice(4, None), score_tol, form.behind)]
        raw = [compare_raw(a[:, rows], b[:, rows], tol, part) for a, b in first for rows, tol, part in parts]
        return worst([*raw, *form.beside(runs, settings.half)])
    expected, found = both.boxes(max(0.0, threshold - score_tol))
    most = None if form.before_suppression(first[0][0]) else first[0][0].shape[1]
    limits |= {"conf": threshold, "most": most}
    report = compare(expected, found, **limits)
    if not report.ok and most is None:
        return _but_for_suppression(report, runs, form)
    if not report.ok:  # unless the network itself could as well have chosen others
        inputs = [r.x for r in runs]
        ties = Ties.of(reference, inputs, score_tol / 5)
        report = compare(expected, found, **limits, ties=ties)
        if not report.ok and ties is not None:
            swapped = [
                Detections([replace(r, expected=o) for r, o in zip(runs, outputs, strict=True)], form)
                for outputs in Ties.others(reference, inputs, score_tol)
            ]
            others = [s.one("expected", max(0.0, threshold - score_tol)) for s in swapped]
            report = compare(expected, found, **limits, ties=ties, others=list(zip(*others, strict=True)))
    # Without a box anywhere, the raw output is all there is to compare.
    if report.vacuous:
        raw = [compare_raw(a, b, max(_RAW_TOL, score_tol)) for a, b in first]
        return worst([*raw, *form.beside(runs, settings.half)])
    return report


def _but_for_suppression(report: ParityReport, runs: Sequence[Run], form: Form) -> ParityReport:
    """A report that holds nothing against an artifact where the rows before suppression agree, one by one.

    Of boxes that overlap by all but the threshold, suppression keeps one or both as the last digit has it.
    """
    box, score = 0.0, 0.0
    for r in runs:
        a, b = r.expected[0], r.got[0]
        if a.shape != b.shape:
            return report
        kept = np.maximum(form.scores(a), form.scores(b)) >= report.conf - report.score_tol
        score = max(score, float(np.abs(a[:, 4:] - b[:, 4:]).max(1)[kept].max(initial=0.0)))
        near = np.abs(a[:, :2] - b[:, :2]) + np.abs(a[:, 2:4] - b[:, 2:4]) / 2  # no corner departs by more
        for i, sample in enumerate(r.samples):
            gain = min(n / have for n, have in zip(r.size, sample.shape[:2], strict=True))
            box = max(box, float(near[i].max(0)[kept[i]].max(initial=0.0)) / gain)
    return _settled(report, box, score)


def _settled(report: ParityReport, box: float, score: float) -> ParityReport:
    """A report whose missing and added detections count as tied, where what stands behind them is near enough."""
    if box > report.box_tol_px or score > report.score_tol:
        return report
    exchanged = max(report.unmatched_reference, report.unmatched_candidate, 1)
    return replace(
        report, unmatched_reference=0, unmatched_candidate=0, max_box_error_px=box, max_score_error=score,
        tied=report.tied + exchanged,
    )  # fmt: skip


def _by_its_own_rows(report: ParityReport, runs: Sequence[Run], kept: dict[str, Any]) -> ParityReport:
    """A report that holds nothing against a graph whose rows are a suppression of the network's rows.

    The last digit decides which of two boxes stays where their scores are all but equal or overlap by all but the
    threshold, and which class a box has where two score all but the same. So a graph is right where (1) each of its
    rows is one of the network's before suppression, within the tolerances; (2) no two of a class overlap by more than
    the threshold; and (3) of the network's rows it lacks only what is overlapped by as much by a row of its class that
    is no worse, or is no better than the last of a full image. Scores and overlaps may depart by their tolerances.
    """
    box_tol, score_tol = report.box_tol_px, report.score_tol
    worst_box, worst_score = 0.0, 0.0
    for r in runs:
        for raw, got, sample in zip(r.expected[0], r.got[0], r.samples, strict=True):
            gain = min(n / have for n, have in zip(r.size, sample.shape[:2], strict=True))
            best = raw[4:].max(0)
            classes, at = np.nonzero((raw[4:] >= best - score_tol / 5) & (best >= kept["conf"] - score_tol))
            centre, half = raw[:2, at].T, raw[2:4, at].T / 2
            own = np.column_stack([centre - half, centre + half, raw[4 + classes, at], classes])
            rows = got[got[:, 4] > 0]
            pairs, _, box, score = match(own, rows, box_tol * gain, score_tol, UPRIGHT)
            worst_box, worst_score = max(worst_box, box.max(initial=0) / gain), max(worst_score, score.max(initial=0))
            alike = own[:, None, 5] == rows[None, :, 5]
            better = rows[None, :, 4] >= own[:, None, 4] - score_tol
            settled = (alike & better & (UPRIGHT.iou(own, rows) >= kept["iou"] - _IOU_TOL)).any(1)
            settled |= own[:, 4] < kept["conf"] + score_tol
            if len(rows) == kept["max_det"]:
                settled |= own[:, 4] < rows[-1, 4] + score_tol
            settled[pairs] = True
            overlaps = np.triu(UPRIGHT.iou(rows, rows) * (rows[:, None, 5] == rows[None, :, 5]), 1)
            twice = overlaps.max(initial=0) > kept["iou"] + _IOU_TOL
            if len(box) < len(rows) or twice or not np.isin(at, at[settled]).all():
                return report
    return _settled(report, worst_box, worst_score)


def _suppressed(both: Detections, kept: dict[str, Any], limits: dict[str, Any]) -> ParityReport:
    """Compare the rows of a graph with NMS in it, (B, max_det, 6 + extra), with a network's, suppressed as there."""
    conf, iou, most = (kept[k] for k in ("conf", "iou", "max_det"))
    for r in both.runs:
        wanted = (len(r.samples), most, 6 + both.form.extra)
        if r.got[0].shape != wanted:
            raise ExportError(
                f"the graph puts out {r.got[0].shape}; expected {wanted}; export it again without nms=True"
            )
    # What lies just below the threshold may still be the counterpart of something just above it.
    expected = both.one("expected", max(0.0, conf - limits["score_tol"]), most, iou)
    found = [b[~(b[:, -2] <= 0)] for b in both.one("got", 0.0, most)]  # the rest is filled up with zeros
    report = compare(expected, found, conf=conf, most=most, **limits)
    if not report.ok and not both.form.extra:
        report = _by_its_own_rows(report, both.runs, kept)
    if report.vacuous:
        raise ExportError(
            f"nothing was found above conf={conf:g}, so that the suppression in the graph could not be checked; "
            "expected objects; pass images= that hold some, or a lower conf="
        )
    return report


def _threshold(scores: np.ndarray, images: int, conf: float) -> float:
    """The threshold, lowered where it would leave less than one detection an image."""
    if (scores >= conf).sum() >= images:
        return conf
    ranked = np.sort(scores)[::-1]
    return float(min(conf, ranked[min(ranked.size, _FEWEST * images) - 1])) if ranked.size else conf

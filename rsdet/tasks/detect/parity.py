"""Do two backends of one model give the same detections?

Raw outputs are a poor yardstick for a detector with a top-k in it: two rows with nearly equal scores may swap. The
comparison is therefore made on detections, matched one to one, and answers in units a user can judge: pixels of the
original image and score points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsdet.errors import ConfigError

if TYPE_CHECKING:
    from rsdet.deploy.runners import TorchRunner


class Upright:
    """How rows of upright boxes are compared; what other objects differ in derives from it.

    Attributes:
        columns: Numbers of a row before its score and class; here x1, y1, x2, y2 in pixels of the original image.
        measure: What :meth:`distance` is, in words.
    """

    columns = 4
    measure = "box error"

    def distance(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, M) largest difference of a coordinate in pixels, of each of N rows to each of M."""
        return np.abs(a[:, None, :4] - b[None, :, :4]).max(-1)

    def iou(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(N, M) overlap of each row with each, by which it is told which may be a pair."""
        top_left = np.maximum(a[:, None, :2], b[None, :, :2])
        bottom_right = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
        inter = np.clip(bottom_right - top_left, 0, None).prod(-1)
        area_a, area_b = ((d[:, 2:4] - d[:, :2]).clip(0).prod(-1) for d in (a, b))
        return inter / np.maximum(area_a[:, None] + area_b[None] - inter, 1e-9)

    def pair_iou(self, image: int, a: np.ndarray, b: np.ndarray) -> np.ndarray | None:
        """(K,) overlap of the shapes of pairs of rows of one image; None where :meth:`distance` says all."""
        return None


UPRIGHT = Upright()
TIED_SHARE = 0.01  # of the detections of an image, one at least: the most that a tie at the last place may exchange
_FORBIDDEN = 1e9  # cost of a pair that is no match; finite, because the solver may have to place it


@dataclass(frozen=True)
class ParityReport:
    """Outcome of :func:`compare`.

    Attributes:
        images: Number of images compared.
        matched: Pairs found.
        unmatched_reference: Reference detections without a counterpart.
        unmatched_candidate: Candidate detections without a counterpart.
        borderline: Detections without a counterpart whose score is so near the threshold that the other side may
            have dropped its own; they are not held against the candidate.
        max_box_error_px: Largest difference of a box coordinate over all pairs, in pixels of the original image.
        max_score_error: Largest difference of a score over all pairs.
        worst_image: Index of the image that departs most; None without images.
        has_nan: A coordinate or score is infinite or not a number.
        box_tol_px: Tolerance the boxes were judged by.
        score_tol: Tolerance the scores were judged by.
        conf: Score threshold.
        tied: Detections that differ where the last place of a network's choice is tied (see :func:`compare`), or where
            suppression was about to keep others; they are not held against the candidate either.
        measure: What the box error is, in words.
        min_iou: Smallest overlap of a pair, where shapes have one beside their distance.
        min_iou_tol: Tolerance that it was judged by.
    """

    images: int
    matched: int
    unmatched_reference: int
    unmatched_candidate: int
    borderline: int
    max_box_error_px: float
    max_score_error: float
    worst_image: int | None
    has_nan: bool
    box_tol_px: float
    score_tol: float
    conf: float
    tied: int = 0
    measure: str = UPRIGHT.measure
    min_iou: float | None = None
    min_iou_tol: float = 0.0

    @property
    def ok(self) -> bool:
        """True when every detection has a counterpart within both tolerances and every value is finite."""
        return (
            not self.has_nan
            and self.unmatched_reference == 0
            and self.unmatched_candidate == 0
            and self.max_box_error_px <= self.box_tol_px
            and self.max_score_error <= self.score_tol
            and (self.min_iou is None or self.min_iou >= self.min_iou_tol)
        )

    @property
    def vacuous(self) -> bool:
        """True when there was nothing to compare, so that ``ok`` says nothing."""
        return self.matched + self.unmatched_reference + self.unmatched_candidate == 0

    def summary(self) -> str:
        """Return the outcome in one line."""
        if self.has_nan:
            return f"parity FAILED: values that are not finite on image {self.worst_image} of {self.images}"
        if self.vacuous:
            return f"parity not shown: no detection above conf {self.conf:g} on {self.images} images"
        worst = "" if self.ok else f"; worst is image {self.worst_image}"
        allowed = f" (allowed {self.min_iou_tol:g})" if self.min_iou_tol else ""
        overlap = "" if self.min_iou is None else f", IoU >= {self.min_iou:.4g}{allowed}"
        return (
            f"parity {'ok' if self.ok else 'FAILED'}: {self.matched} detections on {self.images} images at conf "
            f"{self.conf:.3g}, {self.measure} <= {self.max_box_error_px:.3g} px (allowed {self.box_tol_px:g})"
            f"{overlap}, score error <= {self.max_score_error:.2g} (allowed {self.score_tol:g}), unmatched "
            f"{self.unmatched_reference} + {self.unmatched_candidate}, borderline {self.borderline}"
            + (f", exchanged at a tied last place {self.tied}" if self.tied else "")
            + worst
        )


def compare(
    reference: Sequence[np.ndarray],
    candidate: Sequence[np.ndarray],
    *,
    box_tol_px: float = 0.5,
    score_tol: float = 0.005,
    conf: float = 0.05,
    most: int | None = None,
    ties: Sequence[int] | None = None,
    others: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    shape: Upright = UPRIGHT,
    min_iou: float = 0.0,
) -> ParityReport:
    """Compare the detections of two backends image by image.

    Within a class, pairs are chosen so that as many detections as possible find a counterpart and, among those
    choices, the sum of the errors is smallest. A pair must overlap by an IoU of a half or lie within four tolerances.

    Args:
        reference: One array per image: x1, y1, x2, y2 in pixels, or what ``shape`` has in their place; score in
            [0, 1], class.
        candidate: The same of the other backend, images in the same order.
        box_tol_px: Largest accepted difference of a coordinate, in pixels.
        score_tol: Largest accepted difference of a score.
        conf: Score threshold. A detection within ``score_tol`` of it may be missing on the other side.
        most: Detections that a network puts out at most. In an image with as many, one within ``score_tol`` of the
            last may be missing on the other side.
        ties: Per image, how many of the network's queries stand at the last place of its choice, all but equal to
            some that are left out: which of them are taken is decided in the last digit, so that as many detections
            may be others. For both, no more than :data:`TIED_SHARE` of an image: what is wrong with an export as a
            whole is not excused by a tie. More has to be shown by ``others``.
        others: Per image, what the network finds when the tied queries that it leaves out are put first, and when those
            that it takes are put last. Each detection that the other side has not is then excused, whatever their
            number, if the candidate's are among the former and the reference's are not among the latter.
        shape: How the objects are compared.
        min_iou: Smallest accepted overlap of a pair, where ``shape`` has one beside its distance.

    Returns:
        The report; ask it for ``ok`` or ``summary()``.

    Raises:
        ConfigError: The two lists do not hold the same number of images, or an array has other columns.
    """
    if len(reference) != len(candidate):
        raise ConfigError(
            f"got {len(reference)} reference and {len(candidate)} candidate images; expected as many; pass the same"
        )
    matched, missing, extra, borderline, tied = 0, 0, 0, 0, 0
    box_error, score_error, worst, worst_badness, has_nan = 0.0, 0.0, None, -1.0, False
    overlap: float | None = None
    for i, (ref, cand) in enumerate(zip(reference, candidate, strict=True)):
        ref, cand = _rows(ref, shape.columns), _rows(cand, shape.columns)
        if not (np.isfinite(ref).all() and np.isfinite(cand).all()):
            # Nothing more to learn from this image, and nothing can outdo it.
            has_nan, worst, worst_badness = True, i if worst_badness < np.inf else worst, np.inf
            continue
        full = most is not None and max(len(ref), len(cand)) >= most
        last = min(d[:, -2].min(initial=1.0) for d in (ref, cand)) if full else 0.0
        # Those just below the threshold may still be the counterpart of one just above it.
        ref, cand = (d[d[:, -2] >= conf - score_tol] for d in (ref, cand))
        r, c, boxes, scores = match(ref, cand, box_tol_px, score_tol, shape)
        lone = [np.delete(ref[:, -2], r), np.delete(cand[:, -2], c)]
        lost, added = (int((s >= conf + score_tol).sum()) for s in lone)
        off = (boxes > box_tol_px) | (scores > score_tol)
        if exchanged := int(off.sum()) + max(lost, added):
            at_last = max(int(((s >= conf + score_tol) & (s < last + score_tol)).sum()) for s in lone)
            few = exchanged <= min((ties[i] if ties else 0) + at_last, max(1, int(TIED_SHARE * len(ref))))
            if not few and others:
                odd = []  # of both sides, the rows that the other one has not
                for rows, pairs in ((ref, r), (cand, c)):
                    alone = np.delete(np.arange(len(rows)), pairs)
                    odd.append(np.concatenate([pairs[off], alone[rows[alone, -2] >= conf + score_tol]]))
                first, last_ones = (_rows(d, shape.columns) for d in others[i])
                new = _paired(cand, first, box_tol_px, score_tol, shape)
                still = _paired(ref, last_ones, box_tol_px, score_tol, shape)
                few = bool(np.isin(odd[1], new).all() and not np.isin(odd[0], still).any())
            if few:
                tied, lost, added, boxes, scores = tied + exchanged, 0, 0, boxes[~off], scores[~off]
        matched, missing, extra = matched + len(boxes), missing + lost, extra + added
        borderline += sum(int((np.abs(s - conf) < score_tol).sum()) for s in lone)
        box, score = float(boxes.max(initial=0.0)), float(scores.max(initial=0.0))
        box_error, score_error = max(box_error, box), max(score_error, score)
        badness = 1e6 * (lost + added) + box / box_tol_px + score / score_tol
        ious = shape.pair_iou(i, ref[r], cand[c])
        if ious is not None:
            least = float(ious.min(initial=1.0))
            overlap = least if overlap is None else min(overlap, least)
            badness += 1e3 * max(0.0, min_iou - least)
        if badness > worst_badness:
            worst, worst_badness = i, badness
    return ParityReport(
        len(reference), matched, missing, extra, borderline, box_error, score_error, worst, has_nan,
        box_tol_px, score_tol, conf, tied, shape.measure, overlap, min_iou,
    )  # fmt: skip


class Ties:
    """Queries of a network of the RT-DETR family that are tied at the last place of its choice.

    Args:
        module: The network.
        within: Difference of the scores, before the sigmoid, up to which two cells are taken for tied.
        put: Which tied queries lose their place: none (0), those left out, which go to the front (1), or those taken,
            which go to the end (-1).

    Attributes:
        counts: For each image seen, queries that could as well be others; of other networks nothing.
    """

    def __init__(self, module: Any, within: float, put: int = 0):
        self.counts: list[int] = []
        self.within, self.put, self.head = within, put, getattr(module, "model", [None])[-1]
        self.hook = None
        if hasattr(self.head, "enc_score_head"):
            self.hook = self.head.enc_score_head.register_forward_hook(self._look)

    @classmethod
    def of(cls, reference: TorchRunner, inputs: Sequence[np.ndarray], within: float) -> list[int] | None:
        """Counts for inputs, on which the network is run once more; None of a network that chooses no queries."""
        ties = cls(reference.module, within)
        if ties.hook is None:
            return None
        ties._run(reference, inputs)
        return ties.counts

    @classmethod
    def others(
        cls, reference: TorchRunner, inputs: Sequence[np.ndarray], within: float
    ) -> list[list[tuple[np.ndarray, ...]]]:
        """Outputs for inputs with the tied queries left out put first, and with those taken put last."""
        return [cls(reference.module, within, put)._run(reference, inputs) for put in (1, -1)]

    def _run(self, reference: TorchRunner, inputs: Sequence[np.ndarray]) -> list[tuple[np.ndarray, ...]]:
        try:
            return [reference.outputs(x) for x in inputs]
        finally:
            self.hook.remove()

    def _look(self, layer: Any, args: Any, scores: Any) -> Any:
        best = scores.max(-1).values  # (B, cells)
        k = min(self.head.num_queries, best.shape[1])
        last = best.sort(-1, descending=True).values[:, k - 1 : k]
        near, taken = (best - last).abs() <= self.within, best >= last
        tied = [near & taken, near & ~taken]
        self.counts += [min(pair) for pair in zip(*(t.sum(1).tolist() for t in tied), strict=True)]
        return scores + 3 * self.within * self.put * tied[self.put > 0][..., None] if self.put else None


def _paired(a: np.ndarray, b: np.ndarray, box_tol: float, score_tol: float, shape: Upright) -> np.ndarray:
    """Indices of the rows of one side that have a counterpart of their own within the tolerances."""
    pairs, _, boxes, scores = match(a, b, box_tol, score_tol, shape)
    return pairs[(boxes <= box_tol) & (scores <= score_tol)]


def _rows(d: np.ndarray, columns: int) -> np.ndarray:
    d = np.asarray(d, dtype=np.float64)
    if d.size == 0:
        return np.zeros((0, columns + 2))
    if d.ndim != 2 or d.shape[1] != columns + 2:
        raise ConfigError(f"got detections of shape {d.shape}; expected (N, {columns + 2}): place, score, class")
    return d


def match(
    ref: np.ndarray, cand: np.ndarray, box_tol: float, score_tol: float, shape: Upright
) -> tuple[np.ndarray, ...]:
    """Indices of the pairs in both arrays, their box errors in pixels and their score errors."""
    from ultralytics.utils.ops import linear_sum_assignment  # SciPy's solver when there, the same in NumPy when not

    if not len(ref) or not len(cand):
        none = np.zeros(0, dtype=int)
        return none, none, np.zeros(0), np.zeros(0)
    box = shape.distance(ref, cand)
    score = np.abs(ref[:, None, -2] - cand[None, :, -2])
    allowed = (ref[:, None, -1] == cand[None, :, -1]) & ((shape.iou(ref, cand) >= 0.5) | (box <= 4 * box_tol))
    r, c = linear_sum_assignment(np.where(allowed, box / box_tol + score / score_tol, _FORBIDDEN))
    keep = allowed[r, c]
    r, c = r[keep], c[keep]
    return r, c, box[r, c], score[r, c]

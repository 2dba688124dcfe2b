"""Run a PyTorch model and its artifact on the same input tensors and compare what they find."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.pictures import reader_of
from rsdet.deploy.decode import detections_from_raw, preprocess
from rsdet.deploy.parity import ParityReport, RawReport, compare, compare_raw
from rsdet.deploy.runners import TorchRunner, open_runner
from rsdet.errors import ExportError
from rsdet.textfiles import read_yaml

N_IMAGES = 8  # images per check: enough to see every class of error met so far, few enough for a CPU
_MOST = 1000  # detections per image
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}
_FEWEST = 20  # detections per image that the threshold is lowered for


def verify(
    module: Any,
    artifact: Path,
    *,
    task: str = "detect",
    family: str = "rtdetr",
    sizes: Sequence[tuple[int, int]] = ((640, 640),),
    batch: int = 1,
    images: Sequence[np.ndarray],
    conf: float = 0.05,
    box_tol_px: float = 0.5,
    score_tol: float = 0.005,
    end2end: bool = False,
    suppression: dict[str, Any] | None = None,
    device: str = "cpu",
    artifact_device: str | None = None,
) -> ParityReport | RawReport:
    """Compare a network with an artifact made from it.

    The network is run unfused and in FP32, as it was trained; both get the same tensors.

    Args:
        module: The network.
        artifact: The exported file.
        task: ``"detect"`` compares detections, any other task the raw outputs.
        family: ``"rtdetr"`` or ``"yolo"``.
        sizes: Input sizes to check, (height, width) in pixels.
        batch: Images per run.
        images: BGR arrays.
        conf: Score threshold. When the network finds next to nothing above it (an untrained one), the threshold is
            lowered until about twenty detections an image are compared.
        box_tol_px: Largest accepted difference of a coordinate in original pixels.
        score_tol: Largest accepted difference of a score.
        end2end: The artifact has the NMS-free head of a YOLO network that has both.
        suppression: ``conf``, ``iou`` and ``max_det`` of a graph with NMS in it. The network's rows are then suppressed
            with the same, and ``conf`` above is not used.
        device: Where the network runs.
        artifact_device: Where the artifact runs, when elsewhere.
    """
    reference = deepcopy(module)
    if hasattr(reference, "end2end"):
        reference.end2end = end2end
    torch_runner = TorchRunner(reference, device, fuse=False)
    ties = _Ties(torch_runner.module, score_tol / 5)
    runner = open_runner(artifact, artifact_device or device)
    runs: list[_Run] = []
    for size in sizes:
        for chunk in _chunks(images, batch):
            x = preprocess(chunk, family if task == "detect" else "rtdetr", size)
            try:
                got = runner(x)
            except runner.errors as e:
                reason = (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
                raise ExportError(
                    f"{artifact.name} does not run on an input of {x.shape} ({reason}); expected the output that "
                    "PyTorch gives; export again with other settings"
                ) from e
            runs.append(_Run(torch_runner(x), got, size, [im.shape[:2] for im in chunk]))
    if suppression is not None:
        return _compare_suppressed(runs, suppression, box_tol_px, score_tol)
    unsound = [r for r in runs if not (np.isfinite(r.expected).all() and np.isfinite(r.got).all())]
    if unsound or task != "detect":
        return _worst_raw(unsound or runs, 2e-3)
    scores = np.concatenate([_scores(r.expected, family).ravel() for r in runs])
    threshold = _threshold(scores, sum(len(r.expected) for r in runs), conf)
    if threshold < conf and any(_before_suppression(r.expected, family) for r in runs):
        # Suppression among scores that are all but equal is a lottery; rows before it have a fixed order.
        parts = [(slice(0, 4), box_tol_px), (slice(4, None), score_tol)]
        return _worst([compare_raw(r.expected[:, rows], r.got[:, rows], tol) for r in runs for rows, tol in parts])
    lowest = max(0.0, threshold - score_tol)
    expected = [b for r in runs for b in r.boxes(r.expected, family, lowest)]
    found = [b for r in runs for b in r.boxes(r.got, family, lowest)]
    most = None if _before_suppression(runs[0].expected, family) else runs[0].expected.shape[1]
    report = compare(
        expected, found, box_tol_px=box_tol_px, score_tol=score_tol, conf=threshold, most=most, ties=ties.counts
    )
    # Without a box anywhere, the raw output is all there is to compare.
    return _worst_raw(runs, max(2e-3, score_tol)) if report.vacuous else report


@dataclass(frozen=True)
class _Run:
    """One batch: what both sides put out, the input size, and height and width of the original images."""

    expected: np.ndarray
    got: np.ndarray
    size: tuple[int, int]
    shapes: list[tuple[int, int]]

    def boxes(
        self, raw: np.ndarray, family: str, conf: float, max_det: int = _MOST, iou: float = 0.7
    ) -> list[np.ndarray]:
        return detections_from_raw(raw, family, self.size, self.shapes, conf, max_det=max_det, iou=iou)


class _Ties:
    """Counts, for each image that a network of the RT-DETR family sees, the queries tied at the last place.

    Args:
        module: The network.
        within: Difference of the scores, before the sigmoid, up to which two cells are taken for tied.

    Attributes:
        counts: Queries that could as well be others; of other networks nothing.
    """

    def __init__(self, module: Any, within: float):
        self.counts: list[int] = []
        self.within, self.head = within, getattr(module, "model", [None])[-1]
        if hasattr(self.head, "enc_score_head"):
            self.head.enc_score_head.register_forward_hook(self._count)

    def _count(self, layer: Any, args: Any, scores: Any) -> None:
        best = scores.max(-1).values.sort(-1, descending=True).values  # (B, cells)
        k = min(self.head.num_queries, best.shape[1])
        near = (best - best[:, k - 1 : k]).abs() <= self.within
        self.counts += [min(int(n[:k].sum()), int(n[k:].sum())) for n in near]


def _compare_suppressed(
    runs: Sequence[_Run], suppression: dict[str, Any], box_tol_px: float, score_tol: float
) -> ParityReport:
    """Compare the rows of a graph with NMS in it, (B, max_det, 6), with those of a network, suppressed as there."""
    conf, iou, most = (suppression[k] for k in ("conf", "iou", "max_det"))
    expected, found = [], []
    for r in runs:
        wanted = (len(r.shapes), most, 6)
        if r.got.shape != wanted:
            raise ExportError(f"the graph puts out {r.got.shape}; expected {wanted}; export it again without nms=True")
        # What lies just below the threshold may still be the counterpart of something just above it.
        expected += r.boxes(r.expected, "yolo", max(0.0, conf - score_tol), most, iou)
        found += [b[~(b[:, 4] <= 0)] for b in r.boxes(r.got, "yolo", 0.0, most)]  # the rest is filled up with zeros
    return compare(expected, found, box_tol_px=box_tol_px, score_tol=score_tol, conf=conf)


def _worst_raw(runs: Sequence[_Run], tol: float) -> RawReport:
    return _worst([compare_raw(r.expected, r.got, tol) for r in runs])


def _worst(reports: Sequence[RawReport]) -> RawReport:
    return max(reports, key=lambda r: (r.has_nan, r.max_abs_diff / r.tol))


def _before_suppression(raw: np.ndarray, family: str) -> bool:
    return family == "yolo" and raw.shape[-1] != 6


def _scores(raw: np.ndarray, family: str) -> np.ndarray:
    """Best score of every candidate, ``(B, N)``."""
    return raw[:, 4:].max(1) if _before_suppression(raw, family) else raw[..., 4]


def _threshold(scores: np.ndarray, images: int, conf: float) -> float:
    """The threshold, lowered where it would leave less than one detection an image."""
    if (scores >= conf).sum() >= images:
        return conf
    ranked = np.sort(scores)[::-1]
    return float(min(conf, ranked[min(ranked.size, _FEWEST * images) - 1])) if ranked.size else conf


def _chunks(images: Sequence[np.ndarray], batch: int) -> list[list[np.ndarray]]:
    """Groups of exactly ``batch`` images; the last one is filled up from the start."""
    n = -(-len(images) // batch) * batch
    filled = list(itertools.islice(itertools.cycle(images), n))
    return [filled[i : i + batch] for i in range(0, n, batch)]


def parity_images(
    model: Any, images: Sequence[str | Path | np.ndarray] | None = None, n: int = N_IMAGES
) -> list[np.ndarray]:
    """Collect images to compare on.

    Args:
        model: Loaded wrapper; its training arguments name the dataset.
        images: Paths or BGR arrays; when None, images of the validation set if they are on this disk, else rendered
            scenes.
        n: How many at most when they are chosen here.

    Raises:
        DataError: An image given cannot be read.
    """
    spec = getattr(getattr(model, "model", None), "yaml", None) or {}
    channels = int(spec.get("channels", 3))
    reader = reader_of(spec.get("sar"), channels, spec.get("bands"))
    if images is not None and len(images):
        return [im if isinstance(im, np.ndarray) else reader(im) for im in images]
    found = _validation_images(model)
    if found:
        return [reader(p) for p in found[:: max(1, len(found) // n)][:n]]
    return _rendered(n, channels)


def _validation_images(model: Any) -> list[Path]:
    """Images of the validation split that the model was trained with, as far as they are on this disk."""
    module = getattr(model, "model", None)
    args = getattr(module, "args", None)
    trained = [(getattr(model, "ckpt", None) or {}).get("train_args"), args if isinstance(args, dict) else None]
    data = next((a["data"] for a in trained if a and a.get("data")), None)
    path = Path(str(data or ""))
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return []
    spec = read_yaml(path)
    root = Path(spec.get("path") or path.parent)
    root = root if root.is_absolute() else path.parent / root
    found: list[Path] = []
    for entry in [spec.get("val")] if isinstance(spec.get("val"), str) else spec.get("val") or []:
        place = root / entry
        if place.is_dir():
            found += sorted(p for p in place.rglob("*") if p.suffix.lower() in _PICTURES)
        elif place.is_file():
            listed = [place.parent / line for line in place.read_text(encoding="utf-8").split("\n") if line.strip()]
            found += [p for p in listed if p.is_file()]
    return found


def _rendered(n: int, channels: int) -> list[np.ndarray]:
    from rsdet.data.scenes import render_scene

    pictures = [np.ascontiguousarray(render_scene(seed).image[..., ::-1]) for seed in range(n)]
    if channels == 3:
        return pictures
    return [np.repeat(p.mean(axis=2, keepdims=True).astype(np.uint8), channels, axis=2) for p in pictures]

"""Thresholds that travel with an artifact: what it predicts with unless the user says otherwise.

A graph with NMS in it holds its ``conf``, ``iou`` and ``max_det`` for good; what such a graph cannot do is refused
instead of silently not done.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsdet.errors import ConfigError

CONF, IOU, MAX_DET = 0.25, 0.7, 300  # of Ultralytics' predict


def thresholds(
    conf: float | None = None, iou: float | None = None, max_det: int | None = None, queries: int = 0
) -> dict[str, Any]:
    """Complete and check the three.

    Args:
        conf: Lowest score.
        iou: Largest overlap of two boxes of a class.
        max_det: Most boxes of an image.
        queries: Queries of an RT-DETR family model: the most boxes that it can find.

    Raises:
        ConfigError: A value out of its range.
    """
    found = {
        "conf": CONF if conf is None else conf,
        "iou": IOU if iou is None else iou,
        "max_det": max(MAX_DET, queries) if max_det is None else max_det,
    }
    for key in ("conf", "iou"):
        if not 0 <= found[key] <= 1:
            raise ConfigError(f"{key}={found[key]} must be a number from 0 to 1; e.g. {key}=0.5.")
    if found["max_det"] < 1:
        raise ConfigError(f"max_det={found['max_det']} must be 1 or more; e.g. max_det=300.")
    return found


def predict_settings(meta: Mapping[str, Any], given: Mapping[str, Any], queries: int = 0) -> dict[str, Any]:
    """Arguments of a prediction, completed by what the artifact says.

    Args:
        meta: What the artifact says about itself; empty for weights.
        given: Arguments of the user's.
        queries: Queries of weights of the RT-DETR family.

    Raises:
        ConfigError: A wish that the graph cannot fulfil.
    """
    stored = dict(meta.get("thresholds") or {})
    if not stored and queries > MAX_DET:
        stored = {"max_det": queries}  # or the least certain objects of a dense scene would be cut off
    if meta.get("nms"):
        _check_fixed(stored, given)
    size = given.get("imgsz")
    if meta.get("dynamic") == "batch" and size is not None:
        wanted = [size, size] if isinstance(size, int) else list(size) * (2 if len(size) == 1 else 1)
        if wanted != list(meta["imgsz"]):
            taken = ",".join(map(str, meta["imgsz"]))
            raise ConfigError(
                f"imgsz={size} and this file takes {taken} only (dynamic=batch); leave imgsz= out, or export with "
                "another imgsz= or dynamic=True."
            )
    return {**given, **{k: v for k, v in stored.items() if given.get(k) is None}}


def _check_fixed(stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    conf, iou, most = (given.get(k) for k in ("conf", "iou", "max_det"))
    wrong = [
        ("conf", conf, conf is not None and conf < stored["conf"], "or higher"),
        ("iou", iou, iou is not None and iou != stored["iou"], "exactly"),
        ("max_det", most, most is not None and most > stored["max_det"], "or lower"),
    ]
    for key, value, bad, word in wrong:
        if bad:
            raise ConfigError(
                f"{key}={value} and the suppression in this file works with {key}={stored[key]} {word}; leave {key}= "
                f"out, or export again with nms=True {key}={value}."
            )

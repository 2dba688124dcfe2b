"""Image to network input and network output to boxes, once for every backend.

PyTorch, ONNX Runtime and OpenVINO are compared and timed with exactly these functions, so a difference between them
is a difference of the network, never of the resizing or the suppression around it. The geometry is Ultralytics' own:
the ``rtdetr`` family stretches the image to the input size, the ``yolo`` family letterboxes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rsdet.data.sar import Stretch
from rsdet.errors import ConfigError

FAMILIES = ("rtdetr", "yolo")

#: How an image becomes an input, in words; stored in every exported file.
PREPROCESS_RULE = {
    "rtdetr": "stretch to imgsz (bilinear, aspect not kept), divide by 255, CHW float",
    "yolo": "letterbox to imgsz (bilinear, centred, pad 114), divide by 255, CHW float",
}


def preprocess_rule(family: str, said: Mapping[str, Any]) -> str:
    """How a file becomes an input of a model, in words.

    Args:
        family: ``"rtdetr"`` or ``"yolo"``.
        said: What the model says of itself: ``channels``, and where it was trained on SAR, by ``sar`` how such files
            become pictures.
    """
    rule = PREPROCESS_RULE[family]
    if said.get("sar") is not None:
        return f"SAR {Stretch.from_dict(said['sar']).describe()}, no data 0, gray in all channels; {rule}"
    return f"BGR to RGB, {rule}" if said.get("channels", 3) == 3 else rule


def preprocess(images: Sequence[np.ndarray], family: str, imgsz: tuple[int, int]) -> np.ndarray:
    """Turn images into one network input.

    Args:
        images: ``(H, W, C)`` uint8 arrays, BGR when they have three channels.
        family: ``"rtdetr"`` or ``"yolo"``.
        imgsz: Height and width of the input in pixels.

    Returns:
        ``(B, C, H, W)`` float32 in [0, 1], contiguous, RGB when it has three channels.
    """
    from ultralytics.data.augment import LetterBox

    _check_family(family)
    resize = LetterBox(imgsz, auto=False, scale_fill=family == "rtdetr")
    resized = [resize(image=im) for im in images]
    stack = np.stack([im[..., None] if im.ndim == 2 else im for im in resized])
    if stack.shape[-1] == 3:
        stack = stack[..., ::-1]
    return np.ascontiguousarray(stack.transpose(0, 3, 1, 2), dtype=np.float32) / 255.0


def detections_from_raw(
    raw: Any,
    family: str,
    imgsz: tuple[int, int],
    orig_shapes: Sequence[tuple[int, int]],
    conf: float = 0.05,
    max_det: int = 300,
    iou: float = 0.7,
) -> list[np.ndarray]:
    """Turn the output of a detector into boxes in pixels of the original images.

    Args:
        raw: ``rtdetr``: ``(B, Q, 6)`` with cx, cy, w, h in [0, 1] of the input, score, class. ``yolo``: either
            ``(B, 4 + nc, N)`` before suppression or ``(B, N, 6)`` with x1, y1, x2, y2 in input pixels, score, class.
            A tensor, an array, or a tuple that begins with one.
        family: ``"rtdetr"`` or ``"yolo"``.
        imgsz: Height and width of the network input in pixels.
        orig_shapes: Height and width of each original image.
        conf: Lowest score to keep. Rows that are not a number are kept, so that a comparison can see them.
        max_det: Most detections per image.
        iou: Suppression threshold, only used for ``yolo`` outputs before suppression.

    Returns:
        One ``(N, 6)`` float32 array per image: x1, y1, x2, y2 in pixels, score, class; best score first.
    """
    _check_family(family)
    out = raw
    while isinstance(out, (tuple, list)):
        out = out[0]
    out = out.detach().cpu().float().numpy() if hasattr(out, "detach") else np.asarray(out, dtype=np.float32)
    if family == "rtdetr":
        boxes = [_from_rtdetr(o, hw) for o, hw in zip(out, orig_shapes, strict=True)]
    elif out.shape[-1] == 6:
        boxes = [_unletterbox(o, imgsz, hw) for o, hw in zip(out, orig_shapes, strict=True)]
    else:
        boxes = [
            _unletterbox(o, imgsz, hw) for o, hw in zip(_suppress(out, conf, iou, max_det), orig_shapes, strict=True)
        ]
    kept = [b[~(b[:, 4] < conf)] for b in boxes]
    return [b[np.argsort(-b[:, 4], kind="stable")][:max_det] for b in kept]


def _from_rtdetr(rows: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    (cx, cy, w, h), rest = rows[:, :4].T, rows[:, 4:6]
    xyxy = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
    return np.concatenate([xyxy * np.array([hw[1], hw[0]] * 2, dtype=np.float32), rest], axis=1)


def _suppress(out: np.ndarray, conf: float, iou: float, max_det: int) -> list[np.ndarray]:
    import torch
    from ultralytics.utils.nms import non_max_suppression

    kept = non_max_suppression(torch.from_numpy(out), conf, iou, max_det=max_det)
    return [k[:, :6].numpy() for k in kept]


def _unletterbox(rows: np.ndarray, imgsz: tuple[int, int], hw: tuple[int, int]) -> np.ndarray:
    from ultralytics.utils.ops import scale_boxes

    rows = rows.astype(np.float32, copy=True)
    rows[:, :4] = scale_boxes(imgsz, rows[:, :4], hw)
    return rows


def _check_family(family: str) -> None:
    if family not in FAMILIES:
        raise ConfigError(
            f"family={family!r} is not known; expected one of {', '.join(FAMILIES)}; set family: in the YAML"
        )

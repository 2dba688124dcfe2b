"""YOLO labels: one text file per picture, in one of three forms, as fractions of the picture."""

from __future__ import annotations

from collections.abc import Sequence

from rsdet.data.annotations import Box, ImageRecord


def _fraction(value: float) -> str:
    """A fraction of the image with ten decimals: exact to 2e-6 px in an image of 20,000 px."""
    return f"{min(max(value, 0.0), 1.0):.10f}".rstrip("0").rstrip(".") or "0"


def _xywh(box: Box, width: int, height: int) -> str:
    x1, y1, x2, y2 = box
    values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
    return " ".join(map(_fraction, values))


def _polygon(ring: Sequence[float], width: int, height: int) -> str:
    return " ".join(_fraction(v / (height if i % 2 else width)) for i, v in enumerate(ring))


def yolo_labels(record: ImageRecord, task: str = "detect") -> str:
    """Label file of one image.

    Args:
        record: The image; for ``obb`` and ``segment`` its objects have been through
            :func:`rsdet.data.forms.give_form`.
        task: ``detect``: rows of ``class xc yc w h``. ``obb``: ``class x1 y1 x2 y2 x3 y3 x4 y4``. ``segment``:
            ``class x1 y1 … xn yn``.
    """
    width, height = record.width, record.height
    return "".join(
        f"{item.cls} {_xywh(item.xyxy_px, width, height)}\n"
        if task == "detect"
        else f"{item.cls} {_polygon(item.polygons_px[0], width, height)}\n"
        for item in record.objects
    )


def ignore_labels(record: ImageRecord) -> str:
    """Ignored regions of one image, one ``xc yc w h`` a line; empty when there are none."""
    return "".join(f"{_xywh(box, record.width, record.height)}\n" for box in record.ignored_xyxy_px)

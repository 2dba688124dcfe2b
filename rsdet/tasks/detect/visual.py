"""Draw detections so that tiny objects stay visible.

Outlines run around the pixels of a box or mask and never over them (those of a turned box are smoothed, by less than a
pixel), thin lines for small objects; text appears only where it covers no other box; the legend, with the count of each
class, stands below the picture and hides nothing.

Colours: Okabe and Ito, Color Universal Design (2008), without black, continued by lighter and darker shades.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw

from rsdet.errors import DataError
from rsdet.geometry import hulls
from rsdet.runtime.masks import Mask
from rsdet.tasks.detect.lettering import MARGIN, Pen, find_font, fitted, length, text_height

# RGB. Bright colours first, since most data sets have few classes and thin lines need brightness; look-alikes
# (orange and vermillion, the two blues) far apart.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (0, 158, 115),  # bluish green
    (213, 94, 0),  # vermillion
    (0, 114, 178),  # blue
)
TRUTH_RGB = (255, 255, 255)
STRIP_RGB, INK_RGB, DIM_RGB = (24, 24, 27), (240, 240, 240), (160, 160, 165)
_TINT = 0.3  # part of the colour in the pixels of a mask, but of small ones, whose outline tells enough
_SUBPIXEL = 4  # binary digits behind the point of the coordinates that OpenCV draws turned lines at
_HALO = 0.55  # how much of the picture's brightness is left in the rim around a line
_SMALL_PX = 24  # objects below this many display px get a line of 1 px
_TINY_PICTURE_PX = 480
_DIGITS = frozenset("0123456789.:id ")
_DARK = (np.arange(256) * _HALO).astype(np.uint8)
_FEW, _LARGE_PX, _LARGE_PART = 12, 64, 0.08  # labels="auto": all boxes up to so many, else boxes larger than this


@lru_cache(maxsize=1024)
def class_colour(class_id: int) -> tuple[int, int, int]:
    """Return the RGB colour of a class: fixed by its number, so the same in every picture; repeats after 21 classes."""
    lap, k = divmod(int(class_id), len(PALETTE))
    rgb = np.array(PALETTE[k], dtype=float)
    target, amount = ((0.0, 0.0), (255.0, 0.55), (0.0, 0.35))[lap % 3]  # as it is, lighter, darker
    return tuple(int(v) for v in (rgb + (target - rgb) * amount).round())


def to_display(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 of a grey or BGR image of any dtype, as a copy.

    uint8 is taken as it is; everything else is stretched from its 1st to its 99th percentile, over all channels
    together so that colours keep their balance. This is for looking at only. NaN and infinity become black.

    Raises:
        DataError: The image is not (H, W) or (H, W, C). Of more than three channels the first three are shown, of two
            the first.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or 0 in image.shape:
        raise DataError(f"cannot draw on an image of shape {image.shape}; expected (H, W) or (H, W, C).")
    image = image[..., : 1 if image.shape[2] == 2 else 3]
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    elif image.dtype != np.uint8:
        image = image.astype(np.float32)
        step = max(1, math.isqrt(image.shape[0] * image.shape[1] // 1_000_000))  # a million px give the same limits
        sample = image[::step, ::step]
        sample = sample[np.isfinite(sample)]
        low, high = np.percentile(sample, (1, 99)) if sample.size else (0.0, 1.0)
        high = high if high > low else low + 1.0
        image = np.nan_to_num((image - low) / (high - low), nan=0.0, posinf=0.0, neginf=0.0)
        image = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()


def draw(
    image: np.ndarray,
    boxes_xyxy: np.ndarray | None,
    scores: np.ndarray | None,
    classes: np.ndarray,
    names: Mapping[int, str] | Sequence[str],
    *,
    corners: np.ndarray | None = None,
    masks: Sequence[Mask] | None = None,
    line: int | None = None,
    labels: str = "auto",
    legend: bool = True,
    enlarge: bool = True,
    max_labels: int = 60,
    truth_boxes: np.ndarray | None = None,
    truth_corners: np.ndarray | None = None,
    texts: Sequence[tuple[str, str]] | None = None,
    colours: Sequence[int] | None = None,
    ink: tuple[int, int, int] | None = None,
    font: str | None = None,
    font_px: int | None = None,
) -> np.ndarray:
    """Return a picture of the detections; the image given is left as it is.

    Args:
        image: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA of any dtype, see `to_display`.
        boxes_xyxy: (N, 4) in px of `image`; parts outside the image are cut off.
        scores: (N,) 0..1, or None for boxes without scores.
        classes: (N,) class numbers.
        names: Class number -> name, or a list of names; a number without a name is written as the number.
        corners: (N, 4, 2) of turned boxes, in order around each, to be drawn instead; ``boxes_xyxy`` are then those
            around them and need not be given (None).
        masks: N masks, to be drawn instead of the boxes.
        line: Line width in display px; default: 1 for small objects, up to 3 for large objects in large pictures.
        labels: ``"auto"`` writes name and score where this covers no other box, and only on large boxes when there
            are many; ``"all"`` writes every label; ``"none"`` none.
        legend: Add a strip below the picture with colour, name and count of each class.
        enlarge: Enlarge a picture whose longer side is below 480 px by a whole factor, its boxes with it.
        max_labels: Largest number of labels; the highest scores come first.
        truth_boxes: (M, 4) true boxes, drawn as white corners.
        truth_corners: (M, 4, 2) of true turned boxes, drawn likewise.
        texts: (name, number) of each label in the place of class and score; either may be empty.
        colours: (N,) numbers that choose the colours in the place of the classes.
        ink: RGB of the labels' text; default: the colour of the box.
        font: Font file to write with, where it can be opened.
        font_px: Size of the text in display px; default: as the picture is large.

    Returns:
        (H', W', 3) uint8 BGR; the first rows are the picture, the strip follows.

    Raises:
        DataError: The image has another shape, the lengths differ, a box is not finite or has a negative size,
            or `labels` is unknown.
    """
    if labels not in ("auto", "all", "none"):
        raise DataError(f"labels must be 'auto', 'all' or 'none', received {labels!r}")
    quads = None if corners is None else _checked_quads(corners, "corners")
    boxes = _checked(boxes_xyxy, "boxes_xyxy") if quads is None else hulls(quads)
    truth = _checked(truth_boxes if truth_boxes is not None else (), "truth_boxes")
    truth_quads = _checked_quads(truth_corners if truth_corners is not None else (), "truth_corners")
    classes = np.asarray(classes).reshape(-1).astype(int)
    scores = None if scores is None else np.asarray(scores, dtype=np.float64).reshape(-1)
    if any(v is not None and len(v) != len(boxes) for v in (classes, scores, masks)):
        n = "no" if scores is None else len(scores)
        also = "" if masks is None else f", {len(masks)} masks"
        raise DataError(
            f"received {len(boxes)} boxes{also}, {n} scores and {len(classes)} classes; expected one per box"
        )

    canvas, factor = to_display(image), 1
    if enlarge:
        canvas, factor = _enlarge(canvas)
    height, width = canvas.shape[:2]
    outer = _pixels(boxes * factor)
    shown = _on_picture(outer, height, width)
    short = (outer[:, 2:] - outer[:, :2]).min(1) if quads is None else _sides_of(quads * factor).min(1)
    widths = [max(1, line)] * len(outer) if line else _line_widths(short, max(height, width))
    bgr = [class_colour(c)[::-1] for c in (classes.tolist() if colours is None else colours)]
    if quads is not None:
        shapes, shade, outline = quads * factor, _shade_turned, _frame_turned
    elif masks is not None:
        shapes, shade, outline = [_enlarged(m, factor) for m in masks], _shade_mask, _frame_mask
    else:
        shapes, shade, outline = outer.tolist(), _shade, _frame

    # Large boxes first: what is small ends up on top. Halos first of all, so that none darkens a line.
    order = [i for i in np.argsort(-_area(outer), kind="stable").tolist() if shown[i]]
    for i in order:
        shade(canvas, shapes[i], widths[i])
    for b in (true := _pixels(truth * factor))[_on_picture(true, height, width)].tolist():
        _corners(canvas, b, line or 1)
    for quad in truth_quads * factor:
        _corners_turned(canvas, quad, line or 1)
    for i in order:
        outline(canvas, shapes[i], widths[i], bgr[i])

    size = font_px or text_height(max(height, width))
    if labels != "none" and order:
        if texts is None:
            numbers = [""] * len(boxes) if scores is None else [f"{v:.2f}" for v in scores]
            texts = [(_name(names, c), n) for c, n in zip(classes, numbers, strict=True)]
        rank = np.argsort(-scores, kind="stable") if scores is not None else np.arange(len(boxes))
        auto = labels == "auto"
        large = (max(_LARGE_PX, _LARGE_PART * max(height, width)) if len(order) > _FEW else 0) if auto else 0
        rank = rank[shown[rank] & (_short_side(outer)[rank] >= large)].tolist()
        known = names.values() if isinstance(names, Mapping) else names
        letters = frozenset("".join([*map(str, known), *(t for i in rank for t in texts[i])])) | _DIGITS
        pen = Pen(size, letters, font)
        grown = outer + np.array(widths)[:, None] * [-1, -1, 1, 1]
        _write_labels(canvas, rank, outer, grown[shown], np.cumsum(shown) - 1, texts, bgr, pen,
                      ink=ink[::-1] if ink else None, auto=auto, short=legend and auto, most=max_labels)  # fmt: skip
    if legend:
        given = truth_boxes is not None or truth_corners is not None
        more = [(TRUTH_RGB, "truth", len(truth) + len(truth_quads))] if given else []
        canvas = np.concatenate([canvas, legend_strip(width, classes, names, size, more)[..., ::-1]])
    return canvas


# --- geometry ---------------------------------------------------------------------------------------------------------


def _checked(boxes: object, what: str) -> np.ndarray:
    boxes = np.asarray(boxes, dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise DataError(f"{what} have shape {boxes.shape}; expected (N, 4) x1 y1 x2 y2 in pixels")
    bad = ~np.isfinite(boxes).all(1) | (boxes[:, 2:] < boxes[:, :2]).any(1)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise DataError(
            f"{what}[{i}] is {boxes[i].tolist()}; expected finite x1 <= x2 and y1 <= y2; check the box format (xyxy)"
        )
    return boxes


def _checked_quads(corners: object, what: str) -> np.ndarray:
    corners = np.asarray(corners, dtype=np.float64)
    corners = corners.reshape(0, 4, 2) if corners.size == 0 else corners
    if corners.ndim != 3 or corners.shape[1:] != (4, 2) or not np.isfinite(corners).all():
        raise DataError(f"{what} have shape {corners.shape}; expected finite (N, 4, 2) x y in pixels")
    return np.clip(corners, -1e6, 1e6)  # as in _pixels


def _sides_of(quads: np.ndarray) -> np.ndarray:
    """Return (N, 4) lengths of the sides of (N, 4, 2)."""
    return np.linalg.norm(quads - np.roll(quads, 1, axis=1), axis=2)


def _enlarged(mask: Mask, factor: int) -> Mask:
    return Mask(mask.top * factor, mask.left * factor, mask.patch.repeat(factor, 0).repeat(factor, 1))


def _enlarge(picture: np.ndarray) -> tuple[np.ndarray, int]:
    h, w = picture.shape[:2]
    if max(h, w) >= _TINY_PICTURE_PX:
        return picture, 1
    factor = math.ceil(_TINY_PICTURE_PX / max(h, w))
    # Up to x3 a smooth picture is easier to read; beyond, pixels are better seen as what they are.
    how = Image.Resampling.LANCZOS if factor <= 3 else Image.Resampling.NEAREST
    return np.array(Image.fromarray(picture).resize((w * factor, h * factor), how)), factor


def _pixels(boxes: np.ndarray) -> np.ndarray:
    """Return (N, 4) int: the first and last+1 pixel that each box touches."""
    # Clipped far outside any picture, so that absurd coordinates stay integers.
    boxes = np.clip(boxes, -1e6, 1e6)
    return np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(int)


def _on_picture(outer: np.ndarray, height: int, width: int) -> np.ndarray:
    return (outer[:, 0] < width) & (outer[:, 1] < height) & (outer[:, 2] > 0) & (outer[:, 3] > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def _short_side(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).min(1, initial=1 << 30)


def _line_widths(short: np.ndarray, longest: int) -> list[int]:
    if not len(short):
        return []
    small = max(_SMALL_PX, 0.012 * longest)
    # A picture of 2,000 px is mostly looked at on half as many: lines grow with it, unless its objects are small. One
    # width for the picture, and 1 px around what is smaller than the rest, reads calmer than a width per object.
    usual = int(np.clip(round(longest / 900), 1, 3)) if np.median(short) >= small else 1
    return np.where(short < small, 1, usual).tolist()


def _overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (M,) the px^2 that each rectangle of `a` (M, 4) shares with those of `b` (N, 4), summed over these."""
    shared = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    return np.maximum(shared, 0).prod(2).sum(1)


# --- lines ------------------------------------------------------------------------------------------------------------


def _sides(canvas: np.ndarray, b: Sequence[int], t: int) -> list[tuple[slice, slice]]:
    """Return the four bars of a frame of `t` px around box `b`, moved inwards at the rim of the picture."""
    h, w = canvas.shape[:2]
    left, top = max(b[0] - t, 0), max(b[1] - t, 0)
    right, bottom = min(b[2] + t, w), min(b[3] + t, h)
    rows, columns = slice(top, bottom), slice(left, right)
    return [
        (slice(top, min(top + t, bottom)), columns),
        (slice(max(bottom - t, top), bottom), columns),
        (rows, slice(left, min(left + t, right))),
        (rows, slice(max(right - t, left), right)),
    ]


def _frame(canvas: np.ndarray, b: Sequence[int], t: int, bgr: tuple[int, int, int]) -> None:
    for bar in _sides(canvas, b, t):
        canvas[bar] = bgr


def _shade(canvas: np.ndarray, b: Sequence[int], t: int) -> None:
    """Darken one px around the coming frame: a thin bright line is then visible on bright ground too."""
    for bar in _sides(canvas, (b[0] - t, b[1] - t, b[2] + t, b[3] + t), 1):
        canvas[bar] = _DARK[canvas[bar]]


def _corners(canvas: np.ndarray, b: Sequence[int], t: int) -> None:
    reach = max(2, min(12, round(0.3 * min(b[2] - b[0], b[3] - b[1])))) + t
    y1, y2, x1, x2 = b[1] - t, b[3] + t, b[0] - t, b[2] + t
    for rows, columns in _sides(canvas, b, t):
        yy = np.arange(rows.start, rows.stop)[:, None]
        xx = np.arange(columns.start, columns.stop)[None]
        keep = (np.minimum(yy - y1, y2 - 1 - yy) < reach) & (np.minimum(xx - x1, x2 - 1 - xx) < reach)
        canvas[rows, columns][keep] = TRUTH_RGB


def _turned_line(
    canvas: np.ndarray, quad: np.ndarray, away: float, width: int, parts: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the canvas around a turned box, and how much of each of its pixels (0..1) a line around the box covers.

    Args:
        canvas: (H, W, 3).
        quad: (4, 2) corners, in order around the box.
        away: How far outside of the box the middle of the line runs, in px.
        width: Width of the line in px; what smoothing adds comes to half a px on either side.
        parts: Open lines along the frame, as numbers that are interpolated between the corners; all of it where None.
    """
    along, across = (quad[[0, 1]] - quad[[3, 2]]).sum(0), (quad[[0, 3]] - quad[[1, 2]]).sum(0)
    out = [v / max(np.linalg.norm(v), 1e-9) for v in (along, across)]
    middle = quad + np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) @ out * away
    low = np.maximum(np.floor(middle.min(0)).astype(int) - width - 2, 0)
    high = np.minimum(np.ceil(middle.max(0)).astype(int) + width + 2, canvas.shape[1::-1])
    ground = canvas[low[1] : max(high[1], low[1]), low[0] : max(high[0], low[0])]
    cover = np.zeros(ground.shape[:2], np.uint8)
    if cover.size:
        local = np.rint((middle - low - 0.5) * (1 << _SUBPIXEL)).astype(np.int32)  # whole numbers are centres of pixels
        lines = [local] if parts is None else [_between(local, p) for p in parts]
        cv2.polylines(cover, lines, parts is None, 255, width, cv2.LINE_AA, _SUBPIXEL)
    return ground, cover[..., None] / np.float32(255)


def _between(quad: np.ndarray, at: np.ndarray) -> np.ndarray:
    first, part = np.floor(at).astype(int), (at % 1)[:, None]
    return np.rint(quad[first % 4] * (1 - part) + quad[(first + 1) % 4] * part).astype(np.int32)


def _shade_turned(canvas: np.ndarray, quad: np.ndarray, t: int) -> None:
    ground, cover = _turned_line(canvas, quad, t + 0.5, 1)
    ground[:] = ground * (1 - (1 - _HALO) * cover)


def _frame_turned(canvas: np.ndarray, quad: np.ndarray, t: int, bgr: tuple[int, int, int]) -> None:
    ground, cover = _turned_line(canvas, quad, t / 2, t)
    ground[:] = np.rint(ground * (1 - cover) + cover * np.float32(bgr))


def _corners_turned(canvas: np.ndarray, quad: np.ndarray, t: int) -> None:
    sides = np.maximum(_sides_of(quad[None])[0], 1e-9)  # [k] ends at corner k
    reach = max(2, min(12, 0.3 * sides.min()))
    parts = [np.array([k - min(reach / sides[k], 1), k, k + min(reach / sides[(k + 1) % 4], 1)]) for k in range(4)]
    ground, cover = _turned_line(canvas, quad, t / 2, t, parts)
    ground[:] = np.rint(ground * (1 - cover) + cover * np.float32(TRUTH_RGB))


def _around(canvas: np.ndarray, mask: Mask, reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the canvas around a mask, and there its pixels and those up to ``reach`` px away, these included."""
    h, w = canvas.shape[:2]
    patch = np.pad(mask.patch, reach).astype(np.uint8)
    top, left = mask.top - reach, mask.left - reach
    ground = canvas[max(top, 0) : max(top + patch.shape[0], 0), max(left, 0) : max(left + patch.shape[1], 0)]
    grown = cv2.dilate(patch, np.ones((3, 3), np.uint8), iterations=reach) if reach else patch
    inside = (slice(max(-top, 0), h - top), slice(max(-left, 0), w - left))
    return ground, patch[inside].astype(bool), grown[inside].astype(bool)


def _shade_mask(canvas: np.ndarray, mask: Mask, t: int) -> None:
    if mask.patch.any():
        ground, inside, around = _around(canvas, mask, t + 1)
        ground[around & ~inside] = _DARK[ground[around & ~inside]]


def _frame_mask(canvas: np.ndarray, mask: Mask, t: int, bgr: tuple[int, int, int]) -> None:
    if mask.patch.any():
        ground, inside, around = _around(canvas, mask, t)
        if min(mask.patch.shape) >= _SMALL_PX:
            ground[inside] = np.rint(ground[inside] * (1 - _TINT) + np.float32(bgr) * _TINT)
        ground[around & ~inside] = bgr


# --- text -------------------------------------------------------------------------------------------------------------


def _name(names: Mapping[int, str] | Sequence[str], class_id: int) -> str:
    try:
        return str(names[int(class_id)])
    except (KeyError, IndexError):
        return str(class_id)


@lru_cache(maxsize=1024)
def _ink(bgr: tuple[int, int, int]) -> np.ndarray:
    """Lighten dark class colours until they can be read on the dark ground of a label."""
    luma = 0.114 * bgr[0] + 0.587 * bgr[1] + 0.299 * bgr[2]
    part = max(0.0, (140 - luma) / (255 - luma))
    return np.array([round(v + (255 - v) * part) for v in bgr], np.float32)


def _write_labels(
    canvas: np.ndarray,
    rank: Sequence[int],
    boxes: np.ndarray,
    outlines: np.ndarray,
    places: np.ndarray,
    texts: Sequence[tuple[str, str]],
    colours: Sequence[tuple[int, int, int]],
    pen: Pen,
    *,
    ink: tuple[int, int, int] | None,
    auto: bool,
    short: bool,
    most: int,
) -> None:
    """Write the labels of the boxes in `rank` (best first) beside them.

    With `auto`, a label that would cover a box or another label is left out; with `short`, a box narrower than its
    label shows the score alone, its class being told by the colour.

    Args:
        canvas: (H, W, 3) BGR, changed in place.
        rank: Numbers of the boxes to label.
        boxes: (N, 4) all boxes.
        outlines: (M, 4) the boxes on the picture, with their lines.
        places: (N,) where a box stands in `outlines`.
        texts: (name, score) of each box.
        colours: BGR of each box.
        pen: What writes.
        ink: BGR of all texts, else those of the boxes.
        auto: See above.
        short: See above.
        most: Largest number of labels.
    """
    height, width = canvas.shape[:2]
    # Room for the labels that will have been written; far outside until then.
    taken = np.concatenate([outlines, np.full((min(most, len(rank)), 4), -1)])
    n, first = 0, len(outlines)
    for i in rank:
        if n >= most:
            break
        words = [w for w in texts[i] if w]
        if not words:
            continue
        b, (left, top, right, bottom) = boxes[i].tolist(), outlines[places[i]].tolist()
        w, h = pen.width(*words), pen.size + 4
        if short and w - 2 * MARGIN > b[2] - b[0] and texts[i][1]:
            words = [texts[i][1]]
            w = pen.width(*words)
        corners = [(left, top - h), (left, bottom), (right - w, top - h), (right, top), (left - w, top)]
        spots = np.array([_inside(x, y, w, h, width, height) for x, y in corners])
        own, taken[places[i]] = taken[places[i]].copy(), b  # its own line may be covered, its object may not
        cost = _overlap(spots, taken[: first + n])
        best, least = spots[cost.argmin()], cost.min()
        taken[places[i]] = own
        if auto and least > 0:
            # A box as large as the picture leaves no place outside: its own upper corner will do.
            best = np.array([max(b[0], 0), max(b[1], 0), max(b[0], 0) + w, max(b[1], 0) + h])
            others = np.delete(taken[: first + n], places[i], axis=0)
            if (b[2] - b[0]) * (b[3] - b[1]) < 30 * w * h or _overlap(best[None], others).sum() > 0:
                continue
        taken[first + n] = best
        n += 1
        x, y = best[:2].tolist()
        ground = canvas[y : y + h, x : x + w]
        cover = pen.cover(*words)[: ground.shape[0], : ground.shape[1]]
        ground[:] = 0.3 * (1 - cover) * ground + cover * (_ink(colours[i]) if ink is None else np.float32(ink))


def _inside(x: int, y: int, w: int, h: int, width: int, height: int) -> tuple[int, int, int, int]:
    x, y = max(min(x, width - w), 0), max(min(y, height - h), 0)
    return x, y, x + w, y + h


def legend_strip(
    width: int,
    classes: np.ndarray,
    names: Mapping[int, str] | Sequence[str],
    size: int,
    more: Sequence[tuple[tuple[int, int, int], str, int]] = (),
) -> np.ndarray:
    """Strip (H, width, 3) RGB with colour, name and count of each class, and of ``more``; ``size`` px of text."""
    ids, counts = np.unique(classes, return_counts=True)
    entries = [(class_colour(c), _name(names, c), int(n)) for c, n in zip(ids.tolist(), counts, strict=True)]
    entries += more
    font = find_font(size, frozenset("".join(name for _, name, _ in entries)))
    pad, box, gap = size // 2, round(0.8 * size), round(1.4 * size)

    # Lay the entries out in rows as wide as the picture.
    placed, x, y = [], pad, pad
    for rgb, name, n in entries:
        count = f" {n}"
        w_count = math.ceil(length(font, count))
        name = fitted(font, name, width - 2 * pad - box - pad - w_count)
        w_name = math.ceil(length(font, name))
        w = box + pad // 2 + w_name + w_count
        if x > pad and x + w > width - pad:
            x, y = pad, y + size + pad
        placed.append((x, y, rgb, name, w_name, count))
        x += w + gap

    out = Image.new("RGB", (width, y + size + pad), STRIP_RGB)
    pen = ImageDraw.Draw(out)
    for x, y, rgb, name, w_name, count in placed:
        middle = y + size / 2
        pen.rectangle((x, round(middle - box / 2), x + box, round(middle + box / 2)), fill=rgb)
        pen.text((x + box + pad // 2, middle), name, font=font, fill=INK_RGB, anchor="lm")
        pen.text((x + box + pad // 2 + w_name, middle), count, font=font, fill=DIM_RGB, anchor="lm")
    if not placed:
        pen.text((pad, pad + size / 2), "no detections", font=font, fill=DIM_RGB, anchor="lm")
    return np.asarray(out)

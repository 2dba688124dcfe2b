"""DOTA's text files: labels of objects, and the submission of detections to its evaluation server.

Source: Xia et al., DOTA: A Large-scale Dataset for Object Detection in Aerial Images, CVPR 2018; the form of the
submission as https://captain-whu.github.io/DOTA/tasks.html states it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rsdet.data.annotations import ImageRecord
from rsdet.errors import DataError
from rsdet.names import folder_names
from rsdet.writing import write_if_changed

HEADER = "imagesource:unknown\ngsd:null\n"


def _word(name: str) -> str:
    """A class name without blanks, which divide the fields of a row."""
    return "-".join(name.split())


def check_words(names: Sequence[str]) -> None:
    """Make sure that classes keep names of their own in DOTA's form.

    Raises:
        DataError: Two differ in their blanks alone.
    """
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(_word(name), name)) != name:
            raise DataError(
                f"DOTA's labels have no blanks in the names of classes, and {other!r} and {name!r} would both be "
                f"{_word(name)!r}; rename one in the source, or choose to=coco"
            )


def _numbers(values: Sequence[float], decimals: int) -> str:
    return " ".join(f"{float(v):.{decimals}f}".rstrip("0").rstrip(".") for v in values)


def dota_labels(record: ImageRecord, names: Sequence[str], task: str = "obb") -> str:
    """Label file of one image: two header lines, then ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult`` in pixels.

    Args:
        record: The image; for ``obb`` its objects have been through :func:`rsdet.data.forms.give_form`.
        names: Class names by number; blanks in them become ``-``.
        task: ``obb`` writes the corners of the oriented boxes, ``detect`` those of the upright ones.
    """
    rows = []
    for item in record.objects:
        x1, y1, x2, y2 = item.xyxy_px
        ring = item.polygons_px[0] if task == "obb" else (x1, y1, x2, y1, x2, y2, x1, y2)
        rows.append(f"{_numbers(ring, 4)} {_word(names[item.cls])} {int(item.difficult)}\n")
    return HEADER + "".join(rows)


def write_submission(
    folder: str | Path,
    names: Mapping[int, str],
    image_ids: Sequence[str],
    classes: Sequence[int],
    scores: Sequence[float],
    corners: np.ndarray,
) -> list[Path]:
    """Write detections for DOTA's evaluation server: one file per class, empty where nothing was found.

    ``Task1_<class>.txt`` for oriented boxes, ``Task2_<class>.txt`` for upright ones, each with rows of image id, score
    and 8 or 4 coordinates in pixels of the original picture, by image and score, the highest first.

    Args:
        folder: Where the files go; it is made.
        names: Class number to name.
        image_ids: (N) names of the pictures as the server knows them, without suffix: ``P0003``.
        classes: (N) class numbers.
        scores: (N) confidences.
        corners: (N, 8) or (N, 4, 2) corners of oriented boxes, or (N, 4) edges ``x1 y1 x2 y2`` of upright ones.

    Returns:
        The files.

    Raises:
        DataError: The lengths differ, a class has no name, a number is not finite, or a picture's name has a blank.
    """
    corners = np.asarray(corners, np.float64)
    corners = corners.reshape(len(corners), -1) if corners.size else np.zeros((0, 8))
    lengths = {len(image_ids), len(classes), len(scores), len(corners)}
    if len(lengths) > 1 or corners.shape[1] not in (4, 8):
        raise DataError(f"{lengths} names, classes, scores and boxes of {corners.shape[1]} numbers; give N of each")
    if not (np.isfinite(corners).all() and np.isfinite(np.asarray(scores, np.float64)).all()):
        raise DataError("a detection holds a number that is not finite; check the model with `rsdet val`")
    if unknown := sorted({int(c) for c in classes} - set(names)):
        raise DataError(f"class {unknown[0]} has no name; there are {len(names)}; give the names of the model")
    ids = list(map(str, image_ids))
    if blank := next((i for i in ids if len(i.split()) != 1), None):
        raise DataError(f"DOTA divides its fields by blanks, and a picture is called {blank!r}; rename the picture")
    rows: dict[int, list[tuple[str, float, str]]] = {number: [] for number in names}
    for image, number, score, place in zip(ids, classes, scores, corners, strict=True):
        rows[int(number)].append((image, -float(score), _numbers(place, 2)))
    task = "Task2" if corners.shape[1] == 4 else "Task1"
    written = []
    for number, part in folder_names({n: _word(name) for n, name in names.items()}).items():
        path = Path(folder) / f"{task}_{part}.txt"
        lines = (f"{image} {-score:.6f} {place}\n" for image, score, place in sorted(rows[number]))
        write_if_changed(path, "".join(lines))
        written.append(path)
    return written

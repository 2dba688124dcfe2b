"""What the labels of a data set are, looked at before anything learns from them: boxes, oriented boxes, or outlines.

Ultralytics tells them apart by the numbers in a line, takes the smallest rectangle around whatever outline it finds
for an oriented box, and leaves out files that mix lines of several kinds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ultralytics.data.utils import img2label_paths
from ultralytics.utils import LOCAL_RANK, LOGGER

from rsdet.data.annotations import MIN_SIDE_PX
from rsdet.errors import DataError
from rsdet.geometry import polygon_area
from rsdet.names import printable

MIN_AREA_PX = 1e-3  # a corner written with six decimals is good for a thousandth of a pixel
_MIXED = "labels mix"  # what Ultralytics' scan says of a file that holds boxes and outlines
_COLUMNS = "columns detected"  # and of one whose lines have another length
_BEYOND = re.compile(r"Label class (\d+) exceeds dataset class count (\d+)")  # and of one with a class without name
_HOLDS = {
    "boxes": "upright boxes (class and four numbers a line)",
    "corners": "oriented boxes (class and four corners a line)",
    "outlines": "outlines (class and corners a line)",
}


def check_messages(messages: Sequence[str], task: str) -> None:
    """Refuse a data set with files that hold lines of several kinds or of none, or classes without names, by a scan.

    Args:
        messages: What Ultralytics' scan says of files.
        task: ``detect``, ``obb`` or ``segment``.

    Raises:
        DataError: There are some.
    """
    unknown = [m for m in messages if _BEYOND.search(m)]
    if len(unknown) > 1:  # a single one is a slip of the pen: it is left out, which is told
        highest, known = (max(int(_BEYOND.search(m)[i]) for m in unknown) for i in (1, 2))
        raise DataError(
            f"{len(unknown)} label files hold classes up to {highest}, and names: of the data YAML has {known} (0 to "
            f"{known - 1}): those of {_some(_files(unknown, ''))}; name every class of the labels there, in the order "
            "of their numbers, or convert the source again."
        )
    if task != "detect" and (other := _files(messages, _COLUMNS)):
        raise DataError(
            f"{_some(other)} {_hold(other)} lines of another length than task={task} takes (class and four corners, or "
            "class and an outline; a box with an angle is none of these); write corners, or convert the source "
            f"(`rsdet convert task={task}`)."
        )
    if mixed := _files(messages, _MIXED):
        raise DataError(
            f"the labels of {_some(mixed)} mix boxes (five numbers a line) with corners or outlines; write labels of "
            "one kind, or convert the source again."
        )


def check_labels(labels: Sequence[dict[str, Any]], task: str) -> None:
    """Make sure that labels are what a task learns from.

    Args:
        labels: Labels of a data set as Ultralytics' scan has them, normalised.
        task: ``detect``, ``obb`` or ``segment``.

    Raises:
        DataError: They are of another kind, of several, or oriented boxes that are none.
    """
    boxes = [x["im_file"] for x in labels if len(x["cls"]) and not len(x["segments"])]
    drawn = [x for x in labels if len(x["segments"])]
    if boxes and drawn:
        files = img2label_paths([x["im_file"] for x in drawn])
        raise DataError(
            f"labels of two kinds: {_some(img2label_paths(boxes))} {_hold(boxes)} {_HOLDS['boxes']}, {_some(files)} "
            f"{_hold(files)} {_HOLDS['outlines']}; give each kind a data set of its own, or convert the source again."
        )
    if boxes and task != "detect":
        raise DataError(
            f"{_some(img2label_paths(boxes))} {_hold(boxes)} {_HOLDS['boxes']}, and task={task} learns from "
            f"{'four corners' if task == 'obb' else 'outlines'}; use task=detect, or data that have them (`rsdet "
            f"convert task={task}`)."
        )
    if task == "detect":
        _say_flat(labels)
    if not drawn:
        return
    corners = np.array([len(s) for x in drawn for s in x["segments"]])
    if task == "detect" and (corners == 4).all():
        files = img2label_paths([x["im_file"] for x in drawn])
        raise DataError(
            f"{_some(files)} {_hold(files)} {_HOLDS['corners']}, and task=detect learns from upright ones; use "
            "task=obb, or write upright boxes (`rsdet convert task=detect`)."
        )
    if task == "obb":
        _check_corners(drawn)
        if others := int((corners != 4).sum()):
            _say(f"{others} of {len(corners)} labels are outlines; their oriented box is the smallest around each.")
    if task == "segment":
        _check_outlines(drawn)
    if task == "segment" and (corners == 4).all():
        _say(f"all {len(corners)} labels have four corners: they are taken for the masks.")


def _check_corners(drawn: Sequence[dict[str, Any]]) -> None:
    """Refuse oriented boxes that are none: three corners, no area, sides that cross."""
    wrong: dict[str, int] = {}
    for x in drawn:
        quads = np.array([s for s in x["segments"] if len(s) == 4], np.float64).reshape(-1, 4, 2)
        quads = quads * x["shape"][::-1]
        sides = np.roll(quads, -1, 1) - quads
        after = np.roll(sides, -1, 1)
        turns = sides[..., 0] * after[..., 1] - sides[..., 1] * after[..., 0]
        crossed = ((turns > 0).sum(1) == 2) & ((turns < 0).sum(1) == 2)  # two to the left, two to the right
        bad = int((crossed | (polygon_area(quads) < MIN_AREA_PX)).sum()) + sum(len(s) < 4 for s in x["segments"])
        if bad:
            wrong[x["im_file"]] = bad
    if wrong:
        raise DataError(
            f"{sum(wrong.values())} labels in {_some(img2label_paths(list(wrong)))} are no oriented boxes (three "
            "corners, no area, or sides that cross); mend or remove these lines (`rsdet convert task=obb` puts corners "
            "in order, takes the smallest rectangle around three, and leaves out and counts what has no area)."
        )


def _check_outlines(drawn: Sequence[dict[str, Any]]) -> None:
    """Refuse outlines without area: a mask of nothing."""
    wrong = {
        x["im_file"]: bad
        for x in drawn
        if (bad := sum(polygon_area(np.float64(s)[None] * x["shape"][::-1])[0] < MIN_AREA_PX for s in x["segments"]))
    }
    if wrong:
        raise DataError(
            f"{sum(wrong.values())} labels in {_some(img2label_paths(list(wrong)))} are outlines without area; mend or "
            "remove these lines (`rsdet convert task=segment` leaves them out and counts them)."
        )


def _say_flat(labels: Sequence[dict[str, Any]]) -> None:
    """Say which boxes have no width or height. They stay: every protocol counts them, as objects that none can find."""
    flat = {
        x["im_file"]: n
        for x in labels
        if (n := int((x["bboxes"][:, 2:] * x["shape"][::-1] < MIN_SIDE_PX).any(1).sum()))
    }
    if flat and LOCAL_RANK in {-1, 0}:
        LOGGER.warning(
            f"{sum(flat.values())} labels in {_some(img2label_paths(list(flat)))} are boxes without width or height, "
            "which val counts as objects that are missed; remove these lines (`rsdet convert` leaves them out and "
            "counts them)."
        )


def _files(messages: Sequence[str], what: str) -> list[str]:
    """The pictures that messages of a scan are about."""
    return [re.sub("^(train|val|test): ", "", m.partition(": ignoring")[0]) for m in messages if what in m]


def _some(files: Sequence[str]) -> str:
    names = [printable(f) for f in files[:2]]
    return ", ".join(names) + (f" and {len(files) - 2} more" if len(files) > 2 else "")


def _hold(files: Sequence[str]) -> str:
    return "hold" if len(files) > 1 else "holds"


def _say(text: str) -> None:
    if LOCAL_RANK in {-1, 0}:
        LOGGER.info(text)

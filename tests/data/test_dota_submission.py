"""Detections in the form of DOTA's evaluation server."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rsdet.data.exporters.dota import write_submission
from rsdet.errors import DataError
from rsdet.geometry import xywhr_to_corners


def test_submission(tmp_path):
    corners = xywhr_to_corners([(30, 20, 16, 6, 0), (30, 20, 6, 16, 0), (5, 5, 2, 2, 0)])
    names = {0: "small vehicle", 1: "ship", 2: "plane"}
    files = write_submission(tmp_path, names, ["P2", "P1", "P1"], [0, 0, 1], [0.5, 0.25, 1], corners)
    assert [f.name for f in files] == ["Task1_small-vehicle.txt", "Task1_ship.txt", "Task1_plane.txt"]
    rows = [line.split() for line in files[0].read_text().splitlines()]
    assert [row[:2] for row in rows] == [["P1", "0.250000"], ["P2", "0.500000"]]
    assert np.array(rows[1][2:], float) == pytest.approx(corners[0].ravel())
    assert files[2].read_text() == ""
    (file,) = write_submission(tmp_path, {0: "ship"}, ["P1"], [0], [0.5], np.array([[1, 2, 3, 4.5]]))
    assert (file.name, file.read_text()) == ("Task2_ship.txt", "P1 0.500000 1 2 3 4.5\n")
    assert [f.read_text() for f in write_submission(tmp_path, {0: "ship"}, [], [], [], [])] == [""]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"classes": [7]}, "class 7 has no name"),
        ({"scores": [0.5, 0.5]}, "give N of each"),
        ({"scores": [math.nan]}, "not finite"),
        ({"image_ids": ["a b"]}, "rename the picture"),
    ],
)
def test_submissions_that_cannot_be_written(tmp_path, change, says):
    given = {"image_ids": ["P1"], "classes": [0], "scores": [0.5], "corners": np.ones((1, 8))} | change
    with pytest.raises(DataError, match=says):
        write_submission(tmp_path, {0: "ship"}, **given)
    assert not list(tmp_path.iterdir())

"""What a row of a YOLO file means: boxes, polygons, key points, confidences and track ids."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import boxes, drops, picture, text

from rsdet.data.importers import ImportOptions, read_dataset
from rsdet.errors import DataError

BOX = "0 0.5 0.5 0.2 0.2"
WANT = [("x", 40, 40, 60, 60)]


def source(root, rows, data=None, name="a"):
    picture(root / f"images/{name}.png", (100, 100))
    text(root / f"labels/{name}.txt", rows)
    if data is not None:
        text(root / "data.yaml", f"names: [x]\n{data}\n")
    return root


def read(root):
    return read_dataset(root, "yolo", ImportOptions(names=["x"]))


def read_boxes(root):
    found = boxes(read(root)[0], "train", "a.png")
    return [(name, *(pytest.approx(v) for v in edges)) for name, *edges in found]


@pytest.mark.parametrize(
    ("row", "beside"),
    [
        (f"{BOX} 0.87", "a confidence or a track id"),
        (f"{BOX} 17", "a confidence or a track id"),
        (f"{BOX} 0.87 17", "confidence and track id"),
        (f"{BOX} 0.87 17\n0 0.2 0.2 0.2 0.2 0.9 1", "confidence and track id"),
        ("0,0.5,0.5,0.2,0.2", None),
        ("0, 0.5, 0.5, 0.2, 0.2", None),
        ("0;0.5;0.5;0.2;0.2", None),
        ("0 0,5 0,5 0,2 0,2", None),
        ("0\t0.5\t0.5\t0.2\t0.2", None),
    ],
)
def test_boxes_with_something_beside_them(tmp_path, row, beside):
    root = source(tmp_path, row)
    data, log = read(root)
    assert boxes(data, "train", "a.png")[0] == ("x", *(pytest.approx(v) for v in WANT[0][1:]))
    assert len(data.splits["train"][0].objects) == row.count("\n") + 1
    assert drops(log) == []
    assert [n.reason.split(", in")[0][-len(beside or "") :] for n in log[""].notes] == ([beside] if beside else [])


@pytest.mark.parametrize("row", [f"{BOX} -30", f"{BOX} 0.87\n{BOX} 45.5", f"{BOX} -1\n{BOX} 0.87"])
def test_a_sixth_number_that_may_be_an_angle_is_not_passed_over(tmp_path, row):
    data, log = read(source(tmp_path, row))
    assert data.splits["train"][0].objects == []
    assert {k for _, _, k in drops(log)} == {"malformed line"}
    assert "angle" in log["train"].dropped[0].reason


@pytest.mark.parametrize("row", ["0 32 24 10 10", "0 32 24 10 10 40 40"])
def test_pixels_are_told(tmp_path, row):
    _, log = read(source(tmp_path, row, "task: segment"))
    assert [(k) for _, _, k in drops(log)] == ["not fractions of the image"]


@pytest.mark.parametrize("name", ["labels/a.png.txt", "labels/a.txt", "boxes/of/may/a.png.txt"])
def test_labels_named_after_the_whole_file(tmp_path, name):
    picture(tmp_path / "images/a.png", (100, 100))
    text(tmp_path / name, BOX)
    assert read_boxes(tmp_path) == WANT
    picture(tmp_path / "images/a.png.png", (100, 100))  # now there are two that it may belong to
    assert sum(len(r.objects) for r in read(tmp_path)[0].splits["train"]) <= 1


@pytest.mark.parametrize(
    ("shape", "row"),
    [
        ("[2, 2]", f"{BOX} 0.45 0.45 0.55 0.55"),
        ("[2, 3]", f"{BOX} 0.45 0.45 2 0.55 0.55 0"),
        ("[4, 2]", f"{BOX} 0.45 0.45 0.55 0.45 0.55 0.55 0.45 0.55"),
        ("[1, 3]", f"{BOX} 0.45 0.45 2"),
        ("[1, 3]", f"{BOX} 0.45 0.45 2 0.9"),
        ("[1, 3]", BOX),
    ],
)
def test_key_points_that_the_data_yaml_states(tmp_path, shape, row):
    assert read_boxes(source(tmp_path, row, f"kpt_shape: {shape}")) == WANT


def test_rows_of_another_length_than_the_key_points_are_told(tmp_path):
    _, log = read(source(tmp_path, f"{BOX} 0.4 0.4 0.6", "kpt_shape: [2, 2]"))
    assert drops(log) == [("labels/a.txt", "1", "malformed line")]
    assert "2 key points of 2 numbers" in log["train"].dropped[0].reason


@pytest.mark.parametrize("shape", ["2", "[2]", "[2, 4]", "[0, 2]", "[true, 2]", "[2.5, 2]", "x"])
def test_a_kpt_shape_that_is_none(tmp_path, shape):
    with pytest.raises(DataError, match="kpt_shape"):
        read(source(tmp_path, BOX, f"kpt_shape: {shape}"))


def key_point_rows(seed, n, points, step):
    """Objects anywhere, with points inside them and now and then a little outside."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        w, h = rng.uniform(0.02, 0.4, 2)
        xc, yc = rng.uniform(w / 2, 1 - w / 2), rng.uniform(h / 2, 1 - h / 2)
        place = rng.normal(0, 0.25, (points, 2)) * (w, h) + (xc, yc)
        seen = rng.integers(0, 3, points)
        parts = [[*np.clip(p, 0, 1), *([v] if step == 3 else [])] for p, v in zip(place, seen, strict=True)]
        rows.append(" ".join(f"{v:.6g}" for v in (0, xc, yc, w, h, *np.concatenate(parts))))
    return "\n".join(rows)


def polygon_rows(seed, n, corners):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
        w, h = rng.uniform(0.02, 0.2, 2)
        x = rng.uniform(w, 1 - w) + w * np.cos(angles)
        y = rng.uniform(h, 1 - h) + h * np.sin(angles)
        rows.append("0 " + " ".join(f"{v:.6g}" for v in np.stack([x, y], 1).ravel()))
    return "\n".join(rows)


@pytest.mark.parametrize(("points", "step"), [(1, 2), (2, 2), (4, 2), (5, 2), (17, 2), (2, 3), (4, 3)])
def test_key_points_that_nothing_states_are_never_read_as_polygons(tmp_path, points, step):
    for seed, n in ((0, 1), (1, 3), (2, 40)):
        root = source(tmp_path / str(seed), key_point_rows(seed, n, points, step))
        with pytest.raises(DataError, match=rf"kpt_shape: .*\[{points}, {step}\].* or task: segment"):
            read(root)


@pytest.mark.parametrize("corners", [3, 4, 7, 20])
@pytest.mark.parametrize("seed", range(3))
def test_polygons_that_nothing_states_are_read(tmp_path, corners, seed):
    rows = polygon_rows(seed, 40, corners)
    data, log = read(source(tmp_path, rows))
    assert drops(log) == []
    want = []
    for row in rows.split("\n"):
        values = np.array(row.split()[1:], float).reshape(-1, 2) * 100
        want.append((*values.min(0), *values.max(0)))
    assert [o.xyxy_px for o in data.splits["train"][0].objects] == [pytest.approx(w, abs=1e-3) for w in want]


def test_one_strange_row_does_not_make_tracks_of_triangles(tmp_path):
    rows = polygon_rows(0, 40, 3)
    data, log = read(source(tmp_path, f"{rows}\n{BOX} 0.87 17"))
    assert drops(log) == [("labels/a.txt", "41", "not fractions of the image")]
    assert all(len(o.polygons_px[0]) == 6 for o in data.splits["train"][0].objects)


@pytest.mark.parametrize("task", ["segment", "obb"])
def test_the_data_yaml_may_say_polygons(tmp_path, task):
    row = "0 0.3 0.3 0.4 0.3 0.4 0.4 0.3 0.4"
    with pytest.raises(DataError, match="may be polygons or boxes with key points"):
        read(source(tmp_path, row))
    assert read_boxes(source(tmp_path, row, f"task: {task}")) == [("x", 30, 30, 40, 40)]

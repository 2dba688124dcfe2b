"""Polygons and turned rectangles of rendered objects: they fit what is seen of each object, and the upright box."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import pytest

from rsdet.data.demo import label_lines, make_demo
from rsdet.data.demo_sar import make_demo_sar
from rsdet.data.outlines import outline, rectangle
from rsdet.data.sar_scenes import render_sar_scene
from rsdet.data.scenes import NAMES, render_scene, render_with_ids

SIZE, FINE = 192, 3  # the map of objects is three times finer than the picture
THIRD = 1 / FINE + 1e-4


@lru_cache(maxsize=1)
def objects():
    """Of 60 scenes, each object's class, box, polygon, corners and pixels: `(N, 2)` centres, in pixels of the image."""
    found = []
    for seed in range(60):
        scene, ids = render_with_ids(seed, SIZE)
        rows, columns = np.nonzero(ids)
        numbers = ids[rows, columns]
        centres = (np.stack([columns, rows], 1) + 0.5) / FINE
        for i, parts in enumerate(
            zip(scene.classes, scene.boxes_xyxy, scene.outlines_xy, scene.corners_xy, strict=True)
        ):
            found.append((*parts, centres[numbers == i + 1]))
    return found


def filled(polygon, scale):
    """(H, W) bool, `scale` pixels per pixel of the image."""
    canvas = np.zeros((SIZE * scale, SIZE * scale), np.uint8)
    cv2.fillPoly(canvas, [np.rint((polygon * scale - 0.5) * 256).astype(np.int32)], 1, cv2.LINE_8, 8)
    return canvas.view(bool)


def in_frame(points, corners):
    """Points in the frame of a rectangle: 0 to 1 along its first side and along its second."""
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    return np.stack([(points - corners[0]) @ v / (v @ v) for v in (along, across)], 1)


def test_polygons_cover_the_pixels_of_their_objects():
    scale = 4 * FINE
    for _, _, polygon, _, pixels in objects():
        if len(pixels) < 10 * FINE**2:
            continue
        mask = np.zeros((SIZE * FINE, SIZE * FINE), bool)
        mask[tuple((pixels * FINE).astype(int).T[::-1])] = True
        (x0, y0), (x1, y1) = (polygon.min(0) - 1).astype(int).clip(0), (polygon.max(0) + 2).astype(int)
        drawn = filled(polygon, scale)[y0 * scale : y1 * scale, x0 * scale : x1 * scale]
        seen = np.kron(mask[y0 * FINE : y1 * FINE, x0 * FINE : x1 * FINE], np.ones((4, 4), bool))
        assert (drawn & seen).sum() / (drawn | seen).sum() > 0.8


def test_hulls_are_the_upright_boxes():
    cut = 0
    for cls, box, polygon, corners, _ in objects():
        np.testing.assert_allclose([*polygon.min(0), *polygon.max(0)], box, atol=THIRD)
        hull = np.array([*corners.min(0), *corners.max(0)])
        assert (hull[:2] <= box[:2] + THIRD).all()
        assert (hull[2:] >= box[2:] - THIRD).all()
        if NAMES[cls] == "truck" and box.min() > 0 and box.max() < SIZE:  # a rectangle seen from above
            cut += np.abs(hull - box).max() > 1  # a tree hides a corner of it
    assert cut < 0.15 * sum(NAMES[o[0]] == "truck" for o in objects())


def test_rectangles_are_tight_on_every_side():
    for _, _, _, corners, pixels in objects():
        assert np.cross(corners[1] - corners[0], corners[2] - corners[1]) > 0  # clockwise as seen
        assert abs((corners[1] - corners[0]) @ (corners[3] - corners[0])) < 1e-6
        sides = np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[3] - corners[0])
        inside = in_frame(pixels, corners) * sides  # pixels from the rear left corner
        assert inside.min() > -THIRD
        assert (inside.max(0) < np.array(sides) + THIRD).all()
        assert (inside.min(0) < 1).all()
        assert (inside.max(0) > np.array(sides) - 1).all()


@pytest.mark.parametrize(("cls", "far_px"), [("car", 2.0), ("truck", 1.0)])
def test_corners_of_vehicles_lie_at_their_pixels(cls, far_px):
    distances = np.array(
        [
            np.linalg.norm(pixels[None] - corners[:, None], axis=2).min(1).max()
            for c, _, _, corners, pixels in objects()
            if NAMES[c] == cls
        ]
    )
    assert len(distances) > 50
    assert (
        np.mean(distances < far_px) > 0.85
    )  # trees and the edge of the picture hide corners of the others; cars are round


def test_sides_run_along_the_objects_not_along_the_picture():
    """Cars are long: the rectangle's first side is, and the rectangle is as narrow as a car is."""
    sides = np.array(
        [
            (np.linalg.norm(c[1] - c[0]), np.linalg.norm(c[3] - c[0]))
            for cls, box, _, c, _ in objects()
            if NAMES[cls] == "car" and box.min() > 0 and box.max() < SIZE
        ]
    )
    ratio = sides[:, 0] / sides[:, 1]
    assert 2.1 < np.median(ratio) < 2.6  # 4.6 m by 1.95 m
    assert np.mean(ratio > 1.7) > 0.9


def test_an_object_in_two_pieces_and_a_hole_are_one_polygon():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:25] = mask[10:20, 35:55] = True
    mask[13:16, 40:44] = False
    polygon = outline(mask)
    assert np.array_equal([*polygon.min(0), *polygon.max(0)], [5, 10, 55, 20])
    x, y = polygon.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    assert area == 400  # both pieces, the hole filled, nothing for the bridge


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_the_smallest_masks_have_an_outline_with_area(shape):
    polygon = outline(np.ones(shape, bool))
    assert len(polygon) >= 3
    assert np.array_equal([*polygon.min(0), *polygon.max(0)], [0, 0, *shape[::-1]])


def test_rectangle_along_an_angle_and_of_smallest_area():
    turn = np.array([(np.cos(0.5), np.sin(0.5)), (-np.sin(0.5), np.cos(0.5))])
    points = np.array([(0, 0), (8, 0), (8, 2), (0, 2), (4, 1)]) @ turn
    np.testing.assert_allclose(rectangle(points, 0.5), points[:4], atol=1e-9)
    smallest = rectangle(points)
    assert all(np.linalg.norm(points[:4] - c, axis=1).min() < 1e-4 for c in smallest)
    assert np.allclose(rectangle(points[:1], 0.5, margin=1.0).mean(0), points[0])


def test_ships_have_rectangles_along_their_hulls():
    ratios = []
    for seed in range(25):
        scene = render_sar_scene(seed, 160)
        assert scene.corners_xy.shape == (len(scene.boxes_xyxy), 4, 2)
        for box, corners in zip(scene.boxes_xyxy, scene.corners_xy, strict=True):
            if box.min() > 0 and box.max() < 160:
                assert (corners.min(0) < box[:2] + 1).all()
                assert (corners.max(0) > box[2:] - 1).all()
                ratios.append(np.linalg.norm(corners[1] - corners[0]) / np.linalg.norm(corners[3] - corners[0]))
    assert len(ratios) > 20
    assert np.mean(np.array(ratios) > 1.4) > 0.8


SMALL = {"n_train": 4, "n_val": 2, "size": 96, "progress": False}


@pytest.mark.parametrize("task", ["obb", "segment"])
def test_sets_have_the_same_pictures_and_as_many_labels(tmp_path, task):
    usual, other = make_demo(tmp_path / "a", **SMALL).parent, make_demo(tmp_path / "b", **SMALL, task=task).parent
    for image in (usual / "images").rglob("*.jpg"):
        twin = other / image.relative_to(usual)
        assert image.read_bytes() == twin.read_bytes()
        rows, turned = (
            [r.split() for r in (f.parents[2] / "labels" / f.parent.name / f"{f.stem}.txt").read_text().splitlines()]
            for f in (image, twin)
        )
        assert [r[0] for r in rows] == [r[0] for r in turned]
        assert all(len(r) == 9 if task == "obb" else len(r) >= 7 and len(r) % 2 for r in turned)
    assert make_demo(tmp_path / "b", **SMALL, task=task).parent == other


def test_sar_set_with_turned_ships(tmp_path):
    root = make_demo_sar(tmp_path / "s", **SMALL, task="obb").parent
    rows = [r.split() for f in (root / "labels").rglob("*.txt") for r in f.read_text().splitlines()]
    assert rows
    assert {len(r) for r in rows} == {9}


def test_labels_give_the_corners_back_and_are_the_same_by_seed():
    scene = render_scene(2, (128, 200), style="parking")
    for task, shapes in (("obb", scene.corners_xy), ("segment", scene.outlines_xy)):
        text = label_lines(scene, task)
        assert text == label_lines(render_scene(2, (128, 200), style="parking"), task)
        for line, shape in zip(text.splitlines(), shapes, strict=True):
            back = np.array(line.split()[1:], float).reshape(-1, 2) * (200, 128)
            np.testing.assert_allclose(back, shape, atol=1e-3)

"""protocol=dota is DOTA's kit; protocol=coco of masks is pycocotools; no protocol measures what it is not for."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references import polygons as plain

from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.geometry import xywhr_to_corners
from rsdet.metrics import PROTOCOLS, ImageDetections, ImageTruth, evaluate, get_protocol
from rsdet.metrics.masks import rle_areas, rle_boxes, rle_ious, to_rle

DATA = Path(__file__).parents[1] / "data" / "metrics"
CLASSES = ("ship", "harbor", "plane")
SQUARE = np.array([(10, 10), (20, 10), (20, 20), (10, 20)], float)


def oriented(image_id="a", corners=(), classes=None, **more) -> ImageTruth:
    classes = [0] * len(corners) if classes is None else classes
    return ImageTruth(image_id, (100, 100), None, classes, corners=np.reshape(corners, (-1, 4, 2)), **more)


def turned(image_id="a", corners=(), scores=None, classes=None) -> ImageDetections:
    n = len(corners)
    scores = np.linspace(0.9, 0.5, n) if scores is None else scores
    classes = [0] * n if classes is None else classes
    return ImageDetections(image_id, None, scores, classes, corners=np.reshape(corners, (-1, 4, 2)))


# --- dota -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dota():
    scene = json.loads((DATA / "dota.json").read_text())
    truth = [
        oriented(i, [r[:8] for r in rows], [CLASSES.index(r[8]) for r in rows], crowd=[r[9] for r in rows])
        for i, rows in scene["truth"].items()
    ]
    found = [
        turned(i, [r[:8] for r in rows], [r[9] for r in rows], [CLASSES.index(r[8]) for r in rows])
        for i, rows in scene["detections"].items()
    ]
    return truth, found


def test_dota_equals_its_kit(dota):
    want = json.loads((DATA / "reference_dota.json").read_text())
    for iou, ap in want["11 points"].items():
        below = want["curve"][iou]
        m = evaluate(
            *dota, protocol=replace(PROTOCOLS["dota"], iou_thresholds=(float(iou),)), names=dict(enumerate(CLASSES))
        )
        assert {c.name: c.ap for c in m.per_class} == pytest.approx(ap, abs=1e-12)
        assert m.ap == pytest.approx(np.mean(list(ap.values())), abs=1e-12)
        assert m.below_curve["AP"] == pytest.approx(np.mean(list(below.values())), abs=1e-12)
    m = evaluate(*dota, protocol="dota")
    assert m.ap50 == pytest.approx(np.mean(list(want["11 points"]["0.5"].values())), abs=1e-12)
    assert m.ap75 == pytest.approx(np.mean(list(want["11 points"]["0.75"].values())), abs=1e-12)
    assert m.ap < m.ap50
    rows = {r["metric"]: r["value"] for r in m.table() if not r["class"]}
    assert rows["AP50"] == m.ap50
    assert rows["AP50, area below the curve"] == m.below_curve["AP50"] != m.ap50


def test_difficult_objects_are_not_to_be_found(dota):
    m = evaluate(*dota, protocol="dota")
    assert m.n_boxes == sum((~t.crowd).sum() for t in dota[0]) < sum(len(t.crowd) for t in dota[0])
    alone = oriented(corners=[SQUARE, SQUARE + 50], crowd=[True, False])
    m = evaluate([alone], [turned(corners=[SQUARE, SQUARE, SQUARE + 50])], protocol="dota")
    assert (m.ap50, m.n_boxes) == (pytest.approx(1), 1)


def plain_voc(truths, found, iou_min: float) -> tuple[float | None, float | None]:
    """AP at 11 recalls and below the curve, of one class, one detection after another."""
    by_id = {t.image_id: t for t in truths}
    ranked = sorted(
        ((s, d.image_id, q) for d in found for s, q in zip(d.scores, d.corners, strict=True)), key=lambda r: -r[0]
    )
    n = sum(not hard for t in truths for hard in t.crowd)
    if not n:
        return None, None
    taken, tp, points = set(), 0, [(0.0, 0.0)]
    fp = 0
    for _, image, quad in ranked:
        t = by_id[image]
        ious = [plain.iou(quad, true) for true in t.corners]
        best = max(range(len(ious)), key=lambda j: (ious[j], -j), default=None)
        if best is not None and ious[best] > iou_min:
            if t.crowd[best]:
                continue
            hit = (image, best) not in taken
            taken.add((image, best))
            tp, fp = tp + hit, fp + (not hit)
        else:
            fp += 1
        points.append((tp / n, tp / (tp + fp)))
    at = [max((p for r, p in points if r >= t), default=0.0) for t in np.arange(0, 1.1, 0.1)]
    area = sum((points[i][0] - points[i - 1][0]) * max(p for _, p in points[i:]) for i in range(1, len(points)))
    return sum(at) / 11, area


BOX = st.tuples(st.integers(10, 50), st.integers(10, 50), st.integers(4, 30), st.integers(4, 30), st.floats(-2, 2))


def of_image(rows, image):
    """Corners of the boxes in one image, and what stands beside them."""
    rows = [r for r in rows if r[1] == image]
    return xywhr_to_corners(np.array([r[0] for r in rows], float).reshape(-1, 5)), [r[2] for r in rows]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(BOX, st.integers(0, 1), st.booleans()), max_size=6), st.lists(st.tuples(BOX, st.integers(0, 1)))
)
def test_small_scenes_agree_with_plain_loops(true, said):
    said = [(*row, 1 - i / 100) for i, row in enumerate(said)]
    truths = [oriented(i, c, crowd=hard) for i in (0, 1) for c, hard in [of_image(true, i)]]
    found = [turned(i, c, scores) for i in (0, 1) for c, scores in [of_image(said, i)]]
    m = evaluate(truths, found, protocol=replace(PROTOCOLS["dota"], iou_thresholds=(0.3,)), names={0: "ship"})
    ap, area = plain_voc(truths, found, 0.3)
    assert m.ap == (None if ap is None else pytest.approx(ap, abs=1e-12))
    assert m.below_curve["AP"] == (None if area is None else pytest.approx(area, abs=1e-12))


def test_a_detection_belongs_to_what_it_overlaps_most_even_if_that_is_taken():
    near = SQUARE + np.array([2, 0])
    t = oriented(corners=[SQUARE, near + np.array([1, 0])])
    # Both detections lie nearest to the first object; COCO would give the second one to the other object.
    m = evaluate([t], [turned(corners=[SQUARE, SQUARE + np.array([1, 0])])], protocol="dota")
    assert m.ar[2000] < m.per_class[0].n_boxes
    assert m.below_curve["AP50"] == pytest.approx(0.5)


@pytest.mark.parametrize(("height", "hit"), [(5.0, False), (5.001, True)])
def test_the_overlap_must_be_above_the_threshold(height, hit):
    low = np.array([(10, 10), (20, 10), (20, 10 + height), (10, 10 + height)])
    assert evaluate([oriented(corners=[SQUARE])], [turned(corners=[low])], protocol="dota").ap50 == hit


def test_all_detections_count_unless_a_cap_is_asked_for():
    stray = [SQUARE + 40] * 2500
    t, d = [oriented(corners=[SQUARE])], [turned(corners=[*stray, SQUARE])]
    assert evaluate(t, d, protocol="dota").ar[2000] == 1
    m = evaluate(t, d, protocol="dota", max_det=2500)
    assert (m.ar[2500], m.protocol.name) == (0, "dota@2500")


def test_a_turned_box_is_measured_as_such():
    cross = xywhr_to_corners(np.array([[50, 50, 40, 10, 0.0], [50, 50, 40, 10, np.pi / 2], [50, 50, 40, 10, np.pi]]))
    assert evaluate([oriented(corners=cross[:1])], [turned(corners=cross[1:2])], protocol="dota").ap50 == 0
    m = evaluate([oriented(corners=cross[:1])], [turned(corners=cross[2:])], protocol="dota")
    assert (m.ap, m.n_boxes_by_area) == (pytest.approx(1), {"all": 1})
    assert oriented(corners=cross).areas.tolist() == pytest.approx([400] * 3)


# --- masks ------------------------------------------------------------------------------------------------------------


def blob(rng, hw: tuple[int, int], centre, radius: float) -> list[np.ndarray]:
    angle = np.sort(rng.uniform(0, 2 * np.pi, 9))
    r = radius * rng.uniform(0.6, 1, 9)
    ring = np.stack([centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)], 1)
    return [ring.clip(0, [hw[1], hw[0]])]


def test_coco_of_masks_equals_pycocotools_reading_files(tmp_path):
    from pycocotools import mask as tool
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(5)
    images, annotations, results, truths, found = [], [], [], [], []
    for i in range(1, 9):
        hw = (160 + 10 * i, 200)
        images.append({"id": i, "height": hw[0], "width": hw[1]})
        rings, classes, crowd, drawn, said, scores = [], [], [], [], [], []
        for _ in range(0 if i == 3 else int(rng.integers(2, 8))):
            centre, radius = rng.uniform(20, 160, 2), float(rng.choice([8, 24, 80]))
            shape, category = blob(rng, hw, centre, radius), int(rng.integers(1, 3))
            rings.append(shape + blob(rng, hw, centre + radius, radius / 3) if rng.random() < 0.3 else shape)
            classes.append(category)
            crowd.append(int(rng.random() < 0.1))
            if rng.random() < 0.8:
                moved = [r + rng.normal(0, 0.1 * radius, 2) for r in shape]
                rle = tool.frPyObjects([r.clip(0, hw[::-1]).ravel().tolist() for r in moved], *hw)
                drawn.append(tool.decode(tool.merge(rle)).astype(bool))
                said.append(category if rng.random() < 0.9 else 3 - category)
                scores.append(round(float(rng.random()), 6))
        for shape, category, many in zip(rings, classes, crowd, strict=True):
            rle = tool.merge(tool.frPyObjects([r.ravel().tolist() for r in shape], *hw))
            segmentation = [r.ravel().tolist() for r in shape]
            if many:  # COCO's files hold crowds as uncompressed runs
                flat = tool.decode(rle).ravel(order="F")
                cuts = np.flatnonzero(np.diff(flat)) + 1
                counts = np.diff([0, *cuts, flat.size]).tolist()
                segmentation = {"size": list(hw), "counts": counts if flat[0] == 0 else [0, *counts]}
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": i, "category_id": category, "iscrowd": many,
                    "area": float(tool.area(rle)), "bbox": tool.toBbox(rle).tolist(), "segmentation": segmentation,
                }
            )  # fmt: skip
        for mask, category, score in zip(drawn, said, scores, strict=True):
            rle = tool.encode(np.asfortranarray(mask, dtype=np.uint8))
            runs = {**rle, "counts": rle["counts"].decode()}
            results.append({"image_id": i, "category_id": category, "score": score, "segmentation": runs})
        truths.append(ImageTruth(i, hw, None, classes, crowd=crowd, masks=rings))
        found.append(ImageDetections(i, None, scores, said, masks=np.array(drawn).reshape(-1, *hw)))
    categories = [{"id": 1, "name": "lake"}, {"id": 2, "name": "roof"}]
    (tmp_path / "truth.json").write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories})
    )
    (tmp_path / "found.json").write_text(json.dumps(results))
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(str(tmp_path / "truth.json"))
        run = COCOeval(gt, gt.loadRes(str(tmp_path / "found.json")), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    m = evaluate(truths, found, protocol="coco")
    areas = ("small", "medium", "large")
    got = [m.ap, m.ap50, m.ap75, *(m.ap_by_area[a] for a in areas), *m.ar.values(), *(m.ar_by_area[a] for a in areas)]
    want = [None if v == -1 else v for v in run.stats.tolist()]
    assert None not in want
    assert got == pytest.approx(want, abs=1e-12)
    boxes = evaluate(*([replace(x, masks=None) for x in part] for part in (truths, found)), protocol="coco")
    assert boxes.ap != pytest.approx(m.ap, abs=1e-3)  # the overlap is that of the masks


def test_masks_in_every_form():
    drawn = np.zeros((2, 20, 30), bool)
    drawn[0, 5:10, 6:16] = drawn[1, 0:3, 0:4] = True
    rle = to_rle(drawn, (20, 30))
    runs = [5 * 1 + 20 * 6, 5]
    plain_runs = {"size": [20, 30], "counts": [runs[0], 5, *[15, 5] * 9, 600 - runs[0] - 5 - 20 * 9]}
    polygon = [np.array([(6, 5), (16, 5), (16, 10), (6, 10)])]
    for same in (to_rle([plain_runs], (20, 30)), to_rle([polygon], (20, 30)), to_rle(rle[:1], (20, 30))):
        assert rle_ious(rle[:1], same)[0, 0] == 1
    assert rle_areas(rle).tolist() == [50, 12]
    assert rle_boxes(rle).tolist() == [[6, 5, 16, 10], [0, 0, 4, 3]]
    t = ImageTruth("a", (20, 30), None, [0, 1], masks=drawn)
    assert (t.areas.tolist(), t.boxes_xyxy.tolist()) == ([50, 12], [[6, 5, 16, 10], [0, 0, 4, 3]])
    assert t.pick(np.array([False, True])).areas.tolist() == [12]
    holed = to_rle([[polygon[0], np.array([(20, 1), (25, 1), (25, 4), (20, 4)])]], (20, 30))
    assert rle_areas(holed).tolist() == [65]  # the rings of an object are added up


# --- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "shape", "match"),
    [
        ("dota", "boxes", r"measures oriented boxes, received boxes; .* ultralytics, coco, aitod, visdrone\.$"),
        ("dota", "masks", r"measures oriented boxes, received masks; .* ultralytics, coco\.$"),
        ("coco", "corners", r"measures boxes and masks, received oriented boxes; .* ultralytics, dota\.$"),
        ("visdrone", "corners", r"received oriented boxes; .* ultralytics, dota\.$"),
        ("aitod", "masks", r"received masks; .* ultralytics, coco\.$"),
    ],
)
def test_a_protocol_refuses_what_it_is_not_for(protocol, shape, match):
    with pytest.raises(ConfigError, match=match):
        get_protocol(protocol, shape)
    mask = np.ones((1, 100, 100), bool)
    t = {
        "boxes": ImageTruth("a", (100, 100), [(0, 0, 5, 5)], [0]),
        "corners": oriented(corners=[SQUARE]),
        "masks": ImageTruth("a", (100, 100), None, [0], masks=mask),
    }
    with pytest.raises(ConfigError, match=match):
        evaluate([t[shape]], [], protocol=protocol)


BOXES = ImageDetections("a", [(0, 0, 5, 5)], [0.5], [0])
LINE = [[(1, 1), (5, 5)]]


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: evaluate([oriented(corners=[SQUARE])], [BOXES]), "hold boxes and oriented boxes"),
        (lambda: ImageTruth("a", (20, 30), None, [0], masks=np.ones((1, 30, 20))), "'a'.*20x30 px, its image 30x20 px"),
        (
            lambda: ImageTruth("a", (20, 30), None, [0], masks=[LINE]),
            r"masks\[0\] has a ring of less than three points",
        ),
        (lambda: ImageTruth("a", (20, 30), [(0, 0, 5, 5)], [0], masks=()), "0 masks for 1 boxes"),
        (lambda: turned(corners=[SQUARE * np.nan]), r"'a': detected boxes\[0\]"),
        (lambda: ImageDetections("a", None, [1], [0], corners=np.zeros((1, 3, 2))), r"corners .* shape \(1, 3, 2\)"),
    ],
)
def test_wrong_shapes_name_the_image(call, match):
    with pytest.raises(DataError, match=match) as e:
        call()
    assert "\n" not in str(e.value)


def test_oriented_boxes_need_no_pycocotools(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    assert evaluate([oriented(corners=[SQUARE])], [turned(corners=[SQUARE])], protocol="dota").ap50 == pytest.approx(1)
    with pytest.raises(MissingDependencyError, match="pip install"):
        to_rle(np.ones((1, 5, 5)))


def test_areas_of_more_masks_than_a_byte_can_count():
    masks = to_rle(np.ones((300, 4, 5), bool))
    np.testing.assert_array_equal(rle_areas(masks), np.full(300, 20.0))
    assert rle_areas(()).shape == (0,)

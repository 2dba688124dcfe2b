"""Detection protocols: golden numbers of pycocotools, an independent plain loop, properties, ignored regions."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.errors import ConfigError, DataError, MissingDependencyError
from rsdet.metrics import (
    PROTOCOLS,
    ImageDetections,
    ImageTruth,
    Protocol,
    Truth,
    detections_from_coco,
    evaluate,
    recall_ceiling,
    truth_from_coco,
)
from rsdet.metrics.detection_areas import covered_fraction

DATA = Path(__file__).parent / "data" / "metrics"
ONE_IOU = Protocol(name="ap50", areas={"all": (0, 1e10)}, max_dets=(100,), iou_thresholds=(0.5,))


def truth(image_id=1, boxes=(), classes=None, **more) -> ImageTruth:
    return ImageTruth(image_id, (100, 100), boxes, [0] * len(boxes) if classes is None else classes, **more)


def found(image_id=1, boxes=(), scores=None, classes=None) -> ImageDetections:
    n = len(boxes)
    scores = np.linspace(0.9, 0.5, n) if scores is None else scores
    return ImageDetections(image_id, boxes, scores, [0] * n if classes is None else classes)


def shaped(protocol, truths, dets):
    """The same boxes as oriented ones, for a protocol that is for these."""
    if "boxes" in PROTOCOLS[protocol].shapes:
        return truths, dets
    order = [[0, 1], [2, 1], [2, 3], [0, 3]]
    return tuple([replace(x, corners=x.boxes_xyxy[:, order]) for x in part] for part in (truths, dets))


@pytest.fixture(scope="module")
def golden():
    return truth_from_coco(DATA / "truth.json"), detections_from_coco(DATA / "detections.json")


# --- agreement with the reference -------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["coco", "aitod"])
def test_equals_reference_evaluator(golden, protocol):
    want = json.loads((DATA / f"reference_{protocol}.json").read_text())
    m = evaluate(*golden, protocol=protocol)
    got = {"ap": m.ap, "ap50": m.ap50, "ap75": m.ap75}
    got |= {f"ap_{a}": v for a, v in m.ap_by_area.items()} | {f"ar_{a}": v for a, v in m.ar_by_area.items()}
    got |= {f"ar_{k}": v for k, v in m.ar.items()} | {f"class_{c.class_id}": c.ap for c in m.per_class}
    assert {k: got[k] for k in want} == pytest.approx(want, abs=1e-9)
    assert (m.n_images, m.n_detections) == (30, 557)


def test_ap_is_taken_at_the_largest_cap(golden):
    # The scene has an image with 300 detections, so the cap shows; stock summarize() would report -1 for these caps.
    aps = [evaluate(*golden, protocol="coco", max_det=k).ap for k in (1, 10, 1500)]
    assert aps == sorted(aps)
    assert aps[0] < aps[1] < aps[2]
    assert aps[2] == pytest.approx(evaluate(*golden, protocol="aitod").ap, abs=1e-12)


def plain_ap(truths, detections, class_id, iou_min):
    """AP of one class at one IoU with plain loops: no pycocotools, no array tricks."""

    def overlap(a, b, crowd):
        w = min(a[2], b[2]) - max(a[0], b[0])
        h = min(a[3], b[3]) - max(a[1], b[1])
        if w <= 0 or h <= 0:
            return 0.0
        area_a, area_b = ((r[2] - r[0]) * (r[3] - r[1]) for r in (a, b))
        return w * h / (area_a if crowd else area_a + area_b - w * h)

    by_id = {d.image_id: d for d in detections}
    hits, n_true = [], 0
    for t in truths:
        rows = [
            (b.tolist(), bool(k)) for b, c, k in zip(t.boxes_xyxy, t.classes, t.crowd, strict=True) if c == class_id
        ]
        n_true += sum(not crowd for _, crowd in rows)
        if t.image_id not in by_id:
            continue
        d = by_id[t.image_id]
        own = [
            (float(s), b.tolist()) for b, s, c in zip(d.boxes_xyxy, d.scores, d.classes, strict=True) if c == class_id
        ]
        taken = set()
        for score, box in sorted(own, key=lambda r: -r[0])[:100]:
            best, best_iou = None, iou_min
            for j, (b, crowd) in enumerate(rows):
                if not crowd and j not in taken and overlap(box, b, False) >= best_iou:
                    best, best_iou = j, overlap(box, b, False)
            if best is not None:
                taken.add(best)
                hits.append((score, True))
            elif not any(crowd and overlap(box, b, True) >= iou_min for b, crowd in rows):
                hits.append((score, False))
    if not n_true:
        return None
    hits.sort(key=lambda r: -r[0])
    points, tp = [], 0
    for i, (_, good) in enumerate(hits, 1):
        tp += good
        points.append((tp / n_true, tp / i))
    return sum(max((p for r, p in points if r >= k / 100), default=0.0) for k in range(101)) / 101


@pytest.mark.parametrize("iou_min", [0.5, 0.75])
def test_agrees_with_plain_loops(golden, iou_min):
    m = evaluate(*golden, protocol=replace(ONE_IOU, iou_thresholds=(iou_min,)))
    for c, of_coco in zip(m.per_class, evaluate(*golden).per_class, strict=True):
        want = pytest.approx(plain_ap(*golden, c.class_id, iou_min), abs=1e-9)
        assert c.ap == want
        assert {0.5: of_coco.ap50, 0.75: of_coco.ap75}[iou_min] == want


def test_visdrone_agrees_with_plain_loops_on_capped_images(golden):
    truths, dets = golden
    best = [d.pick(sorted(range(len(d.scores)), key=lambda i: -d.scores[i])[:20]) for d in dets]
    m = evaluate(truths, dets, protocol=replace(PROTOCOLS["visdrone"], recall_points=101), max_det=20)
    for c in m.per_class:
        assert c.ap50 == pytest.approx(plain_ap(truths, best, c.class_id, 0.5), abs=1e-9)


# --- properties -------------------------------------------------------------------------------------------------------

box = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
labelled = st.lists(st.tuples(box, st.integers(0, 1)), max_size=6)


@st.composite
def scenes(draw):
    n = draw(st.integers(1, 3))
    truths = [truth(i, [b for b, _ in rows], [c for _, c in rows]) for i in range(n) for rows in [draw(labelled)]]
    per_image = [draw(labelled) for _ in range(n)]
    # Distinct scores: the rank of equal scores depends on the order, as in pycocotools.
    scores = iter(draw(st.permutations(range(1, 1 + sum(map(len, per_image))))))
    dets = [
        found(i, [b for b, _ in r], [next(scores) / 100 for _ in r], [c for _, c in r]) for i, r in enumerate(per_image)
    ]
    return truths, dets


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_small_scenes_agree_with_plain_loops(scene):
    m = evaluate(*scene, protocol=ONE_IOU)
    for c in m.per_class:
        assert c.ap == pytest.approx(plain_ap(*scene, c.class_id, 0.5), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(scenes(), st.randoms(use_true_random=False))
def test_order_changes_nothing(scene, random):
    truths, dets = list(scene[0]), []
    for d in scene[1]:
        order = list(range(len(d.scores)))
        random.shuffle(order)
        dets.append(d.pick(np.array(order, dtype=int)))
    random.shuffle(truths)
    random.shuffle(dets)
    assert evaluate(truths, dets).to_dict() == evaluate(*scene).to_dict()


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_a_lower_scored_false_positive_never_helps(scene):
    truths, dets = scene
    worse = [found(d.image_id, [*d.boxes_xyxy, (80, 80, 99, 99)], [*d.scores, 0.001], [*d.classes, 0]) for d in dets]
    before, after = evaluate(truths, dets), evaluate(truths, worse)
    if before.ap is not None:
        assert after.ap <= before.ap + 1e-12


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=10, deadline=None)
@given(scene=scenes())
def test_perfect_detections_score_one(protocol, scene):
    truths = [t for t in scene[0] if len(t.classes)]
    dets = [found(t.image_id, t.boxes_xyxy, classes=t.classes) for t in truths]
    m = evaluate(*shaped(protocol, truths, dets), protocol=protocol)
    want = None if not truths else pytest.approx(1.0)
    assert (m.ap, m.ap50, m.ar[m.max_det]) == (want, want, want)


# --- empty and wrong input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("truths", "dets", "ap"),
    [
        ([], [], None),
        ([truth()], [], None),
        ([truth()], [found(boxes=[(0, 0, 5, 5)])], None),  # only false detections: nothing to find, not zero
        ([truth(boxes=[(0, 0, 5, 5)])], [], 0.0),
        ([truth(boxes=[(0, 0, 5, 5)])], [found()], 0.0),
    ],
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_empty_sides(tmp_path, protocol, truths, dets, ap):
    m = evaluate(*shaped(protocol, truths, dets), protocol=protocol)
    assert m.ap == ap
    text = m.to_json(tmp_path / "m.json").read_text()  # allow_nan=False inside: NaN would raise
    assert json.loads(text)["ap"] == ap
    assert ("n/a" in m.to_csv(tmp_path / "m.csv").read_text()) or ap is not None


def test_class_without_truth_does_not_lower_the_mean():
    m = evaluate(
        Truth((truth(boxes=[(0, 0, 5, 5)]),), {0: "car", 1: "bus"}),
        [found(boxes=[(0, 0, 5, 5), (20, 20, 30, 30)], classes=[0, 2])],
    )
    assert m.ap == pytest.approx(1.0)
    assert [(c.name, c.n_boxes, c.ap) for c in m.per_class] == [
        ("car", 1, pytest.approx(1)),
        ("bus", 0, None),
        ("2", 0, None),
    ]


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (dict(boxes=[(0, 0, 5, 5), (0, 0, float("nan"), 5)]), r"image 'a\.jpg': detected boxes\[1\]"),
        (dict(boxes=[(9, 0, 5, 5)]), "a.jpg"),
        (dict(boxes=[(0, 0, 5, 5)], scores=[float("nan")]), "a.jpg.*scores"),
        (dict(boxes=[(0, 0, 5, 5)], scores=[0.1, 0.2]), "a.jpg.*2 scores for 1 boxes"),
        (dict(boxes=[(0, 0, 5)], scores=[0.1]), r"a.jpg.*shape \(1, 3\)"),
    ],
)
def test_bad_detections_name_the_image(bad, match):
    with pytest.raises(DataError, match=match) as e:
        found("a.jpg", **bad)
    assert "\n" not in str(e.value)


def test_bad_truth_names_the_image():
    with pytest.raises(DataError, match=r"7.*true boxes"):
        truth(7, [(5, 0, 1, 1)])


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: evaluate([truth()], [], protocol="visdron"), ConfigError, "Did you mean 'visdrone'"),
        (lambda: evaluate([truth()], [], max_det=0), ConfigError, "max_det must be >= 1"),
        (lambda: evaluate([truth()], [found(2)]), DataError, "image 2.*truth does not hold"),
        (lambda: evaluate([truth(), truth()], []), DataError, "more than once"),
        (lambda: recall_ceiling([truth()], 0), ConfigError, "n_queries"),
        (lambda: Protocol("x", areas={"small": (0, 1)}, max_dets=(1,)), ConfigError, "'all'"),
        (lambda: Protocol("x", areas={"all": (0, 1)}, max_dets=(100, 1)), ConfigError, "ascending"),
        (lambda: Protocol("x", {"all": (0, 1)}, (1,), ignore_rule="drop"), ConfigError, "drop-both"),
        (lambda: truth_from_coco("missing.json"), DataError, "missing.json"),
        (lambda: truth_from_coco({"images": []}), DataError, "annotations"),
        (lambda: detections_from_coco([{"image_id": 1}]), DataError, "bbox"),
    ],
)
def test_user_errors_advise(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_missing_pycocotools_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        evaluate([truth()], [])


# --- ignored regions, crowds, caps, groups ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("regions", "fraction"),
    [
        ([], 0.0),
        ([(0, 0, 5, 10)], 0.5),
        ([(0, 0, 5, 10), (0, 0, 5, 10)], 0.5),  # the same region twice counts once
        ([(0, 0, 6, 10), (4, 0, 10, 5)], 0.8),  # 60 + 30 - 10
        ([(20, 20, 30, 30)], 0.0),
        ([(-50, -50, 50, 50)], 1.0),
    ],
)
def test_covered_fraction_is_of_the_union(regions, fraction):
    boxes = np.array([(0.0, 0.0, 10.0, 10.0)])
    assert covered_fraction(boxes, np.array(regions, dtype=float).reshape(-1, 4)) == pytest.approx([fraction])


@settings(max_examples=30, deadline=None)
@given(st.lists(box, min_size=1, max_size=4), st.lists(box, max_size=5))
def test_covered_fraction_equals_a_pixel_count(boxes, regions):
    mask = np.zeros((64, 64), dtype=bool)
    for x1, y1, x2, y2 in regions:
        mask[y1:y2, x1:x2] = True
    want = [mask[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in boxes]
    got = covered_fraction(np.array(boxes, dtype=float), np.array(regions, dtype=float).reshape(-1, 4))
    assert got == pytest.approx(want)


IGNORED = (50, 0, 100, 100)
HIT, STRAY, INSIDE = (10, 10, 20, 20), (60, 60, 80, 80), (60, 10, 70, 20)


@pytest.mark.parametrize(
    ("protocol", "ap50", "dropped"),
    [
        # True boxes: HIT outside the region, INSIDE within it. Detections: STRAY (0.9, false), then both true boxes.
        (
            PROTOCOLS["coco"].with_ignore_regions(True),
            1.0,
            (1, 0),
        ),  # STRAY dropped, the detection of INSIDE is kept with its true box
        ("visdrone", 1.0, (2, 1)),  # INSIDE and its detection dropped too
        ("coco", 2 / 3, (0, 0)),
    ],
)
def test_ignored_regions(protocol, ap50, dropped):
    t = truth(boxes=[HIT, INSIDE], ignore_xyxy=[IGNORED])
    m = evaluate([t], [found(boxes=[STRAY, HIT, INSIDE])], protocol=protocol)
    assert m.ap50 == pytest.approx(ap50)
    assert (m.n_ignored_detections, m.n_ignored_boxes) == dropped
    assert m.n_boxes == 2 - dropped[1]


def test_a_hit_of_another_class_does_not_save_a_detection_in_an_ignored_region():
    t = truth(boxes=[HIT, INSIDE], classes=[0, 1], ignore_xyxy=[IGNORED])
    d = [found(boxes=[INSIDE, HIT], classes=[0, 0])]
    assert evaluate([t], d, ignore_regions=True).n_ignored_detections == 1
    assert evaluate([t], d, ignore_regions=True, class_agnostic=True).n_ignored_detections == 0


def test_crowds_are_neither_hit_nor_miss():
    t = truth(boxes=[HIT, (40, 40, 90, 90)], crowd=[False, True])
    m = evaluate([t], [found(boxes=[(45, 45, 55, 55), (60, 60, 70, 70), HIT])])
    assert m.ap == pytest.approx(1.0)
    assert m.n_boxes == 1


def test_visdrone_caps_over_all_classes_and_coco_per_class():
    # One box of class 1 behind 500 better scored detections of class 0 in the same image.
    t = truth(boxes=[HIT], classes=[1])
    boxes = [*[(50, 50, 60, 60)] * 500, HIT]
    d = [found(boxes=boxes, classes=[0] * 500 + [1])]
    assert evaluate([t], d, protocol="coco").ar[1] == pytest.approx(1.0)
    assert evaluate([t], d, protocol="visdrone").ar == {1: 0.0, 10: 0.0, 100: 0.0, 500: 0.0}
    assert evaluate([t], d, protocol="visdrone", max_det=501).ap == pytest.approx(1.0)


def test_class_agnostic_forgives_the_class():
    t, d = [truth(boxes=[HIT], classes=[3])], [found(boxes=[HIT], classes=[4])]
    assert evaluate(t, d).ap == 0.0
    assert evaluate(t, d, class_agnostic=True).ap == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("side", "area"), [(7, "vt"), (9, "t"), (15, "t"), (17, "s"), (31, "s"), (33, "m"), (200, "m")]
)
def test_aitod_areas(side, area):
    b = [(0, 0, side, side)]
    m = evaluate([truth(boxes=b)], [found(boxes=b)], protocol="aitod")
    assert {a for a, n in m.n_boxes_by_area.items() if n} == {"all", area}
    assert {a for a, v in m.ap_by_area.items() if v is not None} == {"all", area}


def test_groups_are_measured_apart(golden):
    images = [replace(t, groups={"odd"} if t.image_id % 2 else {"even", "calm"}) for t in golden[0]]
    m = evaluate(images, golden[1], by_group=True)
    assert list(m.groups) == ["calm", "even", "odd"]
    odd = [t for t in images if t.image_id % 2]
    alone = evaluate(odd, [d for d in golden[1] if d.image_id % 2])
    assert m.groups["odd"].to_dict() == alone.to_dict()
    assert evaluate(images, golden[1]).groups == {}
    assert {r["group"] for r in m.table()} == {"", "calm", "even", "odd"}


@pytest.mark.parametrize(("n_queries", "want"), [(1, 2 / 4), (2, 3 / 4), (3, 1.0), (1500, 1.0)])
def test_recall_ceiling(n_queries, want):
    three = truth(2, [HIT] * 4, crowd=[0, 0, 0, 1])
    assert recall_ceiling([truth(1, [HIT]), three, truth(3)], n_queries) == pytest.approx(want)
    assert recall_ceiling([truth(3)], n_queries) is None


# --- records and reports ----------------------------------------------------------------------------------------------


def test_coco_reader_splits_ignored_categories():
    data = {
        "images": [{"id": "x", "height": 10, "width": 20, "groups": ["inshore"]}],
        "categories": [{"id": 0, "name": "ignored regions"}, {"id": 4, "name": "car"}],
        "annotations": [
            {"image_id": "x", "category_id": 0, "bbox": [1, 2, 3, 4]},
            {"image_id": "x", "category_id": 4, "bbox": [5, 6, 7, 8], "iscrowd": 1},
        ],
    }
    t = truth_from_coco(data, ignore_classes=("ignored regions",))
    (image,) = t
    assert t.names == {4: "car"}
    assert image.ignore_xyxy.tolist() == [[1, 2, 4, 6]]
    assert image.boxes_xyxy.tolist() == [[5, 6, 12, 14]]
    assert (image.size_hw, image.groups, image.crowd.tolist()) == ((10, 20), {"inshore"}, [True])


def test_reports_carry_the_protocol(golden, tmp_path):
    from rich.console import Console

    images = [replace(t, groups={"[odd]"} if t.image_id % 2 else ()) for t in golden[0]]
    m = evaluate(
        images, golden[1], protocol="aitod", by_group=True, max_det=50, names={1: "[bold]car", 2: "船", 5: "ship"}
    )

    out = io.StringIO()
    m.print(Console(file=out, width=100))
    assert out.getvalue().count("protocol=aitod@50") >= 4  # description and each table
    for text in ("CHANGED", "[bold]car", "船", "[odd]", "AP_vt", "AR@50"):
        assert text in out.getvalue()

    with m.to_csv(tmp_path / "new" / "m.csv").open(encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    assert {r["protocol"] for r in rows} == {"aitod@50"}
    first = next(r for r in rows if r["metric"] == "AP" and not r["group"] and not r["class"])
    assert float(first["value"]) == m.ap

    loaded = json.loads(m.to_json(tmp_path / "m.json").read_text(encoding="utf-8"))
    assert loaded["ap"] == m.ap
    assert loaded["protocol"]["name"] == "aitod@50"
    assert loaded["groups"]["[odd]"]["n_images"] == 15


def test_real_labels_against_themselves(shared_data):
    path = shared_data / "visdrone-labels" / "visdrone2019-det-train-first50image.json"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    t = truth_from_coco(path)
    dets = [found(i.image_id, i.boxes_xyxy, classes=i.classes) for i in t]
    m = evaluate(t, dets, protocol=replace(PROTOCOLS["visdrone"], iou_thresholds=(0.5,)))
    assert (m.n_images, m.n_boxes) == (50, 1208 + 2118)
    assert m.ap == pytest.approx(1.0, abs=0.02)  # an image with more than 500 objects would lower it
    assert recall_ceiling(t, 10) < recall_ceiling(t, 300) <= 1.0

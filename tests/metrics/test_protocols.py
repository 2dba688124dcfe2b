"""A protocol's name is a promise: coco is pycocotools, aitod is aitodpycocotools, visdrone is the DET toolkit."""

from __future__ import annotations

import contextlib
import io
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rsdet.errors import ConfigError
from rsdet.metrics import PROTOCOLS, ImageDetections, ImageTruth, detections_from_coco, evaluate, truth_from_coco

DATA = Path(__file__).parents[1] / "data" / "metrics"
SCENES = ["", "edges_"]


def scene(name: str) -> tuple[dict, list[dict]]:
    return tuple(json.loads((DATA / f"{name}{part}.json").read_text()) for part in ("truth", "detections"))


def numbers(m) -> dict[str, float | None]:
    got = {"ap": m.ap, "ap50": m.ap50, "ap75": m.ap75}
    got |= {f"ap_{a}": v for a, v in m.ap_by_area.items()} | {f"ar_{a}": v for a, v in m.ar_by_area.items()}
    return got | {f"ar_{k}": v for k, v in m.ar.items()}


# --- coco and aitod ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENES)
def test_coco_equals_pycocotools_and_ignored_regions_change_nothing(name):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = scene(name)
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = json.loads(json.dumps(truth))
        gt.createIndex()
        run = COCOeval(gt, gt.loadRes(json.loads(json.dumps(found))), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    areas = ("small", "medium", "large")
    keys = ["ap", "ap50", "ap75", *(f"ap_{a}" for a in areas), "ar_1", "ar_10", "ar_100", *(f"ar_{a}" for a in areas)]
    want = {k: None if v == -1 else v for k, v in zip(keys, run.stats.tolist(), strict=True)}

    regions = np.array([(0, 0, 400, 400), (200, 200, 600, 500)], dtype=float)
    images = [replace(t, ignore_xyxy=regions) for t in truth_from_coco(truth)]
    m = evaluate(images, detections_from_coco(found), protocol="coco")
    got = numbers(m)
    assert {k: got[k] for k in keys} == pytest.approx(want, abs=1e-12)
    assert (m.n_ignored_detections, m.n_ignored_boxes, m.plain_mean) == (0, 0, {})


@pytest.mark.parametrize("name", SCENES)
def test_aitod_equals_aitodpycocotools(name):
    want = json.loads((DATA / "reference_aitodpycocotools.json").read_text())[name]
    truth, found = scene(name)
    got = numbers(evaluate(truth_from_coco(truth), detections_from_coco(found), protocol="aitod"))
    assert {k: got[k] for k in want} == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize(
    ("wh", "protocol", "ranges"),
    [
        ((8, 8), "aitod", {"vt", "t"}),
        ((4, 16), "aitod", {"vt", "t"}),
        ((16, 16), "aitod", {"t", "s"}),
        ((32, 32), "aitod", {"s", "m"}),
        ((8, 8.01), "aitod", {"t"}),
        ((32, 32), "coco", {"small", "medium"}),
        ((96, 96), "coco", {"medium", "large"}),
        ((32, 32), "visdrone", {"small", "medium"}),
        ((96, 96), "visdrone", {"medium", "large"}),
    ],
)
def test_a_box_at_the_limit_of_two_ranges_belongs_to_both(wh, protocol, ranges):
    x, y = 1017.37, 333.11  # where x + 8 - x is not 8 in binary
    box = [(x, y, x + wh[0], y + wh[1])]
    m = evaluate([ImageTruth(1, (2000, 2000), box, [0])], [ImageDetections(1, box, [0.9], [0])], protocol=protocol)
    assert {a for a, n in m.n_boxes_by_area.items() if n} == {"all", *ranges}
    assert {a for a, v in m.ap_by_area.items() if v is not None} == {"all", *ranges}


def test_the_annotated_area_decides_the_range():
    data = {
        "images": [{"id": 1, "height": 100, "width": 100}],
        "categories": [{"id": 1, "name": "car"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 900}],
    }
    m = evaluate(truth_from_coco(data), [])
    assert (m.n_boxes_by_area["small"], m.n_boxes_by_area["medium"]) == (1, 0)
    del data["annotations"][0]["area"]
    assert evaluate(truth_from_coco(data), []).n_boxes_by_area["medium"] == 1


# --- visdrone ---------------------------------------------------------------------------------------------------------
# The evaluation of the VisDrone2018-DET-toolkit in plain loops, on its own rows: left, top, width, height, score,
# category; category 0 is an ignored region. Integer boxes in the truth, as its files have them.


def nearest(v: float) -> int:
    return int(abs(v) + 0.5) * (1 if v >= 0 else -1)


def outside(rows: list, regions: list, width: int, height: int) -> list:
    """Rows of which less than half lies in the regions, by counting pixels numbered from 1."""
    marked = set()
    for left, top, w, h in ([max(1, v) for v in r[:4]] for r in regions):
        for px in range(left, min(width, left + w) + 1):
            marked |= {(px, py) for py in range(top, min(height, top + h) + 1)}
    kept = []
    for row in rows:
        left, top, w, h = (max(1, nearest(v)) for v in row[:4])
        left, top = min(left, width), min(top, height)
        inside = 0
        for px in range(left + 1, min(width, left + w) + 1):
            inside += sum((px, py) in marked for py in range(top + 1, min(height, top + h) + 1))
        if not regions or inside / (h * w) < 0.5:
            kept.append(row)
    return kept


def overlap(a: list, b: list) -> float:
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return w * h / (a[2] * a[3] + b[2] * b[3] - w * h) if w > 0 and h > 0 else 0.0


def toolkit(images: list[tuple[int, int, list, list]], caps=(1, 10, 100, 500)) -> dict[str, float]:
    """AP and AR of images (width, height, truth rows, detection rows, the best first)."""
    clean = []
    for width, height, truth, found in images:
        regions = [r for r in truth if r[5] == 0]
        objects = [r for r in truth if r[5] != 0]
        clean.append((outside(objects, regions, width, height), outside(found, regions, width, height)))
    thresholds = [0.5 + 0.05 * i for i in range(10)]
    ap, ar, listed = {}, {}, []
    for c in range(1, 11):
        listed += [c for truth, _ in clean if any(r[5] == c for r in truth)]
        for i, threshold in enumerate(thresholds):
            for cap in caps:
                n, ranked = 0, []
                for truth, found in clean:
                    own = [r for r in truth if r[5] == c]
                    n += len(own)
                    taken = set()
                    for row in sorted((r for r in found[:cap] if r[5] == c), key=lambda r: -r[4]):
                        best, at = threshold, None
                        for g, true in enumerate(own):
                            if g not in taken and (o := overlap(row, true)) >= best:
                                best, at = o, g
                        taken |= set() if at is None else {at}
                        ranked.append((row[4], at is not None))
                ranked.sort(key=lambda r: -r[0])
                hits, curve = 0, []
                for k, (_, hit) in enumerate(ranked, 1):
                    hits += hit
                    curve.append((hits / max(1, n), hits / k))
                ar[c, i, cap] = max((r for r, _ in curve), default=0.0)
            area, before = 0.0, 0.0
            for k, (recall, _) in enumerate(curve):
                area += (recall - before) * max(p for _, p in curve[k:])
                before = recall
            ap[c, i] = area

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    found = {"ap": mean([ap[c, i] for c in listed for i in range(10)])}
    found |= {"ap50": mean([ap[c, 0] for c in listed]), "ap75": mean([ap[c, 5] for c in listed])}
    found |= {f"ar_{k}": mean([ar[c, i, k] for c in listed for i in range(10)]) for k in caps}
    classes = sorted(set(listed))
    return found | {"plain": mean([ap[c, i] for c in classes for i in range(10)])}


def drone_images(seed: int, n: int = 12) -> list[tuple[int, int, list, list]]:
    """Images of skewed classes: category 4 nearly everywhere and well found, 9 and 10 rare and hardly found."""
    rng = random.Random(seed)
    images = []
    for i in range(n):
        width, height = rng.choice([(60, 45), (80, 60)])
        truth, found = [], []
        for _ in range(rng.randint(0, 3)):
            truth.append([rng.randint(0, width - 5), rng.randint(0, height - 5), *rng.choices(range(1, 30), k=2), 0, 0])
        for c in [4] * rng.randint(1, 6) + [1] * rng.randint(0, 2) + ([9] if i % 5 == 0 else []) + [10] * (i == 3):
            w, h = rng.randint(3, 16), rng.randint(3, 16)
            row = [rng.randint(0, width - w), rng.randint(0, height - h), w, h, 1, c]
            truth.append(row)
            if rng.random() < (0.9 if c == 4 else 0.5):
                moved = [v + rng.choice([0, 0, 0.2, -0.4, 1.1]) for v in row[:4]]
                found.append([*moved, rng.random(), c if rng.random() < 0.9 else rng.choice([1, 4, 9])])
        for _ in range(rng.randint(0, 8)):
            w, h = rng.uniform(3, 14), rng.uniform(3, 14)
            found.append(
                [rng.uniform(0, width - w), rng.uniform(0, height - h), w, h, rng.random(), rng.choice([1, 4, 9])]
            )
        images.append((width, height, truth, sorted(found, key=lambda r: -r[4])))
    return images


def records(images: list) -> tuple[list[ImageTruth], list[ImageDetections]]:
    def boxes(rows: list) -> list:
        return [(x, y, x + w, y + h) for x, y, w, h, *_ in rows]

    truths, dets = [], []
    for i, (width, height, truth, found) in enumerate(images):
        objects, regions = ([r for r in truth if (r[5] == 0) == ignored] for ignored in (False, True))
        truths.append(
            ImageTruth(i, (height, width), boxes(objects), [r[5] for r in objects], ignore_xyxy=boxes(regions))
        )
        dets.append(ImageDetections(i, boxes(found), [r[4] for r in found], [r[5] for r in found]))
    return truths, dets


@pytest.mark.parametrize("seed", range(4))
def test_visdrone_equals_the_toolkit(seed):
    images = drone_images(seed)
    want = toolkit(images)
    m = evaluate(*records(images), protocol="visdrone")
    got = numbers(m) | {"plain": m.plain_mean["AP"]}
    assert {k: got[k] for k in want} == pytest.approx(want, abs=1e-12)
    assert abs(got["ap"] - got["plain"]) > 0.02  # else the scene would not tell the two means apart
    assert m.n_ignored_detections > 0
    assert m.n_ignored_boxes > 0


def test_visdrone_drops_before_it_caps():
    # The best detection lies in an ignored region; were the cap of 1 taken first, nothing would be left to hit.
    truth = [[40, 0, 20, 20, 0, 0], [10, 10, 10, 10, 1, 4]]
    found = [[45, 5, 8, 8, 0.9, 4], [10, 10, 10, 10, 0.5, 4]]
    images = [(60, 60, truth, found)]
    assert toolkit(images)["ar_1"] == 1
    assert evaluate(*records(images), protocol="visdrone").ar[1] == 1


@pytest.mark.parametrize(("width", "dropped"), [(4, 0), (5, 1), (6, 1)])
def test_half_of_a_box_in_a_region_is_enough(width, dropped):
    # A region from pixel 11 on, 1 + w wide, over a box of pixels 11 .. 20: 5, 6, 7 of 10 columns where w is 4, 5, 6.
    images = [(60, 60, [[11, 1, width - 1, 50, 0, 0], [10, 10, 10, 10, 1, 4]], [[10, 10, 10, 10, 0.9, 4]])]
    m = evaluate(*records(images), protocol="visdrone")
    assert (m.n_ignored_boxes, m.n_ignored_detections) == (dropped, dropped)
    assert len(outside(images[0][3], images[0][2][:1], 60, 60)) == 1 - dropped


# --- the option -------------------------------------------------------------------------------------------------------

REGION = np.array([(50.0, 0, 100, 100)])


def image(boxes, classes=(0,)) -> ImageTruth:
    return ImageTruth(1, (100, 100), boxes, list(classes), ignore_xyxy=REGION)


@pytest.mark.parametrize(
    ("box", "dropped"),
    [((40, 10, 60, 20), 1), ((39.9, 10, 60, 20), 0), ((40.1, 10, 60, 20), 1)],  # 50 %, a little less, a little more
)
def test_ignore_regions_drops_detections_of_which_half_is_inside(box, dropped):
    found = [ImageDetections(1, [box], [0.9], [0])]
    m = evaluate([image([(0, 0, 10, 10)])], found, protocol="coco", ignore_regions=True)
    assert m.n_ignored_detections == dropped
    assert evaluate([image([(0, 0, 10, 10)])], found, protocol="coco").n_ignored_detections == 0


@pytest.mark.parametrize(("width", "kept"), [(20, True), (19.9, False), (20.1, True)])
def test_ignore_regions_keeps_hits_from_half_an_overlap_on(width, kept):
    # Detection 10 x 10 in the region around a labelled object of 10 x 20: IoU 0.5 where it spans half of it.
    true, found = (60, 10, 70, 30), (60, 10, 70, 10 + width / 2)
    m = evaluate([image([true])], [ImageDetections(1, [found], [0.9], [0])], protocol="aitod", ignore_regions=True)
    assert m.n_ignored_detections == (not kept)


@pytest.mark.parametrize(
    ("protocol", "use", "name"),
    [
        ("coco", True, "coco+ignore"),
        ("coco", False, "coco"),
        ("aitod", True, "aitod+ignore"),
        ("visdrone", True, "visdrone"),
        ("visdrone", False, "visdrone-ignore"),
    ],
)
def test_a_changed_rule_shows_in_the_name_and_in_the_description(protocol, use, name):
    rule = PROTOCOLS[protocol].with_ignore_regions(use)
    assert rule.name == name
    assert ("CHANGED" in rule.description) == (name != protocol)
    assert rule.with_ignore_regions(use) == rule


def test_unknown_rules_are_refused_by_name():
    for key in ("ignore_rule", "cap", "mean"):
        with pytest.raises(ConfigError, match="'other'"):
            replace(PROTOCOLS["coco"], **{key: "other"})


def test_both_means_are_printed_and_tabulated():
    from rich.console import Console

    m = evaluate(*records(drone_images(0)), protocol="visdrone")
    out = io.StringIO()
    m.print(Console(file=out, width=120))
    assert "AP, each class once" in out.getvalue()
    assert "once for every image that holds it" in " ".join(out.getvalue().split())
    rows = {r["metric"]: r["value"] for r in m.table() if not r["class"]}
    assert rows["AP"] == m.ap
    assert (
        rows["AP, each class once"]
        == m.plain_mean["AP"]
        == pytest.approx(np.mean([c.ap for c in m.per_class if c.n_boxes]))
    )

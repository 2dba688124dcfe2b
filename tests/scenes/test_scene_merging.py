"""Merging of what tiles have found: a function of the set, equal to the rules written out, and crowds stay crowds."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.geometry import hulls, polygon_area, polygon_iou, xywhr_to_corners
from rsdet.scenes.found import Found
from rsdet.scenes.merging import cut_report, merge
from rsdet.scenes.settings import MERGING

pytest.importorskip("shapely", reason="merging looks pairs up in shapely's tree")

IOU, INSIDE = 0.5, 0.7
KINDS = ("boxes", "turned", "masks")


def found_of(boxes, scores=None, classes=0, tiles=0, cut=False, guest=False, **shapes) -> Found:
    """Objects of which only what matters is said."""
    n = len(boxes)
    scores = np.linspace(0.9, 0.5, n) if scores is None else scores
    rows = (np.broadcast_to(np.asarray(x), n) for x in (scores, classes, tiles, 0, cut, guest))
    return Found(np.asarray(boxes, float).reshape(-1, 4), *rows, **shapes)


def random_scene(seed: int, kind: str, n: int = 150) -> Found:
    """Objects much denser than any scene has them, of four tiles at two scales."""
    rng = np.random.default_rng(seed)
    centre = rng.uniform(0, 40, (n, 2))
    centre[n // 2 :] = centre[: n - n // 2] + rng.normal(0, 0.7, (n - n // 2, 2))  # the other half: seen again
    sides, angle = rng.uniform(4, 12, (n, 2)), rng.uniform(-2, 2, n)
    quads = xywhr_to_corners(np.c_[centre, sides, angle if kind != "boxes" else 0 * angle])
    shapes = {"turned": {"corners": quads}, "masks": {"outlines": [[q] for q in quads]}}.get(kind, {})
    tiles = rng.integers(0, 4, n)
    flags = rng.random((2, n)) < 0.25
    scores = rng.uniform(0.3, 1, n).astype(np.float32)
    return replace(found_of(hulls(quads), scores, rng.integers(0, 2, n), tiles, *flags, **shapes), scales=tiles % 2)


@st.composite
def coarse_scenes(draw) -> Found:
    """Boxes on a grid of few values, so that equal scores, equal boxes and overlaps of just 0.5 are common."""
    few = st.integers(0, 6)
    row = st.tuples(few, few, st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), few, few, few, few)
    rows = np.array(draw(st.lists(row, max_size=24)), int).reshape(-1, 9)
    x, y, w, h, score, label, tile, cut, guest = rows.T
    return found_of(np.stack([x, y, x + w, y + h], 1), score / 4, label // 4, tile // 2, cut > 4, guest > 4)


def measured(f: Found):
    """(N, N) IoU, and share of each object's area (row) that another (column) covers."""
    n = len(f)
    shapes = np.array([q[0] for q in f.outlines]) if f.outlines is not None else f.corners
    iou, both = np.zeros((n, n)), np.zeros((n, n))
    if shapes is None:
        area = (f.boxes_xyxy[:, 2:] - f.boxes_xyxy[:, :2]).prod(1)
        for i in range(n):
            for j in range(n):
                (ax, ay, aX, aY), (bx, by, bX, bY) = f.boxes_xyxy[i], f.boxes_xyxy[j]
                both[i, j] = max(0, min(aX, bX) - max(ax, bx)) * max(0, min(aY, bY) - max(ay, by))
                iou[i, j] = both[i, j] / (area[i] + area[j] - both[i, j])
    else:
        area = polygon_area(shapes)
        for i in range(n):
            iou[i] = polygon_iou(np.repeat(shapes[i : i + 1], n, 0), shapes)
            both[i] = iou[i] / (1 + iou[i]) * (area[i] + area)
    return iou, both / area[:, None]


def reference(found: Found, method: str):
    """The rules, object by object: rows (score, box, number of the object whose shape it has), ordered by number."""
    f = found.in_order()
    n = range(len(f))
    iou, inside = measured(f)
    rivals = [[j for j in n if f.tiles[i] != f.tiles[j] and f.classes[i] == f.classes[j]] for i in n]
    kept = set(n)
    for i in n:  # guests that an owner has; fragments of what another tile has whole
        for j in rivals[i]:
            match = iou[i, j] >= IOU or max(inside[i, j], inside[j, i]) >= INSIDE
            fragment = f.cut[i] and not f.cut[j] and inside[i, j] >= INSIDE
            if not f.guest[j] and (match if f.guest[i] else fragment):
                kept.discard(i)
    for i in sorted((i for i in kept if f.guest[i]), key=lambda i: (f.cut[i], i)):
        for j in rivals[i] if i in kept else ():
            first = (f.cut[i], i) < (f.cut[j], j)
            if f.guest[j] and first and (iou[i, j] >= IOU or max(inside[i, j], inside[j, i]) >= INSIDE):
                kept.discard(j)
    halves = f.cut[:, None] & f.cut & (np.maximum(inside, inside.T) >= INSIDE)
    iou = np.where(halves, np.maximum(inside, inside.T), iou)
    same = {i: [j for j in rivals[i] if j in kept and iou[i, j] >= IOU] for i in kept}
    scores = f.scores.astype(float)
    if method == "soft-nms":
        left = set(kept)
        while left:
            i = min(left, key=lambda i: (-scores[i], i))
            left.remove(i)
            for j in left.intersection(same[i]):
                scores[j] *= 1 - iou[i, j]
        return [(scores[i], f.boxes_xyxy[i], i) for i in sorted(kept) if np.float32(scores[i]) >= min(f.scores)]
    out = []
    while kept:
        i = min(kept)
        members = [i]
        for tile in {f.tiles[j] for j in same[i] if j in kept}:
            members.append(min((j for j in same[i] if j in kept and f.tiles[j] == tile), key=lambda j: (-iou[i, j], j)))
        kept -= set(members)
        boxes, weights = f.boxes_xyxy[members], scores[members]
        box, score = boxes[0], weights[0]
        if method == "nmm":
            box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        if method == "wbf":
            score = weights.mean()
            box = boxes[0] if f.corners is not None or f.outlines is not None else weights @ boxes / weights.sum()
        out.append((score, box, i))
    return out


def rows(scores, boxes):
    """Score and box of each, in an order that rounding does not change."""
    table = np.column_stack([np.asarray(scores, float), np.reshape(boxes, (-1, 4))])
    return table[np.lexsort(np.round(table, 4).T)]


def assert_as_reference(found: Found, method: str) -> None:
    ours, theirs = merge(found, method, IOU), reference(found, method)
    if method == "nmm" and found.corners is not None:  # their boxes are those of turned hulls, tested below
        theirs = [(score, 0 * box, i) for score, box, i in theirs]
        ours = replace(ours, boxes_xyxy=0 * ours.boxes_xyxy)
    assert len(ours) == len(theirs)
    a, b = rows(ours.scores, ours.boxes_xyxy), rows([t[0] for t in theirs], [t[1] for t in theirs])
    np.testing.assert_allclose(a, b, atol=1e-5)
    assert not ours.guest.any()


@pytest.mark.parametrize("method", MERGING)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_rules_written_out(kind, method, seed):
    assert_as_reference(random_scene(seed, kind), method)


@pytest.mark.parametrize("method", MERGING)
@given(found=coarse_scenes())
@settings(max_examples=60, deadline=None)
def test_equals_the_rules_where_scores_boxes_and_overlaps_tie(method, found):
    assert_as_reference(found, method)


@pytest.mark.parametrize("method", MERGING)
@given(found=coarse_scenes(), seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 24), max_size=4))
@settings(max_examples=60, deadline=None)
def test_same_bytes_for_any_order_split_and_join(method, found, seed, cuts):
    shuffled = np.random.default_rng(seed).permutation(len(found))
    parts = [found.take(some) for some in np.split(shuffled, sorted(min(c, len(found)) for c in cuts))]
    stored = [Found.of_bytes(part.to_bytes()) for part in parts]
    assert merge(Found.joined(stored), method).to_bytes() == merge(found, method).to_bytes()


@pytest.mark.parametrize("method", MERGING)
@pytest.mark.parametrize("kind", KINDS)
def test_same_bytes_for_any_order_of_shapes(kind, method):
    found = random_scene(9, kind)
    twin = found.take(np.arange(20))  # equal but for their shape: a turned box and its mirror image have one hull
    if kind == "turned":
        twin = replace(twin, corners=twin.corners[:, ::-1])
    if kind == "masks":
        twin = replace(twin, outlines=[[ring[::-1]] for (ring,) in twin.outlines])
    found = Found.joined([found, twin, replace(twin, cut=~twin.cut)])
    bytes_ = {merge(found.take(np.random.default_rng(k).permutation(len(found))), method).to_bytes() for k in range(6)}
    assert len(bytes_) == 1


def seen(centre, sides, tile: int, overlap: int, seed: int) -> Found:
    """What tiles around objects hand in: clipped to the tile, each with its own jitter of half a pixel either way."""
    rng = np.random.default_rng(seed)
    core, guest, parts = tile - overlap, 3, []
    tiles = (centre.max(0) // core).astype(int) + 1
    for k, place in enumerate(np.ndindex(*tiles)):
        start = np.array(place) * core
        middle = centre + rng.uniform(-0.5, 0.5, centre.shape)
        whole = np.concatenate([middle - sides / 2, middle + sides / 2], 1)
        boxes = np.clip(whole, *(np.tile(edge, 2) for edge in (start, start + tile)))
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        low = np.where(np.array(place) == 0, -np.inf, start + overlap / 2)
        high = np.where(place == tiles - 1, np.inf, start + tile - overlap / 2)
        beyond = np.maximum(low - middle, middle - high).max(1)
        own = (beyond < guest) & (boxes[:, :2] < boxes[:, 2:]).all(1)
        cut = (boxes != whole).any(1)
        scores = rng.uniform(0.3, 1, own.sum())
        parts.append(found_of(boxes[own], scores, tiles=k, cut=cut[own], guest=beyond[own] >= 0))
    return Found.joined(parts)


@pytest.mark.parametrize("method", ["nms", "nmm", "wbf"])
@pytest.mark.parametrize("seed", range(4))
def test_touching_vehicles_stay_as_many(method, seed):
    x, y = (a.ravel() for a in np.meshgrid(np.arange(40) * 6 + 13, np.arange(30) * 12 + 16))
    found = seen(np.stack([x, y], 1), np.array([6, 12]), tile=80, overlap=16, seed=seed)
    assert len(found) > 1.05 * len(x)  # many are seen twice
    out = merge(found, method)
    assert len(out) == len(x)
    sides = out.boxes_xyxy[:, 2:] - out.boxes_xyxy[:, :2]
    assert (sides <= np.array([7, 13]) + 1e-9).all()  # none has swallowed its neighbour


@pytest.mark.parametrize("method", MERGING)
@pytest.mark.parametrize("largest", [8, 32, 40])  # of an overlap of 32 px; 40 px are cut by both tiles
def test_objects_of_all_sizes_come_out_once(method, largest):
    rng = np.random.default_rng(largest)
    n = 12
    corner = np.stack(np.meshgrid(np.arange(n), np.arange(n)), -1).reshape(-1, 2) * largest * 1.5 + 5
    sides = rng.uniform(max(6, largest / 4), largest, (n * n, 2))
    found = seen(corner + sides / 2 + rng.uniform(0, largest / 2 - 2, (n * n, 2)), sides, 96, 32, seed=largest)
    assert len(found) > n * n
    assert len(merge(found, method)) == n * n


def test_row_whose_boxes_overlap_by_more_than_the_threshold_stays_as_many():
    # Parked aslant: neighbours' boxes overlap by 0.6. Each of two tiles sees all five, the other one slightly aside.
    left = np.arange(5) * 5.0
    row = np.stack([left, 0 * left, left + 20, 0 * left + 20], 1)
    found = Found.joined([found_of(row, tiles=0), found_of(row + 0.3, np.linspace(0.5, 0.9, 5), tiles=1)])
    for method in ("nms", "nmm", "wbf"):
        out = merge(found, method)
        assert len(out) == 5
        assert ((out.boxes_xyxy[:, 2] - out.boxes_xyxy[:, 0]) < 20.5).all()


def test_one_tile_is_left_as_it_is():
    found = random_scene(1, "boxes")
    alone = replace(found, tiles=0 * found.tiles, guest=found.guest & False)
    assert all(merge(alone, m).to_bytes() == alone.in_order().to_bytes() for m in MERGING)
    assert len(merge(Found.none())) == 0


def test_guest_is_kept_where_nobody_else_has_it_and_yields_to_the_weakest_owner():
    guest, owner = [0, 0, 10, 10], [1, 0, 11, 10]
    assert len(merge(found_of([guest], guest=True))) == 1
    out = merge(found_of([guest, owner], [0.9, 0.1], tiles=[0, 1], guest=[True, False]))
    assert out.boxes_xyxy.tolist() == [owner]
    out = merge(found_of([guest, owner], [0.9, 0.1], [0, 1], [0, 1], guest=[True, False]))
    assert len(out) == 2  # another class


def test_fragment_yields_to_the_whole_whatever_the_scores_but_no_whole_to_what_lies_in_it():
    whole, fragment = [0, 0, 100, 20], [0, 0, 30, 20]
    out = merge(found_of([fragment, whole], [0.9, 0.3], tiles=[0, 1], cut=[True, False]))
    assert out.boxes_xyxy.tolist() == [whole]
    assert len(merge(found_of([fragment, whole], [0.9, 0.3], tiles=[0, 1], cut=[False, True]))) == 2
    assert len(merge(found_of([fragment, whole], [0.9, 0.3], tiles=[0, 0], cut=[True, False]))) == 2  # one tile


def test_object_larger_than_the_overlap_is_one_and_nmm_has_all_of_it():
    # 300 px long, tiles share 128: one ends at 64, the other one begins at -64.
    halves = found_of([[-210, 0, 64, 40], [-64, 0, 90, 40]], tiles=[0, 1], cut=True)
    assert len(merge(halves, "nms")) == len(merge(halves, "wbf")) == 1
    assert merge(halves, "nmm").boxes_xyxy.tolist() == [[-210, 0, 90, 40]]


def test_nmm_grows_turned_boxes_along_themselves_and_joins_masks():
    angle = 0.6
    along = 2 * np.array([np.cos(angle), np.sin(angle)])
    quads = xywhr_to_corners(np.array([[50, 50, 20, 6, angle], [*(np.array([50, 50]) + along), 20, 6, angle]]))
    grown = xywhr_to_corners(np.array([[*(np.array([50, 50]) + along / 2), 22, 6, angle]]))
    turned = merge(found_of(hulls(quads), tiles=[0, 1], corners=quads), "nmm")
    np.testing.assert_allclose(turned.corners, grown, atol=1e-9)
    np.testing.assert_allclose(turned.boxes_xyxy, hulls(grown), atol=1e-9)
    masks = merge(found_of(hulls(quads), tiles=[0, 1], outlines=[[q] for q in quads]), "nmm")
    (ring,) = masks.outlines[0]
    assert float(polygon_area(ring)) == pytest.approx(22 * 6)


def test_masks_of_any_shape_are_compared():
    tie = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], float)  # crosses itself: two triangles, 50 px
    two = [tie[[0, 1, 2]], np.array([[0, 20], [4, 20], [4, 24]], float)]
    odd = [[tie], two, [], [tie[:2]], [np.zeros((4, 2))]]
    boxes = np.tile([[0, 0, 10, 24]], (10, 1))
    found = found_of(boxes, tiles=np.arange(10), outlines=[*odd, *odd])
    for method in MERGING:
        kept = merge(found, method)
        assert len(kept) in (8, 9)  # the two with an area met their twins; soft-nms may keep what has no area alone
    assert len(merge(found, "nms")) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_without_area_or_number_are_passed_on(kind):
    quads = np.zeros((4, 4, 2))
    quads[2:] = np.nan
    shapes = {"turned": {"corners": quads}, "masks": {"outlines": [[q] for q in quads]}}.get(kind, {})
    odd = found_of(hulls(quads), tiles=range(4), **shapes)
    for method in MERGING:
        assert len(merge(odd, method)) == 4


def test_soft_nms_lowers_and_drops_what_nobody_would_have_reported():
    found = found_of([[0, 0, 10, 10], [0, 0, 10, 15], [50, 0, 60, 10]], [0.9, 0.8, 0.2], tiles=[0, 1, 1])
    out = merge(found, "soft-nms")
    np.testing.assert_allclose(out.scores, [0.9, 0.8 / 3, 0.2], rtol=1e-6)
    assert len(merge(found.take(np.arange(2)), "soft-nms")) == 1


def test_cut_report_counts_and_says_the_overlap():
    assert cut_report(found_of([[0, 0, 100, 20], [0, 0, 300, 5]], cut=[True, False])) == (1, 110)
    assert cut_report(Found.none()) == (0, 0)


def test_says_what_is_wrong(monkeypatch):
    with pytest.raises(ConfigError, match="soft-nms"):
        merge(Found.none(), "softnms")
    monkeypatch.setitem(sys.modules, "shapely", None)
    with pytest.raises(MissingDependencyError, match="shapely"):
        merge(found_of([[0, 0, 1, 1], [0, 0, 1, 1]], tiles=[0, 1]))

"""Questions made of labels: every definition against plain loops, and what is not asked because nobody could tell."""

from __future__ import annotations

import math
import random
from collections import Counter
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from rsdet.data.questions.generator import templates as say
from rsdet.data.questions.generator.balance import balanced, distribution, majority_accuracy, only_asked
from rsdet.data.questions.generator.ground import CLEARLY, LEAST_PX, ground_questions
from rsdet.data.questions.generator.making import make_questions
from rsdet.data.questions.generator.nouns import noun, plural
from rsdet.data.questions.generator.objects import LARGER, NEXT_TO, any_next_to, object_questions
from rsdet.data.questions.generator.scene import UNKNOWN, Item, Scene
from rsdet.data.questions.generator.shapes import box_gaps, centre, covered, edge_distance, field, inside, size
from rsdet.data.questions.records import Question
from rsdet.errors import ConfigError, DataError

W, H = 64, 48


def box(x1, y1, x2, y2):
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float64)


def star(rng, at, most=12.0):
    """A simple polygon, seldom convex."""
    turns = sorted(rng.uniform(0, 2 * math.pi) for _ in range(rng.randint(3, 9)))
    radii = [rng.uniform(0.2, 1) * most for _ in turns]
    return np.array([[at[0] + r * math.cos(t), at[1] + r * math.sin(t)] for r, t in zip(radii, turns, strict=True)])


def scene(*items, names=("car", "truck"), **more):
    return Scene("a.png", W, H, names, tuple(Item(n, r) for n, r in items), **more)


def answers(of, kind=None, **how):
    return {q.text: q.answer for q in object_questions(of, **how) if kind in (None, q.kind)}


# -- plain references ---------------------------------------------------------------------------------------------


def contains(ring, x, y):
    """By a ray to the right, one edge after the other."""
    odd = False
    for (ax, ay), (bx, by) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (ay <= y) != (by <= y) and ax + (y - ay) * (bx - ax) / (by - ay) > x:
            odd = not odd
    return odd


def between(p, a, b):
    """Distance of a point to a line between two others."""
    (px, py), (ax, ay), (bx, by) = p, a, b
    length = (bx - ax) ** 2 + (by - ay) ** 2
    t = 0.0 if length == 0 else min(max(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length, 0), 1)
    return math.hypot(px - ax - t * (bx - ax), py - ay - t * (by - ay))


def crossing(a, b, c, d):
    def turn(p, q, r):
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return turn(a, b, c) * turn(a, b, d) < 0 and turn(c, d, a) * turn(c, d, b) < 0


def apart(one, two):
    """Distance of two polygons, every pair of edges."""
    one, two = ([tuple(map(float, p)) for p in ring] for ring in (one, two))
    if contains(one, *two[0]) or contains(two, *one[0]):
        return 0.0
    best = math.inf
    for a, b in zip(one, [*one[1:], one[0]], strict=True):
        for c, d in zip(two, [*two[1:], two[0]], strict=True):
            if crossing(a, b, c, d):
                return 0.0
            best = min(best, between(a, c, d), between(b, c, d), between(c, a, b), between(d, a, b))
    return best


def shoelace(ring):
    return abs(sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))) / 2


# -- shapes -------------------------------------------------------------------------------------------------------


def test_distances_of_edges_sizes_and_boxes():
    rng = random.Random(0)
    zero = 0
    for _ in range(300):
        a, b = (star(rng, (rng.uniform(0, 40), rng.uniform(0, 30))) for _ in range(2))
        far = apart(a.tolist(), b.tolist())
        zero += far == 0
        assert edge_distance(a, b) == pytest.approx(far, abs=1e-9)
        assert edge_distance(b, a) == pytest.approx(far, abs=1e-9)
        boxes = [np.array([[*r.min(0), *r.max(0)]]) for r in (a, b)]
        (lower,) = box_gaps(*boxes).ravel()
        (ax, ay, au, av), (bx, by, bu, bv) = boxes[0][0], boxes[1][0]
        assert lower == pytest.approx(math.hypot(max(bx - au, ax - bu, 0), max(by - av, ay - bv, 0)))
        assert lower <= far + 1e-9
        assert size(a) == pytest.approx(math.sqrt(shoelace(a.tolist())))
    assert 50 < zero < 250
    assert edge_distance(box(0, 0, 9, 9), box(3, 3, 4, 4)) == 0  # one inside the other
    assert edge_distance(box(0, 0, 9, 9), box(9, 3, 12, 4)) == 0  # touching
    assert edge_distance(box(0, 0, 9, 9), box(12, 13, 14, 14)) == 5
    assert edge_distance(box(0, 4, 9, 5), box(4, 0, 5, 9)) == 0  # a cross: no corner in the other


def test_pixels_under_shapes():
    rng = random.Random(1)
    for _ in range(25):
        rings = [star(rng, (rng.uniform(-5, W + 5), rng.uniform(-5, H + 5)), 25) for _ in range(rng.randint(0, 4))]
        plain = sum(any(contains(r.tolist(), x + 0.5, y + 0.5) for r in rings) for y in range(H) for x in range(W))
        assert covered(rings, W, H) == plain
    assert covered([box(0, 0, W, H)], W, H) == W * H
    assert covered([box(-9, -9, 2, 3)], W, H) == 6
    assert covered([box(0, 0, 4, 4), box(2, 2, 6, 6)], W, H) == 28
    assert covered([box(70, 0, 80, 9), box(0.6, 0.6, 1.4, 1.4)], W, H) == 0
    joined = np.array([[0, 0], [4, 0], [4, 4], [10, 4], [14, 4], [14, 8], [10, 8], [10, 4], [4, 4], [0, 4]], float)
    assert covered([joined], W, H) == 32  # two parts joined by a line without width


def test_nine_fields():
    names = [["top left", "top", "top right"], ["left", "center", "right"], ["bottom left", "bottom", "bottom right"]]
    rng = random.Random(2)
    for _ in range(500):
        w, h = rng.randint(1, 500), rng.randint(1, 500)
        x, y = (rng.choice([rng.uniform(0, s), rng.randrange(s), s / 3, 2 * s / 3]) for s in (w, h))
        if x >= w or y >= h:
            continue
        column = 0 if 3 * x < w else 1 if 3 * x < 2 * w else 2
        row = 0 if 3 * y < h else 1 if 3 * y < 2 * h else 2
        assert field((x, y), w, h) == names[row][column]
        assert inside((x, y), w, h)
    for x, y in ((-0.1, 0), (0, -0.1), (W, 0), (0, H)):
        assert not inside((x, y), W, H)
    assert centre(np.array([[1, 1], [3, 1], [2, 9]], float)) == (2, 5)


# -- questions about objects ----------------------------------------------------------------------------------------


def reference(rects, names, outlined, k):
    """All answers about upright boxes ``(name, x1, y1, x2, y2)``, by plain loops."""
    unsure, there = set(), {n: [] for n in names}
    for name, x1, y1, x2, y2 in rects:
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        if 0 <= x < W and 0 <= y < H:
            there[name].append((x1, y1, x2, y2))
        elif x1 < W and x2 > 0 and y1 < H and y2 > 0:
            unsure.add(name)
    names = [n for n in names if n not in unsure]

    def area(r):
        return (r[2] - r[0]) * (r[3] - r[1])

    def beside(a, b):
        dx, dy = (max(a[i] - b[i + 2], b[i] - a[i + 2], 0) for i in (0, 1))
        return math.hypot(dx, dy) < k * (math.sqrt(area(a)) + math.sqrt(area(b))) / 2

    def place(r):
        x, y = (r[0] + r[2]) / 2, (r[1] + r[3]) / 2
        rows, columns = ["top ", "", "bottom "], ["left", "", "right"]
        return (rows[int(3 * y / H)] + columns[int(3 * x / W)]).strip() or "center"

    out = {}
    for n in names:
        some = there[n]
        out[f"Are there any {n}s in the picture?"] = "yes" if some else "no"
        out[f"How many {n}s are in the picture?"] = str(len(some)) if len(some) < 21 else "more than 20"
        if outlined:
            under = sum(
                any(r[0] < x + 0.5 <= r[2] and r[1] <= y + 0.5 < r[3] for r in some) for y in range(H) for x in range(W)
            )
            part = Fraction(100 * under, W * H)
            ends = [0, 1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
            in_range = (f"{a}%-{b}%" for a, b in pairwise(ends) if a < part <= b)
            answer = next(in_range) if under else "0%"
            out[f"How much of the picture do {n}s cover?"] = answer
        largest = sorted(some, key=area)[::-1]
        if len(some) == 1:
            out[f"Where is the {n} in the picture?"] = place(some[0])
        elif some and area(largest[0]) >= 1.2 * area(largest[1]):
            out[f"Where is the largest {n} in the picture?"] = place(largest[0])
        for m in names:
            if m != n and some and there[m]:
                more = "yes" if len(some) > len(there[m]) else "no"
                out[f"Are there more {n}s than {m}s in the picture?"] = more
                if names.index(n) < names.index(m):
                    near = any(beside(a, b) for a in some for b in there[m])
                    out[f"Are there any {n}s next to {m}s in the picture?"] = "yes" if near else "no"
            elif m == n and len(some) > 1:
                near = any(beside(a, b) for i, a in enumerate(some) for b in some[:i])
                out[f"Are there any {n}s next to other {n}s in the picture?"] = "yes" if near else "no"
    return out


def test_all_answers_about_objects_are_those_of_plain_loops():
    assert (NEXT_TO, LARGER, say.MOST_COUNT) == (1.0, 1.2, 20)
    rng, seen = random.Random(3), Counter()
    for _ in range(150):
        names, rects = ("car", "truck", "boat"), []
        reach = rng.choice([-6, 4])  # beyond the edge
        for _ in range(rng.choice([0, 1, 2, 3, 5, 50])):
            x, y = rng.uniform(-reach, W + reach / 2), rng.uniform(-reach, H + reach / 2)
            w, h = rng.uniform(1, 14), rng.uniform(1, 10)
            name = rng.choice(names[: rng.choice([1, 2, 3])])
            rects.append((name, x, y, x + w, y + h))
        outlined, k = rng.random() < 0.3, rng.choice([0.5, 1.0, 2.0])
        of = scene(*((n, box(*r)) for n, *r in rects), names=names, outlined=outlined)
        found = answers(of, next_to=k)
        assert found == reference(rects, names, outlined, k)
        seen.update(found.values())
    assert {"yes", "no", "0", "1", "center", "bottom left", "0%", "1%-5%", "more than 20"} <= set(seen)


def test_mirrored_pictures_change_where_and_nothing_else():
    rng = random.Random(4)
    for _ in range(30):
        rings = [(rng.choice(["car", "truck"]), star(rng, (rng.uniform(0, W), rng.uniform(0, H)), 9)) for _ in range(5)]
        of, mirrored = (
            answers(scene(*((n, r * np.array([s, 1]) + np.array([t, 0])) for n, r in rings), outlined=True))
            for s, t in ((1, 0), (-1, W))
        )
        other = {"left": "right", "right": "left"}
        for text, answer in of.items():
            if text.startswith("Where"):
                answer = " ".join(other.get(word, word) for word in answer.split())
            assert mirrored[text] == answer


def test_next_to_needs_two_objects_and_a_strict_limit():
    a, b = Item("car", box(0, 0, 4, 4)), Item("car", box(8, 0, 12, 4))
    assert not any_next_to([a], [a])
    assert not any_next_to([a, b], [a, b], 1.0)  # exactly one size apart
    assert any_next_to([a, b], [a, b], 1.001)
    assert not any_next_to([a], [], 9)


def test_nothing_is_asked_about_difficult_objects_or_those_at_the_edge():
    inside_, outside = box(10, 10, 20, 20), box(-30, 10, -20, 20)
    edge = box(-9, 10, 5, 20)  # its centre is not in the picture, a part of it is
    assert not any("truck" in text for text in answers(scene(("car", inside_), ("truck", edge))))
    assert not any(
        "truck" in t for t in answers(scene(("car", inside_), ("truck", inside_), unsure=frozenset({"truck"})))
    )
    assert answers(scene(("truck", outside)), "presence")[say.presence("truck")] == "no"
    assert answers(scene(("car", edge + np.array([5, 0]))), "count")[say.count("car")] == "1"


def test_areas_are_not_asked_of_upright_boxes():
    assert not answers(scene(("car", box(0, 0, 9, 9))), "area")
    assert answers(scene(("car", box(0, 0, 32, 24)), outlined=True), "area")[say.area("car")] == "20%-30%"


def test_shares_belong_to_the_range_below_their_upper_end():
    ends = list(say.SHARES)
    for of in (100, 64 * 48, 997):
        for pixels in {0, 1, of, *(round(of * e / 100) + d for e in ends for d in (-1, 0, 1))} & set(range(of + 1)):
            part = Fraction(100 * pixels, of)
            wanted = "0%" if part == 0 else next(f"{a}%-{b}%" for a, b in pairwise(ends) if part <= b)
            assert say.share(pixels, of) == wanted


# -- questions about the ground -------------------------------------------------------------------------------------


def test_the_ground_is_asked_about_where_unknown_pixels_change_no_answer():
    rng = np.random.default_rng(5)
    stuff = ("road", "water", "tree cover")
    asked = Counter()
    for _ in range(200):
        shares = rng.dirichlet([0.3] * 4)
        cover = rng.choice([0, 1, 2, UNKNOWN], (H, W), p=shares).astype(np.uint8)
        if rng.random() < 0.5:
            cover[cover == UNKNOWN] = 0
        if rng.random() < 0.3:
            cover[cover == 1] = 2
        of = Scene("a.png", W, H, cover=cover, stuff=stuff)
        found = {q.text: q.answer for q in ground_questions(of)}
        asked.update(q.kind for q in ground_questions(of))
        filled = [np.where(cover == UNKNOWN, i, cover) for i in range(4)]  # all unknown pixels of one class, or of none
        counts = [[int((m == i).sum()) for i in range(3)] for m in filled]
        for i, name in enumerate(stuff):
            shares = {say.share(c[i], W * H) for c in counts}
            assert found.get(f"How much of the picture is {name}?") == (shares.pop() if len(shares) == 1 else None)
            n, most = int((cover == i).sum()), max(c[i] for c in counts)
            there = "yes" if n >= LEAST_PX else "no" if most == 0 else None
            assert found.get(f"Is there any {name} in the picture?") == there
            for j, other in enumerate(stuff):
                if i != j:
                    m = int((cover == j).sum())
                    said = found.get(f"Is there more {name} than {other} in the picture?")
                    if said is not None:
                        assert {"yes" if c[i] > c[j] else "no" for c in counts} == {said}
                        assert min(n, m) >= LEAST_PX
                    elif UNKNOWN not in cover and min(n, m) >= LEAST_PX:
                        assert max(n, m) < CLEARLY * min(n, m)
    assert min(asked[k] for k in ("presence", "area", "comparison")) > 50
    assert not list(ground_questions(scene()))


# -- balance --------------------------------------------------------------------------------------------------------


def many(rng, n=600):
    weights = {"yes": 8, "no": 2, "3": 1, "4": 1}
    texts = [f"Is it {i}?" for i in range(6)]
    return [
        Question(f"{i}.png", rng.choice(texts[: 1 + i % 6]), rng.choices(*zip(*weights.items(), strict=True))[0], "x")
        for i in range(n)
    ]


def test_no_answer_is_more_frequent_than_the_second_and_nothing_else_is_left_out():
    rng = random.Random(6)
    all_of = many(rng) + [Question(f"{i}.png", "Only one?", "yes", "x") for i in range(9)]
    kept = balanced(all_of, seed=1)
    assert len(set(kept)) == len(kept)
    assert set(kept) <= set(all_of)
    for text in {q.text for q in all_of}:
        before, after = (Counter(q.answer for q in some if q.text == text) for some in (all_of, kept))
        ranked = sorted(before.values())
        most = ranked[-2] if len(ranked) > 1 else 0
        assert after == Counter({a: min(n, most) for a, n in before.items() if most})
    shuffled = list(all_of)
    rng.shuffle(shuffled)
    assert balanced(shuffled, seed=1) == kept
    assert balanced(all_of, seed=2) != kept
    assert balanced([]) == []


def test_the_most_frequent_answer_of_training_is_the_baseline():
    rng = random.Random(7)
    train, val = many(rng), [*many(rng, 100), Question("v.png", "Never asked?", "yes")]
    right = 0
    for q in val:
        given = [t.answer for t in train if t.text == q.text]
        if given:
            best = max(sorted(set(given)), key=given.count)
            right += q.answer == best
    assert majority_accuracy(val, train) == pytest.approx(right / len(val))
    assert math.isnan(majority_accuracy([], train))
    closed = balanced(q for q in many(rng) if q.answer in ("yes", "no"))
    assert majority_accuracy(closed, closed) == 0.5
    assert [q.text for q in only_asked([*val, Question("a", "is it 0")], train)] == [q.text for q in val[:-1]] + [
        "is it 0"
    ]
    table = distribution(train)
    assert sum(n for answers_ in table.values() for n in answers_.values()) == len(train)


def test_sets_ask_in_validation_what_training_asks():
    def car(n, i):
        return Scene(
            f"{n}-{i}.png", W, H, ("car", "boat"), tuple(Item("car", box(9 * k, 9, 9 * k + 5, 14)) for k in range(n))
        )

    train = [car(n, i) for n in (0, 1, 2) for i in range(3)]
    val = [
        *(car(n, i) for n in (0, 1) for i in range(2)),
        Scene("b.png", W, H, ("boat",), (Item("boat", box(1, 1, 9, 9)),)),
    ]
    made = make_questions({"train": train, "val": val})
    assert {q.text for q in made["val"]} <= {q.text for q in made["train"]}
    assert not any("boat" in q.text for some in made.values() for q in some)
    only = make_questions({"train": train, "val": val}, kinds=["count"])
    assert {q.kind for some in only.values() for q in some} == {"count"}
    assert make_questions({"train": train[::-1], "val": val}) == made
    with pytest.raises(DataError, match="no question has two answers in the 1 pictures of train"):
        make_questions({"train": train[:1], "val": val})
    with pytest.raises(ConfigError, match=r"kinds: 'counts' is none of presence, .* Did you mean 'count'"):
        make_questions({"train": train}, kinds=["counts"])


@pytest.mark.parametrize(
    ("name", "one", "several"),
    [
        ("car", "car", "cars"),
        ("small-vehicle", "small vehicle", "small vehicles"),
        ("Bus", "bus", "buses"),
        ("OtherVehicle", "other vehicle", "other vehicles"),
        ("Person", "person", "people"),
        ("people", "people", "people"),
        ("aircraft", "aircraft", "aircraft"),
        ("Ground_Track_Field", "ground track field", "ground track fields"),
        ("ferry", "ferry", "ferries"),
        ("highway", "highway", "highways"),
        ("bench", "bench", "benches"),
        ("box", "box", "boxes"),
        ("ships", "ships", "ships"),
        ("overpass", "overpass", "overpasses"),
        ("wind-mill", "wind mill", "wind mills"),
        ("A220", "a220", "a220s"),
    ],
)
def test_classes_in_words(name, one, several):
    assert (noun(name), plural(name)) == (one, several)

"""What is pasted brings all that belongs to it, and nothing else changes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rsdet.data.semi.mixing import KINDS, Mix
from rsdet.data.semi.pasting import ObjectChange, paste
from rsdet.data.semi.regions import LARGEST, SMALLEST, component, cutmix_rectangle
from rsdet.errors import ConfigError

N, H, W = 4, 20, 30
RNG = np.random.default_rng


def maps() -> list[torch.Tensor]:
    """Pixel numbers as a picture, classes, confidences and probabilities that sum to 1."""
    number = torch.arange(N * H * W, dtype=torch.float32).view(N, 1, H, W).repeat(1, 3, 1, 1)
    probs = torch.rand(N, 5, H, W, generator=torch.Generator().manual_seed(0))
    return [number, number[:, 0].long() % 7, number[:, 0] / (N * H * W), probs / probs.sum(1, keepdim=True)]


def objects() -> torch.Tensor:
    masks = torch.zeros(N, H, W, dtype=torch.bool)
    for i in range(N):
        masks[i, 4 + i : 14, 8 : 20 + i] = True
    masks[:, 4:8, 8:12] = False  # no symmetry
    return masks


def check(mixed: list[torch.Tensor], before: list[torch.Tensor]) -> torch.Tensor:
    """All maps of every pixel come from one pixel; returns whether it is another picture's, (N, H, W)."""
    came_from = mixed[0][:, 0].long().flatten()
    for new, old in zip(mixed, before, strict=True):
        rows = old.movedim(1, -1).reshape(N * H * W, -1) if old.ndim == 4 else old.reshape(N * H * W, 1)
        got = new.movedim(1, -1).reshape(N * H * W, -1) if new.ndim == 4 else new.reshape(N * H * W, 1)
        assert torch.equal(got, rows[came_from])
        assert new.dtype == old.dtype
    place = torch.arange(N * H * W)
    foreign = came_from != place
    return foreign.view(N, H, W)


@pytest.mark.parametrize("kind", KINDS)
def test_all_maps_go_together_and_pixels_outside_are_untouched(kind):
    before = maps()
    for seed in range(20):
        mixed = Mix(kind, min_px=20)(before, before[1] * 0, objects(), RNG(seed))
        foreign = check(mixed, before)
        assert torch.allclose(mixed[3].sum(1), torch.ones(()))
        assert foreign.float().mean() < 0.95


@pytest.mark.parametrize("kind", ["object", "components"])
def test_an_object_lands_where_it_was_and_all_of_it(kind):
    before = maps()
    classes = torch.zeros(N, H, W, dtype=torch.int64)
    classes[objects()] = 1  # of an object's size, which the rest is not
    still = ObjectChange(flip=0, rotate=0, rescale=0)
    for seed in range(10):
        mixed = Mix(kind, min_px=20, change=still)(before, classes, objects(), RNG(seed))
        foreign = check(mixed, before)
        source = mixed[0][:, 0].long() // (H * W)
        for i in range(N):
            if foreign[i].any():
                [one] = source[i][foreign[i]].unique()
                assert torch.equal(foreign[i], objects()[one])


def test_a_flip_mirrors_the_object_about_its_own_middle():
    before, mask = maps(), objects()
    order = [1, 2, 3, 0]
    flip = np.tile(ObjectChange(flip=1, rotate=0, rescale=0).draw(RNG(0)), (N, 1, 1))
    mixed = paste(before, mask, order, flip)
    foreign = check(mixed, before)
    columns = mask[0].sum(0) * torch.arange(W)
    twice = round(2 * float(columns.sum() / mask[0].sum()))
    mirrored = torch.zeros_like(mask[0])
    for y, x in mask[0].nonzero().tolist():
        mirrored[y, twice - x] = True
        assert int(mixed[0][0, 0, y, twice - x]) == 1 * H * W + y * W + x
    assert torch.equal(foreign[0], mirrored)


@pytest.mark.parametrize(("degrees", "scale"), [(30, 1.0), (0, 1.25), (0, 0.8), (20, 1.1)])
def test_a_turned_and_scaled_object_keeps_its_middle_and_has_its_size(degrees, scale):
    size = 101
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    mask[0, 30:70, 40:62] = True
    change = ObjectChange(0, 1, 1, (degrees, degrees), (scale, scale)).draw(RNG(0))
    paint = torch.zeros(2, size, size)
    paint[1] = 1
    got = paste([paint], mask.expand(2, -1, -1), [1, 0], np.stack([change] * 2))[0][0] > 0
    rows, columns = got.nonzero(as_tuple=True)
    assert float(got.sum()) == pytest.approx(40 * 22 * scale**2, rel=0.05)
    assert float(rows.float().mean()) == pytest.approx(49.5, abs=0.6)
    assert float(columns.float().mean()) == pytest.approx(50.5, abs=0.6)
    if degrees:
        centred = np.stack([columns - columns.float().mean(), rows - rows.float().mean()])
        axis = np.linalg.eigh(np.cov(centred))[1][:, 1]
        assert math.degrees(math.acos(abs(axis[1]))) == pytest.approx(degrees, abs=2)


def test_what_lies_beyond_the_picture_is_not_made_up():
    mask = torch.zeros(2, 10, 10, dtype=torch.bool)
    mask[:, :, :4] = True
    shrunk = ObjectChange(0, 0, 1, scales=(0.5, 0.5)).draw(RNG(0))
    ids = torch.arange(200.0).view(2, 10, 10)
    got = paste([ids], mask, [1, 0], np.stack([shrunk] * 2))[0]
    foreign = got[0] >= 100
    assert 10 <= int(foreign.sum()) <= 14  # a quarter of 40
    assert not foreign[0].any()
    assert not foreign[:, 0].any()


def test_without_an_object_a_rectangle_stands_in():
    before = maps()
    for masks in (None, torch.zeros(N, H, W), objects()):
        mixed = Mix("object", min_px=10_000)(before, before[1], masks, RNG(3))
        foreign = check(mixed, before)
        assert foreign.any()
        for i in range(N):
            if foreign[i].any():
                rows, columns = foreign[i].nonzero(as_tuple=True)
                box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
                assert int(box) == int(foreign[i].sum())


def test_p_0_mixes_nothing_and_one_half_about_half():
    before = maps()
    assert not check(Mix("box", p=0)(before, before[1], None, RNG(0)), before).any()
    count = [check(Mix("box", p=0.5)(before, before[1], None, RNG(s)), before).any((1, 2)).sum() for s in range(100)]
    assert 100 < sum(map(int, count)) < 200  # a quarter of the orders leaves a picture where it is


def test_rectangles_follow_their_laws():
    rng = RNG(0)
    shares = {law: [cutmix_rectangle((60, 90), rng, law).mean() for _ in range(3000)] for law in ("rect", "box")}
    assert np.mean(shares["rect"]) == pytest.approx(0.5, abs=0.01)  # of Beta(4, 4)
    assert np.var(shares["rect"]) == pytest.approx(1 / 36, rel=0.1)
    assert 0.015 < min(shares["box"]) < max(shares["box"]) < 0.42
    assert np.mean(shares["box"]) == pytest.approx(0.21, abs=0.01)
    for size in ((1, 1), (1, 50), (3, 2)):
        assert cutmix_rectangle(size, rng, "box").any()


def test_a_component_is_one_connected_region_of_one_class_and_of_an_objects_size():
    classes = np.zeros((100, 100), int)
    classes[10:20, 10:20] = classes[60:75, 60:75] = 3
    classes[50, 50] = 4  # too small
    rng, found = RNG(0), []
    for _ in range(30):
        mask = component(classes, rng)
        found.append(mask.sum())
        assert SMALLEST <= mask.mean() <= LARGEST
    assert set(found) == {100, 225}
    assert not component(np.zeros((50, 50), int), rng).any()


@pytest.mark.parametrize("call", [lambda: Mix("sam"), lambda: Mix("rect", p=2), lambda: ObjectChange(flip=-1)])
def test_wrong_settings_are_told(call):
    with pytest.raises(ConfigError, match="expected"):
        call()

"""data=demo-change: rendered places on two dates whose labels say what was built and pulled down."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rsdet.data.dates import read_dates, read_label, read_pair
from rsdet.data.demo_change import make_demo_change
from rsdet.data.scenes.dates import SHIFT_PX, render_dates
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import read_yaml

SEEDS = (3, 6, 20, 25)  # each with houses that appear or go


@pytest.fixture(scope="module")
def scenes():
    return [render_dates(seed, 192, style="suburb") for seed in SEEDS]


def test_a_seed_is_a_place(scenes):
    again = render_dates(SEEDS[0], 192, style="suburb")
    for name in ("before", "after", "label"):
        assert np.array_equal(getattr(again, name), getattr(scenes[0], name))
    assert again.shift_xy == scenes[0].shift_xy
    assert not np.array_equal(scenes[0].before, scenes[1].before)


def test_the_label_is_the_houses_that_appeared_or_went(scenes):
    for scene in scenes:
        assert scene.label.dtype == np.uint8
        assert set(np.unique(scene.label)) == {0, 255}
        found = cv2.connectedComponents(scene.label)[0] - 1
        assert found == scene.appeared + scene.gone  # houses stand apart from each other


def test_what_is_labelled_has_changed_more_than_what_is_not(scenes):
    """Not by colour alone, since the light is another; by edges, which season and light leave where they are."""
    for scene in scenes:
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(float) for picture in (scene.before, scene.after)]
        edges = [cv2.Laplacian(cv2.GaussianBlur(g, (0, 0), 1.5), -1) for g in grey]
        apart = abs(edges[0] / edges[0].std() - edges[1] / edges[1].std())
        near = cv2.dilate(scene.label, np.ones((5, 5))) > 0
        assert apart[near].mean() > apart[~near].mean()


def test_places_without_change_have_an_empty_label():
    scenes = [render_dates(seed, 64, style="suburb") for seed in range(40, 60)]
    empty = [s for s in scenes if s.appeared + s.gone == 0]
    assert 0 < len(empty) < len(scenes)
    assert not any(s.label.any() for s in empty)
    assert all(not np.array_equal(s.before, s.after) for s in empty)  # other light, season and sensor all the same
    assert all(max(map(abs, s.shift_xy)) <= SHIFT_PX for s in scenes)


def test_the_set_is_made_once_and_read_by_the_room_of_dates(tmp_path):
    path = make_demo_change(tmp_path / "d", 3, 2, size=64, progress=False)
    data = read_yaml(path)
    found = read_dates(data)
    assert {split: len(pairs) for split, pairs in found.items()} == {"train": 3, "val": 2}
    assert not {p.before.name for p in found["train"]} & {p.before.name for p in found["val"]}
    assert read_pair(found["train"][0]).shape == (64, 64, 6)
    assert read_label(found["train"][0]).max() <= 1
    stamp = found["train"][0].after.stat().st_mtime_ns
    make_demo_change(tmp_path / "d", 3, 2, size=64, progress=False)
    assert found["train"][0].after.stat().st_mtime_ns == stamp
    found["train"][0].label.unlink()  # a set with a hole is made anew
    make_demo_change(tmp_path / "d", 3, 2, size=64, progress=False)
    assert found["train"][0].label.is_file()


def test_wrong_wishes_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="change"):
        make_demo_change(tmp_path, task="detect")
    with pytest.raises(ConfigError, match="64 to 4096"):
        make_demo_change(tmp_path / "d", 1, 1, size=32, progress=False)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(DataError, match="holds something else"):
        make_demo_change(tmp_path, 1, 1, size=64, progress=False)

"""The embedded data set: scenes are repeatable, their boxes fit what is drawn, and the folder is made once."""

from __future__ import annotations

import json
from functools import lru_cache

import cv2
import numpy as np
import pytest
import yaml

from rsdet.data import demo
from rsdet.data.demo import label_lines, make_demo
from rsdet.data.scenes import NAMES, STYLES, render_scene, render_with_ids
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir

SIZE = 192


@lru_cache(maxsize=1)
def many():
    return [render_with_ids(seed, SIZE) for seed in range(120)]


@pytest.mark.parametrize("style", [None, *STYLES])
def test_same_seed_same_scene_whatever_was_rendered_before(style):
    first = render_scene(7, 128, style=style)
    np.random.seed(0)  # noqa: NPY002  the global generator must not matter
    render_scene(8, 128)
    second = render_scene(7, 128, style=style)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.boxes_xyxy, second.boxes_xyxy)
    assert np.array_equal(first.classes, second.classes)
    assert not np.array_equal(first.image, render_scene(9, 128, style=style).image)


def test_global_generator_is_left_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    render_scene(1, 96)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize(
    ("size", "shape"), [(64, (64, 64)), (160, (160, 160)), ((96, 200), (96, 200)), ((210, 101),) * 2]
)
@pytest.mark.parametrize("style", list(STYLES))
def test_every_style_fills_the_size_asked_for(size, shape, style):
    scene = render_scene(3, size, style=style)
    assert scene.image.shape == (*shape, 3)
    assert scene.image.dtype == np.uint8
    assert scene.boxes_xyxy.dtype == np.float32
    assert scene.boxes_xyxy.shape == (len(scene.classes), 4)
    assert scene.image.std() > 3  # something is to be seen


def test_boxes_lie_inside_and_are_tight_to_the_visible_body():
    checked = 0
    for scene, ids in many():
        factor = ids.shape[0] // SIZE
        assert ids.max() == len(scene.classes)
        for number, box in enumerate(scene.boxes_xyxy, 1):
            ys, xs = np.nonzero(ids == number) if checked < 400 else ([], [])
            assert 0 <= box[0] < box[2] <= SIZE
            assert 0 <= box[1] < box[3] <= SIZE
            if len(xs):
                found = np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / factor
                np.testing.assert_allclose(box, found, atol=1e-4)
                assert len(xs) / factor**2 >= 8  # nobody can find less
                checked += 1
    assert checked >= 400


def test_objects_can_be_told_from_their_surroundings():
    """The pixels inside the boxes of a bright scene differ from a ring around them: boxes are where the objects are."""
    better = total = 0
    for scene, ids in many()[:60]:
        visible = cv2.resize((ids > 0).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        grey = scene.image.astype(np.float32).mean(2)
        edges = np.abs(cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), 1), cv2.CV_32F))
        if (visible > 0.5).sum() < 40:
            continue
        total += 1
        better += edges[visible > 0.5].mean() > edges[visible == 0].mean()
    assert better > 0.9 * total


def test_sizes_classes_and_empty_scenes_are_as_promised():
    scenes = [scene for scene, _ in many()]
    counts = np.bincount(np.concatenate([s.classes for s in scenes]), minlength=len(NAMES))
    assert (counts / counts.sum() > 0.02).all(), counts
    assert counts[0] / counts.sum() < 0.85
    sides = np.concatenate([s.boxes_xyxy[:, 2:] - s.boxes_xyxy[:, :2] for s in scenes])
    assert sides.min() >= 2.5
    assert np.median(sides.max(1)) < 26  # small objects are the point
    assert sides.max() < 80
    objects = np.array([len(s.classes) for s in scenes])
    assert 0.03 < (objects == 0).mean() < 0.3
    assert objects.max() >= 30  # crowds


def test_density_rules_the_number_of_objects():
    few, usual = (sum(len(render_scene(s, SIZE, d, "city").classes) for s in range(8)) for d in (0.3, 1.0))
    assert few < 0.7 * usual
    assert sum(len(render_scene(s, SIZE, 0.0).classes) for s in range(8)) == 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"size": 12}, "64 to 4096"),
        ({"size": (128, 9000)}, "64 to 4096"),
        ({"style": "harbor"}, "Did you mean 'harbour'"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(options, part):
    with pytest.raises(ConfigError) as caught:
        render_scene(**{"seed": 0, **options})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_label_lines_give_the_boxes_back():
    scene = render_scene(2, (128, 200), style="parking", density=1.2)
    rows = np.array([line.split() for line in label_lines(scene).splitlines()], float)
    assert np.array_equal(rows[:, 0], scene.classes)
    xywh = rows[:, 1:] * (200, 128, 200, 128)
    back = np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, :2] + xywh[:, 2:] / 2], 1)
    np.testing.assert_allclose(back, scene.boxes_xyxy, atol=1e-3)


SMALL = {"n_train": 6, "n_val": 3, "size": 96, "progress": False}


def stamps(root):
    return {p.relative_to(root): (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*") if p.is_file()}


def test_demo_folder_is_a_yolo_data_set(tmp_path):
    path = make_demo(tmp_path / "a" / "demo", **SMALL)
    data = yaml.safe_load(path.read_text())
    assert data["names"] == NAMES
    root = path.parent
    assert data["path"] == str(root)
    seeds = {}
    for split, n in (("train", 6), ("val", 3)):
        images = sorted((root / data[split]).iterdir())
        labels = sorted((root / "labels" / split).iterdir())
        assert [p.stem for p in images] == [p.stem for p in labels]
        assert len(images) == n
        seeds[split] = {p.stem for p in images}
        for image, label in zip(images, labels, strict=True):
            assert cv2.imread(str(image)).shape == (96, 96, 3)
            for line in label.read_text().splitlines():
                cls, *xywh = line.split()
                assert int(cls) in NAMES
                assert all(0 <= float(v) <= 1 for v in xywh)
    assert not seeds["train"] & seeds["val"]
    assert [p.name for p in root.parent.iterdir()] == ["demo"]  # no working folder left behind


def test_demo_is_reused_when_it_is_the_same(tmp_path):
    make_demo(tmp_path, **SMALL)
    before = stamps(tmp_path)
    make_demo(tmp_path, **SMALL)
    assert stamps(tmp_path) == before


def _cut(root):
    manifest = root / demo.MANIFEST
    manifest.write_text(manifest.read_text()[:9])


def _older(root):
    manifest = root / demo.MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 0}))


def _lose_image(root):
    next((root / "images" / "val").iterdir()).unlink()


@pytest.mark.parametrize("damage", [_cut, _older, _lose_image])
def test_damaged_or_outdated_demo_is_made_anew(tmp_path, damage):
    make_demo(tmp_path, **SMALL)
    before = stamps(tmp_path)
    damage(tmp_path)
    (tmp_path / "labels" / "train.cache").write_bytes(b"stale")
    make_demo(tmp_path, **SMALL)
    after = stamps(tmp_path)
    assert after.keys() == before.keys()  # complete again, stale cache gone
    assert json.loads((tmp_path / demo.MANIFEST).read_text())["version"] == demo.VERSION


def test_other_recipe_replaces_and_other_seed_differs(tmp_path):
    make_demo(tmp_path, **SMALL)
    first = {p.name for p in (tmp_path / "images" / "train").iterdir()}
    make_demo(tmp_path, **{**SMALL, "n_train": 2, "seed": 1})
    second = {p.name for p in (tmp_path / "images" / "train").iterdir()}
    assert len(second) == 2
    assert not first & second


def test_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "render_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="another folder"):
        make_demo(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("wrong", [{"n_train": 0}, {"n_val": -2}, {"seed": -1}, {"n_train": 10**6}])
def test_wrong_counts_are_refused(tmp_path, wrong):
    with pytest.raises(DataError, match="received; expected"):
        make_demo(tmp_path / "demo", **{**SMALL, **wrong})


def test_shipped_yaml_names_the_same_classes():
    shipped = yaml.safe_load((datasets_dir() / "demo.yaml").read_text(encoding="utf-8"))
    assert shipped["names"] == NAMES
    assert {"path", "train", "val"} <= shipped.keys()

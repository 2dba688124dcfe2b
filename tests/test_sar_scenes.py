"""The SAR simulator: clutter has the moments of theory, scenes are repeatable and truly annotated, the folder sound."""

from __future__ import annotations

import json
import math
from functools import lru_cache

import cv2
import numpy as np
import pytest
import yaml
from scipy import stats

from rsdet.data import demo_sar
from rsdet.data.demo import make_demo
from rsdet.data.demo_sar import make_demo_sar
from rsdet.data.resolve import resolve_data
from rsdet.data.sar_scenes import NAMES, Radar, gamma_speckle, gamma_texture, k_clutter, render_sar_scene
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir

SIZE = 192


@lru_cache(maxsize=1)
def many():
    return [render_sar_scene(seed, SIZE) for seed in range(40)]


def autocorrelation(field, dy, dx):
    z = field.astype(np.float64) - field.mean()
    h, w = z.shape
    return float((z[dy:, dx:] * z[: h - dy, : w - dx]).mean() / z.var())


# Clutter --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [1, 2.7, 4, 16])
def test_speckle_is_gamma_with_mean_one_and_variance_one_by_looks(looks):
    speckle = gamma_speckle((256, 256), looks, np.random.default_rng(1)).astype(np.float64)
    n = speckle.size
    assert abs(speckle.mean() - 1) < 5 * math.sqrt(1 / looks / n)
    # Variance of the sample variance from the fourth central moment of the gamma distribution, 3/L^2 + 6/L^3.
    spread = math.sqrt((3 / looks**2 + 6 / looks**3 - 1 / looks**2) / n)
    assert abs(speckle.var() - 1 / looks) < 5 * spread
    assert stats.kstest(speckle.ravel(), "gamma", args=(looks, 0, 1 / looks)).pvalue > 1e-3
    for lag in ((0, 1), (1, 0), (1, 1), (0, 3)):
        assert abs(autocorrelation(speckle, *lag)) < 5 / math.sqrt(n)


@pytest.mark.parametrize("nu", [0.7, 3.0, 20.0])
def test_texture_is_gamma_and_correlated(nu):
    texture = gamma_texture((256, 256), nu, np.random.default_rng(2), correlation_px=8)
    assert stats.kstest(texture.ravel(), "gamma", args=(nu, 0, 1 / nu)).pvalue > 1e-3
    assert autocorrelation(texture, 0, 1) > 0.9
    assert autocorrelation(texture, 2, 0) > 0.8
    assert abs(autocorrelation(texture, 60, 60)) < 0.2
    free = gamma_texture((256, 256), nu, np.random.default_rng(2), correlation_px=0)
    assert abs(autocorrelation(free, 0, 1)) < 5 / 256


def test_texture_can_be_anisotropic_and_turned():
    field = gamma_texture((256, 256), 8.0, np.random.default_rng(3), correlation_px=(20, 3))
    assert autocorrelation(field, 0, 6) > 0.7 > 0.3 > autocorrelation(field, 6, 0)
    turned = gamma_texture((256, 256), 8.0, np.random.default_rng(3), correlation_px=(20, 3), angle_deg=90)
    assert autocorrelation(turned, 6, 0) > 0.7 > 0.3 > autocorrelation(turned, 0, 6)


@pytest.mark.parametrize(("looks", "nu", "mean"), [(1, 2.0, 1.0), (4, 5.0, 0.02), (2.5, 30.0, 7.0), (3, math.inf, 2.0)])
@pytest.mark.parametrize("correlation_px", [0, 4.0])
def test_k_clutter_has_the_moments_of_theory(looks, nu, mean, correlation_px):
    """Of 24 independent images, the average of each moment lies within five of its standard errors."""
    rng = np.random.default_rng(4)
    first, second = [], []
    for _ in range(24):
        image = k_clutter((96, 96), looks=looks, nu=nu, mean=mean, correlation_px=correlation_px, rng=rng)
        assert image.dtype == np.float32
        first.append(image.mean(dtype=np.float64))
        second.append(np.square(image, dtype=np.float64).mean())
    for found, expected in ((first, mean), (second, mean**2 * (1 + 1 / nu) * (1 + 1 / looks))):
        assert abs(np.mean(found) - expected) < 5 * np.std(found, ddof=1) / math.sqrt(24) + 1e-6 * expected


def test_without_texture_clutter_is_homogeneous():
    image = k_clutter((256, 256), looks=3, nu=math.inf, mean=2.0, rng=np.random.default_rng(5))
    assert stats.kstest(image.ravel(), "gamma", args=(3, 0, 2 / 3)).pvalue > 1e-3


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"looks": 0}, "looks=0 received"),
        ({"looks": -1}, "looks=-1 received"),
        ({"looks": math.inf}, "looks=inf received"),
        ({"nu": 0}, "nu=0 received"),
        ({"nu": math.nan}, "nu=nan received"),
        ({"mean": 0}, "mean=0 received"),
        ({"looks": "four"}, "looks=four received"),
        ({"correlation_px": -1}, "correlation_px=-1 received"),
        ({"correlation_px": (1, math.nan)}, "correlation_px=(1, nan) received"),
        ({"shape": (0, 4)}, "shape=(0, 4) received"),
        ({"shape": 7}, "shape=7 received"),
    ],
)
def test_wrong_clutter_is_answered_in_one_line(wrong, part):
    with pytest.raises(ConfigError) as caught:
        k_clutter(**{"shape": (8, 8), "looks": 1, "nu": 2, "rng": np.random.default_rng(0), **wrong})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


# Radar ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [1, 3])
def test_homogeneous_ground_is_imaged_as_gamma_clutter_of_its_looks(looks):
    radar = Radar(looks=looks, bandwidth=(0.8, 0.9))
    image = radar.image(np.full((256, 256), 0.05, np.float32), np.zeros((0, 2)), np.zeros(0), np.random.default_rng(6))
    assert image.mean() == pytest.approx(0.05, rel=0.03)
    assert image.var() / image.mean() ** 2 == pytest.approx(1 / looks, rel=0.06)
    assert stats.kstest(image[::4, ::4].ravel(), "gamma", args=(looks, 0, 0.05 / looks)).pvalue > 1e-3
    assert 0.02 < autocorrelation(image, 0, 1) < 0.5  # the band is narrower than the sampling
    assert abs(autocorrelation(image, 0, 6)) < 0.05


@pytest.mark.parametrize(("weighting", "sidelobe_db"), [(1.0, -13.26), (0.54, -42.7)])
def test_point_scatterer_has_its_power_its_place_no_speckle_and_the_sidelobes_of_its_weighting(weighting, sidelobe_db):
    radar = Radar(looks=2, bandwidth=(0.25, 0.25), weighting=(weighting, weighting))  # finely sampled, to see lobes
    nothing = np.zeros((256, 256), np.float32)
    a, b = (radar.image(nothing, np.array([[128.0, 90.0]]), np.array([50.0]), np.random.default_rng(s)) for s in (1, 2))
    np.testing.assert_allclose(a, b, atol=1e-3)
    assert np.unravel_index(a.argmax(), a.shape) == (90, 128)
    assert a.max() == pytest.approx(50, rel=1e-3)
    line = a[90, 128:].astype(np.float64)
    null = int(np.argmax(np.diff(line) > 0))
    assert 10 * math.log10(line[null:].max() / 50) == pytest.approx(sidelobe_db, abs=1.0)
    assert a[90, 128 + 14] > 50 * a[90 + 14, 128 + 14]  # a cross, not a disc


def test_sidelobes_turn_with_the_flight_direction_and_ghosts_lie_in_azimuth():
    nothing, at, power = np.zeros((256, 256), np.float32), np.array([[128.0, 128.0]]), np.array([1e4])
    turned = Radar(1, azimuth_deg=45).image(nothing, at, power, np.random.default_rng(0))
    assert turned[128 - 9 : 128 - 6, 128 + 7 : 128 + 10].max() > 20 * turned[128, 128 + 8 : 128 + 14].max()
    ghosts = Radar(1, ambiguity=0.05, ambiguity_px=60).image(nothing, at, power, np.random.default_rng(0))
    plain = Radar(1).image(nothing, at, power, np.random.default_rng(0))
    gain = ghosts - plain
    for y in (128 - 60, 128 + 60):
        assert gain[y - 8 : y + 9, 120:137].sum() > 0.7 * 0.05**2 * plain.sum()
    assert abs(gain[120:137, 128 + 52 : 128 + 69].sum()) < 0.02 * 0.05**2 * plain.sum()


# Scenes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inshore", [None, True, False])
def test_same_seed_same_scene(inshore):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    first = render_sar_scene(7, 128, inshore)
    assert np.random.random() == expected  # noqa: NPY002  the global generator is left alone
    render_sar_scene(8, 128, inshore)
    second = render_sar_scene(7, 128, inshore)
    assert np.array_equal(first.amplitude, second.amplitude)
    assert np.array_equal(first.intensity, second.intensity)
    assert np.array_equal(first.boxes_xyxy, second.boxes_xyxy)
    assert not np.array_equal(first.amplitude, render_sar_scene(9, 128, inshore).amplitude)


@pytest.mark.parametrize("size", [64, 161, 320])
def test_shapes_and_types(size):
    scene = render_sar_scene(3, size)
    assert scene.amplitude.shape == scene.intensity.shape == scene.land.shape == (size, size)
    assert (scene.amplitude.dtype, scene.intensity.dtype, scene.boxes_xyxy.dtype) == (np.uint16, np.float32, np.float32)
    assert scene.boxes_xyxy.shape == (len(scene.classes), 4)
    expected = np.clip(1000 * np.sqrt(scene.intensity.astype(np.float64)), 1, 65535)
    assert np.abs(scene.amplitude - expected).max() <= 0.51


def test_boxes_lie_inside_and_hold_what_stands_out_from_the_sea():
    checked = 0
    for scene in many():
        sea = 10 ** (scene.sea_db / 10)
        for x0, y0, x1, y1 in scene.boxes_xyxy.astype(int):
            assert 0 <= x0 < x1 <= SIZE
            assert 0 <= y0 < y1 <= SIZE
            assert min(x1 - x0, y1 - y0) >= 3
            inside = scene.intensity[y0:y1, x0:x1]
            assert inside.max() > 30 * sea
            assert inside.mean() > 5 * sea
            checked += 1
    assert checked > 50


def test_boxes_end_where_the_ships_end():
    """The outermost rows and columns of a box are bright, those two pixels further out are much darker."""
    edge, beyond = [[], [], [], []], [[], [], [], []]
    for scene in many():
        if scene.inshore:
            continue
        db = 10 * np.log10(scene.intensity) - scene.sea_db
        for x0, y0, x1, y1 in scene.boxes_xyxy.astype(int):
            if min(x0, y0, SIZE - x1, SIZE - y1) < 3:
                continue
            for side, (inner, outer) in enumerate(
                (
                    (db[y0 : y0 + 2, x0:x1], db[y0 - 3 : y0 - 1, x0:x1]),
                    (db[y1 - 2 : y1, x0:x1], db[y1 + 1 : y1 + 3, x0:x1]),
                    (db[y0:y1, x0 : x0 + 2], db[y0:y1, x0 - 3 : x0 - 1]),
                    (db[y0:y1, x1 - 2 : x1], db[y0:y1, x1 + 1 : x1 + 3]),
                )
            ):
                edge[side].append(inner.max())
                beyond[side].append(outer.max())
    assert len(edge[0]) > 25
    for inner, outer in zip(edge, beyond, strict=True):
        assert np.median(inner) > np.median(outer) + 9
        assert np.median(outer) < 16  # dB above the mean of the sea: its speckle, and sidelobes
        assert np.mean(np.array(inner) > 8) > 0.9


def test_inshore_means_a_coast_that_returns_more_than_the_sea():
    for scene in many():
        if scene.inshore:
            assert 0.03 <= scene.land.mean() <= 0.85
            land = scene.intensity[cv2.erode(scene.land.astype(np.uint8), np.ones((5, 5))) > 0]
            assert land.mean() > 1.5 * 10 ** (scene.sea_db / 10)
        else:
            assert scene.land.mean() <= 0.01
    assert 0.2 < np.mean([s.inshore for s in many()]) < 0.65
    assert all(render_sar_scene(s, 96, inshore=True).inshore for s in range(3))
    assert not any(render_sar_scene(s, 96, inshore=False).inshore for s in range(3))


def test_sizes_empty_scenes_and_values_are_as_promised():
    scenes = many()
    sides = np.concatenate([s.boxes_xyxy[:, 2:] - s.boxes_xyxy[:, :2] for s in scenes]).max(1)
    assert 15 < np.median(sides) < 40
    assert sides.max() < 90
    empty = [not len(s.classes) for s in scenes if not s.inshore]
    assert 0 < np.mean(empty) < 0.5
    values = np.concatenate([s.amplitude.ravel() for s in scenes])
    assert np.mean(values < 256) > 0.5  # what a shift by 8 bits would make black
    assert np.mean(values > 255) > 0.05
    assert values.max() > 4000
    assert values.min() >= 1  # its decibels are finite


@pytest.mark.parametrize(
    ("wrong", "part"), [({"size": 12}, "64 to 4096"), ({"size": 9000}, "64 to 4096"), ({"size": 99.5}, "whole number"),
                        ({"seed": -1}, "0 or more"), ({"seed": 0.5}, "whole number")],
)  # fmt: skip
def test_wrong_arguments_are_answered_in_one_line(wrong, part):
    with pytest.raises(ConfigError) as caught:
        render_sar_scene(**{"seed": 0, **wrong})
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


# Folder ---------------------------------------------------------------------------------------------------------------

SMALL = {"n_train": 6, "n_val": 4, "size": 96, "progress": False}


def stamps(root):
    return {p.relative_to(root): (p.stat().st_mtime_ns, p.stat().st_ino) for p in root.rglob("*") if p.is_file()}


def test_folder_is_a_yolo_data_set_of_16_bit_images(tmp_path):
    path = make_demo_sar(tmp_path / "a" / "sar", **SMALL)
    data = yaml.safe_load(path.read_text())
    root = path.parent
    assert (data["path"], data["names"]) == (str(root), NAMES)
    assert data["sar"]["stretch"]["method"] == "percentile"
    assert "channels" not in data
    stems = {}
    for split, n in (("train", 6), ("val", 4)):
        images = sorted((root / data[split]).iterdir())
        labels = sorted((root / "labels" / split).iterdir())
        assert [p.stem for p in images] == [p.stem for p in labels]
        assert len(images) == n
        stems[split] = {p.stem for p in images}
        for image, label in zip(images, labels, strict=True):
            scene = render_sar_scene(int(image.stem.split("_")[1]), 96)
            assert np.array_equal(cv2.imread(str(image), cv2.IMREAD_UNCHANGED), scene.amplitude)
            rows = np.array([line.split() for line in label.read_text().splitlines()], float).reshape(-1, 5)
            assert (rows[:, 0] == 0).all()
            corners = np.concatenate([rows[:, 1:3] - rows[:, 3:] / 2, rows[:, 1:3] + rows[:, 3:] / 2], 1) * 96
            np.testing.assert_allclose(corners, scene.boxes_xyxy, atol=1e-3)
            assert image.stem in (root / data["groups"]["inshore" if scene.inshore else "offshore"]).read_text().split()
    assert not stems["train"] & stems["val"]
    listed = [s for file in data["groups"].values() for s in (root / file).read_text().split()]
    assert sorted(listed) == sorted(stems["train"] | stems["val"])  # each once
    assert [p.name for p in root.parent.iterdir()] == ["sar"]  # no working folder left behind


def test_ultralytics_takes_the_yaml(tmp_path):
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(make_demo_sar(tmp_path / "sar", **SMALL)), autodownload=False)
    assert data["nc"] == 1


def _older(root):
    manifest = root / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 0}))


def _cut(root):
    (root / "manifest.json").write_text("{")


def _lose(name):
    return lambda root: next(iter(root.glob(name))).unlink()


def test_folder_is_reused_when_it_is_the_same_and_made_anew_when_damaged(tmp_path):
    make_demo_sar(tmp_path, **SMALL)
    before = stamps(tmp_path)
    make_demo_sar(tmp_path, **SMALL)
    assert stamps(tmp_path) == before
    for damage in (_older, _cut, _lose("inshore.txt"), _lose("images/val/*.png")):
        damage(tmp_path)
        (tmp_path / "labels" / "train.cache").write_bytes(b"stale")
        make_demo_sar(tmp_path, **SMALL)
        assert stamps(tmp_path).keys() == before.keys()
        assert json.loads((tmp_path / "manifest.json").read_text())["version"] == demo_sar.VERSION


def test_other_seed_shares_no_scene(tmp_path):
    make_demo_sar(tmp_path, **SMALL)
    first = {p.name for p in (tmp_path / "images").rglob("*.png")}
    make_demo_sar(tmp_path, **{**SMALL, "seed": 1})
    assert not first & {p.name for p in (tmp_path / "images").rglob("*.png")}


def test_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_sar, "render_sar_scene", stop)
    with pytest.raises(KeyboardInterrupt):
        make_demo_sar(tmp_path / "sar", **SMALL)
    assert list(tmp_path.iterdir()) == []


def _thesis(root):
    (root / "thesis.txt").write_text("mine")


def _aerial(root):
    make_demo(root, n_train=1, n_val=1, size=64, progress=False)


def _web(root):
    (root / "manifest.json").write_text(json.dumps({"name": "some web page"}))
    (root / "images").mkdir()


@pytest.mark.parametrize("fill", [_thesis, _aerial, _web])
def test_a_folder_with_something_else_is_not_touched(tmp_path, fill):
    fill(tmp_path)
    before = stamps(tmp_path)
    with pytest.raises(DataError, match="another folder"):
        make_demo_sar(tmp_path, **SMALL)
    assert stamps(tmp_path) == before


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"n_train": 0}, DataError), ({"n_val": -2}, DataError), ({"seed": -1}, DataError), ({"size": 32}, ConfigError)],
)
def test_wrong_numbers_are_refused_before_anything_is_made(tmp_path, wrong, error):
    with pytest.raises(error, match="received; expected"):
        make_demo_sar(tmp_path / "sar", **{**SMALL, **wrong})
    assert not (tmp_path / "sar").exists()


def test_shipped_yaml_says_the_same_as_what_is_made(tmp_path):
    shipped = yaml.safe_load((datasets_dir() / "demo-sar.yaml").read_text(encoding="utf-8"))
    made = yaml.safe_load(make_demo_sar(tmp_path / "sar", **SMALL).read_text())
    assert made.pop("task") in shipped.pop("task")
    assert shipped.pop("render")
    assert {k: v for k, v in shipped.items() if k != "path"} == {k: v for k, v in made.items() if k != "path"}


@pytest.mark.parametrize("name", ["demo-sar", "demo-sar.yaml"])
def test_data_demo_sar_is_rendered_on_the_spot(name, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setenv("RSDET_HOME", str(tmp_path))

    def draw(root, n_train, n_val, task=None):
        asked.append({"n_train": n_train, "n_val": n_val, "task": task})
        return root / "x.yaml"

    monkeypatch.setattr(demo_sar, "make_demo_sar", draw)
    assert resolve_data(name) == tmp_path / "demo-sar" / "x.yaml"
    assert asked == [{"n_train": 300, "n_val": 80, "task": "detect"}]

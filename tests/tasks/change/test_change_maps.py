"""Pairs of rasters become maps of changes that lie where they do: no seams, nothing lost, the same after a stop."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from rsdet.data.dates import DatePair
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.change.looking import Looking
from rsdet.tasks.change.outputs import ChangeOutputs
from rsdet.tasks.change.scenes import SceneWishes, compare_scenes
from rsdet.tasks.semantic.polygons import PolygonSettings

rasterio = pytest.importorskip("rasterio")
shapely = pytest.importorskip("shapely")
pytest.importorskip("pyogrio")
from rasters import around, compare, dates, local, mapper, place_of, read, write  # noqa: E402

pytest_plugins = ["change_fixtures"]

SIZE = (150, 220)
# On seams of tiles of 64 pixels, in corners of the raster, over several tiles, of one pixel, touching in a corner.
SQUARES = [
    (40, 40, 52, 60), (0, 0, 3, 4), (147, 215, 150, 220), (60, 90, 140, 190), (10, 100, 11, 101), (20, 120, 24, 124),
    (24, 124, 28, 128),
]  # fmt: skip


def pair(folder: Path, squares=SQUARES, **profile) -> tuple[Path, Path, np.ndarray]:
    before, after, changed = dates(SIZE, squares)
    return write(folder / "2018.tif", before), write(folder / "2022.tif", after, **profile), changed


def features(folder: Path) -> list[dict]:
    return json.loads((folder / "polygons" / "x.geojson").read_text())["features"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as f:
        return list(csv.DictReader(f))


def test_what_has_changed_is_found_where_it_lies_and_nothing_is_lost_at_seams(tmp_path):
    a, b, changed = pair(tmp_path)
    found = compare(tmp_path, a, b)
    with rasterio.open(found.save_path) as f:
        assert (f.crs.to_epsg(), f.transform, f.nodata, f.dtypes) == (32632, place_of(), 255, ("uint8",))
        assert f.tags()["class_1"] == "changed"
        assert (f.read(1) == changed).all()
    with rasterio.open(tmp_path / "probability" / "x.tif") as f:
        assert (f.crs.to_epsg(), f.transform, f.dtypes) == (32632, place_of(), ("float32",))
        assert np.isnan(f.nodata)
        assert ((f.read(1) >= 0.5) == changed).all()
    assert len(found) == len(SQUARES)
    assert found.pixels[1] == changed.sum()
    assert found.area_m2[1] == pytest.approx(changed.sum() / 4, rel=2e-3)
    for name in ("polygons/x.gpkg", "polygons/x.geojson", "polygons/x.qml", "x.jpg", "swipe/x.html"):
        assert (tmp_path / name).is_file()


def test_polygons_say_area_probability_and_centroid(tmp_path):
    a, b, _ = pair(tmp_path)
    compare(tmp_path, a, b)
    probability = read(tmp_path / "probability" / "x.tif")[0]
    got = {f["properties"]["area_px"]: f["properties"] for f in features(tmp_path)}
    for top, left, bottom, right in SQUARES[:4]:
        one = got[(bottom - top) * (right - left)]
        assert one["area_m2"] == pytest.approx(one["area_px"] / 4, rel=2e-3)
        assert one["mean_prob"] == pytest.approx(probability[top:bottom, left:right].mean(), abs=1e-3)
        assert one["centroid_x"] == pytest.approx(500_000 + (left + right) / 4)
        assert one["centroid_y"] == pytest.approx(5_400_000 - (top + bottom) / 4)
        assert one["class"] == "changed"


def test_small_polygons_are_left_out_and_that_is_told(tmp_path, monkeypatch):
    a, b, _ = pair(tmp_path)
    said: list[str] = []
    monkeypatch.setattr("rsdet.tasks.change.rasters.say", lambda text, _: said.append(text))
    found = compare(tmp_path, a, b, polygons=PolygonSettings(min_area_m2=4.5))
    small = sum((y2 - y1) * (x2 - x1) / 4 < 4.5 for y1, x1, y2, x2 in SQUARES)
    assert len(found) == len(features(tmp_path)) == len(SQUARES) - small
    assert said == [f"x: {len(SQUARES) - small} polygons ({small} smaller than 4.5 m2 left out)"]


@pytest.mark.parametrize("overlap", [8, 16, 40])
def test_tiles_equal_the_whole_where_the_network_is_local(tmp_path, overlap):
    a, b, _ = pair(tmp_path)
    tiled = compare(tmp_path / "tiles", a, b, around, overlap=overlap)
    compare(tmp_path / "whole", a, b, around, tile=256, overlap=0)
    maps = [read(tmp_path / name / "probability" / "x.tif")[0] for name in ("tiles", "whole")]
    # But for the rim of the raster: the whole is filled up to the size of the input there, and tiles are not.
    np.testing.assert_allclose(*(m[:-2, :-2] for m in maps), atol=1.01 / 1024)
    before, after, _ = dates(SIZE, SQUARES)
    stack = np.concatenate([before, after], 2).transpose(2, 0, 1)[None].astype(np.float32) / 255
    expected = 1 / (1 + np.exp(-around(stack)[0, 0].astype(float)))
    np.testing.assert_allclose(maps[0][2:-2, 2:-2], expected[2:-2, 2:-2], atol=1.1 / 1024)
    assert tiled.orig_shape == SIZE


def test_the_threshold_is_that_of_the_file(tmp_path):
    a, b, _ = pair(tmp_path)
    compare(tmp_path, a, b, around, threshold=0.3)
    probability = read(tmp_path / "probability" / "x.tif")[0]
    assert (read(tmp_path / "classes" / "x.tif")[0] == (probability >= 0.3)).all()
    assert ((probability >= 0.3) & (probability < 0.5)).any()


def test_where_one_date_shows_nothing_nothing_is_said(tmp_path):
    before, after, changed = dates(SIZE, SQUARES)
    before[:30], after[:, :50] = 0, 0
    a, b = write(tmp_path / "a.tif", before, nodata=0), write(tmp_path / "b.tif", after, nodata=0)
    found = compare(tmp_path, a, b)
    seen = np.ones(SIZE, bool)
    seen[:30], seen[:, :50] = False, False
    classes = read(found.save_path)[0]
    assert ((classes == 255) == ~seen).all()
    assert (np.isnan(read(tmp_path / "probability" / "x.tif")[0]) == ~seen).all()
    assert ((classes == 1) == (changed & seen)).all()
    assert found.pixels.sum() == seen.sum()
    table = rows(tmp_path / "tables" / "x-tiles.csv")
    assert sum(int(r["seen_px"]) for r in table) == seen.sum()
    assert sum(int(r["changed_px"]) for r in table) == (changed & seen).sum()


def test_a_later_date_on_another_grid_is_refused_or_resampled(tmp_path):
    a, _, _ = pair(tmp_path)
    _, after, changed = dates(SIZE, SQUARES)
    fine = after.repeat(2, 0).repeat(2, 1)
    b = write(tmp_path / "fine.tif", fine, transform=place_of(0.25))
    with pytest.raises(DataError, match=r"have 220x150 and 440x300 pixels; pass resample=True .*gdalwarp -t_srs"):
        compare(tmp_path / "refused", a, b)
    assert not list(tmp_path.glob("refused/**/*.tif"))
    found = compare(tmp_path / "done", a, b, resample=True)
    assert (read(found.save_path)[0] == changed).mean() > 0.999
    assert not [p for p in (tmp_path / "done").rglob("*") if p.suffix == ".vrt" or p.name.startswith(".grid")]
    moved = write(tmp_path / "moved.tif", after[:, 40:], transform=place_of(x=500_020))
    found = compare(tmp_path / "part", a, moved, resample=True)
    classes = read(found.save_path)[0]
    assert (classes[:, :40] == 255).all()
    assert (classes[:, 40:] == changed[:, 40:]).all()


@pytest.mark.parametrize("size", [(1, 90), (70, 5), (1, 1)])
def test_strips_narrower_than_what_tiles_share_are_compared(tmp_path, size):
    before, after, changed = dates(size, [(0, 0, 1, 3)])
    a, b = write(tmp_path / "a.tif", before), write(tmp_path / "b.tif", after)
    assert (read(compare(tmp_path, a, b, overlap=16).save_path)[0] == changed).all()


def test_the_same_grid_is_not_resampled_when_it_may_be(tmp_path):
    a, b, _ = pair(tmp_path)
    one, other = (compare(tmp_path / str(may), a, b, around, resample=may) for may in (True, False))
    assert (read(one.save_path) == read(other.save_path)).all()


def test_another_light_is_no_change_once_histograms_match(tmp_path):
    before, after, changed = dates(SIZE, [(40, 40, 52, 60)])
    a, b = write(tmp_path / "a.tif", before), write(tmp_path / "b.tif", (after // 2 + 120).astype(np.uint8))
    assert (read(compare(tmp_path / "as", a, b).save_path)[0] == 1).mean() > 0.2
    found = read(compare(tmp_path / "matched", a, b, match=True).save_path)[0] == 1
    assert found[~changed].mean() < 0.01


def test_a_shift_is_told_and_stands_in_the_table_of_tiles(tmp_path, monkeypatch):
    from rsdet.data.scenes import render_scene

    scene = render_scene(3, (280, 300)).image
    a, b = write(tmp_path / "a.tif", scene[10:266, 10:266]), write(tmp_path / "b.tif", scene[7:263, 14:270])
    told: list[str] = []
    monkeypatch.setattr("rsdet.tasks.change.scenes.say", lambda text, _: told.append(text))
    found = compare(tmp_path, a, b, tile=128)
    assert len(told) == 1
    assert "a.tif: the dates lie more than 2 px apart" in told[0]
    assert found.shifts
    table = rows(tmp_path / "tables" / "x-tiles.csv")
    assert len(table) == 4
    said = [(float(r["shift_x_px"]), float(r["shift_y_px"])) for r in table if r["shift_px"]]
    assert said
    for shift in said:
        assert shift == pytest.approx((-4, 3), abs=0.2)
    compare(tmp_path / "same", a, write(tmp_path / "c.tif", scene[9:265, 10:266]), tile=128)
    assert len(told) == 1


def test_a_stopped_run_goes_on_and_makes_the_same_bytes(tmp_path):
    a, b, _ = pair(tmp_path)
    calls = [0]

    def breaks(x):
        calls[0] += 1
        if calls[0] == 11:
            raise KeyboardInterrupt
        return around(x)

    def go(into):
        run = {"project": into, "name": None, "exist_ok": False}
        looking = Looking(64, 16)
        each = compare_scenes(
            mapper(breaks), [DatePair(a, b)], run, ChangeOutputs(), [], looking, SceneWishes(), verbose=False
        )
        return list(each)

    calls[0] = 100
    (whole,) = go(tmp_path / "whole")
    tiles, calls[0] = calls[0] - 100, 0
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "half")
    assert not list((tmp_path / "half").rglob("*.tif"))
    calls[0] = 100
    (again,) = go(tmp_path / "half")
    assert 0 < calls[0] - 100 < tiles
    folders = [r.save_path.parents[1] for r in (whole, again)]
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*") if p.is_file()) for f in folders]
    assert names[0] == names[1]
    for name in names[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_pairs_that_cannot_be_compared_are_named_and_the_others_done(tmp_path):
    a, b, _ = pair(tmp_path)
    bad = write(tmp_path / "bad.tif", dates((50, 60), [])[0])
    skipped: list[str] = []
    run = {"project": tmp_path / "runs", "name": "x", "exist_ok": False}
    pairs = [DatePair(a, bad), DatePair(a, b)]
    outputs = ChangeOutputs()
    done = list(compare_scenes(mapper(), pairs, run, outputs, skipped, Looking(64, 16), SceneWishes(), False))
    assert len(done) == len(skipped) == 1
    assert "bad.tif have 220x150 and 60x50 pixels" in skipped[0]
    with pytest.raises(DataError, match=r"bad\.tif"):
        list(compare_scenes(mapper(), pairs[:1], {**run, "name": "y"}, outputs, [], Looking(64, 16), SceneWishes()))


def test_deep_samples_are_stretched_once_for_the_whole(tmp_path):
    before, after, changed = dates(SIZE, SQUARES)
    a, b = (write(tmp_path / f"{n}.tif", x.astype(np.uint16) * 40) for n, x in (("a", before), ("b", after)))
    found = compare(tmp_path, a, b, stretch=[0, 10_200])
    assert (read(found.save_path)[0] == changed).all()


@pytest.mark.parametrize("key", ["resample", "districts"])
def test_wishes_are_checked(tmp_path, key):
    with pytest.raises(ConfigError, match=f"{key}=7"):
        SceneWishes(**{key: 7})
    with pytest.raises(ConfigError, match="match=7"):
        Looking(64, 16, match=7)


def test_the_page_is_complete_in_itself_and_shows_names_as_text(tmp_path):
    before, after, _ = dates(SIZE, SQUARES)
    a, b = write(tmp_path / "a<b>.tif", before), write(tmp_path / 'b"x.tif', after)
    compare(tmp_path, a, b)
    page = (tmp_path / "swipe" / "x.html").read_text()
    assert "<b>" not in page
    assert "a&lt;b&gt;.tif" in page
    assert not re.findall(r"https?://", page)
    assert page.count("data:image/jpeg;base64,") == 2
    assert page.count("data:image/png;base64,") == 1
    assert 'type="range"' in page
    assert "in 7 places" in page


def test_the_overview_loses_no_change(tmp_path):
    from rsdet.tasks.change.rasters import ChangeRasters

    a, b, changed = pair(tmp_path)
    found = compare(tmp_path, a, b, local)
    rasters = ChangeRasters(found.save_path, {}, None, {}, 0.5)
    small = rasters.small((31, 40))
    ys, xs = np.nonzero(changed)
    expected = np.zeros((31, 40), bool)
    edges = [np.arange(n + 1) * whole // n for n, whole in ((31, SIZE[0]), (40, SIZE[1]))]
    expected[np.searchsorted(edges[0], ys, "right") - 1, np.searchsorted(edges[1], xs, "right") - 1] = True
    assert ((small == 1) == expected).all()


@pytest.fixture
def weights(made) -> Path:
    return made[0] / "w.pt"


def run(*words: object) -> int:
    from rsdet import cli

    return cli.run(["predict", *map(str, words)])


def test_two_mosaics_from_the_command_line(tmp_path, weights):
    a, b, _ = pair(tmp_path)
    words = [f"model={weights}", f"source={a}", f"source2={b}", f"project={tmp_path / 'runs'}", "name=x", "imgsz=64"]
    assert run(*words) == 0
    folder = tmp_path / "runs" / "x"
    found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert found == [
        "2018.jpg", "areas.csv", "classes/2018.tif", "polygons/2018.geojson", "polygons/2018.gpkg",
        "polygons/2018.qml", "probability/2018.tif", "swipe/2018.html", "tables/2018-tiles.csv",
    ]  # fmt: skip
    changed = int((read(folder / "classes" / "2018.tif") == 1).sum())
    assert 0 < changed < SIZE[0] * SIZE[1]
    assert {r["name"]: int(r["pixels"]) for r in rows(folder / "areas.csv")}["changed"] == changed


def test_with_pytorch_and_without_the_maps_are_the_same(tmp_path, weights, exported):
    a, b, _ = pair(tmp_path)
    for name, model in (("full", weights), ("light", exported)):
        words = [f"model={model}", f"source={a}", f"source2={b}", f"project={tmp_path}", f"name={name}"]
        assert run(*words, "imgsz=64", "match=True", "verbose=False") == 0
    full, light = (read(tmp_path / name / "probability" / "2018.tif")[0] for name in ("full", "light"))
    assert np.abs(full - light).max() < 0.01


@pytest.mark.parametrize(("profile", "shape", "says"), [
    ({}, (140, 220), "pixels"),
    ({"crs": "EPSG:25832"}, SIZE, "reference systems EPSG:32632 and EPSG:25832;"),
    ({"crs": "EPSG:32632+5773"}, SIZE, "and WGS 84 / UTM zone 32N + EGM96 height;"),
    ({"transform": place_of(x=500_003)}, SIZE, "6 pixels apart"),
])  # fmt: skip
def test_grids_that_differ_end_in_one_line_with_the_command_that_mends_them(
    tmp_path, weights, capsys, profile, shape, says
):
    a, _, _ = pair(tmp_path)
    b = write(tmp_path / "later.tif", dates(shape, [])[1] + 1, **profile)
    words = [f"model={weights}", f"source={a}", f"source2={b}", f"project={tmp_path / 'runs'}", "imgsz=64"]
    assert run(*words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in error
    assert "pass resample=True" in error
    assert "gdalwarp -t_srs EPSG:32632 -te 500000.0 " in error
    assert not (tmp_path / "runs").exists()


def test_one_raster_twice_and_a_single_date_are_refused(tmp_path, weights, capsys):
    a, _, _ = pair(tmp_path)
    copy = tmp_path / "copy.tif"
    copy.write_bytes(a.read_bytes())
    for more in ([f"source2={copy}"], [f"source2={a}"], []):
        assert run(f"model={weights}", f"source={a}", *more, f"project={tmp_path / 'runs'}") == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert "one picture" in error or "single date" in error
    assert not (tmp_path / "runs").exists()


def test_pictures_are_matched_and_their_shift_told_as_rasters_are(tmp_path, weights, monkeypatch, capsys):
    from rsdet.data.raster_io import write_image
    from rsdet.data.scenes import render_scene
    from rsdet.tasks.change.looking import matched_dates, picture_shifts

    scene = render_scene(3, (300, 300)).image
    before, after = scene[20:276, 20:276], (scene[17:273, 24:280] * 0.5 + 40).astype(np.uint8)
    after[:20] = 0  # no data
    (shift,) = picture_shifts(np.concatenate([before, after], 2))
    assert (shift.x_px, shift.y_px) == pytest.approx((-4, 3), abs=0.2)
    matched = matched_dates(np.concatenate([before, after], 2))
    assert (matched[..., :3] == before).all()
    assert (matched[:20, :, 3:] == 0).all()
    assert abs(matched[20:, :, 3:].mean() - before[20:].mean()) < 1.5
    for name, date in (("a", before), ("b", after)):
        write_image(tmp_path / f"{name}.png", date.astype(np.float32) / 255)
    words = [f"source={tmp_path / 'a.png'}", f"source2={tmp_path / 'b.png'}", f"project={tmp_path}", "name=x"]
    told: list[str] = []
    monkeypatch.setattr("rsdet.tasks.change.running.say", lambda text, _: told.append(text))
    assert run(f"model={weights}", *words, "imgsz=256", "match=True", "swipe=True") == 0
    assert "a.png: the dates lie more than 2 px apart" in told[0]
    assert run(f"model={weights}", *words, "resample=True") == 2
    assert "resample= are for GeoTIFFs" in capsys.readouterr().err
    assert (tmp_path / "x" / "swipe" / "a.html").is_file()


@pytest.mark.parametrize(
    ("bands", "count", "order"), [(None, 1, [0]), (None, 4, [0, 1, 2, 3]), ([4, 3, 1], 4, [3, 2, 0])]
)
def test_bands_come_in_the_order_of_the_model(tmp_path, bands, count, order):
    from rsdet.data.dates import read_pair
    from rsdet.data.pictures import PictureReader
    from rsdet.data.tiling import Tile
    from rsdet.scenes.reader import open_raster
    from rsdet.tasks.change.view import DatesView

    rng = np.random.default_rng(5)
    planes = [rng.integers(1, 255, (30, 40, count), np.uint8) for _ in range(2)]
    # Four bands that are not said to be colours and opacity.
    kind = {"photometric": "MINISBLACK", "ALPHA": "NO"} if count == 4 else {}
    a, b = (write(tmp_path / f"{n}.tif", x, **kind) for n, x in zip("ab", planes, strict=True))
    with open_raster(a) as before, open_raster(b) as after:
        view = DatesView.of(before, after, after, PictureReader(len(order), bands and tuple(bands)))
        stack, valid = view.read(Tile(0, 0, 30, 40))
    assert valid.all()
    assert (stack == np.concatenate([x[..., order] for x in planes], 2)).all()
    assert (stack == read_pair(DatePair(a, b), bands)).all()

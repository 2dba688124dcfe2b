"""Whole scenes end to end, by a model whose answers are known."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import blobs
import numpy as np
import pytest
from fakes import put_in_place

from rsdet.errors import ConfigError, DataError
from rsdet.runtime.results import Detections
from rsdet.scenes.folder import MARK
from rsdet.scenes.run import SceneRun
from rsdet.scenes.settings import SceneSettings, take

rasterio = pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")
pyogrio = pytest.importorskip("pyogrio", reason="layers are written with pyogrio (extra geo)")

SIZE = (300, 420)


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return blobs.boxes_apart(SIZE, 150, np.random.default_rng(0))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, truth: np.ndarray) -> Path:
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    return blobs.write_scene(tmp_path_factory.mktemp("scene") / "town.tif", picture)


def rows(boxes: np.ndarray) -> list[list[float]]:
    return sorted(np.asarray(boxes, float).round(6).tolist())


@pytest.mark.parametrize(
    ("tile", "overlap", "batch"), [(64, 16, 3), (64, 16, 1), (96, 0.2, 7), (128, 14, 4), (512, 0, 2)]
)
def test_tiles_find_what_the_whole_shows(
    scene: Path, truth: np.ndarray, tmp_path: Path, tile: int, overlap: float, batch: int
) -> None:
    """The model looks no further than an object, so that tiles must equal the whole exactly."""
    result = blobs.run(scene, tmp_path, blobs.predictor(batch), tile=tile, overlap=overlap).results[0]
    assert rows(result.found.boxes_xyxy) == rows(truth)
    assert not result.found.guest.any()
    whole = blobs.run(scene, tmp_path, tile=512, overlap=0).results[0]
    both = [sorted(zip(r.found.boxes_xyxy.tolist(), r.found.scores.tolist(), strict=True)) for r in (result, whole)]
    assert both[0] == both[1]


def test_the_layer_lies_where_the_objects_are(scene: Path, truth: np.ndarray, tmp_path: Path) -> None:
    run = blobs.run(scene, tmp_path)
    geopandas = pytest.importorskip("geopandas")
    layer = geopandas.read_file(run.save_dir / "town.gpkg")
    assert layer.crs.to_epsg() == 32635
    minx, miny, maxx, maxy = layer.total_bounds
    x1, y1, x2, y2 = truth[:, 0].min(), truth[:, 1].min(), truth[:, 2].max(), truth[:, 3].max()
    assert np.allclose([minx, maxx], [500_000 + x1 * 0.5, 500_000 + x2 * 0.5])
    assert np.allclose([maxy, miny], [5_960_000 - y1 * 0.5, 5_960_000 - y2 * 0.5])
    assert sorted(p.name for p in run.save_dir.iterdir()) == ["town.gpkg", "town.json", "town.qml"]


def test_two_runs_have_the_same_bytes_whatever_the_batch(scene: Path, tmp_path: Path) -> None:
    keys = {"layers": ["gpkg", "geojson", "coco", "csv"], "quicklook": True, "crops": 6}
    a = blobs.run(scene, tmp_path, blobs.predictor(1), **keys)
    b = blobs.run(scene, tmp_path, blobs.predictor(5), **keys)
    names = sorted(p.name for p in a.save_dir.iterdir())
    assert a.save_dir != b.save_dir
    assert names == sorted(p.name for p in b.save_dir.iterdir())
    for name in names:
        assert (a.save_dir / name).read_bytes() == (b.save_dir / name).read_bytes(), name


class Stopped(Exception):
    pass


def stopping(after: int) -> Any:
    """The model, until so many calls are done."""
    calls = []

    def run(pictures: Any) -> Any:
        calls.append(0)
        if len(calls) > after:
            raise Stopped
        return blobs.find(pictures)

    return blobs.predictor(2, run=run)


def test_a_stopped_run_goes_on_and_a_finished_one_never(scene: Path, tmp_path: Path) -> None:
    whole = blobs.run(scene, tmp_path / "whole").save_dir / "town.gpkg"
    for calls in (3, 4):
        with pytest.raises(Stopped):
            blobs.run(scene, tmp_path / "cut", stopping(calls))
        assert [p.name for p in (tmp_path / "cut").iterdir()] == ["predict"]
        assert not list((tmp_path / "cut" / "predict").glob("town.g*"))  # no layer before the end
    seen: list[int] = []

    def count(pictures: Any) -> Any:
        seen.extend([0] * len(pictures))
        return blobs.find(pictures)

    run = blobs.run(scene, tmp_path / "cut", blobs.predictor(2, run=count))
    assert run.continued
    assert len(seen) == run.results[0].tiles - 2 * (3 + 4)  # nothing is done twice
    assert (run.save_dir / "town.gpkg").read_bytes() == whole.read_bytes()
    assert not list(run.save_dir.glob("*.ledger*"))
    assert not (run.save_dir / MARK).exists()
    again = blobs.run(scene, tmp_path / "cut")
    assert again.save_dir.name == "predict-2"


def test_without_a_name_the_newest_unfinished_run_of_the_same_goes_on(scene: Path, tmp_path: Path) -> None:
    for name in ("city", "town"):
        with pytest.raises(Stopped):
            blobs.run(scene, tmp_path, stopping(3), name=name)
    os.utime(tmp_path / "city" / MARK, (1, 1))  # the clock of a file system may be a coarse one
    run = blobs.run(scene, tmp_path)
    assert run.continued
    assert run.save_dir.name == "town"
    (tmp_path / "city" / "town.ledger.1-of-2").touch()  # others do shares of this one
    assert not blobs.run(scene, tmp_path).continued


def test_the_unfinished_run_of_another_is_left_alone(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        blobs.run(scene, tmp_path, stopping(3), name="city")
    for change in ({"overlap": 8}, {"merging": "nmm"}, {"model": blobs.predictor(identity={"model": "other"})}):
        with pytest.raises(ConfigError, match="another model, other scenes or other settings"):
            blobs.run(scene, tmp_path, name="city", **change)
    other = blobs.run(scene, tmp_path, overlap=8)  # without a name, a folder of its own
    assert other.save_dir.name == "predict"
    assert blobs.run(scene, tmp_path, name="city").continued


def test_a_scene_that_changed_is_not_continued(truth: np.ndarray, tmp_path: Path) -> None:
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    scene = blobs.write_scene(tmp_path / "a.tif", picture)
    with pytest.raises(Stopped):
        blobs.run(scene, tmp_path / "runs", stopping(3), name="city")
    blobs.write_scene(scene, picture[:, ::-1])
    with pytest.raises(ConfigError, match="other scenes"):
        blobs.run(scene, tmp_path / "runs", name="city")
    assert (tmp_path / "runs" / "city" / "a.ledger").exists()


def test_another_scene_of_the_same_size_and_time_is_not_continued(truth: np.ndarray, tmp_path: Path) -> None:
    """As archives unpack them, and programs that copy times along."""
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    two = ("a.tif", picture), ("b.tif", picture[::-1])
    scene, other = (blobs.write_scene(tmp_path / name, samples, compress=None) for name, samples in two)
    with pytest.raises(Stopped):
        blobs.run(scene, tmp_path / "runs", stopping(3), name="city")
    put_in_place(Path(shutil.copy(scene, tmp_path / "copy.tif")), scene)
    with pytest.raises(Stopped):
        blobs.run(scene, tmp_path / "runs", stopping(1), name="city")  # the same once more is the same
    put_in_place(other, scene)
    with pytest.raises(ConfigError, match="other scenes"):
        blobs.run(scene, tmp_path / "runs", name="city")


def test_a_scene_that_changes_while_it_is_read_gives_no_layer(truth: np.ndarray, tmp_path: Path) -> None:
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    scene = blobs.write_scene(tmp_path / "a.tif", picture)
    touched = []

    def run(pictures: Any) -> Any:
        if not touched:
            blobs.write_scene(scene, picture[::-1])
            touched.append(0)
        return blobs.find(pictures)

    with pytest.raises(DataError, match=r"changed while it was read|could"):
        blobs.run(scene, tmp_path / "runs", blobs.predictor(run=run))
    assert not list((tmp_path / "runs").rglob("*.gpkg"))


def test_one_bad_scene_does_not_stop_the_others(scene: Path, truth: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    folder.mkdir()
    (folder / "a.tif").write_bytes(scene.read_bytes())
    (folder / "b.tif").write_bytes(scene.read_bytes()[:3000])
    nothing = np.zeros((*SIZE, 3), np.uint8)
    blobs.write_scene(folder / "c.tif", nothing, nodata=0)
    (folder / "d.tif").write_bytes(scene.read_bytes())
    run = blobs.run(folder, tmp_path / "runs")
    assert [Path(r.path).name for r in run.results] == ["a.tif", "d.tif"]
    assert all(len(r) == len(truth) for r in run.results)
    assert {name for name in ("b.tif", "c.tif") if any(name in line for line in run.skipped)} == {"b.tif", "c.tif"}
    assert not (run.save_dir / MARK).exists()


def test_an_unreadable_block_is_told_and_nothing_else_is_lost(truth: np.ndarray, tmp_path: Path) -> None:
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    scene = blobs.write_scene(tmp_path / "a.tif", picture)
    with rasterio.open(scene) as file:
        at = int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    data = bytearray(scene.read_bytes())
    data[at : at + 40] = b"\xff" * 40
    scene.write_bytes(bytes(data))
    run = blobs.run(scene, tmp_path / "runs", layers=["coco"])
    (result,) = run.results
    far = (truth[:, 2] < 64) | (truth[:, 0] > 256) | (truth[:, 3] < 64)
    found = {tuple(b) for b in result.found.boxes_xyxy.tolist()}
    assert {tuple(map(float, b)) for b in truth[far]} <= found
    assert result.unread
    assert "could not be read" in run.skipped[0]
    report = json.loads((run.save_dir / "a.json").read_text())
    assert len(report["tiles_unread"]) == len(result.unread)


def test_tiles_without_data_are_not_looked_at(truth: np.ndarray, tmp_path: Path) -> None:
    picture = blobs.picture_of(SIZE, truth, np.random.default_rng(1))
    picture[:, 200:] = 0
    scene = blobs.write_scene(tmp_path / "a.tif", picture, nodata=0)
    result = blobs.run(scene, tmp_path / "runs").results[0]
    assert result.looked_at < result.tiles * 0.6
    inside = truth[truth[:, 2] <= 200]
    assert {tuple(map(float, b)) for b in inside} <= {tuple(b) for b in result.found.boxes_xyxy.tolist()}


def test_only_the_area_of_interest_is_looked_at(scene: Path, truth: np.ndarray, tmp_path: Path) -> None:
    import pyproj
    from shapely import to_geojson
    from shapely.geometry import Polygon

    to_lonlat = pyproj.Transformer.from_crs(blobs.CRS, 4326, always_xy=True)
    corners = [(100.2, 80.2), (260.2, 80.2), (260.2, 220.2), (100.2, 220.2)]
    ring = [to_lonlat.transform(500_000 + x * 0.5, 5_960_000 - y * 0.5) for x, y in corners]
    aoi = tmp_path / "area.geojson"
    aoi.write_text(to_geojson(Polygon(ring)))
    result = blobs.run(scene, tmp_path / "runs", aoi=str(aoi)).results[0]
    centres = (truth[:, :2] + truth[:, 2:]) / 2
    inside = truth[((centres > 0.2 + np.array([100, 80])) & (centres < 0.2 + np.array([260, 220]))).all(1)]
    assert rows(result.found.boxes_xyxy) == rows(inside)
    assert result.looked_at < result.tiles


def test_objects_larger_than_the_overlap_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.array([[10, 20, 200, 40], [30, 100, 40, 110]])
    scene = blobs.write_scene(tmp_path / "a.tif", blobs.picture_of(SIZE, truth, np.random.default_rng(1)))
    result = blobs.run(scene, tmp_path / "runs", overlap=16).results[0]
    assert result.cut[0] > 0
    assert result.cut[1] > 16
    assert blobs.run(scene, tmp_path / "runs", tile=448, overlap=220).results[0].cut[0] == 0


def test_several_scales_find_each_object_once(scene: Path, truth: np.ndarray, tmp_path: Path) -> None:
    result = blobs.run(scene, tmp_path, tile=96, overlap=32, scales=[1, 2]).results[0]
    assert len(result) == len(truth)
    fine = {tuple(b) for b in result.found.boxes_xyxy.round().tolist()}
    assert len(fine ^ {tuple(map(float, b)) for b in truth}) < len(truth) // 5


def test_a_scene_of_another_resolution_is_seen_at_that_of_the_model(tmp_path: Path) -> None:
    truth = blobs.boxes_apart(SIZE, 40, np.random.default_rng(3), (12, 30))
    scene = blobs.write_scene(tmp_path / "a.tif", blobs.picture_of(SIZE, truth, np.random.default_rng(1)))
    seen = []

    def run(pictures: Any) -> Any:
        found = blobs.find(pictures)
        seen.extend((f.boxes_xyxy[:, 2] - f.boxes_xyxy[:, 0]).mean() for f in found if len(f))
        return found

    result = blobs.run(scene, tmp_path / "runs", blobs.predictor(run=run, gsd=1.0), overlap=24).results[0]
    assert np.mean(seen) < 0.65 * (truth[:, 2] - truth[:, 0]).mean()  # a metre a pixel: half as large
    assert len(result) == len(truth)
    near = np.abs(np.array(rows(result.found.boxes_xyxy)) - np.array(rows(truth)))
    assert np.median(near) <= 1.0  # and the boxes are in pixels of the scene
    as_it_is = blobs.run(scene, tmp_path / "runs", blobs.predictor(gsd=1.0), gsd=False, overlap=32).results[0]
    assert rows(as_it_is.found.boxes_xyxy) == rows(truth)


def test_a_scene_of_unknown_resolution_is_asked_for_it(tmp_path: Path) -> None:
    import cv2

    truth = blobs.boxes_apart(SIZE, 40, np.random.default_rng(3))
    cv2.imwrite(str(tmp_path / "a.png"), blobs.picture_of(SIZE, truth, np.random.default_rng(1)))
    with pytest.raises(DataError, match="scene_gsd="):
        blobs.run(tmp_path / "a.png", tmp_path / "runs", blobs.predictor(gsd=0.5))
    assert not list((tmp_path / "runs").iterdir())
    result = blobs.run(tmp_path / "a.png", tmp_path / "runs", blobs.predictor(gsd=0.5), scene_gsd=0.5).results[0]
    assert rows(result.found.boxes_xyxy) == rows(truth)
    assert [Path(f).name for f in result.files] == ["a-coco.json", "a.csv"]  # no place: pixels


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"tile": 4, "overlap": 0}, "stride"),
        ({"tile": 64, "overlap": 64}, "no smaller than"),
        ({"tile": 64, "overlap": 1.5}, "fraction below 1"),
        ({"tile": "big"}, "whole number"),
        ({"merging": "nsm"}, "Did you mean 'nms'"),
        ({"layers": "shp"}, "layers"),
        ({"scales": [0]}, "scales"),
        ({"aoi": "nowhere.geojson"}, "nowhere.geojson"),
        ({"stretch": [5, 5]}, "stretch"),
        ({"scales": []}, "names nothing"),
        ({"layers": []}, "names nothing"),
        ({"aoi": 5}, "must be a path"),
        ({"quicklook": "abc"}, "True or False"),
        ({"job": "4/3"}, "job=3/100"),
        ({"job": "²/3"}, "job=3/100"),
        ({"gsd": -1}, "metres"),
        ({"gsd": 1e-9}, "times apart"),
        ({"plan": "."}, "no plan"),
    ],
)
def test_bad_settings_are_one_line_and_write_nothing(
    scene: Path, tmp_path: Path, keys: dict[str, Any], says: str
) -> None:
    with pytest.raises((ConfigError, DataError)) as error:
        blobs.run(scene, tmp_path / "runs", **keys)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*.gpkg"))


def test_the_ledger_of_a_sparse_scene_does_not_grow_with_it(tmp_path: Path) -> None:
    """A scene of 10^9 pixels, one block of which has data."""
    path = tmp_path / "sparse.tif"
    truth = np.array([[20, 20, 30, 28]])
    block = blobs.picture_of((256, 256), truth, np.random.default_rng(0))
    with rasterio.open(
        path, "w", driver="GTiff", height=31_744, width=31_744, count=3, dtype="uint8", nodata=0, tiled=True,
        blockxsize=256, blockysize=256, compress="deflate", sparse_ok=True, crs=blobs.CRS,
        transform=rasterio.transform.from_origin(500_000, 5_960_000, 0.5, 0.5),
    ) as file:  # fmt: skip
        file.write(np.moveaxis(block, 2, 0), window=rasterio.windows.Window(25_600, 25_600, 256, 256))
    sizes = []

    def run(pictures: Any) -> Any:
        ledger = next((tmp_path / "runs").rglob("*.ledger"))
        sizes.append(sum(p.stat().st_size for p in ledger.parent.glob("*.ledger*")))
        return blobs.find(pictures)

    result = blobs.run(path, tmp_path / "runs", blobs.predictor(run=run), tile=256, overlap=32).results[0]
    assert rows(result.found.boxes_xyxy) == rows(truth + 25_600)
    assert result.tiles > 15_000
    assert result.looked_at <= 9
    assert max(sizes) < 500_000


def test_the_ledger_is_a_database_that_anybody_can_read(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        blobs.run(scene, tmp_path, stopping(3))
    with sqlite3.connect(tmp_path / "predict" / "town.ledger") as db:
        assert db.execute("SELECT SUM(last - first + 1) FROM done").fetchone() == (6,)


def test_cfar_finds_in_tiles_what_it_finds_in_the_whole(tmp_path: Path) -> None:
    """Its windows are wider than an object: where the overlap holds them twice over, tiles and the whole are equal."""
    from rsdet import RSDet

    rng = np.random.default_rng(5)
    sea = rng.gamma(4.0, 12.0, (400, 520, 1))
    for x, y in [(x + 7 * y // 90, y) for x in range(40, 500, 110) for y in range(40, 380, 100)]:
        sea[y : y + 6, x : x + 16] += 4000
    scene = blobs.write_scene(tmp_path / "sea.tif", sea.astype(np.float32))
    model = RSDet("cfar.yaml")
    keys = {"quicklook": True, "crops": 4, "verbose": False, "project": str(tmp_path / "runs")}
    (whole,) = model.predict(scene, tile=1024, overlap=0, **keys)
    (tiled,) = model.predict(scene, tile=200, overlap=120, **keys)
    assert len(whole) >= 8
    assert rows(tiled.found.boxes_xyxy) == rows(whole.found.boxes_xyxy)
    plain = model.predict(scene, verbose=False, project=str(tmp_path / "runs"))[0]
    assert rows(plain.boxes.xyxy.numpy()) == rows(whole.found.boxes_xyxy)


def test_tiles_that_hold_as_many_objects_as_may_be_are_told(
    scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def run(pictures: Any) -> Any:
        return [found.best(4) for found in blobs.find(pictures)]

    result = blobs.run(scene, tmp_path, blobs.predictor(run=run, max_det=4)).results[0]
    assert result.full > 3
    assert json.loads((tmp_path / "predict" / "town.json").read_text())["tiles_at_max_det"] == result.full
    assert blobs.run(scene, tmp_path, blobs.predictor(max_det=300)).results[0].full == 0


def test_a_scene_that_fails_at_the_end_keeps_its_tiles(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsdet.scenes import layers

    def refuse(*args: Any) -> None:
        raise DataError("the layer cannot be made.")

    with monkeypatch.context() as patch:
        patch.setattr(layers, "write_layers", refuse)
        with pytest.raises(DataError, match="cannot be made"):
            blobs.run(scene, tmp_path)
    seen: list[int] = []

    def count(pictures: Any) -> Any:
        seen.append(len(pictures))
        return blobs.find(pictures)

    run = blobs.run(scene, tmp_path, blobs.predictor(run=count))
    assert run.continued
    assert not seen  # all tiles were done
    assert (run.save_dir / "town.gpkg").is_file()


@pytest.mark.parametrize(("family", "size", "scales", "shown"), [
    ("yolo", (40, 50), [1], (64, 64)), ("yolo", (100, 90), [0.5], (64, 64)), ("yolo", (64, 50), [1], (64, 50)),
    ("rtdetr", (64, 50), [1], (64, 64)),
])  # fmt: skip
def test_a_scene_smaller_than_a_tile_is_not_enlarged(
    tmp_path: Path, family: str, size: tuple[int, int], scales: list[float], shown: tuple[int, int]
) -> None:
    """Networks enlarge what does not fill their input, and may find objects in what it is filled up with."""
    pictures = []

    def everything(some: Any) -> list[Detections]:
        pictures.extend(some)
        boxes = np.array([[5, 6, 64, 64], [60, 60, 64, 64]], np.float32)
        found = [Detections(boxes, np.ones(2), np.zeros(2, int), {0: "a"}, p.shape[:2], p.shape[:2]) for p in some]
        return [d.best(1) if p.shape[:2] == size else d for d, p in zip(found, some, strict=True)]

    scene = blobs.write_scene(tmp_path / "a.tif", np.full((*size, 3), 9, np.uint8))
    model = blobs.predictor(run=everything, family=family)
    result = blobs.run(scene, tmp_path / "runs", model, scales=scales).results[0]
    assert [p.shape[:2] for p in pictures] == [shown]
    assert rows(result.found.boxes_xyxy) == [[5 / scales[0], 6 / scales[0], size[1], size[0]]]


def test_scenes_of_names_that_others_stumble_over(tmp_path: Path) -> None:
    """Pyogrio cuts names at some signs; a long one is too long with a suffix; one is that of another's layer."""
    names = [
        "semi;colon?!.tif",
        f"{'ü' * 120}.tif",
        f"{'x' * 251}.tif",
        "a.tif",
        "a-coco.tif",
        ".unfinished.tif",
        "a\t.tif",
    ]
    folder = tmp_path / "what;is!this?"
    folder.mkdir()
    for name in names:
        blobs.write_scene(folder / name, np.full((40, 40, 3), 90, np.uint8))
    run = blobs.run(folder, folder / "runs", layers=["gpkg", "coco"])
    assert not run.skipped
    layers = [Path(f) for result in run.results for f in result.files]
    assert len(set(layers)) == 3 * len(names)  # with the style
    assert all(f.is_file() for f in layers)
    assert [pyogrio.raw.read(f.read_bytes())[3][0].tolist() for f in layers if f.suffix == ".gpkg"] == [["tall"]] * 7
    assert all(json.loads(f.read_text())["annotations"] for f in layers if f.name.endswith("-coco.json"))
    assert not (run.save_dir / MARK).exists()


def test_tiles_that_the_model_resizes_are_told(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr("rsdet.scenes.run.say", lambda text, *_: lines.append(text))
    for tile, told in ((64, False), (128, True)):
        run = SceneRun(blobs.predictor(), SceneSettings(tile=tile, crops=0, quicklook=False), scene, tmp_path)
        assert list(run)
        assert any("use tile=64" in line for line in lines) == told


def test_a_stretched_scene_without_data_leaves_nothing_behind(tmp_path: Path) -> None:
    scene = blobs.write_scene(tmp_path / "a.tif", np.full((90, 70, 3), np.nan, np.float32))
    with pytest.raises(DataError, match="no valid pixel"):
        blobs.run(scene, tmp_path / "runs", stretch=[0, 1])
    assert not list((tmp_path / "runs").iterdir())


def test_settings_may_come_from_arrays(tmp_path: Path) -> None:
    given = {"tile": np.int64(64), "overlap": np.float32(0.25), "stretch": np.array([0, 255]), "scales": None}
    settings, rest = take({**given, "aoi": tmp_path, "conf": 0.5})
    assert (settings.tile, settings.overlap_px, settings.stretch, settings.scales) == (64, 16, [0, 255], (1.0,))
    assert settings.aoi == str(tmp_path)
    assert rest == {"conf": 0.5}

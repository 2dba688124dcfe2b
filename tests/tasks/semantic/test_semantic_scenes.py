"""Rasters become maps that lie where they do: no seams, nothing where there are no data, the same after a stop."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from semantic_fakes import enlivened, model_yaml

from rsdet import RSDet, cli
from rsdet.data.pictures import PictureReader
from rsdet.data.scenes import render_scene
from rsdet.errors import DataError
from rsdet.progress import Line
from rsdet.tasks.semantic.outputs import MapOutputs
from rsdet.tasks.semantic.scenes import Mapper, map_scene, map_scenes

rasterio = pytest.importorskip("rasterio")
NAMES = {0: "land", 1: "water", 2: "ice"}


def scene(path: Path, size: tuple[int, int] = (150, 200), nodata: int | None = None) -> np.ndarray:
    """A rendered raster of half-metre pixels; the corner has no data where there is such a value."""
    picture = render_scene(7, size).image.clip(1)
    if nodata is not None:
        picture[:20, :30] = nodata
    place = rasterio.transform.from_origin(500000, 5400000, 0.5, 0.5)
    kind = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32632", "transform": place, "nodata": nodata}
    with rasterio.open(path, "w", height=size[0], width=size[1], **kind) as f:
        f.write(picture.transpose(2, 0, 1))
    return picture


def by_pixel(x: np.ndarray) -> np.ndarray:
    """Logits that depend on the pixel alone: a map is then the same however it is cut."""
    return np.stack([x[:, 0] * 9, x[:, 1] * 10, x[:, 2] * 11], 1)


def mapper(**more: object) -> Mapper:
    return Mapper(by_pixel, PictureReader(3), NAMES, 3, (64, 64), **more)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as f:
        return f.read()


def mapped(folder: Path, file: Path, stem: str = "x", **settings: object):
    given = {"tile": 64, "overlap": 16, **settings}
    with Line("x", verbose=False) as line:
        return map_scene(mapper(), file, folder, stem, line=line, **given)


def test_tiles_leave_no_seam_and_the_map_lies_where_the_raster_does(tmp_path):
    picture = scene(tmp_path / "a.tif")
    result = mapped(tmp_path, tmp_path / "a.tif")
    logits = by_pixel(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)[0]
    with rasterio.open(result.save_path) as f:
        assert (f.crs.to_epsg(), f.transform.c, f.transform.a, f.nodata) == (32632, 500000, 0.5, 255)
        assert f.colorinterp[0].name == "palette"
        assert f.tags()["class_1"] == "water"
        assert (f.read(1) == logits.argmax(0)).all()
    probs = np.exp(logits) / np.exp(logits).sum(0)
    assert np.abs(read(tmp_path / "confidence" / "x.tif")[0] - 100 * probs.max(0)).max() <= 0.51
    assert (tmp_path / "x.jpg").is_file()
    assert result.area_m2.sum() == pytest.approx(150 * 200 / 4, rel=2e-3)  # the scale of UTM
    assert result.pixels.sum() == 150 * 200


@pytest.mark.parametrize("overlap", [0, 16, 40])
def test_equal_logits_everywhere_give_one_probability_everywhere(tmp_path, overlap):
    scene(tmp_path / "a.tif")
    logits = np.array([0.3, 1.1, -2], np.float32)[None, :, None, None]
    flat = Mapper(lambda x: np.broadcast_to(logits, (len(x), 3, *x.shape[2:])), PictureReader(3), NAMES, 3, (64, 64))
    with Line("x", verbose=False) as line:
        map_scene(flat, tmp_path / "a.tif", tmp_path, "x", tile=64, overlap=overlap, with_probabilities=True, line=line)
    probs = read(tmp_path / "probabilities" / "x.tif")
    expected = np.exp(logits[0]) / np.exp(logits).sum()
    np.testing.assert_allclose(probs, np.broadcast_to(expected, probs.shape), atol=1e-6)
    assert (read(tmp_path / "classes" / "x.tif") == 1).all()


def test_nothing_is_said_where_there_are_no_data(tmp_path):
    scene(tmp_path / "a.tif", nodata=0)
    result = mapped(tmp_path, tmp_path / "a.tif", with_probabilities=True)
    assert (read(result.save_path)[0] == 255).sum() == 20 * 30
    probs = read(tmp_path / "probabilities" / "x.tif")
    assert probs.shape == (3, 150, 200)
    assert np.isnan(probs).any(0).sum() == 20 * 30
    np.testing.assert_allclose(np.nansum(probs, 0)[20:], 1, atol=1e-5)
    assert result.pixels.sum() == 150 * 200 - 600


def test_a_raster_smaller_than_a_tile_is_not_enlarged(tmp_path):
    scene(tmp_path / "a.tif", (64, 70))
    seen = []

    def run(x):
        seen.append(x)
        return by_pixel(x)

    small = Mapper(run, PictureReader(3), NAMES, 3, (128, 128))
    with Line("x", verbose=False) as line:
        map_scene(small, tmp_path / "a.tif", tmp_path, "x", tile=128, overlap=0, line=line)
    (x,) = seen
    assert np.allclose(x[0, :, 64:], 114 / 255)
    assert not np.allclose(x[0, :, :64, :70], 114 / 255)


def test_a_run_of_which_nothing_came_leaves_its_name_to_the_mended_one(tmp_path):
    """There is nothing to go on with, and who was told what is wrong calls it again."""
    scene(tmp_path / "a.tif")
    (tmp_path / "bad.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:200])

    def go(name):
        run = {"project": tmp_path, "name": "out", "exist_ok": False}
        model = Mapper(by_pixel, PictureReader(3), NAMES, 3, (64, 64))
        settings = {"tile": 64, "overlap": 16, "verbose": False}
        return list(map_scenes(model, [tmp_path / name], run, MapOutputs(), [], **settings))

    with pytest.raises(DataError, match=r"bad\.tif"):
        go("bad.tif")
    (found,) = go("a.tif")
    assert found.save_path.is_relative_to(tmp_path / "out")


def test_a_stopped_run_goes_on_and_makes_the_same_bytes(tmp_path):
    scene(tmp_path / "a.tif")
    run, calls = {"project": tmp_path, "name": None, "exist_ok": False}, [0]

    def breaks(x):
        calls[0] += 1
        if calls[0] == 9:
            raise KeyboardInterrupt
        return by_pixel(x)

    def go(function, into):
        model = Mapper(function, PictureReader(3), NAMES, 3, (64, 64))
        settings = {"tile": 64, "overlap": 16, "verbose": False}
        return list(map_scenes(model, [tmp_path / "a.tif"], {**run, "project": into}, MapOutputs(), [], **settings))

    calls[0] = 100
    (whole,) = go(breaks, tmp_path / "whole")
    tiles, calls[0] = calls[0] - 100, 0
    with pytest.raises(KeyboardInterrupt):
        go(breaks, tmp_path / "half")
    assert not list((tmp_path / "half").rglob("*.tif"))
    calls[0] = 100
    (again,) = go(breaks, tmp_path / "half")
    assert 0 < calls[0] - 100 < tiles
    for kind in ("classes", "confidence"):
        a, b = (r.save_path.parents[1] / kind / "a.tif" for r in (whole, again))
        assert a.read_bytes() == b.read_bytes()
    assert not [p for p in again.save_path.parents[1].rglob(".*")]


def test_rasters_that_cannot_be_mapped_are_named_and_the_others_done(tmp_path):
    scene(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(b"II*\0 no raster")
    skipped: list[str] = []
    run = {"project": tmp_path / "runs", "name": "x", "exist_ok": False}
    files = [tmp_path / "a.tif", tmp_path / "b.tif"]
    settings = {"tile": 64, "overlap": 16, "verbose": False}
    assert len(list(map_scenes(mapper(), files, run, MapOutputs(), skipped, **settings))) == 1
    assert len(skipped) == 1
    assert "b.tif" in skipped[0]
    with pytest.raises(DataError, match=r"b\.tif"):
        list(map_scenes(mapper(), files[1:], {**run, "name": "y"}, MapOutputs(), skipped, **settings))


def test_with_pytorch_and_without_the_maps_are_the_same(tmp_path):
    pytest.importorskip("onnxruntime")
    scene(tmp_path / "a.tif")
    model = enlivened(RSDet(model_yaml(tmp_path)))
    model.save(str(tmp_path / "w.pt"))
    exported = model.export(format="onnx", imgsz=64, out=tmp_path, verbose=False).path
    for name, weights in (("full", tmp_path / "w.pt"), ("light", exported)):
        words = [f"model={weights}", f"source={tmp_path / 'a.tif'}", f"project={tmp_path}", f"name={name}", "imgsz=64"]
        assert cli.run(["predict", *words, "verbose=False", "save_probabilities=True"]) == 0
    full, light = (read(tmp_path / name / "classes" / "a.tif") for name in ("full", "light"))
    assert len(np.unique(full)) > 2
    probable = [read(tmp_path / name / "probabilities" / "a.tif").astype(float) for name in ("full", "light")]
    assert probable[0].max() > 0
    step = 0.01 * probable[0].max()  # a hundredth, whatever unit they are kept in
    assert np.abs(probable[0] - probable[1]).max() <= 1.01 * step
    best = np.sort(probable[0], axis=0)
    tied = best[-1] - best[-2] <= 1.01 * step
    assert not (
        np.squeeze(full != light) & ~tied
    ).any()  # of random weights some classes are equal, and no others differ
    with open(tmp_path / "light" / "areas.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert sum(int(r["pixels"]) for r in rows) == 150 * 200
    assert sum(float(r["area_m2"]) for r in rows) == pytest.approx(7500, rel=2e-3)


def test_classes_that_are_not_asked_for_are_none_in_rasters_as_in_pictures(tmp_path):
    scene(tmp_path / "a.tif", (64, 64))
    model, maps = enlivened(RSDet(model_yaml(tmp_path, 3))), {}
    for name, classes in (("all", None), ("one", [1])):
        given = {"classes": classes, "name": name, "project": str(tmp_path / "runs"), "polygons": False}
        (result,) = model.predict(tmp_path / "a.tif", imgsz=64, verbose=False, **given)
        maps[name] = read(result.save_path)[0]
    assert len(np.unique(maps["all"])) > 1
    assert (maps["one"] == np.where(maps["all"] == 1, 1, 255)).all()


def test_rasters_of_the_longest_names_have_maps_with_all_that_belongs_to_them(tmp_path):
    """What is put behind a name, or before it, makes it longer than a name may be."""
    files = [tmp_path / f"{'x' * 250}{end}.tif" for end in "ab"]
    for file in files:
        scene(file, (64, 64))
    run, skipped = {"project": tmp_path / "runs", "name": "x", "exist_ok": False}, []
    made = list(map_scenes(mapper(), files, run, MapOutputs(), skipped, tile=64, overlap=0, verbose=False))
    assert not skipped
    assert len({m.save_path for m in made}) == 2
    assert all(file.is_file() for m in made for file in (m.save_path, *m.polygons))


def test_a_place_that_makes_no_sense_is_told_and_the_raster_mapped(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("rsdet.tasks.semantic.scenes.say", lambda text, level: said.append(text))
    scene(tmp_path / "a.tif", (64, 64))
    with rasterio.open(tmp_path / "a.tif", "r+") as f:
        f.transform = rasterio.Affine(0, 0, 500000, 0, 0, 5400000)
    result = mapped(tmp_path, tmp_path / "a.tif")
    assert result.pixels.sum() == 64 * 64
    (line,) = said
    assert "geotransform without area" in line
    assert "no polygons and no areas" in line

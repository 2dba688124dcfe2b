"""Maps of land cover: a pixel gets its class from its own patch, whatever tile, batch or backend it came in."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from fakes import put_in_place
from landcover_fakes import BANDS, SIZE, enlivened, model_yaml, scene, write_scene

from rsdet import RSDet, cli
from rsdet.data.cubes.opening import open_cube
from rsdet.errors import DataError
from rsdet.tasks.landcover.classifier import opened
from rsdet.tasks.landcover.mapping import OpenScene, map_cube
from rsdet.tasks.landcover.patches import padded, patches_at


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data YAML and weights of a lively network with even patches."""
    folder = tmp_path_factory.mktemp("maps")
    data = write_scene(folder)
    weights = folder / "lively.pt"
    enlivened(RSDet(model_yaml(folder, patch=4))).save(str(weights))
    return data, weights


class TestPatches:
    @pytest.mark.parametrize("patch", [1, 4, 5, 8])
    def test_the_pixel_lies_at_half_the_side_also_in_corners(self, patch):
        values = np.arange(6 * 5 * 2, dtype=np.float32).reshape(6, 5, 2)
        rows, cols = np.nonzero(np.ones((6, 5)))
        found = patches_at(padded(values, patch, np.zeros(2)), patch, rows, cols)
        assert found.shape == (30, 2, patch, patch)
        assert np.array_equal(found[:, :, patch // 2, patch // 2], values[rows, cols])

    def test_flips_commute_with_odd_patches(self):
        values, (rows, cols) = np.random.default_rng(0).random((6, 5, 2), np.float32), np.nonzero(np.ones((6, 5)))
        plain = patches_at(padded(values, 3, np.zeros(2)), 3, rows, cols)
        mirrored = patches_at(padded(values[:, ::-1], 3, np.zeros(2)), 3, rows, 4 - cols)
        assert np.array_equal(plain[..., ::-1], mirrored)

    def test_what_has_no_data_is_filled_and_the_border_mirrored(self):
        values = np.array([[[1.0], [np.nan]], [[3.0], [4.0]]], np.float32)
        assert padded(values, 3, np.array([9.0]))[..., 0].tolist() == [[1, 1, 9, 9], [1, 1, 9, 9], [3, 3, 4, 4],
                                                                       [3, 3, 4, 4]]  # fmt: skip


class TestMaps:
    def test_any_tiles_and_batches_give_the_map_of_single_pixels(self, made):
        data, weights = made
        classifier = opened(weights)
        folder = data.parent
        with open_cube(folder / "cube.npy") as cube, open_cube(folder / "height.npy") as height:
            maps = [map_cube(OpenScene(classifier, cube, [height]), rows) for rows in (1, 7, 64)]
        cube, height, _ = scene()
        stacked = np.concatenate([cube, height[..., None]], 2)
        values = padded(stacked, 4, classifier.fill)
        for row, col in ((0, 0), (29, 23), (13, 7), (0, 23)):
            logits = classifier(patches_at(values, 4, np.array([row]), np.array([col])))[0].astype(np.float64)
            want = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            for found in maps:
                assert np.allclose(found[row, col], want, atol=1e-5)
        assert len(np.unique(maps[0].argmax(2))) > 1

    def test_files_of_a_prediction(self, made, tmp_path, capsys):
        rasterio = pytest.importorskip("rasterio")
        data, weights = made
        cube = np.load(data.parent / "cube.npy")
        cube[3, 5, 2] = np.nan
        np.save(tmp_path / "holed.npy", cube)
        words = [f"model={weights}", f"source={tmp_path / 'holed.npy'}", f"lidar={data.parent / 'height.npy'}"]
        assert cli.run(["predict", *words, f"project={tmp_path}", "name=out", "save_probabilities=True"]) == 0
        assert "1 cube mapped" in capsys.readouterr().out
        with rasterio.open(tmp_path / "out" / "classes" / "holed.tif") as f:
            classes = f.read(1)
            assert (f.dtypes[0], f.nodata, f.colormap(1)[3]) == ("uint8", 0, (0, 64, 255, 255))
            assert f.tags()["class_2"] == "roof"
        with rasterio.open(tmp_path / "out" / "probabilities" / "holed.tif") as f:
            probs = f.read()
        with rasterio.open(tmp_path / "out" / "confidence" / "holed.tif") as f:
            percent = f.read(1)
        assert classes[3, 5] == 0
        assert np.isnan(probs[:, 3, 5]).all()
        there = classes > 0
        assert there.sum() == classes.size - 1
        assert np.allclose(probs.sum(0)[there], 1, atol=1e-5)
        assert np.array_equal(probs.argmax(0)[there] + 1, classes[there])
        assert np.abs(percent[there] - 100 * probs.max(0)[there]).max() <= 0.51
        with open(tmp_path / "out" / "areas.csv", newline="") as f:
            rows = list(csv.DictReader(f))
        assert sum(int(r["pixels"]) for r in rows) == there.sum()
        assert (tmp_path / "out" / "holed.jpg").is_file()

    def test_a_place_on_earth_and_its_areas(self, made, tmp_path):
        rasterio = pytest.importorskip("rasterio")
        _, weights = made
        place = dict(crs="EPSG:32633", transform=rasterio.Affine(2, 0, 4e5, 0, -2, 53e5))
        for name, values in (("cube", scene()[0]), ("height", scene()[1][..., None])):
            with rasterio.open(
                tmp_path / f"{name}.tif", "w", driver="GTiff", height=SIZE[0], width=SIZE[1], count=values.shape[2],
                dtype="float32", **place,
            ) as f:  # fmt: skip
                f.write(values.transpose(2, 0, 1))
        (result,) = RSDet(weights).predict(
            tmp_path / "cube.tif", lidar=str(tmp_path / "height.tif"), save=True, project=str(tmp_path), verbose=False
        )
        with rasterio.open(result.save_path) as f:
            assert (f.crs.to_epsg(), f.transform) == (32633, place["transform"])
        assert result.gsd == pytest.approx(2, rel=1e-3)
        assert result.area_m2.sum() == pytest.approx(4 * SIZE[0] * SIZE[1], rel=2e-3)
        assert "km2/s" in result.rate()
        moved = tmp_path / "moved.tif"
        with rasterio.open(tmp_path / "height.tif") as f, rasterio.open(moved, "w", **{
            **f.profile, "transform": rasterio.Affine(2, 0, 4e5 + 2, 0, -2, 53e5)}) as g:  # fmt: skip
            g.write(f.read())
        with pytest.raises(DataError, match="LiDAR"):
            RSDet(weights).predict(tmp_path / "cube.tif", lidar=str(moved), verbose=False)

    def test_scaling_and_components_are_stored(self, made, tmp_path):
        data, weights = made
        model = RSDet(weights)
        (first,) = model.predict(data, verbose=False)
        (again,) = RSDet(model.save_plain(tmp_path / "plain")).predict(data, verbose=False)
        assert np.array_equal(first.classes, again.classes)
        assert first.classes.shape == SIZE

    def test_a_run_that_was_stopped_goes_on(self, made, tmp_path, monkeypatch):
        data, weights = made
        monkeypatch.setattr("rsdet.tasks.landcover.mapping.ROWS", 7)
        keys = dict(save=True, project=str(tmp_path), name="out", verbose=False)
        counted, real = [], OpenScene.probabilities

        def some(self, tile):
            counted.append(1)
            if len(counted) == 3:
                raise DataError("the disk is gone.")
            return real(self, tile)

        monkeypatch.setattr(OpenScene, "probabilities", some)
        with pytest.raises(DataError, match="2 of 5 rows of tiles are done"):
            RSDet(weights).predict(data, **keys)
        (result,) = RSDet(weights).predict(data, **keys)
        assert len(counted) < 3 + 5
        monkeypatch.undo()
        (whole,) = RSDet(weights).predict(data, verbose=False)
        assert np.array_equal(result.classes, whole.classes)

    def test_samples_put_beside_the_same_header_are_another_cube(self, made, tmp_path, monkeypatch):
        """Also of the same size and time, as archives unpack them."""
        monkeypatch.setattr("rsdet.tasks.landcover.mapping.ROWS", 7)
        keys = dict(save=True, project=str(tmp_path), name="out", verbose=False)
        (tmp_path / "c.hdr").write_text(
            f"ENVI\nsamples = {SIZE[1]}\nlines = {SIZE[0]}\nbands = {BANDS}\ndata type = 4\ninterleave = bip\n"
        )
        one, two = tmp_path / "c.img", tmp_path / "other"
        scene()[0].tofile(one)
        scene(seed=5)[0].tofile(two)
        calls, real = [], OpenScene.probabilities

        def some(self, tile):
            calls.append(1)
            if len(calls) == 3:
                raise DataError("the disk is gone.")
            return real(self, tile)

        monkeypatch.setattr(OpenScene, "probabilities", some)
        with pytest.raises(DataError, match="2 of 5 rows"):
            RSDet(made[1]).predict(tmp_path / "c.hdr", **keys)
        put_in_place(two, one)
        with pytest.raises(DataError, match="another scene"):
            RSDet(made[1]).predict(tmp_path / "c.hdr", **keys)


class TestMissingLidar:
    def test_cab_hl_goes_by_the_cube_alone_and_says_so(self, made, caplog):
        data, weights = made
        (result,) = RSDet(weights).predict(data.parent / "cube.npy", verbose=False)
        assert "without LiDAR" in caplog.text
        network = RSDet(weights).model.network
        with torch.no_grad():
            values = padded(scene()[0], 4, network.fill[:BANDS].numpy())
            x = torch.from_numpy(patches_at(values, 4, np.array([9]), np.array([11])))
            assert result.classes[9, 11] == int(network(x).argmax()) + 1

    def test_gaps_are_told_and_nothing_but_gaps_is_refused(self, made, tmp_path, caplog):
        data, weights = made
        height = scene()[1]
        for name, values in (("some", np.where(height > 245, np.nan, height)), ("none", np.full_like(height, np.inf))):
            np.save(tmp_path / f"{name}.npy", values)
        cube, model = data.parent / "cube.npy", RSDet(weights)
        with caplog.at_level("INFO"):
            model.predict(cube, lidar=str(tmp_path / "some.npy"), verbose=False)
        assert f"some.npy: {int((height > 245).sum())} of {height.size} pixels lack a number" in caplog.text
        with pytest.raises(DataError, match=r"none\.npy has no data anywhere"):
            model.predict(cube, lidar=str(tmp_path / "none.npy"), verbose=False)

    def test_other_networks_refuse(self, tmp_path):
        model = enlivened(RSDet(model_yaml(tmp_path, "cnn2d.yaml")))
        np.save(tmp_path / "cube.npy", scene()[0])
        with pytest.raises(DataError, match=r"takes 1 rasters of LiDAR, received 0; pass them as lidar="):
            model.predict(tmp_path / "cube.npy", verbose=False)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda c: c[..., :9], "has 9 bands, the cube of the training had 10"),
        (lambda c: np.zeros((3, 3)), "has 1 bands"),
    ],
)
def test_a_cube_of_another_sensor_is_refused(made, tmp_path, change, error):
    np.save(tmp_path / "other.npy", change(scene()[0]))
    with pytest.raises(DataError, match=error):
        RSDet(made[1]).predict(tmp_path / "other.npy", verbose=False)

"""The task as a user meets it: cubes searched without training, networks fitted to scenes, bad input in one line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from anomaly_fakes import BANDS, SIZE, TRAIN, cube, model_yaml, scene_yaml

from rsdet import RSDet, cli
from rsdet.classical.anomaly import RX, Background
from rsdet.data.cubes.cube import CubeFile
from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.metrics.anomaly import anomaly_scores
from rsdet.runtime.results import detections_of
from rsdet.tasks.anomaly import scoring
from rsdet.tasks.anomaly.finds import find, threshold_of
from rsdet.tasks.anomaly.scene import CubeScene
from rsdet.tasks.anomaly.scoring import Rebuilder, network_scores
from rsdet.tasks.anomaly.task import TASK


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("anomaly")


@pytest.fixture(scope="module")
def scene(folder):
    return scene_yaml(folder / "scene")


def nothing_beside(patch):
    """Leave out the methods beside a network where a test does not look at them: they take most of its time."""
    patch.setattr("rsdet.tasks.anomaly.val.scores_beside", lambda scene: {})


@pytest.fixture
def alone(monkeypatch):
    nothing_beside(monkeypatch)


@pytest.fixture(scope="module")
def run(folder, scene):
    """Folder of a training of three epochs."""
    with pytest.MonkeyPatch.context() as patch:
        nothing_beside(patch)
        RSDet(model_yaml(folder)).train(
            data=scene, project=str(folder), name="run", **{**TRAIN, "epochs": 3, "score_on": "recon"}
        )
    return folder / "run"


def words(**kwargs):
    return [f"{k}={v}" for k, v in kwargs.items()]


def refused(capsys, mode, /, **kwargs):
    assert cli.run([mode, *words(**kwargs)]) == 2
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("rsdet: error: ")]
    return line


# ------------------------------------------------------------------------------------------------ without training


def test_a_scene_beyond_the_memory_is_refused_before_it_is_read():
    """A sparse file of some kilobytes may state any size."""

    def read(*_):
        raise AssertionError

    with pytest.raises(DataError, match="do not fit into the memory of this machine; cut it"):
        CubeScene(CubeFile(Path("c.tif"), (10**8, 10**8, 5), np.dtype("f4"), read))


def test_rx_searches_a_cube_without_training(scene, tmp_path, capsys):
    source = scene.with_suffix(".npy")
    assert cli.run(["predict", *words(model="rx", source=source, project=tmp_path, name="out", far=0.01)]) == 0
    assert "1 cube searched" in capsys.readouterr().out
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(tmp_path / "out" / "scene_score.tif") as f:
        score = f.read(1)
    values, truth = cube()
    assert np.allclose(score, RX().fit(Background.of([values]))(values), rtol=1e-4)
    with rasterio.open(tmp_path / "out" / "scene_mask.tif") as f:
        mask = f.read(1)
    assert 0.005 * mask.size < mask.sum() <= 0.01 * mask.size
    assert truth[mask == 1].mean() > 0.8
    with open(tmp_path / "out" / "scene_finds.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert float(rows[0]["highest"]) == pytest.approx(score.max())
    assert score[int(rows[0]["peak_y"]), int(rows[0]["peak_x"])] == score.max()
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".tif", ".csv", ".png"}


def test_finds_are_boxes_as_a_detector_gives_them(scene):
    (result,) = RSDet("pca-rx", components=3).predict(cube()[0], far=0.01, spectra=2, verbose=False)
    found = detections_of(result)
    assert found.names == {0: "anomaly"}
    assert found.size_hw == SIZE
    assert len(found) == len(result.finds) > 0
    assert found.scores[0] == 1
    assert (np.diff(found.scores) <= 0).all()
    x1, y1, x2, y2 = found.boxes_xyxy.astype(int).T
    for i in range(len(found)):
        assert result.score[y1[i] : y2[i], x1[i] : x2[i]].max() == pytest.approx(result.finds.highest[i])
    assert result.spectra.shape == (2, BANDS)
    y, x = result.finds.peaks_yx[0]
    assert (result.spectra[0] == cube()[0][y, x]).all()
    assert not result.files


@pytest.mark.parametrize("model", ["rx", "pca-rx", "local-rx", "crd"])
def test_every_method_is_a_model_and_finds_what_was_put_there(model, scene, tmp_path):
    variables = {"components": 3} if model in ("pca-rx", "local-rx") else {}
    metrics = RSDet(model, **variables).val(data=scene, project=str(tmp_path), plots=False)
    assert metrics.auc > 0.95
    assert len(metrics.rows) == 6


def test_the_subspace_residual_is_a_model(scene):
    (result,) = RSDet("low-rank", components=3).predict(cube()[0], verbose=False)
    assert result.score.min() >= 0


def test_a_place_on_earth_is_kept(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    values = cube()[0]
    place = rasterio.transform.from_origin(500_000, 4_000_000, 20, 20)
    profile = {"driver": "GTiff", "height": SIZE[0], "width": SIZE[1], "count": BANDS, "dtype": "uint16"}
    with rasterio.open(tmp_path / "cube.tif", "w", **profile, crs="EPSG:32611", transform=place, nodata=0) as f:
        values[:3] = 0
        f.write(values.transpose(2, 0, 1))
    (result,) = RSDet("rx").predict(tmp_path / "cube.tif", save=True, project=str(tmp_path), name="out", verbose=False)
    with rasterio.open(tmp_path / "out" / "cube_score.tif") as f:
        assert f.transform == place
        assert f.crs.to_epsg() == 32611
        score = f.read(1)
    assert np.isnan(score[:3]).all()
    assert np.isfinite(score[3:]).all()
    with rasterio.open(tmp_path / "out" / "cube_mask.tif") as f:
        assert (f.read(1)[:3] == f.nodata).all()
    with open(tmp_path / "out" / "cube_finds.csv", newline="") as f:
        row = next(csv.DictReader(f))
    y, x = result.finds.peaks_yx[0]
    assert float(row["map_x"]) == pytest.approx(500_000 + 20 * (x + 0.5))
    assert float(row["map_y"]) == pytest.approx(4_000_000 - 20 * (y + 0.5))
    shapely, pyogrio = pytest.importorskip("shapely"), pytest.importorskip("pyogrio")
    first, *_ = boxes = json.loads((tmp_path / "out" / "cube_finds.geojson").read_text())["features"]
    assert (len(boxes), first["properties"]["highest"]) == (len(result.finds), result.finds.highest[0])
    box = shapely.from_geojson(json.dumps(first["geometry"]))
    assert box.contains(shapely.Point(float(row["lon"]), float(row["lat"])))
    _, _, wkb, _ = pyogrio.raw.read(tmp_path / "out" / "cube_finds.gpkg")
    x1, y1, x2, y2 = result.finds.boxes_xyxy[0]
    on_map = 500_000 + 20 * x1, 4_000_000 - 20 * y2, 500_000 + 20 * x2, 4_000_000 - 20 * y1
    assert shapely.from_wkb(wkb[0]).bounds == pytest.approx(on_map)
    assert set(result.files) == set((tmp_path / "out").iterdir())
    RSDet("rx").predict(
        tmp_path / "cube.tif", threshold=1e9, save=True, project=str(tmp_path), name="none", verbose=False
    )
    assert json.loads((tmp_path / "none" / "cube_finds.geojson").read_text())["features"] == []


@pytest.mark.parametrize("far", [0.0, 0.001, 0.01, 0.2])
def test_no_more_pixels_are_marked_than_asked_for(far):
    score = np.random.default_rng(0).random((50, 40))
    score[0] = np.nan
    found = find(score, threshold_of(score, far))
    known = np.isfinite(score).sum()
    assert (found.mask == 1).sum() == int(far * known)
    assert (found.mask == 255).sum() == 40
    ties = np.round(score, 1)
    assert (find(ties, threshold_of(ties, far)).mask == 1).sum() <= far * known


def test_regions_by_corners_and_their_least_size():
    score = np.zeros((6, 8))
    score[0, 0] = score[1, 1] = 3
    score[4, 4] = 5
    found = find(score, 1)
    assert found.boxes_xyxy.tolist() == [[4, 4, 5, 5], [0, 0, 2, 2]]
    assert found.pixels.tolist() == [1, 2]
    large = find(score, 1, min_area_px=2)
    assert large.boxes_xyxy.tolist() == [[0, 0, 2, 2]]
    assert large.mask.sum() == 2
    assert len(find(score, 9)) == 0


def test_a_cube_in_blocks_scores_as_one(monkeypatch):
    values = cube()[0]
    whole = RSDet("local-rx", guard=3, background=9, components=3).predict(values, verbose=False)[0].score
    monkeypatch.setattr("rsdet.data.cubes.usable._BLOCK_VALUES", 5 * SIZE[1] * BANDS)
    monkeypatch.setattr("rsdet.tasks.anomaly.scene._HELD_BYTES", 0)
    parts = RSDet("local-rx", guard=3, background=9, components=3).predict(values, verbose=False)[0].score
    assert np.allclose(whole, parts, rtol=1e-5)


# ------------------------------------------------------------------------------------------------------- networks


def test_it_builds_without_data_as_in_the_paper():
    assert RSDet("sdenet.yaml").info(verbose=False, imgsz=64)["params"] == 342_368


def test_a_training_fits_the_bands_of_its_cube_and_keeps_the_highest_score(run):
    model = RSDet(run / "weights" / "best.pt")
    assert model.model.network.channels == BANDS
    assert model.model.yaml["anomaly"] == {"bands": [1, 2, 3, 4, 5, 6], "score_on": "recon", "fit": "scene"}
    table = list(csv.DictReader((run / "results.csv").open()))
    highest = [float(row["metrics/highest"]) for row in table]
    assert float(table[-1]["train/gms_loss"]) > 0
    with CubeScene.open(cube()[0]) as opened:
        score = network_scores(Rebuilder(model.model.float()), opened, ("recon",))["recon"]
    assert score.max() == pytest.approx(max(highest), rel=1e-4)


def test_a_training_on_a_cube_that_was_stopped_goes_on_as_if_it_had_not_been(folder, tmp_path):
    source, keys = write(tmp_path / "cube.npy", cube()[0]), {**TRAIN, "epochs": 2, "project": str(tmp_path)}
    kept = tmp_path / "cut" / "weights" / "last.pt"
    whole = RSDet(model_yaml(folder))

    def keep(trainer):
        if not trainer.epoch:
            shutil.copytree(trainer.save_dir, tmp_path / "cut")

    whole.add_callback("on_model_save", keep)
    whole.train(data=source, name="whole", **keys)
    RSDet(kept).train(resume=True)
    rows = [[*csv.DictReader((tmp_path / name / "results.csv").open())] for name in ("whole", "cut")]
    for a, b in zip(*rows, strict=True):
        for key in ("train/gms_loss", "metrics/highest"):  # a sample of the network's noise decides the fourth digit
            assert float(a[key]) == pytest.approx(float(b[key]), rel=1e-3)


def test_val_prints_what_learns_nothing_beside_the_network(run, scene, tmp_path, capsys):
    settings = words(model=run / "weights" / "best.pt", data=scene, project=tmp_path, name="val")
    assert cli.run(["val", *settings]) == 0
    saved = json.loads((tmp_path / "val" / "metrics.json").read_text())
    assert [row["method"] for row in saved["methods"]] == [
        "network, recon", "network, residual", "RX", "PCA-RX", "local RX", "low-rank", "CRD",
    ]  # fmt: skip
    values, truth = cube()
    rx = next(r for r in saved["methods"] if r["method"] == "RX")
    assert rx["AUC(D,F)"] == pytest.approx(anomaly_scores(RX().fit(Background.of([values]))(values), truth).auc_df)
    assert (tmp_path / "val" / "roc.png").is_file()
    assert (tmp_path / "val" / "maps.png").is_file()


def test_a_training_ends_after_so_many_epochs_without_a_higher_score(folder, scene, monkeypatch):
    from rsdet.tasks.anomaly import val

    scores = iter([3.0, 5.0] + [4.0] * 60)

    def made_up(run, scene, scored, **tiling):
        score = np.random.default_rng(0).random(scene.size_hw)
        score[0, 0] = next(scores)
        return {scored[0]: score}

    monkeypatch.setattr(val, "network_scores", made_up)
    monkeypatch.setattr("rsdet.tasks.anomaly.train.AnomalyTrain.final_eval", lambda self: None)
    RSDet(model_yaml(folder)).train(
        data=scene,
        project=str(folder),
        name="patience",
        patience=3,
        **{**TRAIN, "epochs": 100, "repeats": 1, "patch": 16},
    )
    epochs = [int(r["epoch"]) for r in csv.DictReader((folder / "patience" / "results.csv").open())]
    assert epochs[-1] == 2 + 3
    assert TASK.usual("train", None, {})["patience"] == 30  # the paper's


def test_cubes_without_anomalies_are_learnt_from_and_the_scene_is_never_looked_at(alone, folder, tmp_path, monkeypatch):
    from rsdet.tasks.anomaly import train

    for k in (1, 2, 3):
        np.save(tmp_path / f"clean{k}.npy", cube(k)[0])
    data = scene_yaml(tmp_path, general="[clean1.npy, clean2.npy, clean3.npy]")
    looked = []
    stock = train.CropDataset.__init__
    monkeypatch.setattr(
        train.CropDataset, "__init__", lambda self, *a, **k: (looked.append((a, k)), stock(self, *a, **k))[1]
    )
    model = RSDet(model_yaml(folder))
    model.train(data=data, fit="general", project=str(tmp_path), name="run", **TRAIN)
    (((learnt, _, _, masked), _),) = looked
    assert [s.name for s in learnt] == ["clean1", "clean2"]
    assert masked
    assert [s.name for s in model.trainer.scenes[1]] == ["clean3"]
    assert RSDet(tmp_path / "run" / "weights" / "best.pt").model.yaml["anomaly"]["fit"] == "general"


def test_crops_depend_on_seed_and_index_alone_and_masks_are_of_the_input():
    from rsdet.tasks.anomaly.crops import CropDataset

    with CubeScene.open(cube()[0]) as opened:
        crops = [CropDataset([opened], 32, seed=3, masked=True) for _ in range(2)]
        a, b = (c[7] for c in crops)
        other = crops[0][8]
    assert (a["img"] == b["img"]).all()
    assert not (a["target"] == other["target"]).all()
    gone = (a["img"] == 0).all(0)
    assert 3 <= int(gone.sum()) <= 16 * 20
    assert (a["img"][:, ~gone] == a["target"][:, ~gone]).all()
    assert a["target"].abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize("size", [(40, 48), (20, 100), (70, 30)])
def test_a_scene_of_any_size_in_tiles(run, size):
    model = RSDet(run / "weights" / "best.pt").model.float()
    values = cube(4, size)[0].astype(np.float32)
    values[0, :2] = np.nan
    with CubeScene.open(values) as opened:
        found = network_scores(Rebuilder(model), opened, scoring.SCORED, tile=32, overlap=8)
    for score in found.values():
        assert score.shape == size
        assert np.isnan(score).sum() == 2
        known = score[np.isfinite(score)]
        assert known.mean() == pytest.approx(BANDS * (known.size - 1) / known.size, rel=1e-3)


def test_backgrounds_beyond_the_memory_go_to_the_disk(run, monkeypatch):
    model = RSDet(run / "weights" / "best.pt").model.float()
    with CubeScene.open(cube()[0]) as opened:
        a = network_scores(Rebuilder(model), opened)["residual"]
        monkeypatch.setattr(scoring, "_HELD_BYTES", 0)
        b = network_scores(Rebuilder(model), opened)["residual"]
        monkeypatch.setattr(scoring.shutil, "disk_usage", lambda place: SimpleNamespace(free=100))
        with pytest.raises(WriteError, match="set TMPDIR to another folder"):
            network_scores(Rebuilder(model), opened)
    assert np.array_equal(a, b)


def test_an_exported_file_scores_as_its_network(alone, run, scene, tmp_path):
    pytest.importorskip("onnxruntime")
    weights = run / "weights" / "best.pt"
    made = RSDet(weights).export(format="onnx", imgsz=64, out=tmp_path, verbose=False)
    values, truth = cube(5, (64, 100))
    ours, theirs = (RSDet(m).predict(values, verbose=False)[0].score for m in (weights, made.path))
    assert np.allclose(ours, theirs, rtol=0.02)
    np.save(tmp_path / "wide.npy", values)
    np.save(tmp_path / "map.npy", truth)
    (tmp_path / "wide.yaml").write_text("task: anomaly\ncube: wide.npy\nlabels: map.npy\n")
    settings = {"data": tmp_path / "wide.yaml", "project": str(tmp_path), "plots": False}
    a, b = (RSDet(m).val(**settings) for m in (weights, made.path))
    assert a.auc == pytest.approx(b.auc, abs=0.003)
    (small,) = RSDet(made.path).predict(scene.with_suffix(".npy"), verbose=False)  # smaller than the graph
    assert np.isfinite(small.score).all()
    assert small.score.shape == SIZE


def test_a_benchmark_times_cubes_from_their_files_and_tells_ground_a_second(alone, folder, scene, tmp_path):
    model, quick = RSDet(model_yaml(folder)), {"rounds": 2, "min_s": 0.0, "warmup_s": 0.0, "memory": False}
    model.train(data=scene, bands="2-5", project=str(tmp_path), name="run", **TRAIN)
    scene.with_name("wide.yaml").write_text(f"{scene.read_text()}\ngsd: 20\n")
    best = RSDet(tmp_path / "run" / "weights" / "best.pt")
    (row,) = best.benchmark(
        formats=("pytorch",), imgsz=32, data=scene.with_name("wide.yaml"), verbose=False, details=True, **quick
    ).rows
    assert row.end_to_end.n >= 2
    assert row.km2_per_s == pytest.approx(32 * 32 * 20**2 / 1e6 / (row.network.median_ms / 1e3))
    assert 0 < row.accuracy["auc_df"] <= 1


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("asked", "words_of_it"),
    [
        ({"model": "rx", "far": 2}, "far=2"),
        ({"model": "rx", "far": 0.1, "threshold": 3}, "two thresholds"),
        ({"model": "rx", "bands": "1-99"}, "bands=1-99"),
        ({"model": "rx", "imgsz": 64}, "imgsz"),
        ({"model": "rx", "conf": 0.5}, "conf"),
        ({"model": "rx", "score_on": "both"}, "score_on"),
        ({"model": "rx", "min_area_px": 0}, "min_area_px=0"),
        ({"model": "pca-rx", "components": 9}, "6 bands"),
        ({"model": "rx", "component": 9}, "component"),
        ({"model": "local-rx", "guard": 4}, "guard=4"),
        ({"model": "sdenet"}, "trained|random"),
    ],
)
def test_predict_refuses_in_one_line_and_writes_nothing(asked, words_of_it, scene, tmp_path, capsys):
    line = refused(capsys, "predict", **{**asked, "source": scene.with_suffix(".npy"), "project": tmp_path / "p"})
    assert any(w in line for w in words_of_it.split("|")), line
    assert not (tmp_path / "p").exists()


def write(path: Path, values: np.ndarray) -> Path:
    np.save(path, values)
    return path


def test_cubes_that_cannot_be_searched(tmp_path, capsys):
    flat = write(tmp_path / "flat.npy", np.ones((20, 20, 4)))
    holes = write(tmp_path / "holes.npy", np.full((20, 20, 4), np.nan))
    line = write(tmp_path / "line.npy", np.ones(20))
    for source, said in ((flat, "constant"), (holes, "no number"), (line, "axes"), (tmp_path / "none.npy", "exist")):
        told = refused(capsys, "predict", model="rx", source=source, project=tmp_path / "p")
        assert said in told or source.name in told
    with pytest.raises(DataError, match="put its bands last"):
        RSDet("rx").predict(np.ones((20, 20)), verbose=False)
    with pytest.raises(DataError, match="needs source"):
        RSDet("rx").predict(None, verbose=False)


def test_a_rate_below_one_pixel_is_told(capsys, caplog):
    (result,) = RSDet("rx").predict(cube(0, (12, 12))[0], verbose=False)
    assert not len(result.finds)
    assert "far=0.001 of its 144 pixels is less than one" in capsys.readouterr().out + caplog.text


def test_one_cube_that_cannot_be_searched_leaves_the_others(scene, tmp_path, capsys):
    good, bad = tmp_path / "cubes" / "good.npy", tmp_path / "cubes" / "bad.npy"
    good.parent.mkdir()
    write(good, cube()[0])
    write(bad, np.ones((20, 20, 4)))
    model = RSDet("rx")
    (result,) = model.predict(good.parent, verbose=False)
    assert Path(result.path) == good
    assert len(model.predictor.skipped) == 1
    assert "bad.npy" in model.predictor.skipped[0]


def test_other_bands_than_the_network_takes(run, capsys, caplog):
    model = RSDet(run / "weights" / "best.pt")
    with pytest.raises(ConfigError, match="bands"):
        model.predict(cube()[0][..., :3], verbose=False)
    with pytest.raises(DataError, match="3 usable bands, the network takes 6"):
        model.predict(cube()[0], bands="1-3", verbose=False)
    values = np.concatenate([np.full((*SIZE, 1), 7), cube()[0]], 2)
    with pytest.raises(DataError, match="one value everywhere in: 1"):
        model.predict(values, verbose=False)
    model.predict(values, bands="usable", verbose=False)
    told = capsys.readouterr().out + caplog.text
    assert "the bands 2-7 go to a network that was trained on 1-6" in told


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"fit": "both"}, "fit='both'"),
        ({"fit": "general"}, "add general:"),
        ({"mode": "general"}, "use fit=scene or fit=general"),
        ({"patch": 4}, "patch=4"),
        ({"repeats": 0}, "repeats=0"),
        ({"score_on": "x"}, "score_on='x'"),
        ({"mosaic": 1.0}, "mosaic"),
        ({"bands": "450-900nm"}, "wavelengths"),
    ],
)
def test_trainings_that_cannot_be(asked, said, folder, scene, tmp_path, capsys):
    line = refused(capsys, "train", model=model_yaml(folder), data=scene, project=tmp_path, epochs=1, **asked)
    assert said in line


def test_methods_without_weights_cannot_be_trained(scene, tmp_path, capsys):
    assert "learns nothing" in refused(capsys, "train", model="rx", data=scene, project=tmp_path)


def test_a_scene_without_a_map_can_be_fitted_and_not_measured(folder, tmp_path):
    source = write(tmp_path / "cube.npy", cube()[0])
    model = RSDet(model_yaml(folder))
    model.train(data=source, project=str(tmp_path), name="run", **TRAIN)
    (row,) = csv.DictReader((tmp_path / "run" / "results.csv").open())
    assert float(row["metrics/highest"]) > 0
    (result,) = RSDet(tmp_path / "run" / "weights" / "best.pt").predict(source, verbose=False)
    assert np.isfinite(result.score).all()
    with pytest.raises(DataError, match="has no map"):
        RSDet("rx").definition.score(RSDet("rx"), source)


# ----------------------------------------------------------------------------------------------------- real scenes


@pytest.mark.parametrize(
    ("file", "rx", "pca"),
    [
        ("sandiego_plane", 0.940, 0.979), ("HYDICE_data", 0.976, 0.995), ("abu-urban-2", 0.995, 0.998),
        ("abu-beach-4", 0.989, 0.991),
    ],
)  # fmt: skip
def test_public_scenes_give_the_areas_that_others_measured(file, rx, pca, shared_data, tmp_path):
    path = shared_data / "hsi-anomaly" / f"{file}.mat"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    for model, area in (("rx", rx), ("pca-rx", pca)):
        (result,) = RSDet(model).predict(path, verbose=False)
        from rsdet.data.cubes.dataset import cube_data

        assert anomaly_scores(result.score, cube_data(path).map("labels")).auc_df == pytest.approx(area, abs=6e-4)


def test_the_recipe_is_that_of_the_paper(alone, folder, scene, tmp_path):
    model = RSDet(model_yaml(folder))
    model.train(data=scene, recipe="sdenet-paper", bands="1-6", project=str(tmp_path), name="run", **TRAIN)
    trainer, (group,) = model.trainer, model.trainer.optimizer.param_groups[-1:]
    assert type(trainer.optimizer).__name__ == "Adam"
    assert (group["lr"], group["betas"][0], group["weight_decay"]) == (5e-6, 0.9, 0)
    assert (trainer.args.patience, trainer.args.score_on) == (30, "residual")
    assert trainer.lf(0) == trainer.lf(999) == 1

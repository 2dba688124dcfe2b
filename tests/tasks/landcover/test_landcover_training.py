"""Training, validation and export of land cover: which pixels are learnt from, which are measured, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from landcover_fakes import TRAIN, model_yaml, scene, write_scene

from rsdet import RSDet, cli
from rsdet.errors import DataError
from rsdet.tasks.landcover.data import SplitChoice, held_out, read_land_data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Data YAML and folder of a training on random pixels."""
    folder = tmp_path_factory.mktemp("training")
    data = write_scene(folder)
    RSDet(model_yaml(folder, "cnn2d.yaml")).train(
        data=data, epochs=8, split_by="random", per_class=40, project=str(folder), name="run", verbose=False,
        **{**TRAIN, "batch": 16, "seed": 3},
    )  # fmt: skip
    return data, folder / "run"


class TestSplits:
    def test_pixels_of_maps_draws_and_blocks_are_apart(self, tmp_path):
        data, labels = write_scene(tmp_path), scene()[2]
        for choice in (SplitChoice(), SplitChoice("random", 10), SplitChoice("blocked", folds=3, block_px=6)):
            land = read_land_data(data, lidar=True, choice=choice, patch=3)
            assert not (land.train & land.test).any()
            assert (labels[land.train | land.test] > 0).all()  # what has no label is never learnt from
            learnt, held = held_out(land, 0)
            assert not (learnt & held).any()
            assert np.array_equal(learnt | held, land.train)
            assert set(np.unique(land.labels[held])) == {1, 2, 3}
            assert land.split_line(3).startswith("split by")

    def test_what_random_pixels_flatter_is_said(self, tmp_path):
        data = write_scene(tmp_path)
        random = read_land_data(data, lidar=False, choice=SplitChoice("random", 80), patch=5).split_line(5)
        assert "RANDOM" in random
        assert "look better than they are" in random

    def test_pixels_without_data_are_left_out_and_counted(self, tmp_path):
        data = write_scene(tmp_path)
        cube, labels = scene()[0], scene()[2]
        row, col = np.argwhere(labels[:, :14] > 0)[0]
        cube[row, col, 3] = np.nan
        np.save(tmp_path / "cube.npy", cube)
        land = read_land_data(data, lidar=True)
        assert not land.train[row, col]
        assert any("1 labelled pixels have no data" in note for note in land.notes)

    def test_a_class_without_a_pixel_is_told(self, tmp_path):
        data = write_scene(tmp_path)
        assert not any("nothing is learnt" in note for note in read_land_data(data, lidar=True).notes)
        gone = max(map(int, np.unique(np.load(tmp_path / "train.npy"))))
        for name in ("train", "test"):
            there = np.load(tmp_path / f"{name}.npy")
            np.save(tmp_path / f"{name}.npy", np.where(there == gone, 0, there))
        assert any("no labelled pixel is" in note for note in read_land_data(data, lidar=True).notes)


class TestValidation:
    def test_the_pixels_of_the_training_are_not_measured(self, trained, tmp_path, capsys):
        data, run = trained
        words = [f"model={run / 'weights' / 'best.pt'}", f"data={data}", f"project={tmp_path}", "name=val"]
        assert cli.run(["val", *words]) == 0
        written = json.loads((tmp_path / "val" / "metrics.json").read_text())
        labels = scene()[2]
        assert sum(c["pixels"] for c in written["methods"]["model"]["classes"]) == (labels > 0).sum() - 3 * 40
        assert list(written["methods"]) == ["model", "svm", "forest"]
        assert "RANDOM" in written["split"]
        assert written["methods"]["model"]["OA"] > 0.7  # fields of clear spectra
        assert (tmp_path / "val" / "confusion.png").is_file()

    def test_another_split_can_be_asked_for_and_tells_what_was_learnt(self, trained, tmp_path, caplog):
        data, run = trained
        metrics = RSDet(run / "weights" / "best.pt").val(
            data=data, split_by="disjoint", baselines="none", plots=False, project=str(tmp_path)
        )
        assert metrics.images == (scene()[2][:, 14:] > 0).sum()
        assert "of these test pixels, in another split" in caplog.text

    def test_held_out_pixels_are_those_of_the_training(self, trained, tmp_path):
        data, run = trained
        metrics = RSDet(run / "weights" / "best.pt").val(data=data, split="val", plots=False, project=str(tmp_path))
        best = max(float(r.split(",")[3]) for r in (run / "results.csv").read_text().splitlines()[1:])
        assert metrics.images == 3 * 4
        assert metrics.measures["OA"] == pytest.approx(best, abs=1e-4)

    def test_data_of_other_classes_are_refused(self, trained, tmp_path):
        other = write_scene(tmp_path, name="others")
        other.write_text(other.read_text().replace("roof", "road"))
        with pytest.raises(DataError, match="grass, road, water, the model grass, roof, water"):
            RSDet(trained[1] / "weights" / "best.pt").val(data=other, project=str(tmp_path))


class TestExport:
    @pytest.mark.parametrize("batch", [{"batch": 8}, {"dynamic": "batch"}])
    def test_an_exported_file_takes_raw_bands_and_scores_alike(self, trained, tmp_path, batch):
        pytest.importorskip("onnxruntime")
        data, run = trained
        model = RSDet(run / "weights" / "best.pt")
        file = model.export(format="onnx", out=tmp_path, verbose=False, **batch).path
        keys = dict(data=data, baselines="none", plots=False, project=str(tmp_path))
        # A pixel or two may lie so near between two classes that the last digit decides.
        assert RSDet(file).val(**keys).measures == pytest.approx(model.val(**keys).measures, abs=0.02)
        classes = [m.predict(data, verbose=False)[0].classes for m in (model, RSDet(file))]
        assert (classes[0] == classes[1]).mean() > 0.999


def test_a_benchmark_counts_the_pixel_in_the_middle_of_a_patch_and_its_ground(trained, tmp_path):
    quick = {"rounds": 2, "min_s": 0.0, "warmup_s": 0.0, "memory": False, "verbose": False}
    made = RSDet(trained[1] / "weights" / "best.pt").benchmark(formats=("pytorch",), batch=4, out=tmp_path, **quick)
    (row,) = made.rows
    assert row.mpx_per_s == pytest.approx(4 / 1e3 / row.network.median_ms)
    assert row.km2_per_s == pytest.approx(row.mpx_per_s * 2.0**2)  # gsd: of the data
    assert [c.header for c in made.tables()[0].columns][-2:] == ["px/s", "km2/s"]
    assert "km2_per_s" in made.csv.read_text()
    assert "km2/s" in made.html.read_text()


def refused(capsys, *words: object) -> str:
    assert cli.run([str(w) for w in words]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rsdet: error: ")]
    assert len(errors) == 1
    return errors[0]


class TestBadInput:
    @pytest.fixture(scope="class")
    def small(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("bad")
        return model_yaml(folder, "cnn2d.yaml"), write_scene(folder)

    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            (["components=20"], "components=20 of 10 bands; give components=10 or fewer"),
            (["bands=1-2"], "components=3 of 2 bands of fields; give components=2 or fewer"),
            (["split_by=randon"], "split_by='randon' must be one of disjoint, random, blocked. Did you mean 'random'"),
            (["split_by=blocked", "fold=7"], "fold=7 of 5"),
            (["per_class=-3"], "per_class=-3"),
            (["batch=1"], "2 or more"),
            (["imgsz=64"], "patch="),
            (["bands=900-950nm"], "does not say its wavelengths"),
            (["split=train"], "split='train' must be val"),
            (["patch=0"], "patch"),
        ],
    )
    def test_of_a_training(self, small, capsys, tmp_path, keys, said):
        model, data = small
        assert said in refused(capsys, "train", f"model={model}", f"data={data}", f"project={tmp_path}", *keys)

    def test_one_pixel_of_a_class(self, small, capsys, tmp_path):
        data = write_scene(tmp_path)
        train = np.load(tmp_path / "train.npy")
        some = np.argwhere(train == 2)
        train[tuple(some[1:].T)] = 0
        np.save(tmp_path / "train.npy", train)
        said = refused(capsys, "train", f"model={small[0]}", f"data={data}", f"project={tmp_path}")
        assert "roof with one labelled pixel cannot be learnt and checked" in said

    def test_maps_that_intersect(self, small, capsys, tmp_path):
        data = write_scene(tmp_path)
        np.save(tmp_path / "test.npy", scene()[2])
        said = refused(capsys, "train", f"model={small[0]}", f"data={data}", f"project={tmp_path}")
        assert "train and test share" in said

    def test_lidar_of_another_size(self, small, capsys, tmp_path):
        data = write_scene(tmp_path)
        np.save(tmp_path / "height.npy", scene()[1][:20])
        said = refused(capsys, "train", f"model={small[0]}", f"data={data}", f"project={tmp_path}")
        assert "height.npy" in said

    @pytest.mark.parametrize(
        ("mode", "keys", "said"),
        [
            ("val", ["baselines=svn"], "Did you mean 'svm'"),
            ("val", ["split_by=x"], "split_by='x'"),
            ("export", ["half=True"], "raw bands"),
            ("export", ["dynamic=True"], "dynamic=batch"),
            ("export", ["imgsz=32"], "patches of 3 px"),
            ("predict", ["source=nowhere.hdr"], "nowhere.hdr does not exist"),
            ("predict", ["lidar=nowhere.tif"], "nowhere.tif"),
        ],
    )
    def test_of_other_modes(self, trained, capsys, tmp_path, mode, keys, said):
        data, run = trained
        more = {"val": [f"data={data}"], "predict": [f"source={data}"], "export": [f"out={tmp_path}"]}[mode]
        more = [k for k in more if k.partition("=")[0] not in {w.partition("=")[0] for w in keys}]
        where = [] if mode == "export" else [f"project={tmp_path}"]
        assert said in refused(capsys, mode, f"model={run / 'weights' / 'best.pt'}", *where, *more, *keys)

    def test_weights_that_were_never_trained(self, small, capsys, tmp_path):
        said = refused(capsys, "predict", f"model={small[0]}", f"source={small[1]}", f"project={tmp_path}")
        assert "train" in said


def test_bands_and_rasters_that_say_nothing_are_refused_and_bands_left_out_where_that_is_asked_for(tmp_path, caplog):
    data, (cube, height, _) = write_scene(tmp_path), scene()
    cube[..., 4], cube[..., 0] = 7, np.nan
    np.save(tmp_path / "cube.npy", cube)
    with pytest.raises(DataError, match="no number in: 1; one value everywhere in: 5; bands=usable takes the 8 others"):
        read_land_data(data, lidar=True)
    data = write_scene(tmp_path, bands="usable")
    np.save(tmp_path / "cube.npy", cube)
    assert read_land_data(data, lidar=True).places == [1, 2, 3, 5, 6, 7, 8, 9]
    assert "2 bands are left out" in caplog.text
    for value, said in ((3, "raster 1 has one value everywhere"), (np.nan, "raster 1 has no data anywhere")):
        height[:] = value
        np.save(tmp_path / "height.npy", height)
        with pytest.raises(DataError, match=said):
            read_land_data(data, lidar=True)


def test_bands_that_are_constant_in_training_and_holes_in_the_lidar_are_harmless(tmp_path, caplog):
    data, (cube, height, labels) = write_scene(tmp_path), scene()
    cube[:, :14, 4] = 7
    height[labels == 2] = np.nan
    np.save(tmp_path / "cube.npy", cube)
    np.save(tmp_path / "height.npy", height)
    model = RSDet(model_yaml(tmp_path, "cnn2d.yaml"))
    model.train(data=data, epochs=1, project=str(tmp_path), name="run", verbose=False, val=False, **TRAIN)
    assert "1 bands are constant there" in caplog.text
    best = RSDet(tmp_path / "run" / "weights" / "last.pt")
    metrics = best.val(data=data, plots=False, project=str(tmp_path))
    assert metrics.images == (labels[:, 14:] > 0).sum()
    assert (best.predict(data, verbose=False)[0].classes > 0).all()

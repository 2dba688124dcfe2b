"""Cross-validation: every labelled pixel is tested once a seed, and what was done before an interruption stays."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
from landcover_fakes import TRAIN, model_yaml, scene, write_scene

from rsdet import RSDet, cli
from rsdet.data.cubes.envi_writer import write_envi
from rsdet.errors import ConfigError
from rsdet.tasks.landcover.crossval import _state, crossval
from rsdet.textfiles import read_json


def test_folds_test_each_pixel_once_and_an_interrupted_one_goes_on(tmp_path, capsys, monkeypatch):
    data, model = write_scene(tmp_path), model_yaml(tmp_path, "cnn2d.yaml")
    keys = dict(model=model, data=data, folds=2, block_px=6, epochs=1, project=tmp_path, name="cv", baselines="svm")
    words = [f"{k}={v}" for k, v in {**keys, **TRAIN, "plots": False}.items() if k != "seed"]
    trained, stock, times = [], RSDet.train, (tmp_path / "labels.npy").stat()

    def some(self, **given):
        trained.append((given["fold"], given["split_seed"]))
        if len(trained) == 2:
            raise KeyboardInterrupt
        return stock(self, **given)

    monkeypatch.setattr(RSDet, "train", some)
    assert cli.run(["crossval", *words]) == 130
    labels = tmp_path / "labels.npy"
    before = labels.read_bytes()
    np.save(labels, np.load(labels)[::-1])
    assert cli.run(["crossval", *words]) == 2  # of other labels, the folds that are done say nothing
    assert "another model, other scenes or other settings" in capsys.readouterr().err
    labels.write_bytes(before)
    os.utime(labels, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert cli.run(["crossval", *words]) == 0
    assert trained == [(0, 0), (1, 0), (1, 0)]
    told = capsys.readouterr().out
    assert "is continued" in told
    assert "mean and standard deviation of 2 runs" in told
    found = [read_json(tmp_path / "cv" / f"seed0-fold{k}" / "val" / "metrics.json") for k in (0, 1)]
    pixels = [[c["pixels"] for c in f["methods"]["model"]["classes"]] for f in found]
    assert np.sum(pixels, 0).tolist() == np.bincount(scene()[2].ravel())[1:].tolist()
    rows = list(csv.DictReader((tmp_path / "cv" / "crossval.csv").open()))
    assert [(r["run"], r["method"]) for r in rows] == [
        (f"seed0-fold{k}", method) for k in (0, 1) for method in ("model", "svm")
    ]
    (line,) = [x for x in told.splitlines() if x.startswith("OA ")]
    both = np.array([100 * float(r["OA"]) for r in rows if r["method"] == "svm"])
    assert line.endswith(f"{both.mean():.2f} ± {both.std(ddof=1):.2f}")
    assert [r["OA"] for r in rows] == [str(f["methods"][m]["OA"]) for f in found for m in ("model", "svm")]


def test_the_samples_of_a_map_are_part_of_a_run(tmp_path):
    data, model = write_scene(tmp_path, lidar=False), model_yaml(tmp_path, "cnn2d.yaml")
    labels = scene()[2].astype(np.uint8)
    header = write_envi(tmp_path / "labels.hdr", labels[..., None])
    data.write_text(data.read_text().replace("labels.npy", header.name))
    (samples,) = (p for p in tmp_path.glob("labels.*") if p.suffix not in (".npy", ".hdr"))
    before, times = _state(model, data, False), samples.stat()
    assert before == _state(model, data, False)
    samples.write_bytes(labels[::-1].tobytes())
    os.utime(samples, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert before != _state(model, data, False)


@pytest.mark.parametrize(
    ("keys", "said"),
    [({"fold": 1}, "fold= is set by crossval"), ({"seeds": []}, "seeds="), ({"split_by": "x"}, "split_by='x'"),
     ({"folds": 1}, "folds=1"), ({"epoch": 3}, "epoch")],
)  # fmt: skip
def test_what_cannot_be(tmp_path, keys, said):
    with pytest.raises(ConfigError, match=said):
        crossval(model_yaml(tmp_path, "cnn2d.yaml"), write_scene(tmp_path), project=tmp_path / "p", **keys)
    assert not [*(tmp_path / "p").glob("*")]

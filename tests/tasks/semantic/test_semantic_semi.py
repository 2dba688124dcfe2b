"""Which labels a method gets to see, and that it goes on after a stop as if there had been none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from semantic_fakes import TRAIN, data_yaml, model_yaml
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.utils import DEFAULT_CFG

from rsdet import RSDet
from rsdet.errors import ConfigError
from rsdet.tasks.semantic.dataset import semantic_datasets
from rsdet.tasks.semantic.model import Learning
from rsdet.tasks.semantic.semi import SemiData, SemiDataset
from rsdet.tasks.semantic.train import SemanticTrain
from rsdet.textfiles import read_yaml


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_yaml(tmp_path_factory.mktemp("semi"))


@pytest.fixture(scope="module")
def base(data: Path):
    spec, cfg = check_det_dataset(str(data)), DEFAULT_CFG.__class__(**{**vars(DEFAULT_CFG), "task": "semantic"})
    with semantic_datasets():
        return build_yolo_dataset(cfg, spec["train"], 2, spec, mode="train")


def test_masks_of_pictures_without_labels_are_not_seen(base):
    pairs = SemiDataset(base, SemiData(labeled=0.25, crop=64))
    assert (len(pairs), len(pairs.share.labelled)) == (4, 1)
    (known,) = pairs.share.labelled
    for i, picture in enumerate(pairs.share.unlabelled):
        sample = pairs[i]
        assert sample["im_file"] == str(known)
        assert (sample["semantic_mask"] != 255).any()
        assert (sample["weak_label"] != 255).any() == (picture == known)
        assert (sample["weak_label"][~sample["weak_valid"]] == 255).all()


def test_samples_depend_on_epoch_and_number_alone(base):
    one, two = (SemiDataset(base, SemiData(crop=48)) for _ in range(2))
    a, b, later = one[5], (two[2], two[5])[1], one[1]
    assert all(torch.equal(a[k], b[k]) for k in ("img", "weak", "semantic_mask"))
    assert not torch.equal(a["weak"], later["weak"])


def test_every_label_is_seen_equally_often(base):
    pairs = SemiDataset(base, SemiData(labeled=0.5, crop=48))
    seen = [pairs[i]["im_file"] for i in range(4)]
    assert sorted(np.unique(seen, return_counts=True)[1]) == [2, 2]


def test_pictures_besides_are_learnt_from(base, data):
    more = str(data.parent / "images" / "val")
    pairs = SemiDataset(base, SemiData(unlabeled=(more,), crop=48))
    assert len(pairs) == 6
    assert (pairs[5]["weak_label"] == 255).all()


def test_all_labels_with_a_method_and_nothing_to_paste_is_refused(data, tmp_path):
    model = RSDet(model_yaml(tmp_path))
    for wrong in ({"labeled": 0.5}, {"method": "fixmatch", "masks": "."}, {"method": "s5mars", "mask_source": "file"}):
        with pytest.raises(ConfigError) as e:
            model.train(data=data, **TRAIN, **wrong)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("method", ["supervised", "mean-teacher", "s5mars", "unimatch", "self-distillation"])
def test_a_method_trains_and_its_teacher_is_what_is_kept(method, data, tmp_path):
    model = RSDet(model_yaml(tmp_path))
    model.train(data=data, project=str(tmp_path), name="run", method=method, labeled=0.5, **TRAIN)
    args = read_yaml(tmp_path / "run" / "args.yaml")
    assert (args["method"], args["labeled"], args["nbs"]) == (method, 0.5, TRAIN["batch"])
    best = RSDet(tmp_path / "run" / "weights" / "best.pt")
    assert isinstance(best.model, Learning)
    assert best.model.method is None
    head = (tmp_path / "run" / "results.csv").read_text().splitlines()[0]
    assert "train/supervised_loss" in head
    assert ("val/hard_loss" in head) == (method in ("s5mars", "unimatch"))


def test_ultralytics_own_network_takes_part(data, tmp_path):
    given = {**TRAIN, "method": "unimatch", "labeled": 0.5, "imgsz": 96}
    RSDet("yolo26n-sem.yaml").train(data=data, project=str(tmp_path), name="run", **given)
    assert RSDet(tmp_path / "run" / "weights" / "best.pt").family == "yolo"


def test_a_stopped_training_goes_on_as_one_that_was_not(data, tmp_path):
    given = {**TRAIN, "epochs": 3, "method": "s5mars", "data": data, "project": str(tmp_path), "lr_power": 0.9}

    def stop(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    whole = RSDet(model_yaml(tmp_path))
    whole.train(name="whole", **given)
    half = RSDet(model_yaml(tmp_path))
    half.add_callback("on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt):
        half.train(name="half", **given)
    RSDet(tmp_path / "half" / "weights" / "last.pt").train(resume=True)
    a, b = ((tmp_path / n / "results.csv").read_text().splitlines() for n in ("whole", "half"))
    assert len(a) == len(b) == 4
    for x, y in zip(a[1:], b[1:], strict=True):
        np.testing.assert_allclose(*([float(v) for v in r.split(",")[2:]] for r in (x, y)), rtol=1e-4)


@pytest.mark.parametrize("source", ["superpixel", "sam", "fastsam", "components", "rect"])
def test_every_source_of_objects_is_taken_by_a_method_that_pastes_them_and_by_no_other(source):
    SemanticTrain.check_settings({"method": "s5mars", "mask_source": source})
    with pytest.raises(ConfigError, match="pastes no objects"):
        SemanticTrain.check_settings({"method": "unimatch", "mask_source": source})

"""Random weights show nothing: what a YAML without weights may do, and what says so."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from conftest import TINY, TRAIN
from restore_fakes import model_yaml, write_pairs

from rsdet import RSDet
from rsdet.cli import run
from rsdet.errors import ConfigError

PICTURE = np.full((96, 96, 3), 90, np.uint8)
LINE = r"has no weights, so that (predict|val) would show .* train it, or pass trained weights"


def detector():
    return RSDet("vmc-detr-demo.yaml", **TINY)


@pytest.fixture
def restorer(tmp_path):
    return RSDet(model_yaml(tmp_path))


def test_a_detector_without_weights_detects_nothing(tiny_data, tmp_path):
    model = detector()
    to = dict(imgsz=96, project=tmp_path / "runs")
    for call in (
        lambda: model.predict(PICTURE, **to),
        lambda: model.predict(PICTURE, stream=True, **to),
        lambda: model(PICTURE, **to),
        lambda: model.val(data=tiny_data, **to),
    ):
        with pytest.raises(ConfigError, match=LINE) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_network_without_weights_restores_nothing(restorer, tmp_path):
    pairs = write_pairs(tmp_path / "pairs")
    with pytest.raises(ConfigError, match=LINE):
        restorer.predict(PICTURE)
    with pytest.raises(ConfigError, match=LINE):
        restorer.val(data=pairs, project=str(tmp_path))


def test_the_command_line_says_it_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import cv2

    cv2.imwrite("a.png", PICTURE)
    assert run(["predict", "model=edsr-t.yaml", "source=a.png"]) == 2
    assert run(["predict", "model=vmc-detr-demo.yaml", "source=a.png"]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 2
    assert all("has no weights" in line for line in said)
    assert run(["predict", "model=bicubic", "source=a.png"]) == 0  # a method


def test_whoever_has_set_the_weights_is_believed(tiny_weights, tmp_path):
    model = detector()
    assert model.untrained
    model.to("cpu").float().info(verbose=False)
    assert model.untrained, "converting and measuring trains nothing"
    filled, loaded, stepped = detector(), detector(), detector()
    filled.model.load_state_dict(model.model.state_dict())
    loaded.load(tiny_weights)
    optimizer = torch.optim.SGD(stepped.model.parameters(), lr=0.1)
    for p in stepped.model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    model.save(tmp_path / "m.pt")
    for known in (filled, loaded, stepped, RSDet(tmp_path / "m.pt"), RSDet(tiny_weights)):
        assert not known.untrained
    assert len(filled.predict(PICTURE, imgsz=96, verbose=False)) == 1


@pytest.mark.parametrize("name", ["cfar", "dcp", "bicubic", "hac-moe"])
def test_methods_need_no_weights(name):
    assert not RSDet(name).untrained


def test_an_export_without_weights_is_made_and_says_so(restorer, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "ultralytics"):
        restorer.export(format="torchscript", imgsz=32, out=tmp_path, verbose=False)
    assert "is untrained" in caplog.text


def test_a_file_made_of_random_weights_says_so_wherever_it_is_loaded(tmp_path, caplog, capsys, monkeypatch):
    import cv2

    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", PICTURE)
    made = detector().export(imgsz=96, out=tmp_path, verbose=False, box_tol_px=1e9, score_tol=1.0).path
    caplog.clear()
    with caplog.at_level(logging.WARNING, "ultralytics"):
        RSDet(made)
        assert "was exported from a model without weights" in caplog.text
        caplog.clear()
        assert run(["predict", f"model={made}", "source=a.png"]) == 0
    assert "was exported from a model without weights" in caplog.text + capsys.readouterr().out


def test_pretrained_true_of_a_yaml_claims_nothing(tiny_data, tmp_path, caplog):
    model = detector()
    with caplog.at_level(logging.INFO, "ultralytics"):
        model.train(data=tiny_data, epochs=1, pretrained=True, project=str(tmp_path), **TRAIN)
    assert "brings no weights, training starts from random ones" in caplog.text
    assert "tensors taken" not in caplog.text
    assert not model.untrained

"""tune: trials are trainings by rsdet, best settings come back, and a search without one good trial is an error."""

from __future__ import annotations

import sys

import pytest
from ultralytics.engine import trainer as engine

from rsdet import RSDet
from rsdet.errors import ConfigError, RSDetError

SEARCH = dict(iterations=2, epochs=1, imgsz=64, batch=4, workers=0, plots=False, space={"lr0": (1e-4, 1e-3)})


@pytest.fixture
def model():
    return RSDet("sar-ship-ablate-base.yaml", scale="t")


def test_no_good_trial_is_an_error_and_trials_are_commands_of_rsdet(model, tiny_data, tmp_path, monkeypatch):
    commands = []

    def run(command, **kwargs):
        commands.append(command)
        raise OSError("no")

    stock = engine._YOLO_CLI_COMMAND
    monkeypatch.setattr(engine.subprocess, "run", run)
    with pytest.raises(RSDetError, match="none of the 2 trials could be trained"):
        model.tune(data=tiny_data, project=tmp_path, iou_loss="nwd", **SEARCH)
    assert len(commands) == 2
    for command in commands:
        assert command[:4] == [sys.executable, "-m", "rsdet", "train"]
        assert {"iou_loss=nwd", "speckle=0.0", f"data={tiny_data}"} <= set(command)
    assert stock == engine._YOLO_CLI_COMMAND


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("sar-ship-ablate-base.yaml", {"use_ray": True}, "Ray"),
        ("sar-ship-ablate-base.yaml", {}, "needs data="),
        ("sar-ship-ablate-base.yaml", {"data": "demo", "iterations": 0}, "iterations=0"),
        ("sar-ship-ablate-base.yaml", {"data": "demo", "lr": 1}, "lr0"),
        ("dwtma-net.yaml", {"data": "demo-haze"}, "tune is not offered for task=restore"),
        ("cfar.yaml", {"data": "demo-sar"}, "learns nothing"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(name, given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        RSDet(name).tune(**given)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_search_trains_and_returns_the_best_settings(model, tiny_data, tmp_path):
    best = model.tune(data=tiny_data, project=tmp_path, **SEARCH)
    assert 1e-4 <= best["lr0"] <= 1e-3
    assert len(list(tmp_path.rglob("best_hyperparameters.yaml"))) == 1

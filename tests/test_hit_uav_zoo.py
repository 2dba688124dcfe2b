"""The training that fills the zoo: what it goes on from, when it stops, and that both stages share their weights."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY

from rsdet import RSDet
from rsdet.tasks.training import transfer

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "hit_uav_zoo.py").is_file():
    pytest.skip("benchmarks/ is not part of this copy", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))  # they import each other
try:
    import hit_uav_zoo
finally:
    sys.path.remove(str(BENCHMARKS))

NAME = "vmc-detr-hituav"


@pytest.fixture(scope="module")
def network():
    return RSDet("vmc-detr-demo.yaml", **TINY).model


@pytest.fixture
def args(tmp_path):
    return argparse.Namespace(
        work=tmp_path / "work", keep=tmp_path / "keep", part="all", seed=0, epochs=3, dense_epochs=1, minutes=0.0
    )


def trainer(network, epoch: int, epochs: int, ap: float) -> SimpleNamespace:
    ema = SimpleNamespace(ema=copy.deepcopy(network), updates=0)
    return SimpleNamespace(epoch=epoch, epochs=epochs, ema=ema, metrics={"metrics/mAP50-95(B)": ap})


def test_what_is_kept_is_gone_on_from(network, args):
    training = hit_uav_zoo.Training(NAME, args)
    training.epoch_is_over(trainer(network, 0, 1, 0.1))
    training.state |= {"stage": "whole", "done": 0}
    training.epoch_is_over(trainer(network, 0, 3, 0.2))
    training.epoch_is_over(trainer(network, 1, 3, 0.3))
    again = hit_uav_zoo.Training(NAME, args)
    assert (again.state["stage"], again.state["done"]) == ("whole", 2)
    again.epoch_is_over(trainer(network, 1, 3, 0.4))  # an epoch that is done once more has one row
    rows = [(r["stage"], r["epoch"], r["metrics/mAP50-95(B)"]) for r in hit_uav_zoo.curve_of(again.keep)]
    assert rows == [("dense", "1", "0.1"), ("whole", "1", "0.2"), ("whole", "2", "0.4")]
    model = RSDet(again.keep / "weights.safetensors")
    assert model.overrides["imgsz"] == hit_uav_zoo.SIZE
    late = SimpleNamespace(
        scheduler=SimpleNamespace(), train_loader=[0] * 7, ema=SimpleNamespace(), start_epoch=0
    )  # fmt: skip
    late.train_loader = type("Loader", (list,), {"sampler": SimpleNamespace()})(late.train_loader)
    again.start_late(late)
    assert (late.start_epoch, late.scheduler.last_epoch, late.train_loader.sampler.epoch) == (2, 1, 2)
    assert late.ema.updates == 14


def test_it_stops_where_the_next_epoch_would_not_fit(network, args):
    args.minutes = 10.0
    training = hit_uav_zoo.Training(NAME, args)
    training.state |= {"stage": "whole"}
    training.marked -= 60
    training.epoch_is_over(trainer(network, 0, 3, 0.1))  # a minute has gone, another would fit
    training.began -= 9.5 * 60
    training.marked -= 60
    with pytest.raises(hit_uav_zoo.OutOfTime):
        training.epoch_is_over(trainer(network, 1, 3, 0.1))
    assert json.loads((training.keep / "state.json").read_text())["done"] == 2  # nothing is lost by stopping
    training.epoch_is_over(trainer(network, 2, 3, 0.1))  # the last epoch ends by itself


def test_other_settings_are_another_training(network, args):
    hit_uav_zoo.Training(NAME, args).epoch_is_over(trainer(network, 0, 3, 0.1))
    args.epochs = 4
    with pytest.raises(SystemExit, match="other epochs"):
        hit_uav_zoo.Training(NAME, args)


def test_the_rate_rises_again_after_a_restart(args):
    training = hit_uav_zoo.Training(NAME, args)
    group = {"initial_lr": 0.8, "lr": 0.4}
    run = SimpleNamespace(optimizer=SimpleNamespace(param_groups=[group]), lf=lambda epoch: 0.5, epoch=1)
    rates = []
    for _ in range(hit_uav_zoo.REWARM + 1):
        group["lr"] = 0.4  # as the schedule has it
        training.rewarm(run)
        rates.append(group["lr"])
    assert rates[0] == pytest.approx(0.4 / hit_uav_zoo.REWARM)
    assert rates == sorted(rates)
    assert rates[-2:] == [0.4, 0.4]


@pytest.mark.parametrize("name", [k for k, n in hit_uav_zoo.NETWORKS.items() if n.start])
def test_a_longer_training_begins_from_shipped_weights_of_the_same_network(name, args):
    training = hit_uav_zoo.Training(name, args)
    assert training.state["stage"] == "whole"
    start, network = RSDet(training.network.start).model.state_dict(), training.network
    twin = RSDet(network.yaml, scale=network.scale, **network.variables).model.state_dict()
    assert start.keys() == twin.keys()
    assert start["model.0.conv.weight"].shape == twin["model.0.conv.weight"].shape


@pytest.mark.parametrize("name", ["vmc-detr-hituav", "rtdetr-r18-hituav"])
def test_the_dense_stage_trains_all_but_the_decoder(name, tmp_path):
    n = hit_uav_zoo.NETWORKS[name]
    dense = RSDet(hit_uav_zoo.dense_twin(n, tmp_path / "dense.yaml")).model
    whole = RSDet(n.yaml, scale=n.scale, **n.variables).model
    last = f"model.{len(whole.model) - 1}."
    report = transfer(whole, dense)
    assert all(k.startswith(last) for k in report["missing"])
    assert not [k for k in report["shape"] if not k.startswith(last)]
    before, after = dense.state_dict(), whole.state_dict()
    for k in (k for k in report["taken"] if not k.startswith(last)):
        assert torch.equal(before[k], after[k])

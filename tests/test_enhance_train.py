"""A detector trained together with the networks before it: who learns, what is stored, what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY, TRAIN
from enhancers import Invert, TinyGain, lively, tiny_weights_of
from ultralytics.utils import DEFAULT_CFG_DICT

from rsdet import RSDet
from rsdet.enhance.joint import JointEnhancer, build_joint, read_freeze
from rsdet.errors import ConfigError
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.model import build

QUICK = {**TRAIN, "epochs": 1, "val": False, "verbose": False}


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    return tiny_weights_of(tmp_path_factory.mktemp("enhancer"))


@pytest.fixture(scope="module")
def joint(tiny_weights, tiny_data, enhancer, tmp_path_factory):
    """Weights after one epoch of training both."""
    project = tmp_path_factory.mktemp("joint")
    RSDet(tiny_weights).train(data=tiny_data, enhance=enhancer, project=str(project), name="both", **QUICK)
    return project / "both" / "weights" / "last.pt"


def state(model) -> dict[str, torch.Tensor]:
    return {k: v.float() for k, v in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {k for k in before if not torch.equal(before[k].half(), after[k].half())}


def test_the_loss_of_the_detector_reaches_the_enhancer(joint, enhancer):
    after = state(RSDet(joint).model.enhancer[0])
    before = state(RSDet(enhancer).model.network)
    assert changed(before, after) == {"body.weight", "body.bias"}


def test_the_checkpoint_holds_both_and_predicts_as_one(joint, tiny_data, tmp_path):
    model = RSDet(joint)
    source = sorted((tiny_data.parent / "images" / "val").iterdir())[0]
    args = dict(imgsz=96, conf=1e-6, save=False, verbose=False)
    whole = model.predict(source, **args)[0].boxes.data
    x = torch.rand(1, 3, 96, 96)
    net = model.model.eval()
    with torch.no_grad():
        got = net(x)[0]
        first, net.enhancer = net.enhancer, None
        by_hand = net(first(x))[0]
        without = net(x)[0]
        net.enhancer = first
    torch.testing.assert_close(got, by_hand)
    assert not torch.equal(got, without)
    plain = RSDet(model.save_plain(tmp_path / "both"))
    np.testing.assert_allclose(plain.predict(source, **args)[0].boxes.data, whole, atol=1e-4)
    with pytest.raises(ConfigError, match="would enhance twice"):
        model.predict(source, enhance=[Invert()], **args)


@pytest.mark.slow
@pytest.mark.parametrize(("freeze", "learns"), [("detector", "enhancer."), ("enhancer", "model.")])
def test_one_of_both_stays_as_it_is(joint, tiny_data, tmp_path, freeze, learns):
    before = state(RSDet(joint).model)
    RSDet(joint).train(data=tiny_data, freeze=freeze, project=str(tmp_path), name="f", **QUICK)
    model = RSDet(tmp_path / "f" / "weights" / "last.pt")
    found = changed(before, state(model.model))
    assert found
    assert all(k.startswith(learns) for k in found)


def test_a_frozen_enhancer_is_used_as_in_prediction():
    net = JointEnhancer([TinyGain()], frozen=True).train()
    assert not net[0].training
    y = net(torch.rand(1, 3, 20, 20, requires_grad=True) * 3)
    assert not y.requires_grad
    assert y.max() <= 1  # clamped: not in training mode


def test_gradients_are_those_of_the_detector_alone_carried_through_the_enhancer():
    spec = load_model_yaml("yolo11n.yaml")
    both = build({**spec, "enhance": {"networks": [{"network": "TinyGain"}]}}, nc=2)
    lively(both.model)
    both.args = SimpleNamespace(**DEFAULT_CFG_DICT)
    for m in both.train().modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    batch = {
        "img": torch.rand(1, 3, 64, 64), "cls": torch.zeros(1, 1), "batch_idx": torch.zeros(1),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.3]]),
    }  # fmt: skip
    weight = both.enhancer[0].body.weight
    (found,) = torch.autograd.grad(both.loss(batch)[0].sum(), weight)
    network, both.enhancer = both.enhancer[0], None
    seen = network(batch["img"])
    leaf = seen.detach().requires_grad_()
    (at_picture,) = torch.autograd.grad(both.loss({**batch, "img": leaf})[0].sum(), leaf)
    (wanted,) = torch.autograd.grad(seen, weight, at_picture)
    assert wanted.abs().max() > 1e-6
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (dict(enhance="dcp.yaml"), "no PyTorch network"),
        (dict(enhance=[Invert()]), "must be names or files"),
        (dict(enhance="missing.pt"), "do not exist"),
        (dict(enhance="edsr-t.yaml"), "enlarges x2"),
        (dict(freeze="enhancer"), "or detector or enhancer with enhance="),
        (dict(enhance="dwtma-net-t.yaml", freeze="head"), "detector or enhancer"),
        (dict(freeze_enhancer="yes"), "freeze_enhancer"),
    ],
)
def test_what_is_refused(tiny_weights, tiny_data, tmp_path, args, says):
    with pytest.raises(Exception, match=says) as e:
        RSDet(tiny_weights).train(data=tiny_data, project=str(tmp_path), **{**QUICK, **args})
    assert getattr(e.value, "exit_code", None) == 2


def test_an_enhancer_is_put_in_once(joint, tiny_data, enhancer, tmp_path):
    with pytest.raises(ConfigError, match="holds an enhancer already"):
        RSDet(joint).train(data=tiny_data, enhance=enhancer, project=str(tmp_path), **QUICK)


def test_words_of_freeze():
    assert read_freeze({"freeze": "detector", "epochs": 3}, 4, True) == {"freeze": [0, 1, 2, 3], "epochs": 3}
    assert read_freeze({"freeze": "enhancer"}, 4, True) == {"freeze_enhancer": True}
    assert read_freeze({"freeze": [1]}, 4, False) == {"freeze": [1]}
    with pytest.raises(ConfigError, match="networks:"):
        build_joint({})


def test_a_yaml_may_state_it():
    spec = {**load_model_yaml("vmc-detr-demo.yaml", overrides=TINY), "enhance": {"networks": [{"network": "TinyGain"}]}}
    model = build(spec)
    assert isinstance(model.enhancer, JointEnhancer)
    assert model.eval()(torch.rand(1, 3, 64, 64))[0].shape[0] == 1

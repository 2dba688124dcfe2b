"""Classes of the user's own, and networks put into a model: what they add is a key, and nothing of them stays."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TRAIN
from exported import lively, model_yaml

from rsdet import RSDet
from rsdet.data.demo import make_demo
from rsdet.data.scenes import render_scene
from rsdet.errors import ConfigError
from rsdet.tasks.obb.predict import OBBPredict
from rsdet.tasks.obb.train import OBBTrain

PICTURE = np.ascontiguousarray(render_scene(0, (96, 128)).image[..., ::-1])
LOOK = {"imgsz": 128, "save": False, "verbose": False, "conf": 0.1}
SEEN: list[object] = []


class Loud(OBBPredict):
    """A predictor with a key more."""

    def configure(self, model, *, volume: float = 0.0, **kwargs):
        super().configure(model, **kwargs)
        SEEN.append(volume)


class Soft(OBBTrain):
    """A trainer with a key more, that ends before it begins."""

    def __init__(self, *args, volume: float = 0.0, **kwargs):
        super().__init__(*args, **kwargs)
        SEEN.extend((volume, self.args.volume, self.args.rot90))

    def train(self):
        raise KeyboardInterrupt


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("obb", tmp_path_factory.mktemp("obb"))


def test_a_predictor_is_used_where_it_is_named_and_nowhere_else(model):
    SEEN.clear()
    model.predict(PICTURE, **LOOK)
    model.predict(PICTURE, predictor=Loud, volume=0.5, **LOOK)
    model.predict(PICTURE, **LOOK)
    assert SEEN == [0.5]
    for key, value in (("volume", "loud"), ("volum", 1.0)):
        with pytest.raises(ConfigError, match=key):
            model.predict(PICTURE, predictor=Loud, **{key: value}, **LOOK)
    with pytest.raises(ConfigError, match="takes a class"):
        model.predict(PICTURE, predictor=OBBPredict(), **LOOK)


def test_a_key_of_a_trainer_reaches_it(tmp_path):
    data = make_demo(tmp_path / "d", n_train=2, n_val=1, size=64, progress=False, task="obb")
    fresh = RSDet(str(model_yaml("obb", tmp_path, nc=4)))
    SEEN.clear()
    with pytest.raises(KeyboardInterrupt):
        fresh.train(trainer=Soft, data=data, volume=0.5, rot90=0.25, project=str(tmp_path), **TRAIN)
    assert SEEN == [0.5, 0.5, 0.25]
    with pytest.raises(ConfigError, match="volume='loud' must be a number"):
        fresh.train(trainer=Soft, data=data, volume="loud", project=str(tmp_path), **TRAIN)


def test_a_network_that_is_put_into_a_model_is_the_one_that_looks(model, tmp_path):
    changed = RSDet(model.ckpt_path)
    before = changed.predict(PICTURE, **LOOK)[0].obb.data
    other = RSDet(model.ckpt_path)
    for weight in other.model.model[0].parameters():
        weight.data *= 0.9
    changed.model = other.model
    after = changed.predict(PICTURE, **LOOK)[0].obb.data
    np.testing.assert_array_equal(after, other.predict(PICTURE, **LOOK)[0].obb.data)
    assert len(before) != len(after) or not np.array_equal(before, after)
    changed.model = lively("yolo", tmp_path).model
    for refused in (lambda: changed.predict(PICTURE, **LOOK), lambda: changed.export(format="onnx", imgsz=64)):
        with pytest.raises(ConfigError, match="not for task=obb"):
            refused()

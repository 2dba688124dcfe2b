"""Values of ``bands=`` and ``value_range=`` that make no sense are told by every door, and never passed over."""

from __future__ import annotations

import numpy as np
import pytest
from exported import lively
from PIL import Image

from rsdet import RSDet, cli
from rsdet.errors import ConfigError
from rsdet.runtime import Detector

WRONG = [0, [], [0, 1, 2], "rgb", 1.5, True, [1.0, 2.0, 3.0], "1,2,3"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("values")
    Image.fromarray(np.full((96, 96, 3), 90, np.uint8)).save(root / "a.png")
    model = lively("yolo", root)
    return root, model.ckpt_path, model.export(format="onnx", imgsz=96, out=str(root), verbose=False).path


@pytest.mark.parametrize("bands", WRONG)
def test_bands(bands, place):
    root, weights, file = place
    for name in (weights, file, "dcp"):
        with pytest.raises(ConfigError, match="bands="):
            RSDet(name).predict(root / "a.png", bands=bands, save=False, verbose=False)
    with pytest.raises(ConfigError, match="bands="):
        Detector(file, bands=bands)
    data = root / "data.yaml"
    data.write_text(f"train: {root}\nval: {root}\nnames: [a, b, c]\nbands: {bands!r}\n")
    with pytest.raises(ConfigError, match="bands="):
        RSDet(weights).val(data=data, imgsz=96, plots=False, workers=0, project=str(root / "r"))


@pytest.mark.parametrize("value", ["5", "x", "[1,0]", "[0,1,2]", "[0,x]", "[0,.inf]", "True"])
def test_value_range(value, place, capsys):
    words = ["model=dcp", f"source={place[0] / 'a.png'}", "save=False", f"project={place[0]}"]
    assert cli.run(["predict", *words, f"value_range={value}"]) == 2
    assert "must be two numbers" in capsys.readouterr().err


def test_none_is_not_given(place, capsys):
    words = ["model=dcp", f"source={place[0] / 'a.png'}", "save=False", f"project={place[0]}", "tile=None"]
    assert cli.run(["predict", *words, "value_range=None", "bands=None"]) == 0

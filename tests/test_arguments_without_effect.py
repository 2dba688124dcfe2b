"""A key of which nothing comes is named: Ultralytics takes every key in every mode."""

from __future__ import annotations

import logging

import pytest
from ultralytics.utils import DEFAULT_CFG_DICT

from rsdet.arguments import check_keys, without_effect


@pytest.mark.parametrize(
    ("given", "mode", "task", "named"),
    [
        ({"data": "x.yaml", "conf": 0.3}, "predict", "detect", ["data"]),
        ({"epochs": 5, "lr0": 0.1, "workers": 2, "retina_masks": True}, "predict", "detect", 4),
        ({"data": "x.yaml", "batch": 4, "show": True}, "predict", "restore", 3),
        ({"epochs": 5, "split": "test", "plots": False, "workers": 0}, "val", "detect", ["epochs"]),
        ({"fraction": 0.1}, "val", "detect", ["fraction"]),
        ({"fraction": [1, 0.1]}, "val", "detect", []),
        ({"split": "test", "batch": 4, "tile": 64}, "val", "restore", ["batch"]),
        ({"show": True, "lr0": 0.1, "iou": 0.5, "tracker": "bytetrack.yaml"}, "train", "detect", ["show", "tracker"]),
        ({"tracker": "bytetrack.yaml"}, "predict", "detect", ["tracker"]),
        ({"tracker": "bytetrack.yaml", "mode": "track"}, "predict", "detect", []),
        ({"source": "a.png", "save": True, "half": True, "save_coco": True, "project": "p"}, "predict", "detect", []),
    ],
)
def test_what_has_no_effect(given, mode, task, named):
    found = without_effect(given, mode, task)
    assert (len(found) if isinstance(named, int) else found) == named


@pytest.mark.parametrize("task", ["detect", "restore"])
@pytest.mark.parametrize("mode", ["train", "val", "predict"])
def test_defaults_are_no_wishes(mode, task):
    assert without_effect(dict(DEFAULT_CFG_DICT), mode, task) == []


def test_it_is_said_in_one_line(caplog):
    with caplog.at_level(logging.WARNING, "ultralytics"):
        check_keys({"data": "coco8.yaml", "epochs": 3}, "predict")
        check_keys({"conf": 0.3}, "predict")
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.endswith("data=, epochs=: predict makes no use of them; leave them out.")

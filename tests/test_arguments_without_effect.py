"""A key of which nothing comes is named: Ultralytics takes every key in every mode."""

from __future__ import annotations

import logging

import pytest
from ultralytics.utils import DEFAULT_CFG_DICT

from rsdet import tasks
from rsdet.arguments import check_keys, own_keys, without_effect

_CLASSES = {"train": "trainer", "val": "validator", "predict": "predictor"}


def class_of(mode, task):
    found = tasks.get(task)
    return found.classes(found.families[0])[_CLASSES[mode]]


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
    stock = {k: v for k, v in given.items() if k not in own_keys(class_of(mode, task))}
    found = without_effect(stock, mode, tasks.get(task))
    assert (len(found) if isinstance(named, int) else found) == named


@pytest.mark.parametrize("task", ["detect", "restore"])
@pytest.mark.parametrize("mode", ["train", "val", "predict"])
def test_defaults_are_no_wishes(mode, task):
    assert without_effect(dict(DEFAULT_CFG_DICT), mode, tasks.get(task)) == []


def test_it_is_said_in_one_line(caplog):
    detect, cls = tasks.get("detect"), class_of("predict", "detect")
    with caplog.at_level(logging.WARNING, "ultralytics"):
        check_keys({"data": "coco8.yaml", "epochs": 3}, "predict", detect, cls)
        check_keys({"conf": 0.3}, "predict", detect, cls)
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.endswith("data=, epochs=: predict makes no use of them; leave them out.")

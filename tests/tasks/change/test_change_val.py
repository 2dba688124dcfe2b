"""Validation of changes: the confusion matrix, what is read from it, and that it counts what predict finds."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from change_fakes import data_yaml

from rsdet import RSDet
from rsdet.data.raster_io import write_image
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import PixelScores, count_pixels
from rsdet.tasks.change.metrics import ChangeMetrics

pytest_plugins = ["change_fixtures"]


def measured(truth, found):
    metrics = ChangeMetrics()
    truth, found = (np.atleast_2d(np.asarray(x, np.uint8)) for x in (truth, found))
    metrics.add_map(truth, found, found.astype(np.float32))
    metrics.process()
    return dict(zip(metrics.keys, metrics.mean_results(), strict=True))


def test_measures_of_a_case_by_hand():
    got = measured([1] * 3 + [0] + [1] * 2 + [0] * 4, [1] * 3 + [1] + [0] * 2 + [0] * 4)
    expected = {"precision": 0.75, "recall": 0.6, "F1": 2 / 3, "IoU": 0.5, "kappa": 0.4}
    assert {k: got[f"metrics/{k}"] for k in expected} == pytest.approx(expected)
    assert next(iter(got)) == "metrics/F1"


@pytest.mark.parametrize("seed", range(4))
def test_iou_follows_from_f1_and_kappa_from_the_marginals(seed):
    rng = np.random.default_rng(seed)
    truth, found = (rng.random(400) < rng.uniform(0.1, 0.6)).astype(int), (rng.random(400) < 0.3).astype(int)
    found[:100] = truth[:100]
    got = measured(truth, found)
    assert got["metrics/IoU"] == pytest.approx(got["metrics/F1"] / (2 - got["metrics/F1"]))
    tp, fp, fn, tn = (sum(t == a and f == b for t, f in zip(truth, found, strict=True))
                      for a, b in ((1, 1), (0, 1), (1, 0), (0, 0)))  # fmt: skip
    n, po = 400, (tp + tn) / 400
    pe = ((tp + fp) * (tp + fn) + (tn + fn) * (tn + fp)) / n**2
    assert got["metrics/kappa"] == pytest.approx((po - pe) / (1 - pe))


def test_kappa_has_its_limits():
    def kappa(matrix):
        return PixelScores(np.array(matrix), {0: "a", 1: "b"}).kappa

    assert kappa([[5, 0], [0, 7]]) == pytest.approx(1)
    assert kappa([[4, 4], [2, 2]]) == pytest.approx(0)
    assert np.isnan(kappa([[9, 0], [0, 0]]))  # one class everywhere: nothing beyond chance can be said
    assert np.isnan(kappa([[0, 0], [0, 0]]))


def test_pixels_that_nobody_knows_count_nowhere():
    nothing = ChangeMetrics()
    nothing.add_map(np.full((4, 4), 255, np.uint8), np.ones((4, 4), np.uint8), None)
    nothing.process()
    assert "no pixel of them is labelled" in nothing.table()
    got = measured([1, 1, 255, 0], [1, 0, 1, 0])
    assert got["metrics/precision"] == 1
    assert got["metrics/recall"] == 0.5


def test_counts_of_several_processes_add_up():
    rng = np.random.default_rng(0)
    whole, parts = ChangeMetrics(), [ChangeMetrics(), ChangeMetrics()]
    for part in parts:
        truth, p = (rng.random((20, 20)) < 0.3).astype(np.uint8), rng.random((20, 20)).astype(np.float32)
        for m in (part, whole):
            m.add_map(truth, (p >= 0.5).astype(np.uint8), p)
    parts[0].merge(parts[1])
    assert parts[0].mean_results() == whole.mean_results()
    assert (parts[0].curve.counts == whole.curve.counts).all()
    assert parts[0].images == 2


def test_val_counts_what_predict_finds_and_draws_the_errors(made):
    folder, data = made
    model, given = RSDet(folder / "w.pt"), {"imgsz": 64, "overlap": 16, "threshold": 0.4}
    metrics = model.val(data=data, project=str(folder), name="v", **given)
    root, by_hand = data.parent / "val", np.zeros((2, 2), int)
    for result in model.predict(root / "A", source2=root / "B", save=False, verbose=False, **given):
        name = result.pair.before.name
        truth = (cv2.imread(str(root / "label" / name), cv2.IMREAD_GRAYSCALE) > 0).astype(int)
        by_hand += count_pixels(truth, result.map.classes, 2)
        drawn = cv2.imread(str(folder / "v" / "errors" / name))[..., ::-1]
        white, black = ((drawn == v).all(2) for v in (255, 0))
        assert (white == ((truth == 1) & result.changed)).all()
        assert (black == ((truth == 0) & ~result.changed)).all()
    assert metrics.scores.matrix.tolist() == by_hand.tolist()
    assert by_hand.min() > 0
    written = json.loads((folder / "v" / "metrics.json").read_text())
    assert written["confusion"] == by_hand.tolist()
    assert written["F1"] == pytest.approx(metrics.mean_results()[0])
    assert {"kappa", "object_recall", "average_precision", "objects"} <= written.keys()
    made_files = {p.name for p in (folder / "v").iterdir()}
    assert {"errors", "val_pairs.jpg", "metrics.csv", "objects.csv", "pr_curve.png"} <= made_files
    for line in ("changed pixels: F1", "objects hit", "average precision"):
        assert line in metrics.table()


def test_a_lower_threshold_finds_more(made):
    folder, data = made
    model = RSDet(folder / "w.pt")
    few, many = (
        model.val(data=data, imgsz=64, plots=False, project=str(folder), threshold=t).scores.recall[1]
        for t in (0.8, 0.2)
    )
    assert many > few
    for wrong in ({"threshold": 2}, {"overlap": -1}):
        with pytest.raises(ConfigError):
            model.val(data=data, **wrong)


def test_files_are_measured_as_their_network(made, exported):
    folder, data = made
    model, run = RSDet(folder / "w.pt"), {"data": data, "plots": False, "project": str(folder)}
    ours = model.val(imgsz=64, **run).scores.matrix
    file = RSDet(exported)
    theirs = file.val(**run).scores.matrix
    assert ours.sum() == theirs.sum()
    assert np.abs(ours - theirs).sum() <= 2e-3 * ours.sum()
    with pytest.raises(ConfigError, match="64x64"):
        file.val(imgsz=96, **run)


def test_what_label_mapping_leaves_out_is_not_measured(made, tmp_path):
    folder, _ = made
    data = data_yaml(tmp_path, 1, 1, 64)
    label = np.zeros((64, 64), np.float32)
    label[:, :32] = 128 / 255
    label[:8, 40:] = 1
    write_image(data.parent / "val" / "label" / "0.png", label)
    data.write_text(data.read_text() + "label_mapping: {128: ignore}\n")
    metrics = RSDet(folder / "w.pt").val(data=data, imgsz=64, plots=False, project=str(tmp_path))
    assert metrics.scores.matrix.sum() == 32 * 64
    assert metrics.scores.pixels[1] == 8 * 24

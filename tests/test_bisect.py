"""The bisect names the row in which an exported graph was changed, and none in one that was not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from conftest import TINY
from exported import lively

from rsdet import RSDet
from rsdet.deploy import job as jobs
from rsdet.deploy.bisect import compare_layers
from rsdet.deploy.export import export
from rsdet.errors import ExportError

X = np.random.default_rng(0).random((1, 3, 128, 128), dtype=np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    vmc = RSDet("vmc-detr-demo.yaml", **TINY)
    for m in vmc.model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.momentum = 1.0
    with torch.no_grad():  # activations that depend on the picture, as after a training
        vmc.model.train().predict(torch.from_numpy(np.concatenate([X, X[..., ::-1].copy()])))
    vmc.model.eval()
    return {"yolo": lively("yolo", folder), "rtdetr": lively("rtdetr", folder), "vmc": vmc}


@pytest.fixture(scope="module")
def files(models, tmp_path_factory):
    made: dict[str, str] = {}
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (90, 140, 3), dtype=np.uint8)]

    def get(kind):
        if kind not in made:
            out = tmp_path_factory.mktemp(kind)
            loose = {"box_tol_px": 1e9, "score_tol": 1.0} if kind == "vmc" else {}  # untrained: near-equal scores
            made[kind] = export(models[kind], imgsz=128, images=pictures, out=out, verbose=False, **loose).path
        return made[kind]

    return get


@pytest.mark.parametrize("kind", ["yolo", "rtdetr", "vmc"])
def test_an_unchanged_file_agrees_in_every_row(kind, models, files):
    report = compare_layers(models[kind].model, files(kind), X)
    assert report.ok, report.table()
    assert "layers ok" in report.summary()
    n = len(models[kind].model.model)
    assert len(report.rows) + len(report.unseen) == n
    assert len(report.rows) > 0.7 * n  # some are folded into others
    assert all(r.relative < 1e-4 for r in report.rows[:-1])


def corrupt(path, row, target):
    """Change one convolution weight of a row; returns its name."""
    graph = onnx.load(str(path))
    nodes = [n for n in graph.graph.node if f"/model.{row}/" in n.name and n.op_type in ("Conv", "MatMul", "Gemm")]
    names = {i.name: i for i in graph.graph.initializer}
    weight = names[next(i for n in nodes for i in n.input if i in names)]
    values = onnx.numpy_helper.to_array(weight).copy()
    values.reshape(-1)[:: max(1, values.size // 7)] += np.float32(5 * np.abs(values).max())
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(graph, str(target))
    return weight.name


@pytest.mark.parametrize(("kind", "row"), [("yolo", 0), ("yolo", 2), ("yolo", 4), ("rtdetr", 3), ("rtdetr", 5),
                                           ("vmc", 6), ("vmc", 12), ("vmc", 22)])  # fmt: skip
def test_a_changed_weight_is_found(kind, row, models, files, tmp_path):
    corrupt(files(kind), row, tmp_path / "bad.onnx")
    report = compare_layers(models[kind].model, tmp_path / "bad.onnx", X)
    assert report.first is not None, report.table()
    assert report.first.row == row, report.table()
    assert f"layers differ from row {row} on" in report.summary()
    assert "differs" in report.table()
    assert all(r.relative < 1e-3 for r in report.rows if r.row < row)


def test_an_export_that_fails_says_where(models, tmp_path, monkeypatch):
    stock = jobs.run_exporter

    def spoil(*args, **kwargs):
        path = stock(*args, **kwargs)
        corrupt(path, 1, path)
        return path

    monkeypatch.setattr(jobs, "run_exporter", spoil)
    pictures = [np.random.default_rng(0).integers(0, 255, (90, 140, 3), dtype=np.uint8)]
    with pytest.raises(ExportError, match=r"disagrees.*layers differ from row 1 on \(Conv, .*rows up to 0 agree") as e:
        export(models["yolo"], imgsz=128, images=pictures, out=tmp_path, verbose=False)
    assert "\n" not in str(e.value)


def test_half_precision_and_suppression_are_compared_too(models, tmp_path, capsys):
    pictures = [np.random.default_rng(0).integers(0, 255, (90, 140, 3), dtype=np.uint8)]
    made = export(models["yolo"], imgsz=128, images=pictures, out=tmp_path, debug="layers", half=True, box_tol_px=1e9,
                  score_tol=1.0)  # fmt: skip
    assert made.layers.ok, made.layers.table()
    assert 1e-5 < max(r.relative for r in made.layers.rows) < 3e-2
    assert "/model.2/" in capsys.readouterr().out  # the table is printed
    made = export(models["yolo"], imgsz=128, images=pictures, out=tmp_path, debug="layers", nms=True, conf=0.1,
                  verbose=False)  # fmt: skip
    assert made.layers.ok, made.layers.table()


def test_a_graph_without_our_names_is_refused(models, files, tmp_path):
    graph = onnx.load(str(files("yolo")))
    for i, node in enumerate(graph.graph.node):
        node.name = f"n{i}"
    onnx.save(graph, str(tmp_path / "anonymous.onnx"))
    with pytest.raises(ExportError, match="names of its nodes"):
        compare_layers(models["yolo"].model, tmp_path / "anonymous.onnx", X)

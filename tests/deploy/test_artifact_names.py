"""Exports of one model do not take each other's place, and say who made them but not where."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exported import lively

from rsdet.data.scenes import render_scene
from rsdet.deploy.artifact import read_metadata
from rsdet.deploy.export import export
from rsdet.deploy.settings import ExportSettings
from rsdet.tasks.detect.options import DetectExport

PHOTO = np.ascontiguousarray(render_scene(0, (96, 128)).image[..., ::-1])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("yolo", tmp_path_factory.mktemp("yolo"))


@pytest.mark.parametrize(
    ("keys", "options", "name"),
    [
        ({}, {}, "best.onnx"),
        ({"half": True}, {}, "best-half.onnx"),
        ({"format": "openvino"}, {}, "best_openvino_model"),
        ({"format": "openvino", "int8": True}, {}, "best-int8_openvino_model"),
        ({}, {"nms": True}, "best-nms.onnx"),
        ({}, {"nms": False}, "best-nms-free.onnx"),
        ({"dynamic": True}, {}, "best-dynamic.onnx"),
        ({"dynamic": "batch"}, {}, "best-dynamic-batch.onnx"),
        ({"imgsz": (320, 320)}, {}, "best-320.onnx"),
        ({"imgsz": (320, 640), "format": "torchscript"}, {}, "best-320x640.torchscript"),
        ({"imgsz": (320, 320), "half": True, "format": "engine"}, {"nms": False}, "best-half-nms-free-320.engine"),
    ],
)
def test_names(keys, options, name):
    settings = ExportSettings(**{"imgsz": (640, 640), **keys}, options=DetectExport(**options))
    assert settings.name("best", (640, 640), settings.format) == name


def test_the_graph_of_an_engine_is_named_for_what_it_holds():
    half = ExportSettings(format="engine", half=True, imgsz=(640, 640))
    assert half.name("best", (640, 640), "onnx") == "best.onnx"


def test_four_exports_are_four_files_unless_a_name_is_given(model, tmp_path):
    common = {"images": [PHOTO], "out": tmp_path, "verbose": False}
    made = [export(model, imgsz=s, **common, **k).path for s, k in ((64, {}), (64, {"half": True}), (96, {}))]
    assert [p.name for p in made] == ["yolo-64.onnx", "yolo-half-64.onnx", "yolo-96.onnx"]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in made)
    named = export(model, imgsz=64, half=True, **{**common, "out": tmp_path / "mine.onnx"}).path
    assert named == tmp_path / "mine.onnx"


def contents(path: Path):
    if path.suffix == ".torchscript":
        with zipfile.ZipFile(path) as z:
            yield from ((n, z.read(n)) for n in z.namelist())
    else:
        yield from ((p.name, p.read_bytes()) for p in ([path] if path.is_file() else path.iterdir()))


@pytest.mark.parametrize("format", ["onnx", "openvino", "torchscript"])
def test_files_say_who_made_them_and_not_where(format, model, tmp_path, monkeypatch):
    if format == "openvino":
        pytest.importorskip("openvino")
    monkeypatch.setitem(model.model.args, "data", str(tmp_path / "secret" / "data.yaml"))
    made = export(model, format, imgsz=64, images=[PHOTO], out=tmp_path, verbose=False).path
    said = read_metadata(made)
    assert (said["author"], said["license"]) == ("rsdet", "AGPL-3.0")
    places = {str(Path(p)).encode() for p in (tmp_path, Path.cwd(), Path.home(), Path(np.__file__).parents[1])}
    places = {p for p in places if len(p) > 1}
    for name, content in contents(made):
        found = [p for p in places if p in content]
        assert not found, (name, found)
        if name.endswith((".json", ".yaml", ".txt")):
            assert b"Ultralytics" not in content
    assert os.sep not in said["description"]

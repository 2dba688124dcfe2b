"""Formats that cannot be proved here: refused, or handed on to Ultralytics by name, and nothing is installed for it."""

from __future__ import annotations

import logging
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from exported import lively
from ultralytics.engine.exporter import Exporter, export_formats

from rsdet import cli
from rsdet.deploy.settings import FORMATS
from rsdet.errors import ConfigError, DataError, ExportError, MissingDependencyError

OTHERS = [name for name in export_formats()["Argument"][1:] if name not in FORMATS]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("yolo", tmp_path_factory.mktemp("yolo"))


@pytest.fixture
def exporters(monkeypatch):
    """Ultralytics' exporters with what they would call left out; the arguments that each got, by format."""
    got = {}

    def fake(name: str, suffix: str):
        def export(self, **kwargs):
            got[name] = self
            made = Path(str(self.file).replace(self.file.suffix, suffix))
            if "." in suffix:
                made.write_bytes(b"graph")
            else:
                made.mkdir()
                (made / "metadata.yaml").write_text(yaml.safe_dump({"proved": self.metadata["proved"]}))
            return (str(made), None) if name == "saved_model" else str(made)

        return export

    for name, suffix in zip(*(export_formats()[key] for key in ("Argument", "Suffix")), strict=True):
        if name in OTHERS:
            monkeypatch.setattr(Exporter, f"export_{name}", fake(name, suffix))
    return got


@pytest.fixture(autouse=True)
def _nothing_started(monkeypatch):
    """No process: neither pip nor apt nor a compiler."""

    def refuse(self, args, *more, **kwargs):
        raise AssertionError(f"a process was started: {args}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)


@pytest.mark.parametrize("format", [*OTHERS, "tflite"])
def test_without_the_word_a_format_that_cannot_be_proved_is_refused(model, tmp_path, format):
    with pytest.raises(ConfigError, match=r"cannot be checked .*unchecked=True hands the model on") as e:
        model.export(format=format, out=tmp_path)
    assert "\n" not in str(e.value)
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("format", "suffix"),
    [
        ("ncnn", "_ncnn_model"), ("mnn", ".mnn"), ("tflite", ".tflite"), ("saved_model", "_saved_model"),
        ("coreml", ".mlpackage"), ("rknn", "_rknn_model"),
    ],
)  # fmt: skip
def test_what_is_handed_on_says_so_in_its_name_and_in_the_log(model, tmp_path, exporters, caplog, format, suffix):
    name = f"yolo-160-not-proved{suffix}"
    with caplog.at_level(logging.WARNING, "ultralytics"):
        made = model.export(format=format, unchecked=True, imgsz=160, out=tmp_path, verbose=False)
    assert made.path == tmp_path / name
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (made.parity, made.metadata) == (None, {"proved": False})
    assert "not proved" in made.summary()
    assert any(f"{name} is not proved" in r.getMessage() for r in caplog.records)
    if made.path.is_dir():
        assert yaml.safe_load((made.path / "metadata.yaml").read_text()) == {"proved": False}


def test_the_settings_reach_ultralytics_and_the_model_is_as_it_was(model, tmp_path, exporters):
    before = {k: v.clone() for k, v in model.model.state_dict().items()}
    model.export(
        format="mnn",
        unchecked=True,
        imgsz=[96, 160],
        half=True,
        batch=2,
        opset=18,
        out=tmp_path,
        verbose=False,
        max_det=7,
    )
    args = exporters["mnn"].args
    assert (args.imgsz, args.quantize, args.batch, args.opset, args.max_det) == ([96, 160], 16, 2, 18, 7)
    assert exporters["mnn"].im.shape == (2, 3, 96, 160)
    assert all(v.equal(before[k]) for k, v in model.model.state_dict().items())


def test_eight_bits_are_calibrated_on_data_that_was_named(model, tmp_path, exporters, tiny_data):
    with pytest.raises(ConfigError, match="calibrated on data="):  # Ultralytics would fetch a set of its own
        model.export(format="imx", unchecked=True, out=tmp_path)
    model.export(format="litert", unchecked=True, int8=True, data=tiny_data, imgsz=96, out=tmp_path, verbose=False)
    args = exporters["litert"].args
    assert (args.quantize, args.data) == (8, str(tiny_data))
    assert (tmp_path / "yolo-int8-96-not-proved.tflite").is_file()
    model.export(format="mnn", unchecked=True, int8=True, imgsz=96, out=tmp_path, verbose=False)  # weights alone
    assert exporters["mnn"].args.quantize == 8


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"format": "onnx"}, "format=onnx, which is compared with the model"),
        ({"format": "ncn"}, "Did you mean 'ncnn'"),
        ({"format": "ncnn", "max_drop": 1.0}, "max_drop="),
        ({"format": "ncnn", "stac": True}, "stac="),
        ({"format": "ncnn", "images": [np.zeros((9, 9, 3), np.uint8)]}, "images="),
        ({"format": "ncnn", "data": "demo"}, "measures nothing"),
        ({"format": "ncnn", "dynamic": "batch"}, "dynamic=True"),
        ({"format": "ncnn", "out": "x/best.param"}, "must be a folder"),
    ],
)
def test_what_would_mislead_is_refused(model, tmp_path, monkeypatch, keys, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message) as e:
        model.export(unchecked=True, **keys)
    assert "\n" not in str(e.value)
    assert not [*tmp_path.iterdir()]


def test_a_missing_package_is_named_with_its_command_and_not_installed(model, tmp_path, monkeypatch, capsys):
    """Ultralytics' own exporter runs as far as its look at what is installed."""
    from rsdet import quiet

    monkeypatch.setattr(quiet, "_is_installed", lambda requirement: not requirement.startswith(("ncnn", "MNN")))
    model.save(str(tmp_path / "w.pt"))
    words = [f"model={tmp_path / 'w.pt'}", "format=ncnn", "unchecked=True", "imgsz=96", f"out={tmp_path / 'out'}"]
    assert cli.run(["export", *words]) == 2
    errors = capsys.readouterr()
    assert errors.err.strip().splitlines()[-1] == (
        'rsdet: error: format=ncnn needs packages that are not installed; pip install --no-deps "ncnn"'
    )
    assert "AutoUpdate" not in errors.out + errors.err
    assert not [*(tmp_path / "out").iterdir()]
    with pytest.raises(MissingDependencyError, match=r'format=mnn needs .*; pip install "MNN'):
        model.export(format="mnn", unchecked=True, imgsz=96, out=tmp_path / "out", verbose=False)


def test_a_file_that_ultralytics_would_fetch_is_named(model, tmp_path, monkeypatch):
    from ultralytics.utils import downloads

    monkeypatch.setattr(Exporter, "export_litert", lambda self: downloads.attempt_download_asset("samples.npy.zip"))
    with pytest.raises(DataError, match=r"needs the file samples\.npy\.zip"):
        model.export(format="litert", unchecked=True, imgsz=96, out=tmp_path, verbose=False)


@pytest.mark.parametrize("error", [OSError("no compiler"), AttributeError("x"), subprocess.SubprocessError("code 1")])
def test_what_fails_there_is_one_line_and_leaves_nothing(model, tmp_path, monkeypatch, error):
    def fail(self):
        raise error

    monkeypatch.setattr(Exporter, "export_paddle", fail)
    with pytest.raises(ExportError, match=f"paddle.*{error}"):
        model.export(format="paddle", unchecked=True, imgsz=96, out=tmp_path, verbose=False)
    assert not [*tmp_path.iterdir()]


def test_outside_an_export_ultralytics_looks_at_packages_as_ever():
    from ultralytics.utils.checks import check_requirements

    assert check_requirements("numpy")
    assert check_requirements("no-such-package-of-rsdet", install=False) is False

"""Metres a pixel: measured at conversion, stated in a data YAML, and carried by the weights and exported files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import TINY, TRAIN
from exported import lively

from rsdet import RSDet
from rsdet.data.convert import convert
from rsdet.data.gsd import file_gsd, gsd_of
from rsdet.deploy.artifact import read_metadata
from rsdet.errors import CheckpointError, ConfigError
from rsdet.tasks.detect.runtime.facts import read_facts

UTM, WEB, LONLAT, FEET = "EPSG:32633", "EPSG:3857", "EPSG:4326", "EPSG:2263"


def placed(path: Path, step: tuple[float, float], crs: str | None, at: tuple[float, float]) -> Path:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("pyproj")
    transform = rasterio.Affine(step[0], 0, at[0], 0, -step[1], at[1])
    with rasterio.open(
        path, "w", driver="GTiff", height=64, width=64, count=3, dtype="uint8", crs=crs, transform=transform
    ) as f:
        f.write(np.full((3, 64, 64), 90, np.uint8))
    return path


def source(folder: Path, steps: list[float]) -> Path:
    for i, step in enumerate(steps):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        placed(folder / "images" / f"{i}.tif", (step, step), UTM, (400_000, 5_000_000))
        (folder / "labels").mkdir(exist_ok=True)
        (folder / "classes.txt").write_text("car\n")
        (folder / "labels" / f"{i}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    return folder


def stating(gsd: float, data: Path, folder: Path) -> Path:
    content = {**yaml.safe_load(data.read_text()), "path": str(data.parent), "gsd": gsd}
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder / "data.yaml"


@pytest.mark.parametrize(
    ("step", "crs", "at", "metres"),
    [
        (0.3, UTM, (400_000, 5_000_000), 0.3),
        (1.0, FEET, (980_000, 200_000), 0.3048),
        (1e-5, LONLAT, (10.0, 0.0), 1.1095),  # at the equator, 1.1132 m by 1.1057 m
        (1e-5, LONLAT, (10.0, 60.0), 0.7889),  # 0.5580 m by 1.1141 m
    ],
)
def test_metres_of_a_pixel_by_kind_of_crs(tmp_path, step, crs, at, metres):
    assert file_gsd(placed(tmp_path / "a.tif", (step, step), crs, at)) == pytest.approx(metres, rel=2e-3)


def test_files_without_a_place_say_nothing(tmp_path):
    assert file_gsd(placed(tmp_path / "a.tif", (0.3, 0.3), None, (0, 0))) is None
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 8, 3), np.uint8))
    assert file_gsd(tmp_path / "b.png") is None


def test_convert_measures_what_all_pictures_share(tmp_path):
    report = convert(source(tmp_path / "a", [0.3, 0.302, 0.3]), "yolo", tmp_path / "out", progress=False)
    assert yaml.safe_load(report.data_yaml.read_text())["gsd"] == pytest.approx(0.301, abs=1e-3)


def test_convert_says_so_where_pictures_differ(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "rsdet"):
        report = convert(source(tmp_path / "a", [0.3, 0.5]), "yolo", tmp_path / "out", progress=False)
    assert "gsd" not in yaml.safe_load(report.data_yaml.read_text())
    assert "0.3 to 0.5 m a pixel" in caplog.text
    report = convert(tmp_path / "a", "yolo", tmp_path / "out", progress=False, gsd=0.4)
    assert yaml.safe_load(report.data_yaml.read_text())["gsd"] == 0.4
    again = convert(tmp_path / "out", "yolo", tmp_path / "again", progress=False)
    assert yaml.safe_load(again.data_yaml.read_text())["gsd"] == 0.4


@pytest.mark.parametrize("value", [0, -1, "fine", True, float("nan"), float("inf"), [0.3]])
def test_what_is_no_number_of_metres_is_refused_in_one_line(tmp_path, value):
    with pytest.raises(ConfigError, match="metres a pixel") as e:
        gsd_of({"gsd": value})
    assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match="metres a pixel"):
        convert(tmp_path, "yolo", tmp_path / "out", gsd=value)


def test_a_training_refuses_it_before_it_starts(tiny_data, tmp_path):
    data = stating(-3, tiny_data, tmp_path)
    with pytest.raises(ConfigError, match="gsd: -3 in the data YAML"):
        RSDet("vmc-detr-demo.yaml", **TINY).train(data=data, epochs=1, project=str(tmp_path), **TRAIN)


def test_weights_carry_it(tiny_data, tmp_path):
    data = tmp_path / "data.yaml"
    data.write_text(
        yaml.safe_dump({**yaml.safe_load(tiny_data.read_text()), "path": str(tiny_data.parent), "gsd": 0.3})
    )
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    assert model.gsd is None
    model.train(data=data, epochs=1, project=str(tmp_path), name="run", workers=0, **TRAIN)
    last = tmp_path / "run" / "weights" / "last.pt"
    assert RSDet(last).gsd == 0.3
    assert RSDet(RSDet(last).save_plain(tmp_path / "plain.safetensors")).gsd == 0.3
    again = RSDet(last)  # other data, of which nothing is known: the weights are no longer of 0.3 m
    again.train(data=tiny_data, epochs=1, project=str(tmp_path), name="next", workers=0, **TRAIN)
    assert RSDet(tmp_path / "next" / "weights" / "last.pt").gsd is None


def test_exported_files_carry_it_and_are_checked(tmp_path):
    model = lively("yolo", tmp_path, gsd=0.25)
    made = model.export(format="onnx", imgsz=128, out=str(tmp_path), verbose=False).path
    assert read_metadata(made)["gsd"] == RSDet(made).gsd == 0.25
    said = {"task": "detect", "names": {0: "car"}, "family": "yolo"}
    assert read_facts({"rsdet": json.dumps({**said, "gsd": 0.25})}, "a.onnx").gsd == 0.25
    with pytest.raises(CheckpointError, match="gsd: holds"):
        read_facts({"rsdet": json.dumps({**said, "gsd": -1})}, "a.onnx")

"""CFAR through the front door: predict and val as for any detector, on values and at native resolution."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from rsdet import RSDet
from rsdet.cli import run as cli
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.paths import cfg_dir

# A scene wider and less regular than any network input, so that a letterbox or a resize would move boxes.
SHIPS = [[60, 50, 80, 56], [220, 120, 240, 126], [640, 10, 665, 16]]


def scene(seed: int = 0) -> np.ndarray:
    """(203, 701) amplitudes: one-look sea and the ships above, bright enough to be found whole."""
    a = np.sqrt(np.random.default_rng(seed).gamma(1, 1, (203, 701)))
    for x1, y1, x2, y2 in SHIPS:
        a[y1:y2, x1:x2] += 9
    return a


def write(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)
    return path


def predict(source, tmp_path, model="cfar", **settings):
    found = RSDet(model, **settings).predict(source, project=str(tmp_path / "runs"), verbose=False)
    return [sorted(r.boxes.xyxy.tolist()) for r in found]


# --- what files hold --------------------------------------------------------------------------------------------------


def to_8(a: np.ndarray) -> np.ndarray:
    return np.clip(a * 12, 0, 255).astype(np.uint8)


FORMS = {
    "8 bit": ("a.png", to_8, {}),
    "8 bit, gray as colour": ("a.png", lambda a: np.repeat(to_8(a)[..., None], 3, 2), {}),
    "16 bit under 256": ("a.png", lambda a: np.round(a * 5).astype(np.uint16), {}),
    "float, tiny numbers": ("a.tif", lambda a: (a * 1e-4).astype(np.float32), {}),
    "intensity": ("a.tif", lambda a: (a**2).astype(np.float32), {"quantity": "intensity"}),
    "dB": ("a.tif", lambda a: (20 * np.log10(a)).astype(np.float32), {"units": "db"}),
    "dB of intensity": (
        "a.tif",
        lambda a: (20 * np.log10(a)).astype(np.float32),
        dict(units="db", quantity="intensity"),
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_ships_are_found_to_the_pixel_whatever_the_file_holds(form, tmp_path):
    name, make, settings = FORMS[form]
    assert predict(write(tmp_path / name, make(scene())), tmp_path, **settings) == [SHIPS]


@pytest.mark.parametrize("method", ["ca", "os"])
def test_both_methods_take_their_settings_by_name(method, tmp_path):
    file = write(tmp_path / "a.png", np.round(scene() * 5).astype(np.uint16))
    assert predict(file, tmp_path, method=method, pfa=1e-9, guard=51, background=91) == [SHIPS]
    assert predict(file, tmp_path, method=method, pfa=1e-9, min_length=22, guard=51, background=91) == [SHIPS[2:]]


def test_arrays_are_values_too_and_need_not_have_one_size():
    a = scene()
    model = RSDet("cfar")
    one = model.predict(a, verbose=False)[0]
    assert sorted(one.boxes.xyxy.tolist()) == SHIPS
    assert one.orig_shape == a.shape
    several = model.predict([a, a[:100, :150], a.astype(np.float32)], verbose=False)
    assert torch.equal(several[0].boxes.data, one.boxes.data)
    assert several[1].boxes.xyxy.tolist() == SHIPS[:1]
    phase = np.exp(1j * np.arange(a.size).reshape(a.shape))
    slc = RSDet("cfar", quantity="complex").predict((a * phase).astype(np.complex64), verbose=False)[0]
    assert sorted(slc.boxes.xyxy.tolist()) == SHIPS


def test_missing_data_are_no_ships_and_an_empty_tile_is_no_error(tmp_path):
    a = scene().astype(np.float32)
    a[:, 300:500] = -9999
    a[100:110] = np.nan
    folder = tmp_path / "tiles"
    write(folder / "a.tif", a)
    write(folder / "b.tif", np.full((60, 80), -9999, np.float32))
    assert predict(folder, tmp_path, nodata=-9999) == [SHIPS, []]
    assert predict(folder, tmp_path, nodata=-9999, looks="auto") == [SHIPS, []]


def test_the_picture_is_made_for_people(tmp_path):
    eight = to_8(scene())
    shown = RSDet("cfar").predict(write(tmp_path / "a.png", eight), verbose=False)[0].orig_img
    np.testing.assert_array_equal(shown[..., 1], eight)  # 8 bits as they are
    dark = RSDet("cfar").predict(write(tmp_path / "b.png", np.round(scene() * 5).astype(np.uint16)), verbose=False)[0]
    assert dark.orig_img.dtype == np.uint8
    assert 50 < np.median(dark.orig_img) < 230  # of values whose median is 4


def test_the_command_writes_pictures_json_and_coco(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in/a.png", np.round(scene() * 5).astype(np.uint16))
    words = "predict model=cfar method=os pfa=1e-12 source=in save_json=True save_coco=True save_txt=True"
    assert cli(words.split()) == 0
    assert "3 objects in 1 images" in capsys.readouterr().out
    out = tmp_path / "runs/detect/predict"
    assert cv2.imread(str(next(out.glob("a.*")))).shape[1] == 701
    rows = json.loads((out / "predictions-coco.json").read_text())
    rows = rows if isinstance(rows, list) else rows["annotations"]
    boxes = sorted([x, y, x + w, y + h] for x, y, w, h in (r["bbox"] for r in rows))
    assert boxes == SHIPS
    assert len((out / "labels/a.txt").read_text().splitlines()) == 3
    assert (out / "predictions.json").is_file()


def test_more_objects_than_max_det_are_said_aloud(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "ultralytics"):
        found = RSDet("cfar").predict(scene(), max_det=2, verbose=False)[0]
    assert len(found) == 2
    assert "3 objects, the best 2 are kept" in caplog.text


def test_a_yaml_of_the_user_may_have_any_name(tmp_path):
    d = yaml.safe_load((cfg_dir() / "models/detect/cfar.yaml").read_text())
    d["names"] = {0: "vessel"}
    d["vars"] |= {"method": "ca", "guard": 51, "background": 91, "pfa": 1.0e-9}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(d))
    model = RSDet(tmp_path / "mine.yaml")
    assert (model.family, model.names, model.model.detector.method) == ("cfar", {0: "vessel"}, "ca")
    assert sorted(model.predict(scene(), verbose=False)[0].boxes.xyxy.tolist()) == SHIPS


# --- val --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(tmp_path) -> Path:
    """Data YAML of three scenes of different sizes, values of 16 bits, with groups."""
    root = tmp_path / "data"
    for i, (h, w) in enumerate([(203, 701), (150, 300), (203, 260)]):
        write(root / f"images/val/s{i}.png", np.round(scene(i)[:h, :w] * 5).astype(np.uint16))
        inside = [b for b in SHIPS if b[2] <= w and b[3] <= h]
        rows = [
            f"0 {(a + c) / 2 / w:.8f} {(b + d) / 2 / h:.8f} {(c - a) / w:.8f} {(d - b) / h:.8f}\n"
            for a, b, c, d in inside
        ]
        (root / "labels/val").mkdir(parents=True, exist_ok=True)
        (root / f"labels/val/s{i}.txt").write_text("".join(rows))
    (root / "near.txt").write_text("s0\n")
    data = dict(path=str(root), train="images/val", val="images/val", names={0: "ship"}, groups={"inshore": "near.txt"})
    (root / "data.yaml").write_text(yaml.safe_dump(data))
    return root / "data.yaml"


def test_val_measures_at_native_resolution_with_the_tables_of_any_detector(labelled, tmp_path):
    metrics = RSDet("cfar").val(data=labelled, project=str(tmp_path / "v"), plots=True, imgsz=64, batch=2)
    found = metrics.protocol_metrics
    assert (found.protocol.name, found.n_images, found.ap) == ("coco", 3, pytest.approx(1))
    assert metrics.box.map > 0.99  # IoU 0.95 included: exact boxes, which no resized image would give
    assert metrics.group_metrics["inshore"].n_images == 1
    assert (tmp_path / "v/val/metrics-coco.json").is_file()
    shown = cv2.imread(str(tmp_path / "v/val/val_batch0_pred.jpg"))
    assert np.median(shown) > 60  # drawn stretched, not as 16-bit values cut to black


def test_the_data_yaml_says_what_its_files_hold(labelled, tmp_path):
    root = labelled.parent
    for file in (root / "images/val").glob("*.png"):
        values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED).astype(np.float32)
        write(file.with_suffix(".tif"), values**2 + 1)
        file.unlink()
    data = yaml.safe_load(labelled.read_text()) | {"sar": {"quantity": "intensity", "nodata": -1}}
    labelled.write_text(yaml.safe_dump(data))
    metrics = RSDet("cfar").val(data=labelled, project=str(tmp_path / "v"), plots=False)
    assert metrics.box.map > 0.99


def test_val_refuses_data_with_other_classes(labelled, tmp_path):
    data = yaml.safe_load(labelled.read_text()) | {"names": {0: "ship", 1: "buoy"}}
    labelled.write_text(yaml.safe_dump(data))
    with pytest.raises(DataError, match="1 class"):
        RSDet("cfar").val(data=labelled, project=str(tmp_path / "v"), plots=False)


# --- what it cannot do ------------------------------------------------------------------------------------------------


def test_info_counts_no_parameters_and_makes_up_no_operations(capsys):
    assert RSDet("cfar").info(verbose=False) == {"params": 0, "gflops_legacy": None, "gflops_true": None}
    assert cli(["info", "model=cfar"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        lambda m: m.train(data="demo"),
        lambda m: m.export(format="onnx"),
        lambda m: m.benchmark(),
        lambda m: m.save("x.pt"),
        lambda m: m.save_plain("x"),
        lambda m: m.load("x.pt"),
    ],
    ids=["train", "export", "benchmark", "save", "save_plain", "load"],
)
def test_what_needs_a_network_is_refused_in_one_line(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="learns nothing") as e:
        command(RSDet("cfar"))
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pfa=2", "between 0 and 1"),
        ("pfa=low", "must be a number"),
        ("guard=30", "odd side"),
        ("guard=61 background=61", "smaller than"),
        ("guard=3.5", "whole number"),
        ("method=go", "one of ['ca', 'os']"),
        ("looks=many", "auto"),
        ("quantity=power", "quantity"),
        ("units=decibel", "units"),
        ("nodata=none rank=2", "rank=2"),
        ("scale=n", "single size"),
        ("head=SSCDetect", "has none"),
    ],
)
def test_wrong_settings_end_with_status_2_and_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.png", np.ones((20, 20), np.uint8))
    assert cli(["predict", "model=cfar", "source=a.png", *words.split()]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_colour_and_negative_values_are_named_and_the_others_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "in/a.tif", scene().astype(np.float32))
    write(tmp_path / "in/colour.png", np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    write(tmp_path / "in/db.tif", np.full((40, 40), -12.5, np.float32))
    assert cli(["predict", "model=cfar", "source=in"]) == 2
    out, err = capsys.readouterr()
    assert "3 objects in 1 images" in out
    assert "colour.png has 3 bands that differ" in err
    assert "db.tif holds negative values" in err


@pytest.mark.parametrize(
    "wrong",
    [
        torch.rand(1, 1, 64, 64),
        -scene(),
        np.arange(300.0).reshape(10, 10, 3),
        np.zeros((0, 4)),
        scene().astype(np.complex64),
    ],
    ids=["tensor", "negative", "colour", "empty", "complex without a rule"],
)
def test_wrong_arrays_are_refused_in_one_line(wrong):
    with pytest.raises(RSDetError) as e:
        RSDet("cfar").predict(wrong, verbose=False)
    assert "\n" not in str(e.value)


# --- real pixels ------------------------------------------------------------------------------------------------------


def test_real_ships_on_open_sea_are_found(shared_data, tmp_path):
    folder = shared_data / "hrsid-ship"
    if not folder.is_dir():
        pytest.skip("hrsid-ship is not there")
    hits = ships = false = 0
    for image in sorted((folder / "images").glob("P001[35]_*.jpg")):  # six chips that no setting was chosen on
        boxes = RSDet("cfar").predict(image, verbose=False)[0].boxes.xyxy.numpy()
        mask = (cv2.imread(str(folder / "masks" / f"{image.stem}.png")).max(2) > 127).astype(np.uint8)
        n, labels = cv2.connectedComponents(mask, connectivity=8)
        touched = [set(np.unique(labels[int(b) : int(d), int(a) : int(c)])) - {0} for a, b, c, d in boxes]
        hits, ships, false = hits + len(set().union(*touched)), ships + n - 1, false + sum(not t for t in touched)
    assert ships == 12
    assert hits == ships
    assert false <= 1

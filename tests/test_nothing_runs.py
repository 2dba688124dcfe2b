"""What stands in a file is neither run nor fetched, whatever route it comes by; and nothing is written elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

import foreign
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from rsdet import RSDet, tasks
from rsdet.errors import CheckpointError, ConfigError, DataError, RSDetError

TINY = dict(imgsz=32, batch=2, workers=0, plots=False, verbose=False)
TRAIN = dict(**TINY, recipe="none", optimizer="SGD", warmup_epochs=0, mosaic=0.0, nbs=2)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A model, and a data set of two pictures whose YAML is ``data.yaml``."""
    folder = tmp_path_factory.mktemp("home")
    for split in ("train", "val"):
        for i in range(2):
            picture = folder / "images" / split / f"{i}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(i).integers(0, 255, (32, 32, 3), np.uint8)).save(picture)
            label = folder / "labels" / split / f"{i}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("0 0.5 0.5 0.4 0.4\n")
    (folder / "data.yaml").write_text(yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["0"]}))
    (folder / "m.yaml").write_text(foreign.model_yaml())
    RSDet(str(folder / "m.yaml")).save(str(folder / "model.pt"))
    return folder


@pytest.fixture(scope="module")
def run_of(home, tmp_path_factory) -> Path:
    """The folder of a training that was interrupted in its second epoch."""

    def stop(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    model = RSDet(home / "model.pt")
    model.add_callback("on_train_epoch_start", stop)
    project = tmp_path_factory.mktemp("run")
    with pytest.raises(KeyboardInterrupt):
        model.train(data=home / "data.yaml", epochs=2, project=str(project), name="t", **TRAIN)
    return project / "t"


@pytest.fixture
def interrupted(run_of, tmp_path_factory) -> Path:
    """The ``last.pt`` of a copy of it."""
    folder = shutil.copytree(run_of, tmp_path_factory.mktemp("copy") / "t")
    return folder / "weights" / "last.pt"


@pytest.fixture(autouse=True)
def asked(monkeypatch, tmp_path) -> list:
    """What was asked of the network or run as a program; the test must leave it empty."""
    from ultralytics.data import utils

    found: list = []

    def note(*args, **kwargs):
        found.append(args)
        raise OSError("not in this test")

    monkeypatch.setattr(socket.socket, "connect", note)
    monkeypatch.setattr(utils, "safe_download", note)
    monkeypatch.setattr(utils, "exec", note, raising=False)
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda what, *a, **k: note(what) if "bash" in what else run(what, *a, **k))
    monkeypatch.chdir(tmp_path)
    yield found
    assert found == []
    assert not (tmp_path / "trap").exists()


def hostile(home: Path, folder: Path, form: str) -> Path:
    content = yaml.safe_load((home / "data.yaml").read_text()) | {"path": str(home)}
    content["download"] = f"open({str(folder / 'trap')!r}, 'w')"
    match form:
        case "home":
            content["path"] = "~"
        case "validation":
            (home / "None").mkdir(exist_ok=True)
            content["validation"] = content.pop("val") + "-gone"
        case "split":
            content["test"] = "images/gone"
        case "address":
            content |= {"val": "images/gone", "download": "https://example.org/x.zip"}
        case "shell":
            content |= {"val": "images/gone", "download": "bash x.sh"}
        case "train":
            content |= {"train": "images/gone"}
    file = folder / "evil.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def ways(home: Path, data: Path) -> dict:
    from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator

    from rsdet.deploy.calibration import calibration_of

    model = RSDet(home / "model.pt")
    return {
        "val": lambda: model.val(data=data, **TINY),
        "val of the split test": lambda: model.val(data=data, split="test", **TINY),
        "stock validator": lambda: model.val(validator=DetectionValidator, data=data, split="test", **TINY),
        "train": lambda: RSDet(home / "model.pt").train(data=data, epochs=1, **TRAIN),
        "stock trainer": lambda: RSDet(home / "model.pt").train(
            trainer=DetectionTrainer, data=data, epochs=1, split="test", **TRAIN
        ),
        "trainer by itself": lambda: DetectionTrainer(overrides=dict(data=str(data), model=str(home / "m.yaml"))),
        "export": lambda: model.export(format="onnx", imgsz=32, data=data),
        "benchmark": lambda: model.benchmark(formats=["pytorch"], imgsz=32, data=data, rounds=1, min_s=0.01),
        "int8": lambda: calibration_of(tasks.get("detect"), data, {"family": "yolo", "channels": 3}, (32, 32)),
    }


@pytest.mark.parametrize("form", ["home", "validation", "split", "address", "shell", "train"])
def test_download_of_a_data_yaml_by_every_way(home, tmp_path, monkeypatch, form):
    monkeypatch.setenv("HOME", str(home))
    data = hostile(home, tmp_path, form)
    for name, way in ways(home, data).items():
        if form != "home" and name in ("train", "export", "benchmark"):
            continue  # slow, and the same as val
        with contextlib.suppress(RSDetError, RuntimeError, FileNotFoundError):
            way()


def test_a_yaml_with_the_key_is_used_all_the_same(home, tmp_path):
    data = hostile(home, tmp_path, "plain")
    metrics = RSDet(home / "model.pt").val(data=data, **TINY)
    assert metrics.box is not None


def retold(home: Path, target: Path, **entries) -> Path:
    """The good checkpoint with other entries in the YAML of its model."""
    ckpt = torch.load(home / "model.pt", weights_only=False)
    rows = ckpt["model"].yaml["backbone"]
    row = entries.pop("row", None)
    ckpt["model"].yaml = {**ckpt["model"].yaml, "backbone": [rows[0], row or rows[1], *rows[2:]], **entries}
    torch.save(ckpt, target)
    return target


@pytest.mark.parametrize(
    "entries",
    [
        {"activation": "open('trap', 'w')"},
        {"enhance": "https://example.org/x.pt"},
        {"row": [-1, 1, "TorchVision", [512, "resnet18"]]},
        {"row": [-1, 1, "DetectionModel", ["'https://example.org/x.yaml'"]]},
        {"row": [-1, 1, "load_checkpoint", ["'https://example.org/x.pt'"]]},
        {"row": [-1, 1, "Conv", ["a b c"]]},
    ],
    ids=str,
)
def test_the_yaml_in_a_checkpoint_is_as_foreign_as_any(home, tmp_path, entries):
    file = retold(home, tmp_path / "w.pt", **entries)
    with pytest.raises((CheckpointError, ConfigError)):
        RSDet(file).train(data=home / "data.yaml", epochs=1, **TRAIN)


def test_whoever_lets_yolo_run_code_does_not_let_rsdet(tmp_path):
    """The variable is Ultralytics'; an allow-list that holds ``getattr`` keeps nothing from a loader without limits."""
    trap = tmp_path / "trap"
    (tmp_path / "m.yaml").write_text(foreign.model_yaml(f"activation: open({str(trap)!r}, chr(119))"))

    def call(what: bytes, *args: bytes) -> bytes:
        return what + b"(" + b"".join(args) + b"tR"

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    def attribute(of: bytes, name: str) -> bytes:
        return call(b"cbuiltins\ngetattr\n", of, text(name))

    values = attribute(attribute(b"ctorch.nn.modules.module\nModule\n", "register_module"), "__globals__")
    builtins = call(attribute(values, "get"), text("__builtins__"))
    program = call(call(attribute(builtins, "get"), text("open")), text(str(trap)), text("w"))
    program = b"\x80\x02" + program + b"."
    writer = torch._C.PyTorchFileWriter(str(tmp_path / "w.pt"))
    writer.write_record("data.pkl", program, len(program))
    writer.write_end_of_file()
    code = (
        "import sys, rsdet\nfor f in sys.argv[1:]:\n    try:\n        rsdet.RSDet(f)\n"
        "    except rsdet.errors.RSDetError:\n        print('refused')\n"
    )
    done = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "w.pt"), str(tmp_path / "m.yaml")],
        env={**os.environ, "ULTRALYTICS_SAFE_LOAD": "false"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert done.communicate()[0].split().count("refused") == 2


@pytest.mark.parametrize("first", ["import rsdet", "from ultralytics import YOLO; import rsdet"])
def test_no_part_of_ultralytics_has_another_check(first):
    code = (
        f"{first}\nimport sys, rsdet.model, ultralytics.engine.exporter, ultralytics.models.yolo.world.val\n"
        "known = {n: m.check_det_dataset for n, m in list(sys.modules.items()) if n.startswith('ultralytics.') and "
        "'check_det_dataset' in vars(m)}\n"
        "print(len(known) >= 4, [n for n, f in known.items() if 'rsdet' not in f.__code__.co_filename])"
    )
    done = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert done.communicate()[0].strip().splitlines()[-1] == "True []"


def changed(source: Path, target: Path, **train_args) -> Path:
    ckpt = torch.load(source, weights_only=False)
    ckpt["train_args"] = {**(ckpt.get("train_args") or {}), **train_args}
    target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(ckpt, target)
    return target


def shipped(name: str) -> str:
    from rsdet.data.download import find_yaml

    return str(find_yaml(name))


@pytest.mark.parametrize("data", ["https://example.org/x.yaml", "visdrone", "coco8.yaml", "gone.yaml", 7, None])
def test_data_that_a_checkpoint_names_is_not_fetched(home, tmp_path, data):
    stored = shipped(data) if data in ("visdrone", "coco8.yaml") else data
    file = changed(home / "model.pt", tmp_path / "w.pt", data=stored)
    with pytest.raises(ConfigError, match="val needs data="):
        RSDet(file).val(**TINY)


def test_data_that_a_checkpoint_names_goes_the_clean_way(home, tmp_path):
    for form in ("address", "split"):
        file = changed(home / "model.pt", tmp_path / "w.pt", data=str(hostile(home, tmp_path, form)))
        with pytest.raises(RSDetError):
            RSDet(file).val(split="test", **TINY)
    file = changed(home / "model.pt", tmp_path / "w.pt", data=str(home / "data.yaml"))
    assert RSDet(file).val(**TINY).box is not None


def test_a_resumed_training_fetches_nothing(interrupted, tmp_path):
    for stored in ("https://example.org/x.yaml", shipped("visdrone"), None):
        last = changed(interrupted, tmp_path / "last.pt", data=stored)
        with pytest.raises(DataError, match="pass data="):
            RSDet(last).train(resume=True)
        with pytest.raises(DataError, match="pass data="):
            RSDet("vmc-detr-demo.yaml").train(resume=last)
    last = changed(interrupted, tmp_path / "last.pt", distill_model="https://example.org/x.pt")
    with pytest.raises(CheckpointError, match="distill_model="):
        RSDet(last).train(resume=True)


def test_a_resumed_training_writes_where_its_checkpoint_lies(interrupted, tmp_path):
    run = interrupted.parent.parent
    victim = tmp_path / "victim"
    changed(interrupted, interrupted, save_dir=str(victim), project=str(victim), name="v")
    stray = changed(interrupted, tmp_path / "weights" / "last.pt")
    model = RSDet(stray)
    model.train(resume=True, project=str(tmp_path / "runs"))
    assert Path(model.trainer.save_dir) == (tmp_path / "runs" / "train").resolve()
    model = RSDet(interrupted)
    model.train(resume=True)
    assert Path(model.trainer.save_dir) == run.resolve()
    assert not victim.exists()


def deep(content: dict, key: str, value) -> None:
    *way, last = key.split("/")
    for name in way:
        content = content[name]
    content[last] = value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer", "x"), ("optimizer/param_groups", []), ("optimizer/rsdet", {}), ("optimizer/rsdet/model", {}),
        ("optimizer/rsdet/waiting", "x"), ("optimizer/rsdet/gradients", ["x"]), ("optimizer/rsdet/table", 7),
        ("epoch", "x"), ("best_fitness", "x"), ("updates", "x"), ("train_args/augmentations", ["x"]),
        ("train_args/name", {"x": torch.nn.Identity()}),
    ],
)  # fmt: skip
def test_a_state_that_is_none_is_one_line(interrupted, key, value):
    table = interrupted.parents[1] / "results.csv"
    before = table.read_bytes()
    ckpt = torch.load(interrupted, weights_only=False)
    deep(ckpt, key, value)
    torch.save(ckpt, interrupted)
    with pytest.raises(CheckpointError, match="leave resume= out"):
        RSDet(interrupted).train(resume=True)
    assert table.read_bytes() == before


def test_files_of_arguments_and_of_trackers_go_through_the_same_checks(home, tmp_path):
    model = RSDet(home / "model.pt")
    cfg = foreign.written("cfg.yaml", "pretrained: https://example.org/x.pt\nmodel: https://example.org/y.pt\n")
    with pytest.raises(CheckpointError, match="do not exist"):
        model.train(data=home / "data.yaml", cfg=cfg(tmp_path, home), **TRAIN)
    with pytest.raises(ConfigError, match="unknown argument 'bogus'"):
        model.train(data=home / "data.yaml", cfg=foreign.written("cfg.yaml", "bogus: 1\n")(tmp_path, home))
    tracker = foreign.written("t.yaml", "tracker_type: botsort\nwith_reid: true\nmodel: https://example.org/x.pt\n")
    with pytest.raises(ConfigError, match="is not fetched"):
        model.predict(tmp_path, tracker=str(tracker(tmp_path, home)))


def test_the_threat_model_ships_and_names_tests_that_exist():
    root = Path(__file__).parents[1]
    text = (root / "SECURITY.md").read_text()
    named = re.findall(r"`(tests/\w+\.py)`", text)
    assert len(named) == 3
    assert all((root / name).is_file() for name in named)
    assert '"SECURITY.md"' in (root / "pyproject.toml").read_text()

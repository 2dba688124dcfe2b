"""One benchmark for every task: its own pictures, its own words, and nothing where there is nothing to time."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY
from exported import lively
from restore_fakes import clear_picture, filled, model_yaml, write_pairs
from torch import nn

from rsdet import RSDet, tasks
from rsdet.deploy import rowtimes
from rsdet.deploy.benchmark import benchmark
from rsdet.deploy.compare import compare
from rsdet.deploy.rowtimes import row_times
from rsdet.deploy.runners import TorchRunner
from rsdet.errors import ConfigError
from rsdet.tasks.restore.running import in_tiles
from rsdet.tasks.task import Task

QUICK = {"rounds": 2, "min_s": 0.0, "warmup_s": 0.0, "memory": False, "verbose": False}


@pytest.fixture
def restorer(tmp_path) -> RSDet:
    model = filled(model_yaml(tmp_path, kind="superres"), upscale=2)
    nn.init.normal_(model.model.network.b.weight, std=0.05)
    return model


def test_restoration_has_all_that_detection_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, pairs = filled(model_yaml(tmp_path)), write_pairs(tmp_path / "pairs")
    settings = {**QUICK, "formats": ("pytorch", "onnx"), "imgsz": 32, "batch": (1, 2), "data": pairs}
    made = model.benchmark(**settings, out=tmp_path / "a")
    assert [(r.format, r.batch) for r in made.rows] == [("pytorch", 1), ("onnx", 1), ("pytorch", 2), ("onnx", 2)]
    assert made.rows[1].parity.startswith("parity ok")
    first, second = (r.accuracy for r in made.rows[:2])
    assert set(first) == {"psnr_db", "ssim"}
    assert first == pytest.approx(second, abs=1e-3)
    for row in made.rows:
        assert row.mpx_per_s == pytest.approx(32 * 32 * row.batch / 1e3 / row.network.median_ms)
        assert row.end_to_end.n >= 2
    record = json.loads(made.json.read_text())
    assert record["settings"]["pictures"] == "2 of the validation split of pairs.yaml"
    page = made.html.read_text()
    for words in ("Latency, image files to restored pictures, in tiles", "Mpx/s", "psnr_db", "0.png", "Where the time"):
        assert words in page, words
    assert not (tmp_path / "runs").exists()  # what measured the accuracy wrote nowhere else
    model.benchmark(**settings, out=tmp_path / "b")
    found = compare(made.json, tmp_path / "b" / made.json.name, verbose=False)
    assert len(found.pairs) == 4
    assert found.pairs[0].accuracy["psnr_db"][0] == pytest.approx(first["psnr_db"])


def test_inputs_that_the_data_make_on_the_fly_are_timed(restorer, tmp_path):
    import cv2

    (tmp_path / "clear").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "clear" / f"{i}.png"), clear_picture(np.random.default_rng(i), 80))
    data = tmp_path / "d.yaml"
    data.write_text(f"task: restore\nkind: superres\npath: {tmp_path}\nval: clear\ndegrade: {{name: bicubic}}\n")
    task = tasks.get("restore")
    files = task.pictures(data, {"scale": 2}, tmp_path, 2)
    assert len(files) == 2
    assert task.read(files[0], {"channels": 3}).shape == (40, 40, 3)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (96, 76), (20, 28)])
def test_tiles_of_a_batch_are_the_whole_picture(restorer, size, batch):
    network = restorer.model.network.eval()

    def run(x):
        assert x.shape == (batch, 3, 64, 64)
        with torch.inference_mode():
            return network(torch.from_numpy(x)).numpy()

    x = clear_picture(np.random.default_rng(0), 96)[: size[0], : size[1]].astype(np.float32) / 255
    whole = network(torch.from_numpy(x.transpose(2, 0, 1)[None])).detach().numpy()[0].transpose(1, 2, 0).clip(0, 1)
    made = in_tiles(run, x, (64, 64), 2, batch)
    assert made.shape == whole.shape
    np.testing.assert_allclose(made[4:-4, 4:-4], whole[4:-4, 4:-4], atol=2e-5)


def test_data_bring_the_pictures_that_are_timed_and_shown(tiny_weights, tiny_data, tmp_path):
    made = RSDet(tiny_weights).benchmark(formats=("pytorch",), imgsz=96, data=tiny_data, out=tmp_path, **QUICK)
    own = sorted(p.name for p in (tiny_data.parent / "images" / "val").iterdir())
    assert made.settings["pictures"] == f"{len(own)} of the validation split of {tiny_data.name}"
    assert {caption.split(", ")[1] for caption in made.pictures} == set(own[:2])
    assert f"Timed, and shown here in part: {made.settings['pictures']}." in made.html.read_text()
    rendered = RSDet(tiny_weights).benchmark(formats=("pytorch",), imgsz=96, **QUICK)
    assert rendered.settings["pictures"] == "8 rendered scenes"


def test_without_weights_speed_is_measured_and_accuracy_is_not(tiny_data, tmp_path):
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    made = model.benchmark(formats=("pytorch",), imgsz=96, data=tiny_data, out=tmp_path, **QUICK)
    assert made.rows[0].accuracy is None
    assert "accuracy is not measured" in made.notes[0]
    assert all("the picture alone" in caption for caption in made.pictures)
    assert "pass data= for it" not in made.html.read_text()


@pytest.mark.parametrize("kind", ["yolo", "obb", "segment"])
def test_what_is_timed_from_files_finds_what_predict_finds(kind, tmp_path):
    import cv2

    from rsdet.data.scenes import render_scene

    model, file = lively(kind, tmp_path), tmp_path / "a.png"
    cv2.imwrite(str(file), np.ascontiguousarray(render_scene(2, (160, 128)).image[..., ::-1]))
    task = tasks.get(model.task)
    spec = {"family": "yolo", "channels": 3, "names": model.model.names}
    (found,) = task.pipeline(TorchRunner(model.model), spec, (160, 160))([file])
    (result,) = model.predict(file, imgsz=160, verbose=False, save=False)
    rows = found[0] if kind == "segment" else found
    expected = result.obb.data[:, [0, 1, 2, 3, 5, 6, 4]].numpy() if kind == "obb" else result.boxes.data.numpy()
    assert len(expected) > 0
    clipped = rows[:, :4] if kind == "obb" else rows[:, :4].clip(0, [128, 160, 128, 160])
    np.testing.assert_allclose(np.concatenate([clipped, rows[:, 4:]], 1), expected, rtol=1e-3, atol=1e-2)
    if kind == "segment":
        pixels = (result.masks.data.numpy() > 0).sum()  # but for those of which the last digit decides
        assert (found[1] > 0).sum() == pytest.approx(pixels, rel=1e-4, abs=2)


@pytest.mark.parametrize("kind", ["obb", "segment"])
def test_other_detectors_have_rows_and_pictures(kind, tmp_path):
    made = lively(kind, tmp_path).benchmark(formats=("pytorch", "onnx"), imgsz=128, out=tmp_path / "b", **QUICK)
    assert [r.format for r in made.rows] == ["pytorch", "onnx"]
    assert made.rows[1].parity.startswith("parity ok")
    assert f"Latency, {made.settings['end_to_end']}" in made.html.read_text()
    assert [p.ndim for p in made.pictures.values()] == [3, 3]


class TwoDates(Task):
    """A task that says no more than what its network is fed with."""

    name, imgsz = "dates", 32

    def sample(self, model, size, images):
        return [np.full((6, *size), 0.5, np.float32)]


class Changes:
    """What holds a network of the task, as a wrapper does."""

    task, model_name = "dates", "changes.yaml"

    def __init__(self):
        self.model = nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))
        self.model.yaml, self.model.family = {"channels": 6}, "dates"


def test_a_task_that_has_only_a_sample_has_rows(tmp_path, monkeypatch):
    stock = tasks.get
    monkeypatch.setattr(tasks, "get", lambda name: TwoDates() if name == "dates" else stock(name))
    made = [benchmark(Changes(), formats=("pytorch",), batch=(1, 2), out=tmp_path / n, **QUICK) for n in "ab"]
    assert [r.batch for r in made[0].rows] == [1, 2]
    assert made[0].rows[0].imgsz == (32, 32)
    assert made[0].rows[0].end_to_end is None
    assert "times the network alone" in made[0].notes[0]
    assert len(made[0].tables()) == 2
    page = made[0].html.read_text()
    assert "Latency, network alone" in page
    assert page.count("<h2 id='latency") == 1
    assert "0 (Conv2d)" in page
    found = compare(made[0].json, made[1].json, verbose=False)
    assert set(found.pairs[0].ratios) == {"network"}
    assert len(found.tables()) >= 1
    with pytest.raises(ConfigError, match="enhance= does not apply to task=dates"):
        benchmark(Changes(), enhance="dcp", **QUICK)


def test_models_of_two_tasks_are_not_measured_together(restorer, tiny_weights):
    with pytest.raises(ConfigError, match=r"different tasks \(restore, detect\)") as e:
        benchmark({"a": restorer, "b": RSDet(tiny_weights)}, **QUICK)
    assert "\n" not in str(e.value)


def test_rows_are_the_parts_that_are_called(monkeypatch):
    ticks = count()  # a clock that goes on by one whenever it is looked at, whatever else the machine does
    monkeypatch.setattr(rowtimes, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.steps = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1) for _ in range(2)])
            self.last = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            for step in [*self.steps, *self.steps]:
                x = step(x)
            return self.last(x)

    found = {r.type: r for r in row_times(Net(), (48, 32), runs=5)}
    assert {name: r.median_ms for name, r in found.items()} == {"steps (ModuleList)": 4e3, "last (Conv2d)": 1e3}
    assert found["steps (ModuleList)"].gflops == pytest.approx(4 * 2 * 81 * 48 * 32 / 1e9)


def test_deploy_names_no_task():
    folder = Path(benchmark.__code__.co_filename).parent
    for file in ("benchmark", "suites", "records", "report_html", "compare", "rowtimes", "timing", "memory"):
        text = (folder / f"{file}.py").read_text()
        assert not [n for n in tasks.names() if f'"{n}"' in text], file

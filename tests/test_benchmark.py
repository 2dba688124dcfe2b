"""Measurement: every sample kept, fair turns, numbers that say where they come from, nothing that names a machine."""

from __future__ import annotations

import csv
import getpass
import json
import platform
import time
from pathlib import Path

import pytest
import torch
import yaml

from rsdet.deploy import entrants, hardware
from rsdet.deploy.benchmark import benchmark
from rsdet.deploy.memory import UNKNOWN, runner_memory
from rsdet.deploy.records import shown_command
from rsdet.deploy.timing import Timings, time_interleaved
from rsdet.errors import ConfigError, MissingDependencyError

# ------------------------------------------------------------------------------------------------- timing

PERCENTILES = [
    # (samples, q, expected): the smallest sample that a share q does not exceed
    ([5.0], 99, 5.0),
    ([1.0, 2.0], 50, 1.0),
    ([1.0, 2.0], 99, 2.0),
    (list(range(1, 101)), 99, 99.0),
    (list(range(1, 100)), 99, 99.0),
    (list(range(1, 21)), 95, 19.0),
    ([3.0, 1.0, 2.0], 90, 3.0),
]


@pytest.mark.parametrize(("samples", "q", "expected"), PERCENTILES)
def test_percentiles_are_samples_that_occurred(samples, q, expected):
    assert Timings(tuple(map(float, samples))).percentile(q) == expected


def test_statistics_and_their_dictionary():
    t = Timings((4.0, 1.0, 100.0, 3.0))
    assert (t.n, t.median_ms, t.mean, t.p95) == (4, 3.5, 27.0, 100.0)
    assert t.std == pytest.approx(48.683, abs=1e-3)
    assert t.to_dict()["samples_ms"] == [4.0, 1.0, 100.0, 3.0]
    assert t.to_dict()["max_ms"] == 100.0
    assert "samples_ms" not in t.to_dict(raw=False)
    assert Timings((2.0,)).std == 0


class Clock:
    """Time that only passes when a timed callable says so."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("rsdet.deploy.timing.time.perf_counter", lambda: self.now)
        monkeypatch.setattr("rsdet.deploy.timing.time.perf_counter_ns", lambda: round(self.now * 1e9))
        monkeypatch.setattr("rsdet.deploy.timing.time.sleep", self.spend)

    def spend(self, seconds):
        self.now += seconds

    def taking(self, *seconds):
        turns = iter(seconds)
        return lambda: self.spend(next(turns, seconds[-1]))


def timed(fn, **settings):
    return time_interleaved({"": fn}, **settings).timings[""]


def test_an_outlier_is_kept(monkeypatch):
    clock = Clock(monkeypatch)
    t = timed(clock.taking(0.01, 0.01, 5.0, 0.01), warmup_s=0, rounds=4)
    assert t.samples_ms == pytest.approx((10, 10, 5000, 10))
    assert t.p99 == pytest.approx(5000)


@pytest.mark.parametrize(
    ("limits", "runs"),
    [
        ({"rounds": 7, "min_s": 0}, 7),
        ({"rounds": 2, "min_s": 1.0}, 10),
        ({"rounds": 50, "min_s": 0, "max_s": 0.5}, 5),
        ({"rounds": 50, "min_s": 9, "max_s": 0}, 1),
    ],
    ids=["fewest runs", "shortest time", "longest time wins", "one is always taken"],
)
def test_when_sampling_ends(limits, runs, monkeypatch):
    clock = Clock(monkeypatch)
    assert timed(clock.taking(0.1), warmup_s=0, **limits).n == runs


@pytest.mark.parametrize(
    ("durations", "runs", "stable"),
    [
        ((0.125,), 10, True),
        ((0.25,) * 5 + (0.125,), 13, True),  # the windows of five agree once three of the fast runs are in the first
        (tuple(0.01 * 2**i for i in range(12)), 9, False),  # four times the shortest warm-up is the end
    ],
    ids=["steady", "settles", "never settles"],
)
def test_the_warm_up_lasts_until_durations_settle(durations, runs, stable, monkeypatch):
    clock = Clock(monkeypatch)
    t = timed(clock.taking(*durations), warmup_s=1.0, rounds=1)
    assert (t.warmup_runs, t.warmup_stable) == (runs, stable)


def test_turns_are_taken_and_ratios_paired(monkeypatch):
    clock, order = Clock(monkeypatch), []

    def entrant(name, factor):
        durations = iter([1.0, 1.0, 4.0, 4.0, 4.0])  # the machine slows down to a quarter on the way

        def run():
            order.append(name)
            clock.spend(factor * next(durations))

        return run

    found = time_interleaved({"a": entrant("a", 1), "b": entrant("b", 2)}, rounds=5, warmup_s=0, rest_s=0.5)
    assert "".join(order) == "ababababab"
    assert found.reference == "a"
    assert found.median_of_ratios == pytest.approx({"a": 1, "b": 2})
    assert found.ratio_of_medians["b"] == pytest.approx(2)
    assert found.timings["b"].samples_ms == pytest.approx((2000, 2000, 8000, 8000, 8000))  # without the rests


def test_the_device_is_waited_for_before_and_after_each_run():
    calls = []
    timed(lambda: calls.append("run"), warmup_s=0, rounds=2, sync=lambda: calls.append("sync"))
    assert calls == ["sync", "run", "sync"] * 2


@pytest.mark.parametrize(("fns", "rounds"), [({}, 3), ({"a": int}, 0)])
def test_nothing_to_time(fns, rounds):
    with pytest.raises(ConfigError, match="expected at least one"):
        time_interleaved(fns, rounds=rounds)


# ------------------------------------------------------------------------------------------------- hardware


def test_the_description_names_no_machine_and_no_person():
    text = json.dumps(hardware.describe())
    private = [platform.node(), str(Path.home()), str(Path.cwd()), getpass.getuser()]
    assert not [p for p in private if len(p) > 2 and p != "root" and p in text]
    said = json.loads(text)
    assert said["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert said["threads"] == torch.get_num_threads()
    assert said["cpu"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz", "xeon-platinum-8480"),
        ("AMD EPYC 7B13 64-Core Processor", "epyc-7b13"),
        ("NVIDIA GeForce RTX 3090", "rtx-3090"),
        ("Apple M3 Pro", "apple-m3-pro"),
        ("", "unknown"),
    ],
)
def test_file_names_tell_machines_apart(name, expected, monkeypatch):
    monkeypatch.setattr(hardware, "cpu_model", lambda: name)
    assert hardware.slug(threads=2).startswith(f"{expected}-2c-torch")
    assert hardware.slug(precision="fp16").endswith("-fp16")


def test_a_commit_outside_the_own_checkout_is_not_taken(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()  # someone's repository around an installed wheel
    monkeypatch.setattr(hardware, "PACKAGE", tmp_path / "rsdet")
    assert hardware.git_commit() is None


@pytest.mark.parametrize(("device", "name"), [(None, "cpu"), ("cpu", "cpu"), (0, "cuda:0"), ("cuda:1", "cuda:1")])
def test_devices_as_ultralytics_writes_them(device, name, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert hardware.torch_device(device) == name


def test_a_command_is_stored_without_folders():
    argv = ["/home/someone/bin/rsdet", "benchmark", "model=/data/secret/best.pt", "imgsz=640", "/tmp/x/y.onnx"]
    assert shown_command(argv) == "rsdet benchmark model=best.pt imgsz=640 y.onnx"


# ------------------------------------------------------------------------------------------------- benchmark


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from ultralytics import RTDETR

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("rtdetr") / "anything.yaml"
    layers = [[-1, 1, "Conv", [c, 3, 2]] for c in (16, 32, 32, 48)]
    head = [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, 20, 2, 4, 2, 64]]]
    path.write_text(yaml.safe_dump({"nc": 4, "backbone": [*layers, [-1, 1, "AIFI", [64, 4]]], "head": head}))
    return RTDETR(str(path))


QUICK = {"imgsz": 64, "rounds": 3, "min_s": 0, "warmup_s": 0.01, "memory": False, "verbose": False}


def test_a_run_leaves_rows_raw_samples_and_what_they_were_measured_on(model, tmp_path, capsys):
    timed, judged = [], []

    def accuracy(artifact):
        judged.append(artifact)
        timed.append(artifact if not isinstance(artifact, Path) else artifact.exists())
        return {"coco AP": 0.25}

    threads = torch.get_num_threads()
    made = benchmark(
        {"tiny": model},
        formats=("pytorch", "onnx"),
        **{**QUICK, "verbose": True},
        batch=(1, 2),
        threads=1,
        out=tmp_path,
        accuracy_fn=accuracy,
    )
    assert torch.get_num_threads() == threads
    assert [(r.format, r.batch) for r in made.rows] == [("pytorch", 1), ("onnx", 1), ("pytorch", 2), ("onnx", 2)]
    assert judged[0] is model
    assert judged[1].suffix == ".onnx"
    assert timed == [model, True]  # the very file, while it is there
    assert made.csv.name == f"{hardware.slug(threads=1)}.csv"
    with made.csv.open() as f:
        rows = list(csv.DictReader(f))
    assert [r["coco AP"] for r in rows] == ["0.25", "0.25", "", ""]
    assert {r["energy_mj_per_image"] for r in rows} == {UNKNOWN}
    assert {r["host_memory_mib"] for r in rows} == {UNKNOWN}
    assert float(rows[0]["ratio_network"]) == 1
    assert rows[0]["parity"] == "reference"
    assert rows[1]["parity"].startswith("parity ok")
    assert rows[0]["best_images_per_s"] == rows[2]["best_images_per_s"]
    raw = json.loads(made.json.read_text())
    assert raw["hardware"]["threads"] == 1
    assert all(len(r[kind]["samples_ms"]) == 3 for r in raw["rows"] for kind in ("network", "end_to_end"))
    printed = capsys.readouterr().out
    assert "GFLOPs" in printed
    assert made.csv.name in printed.replace("\n", "")


def test_a_backend_that_is_not_installed_is_noted_not_zero(model, monkeypatch):
    def without(m, fmt, **_):
        raise MissingDependencyError(f"{fmt} is not installed; pip install rsdet[{fmt}]")

    monkeypatch.setattr(entrants, "export", without)
    made = benchmark(model, formats=("pytorch", "openvino"), **QUICK)
    assert [r.format for r in made.rows] == ["pytorch"]
    assert len(made.notes) == 1
    assert "not measurable here" in made.notes[0]


def test_an_exported_file_can_be_measured_by_itself(model, tmp_path):
    from rsdet.deploy.export import export

    made = export(model, "onnx", imgsz=64, out=tmp_path, verbose=False)
    found = benchmark(str(made.path), **{**QUICK, "imgsz": None})  # its own size, which the file states
    assert [(r.format, r.imgsz) for r in found.rows] == [("onnx", (64, 64))]
    assert found.rows[0].summary()["params_m"] == UNKNOWN


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ("tflite",)}, "formats"),
        ({"formats": ()}, "formats"),
        ({"batch": (0,)}, "batch"),
        ({"half": True}, "half"),
        ({"model": []}, "model"),
    ],
    ids=["format", "no format", "batch", "half on a CPU", "no model"],
)
def test_what_cannot_be_measured_is_refused(arguments, message, model):
    with pytest.raises(ConfigError, match=message):
        benchmark(**{"model": model, **QUICK, **arguments})


def test_memory_is_measured_in_a_process_of_its_own():
    wide = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 1), torch.nn.Conv2d(64, 3, 1))
    found = runner_memory(wide, (1, 3, 512, 512), threads=1)
    assert 60 < found.host_mib < 400  # one activation of 64x512x512 float32 is 64 MiB
    assert found.device_mib is None


def test_memory_of_what_cannot_be_sent_is_unknown():
    bad = torch.nn.Identity()
    bad.hook = lambda: time
    assert runner_memory(bad, (1, 3, 8, 8)).as_dict()["host_mib"] == UNKNOWN


def test_accuracy_stands_beside_the_speed_of_the_same_artifact(tiny_weights, tiny_data, tmp_path, monkeypatch):
    from rsdet import RSDet

    monkeypatch.chdir(tmp_path)  # val leaves its files in runs/
    model = RSDet(tiny_weights)
    result = model.benchmark(
        formats=("pytorch", "onnx"), imgsz=96, data=tiny_data, rounds=2, min_s=0.0, warmup_s=0.0, memory=False,
        verbose=False, out=tmp_path, check=False,  # it has seen a few batches: its scores are nearly equal
    )  # fmt: skip
    torch_row, onnx_row = (r.accuracy for r in result.rows)
    assert set(torch_row) == {"coco AP", "coco AP50", "ultralytics AP", "ultralytics AP50"}
    assert torch_row == pytest.approx(onnx_row, abs=1e-3)

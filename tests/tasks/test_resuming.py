"""A training that is stopped anywhere and resumed ends with the weights and the table of one that never stopped."""

from __future__ import annotations

import csv
import os
import random
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import TINY
from exported import YAMLS
from restore_fakes import model_yaml, write_pairs
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_dataloader, build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from rsdet import RSDet
from rsdet.tasks.detect.dataset import our_datasets
from rsdet.tasks.resuming import Passes, count_passes, drawing_from

# Eight pictures make three batches, and four a step: the second epoch ends two batches after one.
DETECT = dict(
    imgsz=64, batch=3, nbs=12, recipe="none", optimizer="SGD", lr0=1e-3, warmup_epochs=0, mosaic=1.0, close_mosaic=1,
    degrees=10.0, multi_scale=0.3, mixup=0.3, plots=False, epochs=4, device="cpu",
)  # fmt: skip
RESTORE = dict(
    patch=16, batch=2, nbs=8, repeats=1, optimizer="AdamW", lr0=1e-3, epochs=4, plots=False, recipe="none",
    val_period=3, warmup_epochs=0, device="cpu",
)  # fmt: skip
MODELS = {
    "rtdetr": ("vmc-detr-demo.yaml", TINY, DETECT),
    "yolo": (None, {}, {**DETECT, "iou_loss": "wiou-v3", "val": False}),
    "restore": (None, {}, RESTORE),
}
KILLED = """
import os, signal, sys
from ultralytics.engine.trainer import BaseTrainer
from conftest import TINY
from test_resuming import DETECT
from rsdet import RSDet
save = BaseTrainer.save_model
def kill(trainer):
    saved = save(trainer)
    if trainer.epoch == 2:  # the table has its row, the checkpoint is written but not in its place
        os.kill(os.getpid(), signal.SIGKILL)
    return saved
BaseTrainer.save_model = kill
RSDet("vmc-detr-demo.yaml", **TINY).train(data=sys.argv[1], project=sys.argv[2], name="run", **DETECT)
"""


class Stopped(BaseException):
    """Stands for whatever ends a process."""


def new(kind, folder):
    name, values, _ = MODELS[kind]
    if kind == "yolo":
        name = folder / "yolo.yaml"
        name.write_text(yaml.safe_dump({"nc": 4, "task": "detect", **YAMLS["yolo"]}))
    return RSDet(name or model_yaml(folder), **values)


def end_of(model, seen):
    def keep(trainer):
        seen["model"] = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        seen["ema"] = {k: v.clone() for k, v in trainer.ema.ema.state_dict().items()}
        seen["dir"] = Path(trainer.save_dir)

    model.add_callback("on_train_end", keep)
    return model


def stop_in(model, epoch):
    def stop(trainer):
        if trainer.epoch == epoch:
            raise Stopped

    model.add_callback("on_train_batch_end", stop)
    return model


def resumed(model):
    seen = {}
    end_of(model, seen).train(resume=True)
    return seen


def rows(folder):
    with (folder / "results.csv").open() as f:
        return [[float(v) for k, v in row.items() if k != "time"] for row in csv.DictReader(f)]


def check_same(found, wanted):
    for part in ("model", "ema"):
        for k, v in wanted[part].items():
            # Equal to the bit where the machine does the same sums in the same order; half precision is off by 5e-4.
            torch.testing.assert_close(found[part][k], v, rtol=1e-5, atol=1e-6, msg=lambda m, k=k: f"{k}: {m}")
    assert len(rows(found["dir"])) == len(rows(wanted["dir"])) == 4
    for a, b in zip(rows(found["dir"]), rows(wanted["dir"]), strict=True):
        assert a == pytest.approx(b, rel=1e-3, abs=1e-5, nan_ok=True)


@pytest.fixture(scope="module")
def data(tiny_data, tmp_path_factory):
    pairs = write_pairs(tmp_path_factory.mktemp("pairs"))
    return {"rtdetr": tiny_data, "yolo": tiny_data, "restore": pairs}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    done = {}

    def run(kind):
        if kind not in done:
            done[kind], folder = {}, tmp_path_factory.mktemp(kind)
            end_of(new(kind, folder), done[kind]).train(data=data[kind], project=str(folder), **MODELS[kind][2])
        return done[kind]

    return run


@pytest.mark.parametrize("kind", MODELS)
def test_stopped_and_resumed_is_as_never_stopped(kind, data, whole, tmp_path):
    with pytest.raises(Stopped):
        stop_in(new(kind, tmp_path), 2).train(data=data[kind], project=str(tmp_path), name="run", **MODELS[kind][2])
    table = tmp_path / "run" / "results.csv"
    lines = table.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    table.write_text("".join(lines[:2]))  # a power cut may take a row that the checkpoint knows of
    last = RSDet(tmp_path / "run" / "weights" / "last.pt")  # loaded by whoever runs nothing of a file
    assert last.ckpt["optimizer"]["rsdet"]["waiting"]  # gradients of batches that have had no step
    check_same(resumed(last), whole(kind))


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_between_table_and_checkpoint(data, whole, tmp_path):
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", KILLED, str(data["rtdetr"]), str(tmp_path)]
    assert subprocess.run(command, env=env, capture_output=True, timeout=900).returncode == -signal.SIGKILL
    weights = tmp_path / "run" / "weights"
    assert len(rows(tmp_path / "run")) == 3
    assert torch.load(weights / "last.pt", weights_only=False)["epoch"] == 1
    assert list(weights.glob(".*"))
    check_same(resumed(RSDet(weights / "last.pt")), whole("rtdetr"))
    assert not list(weights.glob(".*"))


def test_finished_checkpoints_hold_nothing_of_it(whole):
    for path in (whole("rtdetr")["dir"] / "weights").iterdir():
        saved = torch.load(path, weights_only=False)
        assert saved["optimizer"] is None
        assert path.stat().st_size < 3 * 2 * sum(p.numel() for p in saved["model"].parameters())


def test_ctrl_c_in_the_last_validation_gives_a_line_that_works(data, tmp_path):
    model = RSDet("vmc-detr-demo.yaml", **TINY)

    def interrupt(validator):
        if not validator.training:
            raise KeyboardInterrupt

    model.add_callback("on_val_start", interrupt)
    with pytest.raises(KeyboardInterrupt, match="all epochs are done") as e:  # which ends a loop of trainings
        model.train(data=data["rtdetr"], project=str(tmp_path / "my runs"), name="run", **{**DETECT, "epochs": 1})
    mode, *words = shlex.split(str(e.value).partition("rsdet ")[2])
    said = dict(w.split("=", 1) for w in words)
    assert mode == "val"
    found = RSDet(said["model"]).val(data=said["data"], imgsz=int(said["imgsz"]), plots=False, project=str(tmp_path))
    assert set(found.results_dict) >= {"metrics/mAP50(B)"}


# ------------------------------------------------------------------------------------------------------------- parts


def test_what_is_drawn_depends_on_the_numbers_alone():
    def draw():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    first = draw()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)  # noqa: NPY002
    with drawing_from(5, 0, 3):
        one = draw()
    assert draw() == first  # outside, nothing has happened
    with drawing_from(5, 0, 3):
        assert draw() == one
    with drawing_from(5, 1, 3):
        assert draw() != one


def test_passes_count_on_and_have_an_order_each():
    def passes(start):
        sampler = torch.utils.data.RandomSampler(range(10), generator=torch.Generator())
        found = Passes(sampler, 10, seed=2)
        found.epoch = start
        return found

    counted = passes(0)
    first, second = list(counted), list(counted)
    assert sorted(first) == list(range(10))
    assert sorted(second) == list(range(10, 20))
    assert [i - 10 for i in second] != first
    assert list(passes(1)) == second


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_of_an_epoch_do_not_depend_on_the_epochs_before(workers, tiny_data):
    def loader(epoch):
        cfg = get_cfg(overrides={"imgsz": 64, "mosaic": 1.0, "degrees": 10.0, "mixup": 0.3, "task": "detect"})
        data = check_det_dataset(str(tiny_data))
        with our_datasets():
            dataset = build_yolo_dataset(cfg, data["train"], 3, data, mode="train")
        dataset.seed = 0
        found = count_passes(build_dataloader(dataset, 3, workers, device="cpu"), seed=0)
        found.sampler.epoch = epoch
        return found

    through, later = loader(0), loader(2)
    try:
        epochs = [[b["img"] for b in through] for _ in range(3)]
        assert all(torch.equal(a, b["img"]) for a, b in zip(epochs[2], later, strict=True))
        assert not any(torch.equal(a, b) for a, b in zip(*epochs[1:], strict=True))
    finally:
        through.close()
        later.close()

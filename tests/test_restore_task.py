"""The task ``restore`` end to end: train, val, resume, plain weights, what a model YAML says of itself."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from restore_fakes import TRAIN, TinyRestore, filled, model_yaml, write_pairs

from rsdet import RSDet
from rsdet.data.raster_io import read_image
from rsdet.errors import CheckpointError, RSDetError
from rsdet.modelyaml import list_models, load_model_yaml
from rsdet.tasks.restore.model import RestoreModel

SCRIPT = """
import sys
import restore_fakes
from restore_fakes import TRAIN
from rsdet import RSDet
model = RSDet(sys.argv[1])
def pause(trainer):
    if trainer.epoch == 1:
        print("MID-EPOCH", flush=True)
        import time; time.sleep(120)
model.add_callback("on_train_batch_end", pause)
model.train(data=sys.argv[2], project=sys.argv[3], name="run", **{**TRAIN, "epochs": 3})
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def yaml(tmp_path_factory) -> Path:
    return model_yaml(tmp_path_factory.mktemp("yaml"))


@pytest.fixture(scope="module")
def run(pairs, yaml, tmp_path_factory) -> Path:
    """Folder of a finished training that learns something."""
    project = tmp_path_factory.mktemp("runs")
    RSDet(yaml).train(
        data=pairs, project=str(project), name="run", **{**TRAIN, "epochs": 12, "repeats": 8, "val_period": 5}
    )
    return project / "run"


def _mean_psnr(pairs: Path, model: RSDet) -> tuple[float, float]:
    """PSNR of output and input by the definition, in float64."""
    out, inp = [], []
    for hazy in sorted((pairs.parent / "val" / "hazy").iterdir()):
        x = read_image(hazy)[0]
        y = read_image(pairs.parent / "val" / "clear" / hazy.name)[0].astype(np.float64)
        with torch.inference_mode():
            z = model.model.network(torch.from_numpy(x.transpose(2, 0, 1))[None])[0].numpy().transpose(1, 2, 0)
        out.append(-10 * np.log10(np.mean((z - y) ** 2)))
        inp.append(-10 * np.log10(np.mean((x - y) ** 2)))
    return float(np.mean(out)), float(np.mean(inp))


def test_training_restores_and_best_is_chosen_by_psnr(run, pairs):
    with open(run / "results.csv") as f:
        rows = list(csv.DictReader(f))
    known = {int(r["epoch"]): float(r["metrics/psnr_db"]) for r in rows if r["metrics/psnr_db"] != "nan"}
    assert set(known) == {5, 10, 12}  # every fifth epoch, and the last
    model = RSDet(run / "weights" / "best.pt")
    out, inp = _mean_psnr(pairs, model)
    assert out > inp + 2
    assert out == pytest.approx(max(known.values()), abs=0.02)  # half precision is what checkpoints are stored in


def test_val_agrees_with_the_definition_and_names_its_convention(run, pairs, tmp_path):
    model = RSDet(run / "weights" / "best.pt")
    metrics = model.val(data=pairs, project=str(tmp_path), name="v", plots=True)
    out, inp = _mean_psnr(pairs, model)
    assert metrics.psnr == pytest.approx(out, abs=1e-3)
    assert metrics.before["psnr"] == pytest.approx(inp, abs=1e-3)
    assert "RGB" in metrics.convention
    assert "gaussian" in metrics.table()
    stored = json.loads((tmp_path / "v" / "metrics.json").read_text())
    assert stored["restored"]["psnr"] == pytest.approx(metrics.psnr)
    assert [r["name"] for r in stored["pictures"]] == ["0.png", "1.png"]
    assert (tmp_path / "v" / "val_pictures.jpg").stat().st_size > 1000
    again = model.val(project=str(tmp_path), name="w")  # the data of the training
    assert again.psnr == metrics.psnr


def test_val_in_tiles_is_val_of_the_whole_for_a_local_network(run, pairs, tmp_path):
    model = RSDet(run / "weights" / "best.pt")
    whole = model.val(data=pairs, project=str(tmp_path), plots=False)
    tiles = model.val(data=pairs, project=str(tmp_path), plots=False, tile=24, overlap=12)
    assert tiles.psnr == pytest.approx(whole.psnr, abs=1e-3)


def test_niqe_is_fitted_to_clear_pictures_of_the_set_and_says_so(yaml, tmp_path, monkeypatch):
    from rsdet.metrics.niqe import FEATURES, NiqeModel

    data, seen = write_pairs(tmp_path / "p", n_train=4, n_val=1, size=104), []

    def fit(images, source):
        seen.extend(float(x.max()) for x in images)
        return NiqeModel(np.zeros(FEATURES), np.eye(FEATURES), source)

    monkeypatch.setattr(NiqeModel, "fit", fit)
    metrics = filled(yaml).val(data=data, project=str(tmp_path), plots=False, metrics="niqe")
    assert len(seen) == 4
    assert 0.5 < max(seen) <= 1  # floats, not numbers of a file
    assert "NIQE model: 4 targets of pairs, train" in metrics.convention
    assert metrics.after["niqe"] == metrics.before["niqe"]  # an untrained network of this kind is the identity


def test_plain_weights_and_a_fresh_process_give_the_same_picture(run, pairs, tmp_path):
    model = RSDet(run / "weights" / "best.pt")
    plain = model.save_plain(tmp_path / "w")
    x = torch.rand(1, 3, 21, 34, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        y = model.model(x)
    torch.testing.assert_close(RSDet(plain).model(x), y)
    assert RSDet(plain).task == "restore"
    code = (
        "import sys, torch, restore_fakes\nfrom rsdet import RSDet\nm = RSDet(sys.argv[1])\n"
        "x = torch.rand(1, 3, 21, 34, generator=torch.Generator().manual_seed(0))\n"
        "print(type(m).__name__, m.task, m.family, float(m.model.eval()(x).double().sum()))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(run / "weights" / "best.pt")], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr[-2000:]
    name, task, family, total = done.stdout.splitlines()[-1].split()
    assert (name, task, family) == ("RSDet", "restore", "restore")
    assert float(total) == pytest.approx(float(y.double().sum()), rel=1e-6)


def test_finetuning_takes_over_weights_and_refuses_to_resume_what_is_finished(run, pairs, tmp_path):
    model = RSDet(run / "weights" / "best.pt")
    seen = {}
    model.add_callback("on_train_start", lambda t: seen.update(w=t.model.network.b.bias.detach().clone()))
    model.train(data=pairs, project=str(tmp_path), name="ft", **{**TRAIN, "epochs": 1})
    torch.testing.assert_close(seen["w"], RSDet(run / "weights" / "best.pt").model.network.b.bias.detach())
    with pytest.raises(CheckpointError, match="finished"):
        RSDet(run / "weights" / "last.pt").train(resume=True)


def _interrupted(yaml: Path, pairs: Path, project: Path) -> tuple[Path, str]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(yaml), str(pairs), str(project)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    end = time.time() + 600
    while time.time() < end and "MID-EPOCH" not in process.stdout.readline():
        assert process.poll() is None, process.stderr.read()[-2000:]
    process.send_signal(signal.SIGINT)
    return project / "run" / "weights" / "last.pt", process.communicate(timeout=600)[1]


def test_a_resumed_training_goes_on_with_the_next_patches_and_ends_where_it_would_have(yaml, pairs, tmp_path):
    last, error = _interrupted(yaml, pairs, tmp_path / "a")
    assert f"rsdet train resume=True model={last}" in error
    seen = {}
    model = RSDet(last)
    model.add_callback("on_train_epoch_start", lambda t: seen.setdefault("first", t.epoch))
    model.add_callback("on_train_start", lambda t: seen.update(sampler=t.train_loader.batch_sampler.sampler.sampler))
    model.train(resume=True)
    assert seen["first"] == 1
    assert seen["sampler"].epoch == 3  # passes 1 and 2 were drawn, as without the interruption
    with open(tmp_path / "a" / "run" / "results.csv") as f:
        assert [r["epoch"] for r in csv.DictReader(f)] == ["1", "2", "3"]
    RSDet(yaml).train(data=pairs, project=str(tmp_path / "b"), name="run", **{**TRAIN, "epochs": 3})
    a, b = (RSDet(tmp_path / k / "run" / "weights" / "last.pt").model.network.b.weight for k in "ab")
    # What is stored between is in half precision, so equal up to its rounding.
    torch.testing.assert_close(a, b, rtol=0.02, atol=2e-3)


def test_a_loss_that_is_not_finite_stops_with_one_line(yaml, pairs, tmp_path):
    model = RSDet(yaml)

    def poison(trainer):
        with torch.no_grad():
            trainer.model.network.a.weight.fill_(float("nan"))

    model.add_callback("on_train_batch_start", poison)
    with pytest.raises(RSDetError, match=r"NaN or infinite.*lower lr0") as e:
        model.train(data=pairs, project=str(tmp_path), name="nan", **{**TRAIN, "epochs": 20, "repeats": 8})
    assert "\n" not in str(e.value)


def test_a_full_disk_keeps_the_earlier_checkpoint(yaml, pairs, tmp_path, monkeypatch):
    write, calls = Path.write_bytes, []

    def full(self, data):
        if self.name == "last.pt":
            calls.append(self)
            if len(calls) == 2:
                write(self, data[:100])
                raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RSDetError, match=r"no space is left.*resume from it"):
        RSDet(yaml).train(data=pairs, project=str(tmp_path), name="full", **{**TRAIN, "epochs": 3})
    weights = tmp_path / "full" / "weights"
    assert RSDet(weights / "last.pt").ckpt["epoch"] == 0
    assert not list(weights.glob(".*"))


def test_the_loss_of_the_user_wins_and_is_in_the_checkpoint(yaml, pairs, tmp_path):
    model = RSDet(yaml)
    model.train(data=pairs, project=str(tmp_path), name="l", loss="l1:1,fft:0.1", **{**TRAIN, "epochs": 1})
    with open(tmp_path / "l" / "results.csv") as f:
        assert {"train/l1_loss", "train/fft_loss"} <= set(csv.DictReader(f).fieldnames)
    assert model.model.yaml["loss"] == {"l1": 1.0, "fft": 0.1}


def test_the_child_process_of_multi_gpu_training_rebuilds_the_trainer(yaml, pairs, tmp_path):
    from ultralytics.utils.dist import ddp_cleanup, generate_ddp_file

    from rsdet.tasks.restore.train import RestoreTrain

    overrides = dict(model=str(yaml), data=str(pairs), project=str(tmp_path), name="ddp", device="cpu", task="restore")
    trainer = RestoreTrain(overrides={**overrides, **TRAIN, "loss": {"l1": 2.0}})
    trainer.model = trainer.get_model(cfg=str(yaml))
    file = generate_ddp_file(trainer)
    try:
        text = Path(file).read_text()
        told = (
            "trainer._setup_train(); m = trainer.model; "
            "print('CHILD', m.yaml['loss'], trainer.patch, len(trainer.train_loader))"
        )
        child = tmp_path / "child.py"
        child.write_text("import restore_fakes\n" + text.replace("trainer.train()", told))
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        done = subprocess.run([sys.executable, str(child)], capture_output=True, text=True, timeout=600, env=env)
    finally:
        ddp_cleanup(trainer, file)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "CHILD {'l1': 2.0} 16 1" in done.stdout


def test_processes_share_the_patches_of_an_epoch(pairs):
    from rsdet.data.pairs import read_pair_data
    from rsdet.tasks.restore.data import train_loader, val_dataset, val_loader

    data = read_pair_data(pairs)
    common = dict(scale=1, patch=16, batch=1, repeats=1, seed=0, cache="none", workers=0)
    one = [b["im_file"][0] for b in train_loader(data, **common)]
    two = [[b["im_file"][0] for b in train_loader(data, **common, rank=r, world=2)] for r in (0, 1)]
    assert sorted(one) == sorted(two[0] + two[1])
    val = val_dataset(data, "val", scale=1, seed=0, cache="none")
    seen = [b["im_file"][0] for r in (0, 1, 2) for b in val_loader(val, rank=r, world=3)]
    assert sorted(seen) == sorted(str(p.input) for p in data.split("val"))  # none twice, even with more ranks


def test_the_gradient_of_several_processes_is_that_of_one(yaml):
    model = RSDet(yaml).model.train()
    batch = {"img": torch.rand(2, 3, 16, 16), "target": torch.rand(2, 3, 16, 16)}
    whole, _ = model.loss(batch)
    model.loss_share = 1 / 4  # of four processes; Ultralytics multiplies by them before DDP averages
    share, parts = model.loss(batch)
    assert float(share.detach()) * 4 == pytest.approx(float(whole.detach()), rel=1e-6)
    assert float(parts["l1_loss"]) == pytest.approx(float(whole.detach()), rel=1e-6)


def test_info_counts_the_network_by_both_conventions(yaml):
    model = RSDet(yaml, width=16)
    found = model.info(verbose=False, imgsz=64, detailed=True)
    macs = 64 * 64 * 2 * (3 * 16 * 9)  # two convolutions
    assert found["params"] == 3 * 16 * 9 + 16 + 16 * 3 * 9 + 3
    assert found["gflops_legacy"] == pytest.approx(2 * macs / 1e9)
    assert found["gflops_true"] == pytest.approx(2 * macs / 1e9)
    assert [row.type for row in found["layers"]][:2] == ["a (Conv2d)", "b (Conv2d)"]


@pytest.mark.parametrize("name", list_models(task="restore"))
def test_every_shipped_yaml_says_what_it_is(name):
    d = load_model_yaml(name)
    assert d["task"] == "restore"
    assert d["kind"] in ("dehaze", "superres", "clouds")
    if d["family"] == "restore":
        assert d["network"]
        unresolved = {k: v for k, v in (d.get("args") or {}).items() if isinstance(v, str) and v == k}
        assert not unresolved  # each name of a variable was replaced by its value


def test_a_number_as_scale_is_the_enlargement():
    model = RSDet("edsr.yaml", scale=3, width=8, blocks=1)
    assert model.model.scale == 3
    assert model.model(torch.rand(1, 3, 17, 16)).shape == (1, 3, 51, 48)


def test_the_network_takes_any_size_and_keeps_the_range():
    model = RestoreModel({"task": "restore", "family": "restore", "kind": "dehaze", "network": "TinyRestore"}).eval()
    with torch.no_grad():
        model.network.b.bias.fill_(2.0)
    y = model(torch.rand(2, 3, 13, 9))
    assert y.shape == (2, 3, 13, 9)
    assert float(y.max()) <= 1
    assert isinstance(model.network, TinyRestore)

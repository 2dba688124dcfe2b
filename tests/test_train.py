"""Training: what is kept when it is interrupted, what the child processes of multi-GPU training can rebuild."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from conftest import TINY, TRAIN

from rsdet import RSDet
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.tasks.detect.model import build, transfer

SCRIPT = """
import sys
from rsdet import RSDet
from conftest import TINY, TRAIN
model = RSDet("vmc-detr-demo.yaml", **TINY)
def pause(trainer):
    if trainer.epoch == 1:
        print("MID-EPOCH", flush=True)
        import time; time.sleep(120)
model.add_callback("on_train_batch_end", pause)
model.train(data=sys.argv[1], epochs=3, project=sys.argv[2], name="run", **TRAIN)
"""


def _wait_for(process: subprocess.Popen, word: str, seconds: float = 600) -> None:
    end = time.time() + seconds
    while time.time() < end:
        line = process.stdout.readline()
        if word in line:
            return
        if not line and process.poll() is not None:
            break
    pytest.fail(f"{word} never came: {process.stderr.read()[-2000:]}")


def _killed_run(tiny_data: Path, project: Path, how: int) -> tuple[Path, subprocess.Popen]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tiny_data), str(project)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    _wait_for(process, "MID-EPOCH")
    process.send_signal(how)
    process.wait(600)
    return project / "run" / "weights" / "last.pt", process


def test_resume_after_a_kill_in_mid_epoch_goes_on_where_it_was(tiny_data, tmp_path):
    last, _ = _killed_run(tiny_data, tmp_path, signal.SIGKILL)
    saved = torch.load(last, weights_only=False)
    assert saved["epoch"] == 0
    seen = {}

    def look(trainer):
        steps = [float(s["step"]) for s in trainer.optimizer.state_dict()["state"].values()]
        seen.update(epoch=trainer.start_epoch, steps=steps[0], updates=trainer.ema.updates, lr0=trainer.args.lr0)
        seen["ema"] = {k: v.clone() for k, v in trainer.ema.ema.state_dict().items()}

    model = RSDet(last)
    model.add_callback("on_train_start", look)
    model.train(resume=True)
    assert seen["epoch"] == 1
    assert seen["steps"] == 2  # eight images, batch of four, one finished epoch
    assert seen["updates"] == saved["updates"] == 2
    assert seen["lr0"] == TRAIN["lr0"]
    for k, v in saved["optimizer"]["rsdet"]["ema"].items():  # the exact one, not that of half precision
        torch.testing.assert_close(seen["ema"][k], v, msg=k)
    with open(tmp_path / "run" / "results.csv") as f:
        epochs = [line.split(",")[0].strip() for line in f][1:]
    assert epochs == ["1", "2", "3"]


def test_ctrl_c_leaves_the_last_checkpoint_whole_and_says_how_to_resume(tiny_data, tmp_path):
    last, process = _killed_run(tiny_data, tmp_path, signal.SIGINT)
    error = process.stderr.read()
    assert f"rsdet train resume=True model={last}" in error
    assert "KeyboardInterrupt" in error  # an `except Exception` around it does not go on
    assert RSDet(last).ckpt["epoch"] == 0
    assert not list(last.parent.glob(".*"))


def test_a_loss_that_is_not_finite_stops_with_one_line(tiny_data, tmp_path):
    model = RSDet("vmc-detr-demo.yaml", **TINY)

    def poison(trainer):
        with torch.no_grad():
            trainer.model.model[0].conv.weight.fill_(float("nan"))

    model.add_callback("on_train_batch_start", poison)
    with pytest.raises(RSDetError, match=r"NaN or infinite.*lower lr0") as e:
        model.train(data=tiny_data, epochs=8, project=str(tmp_path), name="nan", **TRAIN)
    assert "\n" not in str(e.value)


def test_a_full_disk_keeps_the_earlier_checkpoint(tiny_data, tmp_path, monkeypatch):
    model = RSDet("vmc-detr-demo.yaml", **TINY)
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
        model.train(data=tiny_data, epochs=3, project=str(tmp_path), name="full", **TRAIN)
    weights = tmp_path / "full" / "weights"
    assert RSDet(weights / "last.pt").ckpt["epoch"] == 0
    assert not list(weights.glob(".*"))


def test_pretrained_weights_are_taken_by_intersection_and_reported(tiny_weights):
    source = RSDet(tiny_weights).model
    model = build(source.yaml, nc=7)
    report = transfer(model, source)
    heads = {k for k in report["shape"] if "score_head" in k or "class_embed" in k}
    assert heads == set(report["shape"])
    assert report["missing"] == report["unused"] == []
    assert len(report["taken"]) + len(report["shape"]) == len(model.state_dict())
    torch.testing.assert_close(model.model[0].conv.weight, source.model[0].conv.weight)


def test_the_child_process_of_multi_gpu_training_rebuilds_trainer_and_model(tiny_data, tmp_path):
    """Everything up to the device call: the script that Ultralytics writes is run with the training itself cut out."""
    from ultralytics.utils.dist import ddp_cleanup, generate_ddp_file

    from rsdet.tasks.detect.train import RTDETRTrain

    model = RSDet("vmc-detr-demo.yaml", **TINY)
    args = dict(model="vmc-detr-demo.yaml", data=str(tiny_data), project=str(tmp_path), name="ddp", device="cpu")
    trainer = RTDETRTrain(overrides={**args, **{k: v for k, v in TRAIN.items() if k != "recipe"}})
    trainer.model = trainer.get_model(cfg=model.model.yaml)
    file = generate_ddp_file(trainer)
    try:
        text = (
            Path(file)
            .read_text()
            .replace(
                "trainer.train()",
                "trainer._setup_train(); m = trainer.model\n"
                "    n = sum(p.numel() for p in m.parameters())\n"
                "    print('CHILD', type(trainer).__module__, type(m).__name__, n)",
            )
        )
        child = tmp_path / "child.py"
        child.write_text(text)
        done = subprocess.run([sys.executable, str(child)], capture_output=True, text=True, timeout=600)
    finally:
        ddp_cleanup(trainer, file)
    assert done.returncode == 0, done.stderr[-3000:]
    n = sum(p.numel() for p in trainer.model.parameters())
    assert f"CHILD rsdet.tasks.detect.train RTDETRModel {n}" in done.stdout


def _batch(seed: int, images: int) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    n = 2 * images
    return {
        "img": torch.rand(images, 3, 64, 64, generator=g),
        "cls": torch.randint(0, 2, (n, 1), generator=g).float(),
        "bboxes": torch.rand(n, 4, generator=g) * 0.3 + 0.2,
        "batch_idx": torch.arange(images).repeat_interleave(2),
    }


def _frozen_model() -> torch.nn.Module:
    """Batch norm in eval mode and no denoising noise: what is left is the same function on one process or two."""
    torch.manual_seed(0)
    from rsdet.modelyaml import load_model_yaml

    model = build(load_model_yaml("vmc-detr-demo.yaml", overrides=TINY), nc=2).train()
    model.model[-1].num_denoising = 0
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    return model


def _toy_loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """A mean over images of the network's own outputs: linear in the batch, so halves must average to the whole."""
    boxes, scores, enc_boxes, enc_scores, _ = model(batch["img"])
    per_image = [t.float().pow(2).flatten(1).mean(1) for t in (boxes[-1], scores[-1], enc_boxes, enc_scores)]
    return sum(p.mean() for p in per_image)


def _worker(rank: int, meet: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(_frozen_model(), find_unused_parameters=True)
    whole = _batch(5, 4)
    _toy_loss(model, {"img": whole["img"][2 * rank : 2 * rank + 2]}).backward()
    if rank == 0:
        torch.save({n: p.grad for n, p in model.module.named_parameters() if p.grad is not None}, out)
    dist.destroy_process_group()


def test_two_processes_give_the_gradients_of_one_on_the_joined_batch(tmp_path):
    out = tmp_path / "grads.pt"
    mp.spawn(_worker, args=(str(tmp_path / "meet"), str(out)), nprocs=2, join=True)
    two = torch.load(out, weights_only=True)
    model = _frozen_model()
    _toy_loss(model, _batch(5, 4)).backward()
    one = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert set(one) <= set(two)
    assert len(one) > 100
    for name, grad in one.items():
        torch.testing.assert_close(two[name], grad, rtol=1e-3, atol=1e-6, msg=name)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"epocs": 3}, ConfigError, "'epochs'"),
        ({"data": None}, ConfigError, "needs data="),
        ({"recipe": "papper"}, ConfigError, "recipe must be one of"),
        ({"data": "no-such-data.yaml"}, RSDetError, "no-such-data"),
    ],
)
def test_a_wrong_argument_is_one_line(kwargs, error, message, tiny_data):
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    with pytest.raises(error, match=message) as e:
        model.train(**{"data": tiny_data, **kwargs})
    assert "\n" not in str(e.value)


def test_the_recipe_of_the_paper_is_what_train_uses(monkeypatch, tiny_data):
    from ultralytics.engine.model import Model

    seen = {}
    monkeypatch.setattr(Model, "train", lambda self, trainer=None, **kw: seen.update(kw))
    RSDet("vmc-detr.yaml", scale="n").train(data=tiny_data, epochs=7)
    paper = dict(optimizer="Adam", lr0=1e-4, weight_decay=1e-4, momentum=0.9, batch=8, imgsz=640, mosaic=0.0)
    assert {k: seen[k] for k in paper} == paper
    assert seen["epochs"] == 7  # what the user says wins over the recipe
    seen.clear()
    RSDet("vmc-detr.yaml", scale="n").train(data=tiny_data, recipe="none")
    assert "lr0" not in seen


def test_a_split_without_any_object_is_one_line(tmp_path, tiny_data):
    import shutil

    root = tmp_path / "empty"
    shutil.copytree(tiny_data.parent, root)
    for label in (root / "labels" / "train").glob("*.txt"):
        label.write_text("")
    (root / "labels" / "train.cache").unlink(missing_ok=True)
    (root / "demo.yaml").write_text(f"path: {root}\ntrain: images/train\nval: images/val\nnames: [a, b, c, d]\n")
    with pytest.raises(DataError, match=r"labelled object|[Nn]o.*labels|images found") as e:
        RSDet("vmc-detr-demo.yaml", **TINY).train(
            data=root / "demo.yaml", epochs=1, project=str(tmp_path), name="e", **TRAIN
        )
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("names", [{0: "truck", 1: "car", 2: "boat", 3: "plane"}, {0: "Plane", 1: "car"}])
def test_class_outputs_of_pretrained_weights_follow_their_names(tiny_weights, names):
    from types import SimpleNamespace

    from rsdet.tasks.detect.train import RTDETRTrain

    source = RSDet(tiny_weights).model
    trainer = object.__new__(RTDETRTrain)
    trainer.data = {"nc": len(names), "names": names}
    trainer.args = SimpleNamespace(cls_remap=True, iou_loss=None, fraction=1.0, model="vmc-detr-demo.yaml")
    trainer.resume = False
    model = trainer.get_model(cfg=source.yaml, weights=source, verbose=False)
    at = {n: i for i, n in source.names.items()}
    key = "dec_score_head.0.weight"
    theirs, mine = (next(v for k, v in m.state_dict().items() if k.endswith(key)) for m in (source, model))
    for i, name in names.items():
        assert torch.equal(mine[i], theirs[at[name.lower()]])

"""Recipes of maps beside what their papers state, measured on the trainer as it is built."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from semantic_fakes import TRAIN, data_yaml, model_yaml
from ultralytics.utils.torch_utils import unwrap_model

from rsdet import RSDet
from rsdet.data.demo_insar import make_demo_insar
from rsdet.errors import ConfigError
from rsdet.modelyaml import read_model_yaml
from rsdet.tasks.semantic.train import SemanticTrain


class Built(Exception):
    """Carries a trainer that is ready to take its first step."""


class Probe(SemanticTrain):
    """Stops there."""

    def _do_train(self) -> None:
        self._setup_train()
        raise Built(self)


def built(model: RSDet, data: Path, tmp_path: Path, **given: object) -> Probe:
    with pytest.raises(Built) as e:
        model.train(Probe, data=data, project=str(tmp_path), **{"workers": 0, "plots": False, **given})
    return e.value.args[0]


def clipped_to(trainer: Probe) -> float:
    """Norm that gradients of norm 1000 have when the optimizer gets them."""
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    total, seen, stock = sum(p.numel() for p in parameters), [], trainer.optimizer.step
    for p in parameters:
        p.grad = torch.full_like(p, 1000 / math.sqrt(total))

    def step(*args: object, **kwargs: object) -> None:
        seen.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in parameters)))

    trainer.optimizer.step, trainer.loss = step, torch.ones(())
    trainer.optimizer_step()
    trainer.optimizer.step = stock
    return round(seen[0], 2)


def moved(trainer: Probe, steps: int) -> float:
    """Part of the way to the student that the teacher has come in the last of some steps."""
    trainer.ema.updates = steps - 1
    student, teacher = (next(iter(m.state_dict().values())) for m in (unwrap_model(trainer.model), trainer.ema.ema))
    with torch.no_grad():
        student.copy_(teacher + 1)
    before = teacher.clone()
    trainer.ema.update(trainer.model)
    return round(float((teacher - before).mean()), 4)


def rates(trainer: Probe, *epochs: int) -> list[float]:
    return [round(trainer.lf(e), 6) for e in epochs]


def test_s5mars_as_printed(tmp_path):
    model = RSDet("deeplabv3plus-small.yaml")
    model.model.yaml["recipes"] = read_model_yaml("deeplabv3plus-r50.yaml")["recipes"]
    trainer = built(model, data_yaml(tmp_path), tmp_path, recipe="paper")
    groups, args = trainer.optimizer.param_groups, trainer.args
    assert type(trainer.optimizer).__name__ == "SGD"
    assert ({g["initial_lr"] for g in groups}, {g["momentum"] for g in groups}) == ({0.01}, {0.9})
    assert max(g["weight_decay"] for g in groups) == 5e-4
    assert rates(trainer, 0, 60, 239) == [1, round(0.75**0.9, 6), round((1 / 240) ** 0.9, 6)]
    assert (trainer.epochs, trainer.batch_size * trainer.accumulate, args.warmup_epochs) == (240, 8, 0)
    assert clipped_to(trainer) == 8
    assert [moved(trainer, n) for n in (1, 2, 3, 10**4)] == [1, 0.5, 0.3333, 0.004]
    spec = trainer.train_loader.dataset.spec
    assert (spec.crop, spec.scale, spec.flip, spec.rot90) == (512, 1.0, 0.5, False)
    s = trainer.method
    assert (s.lambda_u, s.lambda_s, s.t_hard, s.t_soft, s.appearance) == (2.0, 1.0, 0.7, 0.9, "augin-sigma")
    assert trainer.stopper.patience >= trainer.epochs


def test_hybrid_seguformer_learns_velocities_by_its_own_recipe(tmp_path):
    data = make_demo_insar(tmp_path / "insar", n_train=8, n_val=1, size=64, progress=False)
    trainer = built(RSDet("hybrid-seguformer-n.yaml"), data, tmp_path)
    groups, args = trainer.optimizer.param_groups, trainer.args
    assert type(trainer.optimizer).__name__ == "AdamW"
    assert {g["initial_lr"] for g in groups} == {1e-4}
    assert max(g["weight_decay"] for g in groups) == 1e-2
    assert rates(trainer, 0, 50) == [1, round(0.5**0.9, 6)]
    assert (trainer.epochs, trainer.batch_size * trainer.accumulate, args.warmup_epochs) == (100, 8, 5)
    assert (args.hsv_h, args.hsv_s, args.hsv_v, args.speckle, args.mosaic) == (0, 0, 0, 0, 0)
    spec = trainer.train_loader.dataset.spec
    assert (spec.crop, spec.scale, spec.flip, spec.rot90) == (256, 0.0, 0.5, True)
    assert [moved(trainer, n) for n in (1, 100)] == [0.01, 0.01]
    s = trainer.method
    assert (s.lambda_u, s.squared, s.distill, s.flip_teacher) == (0.1, True, True, False)
    assert next(unwrap_model(trainer.model).parameters()).shape[1] == 1  # one channel, as the data say


def test_velocities_are_only_mirrored_and_turned(tmp_path):
    data = make_demo_insar(tmp_path / "insar", n_train=2, n_val=1, size=64, progress=False)
    pairs = built(RSDet("hybrid-seguformer-n.yaml"), data, tmp_path, imgsz=64).train_loader.dataset
    whole = {str(f): pairs.base.reader(f)[..., 0] for f in pairs.base.im_files}
    for i in range(12):
        sample = pairs[i]
        x, file = sample["img"][0].numpy(), whole[sample["im_file"]]
        ways = [np.rot90(m, k) for m in (file, file[:, ::-1]) for k in range(4)]
        assert any(np.array_equal(x, w) for w in ways)


def test_what_the_user_says_wins_and_is_checked(tmp_path):
    data, model = data_yaml(tmp_path), RSDet(model_yaml(tmp_path))
    given = {**TRAIN, "method": "mean-teacher", "ema_momentum": 0.5, "lr_power": 2, "clip_grad": 0}
    trainer = built(model, data, tmp_path, **given)
    assert moved(trainer, 50) == 0.5
    assert clipped_to(trainer) == 1000
    assert clipped_to(built(model, data, tmp_path, **TRAIN)) == 10  # as Ultralytics has it
    for wrong in ({"ema_momentum": 0.9}, {"method": "s5mars", "ema_momentum": 2}, {"lr_power": -1}, {"clip_grad": "x"}):
        with pytest.raises(ConfigError) as e:
            model.train(data=data, **TRAIN, **wrong)
        assert "\n" not in str(e.value)

"""Every recipe beside what its paper states, measured on the trainer as it is built, not on the YAML."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY
from restore_fakes import clear_picture, write_pairs
from ultralytics.data.augment import Mosaic, RandomFlip, RandomHSV, RandomPerspective
from ultralytics.utils.torch_utils import unwrap_model

from rsdet import RSDet
from rsdet.errors import ConfigError
from rsdet.modelyaml import list_models, read_model_yaml
from rsdet.recipes import list_recipes, recipe_settings
from rsdet.tasks.detect.train import RTDETRTrain, YOLOTrain
from rsdet.tasks.restore.train import RestoreTrain


class Built(Exception):
    """Carries a trainer that is ready to take its first step."""


def probe(base: type) -> type:
    def _do_train(self) -> None:
        self._setup_train()
        raise Built(self)

    return type(base.__name__, (base,), {"_do_train": _do_train})


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), n_train=16, n_val=1, size=256)


@pytest.fixture(scope="module")
def clear(tmp_path_factory) -> Path:
    """Clear pictures alone: the small ones are made on the fly."""
    root = tmp_path_factory.mktemp("clear")
    rng = np.random.default_rng(0)
    for split, n in (("train", 16), ("val", 1)):
        for i in range(n):
            (root / split).mkdir(exist_ok=True)
            cv2.imwrite(str(root / split / f"{i}.png"), clear_picture(rng, 280))
    (root / "data.yaml").write_text(
        f"task: restore\nkind: superres\npath: {root}\ntrain: {{target: train}}\nval: {{target: val}}\n"
        "degrade: {name: bicubic}\n"
    )
    return root / "data.yaml"


def built(model: RSDet, data: Path, recipe: str, tmp_path: Path, **kwargs):
    base = RestoreTrain if model.task == "restore" else RTDETRTrain if model.family == "rtdetr" else YOLOTrain
    with pytest.raises(Built) as e:
        model.train(probe(base), data=data, recipe=recipe, project=str(tmp_path), workers=0, plots=False, **kwargs)
    return e.value.args[0]


def augmentation(trainer) -> dict[str, float]:
    """What the transforms of the training set do, wherever they are nested."""
    todo, out = [trainer.train_loader.dataset.transforms], {}
    while todo:
        t = todo.pop()
        todo += [*getattr(t, "transforms", []), *([t.pre_transform] if getattr(t, "pre_transform", None) else [])]
        if isinstance(t, Mosaic):
            out["mosaic"] = t.p
        if isinstance(t, RandomPerspective):
            out |= {"translate": t.translate, "scale": t.scale, "degrees": t.degrees}
        if isinstance(t, RandomHSV):
            out |= {"hsv_h": t.hgain, "hsv_s": t.sgain, "hsv_v": t.vgain}
        if isinstance(t, RandomFlip):
            out[{"horizontal": "fliplr", "vertical": "flipud"}[t.direction]] = t.p
    return out


def largest_norm(trainer) -> float:
    """Norm that gradients of norm 1000 have when the optimizer gets them."""
    parameters = [p for p in trainer.model.parameters() if p.requires_grad]
    total = sum(p.numel() for p in parameters)
    for p in parameters:
        p.grad = torch.full_like(p, 1000 / math.sqrt(total))
    seen, stock = [], trainer.optimizer.step

    def step(*args, **kwargs):
        seen.append(math.sqrt(sum(float(p.grad.double().square().sum()) for p in parameters)))

    trainer.optimizer.step, trainer.loss = step, torch.ones(())
    trainer.optimizer_step()
    trainer.optimizer.step = stock
    return round(seen[0], 2)


def measured(trainer) -> dict[str, object]:
    groups, args, loader = trainer.optimizer.param_groups, trainer.args, trainer.train_loader
    out = {
        "optimizer": type(trainer.optimizer).__name__, "lr": {g["initial_lr"] for g in groups},
        "weight_decay": max(g["weight_decay"] for g in groups), "epochs": trainer.epochs, "amp": trainer.amp,
        "batch": trainer.batch_size, "step": trainer.batch_size * trainer.accumulate,
        "lr_at": [round(trainer.lf(trainer.epochs * part), 5) for part in (0, 0.4, 0.7, 0.99)],
        "warmup_epochs": args.warmup_epochs, "warmup_momentum": args.warmup_momentum,
        "early_stop": trainer.stopper.patience < trainer.epochs, "clip": largest_norm(trainer),
        "ema": [round(trainer.ema.decay(n), 6) for n in (1, 10**6)], "deterministic": args.deterministic,
        "pretrained": args.pretrained, "imgsz": args.imgsz, "close_mosaic": args.close_mosaic,
    }  # fmt: skip
    for group in groups:
        out |= {"beta1": group["betas"][0], "beta2": group["betas"][1]} if "betas" in group else {
            "momentum": group["momentum"]
        }  # fmt: skip
    if hasattr(loader.dataset, "patch_px"):
        batch = next(iter(loader))
        out |= {
            "patch": batch["img"].shape[-1],
            "target_patch": batch["target"].shape[-1],
            "in_batch": len(batch["img"]),
        }
        out["loss"] = unwrap_model(trainer.model).yaml["loss"]
    else:
        out |= augmentation(trainer)
    return out


ULTRALYTICS_EMA = [round(0.9999 * (1 - math.exp(-1 / 2000)), 6), 0.9999]
VMC = {
    "optimizer": ("Adam", "table 1"), "lr": ({1e-4}, "table 1"), "batch": (8, "table 1"), "epochs": (150, "table 1"),
    "imgsz": (640, "table 1"), "weight_decay": (1e-4, "table 1"), "beta1": (0.9, "table 1"),
    "hsv_h": (0.015, "table 2"), "hsv_s": (0.7, "table 2"), "hsv_v": (0.4, "table 2"), "translate": (0.1, "table 2"),
    "scale": (0.5, "table 2"), "fliplr": (0.5, "table 2"), "degrees": (0, "not in table 2"),
    "flipud": (0, "not in table 2"), "mosaic": (0, "not stated"), "deterministic": (False, "none is possible"),
    "early_stop": (False, "150 epochs"), "clip": (10, "Ultralytics 8.0.201"), "ema": (ULTRALYTICS_EMA, "the same"),
}  # fmt: skip
SAR = {
    "optimizer": ("SGD", "3.1"), "lr": ({0.01}, "3.1"), "momentum": (0.937, "3.1"), "weight_decay": (5e-4, "3.1"),
    "epochs": (400, "3.1"), "warmup_epochs": (3, "3.1"), "warmup_momentum": (0.8, "3.1"), "batch": (64, "table 1"),
    "step": (64, "YOLOv5"), "imgsz": (640, "YOLOv5"), "hsv_h": (0.015, "YOLOv5"), "hsv_s": (0.7, "YOLOv5"),
    "hsv_v": (0.4, "YOLOv5"), "translate": (0.1, "YOLOv5"), "scale": (0.5, "YOLOv5"), "fliplr": (0.5, "YOLOv5"),
    "flipud": (0, "YOLOv5"), "mosaic": (1, "YOLOv5"), "close_mosaic": (0, "YOLOv5"),
    "lr_at": ([1, 0.604, 0.307, 0.0199], "YOLOv5: linear to 0.01"), "early_stop": (False, "400 epochs"),
}  # fmt: skip
PLAIN = {"ema": ([0, 0], "not mentioned"), "clip": (1000, "not mentioned"), "amp": (False, "not mentioned")}
ADAM = {"optimizer": ("Adam", ""), "beta1": (0.9, ""), "beta2": (0.999, ""), "weight_decay": (0, "")}
DWTMA = {
    **PLAIN, **ADAM, "lr": ({2e-4}, "4.2"), "batch": (16, "4.2"), "in_batch": (16, "4.2"), "step": (16, "4.2"),
    "lr_at": ([1, 0.65451, 0.20611, 0.00025], "4.2: cosine to zero"), "patch": (240, "4.2"),
    "loss": ({"l1": 1.0, "fft": 0.1}, "equation 13"), "warmup_epochs": (0, "not mentioned"),
    "early_stop": (False, ""),
}  # fmt: skip
MFG = {
    **ADAM, "beta2": (0.99, "released code"), "lr": ({2e-4}, "released code"), "batch": (4, "released code"),
    "step": (4, "released code"), "ema": ([0.999, 0.999], "released code"), "clip": (1000, "none in released code"),
    "amp": (False, "none in released code"), "lr_at": ([1, 0.5, 0.25, 1 / 32], "released code: halved at 30..75 k"),
    "epochs": (203, "80,000 iterations of 1575 / 4"), "warmup_epochs": (0, ""), "target_patch": (256, "released code"),
    "early_stop": (False, ""),
}  # fmt: skip
OURS = "ours"
TABLE = [
    # recipe, model, its variables, data, what is stated and where
    ("vmc-detr-paper", "vmc-detr-demo.yaml", TINY, "boxes", VMC),
    ("vmc-detr-paper-mosaic", "vmc-detr-demo.yaml", TINY, "boxes", VMC | {"mosaic": (1, ""), "close_mosaic": (10, "")}),
    ("sar-ship-paper", "sar-ship.yaml", {"scale": "t"}, "boxes", SAR),
    ("sar-ship-paper-sar-ship-dataset", "sar-ship.yaml", {"scale": "t"}, "boxes", SAR | {"batch": (16, "table 1")}),
    ("dwtma-net-paper", "dwtma-net.yaml", {"scale": "t"}, "pairs", DWTMA),
    ("dwtma-net-ablation-paper", "dwtma-net.yaml", {"scale": "t"}, "pairs", DWTMA | {"patch": (80, "4.5")}),
    ("mfg-hmoe-paper", "mfg-hmoe.yaml", {"scale": "t", "upscale": 2}, "clear", MFG | {"patch": (128, "released code")}),
    ("mfg-hmoe-paper", "mfg-hmoe.yaml", {"scale": "t", "upscale": 4}, "clear", MFG | {"patch": (64, "released code")}),
    ("edsr-paper", "edsr.yaml", {"scale": "t"}, "clear", {
        **PLAIN, **ADAM, "lr": ({1e-4}, "3.2"), "batch": (16, "3.2"), "step": (16, "3.2"), "patch": (48, "3.2"),
        "lr_at": ([1, 1, 0.5, 0.5], "3.2: halved after 200,000 of 300,000"), "loss": ({"l1": 1.0}, "3.2"),
        "epochs": (3050, "300,000 iterations of 1575 / 16"),
    }),
    ("aod-net-paper", "aod-net.yaml", {}, "pairs", {
        "optimizer": ("SGD", "4.1"), "momentum": (0.9, "4.1"), "weight_decay": (1e-4, "4.1"), "batch": (8, "4.1"),
        "step": (8, "4.1"), "epochs": (10, "4.1"), "clip": (0.1, "4.1"), "ema": ([0, 0], "not mentioned"),
        "lr": ({1e-4}, ""), "lr_at": ([1, 1, 1, 1], ""), "loss": ({"mse": 1.0}, "4.1"), "amp": (False, ""),
    }),
    ("sar-ship", "sar-ship.yaml", {"scale": "t"}, "boxes", {
        "lr": ({0.01}, OURS), "momentum": (0.937, OURS), "hsv_h": (0, OURS), "hsv_s": (0, OURS), "hsv_v": (0, OURS),
        "flipud": (0.5, OURS), "fliplr": (0.5, OURS), "mosaic": (1, OURS),
    }),
    ("dehaze-small", "dwtma-net.yaml", {"scale": "t"}, "pairs", {
        "optimizer": ("Adam", OURS), "lr": ({1e-3}, OURS), "batch": (8, OURS), "step": (8, OURS), "patch": (96, OURS),
        "epochs": (100, OURS), "lr_at": ([1, 0.65796, 0.21405, 0.01024], OURS), "amp": (False, OURS),
    }),
    ("superres-small", "edsr.yaml", {"scale": "t"}, "clear", {
        "optimizer": ("Adam", OURS), "lr": ({5e-4}, OURS), "batch": (8, OURS), "step": (8, OURS), "patch": (24, OURS),
        "epochs": (100, OURS), "amp": (False, OURS),
    }),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "model", "more", "data", "stated"), TABLE, ids=[f"{r[0]}-{r[2]}" for r in TABLE])
def test_the_trainer_does_what_the_paper_states(recipe, model, more, data, stated, tiny_data, pairs, clear, tmp_path):
    where = {"boxes": tiny_data, "pairs": pairs, "clear": clear}[data]
    found = measured(built(RSDet(model, **more), where, recipe, tmp_path))
    for key, (value, where_stated) in stated.items():
        said = f"{key} is {found[key]}; {where_stated or 'stated'}: {value}"
        if isinstance(value, (list, float)):
            assert found[key] == pytest.approx(value, rel=1e-6, abs=2e-5 if isinstance(value, list) else None), said
        else:
            assert found[key] == value, said


def test_every_recipe_is_in_the_table():
    blind = {"hac-moe-paper", "hac-moe-paper-poisson"}
    maps = {"s5mars-paper", "hybrid-seguformer"}  # tests/tasks/semantic/test_semantic_recipes.py
    cubes = {"sdenet-paper"}  # tests/tasks/anomaly/test_anomaly_task.py
    assert {row[0] for row in TABLE} | blind | maps | cubes == set(list_recipes())


@pytest.mark.parametrize("name", list_models())
def test_every_model_with_a_paper_recipe_names_one_that_ships(name):
    own = read_model_yaml(name).get("recipes") or {}
    assert set(own.values()) <= set(list_recipes())
    if "dwtma-net-ablate" in str(name):
        assert recipe_settings(read_model_yaml(name), "paper")[1]["patch"] == 80


@pytest.mark.parametrize(("recipe", "iters"), [("paper", 120), ("paper-poisson", 300)])
def test_hac_moe_as_printed(recipe, iters):
    settings = RSDet("hac-moe.yaml", recipe=recipe, upscale=2).model.run.settings
    stated = {
        "iters": iters, "inner": 5, "image_lr": 5e-3, "experts": 4, "alpha_min": 0.8, "alpha_max": 0.99,
        "loss_min": 1e-6, "loss_max": 1e-2, "prior": 0.0, "pad": "circular", "stop_factor": 0.0, "ssim_steps": 80,
        "upscale": 2,
    }  # fmt: skip
    assert {k: v for k, v in dataclasses.asdict(settings).items() if k in stated} == stated
    assert RSDet("hac-moe.yaml", recipe=recipe, iters=7).model.run.settings.iters == 7  # what is asked for wins
    with pytest.raises(ConfigError, match="recipe must be one of"):
        RSDet("hac-moe.yaml", recipe="papper")
    with pytest.raises(ConfigError, match="'recipe' is not a variable"):
        RSDet("mfg-hmoe.yaml", recipe="paper")


def test_mfg_hmoe_as_printed_weighs_experts_and_has_l1_alone():
    model = RSDet("mfg-hmoe-paper.yaml", scale="t").model
    assert model.yaml["loss"] == {"l1": 1.0}
    assert model.yaml["args"]["gate"] == "paper"


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"beta2": 1.0}, "beta2="), ({"ema_decay": -0.1}, "ema_decay="), ({"clip_grad": "x"}, "clip_grad="),
        ({"lr_steps": [0.5, 1.5]}, "lr_steps="), ({"target_patch": 0}, "target_patch="),
    ],
)  # fmt: skip
def test_values_out_of_range_are_refused(wrong, match, pairs):
    with pytest.raises(ConfigError, match=match):
        RSDet("aod-net.yaml").train(data=pairs, **wrong)


def test_what_the_user_says_wins_over_the_recipe(clear, tmp_path):
    model = RSDet("mfg-hmoe.yaml", scale="t", upscale=2)
    found = measured(built(model, clear, "paper", tmp_path, patch=24, ema_decay=0.5, clip_grad=3.0, beta2=0.9))
    assert (found["patch"], found["ema"], found["clip"], found["beta2"]) == (24, [0.5, 0.5], 3.0, 0.9)

"""What a clumsy user can pass to the task ``restore``: one line with a remedy, exit status 2, no traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from restore_fakes import TRAIN, clear_picture, filled, model_yaml, write_pairs

from rsdet import RSDet, cli
from rsdet.errors import CheckpointError, ConfigError, DataError, RSDetError
from rsdet.tasks.restore.train import loss_terms


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def yaml(tmp_path_factory) -> Path:
    return model_yaml(tmp_path_factory.mktemp("yaml"))


def words(**kwargs: object) -> list[str]:
    return [f"{k}={v}" for k, v in kwargs.items()]


@pytest.fixture
def refused(capsys, tmp_path):
    """Run a command that must be refused in one line; returns the line."""

    def call(mode: str, **kwargs: object) -> str:
        assert cli.run([mode, *words(**{"project": tmp_path / "runs", **kwargs})]) == 2
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("rsdet: error: ")]
        assert len(lines) == 1, err
        assert "Traceback" not in err
        return lines[0]

    return call


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"patch": 0}, "patch=0 must be a whole number"),
        ({"patch": 3.5}, "patch=3.5 must be"),
        ({"repeats": -1}, "repeats=-1 must be"),
        ({"val_period": 0}, "val_period=0 must be"),
        ({"batch": 0}, "batch=0"),
        ({"batch": -1}, "batch=-1 must be a whole number of 1 or more"),
        ({"imgsz": 640}, "imgsz= is for detectors, and this model restores pictures; use patch="),
        ({"mosaic": 0.5}, "mosaic= is for detectors"),
        ({"iou_loss": "wiou-v3"}, "iou_loss= is for detectors"),
        ({"loss": "l1:1,fftt:0.1"}, "'fftt' is none of"),
        ({"loss": "l1:x"}, "loss="),
        ({"cache": "tape"}, "cache"),
        ({"patc": 32}, "'patch'"),
        ({"recipe": "papper"}, "recipe must be one of"),
        ({"scale": 3}, "'upscale'|upscale"),
        ({"channels": 4}, "has channels: 3, the model takes 4"),
        ({"width": -1}, "width=-1 does not fit"),
        ({"split": "test"}, "has no test|has none of"),
        ({"data": "nowhere.yaml"}, "nowhere.yaml"),
    ],
)
def test_training_arguments(refused, yaml, pairs, kwargs, said):
    import re

    line = refused("train", **{"model": yaml, "data": pairs, **TRAIN, **kwargs})
    if "scale" in kwargs:  # a model that has the variable takes it; then the pairs do not fit
        assert "x3" in line
    else:
        assert re.search(said, line), line


def test_data_of_another_task_both_ways(refused, yaml, pairs, tiny_data):
    assert "for task=detect, the model for task=restore" in refused("train", model=yaml, data=tiny_data)
    assert "is for task=restore, the model for task=detect" in refused("train", model="vmc-detr-demo.yaml", data=pairs)
    assert "is for task=restore, the model for task=detect" in refused("train", model="vmc-detr-demo.yaml", data=pairs)
    assert "for task=detect" in refused("val", model="bicubic.yaml", data=tiny_data)


def test_arguments_of_the_other_task_both_ways(refused, yaml, pairs):
    assert "'patch'" in refused("train", model="vmc-detr-demo.yaml", data="demo", patch=32)
    assert "conf= is for detectors" in refused("predict", model="bicubic.yaml", source=pairs.parent, conf=0.3)
    assert "protocol= is for detectors" in refused("val", model="bicubic.yaml", data=pairs, protocol="visdrone")
    assert "metrics='psnrr' must be among" in refused("val", model="bicubic.yaml", data=pairs, metrics="psnrr")
    assert "tile=10.5 must be" in refused(
        "predict", model="bicubic.yaml", source=pairs.parent / "val" / "hazy", tile=10.5
    )
    hazy = pairs.parent / "val" / "hazy"
    assert "half=True on the CPU" in refused("predict", model="bicubic.yaml", source=hazy, half=True)
    assert "must be smaller than tile=32" in refused("val", model="bicubic.yaml", data=pairs, tile=32, overlap=32)


def test_all_that_is_wrong_with_pairs_is_told_at_once(refused, yaml, tmp_path):
    data = write_pairs(tmp_path / "p")
    root = tmp_path / "p" / "train"
    (root / "clear" / "0.png").unlink()
    (root / "hazy" / "1.png").unlink()
    cv2.imwrite(str(root / "hazy" / "2.png"), np.zeros((30, 40, 3), np.uint8))
    (root / "hazy" / "3.png").write_bytes(b"no picture")
    line = refused("train", model=yaml, data=data, **TRAIN)
    for name in ("0", "1", "2.png", "3.png"):
        assert name in line


def test_a_patch_larger_than_the_pictures_is_filled_up(yaml, pairs, tmp_path):
    model = RSDet(yaml)
    model.train(data=pairs, project=str(tmp_path), name="big", **{**TRAIN, "epochs": 1, "patch": 64})
    assert model.metrics.psnr > 0


def test_fewer_pictures_than_a_batch_still_make_one(yaml, pairs, tmp_path):
    RSDet(yaml).train(data=pairs, project=str(tmp_path), name="few", **{**TRAIN, "epochs": 1, "batch": 64})
    assert (tmp_path / "few" / "results.csv").read_text().count("\n") == 2


def test_all_black_and_16_bit_pairs_give_numbers(yaml, tmp_path):
    data = write_pairs(tmp_path / "p", bits=16)
    for split in ("train", "val"):
        for kind in ("hazy", "clear"):
            cv2.imwrite(str(tmp_path / "p" / split / kind / "0.png"), np.zeros((40, 40, 3), np.uint16))
    model = RSDet(yaml)
    model.train(data=data, project=str(tmp_path), name="b", **{**TRAIN, "epochs": 1})
    metrics = model.val(data=data, project=str(tmp_path), plots=False)
    assert all(np.isfinite(r["ssim"]) for r in metrics.rows)
    assert np.isfinite(metrics.psnr)


def test_weights_of_one_task_are_not_taken_for_the_other(refused, yaml, pairs, tmp_path):
    model = RSDet(yaml)
    model.train(data=pairs, project=str(tmp_path), name="r", **{**TRAIN, "epochs": 1})
    best = tmp_path / "r" / "weights" / "best.pt"
    assert "scale=3" in refused("predict", model=best, source=pairs.parent / "val" / "hazy", upscale=3)
    with pytest.raises(RSDetError):
        RSDet(best, task="detect").train(data="demo", task="detect", epochs=1)
    broken = tmp_path / "broken.pt"
    broken.write_bytes(best.read_bytes()[:200])
    with pytest.raises(CheckpointError, match="damaged"):
        RSDet(broken)


def test_a_network_without_weights_is_not_trained_and_a_method_has_no_tiles(refused, pairs):
    assert "nothing to train" in refused("train", model="bicubic.yaml", data=pairs)
    assert "learns nothing" in refused("train", model="dcp.yaml", data=pairs)
    hazy = pairs.parent / "val" / "hazy"
    assert "tile_px" in refused("predict", model="hac-moe.yaml", source=hazy, tile=32)
    assert "omega" in refused("predict", model="dcp.yaml", source=hazy, omega=7)
    assert "unknown argument 'omga'" in refused("predict", model="dcp.yaml", source=hazy, omga=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "TinyRestor"}, "network: must be one of.*TinyRestore"),
        ({"kind": "blur"}, "kind: must be one of"),
        ({"args": "{widht: 3}"}, "cannot be built from args"),
        ({"args": "[1]"}, "args: in the model YAML must be a mapping"),
        ({"family": "restoration"}, "family must be one of"),
        ({"task": "restorre"}, "task must be one of|task"),
    ],
)
def test_a_model_yaml_with_a_mistake(tmp_path, change, said):
    lines = [line for line in model_yaml(tmp_path).read_text().splitlines() if line.partition(":")[0] not in change]
    path = tmp_path / "m.yaml"
    path.write_text("\n".join([*lines, *(f"{k}: {v}" for k, v in change.items())]))
    with pytest.raises(ConfigError, match=said) as e:
        RSDet(path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("source", ["nowhere.png", "", None, [], "http://x.y/z.png", 3.5, {"a": 1}])
def test_sources_that_are_none(yaml, source):
    with pytest.raises(DataError, match=r"source|image"):
        filled(yaml).predict(source)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 40, 40), np.float32), np.full((40, 40, 3), 2.0), np.zeros((40, 40, 3), np.int64),
        np.full((40, 40, 3), np.nan), torch.zeros(40, 40), np.zeros((40,)),
    ],
)  # fmt: skip
def test_arrays_that_are_no_pictures(yaml, array):
    with pytest.raises(DataError):
        filled(yaml).predict(array)


def test_results_do_not_overwrite_their_sources(yaml, tmp_path):
    folder = tmp_path / "runs" / "p"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a.png"), clear_picture(np.random.default_rng(0), 24))
    before = (folder / "a.png").read_bytes()
    with pytest.raises(ConfigError, match="choose another"):
        filled(yaml).predict(folder, save=True, project=str(tmp_path / "runs"), name="p", exist_ok=True)
    assert (folder / "a.png").read_bytes() == before
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("value", "terms"),
    [
        (None, None), ("l1", {"l1": 1.0}), ("l1:1,fft:0.1", {"l1": 1.0, "fft": 0.1}),
        (["l1:2", "ssim"], {"l1": 2.0, "ssim": 1.0}), ({"mse": 1}, {"mse": 1.0}),
    ],
)  # fmt: skip
def test_ways_to_write_a_loss(value, terms):
    assert loss_terms(value) == terms

"""Maps of InSAR velocity in every mode: where there is none, nothing is learnt, counted or said."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from semantic_fakes import TRAIN, model_yaml
from torch import nn
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.utils import DEFAULT_CFG

from rsdet import RSDet, cli
from rsdet.data.decoding import has_rasterio
from rsdet.data.demo_insar import make_demo_insar
from rsdet.data.sar import read_sar
from rsdet.losses.semi import SemiMethod
from rsdet.losses.semi_settings import method_settings
from rsdet.tasks.semantic.dataset import semantic_datasets
from rsdet.tasks.semantic.semi import SemiData, SemiDataset
from rsdet.textfiles import read_yaml
from rsdet.writing import write_picture


def insar(folder: Path, **more: object) -> Path:
    """Simulated maps, the section of which says ``more``."""
    data = make_demo_insar(folder / "insar", n_train=3, n_val=2, size=64, progress=False)
    if more:
        import yaml

        content = read_yaml(data)
        data = data.with_name("other.yaml")
        data.write_text(yaml.safe_dump({**content, "sar": {**content["sar"], **more}}))
    return data


def dataset(data: Path, mode: str = "train"):
    spec, cfg = check_det_dataset(str(data)), DEFAULT_CFG.__class__(**{**vars(DEFAULT_CFG), "task": "semantic"})
    cfg.imgsz = 64
    spec["sar"] = {**spec["sar"], "stretch": {"method": "range", "low": -100, "high": 100, "range": [-100, 100]}}
    with semantic_datasets():
        return build_yolo_dataset(cfg, spec[mode], 2, spec, mode="val")


def velocity_of(file: str | Path) -> np.ndarray:
    image = read_sar(file, "velocity")
    return np.where(image.valid, image.values, np.nan)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has learnt for a moment, and masks by coherence."""
    folder = tmp_path_factory.mktemp("insar")
    data = insar(folder, coherence="coherence", coherence_min=0.5, nodata=-9999.0)
    model = RSDet(model_yaml(folder, nc=1), channels=1)
    model.train(data=data, project=str(folder), name="run", **TRAIN)
    args = read_yaml(folder / "run" / "args.yaml")
    assert (args["speckle"], args["hsv_v"], args["rot90"]) == (0.0, 0.0, 0.5)
    return folder / "run" / "weights" / "best.pt"


def test_masks_have_no_class_where_there_is_no_velocity(tmp_path):
    data = insar(tmp_path)
    for file in (tmp_path / "insar" / "masks" / "train").iterdir():
        write_picture(file, np.ones_like(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)))
    maps = dataset(data)
    for i, label in enumerate(maps.labels):
        gaps = np.isnan(velocity_of(label["im_file"]))
        assert gaps.any()
        mask = maps.load_mask(i, image_shape=gaps.shape)
        assert (mask == np.where(gaps, 255, 1)).all()


class Pointwise(nn.Module):
    """A pixel of the answer sees the same pixel alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Conv2d(1, 1, 1)
        nn.init.constant_(self.net.weight, 3.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize("method", ["supervised", "self-distillation"])
def test_what_is_no_data_adds_nothing_to_the_loss(method, tmp_path):
    pairs = SemiDataset(dataset(insar(tmp_path)), SemiData(crop=64, scale=0.0, flip=0.0))
    sample = pairs.collate_fn([pairs[i] for i in range(3)])
    given = {"image": sample["img"].float() / 255, "label": sample["semantic_mask"], "valid": sample["valid"]}
    assert 0 < (~sample["valid"]).sum() < sample["valid"].sum()
    student, teacher = Pointwise(), Pointwise()
    nn.init.constant_(teacher.net.bias, -1.0)

    def loss(x: torch.Tensor, y: torch.Tensor) -> float:
        told = SemiMethod(method_settings(method)).losses(
            student, teacher, {**given, "image": x, "label": y}, np.random.default_rng(0)
        )
        return float(told[0].detach())

    def by_hand() -> float:
        total = distilled = 0.0
        x, y, valid = (given[k].double().numpy() for k in ("image", "label", "valid"))
        bias = [float(n.net.bias) for n in (student, teacher)]
        labelled = (y != 255) & (valid > 0)
        for b, i, j in zip(*np.nonzero(valid), strict=True):
            s, t = (3 * x[b, 0, i, j] + c for c in bias)
            if labelled[b, i, j]:
                total += np.logaddexp(0, s) - y[b, i, j] * s
            distilled += (1 / (1 + np.exp(-s)) - 1 / (1 + np.exp(-t))) ** 2
        return total / labelled.sum() + (0.1 * distilled / valid.sum() if method == "self-distillation" else 0)

    as_it_is = loss(given["image"], given["label"])
    assert as_it_is == pytest.approx(by_hand(), rel=1e-5)
    gaps = ~given["valid"]
    other_x = torch.where(gaps[:, None], torch.rand_like(given["image"]), given["image"])
    other_y = torch.where(gaps, 1 - given["label"].clamp(max=1), given["label"])
    assert loss(other_x, given["label"]) == as_it_is
    assert loss(given["image"], other_y) == as_it_is
    none = {**given, "valid": torch.zeros_like(given["valid"])}
    total, _ = SemiMethod(method_settings(method)).losses(student, teacher, none, np.random.default_rng(0))
    assert float(total) == 0


def test_ultralytics_criterion_does_not_see_it_either(tmp_path):
    maps = dataset(insar(tmp_path))
    samples = [maps[i] for i in range(3)]
    batch = {k: torch.stack([s[k] for s in samples]) for k in ("img", "semantic_mask")}
    batch["img"] = batch["img"].float() / 255
    gaps = batch["semantic_mask"] == 255
    assert gaps.any()
    model = RSDet(model_yaml(tmp_path, nc=1), channels=1).model
    model.args = DEFAULT_CFG
    preds = torch.randn(3, 1, 64, 64)
    other = torch.where(gaps[:, None], preds + 7, preds)
    assert float(model.loss(batch, preds)[0].sum()) == float(model.loss(batch, other)[0].sum())


def test_nan_and_a_stated_value_are_the_same(tmp_path):
    nan = insar(tmp_path / "a")
    stated = insar(tmp_path / "b", nodata=-9999.0)
    for file in (tmp_path / "b" / "insar" / "images").rglob("*.tif"):
        values = velocity_of(file)
        write_picture(file, np.where(np.isnan(values), np.float32(-9999), values.astype(np.float32)))
    for a, b in zip(dataset(nan), dataset(stated), strict=True):
        assert torch.equal(a["img"], b["img"])
        assert torch.equal(a["semantic_mask"], b["semantic_mask"])


def there(file: Path) -> np.ndarray:
    coherence = read_sar(file.parents[2] / "coherence" / file.parent.name / file.name).values
    return ~np.isnan(velocity_of(file)) & (coherence >= 0.5)


def test_val_counts_what_has_a_velocity(weights):
    model, data = RSDet(weights), weights.parents[2] / "insar" / "other.yaml"
    assert model.sar["stretch"]["range"] == [-100.0, 100.0]
    metrics = model.val(data=data, imgsz=64, plots=False, project=str(weights.parents[2]), name="v")
    files = sorted((data.parent / "images" / "val").iterdir())
    assert metrics.scores.matrix.sum() == sum(there(f).sum() for f in files)
    told = json.loads((weights.parents[2] / "v" / "metrics.json").read_text())
    assert told["F1"] == pytest.approx(2 * told["IoU"] / (1 + told["IoU"]), abs=1e-9)
    assert metrics.curve.counts.sum() == metrics.scores.matrix.sum()
    assert metrics.curve.counts[1].sum() == metrics.scores.pixels[1]
    with open(weights.parents[2] / "v" / "curve.csv", newline="") as f:
        half = {float(r["threshold"]): r for r in csv.DictReader(f)}[0.5]
    assert float(half["recall"]) == pytest.approx(metrics.scores.recall[1])
    if has_rasterio():  # pixels of 20 m, said by the files
        assert told["objects"][1]["below_m2"] == pytest.approx(100 * 20**2, rel=0.01)


def test_val_draws_the_confusion_matrix_and_the_curve(weights):
    model, data = RSDet(weights), weights.parents[2] / "insar" / "other.yaml"
    model.val(data=data, imgsz=64, plots=True, project=str(weights.parents[2]), name="drawn")
    assert {"confusion_matrix.png", "pr_curve.png"} <= {p.name for p in (weights.parents[2] / "drawn").iterdir()}


def test_maps_of_files_and_of_rasters_say_nothing_there_with_pytorch_and_without(weights):
    pytest.importorskip("onnxruntime")
    folder = weights.parents[2]
    source = folder / "insar" / "images" / "val"
    exported = RSDet(weights).export(format="onnx", imgsz=64, out=folder, verbose=False).path
    for name, model, more in (
        ("full", weights, ["tile=0"]), ("light", exported, ["tile=0"]),
        ("full-tiles", weights, ["tile=64"]), ("light-tiles", exported, ["tile=64"]),
    ):  # fmt: skip
        if "tiles" in name:
            pytest.importorskip("rasterio")
        words = [f"model={model}", f"source={source}", f"project={folder}", f"name={name}", "imgsz=64", "verbose=False"]
        assert cli.run(["predict", *words, *more]) == 0
        for file in sorted(source.iterdir()):
            (found,) = (folder / name / "classes").glob(f"{file.stem}.*")
            with Image.open(found) as image:
                assert ((np.asarray(image) == 255) == ~there(file)).all(), name


def test_the_map_of_an_array_says_nothing_where_it_is_nan(weights):
    pytest.importorskip("onnxruntime")
    from rsdet.tasks.semantic.runtime.segmenter import Segmenter

    folder = weights.parents[2]
    exported = RSDet(weights).export(format="onnx", imgsz=64, out=folder / "array", verbose=False).path
    values = velocity_of(next((folder / "insar" / "images" / "val").iterdir())).astype(np.float32)
    found = Segmenter(exported).predict(values)
    assert ((found.classes == 255) == np.isnan(values)).all()


def test_a_coherence_of_another_size_ends_a_training_in_one_line(tmp_path, capsys):
    data = insar(tmp_path, coherence="coherence", coherence_min=0.5)
    first = sorted((tmp_path / "insar" / "coherence" / "train").iterdir())[0]
    write_picture(first, np.full((60, 64), 0.5, np.float32))
    words = [f"model={model_yaml(tmp_path, nc=1)}", "channels=1", f"data={data}", "epochs=1", "imgsz=64"]
    assert cli.run(["train", *words, f"project={tmp_path}"]) == 2
    assert "have 64x64 and 64x60 pixels; resample it to the grid" in capsys.readouterr().err

"""Training of change networks: one geometry for both dates and the label, the recipe of the paper, what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from change_fakes import TRAIN, data_yaml, model_yaml, write_place

from rsdet import RSDet, cli
from rsdet.data.dates import DatePair, LabelReader
from rsdet.data.raster_io import write_image
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.change.dataset import ChangeWindows, Views
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.train import ChangeTrain
from rsdet.tasks.loaders import shuffled_loader

EVERY = Views(fliplr=0.5, flipud=0.5, rot90=0.75)


def coded(folder, height=40, width=56):
    """A pair whose pixels say where they are, and a label that follows from it."""
    y, x = np.mgrid[:height, :width]
    for name, third in (("a", 50), ("b", 200)):
        picture = np.stack([y, x, np.full_like(y, third)], 2)
        write_image(folder / f"{name}.png", picture / 255.0)
    write_image(folder / "c.png", ((y * y + 3 * x) % 2).astype(np.float32))
    return DatePair(folder / "a.png", folder / "b.png", folder / "c.png")


@pytest.mark.parametrize("side", [32, 64])
def test_both_dates_and_the_label_share_one_geometry(tmp_path, side):
    pair, seen = coded(tmp_path), set()
    windows = ChangeWindows([pair], PairReader(), LabelReader(), side, EVERY, seed=3)
    for epoch in range(40):
        sample = windows[epoch * len(windows)]
        img, change = sample["img"].numpy().astype(int), sample["change"].numpy()
        assert img.shape == (6, side, side)
        known = change != IGNORE
        assert known.sum() == min(side, 40) * min(side, 56)
        assert (img[:2] == img[3:5]).all()
        assert (change == (img[0] * img[0] + 3 * img[1]) % 2)[known].all()
        assert (img[2] == 50)[known].all()
        assert (img[5] == 200)[known].all()
        assert (img[:, ~known] == 114).all()
        y, x = np.argwhere(known).mean(0).astype(int)
        seen.add((*(img[:2, y + 1, x] - img[:2, y, x]), *(img[:2, y, x + 1] - img[:2, y, x])))
    assert len(seen) == 8  # turned and mirrored in every way


def test_light_changes_by_date_and_roles_by_pair(tmp_path):
    pair = coded(tmp_path)
    plain = ChangeWindows([pair], PairReader(), LabelReader(), 40, Views())
    lit = ChangeWindows([pair], PairReader(), LabelReader(), 40, Views(jitter=0.3))
    back = ChangeWindows([pair], PairReader(), LabelReader(), 40, Views(swap=1.0))
    a, b, c = (w[0] for w in (plain, lit, back))
    assert torch.equal(a["change"], b["change"])
    assert torch.equal(a["change"], c["change"])
    assert torch.equal(a["img"].roll(3, 0), c["img"])
    first, second = (b["img"][i].float() - a["img"][i].float() for i in (0, 3))
    assert (first - second).abs().max() > 1  # each date in a light of its own


def test_samples_depend_on_epoch_and_number_alone(tmp_path):
    pair = coded(tmp_path, 64, 64)
    windows = ChangeWindows([pair], PairReader(), LabelReader(), 32, Views(rot90=1.0, jitter=0.2), seed=5)
    assert len(windows) == 4  # as many as cover it
    one, two = windows[5], windows[5]
    assert torch.equal(one["img"], two["img"])
    assert not torch.equal(one["img"], windows[9]["img"])
    orders = [[b["img"].sum().item() for b in shuffled_loader(windows, 2, workers=0, seed=1)] for _ in range(2)]
    assert orders[0] == orders[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    return folder, model_yaml(folder), data_yaml(folder)


def test_two_pairs_are_learnt_by_heart(tmp_path):
    for i in range(48):  # as many steps in few epochs, which cost time of their own
        write_place(tmp_path / "often", f"{i}", i % 2, 64)
        if i < 2:
            write_place(tmp_path / "two", f"{i}", i, 64)
    data = tmp_path / "two.yaml"
    data.write_text(f"task: change\npath: {tmp_path}\ntrain: often\nval: two\nnames: {{0: changed}}\n")
    settings = {**TRAIN, "epochs": 4, "lr0": 0.01, "rot90": 0, "fliplr": 0, "flipud": 0, "val": False}
    metrics = RSDet("ssa-net.yaml", width=8).train(
        data=data, project=str(tmp_path), name="run", verbose=False, **settings
    )
    assert metrics.mean_results()[0] > 0.95
    again = RSDet(tmp_path / "run" / "weights" / "best.pt").val(data=data, project=str(tmp_path), plots=False)
    assert again.mean_results() == pytest.approx(metrics.mean_results(), abs=0.01)


def test_the_recipe_is_that_of_the_paper(small, tmp_path):
    _, yaml, data = small
    seen = {}

    def look(trainer):
        seen.update(
            adam=type(trainer.optimizer) is torch.optim.Adam, betas=trainer.optimizer.param_groups[0]["betas"],
            decay={g["weight_decay"] for g in trainer.optimizer.param_groups}, batch=trainer.batch_size,
            lr=[trainer.lf(e) for e in (0, 25, 50, 75)], accumulate=trainer.accumulate, dice=trainer.model.criterion,
        )  # fmt: skip
        trainer.stop = True

    model = RSDet(yaml)
    model.add_callback("on_train_batch_end", look)
    asked = {"imgsz": 64, "epochs": 200, "poly_cycle": 50, "dice": "batch", "workers": 0, "plots": False}
    model.train(data=data, project=str(tmp_path), **asked)
    assert seen["adam"]
    assert seen["betas"] == (0.9, 0.999)
    assert seen["decay"] == {0.0, 5e-4}
    assert seen["batch"] == 8
    assert seen["accumulate"] == 1
    assert seen["lr"] == pytest.approx([1, 0.5**0.9, 1, 0.5**0.9])
    assert seen["dice"].dice == "batch"


def test_a_resumed_training_is_one_that_was_not_stopped(small, tmp_path):
    _, yaml, data = small
    asked = {**TRAIN, "epochs": 2, "jitter": 0.2, "swap": 0.5, "poly_cycle": 2}

    def stop(trainer):
        if trainer.epoch == 0:
            raise KeyboardInterrupt

    whole = RSDet(yaml)
    whole.train(data=data, project=str(tmp_path), name="whole", **asked)
    broken = RSDet(yaml)
    broken.add_callback("on_fit_epoch_end", stop)
    with pytest.raises(KeyboardInterrupt, match="resume=True"):
        broken.train(data=data, project=str(tmp_path), name="broken", **asked)
    last = tmp_path / "broken" / "weights" / "last.pt"
    RSDet(last).train(resume=True)
    a, b = (RSDet(tmp_path / run / "weights" / "last.pt").model.state_dict() for run in ("whole", "broken"))
    for name, tensor in a.items():
        torch.testing.assert_close(tensor.float(), b[name].float(), rtol=1e-2, atol=1e-3, msg=name)


def test_more_bands_come_from_the_data(small, tmp_path):
    folder, yaml, _ = small
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for side, bands in (("A", 5), ("B", 5), ("label", 1)):
            (tmp_path / split / side).mkdir(parents=True)
            picture = rng.random((64, 64, bands)).round() if bands == 1 else rng.random((64, 64, bands))
            write_image(tmp_path / split / side / "x.tif", picture)
    data = tmp_path / "five.yaml"
    data.write_text(f"task: change\npath: {tmp_path}\ntrain: train\nval: val\nchannels: 5\nnames: {{0: changed}}\n")
    model = RSDet(yaml)
    model.train(data=data, project=str(tmp_path), name="run", **TRAIN)
    weights = RSDet(tmp_path / "run" / "weights" / "last.pt")
    assert weights.channels == 10
    with pytest.raises(DataError, match="the model takes 5"):
        weights.val(data=data_yaml(folder / "rgb"), plots=False, project=str(tmp_path))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dice", "both"), ("swap", 2), ("jitter", -0.1), ("rot90", "yes"), ("lr_power", -1), ("poly_cycle", 0),
        ("batch", -1), ("cache", "disk"), ("fraction", 0),
    ],
)  # fmt: skip
def test_values_out_of_range(key, value):
    with pytest.raises(ConfigError, match=key):
        ChangeTrain.check_settings({key: value})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        ("nothing has changed", "has changed"), ("another value", "not declared"), ("a name", "without a later date"),
        ("a size", "of two sizes"), ("the same picture", "one picture"), ("no folder", "a single date"),
        ("16 bits", "2 files of more than 8 bits per sample"),
    ],
)  # fmt: skip
def test_data_that_teach_nothing_are_refused_in_one_line(small, tmp_path, capsys, spoil, told):
    _, yaml, _ = small
    data = data_yaml(tmp_path, 2, 1, 64)
    train = data.parent / "train"
    if spoil == "nothing has changed":
        for file in (train / "label").iterdir():
            write_image(file, np.zeros((64, 64)))
    elif spoil == "another value":
        write_image(train / "label" / "0.png", np.full((64, 64), 7 / 255))
    elif spoil == "a name":
        (train / "B" / "0.png").rename(train / "B" / "other.png")
    elif spoil == "a size":
        write_image(train / "B" / "0.png", np.zeros((64, 80, 3)))
    elif spoil == "the same picture":
        (train / "B" / "0.png").write_bytes((train / "A" / "0.png").read_bytes())
    elif spoil == "16 bits":
        for side in "AB":
            cv2.imwrite(str(train / side / "0.png"), np.full((64, 64, 3), 300 + ord(side), np.uint16))
    else:
        for file in (train / "B").iterdir():
            file.unlink()
        (train / "B").rmdir()
    words = [f"model={yaml}", f"data={data}", f"project={tmp_path / 'runs'}", "epochs=1", "imgsz=64"]
    assert cli.run(["train", *words]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rsdet: error: ")]
    assert len(errors) == 1
    assert told in errors[0]


def test_where_a_date_has_no_data_nothing_is_learnt_or_measured(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    rng = np.random.default_rng(0)
    dates, gaps = [rng.integers(1, 255, (3, 24, 32), np.uint8) for _ in "ab"], np.zeros((24, 32), bool)
    for date, name, part in zip(dates, "ab", (np.s_[:5, :], np.s_[:, 20:]), strict=True):
        date[(slice(None), *part)] = 0
        gaps[part] = True
        how = {"driver": "GTiff", "width": 32, "height": 24, "count": 3, "dtype": "uint8", "nodata": 0}
        with rasterio.open(tmp_path / f"{name}.tif", "w", **how) as file:
            file.write(date)
    write_image(tmp_path / "c.png", np.ones((24, 32), np.float32))
    pair = DatePair(tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.png")
    stack, label = PairReader().labelled(pair, LabelReader())
    assert stack.shape == (24, 32, 6)
    assert ((label == IGNORE) == gaps).all()
    assert (label[~gaps] == 1).all()
    sample = ChangeWindows([pair], PairReader(), LabelReader(), 32, EVERY, seed=1)[0]
    black = (sample["img"][:3] == 0).all(0) | (sample["img"][3:] == 0).all(0)
    assert (sample["change"][black] == IGNORE).all()

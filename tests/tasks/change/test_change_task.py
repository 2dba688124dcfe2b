"""Change models by name, and predictions of pairs: the same by every backend, and what is refused in one line."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from change_fakes import place
from PIL import Image
from runtime_list import only

from rsdet import RSDet, cli
from rsdet.data.dates import DatePair
from rsdet.data.raster_io import write_image
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.change import samples
from rsdet.tasks.change.outputs import change_map
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.runtime.comparer import Comparer
from rsdet.tasks.change.samples import read_folder, sample_pairs
from rsdet.tasks.change.source import find_pairs
from rsdet.tasks.change.visual import compared, error_map

pytest_plugins = ["change_fixtures"]


def test_ssa_net_has_the_size_and_cost_of_the_paper():
    model = RSDet("ssa-net.yaml")
    said = model.info(verbose=False, imgsz=256)
    assert said["params"] == 3_543_617
    assert said["gflops_legacy"] / 2 == pytest.approx(6.650, abs=5e-4)  # the paper counts multiply-adds once
    assert said["gflops_true"] / 2 == pytest.approx(4.88, abs=5e-3)
    assert (model.task, model.family, model.channels) == ("change", "network", 6)


@pytest.mark.parametrize(
    ("name", "variables", "params"),
    [
        ("ssa-net", {"groups": 4}, 2_662_337), ("fc-siam-diff", {}, 1_350_001), ("fc-siam-conc", {}, 1_545_841),
        ("tinycd", {}, 285_128), ("tinycd", {"bands": 4}, None), ("ssa-net-n", {"tied": True}, None),
    ],
)  # fmt: skip
def test_models_by_name(name, variables, params):
    model = RSDet(f"{name}.yaml", **variables)
    bands = variables.get("bands", 3)
    assert params in (None, sum(p.numel() for p in model.model.parameters()))
    with torch.inference_mode():
        assert model.model.eval()(torch.rand(1, 2 * bands, 64, 48)).shape == (1, 1, 64, 48)


def test_a_siamese_network_of_another_package():
    pytest.importorskip("segmentation_models_pytorch")
    model = RSDet("siamese-smp.yaml", options={"encoder_depth": 3, "decoder_channels": [16, 8, 4]})
    x = torch.rand(1, 6, 64, 64)
    x[:, 3:] = x[:, :3]
    with torch.inference_mode():
        first, second = model.model.eval()(x), model.model(torch.rand(1, 3, 64, 64).repeat(1, 2, 1, 1))
    torch.testing.assert_close(first, second)  # equal dates say nothing, whatever they show


def test_errors_have_their_colours():
    truth, found = np.array([[1, 0, 1, 0, 255]], np.uint8), np.array([[1, 1, 0, 0, 1]], np.uint8)
    assert error_map(truth, found)[0].tolist() == [
        [255, 255, 255], [220, 40, 40], [40, 190, 80], [0, 0, 0], [90, 90, 90],
    ]  # fmt: skip


def test_a_map_is_changed_from_the_threshold_on():
    found = change_map(np.array([[0.2, 0.5, 0.9]], np.float32), {0: "background", 1: "changed"}, 0.5, (8, 8))
    assert found.classes.tolist() == [[0, 1, 1]]
    np.testing.assert_allclose(found.confidence, [[0.8, 0.5, 0.9]], rtol=1e-6)


def test_changes_are_shown_in_the_later_date_alone():
    stack = np.full((64, 64, 6), 80, np.uint8)
    found = np.zeros((64, 64), np.uint8)
    found[20:40, 20:40] = 1
    shown = compared(stack, found)
    assert (shown[:64, :64] == 80).all()
    assert (shown[30, 68 + 30] != 80).any()


# ------------------------------------------------------------------------------------------------------ predictions


def run(*words, **kwargs):
    return cli.run(["predict", *words, *(f"{k}={v}" for k, v in kwargs.items())])


def test_pairs_are_compared_alike_without_pytorch(made, exported):
    folder, data = made
    where = {"project": folder, "verbose": False, "overlap": 16}
    sides = {"source": data.parent / "val" / "A", "source2": data.parent / "val" / "B"}
    assert run(model=folder / "w.pt", name="full", imgsz=64, **sides, **where) == 0
    words = ["predict", f"model={exported}", "name=light", *(f"{k}={v}" for k, v in {**sides, **where}.items())]
    code = f"{only()}\nfrom rsdet.cli import run\nsys.exit(run({words!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "2 pairs compared" in done.stdout
    for name in ("0", "1"):
        a, b = (np.asarray(Image.open(folder / r / "classes" / f"{name}.png")) for r in ("full", "light"))
        p, q = (np.asarray(Image.open(folder / r / "probability" / f"{name}.png"), int) for r in ("full", "light"))
        assert a.shape == (96, 96)
        assert 0 < a.mean() < 1
        assert (a != b).mean() < 1e-3
        assert np.abs(p - q).max() <= 1
        assert ((p >= 128) == (a == 1)).mean() > 0.99
    assert {p.name for p in (folder / "light").iterdir()} == {p.name for p in (folder / "full").iterdir()}
    with open(folder / "full" / "areas.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["name"] == "changed"]
    assert [int(r["pixels"]) for r in rows] == [
        int((np.asarray(Image.open(folder / "full" / "classes" / f"{i}.png")) == 1).sum()) for i in (0, 1)
    ]


def test_a_pair_in_python(made, exported):
    folder, data = made
    before, after = (data.parent / "val" / side / "0.png" for side in "AB")
    (result,) = RSDet(folder / "w.pt").predict(before, source2=after, imgsz=64, overlap=16, save=False, verbose=False)
    light = Comparer(exported).compare(before, after, overlap=16)
    assert result.probability.shape == result.orig_shape == (96, 96)
    np.testing.assert_allclose(result.probability, light.probability, atol=1e-2)
    assert len(result) >= 1
    assert result.changed.any()
    (swapped,) = RSDet(folder / "w.pt").predict(after, source2=before, imgsz=64, save=False, verbose=False)
    assert np.abs(swapped.probability - result.probability).max() > 1e-3  # two encoders of their own


def test_one_folder_may_hold_both_dates(made):
    _, data = made
    pairs = find_pairs(data.parent / "val").pairs
    assert [(p.before.parent.name, p.after.parent.name, p.before.name) for p in pairs] == [
        ("A", "B", "0.png"), ("A", "B", "1.png"),
    ]  # fmt: skip
    two = find_pairs(data.parent / "val" / "A" / "0.png", data.parent / "val" / "B" / "1.png").pairs
    assert [(p.before.name, p.after.name) for p in two] == [("0.png", "1.png")]  # two files are a pair


def test_a_tile_of_another_size_than_the_graph_is_refused(made, exported):
    with pytest.raises(ConfigError, match="64x64"):
        Comparer(exported).tile(128)
    assert Comparer(exported).tile() == 64


def test_openvino_proves_itself_and_compares_alike(made):
    pytest.importorskip("openvino")
    folder, data = made
    result = RSDet(folder / "w.pt").export(format="openvino", imgsz=64, out=folder, verbose=False)
    assert result.parity.ok
    before, after = (data.parent / "val" / side / "1.png" for side in "AB")
    (full,) = RSDet(folder / "w.pt").predict(before, source2=after, imgsz=64, save=False, verbose=False)
    np.testing.assert_allclose(full.probability, Comparer(result.path).compare(before, after).probability, atol=1e-2)


def test_a_benchmark_times_pairs_from_their_files_and_measures_them(made, tmp_path, monkeypatch):
    (folder, data), read = made, []
    monkeypatch.setattr(samples, "read_folder", lambda *args: (read.append(args[0]), read_folder(*args))[1])
    quick = dict(rounds=2, min_s=0.0, warmup_s=0.0, memory=False, verbose=False)
    result = RSDet(folder / "w.pt").benchmark(formats=("pytorch",), imgsz=64, data=data, out=tmp_path, **quick)
    (row,) = result.rows
    assert len(read) >= row.end_to_end.n >= 2
    assert next(iter(row.accuracy)) == "F1"
    assert result.settings["pictures"] == "2 of the validation split of places.yaml"
    assert len(result.pictures) == 2
    assert result.html.is_file()


def test_what_proves_an_export_is_the_users_or_of_the_data_or_rendered(made):
    folder, data = made
    model, size = RSDet(folder / "w.pt"), (64, 64)
    stacks = sample_pairs(model, size, None)
    assert {x.shape for x in stacks} == {(64, 64, 6)}
    assert (stacks[0][:32, :16, :3] != stacks[0][:32, :16, 3:]).any()  # two dates
    one, two = (data.parent / "val" / side / "0.png" for side in "AB")
    given = sample_pairs(model, size, [(one, two), data.parent / "val", stacks[0]])
    assert (given[0] == given[1]).all()
    assert [x.shape for x in given] == [(96, 96, 6), (96, 96, 6), (96, 96, 6), (64, 64, 6)]  # two of the folder
    with pytest.raises(DataError, match="holds 2 pairs"):
        read_folder(data.parent / "val", {})
    with pytest.raises(DataError, match="bands"):
        sample_pairs(model, size, [np.zeros((64, 64, 4), np.uint8)])


def said_of(capsys):
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rsdet: error: ")]
    assert len(errors) == 1
    return errors[0]


@pytest.mark.parametrize(
    ("source", "source2", "told"),
    [
        ("val/A/0.png", None, "source2="),
        ("val/A", None, "source2="),
        ("val/A/0.png", "val/A/0.png", "one picture"),
        ("val/A/0.png", "copy.png", "one picture"),
        ("val/A/0.png", "small.png", "96x96 and 50x50"),
        ("val/A/0.png", "nowhere.png", "does not exist"),
        ("val/A", "others", "no two have one name"),
        ("val/A/0.png", "gray.tif", "bands"),
    ],
)
def test_what_is_no_pair_is_refused_in_one_line(made, tmp_path, capsys, source, source2, told):
    folder, data = made
    root = data.parent
    shutil.copy(root / "val" / "A" / "0.png", root / "copy.png")
    write_image(root / "small.png", place(0, 50)[0])
    write_image(root / "gray.tif", place(0, 96)[0][..., :1])
    write_image(root / "others" / "x.png", place(0)[0])
    write_image(root / "others" / "y.png", place(1)[0])
    words = {"source": root / source, **({} if source2 is None else {"source2": root / source2})}
    assert run(model=folder / "w.pt", project=tmp_path, **words) == 2
    assert told in said_of(capsys)
    assert not list(tmp_path.iterdir())


def test_good_pairs_are_done_where_others_cannot_be(made, tmp_path, capsys):
    folder, data = made
    for side in "AB":
        shutil.copytree(data.parent / "val" / side, tmp_path / side)
    write_image(tmp_path / "A" / "alone.png", place(5)[0])
    for side, size in (("A", 96), ("B", 80)):
        write_image(tmp_path / side / "uneven.png", place(6, size)[0])
    words = {"source": tmp_path / "A", "source2": tmp_path / "B"}
    assert run(model=folder / "w.pt", project=tmp_path, name="out", imgsz=64, **words) == 2
    said = said_of(capsys)
    assert "2 left out, all others are done" in said
    assert "alone" in said
    assert "uneven" in said
    assert sorted(p.name for p in (tmp_path / "out" / "classes").iterdir()) == ["0.png", "1.png"]


def test_more_than_8_bits_are_refused(tmp_path):
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.png"), (65535 * place(1, 64)[0]).astype(np.uint16))
    with pytest.raises(DataError, match="8 bits"):
        PairReader(3)(DatePair(tmp_path / "a.png", tmp_path / "b.png"))

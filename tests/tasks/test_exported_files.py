"""Exported files of the tasks with loops of their own predict, without PyTorch, what their networks predict with it."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import anomaly_fakes
import cv2
import landcover_fakes
import numpy as np
import pytest
import restore_fakes
import torch
from runtime_list import ROOT, only

from rsdet import RSDet, cli

rasterio = pytest.importorskip("rasterio")
pytest.importorskip("onnxruntime")
PLACE = {"crs": "EPSG:32633", "transform": rasterio.Affine(2, 0, 4e5, 0, -2, 53e5)}
SIZES = {"tiles": (61, 45), "one": (32, 32), "less": (20, 27)}  # of a graph of 32 px


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with weights, a file and sources of each task, and what the file alone has made of the sources."""
    folder = tmp_path_factory.mktemp("exported")
    torch.manual_seed(0)
    _restore(folder)
    _anomaly(folder)
    _landcover(folder)
    for task in ("restore", "anomaly", "landcover"):
        RSDet(folder / f"{task}.pt").export(
            imgsz=3 if task == "landcover" else 32, out=folder / f"{task}.onnx", verbose=False,
            dynamic="batch" if task == "landcover" else False,
        )  # fmt: skip
    code = "from rsdet.cli import run\nassert not any(map(run, {}))\nassert 'torch' not in sys.modules"
    lines = [words(folder, task, "light", ".onnx") for task in ("restore", "restore-place", "anomaly", "landcover")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", only("rasterio") + code.format(lines)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def words(folder: Path, what: str, run: str, suffix: str) -> list[str]:
    """Arguments of a prediction."""
    task = what.partition("-")[0]
    own = {
        "restore": [f"source={folder / 'pictures'}"] + (["tile=32"] if suffix == ".pt" else []),
        "restore-place": [f"source={folder / 'placed.tif'}", "tile=32"],
        "anomaly": [f"source={folder / 'scene.npy'}", "far=0.01"] + (["tile=32"] if suffix == ".pt" else []),
        "landcover": [f"source={folder / 'holed.npy'}", f"lidar={folder / 'height.npy'}", "save_probabilities=True"],
    }[what]
    return ["predict", f"model={folder / task}{suffix}", *own, f"project={folder / run}", f"name={what}"]


def both(folder: Path, what: str) -> tuple[Path, Path]:
    """Folders of the file's prediction and of the network's."""
    if not (folder / "full" / what).exists():
        assert cli.run(words(folder, what, "full", ".pt")) == 0
    light, full = folder / "light" / what, folder / "full" / what
    names = [{str(p.relative_to(x)) for p in x.rglob("*") if p.is_file()} for x in (light, full)]
    assert names[0] == {n for n in names[1] if not n.endswith("_spectra.png")}  # which Matplotlib draws
    return light, full


def _restore(folder: Path) -> None:
    model = RSDet(restore_fakes.model_yaml(folder, kind="superres"), upscale=2)
    torch.nn.init.normal_(model.model.network.b.weight, std=0.05)
    model.save(str(folder / "restore.pt"))
    (folder / "pictures").mkdir()
    for i, (name, (h, w)) in enumerate(SIZES.items()):
        picture = restore_fakes.clear_picture(np.random.default_rng(i), 64, bits=16 if name == "tiles" else 8)[:h, :w]
        cv2.imwrite(str(folder / "pictures" / f"{name}.png"), picture)
    values = restore_fakes.clear_picture(np.random.default_rng(9), 72, bits=16)[:, :50]
    with rasterio.open(
        folder / "placed.tif", "w", driver="GTiff", height=72, width=50, count=3, dtype="uint16", **PLACE
    ) as f:
        f.write(values.transpose(2, 0, 1))


def _anomaly(folder: Path) -> None:
    model = RSDet(anomaly_fakes.model_yaml(folder))
    torch.nn.init.normal_(model.model.network.out.weight, std=0.05)
    model.model.yaml = {**model.model.yaml, "anomaly": {"bands": [1, 2, 4, 5, 7, 8], "score_on": "recon"}}
    model.save(str(folder / "anomaly.pt"))
    cube = anomaly_fakes.cube(3, (45, 51), 8)[0].astype(np.float32)
    cube[..., 2] = 7.0  # a dead band, which the training had left out
    cube[11, 30, 4] = np.nan
    np.save(folder / "scene.npy", cube)


def _landcover(folder: Path) -> None:
    landcover_fakes.enlivened(RSDet(landcover_fakes.model_yaml(folder))).save(str(folder / "landcover.pt"))
    cube, height, _ = landcover_fakes.scene()
    cube[3, 5, 2] = np.nan
    np.save(folder / "holed.npy", cube)
    np.save(folder / "height.npy", height)


def test_pictures_of_any_size_are_restored_alike(made):
    light, full = both(made, "restore")
    for name, (h, w) in SIZES.items():
        a, b = (cv2.imread(str(x / f"{name}.png"), cv2.IMREAD_UNCHANGED) for x in (light, full))
        assert a.shape == b.shape == (2 * h, 2 * w, 3)
        assert a.dtype == (np.uint16 if name == "tiles" else np.uint8)
        rim = 8 if name == "less" else 0  # where a small picture ends the graph's input goes on
        inside = np.s_[: 2 * h - rim, : 2 * w - rim]
        assert np.abs(a[inside].astype(int) - b[inside]).max() <= (2 if a.dtype == np.uint16 else 1)
    assert "3 pictures restored" in (made / "said.txt").read_text()


def test_a_raster_keeps_its_place_on_earth(made):
    light, full = both(made, "restore-place")
    with rasterio.open(light / "placed.tif") as a, rasterio.open(full / "placed.tif") as b:
        assert (a.crs, a.transform) == (b.crs, b.transform) == (PLACE["crs"], rasterio.Affine(1, 0, 4e5, 0, -1, 53e5))
        assert np.abs(a.read().astype(int) - b.read()).max() <= 2


def test_a_cube_is_searched_in_the_bands_of_the_training(made):
    light, full = both(made, "anomaly")
    scores, masks = (
        [rasterio.open(folder / f"scene_{what}.tif").read(1) for folder in (light, full)] for what in ("score", "mask")
    )
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-3)
    assert np.isnan(scores[0]).sum() == 1
    assert np.array_equal(*masks)
    tables = [list(csv.DictReader((x / "scene_finds.csv").open(newline=""))) for x in (light, full)]
    places = [[(row["x1"], row["y1"], row["x2"], row["y2"]) for row in rows] for rows in tables]
    assert len(places[0]) >= 1
    assert places[0] == places[1]
    assert "matplotlib is not installed" in (made / "said.txt").read_text()


def test_a_cube_is_mapped_with_its_lidar(made):
    light, full = both(made, "landcover")
    probs = [rasterio.open(x / "probabilities" / "holed.tif").read() for x in (light, full)]
    np.testing.assert_allclose(*probs, atol=1e-4)
    classes = [rasterio.open(x / "classes" / "holed.tif").read(1) for x in (light, full)]
    best = np.sort(np.nan_to_num(probs[1]), axis=0)
    tied = best[-1] - best[-2] < 1e-3
    assert ((classes[0] == classes[1]) | tied).all()
    assert (classes[0] == 0).sum() == 1 == (classes[0][3, 5] == 0)
    assert len(np.unique(classes[0])) > 2


@pytest.mark.parametrize(
    ("what", "more", "message"),
    [
        ("restore", ["tile=64"], r"tile=64: restore\.onnx takes tiles of 32x32 px; leave tile= out"),
        ("restore", ["overlap=0.5"], "overlap=0.5 is a share of a tile"),
        ("restore", ["save_routes=True"], r"restore\.onnx is exported and gives pictures alone; use its weights"),
        ("anomaly", ["tile=64"], "tile=64: this exported file takes 32 px; leave tile= out"),
        ("anomaly", ["far=0.1", "threshold=3"], "two thresholds"),
        ("anomaly", ["bands=1-2"], "2 usable bands, the network takes 6"),
        ("landcover", ["lidar=[]"], "takes 1 rasters of LiDAR, received 0; pass them as lidar="),
        ("landcover", ["imgsz=64"], "imgsz= is for pictures"),
    ],
)
def test_what_a_file_cannot_do_is_one_line(made, tmp_path, capsys, what, more, message):
    keys = {m.partition("=")[0] for m in more} | {"project"}
    line = [w for w in words(made, what, "never", ".onnx") if w.partition("=")[0] not in keys]
    assert cli.run([*line, *more, f"project={tmp_path / 'never'}"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert re.search(message, said), said
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and not p.name.startswith(".")]


@pytest.mark.parametrize("task", ["restore", "anomaly", "landcover"])
def test_python_finds_the_same_with_the_file(made, task, monkeypatch):
    source = {"restore": "pictures/tiles.png", "anomaly": "scene.npy", "landcover": "holed.npy"}[task]
    more = {"lidar": str(made / "height.npy")} if task == "landcover" else {}
    tile = {} if task == "landcover" else {"tile": 32}
    with monkeypatch.context() as m:  # a machine with a GPU that nobody asks for, and an ONNX Runtime for the CPU
        m.setattr(f"rsdet.tasks.{task}.predict.select_device", lambda *args, **kwargs: torch.device("cuda:0"))
        a = RSDet(made / f"{task}.onnx").predict(made / source, verbose=False, **more)[0]
    b = RSDet(made / f"{task}.pt").predict(made / source, verbose=False, **more, **tile)[0]
    if task == "landcover":
        assert (a.classes == b.classes).mean() > 0.99
    else:
        x, y = (r.image if task == "restore" else r.score / np.nanmax(r.score) for r in (a, b))
        np.testing.assert_allclose(x, y, atol=1e-4)

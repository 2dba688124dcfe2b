"""A chain exported with its detector: files beside a JSON, which predict, val and benchmark run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import TINY
from enhancers import Invert, Slow, lively, noise_picture, tiny_weights_of
from exported import stock_export

from rsdet import RSDet
from rsdet.cli import run
from rsdet.deploy.benchmark import benchmark
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.enhance.chain import EnhanceChain
from rsdet.enhance.chain_json import ChainFile, write_chain_json
from rsdet.enhance.loading import load_chain
from rsdet.enhance.network import NetworkEnhancer
from rsdet.errors import CheckpointError, ConfigError
from rsdet.runtime import light

QUIET = dict(conf=1e-6, save=False, verbose=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector and two networks, one that enlarges."""
    folder = tmp_path_factory.mktemp("export")
    lively(RSDet("vmc-detr-demo.yaml", **TINY)).save(folder / "det.pt")
    tiny_weights_of(folder)
    tiny_weights_of(folder, 2)
    noise_picture(folder / "in" / "a.png", (60, 92))
    return folder


def parts(folder):
    return [
        str(folder / "tiny-gain-x1-c3.pt"),
        {"model": "dcp.yaml", "patch_px": 7},
        str(folder / "tiny-gain-x2-c3.pt"),
    ]


@pytest.fixture(scope="module")
def exported(folder):
    chain = dict(enhance=parts(folder), enhance_tile=64, enhance_overlap=16)
    out = RSDet(folder / "det.pt").export(format="onnx", imgsz=96, out=folder / "out", verbose=False, **chain)
    assert out.path == folder / "out" / "chain.json"
    return out.path


def test_the_json_names_every_part(exported):
    d = json.loads(exported.read_text())
    assert d["enhance"] == ["tiny-gain-x1-c3-64.onnx", {"model": "dcp.yaml", "patch_px": 7}, "tiny-gain-x2-c3-64.onnx"]
    assert (d["model"], d["enhance_overlap"], d["imgsz"]) == ("det-96.onnx", 16, [96, 96])
    assert ArtifactEnhancer(exported.parent / "tiny-gain-x1-c3-64.onnx").tile_hw == (64, 64)
    for name in ("tiny-gain-x1-c3-64.onnx", "tiny-gain-x2-c3-64.onnx", "det-96.onnx"):
        assert (exported.parent / name).is_file()
        assert len(d["sha256"][name]) == 64


def test_an_exported_network_makes_the_same_picture_at_any_size(exported, folder):
    for scale in (1, 2):
        network = RSDet(folder / f"tiny-gain-x{scale}-c3.pt").model.network
        artifact = ArtifactEnhancer(exported.parent / f"tiny-gain-x{scale}-c3-64.onnx")
        assert (artifact.scale, artifact.channels, artifact.local) == (scale, 3, True)
        for size in ((64, 64), (20, 30), (70, 64), (150, 91), (1, 1)):
            image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
            wanted = EnhanceChain([NetworkEnhancer(network)]).apply(image)
            got = EnhanceChain([artifact]).apply(image)
            inner = slice(None) if min(size) > 8 else slice(0, 0)  # what lies beyond the border differs by convention
            np.testing.assert_allclose(got[inner][4:-4, 4:-4], wanted[inner][4:-4, 4:-4], atol=1e-4)


def test_predict_runs_what_the_json_names(exported, folder, tmp_path):
    picture = folder / "in" / "a.png"
    by_hand = load_chain(exported).apply_bgr(cv2.imread(str(picture)))
    assert by_hand.shape == (120, 184, 3)
    wanted = RSDet(exported.parent / "det-96.onnx").predict(by_hand, **QUIET)[0]
    moved = shutil.copytree(exported.parent, tmp_path / "moved")
    found = RSDet(moved / "chain.json").predict(picture, **QUIET)[0]
    assert found.orig_shape == (60, 92)
    assert len(found) == len(wanted) == TINY["nq"]
    np.testing.assert_allclose(found.boxes.xyxy * 2, wanted.boxes.xyxy, atol=1e-3)
    plain = RSDet(moved / "chain.json").predict(picture, enhance="none", **QUIET)[0]
    assert np.abs(plain.boxes.xyxy.numpy() - found.boxes.xyxy.numpy()).max() > 0.01


@pytest.mark.slow
def test_the_command_line_exports_and_predicts(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"model={folder / 'det.pt'}", f"enhance={folder / 'tiny-gain-x1-c3.pt'}", "imgsz=96", "enhance_tile=64"]
    assert run(["export", *words, "out=chain"]) == 0
    assert "chain/chain.json" in capsys.readouterr().out
    args = ["predict", "model=chain/chain.json", f"source={folder / 'in'}", "conf=0.000001", "save_enhanced=True"]
    assert run(args) == 0
    assert "objects in 1 images" in capsys.readouterr().out
    assert cv2.imread("runs/detect/predict/enhanced/a.png").shape == (60, 92, 3)
    (tmp_path / "chain" / "det-96.onnx").unlink()
    assert run(args) == 2
    assert "det-96.onnx, which is not beside it" in capsys.readouterr().err


def test_the_small_runtime_finds_the_same_boxes_without_pytorch(exported, folder, tmp_path):
    """In a process of its own, which must not have imported torch or ultralytics in the end."""
    small = write_chain_json(
        exported.parent / "small.json",
        ChainFile(
            ["tiny-gain-x1-c3-64.onnx", "tiny-gain-x2-c3-64.onnx"], "det-96.onnx", enhance_tile=64, enhance_overlap=16
        ),
    )
    picture = folder / "in" / "a.png"
    code = (
        "import sys, json; from rsdet.cli import run; "
        f"status = run(['predict', 'model={small}', 'source={picture}', 'conf=0.000001', 'save_json=True', "
        f"'project={tmp_path}', 'name=small']); "
        "assert 'torch' not in sys.modules and 'ultralytics' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ms enhance" in done.stdout
    RSDet(small).predict(picture, save_json=True, project=tmp_path, name="full", **QUIET)
    one, two = (json.loads((tmp_path / n / "predictions.json").read_text()) for n in ("small", "full"))
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose([x["xyxy_px"] for x in a["boxes"]], [x["xyxy_px"] for x in b["boxes"]], atol=0.02)


def test_enhancers_may_be_named_without_a_json(exported, folder, tmp_path):
    enhance = [str(exported.parent / f"tiny-gain-x{scale}-c3-64.onnx") for scale in (1, 2)]
    words = {"source": str(folder / "in" / "a.png"), "project": str(tmp_path), "save_json": True, **QUIET}
    for name, given in (("small", {"enhance": enhance, "enhance_overlap": 16}), ("plain", {"enhance": "none"})):
        done = light.predict({"model": str(exported.parent / "det-96.onnx"), **words, **given, "name": name})
        assert done.objects == TINY["nq"]
    RSDet(folder / "det.pt").predict(**words, imgsz=96, enhance=enhance, enhance_overlap=16, name="full")
    (one,), (two,), (plain,) = (
        json.loads((tmp_path / n / "predictions.json").read_text()) for n in ("small", "full", "plain")
    )
    np.testing.assert_allclose([b["xyxy_px"] for b in one["boxes"]], [b["xyxy_px"] for b in two["boxes"]], atol=0.02)
    assert one["boxes"] != plain["boxes"]
    det = {"model": str(exported.parent / "det-96.onnx"), "conf": 1e-6}
    seen = [light.tiles({**det, **more}, 96) for more in ({}, {"enhance": enhance[0]}, {"enhance": enhance[1]})]
    identities = {json.dumps(tiles.identity, sort_keys=True) for tiles in seen}
    assert len(identities) == 3  # no run goes on with the tiles of another
    picture = cv2.imread(str(folder / "in" / "a.png"))
    boxes = [tiles.look([picture], 96)[0].boxes_xyxy.reshape(-1, 2, 2) for tiles in seen]
    # Pixels of the tile, not of one enlarged to 192: a network of any weights has its centres inside what it sees.
    assert all(len(b) > 5 and b.mean(1).max() < 97 for b in boxes)
    for given in ({"enhance": "dcp"}, {"enhance_tile": 64}, {"enhance": str(folder / "tiny-gain-x1-c3.pt")}):
        assert light.predict({"model": str(exported.parent / "det-96.onnx"), **words, **given}) is None


@pytest.mark.parametrize("kind", ["obb", "segment"])
def test_turned_boxes_and_masks_behind_a_chain_are_in_pixels_of_the_source(kind, exported, folder, tmp_path):
    shutil.copy(stock_export(kind, tmp_path, imgsz=96), exported.parent)
    chain = ChainFile(["tiny-gain-x2-c3-64.onnx"], f"{kind}.onnx", enhance_tile=64, enhance_overlap=16)
    small = str(write_chain_json(exported.parent / f"{kind}.json", chain))
    words = {"source": str(folder / "in" / "a.png"), "project": str(tmp_path), "save_json": True, **QUIET, "conf": 0.01}
    done = light.predict({"model": small, **words, "name": "small"})
    results = RSDet(small).predict(**words, name="full")
    assert done.objects == len(results[0]) > 3
    (one,), (two,) = (json.loads((tmp_path / n / "predictions.json").read_text()) for n in ("small", "full"))
    key = "corners_px" if kind == "obb" else "xyxy_px"
    np.testing.assert_allclose([x[key] for x in one["boxes"]], [x[key] for x in two["boxes"]], atol=0.02)
    if kind == "segment":
        for a, b in zip(one["boxes"], two["boxes"], strict=True):
            areas = [sum(cv2.contourArea(np.array(p, np.float32)) for p in box["polygons_px"]) for box in (a, b)]
            assert areas[0] == pytest.approx(areas[1], rel=1e-3, abs=1)


@pytest.mark.parametrize(
    ("enhance", "more", "says"),
    [
        ([Invert()], {}, "Python object without a file"),
        ([Slow()], {}, "nothing to export"),
        ("dcp.yaml", {"format": "coreml"}, "expected one of onnx"),
        ("dcp.yaml", {"out": "x.onnx"}, "must be a folder"),
        ("dcp.yaml", {"triton": True}, "triton=True with enhance=.*leave triton= out"),
        ("dcp.yaml", {"cpp": True}, "a chain of several files"),
    ],
)
def test_what_is_not_exported(folder, enhance, more, says):
    with pytest.raises(ConfigError, match=says):
        RSDet(folder / "det.pt").export(imgsz=96, enhance=enhance, verbose=False, **more)


def test_files_that_do_not_enhance(exported, folder, tmp_path):
    with pytest.raises(ConfigError, match="task='detect'"):
        load_chain(exported.parent / "det-96.onnx")
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_chain(tmp_path / "x.onnx")
    with pytest.raises(ConfigError, match="cannot be set"):
        load_chain({"model": str(exported.parent / "tiny-gain-x1-c3-64.onnx"), "width": 3})


def test_benchmark_times_every_part(folder, tmp_path):
    model = RSDet(folder / "det.pt")
    settings = dict(formats=["pytorch"], imgsz=96, rounds=2, min_s=0, warmup_s=0, memory=False, details=False)
    images = [folder / "in" / "a.png"]
    result = model.benchmark(images=images, enhance=parts(folder), out=tmp_path, verbose=False, **settings)
    names = [r["part"] for r in result.enhance]
    assert names == ["tiny-gain-x1-c3", "dcp", "tiny-gain-x2-c3", "chain"] or names[1].lower() == "dcp"
    assert [r["scale"] for r in result.enhance] == [1, 1, 2, 2]
    assert all(len(r["samples_ms"]) >= 2 for r in result.enhance)
    stored = json.loads(result.json.read_text())
    assert [r["part"] for r in stored["enhance"]] == names
    assert "tiny-gain-x2-c3 (superres, x2)" in stored["settings"]["enhance"]
    assert any("part by part" in str(t.title) for t in result.tables())
    with pytest.raises(ConfigError, match="minutes per picture"):
        benchmark(model, enhance=EnhanceChain([Slow()]), images=images, verbose=False, **settings)

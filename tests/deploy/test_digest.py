"""An exported file that was changed afterwards is refused, whoever loads it; one without a digest is taken as it is."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from exported import lively
from restore_fakes import model_yaml as restore_yaml

from rsdet import RSDet, digest
from rsdet.cli import run
from rsdet.data.scenes import render_scene
from rsdet.deploy.artifact import KEY, read_metadata, write_metadata
from rsdet.deploy.export import export
from rsdet.deploy.runners import open_runner
from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.errors import CheckpointError
from rsdet.runtime import Detector
from rsdet.runtime.backends import open_network

FORMATS = ["onnx", "openvino", "torchscript"]
PHOTO = np.ascontiguousarray(render_scene(0, (96, 128)).image[..., ::-1])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("files"), {}
    model = lively("yolo", folder)

    def get(format: str) -> Path:
        if format == "openvino":
            pytest.importorskip("openvino")
        if format not in made:
            made[format] = export(model, format, imgsz=64, images=[PHOTO], out=folder / "out", verbose=False).path
        return made[format]

    return get


def copied(source: Path, folder: Path) -> Path:
    return Path((shutil.copytree if source.is_dir() else shutil.copy)(source, folder / source.name))


def largest(path: Path) -> Path:
    return max(path.iterdir(), key=lambda f: f.stat().st_size) if path.is_dir() else path


def flip(path: Path, at: list[int]) -> None:
    """Flip a bit in each of some bytes."""
    content = bytearray(path.read_bytes())
    for i in at:
        content[i] ^= 4
    path.write_bytes(content)


def loaders(path: Path):
    yield lambda: RSDet(path)
    yield lambda: open_runner(path)
    yield lambda: read_metadata(path)
    if path.suffix != ".torchscript":
        yield lambda: open_network(path)
        yield lambda: Detector(path)


@pytest.mark.parametrize("format", FORMATS)
def test_three_flipped_bytes_of_the_weights_are_noticed_by_every_loader(format, files, tmp_path, capsys):
    path = copied(files(format), tmp_path)
    for load in loaders(path):
        load()  # as it was exported
    file, rng = largest(path), np.random.default_rng(0)
    if format == "torchscript":  # where a tensor lies in the archive
        with zipfile.ZipFile(file) as z:
            part = max((i for i in z.infolist() if "/data/" in i.filename), key=lambda i: i.file_size)
        begin, n = part.header_offset + 200, part.file_size - 200
    elif format == "onnx":
        weight = max(onnx.load(file).graph.initializer, key=lambda i: len(i.raw_data)).raw_data
        begin, n = file.read_bytes().index(weight), len(weight)
    else:
        begin, n = 0, file.stat().st_size
    flip(file, [begin + int(i) for i in rng.choice(n, 3, replace=False)])
    for load in loaders(path):
        with pytest.raises(CheckpointError, match=r"changed since it was exported.*export it again") as e:
            load()
        assert "\n" not in str(e.value)
    cv2.imwrite(str(tmp_path / "a.png"), PHOTO)
    assert run(["predict", f"model={path}", f"source={tmp_path / 'a.png'}"]) == 2
    assert "changed" in capsys.readouterr().err


@pytest.mark.parametrize("format", FORMATS)
def test_what_the_file_says_of_itself_is_part_of_it(format, files, tmp_path):
    path = copied(files(format), tmp_path)
    if format == "torchscript":
        parts = {}
        with zipfile.ZipFile(path) as z:
            parts = {n: z.read(n) for n in z.namelist()}
        with zipfile.ZipFile(path, "w") as z:
            for name, content in parts.items():
                z.writestr(name, content.replace(b'"conf": 0.25', b'"conf": 0.95'))
    else:
        file = path / "metadata.yaml" if path.is_dir() else path
        before, after = (b"conf: 0.25", b"conf: 0.95") if path.is_dir() else (b'"conf": 0.25', b'"conf": 0.95')
        assert before in file.read_bytes()
        file.write_bytes(file.read_bytes().replace(before, after))
    with pytest.raises(CheckpointError, match="changed"):
        read_metadata(path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_may_be_renamed_and_its_metadata_renewed(format, files, tmp_path):
    source = files(format)
    path = copied(source, tmp_path).rename(tmp_path / f"other{source.name.removeprefix('yolo-64')}")
    said = read_metadata(path)
    assert len(said[digest.KEY]) == 64
    write_metadata(path, format, {**said, "remark": "x"})
    assert read_metadata(path)["remark"] == "x"
    assert read_metadata(path)[digest.KEY] != said[digest.KEY]
    assert len(RSDet(path).predict(PHOTO, verbose=False)) == 1


def test_old_files_without_a_digest_load_with_no_complaint(files, tmp_path):
    graph = onnx.load(files("onnx"))
    for p in graph.metadata_props:
        if p.key == KEY:
            p.value = json.dumps({k: v for k, v in json.loads(p.value).items() if k != digest.KEY})
    onnx.save(graph, tmp_path / "old.onnx")
    for load in loaders(tmp_path / "old.onnx"):
        load()


def test_weights_beside_a_graph_belong_to_it(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"graph \n\x08location\x12\x07w.bytes rest")
    (tmp_path / "w.bytes").write_bytes(b"12345678")
    (tmp_path / "unrelated").write_bytes(b"1")
    before = digest.digest(tmp_path / "x.onnx")
    (tmp_path / "unrelated").write_bytes(b"2")
    assert digest.digest(tmp_path / "x.onnx") == before
    flip(tmp_path / "w.bytes", [3])
    assert digest.digest(tmp_path / "x.onnx") != before


def test_an_enhancer_is_checked_too(tmp_path):
    torch.manual_seed(0)
    made = RSDet(restore_yaml(tmp_path)).export(imgsz=32, out=tmp_path, verbose=False).path
    ArtifactEnhancer(made)
    content = made.read_bytes()
    flip(made, [content.index(b'"kind"') + 1])
    with pytest.raises(CheckpointError, match="changed"):
        ArtifactEnhancer(made)


def test_a_sidecar_that_is_cut_short_is_refused_wherever_it_ends(files, tmp_path):
    path = copied(files("openvino"), tmp_path)
    sidecar = path / "metadata.yaml"
    content = sidecar.read_bytes()
    for end in range(0, len(content) - 1, 7):
        sidecar.write_bytes(content[:end])
        for load in (lambda: RSDet(path), lambda: Detector(path)):
            with pytest.raises(CheckpointError):
                load()


def test_a_damaged_header_of_a_torchscript_archive_is_one_line(files, tmp_path):
    path = copied(files("torchscript"), tmp_path)
    with zipfile.ZipFile(path) as z:
        (part,) = (p for p in z.infolist() if p.filename.endswith("extra/rsdet.json"))
    for at in (part.header_offset, part.header_offset + 30):
        flip(path, [at])
        with pytest.raises(CheckpointError, match="copy or export it again"):
            RSDet(path)
        flip(path, [at])
    assert RSDet(path).task == "detect"

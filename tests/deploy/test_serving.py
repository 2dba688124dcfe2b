"""Beside an exported file: what Triton and a program in C++ need, true of the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from exported import lively

from rsdet.errors import ConfigError

TYPES = {1: "TYPE_FP32", 10: "TYPE_FP16", 7: "TYPE_INT64"}  # of ONNX
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[\w.-]+')


def parsed(text: str) -> dict:
    """A message of protobuf's text format: words, lists and messages of them."""
    tokens = TOKEN.findall(text)

    def value():
        token = tokens.pop(0)
        if token == "[":
            return listed()
        return message() if token == "{" else token.strip('"')

    def listed():
        found = []
        while tokens[0] != "]":
            found.append(value())
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return found

    def message():
        found = {}
        while tokens and tokens[0] != "}":
            key = tokens.pop(0)
            if tokens[0] == ":":
                tokens.pop(0)
            assert key not in found
            found[key] = value()
        if tokens:
            tokens.pop(0)
        return found

    return message()


def described(tensors) -> list[dict]:
    """Inputs or outputs of a graph, as a configuration has them."""
    return [
        {
            "name": t.name,
            "data_type": TYPES[t.type.tensor_type.elem_type],
            "dims": [str(d.dim_value) if d.HasField("dim_value") else "-1" for d in t.type.tensor_type.shape.dim],
        }
        for t in tensors
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    keys = {"imgsz": 64, "dynamic": "batch", "triton": True, "cpp": True, "verbose": False}
    return lively("yolo", folder).export(out=folder / "ships.onnx", **keys)


def test_the_configuration_is_that_of_the_graph(made):
    assert made.triton == made.path.with_name("ships_triton")
    folder = made.triton / "ships"
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == {
        "config.pbtxt", str(Path("1", "model.onnx")),
    }  # fmt: skip
    assert (folder / "1" / "model.onnx").read_bytes() == made.path.read_bytes()
    graph = onnx.load(made.path).graph
    assert parsed((folder / "config.pbtxt").read_text()) == {
        "name": "ships", "backend": "onnxruntime", "max_batch_size": "0",
        "input": described(graph.input), "output": described(graph.output),
    }  # fmt: skip
    assert described(graph.input)[0]["dims"] == ["-1", "3", "64", "64"]


def headers() -> Path | None:
    """Folder of ONNX Runtime's headers for C++, which its package for Python does not have."""
    places = [os.environ.get("ONNXRUNTIME_INCLUDE", ""), "/usr/include/onnxruntime", "/usr/local/include/onnxruntime"]
    return next((Path(p) for p in places if p and Path(p, "onnxruntime_cxx_api.h").is_file()), None)


def test_the_program_finds_what_python_finds(made, tmp_path):
    library = next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"), None)
    if headers() is None or library is None or shutil.which("g++") is None:
        pytest.skip("needs g++ and ONNX Runtime's headers for C++; ONNXRUNTIME_INCLUDE names their folder")
    linked, program = tmp_path / "libonnxruntime.so.1", tmp_path / "ships"
    os.symlink(library, linked)
    line = ["g++", "-std=c++17", "-Wall", str(made.cpp), f"-I{headers()}", str(linked), f"-Wl,-rpath,{tmp_path}"]
    subprocess.run([*line, "-o", str(program)], check=True, timeout=300)
    pixels = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    pixels.tofile(tmp_path / "pixels.raw")
    line = [str(program), str(made.path), "pixels.raw", *map(str, pixels.shape)]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: pixels})
    for output, values, said in zip(session.get_outputs(), expected, done.stdout.splitlines(), strict=True):
        assert said == " ".join([output.name, *map(str, values.shape)])
        ours = np.fromfile(tmp_path / f"{output.name}.raw", np.float32).reshape(values.shape)
        np.testing.assert_allclose(ours, values, rtol=1e-4, atol=1e-4)
    short = subprocess.run([*line[:-1], "128"], cwd=tmp_path, capture_output=True, text=True)
    assert short.returncode == 2
    assert "does not hold" in short.stderr


def test_the_program_is_short_and_named_for_the_file(made):
    text = made.cpp.read_text()
    assert made.cpp == made.path.with_suffix(".cpp")
    assert "ships.onnx pixels.raw" in text
    assert "MODEL" not in text
    assert len([line for line in text.splitlines() if line.strip()]) <= 60


@pytest.mark.parametrize("key", ["triton", "cpp"])
def test_for_another_format_they_are_refused(key, tmp_path):
    with pytest.raises(ConfigError, match=f"{key}=True with format=torchscript; expected format=onnx"):
        lively("yolo", tmp_path).export(format="torchscript", imgsz=64, out=tmp_path, **{key: True})

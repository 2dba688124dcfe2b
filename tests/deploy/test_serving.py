"""Beside an exported file: what Triton and a program in C++ need, true of the file."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from exported import lively
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, text_format

from rsdet.data.scenes import render_scene
from rsdet.deploy.serving import write_cpp, write_triton
from rsdet.errors import ConfigError
from rsdet.runtime import Detector

TYPES = {1: "TYPE_FP32", 10: "TYPE_FP16", 7: "TYPE_INT64"}  # of ONNX
FIELDS = {  # those of Triton's model_config.proto that are used here, by number: kind, name, label
    "ModelConfig": {1: ("STRING", "name"), 4: ("INT32", "max_batch_size"), 5: ("ModelInput", "input"),
                    6: ("ModelOutput", "output"), 17: ("STRING", "backend")},
    "ModelInput": {1: ("STRING", "name"), 2: ("DataType", "data_type"), 4: ("INT64", "dims")},
    "ModelOutput": {1: ("STRING", "name"), 2: ("DataType", "data_type"), 3: ("INT64", "dims")},
}  # fmt: skip
DATA_TYPES = {"TYPE_INVALID": 0, "TYPE_INT64": 9, "TYPE_FP16": 10, "TYPE_FP32": 11}
CONF = 0.05  # which the boxes of networks that nobody has trained reach
SEVERAL = ("input", "output", "dims")


def parsed(text: str) -> dict:
    """A configuration, read by protobuf's own parser of its text format."""
    file = descriptor_pb2.FileDescriptorProto(name="triton.proto", package="inference", syntax="proto3")
    kinds = file.enum_type.add(name="DataType")
    for name, number in DATA_TYPES.items():
        kinds.value.add(name=name, number=number)
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for number, (kind, name) in fields.items():
            field = described.field.add(name=name, number=number, label=3 if name in SEVERAL else 1)
            if kind.isupper():
                field.type = field.Type.Value(f"TYPE_{kind}")
            else:
                field.type_name = f".inference.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))()
    text_format.Parse(text, config)
    found = json_format.MessageToDict(config, preserving_proto_field_name=True)
    return {**found, "max_batch_size": config.max_batch_size}  # which is left out where it is 0


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
        "name": "ships", "backend": "onnxruntime", "max_batch_size": 0,
        "input": described(graph.input), "output": described(graph.output),
    }  # fmt: skip
    assert described(graph.input)[0]["dims"] == ["-1", "3", "64", "64"]


def for_cpp() -> tuple[Path, Path]:
    """Folders of ONNX Runtime's headers and of its library for C++, which must be of one version to be linked.

    Those of its release, unpacked where ``ONNXRUNTIME_ROOT`` says, or of the system. Headers alone, which
    ``ONNXRUNTIME_INCLUDE`` names, go with the library in the package for Python as long as they are not newer.
    """
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    root, include = (os.environ.get(f"ONNXRUNTIME_{key}", "") for key in ("ROOT", "INCLUDE"))
    own = Path(onnxruntime.__file__).parent / "capi"
    places = [(Path(root, "include"), Path(root, "lib"))] if root else []
    places += [(Path(include), own)] if include else []
    places += [
        (Path(base, "include", name), library)
        for base in ("/usr", "/usr/local")
        for name in ("onnxruntime", "onnxruntime/core/session")
        for library in (*Path(base, "lib").glob("*-linux-gnu"), Path(base, "lib"), own)
    ]
    for headers, library in places:
        if (headers / "onnxruntime_cxx_api.h").is_file() and any(library.glob("libonnxruntime.so*")):
            return headers, library
    asked = f"ONNXRUNTIME_ROOT={root or 'unset'}, ONNXRUNTIME_INCLUDE={include or 'unset'}"
    pytest.skip(f"no headers of ONNX Runtime for C++ (onnxruntime_cxx_api.h): {asked}, and none in /usr or /usr/local")


def unpacked(folder: Path, headers: Path, library: Path) -> None:
    """Lay ``onnxruntime/`` beside a program as its release is laid out: ``include/``, ``lib/libonnxruntime.so``."""
    (folder / "onnxruntime" / "lib").mkdir(parents=True)
    (folder / "onnxruntime" / "include").symlink_to(headers)
    file = next(p for p in sorted(library.glob("libonnxruntime.so*")) if p.is_file())
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # the linker's name, and the one that programs ask for
        (folder / "onnxruntime" / "lib" / name).symlink_to(file.resolve())


def instructions(text: str) -> list[list[str]]:
    """The command that compiles and the one that runs, as the program's own head has them."""
    return [shlex.split(line) for line in text[: text.index("*/")].splitlines() if line.startswith("     ")]


@pytest.fixture(scope="module")
def compiled(made):
    """The program, made as it says itself, without a warning; and the command that runs it."""
    unpacked(made.cpp.parent, *for_cpp())
    line, run = instructions(made.cpp.read_text())
    done = subprocess.run([*line, "-Wall", "-Wextra"], cwd=made.cpp.parent, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    return run


def answers(made, run: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run(run, cwd=made.cpp.parent, capture_output=True, text=True)


def test_the_program_finds_what_python_finds(made, compiled):
    pixels = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    folder = made.cpp.parent
    pixels.tofile(folder / "pixels.raw")
    line = [*compiled[:-4], *map(str, pixels.shape)]  # two at a time, as the graph's batch is free
    done = answers(made, line)
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    expected = session.run(None, {session.get_inputs()[0].name: pixels})
    for output, values, said in zip(session.get_outputs(), expected, done.stdout.splitlines(), strict=True):
        assert said == " ".join([output.name, *map(str, values.shape)])
        ours = np.fromfile(folder / f"{output.name}.raw", np.float32).reshape(values.shape)
        np.testing.assert_allclose(ours, values, rtol=1e-4, atol=1e-4)


def check_boxes(detector: Detector, answer: Callable[[np.ndarray], np.ndarray]) -> None:
    """Boxes decoded from what somebody else's run answers to a prepared picture are those of ``predict``."""
    picture = render_scene(0, (90, 120)).image[..., ::-1]  # oblong: it is scaled, and has margins
    x, place = detector.prepare(picture)
    found = detector.decode([answer(x)[0]], place, detector.rules(CONF))
    expected = detector.predict(picture, CONF)
    assert len(expected) > 3
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.boxes_xyxy, expected.boxes_xyxy, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-3)
    np.testing.assert_array_equal(found.classes, expected.classes)


def test_the_runtime_prepares_and_decodes_for_whoever_runs_the_file(made):
    session = onnxruntime.InferenceSession(str(made.path), providers=["CPUExecutionProvider"])
    check_boxes(Detector(made.path), lambda x: session.run(None, {"images": x})[0])


def test_its_boxes_of_a_picture_are_those_of_predict(made, compiled):
    def answer(x: np.ndarray) -> np.ndarray:
        x.tofile(made.cpp.parent / "pixels.raw")
        assert compiled[-4:] == [str(side) for side in x.shape]
        done = answers(made, compiled)
        assert done.returncode == 0, done.stderr
        name, *sides = done.stdout.split()
        return np.fromfile(made.cpp.parent / f"{name}.raw", np.float32).reshape([int(side) for side in sides])

    check_boxes(Detector(made.path), answer)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({-1: "128"}, "does not hold"),
        ({-1: "64x"}, "64x: not a side"),
        ({-2: "0"}, "0: not a side"),
        ({2: "absent.raw"}, "absent.raw"),
        ({1: "absent.onnx"}, "absent.onnx"),
    ],
)
def test_the_program_refuses_what_it_cannot_run_in_words(made, compiled, changed, says):
    np.zeros((1, 3, 64, 64), np.float32).tofile(made.cpp.parent / "pixels.raw")
    line = list(compiled)
    for place, word in changed.items():
        line[place] = word
    done = answers(made, line)
    assert done.returncode == 2
    assert says in done.stderr


def test_an_output_that_cannot_be_written_is_no_success(made, compiled, tmp_path):
    np.zeros((1, 3, 64, 64), np.float32).tofile(tmp_path / "pixels.raw")
    (tmp_path / "output0.raw").mkdir()
    program = [str(made.cpp.with_suffix("")), str(made.path), *compiled[2:]]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "output0.raw cannot be written" in done.stderr


def test_the_program_is_short_and_named_for_the_file(made):
    text = made.cpp.read_text()
    assert made.cpp == made.path.with_suffix(".cpp")
    assert "ships.onnx pixels.raw" in text
    assert "MODEL" not in text
    assert len([line for line in text.splitlines() if line.strip()]) <= 60


def test_the_program_says_what_its_own_graph_takes(made):
    text = made.cpp.read_text()
    line, run = instructions(text)
    assert line[:5] == ["g++", "-std=c++17", "ships.cpp", "-o", "ships"]
    assert run == ["./ships", "ships.onnx", "pixels.raw", "1", "3", "64", "64"]
    assert f"{made.metadata['preprocess']}." in " ".join(text.split())
    assert "letterbox" in made.metadata["preprocess"]


@pytest.mark.parametrize(
    "stem", ["it's", 'a "b" %s', "back\\slash\\", "two\nlines", "schöne 😀", "{sides}", "$(touch x)"]
)
def test_no_name_of_a_file_gets_into_the_program_or_out_of_its_quotes(made, tmp_path, stem):
    copy = Path(shutil.copy(made.path, tmp_path / f"{stem}.onnx"))
    text = write_cpp(copy, made.metadata).read_text(encoding="utf-8")
    assert text[text.index("*/") :] == made.cpp.read_text()[made.cpp.read_text().index("*/") :]
    line, run = instructions(text)
    if stem.isprintable():
        assert (line[2], run[:2]) == (f"{stem}.cpp", [f"./{stem}", f"{stem}.onnx"])
    config = write_triton(copy) / stem / "config.pbtxt"
    assert parsed(config.read_text(encoding="utf-8"))["name"] == stem


@pytest.mark.parametrize("key", ["triton", "cpp"])
def test_for_another_format_they_are_refused(key, tmp_path):
    with pytest.raises(ConfigError, match=f"{key}=True with format=torchscript; expected format=onnx"):
        lively("yolo", tmp_path).export(format="torchscript", imgsz=64, out=tmp_path, **{key: True})

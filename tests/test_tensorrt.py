"""Building, the engine file, loading and the trtexec line, against a stand-in for TensorRT: nothing is built here."""

from __future__ import annotations

import json
import os
import shlex
import sys

import numpy as np
import onnx
import pytest
import torch
from fake_tensorrt import DataType, Fake, zeros
from onnx import TensorProto, helper, numpy_helper

from rsdet.deploy.artifact import KEY, read_metadata
from rsdet.deploy.trt import build as building
from rsdet.deploy.trt import environment
from rsdet.deploy.trt.build import build_engine
from rsdet.deploy.trt.engine_file import adopt, check_device, read_engine, write_engine
from rsdet.deploy.trt.memory import estimate_memory
from rsdet.deploy.trt.runner import EngineRunner
from rsdet.deploy.trt.shapes import resolve_shapes
from rsdet.deploy.trt.trtexec import trtexec_command
from rsdet.errors import ConfigError, ExportError, MissingDependencyError, WriteError

HERE = {"gpu": "Orin", "compute_capability": "8.7", "cuda": "12.6", "driver": "540.4.0", "jetpack": "# R36"}
VERSIONS = ("8.6.2", "10.3.0", "10.15.1")


def small(dynamic=False, opset=17):
    """Convolution, softmax, top-k and a sum: one of each kind that the builder treats in its own way."""
    f = np.float32
    batch = "batch" if dynamic else 1
    nodes = [
        helper.make_node("Conv", ["images", "w"], ["c"], name="/model.0/conv/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], name="/model.0/act/Relu"),
        helper.make_node("Softmax", ["r"], ["s"], name="/model.1/Softmax", axis=-1),
        helper.make_node("Conv", ["s", "w1"], ["d"], name="/model.2/Conv"),
        helper.make_node("Shape", ["d"], ["n"], name="/model.2/Shape"),
        helper.make_node("Slice", ["n", "zero", "one"], ["n0"], name="/model.2/Slice"),
        helper.make_node("Concat", ["n0", "rest"], ["size"], name="/model.2/Concat", axis=0),
        helper.make_node("Reshape", ["d", "size"], ["flat"], name="/model.2/Reshape"),
        helper.make_node("TopK", ["flat", "k"], ["output0", "index"], name="/model.2/TopK"),
    ]
    constants = {
        "w": np.ones((4, 3, 3, 3), f), "w1": np.ones((1, 4, 1, 1), f), "k": np.int64([5]), "zero": np.int64([0]),
        "one": np.int64([1]), "rest": np.int64([-1]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, 32, 32])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    said = {"names": "{0: 'ship', 1: 'ä'}", "stride": "32", "task": "detect", "batch": "1", "imgsz": "[32, 32]",
            "args": "{'nms': False}"}  # fmt: skip
    said[KEY] = json.dumps({"family": "yolo", "names": {"0": "ship", "1": "ä"}})
    for k, v in said.items():
        model.metadata_props.add(key=k, value=v)
    return model


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(small(), str(path))
    return path


@pytest.fixture
def trt(request, monkeypatch):
    """The stand-in in place of the module, on a machine that pretends to have a GPU."""
    return pretend(monkeypatch, getattr(request, "param", "10.3.0"))


def pretend(monkeypatch, version):
    module = Fake(version)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: HERE["gpu"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 7))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (int(2e9), int(8e9)))
    monkeypatch.setattr(building, "cuda_name", lambda _: "cpu")  # where calibration batches are put
    return module


def layers(trt):
    return {n.name: n for n in trt.network.layers}


@pytest.mark.parametrize("trt", VERSIONS, indirect=True)
def test_an_fp16_engine_holds_the_risky_layers_and_only_them(trt, file, capsys):
    report = build_engine(file, half=True, workspace_mb=256)
    assert trt.calls == ["Logger", "Builder", "create_network", "parse", "create_builder_config",
                         "build_serialized_network"]  # fmt: skip
    assert trt.config.flags == {"FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.config.pools == {"WORKSPACE": 256_000_000}
    held = {n: v for n, v in layers(trt).items() if v.held is DataType.FLOAT}
    # The second layer of one node is found too; the shape and its integers are left alone.
    assert set(held) == {"/model.1/Softmax", "/model.1/Softmax_7", "/model.2/Reshape", "/model.2/TopK"}
    assert held["/model.2/TopK"].types == {0: DataType.FLOAT}  # not the indices
    assert report.path == file.with_suffix(".engine")
    assert set(report.fp32) == {"/model.1/Softmax", "/model.2/Reshape", "/model.2/TopK"}
    assert report.not_found == ()
    printed = capsys.readouterr().out
    assert "memory, estimated" in printed
    assert "engine ->" in printed
    assert all(len(line) for line in printed.splitlines())


@pytest.mark.parametrize("trt", VERSIONS, indirect=True)
def test_an_fp32_engine_sets_no_precision(trt, file):
    build_engine(file, verbose=False)
    assert trt.config.flags == set()
    assert not [n for n in trt.network.layers if n.held]


def test_the_file_says_where_it_was_built_and_ultralytics_reads_it(trt, file):
    from ultralytics.nn.backends.base import BaseBackend

    report = build_engine(file, half=True, verbose=False)
    offset, header = BaseBackend.engine_header(report.path)
    assert report.path.read_bytes()[offset:] == trt.engine
    assert header["names"] == {"0": "ship", "1": "ä"}
    assert (header["imgsz"], header["stride"], header["args"]) == ([32, 32], 32, {"nms": False})
    said = header[KEY]
    assert said["family"] == "yolo"
    assert (said["format"], said["half"]) == ("engine", True)
    assert said["engine"]["gpu"] == "Orin"
    assert said["engine"]["compute_capability"] == "8.7"
    assert said["engine"]["tensorrt"] == "10.3.0"
    assert said["engine"]["fp32_layers"]["/model.1/Softmax"].startswith("softmax")
    assert read_metadata(report.path)["names"] == {0: "ship", 1: "ä"}  # the way of all other formats
    assert read_metadata(report.path)["family"] == "yolo"


def test_further_layers_can_be_held_and_a_wrong_name_is_answered(trt, file):
    report = build_engine(file, half=True, fp32=["/model.0/conv/Conv"], verbose=False)
    assert layers(trt)["/model.0/conv/Conv"].held is DataType.FLOAT
    assert report.fp32["/model.0/conv/Conv"] == "asked for"
    with pytest.raises(ConfigError, match=r"/model\.0/conv/Con'.*Did you mean '/model\.0/conv/Conv'"):
        build_engine(file, half=True, fp32=["/model.0/conv/Con"], verbose=False)


def test_layers_that_the_parser_renamed_are_reported(trt, file, monkeypatch):
    monkeypatch.setattr(building, "fp32_layers", lambda _: {"/gone": "folded away", "/model.1/Softmax": "softmax"})
    report = build_engine(file, half=True, verbose=False)
    assert report.not_found == ("/gone",)
    assert "1 more not found" in report.summary()
    assert "/gone" not in read_engine(report.path)[0][KEY]["engine"]["fp32_layers"]


@pytest.mark.parametrize(("trt", "words"), [("8.6.2", "Relu"), ("10.3.0", "Relu")], indirect=["trt"])
def test_a_graph_that_does_not_parse_names_the_layer(trt, words, file):
    trt.fail = "parse"
    with pytest.raises(ExportError, match=r"net\.onnx.*no importer for this.*/model\.0/act/Relu \(Relu\)") as e:
        build_engine(file, verbose=False)
    assert "\n" not in str(e.value)
    assert not file.with_suffix(".engine").exists()


def test_a_build_without_a_result_is_one_line(trt, file):
    trt.fail = "build"
    with pytest.raises(ExportError, match=r"built no engine.*workspace=") as e:
        build_engine(file, verbose=False)
    assert "\n" not in str(e.value)
    assert [p.name for p in file.parent.iterdir()] == ["net.onnx"]


def test_an_unsupported_graph_is_refused_before_the_build(trt, tmp_path):
    onnx.save(small(opset=16), str(tmp_path / "old.onnx"))
    with pytest.raises(ExportError, match="opset 16"):
        build_engine(tmp_path / "old.onnx", verbose=False)
    assert trt.calls == []


def test_a_full_disk_leaves_nothing_half(trt, file, monkeypatch):
    target = file.with_suffix(".engine")
    target.write_bytes(b"the one before")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match=r"no space is left.*free some space"):
        build_engine(file, verbose=False)
    assert target.read_bytes() == b"the one before"
    assert sorted(p.name for p in file.parent.iterdir()) == ["net.engine", "net.onnx"]


# ------------------------------------------------------------------------------------------------- shapes and caches

SHAPES = [(1, 3, 32, 32), (2, 3, 32, 32), (4, 3, 32, 32)]


@pytest.mark.parametrize("trt", VERSIONS, indirect=True)
def test_dynamic_inputs_get_a_profile(trt, tmp_path):
    onnx.save(small(dynamic=True), str(tmp_path / "net.onnx"))
    report = build_engine(tmp_path / "net.onnx", opt_shapes=SHAPES, verbose=False)
    assert trt.config.profiles[0].shapes == {"images": tuple(SHAPES)}
    assert read_engine(report.path)[0][KEY]["engine"]["shapes"] == {"images": [list(s) for s in SHAPES]}
    assert "--minShapes=images:1x3x32x32 --optShapes=images:2x3x32x32 --maxShapes=images:4x3x32x32" in report.command


@pytest.mark.parametrize(
    ("dynamic", "given", "words"),
    [
        (True, None, "open shape"),
        (True, SHAPES[:2], "min <= opt <= max"),
        (True, [(2, 3, 32, 32), (1, 3, 32, 32), (4, 3, 32, 32)], "min <= opt <= max"),
        (True, [(1, 3, 32, 64), (2, 3, 32, 64), (4, 3, 32, 64)], "of the form"),
        (True, [(1, 3, 32), (1, 3, 32), (1, 3, 32)], "of the form"),
        (True, {"image": SHAPES}, "no input of the graph"),
        (False, SHAPES, "fixed shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(dynamic, given, words):
    with pytest.raises(ConfigError, match=words) as e:
        resolve_shapes(small(dynamic), given)
    assert "\n" not in str(e.value)


def test_timings_are_kept_and_those_of_another_version_replaced(trt, file, tmp_path):
    cache = tmp_path / "timings"
    build_engine(file, timing_cache=cache, verbose=False)
    assert cache.read_bytes() == b"timings of 10.3.0"
    build_engine(file, timing_cache=cache, verbose=False)
    assert trt.config.cache.data == b"timings of 10.3.0"
    cache.write_bytes(b"timings of 8.6.2")
    build_engine(file, timing_cache=cache, verbose=False)
    assert trt.config.cache.data == b""
    assert cache.read_bytes() == b"timings of 10.3.0"


def test_int8_is_for_convolutions_only_and_calibrated_once(trt, file, tmp_path):
    cache = tmp_path / "ranges"
    report = build_engine(
        file, int8=True, calibration=[zeros(2, 3, 32, 32)] * 3, calibration_cache=cache, verbose=False
    )
    assert trt.config.flags == {"FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}
    assert trt.config.int8_calibrator.images == 6
    assert cache.read_bytes() == b"ranges"
    free = {n for n, v in layers(trt).items() if v.held is None}
    assert free == {"/model.0/conv/Conv", "/model.0/act/Relu", "/model.2/Shape", "/model.2/Slice", "/model.2/Concat"}
    assert layers(trt)["/model.2/Conv"].held is DataType.HALF  # the head
    assert report.int8 == 2
    build_engine(file, int8=True, calibration_cache=cache, verbose=False)  # from the cache, without images
    assert trt.config.int8_calibrator.images == 0


def test_int8_without_images_or_cache_is_refused(trt, file):
    with pytest.raises(ConfigError, match="calibration images"):
        build_engine(file, int8=True, verbose=False)


def test_from_11_on_precision_is_in_the_graph(monkeypatch, file):
    trt = pretend(monkeypatch, "11.0.0")
    build_engine(file, half=True, verbose=False)
    assert trt.config.flags == set()
    types = {t.name: t.data_type for t in trt.parsed.graph.initializer}
    assert types["w"] == TensorProto.FLOAT16
    assert trt.parsed.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT
    softmax = next(n for n in trt.parsed.graph.node if n.op_type == "Softmax")
    before = next(n for n in trt.parsed.graph.node if softmax.input[0] in n.output)
    assert (before.op_type, before.attribute[0].i) == ("Cast", TensorProto.FLOAT)
    with pytest.raises(ExportError, match="calibration"):
        build_engine(file, int8=True, calibration=[zeros(1, 3, 32, 32)], verbose=False)


def test_strong_typing_can_be_asked_for_from_10_on(monkeypatch, file):
    trt = pretend(monkeypatch, "10.3.0")
    build_engine(file, half=True, typed=True, verbose=False)
    assert trt.typed
    assert trt.config.flags == set()
    pretend(monkeypatch, "8.6.2")
    with pytest.raises(ConfigError, match="10 or later"):
        build_engine(file, half=True, typed=True, verbose=False)


# ------------------------------------------------------------------------------------------------- what is missing


def test_without_tensorrt_the_command_lies_beside_the_graph(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependencyError, match=r"JetPack 6.*desktop.*net\.trtexec\.txt") as e:
        build_engine(file, half=True, verbose=False)
    assert "\n" not in str(e.value)
    note, command = (file.parent / "net.trtexec.txt").read_text().splitlines()
    assert note.startswith("#")
    assert command == trtexec_command(file, half=True)
    assert not file.with_suffix(".engine").exists()


def test_without_a_gpu_one_line_says_so(trt, file, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDependencyError, match=r"no NVIDIA GPU.*PyTorch"):
        build_engine(file, verbose=False)


@pytest.mark.parametrize(
    ("version", "machine", "capability", "words"),
    [
        ("10.2.0", "x86_64", (8, 9), "wrong results"),
        ("10.13.3", "aarch64", (11, 0), "10.15"),
        ("8.5.2", "aarch64", (8, 7), "JetPack 6"),
    ],
)
def test_versions_known_to_be_wrong_are_refused(version, machine, capability, words, monkeypatch):
    pretend(monkeypatch, version)
    monkeypatch.setattr(environment.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    with pytest.raises(ExportError, match=words):
        environment.require_tensorrt()


def test_the_command_has_every_flag_and_survives_a_shell(tmp_path):
    path = tmp_path / "a net.onnx"
    onnx.save(small(dynamic=True), str(path))
    words = shlex.split(
        trtexec_command(path, half=True, workspace_mb=512, opt_shapes=SHAPES, timing_cache="t.cache", engine="e.engine")
    )
    flags = dict(w.lstrip("-").split("=", 1) if "=" in w else (w.lstrip("-"), "") for w in words[1:])
    assert words[0] == "trtexec"
    assert flags["onnx"] == str(path)
    assert (flags["saveEngine"], flags["memPoolSize"]) == ("e.engine", "workspace:512")
    assert (flags["fp16"], flags["precisionConstraints"], flags["timingCacheFile"]) == ("", "obey", "t.cache")
    assert "/model.1/Softmax:fp32" in flags["layerPrecisions"].split(",")
    assert "/model.2/TopK:fp32+int32" in flags["layerOutputTypes"].split(",")
    assert flags["maxShapes"] == "images:4x3x32x32"
    plain = trtexec_command(path, opt_shapes=SHAPES)
    assert "fp16" not in plain
    assert "layerPrecisions" not in plain
    with pytest.raises(ConfigError, match="mixed_precision"):
        trtexec_command(path, half=True, opt_shapes=SHAPES, version="11.0")


# ------------------------------------------------------------------------------------------------- the engine file


def test_torn_changed_and_foreign_files_are_refused(tmp_path):
    path = write_engine(tmp_path / "m.engine", b"x" * 100, {"task": "detect", KEY: {"family": "yolo"}})
    metadata, engine = read_engine(path)
    assert (metadata["task"], engine) == ("detect", b"x" * 100)
    whole = path.read_bytes()
    for content, words in [
        (whole[:-1], "truncated"),
        (whole[:-100], "truncated"),
        (whole[:-1] + b"y", "changed"),
        (whole[:20], "no header"),
        (b"", "no header"),
        (b"ftrt" + bytes(200), "no header"),
        (b"\x02\x00\x00\x00[]" + b"plan", "no header"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ExportError, match=words) as e:
            EngineRunner(path)
        assert "\n" not in str(e.value)
    with pytest.raises(ConfigError, match="does not exist"):
        EngineRunner(tmp_path / "none.engine")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tensorrt", "8.6.2", "TensorRT 8.6.2 and this is TensorRT 10.3.0"),
        ("compute_capability", "7.2", "compute capability 7.2"),
        ("gpu", "Xavier", "GPU Xavier"),
    ],
)
def test_an_engine_of_another_machine_is_refused_in_one_line(key, value, words):
    here = {"tensorrt": "10.3.0", "compute_capability": "8.7", "gpu": "Orin"}
    with pytest.raises(ExportError, match=words) as e:
        check_device({KEY: {"engine": {**here, key: value}}}, "m.engine", here)
    assert "\n" not in str(e.value)
    check_device({KEY: {"engine": here}}, "m.engine", here)
    check_device({"task": "detect"}, "stock.engine", here)  # Ultralytics writes none of this


def test_an_engine_by_trtexec_gets_its_header(trt, file):
    path = file.with_suffix(".engine")
    path.write_bytes(trt.engine)
    adopt(path, file)
    assert read_metadata(path)["family"] == "yolo"
    assert read_engine(path)[0][KEY]["engine"]["gpu"] == "Orin"
    with pytest.raises(ExportError, match="already"):
        adopt(path, file)


# ------------------------------------------------------------------------------------------------- running


class NoStream:
    cuda_stream = 7

    def __init__(self, *_):
        pass

    def synchronize(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_the_runner_binds_every_tensor_and_follows_the_batch(trt, file, monkeypatch):
    from rsdet.deploy.trt import runner as running

    report = build_engine(file, verbose=False)
    monkeypatch.setattr(running, "cuda_name", lambda _: "cpu")  # tensors of the processor stand for those of the GPU
    monkeypatch.setattr(torch.cuda, "Stream", NoStream)
    for name in ("device", "stream"):
        monkeypatch.setattr(torch.cuda, name, NoStream)
    run = EngineRunner(report.path, 0)
    for batch in (1, 3):
        out = run(np.full((batch, 3, 32, 32), 0.5, np.float32))
        assert out.shape == (batch, 5, 6)
        assert out.dtype == np.float32
        assert trt.context.addresses["images"] == run.buffers["images"].data_ptr()
        assert float(run.buffers["images"].mean()) == 0.5
    for wrong in ((5, 3, 32, 32), (1, 3, 64, 64), (1, 3, 32)):
        with pytest.raises(RuntimeError, match="profile"):
            run(zeros(*wrong))
    trt.fail = "run"
    with pytest.raises(RuntimeError, match="could not run"):
        run(zeros(1, 3, 32, 32))
    with pytest.raises(ConfigError, match="expected a GPU"):
        EngineRunner(report.path, "cpu")
    trt.engine = b"another plan"
    with pytest.raises(ExportError, match="cannot be loaded"):
        EngineRunner(report.path, 0)


# ------------------------------------------------------------------------------------------------- memory


def test_memory_counts_weights_and_what_lives_at_once():
    shapes = {"images": (4, 3, 32, 32)}
    full = estimate_memory(small(dynamic=True), shapes=shapes, workspace_mb=100)
    floats = 4 * (4 * 3 * 9 + 4)
    assert full.weights_mb * 1e6 == pytest.approx(floats, abs=64)  # and a few integers
    assert full.activations_mb * 1e6 == pytest.approx(2 * 4 * 4 * 32 * 32 * 4, rel=0.3)  # two maps of four channels
    half = estimate_memory(small(dynamic=True), shapes=shapes, half=True, workspace_mb=100)
    assert half.activations_mb == pytest.approx(full.activations_mb / 2, rel=0.01)
    assert full.build_mb - estimate_memory(small(dynamic=True), shapes=shapes, workspace_mb=0).build_mb == 100
    assert "WARNING" in full.summary(10.0)
    assert "WARNING" not in full.summary(8000.0)
    assert "\n" not in full.summary(10.0)


# ------------------------------------------------------------------------------------------------- the guide


def test_the_snippets_of_the_jetson_guide_that_need_no_jetson_run(tmp_path, monkeypatch, capsys):
    import re
    from pathlib import Path

    text = (Path(__file__).resolve().parents[1] / "docs" / "howto" / "jetson.md").read_text(encoding="utf-8")
    found = re.findall(
        r"```(bash|python)\n(.*?)```\n(<!-- not run by the tests: needs (?:the device|an engine))?", text, re.S
    )
    onnx.save(small(), str(tmp_path / "best.onnx"))
    monkeypatch.chdir(tmp_path)
    ran = [exec(code, {}) for kind, code, excused in found if kind == "python" and not excused]
    assert len(ran) == 1
    assert "/model.1/Softmax stays FP32: softmax" in capsys.readouterr().out
    for kind, code, _ in found:  # the others are at least Python
        if kind == "python":
            compile(code, "jetson.md", "exec")

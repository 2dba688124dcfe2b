"""Files that are none of ours, damaged, or made to do harm: every loader answers in one line with status 2."""

from __future__ import annotations

from pathlib import Path

import foreign
import pytest
import torch
from PIL import Image

from rsdet import RSDet
from rsdet.cli import run

WORDS = {
    "checkpoint": (foreign.CHECKPOINTS, "predict model=FILE source=PICTURE"),
    "safetensors": (foreign.PLAIN, "predict model=FILE source=PICTURE"),
    "exported file": (foreign.EXPORTED, "predict model=FILE source=PICTURE"),
    "chain": (foreign.CHAINS, "predict model=FILE source=PICTURE"),
    "model YAML": (foreign.MODELS, "info model=FILE"),
    "record": (foreign.RECORDS, "compare FILE FILE"),
    "data YAML": (foreign.DATA, "val model=GOOD data=FILE imgsz=32"),
}
TABLE = [
    pytest.param(make, words, id=f"{kind}: {k}") for kind, (group, words) in WORDS.items() for k, make in group.items()
]
OTHER_WORDS = {  # the same files by every other way in
    "val": "val model=FILE data=demo",
    "train": "train model=FILE data=demo",
    "resume": "train model=GOOD data=demo resume=FILE",
    "pretrained": "train model=m.yaml data=demo pretrained=FILE",
    "export": "export model=FILE",
    "benchmark": "benchmark model=FILE",
    "enhance": "predict model=GOOD enhance=FILE source=PICTURE",
    "info": "info model=FILE",
}
SOME = {
    "plain state dict": foreign.CHECKPOINTS["plain state dict"],
    "dict without model": foreign.CHECKPOINTS["dict without model"],
    "NaN weight": foreign.CHECKPOINTS["NaN weight"],
    "call": foreign.CHECKPOINTS["call of a layer that fetches"],
    "safetensors without yaml": foreign.PLAIN["no yaml"],
    "ONNX of another tool": foreign.EXPORTED["ONNX of another tool"],
    "ONNX with a NaN weight": foreign.EXPORTED["ONNX with a NaN weight"],
}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "m.yaml").write_text(foreign.model_yaml())
    model = RSDet(str(folder / "m.yaml"))
    model.save(str(folder / "model.pt"))
    model.save_plain(folder / "model.safetensors")
    Image.new("RGB", (64, 64), 90).save(folder / "a.png")
    return folder


@pytest.fixture
def one_line(good, tmp_path, monkeypatch, capsys):
    """Run a command on a file; the line that it answers with."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def command(make: foreign.Make, words: str) -> str:
        file = make(tmp_path, good)
        places = {"FILE": file, "GOOD": good / "model.pt", "PICTURE": good / "a.png", "m.yaml": good / "m.yaml"}
        for name, place in places.items():
            words = words.replace(name, str(place))
        assert run(words.split(" ")) == 2
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rsdet: error: ")]
        assert len(said) == 1
        assert not (tmp_path / "work" / "runs").exists() or not list((tmp_path / "work" / "runs").rglob("*.pt"))
        return said[0]

    return command


@pytest.mark.parametrize(("make", "words"), TABLE)
def test_a_foreign_or_malformed_file_is_one_line(one_line, make, words):
    assert "Traceback" not in one_line(make, words)


@pytest.mark.parametrize("mode", OTHER_WORDS)
@pytest.mark.parametrize("make", SOME.values(), ids=SOME)
def test_by_every_way_in(one_line, make, mode):
    one_line(make, OTHER_WORDS[mode])


def test_the_commonest_are_told_apart(one_line):
    said = one_line(foreign.CHECKPOINTS["plain state dict"], "predict model=FILE source=PICTURE")
    assert "is a plain state dict" in said
    assert "load_state_dict" in said


@pytest.mark.parametrize("kind", ["NaN weight", "infinite weight"])
def test_the_tensor_that_is_no_number_is_named(one_line, kind):
    assert "1 of 432 values of model.0.conv.weight" in one_line(
        foreign.CHECKPOINTS[kind], "predict model=FILE source=PICTURE"
    )


@pytest.mark.parametrize("kind", ["ONNX with a NaN weight", "ONNX with an infinite weight"])
def test_so_is_it_in_an_exported_file(one_line, kind):
    assert "1 of 15 values of kernel" in one_line(foreign.EXPORTED[kind], "predict model=FILE source=PICTURE")


def test_so_is_it_in_openvino(good, tmp_path):
    ov = pytest.importorskip("openvino")
    from rsdet.errors import CheckpointError
    from rsdet.runtime.finite import check_weights

    for weight, ok in ((0.5, True), (float("inf"), False), (float("nan"), False)):
        folder = tmp_path / f"{weight}_openvino_model"
        source = foreign.graph(weight=weight)(tmp_path, good)
        ov.save_model(ov.convert_model(str(source)), str(folder / "w.xml"), compress_to_fp16=False)
        if ok:
            check_weights(folder)
        else:
            with pytest.raises(CheckpointError, match=r"1 of 15 values of .* are NaN or infinite"):
                check_weights(folder)


def test_infinity_that_has_a_meaning_is_let_pass(good, tmp_path):
    """The decoder of the RT-DETR family marks anchors that no box may come from with it."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    from rsdet.runtime.finite import check_weights

    file = foreign.graph()(tmp_path, good)
    model = onnx.load(file)
    model.graph.initializer.append(numpy_helper.from_array(np.array([np.inf], np.float32), "anchors"))
    model.graph.node.append(helper.make_node("Add", ["y", "anchors"], ["z"]))
    onnx.save(model, file)
    check_weights(file)


@pytest.mark.parametrize("stored", ["raw", "typed"])
@pytest.mark.parametrize("kind", ["float32", "float16", "float64"])
def test_values_of_a_graph_are_those_that_onnx_reads(kind, stored, good, tmp_path):
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    from rsdet.runtime.finite import _onnx

    values = np.array([[0.5, -3.0, 1e-3], [6e4, 0.0, -1e-7]], kind)
    number = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = (
        numpy_helper.from_array(values, "w") if stored == "raw" else helper.make_tensor("w", number, (2, 3), values)
    )
    assert bool(tensor.raw_data) == (stored == "raw")
    model = onnx.load(foreign.graph()(tmp_path, good))
    model.graph.initializer.append(tensor)
    model.graph.node.append(helper.make_node("MatMul", ["y", "w"], ["z"]))
    onnx.save(model, tmp_path / "typed.onnx")
    found = {name: (read, weight) for name, read, weight in _onnx(tmp_path / "typed.onnx")}
    np.testing.assert_array_equal(found["w"][0], values.ravel())
    assert found["w"][1]
    assert found["kernel"][1]
    assert set(found) == {t.name for t in model.graph.initializer if t.data_type in (1, 10, 11)}


def test_what_is_saved_loads_again(good):
    """The checks refuse nothing that is ours."""
    for name in ("model.pt", "model.safetensors"):
        model = RSDet(good / name)
        assert model.names == {0: "0"} or list(model.names) == [0]
        assert torch.isfinite(model.model(torch.rand(1, 3, 32, 32))[0]).all()

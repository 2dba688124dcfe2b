"""Exports that go wrong: a full disk, two at once, files that are damaged or not ours. Nothing half, one line each."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import yaml
from exported import YAMLS, lively
from onnx import TensorProto, helper

from rsdet import RSDet
from rsdet.deploy import artifact as artifacts
from rsdet.deploy.artifact import read_metadata, write_metadata
from rsdet.deploy.export import export
from rsdet.errors import CheckpointError, ConfigError, RSDetError, WriteError
from rsdet.writing import put, replacing, size_mb, workplace

FORMATS = ["onnx", "openvino", "torchscript"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("yolo", tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="module")
def photos():
    return [np.random.default_rng(0).integers(0, 255, (90, 140, 3), dtype=np.uint8)]


def make(model, photos, out, format="onnx", **more):
    return export(model, format, imgsz=64, images=photos, out=out, verbose=False, **more)


@pytest.fixture
def small_disk():
    """No file may grow beyond 100 kB: the system itself refuses, as it does when a disk is full."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("format", ["onnx", "openvino"])  # PyTorch's writer of TorchScript ends the process
def test_a_full_disk_leaves_nothing(format, model, photos, tmp_path, small_disk):
    if format == "openvino":
        pytest.importorskip("openvino")
    with pytest.raises(RSDetError) as e:
        make(model, photos, tmp_path, format)
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named(model, photos, tmp_path, small_disk):
    with pytest.raises(WriteError, match=r"nothing could be written to .*free some space.*out="):
        make(model, photos, tmp_path)


@pytest.mark.parametrize("format", FORMATS)
def test_room_is_asked_for_before(format, model, photos, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(WriteError, match=r"0 MB are free in .*expected 3 MB.*out="):
        make(model, photos, tmp_path, format)
    assert not list(tmp_path.iterdir())


def test_what_was_there_before_survives(model, photos, tmp_path, monkeypatch):
    good = make(model, photos, tmp_path).path
    before = good.read_bytes()

    def full(graph, path):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(WriteError, match=r"No space left on device.*free some space"):
        make(model, photos, tmp_path)
    with pytest.raises(WriteError, match="No space left on device"):
        write_metadata(good, "onnx", {"family": "yolo"})  # also where only the metadata are renewed
    assert [p.name for p in tmp_path.iterdir()] == [good.name]
    assert good.read_bytes() == before


@pytest.mark.parametrize("format", FORMATS)
def test_metadata_can_be_renewed(format, model, photos, tmp_path):
    if format == "openvino":
        pytest.importorskip("openvino")
    made = make(model, photos, tmp_path, format)
    write_metadata(made.path, format, {**made.metadata, "remark": "x"})
    assert read_metadata(made.path)["remark"] == "x"
    assert len(RSDet(made.path).predict(photos[0], verbose=False)) == 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the administrator may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(model, photos, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WriteError, match="permissions"):
        make(model, photos, tmp_path / "new")


def test_a_file_where_a_folder_is_needed(model, photos, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be read or written"):
        make(model, photos, tmp_path / "file" / "folder")


def test_an_interruption_leaves_nothing(model, photos, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("rsdet.deploy.job.run_both", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(model, photos, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_format_is_replaced_by_the_same_format(model, photos, tmp_path):
    pytest.importorskip("openvino")
    first = make(model, photos, tmp_path, "openvino").path
    (first / "stale.txt").write_text("")
    second = make(model, photos, tmp_path, "openvino").path
    assert first == second
    assert not (second / "stale.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == [first.name]


def test_a_name_with_the_suffix_of_weights_in_its_path(photos, tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "run.pt").mkdir()
    model = lively("yolo", tmp_path / "run.pt")
    made = export(model, "openvino", imgsz=64, images=photos, verbose=False)
    assert made.path == tmp_path / "run.pt" / "yolo-64_openvino_model"


# ------------------------------------------------------------------------------------------------- at the same time


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_two_exports_at_once_do_not_collide(format, model, photos, tmp_path):
    if format == "openvino":
        pytest.importorskip("openvino")
    made, errors = [], []

    def run():
        try:
            made.append(make(model, photos, tmp_path, format))
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []
    assert len({m.path for m in made}) == 1
    assert [p.name for p in tmp_path.iterdir()] == [made[0].path.name]
    assert len(RSDet(made[0].path).predict(photos[0], verbose=False)) == 1


@pytest.mark.slow
def test_nor_do_two_processes(model, tmp_path):
    code = (
        "import sys; from rsdet import RSDet; "
        f"RSDet({str(model.ckpt_path)!r}).export(format='openvino', imgsz=64, out={str(tmp_path)!r}, verbose=False)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for p in running:
        _, said = p.communicate(timeout=300)
        assert p.returncode == 0, said[-2000:]
    assert [p.name for p in tmp_path.iterdir()] == ["yolo-64_openvino_model"]


def test_putting_in_place_beats_whatever_is_there(tmp_path):
    for there in ("nothing", "file", "folder"):
        for kind in ("file", "folder"):
            target = tmp_path / "target"
            with workplace(tmp_path, "x") as place:
                if there == "file":
                    target.write_text("old")
                elif there == "folder":
                    target.mkdir()
                    (target / "old").write_text("old")
                made = place / "made"
                made.write_text("new") if kind == "file" else made.mkdir()
                put(made, target)
            assert target.is_file() == (kind == "file")
            assert [p.name for p in tmp_path.iterdir()] == ["target"]
            target.unlink() if kind == "file" else target.rmdir()


def test_a_file_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "a").write_text("old")

    def interrupted():
        with replacing(tmp_path / "a") as new:
            new.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert (tmp_path / "a").read_text() == "old"
    with replacing(tmp_path / "a") as new:
        new.write_text("new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a", "new")]
    assert size_mb(tmp_path) == 3e-6


# ------------------------------------------------------------------------------------------------- files not made so


@pytest.fixture(scope="module")
def good(model, photos, tmp_path_factory):
    return make(model, photos, tmp_path_factory.mktemp("good")).path


def edited(good, target, **entries):
    graph = onnx.load(str(good))
    kept = [(p.key, p.value) for p in graph.metadata_props if p.key not in entries]
    del graph.metadata_props[:]
    for key, value in [*kept, *((k, v) for k, v in entries.items() if v is not None)]:
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, str(target))
    return target


def foreign(target):
    """A graph that has nothing to do with detection."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 3, 64, 64]), ("y", [1, 3])))
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [y]), opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, str(target))
    return target


def test_damaged_and_foreign_files_are_refused_in_one_line(good, photos, tmp_path):
    whole = good.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "noise.onnx").write_bytes(os.urandom(5000))
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "text.torchscript").write_text("no archive")
    (tmp_path / "bare_openvino_model").mkdir()
    (tmp_path / "torn.engine").write_bytes(b"\x10\x00\x00\x00{'a'")
    table = [
        *((tmp_path / n, CheckpointError) for n in ("cut.onnx", "noise.onnx", "empty.onnx", "text.torchscript",
                                                    "bare_openvino_model", "torn.engine")),
        (foreign(tmp_path / "mean.onnx"), CheckpointError),
        (edited(good, tmp_path / "a.onnx", names=None, rsdet=None), CheckpointError),
        (edited(good, tmp_path / "b.onnx", names="{0: "), CheckpointError),
        (edited(good, tmp_path / "c.onnx", task="pose", rsdet=None), ConfigError),
        (edited(good, tmp_path / "d.onnx", rsdet="{"), CheckpointError),
    ]  # fmt: skip
    for path, error in table:
        with pytest.raises(error) as e:
            RSDet(path).predict(photos[0], verbose=False)
        assert "\n" not in str(e.value), path
        assert path.stem in str(e.value) or "exported file" in str(e.value), (path, str(e.value))


def test_a_file_whose_graph_is_cut_off_is_refused(good, photos, tmp_path):
    """The metadata can be read, the weights are not all there."""
    graph = onnx.load(str(good))
    graph.graph.initializer[0].raw_data = graph.graph.initializer[0].raw_data[:8]
    onnx.save(graph, str(tmp_path / "weights.onnx"))
    with pytest.raises(CheckpointError) as e:
        RSDet(tmp_path / "weights.onnx").predict(photos[0], verbose=False)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("kind", ["yolo", "rtdetr"])
def test_a_file_of_stock_ultralytics_still_runs(kind, tmp_path, photos):
    from ultralytics import RTDETR, YOLO
    from ultralytics.engine.model import Model

    (tmp_path / "stock.yaml").write_text(yaml.safe_dump({"nc": 3, **{k: YAMLS[kind][k] for k in ("backbone", "head")}}))
    stock = (YOLO if kind == "yolo" else RTDETR)(str(tmp_path / "stock.yaml"))
    stock.model.pt_path = str(tmp_path / "stock.pt")
    path = Path(Model.export(stock, format="onnx", imgsz=64, opset=17, simplify=False, verbose=False))
    assert "rsdet" not in read_metadata(path)
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), photos[0])
    ours, theirs = (m.predict(str(picture), conf=1e-5, imgsz=64, verbose=False)[0].boxes.data.numpy() for m in (
        RSDet(path), (YOLO if kind == "yolo" else RTDETR)(str(path))))  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert len(ours) > 0


def test_the_message_of_a_foreign_file_says_what_is_missing():
    with pytest.raises(CheckpointError, match="no task: and names: in its metadata"):
        artifacts.check_foreign({}, "x.onnx", ("detect",))
    with pytest.raises(ConfigError, match="task='pose'; expected detect"):
        artifacts.check_foreign({"task": "pose", "names": {0: "a"}}, "x.onnx", ("detect",))

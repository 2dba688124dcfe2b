"""Checkpoints: they load in a fresh process, and a hostile one runs nothing."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from rsdet import RSDet
from rsdet.errors import CheckpointError


def _python(code: str, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=600)


def test_weights_load_and_predict_in_a_fresh_process(tiny_weights, tiny_data):
    image = next((tiny_data.parent / "images" / "val").glob("*.jpg"))
    code = (
        "import sys; from rsdet import RSDet; m = RSDet(sys.argv[1]); r = m.predict(sys.argv[2], conf=0.0, imgsz=96, "
        "verbose=False); print('OK', m.family, m.task, len(r[0]), m.names[0])"
    )
    done = _python(code, str(tiny_weights), str(image))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "OK rtdetr detect 30 car" in done.stdout


def test_yolo_of_ultralytics_takes_our_yaml_and_our_weights(tiny_weights):
    code = (
        "import sys, numpy as np, rsdet; from ultralytics import YOLO; im = np.zeros((64, 80, 3), np.uint8)\n"
        "a = YOLO('vmc-detr-demo.yaml'); b = YOLO(sys.argv[1]); a.load(sys.argv[1])\n"
        "for m in (a, b): m.predict(im, imgsz=64, verbose=False); print(type(m).__name__, type(m.model).__name__)"
    )
    done = _python(code, str(tiny_weights))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("RSDet RTDETRModel") == 2


def test_ultralytics_imported_first_works_too(tiny_weights):
    code = (
        "import sys; from ultralytics import YOLO; import rsdet; m = YOLO(sys.argv[1]); print(type(m).__name__)\n"
        "from ultralytics.nn import tasks; print(tasks.SAFE_LOAD)"
    )
    done = _python(code, str(tiny_weights))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-2:] == ["RSDet", "True"]  # before it what Ultralytics says of new settings


class _Evil:
    def __init__(self, path: str):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("wrap", ["bare pickle", "torch zip"])
def test_a_hostile_file_is_refused_and_runs_nothing(tmp_path, wrap):
    trap, file = tmp_path / "trap", tmp_path / "best.pt"
    if wrap == "torch zip":
        torch.save({"model": _Evil(str(trap)), "ema": None}, file)
    else:
        file.write_bytes(pickle.dumps(_Evil(str(trap))))
    with pytest.raises(CheckpointError, match=r"refused|not a PyTorch checkpoint") as e:
        RSDet(file)
    assert not trap.exists()
    assert "\n" not in str(e.value)


def test_stock_yolo_refuses_it_as_well_once_rsdet_is_there(tmp_path):
    trap, file = tmp_path / "trap", tmp_path / "best.pt"
    torch.save({"model": _Evil(str(trap))}, file)
    done = _python("import sys, rsdet; from ultralytics import YOLO; YOLO(sys.argv[1])", str(file))
    assert done.returncode != 0
    assert not trap.exists()


class Stranger(torch.nn.Module):
    pass


def test_a_checkpoint_with_unknown_modules_says_which(tmp_path):
    file = tmp_path / "odd.pt"
    torch.save({"model": Stranger()}, file)
    with pytest.raises(CheckpointError, match=r"test_checkpoint\.Stranger"):
        RSDet(file)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p, w: None, "does not exist|do not exist"),
        (lambda p, w: p.write_bytes(b""), "empty"),
        (lambda p, w: p.write_bytes(w.read_bytes()[:5000]), "damaged|cannot be read"),
        (lambda p, w: p.write_text("hello"), "not a PyTorch checkpoint"),
        (lambda p, w: zipfile.ZipFile(p, "w").writestr("a.txt", "x"), "cannot be read"),
    ],
    ids=["missing", "empty", "truncated", "text", "other zip"],
)
def test_a_broken_file_is_one_line(tmp_path, tiny_weights, make, message):
    file = tmp_path / "w.pt"
    make(file, tiny_weights)
    with pytest.raises(CheckpointError, match=message) as e:
        RSDet(file)
    assert "\n" not in str(e.value)


def test_the_plain_form_gives_the_same_model(tiny_weights, tmp_path):
    model = RSDet(tiny_weights)
    plain = model.save_plain(tmp_path / "weights")
    assert plain.suffix == ".safetensors"
    again = RSDet(plain)
    x = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        a, b = model.model(x)[0], again.model.eval()(x)[0]
    torch.testing.assert_close(a, b)
    assert again.names == model.names
    assert (again.family, again.task) == ("rtdetr", "detect")


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_class_without_a_name_is_told_when_weights_are_loaded(tiny_weights, tmp_path, suffix):
    model = RSDet(tiny_weights)
    del model.model.names[1]
    file = tmp_path / f"w{suffix}"
    model.save_plain(file) if suffix == ".safetensors" else model.save(file)
    with pytest.raises(CheckpointError, match="has no name for class 1; set"):
        RSDet(file)


def test_a_foreign_safetensors_file_is_one_line(tmp_path):
    from safetensors.torch import save_file

    file = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError, match="no rsdet header"):
        RSDet(file)
    Path(file).write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        RSDet(file)


def test_half_precision_checkpoints_keep_the_cosine_bases_exact(tiny_weights):
    """Ultralytics stores checkpoints in half; a basis kept as a buffer would come back rounded."""
    from rsdet.nn.heat import HCO

    model = RSDet(tiny_weights).model
    assert any(isinstance(m, HCO) for m in model.modules())
    assert not [n for n, _ in model.named_buffers() if "basis" in n or "dct" in n.lower()]

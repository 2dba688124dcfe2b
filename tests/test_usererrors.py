"""What is told from bugs: errors of the user's become one line, everything else keeps its traceback."""

from __future__ import annotations

import errno
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch

from rsdet import cli, modes
from rsdet.arguments import fit
from rsdet.errors import ConfigError, DataError, MissingDependencyError, RSDetError, WriteError
from rsdet.modes.mode import Mode
from rsdet.usererrors import one_line, user_errors


def test_a_bug_keeps_its_traceback(monkeypatch):
    def bug(args):
        return [][0]

    monkeypatch.setattr(modes, "get", lambda name: Mode("", bug))
    with pytest.raises(IndexError):
        cli.run(["info"])


def test_debug_shows_the_traceback():
    with pytest.raises(ConfigError):
        cli.run(["info", "model=gone", "--debug"])


@pytest.mark.parametrize("error", [ValueError("v"), TypeError("t"), RuntimeError("r"), AssertionError(), KeyError("k")])
def test_errors_that_do_not_come_from_a_check_pass(error):
    with pytest.raises(type(error)) as e, user_errors():
        raise error
    assert e.value is error


def _raised_by(call: Callable[[], object]) -> RSDetError:
    with pytest.raises(RSDetError) as e, user_errors():
        call()
    assert e.value.__cause__ is not None
    assert "\n" not in str(e.value)
    return e.value


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory.\nTried"), RSDetError, "lower batch= or imgsz="),
        (MemoryError(), RSDetError, "the memory is full"),
        (ModuleNotFoundError("No module named 'lap'", name="lap"), MissingDependencyError, "pip install lap"),
        (
            ModuleNotFoundError("x", name="openvino.runtime"),
            MissingDependencyError,
            "needs the package openvino, which is not installed",
        ),
        (ModuleNotFoundError("x", name="openvino"), MissingDependencyError, 'pip install "'),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), WriteError, "to /x: no space is left"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), WriteError, "/x cannot be read or written"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), DataError, "/x does not exist"),
        (ConnectionResetError("peer"), DataError, "peer; check"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), RSDetError, "the memory is full"),
        (
            cv2.error("(-4:Insufficient memory) Failed to allocate"),
            RSDetError,
            "the memory is full; lower batch= or imgsz=",
        ),
    ],
)
def test_errors_of_the_system(error, kind, message):
    said = _raised_by(lambda: _raise(error))
    assert isinstance(said, kind)
    assert message in str(said)


def test_an_error_out_of_a_worker_process():
    text = (
        "Caught FileNotFoundError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "/x/torch/utils/data/worker.py", line 1, in _worker_loop\n'
        '  File "/x/site-packages/ultralytics/data/base.py", line 2, in load_image\n'
        "FileNotFoundError: Image Not Found /data/a.jpg\n"
    )
    assert str(_raised_by(lambda: _raise(FileNotFoundError(text)))).startswith("cannot decode /data/a.jpg; ")
    with pytest.raises(TypeError), user_errors():
        raise TypeError(text.replace("ultralytics/data/base", "mine/base").replace("FileNotFound", "Type"))


def test_a_closed_pipe_is_nobodys_mistake():
    with pytest.raises(BrokenPipeError), user_errors():
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[34m\x1b[1mtrain: \x1b[0mNo images found.\nSee https://docs.example for more", "train: No images found"),
        ("'val:' key missing ❌.\n'train' is required", "'val:' key missing. 'train' is required"),
        ("x" * 150 + "y" * 300 + "z" * 200, "x" * 150 + " ... " + "z" * 200),
    ],
)  # fmt: skip
def test_one_line(text, line):
    assert one_line(text) == line


def _takes(a: int, b: str = "", *, c: bool = False, d: float = 0.0, imgsz: int | None = None) -> None: ...


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({}, "f needs a="),
        ({"a": 1, "e": 2}, "f does not know e="),
        ({"a": 1, "C": True}, "Did you mean 'c'"),
        ({"a": "1"}, "a='1' must be a whole number"),
        ({"a": True}, "a=True must be a whole number"),
        ({"a": 1, "b": 2}, "b=2 must be text"),
        ({"a": 1, "c": 1}, "c=1 must be True or False"),
        ({"a": 1, "d": "x"}, "d='x' must be a number"),
        ({"a": 1, "imgsz": 0}, "imgsz=0 must be 1 or more"),
        ({"a": 1, "imgsz": "x"}, "must be a whole number or none"),
    ],
)
def test_fit_refuses(args, message):
    with pytest.raises(ConfigError) as e:
        fit(_takes, args, "f")
    assert message in str(e.value)


def test_fit_takes():
    args = {"a": np.int64(3), "d": 1, "imgsz": None}
    assert fit(_takes, args, "f") == args


@pytest.mark.parametrize(("module", "said"), [("PIL", "pip install pillow"), ("ultralytics", "torch ultralytics")])
def test_a_package_is_named_as_the_index_names_it(module, said):
    with pytest.raises(MissingDependencyError, match=said), user_errors():
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)


@pytest.mark.parametrize("kind", [ConfigError, DataError, RSDetError])
def test_a_name_of_two_lines_makes_no_message_of_two(kind):
    assert str(kind("a\nb.png\r\x1b[31m does not exist.")) == r"a\nb.png\r\x1b[31m does not exist."

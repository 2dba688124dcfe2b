"""What a long run says while it goes on."""

from __future__ import annotations

import io
import os
import sys
import time

import pytest

from rsdet.progress import duration
from rsdet.scenes.progress import Progress


class Terminal(io.StringIO):
    """A terminal that remembers all that was written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told to."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def run(clock, **kwargs) -> None:
    with Progress("a\x1b[31m.tif", 100, **kwargs) as progress:
        for _ in range(8):
            clock[0] += 10
            progress.add(tiles=10, objects=3, pixels=5e6)


def test_a_terminal_has_one_line(clock, monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((120, 24)))
    run(clock, done=20)
    lines = out.getvalue().split("\r")
    assert len(lines) == 10
    assert lines[4].startswith(
        r"a\x1b[31m.tif: [##############----------] 60/100 tiles, 40 s left, 12 objects, 0.5 Mpx/s"
    )
    assert "100/100 tiles, 1 min 20 s, 24 objects, 0.5 Mpx/s" in lines[-1]
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().endswith("\n")


@pytest.mark.parametrize("name", ["a" * 300 + ".tif", "景" * 29])
def test_a_narrow_terminal_is_not_overrun(name, clock, monkeypatch):
    out = Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((80, 24)))
    with Progress(name, 10):
        pass
    line = out.getvalue().strip("\r\n").removesuffix("\x1b[K")
    assert len(line) + sum(c == "景" for c in line) < 80
    assert name[-28:] in line


def test_elsewhere_a_line_now_and_then(clock, monkeypatch):
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    run(clock)
    assert out.getvalue().splitlines() == [
        r"a\x1b[31m.tif: 30/100 tiles, 1 min 10 s left, 9 objects, 0.5 Mpx/s",
        r"a\x1b[31m.tif: 60/100 tiles, 40 s left, 18 objects, 0.5 Mpx/s",
    ]


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream, clock, monkeypatch):
    out = stream()
    monkeypatch.setattr(sys, "stderr", out)
    run(clock, verbose=False)
    assert out.getvalue() == ""


def test_durations():
    assert [duration(s) for s in (4.6, 125, 7300)] == ["5 s", "2 min 5 s", "2 h 1 min"]

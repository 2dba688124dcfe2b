"""Videos that end before their header says so: what could be read is done, and the rest is no silence."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet import RSDet
from rsdet.cli import run
from rsdet.data.sources import frames_lost

FRAMES = 6


@pytest.fixture
def films(tmp_path, monkeypatch) -> Path:
    """A folder with a whole video, and the same with its second half overwritten."""
    monkeypatch.chdir(tmp_path)
    writer = cv2.VideoWriter("whole.avi", cv2.VideoWriter_fourcc(*"MJPG"), 5, (64, 64))
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 64, 64, 3), np.uint8)
    for frame in noise:
        writer.write(frame)
    writer.release()
    data = Path("whole.avi").read_bytes()
    half = data.index(b"00dc", len(data) // 3)  # where a frame begins
    Path("half.avi").write_bytes(data[:half] + bytes(len(data) - half))
    assert cv2.VideoCapture("half.avi").get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES  # what the header still says
    return tmp_path


@pytest.mark.parametrize("line", [
    "track model=vmc-detr-demo imgsz=32", "predict model=vmc-detr-demo imgsz=32", "predict model=bicubic scale=2",
])  # fmt: skip
def test_a_video_that_ends_early_is_told_and_what_was_read_is_done(line, films, capsys):
    assert run([*line.split(), "source=whole.avi"]) == 0
    assert "left out" not in capsys.readouterr().err
    assert run([*line.split(), "source=half.avi"]) == 2
    said = capsys.readouterr()
    assert f"of the {FRAMES} frames that its header states can be read; copy it again" in said.err
    assert "Results saved to" in said.out


def test_python_is_told_too(films):
    model = RSDet("vmc-detr-demo")
    found = model.predict("half.avi", imgsz=32, verbose=False)
    assert 0 < len(found) < FRAMES
    assert f"{len(found)} of the {FRAMES} frames" in model.skipped[0]
    assert len(model.predict("whole.avi", imgsz=32, verbose=False)) == FRAMES
    assert model.skipped == []


@pytest.mark.parametrize(("read", "stated", "fps", "lost"), [
    (10, 10, 25, False), (9, 10, 25, False), (5, 10, 25, True), (990, 1000, 25, False), (0, 0, 25, False),
    (10, -9 * 10**15, 25, False), (100, 4000, 1000, False), (1, 2, 10, True), (1, 1, 10, False), (3, 4, 10, False),
])  # fmt: skip
def test_a_header_that_says_nothing_certain_proves_nothing(read, stated, fps, lost):
    assert bool(frames_lost("a.webm", read, stated, fps)) == lost

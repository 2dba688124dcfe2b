"""One model, several threads: each has what it asked for, under its own name; and what sources in memory may be."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import cv2
import numpy as np
import pytest
import torch
from exported import lively
from PIL import Image

from rsdet import RSDet
from rsdet.calls import Turn
from rsdet.data.images import no_pixel_limit
from rsdet.errors import ConfigError, DataError

THREADS = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return lively("yolo", tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of two pictures for each thread."""
    root = tmp_path_factory.mktemp("folders")
    for i in range(THREADS):
        (root / str(i)).mkdir()
        for j in range(2):
            picture = np.random.default_rng(10 * i + j).integers(0, 255, (64, 64, 3)).astype(np.uint8)
            cv2.imwrite(str(root / str(i) / f"{i}{j}.png"), picture)
    return [root / str(i) for i in range(THREADS)]


def test_threads_that_share_a_model_each_get_and_write_their_own(model, folders, tmp_path):
    """They had one predictor without knowing, and all but one lost their files to the folder of the last."""
    fresh = RSDet(model.ckpt_path)  # whose predictor the first thread makes

    def one(i: int) -> list[str]:
        kept = {"imgsz": 64, "save_json": True, "project": str(tmp_path), "name": str(i), "verbose": False}
        return [r.path for r in fresh.predict(folders[i], **kept)]

    with ThreadPoolExecutor(THREADS) as pool:
        got = list(pool.map(one, range(THREADS)))
    for i, folder in enumerate(folders):
        expected = sorted(map(str, folder.iterdir()))
        assert got[i] == expected
        rows = json.loads((tmp_path / str(i) / "predictions.json").read_text())
        assert [row["path"] for row in rows] == expected


def test_what_is_half_read_is_waited_for_by_no_thread(model, folders):
    stream = model.predict(folders[0], imgsz=64, stream=True, verbose=False)
    next(stream)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ConfigError, match="not read to its end"):
        pool.submit(model.predict, folders[1], imgsz=64, verbose=False).result(30)
    stream.close()
    assert len(model.predict(folders[1], imgsz=64, verbose=False)) == 2


def test_a_callback_that_asks_its_own_model_for_more_is_refused_and_does_not_wait_for_itself(model, folders):
    fresh = RSDet(model.ckpt_path)
    again = lambda predictor: fresh.predict(folders[1], imgsz=64, verbose=False)  # noqa: E731
    fresh.add_callback("on_predict_start", again)
    with pytest.raises(ConfigError, match="a callback of it asks for more"):
        fresh.predict(folders[0], imgsz=64, verbose=False)


def test_a_copy_of_a_turn_is_free():
    turn = Turn()
    with turn.taken(), deepcopy(turn).taken() as other:
        assert other is not turn
        with pytest.raises(ConfigError, match="load it once more"), turn.taken():
            pass


def test_the_limit_of_pillow_is_back_whichever_thread_leaves_first():
    before, inside, leave = Image.MAX_IMAGE_PIXELS, threading.Event(), threading.Event()

    def other() -> None:
        with no_pixel_limit():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with no_pixel_limit():
        thread.start()
        inside.wait(30)
    leave.set()
    thread.join(30)
    assert before is not None
    assert before == Image.MAX_IMAGE_PIXELS


def closed() -> Image.Image:
    image = Image.new("RGB", (32, 32))
    image.close()
    return image


@pytest.mark.parametrize("name", ["yolo", "aod-net-haze"])
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: Image.new("La", (32, 32)), r"multiplied alpha \(La\)"),
        (closed, "has been closed"),
        (lambda: (np.zeros((32, 32, 3), np.uint8) for _ in range(2)), r"pass list\(\.\.\.\) of it"),
        (lambda: torch.full((1, 3, 32, 32), -0.5), "values"),
        (lambda: torch.full((1, 3, 32, 32), float("nan")), "values"),
    ],
)
def test_sources_in_memory_of_which_nothing_right_can_be_made(model, name, source, message):
    model = model if name == "yolo" else RSDet(name)
    with pytest.raises(DataError, match=message) as e:
        model.predict(source(), save=False, verbose=False)
    assert "\n" not in str(e.value)


def test_a_project_that_is_no_path_and_a_name_of_two_lines_are_one_line(model, tmp_path):
    with pytest.raises(ConfigError, match="project=3 must be a folder"):
        model.predict(np.zeros((32, 32, 3), np.uint8), project=3)
    (tmp_path / "a\nb.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a\\nb.png has a name that cannot be listed"):
        model.predict(tmp_path / "a\nb.png")

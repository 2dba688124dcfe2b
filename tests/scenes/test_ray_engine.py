"""Tiles on Ray: the same objects as in one process, and whatever goes wrong there is one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blobs
import numpy as np
import pytest

from rsdet.data.scenes import render_scene
from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.scenes import ray_engine
from rsdet.scenes.found import Found
from rsdet.scenes.ledger import Unfinished
from rsdet.scenes.settings import SceneSettings
from rsdet.scenes.work import SceneWork
from rsdet.zoo import weights

pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")
pytest.importorskip("pyogrio", reason="layers are written with pyogrio (extra geo)")

SIZE = (300, 420)
AGAIN: dict[str, Any] = {"model": "blobs", "settings": {}, "given": {}, "gpu": False}
WEIGHTS = weights("vmc-detr-demo")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    picture = blobs.picture_of(SIZE, blobs.boxes_apart(SIZE, 120, rng), rng)
    return blobs.write_scene(tmp_path_factory.mktemp("scene") / "town.tif", picture)


def test_a_model_that_no_file_holds_is_refused(town: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="save it first"):
        blobs.run(town, tmp_path, engine="ray")
    assert not list(tmp_path.iterdir())


def test_without_ray_the_package_is_named(town: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingDependencyError, match="ray"):
        blobs.run(town, tmp_path, blobs.predictor(again=AGAIN), engine="ray")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that open the model of these tests."""
    monkeypatch.setattr(ray_engine, "_standing", lambda: (False, []))
    monkeypatch.setattr(ray_engine, "opened_again", lambda again, tile: blobs.predictor(2, identity=again["given"]))


def rows_of(worker: Any, first: int, last: int) -> Iterator[dict[str, Any]]:
    for row in worker({"first": np.array([first]), "last": np.array([last])}):
        yield {key: value for key, (value,) in row.items()}


@pytest.mark.usefixtures("here")
def test_what_a_worker_hands_over_is_what_was_found(
    town: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = SceneSettings(tile=64, overlap=16)
    with SceneWork(town, blobs.predictor(2, again=AGAIN, identity={}), settings) as work:
        worker = ray_engine._Worker(
            str(town.parent), Path("town.tif"), AGAIN, settings, work.values.to_dict(), work.identity
        )
        batches = [ray_engine._batch(row) for row in rows_of(worker, 3, 30)]
        local = list(work.detect([range(3, 31)]))
    assert [(b.first, b.last, b.looked_at, b.unread) for b in batches] == [
        (b.first, b.last, b.looked_at, b.unread) for b in local
    ]
    for a, b in zip(batches, local, strict=True):
        assert {n: f.to_bytes() for n, f in a.found.items()} == {n: f.to_bytes() for n, f in b.found.items()}
    assert Found.joined([f for b in batches for f in b.found.values()]).tiles.max() > 20


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("what", ["model", "scene", "gone"])
def test_a_worker_that_sees_something_else_says_so(town: Path, tmp_path: Path, what: str) -> None:
    settings = SceneSettings(tile=64, overlap=16)
    again = {**AGAIN, "given": {"weights": "others"} if what == "model" else {}}
    with SceneWork(town, blobs.predictor(identity={}, again=AGAIN), settings) as work:
        path = town
        if what != "model":
            path = tmp_path / "town.tif"
        if what == "scene":
            blobs.write_scene(path, np.full((*SIZE, 3), 9, np.uint8))
        worker = ray_engine._Worker(os.getcwd(), path, again, settings, work.values.to_dict(), work.identity)
        (row,) = rows_of(worker, 0, 3)
    says = {"model": "save it first", "scene": "all machines must see the same", "gone": "town.tif"}[what]
    with pytest.raises(Unfinished, match=says):
        ray_engine._batch(row)


@pytest.fixture(scope="module")
def aerial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen rendered pictures side by side."""
    pictures = [render_scene(i, (320, 320)).image for i in range(16)]
    picture = np.concatenate([np.concatenate(pictures[i : i + 4], 1) for i in range(0, 16, 4)])
    return blobs.write_scene(tmp_path_factory.mktemp("aerial") / "aerial.tif", picture)


def command(scene: Path, project: Path, *words: str) -> list[str]:
    usual = [f"model={WEIGHTS}", f"source={scene}", "tile=320", "layers=coco", "crops=0", "quicklook=False"]
    return [sys.executable, "-m", "rsdet", "predict", *usual, f"project={project}", "device=cpu", *words]


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ray, with workers on this machine alone."""
    ray = pytest.importorskip("ray", reason="the engine ray needs it (extra ray)")
    pytest.importorskip("ray.data")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
def test_two_workers_find_what_one_process_finds(aerial: Path, tmp_path: Path, local_ray: Any) -> None:
    from rsdet import RSDet
    from rsdet.tasks.detect.parity import compare

    rows = []
    for engine in ("local", "ray"):
        model = RSDet(WEIGHTS)
        keys = {"tile": 320, "layers": "coco", "crops": 0, "quicklook": False, "device": "cpu", "verbose": False}
        (result,) = model.predict(aerial, project=tmp_path, name=engine, engine=engine, workers=2, **keys)
        found = result.found
        rows.append(np.column_stack([found.boxes_xyxy, found.scores, found.classes]))
        assert result.looked_at == result.tiles == 25
    report = compare(rows[:1], rows[1:], box_tol_px=0.01, score_tol=1e-4, conf=0.25)
    assert report.ok, report.summary()
    assert report.matched > 500


@pytest.mark.slow
def test_a_run_that_ray_began_is_ended_without_it(aerial: Path, tmp_path: Path, local_ray: Any) -> None:
    """Interrupted by the keyboard once something is kept; what is kept is not done again."""
    ledger = tmp_path / "run" / "aerial.ledger"
    began = subprocess.Popen(
        command(aerial, tmp_path, "name=run", "engine=ray"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert began.stdout is not None
    wal = ledger.with_name(ledger.name + "-wal")
    while began.poll() is None and not (wal.exists() and wal.stat().st_size > 60_000):
        time.sleep(0.2)
    began.send_signal(signal.SIGINT)
    said = began.communicate(timeout=120)[0]
    assert began.returncode == 130, said
    assert "Traceback" not in said
    assert ledger.exists()
    done = subprocess.run(command(aerial, tmp_path, "name=run"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is continued" in done.stdout + done.stderr

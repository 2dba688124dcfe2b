"""A run in shares: together they are the run, and what is missing or foreign is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import blobs
import numpy as np
import pytest

from rsdet.errors import ConfigError, RSDetError
from rsdet.scenes.folder import MARK
from rsdet.scenes.jobs import share_of

pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")
pytest.importorskip("pyogrio", reason="layers are written with pyogrio (extra geo)")

SIZE = (300, 420)
KEYS: dict[str, Any] = {"layers": ["gpkg", "geojson", "coco", "csv"]}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes, the name of one of which begins as that of the other."""
    folder, rng = tmp_path_factory.mktemp("scenes"), np.random.default_rng(0)
    for name, size in (("town.tif", SIZE), ("town.ledger.1-of-2.tif", (90, 70))):
        blobs.write_scene(folder / name, blobs.picture_of(size, blobs.boxes_apart(size, 80, rng), rng))
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """All that a run has written."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def job(scenes: Path, project: Path, share: str, **keys: Any) -> Path:
    """Do a share; the folder of the run."""
    return blobs.run(scenes, project, name="run", job=share, **{**KEYS, **keys}).save_dir


def test_shares_done_at_once_by_two_processes_are_the_run_byte_for_byte(scenes: Path, tmp_path: Path) -> None:
    code = f"""
import blobs
from pathlib import Path
blobs.run({str(scenes)!r}, Path({str(tmp_path)!r}), name="run", job=%r, layers={KEYS["layers"]!r})
"""
    done = [
        subprocess.Popen([sys.executable, "-c", code % share], cwd=Path(__file__).parent, stderr=subprocess.PIPE)
        for share in ("1/2", "2/2")
    ]
    for process in done:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said.decode()
    merged = blobs.run(scenes, tmp_path, merge=str(tmp_path / "run"), **KEYS)
    whole = blobs.run(scenes, tmp_path / "whole", **KEYS)
    assert len(merged.results) == 2
    assert merged.save_dir == tmp_path / "run"
    assert files(merged.save_dir) == files(whole.save_dir)
    assert merged.results[0].looked_at == whole.results[0].looked_at


def test_shares_that_nobody_has_done_are_told_by_number_and_the_others_stay(scenes: Path, tmp_path: Path) -> None:
    for share in ("1/6", "5/6"):
        folder = job(scenes, tmp_path, share)
    for _ in range(2):  # an attempt too early spoils nothing
        with pytest.raises(RSDetError, match=r"run job=2/6, job=3/6, job=4/6, job=6/6 to the end"):
            blobs.run(scenes, tmp_path, merge=str(folder), **KEYS)
    for share in ("2/6", "3/6", "4/6", "6/6"):
        job(scenes, tmp_path, share)
    merged = blobs.run(scenes, tmp_path, merge=str(folder), **KEYS)
    assert files(folder) == files(blobs.run(scenes, tmp_path / "whole", **KEYS).save_dir)
    assert not (merged.save_dir / MARK).exists()


def test_a_share_that_was_stopped_goes_on(scenes: Path, tmp_path: Path) -> None:
    calls: list[int] = []

    def run(pictures: Any) -> Any:
        calls.append(len(pictures))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return blobs.find(pictures)

    with pytest.raises(KeyboardInterrupt):
        blobs.run(scenes / "town.tif", tmp_path, blobs.predictor(run=run), name="run", job="1/1", **KEYS)
    before = sum(calls[:3])
    calls[:] = [0] * 4
    done = blobs.run(scenes / "town.tif", tmp_path, blobs.predictor(run=run), name="run", job="1/1", **KEYS)
    (result,) = blobs.run(scenes / "town.tif", tmp_path, merge=str(done.save_dir), **KEYS).results
    assert before + sum(calls) == result.tiles


def test_each_share_has_its_own_tiles_and_all_have_them_all() -> None:
    for tiles, of in ((0, 3), (1, 3), (25, 4), (25, 100), (10**6, 97)):
        shares = [share_of(f"{number}/{of}", tiles) for number in range(1, of + 1)]
        assert [shares[0].start, *(s.stop for s in shares)] == [*(s.start for s in shares), tiles]
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_more_shares_than_tiles_are_no_mistake(scenes: Path, tmp_path: Path) -> None:
    for number in range(1, 8):
        folder = job(scenes / "town.ledger.1-of-2.tif", tmp_path, f"{number}/7")
    (result,) = blobs.run(scenes / "town.ledger.1-of-2.tif", tmp_path, merge=str(folder), **KEYS).results
    assert result.tiles < 7


@pytest.mark.parametrize("wrong", [{"overlap": 8}, {"tile": 96}, {"merging": "nmm"}, {"model": {"model": "other"}}])
def test_shares_of_other_settings_are_refused_and_left_alone(
    scenes: Path, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    folder = job(scenes, tmp_path, "1/2")
    before = files(folder)
    if "model" in wrong:
        wrong = {"model": blobs.predictor(identity=wrong["model"])}
    with pytest.raises(ConfigError, match="another model, other scenes or other settings"):
        job(scenes, tmp_path, "2/2", **wrong)
    with pytest.raises(ConfigError, match="another model, other scenes or other settings"):
        blobs.run(scenes, tmp_path, merge=str(folder), **{**KEYS, **wrong})
    assert files(folder) == before


def test_only_a_folder_of_shares_is_merged(scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "town.ledger").write_text("not yours")
    for folder in ("mine", "nowhere"):
        with pytest.raises(ConfigError, match="holds no unfinished run"):
            blobs.run(scenes, tmp_path, merge=str(tmp_path / folder), **KEYS)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine" / "town.ledger").read_text() == "not yours"


def test_a_run_that_is_merged_is_not_begun_again_by_a_late_share(scenes: Path, tmp_path: Path) -> None:
    folder = job(scenes, tmp_path, "1/1")
    blobs.run(scenes, tmp_path, merge=str(folder), **KEYS)
    before = files(folder)
    with pytest.raises(ConfigError, match="finished run"):
        job(scenes, tmp_path, "1/1")
    assert files(folder) == before


def test_processes_must_agree_on_a_folder(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="name="):
        blobs.run(scenes, tmp_path, job="1/2", **KEYS)
    assert not list(tmp_path.iterdir())


def test_the_plan_names_all_tiles_and_where_they_lie(scenes: Path, tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    run = blobs.run(scenes, tmp_path / "runs", plan=str(path), tile=24, overlap=8, scales=[1, 0.5])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == len(run.windows) > 2
    assert not (tmp_path / "runs").exists()
    town = [line for line in lines if Path(line["scene"]).name == "town.tif"]
    assert [line["first"] for line in town] == [0, *(line["last"] + 1 for line in town[:-1])]
    for line in town:
        x1, y1, x2, y2 = line["window_px"]
        assert 0 <= x1 < x2 <= SIZE[1]
        assert 0 <= y1 < y2 <= SIZE[0]


def test_a_plan_replaces_nothing_but_a_plan(scenes: Path, tmp_path: Path) -> None:
    town = scenes / "town.tif"
    before = town.read_bytes()
    for path in (town, tmp_path):
        with pytest.raises(ConfigError, match="no plan"):
            blobs.run(scenes, tmp_path / "runs", plan=str(path))
    assert town.read_bytes() == before
    for _ in range(2):
        blobs.run(scenes, tmp_path / "runs", plan=str(tmp_path / "jobs.jsonl"))

"""Killed at any moment, run again: the layers are the same to the byte, and none stands before the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import blobs
import numpy as np
import pytest

pytest.importorskip("rasterio", reason="scenes are read with rasterio (extra geo)")

_LAYERS = ["gpkg", "geojson", "coco", "csv"]


def command(scene: Path, project: Path, pause_s: float) -> list[str]:
    """The same run in a process of its own; it says when it begins."""
    code = f"""
        import sys, time
        sys.path.insert(0, {str(Path(blobs.__file__).parent)!r})
        import blobs
        from pathlib import Path
        import rsdet.scenes.layers, rsdet.scenes.quicklook, rsdet.scenes.contact_sheet, rasterio, pyogrio, shapely
        def run(pictures):
            time.sleep({pause_s})
            return blobs.find(pictures)
        print("begun", flush=True)
        blobs.run(Path({str(scene)!r}), Path({str(project)!r}), blobs.predictor(2, run=run), name="city",
                  layers={_LAYERS}, quicklook=True, crops=4)
        print("done", flush=True)
    """
    return [sys.executable, "-c", textwrap.dedent(code)]


def killed_until_done(scene: Path, project: Path, kills: int, draw: random.Random) -> int:
    """Start the run again and again; returns how often it was killed."""
    killed, begun_s = 0, 1.0
    while True:
        process = subprocess.Popen(command(scene, project, 0.004), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        if killed == kills:
            assert process.stdout.readline() == "done\n", process.stdout.read()
            process.wait()
            return killed
        time.sleep(draw.uniform(0, begun_s))
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read()
        process.wait()
        if "done" in rest:  # it was quicker: the folder is finished, and is taken away to begin anew
            begun_s *= 0.6
            for path in (project / "city").iterdir():
                path.unlink()
            (project / "city").rmdir()
            continue
        killed += 1


def check(tmp_path: Path, kills: int, seed: int) -> None:
    size = (500, 700)
    rng = np.random.default_rng(seed)
    truth = blobs.boxes_apart(size, 200, rng)
    scene = blobs.write_scene(tmp_path / "a.tif", blobs.picture_of(size, truth, rng))
    whole = blobs.run(scene, tmp_path / "whole", name="city", layers=_LAYERS, quicklook=True, crops=4)
    assert len(whole.results[0]) == len(truth)
    killed_until_done(scene, tmp_path / "cut", kills, random.Random(seed))
    ours, theirs = ({p.name: p.read_bytes() for p in f.iterdir()} for f in (whole.save_dir, tmp_path / "cut" / "city"))
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_a_run_that_is_killed_three_times_ends_with_the_same_bytes(tmp_path: Path) -> None:
    check(tmp_path, 3, 1)


@pytest.mark.slow
def test_a_run_that_is_killed_at_fifty_moments_ends_with_the_same_bytes(tmp_path: Path) -> None:
    check(tmp_path, 50, 2)

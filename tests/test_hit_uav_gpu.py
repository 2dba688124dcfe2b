"""The comparison for a GPU: one packed file within its limit, and time that is kept over a stop."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from conftest import TINY

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
if not (BENCHMARKS / "hit_uav_gpu.py").is_file():
    pytest.skip("benchmarks/ is not part of this copy", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))  # they import each other
try:
    import hit_uav_gpu
finally:
    sys.path.remove(str(BENCHMARKS))

ROW = "0 0.5 0.5 0.25 0.25\n"


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Arguments over a converted set of a few small pictures, and a network that is as small."""
    folder, random = tmp_path / "work" / "detect", np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("images", "labels", "ignore"):
            (folder / name / split).mkdir(parents=True)
        for i in range(2):
            grey = cv2.GaussianBlur(random.integers(0, 255, (64, 80), dtype=np.uint8), (5, 5), 2)
            cv2.imwrite(str(folder / "images" / split / f"{i}.jpg"), cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))
            (folder / "labels" / split / f"{i}.txt").write_text(ROW)
    splits = "".join(f"{s}: images/{s}\n" for s in ("train", "val", "test"))
    (folder / "detect.yaml").write_text(f"{splits}names: {{0: Person}}\ntask: detect\nignore: ignore\n")
    monkeypatch.setattr(hit_uav_gpu, "NETWORKS", {"tiny": hit_uav_gpu.Network("vmc-detr-demo.yaml", None, TINY)})
    monkeypatch.setattr(hit_uav_gpu, "DEFAULT", ("tiny",))
    return [
        "--pictures", str(tmp_path / "packed.zip"), "--work", str(tmp_path / "work"), "--keep", str(tmp_path / "keep"),
        "--device", "cpu", "--imgsz", "64", "--batch", "2", "--workers", "0",
    ]  # fmt: skip


def test_the_packed_file_is_within_its_limit_and_keeps_every_label(words, tmp_path):
    hit_uav_gpu.main(["pack", *words])
    best = (tmp_path / "packed.zip").stat().st_size
    hit_uav_gpu.main(["pack", *words, "--limit", str(best - 100)])
    assert (tmp_path / "packed.zip").stat().st_size < best - 100
    with zipfile.ZipFile(tmp_path / "packed.zip") as archive:
        note = json.loads(archive.read("packed.json"))
        assert note["pictures"] == 6
        assert note["jpeg_quality"] < hit_uav_gpu.QUALITIES[0]
        picture = cv2.imdecode(np.frombuffer(archive.read("images/test/1.jpg"), np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (64, 80)
        assert archive.read("labels/val/0.txt").decode() == ROW
    before = (tmp_path / "packed.zip").read_bytes()
    with pytest.raises(SystemExit, match="do not fit"):
        hit_uav_gpu.main(["pack", *words, "--limit", "1000"])
    assert (tmp_path / "packed.zip").read_bytes() == before


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_with_the_time_that_was_left(words, tmp_path, monkeypatch):
    hit_uav_gpu.main(["pack", *words])
    call = ["run", *words, "--dense", "0", "--minutes", "0.02"]
    saved = hit_uav_gpu.Timed.saved

    def stopped(self, trainer):
        saved(self, trainer)
        raise KeyboardInterrupt

    with monkeypatch.context() as m:
        m.setattr(hit_uav_gpu.Timed, "saved", stopped)
        with pytest.raises(KeyboardInterrupt):
            hit_uav_gpu.main(call)
    file = tmp_path / "work" / "runs" / "tiny-s0-whole" / "time.json"
    first = json.loads(file.read_text())
    assert first["seconds"] > 0
    assert (first["epochs"], first["done"]) == (1, False)
    file.write_text(json.dumps({**first, "seconds": 0.1}))  # on a slow machine one epoch has taken all of it

    hit_uav_gpu.main(call)
    row = json.loads((tmp_path / "keep" / "rows" / "tiny-s0.json").read_text())
    assert row["stages"]["whole"]["epochs"] > 1
    assert row["stages"]["whole"]["seconds"] >= 1.2
    epochs = [r.split(",")[0] for r in (tmp_path / "keep" / "tiny-s0-curve.csv").read_text().splitlines()[1:]]
    assert epochs == [str(n + 1) for n in range(row["stages"]["whole"]["epochs"])]
    assert "| tiny | 0 | 64 | 0.02 |" in (tmp_path / "keep" / "README.md").read_text()

    monkeypatch.setattr(hit_uav_gpu, "measured", None)  # what is there is not made again
    hit_uav_gpu.main(call)


def test_the_time_of_all_calls_counts(tmp_path):
    timed = hit_uav_gpu.Timed(tmp_path, 90.0)
    timed.account["seconds"] = 60.0
    timed.keep()
    again = hit_uav_gpu.Timed(tmp_path, 90.0)
    trainer = SimpleNamespace(train_time_start=1000.0, start_epoch=7)
    again.begin(trainer)
    again.count_all(trainer)
    assert (trainer.train_time_start, trainer.start_epoch) == (940.0, 0)
    with pytest.raises(SystemExit, match="other minutes"):
        hit_uav_gpu.Timed(tmp_path, 120.0)

"""Every command and snippet of the README that can run here is run, in order, as a user would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import rasterio
import rasterio.transform

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"```(bash|python)\n(.*?)```\n(<!-- not run by the tests: (.*?) -->)?", re.S)


def blocks(language: str) -> list[str]:
    found = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    return [text for kind, text, excused, _ in found if kind == language and not excused]


@pytest.fixture(scope="module")
def folder(tiny_data, tmp_path_factory) -> Path:
    """A working folder with two pictures in images/ and a scene.tif, which the README supposes."""
    where = tmp_path_factory.mktemp("readme")
    (where / "images").mkdir()
    for image in sorted((tiny_data.parent / "images" / "val").glob("*.jpg"))[:2]:
        shutil.copy(image, where / "images")
    picture = cv2.resize(cv2.imread(str(image)), (500, 400))
    place = {"crs": "EPSG:32635", "transform": rasterio.transform.from_origin(500_000, 5_960_000, 0.3, 0.3)}
    with rasterio.open(where / "scene.tif", "w", width=500, height=400, count=3, dtype="uint8", **place) as file:
        file.write(picture[..., ::-1].transpose(2, 0, 1))
    return where


def run(args: list[str], folder: Path) -> str:
    env = {**os.environ, "OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "0"}
    done = subprocess.run(args, cwd=folder, capture_output=True, text=True, timeout=900, env=env)
    assert done.returncode == 0, f"{args}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_commands_of_the_readme_run(folder):
    commands = [line for text in blocks("bash") for line in text.splitlines() if line.strip()]
    assert len(commands) >= 7
    for command in commands:
        words = command.split(" #")[0].split()
        assert words[0] == "rsdet", command
        run([sys.executable, "-m", "rsdet", *words[1:]], folder)
    first = folder / "runs" / "detect" / "first" / "weights"
    assert (first / "best.pt").is_file()
    assert (first / "best.onnx").is_file()
    assert list((folder / "runs" / "detect").glob("predict*/predictions-coco.json"))
    assert list((folder / "speed").glob("*.csv"))
    assert {p.suffix for p in (folder / "runs" / "detect" / "city").iterdir()} >= {".gpkg", ".qml", ".json", ".png"}
    assert (folder / "runs" / "detect" / "finer" / "scene.geojson").is_file()


def test_the_snippets_of_the_readme_run(folder):
    texts = blocks("python")
    assert len(texts) >= 2
    for i, text in enumerate(texts):
        script = folder / f"snippet{i}.py"
        script.write_text(text)
        run([sys.executable, str(script)], folder)
    assert (folder / "weights.safetensors").is_file()


def test_blocks_that_do_not_run_say_why():
    excused = [why for _, _, mark, why in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")) if mark]
    assert all(len(why) > 10 for why in excused)


def test_files_that_the_readme_points_to_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_model_table_is_what_info_says():
    from rsdet import RSDet

    row = r"^\| `(\S+?)`(?: (\w))? \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$"
    rows = re.findall(row, (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) >= 6
    for name, scale, params, legacy, true in rows[:2]:  # two are enough: tests/test_models_vmc.py holds the rest
        found = nc8(RSDet, name, scale)
        assert (f"{found.params / 1e6:.2f}", f"{found.gflops_legacy:.2f}", f"{found.gflops_true:.2f}") == (
            params,
            legacy,
            true,
        )


def nc8(model_class, name: str, scale: str):
    from rsdet.deploy.complexity import complexity
    from rsdet.modelyaml import load_model_yaml
    from rsdet.tasks.detect.model import build

    return complexity(build(load_model_yaml(name, scale or None), nc=8), imgsz=640)

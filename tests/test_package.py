"""The package as a stranger gets it: a wheel that carries its YAMLs, and an import that is quick."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return next(out.glob("*.whl"))


def test_the_wheel_installed_elsewhere_lists_the_same_models(wheel, tmp_path):
    from rsdet import list_models

    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, timeout=600)
    code = (
        "import rsdet; from rsdet.modelyaml import list_models, load_model_yaml; from rsdet.paths import datasets_dir\n"
        "print(rsdet.__file__); print(list_models()); load_model_yaml('vmc-detr.yaml', 'n')\n"
        "print((datasets_dir() / 'visdrone.yaml').is_file())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=tmp_path,
        env={"PYTHONPATH": str(target), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    where, models, dataset = [line for line in done.stdout.splitlines() if line.startswith(("/", "[", "True", "False"))]
    assert where.startswith(str(target))
    assert models == str(list_models())
    assert dataset == "True"


def test_the_wheel_carries_what_it_needs_and_nothing_large(wheel):
    with zipfile.ZipFile(wheel) as z:
        sizes = {i.filename: i.file_size for i in z.infolist()}
    assert "rsdet/cfg/models/detect/vmc-detr.yaml" in sizes
    assert "rsdet/cfg/recipes/vmc-detr-paper.yaml" in sizes
    assert "rsdet/datasets/visdrone.yaml" in sizes
    assert {"rsdet/assets/weights/vmc-detr-demo.yaml", "rsdet/assets/weights/vmc-detr-demo.safetensors"} <= sizes.keys()
    assert "rsdet/py.typed" in sizes
    assert any(n.endswith("licenses/LICENSE") for n in sizes)
    assert not [n for n in sizes if n.startswith(("tests/", "benchmarks/"))]
    assert max(sizes.values()) <= 10_000_000
    assert wheel.stat().st_size <= 60_000_000


@pytest.mark.parametrize("code", ["import rsdet", "import rsdet.cli; rsdet.cli.run(['--help'])"])
def test_importing_and_asking_for_help_load_nothing_heavy(code):
    code += (
        "\nimport sys\nheavy = {'torch', 'numpy', 'cv2', 'ultralytics', 'onnx', 'openvino', 'pycocotools', 'tensorrt'}"
        "\nprint('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout + done.stderr


def test_using_the_core_needs_no_optional_package():
    """RSDet itself, with the packages of every extra made impossible to import."""
    code = (
        "import sys\nfor n in ('openvino', 'tensorrt', 'rasterio', 'wandb', 'nncf'): sys.modules[n] = None\n"
        "from rsdet import RSDet; print(RSDet('vmc-detr.yaml', scale='n').info(verbose=False)['params'] > 4e6)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip().endswith("True"), done.stderr[-2000:]


def test_every_dependency_states_the_reason_of_its_bounds():
    lines = (ROOT / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("\n]", 1)[0].splitlines()
    bare = [line for line in lines if line.strip().startswith('"') and "#" not in line]
    assert bare == []


def test_no_file_has_become_two():
    long = {p.name: n for p in (ROOT / "rsdet").rglob("*.py") if (n := len(p.read_text().splitlines())) > 700}
    assert long == {}

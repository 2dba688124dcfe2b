"""The small image: its list is what prediction without PyTorch imports, and what is copied into it is there."""

from __future__ import annotations

import json
import re
import sys

import pytest
from runtime_list import LIST, MODULES, ROOT, importable, packages

DOCKERFILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


def test_bounds_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    bounds = dict(re.findall(r'^  "([\w-]+)(>=[\d.]+)"', text, re.M))
    ours = {p.removesuffix("-headless"): line.removeprefix(p) for p, line in packages().items()}
    assert {p: bounds[p] for p in ours if p in bounds} == {p: ours[p] for p in ours if p in bounds}
    assert set(ours) - set(bounds) == {"pillow"}  # comes with Ultralytics


def test_pytorch_is_not_what_the_list_brings():
    assert not {"torch", "torchvision", "ultralytics", "onnx", "matplotlib"} & set(importable())
    assert {"numpy", *MODULES.values()} <= set(importable())
    assert "os" in sys.stdlib_module_names


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda p: p.stem)
def test_what_is_copied_is_there_and_reaches_the_builder(file):
    text = file.read_text(encoding="utf-8")
    assert f"-f docker/{file.name}" in text
    copied = [c for c in re.findall(r"^COPY (?!--from)(\S+)", text, re.M) if c != "."]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    for name in [*copied, *(line[1:] for line in ignored if line.startswith("!"))]:
        assert (ROOT / name).exists()
        assert f"!{name}" in ignored
    wheel = re.search(r"^packages = (.*)$", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)[1]
    assert {"!rsdet", "!cfg", "!datasets", "!README.md", "!LICENSE", "!pyproject.toml"} <= set(ignored)
    assert wheel == '["rsdet"]'
    assert LIST.is_file()


def test_the_size_that_is_stated_was_counted_with_what_ships_now():
    counted = json.loads((ROOT / "benchmarks/results/runtime-footprint.json").read_text(encoding="utf-8"))["installed"]
    stated = (ROOT / "docs/howto/deploy.md").read_text(encoding="utf-8")
    assert f"**{counted['packages_mb']:.0f} MB** of packages" in stated
    files = (f for d in ("rsdet", "cfg", "datasets") for f in (ROOT / d).rglob("*"))
    now = sum(f.stat().st_size for f in files if f.is_file() and "__pycache__" not in f.parts) / 1e6
    assert now == pytest.approx(counted["of_which_mb"]["rsdet"], abs=5), "benchmarks/runtime_footprint.py --installed"

"""``rsdet env``: what a report of a bug needs, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

from runtime_list import only

from rsdet.cli import run

REQUIRES = [
    "numpy>=2",
    "pytest>=9; extra == 'test'",
    'gone-package>=1; extra == "gone"',
    'rsdet[gone]; extra == "test"',
]


def test_it_says_versions_devices_extras_and_settings(capsys, monkeypatch):
    monkeypatch.setenv("RSDET_TOKEN", "secret")
    monkeypatch.setattr(metadata, "requires", lambda name: REQUIRES)
    assert run(["env"]) == 0
    text = capsys.readouterr().out
    for word in ("rsdet", "torch", "python", "gpu", "extras:", "home", "YOLO_CONFIG_DIR"):
        assert word in text
    assert "secret" not in text
    assert run(["env", "json=True"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["extras"] == {"test": f"pytest {metadata.version('pytest')}", "gone": "no (gone-package)"}
    assert found["machine"]["rsdet"]


def test_where_it_is_not_installed_nothing_is_said_of_extras(capsys, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert run(["env"]) == 0
    assert "not known" in capsys.readouterr().out


def test_it_answers_where_exported_files_run_without_pytorch():
    done = subprocess.run(
        [sys.executable, "-c", f"{only()}\nfrom rsdet.cli import run\nsys.exit(run(['env']))"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" in done.stdout

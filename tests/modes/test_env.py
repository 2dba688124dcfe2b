"""``rsdet env``: what a report of a bug needs, and no secret."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from importlib import metadata

import pytest
from runtime_list import only

from rsdet.cli import run
from rsdet.modes.env import opencv

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
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "onnxruntime" in done.stdout


def wheel(folder, name, version, library):
    """What an installed wheel of OpenCV says of itself, its library being `library`."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    digest = base64.urlsafe_b64encode(hashlib.sha256(library).digest()).rstrip(b"=").decode()
    (info / "RECORD").write_text(f"cv2/__init__.py,,\ncv2/cv2.abi3.so,sha256={digest},{len(library)}\n")


@pytest.mark.parametrize("other", ["5.0", "4.13"])
def test_two_wheels_of_opencv_are_told_apart(other, monkeypatch, tmp_path):
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "cv2.abi3.so").write_bytes(b"with windows")
    wheel(tmp_path, "opencv-python", "5.0", b"with windows")

    def distribution(name):
        return next(iter(metadata.distributions(name=name, path=[str(tmp_path)])), None) or known("gone")

    known = metadata.distribution
    monkeypatch.setattr(metadata, "distribution", distribution)
    assert opencv() == {"opencv-python": "5.0"}
    wheel(tmp_path, "opencv-python-headless", other, b"without")
    found = opencv()
    assert found["opencv-python"] == "5.0, imported"
    assert found["opencv-python-headless"] == f"{other}, overwritten by another"
    assert ("different versions" in found) == (other != "5.0")

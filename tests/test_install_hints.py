"""What messages tell a user to install can be installed: packages by name, no extra of a package on no index."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

import rsdet
from rsdet import cli
from rsdet.errors import install

LINES = ["numpy>=1", "nncf>=2.14; extra == 'int8'", "openvino>=2024.3; extra == 'int8'", 'a<2; extra == "int8x"']


def test_the_packages_of_an_extra_are_named(monkeypatch):
    monkeypatch.setattr(metadata, "requires", lambda name: LINES)
    assert install("int8") == 'pip install "nncf>=2.14" "openvino>=2024.3"'


def test_where_rsdet_is_not_installed_a_checkout_is_meant(monkeypatch):
    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    assert install("geo") == 'pip install ".[geo]" in a checkout of rsdet'


def test_no_message_names_an_extra_of_an_index():
    root = Path(rsdet.__file__).parent
    texts = {p: p.read_text(encoding="utf-8") for p in root.rglob("*.py")}
    assert [p.name for p, text in texts.items() if re.search(r"pip install ['\"]?rsdet", text)] == []
    extras = {e for text in texts.values() for e in re.findall(r"install\(['\"](\w+)['\"]\)", text)}
    try:
        known = set(metadata.metadata("rsdet").get_all("Provides-Extra"))
    except metadata.PackageNotFoundError:
        pytest.skip("rsdet is not installed here")
    assert extras
    assert extras <= known


def test_a_model_that_needs_pytorch_says_so_where_there_is_none(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    for name in [n for n in sys.modules if n == "rsdet.model" or n.startswith("ultralytics.")]:
        monkeypatch.delitem(sys.modules, name)
    assert cli.run(["predict", "model=rx", "source=cube.hdr"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ultralytics is not installed: pip install ultralytics" in line

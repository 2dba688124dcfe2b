"""``rsdet env``: what a report of a bug needs, and no secret."""

from __future__ import annotations

import json
from importlib import metadata

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

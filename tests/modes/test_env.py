"""``rsdet env``: what a report of a bug needs, and no secret."""

from __future__ import annotations

import json
import re
from pathlib import Path

from rsdet.cli import run
from rsdet.modes.env import EXTRAS

ROOT = Path(__file__).resolve().parents[2]


def test_it_says_versions_devices_extras_and_settings(capsys, monkeypatch):
    monkeypatch.setenv("RSDET_TOKEN", "secret")
    assert run(["env"]) == 0
    text = capsys.readouterr().out
    for word in ("rsdet", "torch", "python", "gpu", "extras:", "geo", "home", "YOLO_CONFIG_DIR"):
        assert word in text
    assert "secret" not in text
    assert run(["env", "json=True"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["extras"].keys() == EXTRAS.keys()
    assert found["machine"]["rsdet"]


def test_extras_are_those_of_the_package():
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[project.scripts]")[0]
    said = {}
    for name, body in re.findall(r"^(\w+) = \[(.*?)\n?\]\s*(?:#.*)?$", section, re.MULTILINE | re.DOTALL):
        said[name] = {re.split(r"[\[<>=]", q)[0] for q in re.findall(r'"([^"]+)"', body)} - {"rsdet"}
    for name in {"hub", *said} & EXTRAS.keys() & said.keys():
        assert set(EXTRAS[name]) == said[name], name
    assert set(said) - EXTRAS.keys() <= {"mutants", "test", "docs", "track"}

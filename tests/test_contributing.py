"""What CONTRIBUTING.md shows is there: code is that of the toy task, commands are those of the Makefile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TOY = "\n".join(
    f.read_text(encoding="utf-8") for f in sorted((ROOT / "tests" / "toy_tasks" / "two_dates").glob("*.py"))
)


def lines(text: str) -> str:
    """Text without what a formatter may change: indentation and empty lines."""
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", TEXT, re.S))
def test_code_is_literally_that_of_the_toy_task(code):
    assert lines(code) in lines(TOY)


def test_commands_are_targets_of_the_makefile():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = re.findall(r"\bmake ([\w-]+)", TEXT)
    assert named
    assert not {*named} - {*targets}


def test_files_that_are_pointed_to_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r"`((?:rsdet|tests|benchmarks)/[\w/.-]+)`", TEXT)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]

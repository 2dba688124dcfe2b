"""requirements.lock: a version of all that is asked for, within its bounds, with hashes and without addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = [
    (Requirement(line.rstrip("\\ ")), hashes) for line, hashes in re.findall(r"^(\w.*)\n((?:    .*\n)+)", TEXT, re.M)
]
ASKED = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("\ndependencies = [", 1)[1].split("\n]", 1)[0]


@pytest.mark.parametrize("asked", re.findall(r'^  "([^"]+)"', ASKED, re.M))
def test_what_the_package_asks_for_is_locked_within_its_bounds(asked):
    asked = Requirement(asked)
    found = [r for r, _ in LOCKED if canonicalize_name(r.name) == canonicalize_name(asked.name)]
    assert found, f"{asked.name} is missing; make requirements.lock anew as its head says"
    for locked in found:
        (version,) = (s.version for s in locked.specifier if s.operator == "==")
        assert asked.specifier.contains(version)


def test_every_line_is_a_version_or_a_hash():
    plain = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert sum(1 + hashes.count("\n") for _, hashes in LOCKED) == len(plain)
    for _, hashes in LOCKED:
        lines = hashes.splitlines()
        assert all(re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in lines)

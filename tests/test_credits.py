"""Committed pictures are of sets whose licence allows it, and say whose they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (ROOT / "benchmarks" / "results", ROOT / "docs" / "pictures")
PICTURES = [(d, p) for d in FOLDERS for p in sorted(d.rglob("*")) if p.suffix in (".jpg", ".png")]
NO_LICENCE = ("hrsid", "P00", "rice", "rsscn7", "mars", "trento", "bijie", "levir", "rsicd", "dota")


def rows(folder: Path) -> list[list[str]]:
    """Names of pictures of each row of the table in the README."""
    text = (folder / "README.md").read_text(encoding="utf-8").partition("# Where the pictures come from")[2]
    cells = (line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    return [re.findall(r"`([^`]+)`", cell) for cell in cells]


@pytest.mark.parametrize(("folder", "picture"), PICTURES, ids=[p.name for _, p in PICTURES])
def test_a_picture_has_a_row_that_names_source_and_licence(folder, picture):
    name = picture.relative_to(folder)
    assert any(name.match(g) or name.stem == g for row in rows(folder) for g in row), f"no row names {name}"
    assert not any(s in name.name for s in NO_LICENCE)

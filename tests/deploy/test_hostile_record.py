"""Records of strangers: whatever stands in them, a page holds it as text and a terminal shows it as text."""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from test_report_html import ROWS, Structure, full, result, row  # noqa: F401 (a fixture)

from rsdet.deploy.compare import compare
from rsdet.deploy.report_html import write_html
from rsdet.errors import DataError, RSDetError

MARK = "<script>x</script>'\" onload=x"
ESCAPES = "\x1b]0;owned\x07\x9b2J[red]name[/red]"


def places(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The way to every value in a record; of a long list to its first, which stands for all."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*path, 0))
    yield path


def changed(record: dict, path: tuple, value: Any, key: bool = False) -> dict:
    record = deepcopy(record)
    inner = record
    for step in path[:-1]:
        inner = inner[step]
    if key and isinstance(inner, dict):
        inner[value] = inner.pop(path[-1])
    else:
        inner[path[-1]] = value
    return record


@pytest.fixture
def record(full) -> dict:  # noqa: F811
    full.layers = {"vmc-detr": [vars(r) if hasattr(r, "__dict__") else r.__class__ for r in ROWS]}
    full.enhance = [{"part": "dcp", "median_ms": 1.0, "p90_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0, "share": 1.0}]
    return json.loads(json.dumps(full.record()))


def test_nothing_in_a_record_becomes_markup(record, tmp_path):
    shown = refused = 0
    for path in places(record):
        for key in (False, True):
            if not path or (key and not isinstance(path[-1], str)):
                continue
            (tmp_path / "r.json").write_text(json.dumps(changed(record, path, MARK, key)))
            try:
                page = write_html(tmp_path / "r.json", tmp_path / "p.html").read_text(encoding="utf-8")
            except DataError:
                refused += 1
                continue
            found = Structure(page)
            assert not found.all("script"), path
            assert all("onload" not in attrs for _, attrs in found.found), path
            shown += MARK in found.text
    assert shown > 20
    assert refused > 5


def test_a_terminal_shows_a_record_as_text(record, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rsdet.deploy.compare._RESAMPLES", 10)
    for path in places(record):
        if not path or not isinstance(path[-1], (str, int)):
            continue
        good, bad = tmp_path / "a.json", tmp_path / "b.json"
        good.write_text(json.dumps(record))
        bad.write_text(json.dumps(changed(record, path, ESCAPES)))
        with contextlib.suppress(RSDetError):  # whose messages are text, as tests/test_names.py has it
            compare(good, bad)
        out = capsys.readouterr().out
        assert "\x1b]" not in out, path
        assert "\x9b" not in out, path


def test_a_model_with_markup_in_its_name_keeps_it(tmp_path, capsys):
    found = result(row("[red]ship[/red]"))
    found.print()
    found.save(tmp_path, "run")
    compare(tmp_path / "run.json", tmp_path / "run.json")
    assert capsys.readouterr().out.replace("\n", "").count("[red]") >= 3


def test_cells_of_a_record_are_no_formulas(tmp_path):
    result(row("=1+1")).save(tmp_path, "run")
    cells = [c for line in csv.reader((tmp_path / "run.csv").open(encoding="utf-8")) for c in line]
    assert "'=1+1" in cells
    assert not [c for c in cells if c.startswith(("=", "+", "@"))]

"""The pages of docs/: one a task with the same headings, keys from the code, nothing fetched, notebooks that hold."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rsdet import cli, tasks

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
HEADINGS = [
    "What it answers", "Data", "Train", "Validate", "Predict", "Export", "Benchmark", "Models", "Measured", "Limits",
    "Keys",
]  # fmt: skip
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.fixture
def build(monkeypatch, tmp_path):
    """docs/build.py, its folders below a temporary one."""
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGES", tmp_path / "pages")
    monkeypatch.setattr(module, "BUILT", tmp_path / "site")
    return module


@pytest.mark.parametrize("task", [*tasks.names(), "schedule"])
def test_every_task_has_a_page_with_the_same_headings(task):
    text = (DOCS / "tasks" / f"{task}.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.M) == HEADINGS


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "index.md"], ids=lambda p: p.name)
@pytest.mark.parametrize("task", tasks.names())
def test_every_task_has_a_tile_in_the_gallery(task, page):
    assert f"pictures/{task}.jpg" in page.read_text(encoding="utf-8")
    assert f'"{task}": lambda' in (DOCS / "pictures" / "make.py").read_text(encoding="utf-8")
    assert (DOCS / "pictures" / f"{task}.jpg").is_file()


def test_every_page_is_in_the_navigation():
    named = re.findall(r'"([\w/-]+\.md)"', (DOCS / "zensical.toml").read_text(encoding="utf-8"))
    assert sorted(named) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_where_the_site_shows_what_the_code_says_a_page_says_where_else_it_stands(build):
    """Who reads a page in the repository sees no mark, and would see an empty section."""
    for page in DOCS.rglob("*.md"):
        for found in build.MARK.finditer(text := page.read_text(encoding="utf-8")):
            assert "\n" in found[0], (page, found[0])
            mentioned = re.findall(r"`rsdet (.*?)`", found[0])
            assert all(cli.run(words.split()) == 0 for words in mentioned), mentioned
        assert text.count("\n:::") == 0 or build.MARK.search(text), page


@pytest.mark.skipif(os.name != "posix", reason="the tool is a script of a shell here")
def test_the_tool_is_run_from_where_it_was_named(build, monkeypatch, tmp_path):
    monkeypatch.setattr(build, "stage", lambda: None)
    monkeypatch.setattr(build, "SITE", tmp_path)
    tool = tmp_path / "elsewhere" / ".venv" / "bin" / "zensical"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\nexit 7\n")
    tool.chmod(0o755)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build.main(".venv/bin/zensical") == 7
    assert build.main(".venv/bin/none") == 2


def test_keys_are_those_of_the_code(build):
    filled = build.filled("<!-- keys: restore -->\nElsewhere.\n\nMore.", DOCS / "tasks" / "restore.md")
    assert "**`rsdet train`**" in filled
    assert "| `patch` |" in filled
    assert "Elsewhere" not in filled
    assert filled.endswith("\n\nMore.")
    assert "| `seeds` |" in build.filled("<!-- keys of mode: schedule -->", DOCS / "tasks" / "schedule.md")


def test_what_is_replaced_in_ultralytics_is_a_row_each(build):
    from rsdet.integration import TABLE

    filled = build.filled("<!-- patches -->", DOCS / "concepts" / "patches.md")
    assert filled.count("\n| `") == len(TABLE)


def test_licence_of_every_data_set_that_is_fetched_is_on_the_page(build):
    filled = build.filled("<!-- licences -->", DOCS / "licence.md")
    with_page = [p for p in (ROOT / "datasets").glob("*.yaml") if "\nhomepage: " in p.read_text(encoding="utf-8")]
    assert filled.count("\n| [") == len(with_page)


def test_files_that_a_page_points_to_are_copied_beside_it(build):
    text = build.filled("[a](../benchmarks/results/README.md#x) [b](https://a.b)", DOCS / "results.md")
    assert text == "[a](files/benchmarks/results/README.md#x) [b](https://a.b)"
    assert (build.PAGES / "files/benchmarks/results/README.md").is_file()


def test_a_card_says_how_the_training_went_and_shows_what_went_wrong(build):
    filled = build.filled("<!-- weights -->", DOCS / "weights.md")
    assert filled.count("\nCurve") == filled.count("\n## ") > 0
    shown = re.findall(r"benchmarks/results/zoo/[\w-]+\.jpg", filled)
    assert len({*shown}) > filled.count("\n## ")  # every failure that a card shows can be reached


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<a href="b.html">', "not there"),
        ('<a href="a.html#there">', "does not have"),
        ('<script src="https://cdn.example/x.js"></script>', "fetches"),
        ('<link rel="stylesheet" href="https://fonts.example/x.css">', "fetches"),
        ('<img src="x.png">', "not there"),
        ("<p>an item\n- <strong>the next</strong></p>", "list"),
    ],
)
def test_a_page_that_leads_nowhere_or_calls_out_is_told(build, body, fault):
    build.BUILT.mkdir()
    (build.BUILT / "a.html").write_text(f'<a id="here"></a><a href="#here">x</a>{body}')
    assert [fault in line for line in build.faults()] == [True]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_committed_without_outputs(notebook):
    cells = [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]
    assert not any(c["outputs"] or c["execution_count"] for c in cells)
    assert any("assert" in "".join(c["source"]) for c in cells)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_a_notebook_asserts_holds(notebook, tmp_path):
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    script = tmp_path / f"{notebook.stem}.py"
    script.write_text("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"), encoding="utf-8")
    done = subprocess.run([sys.executable, script.name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

"""The reader of YAML and JSON: plain values come out as they stand, and no file decides how long it takes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import foreign
import pytest

import rsdet.textfiles
from rsdet.errors import ConfigError, DataError
from rsdet.textfiles import DEPTH, parse_json, parse_literal, parse_yaml, read_json, read_yaml


def test_plain_values_of_a_yaml():
    text = "a: &x [1, 2.5, yes, null, 0x1F, 1e-3]\nb: *x\nc: {<<: {p: 1}, q: 2026-01-31}\na2: 'é'\n1: one\n"
    assert parse_yaml(text, "x") == {
        "a": [1, 2.5, True, None, 31, "1e-3"], "b": [1, 2.5, True, None, 31, "1e-3"],
        "c": {"p": 1, "q": "2026-01-31"}, "a2": "é", 1: "one",
    }  # fmt: skip


def test_a_key_that_stands_twice_is_told_once(caplog):
    """A class that two lines number alike is lost, and the others keep their numbers."""
    text = "path: x\nnames:\n  0: ship\n  0: boat\n  1: car\n  '1': bus\nmore: {<<: {a: 1}, <<: {b: 2}}\n"
    with caplog.at_level("WARNING", "rsdet"):
        for _ in range(2):
            assert parse_yaml(text, "fleet.yaml")["names"] == {0: "boat", 1: "car", "1": "bus"}
    (record,) = caplog.records
    assert record.getMessage() == "fleet.yaml: 0 stands more than once, and the last one counts."


def test_names_are_the_words_that_stand_there():
    """YAML takes them for truth values, numbers and nothing; classes, and groups of pictures, are called so."""
    odd = ["no", "yes", "on", "1.50", "null", "~", "2026-01-31", "1_000", "0x1F"]
    assert parse_yaml(f"names: [{', '.join(odd)}]\nepochs: [no, 1.50]", "x") == {"names": odd, "epochs": [False, 1.5]}
    text = "a: {names: {0: off, 1: y}, palette: {no: '#fff'}, groups: {on: on.txt}, merge: {yes: [no, 1]}}"
    assert parse_yaml(text, "x")["a"] == {
        "names": {0: "off", 1: "y"}, "palette": {"no": "#fff"},
        "groups": {"on": "on.txt"}, "merge": {"yes": ["no", "1"]},
    }  # fmt: skip


def test_the_last_of_equal_keys_counts():
    assert parse_yaml("a: 1\na: 2\n", "x") == {"a": 2}
    assert parse_json('{"a": 1, "a": 2}', "x") == {"a": 2}


@pytest.mark.parametrize(
    "text",
    [
        foreign.BOMB, foreign.MERGED, foreign.DEEP_YAML, "a: &a {b: *a}", "a: &a [[*a]]", "- " * 200 + "x",
        f"a: {foreign.DIGITS}", "a: 0x" + "f" * 1000, "a: 1" + ":59" * 5000, "a: !!timestamp 2026-99-99",
        "a: !!binary eA==", "a: !!set {x}", "a: !!int x", "a: !!bool x", "a: !!python/name:os.system", "a: *b",
        "? [a]\n: b", "a: [", "a: b: c", "\x00", "%YAML 9.9\n---\na", "a\n---\nb",
    ],
)  # fmt: skip
def test_a_yaml_beyond_the_limits_is_one_line(text):
    with pytest.raises(ConfigError, match=r"^x is not valid YAML") as e:
        parse_yaml(text, "x")
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 300


def test_what_is_large_and_honest_passes():
    assert len(parse_yaml("names:\n" + "".join(f"  {i}: class {i}\n" for i in range(3000)), "x")["names"]) == 3000
    shared = "base: &b [1, 2, 3]\n" + "".join(f"r{i}: *b\n" for i in range(500))
    assert parse_yaml(shared, "x")["r499"] == [1, 2, 3]
    deep = "[" * (DEPTH - 2) + "]" * (DEPTH - 2)
    assert parse_yaml(f"a: {deep}", "x")["a"] == json.loads(deep)


def test_json_is_not_bounded_in_size(tmp_path):
    boxes = [{"id": i, "bbox": [i, 0.5, 1, 2]} for i in range(100_000)]
    (tmp_path / "a.json").write_text(json.dumps(boxes))
    assert read_json(tmp_path / "a.json") == boxes


@pytest.mark.parametrize("text", ["{", "", "[1,]", foreign.DEEP_JSON, '{"a": ' + foreign.DIGITS + "}", "{'a': 1}"])
def test_a_json_that_is_none_is_one_line(text):
    with pytest.raises(DataError, match=r"^x is not JSON \(.*\); mend the file.$"):
        parse_json(text, "x")


@pytest.mark.parametrize("text", ["[" * 5000, "{0: ", "f()", "9" * 6000, "1 +", "\x00"])
def test_a_literal_that_is_none_is_one_line(text):
    with pytest.raises(DataError, match=r"^x holds no plain value"):
        parse_literal(text, "x")


def test_files(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(file) == {"a": 1}
    for content, says in (
        (b"- 1\n", "must hold a YAML mapping"),
        (b"a: \xff", "byte 3 is not UTF-8"),
        (b"", "mapping"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=says):
            read_yaml(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path / "gone.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_nothing_else_reads_yaml_or_literals():
    """One reader: no other module of the package parses either, and this one stands on the errors alone."""
    root = Path(rsdet.textfiles.__file__).parent
    banned = {"safe_load", "literal_eval", "full_load", "unsafe_load", "load_all"}
    own = {
        "textfiles.py",
        "words.py",
        "bounds.py",
        "registry.py",
    }  # words of a command, rows of a network
    for file in root.rglob("*.py"):
        tree = ast.parse(file.read_text())
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert file.name in own or not used & banned, file
    imports = [
        n.module for n in ast.walk(ast.parse((root / "textfiles.py").read_text())) if isinstance(n, ast.ImportFrom)
    ]
    assert [m for m in imports if m.startswith("rsdet")] == ["rsdet.errors"]

"""Names from files are text: to a terminal, to a folder, to a spreadsheet; and no two become one."""

from __future__ import annotations

import csv
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsdet.errors import DataError
from rsdet.names import MOST, class_names, cleaned, csv_cell, folder_names, lies_below, printable, printable_all
from rsdet.quiet import say

ANY = st.text(st.characters(codec=None), max_size=150)
HOSTILE = [
    "../../x", "..", ".", "", " ", "/etc/x", "C:\\x", "\\\\host\\share", "a/b", "a\\b", "a_b", "car\n", "a\nb",
    "a\x00b", "CON", "nul.txt", "com1", "trailing. ", "~/x", "x" * 500, "é" * 200, "🚢" * 100, "\x1b]0;title\x07",
    "\x9b31m", "a\u202eb", "\ud800", "=1+1", "[red]x[/red]", "<b>", "car", "Car", "CAR",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Frachtschiff 3, größer/kleiner", "Frachtschiff 3, größer/kleiner"),
        ("貨物船 سفينة 🚢", "貨物船 سفينة 🚢"),
        ("می\u200cشود", "می\u200cشود"),  # Persian is written with it
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\udcff", r"\udcff"),
        ("a\x00\x7f\u2028", r"a\x00\x7f\u2028"),
        ("a\nb\tc", r"a\nb\tc"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_escape(text, shown):
    assert printable(text) == shown
    assert printable(shown) == shown
    assert printable_all({text: [text, 3, None]}) == {printable(text, "\n"): [printable(text, "\n"), 3, None]}


@given(ANY)
def test_printable_text_moves_no_cursor(text):
    shown = printable(text)
    shown.encode()
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)


@given(st.lists(st.one_of(ANY, st.sampled_from(HOSTILE)), max_size=12))
def test_class_names_are_one_line_each_their_own_and_stay_so(names):
    found = class_names(names)
    assert list(found) == list(range(len(names)))
    assert len(set(found.values())) == len(names)
    for name, given_name in zip(found.values(), names, strict=True):
        assert name.strip()
        assert name == printable(name)
        assert "\n" not in name
        assert len(name) <= MOST
        if names.count(given_name) == 1 and given_name == " ".join(given_name.split()) == printable(given_name):
            assert name == given_name or len(given_name) > MOST or not given_name
    assert class_names(found) == found


def test_names_that_would_become_one_are_numbered_and_told(caplog):
    with caplog.at_level(logging.WARNING, "rsdet"):
        found = class_names({0: "car ", 1: "car", 2: "", 3: "sh\x1bip", 4: "x" * 300, 5: True, 6: "car"})
    assert found == {
        0: "car (3)", 1: "car", 2: "class_2", 3: r"sh\x1bip", 4: "x" * 99 + "…", 5: "True", 6: "car (2)",
    }  # fmt: skip
    assert "5 of 7 class names" in caplog.text
    assert "class 0 is called 'car (3)'" in caplog.text
    caplog.clear()
    assert class_names(["car", " small  vehicle\n"]) == {0: "car", 1: "small vehicle"}
    assert not caplog.text  # spaces say nothing
    alike = {0: "crane", 1: "crane", 2: "crane\n"}
    assert class_names(alike, twins=True) == {0: "crane", 1: "crane", 2: "crane (2)"}
    assert class_names(alike) == {0: "crane", 1: "crane (2)", 2: "crane (3)"}


@given(st.lists(st.one_of(ANY, st.sampled_from(HOSTILE)), max_size=12))
def test_a_folder_of_a_class_lies_below_and_is_its_own(names):
    found = folder_names(dict(enumerate(names)))
    assert len({f.casefold() for f in found.values()}) == len(names)
    for part in found.values():
        assert Path(part).name == part
        assert not set(part) & set('/\\:*?"<>|')
        assert part not in ("", ".", "..")
        assert not part.endswith((".", " "))
        assert part.split(".")[0].lower() not in ("con", "nul", "com1")
        assert len(part.encode()) < 200


def test_folders_of_ordinary_classes_have_their_names():
    names = {0: "small vehicle", 1: "Schiff", 2: "tennis-court", 3: "a/b", 4: "a_b", 5: "v1.5"}
    assert folder_names(names) == {**names, 3: "a_b-2"}


@pytest.mark.parametrize(
    ("name", "below"),
    [("a.jpg", True), ("sub/a.jpg", True), ("a..b", True), ("", False), (".", False), ("..", False), ("../a", False),
     ("a/../../b", False), ("a\\..\\b", False), ("/a", False), ("C:a", False), ("C:\\a", False), ("\\\\h\\s", False),
     ("a\0b", False)],
)  # fmt: skip
def test_what_lies_below_a_folder(name, below):
    assert lies_below(name) is below


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_no_formula(cell):
    assert csv_cell(cell) == f"'{cell}"
    assert csv_cell("a=b") == "a=b"
    assert csv_cell(-1.5) == -1.5


def test_metrics_per_class_are_no_formulas(tmp_path):
    import numpy as np

    from rsdet.metrics.detection_areas import ImageDetections, ImageTruth, evaluate

    box, names = np.array([[2.0, 2, 9, 9]]), {0: '=HYPERLINK("http://x")', 1: "[red]ship[/red]"}
    truth = [ImageTruth("a", (20, 20), box, np.array([0]))]
    found = evaluate(truth, [ImageDetections("a", box, np.ones(1), np.array([0]))], protocol="coco", names=names)
    rows = list(csv.reader(found.to_csv(tmp_path / "m.csv").open(encoding="utf-8")))
    assert any(f"'{names[0]}" in row for row in rows)
    assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)


@pytest.fixture
def lines():
    """What the loggers of both packages say."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("rsdet", "ultralytics")]
    for logger in loggers:
        logger.addHandler(handler)
    yield said
    for logger in loggers:
        logger.removeHandler(handler)


def test_an_error_and_a_line_of_the_log_do_nothing_to_the_terminal(lines, capsys):
    error = DataError("\x1b]0;owned\x07.jpg cannot be read; copy it again.")
    assert str(error) == r"\x1b]0;owned\x07.jpg cannot be read; copy it again."
    assert type(error)(*error.args).args == error.args
    for name in ("rsdet", "ultralytics"):
        logging.getLogger(name).warning("left out: %s", "\x1b[2Ja\u202e.jpg")
    assert [line.endswith(r"left out: \x1b[2Ja\u202e.jpg") for line in lines] == [True, True]
    say("a\x1b[2J", logging.WARNING)
    assert "\x1b" not in capsys.readouterr().out + lines[-1]


def test_colours_of_ultralytics_stay(lines):
    from ultralytics.utils import checks, colorstr

    code = compile("log.warning(colour + '\\x1b[2J ⚠️ a')", checks.__file__, "exec")
    exec(code, {"log": logging.getLogger("ultralytics"), "colour": colorstr("red", "train: ")})  # as its modules do
    assert lines[-1].endswith(colorstr("red", "train: ") + r"\x1b[2J ⚠️ a")


def test_the_door_of_ultralytics_cleans_whoever_came_first():
    code = (
        "{}; from ultralytics.nn import autobackend, tasks; from ultralytics.data import utils, dataset\n"
        "for m in (autobackend, tasks, utils, dataset):\n"
        "    assert m.check_class_names(['a\\x1b', 'b']) == {{0: r'a\\x1b', 1: 'b'}}, m"
    )
    for first in ("import rsdet, ultralytics.models", "import ultralytics.models; import rsdet"):
        subprocess.run([sys.executable, "-c", code.format(first)], check=True)


@pytest.mark.parametrize("names", [{-1: "a", 0: "b", 1: "c"}, {"0": "a", 0: "b", 1: "c"}, {0: "a", 0.5: "b"}])
def test_numbers_that_would_lose_a_class_are_refused(names):
    """Ultralytics looks at the largest alone, and of two that are one takes the last."""
    from ultralytics.nn.autobackend import check_class_names

    with pytest.raises(DataError, match=r"not 0 to \d; mend names:"):
        cleaned(getattr(check_class_names, "__wrapped__", check_class_names))(names)

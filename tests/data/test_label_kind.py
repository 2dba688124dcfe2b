"""Which form the rows of label files have."""

from __future__ import annotations

import pytest
from fakes import text

from rsdet.data.label_kind import label_kind


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([""], "empty"),
        (["0 0.5 0.5 0.1 0.1", "", "0 0.5 0.5 0.1 0.1 0.9"], "detect"),
        (["0,0.5,0.5,0.1,0.1"], "detect"),
        (["0" + 8 * " 0.1"], "obb"),
        (["0" + 8 * " 0.1", "0" + 6 * " 0.1"], "segment"),
        (["0" + 8 * " 0.1", "0" + 4 * " 0.1"], "mixed"),
    ],
)
def test_kind_of_labels(tmp_path, rows, kind):
    together = text(tmp_path / "a.txt", "\n".join(rows))
    assert label_kind([together]).kind == kind
    apart = [text(tmp_path / f"{i}.txt", row) for i, row in enumerate(rows)]
    assert label_kind(apart).kind == kind


def test_files_of_no_kind_are_named(tmp_path):
    files = [text(tmp_path / "a.txt", "0 0.5 0.5"), text(tmp_path / "b.txt", "0 0.5 0.5 0.1 0.1"), tmp_path / "c.txt"]
    found = label_kind(files)
    assert (found.kind, found.files["unclear"]) == ("detect", [files[0], files[2]])
    assert str(found) == "detect: 1, first b.txt; unclear: 2, first a.txt"

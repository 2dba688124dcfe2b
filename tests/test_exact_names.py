"""The file that is named is the file that is loaded, whatever the characters of its name."""

from __future__ import annotations

import shutil

from conftest import TINY

from rsdet import RSDet


def test_weights_below_a_folder_with_an_apostrophe(tmp_path):
    wanted, other = tmp_path / "it's" / "best.pt", tmp_path / "its" / "best.pt"
    for path, queries in ((wanted, 20), (other, 30)):
        path.parent.mkdir()
        RSDet("vmc-detr-demo.yaml", **{**TINY, "nq": queries}).save(path)
    assert RSDet(wanted).model.model[-1].num_queries == 20  # and not the 30 of the other file
    shutil.rmtree(other.parent)
    assert RSDet(wanted).model.model[-1].num_queries == 20

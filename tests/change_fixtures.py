"""Weights that find some changes and not others, places to look at, and their exported file; made once for all."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Path, Path]:
    """A folder with ``w.pt``, and the YAML of a data set in it."""
    from change_fakes import data_yaml, enlivened, model_yaml

    from rsdet import RSDet

    folder = tmp_path_factory.mktemp("change")
    enlivened(RSDet(model_yaml(folder))).save(str(folder / "w.pt"))
    return folder, data_yaml(folder)


@pytest.fixture(scope="session")
def exported(made) -> Path:
    """The weights as ONNX, of 64 x 64 px."""
    pytest.importorskip("onnxruntime")
    from rsdet import RSDet

    folder, _ = made
    return RSDet(folder / "w.pt").export(format="onnx", imgsz=64, out=folder, verbose=False).path

"""The STAC item beside an exported file: valid, and true of the file that lies there."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from exported import lively

from rsdet.errors import MissingDependencyError


def exported(folder: Path) -> Any:
    return lively("yolo", folder).export(imgsz=64, out=folder / "ships.onnx", stac=True, verbose=False)


def test_the_item_is_true_of_the_file(tmp_path: Path) -> None:
    pytest.importorskip("stac_model.schema", reason="items are written with stac-model (extra stac)")
    pystac = pytest.importorskip("pystac")
    from pystac.validation.stac_validator import JsonSchemaSTACValidator
    from stac_model.schema import MLModelProperties

    made = lively("yolo", tmp_path).export(
        format="onnx", imgsz=64, out=tmp_path / "ships.onnx", stac=True, verbose=False
    )
    assert made.stac == tmp_path / "ships.onnx.stac.json"
    item = json.loads(made.stac.read_text())
    JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, pystac.get_stac_version())
    properties = item["properties"]
    MLModelProperties(**{k: v for k, v in properties.items() if k.startswith("mlm:")})
    assert properties["mlm:tasks"] == ["object-detection"]
    assert properties["mlm:framework"] == "ONNX"
    assert properties["mlm:input"][0]["input"]["shape"] == [1, 3, 64, 64]
    assert len(properties["mlm:output"][0]["classification:classes"]) == 3
    assert properties["rsdet:weights_sha256"] == made.metadata["weights_sha256"]
    asset, content = item["assets"]["model"], made.path.read_bytes()
    assert asset["href"] == "./ships.onnx"
    assert asset["file:size"] == properties["file:size"] == len(content)
    assert asset["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()


def test_without_stac_model_nothing_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stac_model.schema", None)
    with pytest.raises(MissingDependencyError, match="stac-model"):
        exported(tmp_path)
    assert not list(tmp_path.glob("ships*"))

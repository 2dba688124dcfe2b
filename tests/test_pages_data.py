"""The data YAMLs that pages of tasks show are read as they stand, on files that are named as there."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from vqa_fakes import squares

PAGES = Path(__file__).resolve().parents[1] / "docs" / "tasks"


def shown(page: str, folder: Path) -> Path:
    """The YAML of a page as a file."""
    file = folder / "data.yaml"
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (PAGES / f"{page}.md").read_text(encoding="utf-8"), re.M | re.S)
    file.write_text(block)
    return file


def test_questions_of_your_own(tmp_path):
    from rsdet.data.questions.datasets import read_question_data

    (tmp_path / "tiles").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "tiles" / f"{name}.png"), squares(0)[0])
    for split, name in (("train", "a"), ("val", "b")):
        (tmp_path / f"{split}.csv").write_text(f"image,question,answer\n{name}.png,Is there water?,yes\n")
    data = read_question_data(shown("vqa", tmp_path))
    for split in ("train", "val"):
        (question,) = data.split(split).questions
        assert question.text == "Is there water?"


def test_a_scene_of_your_own(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rsdet.tasks.landcover.data import read_land_data

    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 4, (12, 12)), 4, 0).repeat(4, 1)
    files = {"cube.img": (rng.random((5, 48, 48)), "ENVI"), "height.tif": (rng.random((1, 48, 48)), "GTiff"),
             "labels.tif": (labels[None].astype(np.uint8), "GTiff")}  # fmt: skip
    for name, (values, driver) in files.items():
        values = values.astype(np.float32) if driver == "ENVI" or name == "height.tif" else values
        profile = {"driver": driver, "count": len(values), "height": 48, "width": 48, "dtype": values.dtype}
        with rasterio.open(tmp_path / name, "w", **profile) as f:
            f.write(values)
    land = read_land_data(shown("landcover", tmp_path), lidar=True)
    assert (land.labels == labels).all()
    assert (land.channels, land.rasters) == (6, 1)  # bands of the cube, then the height

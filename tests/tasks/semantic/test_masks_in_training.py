"""Data YAMLs that say what masks hold, as a training and a validation take them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from semantic_fakes import TRAIN, model_yaml

from rsdet import RSDet
from rsdet.errors import DataError, RSDetError


def make(root: Path, masks: dict[str, np.ndarray], suffix: str = ".png", **spec: object) -> Path:
    """Pictures with masks of folders beside them; the same ones for training and validation."""
    rng = np.random.default_rng(0)
    for i in range(2):
        for folder, mask in masks.items():
            file = root / folder / "train" / f"{i}{suffix if folder == 'images' else '.png'}"
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), mask)
        picture = root / "images" / "train" / f"{i}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(picture), rng.integers(0, 256, (64, 64, 3), np.uint8))
    path = root / "set.yaml"
    content = {"task": "semantic", "train": "images/train", "val": "images/train", "masks_dir": "masks"}
    path.write_text(yaml.safe_dump({**content, "names": {0: "a", 1: "b"}, **spec}))
    return path


def trained(data: Path, nc: int = 2, **kwargs: object) -> RSDet:
    model = RSDet(model_yaml(data.parent, nc))
    model.train(data=data, project=str(data.parent / "runs"), **{**TRAIN, **kwargs})
    return model


def halves(low: int, high: int) -> np.ndarray:
    mask = np.full((64, 64), low, np.uint8)
    mask[:, 32:] = high
    return mask


def counts(model: RSDet, data: Path) -> list[int]:
    """Pixels of each class in the truth."""
    return model.val(data=data, plots=False, imgsz=64, workers=0).scores.matrix.sum(1).tolist()


def test_colours_train_and_are_measured(tmp_path):
    colours = np.zeros((64, 64, 3), np.uint8)
    colours[:, 40:] = (0, 255, 255)  # BGR of #ffff00
    colours[0, 0] = (1, 2, 3)
    data = make(tmp_path, {"masks": colours}, palette={"b": "#ffff00", "a": "#000000", "ignore": "others"})
    assert counts(trained(data), data) == [2 * (64 * 40 - 1), 2 * 64 * 24]


def test_what_other_masks_cover_is_left_out(tmp_path, caplog):
    rover, far = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    rover[:10] = 1
    far[:, :4] = 255
    masks = {"masks": halves(0, 1), "rover": rover, "far": far}
    data = make(tmp_path, masks, ignore_masks=["rover", "far"])
    model = trained(data)
    assert counts(model, data) == [2 * 54 * 28, 2 * 54 * 32]
    (tmp_path / "far" / "train" / "1.png").unlink()
    with caplog.at_level(logging.WARNING):
        assert counts(model, data) == [54 * (28 + 32), 2 * 54 * 32]
    assert "1 pictures: there is no mask in far" in caplog.text
    cv2.imwrite(str(tmp_path / "rover" / "train" / "0.png"), rover[:32])
    with pytest.raises(DataError, match=r"rover.*0\.png has 64x32 pixels, its picture 64x64"):
        counts(model, data)
    for file in (tmp_path / "rover" / "train").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"none of the 2 pictures .* has a mask in rover"):
        counts(model, data)


def test_a_mended_mask_is_seen(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 7)})
    with pytest.raises(DataError, match=r"2 masks are wrong, .* 7 \(2048 px\)"):
        trained(data)
    for file in (tmp_path / "masks" / "train").iterdir():
        cv2.imwrite(str(file), halves(0, 1))
    trained(data)


def test_another_meaning_of_values_is_another_scan(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 1)})
    model = trained(data)
    assert counts(model, data) == [4096, 4096]
    data.write_text(data.read_text() + "label_mapping: {1: 255}\n")
    assert counts(model, data) == [4096, 0]


def test_classes_that_never_occur_are_told(tmp_path, caplog):
    data = make(tmp_path, {"masks": halves(0, 1)}, names={0: "a", 1: "b", 2: "moss", 3: "ice"})
    for _ in range(2):  # by the scan, and by what was kept of it
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            trained(data, 4)
        assert "no pixel of the 2 masks" in caplog.text
        assert "is moss, ice: nothing is learnt" in caplog.text


def test_masks_of_0_and_255_with_two_names_are_told_what_255_is(tmp_path, caplog):
    data = make(tmp_path, {"masks": halves(0, 255)}, names={0: "land", 1: "water"})
    with caplog.at_level(logging.WARNING):
        model = trained(data)
    assert "is water: nothing is learnt of it; 4096 are 255" in caplog.text
    mapping = re.search(r"label_mapping: \{255: 1\}", caplog.text)
    data.write_text(f"{data.read_text()}{mapping[0]}\n")
    assert counts(model, data) == [4096, 4096]


def test_binary_masks_of_0_and_255_do_not_pass_for_background(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 255)}, names={0: "landslide"})
    with pytest.raises(DataError, match=r"is landslide \(1\): 4096 are background .* label_mapping: \{255: 1\}"):
        trained(data, 1)
    data.write_text(data.read_text() + "label_mapping: {255: 1}\n")
    assert counts(trained(data, 1), data) == [4096, 4096]


def test_a_damaged_mask_is_left_out_by_name(tmp_path, caplog):
    data = make(tmp_path, {"masks": halves(0, 1)})
    file = tmp_path / "masks" / "train" / "1.png"
    file.write_bytes(file.read_bytes()[:60])
    with caplog.at_level(logging.INFO):
        trained(data)
    assert "damaged mask" in caplog.text
    assert "1.png" in caplog.text


def test_a_picture_is_not_its_own_mask(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 1)})
    content = yaml.safe_load(data.read_text())
    (tmp_path / "images" / "train").rename(tmp_path / "here")  # no folder "images" whose place another could take
    data.write_text(yaml.safe_dump({**content, "train": "here", "val": "here"}))
    with pytest.raises(DataError, match="none of the 2 pictures"):
        trained(data)


def test_what_masks_hold_needs_masks(tmp_path):
    data = make(tmp_path, {"truth": halves(0, 1)}, palette={"a": "#000000"})
    data.write_text(data.read_text().replace("masks_dir: masks\n", ""))
    with pytest.raises(RSDetError, match=r"palette: .* masks_dir: masks"):
        trained(data)


def test_a_list_of_names_that_are_not_there_is_refused(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 1)})
    (tmp_path / "few.txt").write_text("0.png\nnine.png\n")
    with pytest.raises(RSDetError, match=r"names 1 of 2 .* 'nine.png'"):
        trained(data, method="fixmatch", labeled=str(tmp_path / "few.txt"))


def test_batches_without_a_label_have_a_finite_loss(tmp_path):
    data = make(tmp_path, {"masks": halves(0, 1)})
    cv2.imwrite(str(tmp_path / "masks" / "train" / "0.png"), np.full((64, 64), 255, np.uint8))
    for i, method in enumerate((None, "supervised", "unimatch", "s5mars")):
        more = {"method": method} if method else {}
        model = trained(data, batch=1, name=f"run{i}", **more)
        assert all(np.isfinite(p.numpy(force=True)).all() for p in model.model.parameters()), method
        row = (tmp_path / "runs" / f"run{i}" / "results.csv").read_text().splitlines()[1]
        assert "nan" not in row, method


def geotiff(path: Path, values: np.ndarray, left: float | None, crs: str | None) -> None:
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import from_origin

    bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    place = {} if left is None else {"transform": from_origin(left, 5_000_000, 10, 10)}
    shape = {"height": bands.shape[1], "width": bands.shape[2], "count": len(bands), "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, **shape, **place) as f:
        f.write(bands)


@pytest.mark.parametrize(
    ("left", "crs", "said"),
    [
        (600_000, "EPSG:32633", None),
        (600_000.4, "EPSG:32633", None),  # rounding
        (600_000, "EPSG:32634", "is in EPSG:32634, its picture in EPSG:32633"),
        (600_010, "EPSG:32633", "1.0 pixels beside"),
        (600_005, "EPSG:32633", "0.5 pixels beside"),  # the centre of a pixel taken for its corner
        (600_000, None, "told: the mask has no CRS"),
        (None, None, "told: the mask is a TIFF without a place"),
    ],
)
def test_a_mask_of_another_place_is_refused(tmp_path, caplog, left, crs, said):
    data = make(tmp_path, {"masks": halves(0, 1)})
    for i in range(2):
        picture = cv2.imread(str(tmp_path / "images" / "train" / f"{i}.png"))
        geotiff(tmp_path / "images" / "train" / f"{i}.tif", picture, 600_000, "EPSG:32633")
        geotiff(tmp_path / "masks" / "train" / f"{i}.tif", halves(0, 1), left, crs)
        for folder in ("images", "masks"):
            (tmp_path / folder / "train" / f"{i}.png").unlink()
    if said is None or said.startswith("told: "):
        with caplog.at_level(logging.WARNING):
            assert counts(trained(data), data) == [4096, 4096]
        assert (said or "").removeprefix("told: ") in caplog.text
        assert (said is None) == ("2 pictures: " not in caplog.text)
        return
    with pytest.raises(DataError, match=said) as e:
        trained(data)
    assert "\n" not in str(e.value)

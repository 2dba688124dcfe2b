"""Shipped sets of maps, made ready from the layouts of their owners, in a handful of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from rsdet.data.download import check_dataset, find_yaml, list_datasets
from rsdet.data.importers import IMPORTERS
from rsdet.data.masks.reader import MaskReader
from rsdet.errors import DataError

NAMES = ("ai4mars", "bijie-landslide", "s5mars")


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))


def ready(name: str, root: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """The data YAML and all masks by split and name."""
    data = check_dataset(name, root, progress=False)
    assert data["task"] == "semantic"
    masks = Path(data["yaml_file"]).parent / data["masks_dir"]
    return data, {p.relative_to(masks).with_suffix("").as_posix(): cv2.imread(str(p), -1) for p in masks.rglob("*.png")}


@pytest.mark.parametrize("name", NAMES)
def test_shipped_yamls_of_maps_say_what_users_need(name, tmp_path):
    assert name in list_datasets()
    path = find_yaml(name)
    content = yaml.safe_load(path.read_text())
    for key in (
        "licence",
        "homepage",
        "citation",
        "splits",
        "names",
        "path",
        "train",
        "val",
        "masks_dir",
        "instruction",
    ):
        assert content.get(key), key
    assert content["name"] == name == content["path"] == path.stem
    assert content["task"] == content["options"]["task"] == "semantic"
    assert content["source_format"] in IMPORTERS
    for word in ("Source:", "Split:", "Protocol:", "onfirmed"):
        assert word in path.read_text(), word
    MaskReader.of(content)
    with pytest.raises(DataError, match="no files in") as e:
        check_dataset(name, tmp_path, progress=False)
    assert "\n" not in str(e.value)


def test_both_forms_of_s5mars_are_one(tmp_path):
    content = yaml.safe_load(find_yaml("s5mars").read_text())
    root = tmp_path / "s5mars-original" / "S5Mars"
    classes = np.random.default_rng(0).integers(0, 10, (24, 32)).astype(np.uint8)  # 9 is none
    numbers = ((classes + 1) % 10).astype(np.uint8)
    hexes = [content["palette"][n] for n in (*content["names"].values(), "ignore")]
    colours = np.array([[int(h[i : i + 2], 16) for i in (1, 3, 5)] for h in hexes], np.uint8)
    drawn = Image.fromarray(classes).convert("P")
    drawn.putdata(classes.ravel().tolist())
    drawn.putpalette(colours.ravel().tolist())
    for split, mask in (
        ("train", Image.fromarray(numbers)),
        ("val", Image.fromarray(colours[classes])),
        ("test", drawn),
    ):
        picture(root / "images" / split / "a.jpg")
        (root / "labels" / split).mkdir(parents=True)
        mask.save(root / "labels" / split / "a.png")
    data, masks = ready("s5mars", tmp_path)
    assert list(data["names"].values())[-1] == "hole"
    assert sorted(masks) == ["test/a", "train/a", "val/a"]
    for split, found in masks.items():
        assert np.array_equal(found, np.where(classes == 9, 255, classes)), split


def test_ai4mars_leaves_out_the_rover(tmp_path):
    root = tmp_path / "ai4mars-original" / "msl"
    mask, rover = np.full((24, 32), 2, np.uint8), np.zeros((24, 32), np.uint8)
    rover[:4] = 1
    gold = root / "labels" / "test" / "masked-gold-min3-100agree"
    for folder in (root / "images" / "mxy", root / "labels" / "train", gold):
        folder.mkdir(parents=True)
    for i in (1, 2):
        picture(root / "images" / "edr" / f"NLB_{i}EDR_M1.JPG")
    cv2.imwrite(str(root / "images" / "mxy" / "NLB_1MXY_M1.png"), rover)
    cv2.imwrite(str(root / "labels" / "train" / "NLB_1EDR_M1.png"), mask)
    cv2.imwrite(str(gold / "NLB_2EDR_M1_merged.png"), mask)
    data, masks = ready("ai4mars", tmp_path)
    assert (data["train"], data["val"]) == ("images/train", "images/test")
    assert np.array_equal(masks["train/NLB_1EDR_M1"], np.where(rover, 255, mask))
    assert np.array_equal(masks["test/NLB_2EDR_M1"], mask)


def test_bijie_of_the_owner_and_in_yellow(tmp_path):
    root = tmp_path / "bijie-landslide-original" / "Bijie-landslide-dataset"
    slide = np.zeros((24, 32), np.uint8)
    slide[3:9, 4:20] = 1
    for i in range(10):
        place = "landslide" if i < 6 else "non-landslide"
        picture(root / place / "image" / f"p{i}.png")
        picture(root / place / "dem" / f"p{i}.png")
    (root / "landslide" / "mask").mkdir()
    for i in range(6):
        forms = (slide, slide * 255, np.dstack([0 * slide, 255 * slide, 255 * slide]))
        cv2.imwrite(str(root / "landslide" / "mask" / f"p{i}.png"), forms[i % 3])
    data, masks = ready("bijie-landslide", tmp_path)
    assert data["names"] == {0: "landslide"}
    assert [sum(k.startswith(s) for k in masks) for s in ("train/", "val/")] == [8, 2]
    for key, found in masks.items():
        assert np.array_equal(found, slide if key[-1] < "6" else 0 * slide), key

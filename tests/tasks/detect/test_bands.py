"""``bands=`` and alpha through every door of a detector: the boxes are those of the picture of these bands."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import TINY, TRAIN
from exported import lively

from rsdet import RSDet, cli
from rsdet.data.scenes import render_scene
from rsdet.deploy.artifact import read_metadata
from rsdet.errors import ConfigError, DataError
from rsdet.runtime import Detector
from rsdet.runtime import light as small_cli

rasterio = pytest.importorskip("rasterio")
SIZE = 128
QUIET = dict(imgsz=SIZE, conf=0.2, save=False, verbose=False)


def tiff(path: Path, bands: list[np.ndarray], **profile) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=SIZE, width=SIZE, count=len(bands), dtype="uint8",
        transform=rasterio.transform.from_origin(0, 0, 1, 1), **profile,
    ) as f:  # fmt: skip
        f.write(np.stack(bands))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One scene as RGB, with near infrared, with opacity, and with its bands in disorder."""
    root = tmp_path_factory.mktemp("scenes")
    blue, green, red = np.moveaxis(render_scene(3, (SIZE, SIZE)).image, -1, 0)
    nir = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), dtype=np.uint8)
    tiff(root / "rgb.tif", [red, green, blue])
    tiff(root / "rgbn.tif", [red, green, blue, nir], photometric="RGB", alpha="UNSPECIFIED")
    tiff(root / "rgba.tif", [red, green, blue, nir], photometric="RGB", alpha="NON-PREMULTIPLIED")
    tiff(root / "mixed.tif", [nir, blue, red, green, nir], photometric="MINISBLACK")
    cv2.imwrite(str(root / "rgba.png"), np.dstack([blue, green, red, nir]))
    return root


@pytest.fixture(scope="module")
def yolo(tmp_path_factory):
    return lively("yolo", tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="module")
def onnx(yolo, folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx")
    return yolo.export(format="onnx", imgsz=SIZE, images=[folder / "rgb.tif"], out=str(out), verbose=False).path


def boxes(result) -> np.ndarray:
    if hasattr(result, "boxes"):
        return result.boxes.data.cpu().numpy()
    return np.column_stack([result.boxes_xyxy, result.scores, result.classes])


@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("rgbn.tif", [1, 2, 3]),
        ("mixed.tif", [3, 4, 2]),
        ("rgba.tif", None),
        ("rgba.png", None),
        ("rgba.tif", [1, 2, 3]),
    ],
)  # fmt: skip
def test_the_same_boxes_from_weights_and_file_as_of_the_rgb_picture(name, bands, yolo, onnx, folder):
    expected = boxes(yolo.predict(folder / "rgb.tif", **QUIET)[0])
    assert len(expected) > 3
    seen = boxes(yolo.predict(folder / name, bands=bands, **QUIET)[0])
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    seen = boxes(Detector(onnx, bands=bands).predict(folder / name, conf=0.2))
    np.testing.assert_allclose(seen, expected, atol=0.05)
    seen = boxes(RSDet(onnx).predict(folder / name, bands=bands, **QUIET)[0])
    np.testing.assert_allclose(seen, expected, atol=0.05)


def test_another_order_of_bands_is_another_picture(yolo, folder):
    one, other = (boxes(yolo.predict(folder / "rgbn.tif", bands=b, **QUIET)[0]) for b in ([1, 2, 3], [4, 1, 2]))
    assert one.shape != other.shape or np.abs(one - other).max() > 0.01


@pytest.mark.parametrize("exported", [False, True])
def test_a_folder_is_done_but_for_what_has_other_bands(exported, yolo, onnx, folder, tmp_path, capsys, caplog):
    model = onnx if exported else yolo.ckpt_path
    words = [
        f"model={model}",
        f"source={folder}",
        f"imgsz={SIZE}",
        "save_json=True",
        "save=False",
        f"project={tmp_path}",
    ]
    assert cli.run(["predict", *words, "name=a"]) == 2
    said = "".join(capsys.readouterr()) + caplog.text
    for name, count in (("rgbn.tif", 4), ("mixed.tif", 5)):
        assert f"{name} has {count} bands, the weights take 3 channels" in said
    assert "2 pictures have an alpha band, which is set aside" in said
    done = json.loads((tmp_path / "a" / "predictions.json").read_text())
    assert sorted(Path(p["path"]).name for p in done) == ["rgb.tif", "rgba.png", "rgba.tif"]
    assert cli.run(["predict", *words, "name=b", "bands=[1,2,3]"]) == 0
    assert len(json.loads((tmp_path / "b" / "predictions.json").read_text())) == 5


def test_bands_do_not_leave_the_small_runtime(onnx, folder, tmp_path):
    words = {"model": str(onnx), "source": str(folder / "rgbn.tif"), "bands": [1, 2, 3], "project": str(tmp_path)}
    assert small_cli.predict(words).images == 1
    assert small_cli.predict({**words, "bands": "rgb"}) is None
    with pytest.raises(ConfigError, match="names 2 bands and the model takes 3 channels"):
        Detector(onnx, bands=[1, 2])
    with pytest.raises(DataError, match=r"rgbn\.tif has 4 bands, bands= asks for 7"):
        Detector(onnx, bands=[7, 1, 2]).predict(folder / "rgbn.tif")


def test_a_training_takes_bands_from_its_data_alone(yolo):
    with pytest.raises(ConfigError, match="bands= of train stands in the data YAML"):
        yolo.train(data="demo", bands=[1, 2, 3])


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """Weights trained on five-band files of which three are taken, their data YAML, and an exported file."""
    root = tmp_path_factory.mktemp("mixed")
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for i in range(2):
            (root / "images" / split / f"{i}.tif").write_bytes((folder / "mixed.tif").read_bytes())
            (root / "labels" / split / f"{i}.txt").write_text("0 0.5 0.5 0.3 0.3\n0 0.2 0.2 0.1 0.1\n")
    data = root / "data.yaml"
    data.write_text(
        yaml.safe_dump({"train": "images/train", "val": "images/val", "names": ["car"], "bands": [3, 4, 2]})
    )
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    model.train(data=data, epochs=1, project=str(root), name="run", workers=0, cache="disk", **TRAIN)
    return data, root / "run" / "weights" / "last.pt"


def test_bands_of_the_data_are_stored_in_the_weights(trained, folder, tmp_path):
    model = RSDet(trained[1])
    assert list(model.bands) == [3, 4, 2]
    expected = boxes(model.predict(folder / "rgb.tif", bands=[1, 2, 3], **{**QUIET, "conf": 0.0})[0])
    seen = boxes(model.predict(folder / "mixed.tif", **{**QUIET, "conf": 0.0})[0])
    np.testing.assert_allclose(seen, expected, atol=1e-3)
    plain = RSDet(model.save_plain(tmp_path / "a.safetensors"))
    assert list(plain.bands) == [3, 4, 2]


def test_an_exported_file_keeps_the_bands_of_its_weights(folder, tmp_path):
    model = lively("yolo", tmp_path, bands=[3, 4, 2])
    made = model.export(format="onnx", imgsz=SIZE, images=[folder / "mixed.tif"], out=str(tmp_path), verbose=False).path
    assert list(read_metadata(made)["bands"]) == list(RSDet(made).bands) == [3, 4, 2]
    expected = boxes(model.predict(folder / "rgb.tif", bands=[1, 2, 3], **QUIET)[0])
    for seen in (
        model.predict(folder / "mixed.tif", **QUIET)[0],
        RSDet(made).predict(folder / "mixed.tif", **QUIET)[0],
    ):
        np.testing.assert_allclose(boxes(seen), expected, atol=0.05)
    np.testing.assert_allclose(boxes(Detector(made).predict(folder / "mixed.tif", conf=0.2)), expected, atol=0.05)


def test_val_takes_the_bands_of_the_weights_unless_told_otherwise(trained, folder, tmp_path):
    data, weights = trained
    words = dict(imgsz=96, project=str(tmp_path), plots=False, workers=0, batch=1)
    own = RSDet(weights).val(data=data, **words).box.map
    said = yaml.safe_load(data.read_text())
    del said["bands"]
    (data.parent / "plain.yaml").write_text(yaml.safe_dump(said))
    assert RSDet(weights).val(data=data.parent / "plain.yaml", **words).box.map == pytest.approx(own, abs=1e-6)
    with pytest.raises(DataError, match="has 5 bands, bands= asks for 9"):
        RSDet(weights).val(data=data, bands=[9, 1, 2], **words)
    with pytest.raises(DataError, match=r"has 5 bands, the weights take 3 channels.*bands: in a data YAML"):
        RSDet("vmc-detr-demo.yaml", **TINY).train(
            data=data.parent / "plain.yaml", epochs=1, project=str(tmp_path), workers=0, **TRAIN
        )


def test_nothing_was_written_into_the_data_but_caches(trained):
    left = {p.name for p in trained[0].parent.rglob("*") if p.is_file() and "run" not in p.parts}
    assert all(n.endswith((".tif", ".txt", ".yaml")) or "rsdet-cache" in n for n in left)
    assert any("bands-3-4-2" in n for n in left)  # pictures of other bands are other pictures

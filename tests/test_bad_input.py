"""What a clumsy or hostile user can pass: one line with a remedy, exit status 2, no traceback, nothing lost."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import TRAIN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from rsdet import RSDet, cli
from rsdet.data import sources
from rsdet.errors import ConfigError, DataError


@pytest.fixture
def refused(capsys):
    """Run a command in this process that must be refused in one line; returns the line."""

    def call(*words: str) -> str:
        assert cli.run(list(words)) == 2
        err = capsys.readouterr().err
        lines = [line for line in err.splitlines() if line.startswith("rsdet: error: ")]
        assert len(lines) == 1, err
        assert err.rstrip().endswith(lines[0])
        assert "Traceback" not in err
        assert "\x1b" not in lines[0]
        return lines[0]

    return call


@pytest.fixture
def warned():
    """Warnings of Ultralytics' logger, as a list of lines that grows."""
    from ultralytics.utils import LOGGER

    lines: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: lines.append(record.getMessage())
    LOGGER.addHandler(handler)
    yield lines
    LOGGER.removeHandler(handler)


def words(**kwargs: object) -> list[str]:
    return [f"{k}={v}" for k, v in kwargs.items()]


def data_copy(tiny_data: Path, root: Path, **changes: object) -> Path:
    """A copy of the tiny data set to spoil; ``changes`` go into its YAML, None removes a key."""
    shutil.copytree(tiny_data.parent, root, ignore=shutil.ignore_patterns("*.cache", "*.yaml"))
    content = {**yaml.safe_load(tiny_data.read_text()), "path": str(root), **changes}
    file = root / "data.yaml"
    file.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return file


# --------------------------------------------------------------------------------------------------- wrong words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trian", "unknown mode 'trian'. Did you mean 'train'?"),
        ("train", "train needs model="),
        ("train model=none", "train needs model="),
        ("train model=[a,b]", "train needs model="),
        ("train model=vmc-detr-demo.yaml", "train needs data="),
        ("train model=vmc-dert.yaml data=demo", "Did you mean 'vmc-detr.yaml'"),
        ("train model=vmc-dert data=demo", "Did you mean 'vmc-detr.yaml'"),
        ("train model=gone.pt data=demo", "'gone.pt' do not exist"),
        ("train model=gone.onnx data=demo", "'gone.onnx' does not exist"),
        ("train model=yolo11n-vehicle data=demo", "Did you mean 'yolo11n-vehicles'?"),
        ("train model=vmc-detr-demo.yaml data=gone/demo.yml", "does not exist; check the path"),
        ("train model=5 data=demo", "neither a file nor a shipped model"),
        ("train model=. data=demo", "is no model"),
        ("train model=vmc-detr-demo.yaml data=visdron.yaml", "Did you mean 'visdrone'?"),
        ("train model=vmc-detr-demo.yaml data=[1]", "must be the name of a shipped dataset"),
        ("train model=vmc-detr-demo.yaml data=demo epocs=3", "Did you mean 'epochs'"),
        ("train model=vmc-detr-demo.yaml data=demo protocol=coco", "unknown argument 'protocol' of train"),
        ("train model=vmc-detr-demo.yaml data=demo epochs", "key=value"),
        ("train model=vmc-detr-demo.yaml data=demo epochs=1 epochs=2", "given twice"),
        ("train model=vmc-detr-demo.yaml data=demo resume=True", "pass its last.pt"),
        ("train resume=runs/detect/first/weights/last.pt", "write resume=True model=runs/…/weights/last.pt"),
        ("train model=vmc-detr-demo.yaml data=demo resume=gone.pt", "'gone.pt' do not exist"),
        ("train model=vmc-detr-demo.yaml data=demo pretrained=gone.pt", "'gone.pt' do not exist"),
        ("train model=vmc-detr-demo.yaml data=demo recipe=papper", "recipe must be one of"),
        ("train model=vmc-detr-demo.yaml data=demo task=segment", "leave task= out"),
        ("info model=vmc-detr.yaml scale=q", "it has n, s, m, l, x"),
        ("info model=vmc-detr-demo.yaml scale=n", "single size"),
        ("info model=vmc-detr-demo.yaml w1=abc", "use a value like its default, 16"),
        ("info model=vmc-detr-demo.yaml w1=-8", "use a value like its default, 16"),
        ("info model=vmc-detr-demo.yaml nq=0", "use a value like its default"),
        ("info model=vmc-detr-demo.yaml kernels=5", "use a value like its default, [5, 7, 9, 11]"),
        ("info model=vmc-detr-demo.yaml kernels=[4]", "must be odd"),
        ("info model=vmc-detr-demo.yaml details=True", "Did you mean 'detailed'?"),
        ("info model=vmc-detr-demo.yaml imgsz=abc", "imgsz='abc' must be a whole number"),
        ("info model=vmc-detr-demo.yaml imgsz=-1", "imgsz=-1 must be 1 or more"),
        ("info model=vmc-detr-demo.yaml detailed=5", "detailed=5 must be True or False"),
        ("list model", "Did you mean 'models'"),
        ("list models n=3", "list does not know n="),
        ("list models extra", "key=value"),
        ("convert", "convert needs source="),
        ("convert source=gone format=visdrone out=x", "gone does not exist"),
        ("convert source=. format=visdrnoe out=x", "Did you mean 'visdrone'?"),
        ("convert source=. format=yolo out=x bogus=1", "convert does not know bogus="),
        ("convert source=. format=yolo out=", "out= has no value"),
        ("demo epochs=0", "epochs=0 must be 1 or more"),
        ("demo epochs=abc", "epochs='abc' must be a whole number"),
        ("demo sed=1", "Did you mean 'seed'?"),
    ],
)  # fmt: skip
def test_words(line, message, refused):
    assert message in refused(*line.split())


@pytest.mark.parametrize(
    ("mode", "word", "message"),
    [
        ("predict", "source=gone", "source 'gone' does not exist"),
        ("predict", "source=empty", "holds no images"),
        ("predict", "source=*.png", "holds no images"),
        ("predict", "source=model.yaml", "is no image and no video"),
        ("predict", "source=broken.mp4", "Failed to open video"),
        ("predict", "source=7", "Failed to open 7"),
        ("predict", "source=http://127.0.0.1:1/a.jpg", "check the address"),
        ("predict", "imgsz=-1", "imgsz=-1 must be a positive whole number"),
        ("predict", "imgsz=0", "imgsz=0 must be"),
        ("predict", "imgsz=[1,2,3]", "height and width"),
        ("predict", "batch=0", "batch=0 must be"),
        ("predict", "conf=2", "between 0.0 and 1.0"),
        ("predict", "conf=abc", "'conf=abc' is of invalid type"),
        ("predict", "classes=car", "must be class numbers"),
        ("predict", "max_det=0", "must be >= 1"),
        ("predict", "device=cuda", "use device=cpu"),
        ("predict", "device=abc", "use device=cpu"),
        ("predict", "nq=abc", "must be a whole number of 1 or more"),
        ("predict", "scale=n", "only a model YAML takes this"),
        ("predict", "w1=8", "unknown argument 'w1'"),
        ("predict", "stream=True", "is for Python"),
        ("val", "imgsz=-1", "imgsz=-1 must be"),
        ("val", "batch=0", "batch=0 must be"),
        ("val", "conf=2", "between 0.0 and 1.0"),
        ("val", "device=cuda", "use device=cpu"),
        ("val", "workers=-1", "workers=-1 must be 0 or more"),
        ("val", "split=test", "'test:' images not found"),
        ("val", "protocol=coc", "Did you mean 'coco'?"),
        ("val", "recipe=paper", "unknown argument 'recipe' of val"),
        ("train", "imgsz=0", "imgsz=0 must be"),
        ("train", "batch=0", "batch=0 must be"),
        ("train", "epochs=0", "must be >= 1"),
        ("train", "lr0=-1", "between 0.0 and 1.0"),
        ("train", "optimizer=Adan", "use one of these names"),
        ("train", "freeze=999", "froze the entire model"),
        ("train", "device=cuda", "use device=cpu"),
        ("train", "augmentations=blur", "in Python only"),
        ("train", "resume=True", "there is nothing to resume"),
        ("export", "fromat=onnx", "Did you mean 'format'"),
        ("export", "format=onx", "Did you mean 'onnx'?"),
        ("export", "imgsz=33", "use 32 in place of 33"),
        ("export", "imgsz=abc", "must be a whole number"),
        ("export", "batch=0", "batch=0 must be 1 or more"),
        ("export", "half=yes", "half='yes' must be True or False"),
        ("export", "device=cuda", "use device=cpu"),
        ("benchmark", "formats=tensrt", "formats of pytorch"),
        ("benchmark", "rounds=many", "rounds='many' must be a whole number"),
        ("benchmark", "bogus=1", "benchmark does not know bogus="),
        ("benchmark", "device=cuda", "use device=cpu"),
    ],
)  # fmt: skip
def test_values(mode, word, message, refused, tiny_weights, tiny_data, tmp_path, monkeypatch):
    if "device" in word and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.yaml").write_text("names: [a]\n")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    given_words: dict[str, object] = {"model": str(tiny_weights)}
    if mode == "predict":
        given_words |= {"source": str(next((tiny_data.parent / "images" / "val").glob("*.jpg"))), "imgsz": "96"}
    elif mode in ("train", "val"):
        given_words |= {"data": str(tiny_data), "imgsz": "96"}
    key, _, value = word.partition("=")
    assert message in refused(mode, *words(**{**given_words, key: value}))


# --------------------------------------------------------------------------------------------------- model files

HEAD = "  - [[0, 0, 0], 1, RTDETRDecoder, [nc, 32, 30, 4, 4, 1, 32]]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: [", "not valid YAML at line 1"),
        ("- a\n- b\n", "must hold a YAML mapping"),
        ("nc: 4\n", "no backbone or head rows"),
        ("backbone: 5\nhead: 6\n", "backbone: in the model YAML must be a list of rows"),
        ("vars: 5\nbackbone: []\nhead: []\n", "vars: in the model YAML must be a mapping"),
        ("scales: 5\nbackbone: []\nhead: []\n", "scales: in the model YAML must be a mapping"),
        (
            "backbone:\n  - [-1, 1, Konv, [8]]\nhead:\n" + HEAD,
            "row 0 (backbone) names an unknown layer 'Konv'. Did you",
        ),
        ("backbone:\n  - [-1, 1, Zzz, [8]]\nhead:\n" + HEAD, "unknown layer 'Zzz'. Known here: "),
        ("backbone:\n  - [-1, 1, Conv]\nhead:\n" + HEAD, "must be [from, repeats, name, args]"),
        ("backbone:\n  - [-1, 1, Conv, [8, 3, 2, 1, 2, 3, 4, 5, 6]]\nhead:\n" + HEAD, "row 0: no layer can be built"),
        ("backbone:\n  - [-7, 1, Conv, [8]]\nhead:\n" + HEAD, "row 0: no layer can be built"),
        ("backbone:\n  - [-1, 1, Conv, [8]]\nhead:\n  - [-1, 1, Conv, [8]]\n", "the last row is Conv"),
        ("task: sing\nbackbone:\n  - [-1, 1, Conv, [8]]\nhead:\n" + HEAD, "task must be one of"),
        ("family: rtdter\nbackbone:\n  - [-1, 1, Conv, [8]]\nhead:\n" + HEAD, "Did you mean 'rtdetr'?"),
        ("family: yolo\nbackbone:\n  - [-1, 1, Conv, [8]]\nhead:\n" + HEAD, "must end in Detect"),
    ],
)
def test_model_yamls(text, message, refused, tmp_path):
    file = tmp_path / "m.yaml"
    file.write_text(text)
    assert message in refused("info", f"model={file}", "imgsz=64")


@pytest.mark.parametrize("name", ["a.pt", "a.onnx", "a.torchscript", "a.safetensors", "a_openvino_model", "a.txt"])
def test_files_that_are_no_model(name, refused, tmp_path, tiny_data):
    file = tmp_path / name
    if "." in name:
        file.write_bytes(b"garbage")
    else:
        pytest.importorskip("openvino")
        file.mkdir()
    picture = next((tiny_data.parent / "images" / "val").glob("*.jpg"))
    said = refused("predict", f"model={file}", f"source={picture}", f"project={tmp_path}")
    assert any(word in said for word in ("again", "is no model"))


def test_a_hint_is_a_path_that_can_be_given(refused, tmp_path):
    for name in ("best.pt", "mine.yaml", "pictures/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    data = f"data={tmp_path / 'mine.yml'}"
    assert f"Did you mean '{tmp_path / 'mine.yaml'}'?" in refused("train", "model=vmc-detr-demo.yaml", data)
    assert f"Did you mean '{tmp_path / 'best.pt'}'?" in refused("val", f"model={tmp_path / 'bst.pt'}", "data=demo")
    said = refused("train", "model=vmc-detr-demo.yaml", f"data={tmp_path / 'pictures'}")
    assert f"`rsdet convert source={tmp_path / 'pictures'} format=" in said
    source = f"source={tmp_path / 'picture'}"
    assert f"Did you mean '{tmp_path / 'pictures'}'?" in refused("predict", "model=vmc-detr-demo", source)


def test_the_folder_of_a_training_names_its_weights(refused, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/best.pt").touch()
    for folder in (tmp_path, tmp_path / "weights"):
        assert f"Did you mean '{tmp_path / 'weights/best.pt'}'?" in refused("val", f"model={folder}", "data=demo")
    (tmp_path / "weights/last.pt").touch()
    said = refused("train", f"model={tmp_path}", "resume=True")
    assert f"with resume=True, '{tmp_path / 'weights/last.pt'}'?" in said


def test_a_text_file_that_lists_no_image_is_told_to_be_read_as_a_list(refused, tmp_path):
    (tmp_path / "classes.txt").write_text("car\ntruck\n")
    said = refused("predict", "model=dcp", f"source={tmp_path / 'classes.txt'}", f"project={tmp_path}")
    assert "is read as a list of images, one a line, and none of them exists, such as 'car'" in said


def test_a_long_table_of_numbers_is_no_list_and_is_not_read_to_its_end(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("0,0.5,0.3\n" * 2000)
    looked = []
    monkeypatch.setattr(sources, "_there", lambda *args: looked.append(args))
    with pytest.raises(DataError, match=r"t\.csv is read as a list of images.*such as '0'"):
        sources.files_of(tmp_path / "t.csv")
    assert not looked
    names = [f"gone{i}.jpg" for i in range(2000)]
    (tmp_path / "t.txt").write_text("\n".join(names))
    assert [str(p) for p in sources.files_of(tmp_path / "t.txt")] == names  # to be named, each
    assert not looked


def test_pairs_that_do_not_match_leave_no_folder_of_a_run(refused, tmp_path):
    for side, name in (("hazy", "1_hazy.png"), ("clear", "1_clear.png")):
        (tmp_path / side).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / side / name)
    data = tmp_path / "data.yaml"
    data.write_text("train: {input: hazy, target: clear}\nval: {input: hazy, target: clear}\n")
    said = refused("train", "model=aod-net.yaml", f"data={data}", f"project={tmp_path / 'runs'}", "name=haze")
    assert said.count("1_hazy.png") == 1
    assert not (tmp_path / "runs/haze").exists()


@pytest.mark.parametrize("model", [None, 5, "", b"x", [], ["a", "b"]])
def test_models_that_are_no_name(model):
    with pytest.raises(ConfigError, match="must be the name or path"):
        RSDet(model)


# ------------------------------------------------------------------------------------------------------- images


def _picture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _encode(suffix: str, dtype: type = np.uint8, channels: int = 3) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, channels)).astype(dtype)
    return cv2.imencode(suffix, pixels)[1].tobytes()


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def _bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + info + b"\0" * 100


def _tiff(width: int, height: int) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, 200), (277, 1), (278, height), (279, 9216)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + struct.pack("<I", 0) + b"\0" * 200


def _saved(mode: str, name: str) -> Callable[[Path], None]:
    return lambda folder: _picture(mode).save(folder / name)


def _pages(name: str) -> Callable[[Path], None]:
    return lambda folder: _picture("RGB").save(folder / name, save_all=True, append_images=[_picture("RGB")])


def _bytes(content: Callable[[], bytes], name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content())


# name -> (what makes it, what is said of it in predict, whether Ultralytics leaves it out of a dataset by itself)
BAD_IMAGES = {
    "empty.jpg": (_bytes(bytes, "empty.jpg"), "is empty (0 bytes)", True),
    "garbage.png": (_bytes(lambda: b"garbage" * 9, "garbage.png"), "is not a readable image", True),
    "start.jpg": (_bytes(lambda: _encode(".jpg")[:30], "start.jpg"), "is not a readable image", True),
    "half.jpg": (_bytes(lambda: _encode(".jpg")[:1500], "half.jpg"), "cannot be decoded", True),
    "half.png": (_bytes(lambda: _encode(".png")[:1500], "half.png"), "cannot be decoded", True),
    "half.bmp": (_bytes(lambda: _encode(".bmp")[:1500], "half.bmp"), "cannot be decoded", False),
    "no-pixels.tif": (_bytes(lambda: _tiff(96, 96), "no-pixels.tif"), "is cut short", True),
    "zero.png": (_bytes(lambda: _png(0, 0), "zero.png"), "is not a readable image", True),
    "zero.bmp": (_bytes(lambda: _bmp(0, 96), "zero.bmp"), "readable image", True),
    "huge.png": (_bytes(lambda: _png(60000, 60000), "huge.png"), "60000x60000 pixels", True),
    "huge.bmp": (_bytes(lambda: _bmp(60000, 60000), "huge.bmp"), "60000x60000 pixels", True),
    "huge.tif": (_bytes(lambda: _tiff(60000, 60000), "huge.tif"), "60000x60000 pixels", True),
    "deep.png": (_bytes(lambda: _encode(".png", np.uint16), "deep.png"), "8 bits per sample", False),
    "deep-gray.png": (_bytes(lambda: _encode(".png", np.uint16, 1), "deep-gray.png"), "8 bits per sample", False),
    "deep.tif": (_bytes(lambda: _encode(".tif", np.uint16), "deep.tif"), "8 bits per sample", False),
    "bands.tif": (_bytes(lambda: _encode(".tif", np.uint8, 4), "bands.tif"), "has 4 bands, the weights take 3", False),
    "pages.tif": (_pages("pages.tif"), "has 2 pages; save each as a file of its own", False),
    "ink.jpg": (_saved("CMYK", "ink.jpg"), "save it as RGB", False),
    "folder.jpg": (lambda folder: (folder / "folder.jpg").mkdir(), "holds no images", True),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_one_bad_image(name, refused, tiny_weights, tmp_path):
    make, message, _ = BAD_IMAGES[name]
    make(tmp_path)
    said = refused("predict", *words(model=tiny_weights, source=tmp_path / name, imgsz=96, project=tmp_path / "runs"))
    assert message in said
    assert name in said


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "a.png"),
        ("L", "a.tif"),
        ("L", "a.jpg"),
        ("1", "a.png"),
        ("P", "a.png"),
        ("RGBA", "a.png"),
        ("LA", "a.png"),
    ],
)
def test_one_channel_and_palettes_are_taken(mode, name, tiny_weights, tmp_path):
    _picture(mode).save(tmp_path / name)
    assert len(RSDet(tiny_weights).predict(tmp_path / name, imgsz=96, project=tmp_path)) == 1


def test_a_folder_with_bad_images_is_done_but_for_them(refused, tiny_weights, tmp_path):
    folder = tmp_path / "mixed"
    folder.mkdir()
    for make, _, _ in BAD_IMAGES.values():
        make(folder)
    (folder / "line\nbreak.png").write_bytes(_encode(".png"))
    (folder / "film.mp4").write_bytes(b"no film")
    for name in ("good.png", "ü gut.png"):
        (folder / name).write_bytes(_encode(".png"))
    settings = dict(imgsz=96, project=tmp_path, name="p", save_json=True)
    said = refused("predict", *words(model=tiny_weights, source=folder, **settings))
    left_out = len(BAD_IMAGES) + 2
    assert f"{left_out} left out, all others are done" in said
    assert f"and {left_out - 3} more, named above" in said
    done = json.loads((tmp_path / "p" / "predictions.json").read_text())
    assert [Path(p["path"]).name for p in done] == ["good.png", "ü gut.png"]
    model = RSDet(tiny_weights)
    assert len(model.predict(folder, **settings, exist_ok=True)) == 2
    assert len(model.skipped) == left_out
    assert len(model.predict(folder / "good.png", **settings, exist_ok=True)) == 1
    assert model.skipped == []


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["half.bmp", "deep.png", "bands.tif", "pages.tif", "half.jpg", "huge.png"])
def test_a_bad_image_in_a_dataset(name, split, refused, warned, tiny_data, tiny_weights, tmp_path, capsys):
    data = data_copy(tiny_data, tmp_path / "data")
    make, message, left_out = BAD_IMAGES[name]
    make(data.parent / "images" / split)
    (data.parent / "labels" / split / f"{Path(name).stem}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    command = ["val", *words(model=tiny_weights, data=data, imgsz=96, project=tmp_path, plots=False)]
    if split == "train":
        command = ["train", *words(model=tiny_weights, data=data, epochs=1, project=tmp_path, **TRAIN)]
    if left_out:
        assert cli.run(command) == 0
        assert any("1 of" in line and "left out" in line for line in warned)
    else:
        said = refused(*command)
        assert name in said
        assert message in said


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (np.zeros((96, 96, 3), np.uint16), "8 bits per sample"),
        (np.zeros((96, 96, 3), np.float32), "8 bits per sample"),
        (np.zeros((96, 96, 4), np.uint8), "4 bands, the weights take 3"),
        (np.zeros((0, 96, 3), np.uint8), "shape"),
        (np.zeros(96, np.uint8), "shape"),
        ([np.zeros((96, 96, 3), np.uint8), np.zeros((96, 96, 3), np.uint16)], "the array 1"),
        (Image.new("CMYK", (96, 96)), "save it as RGB"),
        (Image.new("I;16", (96, 96)), "8 bits per sample"),
        (torch.zeros(1, 5, 96, 96), "5 channels"),
        ([], "needs source="),
        ({"a": 1}, "pass an image"),
    ],
)
def test_pictures_in_memory(picture, message, tiny_weights, tmp_path):
    with pytest.raises(DataError) as e:
        RSDet(tiny_weights).predict(picture, imgsz=96, project=str(tmp_path))
    assert message in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("shape", [(96, 96), (96, 96, 1), (96, 96, 3)])
def test_arrays_that_are_taken(shape, tiny_weights, tmp_path):
    assert len(RSDet(tiny_weights).predict(np.zeros(shape, np.uint8), imgsz=96, project=str(tmp_path))) == 1


# -------------------------------------------------------------------------------------------------------- labels


@pytest.fixture(scope="module")
def labels_to_spoil(tiny_data, tmp_path_factory) -> tuple[Path, list[Path]]:
    data = data_copy(tiny_data, tmp_path_factory.mktemp("labels") / "data")
    return data, [next((data.parent / "labels" / split).glob("*.txt")) for split in ("train", "val")]


TOKENS = ["0", "3", "9", "-1", "0.5", "1.5", "1e30", "1e400", "nan", "inf", "x", "", "0.1", "1e-30", "\x00", "٣", ","]
ROWS = st.lists(st.lists(st.sampled_from(TOKENS), max_size=8).map(" ".join), max_size=4).map("\n".join)


@given(st.one_of(st.binary(max_size=60), ROWS.map(str.encode)))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_label_file_breaks_validation(labels_to_spoil, tiny_weights, tmp_path_factory, content):
    data, (_, file) = labels_to_spoil
    good = file.read_bytes()
    file.write_bytes(content)
    folder = str(tmp_path_factory.getbasetemp())
    try:
        metrics = RSDet(tiny_weights).val(
            data=data, imgsz=96, project=folder, exist_ok=True, plots=False, verbose=False
        )
        assert metrics.protocol_metrics.n_images in {3, 4}  # the image of a file that cannot be read is left out
    except DataError as e:
        if "mix boxes" not in str(e):  # with corners or outlines: which of them is meant is not guessed
            raise
    finally:
        file.write_bytes(good)


@pytest.mark.parametrize("content", [b"\xff\x00garbage", b"0 nan 0.5 1e400 0.2", b"9 0.5 0.5 0.1 0.1", b"0 0.5 0.5"])
def test_no_label_file_breaks_training(content, labels_to_spoil, tiny_weights, tmp_path, warned):
    data, (file, _) = labels_to_spoil
    file.write_bytes(content)
    assert cli.run(["train", *words(model=tiny_weights, data=data, epochs=1, project=tmp_path, **TRAIN)]) == 0
    assert any("1 of 8 images" in line and "left out" in line for line in warned)


def test_a_class_that_no_name_belongs_to_is_said(refused, tiny_data, tiny_weights, tmp_path):
    data = data_copy(tiny_data, tmp_path / "data")
    for file in (data.parent / "labels" / "val").glob("*.txt"):
        file.write_text("9 0.5 0.5 0.1 0.1\n")
    said = refused("val", *words(model=tiny_weights, data=data, imgsz=96, project=tmp_path))
    assert "4 label files hold classes up to 9, and names: of the data YAML has 4 (0 to 3)" in said
    assert len(said) < 500
    assert not list(tmp_path.glob("val*"))  # no folder of a run that came to nothing


@pytest.mark.parametrize("spoil", ["names", "val"])
def test_a_refused_training_leaves_its_name_to_the_next(spoil, refused, tiny_data, tiny_weights, tmp_path):
    data = data_copy(tiny_data, tmp_path / "data", **({"names": ["car"]} if spoil == "names" else {"val": "gone"}))
    said = refused("train", *words(model=tiny_weights, data=data, epochs=1, project=tmp_path, name="run", **TRAIN))
    assert ("names: of the data YAML has 1" if spoil == "names" else "missing path") in said
    assert not (tmp_path / "run").exists()


def test_pictures_without_label_files_name_the_place_where_they_are_expected(
    refused, tiny_data, tiny_weights, tmp_path
):
    data = data_copy(tiny_data, tmp_path / "data")
    shutil.rmtree(data.parent / "labels" / "train")
    said = refused("train", *words(model=tiny_weights, data=data, epochs=1, project=tmp_path, **TRAIN))
    assert "has a label file; expected " + str(data.parent / "labels" / "train") in said
    assert "cache" not in said


def test_images_that_are_trained_on_and_measured_are_told(tiny_data, tiny_weights, tmp_path, warned):
    data = data_copy(tiny_data, tmp_path / "data", train="images/val")
    assert cli.run(["train", *words(model=tiny_weights, data=data, epochs=1, project=tmp_path, **TRAIN)]) == 0
    assert sum("4 of 4 images of val are trained on, too" in line for line in warned) == 1


def test_a_run_that_is_there_is_kept_when_another_is_refused(refused, tiny_data, tiny_weights, tmp_path):
    kept = tmp_path / "run" / "args.yaml"
    kept.parent.mkdir()
    kept.touch()
    data = data_copy(tiny_data, tmp_path / "data", val="gone")
    settings = dict(epochs=1, project=tmp_path, name="run")
    refused("train", *words(model=tiny_weights, data=data, **settings, **TRAIN))
    assert kept.exists()


# ----------------------------------------------------------------------------------------------------- data YAMLs

FIVE = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": None}, "either 'names' or 'nc' are required"),
        ({"names": "car"}, "'names' must be list or dict"),
        ({"names": {"a": "car"}}, "mend names:"),
        ({"names": {0: "car", 2: "truck"}}, "mend names:"),
        ({"names": []}, "at least one class name"),
        ({"nc": 3}, "must match"),
        ({"val": None}, "'val:' key missing"),
        ({"train": None}, "'train:' key missing"),
        ({"val": 5}, "'val' must be str or list"),
        ({"val": "images/gone"}, "missing path"),
        ({"val": "data.yaml"}, "No images found"),
        ({"path": "/nowhere"}, "missing path '/nowhere/images/val'"),
        ({"channels": "abc"}, "channels: 'abc' in the data YAML"),
        ({"channels": 1}, "the data has channels: 1, the model takes 3"),
        ({"names": FIVE}, "the weights know 4 classes (car, truck, boat, ...), the data has 5 (a, b, c, ...)"),
        ({"names": ["truck", "car", "boat", "plane"]}, "same classes in another order"),
        ({"val": "images/gone", "download": "raise SystemExit('code was run')"}, "neither runs nor fetches"),
    ],
)
def test_data_yamls(changes, message, refused, tiny_data, tiny_weights, tmp_path):
    data = data_copy(tiny_data, tmp_path / "data", **changes)
    assert message in refused("val", *words(model=tiny_weights, data=data, imgsz=96, project=tmp_path))


@pytest.mark.parametrize("text", ["", "- a\n", "path: [\n", "a: b: c", "!!python/object/apply:os.getcwd []", "\x00"])
def test_data_files_that_are_no_mapping(text, refused, tiny_weights, tmp_path):
    (tmp_path / "data.yaml").write_text(text)
    said = refused("val", *words(model=tiny_weights, data=tmp_path / "data.yaml", project=tmp_path))
    assert "data.yaml" in said


def test_other_names_are_said(warned, tiny_data, tiny_weights, tmp_path):
    data = data_copy(tiny_data, tmp_path / "data", names=["auto", "truck", "boat", "plane"])
    RSDet(tiny_weights).val(data=data, imgsz=96, project=str(tmp_path), plots=False)
    assert any("class 0 is 'car' in the weights and 'auto' in the data" in line for line in warned)


def test_training_on_other_classes_says_what_becomes_of_the_class_outputs(tiny_data, tiny_weights, tmp_path):
    from ultralytics.utils import LOGGER

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    LOGGER.addHandler(handler)
    try:
        data = data_copy(tiny_data, tmp_path / "data", names=FIVE)
        RSDet(tiny_weights).train(data=data, epochs=1, project=str(tmp_path), **TRAIN)
    finally:
        LOGGER.removeHandler(handler)
    assert any("class outputs: 4 classes in the weights, 5 in the data; " in line for line in lines)


# ------------------------------------------------------------------------------------------------ places to write


@pytest.mark.parametrize("mode", ["train", "val", "predict", "export"])
def test_a_place_that_cannot_be_written(mode, refused, tiny_weights, tiny_data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    picture = next((tiny_data.parent / "images" / "val").glob("*.jpg"))
    extra = {
        "train": {"data": tiny_data, "epochs": 1, "project": tmp_path / "file", **TRAIN},
        "val": {"data": tiny_data, "imgsz": 96, "project": tmp_path / "file"},
        "predict": {"source": picture, "imgsz": 96, "project": tmp_path / "file"},
        "export": {"imgsz": 96, "out": tmp_path / "file" / "x", "images": picture},
    }[mode]
    said = refused(mode, *words(model=tiny_weights, **extra))
    assert "cannot be read or written" in said
    assert "project= or out=" in said
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_folder_without_permission(refused, tiny_weights, tiny_data, tmp_path, monkeypatch):
    make = Path.mkdir

    def refuse(self, *args, **kwargs):
        if str(self).startswith(str(tmp_path / "theirs")):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return make(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", refuse)
    said = refused("val", *words(model=tiny_weights, data=tiny_data, imgsz=96, project=tmp_path / "theirs"))
    assert f"{tmp_path / 'theirs'}" in said
    assert "Permission denied" in said


def test_a_full_disk_while_detections_are_written(refused, tiny_weights, tiny_data, tmp_path, monkeypatch):
    kept = tmp_path / "p" / "predictions.json"
    picture = next((tiny_data.parent / "images" / "val").glob("*.jpg"))
    settings = dict(imgsz=96, project=str(tmp_path), name="p", exist_ok=True, save_json=True)
    RSDet(tiny_weights).predict(picture, conf=0.0, **settings)
    before = kept.read_text()
    write = Path.write_bytes

    def full(self, content):
        if "predictions" in self.name:
            write(self, content[:10])
            raise OSError(errno.ENOSPC, "No space left on device", str(self))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    said = refused("predict", *words(model=tiny_weights, source=picture, conf=1.0, **settings))
    assert "free some space" in said
    assert kept.read_text() == before
    assert sorted(f.name for f in kept.parent.glob("*predictions*")) == ["predictions.json"]

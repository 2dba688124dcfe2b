"""SAR data through training, validation, prediction and export: one stretch, stored with the weights, everywhere."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import TINY, TRAIN
from test_sar_input import tiff

from rsdet import RSDet
from rsdet.data.reading import reading
from rsdet.data.sar import SarReader, Stretch
from rsdet.errors import ConfigError, DataError
from rsdet.tasks.detect.dataset import OurRTDETRDataset, OurYOLODataset, our_datasets

SIZE = 96
QUICK = {**TRAIN, "deterministic": False}  # deterministic algorithms make PyTorch import its compiler first
SECTION = {"quantity": "amplitude", "units": "linear"}
MODEL = """
task: detect
family: yolo
nc: 1
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
  - [-1, 1, Conv, [32, 3, 2]]
  - [-1, 1, Conv, [32, 3, 2]]
head:
  - [[2, 3], 1, Detect, [nc]]
"""


def scene(seed: int, bright: float = 1.0) -> tuple[np.ndarray, list[list[float]]]:
    """Amplitudes of 4-look clutter with three ships, and the ships as rows of a label file."""
    rng = np.random.default_rng(seed)
    a = 20 * np.sqrt(rng.gamma(4, 1 / 4, (SIZE, SIZE)))
    rows = []
    for _ in range(3):
        (x, y), (w, h) = rng.integers(8, SIZE - 24, 2), rng.integers(6, 16, 2)
        a[y : y + h, x : x + w] += 150
        rows.append([0, (x + w / 2) / SIZE, (y + h / 2) / SIZE, w / SIZE, h / SIZE])
    return bright * a, rows


def make_set(root: Path, dtype: str = "uint16", n: tuple[int, int] = (6, 4), section=SECTION, **keys) -> Path:
    """A data set of TIFFs in YOLO layout; returns its YAML."""
    for split, count, first in (("train", n[0], 0), ("val", n[1], 100)):
        for i in range(count):
            values, rows = scene(first + i)
            tiff(root / "images" / split / f"{i}.tif", np.round(values).astype(dtype), {42113: ("s", "0")})
            label = root / "labels" / split / f"{i}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(" ".join(map(str, r)) for r in rows))
    return write_yaml(root / "data.yaml", root, section, **keys)


def write_yaml(path: Path, root: Path, section, **keys) -> Path:
    data = {"path": str(root), "train": "images/train", "val": "images/val", "names": {0: "ship"}, **keys}
    path.write_text(yaml.safe_dump(data if section is None else {**data, "sar": section}))
    return path


def pixels(root: Path, split: str = "train") -> np.ndarray:
    images = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted((root / "images" / split).glob("*.tif"))]
    return np.concatenate([im[im > 0] for im in images]).astype(float)


@pytest.fixture(scope="module")
def sar_set(tmp_path_factory) -> Path:
    return make_set(tmp_path_factory.mktemp("sar") / "set")


@pytest.fixture(scope="module")
def model_yaml(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny-ship.yaml"
    path.write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def weights(sar_set, model_yaml, tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("sar-runs")
    run = {**QUICK, "lr0": 0.02, "mosaic": 0.5, "close_mosaic": 20, "val": False, "scale": 0.1, "speckle": 8.0}
    RSDet(model_yaml).train(data=sar_set, epochs=30, project=str(project), name="run", rot90=0.5, **run)
    return project / "run" / "weights" / "last.pt"


@pytest.fixture(scope="module")
def artifact(weights) -> Path:
    return RSDet(weights).export(format="onnx", imgsz=SIZE, verbose=False).path


def expected_picture(path: Path, section: dict) -> np.ndarray:
    """The stretch by its equation in float64, (H, W)."""
    lo, hi = section["stretch"]["range"]
    raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(float)
    x = 20 * np.log10(np.maximum(raw, 1e-9))
    return np.floor(255 * (np.clip(x, lo, hi) - lo) / (hi - lo) + 0.5).astype(np.uint8)


# -- the stretch travels -----------------------------------------------------------------------------------------------


def test_the_stretch_of_the_training_images_is_stored_with_the_weights(weights, artifact, sar_set, tmp_path):
    model = RSDet(weights)
    want = np.percentile(20 * np.log10(pixels(sar_set.parent)), (1, 99.5))
    np.testing.assert_allclose(model.sar["stretch"]["range"], want, rtol=1e-9)
    assert model.sar["dtype"] == "uint16"
    assert torch.load(weights, weights_only=False)["model"].yaml["sar"] == model.sar
    plain = model.save_plain(tmp_path / "plain.safetensors")
    assert RSDet(plain).sar == model.sar
    exported = RSDet(artifact)
    assert exported.sar == model.sar
    args = torch.load(weights, weights_only=False)["train_args"]
    assert args.get("augmentations") is None
    json.dumps(args, default=str)


def test_weights_and_artifact_find_the_same_in_a_16_bit_file(weights, artifact, sar_set):
    folder = sar_set.parent / "images" / "val"
    both = [RSDet(m).predict(folder, imgsz=SIZE, conf=0.1, rect=False) for m in (weights, artifact)]
    assert sum(len(r.boxes) for r in both[0]) > 3
    for ours, theirs in zip(*both, strict=True):
        np.testing.assert_array_equal(ours.orig_img, theirs.orig_img)
        assert len(ours.boxes) == len(theirs.boxes)
        torch.testing.assert_close(ours.boxes.xyxy, theirs.boxes.xyxy, atol=0.5, rtol=0)
        torch.testing.assert_close(ours.boxes.conf, theirs.boxes.conf, atol=0.005, rtol=0)


def test_the_rule_is_written_in_words_into_the_artifact(artifact):
    from rsdet.deploy.artifact import read_metadata

    assert "SAR amplitude (uint16)" in read_metadata(artifact)["preprocess"]


def test_prediction_draws_and_returns_the_stretched_picture(weights, sar_set, tmp_path):
    model = RSDet(weights)
    path = sar_set.parent / "images" / "val" / "0.tif"
    result = model.predict(path, imgsz=SIZE, save=True, project=str(tmp_path), name="p")[0]
    want = expected_picture(path, model.sar)
    for channel in range(3):
        np.testing.assert_array_equal(result.orig_img[..., channel], want)
    drawn = cv2.imread(str(next((tmp_path / "p").glob("0.*"))))
    assert drawn.max() > 200


def test_an_array_is_predicted_as_its_file_is(weights, sar_set):
    path = sar_set.parent / "images" / "val" / "1.tif"
    array = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    array = np.where(array == 0, 1, array)  # an array has no nodata tag
    model = RSDet(weights)
    one, two = model.predict([array, array[..., None]], imgsz=SIZE)
    np.testing.assert_array_equal(one.orig_img[..., 0], expected_picture(path, model.sar))
    np.testing.assert_array_equal(one.orig_img, two.orig_img)
    torch.testing.assert_close(one.boxes.data, two.boxes.data)


def test_validation_takes_the_stretch_of_the_weights(weights, artifact, sar_set, tmp_path):
    root = sar_set.parent
    other = {**SECTION, "stretch": {"domain": "linear", "method": "range", "low": 0, "high": 60000}}  # all black
    seen, found = [], []
    for i, (file, section) in enumerate(((weights, SECTION), (weights, other), (weights, None), (artifact, other))):
        data = write_yaml(tmp_path / f"{i}.yaml", root, section)
        model = RSDet(file)
        model.add_callback("on_val_start", lambda v: seen.append(v.dataloader.dataset))
        run = dict(imgsz=SIZE, plots=False, project=str(tmp_path), workers=0, rect=False)
        found.append(model.val(data=data, **run).box.map50)
        want = expected_picture(Path(seen[-1].im_files[0]), model.sar)
        np.testing.assert_array_equal(seen[-1].load_image(0)[0][..., 0], want)
    assert found[0] == found[1] == found[2] > 0.1
    assert found[3] == pytest.approx(found[0], abs=0.02)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({**SECTION, "quantity": "intensity"}, "quantity: intensity.*trained on quantity: amplitude"),
        ({**SECTION, "units": "db"}, "units: db.*trained on units: linear"),
        ({**SECTION, "dtype": "uint8"}, "dtype: uint8.*trained on dtype: uint16"),
        ({**SECTION, "stretch": {"lo": 1}}, "does not know 'lo'"),
    ],
)
def test_data_that_contradicts_the_weights_is_one_line(section, message, weights, sar_set, tmp_path):
    data = write_yaml(tmp_path / "d.yaml", sar_set.parent, section)
    with pytest.raises((DataError, ConfigError), match=message) as e:
        RSDet(weights).val(data=data, imgsz=SIZE, project=str(tmp_path))
    assert "\n" not in str(e.value)


def test_resuming_goes_on_with_the_stored_stretch(model_yaml, tmp_path):
    data = make_set(tmp_path / "set", n=(4, 2))
    model = RSDet(model_yaml)

    def stop(trainer):
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    model.add_callback("on_train_epoch_start", stop)
    with pytest.raises(KeyboardInterrupt, match="epoch 1 is kept"):
        model.train(data=data, epochs=2, project=str(tmp_path), name="run", **QUICK)
    last = tmp_path / "run" / "weights" / "last.pt"
    stored = RSDet(last).sar
    for p in (tmp_path / "set" / "images" / "train").glob("*.tif"):  # other pixels since then
        tiff(p, cv2.imread(str(p), cv2.IMREAD_UNCHANGED) * 4)
    model = RSDet(last)
    model.train(resume=True)
    assert RSDet(last).sar == stored
    assert model.trainer.epoch == 1


def test_training_on_other_data_measures_anew_and_data_without_a_section_has_none(weights, tmp_path, tiny_data):
    data = make_set(tmp_path / "set", dtype="float32", n=(4, 2), section={**SECTION, "units": "db"})
    model = RSDet(weights)
    before = model.sar
    model.train(data=data, epochs=1, project=str(tmp_path), name="new", **QUICK)
    want = np.percentile(pixels(tmp_path / "set"), (1, 99.5))
    np.testing.assert_allclose(model.sar["stretch"]["range"], want, rtol=1e-6)
    assert RSDet(weights).sar == before
    model.train(data=tiny_data, epochs=1, project=str(tmp_path), name="rgb", **QUICK)
    assert model.sar is None


def test_the_rtdetr_family_and_one_channel_read_the_same(sar_set, tmp_path):
    data = write_yaml(tmp_path / "d.yaml", sar_set.parent, SECTION, channels=1)
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    model.train(data=data, epochs=1, project=str(tmp_path), name="run", **QUICK)
    dataset = model.trainer.train_loader.dataset
    assert isinstance(dataset, OurRTDETRDataset)
    assert model.model.yaml["channels"] == 1
    image = dataset.load_image(0)[0]
    assert image.shape == (SIZE, SIZE, 1)
    np.testing.assert_array_equal(image[..., 0], expected_picture(Path(dataset.im_files[0]), model.sar))
    path = sar_set.parent / "images" / "val" / "0.tif"
    result = RSDet(tmp_path / "run" / "weights" / "last.pt").predict(path, imgsz=SIZE)[0]
    np.testing.assert_array_equal(result.orig_img[..., 0], expected_picture(path, model.sar))


def test_8_bit_sar_is_read_as_ultralytics_reads_it(model_yaml, tmp_path):
    from ultralytics.utils.patches import imread

    data = make_set(tmp_path / "set", n=(2, 2), section={**SECTION, "stretch": "none"})
    for p in (tmp_path / "set" / "images").rglob("*.tif"):
        gray = cv2.imread(str(p), cv2.IMREAD_UNCHANGED).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(p.with_suffix(".jpg")), cv2.merge([gray] * 3))  # as HRSID comes
        p.unlink()
    model = RSDet(model_yaml)
    model.train(data=data, epochs=1, project=str(tmp_path), name="run", **QUICK)
    assert model.sar == {**SECTION, "stretch": "none", "dtype": "uint8"}
    path = tmp_path / "set" / "images" / "val" / "0.jpg"
    result = model.predict(path, imgsz=SIZE)[0]
    np.testing.assert_array_equal(result.orig_img, imread(path))


# -- the seam ----------------------------------------------------------------------------------------------------------


def _dataset(data_yaml: Path, cls: type = OurYOLODataset, section: dict | None = None, **kwargs):
    from ultralytics.data.utils import check_det_dataset

    data = check_det_dataset(str(data_yaml))
    data["sar"] = section
    return cls(img_path=data["train"], imgsz=SIZE, augment=False, data=data, task="detect", **kwargs)


def _measured(low: float = 20.0, high: float = 50.0) -> dict:
    rule = Stretch(domain="db", method="range", low=low, high=high, range=(low, high), dtype="uint16")
    return rule.to_dict()


def test_the_names_of_ultralytics_that_the_seam_stands_on(sar_set):
    """Fails by name when a release moves one of them."""
    import ultralytics.data.base
    import ultralytics.data.build
    import ultralytics.data.utils
    from ultralytics.data.dataset import YOLODataset
    from ultralytics.models.rtdetr import train as rtdetr_train
    from ultralytics.models.rtdetr import val as rtdetr_val

    assert "imread" in ultralytics.data.base.BaseDataset.load_image.__code__.co_names
    assert "imread" in ultralytics.data.base.BaseDataset.cache_images_to_disk.__code__.co_names
    assert "imread" in ultralytics.data.base.BaseDataset.check_cache_disk.__code__.co_names
    assert "check_image" in ultralytics.data.utils.verify_image_label.__code__.co_names
    assert "YOLODataset" in ultralytics.data.build.build_yolo_dataset.__code__.co_names
    assert "RTDETRDataset" in rtdetr_train.RTDETRTrainer.build_dataset.__code__.co_names
    assert "RTDETRDataset" in rtdetr_val.RTDETRValidator.build_dataset.__code__.co_names
    with our_datasets():
        assert ultralytics.data.build.YOLODataset is OurYOLODataset
        assert rtdetr_train.RTDETRDataset is rtdetr_val.RTDETRDataset is OurRTDETRDataset
    assert ultralytics.data.build.YOLODataset is YOLODataset


def test_training_pictures_are_the_stretched_ones_and_others_read_as_before(sar_set):
    from ultralytics.data.base import imread as base_imread
    from ultralytics.data.utils import check_image
    from ultralytics.utils.patches import imread as stock

    section = _measured()
    dataset = _dataset(sar_set, section=section)
    for i, path in enumerate(dataset.im_files):
        image = dataset.load_image(i)[0]
        assert image.shape == (SIZE, SIZE, 3)
        np.testing.assert_array_equal(image[..., 1], expected_picture(Path(path), section))
    path, elsewhere = dataset.im_files[0], {}
    with reading(dataset.reader):
        assert base_imread(path).max() > 0
        thread = threading.Thread(target=lambda: elsewhere.update(im=base_imread(path, flags=cv2.IMREAD_COLOR)))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(elsewhere["im"], stock(path))
    np.testing.assert_array_equal(base_imread(path), stock(path))
    assert check_image(path) == ("", (SIZE, SIZE))


@pytest.mark.parametrize("cache", ["disk", "ram"])
def test_a_cache_of_another_stretch_is_not_taken(cache, sar_set, tmp_path):
    data = make_set(tmp_path / "set", n=(3, 1))
    first = tmp_path / "set" / "images" / "train" / "0.tif"
    np.save(first.with_suffix(".npy"), np.full((SIZE, SIZE, 3), 9, np.uint8))  # left by Ultralytics
    os.utime(first.with_suffix(".npy"), (2e9, 2e9))
    for section in (_measured(), _measured(0, 90)):
        dataset = _dataset(data, section=section, cache=cache)
        again = _dataset(data, section=section, cache="disk")
        for d in (dataset, again):
            np.testing.assert_array_equal(d.load_image(0)[0][..., 0], expected_picture(first, section))
    assert (np.load(first.with_suffix(".npy")) == 9).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint32", "int16"])
def test_what_pillow_cannot_name_is_not_dropped_as_corrupt(dtype, tmp_path):
    data = make_set(tmp_path / "set", dtype=dtype, n=(3, 1))
    section = {**_measured(), "dtype": dtype}
    dataset = _dataset(data, section=section)
    assert len(dataset) == 3
    assert dataset.load_image(0)[0].max() > 0


def test_a_label_cache_of_the_stock_reader_is_not_believed(tmp_path):
    from ultralytics.data.dataset import YOLODataset

    data = make_set(tmp_path / "set", dtype="float64", n=(3, 1))
    cv2.imwrite(str(tmp_path / "set" / "images" / "train" / "8.png"), np.ones((SIZE, SIZE), np.uint8))
    assert len(_dataset(data, cls=YOLODataset)) < 4  # the others are "corrupt", and the cache says so
    assert len(_dataset(data, section={**_measured(), "dtype": "float64"})) == 4


def test_a_damaged_file_is_left_out_as_ever(tmp_path):
    data = make_set(tmp_path / "set", n=(3, 1))
    path = tmp_path / "set" / "images" / "train" / "1.tif"
    path.write_bytes(path.read_bytes()[:1000])
    assert [Path(f).name for f in _dataset(data, section=_measured()).im_files] == ["0.tif", "2.tif"]


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_worker_processes_read_with_the_stretch_and_report_in_one_line(start, tmp_path):
    from torch.utils.data import DataLoader

    from rsdet.usererrors import user_errors

    data = make_set(tmp_path / "set", n=(3, 1))
    section = _measured()
    dataset = _dataset(data, section=section)
    loader = DataLoader(dataset, 1, num_workers=1, multiprocessing_context=start, collate_fn=dataset.collate_fn)
    for batch in loader:
        want = expected_picture(Path(batch["im_file"][0]), section)
        np.testing.assert_array_equal(batch["img"][0, 0].numpy(), want)
    tiff(tmp_path / "set" / "images" / "train" / "0.tif", np.ones((SIZE, SIZE), np.uint8))
    with pytest.raises(DataError, match=r"0\.tif holds uint8") as e, user_errors():
        list(loader)
    assert "\n" not in str(e.value)


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "section", "message"),
    [
        (np.ones((SIZE, SIZE), np.uint8), SECTION, r"0\.tif is uint8, .*1\.tif is uint16.*convert them to one type"),
        (np.ones((SIZE, SIZE), np.complex64), SECTION, "different sample types"),
        (None, {**SECTION, "quantity": "complex"}, "uint16 and no complex data"),
        (None, {**SECTION, "stretch": {"low": 99, "high": 1}}, "low must be below high"),
        (None, {**SECTION, "strech": "none"}, "Did you mean 'stretch'"),
        (None, {**SECTION, "stretch": "none"}, "takes 8-bit values as they are"),
        (None, None, "8 bits per sample.*sar: section"),
    ],
)
def test_training_on_unfit_data_is_one_line(change, section, message, model_yaml, tmp_path):
    data = make_set(tmp_path / "set", n=(3, 1), section=section)
    if change is not None:
        tiff(tmp_path / "set" / "images" / "train" / "0.tif", change)
    with pytest.raises((DataError, ConfigError), match=message) as e:
        RSDet(model_yaml).train(data=data, epochs=1, project=str(tmp_path), **QUICK)
    assert "\n" not in str(e.value)


def test_a_validation_split_of_another_type_is_one_line(model_yaml, tmp_path):
    data = make_set(tmp_path / "set", n=(3, 1))
    tiff(tmp_path / "set" / "images" / "val" / "0.tif", np.ones((SIZE, SIZE), np.float32))
    with pytest.raises(DataError, match=r"0\.tif holds float32 and the stretch was measured on uint16"):
        RSDet(model_yaml).train(data=data, epochs=1, project=str(tmp_path), **QUICK)


def test_a_tile_of_nodata_is_kept_in_training_and_has_no_detections(weights, model_yaml, tmp_path):
    data = make_set(tmp_path / "set", n=(3, 1))
    blank = tiff(
        tmp_path / "set" / "images" / "train" / "0.tif", np.zeros((SIZE, SIZE), np.uint16), {42113: ("s", "0")}
    )
    dataset = _dataset(data, section=_measured())
    assert len(dataset) == 3
    assert not dataset.load_image(0)[0].any()
    result = RSDet(weights).predict(blank, imgsz=SIZE, conf=1e-6)[0]
    assert len(result.boxes) == 0
    assert not result.orig_img.any()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((SIZE, SIZE), np.uint8), "holds uint8 and the stretch was measured on uint16"),
        (np.ones((SIZE, SIZE), np.complex64), "without a magnitude rule"),
        (np.arange(3, dtype=np.uint16) * np.ones((SIZE, SIZE, 1), np.uint16), "differ"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_the_weights_are_left_out(values, message, weights, sar_set, tmp_path):
    bad = tiff(tmp_path / "bad.tif", values)
    model = RSDet(weights)
    with pytest.raises(DataError, match=message) as e:
        model.predict(bad, imgsz=SIZE)
    assert "\n" not in str(e.value)
    good = sar_set.parent / "images" / "val" / "0.tif"
    assert len(model.predict([bad, good], imgsz=SIZE)) == 1
    assert len(model.skipped) == 1
    assert str(bad) in model.skipped[0]


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((1, SIZE, SIZE), np.uint16, r"channels first; pass \(H, W\) or \(H, W, C\)"),
        ((3, SIZE, SIZE), np.uint16, "channels first"),
        ((2, 2, SIZE, SIZE), np.uint16, r"it must be \(H, W\) or \(H, W, C\)"),
        ((0, SIZE), np.uint16, "it must be"),
        ((SIZE, SIZE), np.uint8, "holds uint8"),
        ((SIZE, SIZE), np.float32, "holds float32"),
    ],
)
def test_an_array_of_swapped_axes_or_another_type_is_one_line(shape, dtype, message, weights):
    with pytest.raises(DataError, match=message) as e:
        RSDet(weights).predict(np.ones(shape, dtype), imgsz=SIZE)
    assert "\n" not in str(e.value)


def test_a_model_without_a_stretch_refuses_swapped_axes_and_16_bits(model_yaml, sar_set):
    model = RSDet(model_yaml)
    torch.nn.init.zeros_(next(model.model.parameters()))
    with pytest.raises(DataError, match="channels first"):
        model.predict(np.ones((3, SIZE, SIZE), np.uint8), imgsz=SIZE)
    with pytest.raises(DataError, match=r"8 bits per sample.*sar: section"):
        model.predict(sar_set.parent / "images" / "val" / "0.tif", imgsz=SIZE)


def test_weights_without_a_stretch_are_not_validated_on_data_that_needs_one(tiny_weights, sar_set, tmp_path):
    data = write_yaml(
        tmp_path / "d.yaml", sar_set.parent, SECTION, names=dict(enumerate(RSDet(tiny_weights).names.values()))
    )
    with pytest.raises(DataError, match=r"the weights have none.*train on this data first"):
        RSDet(tiny_weights).val(data=data, imgsz=SIZE, project=str(tmp_path))


def test_a_foreign_predictor_is_refused_where_it_would_read_wrongly(weights, sar_set):
    from ultralytics.models.yolo.detect.predict import DetectionPredictor

    with pytest.raises(ConfigError, match="does not read files as the model was trained"):
        RSDet(weights).predict(sar_set.parent / "images" / "val", imgsz=SIZE, predictor=DetectionPredictor)


def test_videos_are_refused_by_a_model_of_sar_files(weights):
    with pytest.raises(DataError, match="takes SAR files"):
        RSDet(weights).predict("https://example.com/a.mp4", imgsz=SIZE)


def test_real_scenes_go_in_as_they_are(shared_data, model_yaml):
    """HRSID comes as JPEG with three equal channels."""
    read = SarReader(Stretch(method="none", dtype="uint8"))
    files = sorted((shared_data / "hrsid-ship" / "images").glob("*.jpg"))[:4]
    for path in files:
        np.testing.assert_array_equal(read(path), cv2.imread(str(path)))

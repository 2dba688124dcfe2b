"""The small runtime finds what the full path finds, refuses what it cannot read, and loads no PyTorch for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
import yaml
from exported import stock_export
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from runtime_list import modules, only

from rsdet import tasks
from rsdet.data.sar import Stretch
from rsdet.data.scenes import render_scene
from rsdet.deploy.artifact import write_metadata
from rsdet.errors import CheckpointError, ConfigError, DataError, MissingDependencyError
from rsdet.runtime import Detector
from rsdet.runtime import light as small_cli
from rsdet.runtime.geometry import lay, letterboxed, stretched, to_input
from rsdet.runtime.metadata import stored_metadata
from rsdet.tasks.detect.runtime.facts import read_facts
from rsdet.tasks.detect.runtime.nms import class_aware_nms, nms
from rsdet.tasks.detect.runtime.postprocess import Rules, rows

BACKBONE = [[-1, 1, "Conv", [16, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "Conv", [32, 3, 2]]]
DEEPER = [[-1, 1, "Conv", [48, 3, 2]], [-1, 1, "Conv", [64, 3, 2]]]
YAMLS = {
    "rtdetr": {
        "nc": 4,
        "backbone": [*BACKBONE, [-1, 1, "Conv", [48, 3, 2]], [-1, 1, "AIFI", [64, 4]]],
        "head": [[[2, 4], 1, "RTDETRDecoder", ["nc", 32, 60, 2, 4, 2, 64]]],
    },
    "yolo": {"nc": 4, "backbone": [*BACKBONE, *DEEPER], "head": [[[2, 3, 4], 1, "Detect", ["nc"]]]},
    "gray": {
        "nc": 2, "family": "yolo", "channels": 1,
        "backbone": [*BACKBONE, *DEEPER], "head": [[[2, 3, 4], 1, "Detect", ["nc"]]],
    },
    "end2end": {
        "nc": 4, "end2end": True, "reg_max": 1,
        "backbone": [*BACKBONE, *DEEPER], "head": [[[2, 3, 4], 1, "Detect", ["nc"]]],
    },
}  # fmt: skip
CONF = 1e-4  # the models are untrained
SAR = {
    "quantity": "amplitude", "units": "linear", "nodata": 0.0, "dtype": "uint16",
    "stretch": {"domain": "db", "method": "percentile", "low": 1.0, "high": 99.5, "range": [20.0, 90.0]},
}  # fmt: skip


def make(kind: str, folder: Path, **export) -> Path:
    """An artifact as stock Ultralytics makes it."""
    from ultralytics import RTDETR, YOLO
    from ultralytics.engine.model import Model

    from rsdet import RSDet

    source = folder / f"{kind}.yaml"
    source.write_text(yaml.safe_dump(YAMLS[kind]))
    torch.manual_seed(1)
    model = {"rtdetr": RTDETR, "gray": RSDet}.get(kind, YOLO)(str(source))
    for p in model.model.model[-1].parameters():
        p.data += 0.1 * torch.randn_like(p)  # scores and boxes that differ
    settings = {"format": "onnx", "imgsz": [160, 128], "verbose": False, **export}
    if settings["format"] == "onnx":
        settings |= {"simplify": False, "opset": 17}
    before = Path.cwd()
    os.chdir(folder)  # a model that was never saved is exported to where one is
    try:
        return Path(Model.export(model, **settings)).resolve()
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """Makes an artifact once."""
    made: dict[str, Path] = {}

    def get(kind: str, **export) -> Path:
        key = json.dumps([kind, export])
        if key not in made:
            made[key] = make(kind, tmp_path_factory.mktemp(kind), **export)
        return made[key]

    return get


@pytest.fixture(scope="module")
def photos(request, tmp_path_factory) -> list[Path]:
    """Real images of odd sizes where there are some, else rendered ones."""
    try:
        root = request.getfixturevalue("shared_data")
        found = sorted((root / "dota-sample" / "images").glob("*.png"))[:3]
        found += sorted((root / "hit-uav").rglob("*.jpg"))[:1] + sorted((root / "aerial-cars").glob("*.jpg"))[:1]
    except pytest.skip.Exception:
        found = []
    folder = tmp_path_factory.mktemp("photos")
    for i, size in enumerate([(137, 211), (301, 97)] if found else [(137, 211), (301, 97), (160, 128), (64, 513)]):
        cv2.imwrite(str(folder / f"{i}.png"), render_scene(i, size).image)
    return found + sorted(folder.glob("*.png"))


def compare(path: Path, images: list, **kwargs) -> int:
    """Compare with the full path image by image; returns how many objects there were."""
    from rsdet import RSDet

    full, small, n = RSDet(path), Detector(path), 0
    for image in images:
        theirs = full.predict(image, verbose=False, **{"conf": CONF, **kwargs})[0]
        ours = small.predict(image, **{"conf": CONF, **kwargs})
        assert len(ours) == len(theirs.boxes)
        np.testing.assert_allclose(ours.boxes_xyxy, theirs.boxes.xyxy.numpy(), atol=0.01)
        np.testing.assert_allclose(ours.scores, theirs.boxes.conf.numpy(), atol=1e-5)
        np.testing.assert_array_equal(ours.classes, theirs.boxes.cls.numpy())
        assert ours.names == theirs.names
        assert ours.size_hw == theirs.orig_shape
        n += len(ours)
    return n


# -- the same boxes as the full path ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "export"),
    [("rtdetr", {}), ("yolo", {}), ("yolo", {"dynamic": True}), ("end2end", {"nms": False}), ("yolo", {"batch": 2})],
    ids=["rtdetr", "yolo", "yolo-free-size", "yolo-end2end", "yolo-two-at-a-time"],
)
def test_a_file_of_stock_ultralytics_gives_the_boxes_of_the_full_path(artifact, photos, kind, export):
    path = artifact(kind, **export)
    assert compare(path, photos) > 5 * len(photos)
    compare(path, photos[-2:], iou=0.3, max_det=7)


def test_gray_pictures_and_arrays_of_either_kind(artifact, photos):
    scene = render_scene(3, (90, 131)).image
    assert Detector(artifact("gray")).channels == 1
    assert compare(artifact("gray"), [photos[-1], scene, scene[..., :1], scene[..., 0]]) > 0
    assert compare(artifact("yolo"), [scene, scene[..., :1], scene[..., 0]]) > 0


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_sar_files_are_stretched_as_in_training(artifact, tmp_path, dtype):
    path = shutil.copy(artifact("yolo"), tmp_path / "sar.onnx")
    facts = {"family": "yolo", "task": "detect", "sar": {**SAR, "dtype": dtype}}
    write_metadata(path, "onnx", facts)
    rng = np.random.default_rng(0)
    values = (rng.gamma(3.0, 400.0, (143, 211)) + 1).astype(dtype)
    values[:20] = 0  # no data
    cv2.imwrite(str(tmp_path / "scene.tif"), values)
    cv2.imwrite(str(tmp_path / "empty.tif"), np.zeros((64, 64), dtype))
    assert compare(path, [str(tmp_path / "scene.tif"), values]) > 10
    assert len(Detector(path).predict(tmp_path / "empty.tif", conf=0.0)) == 0
    with pytest.raises(DataError, match="measured on"):
        Detector(path).predict(values.astype(np.uint8))


def test_our_own_export_with_fp16_inside(photos, tmp_path):
    from ultralytics import YOLO

    from rsdet.deploy.export import export

    source = tmp_path / "half.yaml"
    source.write_text(yaml.safe_dump(YAMLS["yolo"]))
    torch.manual_seed(0)
    images = [cv2.imread(str(p)) for p in photos[-2:]]
    made = export(YOLO(str(source)), "onnx", imgsz=96, half=True, images=images, out=tmp_path, verbose=False)
    assert made.metadata["half"]
    assert compare(made.path, photos, conf=1e-3) > 0


def test_a_scene_is_looked_at_without_the_full_path_from_python_too(artifact, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    from rsdet import RSDet

    source, picture = tmp_path / "town.tif", render_scene(0, (150, 210)).image.transpose(2, 0, 1)
    with rasterio.open(source, "w", driver="GTiff", height=150, width=210, count=3, dtype="uint8") as file:
        file.write(picture[::-1])
    model = RSDet(artifact("yolo"))
    (result,) = model.predict(source, tile=96, overlap=16, conf=CONF, crops=0, quicklook=False, project=tmp_path)
    assert result.tiles == result.looked_at == 6
    assert model.predictor.predictor.backend.startswith("ONNX Runtime")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "export"), [("rtdetr", {}), ("yolo", {}), ("yolo", {"dynamic": True})])
def test_openvino_agrees_with_the_full_path_on_onnx(artifact, photos, kind, export):
    """Not with the full path on OpenVINO, which calculates in BF16 where the processor can."""
    pytest.importorskip("openvino")
    from rsdet import RSDet
    from rsdet.tasks.detect.parity import compare as compare_rows

    path = artifact(kind, format="openvino", **export)
    full, small = RSDet(artifact(kind, **export)), Detector(path)
    # All boxes: which of two nearly equal ones of an untrained network wins is decided in the last digit.
    every = {"conf": CONF, "iou": 1.0, "max_det": 5000}
    theirs = [full.predict(p, verbose=False, **every)[0].boxes.data.numpy() for p in photos]
    found = [small.predict(p, **every) for p in photos]
    ours = [np.c_[d.boxes_xyxy, d.scores, d.classes] for d in found]
    report = compare_rows(theirs, ours, conf=CONF, score_tol=CONF / 10)
    assert report.max_box_error_px < 0.01, report.summary()
    assert report.max_score_error < 1e-5, report.summary()
    # Two classes of nearly one score: the last digit decides here too.
    assert report.unmatched_reference + report.unmatched_candidate <= 0.005 * report.matched, report.summary()
    assert Detector(next(path.glob("*.xml"))).names == full.names


def test_a_batch_gives_what_single_images_give(artifact, photos):
    for export in ({}, {"batch": 2}, {"dynamic": True}):
        detector = Detector(artifact("yolo", **export))
        images = [cv2.imread(str(photos[-1]))] * 2 + [cv2.imread(str(photos[-1]))[::-1]]  # one size
        for one, of_many in zip(
            (detector.predict(im, conf=CONF) for im in images), detector.predict_batch(images, CONF), strict=True
        ):
            np.testing.assert_allclose(one.boxes_xyxy, of_many.boxes_xyxy, atol=1e-2)
            np.testing.assert_allclose(one.scores, of_many.scores, atol=1e-5)
        assert detector.predict_batch([]) == []


def test_classes_are_chosen_before_the_number_of_boxes(artifact, photos):
    for kind, export in (("yolo", {}), ("rtdetr", {}), ("end2end", {"nms": False})):
        path = artifact(kind, **export)
        best, *others = Detector(path).predict(photos[-1], conf=CONF).classes
        others = sorted({int(c) for c in others if c != best})
        assert compare(path, photos[-1:], classes=others, max_det=1) == 1, "in spite of better ones of another class"


# -- geometry -----------------------------------------------------------------------------------------------------

SIDES = st.integers(1, 6000)


@settings(max_examples=60, deadline=None)
@given(h=SIDES, w=SIDES, imgsz=st.sampled_from([(640, 640), (320, 512), (96, 96)]), stride=st.sampled_from([None, 32]))
def test_boxes_come_back_where_they_were(h, w, imgsz, stride):
    rng = np.random.default_rng(h * 7 + w)
    corners = np.sort(rng.random((20, 2, 2)), axis=1) * [w, h]
    boxes = corners.reshape(20, 4)
    for place in (letterboxed((h, w), imgsz, stride), stretched((h, w), imgsz)):
        inside = place.to_input(boxes)
        assert (inside >= 0).all()
        assert (inside <= [*place.input_hw[::-1]] * 2).all()
        assert np.abs(place.to_picture(inside) - boxes).max() < 1e-3
        assert all(i <= n for i, n in zip(place.input_hw, imgsz, strict=True))


@settings(max_examples=40, deadline=None)
@given(h=st.integers(1, 400), w=st.integers(1, 400), stride=st.sampled_from([None, 32]), c=st.sampled_from([1, 3]))
def test_letterbox_is_that_of_ultralytics(h, w, stride, c):
    from ultralytics.data.augment import LetterBox

    picture = np.random.default_rng(h * 401 + w).integers(0, 255, (h, w, c), dtype=np.uint8)
    expected = LetterBox((160, 128), auto=stride is not None, stride=stride or 32)(image=picture)
    np.testing.assert_array_equal(lay(picture, letterboxed((h, w), (160, 128), stride)), expected)


@pytest.mark.parametrize("family", ["yolo", "rtdetr"])
def test_the_input_is_that_of_the_parity_check(family):
    from rsdet.tasks.detect.decode import preprocess

    pictures = [render_scene(i, s).image for i, s in enumerate([(90, 131), (211, 64)])]
    place = letterboxed if family == "yolo" else stretched
    ours = to_input([lay(p, place(p.shape[:2], (96, 128))) for p in pictures])
    np.testing.assert_array_equal(ours, preprocess(pictures, family, (96, 128)))


# -- suppression --------------------------------------------------------------------------------------------------


def random_boxes(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crowded boxes, some identical, some without area, on a coarse grid of scores so that many are tied."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 40, (n, 2)).astype(np.float32)
    boxes = np.concatenate([corner, corner + rng.integers(0, 30, (n, 2))], 1).astype(np.float32)
    boxes[n // 2 :] += rng.random((n - n // 2, 4), dtype=np.float32)
    boxes[n // 2 :, 2:] = np.maximum(boxes[n // 2 :, 2:], boxes[n // 2 :, :2])
    return boxes, (rng.integers(1, 20, n) / 20).astype(np.float32), rng.integers(0, 3, n)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 120), iou=st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0]))
def test_suppression_is_that_of_torchvision(seed, n, iou):
    from torchvision.ops import nms as reference

    boxes, scores, _ = random_boxes(seed, n)
    expected = reference(torch.from_numpy(boxes), torch.from_numpy(scores), iou).numpy()
    np.testing.assert_array_equal(nms(boxes, scores, iou), expected)
    np.testing.assert_array_equal(nms(boxes, scores, iou, max_det=5), expected[:5])


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("n", [0, 1, 400])
def test_rows_are_those_of_ultralytics(n, agnostic):
    import torchvision  # noqa: F401 - Ultralytics takes its suppression when it is loaded
    from ultralytics.utils.nms import non_max_suppression

    boxes, scores, classes = random_boxes(5, n)
    out = np.zeros((7, n), np.float32)
    out[:2], out[2:4] = (boxes[:, :2] + boxes[:, 2:]).T / 2, (boxes[:, 2:] - boxes[:, :2]).T
    out[4 + classes, np.arange(n)] = scores
    facts = read_facts({"task": "detect", "names": "{0: 'a', 1: 'b', 2: 'c'}"}, "x.onnx")
    place = letterboxed((100, 100), (100, 100))
    ours = rows(out, facts, place, Rules(0.3, 0.5, 50, agnostic=agnostic))
    theirs = non_max_suppression(torch.from_numpy(out[None]), 0.3, 0.5, agnostic=agnostic, max_det=50)[0].numpy()
    np.testing.assert_array_equal(np.c_[ours[0], ours[1], ours[2]], theirs.clip([0] * 6, [100] * 6))
    assert ours[0].shape == (len(theirs), 4)


def test_an_overlap_of_exactly_the_threshold_is_judged_as_torchvision_judges_it():
    from torchvision.ops import nms as reference

    boxes, scores = np.array([[0, 0, 10, 10], [0, 0, 6, 10]], np.float32), np.array([0.9, 0.8], np.float32)
    expected = reference(torch.from_numpy(boxes), torch.from_numpy(scores), 0.6).numpy()
    assert expected.tolist() == [0], "float32(0.6) is above 0.6"
    assert nms(boxes, scores, 0.6).tolist() == [0]


def test_only_the_best_candidates_are_looked_at(monkeypatch):
    monkeypatch.setattr("rsdet.tasks.detect.runtime.nms.MAX_NMS", 3)
    boxes = np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(6)], np.float32)
    kept = class_aware_nms(boxes, np.arange(6, dtype=np.float32), np.zeros(6), 0.5)
    assert kept.tolist() == [5, 4, 3]


# -- bad input ----------------------------------------------------------------------------------------------------


def edited(path: Path, target: Path, **props: str | None) -> Path:
    """A copy with other metadata; None takes an entry out."""
    graph = onnx.load(str(path))
    kept = {p.key: p.value for p in graph.metadata_props if p.key not in props}
    del graph.metadata_props[:]
    for key, value in {**kept, **{k: v for k, v in props.items() if v is not None}}.items():
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, str(target))
    return target


def foreign(target: Path, shape: list[int], out: list[int], **props: str) -> Path:
    """A graph that is no detector of ours: its output is a constant."""
    from onnx import TensorProto, helper, numpy_helper

    constant = helper.make_node(
        "Constant", [], ["y"], value=numpy_helper.from_array(np.full(out, float(props.pop("fill", 0)), np.float32))
    )
    # The input must be used.
    graph = helper.make_graph(
        [constant, helper.make_node("Identity", ["x"], ["z"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, out),
         helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    for k, v in props.items():
        model.metadata_props.add(key=k, value=v)
    onnx.save(model, str(target))
    return target


KNOWN = {"task": "detect", "names": "{0: 'a', 1: 'b'}"}


def test_files_that_are_no_detector_are_refused_in_one_line(artifact, tmp_path):
    good, picture = artifact("yolo"), np.zeros((64, 64, 3), np.uint8)
    whole = good.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "model.engine").write_bytes(b"x")
    (tmp_path / "none_openvino_model").mkdir()
    refused = [
        (tmp_path / "cut.onnx", CheckpointError, "cannot be loaded"),
        (tmp_path / "empty.onnx", CheckpointError, "cannot be loaded"),
        (tmp_path / "absent.onnx", ConfigError, "does not exist"),
        (tmp_path / "model.engine", ConfigError, "no kind that the runtime loads"),
        (edited(good, tmp_path / "a.onnx", names=None), CheckpointError, "does not say what it is"),
        (edited(good, tmp_path / "b.onnx", names="{0: "), CheckpointError, "cannot be read"),
        (edited(good, tmp_path / "c.onnx", task="segment"), ConfigError, "task='segment'"),
        (edited(good, tmp_path / "d.onnx", channels="1"), CheckpointError, "channels"),
        (edited(good, tmp_path / "e.onnx", rsdet="{"), CheckpointError, "cannot be read"),
        (edited(good, tmp_path / "f.onnx", names="{0: 'a'}"), CheckpointError, r"expected \(B, 5, N\)"),
        (foreign(tmp_path / "g.onnx", [1, 10], [1, 3], **KNOWN), CheckpointError, "expected one of pictures"),
        (foreign(tmp_path / "h.onnx", [1, 3, 64, 64], [1, 1000], **KNOWN), CheckpointError, "puts out"),
        (foreign(tmp_path / "i.onnx", [1, 3, 64, 64], [1, 6, 9], fill="nan", **KNOWN), CheckpointError, "NaN"),
        (foreign(tmp_path / "j.onnx", [1, 4, 64, 64], [1, 6, 9], **KNOWN), CheckpointError, "takes 4"),
    ]
    for path, error, message in refused:
        with pytest.raises(error, match=message) as e:
            Detector(path).predict(picture)
        assert "\n" not in str(e.value)
        assert path.name in str(e.value)
    with pytest.raises((CheckpointError, MissingDependencyError), match="none_openvino_model"):
        Detector(tmp_path / "none_openvino_model")


def test_images_and_values_that_would_go_wrong_are_refused(artifact, tmp_path):
    detector = Detector(artifact("yolo"))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((9, 9), 1000, np.uint16))
    Image.new("CMYK", (9, 9)).save(tmp_path / "ink.jpg")
    (tmp_path / "torn.png").write_bytes(cv2.imencode(".png", np.zeros((99, 99, 3), np.uint8))[1].tobytes()[:60])
    for name, message in (
        ("deep.png", "8 bits"),
        ("ink.jpg", "save it as RGB"),
        ("torn.png", "decoded"),
        ("no", "exist"),
    ):
        with pytest.raises(DataError, match=message):
            detector.predict(tmp_path / name)
    for array, message in ((np.zeros((9, 9, 3)), "8 bits"), (np.zeros((3, 99, 99), np.uint8), "channels first")):
        with pytest.raises(DataError, match=message):
            detector.predict(array)
    with pytest.raises(DataError, match="cannot be a list"):
        detector.predict([1, 2])
    good = np.zeros((9, 9, 3), np.uint8)
    for wrong in ({"conf": 2}, {"iou": -1}, {"max_det": 0}, {"imgsz": 640}, {"imgsz": 0.5}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            detector.predict(good, **wrong)
    with pytest.raises(ConfigError, match="threads"):
        Detector(artifact("yolo"), threads=0)


def test_a_missing_backend_is_named(artifact, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        Detector(artifact("yolo"))


# -- the command line ---------------------------------------------------------------------------------------------


def words(model: Path, source: Path, **more) -> dict:
    return {"model": str(model), "source": str(source), "conf": CONF, **more}


def assert_alike(a, b) -> None:
    """Equal, numbers to the rounding of files."""
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        a, b = list(a.values()), list(b.values())
    if isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_alike(x, y)
    else:  # an area is a product of sides of some hundred px
        assert a == (pytest.approx(b, rel=1e-4, abs=0.002) if isinstance(b, float) else b)


def test_predict_writes_what_the_full_path_writes(artifact, photos, tmp_path, capsys):
    from rsdet import RSDet

    folder = tmp_path / "images"
    folder.mkdir()
    for p in photos[-2:]:
        shutil.copy(p, folder)
    shutil.copy(photos[-1], folder / f"{photos[-1].stem}.bmp")  # of one stem: two pictures all the same
    (folder / "torn.png").write_bytes(photos[-1].read_bytes()[:200])
    given = words(artifact("yolo"), folder, save_json=True, save_coco=True, project=str(tmp_path), batch=2)
    done = small_cli.predict({**given, "name": "small"})
    said = capsys.readouterr().out
    full = RSDet(artifact("yolo"))
    results = full.predict(**{k: v for k, v in given.items() if k != "model"}, save=True, name="full")
    assert (done.images, done.objects) == (len(results), sum(map(len, results)))
    assert done.skipped == full.skipped
    assert "torn.png" in done.skipped[0]
    assert done.save_dir == tmp_path / "small"
    files = {p.name for p in (tmp_path / "full").iterdir()}
    assert len(files) == 5
    assert files == {p.name for p in done.save_dir.iterdir()}
    for name in files:
        ours, theirs = ((tmp_path / run / name).read_bytes() for run in ("small", "full"))
        if name.endswith(".json"):
            assert_alike(json.loads(ours), json.loads(theirs))
        else:
            assert ours == theirs, name
    for part in (f"image 1/4 {folder}", "160x128", "Speed: "):
        assert part in said
    assert small_cli.predict({**given, "name": "small", "verbose": False}).save_dir == tmp_path / "small-2"
    assert small_cli.predict({**given, "name": "small", "exist_ok": True}).save_dir == tmp_path / "small"


def test_what_is_not_supported_is_left_to_the_full_path(artifact, photos, tmp_path):
    good = words(artifact("yolo"), photos[-1], project=str(tmp_path))
    for more in (
        {"device": 0}, {"task": "segment"}, {"save_txt": True}, {"half": True}, {"conf": 7}, {"conff": 0.1},
        {"source": "0"}, {"source": "rtsp://there"}, {"model": "best.pt"}, {"model": "vmc-detr.yaml"}, {"tile": 640},
        {"imgsz": "big"}, {"classes": []},
    ):  # fmt: skip
        before = {**good, **more}
        assert small_cli.predict(before) is None, more
        assert before == {**good, **more}, "the arguments are still whole"
    assert small_cli.predict({"model": good["model"]}) is None
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="160x128 only"):
        small_cli.predict({**good, "imgsz": 640})
    with pytest.raises(DataError, match="does not exist"):
        small_cli.predict({**good, "source": str(tmp_path / "no.png")})


def test_a_file_is_asked_for_its_task_before_its_graph_is_loaded(artifact, photos, tmp_path, monkeypatch):
    """Another task's file is left to the full path, and one of ours goes to the module that its task names."""

    def never(*args):
        raise AssertionError("the graph was loaded")

    monkeypatch.setattr("rsdet.runtime.backends.OnnxNetwork.__init__", never)
    for task in ("pose", "classify", "no such task"):
        other = edited(artifact("yolo"), tmp_path / "other.onnx", task=task)
        assert small_cli.predict(words(other, photos[-1], project=str(tmp_path))) is None
    with pytest.raises(AssertionError, match="was loaded"):
        small_cli.predict(words(artifact("yolo"), photos[-1]))
    for task, module in (("obb", "obb"), ("segment", "segment")):
        monkeypatch.setattr(f"rsdet.tasks.{module}.runtime.cli.predict", lambda args, task=task: task)
        other = edited(artifact("yolo"), tmp_path / "other.onnx", task=task)
        assert small_cli.predict(words(other, photos[-1])) == task
    with pytest.raises(ConfigError, match="model for task='segment'; expected one for task='detect'"):
        Detector(other)


def test_metadata_are_those_that_onnx_reads_whatever_else_is_in_the_file(artifact, tmp_path):
    text = {"task": "detect", "names": "{0: 'a'}", "empty": "", "words": "größer als 2¹⁶ " * 9000}
    path = edited(artifact("yolo"), tmp_path / "a.onnx", **text)
    graph = onnx.load(str(path))
    assert stored_metadata(path) == {p.key: p.value for p in graph.metadata_props}
    assert {k: stored_metadata(path)[k] for k in text} == text
    whole = path.read_bytes()
    for n in (0, 1, len(whole) // 3, len(whole) - 1):
        (tmp_path / "b.onnx").write_bytes(whole[:n])
        with pytest.raises(CheckpointError, match=r"b\.onnx cannot be loaded"):
            stored_metadata(tmp_path / "b.onnx")


@settings(max_examples=200, deadline=None)
@given(content=st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_or_refused(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.onnx"
    path.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        assert all(isinstance(v, str) for v in stored_metadata(path).values())


# -- what it costs ------------------------------------------------------------------------------------------------

MEASURE = """
{only}
{code}
def status(key):
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith(key))
heavy = [m for m in ("torch", "ultralytics", "torchvision", "matplotlib", "onnx") if m in sys.modules]
print("RESULT", heavy, status("VmHWM") if sys.platform == "linux" else 0)
"""


def fresh(code: str, cwd: Path, *more: str) -> tuple[str, int]:
    """Run code where docker/runtime.txt and `more` are installed; returns the heavy modules it loaded and its peak of
    resident memory in MB.
    """
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(only=only(*more), code=code)],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heavy, _, peak = done.stdout.strip().splitlines()[-1].removeprefix("RESULT ").rpartition(" ")
    return heavy, int(peak)


def test_importing_loads_nothing_heavy(tmp_path):
    assert fresh("import rsdet, rsdet.runtime, rsdet.errors, rsdet.cli", tmp_path)[0] == "[]"


@pytest.mark.parametrize("module", [m for m in (tasks.get(n).light for n in tasks.names()) if m is not None])
def test_what_a_task_predicts_with_loads_nothing_heavy(module, tmp_path):
    assert fresh(f"import {module}\nassert callable({module}.predict)", tmp_path)[0] == "[]"


def test_a_detector_needs_no_pytorch_and_little_memory(artifact, photos, tmp_path):
    for path in (artifact("rtdetr"), artifact("yolo")):
        code = (
            "from rsdet.runtime import Detector\n"
            f"found = Detector({str(path)!r}).predict({str(photos[0])!r}, conf={CONF})\nassert len(found)"
        )
        heavy, peak = fresh(code, tmp_path)
        print(f"{path.name}: {peak} MB")
        assert heavy == "[]"
        assert peak < 300


def test_the_command_needs_no_pytorch_and_little_memory(artifact, photos, tmp_path):
    given = words(artifact("rtdetr"), photos[0], save_json=True, save_coco=True, project=str(tmp_path))
    line = ["predict", *(f"{k}={v}" for k, v in given.items())]
    heavy, peak = fresh(f"from rsdet.cli import run\nassert run({line!r}) == 0", tmp_path)
    print(f"rsdet predict: {peak} MB")
    assert (tmp_path / "predict" / "predictions.json").is_file()
    assert heavy == "[]"
    assert peak < 300


@pytest.mark.parametrize("kind", ["obb", "segment"])
def test_nor_do_the_other_tasks(kind, photos, tmp_path):
    path = stock_export(kind, tmp_path)
    line = ["predict", f"model={path}", f"source={photos[-1]}", "save_json=True", "save_coco=True", "conf=0.001"]
    code = f"from rsdet.cli import run\nassert run({line!r}) == 0\nlacking = {modules()!r} - {{*sys.modules}}"
    heavy, peak = fresh(f"{code}\nassert {kind == 'obb'} or not lacking, lacking", tmp_path)  # no more than is used
    print(f"rsdet predict: {peak} MB")
    written = {p.name for p in (tmp_path / "runs" / kind / "predict").iterdir()}
    assert written == {f"{photos[-1].stem}.jpg", "predictions.json", "predictions-coco.json"}
    assert heavy == "[]"
    assert peak < 300


def test_a_scene_needs_no_pytorch_and_no_memory_for_its_size(artifact, tmp_path):
    """256 million bytes of pixels, of which no more than windows are ever held."""
    rasterio = pytest.importorskip("rasterio")
    side, picture = 9248, render_scene(0, (289, 289)).image[..., ::-1].transpose(2, 0, 1)
    profile = dict(width=side, height=side, count=3, dtype="uint8", tiled=True, blockxsize=512, blockysize=512)
    with rasterio.open(tmp_path / "town.tif", "w", compress="deflate", nodata=0, sparse_ok=True, **profile) as file:
        for at in range(0, side - 400, 1850):
            file.write(picture, window=rasterio.windows.Window(at, at, 289, 289))
    line = ["predict", f"model={artifact('yolo')}", "source=town.tif", "tile=160", "overlap=0.2", f"conf={CONF}"]
    geo = ("rasterio", "pyogrio", "pyproj", "shapely")
    heavy, peak = fresh(f"from rsdet.cli import run\nassert run({line!r}) == 0", tmp_path, *geo)
    print(f"rsdet predict: {peak} MB")
    assert {p.suffix for p in (tmp_path / "runs" / "detect" / "predict").iterdir()} >= {".csv", ".png", ".json"}
    assert heavy == "[]"
    assert peak < 600


def test_a_stretch_is_read_without_pytorch(tmp_path):
    code = f"from rsdet.data.sar import SarReader\nassert SarReader.of({SAR!r}).stretch.range == (20.0, 90.0)"
    assert fresh(code, tmp_path)[0] == "[]"
    assert Stretch.from_dict(SAR).range == (20.0, 90.0)

"""``rsdet track``: an object keeps its number from frame to frame, and what cannot be followed is said in a line."""

from __future__ import annotations

import builtins
import json
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import torch
from exported import lively
from ultralytics.engine.results import Results
from ultralytics.models.yolo.detect.predict import DetectionPredictor
from ultralytics.models.yolo.obb import OBBPredictor

from rsdet import RSDet, cli
from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.tasks.detect.tracking import natural

FRAMES = 11
SIZE = (96, 160)  # height and width in pixels


def places(t: int) -> list[tuple[float, float]]:
    """Centres of two objects that pass one another, which a matching by order or by row alone would swap."""
    return [(40 + 6 * t, 30), (120 - 6 * t, 66)]


def frame(t: int) -> np.ndarray:
    """Two rectangles on a ground that stands still."""
    picture = np.random.default_rng(0).integers(40, 60, (*SIZE, 3)).astype(np.uint8)
    for i, (x, y) in enumerate(places(t)):
        box = cv2.boxPoints(((x, y), (24, 14), 15 + t)).astype(np.int32)
        cv2.fillPoly(picture, [box], (220 + 20 * i,) * 3)
    return picture


def as_drawn(predictor, preds, img, orig_imgs, *args, **kwargs):
    """What a perfect detector finds: bright regions, strongest first whichever that is, and nothing in frame 5."""
    results = []
    for picture, path in zip(orig_imgs, predictor.batch[0], strict=True):
        outlines, _ = cv2.findContours((picture[..., 0] > 150).astype(np.uint8), cv2.RETR_EXTERNAL, 1)
        rows = []
        for i, outline in enumerate(outlines):
            if isinstance(predictor, OBBPredictor):
                (x, y), (w, h), angle = cv2.minAreaRect(outline)
                rows.append([x, y, w, h, np.radians(angle), 0.9 - 0.1 * i, 1])
            else:
                x, y, w, h = cv2.boundingRect(outline)
                rows.append([x, y, x + w, y + h, 0.9 - 0.1 * i, 1])
        if predictor.blind and predictor.seen == 5:
            rows = []
        found = torch.tensor(rows).reshape(len(rows), 7 if isinstance(predictor, OBBPredictor) else 6)
        key = "obb" if isinstance(predictor, OBBPredictor) else "boxes"
        results.append(Results(picture, path=path, names=predictor.model.names, **{key: found}))
    return results


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {kind: lively(kind, tmp_path_factory.mktemp(kind)) for kind in ("yolo", "obb")}


@pytest.fixture(autouse=True)
def _perfect(monkeypatch):
    for predictor in (DetectionPredictor, OBBPredictor):
        monkeypatch.setattr(predictor, "postprocess", as_drawn)
        monkeypatch.setattr(predictor, "blind", False, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Frames of a flight, numbered without zeros in front."""
    made = tmp_path_factory.mktemp("made") / "flight"
    made.mkdir()
    for t in range(FRAMES):
        cv2.imwrite(str(made / f"f{t + 1}.png"), frame(t))
    return made


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "flight.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10.0, SIZE[::-1])
    for t in range(FRAMES):
        writer.write(frame(t))
    writer.release()
    return path


def check_kept(rows: np.ndarray) -> None:
    """Rows of a file of tracks: two tracks through all frames, each always where its object is."""
    assert sorted({*rows[:, 1]}) == [1, 2]
    for number in (1, 2):
        of_one = rows[rows[:, 1] == number]
        assert of_one[:, 0].tolist() == list(range(1, FRAMES + 1))
        centres = of_one[:, 2:4] + of_one[:, 4:6] / 2
        truth = np.array([places(t) for t in range(FRAMES)])
        gaps = np.abs(centres[:, None] - truth).max(-1)
        assert (gaps.argmin(1) == gaps[0].argmin()).all()
        assert gaps.min(1).max() < 6


@pytest.mark.parametrize("kind", ["yolo", "obb"])
@pytest.mark.parametrize("tracker", ["botsort", "bytetrack.yaml"])
def test_an_object_keeps_its_number_through_a_folder_of_frames(models, folder, tmp_path, kind, tracker):
    pytest.importorskip("lap")
    settings = {"save_tracks": True, "save_json": True, "imgsz": 96, "verbose": False}
    results = models[kind].track(folder, tracker=tracker, project=str(tmp_path), name="run", **settings)
    assert [len(r) for r in results] == [2] * FRAMES
    rows = np.loadtxt(tmp_path / "run" / "tracks" / "flight.txt", delimiter=",")
    check_kept(rows)
    assert (rows[:, 7] == 2).all()  # class 1, counted from 1
    assert rows.shape[1] == (18 if kind == "obb" else 10)
    if kind == "obb":
        around = rows[:, 10:].reshape(-1, 4, 2)
        np.testing.assert_allclose(around.min(1), rows[:, 2:4], atol=0.02)
    images = json.loads((tmp_path / "run" / "predictions.json").read_text())
    assert [sorted(b["track_id"] for b in image["boxes"]) for image in images] == [[1, 2]] * FRAMES


def test_an_object_keeps_its_number_through_a_film(models, film, tmp_path, capsys):
    pytest.importorskip("lap")
    weights = tmp_path / "w.pt"
    models["yolo"].save(str(weights))
    words = [f"{k}={v}" for k, v in {"model": weights, "source": film, "imgsz": 96, "project": tmp_path}.items()]
    assert cli.run(["track", *words, "name=run"]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said == f"2 objects followed through {FRAMES} frames. Results saved to {tmp_path / 'run'}"
    check_kept(np.loadtxt(tmp_path / "run" / "tracks" / "flight.txt", delimiter=","))
    annotated = cv2.VideoCapture(str(next(p for p in (tmp_path / "run").iterdir() if p.stem == "flight")))
    assert annotated.get(cv2.CAP_PROP_FRAME_COUNT) == FRAMES


def test_a_stride_that_a_folder_of_frames_does_not_have_is_named(models, folder, film, monkeypatch):
    said = []
    monkeypatch.setattr("rsdet.tasks.detect.predict.say", lambda text, level=0: said.append(text))
    assert len(models["yolo"].predict(folder, imgsz=96, vid_stride=5, verbose=False)) == FRAMES
    assert [line.partition(":")[0] for line in said] == ["vid_stride="]
    assert len(models["yolo"].predict(film, imgsz=96, vid_stride=5, verbose=False)) == FRAMES // 5
    assert len(said) == 1


def test_each_film_begins_anew_and_only_what_is_followed_is_left(models, film, folder, tmp_path, monkeypatch):
    """A model that has looked at one sequence knows nothing of it at the next, unless it shall."""
    pytest.importorskip("lap")
    monkeypatch.setattr(DetectionPredictor, "blind", True)
    results = models["yolo"].track(folder, imgsz=96, verbose=False)
    assert [len(r) for r in results] == [2] * 5 + [0] + [2] * 5
    assert {*results[-1].boxes.id.tolist()} == {1, 2}  # the same as before they were out of sight
    again = models["yolo"].track(film, imgsz=96, verbose=False)
    assert {*again[0].boxes.id.tolist()} == {1, 2}
    weak = models["yolo"].track(film, imgsz=96, verbose=False, tracker=_yaml(tmp_path, new_track_thresh=0.99))
    assert [len(r) for r in weak] == [0] * FRAMES
    plain = models["yolo"].predict(film, imgsz=96, verbose=False)
    assert plain[0].boxes.id is None
    assert len(plain[0]) == 2


def test_frames_one_by_one_go_on_with_persist(models):
    pytest.importorskip("lap")
    model, ids = models["yolo"], []
    for t in range(4):
        (result,) = model.track(frame(t), persist=t > 0, imgsz=96, verbose=False)
        ids.append(sorted(result.boxes.id.tolist()))
    assert ids == [[1, 2]] * 4


def _yaml(folder, **changes) -> str:
    from ultralytics.utils import ROOT, YAML

    spec = YAML.load(ROOT / "cfg" / "trackers" / "bytetrack.yaml") | changes
    YAML.save(folder / "mine.yaml", {k: v for k, v in spec.items() if v is not None})
    return str(folder / "mine.yaml")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"tracker": "bytetrak"}, "Did you mean 'bytetrack'"),
        ({"tracker": {"tracker_type": "sort"}}, "tracker_type: 'sort' must be one of"),
        ({"tracker": {"track_buffer": None}}, "lacks track_buffer"),
        ({"tracker": 3}, "tracker=3 must be text"),
        ({"tile": 64}, "tile= is for scenes"),
        ({"embed": [1]}, "embed="),
        ({"bogus": 1}, "of track"),
    ],
)
def test_what_cannot_be_followed_by_is_one_line(models, folder, tmp_path, keys, message):
    pytest.importorskip("lap")
    if isinstance(keys.get("tracker"), dict):
        keys = {"tracker": _yaml(tmp_path, **keys["tracker"])}
    with pytest.raises(ConfigError, match=message) as e:
        models["yolo"].track(folder, imgsz=96, **keys)
    assert "\n" not in str(e.value)


def test_appearance_that_would_need_a_fetched_network_is_refused(folder, tmp_path):
    pytest.importorskip("lap")
    tracker = tmp_path / "reid.yaml"
    from ultralytics.utils import ROOT

    text = (ROOT / "cfg" / "trackers" / "botsort.yaml").read_text(encoding="utf-8")
    tracker.write_text(text.replace("with_reid: False", "with_reid: True"), encoding="utf-8")
    with pytest.raises(ConfigError, match="which is not fetched"):
        lively("rtdetr", tmp_path).track(folder, tracker=str(tracker), imgsz=96)


def test_without_lap_one_line_says_what_to_install_and_nothing_is_installed(models, folder, monkeypatch):
    real, started = builtins.__import__, []

    def no_lap(name, *args, **kwargs):
        if name == "lap":
            raise ModuleNotFoundError("No module named 'lap'", name="lap")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_lap)
    monkeypatch.setattr("importlib.import_module", no_lap)
    monkeypatch.setattr(subprocess.Popen, "__init__", lambda self, *a, **k: started.append(a))
    with pytest.raises(MissingDependencyError, match=r"tracking needs the package lap .*pip install"):
        models["yolo"].track(folder)
    assert not started


def test_a_task_without_boxes_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="task=restore finds none"):
        RSDet("aod-net.yaml").track(tmp_path)


def test_frame_ten_follows_frame_nine():
    assert sorted(["f10.png", "f9.png", "a/f1.png", "f09b.png", "10.png", "9.png"], key=natural) == [
        "9.png", "10.png", "a/f1.png", "f9.png", "f09b.png", "f10.png",
    ]  # fmt: skip


def test_a_frame_that_cannot_be_read_is_named_and_the_others_keep_their_numbers(models, folder, tmp_path):
    pytest.importorskip("lap")
    frames = tmp_path / "frames"
    shutil.copytree(folder, frames)
    (frames / "f3.png").write_bytes((frames / "f3.png").read_bytes()[:200])
    model = models["yolo"]
    model.track(frames, imgsz=96, verbose=False, batch=4, save_tracks=True, project=str(tmp_path), name="run")
    rows = np.loadtxt(tmp_path / "run" / "tracks" / "frames.txt", delimiter=",")
    assert sorted({*rows[:, 0]}) == [n for n in range(1, FRAMES + 1) if n != 3]
    assert sorted({*rows[:, 1]}) == [1, 2]
    assert [line.split()[0] for line in model.skipped] == [str(frames / "f3.png")]

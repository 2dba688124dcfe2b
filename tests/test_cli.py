"""The command line as a user meets it: what words mean, what every mode leaves behind, what its last line says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY, TRAIN
from hypothesis import given
from hypothesis import strategies as st

from rsdet import RSDet, cli, modes, tasks
from rsdet.errors import ConfigError
from rsdet.modes.mode import Mode
from rsdet.words import check_device, parse_value, parse_words


@pytest.fixture
def rsdet(capsys):
    """Run a command in this process; returns what it printed. It must succeed."""

    def call(*words: str) -> str:
        assert cli.run(list(words)) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return call


@pytest.fixture
def log():
    """What Ultralytics' logger says, as a list of lines that grows."""
    from ultralytics.utils import LOGGER

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    LOGGER.addHandler(handler)
    yield lines
    LOGGER.removeHandler(handler)


def words(**kwargs: object) -> list[str]:
    return [f"{k}={v}" for k, v in kwargs.items()]


def last_line(out: str) -> str:
    return out.strip().splitlines()[-1]


# ------------------------------------------------------------------------------------------------ what words mean


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3), ("-1", -1), ("1e-3", 1e-3), ("True", True), ("false", False), ("None", None), ("null", None),
        ("0,1", [0, 1]), ("[0, 2]", [0, 2]), ("(640, 480)", [640, 480]), ("car,truck", ["car", "truck"]),
        ("[car,truck]", ["car", "truck"]), ("pytorch,onnx,", ["pytorch", "onnx"]), ("{'a': 1}", {"a": 1}),
        ("'a,b'", "a,b"), ("cuda:0", "cuda:0"), ("a/b,c/d", "a/b,c/d"), (r"C:\data\a,b.jpg", r"C:\data\a,b.jpg"),
        ("a=b", "a=b"), ("2024_01", "2024_01"), ("1if", "1if"), ("b'x'", "b'x'"), ("((((", "(((("), ("[a", "[a"),
        ("rtsp://host:1/x", "rtsp://host:1/x"), ("007", "007"), ("é", "é"),
    ],
)  # fmt: skip
def test_values(text, value, recwarn):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)
    assert not recwarn.list  # "1if" makes Python's own parser complain


@pytest.mark.parametrize("key", ["model", "data", "source", "project", "name", "names", "out"])
@pytest.mark.parametrize("text", ["2024", "1e5", "a,b", "0x10", "true,1.50", r"C:\x"])
def test_what_names_something_is_text(key, text):
    assert parse_words([f"{key}={text}"]) == {key: text}


@given(st.text(max_size=40))
def test_no_value_breaks_the_parser(text):
    assert isinstance(parse_value(text), (bool, int, float, str, list, dict, type(None)))


def test_leading_dashes_and_equals_signs():
    assert parse_words(["--epochs=3", "name=a=b"]) == {"epochs": 3, "name": "a=b"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["epochs"], "key=value, received 'epochs'"),
        (["--epochs", "3"], "key=value"),
        (["=3"], "key=value"),
        (["1a=3"], "key=value"),
        (["epochs="], "epochs= has no value"),
        (["epochs=1", "--epochs=2"], "given twice"),
        (["name=\udcff"], "not UTF-8"),
    ],
)
def test_words_that_are_none(given, message):
    with pytest.raises(ConfigError, match=message):
        parse_words(given)


# ------------------------------------------------------------------------------------------------------ the frame


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"], ["--debug"], ["-h"]])
def test_help_in_short_has_every_mode_and_task_on_one_screen(argv, rsdet):
    out = rsdet(*argv)
    assert all(f"\n  {mode} " in out for mode in modes.names())
    assert all(task in out for task in tasks.names())
    assert len(out.splitlines()) < 50


@pytest.mark.parametrize("argv", [["help", "train"], ["train", "--help"], ["train", "epochs", "-h"]])
def test_help_on_a_mode_has_the_keys_of_every_task(argv, rsdet):
    out = rsdet(*argv)
    assert out.startswith("rsdet train: ")
    assert "\n  recipe=None " in out
    assert "\n  model= " in out  # must be given, whatever the default in Python is


def test_help_on_a_mode_without_a_task_has_the_keys_of_its_function(rsdet):
    out = rsdet("help", "convert")
    assert "\n  source= " in out
    assert "\n  val_fraction=None " in out
    assert "(number, none)" in out
    assert "``" not in out
    assert ":class:" not in out


def test_help_on_a_task_and_on_a_mode_of_it(rsdet):
    assert "\n  value_range=None " in rsdet("help", "restore")
    out = rsdet("help", "restore", "predict")
    assert out == rsdet("help", "predict", "restore")
    assert "\n  value_range=None " in out
    assert "device=None" in out  # one of Ultralytics'


def test_every_mode_has_help_in_which_every_key_is_described(rsdet):
    for mode in modes.names():
        lines = rsdet("help", mode).splitlines()
        assert not [line for line in lines if line.rstrip().endswith("=") or line.endswith("=None")], mode


def test_a_task_is_said_to_have_the_modes_that_it_has(capsys, rsdet):
    rows = {line.split(":")[0].strip(): line.rpartition("modes ")[2] for line in rsdet("list", "tasks").splitlines()}
    assert "track" in rows["detect"]
    assert "track" not in rows["vqa"]
    assert rows["landcover"].endswith("crossval")
    for task, mode in (("restore", "track"), ("detect", "crossval")):
        assert cli.run(["help", task, mode]) == 2
        assert f"{task} has no {mode}, which is for" in capsys.readouterr().err
    assert cli.run(["help", "train", "obbb"]) == 2
    assert "Did you mean 'obb'?" in capsys.readouterr().err


def test_version_needs_nothing_heavy():
    code = "import sys; from rsdet import cli; cli.run(['-V']); print(sorted({'torch', 'cv2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    from rsdet import __version__

    assert done.stdout.split() == [__version__, "[]"]


@pytest.mark.parametrize("argv", [["--help"], ["list"]])
def test_a_reader_that_has_seen_enough_is_no_error(argv):
    process = subprocess.Popen(
        [sys.executable, "-m", "rsdet", *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait(60) in (0, 141)
    assert error == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train --model best.pt data=demo", "write model=best.pt."),
        ("train -m best.pt data=demo", "write model=best.pt."),
        ("train -e 3", "write epochs=3."),
        ("predict --save", "write save=True."),
        ("predict --save --model=best.pt", "write save=True."),
        ("train model = best.pt", "without spaces; write model=best.pt."),
        ("train model= best.pt data=demo", "without spaces; write model=best.pt."),
        ("train model =best.pt", "without spaces; write model=best.pt."),
        ("train model= data=demo", "model= has no value"),
        ("predict best.pt", "write model=best.pt."),
        ("train vmc-detr.yaml visdrone.yaml", "write model=vmc-detr.yaml."),
        ("train visdrone.yaml", "write data=visdrone.yaml."),
        ("predict README.md", "write source=README.md."),
        ("detect train model=a.yaml data=demo", "`rsdet train model=a.yaml data=demo`"),
        ("yolo detect train model=a.yaml", "`rsdet train model=a.yaml`"),
        ("classify predict model=a.pt", "`rsdet predict model=a.pt`"),
        ("task=detect mode=train model=a.yaml", "`rsdet train model=a.yaml`"),
        ("model=a.yaml data=demo", "begins with its mode"),
        ("detect", "detect is a task"),
        ("detect model=a.pt", "detect is a task"),
        ("test model=a.pt", "Did you mean 'val'?"),
        ("tune model=a.pt", ".tune("),
        ("predcit model=a.pt", "Did you mean 'predict'?"),
        ("train model=a.yaml", "train needs data="),
        ("train data=demo", "train needs model="),
        ("split task=nope", "task must be one of"),  # what is given and wrong is told first
        ("train device=nope", "device='nope' is no device"),
        ("predict model=a.pt", "predict needs source="),
        ("benchmark rounds=2", "benchmark needs model="),
        ("predict model=yolo11n source=a.png", "model=yolo11n.pt for trained weights, or model=yolo11n.yaml"),
        ("train model=rtdetr-l data=demo", "model=rtdetr-l.pt"),
        ("train model=a.yaml data=demo device=gpu", "use device=cpu, or device=0 for the first GPU"),
        ("train model=a.yaml data=demo device=cuda0", "use device=cpu"),
        ("compare a.json b.json c.json", "received 'c.json'"),
        ("help trian", "Did you mean 'train'?"),
        ("help train prediction", "Did you mean 'predict'?"),
    ],
)  # fmt: skip
def test_words_that_mean_something_else_are_answered_before_anything_heavy_is_loaded(line, message):
    code = (
        f"import sys; from rsdet import cli; s = cli.run({line.split()!r});"
        "print(s, sorted({'torch', 'cv2', 'ultralytics', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=root)
    assert done.stdout == "2 []\n", done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "device", ["cpu", "0", "0,1", "cuda", "cuda:0", "cuda:0,1", "[0,1]", "-1", "mps", "none", "npu:0"]
)
def test_devices_of_ultralytics_are_taken(device):
    check_device(parse_value(device))


def test_a_gpu_that_is_not_there_is_named_before_data_are_looked_at(capsys):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    for device in ("cuda", "0", "cuda:1"):
        assert cli.run(["train", "model=vmc-detr-demo.yaml", "data=gone.yaml", f"device={device}"]) == 2
        assert "PyTorch sees none here; use device=cpu" in capsys.readouterr().err


def test_a_task_brings_a_mode_of_its_own(monkeypatch, rsdet):
    monkeypatch.setattr(type(tasks.get("detect")), "modes", {"where": "rsdet.modes.list:print_list"})
    assert "where" in modes.names()
    assert "vmc-detr.yaml" in rsdet("where", "what=models")
    out = rsdet("help", "where")
    assert out.startswith("rsdet where: ")
    assert "of a task" not in out  # its docstring says what it does
    assert "\n  what=None " in out


def test_convert_without_a_format_names_them(tmp_path, capsys):
    assert cli.run(["convert", f"source={tmp_path}", f"out={tmp_path / 'out'}"]) == 2
    assert "visdrone, voc, yolo" in capsys.readouterr().err


def test_ctrl_c_is_no_traceback(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(modes, "get", lambda name: Mode("", interrupt))
    assert cli.run(["info"]) == 130
    assert capsys.readouterr().err == "rsdet: interrupted.\n"


@pytest.mark.parametrize(
    ("what", "has"),
    [
        ("models", "vmc-detr.yaml"), ("datasets", "visdrone.yaml"), ("modules", "MFADM"), ("protocols", "aitod"),
        ("recipes", "vmc-detr-paper"), ("tasks", "restore: better pictures"), ("modules", "EDSR"),
    ],
)  # fmt: skip
def test_list(what, has, rsdet):
    assert has in rsdet("list", what)
    assert has in rsdet("list", f"what={what}")


# ------------------------------------------------------------------------------------------------------- the modes


def test_train(tiny_data, tmp_path, rsdet):
    out = rsdet(
        "train",
        *words(model="vmc-detr-demo.yaml", data=tiny_data, epochs=1, project=tmp_path, name="run", **TINY, **TRAIN),
    )
    assert last_line(out) == f"Results saved to {tmp_path / 'run'}"
    model = RSDet(tmp_path / "run" / "weights" / "last.pt")
    assert model.model.num_queries == TINY["nq"]
    assert model.model.model[0].conv.out_channels == TINY["w1"]
    assert list(model.names.values()) == ["car", "truck", "boat", "plane"]


@pytest.mark.parametrize("protocol", ["ultralytics", "coco", "aitod", "visdrone"])
def test_val(protocol, tiny_weights, tiny_data, tmp_path, rsdet, log):
    settings = words(model=tiny_weights, data=tiny_data, imgsz=96, project=tmp_path, name="v", plots=False)
    out = rsdet("val", *settings, f"protocol={protocol}")
    assert last_line(out) == f"Results saved to {tmp_path / 'v'}"
    assert any("protocol of the table above: ultralytics" in line for line in log)
    if protocol != "ultralytics":
        assert f"protocol={protocol}" in out
        numbers = json.loads((tmp_path / "v" / f"metrics-{protocol}.json").read_text())
        assert protocol in json.dumps(numbers)
        assert (tmp_path / "v" / f"metrics-{protocol}.csv").stat().st_size > 0


@pytest.fixture
def pictures(tiny_data, tmp_path) -> Path:
    """Two oblong pictures, so that a mistake between the network's pixels and the image's shows."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, file in enumerate(sorted((tiny_data.parent / "images" / "val").glob("*.jpg"))[:2]):
        image = cv2.resize(cv2.imread(str(file)), (200, 120))
        cv2.imwrite(str(folder / f"{i}.png"), image)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.mark.parametrize("source", ["{}/0.png", "{}", "{}/*.png", "{}/0.png,{}/1.png", "['{}/0.png', '{}/1.png']"])
def test_predict_takes(source, pictures, tiny_weights, tmp_path, rsdet, log):
    source = source.replace("{}", str(pictures))
    out = rsdet("predict", *words(model=tiny_weights, source=source, imgsz=96, conf=0.0, project=tmp_path, name="p"))
    n = 1 if source.endswith("0.png") else 2
    assert last_line(out).endswith(f"objects in {n} images. Results saved to {tmp_path / 'p'}")
    assert not any("Results saved to" in line for line in log)  # said once, by the mode
    assert sorted(f.stem for f in (tmp_path / "p").iterdir()) == [str(i) for i in range(n)]


def test_predict_names_no_folder_that_it_has_not_made(pictures, tiny_weights, tmp_path, rsdet, log):
    settings = words(model=tiny_weights, source=pictures, imgsz=96, project=tmp_path)
    assert last_line(rsdet("predict", *settings, "save=False", "name=none")).endswith("Nothing was saved")
    assert not (tmp_path / "none").exists()
    rsdet("predict", *settings, "save=False", "name=text", "save_txt=True", "conf=0")
    assert sum(f"2 labels saved to {tmp_path / 'text' / 'labels'}" in line for line in log) == 1


def test_predict_writes_boxes_of_the_original_picture(pictures, tiny_weights, tmp_path, rsdet):
    from pycocotools.coco import COCO

    settings = dict(imgsz=96, conf=0.0, project=tmp_path, max_det=7)
    rsdet(
        "predict",
        *words(
            model=tiny_weights, source=pictures, name="p", save_txt=True, save_json=True, save_coco=True, **settings
        ),
    )
    results = RSDet(tiny_weights).predict(pictures, name="api", **settings)
    plain = json.loads((tmp_path / "p" / "predictions.json").read_text())
    coco = COCO(str(tmp_path / "p" / "predictions-coco.json"))
    assert [Path(p["path"]).name for p in plain] == ["0.png", "1.png"] == [i["file_name"] for i in coco.imgs.values()]
    assert [c["name"] for c in coco.cats.values()] == ["car", "truck", "boat", "plane"]
    for i, r in enumerate(results):
        boxes = r.boxes.numpy()
        assert (plain[i]["width"], plain[i]["height"]) == (200, 120)
        assert coco.imgs[i + 1]["width"] == 200
        np.testing.assert_allclose([b["xyxy_px"] for b in plain[i]["boxes"]], boxes.xyxy, atol=1e-2)
        assert boxes.xyxy[:, [1, 3]].max() <= 120
        rows = coco.imgToAnns[i + 1]
        xywh = np.array([row["bbox"] for row in rows])
        np.testing.assert_allclose(xywh[:, :2], boxes.xyxy[:, :2], atol=1e-2)
        np.testing.assert_allclose(xywh[:, :2] + xywh[:, 2:], boxes.xyxy[:, 2:], atol=1e-2)
        assert [row["category_id"] for row in rows] == [int(c) + 1 for c in boxes.cls]
        np.testing.assert_allclose([row["score"] for row in rows], boxes.conf, atol=1e-4)
        lines = np.loadtxt(tmp_path / "p" / "labels" / f"{i}.txt", ndmin=2)
        np.testing.assert_allclose(lines[:, 1:], boxes.xywhn, atol=1e-4)
    assert len({row["id"] for row in coco.dataset["annotations"]}) == 14


def test_pictures_of_one_name_in_two_folders_stay_two(pictures, tiny_weights, tmp_path):
    other = pictures / "other"
    other.mkdir()
    (other / "0.png").write_bytes((pictures / "0.png").read_bytes())
    RSDet(tiny_weights).predict(
        [pictures / "0.png", other / "0.png"], imgsz=96, save_coco=True, project=tmp_path, name="p"
    )
    coco = json.loads((tmp_path / "p" / "predictions-coco.json").read_text())
    assert [i["file_name"] for i in coco["images"]] == ["0.png", "other/0.png"]


def test_frames_of_a_video_are_numbered(pictures, tiny_weights, tmp_path):
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 5, (200, 120))
    for _ in range(3):
        writer.write(cv2.imread(str(pictures / "0.png")))
    writer.release()
    settings = dict(imgsz=96, save_coco=True, save_json=True, project=tmp_path, name="p")
    assert len(RSDet(tiny_weights).predict(video, **settings)) == 3
    coco = json.loads((tmp_path / "p" / "predictions-coco.json").read_text())
    assert [i["file_name"] for i in coco["images"]] == ["v.avi#1", "v.avi#2", "v.avi#3"]
    assert [p["frame"] for p in json.loads((tmp_path / "p" / "predictions.json").read_text())] == [1, 2, 3]


def test_a_stream_that_is_broken_off_keeps_what_was_found(pictures, tiny_weights, tmp_path):
    stream = RSDet(tiny_weights).predict(
        pictures, stream=True, imgsz=96, save_json=True, project=tmp_path, name="p", exist_ok=True
    )
    next(stream)
    stream.close()
    assert len(json.loads((tmp_path / "p" / "predictions.json").read_text())) == 1


def test_info(tiny_weights, rsdet, log):
    rsdet("info", *words(model=tiny_weights, imgsz=96, detailed=True))
    text = "\n".join(log)
    assert "GFLOPs" in text
    assert text.count("MFADM") == 2
    log.clear()
    rsdet("info", *words(model="vmc-detr.yaml", scale="n", imgsz=64, nq=40))
    assert log


def test_number_of_queries_of_weights_can_be_set(pictures, tiny_weights, tmp_path, rsdet):
    settings = words(model=tiny_weights, source=pictures / "0.png", imgsz=96, conf=0.0, project=tmp_path, nq=5)
    assert last_line(rsdet("predict", *settings)).startswith("5 objects in 1 images")


def test_export_and_predict_with_the_exported_file(pictures, tiny_weights, tmp_path, rsdet):
    out = rsdet(
        "export",
        *words(model=tiny_weights, format="onnx", imgsz=96, images=pictures / "0.png", out=tmp_path, conf=0.001),
        *words(box_tol_px=1e9, score_tol=1.0, simplify=False),  # this model knows nothing it could agree on
    )
    made = Path(last_line(out).removeprefix("Exported to "))
    assert made.suffix == ".onnx"
    out = rsdet("predict", *words(model=made, source=pictures, imgsz=96, conf=0.0, project=tmp_path, name="p"))
    assert f"{2 * TINY['nq']} objects in 2 images" in last_line(out)


def test_benchmark(tiny_weights, tmp_path, rsdet):
    out = rsdet(
        "benchmark",
        *words(
            model=tiny_weights, formats="pytorch", imgsz=64, rounds=2, min_s=0, warmup_s=0, memory=False, out=tmp_path
        ),
    )
    assert "pytorch" in out
    assert list(tmp_path.glob("*.csv"))


def test_convert(tiny_data, tmp_path, rsdet):
    out = rsdet(
        "convert", *words(source=tiny_data.parent, format="yolo", to="coco", out=tmp_path / "c", progress=False)
    )
    assert (tmp_path / "c" / "annotations" / "val.json").is_file()
    assert str(tmp_path / "c") in last_line(out)

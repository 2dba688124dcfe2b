"""Export as two graphs: the same answers with PyTorch and without, and no file that is not what was exported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from runtime_list import only
from vqa_fakes import enlivened, model_yaml, write_questions

from rsdet import RSDet, cli, tasks
from rsdet.deploy.runners import TorchRunner, open_runner
from rsdet.errors import CheckpointError, ConfigError, ExportError
from rsdet.runtime import light
from rsdet.tasks.vqa.parity import compare_answers
from rsdet.tasks.vqa.task import QUESTIONS

pytest.importorskip("onnxruntime")
ASKED = ["How many red squares are there?", "Is there a blue square?", "Is there a tree beside the long, long road?"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    enlivened(RSDet(model_yaml(folder))).save(str(folder / "lively.pt"))
    return folder / "lively.pt"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("squares"), 3, 3)


@pytest.fixture(scope="module")
def parts(weights: Path, data: Path) -> Path:
    made = RSDet(weights).export(imgsz=64, images=sorted((data.parent / "images").iterdir())[:3], verbose=False)
    assert made.path.name == "lively-64_vqa_onnx"
    assert made.parity.ok
    assert made.parity.questions == 3 * 6
    assert 0 < made.parity.closed < made.parity.questions
    return made.path


def copied(parts: Path, folder: Path) -> Path:
    return Path(shutil.copytree(parts, folder / parts.name))


def run_of(where: Path, name: str) -> tuple[dict, dict]:
    return tuple(json.loads((where / name / f).read_text()) for f in ("answers.json", "details.json"))


def test_three_ways_write_the_same_answers(weights, data, parts, tmp_path):
    file = tmp_path / "q.txt"
    file.write_text("\n".join(ASKED))
    common = {"source": str(data.parent / "images"), "questions": str(file), "project": str(tmp_path), "verbose": False}
    RSDet(weights).predict(**common, imgsz=64, name="weights", save=True)
    RSDet(parts).predict(**common, name="folder", save=True)
    done = light.predict({**common, "model": str(parts), "name": "light"})
    assert (done.images, done.objects) == (6, 18)
    expected, about = run_of(tmp_path, "weights")
    for name in ("folder", "light"):
        answers, details = run_of(tmp_path, name)
        assert answers == expected
        assert (tmp_path / name / "answers.csv").read_text() == (tmp_path / "weights" / "answers.csv").read_text()
        for a, b in zip(details["0.png"]["answers"], about["0.png"]["answers"], strict=True):
            assert {k: v for k, v in a.items() if "top" not in k and "prob" not in k} == {
                k: v for k, v in b.items() if "top" not in k and "prob" not in k
            }
            p, q = ([t["probability"] for t in x["top"]] for x in (a, b))
            assert p == pytest.approx(q, abs=1e-4)


def test_without_pytorch(data, parts, tmp_path):
    words = ["predict", f"model={parts}", f"source={data.parent / 'images'}", f"question={ASKED[0]}", "temperature=2"]
    code = (
        f"{only('rasterio')}\nfrom rsdet.cli import run\n"
        f"sys.exit(run({[*words, f'project={tmp_path}', 'name=bare', 'save_attention=True', 'tile=32']!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "6 answers about 6 pictures" in done.stdout
    assert run_of(tmp_path, "bare")[1]["0.png"]["tiles"] == 4


def test_val_measures_the_file_itself(weights, data, parts, tmp_path):
    of_weights, of_parts = (
        RSDet(m).val(data=data, imgsz=64, project=str(tmp_path), plots=False).measures for m in (weights, parts)
    )
    assert of_parts == pytest.approx(of_weights, abs=1e-3, nan_ok=True)
    with pytest.raises(ConfigError, match="imgsz=96, but the exported graphs take 64"):
        RSDet(parts).val(data=data, imgsz=96, project=str(tmp_path), plots=False)


def edited(folder: Path, file: Path) -> None:
    text = (folder / "parts.json").read_text()
    assert '"yes"' in text
    (folder / "parts.json").write_text(text.replace('"yes"', '"aye"'))


def unsealed(folder: Path, file: Path) -> None:
    said = json.loads((folder / "parts.json").read_text())
    (folder / "parts.json").write_text(json.dumps({k: v for k, v in said.items() if k != "sha256"}))


def without(folder: Path, file: Path) -> None:
    (folder / "answers.onnx").unlink()


def mixed(folder: Path, file: Path) -> None:
    shutil.copy(file, folder / "answers.onnx")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (edited, "was changed since it was exported"),
        (unsealed, "was changed since it was exported"),
        (without, "has no answers.onnx"),
        (mixed, "answers.onnx is not the file that"),
    ],
)
def test_what_is_not_as_it_was_exported_is_not_opened(data, parts, tmp_path, capsys, spoil, said):
    folder = copied(parts, tmp_path)
    spoil(folder, parts / "encoder.onnx")
    with pytest.raises(CheckpointError, match=said):
        RSDet(folder)
    with pytest.raises(CheckpointError, match=said):
        open_runner(folder)
    words = ["predict", f"model={folder}", f"source={data.parent / 'images'}", f"question={ASKED[0]}"]
    assert cli.run([*words, f"project={tmp_path}"]) == 2
    (line,) = [s for s in capsys.readouterr().err.splitlines() if "error" in s]
    assert said in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"half": True}, "a threshold in the network makes FP16 answer otherwise"),
        ({"int8": True, "format": "openvino"}, "eight bits are too coarse"),
        ({"dynamic": True}, "dynamic= is not for a network of two graphs"),
        ({"stac": True}, "stac= is not for"),
        ({"debug": "layers"}, "debug= is not for"),
        ({"format": "torchscript"}, "format=torchscript with a network of two graphs"),
        ({"imgsz": [64, 96]}, "expected a square"),
    ],
)
def test_what_is_about_one_graph_is_refused(weights, tmp_path, given, said):
    with pytest.raises(ConfigError, match=said) as e:
        RSDet(weights).export(**{"imgsz": 64, "out": tmp_path, **given})
    assert "\n" not in str(e.value)
    assert not list(tmp_path.iterdir())


def test_an_engine_is_two_commands_beside_proved_graphs(weights, tmp_path):
    with pytest.raises(ExportError, match=r"neither built nor run here.*trtexec.txt"):
        RSDet(weights).export(format="engine", imgsz=64, out=tmp_path, verbose=False)
    (folder,) = tmp_path.iterdir()
    _, encoder, answers = (folder / "trtexec.txt").read_text().splitlines()
    assert "--onnx=encoder.onnx" in encoder
    assert "--maxShapes=image:4x3x64x64" in encoder
    assert "--minShapes=features:1x16x32,tokens:1x16" in answers
    assert str(tmp_path) not in encoder + answers
    assert open_runner(folder).format == "onnx"


def test_a_benchmark_encodes_once_and_asks_thirty_times(weights, data, parts, monkeypatch):
    task, files = tasks.get("vqa"), sorted((data.parent / "images").iterdir())[:2]
    runner = open_runner(parts)
    calls: list[str] = []

    def counted(name: str, call: object) -> object:
        return lambda *args: (calls.append(name), call(*args))[1]

    for name in ("encode", "answers"):
        monkeypatch.setattr(runner.parts, name, counted(name, getattr(runner.parts, name)))
    ours = task.pipeline(TorchRunner(RSDet(weights).model), {}, (64, 64))(files)
    theirs = task.pipeline(runner, {}, (64, 64))(files)
    assert calls == ["encode", "answers"] * 2
    assert [len(a) for a in theirs] == [QUESTIONS] * 2
    assert [[a.best for a in about] for about in theirs] == [[a.best for a in about] for about in ours]


def run(expected: tuple, got: tuple) -> SimpleNamespace:
    return SimpleNamespace(x=np.zeros((1, 3, 4, 4)), expected=expected, got=got)


LOGITS = np.log([[0.7, 0.2, 0.1], [0.1, 0.45, 0.45], [0.2, 0.3, 0.5]])
TYPES = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]])


def changed(array: np.ndarray, row: int, values: list[float]) -> np.ndarray:
    array = array.copy()
    array[row] = values
    return array


@pytest.mark.parametrize(
    ("logits", "types", "ok", "ties"),
    [
        (LOGITS, TYPES, True, 0),
        (changed(LOGITS, 1, np.log([0.1, 0.4499, 0.4501])), TYPES, True, 1),  # two answers are equally likely
        (changed(LOGITS, 0, np.log([0.69, 0.21, 0.1])), TYPES, False, 0),  # the same answer, not as likely
        (changed(LOGITS, 0, np.log([0.2, 0.7, 0.1])), TYPES, False, 0),
        (LOGITS, changed(TYPES, 0, [0.1, 0.9]), False, 0),  # routed otherwise
        (changed(LOGITS, 2, np.log([0.8, 0.1, 0.1])), changed(TYPES, 2, [0.5001, 0.4999]), True, 1),  # types tie
        (changed(LOGITS, 2, np.log([0.8, 0.1, 0.1])), TYPES, False, 1),  # not routed otherwise, so no excuse
        (changed(LOGITS, 0, [np.nan] * 3), TYPES, False, 0),
    ],
)
def test_answers_are_compared_ties_aside(logits, types, ok, ties):
    report = compare_answers([run((LOGITS, TYPES), (logits, types))])
    assert report.ok == ok
    assert (report.ties == ties) or not ok
    assert not report.vacuous
    assert "\n" not in report.summary()


def test_a_network_that_says_one_thing_shows_nothing():
    same = np.tile(LOGITS[:1], (3, 1))
    report = compare_answers([run((same, TYPES), (same, TYPES))])
    assert report.ok
    assert report.vacuous

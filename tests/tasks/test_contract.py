"""What every task keeps to, and that nothing else in the package knows which tasks there are.

Run over all tasks of the package and over one that stands outside it (``tests/toy_tasks``), so that what holds for the
tasks that ship holds for the next one too.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
import inspect
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from contract_case import Case
from ultralytics.models.yolo.detect import DetectionValidator

import rsdet
from rsdet import RSDet, cli, tasks
from rsdet.errors import ExportError
from rsdet.runtime.results import detections_of

TESTS = Path(__file__).resolve().parents[1]
TOYS = TESTS / "toy_tasks"
NAMES = (*tasks.names(), "two_dates")

# What does not hold yet: (test, task, or None for every one) -> why.
KNOWN: dict[tuple[str, str | None], str] = {}
KNOWN_ROOMS: set[str] = set()


def each(test: str) -> Any:
    """Run a test for every task; where it is known to fail, it must."""
    marks = {n: KNOWN.get((test, n)) or KNOWN.get((test, None)) for n in NAMES}
    return pytest.mark.parametrize(
        "task",
        [
            pytest.param(n, marks=[pytest.mark.xfail(strict=True, reason=why)] if why else [])
            for n, why in marks.items()
        ],
    )


@pytest.fixture(scope="module", autouse=True)
def _toys() -> Iterator[None]:
    tasks._SEARCHED.append((TOYS, "toy_tasks"))
    yield
    tasks._SEARCHED.remove((TOYS, "toy_tasks"))


def case_of(task: str) -> Case:
    beside = [TESTS / "tasks" / task / "contract.py", TOYS / task / "contract.py"]
    file = next((f for f in beside if f.is_file()), None)
    assert file is not None, f"{beside[0]} is missing; it says what small things of the task {task} are tried"
    spec = importlib.util.spec_from_file_location(f"contract_{task}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASE


class Small(NamedTuple):
    """Small things of a task, made once."""

    case: Case
    folder: Path
    model: Path
    data: Path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Small]:
    made: dict[str, Small] = {}

    def make(task: str) -> Small:
        if task not in made:
            case, folder = case_of(task), tmp_path_factory.mktemp(task)
            made[task] = Small(case, folder, case.model_yaml(folder), case.data_yaml(folder))
        return made[task]

    return make


@pytest.fixture(scope="module")
def weights(small: Callable[[str], Small]) -> Callable[[str], Path]:
    """Weights of a network whose outputs differ from sample to sample."""

    def make(task: str) -> Path:
        s = small(task)
        file = s.folder / "lively.pt"
        if not file.is_file():
            torch.manual_seed(1)
            s.case.lively(RSDet(s.model)).save(str(file))
        return file

    return make


def words(**kwargs: object) -> list[str]:
    return [f"{k}={v}" for k, v in kwargs.items()]


# ------------------------------------------------------------------------------------------------- what a user gets


@each("builds")
def test_a_yaml_becomes_a_network_of_the_task(task, small):
    model = RSDet(small(task).model)
    assert model.task == task
    assert model.family in tasks.get(task).families
    assert model.info(verbose=False, imgsz=small(task).case.size)["params"] > 0


@each("trains")
def test_one_epoch_by_the_command_line_leaves_weights_of_the_task(task, small, tmp_path, capsys):
    s = small(task)
    settings = words(model=s.model, data=s.data, epochs=1, project=tmp_path, name="run", plots=False)
    assert cli.run(["train", *settings, *words(**s.case.train)]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip().endswith(f"Results saved to {tmp_path / 'run'}")
    assert RSDet(tmp_path / "run" / "weights" / "best.pt").task == task
    rows = (tmp_path / "run" / "results.csv").read_text().splitlines()
    assert all(math.isfinite(float(v)) for v in rows[1].split(","))


@each("val")
def test_val_and_score_begin_with_the_same_number(task, small, weights, tmp_path):
    s = small(task)
    model = RSDet(weights(task))
    settings = {"project": str(tmp_path), "plots": False}
    if issubclass(model.task_map[model.task]["validator"], DetectionValidator):
        settings["imgsz"] = s.case.size  # at 640 px a network of one epoch has tens of thousands of boxes
    metrics = model.val(data=s.data, **settings)
    scores = tasks.get(task).score(model, s.data, **settings)
    score = next(iter(scores.values()))
    assert math.isfinite(score)
    ours = getattr(metrics, "protocol_metrics", None)  # of detectors: the protocol's numbers stand beside Ultralytics'
    values = [*metrics.results_dict.values(), *([ours.ap] if ours else [])]
    assert any(score == pytest.approx(float(v)) for v in values)


@each("predicts")
def test_predict_writes_files_and_says_what_it_has_done(task, small, weights, tmp_path, capsys):
    s = small(task)
    source = s.case.source(s.data)
    asked = words(model=weights(task), source=source, project=tmp_path, name="out", **s.case.predict)
    assert cli.run(["predict", *asked]) == 0
    said = capsys.readouterr().out.strip().splitlines()[-1]
    assert said.endswith(f". Results saved to {tmp_path / 'out'}")
    assert any(tasks.get(task).outcome(n, 0).lstrip("0123456789 ").split()[0] in said for n in (1, 2))
    assert any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("task", [n for n in tasks.names() if tasks.get(n).tiles])
def test_a_scene_of_one_tile_is_a_picture_with_pytorch_and_without(task, small, weights, tmp_path):
    """What plain predict finds in a picture, a scene that is one tile shows too: same shapes, places, scores."""
    pytest.importorskip("rasterio")
    pytest.importorskip("onnxruntime")
    s = small(task)
    source = sorted(Path(s.case.source(s.data)).iterdir())[0]
    side = s.case.size
    keys = {"conf": 0.01, "project": str(tmp_path), "verbose": False}
    plain = detections_of(RSDet(weights(task)).predict(source, imgsz=side, **keys)[0])
    about = {"tile": side, "overlap": 0, "layers": "csv", "quicklook": False, "crops": 0}
    (scene,) = RSDet(weights(task)).predict(source, **about, **keys)
    exported = RSDet(weights(task)).export(format="onnx", imgsz=side, out=tmp_path / "out", verbose=False).path
    words_of = words(model=exported, source=source, **about, conf=0.01, project=tmp_path, name="light", verbose=False)
    assert cli.run(["predict", *words_of]) == 0
    with open(tmp_path / "light" / f"{source.stem}.csv", newline="") as file:
        light = list(csv.DictReader(file))
    expected = np.asarray(plain.scores, float)
    assert len(expected) > 3
    assert np.allclose(np.sort(scene.found.scores), np.sort(expected), atol=1e-4)
    boxes = plain.boxes_xyxy[np.lexsort((plain.boxes_xyxy[:, 0], -plain.scores))]
    ours = scene.found.boxes_xyxy[np.lexsort((scene.found.boxes_xyxy[:, 0], -scene.found.scores))]
    assert np.abs(ours - boxes).max() < 0.01
    assert (scene.found.corners is not None) == (plain.shapes.keys() == {"corners"})
    assert (scene.found.outlines is not None) == (plain.shapes.keys() == {"masks"})
    (none,) = RSDet(weights(task)).predict(source, **{**about, **keys, "conf": 1.0, "name": "none"})
    with open(none.files[0], newline="") as file:
        assert list(csv.DictReader(file).fieldnames) == list(light[0])  # the same columns where nothing is found
    assert len(none) == 0
    assert len(light) == len(expected)
    assert np.allclose(sorted(float(row["score"]) for row in light), np.sort(expected), atol=2e-3)


@each("round trip")
def test_plain_weights_are_the_same_network(task, weights, tmp_path):
    model = RSDet(weights(task))
    again = RSDet(model.save_plain(tmp_path / "plain"))
    assert (again.task, again.family, again.names) == (model.task, model.family, model.names)
    state = again.model.state_dict()
    for name, tensor in model.model.float().state_dict().items():
        assert torch.equal(tensor, state[name]), name


@each("export")
def test_an_export_proves_itself_and_is_a_model_of_the_task(task, small, weights, tmp_path):
    pytest.importorskip("onnxruntime")
    s = small(task)
    one = task != "vqa"  # whose two graphs are no model of a server
    keys = {"imgsz": s.case.size, "triton": one, "cpp": one, "out": tmp_path, "verbose": False}
    made = RSDet(weights(task)).export(format="onnx", **keys)
    assert made.parity.ok
    assert not made.parity.vacuous
    assert RSDet(made.path).task == task
    if one:  # who runs the file by other means is told what it takes
        sides = " ".join(str(d.dim_value) for d in onnx.load(made.path).graph.input[0].type.tensor_type.shape.dim)
        program = " ".join(made.cpp.read_text().split())
        assert f" pixels.raw {sides} " in program
        assert f"of these sides: {made.metadata['preprocess']}." in program
        assert f"dims: [ {sides.replace(' ', ', ')} ]" in next(made.triton.rglob("config.pbtxt")).read_text()


def weakened(*args: Any, **kwargs: Any) -> None:
    """Stands for ``torch.onnx.export``: the file is finite, of the right shape, and of another network."""
    EXPORT(*args, **kwargs)
    path = next(str(a) for a in (*args, *kwargs.values()) if isinstance(a, (str, Path)))
    graph = onnx.load(path)
    for weight in [i for i in graph.graph.initializer if len(i.dims) == 4][:1]:  # of several graphs, one has none
        weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 0.2, weight.name))
    onnx.save(graph, path)


EXPORT = torch.onnx.export


@each("spoiled export")
def test_an_export_that_is_another_network_is_set_aside(task, small, weights, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    s = small(task)
    monkeypatch.setattr(torch.onnx, "export", weakened)
    with pytest.raises(ExportError, match="rejected") as e:
        RSDet(weights(task)).export(format="onnx", imgsz=s.case.size, out=tmp_path, verbose=False)
    assert "\n" not in str(e.value)
    assert [p.suffix for p in tmp_path.iterdir()] == [".rejected"]


@each("benchmark")
def test_a_benchmark_has_a_row_for_it(task, small, weights):
    s = small(task)
    quick = dict(rounds=2, min_s=0.0, warmup_s=0.0, memory=False, verbose=False)
    result = RSDet(weights(task)).benchmark(formats=("pytorch",), imgsz=s.case.size, **quick)
    (row,) = result.rows
    assert row.network.median_ms > 0


def modes_of(task: str) -> dict[str, type]:
    """Modes of a task that have a class of their own, for every family."""
    found = {}
    for family in tasks.get(task).families:
        classes = tasks.get(task).classes(family)
        for mode, part in (("train", "trainer"), ("val", "validator"), ("predict", "predictor")):
            if part in classes:
                found.setdefault(mode, classes[part])
    return found


@each("unknown key")
def test_a_misspelt_key_is_refused_in_one_line(task, small, weights, capsys, tmp_path):
    s = small(task)
    wrong = s.case.own_key[:-1] + "x"
    given = {"train": words(data=s.data), "val": words(data=s.data), "predict": words(source=s.case.source(s.data))}
    for mode in modes_of(task):
        assert cli.run([mode, *words(model=weights(task), project=tmp_path), *given[mode], f"{wrong}=1"]) == 2
        errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("rsdet: error: ")]
        assert len(errors) == 1
        assert wrong in errors[0]
        assert mode != "train" or f"Did you mean '{s.case.own_key}'" in errors[0]
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def own_keys(function: Any) -> set[str]:
    return {k for k, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


@each("help")
def test_help_prints_every_own_key(task, small, capsys):
    modes = modes_of(task)
    assert "train" in modes
    for mode, part in modes.items():
        own = own_keys(part.__init__) | own_keys(getattr(part, "configure", part.__init__))
        assert cli.run(["help", task, mode]) == 0
        out = capsys.readouterr().out
        assert not [k for k in own if f"\n  {k}=" not in out], mode
        assert mode != "train" or small(task).case.own_key in own


# ------------------------------------------------------------------------------------- nobody else knows the tasks

ROOMS = ("model.py", "cli.py", "arguments.py", "loading.py", "checkpoint.py", "modelyaml.py", "modes", "deploy")


def names_in(tree: ast.AST, words: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Names that decide something: compared with, looked up by, or matched."""

    def strings(node: ast.AST | None) -> Iterator[tuple[int, str]]:
        nodes = node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]
        yield from (
            (n.lineno, n.value)
            for n in nodes
            if isinstance(n, ast.Constant) and isinstance(n.value, str) and n.value in words
        )

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                yield from strings(side)
        elif isinstance(node, ast.Dict):
            for key in node.keys:
                yield from strings(key)
        elif isinstance(node, ast.MatchValue):
            yield from strings(node.value)
        elif isinstance(node, ast.Subscript):
            yield from strings(node.slice)


def test_names_that_decide_are_recognised():
    deciding = ("t == 'a' or t in ('b', 'c')", "x = {'d': 1, ('e', 'train'): 2}", "x['f']", "match t:\n case 'g': pass")
    tree = ast.parse("\n".join((*deciding, "say('h')")))
    assert "".join(sorted({n for _, n in names_in(tree, frozenset("abcdefgh"))})) == "abcdefg"


def _rooms() -> list[Any]:
    root = Path(rsdet.__file__).parent
    files = sorted(f for r in ROOMS for f in ([root / r] if r.endswith(".py") else (root / r).rglob("*.py")))
    names = [str(f.relative_to(root)) for f in files if f.is_file()]
    known = [pytest.mark.xfail(strict=True, reason="decides by the name of a task until the seam is through")]
    return [pytest.param(name, marks=known if name in KNOWN_ROOMS else []) for name in names]


@pytest.mark.parametrize("file", _rooms())
def test_no_name_of_a_task_decides_anything_outside_its_folder(file):
    tree = ast.parse((Path(rsdet.__file__).parent / file).read_text())
    named = [f"{file}:{line}: {name}" for line, name in names_in(tree, frozenset(tasks.names()))]
    assert not named, f"the task is an object (rsdet.tasks.get); what only it knows belongs into its folder: {named}"

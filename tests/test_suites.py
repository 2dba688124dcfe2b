"""The named comparisons: every name resolves, ours and Ultralytics', and a run says what random weights cannot say."""

from __future__ import annotations

import json

import pytest

from rsdet.deploy import suites
from rsdet.deploy.suites import SUITES, Entry, Suite, run_suite, suite_models
from rsdet.errors import ConfigError
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.model import build

EXPECTED = {
    "paper-vmc": {"vmc-detr", "rtdetr-r18", "rtdetr-l", "yolov8m", "yolov9m", "yolov10m", "yolo11m", "yolo26m"},
    "paper-sar": {"sar-ship", "yolov5n", "yolov8n", "yolo11n", "yolo26n"}
    | {f"sar-ship-ablate-{e}" for e in ("base", "w", "s", "h", "ws", "wh", "sh")},
    "speed": {"rtdetr-r18", "vmc-detr", "vmc-detr-n", "rtdetr-l", "yolov5n", "sar-ship"},
}
TINY = Suite(
    "two small ones",
    (
        Entry("yolov5n", "yolov5n.yaml"),
        Entry("demo", "vmc-detr-demo.yaml"),
        Entry("sar-base", "sar-ship-ablate-base.yaml", "t"),
        Entry("sar-w", "sar-ship-ablate-w.yaml", "t", "sar-base"),
    ),
    nc=3,
)
QUICK = {"imgsz": 64, "formats": ("pytorch",), "rounds": 2, "min_s": 0.0, "warmup_s": 0.0, "memory": False,
         "verbose": False}  # fmt: skip


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(SUITES, "tiny", TINY)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_name_of_a_suite_resolves(name):
    assert {e.name for e in SUITES[name].entries} == EXPECTED[name]
    for entry in SUITES[name].entries:
        d = load_model_yaml(entry.yaml, entry.scale)
        assert d["head"], entry
        assert entry.same_as is None or entry.same_as in EXPECTED[name]


def test_random_models_have_the_classes_and_are_named_so(tiny):
    found = suite_models("tiny")
    assert list(found.models) == found.untrained == ["yolov5n", "demo", "sar-base"]
    assert {m.model.model[-1].nc for m in found.models.values()} == {3}
    assert {len(m.model.names) for m in found.models.values()} == {3}
    said = " ".join(found.notes)
    assert "sar-w (sar-base)" in said
    assert "random weights, 3 classes: all models; no accuracy" in said


def test_rows_that_differ_by_a_loss_are_the_same_network():
    cost = {}
    for e in SUITES["paper-sar"].entries:
        if e.name.startswith("sar-ship"):
            model = build(load_model_yaml(e.yaml, "t"), nc=1)  # the smallest scale is as good as the suite's
            shapes = tuple(p.shape for p in model.parameters())  # not the modules: a loss may keep a running mean
            cost[e.name] = shapes, tuple(type(row).__name__ for row in model.model)
    for e in SUITES["paper-sar"].entries:
        if e.same_as:
            assert cost[e.name] == cost[e.same_as]
    alone = {e.name for e in SUITES["paper-sar"].entries if e.name in cost and not e.same_as}
    assert len({cost[n] for n in alone}) == len(alone) == 4


def test_a_run_keeps_its_notes_in_every_file(tiny, tmp_path):
    result = run_suite("tiny", out=tmp_path, **QUICK)
    assert [r.model for r in result.rows] == ["yolov5n", "demo", "sar-base"]
    assert result.rows[0].reference == "yolov5n pytorch"
    assert result.csv.name.startswith("tiny-")
    record = json.loads(result.json.read_text())
    assert record["settings"]["suite"] == "tiny"
    assert any("random weights" in n for n in record["notes"])
    page = result.html.read_text()
    assert "random weights" in page
    assert set(record["layers"]) == {"yolov5n", "demo", "sar-base"}
    assert "Where the time goes" in page


def test_given_weights_are_used(tiny, tiny_weights, tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "demo.pt").write_bytes(tiny_weights.read_bytes())
    for weights in (folder, {"demo": folder / "demo.pt"}):
        found = suite_models("tiny", weights)
        assert found.untrained == ["yolov5n", "sar-base"]
        assert found.models["demo"].ckpt_path
        assert "random weights, 3 classes: yolov5n, sar-base;" in " ".join(found.notes)


@pytest.mark.parametrize(
    ("suite", "settings", "words"),
    [
        ("paper-vcm", {}, "Did you mean 'paper-vmc'"),
        ("tiny", {"data": "demo"}, "needs weights of every model, yolov5n, demo, sar-base have none"),
        ("tiny", {"weights": "absent"}, "is no folder"),
        ("tiny", {"weights": "."}, "holds no weights of suite tiny; name the files yolov5n.pt"),
        ("tiny", {"weights": {"yolov5x": "a.pt"}}, "suite tiny has no such model"),
        ("tiny", {"weights": {"yolov5n": "a.pt"}}, r"a\.pt do not exist"),
        ("tiny", {"round": 3}, "does not know round="),
    ],
)
def test_wrong_input_is_one_line(suite, settings, words, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suites, "_build", lambda *_: pytest.fail("built before the input was checked"))
    with pytest.raises(ConfigError, match=words) as e:
        run_suite(suite, **{**QUICK, **settings})
    assert "\n" not in str(e.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper-vmc", "paper-sar", "speed"])
def test_the_real_suites_run(name, tmp_path):
    result = run_suite(name, out=tmp_path, **{**QUICK, "imgsz": 64})
    assert {r.model for r in result.rows} == {e.name for e in SUITES[name].entries if not e.same_as}

"""Two runs side by side: ratios, verdicts that chance does not trigger, and loud words where more differs."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
from test_report_html import result, row

from rsdet.deploy import compare as comparing
from rsdet.deploy.compare import compare, ratios_of
from rsdet.deploy.timing import Timings
from rsdet.errors import ConfigError, DataError

SETTINGS = {"precision": "fp32", "data": "demo", "warmup_s": 1.0}


def saved(folder, name, *rows, settings=SETTINGS, **hardware):
    made = result(*rows, settings=dict(settings))
    made.hardware.update(hardware)
    (folder / name).write_text(json.dumps(made.record()))
    return folder / name


def wavy(n: int, phi: float, rng: np.random.Generator) -> np.ndarray:
    """Durations around 10 ms whose neighbours are alike, as on a machine that drifts."""
    x, e = np.zeros(n + 50), rng.standard_normal(n + 50) * np.sqrt(1 - phi**2)
    for i in range(1, n + 50):
        x[i] = phi * x[i - 1] + e[i]
    return 10 * np.exp(0.05 * x[50:])


# ------------------------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(("n", "phi"), [(30, 0.0), (100, 0.5), (300, 0.8)], ids=["free", "alike", "drift"])
def test_two_runs_of_the_same_thing_are_rarely_told_apart(n, phi, monkeypatch):
    monkeypatch.setattr(comparing, "_RESAMPLES", 300)
    rng = np.random.default_rng(7)
    verdicts = [ratios_of(wavy(n, phi, rng), wavy(n, phi, rng), rng)["median"].verdict for _ in range(80)]
    assert sum(v in ("faster", "slower") for v in verdicts) <= 8  # 5 % expected at most, chance allowed for
    assert verdicts.count("within the spread") >= 30


@pytest.mark.parametrize(("factor", "verdict"), [(0.9, "faster"), (1.1, "slower"), (1.0, "within the spread")])
def test_a_difference_beyond_the_spread_is_found(factor, verdict):
    rng = np.random.default_rng(3)
    found = ratios_of(wavy(300, 0.3, rng), factor * wavy(300, 0.3, rng), rng)
    for ratio in found.values():
        assert ratio.verdict == verdict
        assert ratio.low < ratio.value < ratio.high
        assert ratio.value == pytest.approx(factor, rel=0.03)


def test_a_heavier_tail_shows_in_p95_and_not_in_the_median():
    rng = np.random.default_rng(2)
    a, b = wavy(400, 0, rng), wavy(400, 0, rng)
    b[rng.permutation(400)[:40]] *= 3
    found = ratios_of(a, b, rng)
    assert found["median"].verdict == "within the spread"
    assert found["p95"].verdict == "slower"


@pytest.mark.parametrize(
    ("a", "b", "median", "p95"),
    [
        ([10.0] * 5, [1.0] * 5, "too few samples", "too few samples"),
        ([10.0, 11.0] * 5, [1.0, 1.5] * 5, "faster", "too few samples"),
        ([10.0, 11.0] * 5, [10.5, 10.9] * 5, "too few samples", "too few samples"),
        ([10.0, 11.0] * 5, [9.0, 9.9] * 5, "too few samples", "too few samples"),
        (list(np.linspace(9, 11, 60)), list(np.linspace(10, 12, 60)), "too few samples", "too few samples"),
        ([10.0] * 200, [10.0] * 200, "within the spread", "within the spread"),
        ([10.0] * 200, [9.0] * 200, "faster", "faster"),
    ],
    ids=["few", "few but apart", "few and mixed", "few and close", "one long drift", "a coarse clock", "constant"],
)
def test_when_there_is_no_verdict(a, b, median, p95):
    found = ratios_of(a, b, np.random.default_rng(0))
    assert (found["median"].verdict, found["p95"].verdict) == (median, p95)


def test_the_interval_is_that_of_resampling_by_hand(monkeypatch):
    """Blocks of 4 out of 16 samples, wrapped around: every median that can come out lies between the extremes."""
    monkeypatch.setattr(comparing, "_RESAMPLES", 4000)
    v = np.arange(1.0, 17.0)
    drawn = comparing._resample(v, np.random.default_rng(0))["median"]
    blocks = [[v[(s + i) % 16] for i in range(4)] for s in range(16)]
    rng = np.random.default_rng(5)
    by_hand = [np.median(np.concatenate([blocks[i] for i in rng.integers(0, 16, 4)])) for _ in range(4000)]
    assert np.mean(drawn) == pytest.approx(np.mean(by_hand), abs=0.15)
    assert np.std(drawn) == pytest.approx(np.std(by_hand), rel=0.08)


# ------------------------------------------------------------------------------------------------- files


def test_ratios_are_b_over_a_and_repeat_exactly(tmp_path, capsys):
    a = saved(tmp_path, "a.json", row(ms=20, n=200), row(fmt="pytorch", ms=40, n=200, seed=3))
    b = saved(tmp_path, "b.json", row(fmt="pytorch", ms=40, n=200, seed=4), row(ms=15, n=200, seed=5))
    found = compare(a, b)
    assert [p.name for p in found.pairs] == ["vmc-detr onnx", "vmc-detr pytorch"]
    fast = found.pairs[0].ratios["network"]["median"]
    assert fast.value == pytest.approx(0.75, rel=0.02)
    assert fast.verdict == "faster"
    assert found.pairs[1].ratios["network"]["median"].verdict == "within the spread"
    assert found.differences == found.alone == []
    assert compare(a, b, verbose=False) == found
    assert compare(b, a, verbose=False).pairs[1].ratios["network"]["median"].verdict == "slower"
    said = " ".join(capsys.readouterr().out.split())
    assert "0.75" in said
    assert "faster" in said
    assert "99% interval" in said
    assert "DIFFERENT" not in said


@pytest.mark.parametrize(
    ("hardware", "settings", "words"),
    [
        ({"cpu": "Other CPU"}, {}, "hardware: cpu is Test CPU in a and Other CPU in b"),
        ({"gpu": "H100"}, {}, "hardware: gpu is not known in a and H100 in b"),
        ({"threads": 8}, {}, "conditions: threads is 2 in a and 8 in b"),
        ({"torch": "3"}, {}, "software: torch is 2 in a and 3 in b"),
        ({"git_commit": "abc"}, {}, "software: git commit is not known in a and abc in b"),
        ({"cpu_load_1min": 1.9}, {}, "conditions: load of the machine is 0.1 in a and 1.9 in b"),
        ({}, {"precision": "fp16"}, "settings: precision is fp32 in a and fp16 in b"),
    ],
)
def test_what_else_differs_is_said_loudly_and_nothing_is_refused(hardware, settings, words, tmp_path, capsys):
    a = saved(tmp_path, "a.json", row())
    b = saved(tmp_path, "b.json", row(), settings={**SETTINGS, **settings}, **hardware)
    assert compare(a, b).differences == [words]
    assert "DIFFERENT" in capsys.readouterr().out


def test_a_throttled_run_and_unrecorded_settings_are_named(tmp_path):
    a = saved(tmp_path, "a.json", row())
    record = json.loads(a.read_text())
    record["watch"] = {"network": {"throttled": "yes", "throttled_by": ["GPU power cap"]}}
    del record["settings"]
    (tmp_path / "b.json").write_text(json.dumps(record))
    said = compare(a, tmp_path / "b.json", verbose=False).differences
    assert said == ["settings: precision, data, warmup s were not recorded in b",
                    "conditions: b was throttled (GPU power cap)"]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"imgsz": (320, 320)}, ["vmc-detr onnx: imgsz is 640x640 in a and 320x320 in b"]),
        ({"model": "vmc-detr-fused"}, ["vmc-detr onnx: model is vmc-detr in a and vmc-detr-fused in b"]),
        ({"format": "openvino"}, ["vmc-detr onnx: format is onnx in a and openvino in b"]),
    ],
)
def test_single_artifacts_are_compared_even_if_they_differ(change, said, tmp_path):
    a, b = saved(tmp_path, "a.json", row()), saved(tmp_path, "b.json", row(**change))
    assert compare(a, b, verbose=False).differences == said


def test_other_models_are_never_paired_with_each_other(tmp_path):
    a = saved(tmp_path, "a.json", row("one"), row("two"))
    b = saved(tmp_path, "b.json", row("two"), row("three", batch=1))
    found = compare(a, b, verbose=False)
    assert [p.name for p in found.pairs] == ["two onnx"]
    assert found.alone == ["only in a: one onnx at 640x640", "only in b: three onnx at 640x640"]


def test_nothing_in_common_is_one_line(tmp_path):
    a = saved(tmp_path, "a.json", row("one"), row("two"))
    with pytest.raises(ConfigError, match="no artifact in common"):
        compare(a, saved(tmp_path, "b.json", row("three")), verbose=False)


COCO, AITOD = {"coco AP": 0.30, "coco AP50": 0.5}, {"aitod AP": 0.12}


@pytest.mark.parametrize(
    ("a", "b", "data", "expected", "note"),
    [
        (COCO, {"coco AP": 0.31, "aitod AP": 0.1}, "demo", {"coco AP": (0.30, 0.31)}, None),
        (COCO, AITOD, "demo", {}, "protocol coco in a, aitod in b"),
        (COCO, None, "demo", {}, "measured in a only"),
        (COCO, COCO, "visdrone", {}, "different data"),
        (None, None, "visdrone", {}, None),
    ],
    ids=["same", "protocols differ", "one only", "data differ", "none"],
)
def test_accuracy_is_compared_where_protocol_and_data_agree(a, b, data, expected, note, tmp_path, capsys):
    one = saved(tmp_path, "a.json", row(accuracy=a))
    two = saved(tmp_path, "b.json", row(accuracy=b), settings={**SETTINGS, "data": data})
    found = compare(one, two)
    assert found.pairs[0].accuracy == expected
    assert [n for n in found.notes if note and note in n] == found.notes
    assert ("+0.0100" in capsys.readouterr().out) == bool(expected)


def test_costs_that_changed_are_listed(tmp_path, capsys):
    energy = {"mj_per_image": 800.0, "mean_w": 9.0, "images": 1, "seconds": 1, "meter": "m", "why_not": ""}
    a = saved(tmp_path, "a.json", row(energy=energy))
    b = saved(tmp_path, "b.json", row(size_mb=60.0, energy={**energy, "mj_per_image": 400.0}))
    compare(a, b)
    said = capsys.readouterr().out
    assert "file MB" in said
    assert "mJ per image" in said
    assert said.count("0.500") == 2
    assert "GFLOPs" not in said


def test_records_from_before_accuracy_had_its_place_are_read(tmp_path):
    record = result(row(accuracy=COCO), settings=dict(SETTINGS)).record()
    for r in record["rows"]:
        del r["accuracy"], r["energy"]
    (tmp_path / "a.json").write_text(json.dumps(record))
    found = compare(tmp_path / "a.json", tmp_path / "a.json", verbose=False)
    assert set(found.pairs[0].accuracy) == {"coco AP", "coco AP50"}
    assert found.pairs[0].ratios["network"]["median"].value == 1


GOOD = result(row()).record()


def broken(**changes):
    record = deepcopy(GOOD)
    record["rows"][0].update(changes)
    return json.dumps(record)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("not json", "is not JSON"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ("[1, 2]", "holds no rows"),
        ('{"rows": [], "hardware": {}}', "holds no rows"),
        ('{"rows": [3], "hardware": {}}', "row 0 has no model"),
        (broken(network={"samples_ms": []}), "network of row 0"),
        (broken(end_to_end={"samples_ms": [1.0, -1.0]}), "end_to_end of row 0"),
        (broken(network={"samples_ms": ["1"]}), "network of row 0"),
        (broken(network=Timings((1.0,)).to_dict(raw=False)), "network of row 0"),
        (broken(network={"samples_ms": [float("nan")]}), "network of row 0"),
    ],
)
def test_a_wrong_file_is_one_line(content, words, tmp_path):
    good = saved(tmp_path, "good.json", row())
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=words) as e:
        compare(good, bad, verbose=False)
    assert "\n" not in str(e.value)
    assert "bad.json" in str(e.value)

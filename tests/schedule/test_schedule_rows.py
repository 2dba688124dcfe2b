"""Tables of choices: from benchmarks and CSVs, never with an energy that nobody measured or stated."""

import itertools
import json

import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.schedule.rows import Row, Rows, Spread, paper_table, read_rows


def record(rows, data="test.yaml"):
    timing = {"samples_ms": [10.0, 20.0], "warmup_runs": 1, "warmup_stable": True}
    filled = [
        {"model": "m", "format": "onnx", "imgsz": "64x64", "batch": 1, "network": timing, "end_to_end": None, **row}
        for row in rows
    ]
    return {"rows": filled, "hardware": {"cpu": "x"}, "settings": {"data": data, "precision": "fp32"}}


def written(tmp_path, content, name="speed.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def row(name, accuracy, energy, delay):
    return Row(name, *(Spread(v, v) for v in (accuracy, energy, delay)))


def test_equation_14_and_the_papers_last_column():
    assert row("a", 0.92, 0.8, 1).aee == pytest.approx(1.15)
    assert row("b", 0.88, 0.5, 1).aee == pytest.approx(1.76)
    printed = [(3.30, 5.46), (3.45, 5.98), (4.63, 11.08)]
    for one, ends in zip(read_rows(paper_table(), pareto=False).rows, printed, strict=True):
        best = row("b", one.accuracy.high, one.energy_j.low, one.delay_s.low)
        worst = row("w", one.accuracy.low, one.energy_j.high, one.delay_s.high)
        assert (best.edp_per_accuracy, worst.edp_per_accuracy) == pytest.approx(ends, abs=6e-3)


def test_a_benchmark_is_a_table(tmp_path):
    path = written(tmp_path, record([
        {"accuracy": {"coco AP": 0.4}, "energy": {"mj_per_image": 250.0, "meter": "RAPL"}},
        {"format": "openvino", "batch": 4, "accuracy": {"coco AP": 0.5}, "energy": {"mj_per_image": 300.0}},
    ]))  # fmt: skip
    one, four = read_rows(path, pareto=False).rows
    assert (one.name, one.accuracy.mean, one.energy_j.mean, one.energy_source) == ("m onnx", 0.4, 0.25, "RAPL")
    assert (one.delay_s.values, four.delay_s.values) == ((0.01, 0.02), (0.0025, 0.005))
    assert (one.metric_name, one.test_set, four.name) == ("coco AP", "test.yaml", "m openvino b4")


@pytest.mark.parametrize("energy", [None, {"mj_per_image": "not measurable here", "why_not": "no counter"}])
def test_energy_that_nobody_measured_is_refused_or_stated(tmp_path, energy):
    path = written(tmp_path, record([{"accuracy": {"AP": 0.4}, "energy": energy}]))
    with pytest.raises(DataError, match=r"no measured energy.*power_w="):
        read_rows(path)
    (made,) = read_rows(path, power_w=15.0).rows
    assert made.energy_j.values == (0.15, 0.3)
    assert made.energy_source == "stated: 15 W while it runs"


@pytest.mark.parametrize("mj", [0.0, -1.0])
def test_no_energy_is_zero(tmp_path, mj):
    path = written(tmp_path, record([{"accuracy": {"AP": 0.4}, "energy": {"mj_per_image": mj}}]))
    with pytest.raises(DataError, match="above 0"):
        read_rows(path)


def test_rows_of_different_metrics_or_test_sets_are_not_mixed(tmp_path):
    ours = {"energy": {"mj_per_image": 1.0}}
    a = written(tmp_path, record([{**ours, "accuracy": {"AP": 0.4}}]), "a.json")
    b = written(tmp_path, record([{**ours, "model": "n", "accuracy": {"mIoU": 0.4}}]), "b.json")
    c = written(tmp_path, record([{**ours, "model": "o", "accuracy": {"AP": 0.4}}], data="other.yaml"), "c.json")
    with pytest.raises(DataError, match="metric_name 'AP', 'mIoU'"):
        read_rows(a, b)
    with pytest.raises(DataError, match=r"test_set .other\.yaml., .test\.yaml."):
        read_rows(a, c)
    with pytest.raises(DataError, match="two rows are called"):
        read_rows(a, a)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("m,onnx,0.5,,10", "no measured energy"),
        ("m,onnx,,1,10", "has no metric"),
        ("m,onnx,0.5,1,", "has no latency_ms"),
        ("m,onnx,50,1,10", "above 0 to 1"),
        ("m,onnx,x,1,10", "'x', expected a number"),
        ("m,onnx,nan,1,10", "expected values"),
        ("m,onnx,0.5,inf,10", "expected values"),
    ],
)
def test_csv_rows_that_cannot_be_used(tmp_path, line, says):
    path = tmp_path / "t.csv"
    path.write_text(f"model,format,metric,energy_j,latency_ms\n{line}\n")
    with pytest.raises(DataError, match=says):
        read_rows(path)


def test_a_csv_of_another_form_is_told_what_it_lacks(tmp_path):
    path = tmp_path / "t.csv"
    for text, says in (("model;metric;energy_j\nm;0.5;1\n", "no column metric, its columns are model;metric;energ"),
                       ("metric,energy_j,latency_ms\n0.5,1,10\n", "neither engine_id nor model")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(DataError, match=says):
            read_rows(path)


def test_a_table_of_too_many_rows_is_refused_before_they_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("rsdet.schedule.rows._spread", None)
    (tmp_path / "a.csv").write_text("metric,energy_j,latency_ms\n" + "none of these is a number\n" * 5000)
    with pytest.raises(DataError, match=r"a\.csv has more than 1000 rows; leave some out"):
        read_rows(tmp_path / "a.csv")
    made = "engine_id,metric,energy_j,latency_ms\n"
    monkeypatch.undo()
    for k in range(2):
        (tmp_path / f"{k}.csv").write_text(made + "".join(f"{k}-{i},0.5,1,1\n" for i in range(501)))
    with pytest.raises(DataError, match="the tables have more than 1000 rows"):
        read_rows(tmp_path / "0.csv", tmp_path / "1.csv")


def test_spreads_of_a_csv(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("engine_id,metric_mean,metric_std,energy_j_min,energy_j_max,latency_ms_runs\na,0.5,0.1,1,3,1 2 9\n")
    (made,) = read_rows(path).rows
    rng = np.random.default_rng(0)
    draws = np.array([[s.draw(rng) for s in (made.accuracy, made.energy_j, made.delay_s)] for _ in range(4000)])
    assert draws.min(0) == pytest.approx([0.3, 1.0, 0.001], abs=0.01)
    assert draws.max(0) == pytest.approx([0.7, 3.0, 0.009], abs=0.01)
    assert draws.mean(0) == pytest.approx([0.5, 2.0, 0.004], rel=0.03)
    assert set(draws[:, 2].round(9)) == {0.001, 0.002, 0.009}


def test_the_front_of_pareto_is_that_of_a_search():
    rng = np.random.default_rng(5)
    rows = Rows(tuple(row(f"r{i}", *(rng.integers(1, 5, 3) / 10)) for i in range(40)))
    kept = {r.name for r in rows.without_dominated().rows}

    def numbers(r):
        return -r.accuracy.mean, r.energy_j.mean, r.delay_s.mean

    expected = {r.name for r in rows.rows}
    for a, b in itertools.permutations(rows.rows, 2):
        if all(x <= y for x, y in zip(numbers(a), numbers(b), strict=True)) and numbers(a) != numbers(b):
            expected.discard(b.name)
    assert kept == expected
    assert len(rows.without_dominated().dropped) == 40 - len(kept)


def test_the_papers_table_says_that_it_cannot_be_reproduced():
    assert all("not reproducible" in r.energy_source for r in read_rows(paper_table(), pareto=False).rows)

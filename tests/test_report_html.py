"""The page of a benchmark: complete, accessible, self-contained, and seen in a real browser that is offline."""

from __future__ import annotations

import re
from copy import deepcopy
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser import Browser

from rsdet.deploy.complexity import Complexity
from rsdet.deploy.memory import UNKNOWN, Memory
from rsdet.deploy.plots_svg import WIDTH, Axis, Dot, Strip, distributions, scatter
from rsdet.deploy.records import BenchmarkResult, BenchmarkRow, read_record
from rsdet.deploy.report_html import write_html
from rsdet.deploy.rowtimes import RowTime
from rsdet.deploy.timing import Timings
from rsdet.errors import DataError

HARDWARE = {"date": "2026-01-01T00:00:00Z", "cpu": "Test CPU", "threads": 2, "gpu": None, "cpu_load_1min": 0.1,
            "cpu_cores_usable": 2, "rsdet": "0", "torch": "2"}  # fmt: skip
NASTY = "<script>alert('x')</script> & \"y\""


def row(model: str = "vmc-detr", fmt: str = "onnx", ms: float = 20.0, n: int = 40, seed: int = 0, **changes):
    rng = np.random.default_rng(seed)
    samples = [tuple((ms * k * np.exp(0.05 * rng.standard_normal(n))).tolist()) for k in (1, 1.4)]
    cost = Complexity(31_000_000, 70.35, 71.2, (), (1, 3, 640, 640))
    network, whole = (Timings(s, 10, True) for s in samples)
    return BenchmarkRow(**{
        "model": model, "format": fmt, "imgsz": (640, 640), "batch": 1, "cost": cost, "network": network,
        "end_to_end": whole, "ratio_network": 1.0, "ratio_end_to_end": 1.0, "reference": "vmc-detr onnx",
        "size_mb": 120.0, "memory": Memory(300.0).as_dict(), "parity": "parity ok", **changes,
    })  # fmt: skip


def result(*rows: BenchmarkRow, **changes) -> BenchmarkResult:
    return BenchmarkResult(list(rows) or [row()], dict(HARDWARE), "rsdet benchmark model=vmc-detr.yaml", **changes)


class Structure(HTMLParser):
    """Checks nesting and collects what the tests ask about."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.found, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""

    def all(self, tag):
        return [a for t, a in self.found if t == tag]


def read(path: Path) -> tuple[str, Structure]:
    text = path.read_text(encoding="utf-8")
    return text, Structure(text)


@pytest.fixture
def full() -> BenchmarkResult:
    rows = [
        row(m, f, ms, seed=i, accuracy={"coco AP": ap, "coco AP50": 2 * ap, "ultralytics AP": ap + 0.01})
        for i, (m, f, ms, ap) in enumerate(
            [("vmc-detr", "pytorch", 40.0, 0.291), ("vmc-detr", "onnx", 24.0, 0.29), ("rtdetr-r18", "onnx", 18.0, 0.27)]
        )
    ]
    for r in rows[:2]:
        r.energy = {"mj_per_image": 812.5, "mean_w": 14.0, "images": 9, "seconds": 3.0, "meter": "INA3221: VDD_IN",
                    "why_not": ""}  # fmt: skip
    watched = {"throttled": "yes", "throttled_by": ["GPU power cap in 3 of 9 looks"], "not_read": []}
    return result(
        *rows, notes=["rtdetr-r18 engine: not measurable here: no TensorRT"], watch={"network": watched},
        settings={"precision": "fp32", "rest_before_run_s": 0.005, "rest_between_passes_s": 2.0},
    )  # fmt: skip


def picture() -> np.ndarray:
    image = np.full((600, 1200, 3), 90, np.uint8)
    cv2.rectangle(image, (100, 100), (200, 180), (0, 200, 255), 3)
    return image


ROWS = [RowTime(i, "Conv", 1.0 + i, (1.0 + i) / 190, 0.1, 100.0 - i) for i in range(19)]


# ------------------------------------------------------------------------------------------------- content


def test_the_page_holds_everything_and_asks_for_nothing(full, tmp_path):
    path = write_html(full, tmp_path / "new" / "p.html", pictures={"vmc-detr, scene 1": picture()},
                      layers={"vmc-detr": ROWS})  # fmt: skip
    text, found = read(path)
    links = [a[k] for _, a in found.found for k in ("src", "href", "data", "action", "poster", "xlink:href") if k in a]
    assert len(links) == 2  # an empty icon, so that no browser asks for one, and the picture
    assert all(link.startswith("data:") for link in links)
    assert not re.search(r"url\(|@import|\bon\w+=", text)
    assert "http" not in text.replace("http-equiv", "")
    assert not found.all("script")
    for words in ("Accuracy against latency", "coco AP", "ultralytics AP", "Latency, network alone", "Test CPU",
                  "Latency, image files to boxes", "Where the time goes", "7 other rows together", "Sample results",
                  "GFLOPs", "legacy", "70.35", "71.2", "812.5", UNKNOWN, "rsdet benchmark model=vmc-detr.yaml",
                  "no TensorRT", "p90", "Throttled in the pass", "GPU power cap", "0.005 s before each run, 2 s",
                  "energy per image: by INA3221: VDD_IN"):  # fmt: skip
        assert words in found.text, words


def test_enhancers_are_timed_part_by_part(full, tmp_path):
    _, without = read(write_html(full, tmp_path / "a.html"))
    assert "Enhancing" not in without.text
    full.enhance = [
        {"part": name, "median_ms": ms, "p90_ms": ms, "p95_ms": ms, "p99_ms": 9.75, "share": ms / 40}
        for name, ms in (("dwtma-net <1>", 31.5), ("chain", 40.0))
    ]
    _, found = read(write_html(full, tmp_path / "b.html"))
    for words in ("Enhancing", "dwtma-net <1>", "31.5", "9.75", "0.7875"):
        assert words in found.text, words


def test_every_sample_is_drawn_and_outliers_too(tmp_path):
    slow = row(network=Timings((10.0,) * 30 + (500.0,), 10, True))
    text, _ = read(write_html(result(slow), tmp_path / "p.html"))
    dots = re.findall(r'class="dots[^"]*" d="([^"]+)"', text)
    places = [float(x) for x in re.findall(r"M([\d.]+) ", dots[0])]
    assert len(places) == 31
    assert max(places) > places[0] + 300  # far to the right of the others


def test_protocols_have_plots_of_their_own(full, tmp_path):
    text, found = read(write_html(full, tmp_path / "p.html"))
    ids = [a["id"] for a in found.all("svg") if "plot" in a.get("class", "")]
    assert ids == ["plot-accuracy-0", "plot-accuracy-1", "plot-latency-network", "plot-latency-end-to-end"]
    assert text.count('class="dot"') == 6


def test_without_accuracy_it_is_said(tmp_path):
    _, found = read(write_html(result(), tmp_path / "p.html"))
    assert "Accuracy was not measured in this run" in found.text
    assert "Where the time goes" not in found.text


def test_it_can_be_read_without_seeing_it(full, tmp_path):
    text, found = read(write_html(full, tmp_path / "p.html", pictures={"scene": picture()}, layers={"vmc-detr": ROWS}))
    assert '<html lang="en">' in text
    assert len(found.all("h1")) == 1
    assert all(a.get("role") == "img" or a.get("aria-hidden") for a in found.all("svg"))
    for svg in re.findall(r'<svg id="([^"]+)"', text):
        assert f'aria-labelledby="{svg}-t"><title id="{svg}-t">' in text
    assert all(a["alt"] for a in found.all("img"))
    assert len(found.all("caption")) == len(found.all("table")) == 4
    assert all(a.get("scope") for a in found.all("th"))
    assert len({a["id"] for _, a in found.found if "id" in a}) == len([a for _, a in found.found if "id" in a])


def test_names_cannot_break_out_of_the_page(tmp_path):
    bad = result(row(NASTY, accuracy={"coco AP": 0.1}), notes=[NASTY], settings={NASTY: NASTY})
    bad.hardware["cpu"] = bad.command = NASTY
    layers = {NASTY: [RowTime(0, NASTY, 1, 1, 1, 1)]}
    _, found = read(write_html(bad, tmp_path / "p.html", pictures={NASTY: picture()}, layers=layers))
    assert not found.all("script")
    assert NASTY in found.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"network": Timings((5.0,) * 8, 4, False)}, ["as few as 8 samples", "had not settled"]),
        ({"parity": "not enforced"}, ["not held to agree"]),
    ],
)
def test_what_weakens_the_numbers_is_said_at_the_top(change, words, tmp_path):
    _, found = read(write_html(result(row(**change)), tmp_path / "p.html"))
    assert all(w in found.text for w in words)
    assert "as few as" not in read(write_html(result(), tmp_path / "q.html"))[1].text


@pytest.mark.parametrize(("load", "said"), [(2.1, False), (5.8, True), (None, False)])
def test_other_programs_beside_the_run_are_said(load, said, tmp_path):
    busy = result()
    busy.hardware["cpu_load_1min"] = load
    assert ("other programs ran beside it" in read(write_html(busy, tmp_path / "p.html"))[1].text) == said


def test_a_result_a_record_and_its_file_give_the_same_page(full, tmp_path):
    full.save(tmp_path, "machine")
    assert full.html.name == "machine.html"
    again = write_html(full.json, tmp_path / "again.html")
    assert again.read_text() == full.html.read_text() == write_html(full.record(), tmp_path / "3.html").read_text()


def test_a_csv_and_the_screen_have_p90_warm_up_and_energy(full, tmp_path, capsys):
    full.save(tmp_path, "machine")
    head, first, *_ = full.csv.read_text().splitlines()
    cells = dict(zip(head.split(","), first.split(","), strict=False))
    assert float(cells["network_p90_ms"]) == pytest.approx(full.rows[0].network.p90, abs=1e-3)
    assert (cells["network_warmup_runs"], cells["network_warmup_settled"]) == ("10", "True")
    assert cells["energy_mj_per_image"] == "812.5"
    full.print()
    said = " ".join(capsys.readouterr().out.split())
    for words in ("p90", "warm-up: 10 to 10 runs each, durations had settled in 6 of 6 cases", "0.005 s before each",
                  "throttled: yes", "by INA3221: VDD_IN, idle power included"):  # fmt: skip
        assert words in said


@pytest.mark.parametrize("bad", ["missing.png", "text.png", np.zeros((4, 4), float), 3], ids=str)
def test_a_picture_that_is_none_is_one_line(bad, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match="picture"):
        write_html(result(), tmp_path / "p.html", pictures={"x": tmp_path / bad if isinstance(bad, str) else bad})


def test_a_file_that_is_none_of_a_benchmark_is_refused(full, tmp_path):
    good = deepcopy(full.record())
    full.save(tmp_path, "m")
    assert read_record(full.json)["rows"][0]["model"] == good["rows"][0]["model"]
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(DataError, match=r"x\.json holds no rows"):
        write_html(tmp_path / "x.json", tmp_path / "p.html")


# ------------------------------------------------------------------------------------------------- plots


@pytest.mark.parametrize(("low", "high"), [(400, 1100), (1, 1000), (0.01, 0.02), (7, 7), (0.3, 90000), (99.9, 100)])
def test_an_axis_keeps_order_and_has_ticks_inside(low, high):
    axis = Axis(low, high, 100, 700)
    assert 100 <= axis.at(low) <= axis.at(high) <= 700
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(100 <= axis.at(t) <= 700 for t in ticks)
    assert ticks == sorted(set(ticks))


def test_marks_and_labels_stay_in_the_drawing():
    dots = [Dot(f"model {i}", "onnx", 10.0 + i, 11.0 + i, 0.5, i) for i in range(12)]  # all of one accuracy
    text = scatter(dots, "coco AP", "t", "i")
    height = float(re.search(r'viewBox="0 0 \d+ (\d+)"', text).group(1))
    labels = [float(y) for y in re.findall(r'class="label named" x="[\d.]+" y="([-\d.]+)"', text)]
    assert len(labels) == 12
    assert all(b - a >= 14 for a, b in pairwise(labels))
    assert min(labels) > 0
    assert max(labels) < height


def test_long_names_are_shortened_but_told_in_full():
    name = "a" * 90
    text = distributions([Strip(name, [1.0, 2.0], 0)], "t", "i")
    assert f"{name}: median" in text
    assert f">{name}<" not in text
    assert WIDTH == 860


# ------------------------------------------------------------------------------------------------- browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    tab = Browser(tmp_path_factory.mktemp("profile"))
    yield tab
    tab.close()


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False)], ids=["wide", "dark", "phone"])
def test_a_browser_without_network_shows_it(width, dark, full, browser, tmp_path):
    path = write_html(full, tmp_path / "p.html", pictures={"scene 1": picture()}, layers={"vmc-detr": ROWS})
    browser.problems.clear()
    browser.asked.clear()
    browser.open(path, width, dark=dark)
    assert browser.problems == []
    assert {u.partition(":")[0] for u in browser.asked} <= {"file", "data"}
    assert browser.run("document.title").startswith("Benchmark: vmc-detr")
    plots = browser.run(
        "[...document.querySelectorAll('svg.plot')].map(s => {const b = s.getBoundingClientRect();"
        "return [s.id, b.width, b.height, s.querySelectorAll('.dots, .mark').length]})"
    )
    assert [p[0] for p in plots] == ["plot-accuracy-0", "plot-accuracy-1", "plot-latency-network",
                                     "plot-latency-end-to-end"]  # fmt: skip
    assert all(w > 300 and h > 100 and marks == 3 for _, w, h, marks in plots)
    inked = "[...document.querySelectorAll('.dots, .bar')].map(e => e.getBoundingClientRect()).every(b => b.width > 0)"
    assert browser.run(inked)
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth === 900)")
    assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")  # no sideways
    paper, ink = browser.run("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    light = [sum(map(int, re.findall(r"\d+", c)[:3])) for c in (paper, ink)]
    assert (light[0] < light[1]) == dark


def test_the_browser_would_notice(browser, tmp_path):
    page = tmp_path / "bad.html"
    page.write_text("<link rel=icon href='data:,'><img src='http://example.invalid/x.png'><script>nope()</script>")
    browser.problems.clear()
    browser.asked.clear()
    browser.open(page)
    assert len(browser.problems) >= 2
    assert any(u.startswith("http:") for u in browser.asked)

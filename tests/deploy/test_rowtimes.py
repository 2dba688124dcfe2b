"""Times of rows come with their spread, in the rows and on the page."""

from __future__ import annotations

from conftest import TINY

from rsdet import RSDet
from rsdet.deploy.report_html import _layers
from rsdet.deploy.rowtimes import RowTime, row_times


def test_every_row_has_a_median_between_its_quartiles():
    model = RSDet("vmc-detr-demo.yaml", **TINY).model
    found = row_times(model, imgsz=64, runs=5)
    assert sorted(r.index for r in found) == list(range(len(model.model)))
    assert all(0 < r.low_ms <= r.median_ms <= r.high_ms for r in found)
    assert abs(sum(r.share for r in found) - 1) < 1e-6


def test_the_page_shows_the_spread_and_takes_records_without_it():
    page = _layers({"a": [RowTime(0, "Conv", 2.0, 1.0, 0.1, 50.0, 1.75, 2.5)]})
    assert "1.75 to 2.50" in page
    old = {
        k: v for k, v in vars(RowTime(0, "Conv", 2.0, 1.0, 0.1, 50.0)).items() if not k.endswith(("low_ms", "high_ms"))
    }
    assert "<td>–</td>" in _layers({"a": [old]})

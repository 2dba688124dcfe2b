"""The page with a slider between two dates, in a real browser that is offline."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from browser import Browser

from rsdet.tasks.change.swipe import write_swipe

EARLIER, LATER, FOUND = "blue", "green", "red"  # what a pixel of the page shows


@pytest.fixture
def browser(tmp_path):
    tab = Browser(tmp_path / "profile")
    yield tab
    tab.close()


def test_the_slider_moves_between_the_dates_and_changes_can_be_hidden(browser, tmp_path):
    stack, changed = np.zeros((120, 400, 6), np.uint8), np.zeros((120, 400), np.uint8)
    stack[..., 2], stack[..., 4] = 255, 255
    changed[40:80, 40:44], changed[40:80, 396:] = 1, 1
    tags = "2018 <b>öß.tif", "2022 данные.tif"
    browser.open(write_swipe(tmp_path / "p.html", stack, changed, " and ".join(tags), tags, "2 % changed"))
    assert browser.run("[...document.querySelectorAll('.tag')].map(t => t.textContent)") == list(tags)
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth === 400)")
    left, top, width, height = browser.run(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.dates').getBoundingClientRect())"
    )
    assert (width, height) == (400, 120)

    def seen(*columns: int) -> list[str]:
        browser.screenshot(tmp_path / "s.png")
        row = cv2.imread(str(tmp_path / "s.png"))[int(top) + 60]
        return [(EARLIER, LATER, FOUND)[int(row[int(left) + x].argmax())] for x in columns]

    def press(x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    assert seen(20, 180, 220, 380) == [EARLIER, EARLIER, LATER, LATER]
    press(left + 100, top + 60)
    assert seen(20, 80, 120, 380) == [EARLIER, EARLIER, LATER, LATER]
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="End", code="End", windowsVirtualKeyCode=35)
    assert seen(20, 120, 380) == [EARLIER, EARLIER, EARLIER]
    x, y = browser.run("(b => [b.left + 5, b.top + 5])(document.getElementById('changes').getBoundingClientRect())")
    assert seen(40, 60) == [FOUND, EARLIER]  # the outline
    press(x, y)
    assert seen(40, 60) == [EARLIER, EARLIER]
    assert browser.problems == []
    assert {u.partition(":")[0] for u in browser.asked} <= {"file", "data"}

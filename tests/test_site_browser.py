"""The built site in a browser, at the width of a telephone and of a screen."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import Browser, chromium

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
BUILT = ROOT / ".site" / "site"
WIDTHS = (360, 1280)
# What a page points to and can be pointed at; what sticks out of it sideways, for the message.
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
PLACES = "[...document.querySelectorAll('[id],a[name]')].flatMap(e => [e.id, e.name]).filter(x => x)"
WIDER = """[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
           .slice(-3).map(e => e.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def pages():
    """Pages of the site, built anew."""
    chromium()
    try:
        files = metadata.files("zensical") or []
    except metadata.PackageNotFoundError:
        pytest.skip("no Zensical: pip install '.[docs]'")
    command = next(f.locate() for f in files if f.name in ("zensical", "zensical.exe"))
    done = subprocess.run([sys.executable, "docs/build.py", command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(
        {*BUILT.rglob("*.html")} - {BUILT / "404.html"}
    )  # that one is for a server: its addresses are absolute


def test_every_page_fits_is_quiet_asks_for_nothing_and_leads_somewhere(pages, tmp_path):
    browser, wrong, links, places = Browser(tmp_path), [], {}, {}
    try:
        for page in pages:
            name = str(page.relative_to(BUILT))
            browser.problems, browser.asked = [], []
            browser.open(page, width=WIDTHS[0])
            for width in WIDTHS:
                browser.widen(width)
                if browser.run("document.documentElement.scrollWidth") > width:
                    wrong.append(f"{name} is wider than {width} px: {browser.run(WIDER)}")
            wrong += [f"{name}: {str(p)[:300]}" for p in browser.problems]
            away = [u for u in browser.asked if not u.startswith((BUILT.as_uri(), "data:", "blob:"))]
            wrong += [f"{name} asks for {u}" for u in away]
            links[page], places[page] = browser.run(LINKS), {*browser.run(PLACES)}
    finally:
        browser.close()
    for page, found in links.items():
        for link in {u for u in found if u.startswith("file:")}:
            target, place = Path(unquote(urlsplit(link).path)), unquote(urlsplit(link).fragment)
            if not target.is_file() or (place and target in places and place not in places[target]):
                wrong.append(f"{page.relative_to(BUILT)} points to {link}")
    assert not wrong, "\n".join(wrong)

"""Builds the site of this folder into .site/site: `make docs`. It needs no network, and neither do the pages.

python docs/build.py [COMMAND OF ZENSICAL]

Pages are Markdown that reads well where it lies: links go to files of the repository. They are copied to .site/pages,
where what a link points to outside this folder is copied along, and marks are filled in. The line that follows a mark
is what stands in its place where the page lies, and is left out:

    <!-- include: PATH -->        the Markdown file at this place
    <!-- keys: TASK -->           the keys of each mode of a task
    <!-- keys of mode: MODE -->   the keys of a mode
    <!-- patches -->              the table of rsdet/integration.py
    <!-- licences -->             what the YAML of each data set says of its licence
    <!-- weights -->              the cards of the weights that have names
    <!-- not on the site -->      nothing

The build fails on any warning, on a link or an anchor that leads nowhere, on anything that a page would fetch, and on a
list that is none: what belongs to an item is indented by four spaces, and a blank line is before the next.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SITE = ROOT / ".site"
PAGES, BUILT = SITE / "pages", SITE / "site"
MARK = re.compile(
    r"<!-- (include|keys|keys of mode|patches|licences|weights|not on the site)(?:: (\S+))? -->(?:\n[^\n]+)?"
)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")
NOT_RUN = re.compile(r"<!-- not run by the tests: .*? -->\n?")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; bars within cells are escaped."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def key_table(keys: Iterable) -> str:
    """A table of keys of a mode."""
    cells = ((f"`{k.name}`", f"`{k.default}`" if k.default else "", k.kind, k.text) for k in keys)
    return table(("key", "default", "value", "meaning"), cells)


def keys_of_task(task_name: str) -> str:
    """The keys that a task adds to each mode, as its classes say them."""
    from rsdet import modes, tasks
    from rsdet.modes.help import own_keys_of

    task, parts = tasks.get(task_name), []
    for name in modes.names():
        mode = modes.get(name)
        found = {k.name: k for part in (mode.own(task) if mode.own is not None else ()) for k in own_keys_of(part)}
        if found:
            parts.append(f"**`rsdet {name}`**\n\n{key_table(found.values())}")
    parts.append(
        f"Read from the code. `rsdet help {task_name} train` also names the keys of Ultralytics of which something "
        "comes, `rsdet help train` those that all tasks share."
    )
    return "\n\n".join(parts)


def keys_of_mode(name: str) -> str:
    """The keys of a mode, as the signatures of its functions say them."""
    from rsdet import modes
    from rsdet.modes.help import keys_of

    return key_table({k.name: k for function in modes.get(name).functions() for k in keys_of(function)}.values())


def patches() -> str:
    """The table of what is replaced in Ultralytics."""
    from rsdet.integration import FILLED, TABLE, WITHIN

    def when(patch) -> str:
        return patch.after if patch.after in (WITHIN, FILLED) else f"import of `{patch.after or patch.module}`"

    rows = ((f"`{p.target}`", f"`{p.ours}`", when(p), p.why, p.until) for p in TABLE)
    return table(("target", "ours", "when", "what goes wrong without it", "until"), rows)


def licences() -> str:
    """What the YAML of each data set says of its licence."""
    from rsdet.textfiles import read_yaml

    said = {path.stem: read_yaml(path) for path in sorted((ROOT / "datasets").glob("*.yaml"))}
    rows = ((f"[{name}]({d['homepage']})", d["licence"]) for name, d in said.items() if "licence" in d)
    return table(("data set", "licence, as far as it is stated"), rows)


def curve_of(curve: dict | str) -> str:
    """The curve of a training in one line, or why there is none."""
    if isinstance(curve, str):
        return f"Curve: {curve}."
    return f"Curve ({curve['measure']}), by epoch: {', '.join(f'{v:.3g}' for v in curve['values'])}."


def weights() -> str:
    """The cards of the weights that have names: a table of all, and what each can do and cannot."""
    from rsdet.zoo import card_of, in_words, list_weights

    cards = [card_of(name) for name in list_weights()]
    numbers = {
        c.name: [
            f"{in_words(r, 4)} ({r['data']} {r['split']}, {r['images']} "
            f"pictures, protocol {r['protocol']}, {r['imgsz']}{' px' if isinstance(r['imgsz'], int) else ''})"
            f"{'; ' + r['beside'] if 'beside' in r else ''}"
            for r in c.results
        ]
        for c in cards
    }
    rows = ((f"[`{c.name}`](#{c.name})", c.facts["task"], c.facts["about"], numbers[c.name][0], c.size) for c in cards)
    parts = [table(("name", "task", "what it is for", "measured", "size"), rows)]
    for c in cards:
        f, data = c.facts, c.facts["data"]
        first, *others = f["failures"]["pictures"]
        parts += [
            f"## {c.name} {{ #{c.name} }}",
            f"For {f['intended_use']}.",
            "\n".join(f"- {line}" for line in numbers[c.name]),
            f"**Gets wrong**: {f['failures']['words']}.",
            f"![Of {c.name}](../{first})",
            *([f"More of it: {', '.join(f'[{n}](../{p})' for n, p in enumerate(others, 2))}."] if others else []),
            curve_of(f["curve"]),
            f"`{f['model']}`, seed {', '.join(map(str, f['seeds']))}; `{f['command']}`. Data: {data['name']} "
            f"({data.get('credit') or data['source']}); {data['licence']}. Split: {f['split']}. "
            f"Weights: {f['licence']}.",
        ]
    return "\n\n".join(parts)


def filled(text: str, page: Path) -> str:
    """A page with its marks filled in and its links as the site has them."""

    def mark(found: re.Match) -> str:
        what, name = found.groups()
        if what == "include":
            source = (page.parent / name).resolve()
            return filled(source.read_text(encoding="utf-8"), source)
        if name:
            return {"keys": keys_of_task, "keys of mode": keys_of_mode}[what](name)
        made = {"patches": patches, "licences": licences, "weights": weights, "not on the site": str}
        return LINK.sub(link, made[what]())

    def link(found: re.Match) -> str:
        return found[1] + moved(found[2], page) + found[3]

    parts, end = [], 0
    for code in CODE.finditer(text):  # what stands in a block of code is left alone
        parts += [LINK.sub(link, text[end : code.start()]), code[0]]
        end = code.end()
    linked = "".join([*parts, LINK.sub(link, text[end:])])
    return MARK.sub(mark, NOT_RUN.sub("", linked))


def place(path: Path) -> Path:
    """Where a file of the repository lies below .site/pages; one outside this folder is copied there."""
    for stub in HERE.rglob("*.md"):  # a file that a page includes is that page
        text = stub.read_text(encoding="utf-8")
        found = re.fullmatch(r"<!-- include: (\S+) -->\n.*\n", text)
        if found and (stub.parent / found[1]).resolve() == path:
            return PAGES / stub.relative_to(HERE)
    if path.is_relative_to(HERE):
        return PAGES / path.relative_to(HERE)
    copy = PAGES / "files" / path.relative_to(ROOT)
    copy = copy.with_name(f"{copy.name}.txt") if copy.suffix in (".py", ".toml", ".lock", "") else copy
    if not copy.exists():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()  # pages may point at one another
        if path.suffix == ".md":
            copy.write_text(filled(path.read_text(encoding="utf-8"), path), encoding="utf-8")
        else:
            shutil.copyfile(path, copy)
    return copy


def moved(link: str, page: Path) -> str:
    """A link of a page as the site has it."""
    address, sign, anchor = link.partition("#")
    if not address or urlsplit(link).scheme:
        return link
    path = (page.parent / unquote(address)).resolve()
    if path.is_dir():
        path = path / "README.md"
    if not path.is_file():
        return link  # told by the strict build
    return os.path.relpath(place(path), place(page).parent) + sign + anchor


def stage() -> None:
    """Write the pages."""
    shutil.rmtree(SITE, ignore_errors=True)
    PAGES.mkdir(parents=True)
    shutil.copyfile(HERE / "zensical.toml", SITE / "zensical.toml")
    for path in sorted(HERE.rglob("*")):
        target = PAGES / path.relative_to(HERE)
        if path.suffix == ".md":
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(filled(path.read_text(encoding="utf-8"), path), encoding="utf-8")
        elif path.suffix in (".jpg", ".png", ".ipynb"):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


class Page(HTMLParser):
    """What a built page points to, fetches and can be pointed at."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.broken_lists: list[str] = []
        self._paragraph = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {k: v or "" for k, v in attrs}
        self._paragraph = tag == "p" or (self._paragraph and tag not in ("li", "div", "pre"))
        self.anchors |= {values[k] for k in ("id", "name") if values.get(k)}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and values.get("rel") not in ("canonical", "next", "prev", "edit"):
            self.fetched.append(values.get("href", ""))
        elif "src" in values:
            self.fetched.append(values["src"])

    def handle_data(self, data: str) -> None:
        if self._paragraph and (before := re.search(r"(.*)\n- ", data)):
            self.broken_lists.append(before[1])


def faults() -> Iterator[str]:
    """What is wrong with the built site: links that lead nowhere, anything fetched from elsewhere."""
    pages = {path.resolve(): Page(path) for path in BUILT.rglob("*.html")}
    for path, page in pages.items():
        name = path.relative_to(BUILT.resolve())
        yield from (f"{name} shows an item of a list as text, after: {text}" for text in page.broken_lists)
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme in ("http", "https") or parts.netloc:
                if link in page.fetched:
                    yield f"{name} fetches {link}"
                continue
            if parts.scheme or name == Path("404.html"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                yield f"{name} points to {link}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{name} points to {link}, a place that the page does not have"
    for sheet in BUILT.rglob("*.css"):
        for address in re.findall(r"url\(['\"]?(https?:[^)'\"]+)", sheet.read_text(encoding="utf-8", errors="replace")):
            yield f"{sheet.relative_to(BUILT)} fetches {address}"


def main(zensical: str = "zensical") -> int:
    """Build and check the site."""
    tool = shutil.which(zensical)
    if tool is None:
        print(f'{zensical} is not here; pip install ".[docs]" brings it')
        return 2
    stage()
    # Of a relative path, `make docs` names the tool from here, and it runs in the folder of the site.
    done = subprocess.run([Path(tool).absolute(), "build", "--strict", "--clean"], cwd=SITE)
    if done.returncode:
        return done.returncode
    # Pages that are read from disk ask for the index of the search by this name.
    index = (BUILT / "search.json").read_text(encoding="utf-8")
    (BUILT / "search.js").write_text(f"var __index = {index}", encoding="utf-8")
    wrong = sorted({*faults()})
    print(
        "\n".join(wrong)
        or f"{len(list(BUILT.rglob('*.html')))} pages in {BUILT.relative_to(ROOT)}, every link leads somewhere"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

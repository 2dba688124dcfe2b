"""Who imports whom: no circle of more than two files, and what must stay light is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rsdet
from rsdet import tasks

ROOT = Path(rsdet.__file__).parent
HEAVY = {"torch", "ultralytics", "cv2", "onnx", "onnxruntime", "openvino"}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(f): f for f in ROOT.rglob("*.py") if f.parent != ROOT or f.stem != "__init__"}


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules of rsdet that a file imports anywhere, also inside functions; not those for a type checker alone.

    What stands in ``rsdet/__init__.py`` belongs to nobody: it runs before any module, and a public name
    (``from rsdet import RSDet``) is resolved by it on use, so that a room below may use the class.
    """
    if isinstance(tree, ast.If) and ast.unparse(tree.test) == "TYPE_CHECKING":
        return
    if isinstance(tree, ast.Import):
        yield from (a.name for a in tree.names if a.name in FILES)
    elif isinstance(tree, ast.ImportFrom):
        for a in tree.names:
            inside = f"{tree.module}.{a.name}"
            yield from [m for m in (inside, tree.module) if m in FILES][:1]
    for child in ast.iter_child_nodes(tree):
        yield from imported(child)


def circles(edges: dict[str, set[str]]) -> list[set[str]]:
    """Sets of two and more modules each of which imports, in the end, every other one of the set."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen, waiting = set(), [start]
        while waiting:
            waiting += (new := edges[waiting.pop()] - seen)
            seen |= new
        reach[start] = seen
    alike = {frozenset({b for b in reach[a] if a in reach[b]}) for a in edges if a in reach[a]}
    return sorted((set(c) for c in alike if len(c) > 1), key=len, reverse=True)


def shortest(edges: dict[str, set[str]], members: set[str]) -> str:
    """One way round a circle, as short as there is, for the message."""
    best: list[str] = []
    for start in sorted(members):
        ways, seen = [[start]], {start}
        while ways:
            way = ways.pop(0)
            if start in edges[way[-1]] and len(way) > 1:
                best = way if not best or len(way) < len(best) else best
                break
            ways += [[*way, n] for n in sorted(edges[way[-1]] & members - seen)]
            seen |= edges[way[-1]] & members
    return " -> ".join([*best, best[0]])


def test_circles_are_recognised():
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": set()}
    assert circles(edges) == [{"a", "b", "c"}, {"d", "e"}]
    assert shortest(edges, {"a", "b", "c"}) == "a -> b -> c -> a"


def test_no_circle_of_more_than_two_files():
    edges = {m: set(imported(ast.parse(f.read_text()))) - {m} for m, f in FILES.items()}
    large = [c for c in circles(edges) if len(c) > 2]
    assert not large, "\n".join(f"{len(c)} files, such as {shortest(edges, c)}: {', '.join(sorted(c))}" for c in large)


@pytest.mark.parametrize(
    "code",
    ["from rsdet import tasks; tasks.names()", *(f"from rsdet import tasks; tasks.get({n!r})" for n in tasks.names())],
)
def test_tasks_are_described_without_anything_heavy(code):
    code += f"\nimport sys; print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip().endswith("HEAVY []"), done.stdout + done.stderr

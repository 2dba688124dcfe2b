"""The table of what is replaced in Ultralytics: complete, in place, and a failure by name when a release moves it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import rsdet
from rsdet import integration
from rsdet.integration import FILLED, TABLE, WITHIN, Patch, place

ROOT = Path(rsdet.__file__).parent
CHANGING = ("update", "setdefault", "append", "insert", "extend", "pop")  # methods of dicts and lists
OTHERS = {"__future__", "torch", "cv2", "numpy", "os", "sys"}  # what is set there is a setting, not a part


def name_of(patch: Patch) -> str:
    return f"{patch.target}-{patch.after}" if patch.after else patch.target


def check_takes(ours: object, stock: object) -> None:
    """Ours names the first parameters of the stock function, in order, and takes the rest whatever it is."""
    if isinstance(stock, type):
        assert not isinstance(ours, type) or issubclass(ours, stock)
    elif callable(stock):
        theirs = list(inspect.signature(stock).parameters)
        every = inspect.signature(ours, follow_wrapped=False).parameters.values()
        named = [p.name for p in every if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        assert theirs[: len(named)] == named
        assert len(named) == len(theirs) or len(named) < len(every), "takes fewer parameters"
    else:
        assert type(ours) is type(stock)


def read_in(module: str, name: str) -> bool:
    """Whether the source of a module reads the name, so that replacing it there has an effect."""
    nodes = ast.walk(ast.parse(Path(import_module(module).__file__).read_text()))
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in nodes)


@pytest.mark.parametrize("patch", TABLE, ids=name_of)
def test_what_a_row_replaces_is_there_and_ours_takes_what_it_takes(patch):
    if patch.module.startswith("openvino"):
        pytest.importorskip("openvino")
    assert patch.why
    assert patch.until
    assert patch.module != "rsdet"
    owner, name = place(patch.target)
    module, _, function = patch.ours.partition(":")
    ours = getattr(import_module(module), function)
    before: object = None
    if patch.after == FILLED:
        assert hasattr(owner, name)
    elif patch.after == WITHIN:
        before = getattr(owner, name, None)
        with ours():
            now = getattr(owner, name)
            assert now is not before
            check_takes(now, before if before is not None else now)
        assert getattr(owner, name, None) is before
    else:
        import_module(patch.after or patch.module)
        before, _ = integration.installed[patch]
        last = [p for p in TABLE if p.target == patch.target and p in integration.installed][-1]
        now = getattr(owner, name)
        made = inspect.getattr_static(owner, name)
        assert (made if isinstance(owner, type) else now) is integration.installed[last][1]
        if patch.module != "PIL.Image":  # its own again, whatever it takes
            check_takes(now, before)
        if patch.everywhere and callable(before):
            modules = [m for n, m in list(sys.modules.items()) if n.startswith("ultralytics.")]
            assert not [m.__name__ for m in modules if vars(m).get(name) is before]
    if inspect.isfunction(before) and not patch.everywhere and patch.module not in (before.__module__, "PIL.Image"):
        assert read_in(patch.module, name), f"{patch.module} does not use {name} any more"


@pytest.mark.parametrize("first", ["import rsdet, ultralytics", "from ultralytics import YOLO; import rsdet"])
def test_every_row_is_in_place_whoever_is_imported_first(first):
    code = (
        f"{first}\nimport importlib, rsdet.integration as i\n"
        "rows = [p for p in i.TABLE if p.after not in (i.WITHIN, i.FILLED)]\n"
        "for p in rows: importlib.import_module(p.after or p.module)\n"
        "print('MISSING', [p.target for p in rows if p not in i.installed])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600)
    assert done.stdout.strip().endswith("MISSING []"), done.stdout + done.stderr


def test_a_target_that_the_table_does_not_name_cannot_be_replaced():
    with pytest.raises(KeyError), integration.swapped("ultralytics.nn.tasks:Detect", None):
        pass


def replaced(file: Path) -> Iterator[str]:
    """What a file assigns of things imported from other packages, as written, and calls of ``setattr`` on modules."""
    tree = ast.parse(file.read_text())
    nodes = list(ast.walk(tree))
    foreign = {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
        if ((getattr(node, "module", None) or alias.name).partition(".")[0]) not in {"rsdet", *OTHERS}
    }
    for node in nodes:
        targets: list[ast.expr] = []
        if isinstance(node, (ast.Assign, ast.Delete)):
            targets = node.targets
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)):
            targets = [node.target]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "delattr"):
            targets = [ast.Attribute(node.args[0], "", ast.Store())]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            targets = [ast.Attribute(node.func.value, "", ast.Store())]
        for target in (t for group in targets for t in (group.elts if isinstance(group, ast.Tuple) else [group])):
            root = target
            while isinstance(root, (ast.Attribute, ast.Subscript)):
                root = root.value
            if root is not target and isinstance(root, ast.Name) and root.id in foreign:
                yield ast.unparse(target).rstrip(".")


def test_nothing_of_ultralytics_is_replaced_outside_of_the_table():
    settings = {"Image.MAX_IMAGE_PIXELS"}  # Pillow's, documented for this
    found = {
        (what, ".".join(file.relative_to(ROOT.parent).with_suffix("").parts))
        for file in ROOT.rglob("*.py")
        for what in replaced(file)
        if what not in settings
    }
    assert found == {(p.target.partition(":")[2], p.ours.partition(":")[0]) for p in TABLE if p.after == FILLED}

"""Draws the mutants: where Cosmic Ray could change a file, less what no test should see, spread over the rooms."""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

Place = tuple[int, int]  # line from 1, column from 0
# Operators of bits in the place of arithmetic are refused by every array of floats: caught by any test, they would only
# flatter the score. Operators that take arguments need names of variables.
_BITS = re.compile(r"BinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(BitOr|BitAnd|BitXor|RShift|LShift)")


@dataclass(frozen=True)
class Mutant:
    """One change of one file.

    Attributes:
        id: Twelve hexadecimal digits of the seed, the file, the text of the line and the change; they outlive edits of
            other lines, so that a verdict is kept as long as its line stands.
        room: Room of the table.
        file: Path from the root of the repository.
        place: Line and column of the change.
        operator: Cosmic Ray's name of the change.
        occurrence: Which of its places in the file.
    """

    id: str
    room: str
    file: str
    place: Place
    operator: str
    occurrence: int

    def code(self, source: str) -> str | None:
        """Return the changed source, or None where Python reads it as before or not at all."""
        changed = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        try:
            return None if changed is None or _same(source, changed) else changed
        except SyntaxError:
            return None

    def change(self, source: str) -> tuple[str, str]:
        """Return the lines before and after, each on one line."""
        rows = list(difflib.ndiff(source.splitlines(), (self.code(source) or "").splitlines()))
        return tuple(" ".join(r[2:].strip() for r in rows if r.startswith(sign)) for sign in "-+")


def draw(sources: dict[str, str], rooms: dict, seed: int) -> list[Mutant]:
    """Return the sample in an order of which every beginning is a fair sample too.

    Args:
        sources: Text of each file.
        rooms: Name of a room -> `sample`, the mutants to draw, and `files`, whose keys are paths.
        seed: Of the draw.
    """
    ranked = []
    for room, facts in rooms.items():
        here = [pair for file in facts["files"] for pair in _one_a_place(sources[file], file, room, seed)]
        wanted = facts["sample"]
        real = (m for _, m in sorted(here, key=lambda pair: pair[0]) if m.code(sources[m.file]) is not None)
        ranked += [((i + 0.5) / wanted, m) for i, m in zip(range(wanted), real, strict=False)]
    return [m for _, m in sorted(ranked, key=lambda pair: (pair[0], pair[1].id))]


def _one_a_place(source: str, file: str, room: str, seed: int) -> Iterator[tuple[str, Mutant]]:
    """Yield a random number of each place, and of its changes, as the six other operators for a `+`, a random one."""
    lines = source.splitlines()
    nodes, unseen, found = list(ast_nodes(get_ast(source))), _unseen(ast.parse(source)), defaultdict(list)
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or _BITS.search(name):
            continue
        places = [start for node in nodes for start, _ in operator().mutation_positions(node)]
        for occurrence, (line, column) in enumerate(places):
            if not any(start <= (line, column) < end for start, end in unseen):
                text, index = lines[line - 1], places[:occurrence].count((line, column))
                where = f"{seed}|{file}|{text.strip()}|{lines[: line - 1].count(text)}|{column - _indent(text)}"
                mutant = Mutant(_hash(f"{where}|{name}|{index}"), room, file, (line, column), name, occurrence)
                found[where].append(mutant)
    yield from ((_hash(where), min(mutants, key=lambda m: m.id)) for where, mutants in found.items())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _unseen(tree: ast.Module) -> list[tuple[Place, Place]]:
    """Stretches that only people read: types, messages and logging."""
    found: list[ast.AST | None] = []
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef():
                found += [node.returns, *(a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg))]
            case ast.AnnAssign():
                found.append(node.annotation)
            case ast.Raise() | ast.JoinedStr() | ast.Constant(value=str()):
                found.append(node)
            case ast.Call() if ast.unparse(node.func).startswith(("LOGGER.", "logging.", "warnings.")):
                found.append(node)
            case ast.Assign() if any(kind in ast.unparse(node.value) for kind in ("Callable[", " | None")):
                found.append(node)  # a name for a type
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in found if n is not None]


@cache
def _meaning(source: str) -> str:
    return ast.dump(ast.parse(source))


def _same(source: str, changed: str) -> bool:
    return _meaning(source) == ast.dump(ast.parse(changed))

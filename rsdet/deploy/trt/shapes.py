"""Smallest, usual and largest shape of a dynamic input: what an optimization profile of TensorRT is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rsdet.deploy.trt.graph import Graph, load
from rsdet.errors import ConfigError


@dataclass(frozen=True)
class Shapes:
    """Shapes of one input, ``(B, C, H, W)``.

    Attributes:
        min: Smallest.
        opt: The one that the engine is tuned for.
        max: Largest.
    """

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


def resolve_shapes(
    model: Any, given: Mapping[str, Sequence[Sequence[int]]] | Sequence[Sequence[int]] | None = None
) -> dict[str, Shapes]:
    """Complete and check the shapes of a graph's dynamic inputs.

    Args:
        model: ONNX model or path of one.
        given: Name of an input to (min, opt, max), or just the three for a graph with one input.

    Returns:
        Name to shapes; empty for a graph whose inputs have fixed shapes.

    Raises:
        ConfigError: Shapes are missing, given for a fixed graph, or contradict it or each other.
    """
    graph = Graph(load(model))
    inputs = {i.name: graph.shape(i.name) for i in graph.model.graph.input if i.name not in graph.constants}
    free = {name: shape for name, shape in inputs.items() if shape is None or None in shape}
    if given is not None and not isinstance(given, Mapping):
        given = {next(iter(inputs)): given}
    given = dict(given or {})
    unknown = [name for name in given if name not in free]
    if unknown:
        kind = "has a fixed shape" if unknown[0] in inputs else f"is no input of the graph ({', '.join(inputs)})"
        raise ConfigError(
            f"opt_shapes names {unknown[0]!r}, which {kind}; expected dynamic inputs only; leave it out, or export "
            "with dynamic=True"
        )
    found = {}
    for name, shape in free.items():
        if name not in given:
            raise ConfigError(
                f"the input {name} has the open shape {_text(shape)}; expected its smallest, usual and largest shape; "
                f"pass opt_shapes={{{name!r}: [(1, 3, 320, 320), (1, 3, 640, 640), (4, 3, 640, 640)]}}"
            )
        found[name] = _checked(name, shape, given[name])
    return found


def _checked(name: str, shape: tuple[int | None, ...] | None, given: Sequence[Sequence[int]]) -> Shapes:
    three = [tuple(int(d) for d in s) for s in given]
    fits = len(three) == 3 and len({len(s) for s in three}) == 1 and (shape is None or len(three[0]) == len(shape))
    if fits:
        fits = all(1 <= a <= b <= c for a, b, c in zip(*three, strict=True))
        fits &= shape is None or all(d is None or d == s for t in three for d, s in zip(shape, t, strict=True))
    if not fits:
        raise ConfigError(
            f"shapes {given} of the input {name}; expected min <= opt <= max, each of the form {_text(shape)}; "
            "correct opt_shapes"
        )
    return Shapes(*three)


def _text(shape: tuple[int | None, ...] | None) -> str:
    return "(?)" if shape is None else f"({', '.join('?' if d is None else str(d) for d in shape)})"

"""Parts of the SAR ship detector put into any other detector: an attention behind the deepest level, another head.

Both work on a resolved model dictionary and only ever add rows in front of the last one, so no row is renumbered. They
are what ``attention=`` and ``head=`` mean in Python and on the command line, and ``parts:`` in a model YAML.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rsdet.errors import ConfigError, nearest

ATTENTIONS = ("ShuffleAttention", "SE", "CBAM", "ECA", "CoordAttention", "SimAM")
HEADS = ("Detect", "SSCDetect")
CLS_WIDTH = 512  # of SSCDetect's class towers before scaling, as in the paper


def add_parts(d: dict[str, Any], attention: str | None = None, head: str | None = None) -> dict[str, Any]:
    """Return a model dictionary with another attention or head.

    Args:
        d: A resolved model dictionary; not changed.
        attention: One of :data:`ATTENTIONS`, put behind the coarsest map that the head reads.
        head: ``"SSCDetect"`` (the context-decoupled head; a finer and a coarser level are found or added) or
            ``"Detect"`` (Ultralytics' simple decoupled head). YOLO family only.

    Raises:
        ConfigError: An unknown part, or a detector that cannot take it.
    """
    d = deepcopy(d)
    if head and (now := d["head"][-1][2]) not in HEADS:
        raise ConfigError(f"head= can replace {' and '.join(HEADS)}, but this model ends in {now}; leave it out.")
    for name, value, known in (("attention", attention, ATTENTIONS), ("head", head, HEADS)):
        if value is not None and value not in known:
            raise ConfigError(f"{name}={value!r} must be one of {', '.join(known)}.{nearest(str(value), known)}")
    if not isinstance(_rows(d)[-1][0], list):
        raise ConfigError("attention= and head= need a model whose last row reads several maps; leave them out.")
    if attention:
        _add_attention(d, attention)
    if head:
        _set_head(d, head)
    return d


def _rows(d: dict[str, Any]) -> list[list[Any]]:
    return [*d["backbone"], *d["head"]]


def _sources(d: dict[str, Any]) -> list[int]:
    """Rows that the last row reads, counted from the start of the model."""
    last = len(_rows(d)) - 1
    return [f if f >= 0 else last + f for f in d["head"][-1][0]]


def _add_row(d: dict[str, Any], row: list[Any]) -> int:
    """Put a row in front of the last one; its number."""
    sources = _sources(d)  # relative ones would point elsewhere afterwards
    d["head"].insert(-1, row)
    d["head"][-1][0] = sources
    return len(_rows(d)) - 2


def _coarsest(d: dict[str, Any]) -> int:
    """Position, among the maps of the head, of the coarsest one that it puts boxes on."""
    sources = _sources(d)
    if d["head"][-1][2] == "SSCDetect":
        return len(sources) - 2
    strides = _strides(d)
    return max(range(len(sources)), key=lambda i: strides[sources[i]])


def _add_attention(d: dict[str, Any], name: str) -> None:
    at, sources = _coarsest(d), _sources(d)
    if d["head"][-1][2] == "SSCDetect":
        raise ConfigError("this model has SSCDetect already, which reads a level made from its deepest; edit its YAML.")
    sources[at] = _add_row(d, [sources[at], 1, name, []])
    d["head"][-1][0] = sources


def _set_head(d: dict[str, Any], name: str) -> None:
    now = d["head"][-1][2]
    if now == name:
        return
    if name == "Detect":
        d["head"][-1] = [_sources(d)[1:-1], 1, "Detect", ["nc"]]
        _drop_unused(d)
        return
    strides, levels = _strides(d), _sources(d)
    if [strides[i] for i in levels] != [strides[levels[0]] * 2**i for i in range(len(levels))]:
        raise ConfigError("head=SSCDetect needs levels whose strides double from one to the next; leave it out.")
    finer = [i for i in range(len(d["backbone"])) if 2 * strides[i] == strides[levels[0]]]
    if not finer:
        raise ConfigError("head=SSCDetect needs a backbone row one level finer than the head's finest; leave it out.")
    _, repeats, block, args = _maker(d, levels[-1])
    down = _add_row(d, [levels[-1], 1, "Conv", [args[0], 3, 2]])
    coarser = _add_row(d, [down, repeats, block, deepcopy(args)])
    d["head"][-1] = [[finer[-1], *levels, coarser], 1, "SSCDetect", ["nc", CLS_WIDTH]]


def _maker(d: dict[str, Any], at: int) -> list[Any]:
    """The row that made a map: itself, or what stands before an attention or another row without channels."""
    row = _rows(d)[at]
    while row[2] in ATTENTIONS or not row[3] or not isinstance(row[3][0], int):
        source = row[0][0] if isinstance(row[0], list) else row[0]
        at = source if source >= 0 else at + source
        row = _rows(d)[at]
    return row


def _drop_unused(d: dict[str, Any]) -> None:
    """Take out rows in front of the last one that nothing reads."""
    while len(d["head"]) > 1 and len(_rows(d)) - 2 not in _sources(d):
        sources = _sources(d)
        d["head"].pop(-2)
        d["head"][-1][0] = sources


def _strides(d: dict[str, Any]) -> list[int]:
    """Stride of every row but the last, found by running them on shapes alone."""
    import torch

    import rsdet.nn  # noqa: F401  registers every layer
    from rsdet.registry import building, parse_model

    side, ch = 256, d.get("channels", 3)
    with building(), torch.device("meta"), torch.no_grad():
        layers, _ = parse_model({"nc": 80, **deepcopy(d)}, ch, verbose=False)
        maps: list[torch.Tensor] = []
        x = torch.empty(2, ch, side, side)
        for layer in list(layers.eval())[:-1]:
            froms = layer.f if isinstance(layer.f, list) else [layer.f]
            inputs = [x if f == -1 else maps[f] for f in froms]
            x = layer(inputs if isinstance(layer.f, list) else inputs[0])
            maps.append(x)
    return [side // m.shape[-2] for m in maps]

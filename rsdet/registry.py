"""The one seam into Ultralytics' YAML parser: a name, a layer and the channel rule it follows.

``ultralytics.nn.tasks.parse_model`` looks names up in its own globals and has no registry. rsdet neither copies nor
edits it. While one of our models is being built, :func:`parse_model` below stands in its place. It replaces every
registered row by a parameter-free stand-in that reports the right number of channels, hands the whole YAML to the
stock parser, and puts the registered layers where the stand-ins were. All other rows are parsed by Ultralytics.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, TypeVar

import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.utils import LOGGER
from ultralytics.utils.ops import make_divisible

from rsdet.bounds import bounded, check_size
from rsdet.errors import ConfigError, nearest
from rsdet.integration import swapped

_stock_parse_model = tasks.parse_model


@dataclass
class Row:
    """One YAML row of a registered layer, as its channel rule sees it.

    Attributes:
        name: Registered name.
        ch: Channels of each input, in the order of the ``from`` column.
        n: Repeats after depth scaling.
        args: Arguments of the row, names and literals resolved.
        width: Width multiple of the scale.
        max_channels: Upper bound on channels before the width multiple.
        nc: Number of classes.
        options: Entries of the YAML beside its rows, such as ``reg_max`` and ``end2end``.
    """

    name: str
    ch: list[int]
    n: int
    args: list[Any]
    width: float = 1.0
    max_channels: float = float("inf")
    nc: int = 80
    options: dict[str, Any] = field(default_factory=dict)


ChannelRule = Callable[[Row], "tuple[list[Any], int]"]


def scaled(channels: int, row: Row) -> int:
    """Return ``channels`` after the scale of the YAML: capped, multiplied by the width and made divisible by 8."""
    return make_divisible(min(channels, row.max_channels) * row.width, 8)


def _like_conv(row: Row) -> tuple[list[Any], int]:
    c2 = scaled(row.args[0], row)
    return [row.ch[0], c2, *row.args[1:]], c2


def _like_c2f(row: Row) -> tuple[list[Any], int]:
    c2 = scaled(row.args[0], row)
    n, row.n = row.n, 1  # the layer repeats inside itself
    return [row.ch[0], c2, n, *row.args[1:]], c2


def _like_same(row: Row) -> tuple[list[Any], int]:
    return [row.ch[0], *row.args], row.ch[0]


def _like_concat(row: Row) -> tuple[list[Any], int]:
    return [row.ch, *row.args], sum(row.ch)


RULES: dict[str, ChannelRule] = {"Conv": _like_conv, "C2f": _like_c2f, "same": _like_same, "concat": _like_concat}


@dataclass(frozen=True)
class Entry:
    """A registered layer and its channel rule."""

    name: str
    cls: type[nn.Module]
    rule: ChannelRule


_REGISTRY: dict[str, Entry] = {}
_M = TypeVar("_M", bound=type[nn.Module])


def register(name: str, *, like: str | None = None, channels: ChannelRule | None = None) -> Callable[[_M], _M]:
    """Make a layer usable by name in the rows of a model YAML.

    Args:
        name: Name written in the YAML. It must not be a stock Ultralytics layer.
        like: The layer whose channel arithmetic it follows: ``"Conv"`` (``cls(c1, c2, *args)``, repeats become a
            sequence), ``"C2f"`` (``cls(c1, c2, n, *args)``), ``"same"`` (``cls(c1, *args)``, channels unchanged) or
            ``"concat"`` (``cls([c1, ...], *args)``, channels summed).
        channels: A rule of its own instead of ``like``: takes a :class:`Row`, returns constructor arguments and
            output channels.

    Returns:
        A class decorator that returns the class unchanged.

    Raises:
        ConfigError: The name is taken by another class, or the rule is unknown.

    Examples:
        >>> @register("MyBlock", like="C2f")  # doctest: +SKIP
        ... class MyBlock(nn.Module): ...
    """
    if (like is None) == (channels is None):
        raise ConfigError(f"register({name!r}) must be given exactly one of like= and channels=; pass one of them.")
    if like is not None and like not in RULES:
        raise ConfigError(
            f"register({name!r}, like={like!r}): like must be one of {sorted(RULES)}.{nearest(like, RULES)}"
        )

    def decorate(cls: _M) -> _M:
        known = _REGISTRY.get(name)
        if known is not None and (known.cls.__module__, known.cls.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ConfigError(f"the name {name!r} is already registered by {known.cls.__module__}; choose another one.")
        if name in vars(tasks):
            raise ConfigError(f"{name!r} is a stock Ultralytics layer; choose another name for {cls.__module__}.")
        _REGISTRY[name] = Entry(name, cls, channels or RULES[like or ""])
        return cls

    return decorate


def list_modules(pattern: str = "*") -> list[str]:
    """Names of the registered layers that match a shell pattern, sorted."""
    return sorted(n for n in _REGISTRY if fnmatch(n, pattern))


def registered_classes() -> dict[str, type[nn.Module]]:
    """Registered layers by name."""
    return {n: e.cls for n, e in _REGISTRY.items()}


def layer_class(name: str) -> type | None:
    """Class of the layer that a row names, registered or of Ultralytics; None for those of PyTorch."""
    entry = _REGISTRY.get(name)
    layer = vars(tasks).get(name) if entry is None else entry.cls
    return layer if isinstance(layer, type) else None


def _known(name: str) -> bool:
    if name.startswith(("nn.", "torchvision.ops.")):
        return True
    layer = vars(tasks).get(name)
    whole = (tasks.BaseModel, tasks.Ensemble)  # read files by themselves
    return isinstance(layer, type) and issubclass(layer, nn.Module) and not issubclass(layer, whole)


def check_rows(d: dict[str, Any], where: str = "model YAML") -> None:
    """Raise a one-line error for the first row that is malformed or names an unknown layer."""
    rows = [(part, r) for part in ("backbone", "head") for r in d.get(part, [])]
    if not rows:
        raise ConfigError(f"{where} has no backbone or head rows; it must list layers as [from, repeats, name, args].")
    for i, (part, row) in enumerate(rows):
        if not (isinstance(row, list) and len(row) == 4 and isinstance(row[2], str) and isinstance(row[3], list)):
            raise ConfigError(f"{where}: row {i} ({part}) must be [from, repeats, name, args], received {row!r}.")
        if row[2] not in _REGISTRY and not _known(row[2]):
            stock = [k for k in vars(tasks) if _known(k)]
            hint = nearest(row[2], [*_REGISTRY, *stock]) or f" Known here: {', '.join(list_modules())}."
            raise ConfigError(f"{where}: row {i} ({part}) names an unknown layer {row[2]!r}.{hint}")
        if row[2] == "TorchVision" and str(row[3][2:3]) not in ("[None]", "['None']"):
            raise ConfigError(
                f"{where}: row {i} ({part}) would have weights of torchvision fetched, and what a file names is not; "
                "write null for them, as in [512, resnet18, null]."
            )
    check_size(d, where)


def _scale_of(d: dict[str, Any]) -> tuple[float, float, float]:
    depth, width, cap = d.get("depth_multiple", 1.0), d.get("width_multiple", 1.0), float("inf")
    if d.get("scales"):
        depth, width, cap = d["scales"][d.get("scale") or next(iter(d["scales"]))]
    return depth, width, cap


def _stand_in(channels: int) -> list[Any]:
    # `Index` is the stock layer whose row states its output channels; it has no parameters.
    return [-1, 1, "Index", [channels, 0]]


def _literal(value: Any, d: dict[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    if value == "nc":
        return d["nc"]
    with contextlib.suppress(ValueError, SyntaxError):
        return ast.literal_eval(value)
    return value


def _input_channels(d: dict[str, Any], rows: list[list[Any]], sources: list[int], ch: int) -> list[int]:
    """Ask the stock parser how many channels the rows ``sources`` produce (-1 is the image), on no memory at all."""
    if not rows:
        return [ch] * len(sources)
    probes = [[s, 1, "nn.BatchNorm2d", []] for s in sources]
    part = {**d, "backbone": [list(map(_copy, r)) for r in rows], "head": probes}
    with torch.device("meta"):
        layers, _ = _stock_parse_model(part, ch, verbose=False)
    return [m.num_features for m in list(layers)[len(rows) :]]


def _copy(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def parse_model(d: dict[str, Any], ch: int, verbose: bool = True) -> tuple[nn.Sequential, list[int]]:
    """Build a model dictionary whose rows may name registered layers.

    Args:
        d: Model dictionary (``backbone``, ``head``, ``nc``, optional ``scales``/``scale``).
        ch: Channels of the input image.
        verbose: Print the layer table as Ultralytics does.

    Returns:
        The layers, and the sorted indices whose outputs must be kept, as the stock parser returns them.
    """
    check_rows(d)
    depth, width, cap = _scale_of(d)
    originals = [list(map(_copy, r)) for r in d["backbone"] + d["head"]]
    stock = [list(map(_copy, r)) for r in originals]
    ours: dict[int, nn.Module] = {}
    plain = {k: v for k, v in d.items() if k != "activation"}  # probing needs no activation; it would print it
    for i, (source, n, name, args) in enumerate(originals):
        entry = _REGISTRY.get(name)
        if entry is None:
            continue
        froms = [source] if isinstance(source, int) else list(source)
        absolute = [f if f >= 0 else i + f for f in froms]
        row = Row(
            name=name,
            ch=_input_channels(plain, stock[:i], absolute, ch),
            n=max(round(n * depth), 1) if n > 1 else n,
            args=[_literal(a, d) for a in args],
            width=width,
            max_channels=cap,
            nc=d["nc"],
            options={k: v for k, v in d.items() if k not in ("backbone", "head", "scales")},
        )
        try:
            ctor, c2 = entry.rule(row)
            layer = entry.cls(*ctor) if row.n == 1 else nn.Sequential(*(entry.cls(*ctor) for _ in range(row.n)))
        except (TypeError, IndexError, ValueError) as e:
            raise ConfigError(f"row {i} of the model YAML: {name} does not take the arguments {args!r} ({e}).") from e
        ours[i], stock[i] = layer, _stand_in(c2)
    n_backbone = len(d["backbone"])
    whole = {**d, "backbone": stock[:n_backbone], "head": stock[n_backbone:]}
    layers, _ = _stock_parse_model(whole, ch, verbose=False)  # its table would show the stand-ins
    built = list(layers)
    save: set[int] = set()
    for i, row in enumerate(originals):
        if i in ours:
            layer, stand_in = ours[i], built[i]
            layer.np, layer.i, layer.f = sum(p.numel() for p in layer.parameters()), stand_in.i, row[0]
            layer.type = f"{_REGISTRY[row[2]].cls.__module__}.{row[2]}"
            built[i] = layer
        froms = [row[0]] if isinstance(row[0], int) else row[0]
        save.update(f % i for f in froms if f != -1)
    if verbose:
        _print_table(built, originals)
    return nn.Sequential(*built), sorted(save)


def _print_table(layers: list[nn.Module], rows: list[list[Any]]) -> None:
    LOGGER.info(f"\n{'':>3}{'from':>20}{'n':>3}{'params':>10}  {'module':<45}arguments")
    for layer, (source, n, _, args) in zip(layers, rows, strict=True):
        LOGGER.info(f"{layer.i:>3}{source!s:>20}{n:>3}{layer.np:>10}  {layer.type:<45}{args}")


@contextlib.contextmanager
def building() -> Iterator[None]:
    """Put :func:`parse_model` in the place of the stock parser for as long as a model of ours is being built.

    The swap is process-wide, so a lock is held; a failed build restores the stock parser too. No text is evaluated,
    whatever the user's variables say.
    """
    active = swapped("ultralytics.nn.tasks:_SafeLoad._local.active", True)
    with swapped("ultralytics.nn.tasks:parse_model", parse_model), active, bounded():
        yield

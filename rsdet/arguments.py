"""What a function takes, checked before it is called: unknown keys, values of a wrong type, one value for a list.

The signature is the only source, so a new parameter needs no second entry anywhere. Types that a word on the command
line cannot have (arrays, functions) are left to the function.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from rsdet.errors import ConfigError, nearest

_SAID = {bool: "True or False", int: "a whole number", float: "a number", str: "text", type(None): "none"}
_POSITIVE = {"batch", "epochs", "imgsz", "rounds", "threads"}


def fit(function: Callable[..., Any], args: Mapping[str, Any], mode: str, *, also: Sequence[str] = ()) -> dict[str, Any]:
    """Make sure that a function can be called with these arguments.

    Args:
        function: What will be called; parameters before its first optional or keyword-only one that are missing in
            ``args`` are an error.
        args: Arguments by name.
        mode: What the user called it, for the message.
        also: Names to leave alone, such as a model that is passed by position.

    Returns:
        The arguments; a single value is put into a list where only a list is taken.

    Raises:
        ConfigError: An unknown or a missing key, or a value of the wrong type.
    """
    takes = {k: p for k, p in inspect.signature(function, eval_str=True).parameters.items() if k not in also}
    known = [k for k, p in takes.items() if p.kind is not p.VAR_KEYWORD]
    open_ended = len(known) < len(takes)
    for key, p in takes.items():
        if p.default is p.empty and key in known and key not in args:
            raise ConfigError(f"{mode} needs {key}=; see `rsdet --help`.")
    out = {}
    for key, value in args.items():
        if key in known:
            out[key] = _value(key, value, takes[key].annotation)
        elif open_ended and key not in also:
            out[key] = value
        else:
            raise ConfigError(f"{mode} does not know {key}=.{nearest(key, known)} It takes {', '.join(sorted(known))}.")
    return out


def _value(key: str, value: Any, hint: Any) -> Any:
    if not _accepts(hint, value):
        if any(_accepts(_element(h), value) for h in _options(hint) if _element(h) is not None):
            value = [value]
        else:
            said = list(dict.fromkeys(w for h in _options(hint) for w in _words(h)))
            raise ConfigError(f"{key}={value!r} must be {' or '.join(said)}; see `rsdet --help`.")
    numbers = value if isinstance(value, (list, tuple)) else [value]
    if key in _POSITIVE and any(isinstance(n, (int, float)) and n < 1 for n in numbers):
        raise ConfigError(f"{key}={value!r} must be 1 or more; see `rsdet --help`.")
    return value


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _element(hint: Any) -> Any:
    """Type of the elements where the hint is a sequence, else None."""
    return get_args(hint)[0] if get_origin(hint) is Sequence else None


def _words(hint: Any) -> list[str]:
    if _element(hint) is not None:
        return [f"a list of {w.removeprefix('a ')}s" for w in _words(_element(hint))] if hint else []
    return [w for h in _options(hint) for w in ([_SAID[h]] if h in _SAID else ["a path"] if h is Path else [])]


def _accepts(hint: Any, value: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_accepts(h, value) for h in get_args(hint))
    if _element(hint) is not None:
        return isinstance(value, (list, tuple)) and all(_accepts(_element(hint), v) for v in value)
    if hint is Path:
        return isinstance(value, os.PathLike)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in _SAID else not isinstance(value, tuple(_SAID)) or hint is Any

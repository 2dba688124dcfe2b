"""What a function takes, checked before it is called: unknown keys, values of a wrong type, one value for a list.

The signature is the only source, so a new parameter needs no second entry anywhere. Types that a word on the command
line cannot have (arrays, functions) are left to the function.
"""

from __future__ import annotations

import inspect
import logging
import math
import numbers
import os
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from rsdet.errors import ConfigError, nearest
from rsdet.quiet import say
from rsdet.runtime.metadata import MOST
from rsdet.scenes.settings import KEYS as SCENE_KEYS
from rsdet.textfiles import read_yaml
from rsdet.usererrors import user_errors

if TYPE_CHECKING:
    from rsdet.tasks.task import Task

_SAID = {bool: "True or False", int: "a whole number", float: "a number", str: "text", type(None): "none"}
_POSITIVE = {"batch", "epochs", "imgsz", "rounds", "threads"}


def fit(
    function: Callable[..., Any], args: Mapping[str, Any], mode: str, *, also: Sequence[str] = ()
) -> dict[str, Any]:
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
    each = value if isinstance(value, (list, tuple)) else [value]
    if key in _POSITIVE and any(isinstance(n, numbers.Real) and n < 1 for n in each):
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
    said = {**_SAID, Path: "a path", Mapping: "a mapping"}
    return [said[h] for h in (get_origin(h) or h for h in _options(hint)) if h in said]


def _accepts(hint: Any, value: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_accepts(h, value) for h in get_args(hint))
    if _element(hint) is not None:
        return isinstance(value, (list, tuple)) and all(_accepts(_element(hint), v) for v in value)
    if hint is Path:
        return isinstance(value, os.PathLike)
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, numbers.Real) and not isinstance(value, bool)
    return isinstance(value, hint) if hint in _SAID else not isinstance(value, tuple(_SAID)) or hint is Any


# Taken in every mode besides what Ultralytics lists; and what the methods of RSDet take themselves.
_EVERY_MODE = {"augmentations", "save_dir", "mode", "cfg", "half", "model"}
_OF_MODE = {"train": {"data", "recipe", "scale"}, "val": {"data"}, "predict": {"source"}}
# Keys of Ultralytics that something comes of whatever is run. It takes all of them in every mode.
_EVERY_RUN = {"model", "task", "mode", "cfg", "project", "name", "exist_ok", "verbose", "device", "quantize", "seed"}
_NOT_IN_TRAINING = {
    "source", "vid_stride", "stream_buffer", "embed", "show", "save_frames", "save_crop", "show_boxes", "line_width",
    "retina_masks", "tracker", "format", "optimize", "dynamic", "simplify", "opset", "workspace", "dnn", "mask_ratio",
    "overlap_mask", "pose", "kobj", "rle", "angle", "dlog", "dgrad", "dlam",
}  # fmt: skip


def own_keys(cls: Any) -> dict[str, inspect.Parameter]:
    """Keys of a mode beyond those of Ultralytics: the keyword-only parameters of the class that runs it.

    Args:
        cls: A trainer or validator, whose ``__init__`` takes them, or a predictor, whose ``configure`` does.

    Returns:
        Name to parameter; those of base classes among them.
    """
    found: dict[str, inspect.Parameter] = {}
    for base in reversed(getattr(cls, "__mro__", ())):
        for method in ("configure",) if hasattr(cls, "configure") else ("__init__",):
            if method in vars(base):
                parameters = inspect.signature(vars(base)[method], eval_str=True).parameters
                found |= {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    return found


def own_defaults(cls: Any) -> dict[str, Any]:
    """The keys of :func:`own_keys` with their defaults."""
    return {k: p.default for k, p in own_keys(cls).items()}


def split_keys(cls: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments for the class that runs a mode, checked by its signature, and those for Ultralytics."""
    own = own_keys(cls)
    mine = {k: _value(k, v, own[k].annotation) for k, v in given.items() if k in own}
    return mine, {k: v for k, v in given.items() if k not in own}


_NOT_OF_CFG = ("cfg", "mode", "model", "task")  # known already when a file of arguments is read


def with_cfg(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with those of the YAML that ``cfg=`` names below them, so that both go through the same checks.

    Raises:
        ConfigError: The file is no YAML.
    """
    own = {k: v for k, v in kwargs.items() if k != "cfg"}
    if kwargs.get("cfg") is None:
        return own
    return {k: v for k, v in read_yaml(str(kwargs["cfg"])).items() if k not in _NOT_OF_CFG} | own


def check_tracker(tracker: Any) -> None:
    """Make sure that the YAML of a tracker, where it is the user's, names no model that would have to be fetched.

    Raises:
        ConfigError: It does, or it is no YAML.
    """
    if tracker is None or (Path(str(tracker)).name == str(tracker) and not Path(str(tracker)).exists()):
        return  # one of Ultralytics'
    model = read_yaml(str(tracker)).get("model", "auto")
    if model not in ("auto", None) and not Path(str(model)).is_file():
        raise ConfigError(f"{tracker}: model: {str(model)[:80]!r} is no file here, and is not fetched; name a file.")


def check_keys(given: Mapping[str, Any], mode: str, task: Task, cls: Any) -> None:
    """Check the arguments of a mode before anything is loaded or written; name what has no effect.

    Args:
        given: Arguments, Ultralytics' and ours.
        mode: ``train``, ``val`` or ``predict``.
        task: The task.
        cls: Class that runs the mode; it says which keys are ours.

    Raises:
        ConfigError: A key that neither Ultralytics nor rsdet knows, or a value out of its range.
    """
    from ultralytics.cfg import check_cfg
    from ultralytics.utils import DEFAULT_CFG_DICT

    own, said = own_keys(cls), "track" if given.get("mode") == "track" else mode
    known = {*DEFAULT_CFG_DICT, *own, *_EVERY_MODE, *_OF_MODE[mode]}
    for key in given:
        if key not in own and (why := task.refuses(key, mode)):
            raise ConfigError(f"{key}= {why}.")
        if key == "bands" and key not in own:
            raise ConfigError(f"bands= of {mode} stands in the data YAML, as bands: [1, 2, 3].")
        if key not in known:
            known |= SCENE_KEYS if mode == "predict" and task.tiles else set()
            raise ConfigError(f"unknown argument {key!r} of {said}.{nearest(key, known)} See `rsdet help {said}`.")
    stock = {k: v for k, v in given.items() if k not in own}
    with user_errors():
        check_cfg(stock)
    if unused := without_effect(stock, mode, task):
        them = "it" if len(unused) == 1 else "them"
        say(f"{', '.join(f'{k}=' for k in unused)}: {said} makes no use of {them}; leave {them} out.", logging.WARNING)
    _check_stock_values(stock, mode)


def training_keys() -> frozenset[str]:
    """Keys of Ultralytics of which something comes in the training of a detector."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    return frozenset(DEFAULT_CFG_DICT) - _NOT_IN_TRAINING


def stock_keys(mode: str, task: Task) -> dict[str, Any]:
    """Keys of Ultralytics of which something comes in a mode, with its defaults."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    if mode == "track" and not task.tracks:
        return {}
    used = (task.stock_keys("predict") or frozenset()) - {"embed"} if mode == "track" else task.stock_keys(mode)
    used = training_keys() if used is None else used | (_EVERY_RUN - {"model", "mode"})
    return {k: v for k, v in DEFAULT_CFG_DICT.items() if k in used and not task.refuses(k, mode)}


def without_effect(given: Mapping[str, Any], mode: str, task: Task) -> list[str]:
    """Keys of Ultralytics of which nothing comes in a mode, and whose values say more than what is usual."""
    from ultralytics.utils import DEFAULT_CFG_DICT

    used = {*stock_keys(mode, task), *_EVERY_RUN}
    if mode == "val" and not isinstance(given.get("fraction"), (list, tuple)):
        used = used - {"fraction"}  # a number is a part of the training images, a list has one for each split
    used = used | ({"tracker"} if given.get("mode") == "track" else set())
    return [k for k, v in given.items() if k in DEFAULT_CFG_DICT and k not in used and v != DEFAULT_CFG_DICT[k]]


def _check_stock_values(given: Mapping[str, Any], mode: str) -> None:
    sizes = given.get("imgsz", 640)
    each = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    if not 1 <= len(each) <= 2 or not all(_accepts(int, n) and 0 < n < MOST for n in each):
        raise ConfigError(f"imgsz={sizes!r} must be a positive whole number, or height and width; e.g. imgsz=640.")
    batch = given.get("batch", 1)
    if not (_accepts(int, batch) and batch > 0) and not (mode == "train" and (batch == -1 or 0 < batch < 1)):
        raise ConfigError(f"batch={batch!r} must be a whole number of 1 or more; e.g. batch=8.")
    if given.get("workers", 0) < 0:
        raise ConfigError(f"workers={given['workers']} must be 0 or more; leave it out if in doubt.")
    for key, what in (("classes", "class numbers"), ("freeze", "layer numbers")):
        value = given.get(key)
        each = list(value) if isinstance(value, (list, tuple)) else [value]
        if value is not None and not all(_accepts(int, n) and n >= 0 for n in each):
            raise ConfigError(f"{key}={value!r} must be {what}, counted from 0; e.g. {key}=0,2.")
    check_tracker(given.get("tracker"))
    if isinstance(given.get("augmentations"), (str, int, float)):
        raise ConfigError("augmentations= takes a list of Albumentations transforms, in Python only; leave it out.")


def check_number(key: str, value: Any, low: float, high: float, what: str) -> None:
    """Refuse what is no number from ``low`` to ``high``.

    Args:
        key: Name of the argument.
        value: Its value.
        low: Smallest that is taken.
        high: Largest; infinity is never taken.
        what: What is expected, with an example: ``"a probability from 0 to 1; e.g. rot90=0.5"``.

    Raises:
        ConfigError: It is none.
    """
    if not _accepts(float, value) or not low <= value <= high or value == math.inf:
        raise ConfigError(f"{key}={value!r} must be {what}.")


def check_whole(key: str, value: Any, least: int, what: str) -> None:
    """Refuse what is no whole number of ``least`` or more; see :func:`check_number` for the arguments."""
    if not _accepts(int, value) or value < least:
        raise ConfigError(f"{key}={value!r} must be {what}.")

"""Model YAMLs: finding them, choosing a scale, filling in their variables. Nothing is decided by a file's name.

On top of what Ultralytics reads, a model YAML states ``task``, ``family`` (``rtdetr`` or ``yolo``) and ``scale``, and
may hold ``vars``: named values that stand for themselves anywhere in the rows. A scale is either Ultralytics' list
``[depth, width, max_channels]`` or a mapping of such variables.

Some models have no rows: a network names its class under ``network`` and its arguments under ``args``, a method, which
learns nothing, its name under ``method``; its settings are ``vars``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from typing import Any

from rsdet import tasks
from rsdet.errors import ConfigError, nearest
from rsdet.paths import cfg_dir
from rsdet.textfiles import read_yaml

YAML_SUFFIXES = (".yaml", ".yml")
_UNBUILDABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError,
)  # fmt: skip


def list_models(pattern: str = "*", task: str | None = None) -> list[str]:
    """Names of the shipped model YAMLs that match a shell pattern, sorted.

    Args:
        pattern: Shell pattern, with or without ``.yaml``.
        task: Only models of this task, such as ``"detect"``.
    """
    files = (cfg_dir() / "models").glob(f"{task or '*'}/*.yaml")
    return sorted(f.name for f in files if fnmatch(f.name, pattern) or fnmatch(f.stem, pattern))


def find_model_yaml(name: str | Path) -> Path | None:
    """Path of a model YAML: the file itself if it exists, else the shipped one of that name, else ``None``."""
    path = Path(name)
    if path.is_file():
        return path
    if path.parent != Path("."):
        return None
    wanted = path.name if path.suffix in YAML_SUFFIXES else f"{path.name}.yaml"
    return next((cfg_dir() / "models").glob(f"*/{escape(wanted)}"), None)


def form_of(d: dict[str, Any]) -> str:
    """What a model dictionary describes its model by: ``"rows"``, a ``"network"`` or a ``"method"``."""
    if "network" in d:
        return "network"
    return "rows" if {"backbone", "head"} & d.keys() or "family" not in d else "method"


def _substitute(value: Any, names: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_substitute(v, names) for v in value]
    if isinstance(value, dict):
        return {k: _substitute(v, names) for k, v in value.items()}
    if isinstance(value, str) and value in names:
        return deepcopy(names[value])
    return value


def resolve(d: dict[str, Any], scale: str | None = None, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """Choose the scale of a model dictionary and put its variables into the rows.

    Args:
        d: Content of a model YAML; not changed.
        scale: Scale to build instead of the YAML's own ``scale``.
        overrides: Values for names in ``vars`` (or in the mapping of the scale), such as ``{"nq": 500}``.

    Returns:
        A dictionary that Ultralytics' parser understands: plain rows, and ``scales`` only in its own list form.

    Raises:
        ConfigError: Unknown scale or variable.
    """
    d = deepcopy(d)
    variable_names(d)
    form = form_of(d)
    _check_family(d)
    scales = d.get("scales") or {}
    chosen = scale or d.get("scale") or next(iter(scales), None)
    if scale and scale not in scales:
        known = ", ".join(scales) or "none: it has a single size"
        raise ConfigError(f"scale={scale!r} is not a scale of this model; it has {known}.")
    names = dict(d.pop("vars", None) or {})
    if isinstance(scales.get(chosen), dict):
        names |= scales[chosen]
        d.pop("scales")
    for key, value in (overrides or {}).items():
        if key not in names:
            raise ConfigError(f"{key!r} is not a variable of this model; it has {sorted(names)}.{nearest(key, names)}")
        if form != "method":  # those check their settings themselves
            _check_like(key, value, names[key])
        names[key] = value
    d["scale"] = chosen or ""
    # A variable may stand for another one (neck: w3), hence twice; `nc` stays a name until the data is known.
    names = {k: _substitute(v, names) for k, v in names.items() if k != "nc"}
    for part in ("backbone", "head") if form == "rows" else ("args", "loss"):
        if part in d or form == "rows":
            d[part] = _substitute(d.get(part, []), names)
    if form == "method":
        d["vars"] = names
    return d


def _check_family(d: dict[str, Any]) -> None:
    """Make sure that the family is one of the task's, or of any task where it is not said."""
    family, task = d.get("family"), d.get("task")
    if family is None or (task is not None and task not in tasks.names()):
        return  # the task is refused where the model is built
    known = [f for name in ([task] if task else tasks.names()) for f in tasks.get(name).families]
    if family not in known:
        raise ConfigError(f"family must be one of {known}, received {family!r}.{nearest(family, known)}")


def variable_names(d: dict[str, Any]) -> set[str]:
    """Names of everything in a model dictionary that can be set: ``vars`` and the mappings of its scales.

    Raises:
        ConfigError: A part of the dictionary is not of the kind it must be.
    """
    kinds = {**dict.fromkeys(("vars", "scales", "args", "loss"), dict), "backbone": list, "head": list}
    for key, kind in kinds.items():
        if d.get(key) is not None and not isinstance(d[key], kind):
            said = "a mapping" if kind is dict else "a list of rows"
            raise ConfigError(f"{key}: in the model YAML must be {said}, received {d[key]!r}; mend the file.")
    mappings = [d.get("vars") or {}, *(s for s in (d.get("scales") or {}).values() if isinstance(s, dict))]
    return {name for mapping in mappings for name in mapping}


def _check_like(key: str, value: Any, default: Any) -> None:
    """Refuse a value that cannot stand where the default stood: another type, or a number that is not positive."""
    number = (int, float)
    if isinstance(default, number) and not isinstance(default, bool):
        ok = isinstance(value, number) and not isinstance(value, bool) and (value > 0 or default <= 0)
        ok = ok and (isinstance(value, int) or isinstance(default, float))
    else:
        ok = isinstance(value, type(default)) or default is None
    if not ok:
        raise ConfigError(f"{key}={value!r} does not fit this model; use a value like its default, {default!r}.")


@contextmanager
def buildable(name: str | Path) -> Iterator[None]:
    """Say in one line what went wrong while the rows of a YAML became layers, and in which row where it is known.

    Raises:
        ConfigError: In place of whatever a YAML that describes no network makes of the code that builds it.
    """
    try:
        yield
    except _UNBUILDABLE as e:
        # The stock parser takes all rows in one call and names none: its frame alone knows how far it has come.
        row, tb = "", e.__traceback__
        while tb is not None:
            if tb.tb_frame.f_code.co_name == "parse_model" and isinstance(tb.tb_frame.f_locals.get("i"), int):
                row = f" row {tb.tb_frame.f_locals['i']}:"
            tb = tb.tb_next
        why = " ".join(str(e).split())[:200] or type(e).__name__
        raise ConfigError(
            f"{name}:{row} no layer can be built from this ({why}); mend the row or the variables in it."
        ) from e


def read_model_yaml(name: str | Path) -> dict[str, Any]:
    """Content of a model YAML of ours, of the user's or of Ultralytics; what it is based on is filled in.

    A YAML with ``base:`` (the name of another one, shipped or beside it) takes everything that it does not state itself
    from there; of ``vars``, each by itself.

    Raises:
        ConfigError: No such model, or a chain of bases that leads back to itself.
    """
    d: dict[str, Any] = {}
    seen: list[str] = []
    at: str | Path | None = name
    while at is not None:
        path = find_model_yaml(at)
        own = {**read_yaml(path), "yaml_file": path.name} if path else _load_stock(at)
        seen.append(str(at))
        base = own.pop("base", None)
        if "network" in own and own.get("task") in tasks.names():
            own.setdefault("family", tasks.get(own["task"]).families[0])
        if base is None and "family" not in own and path and path.parent == Path(".") and not own.get("backbone"):
            raise ConfigError(f"{path} has no backbone rows; it does not describe a model.")
        given = [v for v in (own.get("vars"), d.get("vars")) if v is not None]
        d = {**own, **d}
        if len(given) == 2 and all(isinstance(v, dict) for v in given):
            d["vars"] = {**given[0], **given[1]}
        if base is not None and not isinstance(base, str):
            raise ConfigError(f"{at}: base: must be the name of a model YAML, received {base!r}; mend the file.")
        if base is not None and path and (path.parent / base).is_file():
            base = str(path.parent / base)
        if base in seen:
            raise ConfigError(f"{name}: base: {base} leads back to itself; name another model.")
        at = base
    return d


def load_model_yaml(
    name: str | Path,
    scale: str | None = None,
    overrides: dict[str, Any] | None = None,
    parts: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Read a model YAML of ours, of the user's or of Ultralytics, ready to be built.

    Args:
        name: Path or shipped name.
        scale: See :func:`resolve`.
        overrides: See :func:`resolve`.
        parts: ``attention`` and ``head`` to use instead of the model's own, see :func:`rsdet.parts.add_parts`.

    Returns:
        The resolved dictionary with ``family`` and ``task`` filled in.

    Raises:
        ConfigError: No such model; the nearest names are suggested.
    """
    d = read_model_yaml(name)
    d = resolve(d, scale, overrides)
    import rsdet.nn  # noqa: F401  registers every layer
    from rsdet.registry import check_rows, layer_class

    own = d.pop("parts", None) or {}
    if not isinstance(own, dict) or set(own) - {"attention", "head"}:
        raise ConfigError(f"{name}: parts: must be a mapping of attention and head, received {own!r}; mend the file.")
    parts = {**own, **(parts or {})}
    if form_of(d) != "rows":
        if parts:
            raise ConfigError(f"{', '.join(parts)}: only a network made of rows takes this, {name} has none; drop it.")
        return tasks.get(d.setdefault("task", "detect")).check_yaml(d, str(name))
    check_rows(d, str(name))
    if parts:
        from rsdet.parts import add_parts

        d = add_parts(d, **parts)
    head = d["head"][-1][2] if d.get("head") else ""
    d.setdefault("family", "rtdetr" if head.startswith("RTDETR") else "yolo")
    d.setdefault("nc", 80)
    task = task_of(layer_class(head))
    if "task" in d:
        tasks.get(d["task"])  # one that does not exist is told as such
    check_task_of_head(task, d.setdefault("task", task or "detect"), str(name))
    return d


# Heads of Ultralytics by the task that they are for; one that derives from another is for the task of the nearest here.
_HEADS = {
    "Detect": "detect", "RTDETRDecoder": "detect", "OBB": "obb", "Segment": "segment", "YOLOESegment": "segment",
    "Pose": "pose", "Classify": "classify", "SemanticSegment": "semantic", "Depth": "depth",
}  # fmt: skip


def task_of(head: type | str | None) -> str | None:
    """Task that a head is for, by the head of Ultralytics that it derives from, or by its name; None for others."""
    if isinstance(head, str):
        return _HEADS.get(head)
    stock = [c.__name__ for c in (head.__mro__ if head else ()) if c.__module__.startswith("ultralytics.")]
    return next((_HEADS[name] for name in stock if name in _HEADS), None)


def check_task_of_head(task: str | None, asked: str, name: str) -> None:
    """Make sure that a head is for the task that is asked for, or that its file names.

    Args:
        task: Task of the head, see :func:`task_of`.
        asked: The task it is to be used for.
        name: Of the file, for the message.

    Raises:
        ConfigError: It is for another one.
    """
    if task is not None and task not in tasks.names():
        raise ConfigError(
            f"{name} is a model for task={task}; rsdet has no such task, it has {', '.join(tasks.names())}."
        )
    if task is None or task == asked:
        return
    raise ConfigError(f"{name} ends in a head for task={task}, not for task={asked}; use task={task} or another model.")


def _load_stock(name: str | Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import yaml_model_load

    family = re.sub(r"(\d+)[nslmx](?=\D*$)", r"\1", str(name))  # yolo11n.yaml is scale n of yolo11.yaml
    try:
        if "://" in str(name):  # what a YAML is based on is never fetched
            raise FileNotFoundError(name)
        if Path(family).is_file():
            read_yaml(Path(family))  # within our limits, before Ultralytics reads it
        return yaml_model_load(str(name))
    except (FileNotFoundError, OSError) as e:
        hint = nearest(Path(name).name, list_models())
        raise ConfigError(
            f"model {str(name)!r} was not found, neither as a file nor among the shipped models.{hint} "
            "`rsdet list` shows them."
        ) from e

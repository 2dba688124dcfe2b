"""Model YAMLs: finding them, choosing a scale, filling in their variables. Nothing is decided by a file's name.

On top of what Ultralytics reads, a model YAML states ``task``, ``family`` (``rtdetr`` or ``yolo``) and ``scale``, and
may hold ``vars``: named values that stand for themselves anywhere in the rows. A scale is either Ultralytics' list
``[depth, width, max_channels]`` or a mapping of such variables.
"""

from __future__ import annotations

from copy import deepcopy
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from rsdet.errors import ConfigError, nearest
from rsdet.paths import cfg_dir

FAMILIES = ("rtdetr", "yolo")


def list_models(pattern: str = "*", task: str | None = None) -> list[str]:
    """Names of the shipped model YAMLs that match a shell pattern, sorted.

    Args:
        pattern: Shell pattern, with or without ``.yaml``.
        task: Only models of this task, such as ``"detect"``.
    """
    files = (cfg_dir() / "models").glob(f"{task or '*'}/*.yaml")
    return sorted(f.name for f in files if fnmatch(f.name, pattern) or fnmatch(f.stem, pattern))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; a syntax error becomes one line that says where."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path} is not valid YAML{at}: {getattr(e, 'problem', e)}; mend that line.") from e
    except (OSError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} cannot be read ({e}); pass a text file in YAML.") from e
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a YAML mapping, received {type(content).__name__}.")
    return content


def find_model_yaml(name: str | Path) -> Path | None:
    """Path of a model YAML: the file itself if it exists, else the shipped one of that name, else ``None``."""
    path = Path(name)
    if path.is_file():
        return path
    if path.parent != Path("."):
        return None
    wanted = path.name if path.suffix in {".yaml", ".yml"} else f"{path.name}.yaml"
    return next((cfg_dir() / "models").glob(f"*/{wanted}"), None)


def _substitute(value: Any, names: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_substitute(v, names) for v in value]
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
    family = d.get("family")
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"family must be one of {list(FAMILIES)}, received {family!r}.{nearest(family, FAMILIES)}")
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
        names[key] = value
    d["scale"] = chosen or ""
    # A variable may stand for another one (neck: w3), hence twice; `nc` stays a name until the data is known.
    names = {k: _substitute(v, names) for k, v in names.items() if k != "nc"}
    for part in ("backbone", "head"):
        d[part] = _substitute(d.get(part, []), names)
    return d


def load_model_yaml(
    name: str | Path, scale: str | None = None, overrides: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Read a model YAML of ours, of the user's or of Ultralytics, ready to be built.

    Args:
        name: Path or shipped name.
        scale: See :func:`resolve`.
        overrides: See :func:`resolve`.

    Returns:
        The resolved dictionary with ``family`` and ``task`` filled in.

    Raises:
        ConfigError: No such model; the nearest names are suggested.
    """
    path = find_model_yaml(name)
    if path is None:
        d = _load_stock(name)
    else:
        d = read_yaml(path)
        d["yaml_file"] = path.name
        if "family" not in d and path.parent == Path(".") and not d.get("backbone"):
            raise ConfigError(f"{path} has no backbone rows; it does not describe a model.")
    d = resolve(d, scale, overrides)
    import rsdet.nn  # noqa: F401  registers every layer
    from rsdet.registry import check_rows

    check_rows(d, str(name))
    head = d["head"][-1][2] if d.get("head") else ""
    d.setdefault("family", "rtdetr" if head.startswith("RTDETR") else "yolo")
    d.setdefault("nc", 80)
    return d


def _load_stock(name: str | Path) -> dict[str, Any]:
    from ultralytics.nn.tasks import yaml_model_load

    try:
        return yaml_model_load(str(name))
    except (FileNotFoundError, OSError) as e:
        hint = nearest(Path(name).name, list_models())
        raise ConfigError(
            f"model {str(name)!r} was not found, neither as a file nor among the shipped models.{hint} "
            "`rsdet list` shows them."
        ) from e

"""Training recipes: named settings that a model YAML points to, kept in ``cfg/recipes``."""

from __future__ import annotations

from typing import Any

from rsdet.errors import ConfigError, nearest
from rsdet.paths import cfg_dir
from rsdet.textfiles import read_yaml


def list_recipes() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return sorted(p.stem for p in (cfg_dir() / "recipes").glob("*.yaml"))


def recipe_settings(model_yaml: dict[str, Any], name: str | None) -> tuple[str, dict[str, Any]]:
    """Settings of a recipe.

    Args:
        model_yaml: A model YAML; it may hold ``recipes`` (a mapping from a short name such as ``paper`` to a file name
            in ``cfg/recipes``) and ``recipe`` (the one used when none is asked for).
        name: A short name of the model's, the name of a shipped recipe, ``"none"``, or ``None`` for the model's own.

    Returns:
        The name, and training arguments (settings, of a method that learns on each picture); empty for ``"none"``.

    Raises:
        ConfigError: No such recipe.
    """
    own = model_yaml.get("recipes") or {}
    name = name or model_yaml.get("recipe") or "none"
    if not isinstance(name, str) or not isinstance(own, dict) or not all(isinstance(v, str) for v in own.values()):
        raise ConfigError(f"recipe and recipes of a model YAML must be names, received {name!r} and {own!r}; mend it.")
    if name == "none":
        return name, {}
    if own.get(name, name) not in list_recipes():
        known = ["none", *own, *list_recipes()]
        raise ConfigError(f"recipe must be one of {known}, received {name!r}.{nearest(name, known)}")
    return name, _read(own.get(name, name))


def usual_imgsz(model_yaml: dict[str, Any]) -> int | None:
    """Side in pixels at which a model is trained when nobody says otherwise; None where no recipe of its own says."""
    try:
        return recipe_settings(model_yaml, None)[1].get("imgsz")
    except ConfigError:  # weights may name a recipe that does not ship
        return None


def _read(file: str) -> dict[str, Any]:
    """One recipe file; what it does not state is taken from its ``base:``."""
    settings = read_yaml(cfg_dir() / "recipes" / f"{file}.yaml")
    base = settings.pop("base", None)
    return {**_read(base), **settings} if base else settings

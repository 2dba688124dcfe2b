"""Training recipes: named settings that a model YAML points to, kept in ``cfg/recipes``."""

from __future__ import annotations

from typing import Any

from rsdet.errors import ConfigError, nearest
from rsdet.paths import cfg_dir
from rsdet.textfiles import read_yaml


def list_recipes() -> list[str]:
    """Names of the shipped recipes, sorted."""
    return sorted(p.stem for p in (cfg_dir() / "recipes").glob("*.yaml"))


def recipe_settings(model: Any, name: str | None) -> tuple[str, dict[str, Any]]:
    """Settings of a recipe.

    Args:
        model: A model; its YAML may hold ``recipes`` (a mapping from a short name such as ``paper`` to a file name in
            ``cfg/recipes``) and ``recipe`` (the one used when none is asked for).
        name: A short name of the model's, the name of a shipped recipe, ``"none"``, or ``None`` for the model's own.

    Returns:
        The name, and training arguments of Ultralytics; empty for ``"none"``.

    Raises:
        ConfigError: No such recipe.
    """
    d = getattr(model, "yaml", None) or {}
    own = d.get("recipes") or {}
    name = name or d.get("recipe") or "none"
    if name == "none":
        return name, {}
    file = cfg_dir() / "recipes" / f"{own.get(name, name)}.yaml"
    if not file.is_file():
        known = ["none", *own, *list_recipes()]
        raise ConfigError(f"recipe must be one of {known}, received {name!r}.{nearest(name, known)}")
    return name, read_yaml(file)

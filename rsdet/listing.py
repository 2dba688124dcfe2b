"""``rsdet list``: what ships with the package."""

from __future__ import annotations

from rsdet.errors import ConfigError, nearest
from rsdet.paths import datasets_dir


def _models() -> list[str]:
    from rsdet.modelyaml import list_models
    from rsdet.paths import cfg_dir

    tasks = sorted(p.name for p in (cfg_dir() / "models").iterdir() if p.is_dir())
    return [name if task == "detect" else f"{name} ({task})" for task in tasks for name in list_models(task=task)]


def _datasets() -> list[str]:
    return sorted(p.name for p in datasets_dir().glob("*.yaml"))


def _modules() -> list[str]:
    import rsdet.nn  # noqa: F401  registers every layer
    from rsdet.registry import list_modules

    return list_modules()


def _recipes() -> list[str]:
    from rsdet.recipes import list_recipes

    return list_recipes()


def _protocols() -> list[str]:
    from rsdet.metrics.detection_areas import PROTOCOLS

    return [f"{name}: {p.description}" for name, p in PROTOCOLS.items()]


KINDS = {"models": _models, "datasets": _datasets, "modules": _modules, "recipes": _recipes, "protocols": _protocols}


def print_list(what: str | None = None) -> None:
    """Print the names of one kind, or of every kind.

    Args:
        what: ``models``, ``datasets``, ``modules``, ``recipes`` or ``protocols``.
    """
    if what is not None and what not in KINDS:
        raise ConfigError(f"list must be asked for one of {list(KINDS)}, received {what!r}.{nearest(what, KINDS)}")
    for kind in [what] if what else ["models", "datasets", "recipes"]:
        print(f"{kind}:")
        for name in KINDS[kind]():
            print(f"  {name}")

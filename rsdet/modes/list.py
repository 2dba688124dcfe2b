"""``rsdet list``: what ships with the package."""

from __future__ import annotations

from collections.abc import Callable

from rsdet import tasks, zoo
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import function_mode
from rsdet.names import printable
from rsdet.paths import cfg_dir, datasets_dir


def _models() -> list[str]:
    from rsdet.modelyaml import list_models

    rooms = sorted(p.name for p in (cfg_dir() / "models").iterdir() if p.is_dir())
    return [f"{name} ({task})" for task in rooms for name in list_models(task=task)]


def _weights() -> list[str]:
    return [zoo.card_of(name).line() for name in zoo.list_weights()]


def _datasets() -> list[str]:
    return sorted(p.name for p in datasets_dir().glob("*.yaml"))


def _modules() -> list[str]:
    import rsdet.nn  # noqa: F401  registers every layer
    from rsdet.nn.networks import NETWORKS
    from rsdet.registry import list_modules

    return [*list_modules(), *(f"{name} (network)" for name in sorted(NETWORKS))]


def _recipes() -> list[str]:
    from rsdet.recipes import list_recipes

    return list_recipes()


def _protocols() -> list[str]:
    from rsdet.metrics.detection_areas import PROTOCOLS, SHAPES

    ours = [f"{name}, of {' and '.join(SHAPES[s] for s in p.shapes)}: {p.description}" for name, p in PROTOCOLS.items()]
    return [*ours, "ultralytics, of all: its own matching and table"]


def _tasks() -> list[str]:
    from rsdet import modes  # not yet complete while this module is imported by it

    shared = {m: modes.get(m) for m in modes.names() if any(key.startswith("model") for key in modes.get(m).needs)}
    lines = []
    for task in map(tasks.get, tasks.names()):
        theirs = [*(name for name, mode in shared.items() if mode.suits(task)), *task.modes]
        lines.append(f"{task.name}: {task.about}; families {', '.join(task.families)}; modes {', '.join(theirs)}")
    return lines


KINDS: dict[str, Callable[[], list[str]]] = {
    "weights": _weights, "models": _models, "datasets": _datasets, "recipes": _recipes, "tasks": _tasks,
    "modules": _modules, "protocols": _protocols,
}  # fmt: skip


def print_list(what: str | None = None) -> None:
    """Print the names of one kind, or of every kind.

    Args:
        what: weights, models, datasets, recipes, tasks, modules or protocols; all but the last two where it is left
            out.
    """
    if what is not None and what not in KINDS:
        raise ConfigError(f"list must be asked for one of {', '.join(KINDS)}; received {what!r}.{nearest(what, KINDS)}")
    for kind in [what] if what else ["weights", "models", "datasets", "recipes", "tasks"]:
        print(f"{kind}:")
        for name in KINDS[kind]():
            print(printable(f"  {name}"))


MODE = function_mode(
    "list",
    f"{__name__}:print_list",
    "name what ships with the package",
    examples=(f"list [{'|'.join(KINDS)}]",),
    positional=("what",),
)

"""``rsdet get``: data sets and weights by name, before something needs them."""

from __future__ import annotations

from typing import Any

from rsdet import zoo
from rsdet.arguments import fit
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import Mode, say
from rsdet.paths import datasets_dir
from rsdet.textfiles import read_yaml


def get(name: str | None = None, task: str | None = None) -> None:
    """Fetch a data set or weights, verify and convert them, and say where they are.

    Nothing is fetched that its owner does not offer by address; for other sets it says what to download by hand, and
    converts what lies there.

    Args:
        name: Data set or weights; what there is, and how it is come by, where it is left out.
        task: Make the labels of the data set for this task instead of the usual one.
    """
    if name is None:
        say("\n".join(_known()))
        return
    if zoo.find_card(name) is not None:
        if task is not None:
            raise ConfigError(f"{name} are weights, which have their task; leave task= out.")
        say(f"{name}: {zoo.weights(name)}")
        return
    from rsdet.data.download import list_datasets
    from rsdet.data.resolve import resolve_data  # heavy: data are read and converted

    known = [*list_datasets(), *zoo.list_weights()]
    if name.removesuffix(".yaml") not in known and not name.endswith((".yaml", ".yml")) and "-" not in name:
        raise ConfigError(f"there is no {name!r} to get.{nearest(name, known)} `rsdet get` names what there is.")
    say(f"{name}: {resolve_data(name, task)}")


def _known() -> list[str]:
    lines = ["weights:", *(f"  {name}: {_where(zoo.card_of(name))}" for name in zoo.list_weights()), "data sets:"]
    for path in sorted(datasets_dir().glob("*.yaml")):
        content = read_yaml(path)
        how = "by hand: rsdet get says what to download"
        if "render" in content:
            how = "drawn here"
        elif content.get("fetch"):
            how = f"fetched, licence {content.get('licence', 'not stated')}"
        lines.append(f"  {path.stem}: {how}")
    return lines


def _where(card: zoo.Card) -> str:
    return f"{card.size_mb:.1f} MB, {'ship with rsdet' if card.shipped else 'fetched'}"


def _run(args: dict[str, Any]) -> None:
    get(**fit(get, args, "get"))


MODE = Mode(
    "fetch a data set or weights by name, verified",
    _run,
    examples=("get hit-uav", "get"),
    positional=("name",),
    functions=lambda: (get,),
)

"""``rsdet get``: data sets and weights by name, before something needs them."""

from __future__ import annotations

import textwrap

from rsdet import zoo
from rsdet.errors import ConfigError, nearest
from rsdet.modes.mode import function_mode, say
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
    if name in zoo.list_weights():
        if task is not None:
            raise ConfigError(f"{name} are weights, which have their task; leave task= out.")
        say(f"{name}: {zoo.weights(name)}")
        return
    from rsdet.data.download import list_datasets
    from rsdet.data.resolve import resolve_data  # heavy: data are read and converted

    known = [*list_datasets(), *zoo.list_weights()]
    names = {name.removesuffix(".yaml"), name.rpartition("-")[0]}  # the latter of a part, such as haze1k-thin
    if not names & set(known) and not name.endswith((".yaml", ".yml")):
        raise ConfigError(f"there is no {name!r} to get.{nearest(name, known)} `rsdet get` names what there is.")
    say(f"{name}: {resolve_data(name, task)}")


def _known() -> list[str]:
    """What there is, by how it is come by."""
    groups: dict[str, list[str]] = {
        "weights": [f"{name} ({_where(zoo.card_of(name))})" for name in zoo.list_weights()],
        "data sets that are fetched": [],
        "data sets that are drawn here": [],
        "data sets to be downloaded by hand; rsdet get NAME says from where": [],
    }
    _, fetched, drawn, by_hand = groups.values()
    for path in sorted(datasets_dir().glob("*.yaml")):
        content = read_yaml(path)
        made_of = read_yaml(datasets_dir() / f"{content['pictures_of']}.yaml") if "pictures_of" in content else content
        if made_of.get("fetch"):
            fetched.append(f"{path.stem} (licence: {content.get('licence', 'not stated')})")
        else:
            (drawn if "render" in content else by_hand).append(path.stem)
    lines = []
    for title, found in groups.items():
        text = textwrap.fill(", ".join(found), 110, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        lines += [f"{title}:", text]
    return lines


def _where(card: zoo.Card) -> str:
    if card.faults():
        return "its card is not complete"
    return f"{card.size}, {'ships with rsdet' if card.shipped else 'fetched'}"


MODE = function_mode(
    "get",
    f"{__name__}:get",
    "fetch a data set or weights by name, verified",
    examples=("get hit-uav",),
    positional=("name",),
)

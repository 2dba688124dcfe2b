"""``rsdet convert``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.arguments import fit
from rsdet.errors import ConfigError
from rsdet.modes.mode import Mode, say


def _run(args: dict[str, Any]) -> None:
    from rsdet.data.convert import convert
    from rsdet.data.importers import IMPORTERS

    if "labels" in args:
        args = {"format": "vector", **args}
    if "source" in args and "format" not in args:
        raise ConfigError(f"convert needs format=, the one of source=: {', '.join(IMPORTERS)}.")
    say(convert(**fit(convert, args, "convert", also=["extra"])).summary())


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.data.convert import convert

    return (convert,)


MODE = Mode(
    "turn a dataset into the layout that is trained on, or into files of COCO or DOTA",
    _run,
    examples=(
        "convert source=VisDrone2019/ format=visdrone out=visdrone-yolo",
        "convert source=DOTA/ format=dota out=dota-yolo task=obb",
        "convert source=pictures/ format=yolo out=my-yolo val_fraction=0.2",
        "convert source=scene.tif labels=objects.gpkg out=tiles tile=640 overlap=0.2 keep=0.4",
        "convert source=scene.tif labels=landslides.gpkg task=semantic out=maps tile=512 empty=1",
        "convert source=pictures/ format=masks task=semantic names=water=#0000ff,road=#ff0000 out=maps",
    ),
    functions=_functions,
)

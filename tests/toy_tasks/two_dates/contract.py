"""Rendered places: what the contract needs of the toy task."""

from __future__ import annotations

from pathlib import Path

from contract_case import Case
from toy_tasks.two_dates.parts import render

from rsdet.data.raster_io import write_image


def data_yaml(folder: Path) -> Path:
    for split, n in (("train", 4), ("val", 2)):
        for i in range(n):
            place = folder / split / str(i)
            place.mkdir(parents=True)
            stacked, changed = render(i + 10 * (split == "val"))
            for name, raster in (("before", stacked[:3]), ("after", stacked[3:]), ("changed", changed)):
                write_image(place / f"{name}.png", raster.transpose(1, 2, 0))
    file = folder / "places.yaml"
    file.write_text(f"task: two_dates\npath: {folder}\ntrain: train\nval: val\nnames: [change]\n")
    return file


def model_yaml(folder: Path) -> Path:
    file = folder / "two-dates.yaml"
    file.write_text("task: two_dates\nfamily: two_dates\nchannels: 6\nvars: {width: 4}\nargs: {width: width}\n")
    return file


CASE = Case(
    model_yaml=model_yaml,
    data_yaml=data_yaml,
    source=lambda data: data.parent / "val" / "0",
    lively=lambda model: model,
    size=64,
    own_key="swap",
    train={"batch": 2},
)

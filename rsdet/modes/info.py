"""``rsdet info``."""

from __future__ import annotations

from typing import Any

from rsdet.arguments import fit
from rsdet.modes._model import NEEDS, functions_of_model, open_model
from rsdet.modes.mode import Mode


def _run(args: dict[str, Any]) -> None:
    model = open_model(args)
    model.info(**fit(model.info, args, "info", also=["verbose"]))


MODE = Mode(
    "count parameters and operations",
    _run,
    examples=("info model=vmc-detr.yaml scale=n detailed=True",),
    needs=NEEDS,
    functions=lambda: (*functions_of_model(), functions_of_model()[0].info),
)

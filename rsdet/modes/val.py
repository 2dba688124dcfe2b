"""``rsdet val``."""

from __future__ import annotations

from typing import Any

from rsdet.modes._model import NEEDS, classes_of, functions_of_model, open_model
from rsdet.modes.mode import Mode, saved_to, say


def _run(args: dict[str, Any]) -> None:
    metrics = open_model(args).val(**args)
    say(saved_to(metrics.save_dir))


MODE = Mode(
    "measure accuracy by a named protocol",
    _run,
    examples=("val model=vmc-detr-hituav data=hit-uav-sample split=test protocol=coco",),
    needs=NEEDS,
    functions=lambda: (*functions_of_model(), functions_of_model()[0].val),
    own=classes_of("validator"),
    stock=True,
)

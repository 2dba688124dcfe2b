"""``rsdet train``."""

from __future__ import annotations

from typing import Any

from rsdet.modes._model import NEEDS, classes_of, functions_of_model, open_model
from rsdet.modes.mode import Mode, saved_to, say


def _run(args: dict[str, Any]) -> None:
    model = open_model(args)
    if args.get("recipe", "") is None:  # recipe=none asks for no recipe, and not for that of the model
        args["recipe"] = "none"
    model.train(**args)
    say(saved_to(model.trainer.save_dir))


MODE = Mode(
    "train a model on a data set",
    _run,
    examples=(
        "train model=vmc-detr-demo data=my-data.yaml epochs=50 imgsz=320",
        "train model=vmc-detr.yaml data=visdrone.yaml",
        "train model=sar-ship.yaml data=hrsid.yaml",
        "train model=dwtma-net.yaml data=haze1k-thin patch=240",
    ),
    needs={**NEEDS, "data|resume": "pass a data YAML or a shipped dataset such as data=demo"},
    functions=lambda: (*functions_of_model(), functions_of_model()[0].train),
    own=classes_of("trainer"),
    stock=True,
)

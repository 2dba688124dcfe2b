"""``rsdet export``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsdet.modes._model import NEEDS, functions_of_model, open_model
from rsdet.modes.mode import Mode, say


def _run(args: dict[str, Any]) -> None:
    result = open_model(args).export(**args)
    say(f"Exported to {result.path}")


def _functions() -> tuple[Callable[..., Any], ...]:
    from rsdet.deploy.settings import ExportSettings

    return (*functions_of_model(), ExportSettings)


MODE = Mode(
    "write a file for deployment that agrees with the model, or none",
    _run,
    examples=(
        "export model=vmc-detr-demo format=onnx",
        "export model=vmc-detr-demo format=openvino int8=True data=demo",
    ),
    needs=NEEDS,
    functions=_functions,
    own=lambda task: (task.export_options,),
)

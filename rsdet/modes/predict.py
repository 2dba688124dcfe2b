"""``rsdet predict``."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, DataError
from rsdet.modes._model import NEEDS, classes_of, functions_of_model, open_model
from rsdet.modes.mode import Mode, say


def _run(args: dict[str, Any]) -> None:
    from rsdet.runtime.light import predict as predict_exported

    done = predict_exported(args)  # without PyTorch and Ultralytics, where an exported file shall look at images
    said, save_dir, skipped = _fully(args) if done is None else (
        f"{done.objects} objects in {done.images} images", done.save_dir, done.skipped
    )  # fmt: skip
    say(f"{said}. Results saved to {save_dir}")
    if skipped:
        more = f"; and {len(skipped) - 3} more, named above" if len(skipped) > 3 else ""
        raise DataError(f"{len(skipped)} left out, all others are done: {'; '.join(skipped[:3])}{more}.")


def _fully(args: dict[str, Any]) -> tuple[str, Path, list[str]]:
    from rsdet import tasks

    model = open_model(args)
    args.setdefault("save", True)
    for key in {"stream", "embed", "predictor"} & set(args):
        raise ConfigError(f"{key}= is for Python (RSDet.predict); leave it out here.")
    images = items = 0
    for result in model.predict(**args, stream=True):
        images, items = images + 1, items + (len(result) if isinstance(result, Sized) else 0)
    return tasks.get(model.task).outcome(images, items), model.predictor.save_dir, model.skipped


MODE = Mode(
    "run a model on images, and write what it finds",
    _run,
    examples=(
        "predict model=best.pt source=images/ save_coco=True",
        "predict model=cfar source=sar/",
        "predict model=best.pt enhance=dwtma-net.pt source=hazy/",
        "predict model=hac-moe source=ceres/ scale=4 time_limit=600",
    ),
    needs={**NEEDS, "source": "pass an image, a folder, a glob, a video or a list of them"},
    functions=lambda: (*functions_of_model(), functions_of_model()[0].predict),
    own=classes_of("predictor"),
    stock=True,
)

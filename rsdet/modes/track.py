"""``rsdet track``."""

from __future__ import annotations

from typing import Any

from rsdet.errors import ConfigError
from rsdet.modes._model import NEEDS, classes_of, functions_of_model, open_model
from rsdet.modes.mode import Mode
from rsdet.modes.predict import tell


def _run(args: dict[str, Any]) -> None:
    model = open_model(args)
    for key in {"stream", "persist", "embed", "predictor"} & set(args):
        raise ConfigError(f"{key}= is for Python (RSDet.track); leave it out here.")
    for key in ("save", "save_tracks"):
        args.setdefault(key, True)
    for _ in model.track(**args, stream=True):
        pass  # each frame is written when it is done; none is kept
    tell(model.predictor.outcome, model.predictor.save_dir, model.skipped)


MODE = Mode(
    "follow objects through videos and folders of frames",
    _run,
    examples=("track model=yolo11n-vehicles source=flight.mp4 tracker=bytetrack",),
    needs={**NEEDS, "source": "pass a video, or a folder of frames"},
    functions=lambda: (*functions_of_model(), functions_of_model()[0].track),
    own=lambda task: classes_of("predictor")(task) if task.tracks else (),
    stock=True,
    suits=lambda task: task.tracks is not None,
)

"""``rsdet predict``."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet.errors import ConfigError, DataError
from rsdet.modes._model import NEEDS, classes_of, functions_of_model, open_model
from rsdet.modes.mode import Mode, saved_to, say
from rsdet.scenes import settings as scenes

if TYPE_CHECKING:
    from rsdet.scenes.run import SceneRun
    from rsdet.tasks.task import Task


def _run(args: dict[str, Any]) -> None:
    from rsdet.runtime.light import predict as predict_exported
    from rsdet.runtime.light import takes_tiles

    if scenes.asked(args) and takes_tiles(args) and (run := _scenes_exported(args)) is not None:
        for _ in run:
            pass  # each is written when it is done; none is kept
        return tell(run.outcome, run.save_dir, run.skipped)
    done = predict_exported(args)  # without PyTorch and Ultralytics, where an exported file shall look at images
    said, save_dir, skipped = _fully(args) if done is None else (
        done.said, done.save_dir, done.skipped
    )  # fmt: skip
    tell(said, save_dir, skipped)


def tell(said: str, save_dir: Path, skipped: list[str]) -> None:
    """Print what has been done.

    Raises:
        DataError: Some of the source was left out.
    """
    say(f"{said}. {saved_to(save_dir)}")
    if skipped:
        more = f"; and {len(skipped) - 3} more, named above" if len(skipped) > 3 else ""
        raise DataError(f"{len(skipped)} left out, all others are done: {'; '.join(skipped[:3])}{more}.")


def _scenes_exported(args: dict[str, Any]) -> SceneRun | None:
    """The run over scenes of an exported file, without PyTorch and Ultralytics; None where those are needed."""
    from rsdet.runtime.light import tiles
    from rsdet.scenes.run import SceneRun

    settings, rest = scenes.take(args)
    source = rest.pop("source")
    where = {k: rest.pop(k) for k in ("project", "name", "exist_ok", "verbose", "save") if k in rest}
    predictor = tiles(rest, settings.tile or 0)
    if predictor is None:
        return None
    project = Path(where.get("project") or Path("runs") / predictor.task).expanduser().absolute()
    how = {"exist_ok": bool(where.get("exist_ok")), "verbose": where.get("verbose") is not False}
    return SceneRun(predictor, settings, source, project, where.get("name"), **how)


def _fully(args: dict[str, Any]) -> tuple[str, Path, list[str]]:
    from rsdet import tasks

    model = open_model(args)
    args.setdefault("save", True)
    for key in {"stream", "embed", "predictor"} & set(args):
        raise ConfigError(f"{key}= is for Python (RSDet.predict); leave it out here.")
    if scenes.asked(args) and tasks.get(model.task).tiles:
        for _ in model.predict(**args, stream=True):
            pass  # each is written when it is done; none is kept
        return model.predictor.outcome, model.predictor.save_dir, model.skipped
    images = items = 0
    for result in model.predict(**args, stream=True):
        images, items = images + 1, items + (len(result) if isinstance(result, Sized) else 0)
    return tasks.get(model.task).outcome(images, items), model.predictor.save_dir, model.skipped


def _own(task: Task) -> tuple[type, ...]:
    """Classes whose keys are those of a task, and of scenes where it looks at tiles."""
    return (*classes_of("predictor")(task), *([scenes.SceneSettings] if task.tiles else []))


MODE = Mode(
    "run a model on images, and write what it finds",
    _run,
    examples=(
        "predict model=yolo11n-vehicles source=images/ save_coco=True",
        "predict model=yolo11n-vehicles source=scene.tif tile=640 overlap=0.2",
        "predict model=cfar source=sar/",
        "predict model=yolo11n-vehicles enhance=dcp source=hazy/",
        "predict model=hac-moe source=ceres/ scale=4 time_limit=600",
    ),
    needs={**NEEDS, "source": "pass an image, a folder, a glob, a video or a list of them"},
    functions=lambda: (*functions_of_model(), functions_of_model()[0].predict),
    own=_own,
    stock=True,
)

"""From a loaded model and the arguments of ``predict`` to a run over scenes."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from rsdet.calls import checked, class_of, completed
from rsdet.scenes.run import SceneRun
from rsdet.scenes.settings import take


def scene_run(model: Any, source: Any, given: Mapping[str, Any]) -> SceneRun:
    """The run that the arguments ask for.

    Args:
        model: The :class:`rsdet.RSDet`, of a task that looks at tiles.
        source: Scenes.
        given: Arguments of ``predict``.

    Raises:
        RSDetError: Bad input; nothing has been written then.
    """
    settings, rest = take(given)
    source = rest.pop("source", None) if source is None else source
    rest = checked(model, "predict", class_of(model, "predict"), rest)
    model.check_trained("predict")
    rest = completed(model, "predict", rest)
    where = {k: rest.pop(k, None) for k in ("project", "name", "exist_ok", "verbose", "save")}
    predictor = import_module(model.definition.tiles).open_tiles(model, rest, settings.tile)
    verbose = where["verbose"] is not False
    return SceneRun(
        predictor, settings, source, Path(where["project"]), where["name"], bool(where["exist_ok"]), verbose
    )

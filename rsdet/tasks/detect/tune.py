"""Search for training settings by Ultralytics' tuner, with trials that are commands of rsdet."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from ultralytics.engine.tuner import Tuner
from ultralytics.utils import YAML

from rsdet.arguments import check_whole, own_keys
from rsdet.calls import checked, class_of, completed, data_yaml
from rsdet.errors import RSDetError
from rsdet.integration import swapped
from rsdet.recipes import recipe_settings
from rsdet.tasks.detect.train import OurTrainer


class DetectTuner(Tuner):
    """Ultralytics' tuner with the training arguments of ours.

    Args:
        args: Arguments of a training, and those of the tuner, such as ``space``.
        **kwargs: Those of the base class.
    """

    def __init__(self, args: dict[str, Any], **kwargs: Any):
        ours = {k: args.pop(k) for k in own_keys(OurTrainer) if k in args}
        super().__init__(args, **kwargs)
        vars(self.args).update(ours)

    @classmethod
    def search(cls, model: Any, iterations: Any, data: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Search; see :meth:`rsdet.RSDet.tune`, whose arguments these are."""
        space = {k: v for k, v in kwargs.items() if k == "space"}
        kwargs = {k: v for k, v in kwargs.items() if k != "space"}
        given = checked(model, "train", class_of(model, "train"), kwargs, data=data)
        check_whole("iterations", iterations, 1, "a whole number of 1 or more")
        given["data"] = data_yaml(model, given.get("data"), "tune")
        settings = {"optimizer": "AdamW", **recipe_settings(model.yaml, given.pop("recipe", None))[1]}
        given = completed(model, "train", {**model.overrides, **settings, **given, **space, "mode": "train"})
        return cls(args=given, model=model.model, _callbacks=model.callbacks)(iterations)

    def __call__(self, iterations: int = 300, cleanup: bool = True) -> dict[str, Any]:
        """Run the trials.

        Returns:
            The best settings found, which are also in ``best_hyperparameters.yaml`` of the run's folder.

        Raises:
            RSDetError: Not one trial could be trained.
        """
        with trials_by_rsdet():
            super().__call__(iterations, cleanup)
        best = self.tune_dir / "best_hyperparameters.yaml"
        if not best.is_file():
            raise RSDetError(
                f"none of the {iterations} trials could be trained, so there are no best settings; the reason is in "
                "the lines above; try the same arguments with train first."
            )
        return YAML.load(best)


def trials_by_rsdet() -> AbstractContextManager[None]:
    """Start trials by our command: a process that has not imported rsdet cannot load models of ours."""
    return swapped("ultralytics.engine.trainer:_YOLO_CLI_COMMAND", [sys.executable, "-m", "rsdet"])

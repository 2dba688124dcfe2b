"""From the words of a command to the model that it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsdet import tasks, zoo
from rsdet.errors import ConfigError, MissingDependencyError
from rsdet.modelyaml import YAML_SUFFIXES, find_model_yaml, form_of, read_model_yaml, variable_names
from rsdet.tasks.task import Task

if TYPE_CHECKING:
    from rsdet.model import RSDet

NEEDS = {"model": "pass one model YAML such as vmc-detr.yaml, or weights (rsdet list weights)"}


def open_model(args: dict[str, Any]) -> RSDet:
    """Load the model that the arguments name; what is about it is taken out of them.

    Raises:
        RSDetError: It cannot be used.
    """
    name = str(args.pop("model"))
    model_vars: dict[str, Any] = {}
    # `scale` is also an augmentation of Ultralytics (a number); a letter is the size of the model.
    scale = args.pop("scale") if isinstance(args.get("scale"), str) else None
    card = zoo.find_card(name)  # weights, which may have the name of their model YAML
    path = Path(name) if card else find_model_yaml(name) or Path(name)  # else one of Ultralytics'
    if path.suffix in YAML_SUFFIXES:
        d = read_model_yaml(name)
        if "upscale" in variable_names(d) and "scale" in args:
            scale = args.pop("scale")  # a number: how much it enlarges
        # A method has its recipe when it is made: it learns, if at all, when it predicts.
        names = {*variable_names(d), "attention", "head"} | ({"recipe"} if form_of(d) == "method" else set())
        model_vars = {k: args.pop(k) for k in list(args) if k in names}
    else:
        settable = {v for task in tasks.names() for v in tasks.get(task).variables}
        model_vars = {k: args.pop(k) for k in list(args) if k in settable}
    try:
        from rsdet.model import RSDet  # torch: all that can be refused without it has been
    except ModuleNotFoundError as e:
        missing = (e.name or "").partition(".")[0]
        if missing not in ("torch", "ultralytics"):
            raise
        raise MissingDependencyError(
            f"model={name} is run by PyTorch and Ultralytics, and {missing} is not installed: pip install {missing}."
        ) from e

    _check_gpu(args.get("device"))
    return RSDet(name, scale=scale, **model_vars)


def _check_gpu(device: Any) -> None:
    """Refuse a GPU where there is none, before data are fetched."""
    import torch

    cuda = str(device).startswith("cuda") or str(device).isdigit()
    if cuda and not torch.cuda.is_available():
        raise ConfigError(f"device={device} asks for a CUDA GPU, and PyTorch sees none here; use device=cpu.")


def classes_of(part: str) -> Callable[[Task], tuple[type, ...]]:
    """The classes of a task that run a mode, one or more: its ``trainer``, ``validator`` or ``predictor``."""

    def find(task: Task) -> tuple[type, ...]:
        families = [task.classes(family) for family in task.families]
        return tuple(dict.fromkeys(classes[part] for classes in families if part in classes))

    return find


def functions_of_model() -> tuple[Any, ...]:
    """The class whose parameters are the keys about the model."""
    from rsdet.model import RSDet

    return (RSDet,)

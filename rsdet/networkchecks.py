"""Whether a network that was loaded can be run: its kind, names, rows, arguments and numbers.

No file is read here; what may be read at all is judged in :mod:`rsdet.checkpoint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsdet.errors import CheckpointError


def check_model(model: Any, path: str | Path) -> None:
    """Make sure that what a checkpoint held is a model that can be run.

    Raises:
        CheckpointError: It is another network, or one of its weights is no number.
    """
    from ultralytics.nn.tasks import BaseModel

    kinds = {"yaml": dict, "names": (dict, list), "task": str}
    if not isinstance(model, BaseModel) or not all(isinstance(getattr(model, k, None), t) for k, t in kinds.items()):
        raise CheckpointError(
            f"{path} holds a {type(model).__name__} and no model of rsdet or Ultralytics; pass a checkpoint that one "
            "of them has trained."
        )
    for key, kind in (("enhance", dict), ("channels", int), ("family", str)):
        if not isinstance(model.yaml.get(key) or kind(), kind):
            raise CheckpointError(f"{path}: {key}: in its YAML is no {kind.__name__}; pass another checkpoint.")
    if isinstance(getattr(type(model), "family", None), property) and not model.yaml.get("family"):
        raise CheckpointError(f"{path}: its YAML says no family:; pass another checkpoint.")
    check_names(model, path)
    _check_rows(model, path)
    check_finite(model.state_dict(), path)


def check_names(model: Any, path: str | Path) -> None:
    """Make sure that each class that a network can find has a name: one without would end the run that finds it.

    Raises:
        CheckpointError: There are fewer names than classes.
    """
    layers = getattr(model, "model", None)
    classes = getattr(layers[-1], "nc", None) if isinstance(layers, nn.Sequential) else None
    names = model.names if isinstance(model.names, dict) else dict(enumerate(model.names))
    nameless = [i for i in range(classes) if i not in names] if isinstance(classes, int) else []
    if nameless:
        raise CheckpointError(
            f"{path} finds {classes} classes and has no name for class {nameless[0]}; set model.model.names in Python "
            "to {number: name} of them all and save it again, or copy it again."
        )


def _check_rows(model: Any, path: str | Path) -> None:
    """Make sure that what rows take from earlier ones is kept for them.

    Raises:
        CheckpointError: It is not; the network would end in the middle.
    """
    layers = getattr(model, "model", None)
    if not isinstance(layers, nn.Sequential) or not all(hasattr(m, "f") and hasattr(m, "i") for m in layers):
        return
    try:
        taken = {x % m.i for m in layers for x in ([m.f] if isinstance(m.f, int) else m.f) if x != -1}
        fits = taken <= {*model.save} and [m.i for m in layers] == [*range(len(layers))]
    except (AttributeError, TypeError, ZeroDivisionError):
        fits = False
    if not fits:
        raise CheckpointError(f"{path}: the rows of its network do not fit together; pass another checkpoint.")


def check_arguments(values: Mapping[str, Any], path: str | Path) -> None:
    """Make sure that the arguments of a training that goes on are plain values.

    Raises:
        CheckpointError: There are objects among them.
    """
    transforms = values.get("augmentations") or []
    todo: list[Any] = [*values.values()]
    while todo:
        value = todo.pop()
        if isinstance(value, (list, tuple, dict)):
            todo += value.values() if isinstance(value, dict) else value
        elif not isinstance(value, (str, int, float, Path, type(None))):
            raise CheckpointError(f"{path} keeps a {type(value).__name__} among its arguments; leave resume= out.")
    if not isinstance(transforms, list) or not all(isinstance(t, dict) for t in transforms):
        raise CheckpointError(f"{path} keeps augmentations= that are no transforms; leave resume= out.")


def check_finite(tensors: Mapping[str, torch.Tensor], path: str | Path) -> None:
    """Refuse weights that are no numbers: a network with them finds nothing, and says nothing of it.

    Args:
        tensors: Tensors by name.
        path: Where they are from.

    Raises:
        CheckpointError: One of them holds NaN or infinity, or a variance from which NaN would come.
    """
    for name, value in tensors.items():
        value = value.float() if value.is_floating_point() and value.itemsize == 1 else value  # 8 bits have no isfinite
        if name.endswith("running_var") and (value < 0).any():
            raise CheckpointError(
                f"{path}: {name} holds {float(value.min()):.3g}, and no variance is below 0; the file is damaged, so "
                "copy it again."
            )
        if value.is_floating_point() and not torch.isfinite(value).all():
            bad = int((~torch.isfinite(value)).sum())
            raise CheckpointError(
                f"{path}: {bad} of {value.numel()} values of {name} are NaN or infinite; the training went wrong or "
                "the file is damaged, so use an earlier checkpoint or copy it again."
            )

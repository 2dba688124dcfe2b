"""Weights without code: checking a checkpoint before it is loaded, and a plain form that outlives class paths.

A ``.pt`` file is a pickle, and unpickling runs whatever the file asks for. rsdet reads such files only through
PyTorch's ``weights_only`` unpickler, with an allow-list of the layers of Ultralytics, PyTorch and rsdet.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rsdet.errors import CheckpointError, MissingDependencyError, install, nearest
from rsdet.names import class_names
from rsdet.writing import write_bytes

PLAIN_FORMAT = "rsdet-plain-1"


def _our_classes() -> dict[str, type[nn.Module]]:
    """Every layer and model class defined inside rsdet, and every registered one, by dotted path."""
    import sys

    import rsdet.nn
    import rsdet.tasks.detect.model
    import rsdet.tasks.restore.model  # noqa: F401
    from rsdet.nn.restoration import NETWORKS
    from rsdet.registry import registered_classes

    found: dict[str, type[nn.Module]] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("rsdet.") and module is not None:
            for obj in vars(module).values():
                if isinstance(obj, type) and issubclass(obj, nn.Module) and obj.__module__.startswith("rsdet."):
                    found[f"{obj.__module__}.{obj.__qualname__}"] = obj
    for cls in (*registered_classes().values(), *NETWORKS.values()):
        found[f"{cls.__module__}.{cls.__qualname__}"] = cls
    return found


def allow_ours() -> None:
    """Add rsdet's classes to Ultralytics' allow-list. Called before every load: plug-ins may register late."""
    from ultralytics.nn.tasks import _SafeLoad

    with _SafeLoad._lock:
        if _SafeLoad._registry is None:
            _SafeLoad._registry = _SafeLoad._build()
        _SafeLoad._registry.update(_our_classes())


def allow_needed(path: str | Path) -> None:
    """Add the layers of timm that a checkpoint holds, which are imported only now: importing timm takes seconds.

    Raises:
        MissingDependencyError: There are some and timm is not installed.
    """
    import importlib

    from ultralytics.nn.tasks import _SafeLoad

    try:
        needed = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError, EOFError, KeyError, IndexError):
        return  # whoever loads it says what is wrong with it
    for name in needed:
        module, _, attribute = name.rpartition(".")
        if module.startswith("timm.layers."):
            try:
                found = getattr(importlib.import_module(module), attribute, None)
            except ModuleNotFoundError as e:
                raise MissingDependencyError(
                    f"{path} holds layers of timm, which is not installed; {install('attention')}."
                ) from e
            if isinstance(found, type) and issubclass(found, nn.Module):
                with _SafeLoad._lock:
                    _SafeLoad._registry = _SafeLoad._build() if _SafeLoad._registry is None else _SafeLoad._registry
                    _SafeLoad._registry[name] = found


def check(path: str | Path) -> Path:
    """Make sure that a checkpoint can be loaded without running code, and say in one line why not.

    Args:
        path: A ``.pt`` file.

    Returns:
        The path.

    Raises:
        CheckpointError: Missing, empty, truncated or foreign file, or one that needs classes outside the allow-list.
    """
    from ultralytics.nn.tasks import _SafeLoad

    path = Path(path)
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.pt")] if path.parent.is_dir() else []
        raise CheckpointError(f"weights {str(path)!r} do not exist.{nearest(path.name, beside)} Check the path.")
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty (0 bytes); copy or download it again.")
    if not zipfile.is_zipfile(path):
        raise CheckpointError(
            f"{path} is not a PyTorch checkpoint (damaged, truncated, or another file renamed .pt), so it was not "
            "opened; copy or download it again."
        )
    allow_ours()
    try:
        with _SafeLoad.loading(path):
            unknown = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (RuntimeError, ValueError, pickle.UnpicklingError, EOFError, KeyError, IndexError) as e:
        raise CheckpointError(f"{path} cannot be read as a PyTorch checkpoint ({_one_line(e)}); copy it again.") from e
    if unknown:
        raise CheckpointError(
            f"{path} was refused and nothing in it was run: it needs {', '.join(sorted(unknown))}, which is not a "
            "layer of Ultralytics, PyTorch or rsdet; if you trust it, import the package that defines and registers it "
            "(rsdet.register), else do not use this file."
        )
    return path


def _one_line(e: BaseException) -> str:
    return str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__


def save_plain(model: nn.Module, path: str | Path) -> Path:
    """Save weights as safetensors, with the resolved YAML and the class names in its header.

    Args:
        model: A detection model with ``yaml`` and ``names``.
        path: Target; the suffix becomes ``.safetensors``.
    """
    from safetensors.torch import save

    path = Path(path).with_suffix(".safetensors")
    header = {
        "format": PLAIN_FORMAT,
        "yaml": json.dumps(model.yaml),
        "names": json.dumps(model.names),
        "task": str(getattr(model, "task", "detect")),
        "imgsz": json.dumps(
            (getattr(model, "args", None) or {}).get("imgsz", 640) if isinstance(model.args, dict) else 640
        )
        if hasattr(model, "args")
        else "640",
    }
    # Through memory: safetensors' own writer does not say that the disk is full.
    return write_bytes(path, save({k: v.contiguous() for k, v in model.state_dict().items()}, metadata=header))


def load_plain(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load what :func:`save_plain` wrote.

    Returns:
        The model in float32 and eval mode, and the header.

    Raises:
        CheckpointError: Not such a file, or the weights do not fit the YAML in it.
    """
    from safetensors import SafetensorError, safe_open

    from rsdet.tasks.table import build

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"weights {str(path)!r} do not exist; check the path.")
    try:
        with safe_open(path, framework="pt") as f:
            header = f.metadata() or {}
            state = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (safe_open is no mapping)
    except SafetensorError as e:
        raise CheckpointError(f"{path} is not a safetensors file ({_one_line(e)}); copy it again.") from e
    if header.get("format") != PLAIN_FORMAT:
        raise CheckpointError(f"{path} holds no rsdet header; save it with RSDet.save_plain().")
    cfg = json.loads(header["yaml"])
    model = build(cfg)
    try:
        model.load_state_dict(state)
    except RuntimeError as e:
        raise CheckpointError(f"{path}: the weights do not fit the YAML in their header ({_one_line(e)}).") from e
    model.names = class_names(json.loads(header["names"]), twins=True)
    model.task = header["task"]
    return model.float().eval(), header

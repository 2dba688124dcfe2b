"""From what a user writes after ``enhance=`` to a chain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rsdet.enhance.artifact import ArtifactEnhancer
from rsdet.enhance.base import check_enhancer
from rsdet.enhance.chain import EnhanceChain, Part
from rsdet.enhance.chain_json import read_chain_json
from rsdet.errors import ConfigError
from rsdet.runtime.backends import is_deployable
from rsdet.runtime.metadata import say_untrained

TASK = "restore"


def load_chain(
    spec: Any,
    *,
    tile: int | None = None,
    overlap: int | None = None,
    device: Any = None,
    folder: Path | None = None,
    untrained: bool = False,
) -> EnhanceChain:
    """Load a chain.

    Args:
        spec: A file (``.pt``, ``.safetensors``, an exported file, a chain JSON), the name of a shipped YAML of a method
            without weights, a mapping ``{"model": file, **variables}``, a loaded model, an enhancer, or several of
            these in the order of work.
        tile: See :class:`EnhanceChain`.
        overlap: See :class:`EnhanceChain`.
        device: Where networks run; the CPU where None.
        folder: Where relative paths begin; the working directory where None.
        untrained: Take networks that have no weights yet, for a training that is to find them.

    Raises:
        ConfigError: No such file, a model of another task, or parts that do not fit together.
    """
    if isinstance(spec, EnhanceChain):
        return spec if device is None else spec.to(device)
    parts: list[Part] = []
    for one in split_spec(spec, folder):
        if isinstance(one, (str, Path)) and Path(one).suffix == ".json":
            file = _located(str(one), folder)
            found = read_chain_json(file)
            parts += load_chain(found.enhance, folder=file.parent).parts
            tile = found.enhance_tile if tile is None else tile
            overlap = found.enhance_overlap if overlap is None else overlap
        else:
            parts.append(_part(one, folder, untrained))
    chain = EnhanceChain(parts, tile, overlap)
    return chain if device is None else chain.to(device)


def split_spec(spec: Any, folder: Path | None = None) -> list[Any]:
    """The parts of what stands after ``enhance=``; a text with commas names several unless it is one file."""
    if isinstance(spec, str) and "," in spec and not _located(spec, folder).exists():
        return [s.strip() for s in spec.split(",") if s.strip()]
    if isinstance(spec, Sequence) and not isinstance(spec, str):
        return list(spec)
    return [spec]


def _part(one: Any, folder: Path | None, untrained: bool) -> Part:
    if isinstance(one, Part):
        return one
    settings: dict[str, Any] = {}
    if isinstance(one, Mapping):
        settings = {str(k): v for k, v in one.items() if k != "model"}
        one = one.get("model")
    if isinstance(one, (str, Path)):
        if not str(one).strip():
            raise ConfigError("enhance= names nothing; pass weights, a YAML or an exported file of task=restore.")
        return _from_file(str(one), settings, folder, untrained)
    if getattr(one, "task", None) is not None:  # a loaded model
        return _of_model(one, str(getattr(one, "model_name", None) or type(one).__name__), None, settings, untrained)
    if one is None or isinstance(one, (bool, int, float)):
        raise ConfigError(
            f"enhance={one!r} must be the name or path of weights, a YAML or an exported file of task=restore."
        )
    return Part(check_enhancer(one))


def _located(name: str, folder: Path | None) -> Path:
    path = Path(name).expanduser()
    return path if folder is None or path.is_absolute() else folder / path


def _from_file(name: str, settings: dict[str, Any], folder: Path | None, untrained: bool) -> Part:
    path = _located(name, folder)
    if is_deployable(path) or (path.is_file() and path.suffix in (".torchscript", ".engine")):
        if settings:
            raise ConfigError(
                f"enhance={name}: {', '.join(settings)} cannot be set, the file is exported; leave it out."
            )
        artifact = ArtifactEnhancer(path)
        say_untrained(artifact.meta, path.name)
        return Part(artifact, str(path), {}, artifact.key)
    from rsdet.loading import load_model  # brings PyTorch, which chains of exported files do without

    try:
        model = load_model(
            str(path) if path.exists() else name, scale=settings.get("scale"),
            variables={k: v for k, v in settings.items() if k != "scale"},
        )  # fmt: skip
    except ConfigError as e:
        raise ConfigError(str(e).replace("model=", "enhance=")) from e
    return _of_model(model, name, str(path) if path.exists() else name, settings, untrained)


def _of_model(model: Any, name: str, source: str | None, settings: dict[str, Any], untrained: bool) -> Part:
    from rsdet.enhance.network import enhancer_of

    if model.task != TASK:
        raise ConfigError(
            f"enhance={name} is a model for task={model.task!r}; an enhancer is one for task={TASK!r} (`rsdet list "
            "models`)."
        )
    native = getattr(model, "model", model)
    shown = Path(name).stem
    if isinstance(native, (str, Path)):  # an exported file that only Ultralytics can load
        raise ConfigError(
            f"enhance={name} is of no kind that enhances; pass .onnx, .torchscript, .engine or an OpenVINO folder."
        )
    if hasattr(native, "network"):
        weights = any(p.numel() for p in native.network.parameters())
        if weights and not untrained and getattr(model, "untrained", False):
            raise ConfigError(
                f"enhance={name} names a network without weights; train it first (rsdet train model={name} data=...) "
                "and pass its best.pt."
            )
        from rsdet.deploy.artifact import weights_sha256

        key = weights_sha256(native.network)
    else:
        told = json.dumps([native.yaml.get("method"), native.yaml.get("vars"), settings], sort_keys=True, default=str)
        key = hashlib.sha256(told.encode()).hexdigest()
    return Part(enhancer_of(native, shown), source, settings, key)

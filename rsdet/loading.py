"""From a name to a model: a model YAML, weights or an exported file. Nothing here trains, measures or predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch.nn import Module
from ultralytics.engine.model import Model
from ultralytics.nn.tasks import BaseModel, load_checkpoint
from ultralytics.utils import DEFAULT_CFG_DICT
from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

from rsdet import checkpoint, digest, tasks, zoo
from rsdet.errors import ConfigError, nearest
from rsdet.modelyaml import (
    YAML_SUFFIXES,
    buildable,
    check_task_of_head,
    find_model_yaml,
    form_of,
    list_models,
    load_model_yaml,
    read_model_yaml,
    task_of,
    variable_names,
)
from rsdet.names import class_names
from rsdet.networkchecks import check_model
from rsdet.recipes import recipe_settings
from rsdet.runtime.metadata import say_untrained

PLAIN_SUFFIX = ".safetensors"


@dataclass
class Loaded:
    """A model of any task.

    Attributes:
        model: The network, the method without layers, or the path of an exported file.
        task: Its task.
        family: Its family, one of the task's.
        model_name: What it was loaded by.
        overrides: Arguments that travel with it, in Ultralytics' form.
        cfg: Name of the model YAML, where it is fresh from one.
        ckpt: Content of the checkpoint; empty for a YAML, None for an exported file.
        ckpt_path: Its file.
        meta: What an exported file says about itself.
        before: Versions of the random weights of a network from a YAML.
    """

    model: Any
    task: str
    family: str
    model_name: str
    overrides: dict[str, Any]
    cfg: str | None = None
    ckpt: dict[str, Any] | None = field(default_factory=dict)
    ckpt_path: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    before: tuple[int, ...] = ()

    @property
    def untrained(self) -> bool:
        """Whether it is a network from a YAML whose random weights nobody has changed: loaded, trained or filled."""
        return bool(self.before) and self.before == _versions(self.model)


def load_model(
    name: str,
    task: str | None = None,
    *,
    scale: str | int | None = None,
    parts: Mapping[str, str] | None = None,
    variables: Mapping[str, Any] | None = None,
    verbose: bool = False,
) -> Loaded:
    """Load a model by the kind of its name.

    Args:
        name: Name of weights (``rsdet list weights``), model YAML (shipped name or path), ``.pt`` or ``.safetensors``
            weights, or an exported file. A name that weights and a model YAML share means the weights.
        task: What the caller takes it for; its own where None.
        scale: Size of a YAML; a number is its variable ``upscale``.
        parts: ``attention`` and ``head`` of a YAML, see :func:`rsdet.parts.add_parts`.
        variables: Values for the variables of a YAML, or for those that weights of its task have.
        verbose: Print the layer table.

    Raises:
        ConfigError: No such file, another task, or settings that it does not have.
        CheckpointError: A file that cannot be used.
    """
    if "://" in str(name):
        raise ConfigError(
            f"model={name!r} is an address, and only weights by name are fetched (rsdet list weights); download the "
            "file and pass its path."
        )
    if isinstance(scale, int):
        scale, variables = None, {**(variables or {}), "upscale": scale}
    variables, parts = dict(variables or {}), dict(parts or {})
    if zoo.find_card(name) is not None and not (Path(name) / digest.PARTS).is_file():
        name = str(zoo.weights(name))
    elif Path(name).suffix == "" and not Path(name).is_file() and find_model_yaml(name) is not None:
        name = f"{name}.yaml"  # the bare name of a shipped model, such as cfar
    suffix = Path(name).suffix.lower()
    if suffix in {".pt", PLAIN_SUFFIX} and not Path(name).exists() and Path(name).stem in zoo.list_weights():
        raise ConfigError(
            f"weights {name!r} do not exist here; those that ship are named alone: model={Path(name).stem}."
        )
    if suffix in YAML_SUFFIXES:
        return _from_yaml(name, task, scale, parts, variables, verbose)
    if suffix == "" and not Path(name).exists():
        raise ConfigError(
            f"model={name!r} is neither a file nor a shipped model nor shipped weights.{_suggest(name)} "
            "`rsdet list` shows them."
        )
    if scale or parts:
        words = ", ".join(sorted({*variables, *parts}) + (["scale"] if scale else []))
        raise ConfigError(f"{words}: only a model YAML takes this, {name} has a fixed architecture.")
    kinds = {PLAIN_SUFFIX: _from_plain, ".pt": _from_checkpoint}
    loaded = kinds.get(suffix, _from_artifact)(name)
    _check_task(task, loaded)
    tasks.get(loaded.task).set_variables(loaded.model, variables, name)
    return loaded


def adopted(model: Model, asked: str | None = None) -> Loaded:
    """What another of Ultralytics' wrappers has loaded.

    Args:
        model: The wrapper.
        asked: Task that the caller takes it for; its own where None.

    Raises:
        ConfigError: Another task.
    """
    name = str(model.model_name or model.overrides.get("model"))
    task = str(model.task)
    family = (
        model.model.family
        if hasattr(model.model, "family")
        else tasks.get(task).family_of(type(model.model.model[-1]).__name__)
    )
    loaded = Loaded(model.model, task, family, name, model.overrides, model.cfg, model.ckpt, model.ckpt_path)
    _check_task(asked, loaded)
    return loaded


def _from_yaml(
    cfg: str, task: str | None, scale: str | None, parts: dict[str, str], values: dict[str, Any], verbose: bool
) -> Loaded:
    raw = read_model_yaml(cfg)
    if form_of(raw) == "method" and "recipe" in values:  # it learns, if at all, when it predicts
        values = {**recipe_settings(raw, values.pop("recipe"))[1], **values}
    known = variable_names(raw)  # a YAML that has a variable of the name of a part knows better
    values = {**values, **{k: v for k, v in parts.items() if k in known}}
    d = load_model_yaml(cfg, scale, values, {k: v for k, v in parts.items() if k not in known})
    own = tasks.get(d["task"])
    with buildable(cfg):
        model = own.build(d, verbose)
    model.task = own.name
    loaded = Loaded(model, own.name, d["family"], cfg, {"model": cfg, "task": own.name}, cfg=cfg)
    _check_task(task, loaded)
    model.args = {**DEFAULT_CFG_DICT, **loaded.overrides}
    loaded.before = _versions(model)
    return loaded


def _from_checkpoint(weights: str) -> Loaded:
    if Path(weights).is_file() or not _is_official_asset(weights):
        checkpoint.check(weights)
        with checkpoint.loading(weights):
            model, ckpt = load_checkpoint(weights)
            check_model(model, weights)
            model.names = class_names(model.names, twins=True)
    else:
        model, ckpt = load_checkpoint(weights)
    if model.task not in tasks.names():
        raise ConfigError(f"{weights} is a model for task={model.task!r}; expected {' or '.join(tasks.names())}.")
    family = _family_of(model, model.task)
    model.args = {**Model._reset_ckpt_args(model.args), "model": weights, "task": model.task}
    return Loaded(model, model.task, family, weights, model.args, ckpt=ckpt, ckpt_path=model.pt_path)


def _from_plain(weights: str) -> Loaded:
    model, header = checkpoint.load_plain(weights)
    overrides = {"model": weights, "task": header["task"], "imgsz": header["imgsz"]}
    model.args = {**DEFAULT_CFG_DICT, **overrides}
    return Loaded(model, header["task"], model.family, weights, overrides, ckpt={"model": model}, ckpt_path=weights)


def _from_artifact(path: str) -> Loaded:
    if not Path(path).exists():
        raise ConfigError(f"model={path!r} does not exist.{_suggest(path)} Check the path.")
    if not _is_artifact(path):
        inside = next((b for b in ("weights/best.pt", "best.pt") if (Path(path) / b).is_file()), None)
        last = Path(path) / inside.replace("best", "last") if inside else Path()
        resume = f" Or, with resume=True, {str(last)!r}?" if last.is_file() else ""
        run = f" Did you mean {str(Path(path) / inside)!r}?{resume}" if inside else ""
        raise ConfigError(
            f"model={path!r} is no model; pass a model YAML, .pt or {PLAIN_SUFFIX} weights, or an exported file.{run}"
        )
    from rsdet.deploy.artifact import check_foreign, read_metadata
    from rsdet.runtime.finite import check_weights

    meta = read_metadata(path)
    check_foreign(meta, path, tasks.names())
    check_task_of_head(task_of(meta.get("head")), meta["task"], path)
    check_weights(path)
    if path.endswith(".torchscript"):
        checkpoint.check_torchscript(path)
    say_untrained(meta, path)
    task = tasks.get(meta["task"])
    overrides = {"model": path, "task": task.name}
    if "imgsz" in meta:  # one number where it is enough, for Ultralytics' validators warn of two
        sides = {*meta["imgsz"]} if isinstance(meta["imgsz"], (list, tuple)) else {meta["imgsz"]}
        overrides["imgsz"] = sides.pop() if len(sides) == 1 else meta["imgsz"]
    family = meta.get("family") or task.family_of(str(meta.get("head", "")))
    return Loaded(path, task.name, family, path, overrides, ckpt=None, ckpt_path=path, meta=meta)


def _check_task(asked: str | None, loaded: Loaded) -> None:
    """Refuse a model that is for another task than it is taken for, or than its file says."""
    if asked not in (None, loaded.task):
        tasks.get(asked)
        raise ConfigError(
            f"task={asked!r}, but {loaded.model_name} is a model for task={loaded.task!r}; leave task= out."
        )
    check_network(loaded.model, loaded.task, loaded.family, loaded.model_name)


def check_network(network: Any, task: str, family: str, name: str) -> None:
    """Refuse a network whose head is for another task.

    Raises:
        ConfigError: It is.
    """
    if isinstance(network, BaseModel):
        check_task_of_head(task_of(type(network.model[-1])), task, name)
        tasks.get(task).check_model(network, family, name)


def _family_of(network: Any, task: str) -> str:
    """Family of a network: what it says, else that of its head."""
    if hasattr(network, "family"):  # one of ours
        return str(network.family)
    return tasks.get(task).family_of(type(network.model[-1]).__name__)


def _versions(network: Module) -> tuple[int, ...]:
    """What PyTorch counts up whenever a weight is written to, for each weight."""
    return tuple(p._version for p in network.parameters() if p.numel() and not p.is_inference())


def _is_official_asset(name: str) -> bool:
    """Whether it is the name of weights that Ultralytics offers for download."""
    return Path(name).parent == Path(".") and Path(name).name in GITHUB_ASSETS_NAMES


def _is_artifact(name: str) -> bool:
    """Whether the name is that of an exported file."""
    from ultralytics.engine.exporter import export_formats  # takes a second, and few names come here

    known = tuple(s for s in export_formats()["Suffix"] if s)
    return Path(name).name.endswith((*known, ".xml")) or (Path(name) / digest.PARTS).is_file()


def _suggest(name: str) -> str:
    """A hint with the nearest names of shipped models and of files beside it, or an empty string."""
    here = {p.name: str(p) for p in Path(name).parent.glob("*") if p.suffix in {".pt", ".onnx", PLAIN_SUFFIX}}
    return nearest(Path(name).name, [*list_models(), *zoo.list_weights(), *here], written=here)

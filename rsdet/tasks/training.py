"""What every trainer of ours adds to Ultralytics': nothing is lost when something goes wrong.

Importing this module imports rsdet, so the child processes of multi-GPU training, which unpickle the trainer class,
have every registration.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Callable, Mapping
from copy import copy
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import torch
from ultralytics.cfg import DEFAULT_CFG, get_cfg
from ultralytics.nn.tasks import load_checkpoint
from ultralytics.utils import LOGGER, RANK

from rsdet import checkpoint, quiet
from rsdet.arguments import own_defaults
from rsdet.errors import CheckpointError, ConfigError, DataError, RSDetError, WriteError
from rsdet.networkchecks import check_arguments
from rsdet.recipes import recipe_settings
from rsdet.tasks.resuming import ExactResume
from rsdet.tasks.runs import forget, run_folder
from rsdet.writing import put, workplace

MAX_BAD_STEPS = 10  # consecutive optimizer steps with a loss that is not finite before training is given up


class TrainingFailed(RSDetError):
    """Training cannot go on; the message names the last good checkpoint."""


class SafeTrainer(ExactResume):
    """Mixed in before one of Ultralytics' trainers.

    Training arguments of ours are the keyword-only parameters of ``__init__``. Ultralytics takes keys that are in its
    defaults, so ours are put there; they then travel with its own: into args.yaml, checkpoints and child processes.

    Attributes:
        bad_step_remedy: What to do about a loss that is not finite.
        validator_class: What it validates with.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for broken labels"
    validator_class: ClassVar[type]

    def __init__(
        self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None, **own: Any
    ):
        self._bad_steps, self.begun = 0, None
        cfg = {**own_defaults(type(self)), **own, **(cfg if isinstance(cfg, dict) else vars(cfg))}
        if RANK in {-1, 0} and not (overrides or {}).get("resume"):
            folder = run_folder(get_cfg(cfg, overrides))
            self.begun = None if any(folder.iterdir()) else folder
            overrides = {**(overrides or {}), "save_dir": str(folder)}
        try:
            super().__init__(cfg, overrides, _callbacks)
        except BaseException:  # Ctrl-C, too; what comes later is seen by RSDet.train
            forget(self.begun)
            raise

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments, before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """

    def _ours(self, key: str) -> Any:
        """An argument of ours; its default in a training that began before it was known."""
        return vars(self.args).get(key, own_defaults(type(self))[key])

    def get_validator(self) -> Any:
        """Return our validator, which has keys of its own."""
        args = copy(self.args)
        for key in own_defaults(type(self)):
            vars(args).pop(key, None)
        return self.validator_class(self.test_loader, self.save_dir, args, self.callbacks)

    def learning_rate(self) -> Callable[[int], float] | None:
        """Learning rate of an epoch as a part of ``lr0``; None where ``lrf`` and ``cos_lr`` say it."""
        return None

    def _setup_scheduler(self) -> None:
        super()._setup_scheduler()
        if (lf := self.learning_rate()) is not None:
            self.lf, self.scheduler = lf, torch.optim.lr_scheduler.LambdaLR(self.optimizer, lr_lambda=lf)

    def _do_train(self) -> None:
        with quiet.plain_labels():  # a class called $x{$ would end the training at its last plot
            super()._do_train()

    def _setup_train(self) -> Any:
        # Ultralytics would try AMP on a model that it downloads; bfloat16 needs no such trial and does not overflow.
        if self.args.amp is True:
            self.args.amp = "bf16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else False
        return super()._setup_train()

    def optimizer_step(self) -> None:
        """Step, unless the loss is not finite; give up after a few such steps in a row."""
        self.count_step()
        if self.loss is not None and not torch.isfinite(self.loss):
            self._bad_steps += 1
            self.optimizer.zero_grad()
            self.after_bad_step()
            if self._bad_steps >= MAX_BAD_STEPS:
                raise self._failed(f"for {MAX_BAD_STEPS} steps running")
            return
        self._bad_steps = 0
        self.take_step()
        self.after_step()

    def take_step(self) -> None:
        """Step as Ultralytics does, with gradients cut to ``clip_grad`` where a task has that argument."""
        limit = vars(self.args).get("clip_grad")
        if limit is None:  # also in a training that began before it was known
            super().optimizer_step()
            return
        self.scaler.unscale_(self.optimizer)
        if limit:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), float(limit))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.ema is not None:
            self.ema.update(self.model)

    def _handle_nan_recovery(self, epoch: int) -> bool:
        """Go back to the last checkpoint as Ultralytics does, and give up in one line where it gives up."""
        try:
            return super()._handle_nan_recovery(epoch)
        except RuntimeError as e:
            raise self._failed("again after each of several returns to the last checkpoint") from e

    def _failed(self, when: str) -> TrainingFailed:
        kept = f"the last good checkpoint is {self.last}" if self.last.exists() else "no epoch was finished"
        return TrainingFailed(
            f"the loss was NaN or infinite {when} (epoch {self.epoch + 1}); {kept}; {self.bad_step_remedy}."
        )

    def after_step(self) -> None:
        """Called after each step that was taken."""

    def after_bad_step(self) -> None:
        """Called after each step that was left out."""

    def save_model(self) -> bool:
        """Write the checkpoints beside their final place and rename them: an interruption leaves the old ones whole."""
        last, best, folder = self.last, self.best, self.wdir
        try:
            with workplace(folder, "checkpoint") as self.wdir:
                self.last, self.best = self.wdir / last.name, self.wdir / best.name
                saved = super().save_model()
                # last.pt after all others: a training that is killed in between does this epoch again.
                for made in sorted(self.wdir.iterdir(), key=lambda p: p == self.last):
                    put(made, folder / made.name)
            return saved
        except WriteError as e:
            kept = f"{last} is still the one of an earlier epoch if it exists: resume from it"
            raise TrainingFailed(f"{e}; {kept}.") from e
        finally:
            self.last, self.best, self.wdir = last, best, folder


def whole_or_not(stock: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Ultralytics' ``strip_optimizer``, which writes over the checkpoint: whole or not at all."""

    @wraps(stock)
    def strip_optimizer(f: str | Path, s: str | Path = "", updates: dict[str, Any] | None = None) -> dict[str, Any]:
        target = Path(s or f)
        with workplace(target.parent, target.name) as place, quiet.silent_about(place):
            try:
                content = stock(f, str(place / target.name), updates)
            except RuntimeError as e:
                if "inline_container" not in str(e):
                    raise
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from e  # PyTorch's writer does not say why
            if content:
                put(place / target.name, target)
        return content

    return strip_optimizer


def transfer(model: torch.nn.Module, source: torch.nn.Module | dict[str, torch.Tensor]) -> dict[str, list[str]]:
    """Copy every weight whose name and shape agree, and say what was taken and what was not.

    Args:
        model: Model that receives; changed in place.
        source: A model or a state dictionary.

    Returns:
        Names under ``taken``, ``shape`` (same name, other shape), ``missing`` (only in the model) and ``unused``
        (only in the source).
    """
    theirs = source if isinstance(source, dict) else source.float().state_dict()
    mine = model.state_dict()
    taken = {k: v for k, v in theirs.items() if k in mine and mine[k].shape == v.shape}
    model.load_state_dict(taken, strict=False)
    return {
        "taken": sorted(taken),
        "shape": sorted(k for k in theirs if k in mine and mine[k].shape != theirs[k].shape),
        "missing": sorted(k for k in mine if k not in theirs),
        "unused": sorted(k for k in theirs if k not in mine),
    }


def take_over(model: torch.nn.Module, weights: torch.nn.Module | dict[str, torch.Tensor]) -> None:
    """:func:`transfer`, and tell of it in the first of several processes."""
    report = transfer(model, weights)
    if RANK in {-1, 0}:
        LOGGER.info(transfer_line(report, len(model.state_dict())))


def transfer_line(report: dict[str, list[str]], total: int) -> str:
    """What :func:`transfer` did, in one line."""
    line = f"pretrained weights: {len(report['taken'])} of {total} tensors taken"
    if report["shape"]:
        line += f", {len(report['shape'])} of another shape left (e.g. {report['shape'][0]})"
    if report["missing"]:
        line += f", {len(report['missing'])} not in the file (e.g. {report['missing'][0]})"
    return line + "."


def from_the_start(model: Any, recipe: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a training from its beginning, with those of its recipe.

    Args:
        model: The :class:`rsdet.RSDet`.
        recipe: Name of the recipe; the model's own where None.
        given: Arguments, which win over the recipe's.

    Raises:
        ConfigError: No such recipe.
        CheckpointError: ``pretrained`` names a file that cannot be used.
    """
    name, settings = recipe_settings(model.yaml, recipe)
    if settings:
        LOGGER.info(f"recipe {name}: " + ", ".join(f"{k}={v}" for k, v in settings.items() if k not in given))
    given = {**settings, **given}
    if not model.ckpt:  # from a YAML: seeded fresh weights of exactly this scale and these variables
        model.ckpt = {"model": None}
        if model.untrained and given.get("pretrained") is True:
            LOGGER.info(
                f"pretrained=True: {model.model_name} brings no weights, training starts from random ones; "
                "pretrained=weights.pt names some."
            )
        if model.untrained and not isinstance(given.get("pretrained"), (str, Path)):
            given["pretrained"] = False
    if isinstance(given.get("pretrained"), (str, Path)):
        checkpoint.examine(given["pretrained"])
    return given


def resumed(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a training that goes on: of what its checkpoint names, only what is on this disk.

    Args:
        model: The :class:`rsdet.RSDet`.
        given: Arguments, with ``resume``: the checkpoint, or True for that of the model.

    Raises:
        ConfigError: There is no checkpoint.
        CheckpointError: It is of a training that is over, or needs what is not here.
        DataError: Its data are not here.
    """
    if isinstance(given["resume"], (str, Path)):
        last, ckpt = Path(given["resume"]), checkpoint.examine(given["resume"])
    elif not model.ckpt_path:
        raise ConfigError("resume=True goes on with an interrupted run; pass its last.pt as model=.")
    else:
        last, ckpt = Path(model.ckpt_path), model.ckpt
    if ckpt.get("optimizer") is None:
        raise CheckpointError(
            f"{last} is of a finished training, there is nothing to resume; leave resume= out to start a new one "
            "from it."
        )
    stored = ckpt.get("train_args") or {}
    check_arguments(stored, last)
    given = {**given, "resume": str(last)}
    if given.get("data") is None and (data := model.definition.stored_data(stored.get("data"))) is not None:
        given["data"] = data
    if given.get("data") is None:
        raise DataError(f"{last} was trained on {stored.get('data')!r}, which is no data YAML here; pass data=.")
    teacher = given.get("distill_model") or stored.get("distill_model")
    if teacher is not None and not Path(str(teacher)).is_file():
        raise CheckpointError(f"{last} learns from {teacher!r}, which is not here; pass distill_model=.")
    if "save_dir" not in given:
        project = Path(given.get("project") or Path("runs") / model.task).expanduser().absolute()
        given["save_dir"] = str(resume_folder(last, {**given, "project": str(project)}, model.task))
    return given


def resume_folder(last: Path, kwargs: dict[str, Any], task: str) -> Path:
    """Where a run goes on: the folder of the run that its checkpoint lies in, whatever it says of itself, or a new one.

    Args:
        last: The checkpoint.
        kwargs: Arguments, of which ``project``, ``name`` and ``exist_ok`` say where a new one is made.
        task: Task of the model.
    """
    weights = last.resolve().parent
    if weights.name == "weights" and (weights.parent / "args.yaml").is_file():
        return weights.parent
    asked = {"project": None, "name": None, "exist_ok": False, **kwargs, "task": task, "mode": "train"}
    folder = run_folder(SimpleNamespace(**asked))
    LOGGER.info(f"the checkpoint does not lie in the folder of its run; results go to {folder}")
    return folder


def resume_line(save_dir: str | Path) -> str:
    """The command that continues an interrupted run, or a sentence that says why there is none."""
    last = Path(save_dir) / "weights" / "last.pt"
    if not last.is_file():
        return "no epoch was finished, so there is nothing to resume; start again"
    ckpt = load_checkpoint(last)[1]
    if ckpt.get("optimizer") is not None and ckpt["epoch"] + 1 < ckpt["train_args"]["epochs"]:
        words = ["rsdet", "train", "resume=True", f"model={last}"]
        return f"epoch {ckpt['epoch'] + 1} is kept, go on after it: {shlex.join(words)}"
    best = last.with_name("best.pt") if last.with_name("best.pt").is_file() else last
    data, size = ckpt["train_args"]["data"], ckpt["train_args"]["imgsz"]
    words = ["rsdet", "val", f"model={best}", f"data={data}", f"imgsz={size}"]
    return f"all epochs are done, only the last validation is not: {shlex.join(words)}"

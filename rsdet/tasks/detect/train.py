"""Training of detectors: Ultralytics' trainers with our models, and with nothing lost when something goes wrong.

Importing this module imports rsdet, so the child processes of multi-GPU training, which unpickle the trainer class,
have every registration.
"""

from __future__ import annotations

import os
from copy import copy
from pathlib import Path
from typing import Any

import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.detect.train import DetectionTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet import quiet
from rsdet.arguments import TRAIN_DEFAULTS
from rsdet.errors import DataError, RSDetError
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.dataset import check_pictures, check_section, our_datasets, train_section, val_section
from rsdet.tasks.detect.model import RTDETRModel, YOLOModel, transfer
from rsdet.tasks.detect.val import RTDETRVal, YOLOVal, check_channels, warn_of_left_out

MAX_BAD_STEPS = 10  # consecutive optimizer steps with a loss that is not finite before training is given up


class TrainingFailed(RSDetError):
    """Training cannot go on; the message names the last good checkpoint."""


class _OurTrainer:
    """What both families share."""

    model_class: type
    validator_class: type

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: dict[str, Any] | None = None, _callbacks: Any = None):
        quiet.no_font_download()
        self._bad_steps = 0
        # Ultralytics takes keys that are in the defaults, so ours are put there; they then travel with its own.
        cfg = {**TRAIN_DEFAULTS, **(cfg if isinstance(cfg, dict) else vars(cfg))}
        super().__init__(cfg, overrides, _callbacks)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Build our model and take over what fits of the weights, with a report of it."""
        if self.args.iou_loss is not None and not self.resume:
            cfg = {**(cfg if isinstance(cfg, dict) else load_model_yaml(cfg)), "iou_loss": self.args.iou_loss}
        model = self.model_class(
            cfg, nc=self.data["nc"], ch=self.data.get("channels", 3), verbose=verbose and RANK == -1
        )
        self.set_model_names_for_load(model)
        if weights is not None:
            report = transfer(model, weights)
            if RANK in {-1, 0}:
                LOGGER.info(_transfer_line(report, len(model.state_dict())))
                self._say_classes(getattr(weights, "names", None) or {}, self.data["names"])
            if getattr(weights, "names", None) is not None:
                model.load(weights, verbose=False)  # also maps the rows of the class heads by name
        self._set_sar(model)
        if model.iou_mean is not None and not self.resume:
            model.iou_mean.reset()  # that of another training says nothing about this one
        return model

    def _set_sar(self, model: torch.nn.Module) -> None:
        """Store how SAR files become pictures in the model: measured here, or that of the run which is resumed."""
        if self.data.get("sar") is None and "sar" not in model.yaml:
            return
        stored = model.yaml.get("sar") if self.resume else None
        section = val_section(stored, self.data) if self.resume else train_section(self.data, self.args.fraction)
        model.yaml = {k: v for k, v in model.yaml.items() if k != "sar"}  # a copy: the caller's is not ours to change
        if section is not None:
            model.yaml["sar"] = section

    def _say_classes(self, known: dict[int, str], wanted: dict[int, str]) -> None:
        if list(known.values()) == list(wanted.values()):
            return
        same = {str(n).strip().lower() for n in known.values()} & {str(n).strip().lower() for n in wanted.values()}
        # Ultralytics maps rows by name; rows it cannot map keep what stood at their place if the counts agree.
        what = f"{len(same)} with the same name are taken over"
        LOGGER.info(f"class outputs: {len(known)} classes in the weights, {len(wanted)} in the data; {what}.")

    def get_dataset(self) -> dict[str, Any]:
        """Ultralytics' check of the data YAML, and what it does not look at."""
        data = super().get_dataset()
        check_channels(data)
        check_section(data)
        return data

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Build the stock dataset, then look at the header of every image once."""
        self.data["sar"] = getattr(unwrap_model(self.model), "yaml", {}).get("sar")
        with our_datasets():
            dataset = super().build_dataset(img_path, mode, batch)
        if mode == "val" and not self.args.rect:
            dataset.rect = False  # what val and every exported file get: one size of input, and one set of numbers
        if RANK in {-1, 0}:
            check_pictures(dataset, self.data)
            warn_of_left_out(dataset)
            if mode == "train" and not any(len(label["cls"]) for label in dataset.labels):
                raise DataError(
                    f"no image in {img_path} has a labelled object; check that the labels folder mirrors the images "
                    "folder (images/train -> labels/train)."
                )
        return dataset

    def get_validator(self) -> Any:
        """Return our validator, which knows the protocols and the ignored regions."""
        args = copy(self.args)
        for key in TRAIN_DEFAULTS:  # a validator does not know them
            delattr(args, key)
        return self.validator_class(self.test_loader, save_dir=self.save_dir, args=args, _callbacks=self.callbacks)

    def _setup_train(self) -> Any:
        # Ultralytics would try AMP on a model that it downloads; bfloat16 needs no such trial and does not overflow.
        if self.args.amp is True:
            self.args.amp = "bf16" if self.device.type == "cuda" and torch.cuda.is_bf16_supported() else False
        result = super()._setup_train()
        mean = unwrap_model(self.model).iou_mean
        if mean is not None:
            # Tong et al.: 1 - 0.05 ** (1 / (n t)) with n steps an epoch and t the epoch where accuracy flattens, which
            # nobody knows before; a quarter of the training is taken.
            steps = max(1, len(self.train_loader) // max(1, self.accumulate)) * max(1.0, self.epochs / 4)
            mean.momentum = 1 - 0.05 ** (1 / steps)
        return result

    def optimizer_step(self) -> None:
        """Step, unless the loss is not finite; give up after a few such steps in a row."""
        mean = unwrap_model(self.model).iou_mean
        if self.loss is not None and not torch.isfinite(self.loss):
            self._bad_steps += 1
            self.optimizer.zero_grad()
            if mean is not None:
                mean.drop()
            if self._bad_steps >= MAX_BAD_STEPS:
                kept = f"the last good checkpoint is {self.last}" if self.last.exists() else "no epoch was finished"
                raise TrainingFailed(
                    f"the loss was NaN or infinite for {MAX_BAD_STEPS} steps running (epoch {self.epoch + 1}); {kept}; "
                    "lower lr0, set amp=False, or look for broken labels."
                )
            return
        self._bad_steps = 0
        super().optimizer_step()
        if mean is not None:
            mean.commit()
            if self.ema is not None:  # a mean of running means lags; the checkpoint, which is the EMA, must not
                self.ema.ema.iou_mean.mean.copy_(mean.mean)

    def save_model(self) -> bool:
        """Write the checkpoints beside their final place and rename them: an interruption leaves the old ones whole."""
        last, best = self.last, self.best
        parts = {last.with_name("last.pt.part"): last, best.with_name("best.pt.part"): best}
        self.last, self.best = parts
        try:
            saved = super().save_model()
            for part, final in parts.items():
                if part.exists():
                    os.replace(part, final)
            return saved
        except OSError as e:
            raise TrainingFailed(
                f"the checkpoint could not be written ({e.strerror or e}); {last} is still the one of an earlier epoch "
                "if it exists; free some space or choose another project=, then resume."
            ) from e
        finally:
            self.last, self.best = last, best
            for part in parts:
                part.unlink(missing_ok=True)


def _transfer_line(report: dict[str, list[str]], total: int) -> str:
    line = f"pretrained weights: {len(report['taken'])} of {total} tensors taken"
    if report["shape"]:
        line += f", {len(report['shape'])} of another shape left (e.g. {report['shape'][0]})"
    if report["missing"]:
        line += f", {len(report['missing'])} not in the file (e.g. {report['missing'][0]})"
    return line + "."


class RTDETRTrain(_OurTrainer, RTDETRTrainer):
    """Trainer of the RT-DETR family."""

    model_class = RTDETRModel
    validator_class = RTDETRVal


class YOLOTrain(_OurTrainer, DetectionTrainer):
    """Trainer of the YOLO family."""

    model_class = YOLOModel
    validator_class = YOLOVal


def resume_line(save_dir: str | Path) -> str:
    """The command that continues an interrupted run, or a sentence that says why there is none."""
    last = Path(save_dir) / "weights" / "last.pt"
    if last.is_file():
        return f"rsdet train resume=True model={last}"
    return "no epoch was finished, so there is nothing to resume; start again"

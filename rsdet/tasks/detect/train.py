"""Training of detectors: Ultralytics' trainers with our models, and with nothing lost when something goes wrong.

Importing this module imports rsdet, so the child processes of multi-GPU training, which unpickle the trainer class,
have every registration.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.models.rtdetr.train import RTDETRTrainer
from ultralytics.models.yolo.detect.train import DetectionTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_number
from rsdet.data.gsd import gsd_of
from rsdet.enhance.joint import joint_networks, taken_over
from rsdet.errors import ConfigError, DataError
from rsdet.losses.boxes import check_box_loss
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.tasks.detect.dataset import (
    check_pictures,
    check_section,
    our_datasets,
    train_section,
    val_section,
)
from rsdet.tasks.detect.model import RTDETRModel, YOLOModel
from rsdet.tasks.detect.val import RTDETRVal, YOLOVal, check_channels, warn_of_left_out
from rsdet.tasks.resuming import count_passes
from rsdet.tasks.training import MAX_BAD_STEPS, SafeTrainer, TrainingFailed, resume_line, take_over

__all__ = ["MAX_BAD_STEPS", "RTDETRTrain", "TrainingFailed", "YOLOTrain", "resume_line"]


class PictureTrainer(SafeTrainer):
    """What the trainers share that learn from Ultralytics' datasets of pictures, whatever is labelled in them.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        speckle: Looks of the multiplicative noise put on training images, 0 for none.
        rot90: Probability of a turn by 90, 180 or 270 degrees.
        **own: Arguments of the class that derives from this one.
    """

    model_class: type
    datasets: ClassVar[Callable[..., AbstractContextManager[None]]] = staticmethod(our_datasets)

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        speckle: float = 0.0,
        rot90: float = 0.0,
        **own: Any,
    ):
        super().__init__(cfg, overrides, _callbacks, speckle=speckle, rot90=rot90, **own)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        check_number(
            "speckle", given.get("speckle", 0.0), 0, math.inf, "a number of looks, 0 for no speckle; e.g. speckle=8"
        )
        check_number("rot90", given.get("rot90", 0.0), 0, 1, "a probability from 0 to 1; e.g. rot90=0.5")

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Build our model and take over what fits of the weights, with a report of it."""
        with buildable(self.args.model):  # weights bring a YAML of their own
            model = self.model_class(
                cfg, nc=self.data["nc"], ch=self.data.get("channels", 3), verbose=verbose and RANK == -1
            )
        self.set_model_names_for_load(model)
        if weights is not None:
            take_over(model, weights)
            if RANK in {-1, 0}:
                self._say_classes(getattr(weights, "names", None) or {}, self.data["names"])
            if getattr(weights, "names", None) is not None:
                model.load(weights, verbose=False)  # also maps the rows of the class heads by name
        self._set_reading(model)
        return model

    def _set_reading(self, model: torch.nn.Module) -> None:
        """Store what pictures are in the model: bands, metres a pixel, the stretch of this run or the one resumed."""
        stored = model.yaml.get("sar") if self.resume else None
        section = val_section(stored, self.data) if self.resume else train_section(self.data, self.args.fraction)
        # A copy: the caller's is not ours to change.
        told = {"sar": section, "bands": self.data.get("bands"), "gsd": gsd_of(self.data)}
        model.yaml = {k: v for k, v in {**model.yaml, **told}.items() if k not in told or v is not None}

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
        with self.datasets():
            dataset = super().build_dataset(img_path, mode, batch)
        if mode == "train":
            dataset.seed = self.args.seed
        if mode == "val" and not self.args.rect:
            dataset.rect = False  # what val and every exported file get: one size of input, and one set of numbers
        if RANK in {-1, 0}:
            check_pictures(dataset, self.data)
            warn_of_left_out(dataset)
            if mode == "train":
                self.check_labelled(dataset, img_path)
        return dataset

    def check_labelled(self, dataset: Any, img_path: str) -> None:
        """Refuse training images without anything to learn from.

        Raises:
            DataError: Nothing is labelled in any of them.
        """
        if not any(len(label["cls"]) for label in dataset.labels):
            raise DataError(
                f"no image in {img_path} has a labelled object; check that the labels folder mirrors the images "
                "folder (images/train -> labels/train)."
            )

    def get_dataloader(self, *args: Any, mode: str = "train", **kwargs: Any) -> Any:
        """Ultralytics' loader, with samples that depend on their epoch and not on what was drawn before."""
        loader = super().get_dataloader(*args, mode=mode, **kwargs)
        return count_passes(loader, self.args.seed) if mode == "train" else loader

    def _setup_train(self) -> Any:
        result = super()._setup_train()
        if RANK in {-1, 0}:
            sets = (getattr(loader, "dataset", None) for loader in (self.train_loader, self.test_loader))
            _warn_of_both(*(getattr(each, "im_files", ()) for each in sets))
        return result


class OurTrainer(PictureTrainer):
    """What the trainers of detectors share, whatever the form of their boxes.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        iou_loss: Box loss: ciou, diou, giou, iou, nwd, siou, wiou-v1, wiou-v2 or wiou-v3; the model's own where None.
        speckle: Looks of the multiplicative noise put on training images, 0 for none.
        rot90: Probability of a turn by 90, 180 or 270 degrees.
        enhance: Networks of the task ``restore`` to put before the detector and to train with it
            (:mod:`rsdet.enhance.joint`); ``freeze`` then also takes ``"detector"`` and ``"enhancer"``.
        freeze_enhancer: Leave those networks as they are.
    """

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        iou_loss: str | None = None,
        speckle: float = 0.0,
        rot90: float = 0.0,
        enhance: Any = None,
        freeze_enhancer: bool = False,
    ):
        super().__init__(
            cfg, overrides, _callbacks, iou_loss=iou_loss, speckle=speckle, rot90=rot90, enhance=enhance,
            freeze_enhancer=freeze_enhancer,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        super().check_settings(given)
        if given.get("iou_loss") is not None:
            check_box_loss(given["iou_loss"], cls.model_class.box_loss.names)
        if not isinstance(given.get("freeze_enhancer", False), bool):
            raise ConfigError(f"freeze_enhancer={given['freeze_enhancer']!r} must be True or False.")

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Build our model with the networks before it, and take over what fits of the weights."""
        if self.args.iou_loss is not None and not self.resume:
            cfg = {**(cfg if isinstance(cfg, dict) else load_model_yaml(cfg)), "iou_loss": self.args.iou_loss}
        cfg, networks = self._with_enhancer(cfg)
        model = super().get_model(cfg, weights, verbose)
        if networks:
            count = taken_over(model, networks)
            if RANK in {-1, 0}:
                kept = "stay as they are" if self.args.freeze_enhancer else "learn from the detector's loss"
                LOGGER.info(f"enhance: {count:,} weights before the detector, which {kept}.")
        if model.iou_mean is not None and not self.resume:
            model.iou_mean.reset()  # that of another training says nothing about this one
        return model

    def _with_enhancer(self, cfg: Any) -> tuple[Any, list[torch.nn.Module]]:
        """The YAML with the networks that ``enhance=`` names, and those; an earlier training's are kept."""
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        asked = getattr(self.args, "enhance", None)  # unknown to the settings of an older run
        if self.resume or (asked is None and not d.get("enhance")):
            return cfg, []
        section, networks = dict(d.get("enhance") or {}), []
        if asked is not None:
            channels = self.data.get("channels", 3)
            section["networks"], networks = joint_networks(asked, channels)
        return {**d, "enhance": {**section, "frozen": bool(self.args.freeze_enhancer)}}, networks

    def _setup_train(self) -> Any:
        result = super()._setup_train()
        mean = unwrap_model(self.model).iou_mean
        if mean is not None:
            # Tong et al.: 1 - 0.05 ** (1 / (n t)) with n steps an epoch and t the epoch where accuracy flattens, which
            # nobody knows before; a quarter of the training is taken.
            steps = max(1, len(self.train_loader) // max(1, self.accumulate)) * max(1.0, self.epochs / 4)
            mean.momentum = 1 - 0.05 ** (1 / steps)
        return result

    def exact_state(self, optimizer: dict[str, Any]) -> dict[str, Any]:
        """What training goes on from, with what the loss has learnt since the last step."""
        mean = unwrap_model(self.model).iou_mean
        return {**super().exact_state(optimizer), "pending": None if mean is None else mean.pending}

    def resume_training(self, ckpt: dict[str, Any] | None) -> None:
        """Go on from a checkpoint."""
        super().resume_training(ckpt)
        mean = unwrap_model(self.model).iou_mean
        if mean is not None and self._exact is not None:
            mean.pending = self._exact["pending"]

    def after_step(self) -> None:
        """Take over what the loss has learnt from the step."""
        mean = unwrap_model(self.model).iou_mean
        if mean is not None:
            mean.commit()
            if self.ema is not None:  # a mean of running means lags; the checkpoint, which is the EMA, must not
                self.ema.ema.iou_mean.mean.copy_(mean.mean)

    def after_bad_step(self) -> None:
        """Forget what the loss has learnt from the step."""
        mean = unwrap_model(self.model).iou_mean
        if mean is not None:
            mean.drop()


class RTDETRTrain(OurTrainer, RTDETRTrainer):
    """Trainer of the RT-DETR family."""

    model_class = RTDETRModel
    validator_class = RTDETRVal


class YOLOTrain(OurTrainer, DetectionTrainer):
    """Trainer of the YOLO family."""

    model_class = YOLOModel
    validator_class = YOLOVal


def _warn_of_both(train: Sequence[str], val: Sequence[str]) -> None:
    """Say that images are in both splits: numbers of these say nothing about other images."""
    if both := len({*train} & {*val}):
        LOGGER.warning(
            f"{both} of {len(val)} images of val are trained on, too: accuracy on these says nothing about others. "
            "`rsdet convert val_fraction=0.2` holds a part back, `rsdet split` makes folds."
        )

"""Training of semantic networks by Ultralytics' trainer, with our models, reading, checks and methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.models.yolo.semantic import SemanticSegmentationTrainer
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_number
from rsdet.data.semi.labelled import LabelledShare
from rsdet.data.semi.mask_sources import SOURCES, check_pastable, make_object_masks
from rsdet.data.semi.object_masks import ObjectChoice
from rsdet.errors import ConfigError, nearest
from rsdet.losses.ema_teacher import EMATeacher
from rsdet.losses.semi import SemiMethod
from rsdet.losses.semi_settings import METHODS, SemiSettings, method_settings
from rsdet.modelyaml import load_model_yaml
from rsdet.tasks.detect.train import PictureTrainer
from rsdet.tasks.semantic.dataset import semantic_datasets
from rsdet.tasks.semantic.labelled import check_any_labelled
from rsdet.tasks.semantic.model import MODELS
from rsdet.tasks.semantic.semi import NAMES, SemiData, SemiDataset
from rsdet.tasks.semantic.val import SemanticVal

MASK_SOURCES = (*SOURCES, "file", "components", "rect")
_OF_METHODS = ("labeled", "unlabeled", "mask_source", "masks", "lambda_u", "t_hard", "t_soft", "ema_momentum")


class SemanticTrain(PictureTrainer, SemanticSegmentationTrainer):
    """Trainer of semantic networks.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        speckle: Looks of the multiplicative noise put on training images, 0 for none.
        rot90: Probability of a turn by 90, 180 or 270 degrees.
        method: ``supervised``, ``mean-teacher``, ``fixmatch``, ``augseg``, ``unimatch``, ``s5mars`` or
            ``self-distillation`` (:mod:`rsdet.losses.semi_settings`): one loop, in which ``batch`` counts the labelled
            pictures, as many others come beside them, and ``scale`` and ``fliplr`` are all that is done to both. None
            trains by Ultralytics' criterion and augmentations, on all labels.
        labeled: Share of the training pictures whose masks are used, drawn by ``seed``, or a file with a name a line.
        unlabeled: Folders, globs or lists of more pictures to learn from.
        mask_source: What is cut out where a method pastes objects: ``file`` (those of ``masks``), ``superpixel``,
            ``sam`` or ``fastsam`` (found before the training starts, kept in ``masks``), ``components`` of the
            pseudo-labels, or ``rect``; ``file`` with ``masks``, else ``components``, where None.
        masks: Folder of masks of objects, as ``rsdet masks`` writes them.
        lambda_u: Weight of all that is learnt from pseudo-labels; the method's where None.
        t_hard: Confidence from which on a pseudo-label counts as a label; likewise.
        t_soft: Confidence below which its probabilities count; likewise.
        ema_momentum: Largest share of the old teacher in each step, 0 to 1; likewise.
        lr_power: The learning rate falls as (1 - epoch / epochs) to this power, instead of by ``lrf`` and ``cos_lr``.
        clip_grad: Largest norm of the gradients, 0 for any.
    """

    validator_class = SemanticVal
    datasets = staticmethod(semantic_datasets)
    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for broken masks"
    _share: LabelledShare | None = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        speckle: float = 0.0,
        rot90: float = 0.0,
        method: str | None = None,
        labeled: float | str = 1.0,
        unlabeled: str | Sequence[str] = (),
        mask_source: str | None = None,
        masks: str | None = None,
        lambda_u: float | None = None,
        t_hard: float | None = None,
        t_soft: float | None = None,
        ema_momentum: float | None = None,
        lr_power: float | None = None,
        clip_grad: float = 10.0,
    ):
        self._rng: tuple[int, Any] = (-1, None)
        super().__init__(
            cfg, overrides, _callbacks, speckle=speckle, rot90=rot90, method=method, labeled=labeled,
            unlabeled=unlabeled, mask_source=mask_source, masks=masks, lambda_u=lambda_u, t_hard=t_hard, t_soft=t_soft,
            ema_momentum=ema_momentum, lr_power=lr_power, clip_grad=clip_grad,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        super().check_settings(given)
        check_number("clip_grad", given.get("clip_grad", 10.0), 0, math.inf, "a norm, 0 for any; e.g. clip_grad=8")
        if given.get("lr_power") is not None:
            check_number("lr_power", given["lr_power"], 0, 100, "a number from 0 to 100; e.g. lr_power=0.9")
        own = {key: given[key] for key in _OF_METHODS if given.get(key) not in (None, (), [])}
        if given.get("method") is None:
            if own:
                raise ConfigError(
                    f"{next(iter(own))}= is for method=, which is not given; it takes {', '.join(METHODS)}."
                )
            return
        settings_of(given)  # refuses values out of their range
        source = own.get("mask_source", "file" if "masks" in own else "components")
        if source not in MASK_SOURCES:
            known = ", ".join(MASK_SOURCES)
            raise ConfigError(f"mask_source={source!r} must be one of {known}.{nearest(str(source), MASK_SOURCES)}")
        if {"mask_source", "masks"} & own.keys() and not any(m.kind == "object" for m in METHODS[given["method"]].mix):
            raise ConfigError(f"method={given['method']} pastes no objects; leave mask_source= and masks= out.")
        if source == "file" and not ("masks" in own and Path(str(own["masks"])).is_dir()):
            raise ConfigError(
                f"masks={own.get('masks')!r} is no folder of masks; make one with `rsdet masks data=...`."
            )

    def model_class(self, cfg: Any, **kwargs: Any) -> torch.nn.Module:
        """Build the network of a YAML of either family."""
        d = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        model = MODELS[d["family"]](d, **kwargs)
        starts = not self.resume and not self.args.pretrained  # else weights hold all there is
        told = model.network.load_pretrained() if d["family"] == "network" and starts else None
        if told and RANK in {-1, 0}:
            LOGGER.info(f"pretrained weights: {told}")
        return model

    def check_labelled(self, dataset: Any, img_path: str) -> None:
        """Refuse training pictures without a labelled pixel."""
        check_any_labelled(dataset, img_path)

    # -- methods --------------------------------------------------------------------------------------------------

    @property
    def method(self) -> SemiSettings | None:
        """Settings of the method; None for Ultralytics' criterion."""
        given = vars(self.args)
        return settings_of(given) if given.get("method") else None

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> Any:
        """Pictures and masks; for a method, beside pictures whose masks are not used."""
        dataset = super().build_dataset(img_path, mode, batch)
        if mode == "val" and self._share is not None and (both := self._share.among(dataset.im_files)):
            LOGGER.warning(f"{both} pictures of the validation are learnt from without their labels (unlabeled=); its "
                           "scores look better than they are.")  # fmt: skip
        if mode != "train" or self.method is None:
            return dataset
        a = self.args
        several = (a.unlabeled,) if isinstance(a.unlabeled, str) else tuple(a.unlabeled or ())
        spec = SemiData(a.labeled, several, a.seed, a.imgsz, a.scale, a.fliplr, bool(a.rot90))
        made = SemiDataset(dataset, spec)
        self._share = made.share if RANK in {-1, 0} else None
        if any(m.kind == "object" for m in self.method.mix):
            made.spec = replace(spec, objects=self._objects(made), choice=_choice(a.mask_source))
        return made

    def _objects(self, dataset: SemiDataset) -> Path:
        """Folder of masks of objects, made where it is not there yet."""
        folder = Path(self.args.masks or self.save_dir / "masks")
        if self.args.mask_source in SOURCES and RANK in {-1, 0}:
            found = make_object_masks(
                dataset.share.unlabelled, folder, self.args.mask_source, reader=dataset.base.reader
            )
            LOGGER.info(f"objects to paste: {sum(max(n, 0) for _, n in found)} found by {self.args.mask_source}")
        elif self.args.mask_source not in SOURCES:
            lacking = check_pastable(dataset.share.unlabelled, folder, _choice(self.args.mask_source))
            if lacking and RANK in {-1, 0}:
                LOGGER.warning(f"masks={folder} has no file for {lacking} pictures; nothing is cut out of them")
        return folder

    def _setup_train(self) -> Any:
        result = super()._setup_train()
        if self.method is not None:
            model = unwrap_model(self.model)
            self._semi = SemiMethod(self.method, model.feature_layers)
            model.method = self._learn
        return result

    def learning_rate(self) -> Callable[[int], float] | None:
        """Falls to 0 by ``lr_power``, where it is given."""
        power = self._ours("lr_power")
        return None if power is None else lambda epoch: max(1 - epoch / self.epochs, 0) ** float(power)

    def _learn(self, model: torch.nn.Module, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a batch by the method, from the student and the EMA, its teacher."""
        if self._rng[0] != self.epoch:  # a resumed training draws as one that was not stopped
            self._rng = self.epoch, np.random.default_rng((self.args.seed, self.epoch, max(RANK, 0)))
        given = {"image": batch["img"], "label": batch["semantic_mask"], **{name: batch[name] for name in NAMES}}
        total, parts = self._semi.losses(model, self.ema.ema, given, self._rng[1])
        told = {f"{name}_loss": value for name, value in parts.items()}
        model.method_parts = self.ema.ema.method_parts = tuple(told)
        return total / max(1, self.world_size), told  # gradients are averaged, and Ultralytics multiplies by them

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, pictures in [0, 1]."""
        batch = super().preprocess_batch(batch)
        if "weak" in batch:
            batch["weak"] = batch["weak"].float() / 255
        return batch

    @property
    def ema(self) -> Any:
        """Averaged weights, which are validated and kept; of a method, the teacher."""
        return self._ema

    @ema.setter
    def ema(self, ema: Any) -> None:
        settings = None if ema is None else self.method
        if settings is not None and not isinstance(ema, EMATeacher):
            ema = EMATeacher(ema.ema, settings.momentum, settings.ramp, ema.updates)
        self._ema = ema

    def progress_string(self) -> str:
        """Head of the columns."""
        losses = (n if len(n) < 11 else n.removesuffix("_loss") for n in self.loss_names)  # the width of a column
        names = ("Epoch", "GPU_mem", *losses, "Pictures", "Size")
        return ("\n" + "%11s" * len(names)) % names


def settings_of(given: Mapping[str, Any]) -> SemiSettings:
    """Settings of the method that arguments ask for.

    Raises:
        ConfigError: No such method, or a value out of its range.
    """
    names = {key: key for key in ("lambda_u", "t_hard", "t_soft")} | {"ema_momentum": "momentum"}
    changes = {names[key]: given[key] for key in names if given.get(key) is not None}
    settings = method_settings(str(given["method"]), **changes)
    source = given.get("mask_source") or ("file" if given.get("masks") else "components")
    kind = source if source in ("components", "rect") else "object"
    mix = tuple(replace(m, kind=kind) if m.kind == "object" else m for m in settings.mix)
    return replace(settings, mix=mix)


def _choice(source: str | None) -> ObjectChoice:
    return ObjectChoice(min_score=0.5) if source == "fastsam" else ObjectChoice()  # its scores are confidences

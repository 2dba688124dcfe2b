"""Training of restoration networks by Ultralytics' trainer: random patches of pairs, PSNR chooses the best weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_whole
from rsdet.data.gsd import gsd_of
from rsdet.errors import ConfigError
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.tasks.network_training import NetworkTrainer, data_dict
from rsdet.tasks.restore.data import (
    cache_of,
    check_has_work,
    read_pairs,
    train_loader,
    val_dataset,
    val_loader,
)
from rsdet.tasks.restore.model import RestoreModel
from rsdet.tasks.restore.val import RestoreVal
from rsdet.tasks.restore.visual import in_two_columns, side_by_side, write_jpeg
from rsdet.tasks.training import take_over

PATCH_PX = 128  # of the input, unless asked for otherwise
_DRAWN = 8  # patches of a batch in a training picture


class RestoreTrain(NetworkTrainer):
    """Trainer of the task ``restore``.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        patch: Side of the training patches in pixels of the input; 128 where None.
        target_patch: The same in pixels of the target, where ``patch`` is None.
        repeats: Patches of each picture in an epoch.
        val_period: Epochs from one validation to the next.
        loss: Terms and weights, ``l1:1,fft:0.1``, instead of the model's.
        beta2: Second moment of Adam and its kin.
        ema_decay: Of the averaged weights that are validated and kept, 0 for none; Ultralytics' ramp to 0.9999 where
            None.
        clip_grad: Largest norm of the gradients, 0 for any.
        lr_steps: Parts of the training, 0 to 1, after each of which the learning rate is halved; instead of ``lrf`` and
            ``cos_lr``.

    Attributes:
        pairs: The data set, a :class:`rsdet.data.pairs.PairData`.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for pictures that are no pairs"
    validator_class = RestoreVal
    counted = "Patches"

    pairs: Any = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        patch: int | None = None,
        target_patch: int | None = None,
        repeats: int = 1,
        val_period: int = 1,
        loss: Any = None,
        beta2: float = 0.999,
        ema_decay: float | None = None,
        clip_grad: float = 10.0,
        lr_steps: float | Sequence[float] | None = None,
    ):
        super().__init__(
            cfg, overrides, _callbacks, patch=patch, target_patch=target_patch, repeats=repeats, val_period=val_period,
            loss=loss, beta2=beta2, ema_decay=ema_decay, clip_grad=clip_grad, lr_steps=lr_steps,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        for key, example in (("patch", 128), ("target_patch", 256), ("repeats", 8), ("val_period", 5)):
            if not (key.endswith("patch") and given.get(key, 1) is None):
                check_whole(key, given.get(key, 1), 1, f"a whole number of 1 or more; e.g. {key}={example}")
        for key, top in (("beta2", 1.0), ("ema_decay", 1.0), ("clip_grad", math.inf)):
            value = given.get(key, 0.0)
            if not (_is_number(value) and 0 <= value < top) and not (key == "ema_decay" and value is None):
                raise ConfigError(f"{key}={value!r} must be a number from 0 to below {top:g}; e.g. {key}=0.9.")
        steps = given.get("lr_steps") or []
        each = list(steps) if isinstance(steps, (list, tuple)) else [steps]
        if not all(_is_number(v) and 0 < v < 1 for v in each):
            raise ConfigError(
                f"lr_steps={steps!r} must be parts of the training between 0 and 1; e.g. lr_steps=0.5,0.9."
            )
        loss_terms(given.get("loss"))
        check_whole("batch", given.get("batch", 1), 1, "a whole number of 1 or more for this task; e.g. batch=8")

    # -- before it starts -----------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Note where the data are; they are read once the network is there, whose scale and channels they must fit."""
        return data_dict(self.args.data, {0: "restored"}, 3)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Build the network, take over what fits of the weights, and read the data."""
        cfg = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        if self.args.loss is not None and not self.resume:
            cfg = {**cfg, "loss": loss_terms(self.args.loss)}
        with buildable(self.args.model):  # weights bring a YAML of their own
            model = RestoreModel(cfg, verbose=verbose and RANK == -1)
            model.init_criterion()  # refuses a wrong loss before anything is read
        if weights is not None:
            take_over(model, weights)
        self._read_data(model)
        return model

    def _read_data(self, model: RestoreModel) -> None:
        self.pairs = read_pairs(self.args.data, model, ("train", self.args.split))
        self.data = data_dict(self.args.data, {0: model.kind}, model.network.channels)
        told = {"gsd": gsd_of(self.pairs.content)}  # of its input
        model.yaml = {k: v for k, v in {**model.yaml, **told}.items() if k not in told or v is not None}

    def setup_model(self) -> Any:
        """Load or build the model."""
        ckpt = super().setup_model()
        if self.pairs is None:  # a process of a multi-GPU training gets the network ready-made
            self._read_data(self.model)
        return ckpt

    def _setup_train(self) -> Any:
        # Ultralytics prints imgsz= and judges batches by it; a network of this task takes any size.
        self.args.imgsz = max(64, math.ceil(self.patch / 32) * 32)
        return super()._setup_train()

    @property
    def patch(self) -> int:
        """Side of the training patches, in pixels of the input."""
        target = self._ours("target_patch")
        return int(self.args.patch or (target and max(1, target // unwrap_model(self.model).scale)) or PATCH_PX)

    # -- how it learns --------------------------------------------------------------------------------------------

    def build_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Ultralytics' optimizer with ``beta2``."""
        optimizer = super().build_optimizer(*args, **kwargs)
        for group in optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (group["betas"][0], float(self._ours("beta2")))
        return optimizer

    def learning_rate(self) -> Callable[[int], float] | None:
        """Halved after each of ``lr_steps``."""
        steps = self._ours("lr_steps") or ()
        steps = [s * self.epochs for s in (steps if isinstance(steps, (list, tuple)) else [steps])]
        return (lambda epoch: 0.5 ** sum(epoch >= s for s in steps)) if steps else None

    @property
    def ema(self) -> Any:
        """Averaged weights; Ultralytics makes them anew where it goes back to a checkpoint, hence a property."""
        return self._ema

    @ema.setter
    def ema(self, ema: Any) -> None:
        decay = self._ours("ema_decay") if ema is not None else None
        if decay is not None:
            ema.decay = lambda _: float(decay)
        self._ema = ema

    # -- data -----------------------------------------------------------------------------------------------------

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Patches to train on, or whole pictures to validate on."""
        scale, world = unwrap_model(self.model).scale, max(self.world_size, 1)
        cache, seed = cache_of(self.args.cache), self.args.seed
        if mode != "train":
            dataset = val_dataset(self.pairs, self.args.split, scale=scale, seed=seed, cache=cache)
            return val_loader(dataset, rank=rank, world=world, workers=self.args.workers)
        loader = train_loader(
            self.pairs, scale=scale, patch=self.patch, batch=batch_size, repeats=int(self.args.repeats), seed=seed,
            cache=cache, workers=self.args.workers, rank=rank, world=world, fraction=self.args.fraction,
        )  # fmt: skip
        check_has_work(loader, self.pairs)
        return loader

    # -- while it runs --------------------------------------------------------------------------------------------

    def validate(self) -> tuple[Any, Any]:
        """Validate every ``val_period`` epochs and after the last; between them nothing is known."""
        for note in getattr(unwrap_model(self.model).network, "training_notes", list)():
            LOGGER.warning(note)
        due = (self.epoch + 1) % int(self.args.val_period) == 0
        if due or self.epoch + 1 >= self.epochs or self.stop or self.stopper.possible_stop:
            return super().validate()
        return dict.fromkeys(self.metrics, math.nan), None

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw patches as the network gets them, beside their targets."""
        rows = []
        for x, y, file in list(zip(batch["img"], batch["target"], batch["im_file"], strict=True))[:_DRAWN]:
            pictures = [t.float().cpu().numpy().transpose(1, 2, 0) for t in (x, y)]
            rows.append([(pictures[0], Path(file).name), (pictures[1], "truth")])
        self.on_plot(write_jpeg(self.save_dir / f"train_batch{ni}.jpg", side_by_side(in_two_columns(rows))))

    def plot_metrics(self) -> None:
        """Draw the columns of ``results.csv``; one that was never measured has nothing to show."""
        if self.csv.is_file() and np.isfinite(list(self.metrics.values())).all():
            super().plot_metrics()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def loss_terms(value: Any) -> dict[str, float] | None:
    """Terms of a loss by name, from what a user may write: ``l1``, ``l1:1,fft:0.1`` or a mapping.

    Raises:
        ConfigError: Neither.
    """
    if value is None:
        return None
    terms: dict[str, Any] = dict(value) if isinstance(value, Mapping) else {}
    for part in [] if terms else value if isinstance(value, (list, tuple)) else str(value).split(","):
        name, _, weight = str(part).partition(":")
        terms[name.strip()] = weight.strip() or 1.0
    try:
        return {str(k): float(v) for k, v in terms.items()}
    except (TypeError, ValueError) as e:
        raise ConfigError(f"loss={value!r} must be terms with weights, such as loss=l1:1,fft:0.1.") from e

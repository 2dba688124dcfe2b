"""Training of change networks by Ultralytics' trainer; F1 of the changed pixels chooses the best weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import LOGGER, RANK

from rsdet.arguments import check_number, check_whole
from rsdet.errors import ConfigError, DataError
from rsdet.losses.change import ChangeLoss
from rsdet.metrics.confusion import IGNORE
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.nn.change import DATES
from rsdet.tasks.change.data import ChangeData, read_change_data
from rsdet.tasks.change.dataset import ChangeWindows, Views
from rsdet.tasks.change.model import NAMES, ChangeModel
from rsdet.tasks.change.val import ChangeVal
from rsdet.tasks.change.visual import dates_of, error_map
from rsdet.tasks.loaders import pictures_to_device, shuffled_loader
from rsdet.tasks.network_training import NetworkTrainer, data_dict
from rsdet.tasks.restore.visual import in_two_columns, side_by_side, write_jpeg
from rsdet.tasks.training import take_over

_DRAWN = 6  # windows of a batch in a training picture


class ChangeTrain(NetworkTrainer):
    """Trainer of change networks. ``imgsz`` is the side of its windows, in pixels of the pictures.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        dice: Dice of each window (``sample``, as SSA-Net's paper has it), or of all of a batch together (``batch``),
            by which windows without a change cost nothing where nothing is found in them.
        rot90: Probability of a turn by 90, 180 or 270 degrees, of both dates and the label together.
        jitter: How much brightness and contrast of each date by itself change at most, as parts of 1.
        swap: Probability that the two dates of a place change roles.
        lr_power: The learning rate falls as (1 - epoch / epochs) to this power; 0 for ``lrf`` and ``cos_lr``.
        poly_cycle: Epochs after which that fall starts again from the top; None for never.

    Attributes:
        dates: The data set.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for broken labels"
    validator_class = ChangeVal
    counted = "Windows"
    dates: ChangeData

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        dice: str = "sample",
        rot90: float = 0.75,
        jitter: float = 0.0,
        swap: float = 0.0,
        lr_power: float = 0.9,
        poly_cycle: int | None = None,
    ):
        super().__init__(
            cfg, overrides, _callbacks, dice=dice, rot90=rot90, jitter=jitter, swap=swap, lr_power=lr_power,
            poly_cycle=poly_cycle,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        ChangeLoss(given.get("dice", "sample"))
        check_number("rot90", given.get("rot90", 0.0), 0, 1, "a probability from 0 to 1; e.g. rot90=0.75")
        check_number("swap", given.get("swap", 0.0), 0, 1, "a probability from 0 to 1; e.g. swap=0.5")
        check_number("jitter", given.get("jitter", 0.0), 0, 1, "a part of the brightness from 0 to 1; e.g. jitter=0.2")
        check_number("lr_power", given.get("lr_power", 0.0), 0, 100, "a number from 0 to 100; e.g. lr_power=0.9")
        cycle = given.get("poly_cycle")
        if cycle is not None:
            check_whole("poly_cycle", cycle, 1, "a number of epochs, 1 or more; e.g. poly_cycle=50")
        if cycle is not None and not given.get("lr_power", 0.9):
            raise ConfigError("poly_cycle= is about lr_power=, which is 0; leave one of them out.")
        check_whole("batch", given.get("batch", 1), 1, "a whole number of windows, 1 or more; e.g. batch=8")
        if given.get("cache") not in (None, False, True, "ram"):
            raise ConfigError(f"cache={given['cache']!r} must be ram, or left out; it keeps pictures in memory.")
        check_number("fraction", given.get("fraction", 1.0), 1e-9, 1, "a part of the pairs; e.g. fraction=0.1")

    # -- before it starts -----------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Read the data set and look at all of its files, before anything else."""
        self.dates = read_change_data(self.args.data, ("train", self.args.split))
        return data_dict(self.args.data, NAMES, DATES * self.dates.reader.bands)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> ChangeModel:
        """Build the network for the bands of the data, and take over what fits of the weights."""
        cfg = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        if not self.resume:
            told = {"dice": self.args.dice, "bands": self.dates.reader.taken, "gsd": self.dates.gsd}
            cfg = {k: v for k, v in {**cfg, **told}.items() if k not in told or v is not None}
        with buildable(self.args.model):  # weights bring a YAML of their own
            model = ChangeModel(cfg, self.data["channels"], verbose=verbose and RANK == -1)
        if weights is not None:
            take_over(model, weights)
        elif not self.resume and (what := model.network.load_pretrained()) and RANK in {-1, 0}:
            LOGGER.info(f"pretrained weights: {what}")
        return model

    def learning_rate(self) -> Callable[[int], float] | None:
        """Falls to 0, again and again with ``poly_cycle``."""
        power, cycle = float(self._ours("lr_power")), int(self._ours("poly_cycle") or self.epochs)
        return (lambda epoch: (1 - epoch % cycle / cycle) ** power) if power else None

    # -- data -----------------------------------------------------------------------------------------------------

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Windows to train on; what is validated is read pair by pair."""
        training = mode == "train"
        pairs = self.dates.splits["train" if training else self.args.split]
        if training and self.args.fraction < 1:
            pairs = pairs[: max(1, round(len(pairs) * self.args.fraction))]
        given = vars(self.args)
        views = Views(given["fliplr"], given["flipud"], *(float(self._ours(k)) for k in ("rot90", "jitter", "swap")))
        dataset = ChangeWindows(
            pairs, self.dates.reader, self.dates.labels, self.args.imgsz, views if training else None, self.args.seed,
            cache=training and self.args.cache in (True, "ram"),
        )  # fmt: skip
        if training and RANK in {-1, 0}:
            self._check_labelled(dataset)
        return shuffled_loader(
            dataset, batch_size, workers=self.args.workers if training else 0, seed=self.args.seed, rank=rank,
            world=self.world_size,
        )  # fmt: skip

    def _check_labelled(self, dataset: ChangeWindows) -> None:
        """Refuse labels of which nothing can be learnt.

        Raises:
            DataError: No pixel of any of them has changed.
        """
        known = False
        for pair in dataset.pairs:
            label = dataset.labels(pair.label)
            if (label == 1).any():
                return
            known = known or bool((label != IGNORE).any())
        what = "has changed (all are 0)" if known else "is labelled"
        raise DataError(
            f"no pixel of the {len(dataset.pairs)} labels of train {what}; check what the labels hold, and "
            "label_mapping: of the data YAML."
        )

    def get_validator(self) -> ChangeVal:
        """Our validator, with the data as they are read already."""
        validator = super().get_validator()
        validator.dates = self.dates
        return validator

    # -- while it runs --------------------------------------------------------------------------------------------

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device, pictures in [0, 1]."""
        return pictures_to_device(batch, self.device)

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw windows as the network gets them: both dates and the label."""
        rows = []
        for x, change, file in list(zip(batch["img"], batch["change"], batch["im_file"], strict=True))[:_DRAWN]:
            stack = (x.float().cpu().numpy().transpose(1, 2, 0) * 255).astype(np.uint8)
            truth = change.cpu().numpy()
            cells = zip((*dates_of(stack), error_map(truth, truth)), (Path(file).name, "later", "changed"), strict=True)
            rows.append([(picture / 255.0, caption) for picture, caption in cells])
        self.on_plot(write_jpeg(self.save_dir / f"train_batch{ni}.jpg", side_by_side(in_two_columns(rows))))

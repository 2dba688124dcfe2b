"""Training of networks for land cover by Ultralytics' trainer: patches of one scene; its own held-out pixels choose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import LOGGER, RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_number, check_whole
from rsdet.data.turns import Turns
from rsdet.errors import ConfigError, DataError
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.tasks.landcover.data import LandData, choice_of, held_out, read_land_data
from rsdet.tasks.landcover.dataset import PatchDataset, collate, train_loader
from rsdet.tasks.landcover.model import LandCoverModel
from rsdet.tasks.landcover.patches import padded
from rsdet.tasks.landcover.val import LandCoverVal
from rsdet.tasks.loaders import loader_of
from rsdet.tasks.network_training import NetworkTrainer, data_dict
from rsdet.tasks.training import take_over

TURNS = ("fliplr", "flipud", "rot90")
IMGSZ = 32  # what Ultralytics prints; patches have the side that the model says


class LandCoverTrain(NetworkTrainer):
    """Trainer of the task ``landcover``; ``batch`` counts patches.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        lidar: Take the LiDAR of the data, where there is some and the model takes it.
        bands: Bands of the cube: ``all`` good ones, numbers from 1, or ranges such as ``450-900nm``; ``usable``, alone
            or beside these, leaves out what is constant or holds no number. The data YAML's where None.
        split_by: ``disjoint`` (maps of the data), ``random`` (pixels of each class, whose neighbours are then tested:
            accuracies look better than they are) or ``blocked`` (folds of blocks); the data YAML's where None.
        per_class: Training pixels of each class, of a random split; below 1 a part of them.
        fold: Which of the folds is tested, from 0, of a blocked split.
        folds: How many there are.
        block_px: Side of the blocks in pixels.
        split_seed: Of a random or a blocked split; the data YAML's where None.
        rot90: Probability of a turn by 90, 180 or 270 degrees, for cube and LiDAR alike.
        class_weights: Weigh classes by the inverse of their number of pixels.
        lidar_dropout: Share of the steps in which the LiDAR is hidden, for scenes without it.

    Attributes:
        land: The data.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, set amp=False, or look for bands with extreme values"
    validator_class = LandCoverVal
    counted = "Patches"
    land: LandData | None = None

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        lidar: bool = True,
        bands: Any = None,
        split_by: str | None = None,
        per_class: float | None = None,
        fold: int | None = None,
        folds: int | None = None,
        block_px: int | None = None,
        split_seed: int | None = None,
        rot90: float = 0.0,
        class_weights: bool = False,
        lidar_dropout: float = 0.0,
    ):
        super().__init__(
            cfg, overrides, _callbacks, lidar=lidar, bands=bands, split_by=split_by, per_class=per_class, fold=fold,
            folds=folds, block_px=block_px, split_seed=split_seed, rot90=rot90, class_weights=class_weights,
            lidar_dropout=lidar_dropout,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        choice_of(given)
        check_number("rot90", given.get("rot90", 0.0), 0, 1, "a probability from 0 to 1; e.g. rot90=0.5")
        check_number("lidar_dropout", given.get("lidar_dropout", 0.0), 0, 1, "a share from 0 to 1; e.g. 0.2")
        check_whole("batch", given.get("batch", 2), 2, "a whole number of patches, 2 or more; e.g. batch=64")
        if given.get("split", "val") not in ("val", "test"):
            raise ConfigError(f"split={given['split']!r} must be val (pixels held out of the training) or test.")

    # -- before it starts -----------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Note where the data are; they are read once it is known what the network takes."""
        return data_dict(self.args.data, {0: "class"}, 1)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> LandCoverModel:
        """Read the data, build the network for its bands, rasters and classes, and take over what fits of weights."""
        cfg = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        args = dict(cfg.get("args") or {})
        if not self.resume:
            land = self._read(args)
            if (components := args.get("components", 0)) > land.bands:
                raise DataError(
                    f"components={components} of {land.bands} bands of {land.name}; give components={land.bands} or "
                    "fewer."
                )
            args |= {"bands": land.bands, "rasters": land.rasters, "nc": len(land.names)}
            told = {"names": dict(land.names), "scene": {**land.described(), "seed": self.args.seed}}
            cfg = {**cfg, "args": args, **told, **({"gsd": land.gsd} if land.gsd else {})}
        with buildable(self.args.model):
            model = LandCoverModel(cfg, verbose=verbose and RANK == -1)
        if weights is not None:
            take_over(model, weights)
        self._start(model, fit=not self.resume)
        return model

    def _read(self, args: Mapping[str, Any], stored: Mapping[str, Any] | None = None) -> LandData:
        self.land = read_land_data(
            self.args.data, lidar=int(args.get("rasters", 1)) > 0 and bool(self._ours("lidar")),
            bands=self._ours("bands"), stored=stored,
            choice=None if stored else choice_of(vars(self.args)), patch=int(args.get("patch", 1)),
        )  # fmt: skip
        for line in self.land.notes if RANK in {-1, 0} else ():
            LOGGER.info(line)
        return self.land

    def _start(self, model: LandCoverModel, fit: bool) -> None:
        """Fit what is not learnt by gradients, and hold pixels out."""
        land = self.land or self._read(model.yaml["args"], model.scene)
        self._train, self._val = held_out(land, self.args.seed)
        pixels = land.values[self._train]
        if fit:
            kept = model.network.fit(pixels)
            constant = int((model.network.reduction.factor == 0).sum())
            if RANK in {-1, 0}:
                told = f", {constant} bands are constant there" if constant else ""
                LOGGER.info(
                    f"{model.network.components} components hold {100 * kept:.2f} % of the variance of the scaled "
                    f"bands of {len(pixels)} training pixels{told}"
                )
        if self._ours("class_weights"):
            counts = np.bincount(land.labels[self._train] - 1, minlength=len(land.names))
            model.class_weights = torch.tensor(counts.sum() / (len(counts) * counts.clip(1)), dtype=torch.float32)
        model.lidar_dropout = float(self._ours("lidar_dropout")) if model.network.does_without else 0.0
        self.data = data_dict(self.args.data, land.names, land.channels)

    def _setup_train(self) -> Any:
        self.args.imgsz = IMGSZ
        return super()._setup_train()

    # -- data -----------------------------------------------------------------------------------------------------

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Patches to train on, or those that choose a checkpoint."""
        network, land, training = unwrap_model(self.model).network, self.land, mode == "train"
        if rank >= 0 and self.world_size > 1:
            raise ConfigError("networks for land cover are trained on one device; pass device=0.")
        scene = padded(land.values, network.patch, network.fill.cpu().numpy())
        mask = self._train if training else land.test if self.args.split == "test" else self._val
        turns = Turns(**{key: float(vars(self.args)[key]) for key in TURNS}) if training else None
        dataset = PatchDataset(scene, network.patch, land.labels, mask, turns, self.args.seed, land.name)
        if training:
            return train_loader(dataset, batch_size, workers=self.args.workers, seed=self.args.seed)
        return loader_of(dataset, batch_size, workers=self.args.workers, seed=self.args.seed, collate=collate)

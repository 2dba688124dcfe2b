"""Training of networks that rebuild backgrounds: on the very scene (Algorithm 1), or on cubes without anomalies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.utils import RANK
from ultralytics.utils.torch_utils import unwrap_model

from rsdet.arguments import check_whole
from rsdet.data.cubes.dataset import CubeData, cube_data
from rsdet.errors import ConfigError, DataError
from rsdet.modelyaml import buildable, load_model_yaml
from rsdet.tasks.anomaly.crops import CropDataset, crop_loader, scene_loader
from rsdet.tasks.anomaly.model import AnomalyModel
from rsdet.tasks.anomaly.options import NAMES
from rsdet.tasks.anomaly.scene import CubeScene
from rsdet.tasks.anomaly.scoring import check_scored
from rsdet.tasks.anomaly.val import AnomalyVal, truth_of
from rsdet.tasks.network_training import NetworkTrainer, data_dict
from rsdet.tasks.training import take_over

FITS = ("scene", "general")


class AnomalyTrain(NetworkTrainer):
    """Trainer of the task ``anomaly``.

    After each epoch the scene is scored; the best weights are those of the highest score of any pixel, and the training
    ends after ``patience`` epochs without a higher one, as Algorithm 1 of SDENet has it.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        fit: ``scene`` learns from the cube in which anomalies are sought; ``general`` from the cubes that the data YAML
            names under ``general:``, which have none, with random masks. Of several such cubes the last one chooses the
            weights.
        bands: Bands of the cube: ``all``, numbers from 1, ``1-50``, ``450-900nm``; ``usable``, alone or beside these,
            leaves out what is constant or holds no number. What the data say where None.
        score_on: What the distance is taken of: ``residual``, cube minus background, or ``recon``, the background.
        patch: Side of the training crops in pixels.
        repeats: Crops of each cube in an epoch.
        masks: Mask the input at random; as ``fit`` does where None.
    """

    bad_step_remedy: ClassVar[str] = "lower lr0, or look for broken values in the cube"
    validator_class = AnomalyVal
    counted = "Crops"

    scenes: tuple[list[CubeScene], list[CubeScene]] | None = None  # learnt from, and watched

    def __init__(
        self,
        cfg: Any = DEFAULT_CFG,
        overrides: dict[str, Any] | None = None,
        _callbacks: Any = None,
        *,
        fit: str = "scene",
        bands: Any = None,
        score_on: str = "residual",
        patch: int = 64,
        repeats: int = 4,
        masks: bool | None = None,
    ):
        super().__init__(
            cfg, overrides, _callbacks, fit=fit, bands=bands, score_on=score_on, patch=patch, repeats=repeats,
            masks=masks,
        )  # fmt: skip

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Check the values of our training arguments; see :meth:`SafeTrainer.check_settings`."""
        if given.get("fit", "scene") not in FITS:
            raise ConfigError(
                f"fit={given['fit']!r} must be scene (the cube itself) or general (cubes without anomalies)."
            )
        check_scored(given.get("score_on", "residual"))
        for key, least in (("patch", 16), ("repeats", 1), ("batch", 1)):
            check_whole(key, given.get(key, 64), least, f"a whole number of {least} or more")
        if given.get("masks") not in (None, True, False):
            raise ConfigError(f"masks={given['masks']!r} must be True or False.")

    # -- before it starts -----------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """Note where the data are; they are read once the bands are known."""
        return data_dict(self.args.data, NAMES, 1)

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> torch.nn.Module:
        """Read the cubes, build the network for their bands, and take over what fits of the weights."""
        cfg = cfg if isinstance(cfg, dict) else load_model_yaml(cfg)
        trained = (cfg.get("anomaly") or {}).get("bands")  # goes on with the bands that it knows
        self._read(trained if self.args.bands is None else self.args.bands)
        first = self.scenes[0][0]
        cfg = {**cfg, "args": {**(cfg.get("args") or {}), "channels": first.bands}, "anomaly": {
            "bands": [b + 1 for b in first.places], "score_on": self.args.score_on, "fit": self.args.fit,
        }}  # fmt: skip
        with buildable(self.args.model):
            model = AnomalyModel(cfg, verbose=verbose and RANK == -1)
            model.init_criterion()  # refuses a wrong loss before anything is learnt
        if weights is not None:
            take_over(model, weights)
        return model

    def _read(self, bands: Any) -> None:
        data = cube_data(self.args.data, "anomaly")
        bands = data.bands if bands is None else bands
        scene = CubeScene(data.open(lidar=False).cube, bands, data.name)
        scene.truth = truth_of(data)
        if self.args.fit == "scene":
            self.scenes = [scene], [scene]
        else:
            self.scenes = _general(data, scene)
        least = min(n for s in self.scenes[0] for n in s.size_hw)
        if least < 16:
            raise DataError(f"{data.name}: a side of {least} px is too short to learn from; expected 16 or more.")

    def setup_model(self) -> Any:
        """Load or build the model."""
        ckpt = super().setup_model()
        if self.scenes is None:  # a process of a multi-GPU training, or one that goes on, gets the network ready-made
            self._read((unwrap_model(self.model).yaml.get("anomaly") or {}).get("bands"))
        return ckpt

    def _setup_train(self) -> Any:
        self.args.imgsz = max(64, -(-int(self.args.patch) // 32) * 32)
        return super()._setup_train()

    # -- how it learns --------------------------------------------------------------------------------------------

    @property
    def ema(self) -> Any:
        """The weights themselves: Algorithm 1 averages nothing."""
        return self._ema

    @ema.setter
    def ema(self, ema: Any) -> None:
        if ema is not None:
            ema.decay = _of_now
        self._ema = ema

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Crops to train on, or whole scenes to be judged by."""
        learnt, watched = self.scenes
        if mode != "train":
            return scene_loader(watched)
        masked = self.args.fit == "general" if self.args.masks is None else bool(self.args.masks)
        crops = CropDataset(learnt, int(self.args.patch), self.args.seed, masked)
        return crop_loader(
            crops, batch=batch_size, repeats=int(self.args.repeats), workers=self.args.workers, rank=rank,
            world=self.world_size,
        )  # fmt: skip

    def get_validator(self) -> AnomalyVal:
        """Our validator, which scores as the training does."""
        validator = super().get_validator()
        validator.score_on, validator.bands = self.args.score_on, self.args.bands
        return validator

    # -- while it runs --------------------------------------------------------------------------------------------

    def label_loss_items(self, loss_items: Any = None, prefix: str = "train") -> Any:
        """Names of the losses, or their values: of five digits, where Ultralytics' five decimals would be zeros."""
        if prefix == "val":
            return [] if loss_items is None else {}
        if loss_items is None:
            return [f"{prefix}/{k}" for k in self.loss_names]
        return {f"{prefix}/{k}": float(f"{float(v):.5g}") for k, v in loss_items.items()}

    def plot_metrics(self) -> None:
        """Nothing: the table says it, and columns of scenes without a map are empty."""


def _of_now(updates: int) -> float:
    return 0.0


def _general(data: CubeData, scene: CubeScene) -> tuple[list[CubeScene], list[CubeScene]]:
    """Cubes to learn from, and the one that is watched: never the scene that is tested."""
    numbers = [b + 1 for b in scene.places]
    cubes = [CubeScene(cube, numbers) for cube in data.open_general()]
    if not cubes:
        raise ConfigError(
            f"{data.path}: fit=general learns from cubes without anomalies, and it names none; add general: "
            "[cube1.mat, cube2.mat], or use fit=scene."
        )
    for cube in cubes:
        cube.truth = None
    return (cubes[:-1] or cubes), cubes[-1:]

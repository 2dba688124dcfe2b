"""The network of the toy task, and its trainer, validator and predictor: only what differs from Ultralytics'."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from ultralytics.cfg import DEFAULT_CFG
from ultralytics.data.build import InfiniteDataLoader
from ultralytics.engine.predictor import BasePredictor
from ultralytics.engine.trainer import BaseTrainer
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.nn.tasks import BaseModel

from rsdet.arguments import check_number
from rsdet.data.raster_io import read_image, write_image
from rsdet.tasks.runs import PredictFolder, ValFolder
from rsdet.tasks.training import SafeTrainer
from rsdet.textfiles import read_yaml


def render(seed: int, size: tuple[int, int] = (64, 64)) -> tuple[np.ndarray, np.ndarray]:
    """A place on two dates, (6, H, W) in [0, 1], and what has changed, (1, H, W) of 0 and 1."""
    rng, (h, w) = np.random.default_rng(seed), size
    before = rng.uniform(0.2, 0.5, (3, h, w)).astype(np.float32)
    changed = np.zeros((1, h, w), np.float32)
    y, x = rng.integers(0, h // 2), rng.integers(0, w // 2)
    changed[:, y : y + h // 3, x : x + w // 3] = 1
    return np.concatenate([before, before + 0.4 * changed]), changed


def read(folder: str | Path) -> np.ndarray:
    """A place from its folder: ``before.png`` and ``after.png``, stacked along the channels."""
    return np.concatenate(
        [read_image(Path(folder) / f"{date}.png")[0].transpose(2, 0, 1) for date in ("before", "after")]
    )


class Model(BaseModel):
    """Places (B, 6, H, W) to the logit of a change in each pixel, (B, 1, H, W)."""

    task = family = "two_dates"

    def __init__(self, cfg: dict[str, Any], ch: int = 6, verbose: bool = False):
        super().__init__()
        width = cfg["args"]["width"]
        self.yaml, self.names, self.save = {**cfg, "channels": ch}, {0: "change"}, []
        self.model = nn.Sequential(nn.Conv2d(ch, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))
        for i, layer in enumerate(self.model):
            layer.i, layer.f, layer.type, layer.np = (
                i,
                -1,
                type(layer).__name__,
                sum(p.numel() for p in layer.parameters()),
            )
        self.stride, self.criterion = torch.tensor([1.0]), None

    def loss(self, batch: dict[str, Any], preds: Any = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy of the pixels."""
        logits = self.model(batch["img"]) if preds is None else preds
        loss = nn.functional.binary_cross_entropy_with_logits(logits, batch["changed"])
        return loss, {"change_loss": loss.detach()}


def loader(data: str | Path, split: str, batch: int, shuffle: bool = False) -> InfiniteDataLoader:
    """Batches of ``img`` and ``changed``."""
    spec = read_yaml(data)
    places = [
        {
            "img": torch.from_numpy(read(f)),
            "changed": torch.from_numpy(read_image(f / "changed.png")[0].transpose(2, 0, 1)[:1]),
        }
        for f in sorted((Path(spec["path"]) / spec[split]).iterdir())
    ]
    return InfiniteDataLoader(places, batch_size=batch, shuffle=shuffle)


class Metrics:
    """Intersection over union of the changed pixels, in the form that Ultralytics asks for."""

    keys: ClassVar[list[str]] = ["iou"]

    def __init__(self, iou: float = 0.0, save_dir: Path | None = None):
        self.results_dict, self.save_dir = {"iou": iou, "fitness": iou}, save_dir


class Val(ValFolder, BaseValidator):
    """Intersection over union of the changed pixels.

    Args:
        *args: Those of Ultralytics.
        threshold: Probability above which a pixel counts as changed.
        **kwargs: Those of Ultralytics.
    """

    def __init__(self, *args: Any, threshold: float = 0.5, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.threshold, self.metrics = threshold, Metrics()

    def __call__(self, trainer: Any = None, model: Any = None) -> dict[str, float]:
        """Measure the averaged weights of a training, a network or an exported file."""
        network = trainer.ema.ema.eval() if trainer else AutoBackend(model, verbose=False)
        both = either = 0
        with torch.inference_mode():
            for batch in loader(self.args.data, self.args.split, 1):
                found, true = network(batch["img"]).sigmoid() > self.threshold, batch["changed"] > 0.5
                both, either = both + int((found & true).sum()), either + int((found | true).sum())
        self.metrics = Metrics(both / max(either, 1), self.save_dir)
        return dict(self.metrics.results_dict)


class Train(SafeTrainer, BaseTrainer):
    """Trainer of the task.

    Args:
        cfg: Ultralytics' defaults.
        overrides: Its arguments.
        _callbacks: Its callbacks.
        swap: Probability that the two dates of a place change roles.
    """

    def __init__(self, cfg: Any = DEFAULT_CFG, overrides: Any = None, _callbacks: Any = None, *, swap: float = 0.0):
        super().__init__(cfg, overrides, _callbacks, swap=swap)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any]) -> None:
        """Make sure that ``swap`` is a probability."""
        check_number("swap", given.get("swap", 0.0), 0, 1, "a probability from 0 to 1; e.g. swap=0.5")

    def get_dataset(self) -> dict[str, Any]:
        """Where the data are; they are read by the loaders."""
        return {"train": "train", "val": "val", "nc": 1, "names": {0: "change"}, "channels": 6}

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Model:
        """The network, with weights where there are any."""
        model = Model(cfg)
        if weights is not None:
            model.load(weights)
        return model

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train"
    ) -> InfiniteDataLoader:
        """Batches of a split."""
        return loader(self.args.data, dataset_path, batch_size, shuffle=mode == "train")

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device; now and then, let the dates change roles."""
        batch = {k: v.to(self.device) for k, v in batch.items()}
        if torch.rand(()) < self.args.swap:
            batch["img"] = batch["img"].roll(3, dims=1)
        return batch

    def get_validator(self) -> Val:
        """Our validator."""
        args = copy(self.args)
        del args.swap
        return Val(self.test_loader, save_dir=self.save_dir, args=args, _callbacks=self.callbacks)

    def progress_string(self) -> str:
        """Head of the columns."""
        return ("\n" + "%11s" * 4) % ("Epoch", "GPU_mem", *self.loss_names, "Size")

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Draw nothing."""

    def plot_metrics(self) -> None:
        """Draw nothing."""


class Place:
    """What was found at a place.

    Attributes:
        path: Its folder.
        changed: Probability of a change, (H, W).
    """

    def __init__(self, path: str, changed: np.ndarray):
        self.path, self.changed = path, changed

    def __len__(self) -> int:
        return 1


class Predict(PredictFolder, BasePredictor):
    """Writes ``<folder>.png`` for each folder of two dates."""

    def __call__(self, source: Any = None, model: Any = None, stream: bool = False, **kwargs: Any) -> Any:
        """Compare the dates of each place."""
        results = self._each([source] if isinstance(source, (str, Path)) else source)
        return results if stream else list(results)

    def _each(self, folders: list[str | Path]) -> Any:
        for folder in folders:
            with torch.inference_mode():
                changed = self.model(torch.from_numpy(read(folder))[None]).sigmoid()[0, 0].numpy()
            if self.args.save:
                write_image(self.make_folder() / f"{Path(folder).name}.png", changed[..., None])
            yield Place(str(folder), changed)

"""Validation of land cover: overall and average accuracy and kappa, never without what needs no network.

During a training the pixels held out of it are counted: they choose a checkpoint. By itself the test pixels of the
split are, the split of the training where the data are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.validator import BaseValidator
from ultralytics.utils import LOGGER, RANK, TQDM
from ultralytics.utils.torch_utils import select_device

from rsdet.classical import pixel_classifiers
from rsdet.classical.pixel_classifiers import PixelClassifier
from rsdet.errors import ConfigError, DataError, nearest
from rsdet.metrics.confusion import count_pixels
from rsdet.metrics.landcover import LandCoverScores
from rsdet.quiet import say
from rsdet.tasks.landcover.classifier import PatchClassifier, opened
from rsdet.tasks.landcover.data import LandData, choice_of, held_out, read_land_data
from rsdet.tasks.landcover.patches import batches, padded
from rsdet.tasks.landcover.quality import MODEL, LandCoverMetrics
from rsdet.tasks.runs import ValFolder, asked_device


class LandCoverVal(ValFolder, BaseValidator):
    """Validator of the task ``landcover``.

    Args:
        *args: Those of Ultralytics.
        baselines: What is measured beside the network: ``svm`` and ``forest``, on bands, and with ``-pca`` on principal
            components; ``none`` for nothing.
        split_by: ``disjoint``, ``random`` or ``blocked``; that of the training where the data are the same, else the
            data YAML's.
        per_class: Training pixels of each class, of a random split.
        fold: Which of the folds is tested, from 0, of a blocked split.
        folds: How many there are.
        block_px: Side of the blocks in pixels.
        split_seed: Of a random or a blocked split.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.landcover.quality.LandCoverMetrics`.
    """

    def __init__(
        self,
        *args: Any,
        baselines: str | Sequence[str] = ("svm", "forest"),
        split_by: str | None = None,
        per_class: float | None = None,
        fold: int | None = None,
        folds: int | None = None,
        block_px: int | None = None,
        split_seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.baselines = check_baselines(baselines)
        given = {"split_by": split_by, "per_class": per_class, "fold": fold, "folds": folds, "block_px": block_px}
        self.choice = choice_of({**given, "split_seed": split_seed})
        self.metrics = LandCoverMetrics(save_dir=Path(self.save_dir))

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], model: Any) -> None:
        """Check our arguments before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """
        check_baselines(given.get("baselines", ()))
        choice_of(given)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate: the EMA weights of a training, or a network, its weights or an exported file by itself."""
        self.run_callbacks("on_val_start")
        self.training = trainer is not None
        if trainer is None:
            return self._alone(model)
        network, losses = trainer.ema.ema.float().eval(), {}
        truth, found = [], []
        with torch.inference_mode():
            for batch in self.dataloader:
                batch = trainer.preprocess_batch(batch)
                logits = network(batch["img"])
                for key, value in network.loss(batch, logits)[1].items():
                    losses[key] = losses.get(key, 0.0) + value.cpu() / len(self.dataloader)
                truth.append(batch["cls"].cpu().numpy())
                found.append(logits.argmax(1).cpu().numpy())
        self.metrics = LandCoverMetrics(
            {MODEL: _scores(np.concatenate(truth), np.concatenate(found), network.names)}, save_dir=Path(self.save_dir)
        )
        LOGGER.info(self.metrics.line())
        self.run_callbacks("on_val_end")
        if RANK > 0:
            return None
        results = {**self.metrics.results_dict, **trainer.label_loss_items(losses, prefix="val")}
        return {k: round(float(v), 5) for k, v in results.items()}

    def get_desc(self) -> str:
        """Head of the progress bar."""
        return "classified"

    # -- by itself ------------------------------------------------------------------------------------------------

    def _alone(self, model: Any) -> dict[str, float]:
        exported = isinstance(model, (str, Path))
        device = asked_device(self.args) if exported else select_device(self.args.device, verbose=False)
        classifier = opened(model, device)
        land = self._data(classifier)
        mask = self._pixels(land, classifier)
        rows, cols = np.nonzero(mask)
        if not len(rows):
            raise DataError(f"{land.name} has no labelled pixel in {self.args.split}; use another split=.")
        began = time.perf_counter()
        scene = padded(land.values, classifier.patch, classifier.fill[: land.channels])
        parts = batches(scene, classifier.patch, rows, cols, classifier.at_once)
        total = -(-len(rows) // classifier.at_once)
        found = np.concatenate([classifier(x).argmax(1) for x in TQDM(parts, desc=self.get_desc(), total=total)])
        seconds = time.perf_counter() - began
        truth = land.labels[mask] - 1
        scores = {MODEL: _scores(truth, found, land.names)}
        if self.args.split == "test":  # of pixels that they have learnt from, their accuracy means nothing
            scores |= self._baselines(land, mask, truth, classifier.components)
        self.speed = {"inference": 1e3 * seconds / len(rows)}
        self.metrics = LandCoverMetrics(
            scores,
            f"{land.name}, {self.args.split}",
            land.split_line(classifier.patch),
            len(rows) / seconds,
            Path(self.save_dir),
        )
        for line in self.metrics.lines():
            LOGGER.info(line)
        self.metrics.write(bool(self.args.plots))
        self.run_callbacks("on_val_end")
        return self.metrics.results_dict

    def _pixels(self, land: LandData, classifier: PatchClassifier) -> np.ndarray:
        """(H, W) bool: pixels of ``split``, those held out as they were held out of the training."""
        if self.args.split == "val":
            return held_out(land, int(classifier.scene.get("seed", 0)))[1]
        return land.train if self.args.split == "train" else land.test

    def _data(self, classifier: PatchClassifier) -> LandData:
        """The data, with the bands and the split of the training."""
        scene = classifier.scene
        if not scene:
            raise ConfigError("the model was never trained, so that it knows no classes; train it first.")
        land = read_land_data(
            self.args.data, lidar=classifier.rasters > 0, choice=self.choice, patch=classifier.patch, stored=scene
        )  # fmt: skip
        if list(land.names.values()) != list(classifier.names.values()):
            raise DataError(
                f"{land.name} has the classes {', '.join(land.names.values())}, the model "
                f"{', '.join(classifier.names.values())}; measure it on data with the classes of its training."
            )
        for line in land.notes[:-1]:  # the last is about the split, which stands below the table
            say(line, logging.WARNING)
        if land.channels != classifier.channels and not (land.rasters == 0 and classifier.does_without):
            raise DataError(
                f"{land.name} has {land.bands} bands and {land.rasters} rasters of LiDAR, the model takes "
                f"{classifier.bands} and {classifier.rasters}; take the data that it was trained on."
            )
        return land

    def _baselines(
        self, land: LandData, mask: np.ndarray, truth: np.ndarray, components: int
    ) -> dict[str, LandCoverScores]:
        """What classifiers of single pixels make of the same pixels, from the same training pixels."""
        if self.baselines and not pixel_classifiers.available():
            say("no SVM and no forest stand beside these numbers, for scikit-learn is not installed.", logging.WARNING)
            return {}
        learnt, asked = land.values[land.train], land.values[mask]
        means = np.nan_to_num(np.nanmean(learnt, 0))  # LiDAR may be missing here and there
        learnt, asked = (np.where(np.isnan(x), means, x) for x in (learnt, asked))
        classes = land.labels[land.train] - 1
        fitted = {
            name: PixelClassifier(name, components or 20, self.args.seed).fit(learnt, classes)
            for name in self.baselines
        }
        return {name: _scores(truth, classify(asked), land.names) for name, classify in fitted.items()}


def check_baselines(names: Any) -> tuple[str, ...]:
    """Names of classifiers; none for ``none``.

    Raises:
        ConfigError: No such classifier.
    """
    each = [n.strip() for n in names.split(",")] if isinstance(names, str) else list(names or ())
    if each in (["none"], [""]):
        return ()
    known = pixel_classifiers.NAMES
    for name in each:
        if name not in known:
            raise ConfigError(
                f"baselines={name!r} must be among {', '.join(known)}, or none.{nearest(str(name), known)}"
            )
    return tuple(each)


def _scores(truth: np.ndarray, found: np.ndarray, names: Mapping[int, str]) -> LandCoverScores:
    return LandCoverScores(count_pixels(truth, found, len(names)), names)

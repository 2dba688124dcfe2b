"""Validation of change networks: one confusion matrix over all pixels of a split, at the resolution of the pictures."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ultralytics.engine.validator import BaseValidator
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.utils import LOGGER, RANK, TQDM
from ultralytics.utils.torch_utils import select_device

from rsdet.arguments import check_number
from rsdet.data.dates import DatePair
from rsdet.enhance.running import check_tiling
from rsdet.errors import DataError
from rsdet.tasks.change.data import ChangeData, read_change_data
from rsdet.tasks.change.looking import Looking, tile_side
from rsdet.tasks.change.metrics import ChangeMetrics
from rsdet.tasks.change.outputs import THRESHOLD
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.visual import dates_of, error_map
from rsdet.tasks.restore.visual import side_by_side, write_jpeg
from rsdet.tasks.runs import ValFolder, gathered
from rsdet.tasks.semantic.mapping import mapper_of
from rsdet.tasks.semantic.metrics import write_curve
from rsdet.tasks.semantic.scenes import overlap_px
from rsdet.writing import free_name, write_picture

ERRORS = "errors"  # folder of the error maps
_SHOWN = 8  # pairs that are drawn beside what was found


class ChangeVal(ValFolder, BaseValidator):
    """Validator of change networks. ``imgsz`` is the side of the tiles in which pictures are looked at.

    Args:
        *args: Those of Ultralytics.
        overlap: What neighbouring tiles share: below 1 a part of the tile, from 1 on pixels; a quarter where None.
        threshold: Probability from which on a pixel has changed.
        bands: Bands of the files to take, counted from 1, instead of the data YAML's or the model's.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.change.metrics.ChangeMetrics`.
        dates: The data set.
    """

    def __init__(
        self,
        *args: Any,
        overlap: float | None = None,
        threshold: float = THRESHOLD,
        bands: int | Sequence[int] | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        self.overlap, self.threshold, self.bands = overlap, threshold, bands
        self.metrics = ChangeMetrics()
        self.dates: ChangeData | None = None

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], model: Any) -> None:
        """Check our arguments before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """
        check_looking(given)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate: the EMA weights of a training, or a network or an exported file by itself."""
        self.training = trainer is not None
        self.run_callbacks("on_val_start")
        if trainer is not None:
            self.device = trainer.device
            results = self._measure(_Network(trainer.ema.ema.float().eval(), self.device))
            if RANK > 0:
                return None
            LOGGER.info(self.metrics.line())
            self.run_callbacks("on_val_end")
            return {k: round(float(v), 5) for k, v in results.items()}
        self.device = select_device(self.args.device, verbose=False)
        network = AutoBackend(model, device=self.device, fp16=self.args.quantize == 16, verbose=False).eval()
        if self.dates is None:
            self.dates = read_change_data(self.args.data, (self.args.split,))
        results = self._measure(network)
        self._write()
        self.run_callbacks("on_val_end")
        return results

    @torch.inference_mode()
    def _measure(self, network: Any) -> dict[str, float]:
        """Count the pixels of all pairs; of several processes, each takes every so many."""
        side = tile_side(fixed_size(network), _side(self.args.imgsz), _side(self.args.imgsz))
        reader = self._reader(network)
        mapper = mapper_of(network, reader.of_one_date, side)
        batch = 1 if fixed_size(network) or self.device.type == "cpu" else self.args.batch  # no gain on a CPU
        looking = self.looking = Looking(side, overlap_px(self.overlap, side), self.threshold, batch)
        every = self.dates.splits[self.args.split]
        pairs = every[max(RANK, 0) :: dist.get_world_size()] if self.training and dist.is_initialized() else every
        self.metrics, self._rows, spent = ChangeMetrics(), [], 0.0
        self._names: set[str] = set()
        alone = not self.training
        for pair in TQDM(pairs, desc="pairs", total=len(pairs)):
            stack, truth = reader.labelled(pair, self.dates.labels)
            began = time.perf_counter()
            probability = looking.probability(mapper, stack)
            spent += time.perf_counter() - began
            found = (probability >= self.threshold).astype(np.uint8)
            self.metrics.add_map(truth, found, probability)
            if alone and self.args.plots:
                self._draw(pair, stack, truth, found)
        self.speed = {"inference": spent / max(1, len(pairs)) * 1e3}
        for other in gathered(self.metrics)[1:] if self.training else ():
            self.metrics.merge(other)
        self.metrics.process()
        self.metrics.save_dir = Path(self.save_dir)
        return self.metrics.results_dict

    def _reader(self, network: Any) -> PairReader:
        """The reader of the data set, once it is known to suit the network."""
        reader, takes = self.dates.reader, int(getattr(network, "channels", 0) or 2 * self.dates.reader.bands)
        if 2 * reader.bands != takes:
            raise DataError(
                f"{self.dates.path.name} has channels: {reader.bands} for each date, the model takes {takes // 2}; "
                "train one on these data, or choose bands= and channels: of the data YAML."
            )
        return reader if self.bands is None else PairReader(reader.bands, self.bands)

    # -- by itself ------------------------------------------------------------------------------------------------

    def _draw(self, pair: DatePair, stack: np.ndarray, truth: np.ndarray, found: np.ndarray) -> None:
        stem = free_name(pair.before.stem, self._names)
        errors = error_map(truth, found)
        write_picture(Path(self.save_dir) / ERRORS / f"{stem}.png", errors[..., ::-1])
        if len(self._rows) < _SHOWN:
            captions = (pair.before.name, "later", "hit white, false red, missed green")
            cells = zip((*dates_of(stack), errors), captions, strict=True)
            self._rows.append([(picture / 255.0, caption) for picture, caption in cells])

    def _write(self) -> None:
        """Tell the outcome and write it into the folder of the run."""
        LOGGER.info(self.metrics.table())
        side, ms = self.looking.tile, self.speed["inference"]
        split = f"{self.dates.name}, {self.args.split}"
        LOGGER.info(f"{self.metrics.images} pairs of {split}, in tiles of {side} px; {ms:.0f} ms each on {self.device}")
        look = f"tiles of {side} px that share {self.looking.overlap}, threshold {self.threshold:g}"
        self.metrics.write(split, look, self.dates.gsd)
        if not self.args.plots:
            return
        write_jpeg(Path(self.save_dir) / "val_pairs.jpg", side_by_side(self._rows))
        if self.metrics.curve is not None and self.metrics.curve.counts[1].any():
            write_curve(Path(self.save_dir) / "pr_curve.png", self.metrics.curve)


class _Network:
    """The network of a training in the form of Ultralytics' ``AutoBackend``, as far as it is asked for."""

    dynamic, fp16, imgsz = True, False, None

    def __init__(self, module: Any, device: torch.device):
        self.module, self.device = module, device
        self.names, self.stride, self.channels = module.names, module.stride.tolist(), module.yaml["channels"]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x)


def check_looking(given: Mapping[str, Any]) -> None:
    """Check how pairs shall be looked at.

    Raises:
        ConfigError: A value out of its range.
    """
    check_number("threshold", given.get("threshold", THRESHOLD), 0, 1, "a probability from 0 to 1; e.g. threshold=0.4")
    check_tiling(given.get("tile"), None, prefix="")
    if given.get("overlap") is not None:
        overlap_px(given["overlap"], given.get("tile") or 10**9)


def fixed_size(model: Any) -> Sequence[int] | None:
    """Height and width that Ultralytics' ``AutoBackend`` takes; None for any."""
    return None if getattr(model, "dynamic", False) else getattr(model, "imgsz", None)


def _side(imgsz: Any) -> int:
    return int(imgsz if isinstance(imgsz, int) else max(imgsz))

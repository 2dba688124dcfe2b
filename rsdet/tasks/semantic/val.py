"""Validation of semantic networks: mIoU first, counted in pixels of the original pictures; objects by their sizes.

During a training, Ultralytics' loop counts in pixels of the network's input: the numbers choose a checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.data.utils import add_polygon_background
from ultralytics.models.yolo.semantic import SemanticSegmentationValidator
from ultralytics.utils import LOGGER

from rsdet.data.gsd import ALIKE, file_gsd, gsd_of
from rsdet.data.tiling import tiled
from rsdet.enhance.running import check_tiling
from rsdet.errors import ConfigError
from rsdet.runtime.geometry import letterboxed
from rsdet.tasks.detect.val import PictureVal
from rsdet.tasks.runs import gathered
from rsdet.tasks.semantic.classmap import classes_of, logits_in_picture, probabilities, to_picture
from rsdet.tasks.semantic.dataset import semantic_datasets
from rsdet.tasks.semantic.mapping import mapper_of
from rsdet.tasks.semantic.metrics import SemanticMetrics, write_curve
from rsdet.tasks.semantic.scenes import Mapper, overlap_px

_ASKED = 32  # files that are asked for their resolution


class SemanticVal(PictureVal, SemanticSegmentationValidator):
    """Validator of semantic networks.

    Args:
        *args: Those of Ultralytics.
        bands: Bands of the files to take, counted from 1, instead of the data YAML's or the model's.
        tile: Side of the tiles in which pictures are mapped at their own resolution, as ``predict`` does it;
            without, they are resized to ``imgsz``, and S5Mars's centre crop of 1024 px, for one, is not made.
        overlap: What neighbouring tiles share: below 1 a part of the tile, from 1 on pixels; a quarter where None.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.semantic.metrics.SemanticMetrics`.
    """

    datasets = staticmethod(semantic_datasets)

    def __init__(
        self,
        *args: Any,
        bands: int | Sequence[int] | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, bands=bands, **kwargs)
        self.tile, self.overlap = tile or 0, overlap_px(overlap, tile or 0) if tile else 0
        self._mapper: Mapper | None = None

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], model: Any) -> None:
        """Check our arguments before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """
        super().check_settings(given, model)
        tile, overlap = given.get("tile"), given.get("overlap")
        check_tiling(tile, None, prefix="")
        if overlap is not None and not tile:
            raise ConfigError("overlap= is what tiles share, and there are none; give tile=, or leave it out.")
        if tile:
            overlap_px(overlap, tile)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate; by itself, write the numbers into the folder of the run."""
        stats = super().__call__(trainer, model, **kwargs)
        if trainer is None:
            self.metrics.save_dir = Path(self.save_dir)
            look = f"tiles of {self.tile} px that share {self.overlap}" if self.tile else f"imgsz {self.args.imgsz}"
            self.metrics.write(f"{Path(str(self.args.data)).stem}, {self.args.split}", look, self._gsd())
            if self.args.plots and self.metrics.curve is not None:
                write_curve(Path(self.save_dir) / "pr_curve.png", self.metrics.curve)
        return stats

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        """Build the dataset; of polygons, what they leave is a class, too."""
        add_polygon_background(self.data)
        return super().build_dataset(img_path, mode, batch)

    def init_metrics(self, model: Any) -> None:
        """Start a new collection."""
        super().init_metrics(model)
        self.metrics = SemanticMetrics(self.names)
        self._mapper = mapper_of(model, self.dataset.reader, self.tile) if self.tile and not self.training else None
        self._index = {} if self.training else {x["im_file"]: i for i, x in enumerate(self.dataset.labels)}

    def postprocess(self, preds: Any) -> Any:
        """Classes (B, H, W) of the network's input, and by itself the logits beside them."""
        self._logits = preds[0] if isinstance(preds, (tuple, list)) else preds
        return super().postprocess(preds)

    def update_metrics(self, preds: torch.Tensor, batch: dict[str, Any]) -> None:
        """Count; by itself, in pixels of the original pictures."""
        if self.training:
            return super().update_metrics(preds, batch)
        if self.args.save_json:
            self.save_pred_masks(preds, batch)
        for logits, file, size in zip(self._logits, batch["im_file"], batch["ori_shape"], strict=True):
            size = tuple(map(int, size))
            found, positive = self._tiled(file) if self._mapper else self._whole(logits, size, batch["img"].shape[2:])
            truth = self.dataset.load_mask(self._index[file], image_shape=size)
            if self.dataset.include_class is not None:
                truth = np.where(np.isin(truth, self.dataset.include_class), truth, 255)
            self.metrics.add_map(truth, found, positive)
        self.seen += len(preds)
        return None

    def _whole(
        self, logits: torch.Tensor, size: tuple[int, int], input_hw: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Classes of a picture (H, W), and the probability of the last one; None of a graph that gives classes."""
        output, place = logits.float().cpu().numpy(), letterboxed(size, (input_hw[0], input_hw[1]))
        if output.ndim == 2:
            return to_picture(output, place)
        planes = logits_in_picture(output, place)
        return classes_of(planes), probabilities(planes)[-1]

    def _tiled(self, file: str) -> tuple[np.ndarray, np.ndarray]:
        """The same by tiles of the picture's own resolution."""
        picture, mapper = self.dataset.reader(file), self._mapper
        side = min(self.tile, max(picture.shape[:2]))
        scale = min(mapper.size) / self.tile
        probs = tiled(
            lambda x: mapper.probabilities(x, scale), picture.astype(np.float32), side, min(self.overlap, side - 1)
        )
        return (probs[..., 0] > 0.5 if probs.shape[2] == 1 else probs.argmax(2)).astype(np.uint8), probs[..., -1]

    def gather_stats(self) -> None:
        """Add the counts of all processes up on the first."""
        m = self.metrics
        everyone = gathered((m.matrix, m.nt_per_image, m.images))
        if len(everyone) > 1:
            matrices, per_image, images = zip(*everyone, strict=True)
            m.matrix = sum(x for x in matrices if x is not None)
            m.nt_per_image, m.images = sum(per_image), sum(images)

    def _gsd(self) -> float | None:
        """Metres a pixel of all pictures, where the data YAML or all of some files say it alike."""
        if (stated := gsd_of(self.data)) is not None:
            return stated
        files = list(map(Path, self.dataset.im_files))
        found = [file_gsd(f) for f in files[:: -(-len(files) // _ASKED)]]
        known = [g for g in found if g is not None]
        alike = len(known) == len(found) and max(known) <= ALIKE * min(known)
        return sum(known) / len(known) if alike else None

    def get_desc(self) -> str:
        """Head of the progress bar."""
        heads = [k.removeprefix("metrics/") for k in SemanticMetrics(self.names or {}).keys]
        return ("%22s" + "%11s" * (2 + len(heads))) % ("Class", "Images", "Pixels", *heads)

    def print_results(self) -> None:
        """One line after each epoch; by itself, a table."""
        if self.training:
            return super().print_results()
        LOGGER.info(self.metrics.table())
        LOGGER.info(f"{self.metrics.images} pictures of {Path(str(self.args.data)).stem}, {self.args.split}")
        return None

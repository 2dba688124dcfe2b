"""Validation of semantic networks: mIoU first, counted in pixels of the original pictures.

During a training, Ultralytics' loop counts in pixels of the network's input: the numbers choose a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from ultralytics.data.utils import add_polygon_background
from ultralytics.models.yolo.semantic import SemanticSegmentationValidator
from ultralytics.utils import LOGGER, RANK

from rsdet.runtime.geometry import letterboxed
from rsdet.tasks.detect.val import PictureVal
from rsdet.tasks.semantic.classmap import to_picture
from rsdet.tasks.semantic.dataset import semantic_datasets
from rsdet.tasks.semantic.metrics import SemanticMetrics


class SemanticVal(PictureVal, SemanticSegmentationValidator):
    """Validator of semantic networks.

    Args:
        *args: Those of Ultralytics.
        bands: Bands of the files to take, counted from 1, instead of the data YAML's or the model's.
        **kwargs: Those of Ultralytics.

    Attributes:
        metrics: Outcome of the last run, a :class:`~rsdet.tasks.semantic.metrics.SemanticMetrics`.
    """

    datasets = staticmethod(semantic_datasets)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate; by itself, write the numbers into the folder of the run."""
        stats = super().__call__(trainer, model, **kwargs)
        if trainer is None:
            self.metrics.save_dir = Path(self.save_dir)
            self.metrics.write(f"{Path(str(self.args.data)).stem}, {self.args.split}")
        return stats

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        """Build the dataset; of polygons, what they leave is a class, too."""
        add_polygon_background(self.data)
        return super().build_dataset(img_path, mode, batch)

    def init_metrics(self, model: Any) -> None:
        """Start a new collection."""
        super().init_metrics(model)
        self.metrics = SemanticMetrics(self.names)
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
            place = letterboxed(size, tuple(batch["img"].shape[2:]))
            found = to_picture(logits.float().cpu().numpy(), place)[0]
            truth = self.dataset.load_mask(self._index[file], image_shape=size)
            if self.dataset.include_class is not None:
                truth = np.where(np.isin(truth, self.dataset.include_class), truth, 255)
            self.metrics.update_stats(torch.from_numpy(found)[None], torch.from_numpy(truth.astype(np.int64))[None])
        self.seen += len(preds)
        return None

    def gather_stats(self) -> None:
        """Add the counts of all processes up on the first."""
        if RANK == -1 or not dist.is_initialized():
            return
        m = self.metrics
        everyone: list[Any] = [None] * dist.get_world_size() if RANK == 0 else []
        dist.gather_object((m.matrix, m.nt_per_image, m.images), everyone or None, dst=0)
        if RANK == 0:
            matrices, per_image, images = zip(*everyone, strict=True)
            m.matrix = sum(x for x in matrices if x is not None)
            m.nt_per_image, m.images = sum(per_image), sum(images)

    def get_desc(self) -> str:
        """Head of the progress bar."""
        heads = [k.removeprefix("metrics/") for k in SemanticMetrics(self.names or {}).keys]
        return ("%22s" + "%11s" * (2 + len(heads))) % ("Class", "Images", "Pixels", *heads)

    def print_results(self) -> None:
        """One line after each epoch; by itself, a table."""
        if self.training:
            return super().print_results()
        LOGGER.info(self.metrics.scores.table())
        LOGGER.info(f"{self.metrics.images} pictures of {Path(str(self.args.data)).stem}, {self.args.split}")
        return None

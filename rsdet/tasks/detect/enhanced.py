"""Enhancing before detecting: what prediction and validation add for it, mixed into their classes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ultralytics.engine.results import Boxes, Results

from rsdet.data.raster_io import write_image
from rsdet.enhance.chain import EnhanceChain, size_note
from rsdet.errors import ConfigError
from rsdet.quiet import say
from rsdet.tasks.runs import PredictFolder, ValFolder
from rsdet.writing import free_name


class EnhancedPrediction(PredictFolder):
    """Mixed in before one of Ultralytics' predictors.

    The detector gets the enhanced picture, results keep the original one, and boxes are in its pixels.

    Attributes:
        chain: What enhances; None for nothing.
        save_enhanced: Write the enhanced pictures into ``enhanced/`` of the run's folder, as PNG.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        self.use_chain(None)
        super().__init__(*args, **kwargs)

    def use_chain(self, chain: EnhanceChain | None, save_enhanced: bool = False) -> None:
        """Set what enhances in the next run."""
        self.chain, self.save_enhanced = chain, save_enhanced
        self._enhanced: list[np.ndarray] | None = None
        self._batch_ms, self._noted = 0.0, False
        if chain is not None:
            chain.restart()
        self._written: set[str] = set()

    def setup_source(self, *args: Any, **kwargs: Any) -> None:
        """Open the source, unless a part of the chain is too slow for it."""
        super().setup_source(*args, **kwargs)
        if self.chain is None:
            return
        if any(getattr(self.dataset, "video_flag", [])) or self.source_type.stream:
            self.chain.check_fast("a video")
        if self.chain.offline:
            say(f"enhance: {self.chain.offline} optimises on each picture, minutes each ({len(self.dataset)} to do).")

    def preprocess(self, im: Any) -> torch.Tensor:
        """Enhance, then prepare as Ultralytics does."""
        self._enhanced = None
        if self.chain is not None:
            if isinstance(im, torch.Tensor):
                raise ConfigError("enhance= takes pictures, and the source is a tensor; pass arrays (H, W, C) uint8.")
            begin = time.perf_counter()
            im = self._enhanced = [self._enhance(i, x) for i, x in enumerate(im)]
            self._batch_ms = 1e3 * (time.perf_counter() - begin) / max(1, len(im))
        return super().preprocess(im)

    def _enhance(self, i: int, picture: np.ndarray) -> np.ndarray:
        path = str(self.batch[0][i]) if self.batch else "the picture"
        if not self._noted and (note := size_note(self.chain, picture.shape[:2], tuple(self.imgsz))):
            say(note)
        self._noted = True
        out = self.chain.apply_bgr(picture, path)
        if self.save_enhanced:
            self._write(out, path)
        return out

    def _write(self, picture: np.ndarray, path: str) -> None:
        name = free_name(Path(path).stem, self._written)
        rgb = picture[..., ::-1] if picture.ndim == 3 and picture.shape[2] == 3 else picture
        write_image(self.make_folder() / "enhanced" / f"{name}.png", rgb.astype(np.float32) / 255)

    def postprocess(self, preds: Any, img: torch.Tensor, orig_imgs: Any, *args: Any, **kwargs: Any) -> list[Results]:
        """Boxes of the enhanced picture, then of the original one."""
        if self._enhanced is None:
            return super().postprocess(preds, img, orig_imgs, *args, **kwargs)
        results = super().postprocess(preds, img, self._enhanced, *args, **kwargs)
        for r, original in zip(results, orig_imgs, strict=True):
            r.orig_img, r.orig_shape = original, original.shape[:2]
            self.to_source(r)
            r.enhance_ms = self._batch_ms
        return results

    def to_source(self, result: Results) -> None:
        """Put the objects of an enhanced picture into pixels of the original one, which the result holds already."""
        data = result.boxes.data.clone()
        data[:, :4] = self.chain.to_source(data[:, :4])
        result.boxes = Boxes(data, result.orig_shape)

    def say_time(self) -> None:
        """Say what each part took, which Ultralytics counts as preprocessing."""
        if self.chain is not None and self.chain.pictures and self.args.verbose:
            say(f"{self.chain.time_line()}, part of the preprocessing above")


class EnhancedValidation(ValFolder):
    """Mixed in before one of Ultralytics' validators.

    The dataset hands out enhanced pictures; labels, detections and sizes are measured in pixels of the original ones.

    Attributes:
        chain: What enhances; None for nothing.
    """

    chain: EnhanceChain | None = None

    def note_size(self, dataset: Any) -> None:
        """Say it where what the chain has enlarged is shrunk again."""
        shapes = [label["shape"] for label in dataset.labels[:1] if "shape" in label]
        if self.chain is not None and shapes and (note := size_note(self.chain, shapes[0], self.args.imgsz)):
            say(note)

    def _prepare_batch(self, si: int, batch: dict[str, Any]) -> dict[str, Any]:
        pbatch = super()._prepare_batch(si, batch)
        if self.chain is not None and (s := self.chain.scale) > 1:
            (gain_y, gain_x), pad = pbatch["ratio_pad"]
            height, width = pbatch["ori_shape"]
            pbatch.update(ori_shape=(height // s, width // s), ratio_pad=((gain_y * s, gain_x * s), pad))
        return pbatch

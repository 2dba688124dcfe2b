"""Prediction: Ultralytics' predictors with pictures in which tiny objects can be seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from ultralytics.data.loaders import LoadImagesAndVideos
from ultralytics.engine.results import Results
from ultralytics.models.rtdetr.predict import RTDETRPredictor
from ultralytics.models.yolo.detect.predict import DetectionPredictor

from rsdet import quiet
from rsdet.data.sar import SarReader
from rsdet.errors import RSDetError
from rsdet.tasks.detect.enhanced import EnhancedPrediction
from rsdet.tasks.detect.outputs import coco_rows


class DetectResults(Results):
    """Ultralytics' result with our drawing and COCO rows; everything else is inherited."""

    def plot(self, **kwargs: Any) -> np.ndarray:
        """Draw the boxes: thin for tiny objects, labels only where there is room, a legend outside the picture.

        Args:
            **kwargs: ``labels`` (bool), ``boxes`` (bool), ``line_width`` (px) and ``img`` are honoured; arguments for
                masks and key points do not apply.

        Returns:
            (H', W, 3) uint8 BGR, higher than the image by the legend.
        """
        from rsdet.tasks.detect.visual import draw

        img = kwargs.get("img")
        img = self.orig_img if img is None else img
        if self.boxes is None or not kwargs.get("boxes", True):
            return np.ascontiguousarray(img)
        boxes = self.boxes.cpu().numpy()
        return draw(
            np.ascontiguousarray(img),
            boxes.xyxy,
            boxes.conf,
            boxes.cls.astype(int),
            self.names,
            line=kwargs.get("line_width"),
            labels="auto" if kwargs.get("labels", True) else "none",
        )

    def to_coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Rows of a COCO results file: ``bbox`` is x, y, w, h in pixels of the original image, ids start at 1."""
        return coco_rows(self, image_id)


class SarImages(LoadImagesAndVideos):
    """Ultralytics' source of image files, read by our reader, one file at a time.

    Attributes:
        reader: Path -> (H, W, C) uint8.
        unread: Path -> why a file could not be read; such files are passed over.
    """

    reader: SarReader
    unread: dict[str, str]

    def __next__(self) -> tuple[list[str], list[np.ndarray], list[str]]:
        """Return paths, pictures and log texts of the next batch."""
        paths, pictures, texts = [], [], []
        while len(pictures) < self.bs and self.count < self.nf:
            path = self.files[self.count]
            self.count += 1
            try:
                picture = self.reader(path)
            except RSDetError as e:
                self.unread[path] = str(e)
                continue
            self._append_image(paths, pictures, texts, path, picture, self.count)
        if not pictures:
            raise StopIteration
        return paths, pictures, texts


class _OurPredictor(EnhancedPrediction):
    """What both families share.

    Attributes:
        reader: Reads the files of a model that was trained with a ``sar:`` section; ``None`` for Ultralytics' reader.
        unread: Path -> why the last run could not read a file.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        quiet.no_font_download()
        self.reader: SarReader | None = None
        self.unread: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    def setup_source(self, *args: Any, **kwargs: Any) -> None:
        """Open the source as Ultralytics does, with our reader behind its files."""
        super().setup_source(*args, **kwargs)
        self.unread = {}
        if self.reader is not None and isinstance(self.dataset, LoadImagesAndVideos):
            self.dataset.__class__ = SarImages  # the same list of files; only the reading differs
            self.dataset.reader, self.dataset.unread = self.reader, self.unread

    def postprocess(self, *args: Any, **kwargs: Any) -> list[Results]:
        """Boxes in original pixels, as our result type."""
        results = super().postprocess(*args, **kwargs)
        for r in results:
            r.__class__ = DetectResults  # same data; only the drawing differs
            if self.reader is not None and not r.orig_img.any():
                r.update(boxes=r.boxes.data[:0])  # nothing but nodata: whatever the network says is not about a scene
        return results


class RTDETRPredict(_OurPredictor, RTDETRPredictor):
    """Predictor of the RT-DETR family."""


class YOLOPredict(_OurPredictor, DetectionPredictor):
    """Predictor of the YOLO family."""

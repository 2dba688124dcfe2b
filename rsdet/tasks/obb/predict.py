"""Prediction of oriented boxes: Ultralytics' predictor with our reading, pictures and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from ultralytics.engine.results import OBB, Results
from ultralytics.models.yolo.obb import OBBPredictor

from rsdet.data.exporters.dota import write_submission
from rsdet.geometry import xywhr_to_corners
from rsdet.quiet import say
from rsdet.tasks.detect.predict import DetectResults, OurPredictor
from rsdet.writing import free_name


class OBBResults(DetectResults):
    """Result with oriented boxes."""

    def mend(self) -> None:
        """Oriented boxes have no edges that could cross."""

    def clear(self) -> None:
        """Drop all objects."""
        self.update(obb=self.obb.data[:0])

    def crops(self) -> Iterator[tuple[int, np.ndarray]]:
        """Class and picture of each object, turned so that its box is upright, with as much around it as Ultralytics'.

        What is beyond the picture is black.
        """
        found = self.obb.cpu().numpy()
        for number, (x, y, w, h, r) in zip(found.cls, found.xywhr, strict=True):
            w, h = 1.02 * w + 10, 1.02 * h + 10
            lower_right, upper_right, upper_left, _ = xywhr_to_corners(np.array([[x, y, w, h, r]]))[0]
            of_picture = np.float32([upper_left, upper_right, lower_right]) - 0.5  # a pixel is at its centre
            of_crop = np.float32([[0, 0], [w, 0], [w, h]]) - 0.5
            turn = cv2.getAffineTransform(of_picture, of_crop)
            yield int(number), cv2.warpAffine(self.orig_img, turn, (round(w), round(h)), flags=cv2.INTER_LINEAR)


class OBBPredict(OurPredictor, OBBPredictor):
    """Predictor of oriented boxes."""

    results_class: ClassVar[type[DetectResults]] = OBBResults
    save_dota = False

    def configure(self, model: Any, *, save_dota: bool = False, **kwargs: Any) -> None:
        """Set what the next run does; see :meth:`OurPredictor.configure`.

        Args:
            model: The :class:`rsdet.RSDet`.
            save_dota: Write ``Task1_<class>.txt`` for DOTA's evaluation server, into ``dota/`` beside the pictures.
                Its fields are divided by blanks; those in names of classes and pictures become ``-``.
            **kwargs: Keys of every predictor.
        """
        super().configure(model, **kwargs)
        self.save_dota = save_dota

    def stream_inference(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Find oriented boxes, and write them down for DOTA at the end."""
        if not self.save_dota:
            yield from super().stream_inference(*args, **kwargs)
            return
        ids, rows, names, taken = [], [np.zeros((0, 7), np.float32)], {}, set()
        try:
            for result in super().stream_inference(*args, **kwargs):
                found, names = result.obb.cpu().numpy().data, result.names
                ids += [free_name("-".join(Path(result.path).stem.split()), taken)] * len(found)
                rows.append(found if found.shape[1] == 7 else np.delete(found, 5, 1))  # without the number of a track
                yield result
        finally:  # what was found before an interruption is kept
            if names:
                every = np.concatenate(rows)
                corners = xywhr_to_corners(every[:, :5])
                folder = self.make_folder() / "dota"
                write_submission(folder, names, ids, every[:, 6].astype(int).tolist(), every[:, 5].tolist(), corners)
                say(f"Detections in DOTA's form saved to {folder}")

    def to_source(self, result: Results) -> None:
        """Put the boxes of an enhanced picture into pixels of the original one."""
        data = result.obb.data.clone()
        data[:, :4] = self.chain.to_source(data[:, :4])
        result.obb = OBB(data, result.orig_shape)

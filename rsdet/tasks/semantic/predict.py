"""Prediction of maps of classes: Ultralytics' predictor for pictures, tiles of their own resolution for rasters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from ultralytics.engine.results import Results
from ultralytics.models.yolo.semantic import SemanticSegmentationPredictor
from ultralytics.utils.ops import convert_torch2numpy_batch

from rsdet import digest
from rsdet.data.pictures import PictureReader
from rsdet.data.sar.picture import SarReader
from rsdet.data.sources import files_of, together
from rsdet.deploy.artifact import weights_sha256
from rsdet.enhance.running import check_tiling
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import IGNORE
from rsdet.runtime.geometry import letterboxed
from rsdet.tasks.detect.predict import DetectResults, OurPredictor
from rsdet.tasks.semantic.classmap import ClassMap, class_names, shown_classes, to_picture
from rsdet.tasks.semantic.mapping import mapper_of
from rsdet.tasks.semantic.outputs import MapOutputs
from rsdet.tasks.semantic.polygons import PolygonSettings
from rsdet.tasks.semantic.scenes import Mapper, SceneMap, are_scenes, map_scenes, overlap_px
from rsdet.tasks.semantic.visual import overlay, overlay_of
from rsdet.writing import write_picture


class SemanticResults(DetectResults):
    """Result with the class of each pixel, in ``semantic_mask`` as Ultralytics has it.

    Attributes:
        confidence: (H, W) float32, the probability of that class; None where the graph gives classes alone.
        reader: What read the picture, and knows how people see it.
    """

    confidence: np.ndarray | None = None
    reader: PictureReader | SarReader | None = None

    @property
    def map(self) -> ClassMap:
        """The same without tensors."""
        classes = self.semantic_mask.cpu().numpy().data.astype(np.uint8)
        return ClassMap(classes, self.confidence, class_names(self.names), self.orig_shape)

    def mend(self) -> None:
        """Nothing: there are no boxes."""

    def clear(self) -> None:
        """Drop all classes."""
        self.update(semantic_mask=torch.full_like(torch.as_tensor(self.semantic_mask.data), IGNORE))

    def plot(
        self,
        *args: Any,
        img: np.ndarray | None = None,
        pil: bool = False,
        save: bool = False,
        filename: str | None = None,
        **kwargs: Any,
    ) -> np.ndarray | Image.Image:
        """Lay the classes over their picture.

        Args:
            *args: Of boxes only.
            img: Picture (H, W, C) to draw on instead of the original one, BGR.
            pil: Return a Pillow image.
            save: Write the picture.
            filename: Where to; ``results_<name of the source>`` where None.
            **kwargs: Of boxes only.

        Returns:
            (H, W, 3) uint8 BGR, with ``pil`` a Pillow image, RGB.
        """
        found = self.map
        if img is None and self.legend and self.reader is not None:
            picture = overlay_of(self.orig_img, self.reader, found.classes, found.names)
        else:
            picture = overlay(self.orig_img if img is None else img, found.classes, found.names, self.legend)
        if save:
            write_picture(filename or f"results_{Path(self.path).name}", picture)
        return Image.fromarray(picture[..., ::-1]) if pil else picture


class MapPredictor(SemanticSegmentationPredictor):
    """Ultralytics' predictor with classes and confidence from :mod:`rsdet.tasks.semantic.classmap`."""

    def postprocess(self, preds: Any, img: torch.Tensor, orig_imgs: Any) -> list[Results]:
        """Results of a batch, in pixels of its pictures."""
        if not isinstance(orig_imgs, list):
            orig_imgs = convert_torch2numpy_batch(orig_imgs)[..., ::-1]
        outputs = (preds[0] if isinstance(preds, (tuple, list)) else preds).float().cpu().numpy()
        results = []
        for i, (output, picture) in enumerate(zip(outputs, orig_imgs, strict=True)):
            place = letterboxed(picture.shape[:2], tuple(img.shape[2:]))
            classes, confidence = to_picture(output, place)
            if (shown := shown_classes(self.model.names, self.args.classes)) is not None:
                classes[~np.isin(classes, shown)] = IGNORE
            path = self.batch[0][i] if isinstance(self.batch[0], list) else self.batch[0]
            if self.reader.of_values and Path(path).is_file() and str(path) not in self.unread:
                classes[~self.reader.valid(path)] = IGNORE
            mask = torch.from_numpy(classes)
            results.append(SemanticResults(picture, path, self.model.names, semantic_mask=mask))
            results[-1].confidence, results[-1].reader = confidence, self.reader
        return results


class SemanticPredict(OurPredictor, MapPredictor):
    """Predictor of maps of classes."""

    results_class = SemanticResults

    def configure(
        self,
        model: Any,
        *,
        tile: int | None = None,
        overlap: float | None = None,
        bands: int | Sequence[int] | None = None,
        stretch: Sequence[float] | None = None,
        save_probabilities: bool = False,
        polygons: bool | None = None,
        min_area_m2: float = 0.0,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            tile: Side of the tiles in which files are mapped at their own resolution, 0 for none: pictures are then
                resized to ``imgsz``. Without it, in tiles of ``imgsz`` are mapped rasters that lie on Earth or have
                more than 2^24 pixels. Tiles are never all in memory, and the same command goes on where an earlier run
                was stopped.
            overlap: What neighbouring tiles share: below 1 a part of the tile, from 1 on pixels; a quarter where None.
            bands: Bands of the files to take, counted from 1, in the order of the model's channels.
            stretch: Two values that become black and white, of tiled rasters that are not of bytes.
            save_probabilities: Write the probability of each class, of tiled rasters.
            polygons: Write the regions of each class as polygons: GeoPackage and GeoJSON, of tiled rasters that lie on
                a map unless it is False; with True of all others, too, as GeoJSON in pixels.
            min_area_m2: Leave out polygons of fewer square metres on the ground, where that is known.

        Raises:
            ConfigError: A value out of its range.
        """
        check_tiling(tile, None, prefix="")
        overlap_px(overlap, tile or self._side())
        outlines = PolygonSettings(polygons, min_area_m2)
        super().configure(model, bands=bands)
        self.tile, self.overlap, self.stretch = tile, overlap, stretch
        self.save_probabilities, self.maps = save_probabilities, MapOutputs(outlines)
        self._digest = digest.digest(Path(model.model)) if isinstance(model.model, str) else None
        self._digest = self._digest or weights_sha256(model.model)

    def stream_inference(self, source: Any = None, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Map rasters in tiles, then all else as Ultralytics does; write the table of areas at the end."""
        scenes, rest = self._apart(source)
        try:
            if scenes:
                self.say_of_films()
                yield from self._map_scenes(scenes)
            if rest is not None:
                yield from super().stream_inference(rest, *args, **kwargs)
        finally:  # what was mapped before an interruption is kept
            if self.maps.rows and (self.args.save or scenes):
                self.maps.write_areas(self.save_dir)

    def _apart(self, source: Any) -> tuple[list[Path], Any]:
        """Files that are mapped in tiles, and what else the source holds; None for nothing."""
        several = list(source) if isinstance(source, (list, tuple)) else [source]
        if not several or not all(isinstance(s, (str, Path)) and str(s).strip() for s in several):
            if self.tile:
                raise ConfigError("tile= is for files, and the source is none; leave it out, or pass paths.")
            return [], source
        groups = [files_of(s) for s in several]
        files = together(several, groups) if None not in groups else []
        scenes = are_scenes(files, self.tile)
        rest = [p for p in files if p not in scenes]
        return [p for p in files if p in scenes], (source if not scenes else rest or None)

    # -- pictures -------------------------------------------------------------------------------------------------

    def write_results(self, i: int, *args: Any) -> str:
        """Save and tell as Ultralytics does, and write the map."""
        told = super().write_results(i, *args)
        result = self.results[i]
        if self.args.save and self.dataset.mode == "image" and str(result.path) not in self.unread:
            with self.of_picture(i):
                self.maps.write_map(self.save_dir, result.path, result.map)
        return told

    # -- rasters --------------------------------------------------------------------------------------------------

    def _map_scenes(self, files: list[Path]) -> Iterator[SceneMap]:
        tile = self.tile or self._side()
        for result in map_scenes(
            self._mapper(tile), files, self.place, self.maps, self.skipped, tile=tile,
            overlap=overlap_px(self.overlap, tile), stretch=self.stretch, with_probabilities=self.save_probabilities,
            classes=shown_classes(self.model.names, self.args.classes), verbose=self.args.verbose,
        ):  # fmt: skip
            self.save_dir = self._made = result.save_path.parents[1]
            yield result

    def _side(self) -> int:
        """Side of the tiles where nobody says otherwise."""
        return self.args.imgsz if isinstance(self.args.imgsz, int) else max(self.args.imgsz)

    def _mapper(self, tile: int) -> Mapper:
        """The network as what maps tiles of a side in pixels."""
        facts = {
            "weights": self._digest, "device": str(self.device), "half": bool(self.model.fp16),
            "reading": str(self.reader),
        }  # fmt: skip
        return mapper_of(self.model, self.reader, tile, facts)

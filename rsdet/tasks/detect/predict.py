"""Prediction: Ultralytics' predictors with pictures in which tiny objects can be seen."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from PIL import Image
from ultralytics.data.loaders import LoadImagesAndVideos
from ultralytics.engine.results import Results
from ultralytics.models.rtdetr.predict import RTDETRPredictor
from ultralytics.models.yolo.detect.predict import DetectionPredictor
from ultralytics.utils import DEFAULT_CFG_DICT, NUM_THREADS
from ultralytics.utils.files import increment_path
from ultralytics.utils.plotting import save_one_box

from rsdet.data.decoding import within_memory
from rsdet.data.pictures import PictureReader, reader_of
from rsdet.data.sar import SarReader
from rsdet.data.sources import frames_lost
from rsdet.enhance.wiring import chain_for, with_time
from rsdet.errors import ConfigError, DataError, RSDetError
from rsdet.names import Numbered, csv_cell, folder_names, printable
from rsdet.quiet import say
from rsdet.runtime.results import detections_of
from rsdet.tasks.detect import visual
from rsdet.tasks.detect.enhanced import EnhancedPrediction
from rsdet.tasks.detect.outputs import Outputs, coco_rows
from rsdet.tasks.detect.source import usable_source
from rsdet.tasks.detect.tracking import natural
from rsdet.writing import put, workplace, write_picture

_OF_FILMS = ("vid_stride", "stream_buffer", "save_frames")
_CROP = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


class DetectResults(Results):
    """Ultralytics' result with our drawing and COCO rows; everything else is inherited.

    Attributes:
        legend: :meth:`plot` adds a strip with the count of each class below the picture, and enlarges a tiny one by a
            whole factor: so in the pictures that ``predict`` saves, and nowhere else unless set.
    """

    legend = False

    def plot(
        self,
        conf: bool = True,
        line_width: float | None = None,
        font_size: float | None = None,
        font: str | None = None,
        pil: bool = False,
        img: np.ndarray | torch.Tensor | None = None,
        kpt_radius: int = 5,
        kpt_line: bool = True,
        labels: bool = True,
        boxes: bool = True,
        masks: bool = True,
        probs: bool = True,
        show: bool = False,
        save: bool = False,
        filename: str | None = None,
        color_mode: str = "class",
        txt_color: tuple[int, int, int] | None = None,
    ) -> np.ndarray | Image.Image:
        """Draw boxes, turned boxes or masks: thin for tiny objects, labels only where there is room.

        Arguments, their order and what they do are those of Ultralytics' ``Results.plot``, so is the size: that of
        the picture. Results with key points or class probabilities are drawn by it.

        Args:
            conf: Write scores.
            line_width: Width of the lines in px; by the size of objects and picture where None.
            font_size: Size of the text in px; by the size of the picture where None.
            font: Font file, in the place of the one at hand.
            pil: Return a Pillow image.
            img: Picture (H, W, C) to draw on instead of the original one, BGR.
            kpt_radius: Of key points only.
            kpt_line: Of key points only.
            labels: Write class names, and the numbers of tracks.
            boxes: Draw the boxes; of masks, write the labels.
            masks: Draw the masks in the place of their boxes.
            probs: Of class probabilities only.
            show: Open a window with the picture.
            save: Write the picture.
            filename: Where to; ``results_<name of the source>`` where None.
            color_mode: ``"class"``, or ``"instance"`` for a colour for each track, or for each object without tracks.
            txt_color: BGR of the text; the colour of its box where None.

        Returns:
            (H, W, 3) uint8 BGR, with ``pil`` a Pillow image, RGB.

        Raises:
            ConfigError: Another ``color_mode``.
            DataError: The file cannot be written.
        """
        if color_mode not in ("class", "instance"):
            raise ConfigError(f"color_mode={color_mode!r} must be 'class' or 'instance'.")
        objects = self.boxes if self.obb is None else self.obb
        if objects is None or any(x is not None for x in (self.keypoints, self.probs)):
            given = {k: v for k, v in (("font", font), ("txt_color", txt_color)) if v is not None}
            return super().plot(
                conf, line_width, font_size, pil=pil, img=img, kpt_radius=kpt_radius, kpt_line=kpt_line, labels=labels,
                boxes=boxes, masks=masks, probs=probs, show=show, save=save, filename=filename, color_mode=color_mode,
                **given,
            )  # fmt: skip
        img = self.orig_img if img is None else img
        if isinstance(img, torch.Tensor):  # a batch (B, C, H, W) in [0, 1] that was predicted on, or (H, W, C) uint8
            img = img[0].permute(1, 2, 0).mul(255).byte() if img.ndim == 4 else img
            img = img.detach().cpu().numpy()
        masks = masks and self.masks is not None
        if boxes or masks:
            ids = objects.id.int().tolist() if objects.is_track else [None] * len(objects)
            found = detections_of(self)
            shown = [
                (f"id:{i} {self.names[c]}" if i is not None else self.names[c]) if labels else ""
                for i, c in zip(ids, found.classes.tolist(), strict=True)
            ]
            numbers = [f"{v:.2f}" if conf else "" for v in found.scores.tolist()]
            picture = visual.draw(
                img,
                found.boxes_xyxy,
                found.scores,
                found.classes,
                self.names,
                line=None if line_width is None else max(1, round(line_width)),
                labels="auto" if boxes and (labels or conf) else "none",
                legend=self.legend,
                enlarge=self.legend,
                texts=list(zip(shown, numbers, strict=True)),
                colours=[k if i is None else i for k, i in enumerate(ids)] if color_mode == "instance" else None,
                ink=None if txt_color is None else tuple(txt_color)[::-1],
                font=font,
                font_px=None if font_size is None else max(1, round(font_size)),
                **(found.shapes if masks or self.obb is not None else {}),
            )
        else:
            picture = visual.to_display(img)
        if save:
            write_picture(filename or f"results_{Path(self.path).name}", picture)
        image = Image.fromarray(picture[..., ::-1]) if pil or show else None
        if show:
            image.show(title=self.path)
        return image if pil else picture

    def mend(self) -> None:
        """Put crossed edges right."""
        corners = self.boxes.data
        # A head without a distribution over distances can put an edge behind the opposite one: a box without area.
        corners[:, 2:4] = torch.maximum(corners[:, 2:4], corners[:, :2])

    def clear(self) -> None:
        """Drop all objects."""
        self.update(boxes=self.boxes.data[:0])

    def new(self) -> DetectResults:
        """A result without boxes of the same picture; what ``cpu()``, ``[...]`` and the like fill."""
        result = super().new()
        result.__class__ = type(self)
        return result

    def save_crop(self, save_dir: str | Path, file_name: str | Path = "im.jpg") -> None:
        """Write each object as ``<save_dir>/<class>/<file_name>``; whatever a class is called, it stays below."""
        names = folder_names(self.names)
        for number, crop in self.crops():
            path = Path(save_dir) / names.get(number, str(number)) / Path(file_name).with_suffix(".jpg")
            if crop.size:
                write_picture(increment_path(path), crop, _CROP)

    def crops(self) -> Iterator[tuple[int, np.ndarray]]:
        """Class and picture of each object, with a little around it."""
        for box in self.boxes.cpu() if self.boxes is not None else ():
            yield int(box.cls), save_one_box(box.xyxy, self.orig_img, BGR=True, save=False)

    def save_txt(self, txt_file: str | Path, save_conf: bool = False) -> str:
        """Add the boxes to a text file as Ultralytics does, whole or not at all."""
        path = Path(txt_file)
        with workplace(path.parent, path.name) as place:
            if path.is_file():
                shutil.copyfile(path, place / path.name)
            super().save_txt(place / path.name, save_conf)
            if (place / path.name).is_file():
                put(place / path.name, path)
        return str(txt_file)

    def to_csv(self, *args: Any, **kwargs: Any) -> str:
        """Ultralytics' table of the objects, with no class that a spreadsheet takes for a formula."""
        names, self.names = self.names, {i: csv_cell(name) for i, name in self.names.items()}
        try:
            return super().to_csv(*args, **kwargs)
        finally:
            self.names = names

    def to_coco(self, image_id: int | str) -> list[dict[str, Any]]:
        """Rows of a COCO results file: ``bbox`` is x, y, w, h in pixels of the original image, ids start at 1."""
        return coco_rows(self, image_id)


class OurImages(LoadImagesAndVideos):
    """Ultralytics' source of image files, read by our reader.

    Attributes:
        reader: Path -> (H, W, C) uint8.
        unread: Path -> why a file could not be read; such files are passed over.
    """

    reader: SarReader | PictureReader
    unread: dict[str, str]

    def __next__(self) -> tuple[list[str], list[np.ndarray], list[str]]:
        """Return paths, pictures and log texts of the next batch."""
        paths, pictures, texts = [], [], []
        while len(pictures) < self.bs and self.count < self.nf:
            files = self.files[self.count : self.count + self.bs - len(pictures)]
            for path, picture in zip(files, self._read(files), strict=True):
                self.count += 1
                if picture is not None:
                    self._append_image(paths, pictures, texts, path, picture, self.count)
        if not pictures:
            raise StopIteration
        return paths, pictures, texts

    def _read(self, files: list[str]) -> list[np.ndarray | None]:
        def one(path: str) -> np.ndarray | None:
            try:
                return self.reader(path)
            except RSDetError as e:
                self.unread[path] = str(e)
                return None

        if len(files) == 1:
            return [one(files[0])]
        with ThreadPoolExecutor(min(len(files), NUM_THREADS)) as pool:
            return list(pool.map(one, files))


class OurFilms(LoadImagesAndVideos):
    """Ultralytics' source of videos, which takes a frame that cannot be read for the end, and says nothing.

    Attributes:
        stated: Video -> frames and frames a second by its header.
        frames_read: Video -> frames that were read.
    """

    stated: dict[str, tuple[int, float]]
    frames_read: Counter[str]

    def _new_video(self, path: str) -> None:
        super()._new_video(path)
        self.begin(path)

    def begin(self, path: str) -> None:
        """Note what the header of the video says that has been opened."""
        self.stated[path] = self.frames, self.cap.get(cv2.CAP_PROP_FPS)

    def __next__(self) -> tuple[list[str], list[np.ndarray], list[str]]:
        """Return paths, frames and log texts of the next batch."""
        paths, frames, texts = super().__next__()
        self.frames_read.update(paths)
        return paths, frames, texts

    def lost(self) -> dict[str, str]:
        """Video -> one line that says how much of it could not be read."""
        said = {path: frames_lost(path, self.frames_read[path], *known) for path, known in self.stated.items()}
        return {path: line for path, line in said.items() if line}


class OurPredictor(EnhancedPrediction):
    """What the predictors of boxes share, whatever their form.

    Attributes:
        results_class: Type of the results.
        reader: Reads the image files.
        skipped: One line for each file that the last run left out.
        unread: Path -> why the last run could not do a file. What is found there is no result.
    """

    results_class: ClassVar[type[DetectResults]] = DetectResults

    def __init__(self, *args: Any, **kwargs: Any):
        self.reader: SarReader | PictureReader = PictureReader()
        self.outputs = Outputs()
        self.skipped: list[str] = []
        self.unread: dict[str, str] = {}
        super().__init__(*args, **kwargs)

    def configure(
        self,
        model: Any,
        *,
        save_json: bool = False,
        save_coco: bool = False,
        enhance: Any = None,
        enhance_tile: int | None = None,
        enhance_overlap: int | None = None,
        save_enhanced: bool = False,
        bands: int | Sequence[int] | None = None,
    ) -> None:
        """Set what the next run does beyond what Ultralytics knows.

        Args:
            model: The :class:`rsdet.RSDet`.
            save_json: Write ``predictions.json`` beside the pictures.
            save_coco: Write ``predictions-coco.json`` beside the pictures.
            enhance: What enhances the pictures first (:func:`rsdet.enhance.loading.load_chain`). Results keep the
                original pictures, and boxes are in their pixels.
            enhance_tile: Side of the tiles that an enhancer gets, 0 for whole pictures.
            enhance_overlap: Pixels that neighbouring tiles share.
            save_enhanced: Write the enhanced pictures, too.
            bands: Bands of the files to take, counted from 1, in the order of the model's channels; of arrays with more
                channels than the model takes, those of their channels.

        Raises:
            ConfigError: A value out of its range, or one that does not apply to this model.
        """
        self.skipped, self.outputs = [], Outputs(save_json=save_json, save_coco=save_coco)
        own = getattr(model.model, "reader", None)  # of a method that reads files in its own way
        self.reader = own or reader_of(model.sar, model.channels or 3, model.bands if bands is None else bands)
        if bands is not None and self.reader.of_values:
            raise ConfigError(
                f"bands={bands} is for pictures, and this model takes SAR files of one band; leave it out."
            )
        chain = chain_for(model, enhance, enhance_tile, enhance_overlap)
        if save_enhanced and chain is None:
            raise ConfigError("save_enhanced=True saves what enhance= makes, and there is no enhance=; leave it out.")
        self.use_chain(None if chain is None else chain.to(self.device), save_enhanced)

    def stream_inference(self, source: Any = None, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Detect in what can be read of the source; name what cannot, and write what was asked for at the end."""
        read: set[str] = set()
        with usable_source(source, self.reader) as usable:
            self.skipped = usable.skipped
            try:
                for result in map(with_time, super().stream_inference(usable.source, *args, **kwargs)):
                    if isinstance(result, Results):  # not so when embed= asks for features
                        if str(result.path) in self.unread:
                            continue
                        read.add(str(result.path))
                        self.outputs.add(result)
                    yield result
            finally:  # what was found before an interruption is kept
                self.say_time()
                if self.outputs.plain:
                    self.outputs.write(self.make_folder())
            if isinstance(self.dataset, OurFilms):
                self.unread.update(self.dataset.lost())
            if read or not self.args.embed:
                usable.check_read(read, self.unread)

    def setup_model(self, model: Any, verbose: bool = True) -> None:
        """Open the model as Ultralytics does; whatever an exported file finds has a name."""
        super().setup_model(model, verbose)
        if isinstance(model, (str, Path)):
            self.model.names = Numbered(self.model.names)

    def setup_source(self, *args: Any, **kwargs: Any) -> None:
        """Open the source as Ultralytics does, with our reader behind its files."""
        super().setup_source(*args, **kwargs)
        self.unread = {}
        if self.dataset.mode == "image" and not any(getattr(self.dataset, "video_flag", ())):
            self.say_of_films()
        pictures = isinstance(self.dataset, LoadImagesAndVideos) and not any(self.dataset.video_flag)
        if pictures:
            self.dataset.__class__ = OurImages  # the same list of files; only the reading differs
            self.dataset.reader, self.dataset.unread = self.reader, self.unread
            if self.args.mode == "track":  # Ultralytics would put frame 10 before frame 9
                self.dataset.files.sort(key=natural)
        elif isinstance(self.dataset, LoadImagesAndVideos):
            self.dataset.__class__ = OurFilms
            self.dataset.stated, self.dataset.frames_read = {}, Counter()
            if self.dataset.cap is not None:  # the first is open already
                self.dataset.begin(self.dataset.files[self.dataset.video_flag.index(True)])

    def say_of_films(self) -> None:
        """Name the keys of films and streams that nothing comes of where the source is pictures: all are looked at."""
        if given := [k for k in _OF_FILMS if getattr(self.args, k) != DEFAULT_CFG_DICT[k]]:
            keys, them = ", ".join(f"{k}=" for k in given), "it" if len(given) == 1 else "them"
            say(
                f"{keys}: only of videos and streams, and these are pictures, of which each is looked at; leave {them} "
                "out, or name the pictures that are wanted.",
                logging.WARNING,
            )  # fmt: skip

    @contextmanager
    def of_picture(self, i: int) -> Iterator[None]:
        """Note a picture of the batch that cannot be used or is too large, so that all others are done."""
        path = str(self.batch[0][i]) if self.batch and self.dataset.mode == "image" else None
        try:
            with within_memory(path or "a picture"):
                yield
        except DataError as e:
            if path is None:
                raise
            self.unread[path] = str(e)

    def _enhance(self, i: int, picture: np.ndarray) -> np.ndarray:
        with self.of_picture(i):
            return super()._enhance(i, picture)
        return picture

    def write_results(self, i: int, *args: Any) -> str:
        """Save and tell as Ultralytics does; pictures with a legend, but not frames, whose size must not change."""
        result = self.results[i]
        result.legend = self.dataset.mode == "image"
        try:
            if result.path not in self.unread:
                with self.of_picture(i):
                    return super().write_results(i, *args)
            return "left out"
        finally:
            result.legend = False

    def save_predicted_images(self, save_path: Path, frame: int | None = 0) -> None:
        """Save a picture whole or not at all; frames of a video go to its writer."""
        if self.dataset.mode == "image":
            write_picture(save_path.with_suffix(".jpg"), self.plotted_img)
        else:
            super().save_predicted_images(save_path, frame)

    def postprocess(self, *args: Any, **kwargs: Any) -> list[Results]:
        """Boxes in original pixels, as our result type."""
        if self.batch:
            self.batch[2][:] = map(printable, self.batch[2])  # names of files, about to be shown
        results = super().postprocess(*args, **kwargs)
        for r in results:
            r.__class__ = self.results_class  # same data; only the drawing differs
            r.mend()
            if self.reader.is_blank(r.orig_img):
                r.clear()  # nothing but nodata: whatever the network says is not about a scene
        return results


class RTDETRPredict(OurPredictor, RTDETRPredictor):
    """Predictor of the RT-DETR family."""


class YOLOPredict(OurPredictor, DetectionPredictor):
    """Predictor of the YOLO family."""

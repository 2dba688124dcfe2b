"""Validation of detectors: Ultralytics' numbers, and beside them those of a named protocol in original pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from ultralytics.models.rtdetr.val import RTDETRValidator
from ultralytics.models.yolo.detect.val import DetectionValidator
from ultralytics.utils import LOGGER

from rsdet.data.groups import image_key, read_groups
from rsdet.data.pictures import check_bands
from rsdet.enhance.loading import load_chain
from rsdet.errors import ConfigError, DataError
from rsdet.metrics.detection_areas import (
    DetectionMetrics,
    ImageDetections,
    ImageTruth,
    evaluate,
    recall_ceiling,
)
from rsdet.tasks.detect.dataset import check_pictures, check_section, our_datasets, val_section
from rsdet.tasks.detect.enhanced import EnhancedValidation
from rsdet.tasks.detect.outputs import coco_of_split, image_ids, names_below
from rsdet.tasks.detect.settings import rule_of, save_protocol
from rsdet.tasks.detect.tiled_val import TiledLook, network_shapes, original_shapes, tiles_of

_FOUND = "found"  # key of what tiles show of one image


def ignore_file(image: Path, folder: str) -> Path | None:
    """The file of ignored regions that belongs to an image: ``…/images/val/a.jpg`` -> ``…/<folder>/val/a.txt``."""
    parts = list(image.parts)
    if "images" not in parts:
        return None
    at = len(parts) - 1 - parts[::-1].index("images")
    return Path(*parts[:at], folder, *parts[at + 1 :]).with_suffix(".txt")


def read_ignore(file: Path | None, height: int, width: int) -> np.ndarray:
    """Ignored regions of one image as (N, 4) xyxy in pixels; none where there is no file."""
    if file is None or not file.is_file():
        return np.zeros((0, 4))
    try:
        rows = np.array([[float(v) for v in line.split()] for line in file.read_text().splitlines() if line.strip()])
    except ValueError as e:
        raise DataError(f"{file} must hold lines of 'xc yc w h' in 0..1 ({e}); convert the dataset again.") from e
    if rows.size == 0:
        return np.zeros((0, 4))
    if rows.ndim != 2 or rows.shape[1] != 4:
        raise DataError(f"{file} must hold four numbers per line, received {rows.shape}; convert the dataset again.")
    centre, half = rows[:, :2], rows[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], 1) * [width, height, width, height]


def check_classes(known: dict[int, str], wanted: dict[int, str]) -> None:
    """Make sure that the classes of the weights are those of the data, in the same order.

    Raises:
        DataError: Another number of classes, or the same classes in another order: every number would be wrong.
    """

    def some(names: dict[int, str]) -> str:
        return ", ".join(list(names.values())[:3]) + (", ..." if len(names) > 3 else "")

    if len(known) != len(wanted):
        raise DataError(
            f"the weights know {len(known)} classes ({some(known)}), the data has {len(wanted)} ({some(wanted)}); "
            "validate on data with the classes of the weights, or train on this data first."
        )
    differ = [i for i in wanted if str(known.get(i)).lower() != str(wanted[i]).lower()]
    if differ and sorted(known.values()) == sorted(wanted.values()):
        raise DataError(
            f"weights and data have the same classes in another order (class {differ[0]} is {known[differ[0]]!r} and "
            f"{wanted[differ[0]]!r}); put names: of the data YAML, and the labels, in the order of the weights."
        )
    if differ:
        LOGGER.warning(
            f"class {differ[0]} is {known.get(differ[0])!r} in the weights and {wanted[differ[0]]!r} in the data "
            f"({len(differ)} of {len(wanted)} differ); the numbers take them for the same."
        )


def check_channels(data: dict[str, Any], known: int | None = None) -> None:
    """Make sure that ``channels`` of a data YAML is a number, and that of the model where it is known.

    Raises:
        DataError: It is not.
    """
    channels = data["channels"]
    if not isinstance(channels, int) or channels < 1:
        raise DataError(f"channels: {channels!r} in the data YAML must be a whole number; leave it out for RGB.")
    if known is not None and channels != known:
        raise DataError(
            f"the data has channels: {channels}, the model takes {known}; validate on data with {known}, or train a "
            "model on this data first."
        )


def warn_of_left_out(dataset: Any) -> None:
    """Say it loudly when Ultralytics has dropped images, which it only notes in passing."""
    total, kept = len(dataset.label_files), len(dataset.im_files)
    if kept < total:
        LOGGER.warning(
            f"{total - kept} of {total} images in {dataset.img_path} are left out: the image or its label file is "
            "broken (each is named above)."
        )


class PictureVal(EnhancedValidation):
    """What the validators share that measure on Ultralytics' datasets of pictures, whatever is labelled in them.

    Args:
        *args: Those of Ultralytics.
        bands: Bands of the files to take, counted from 1, instead of the data YAML's or the model's.
        **kwargs: Those of Ultralytics.

    Attributes:
        channels: Channels that the model takes, where whoever starts the run knows them.
        sar: How the model's SAR files become pictures, where whoever starts the run knows it.
        own_bands: Those that the model was trained with, where whoever starts the run knows them; the last resort.
        groups: Groups of images that the data YAML wants measured apart: name to the keys of its images.
    """

    datasets: ClassVar[Callable[..., AbstractContextManager[None]]] = staticmethod(our_datasets)

    def __init__(self, *args: Any, bands: int | Sequence[int] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.bands = check_bands(bands)
        self.channels: int | None = None
        self.sar: dict[str, Any] | None = None
        self.own_bands: list[int] | None = None
        self.groups: dict[str, frozenset[str]] = {}

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], model: Any) -> None:
        """Check our arguments before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """
        check_bands(given.get("bands"), model.channels or 3)

    def adopt(self, model: Any) -> None:
        """Take over how a model reads files.

        Args:
            model: The :class:`rsdet.RSDet` that is measured.
        """
        self.channels, self.sar, self.own_bands = model.channels, model.sar, model.bands

    def build_dataset(self, img_path: str, mode: str = "val", batch: int | None = None) -> Any:
        """Build the stock dataset of a validation by itself, once its classes and its images are known to fit."""
        if not self.args.single_cls:
            check_classes(self.names, self.data["names"])
        check_channels(self.data, self.channels)
        given = (self.bands, self.data.get("bands"), self.own_bands)
        self.data["bands"] = next((bands for bands in given if bands is not None), None)
        check_section(self.data)
        self.groups = read_groups(self.data)
        self.data["sar"] = val_section(self.sar, self.data)
        if self.chain is not None:
            self.chain.to(self.device)
            self.args.workers = 0  # networks run here, on the device, and not in children of this process
        with self.datasets(self.chain):
            dataset = super().build_dataset(img_path, mode, batch)
        self.note_size(dataset)
        check_pictures(dataset, self.data)
        warn_of_left_out(dataset)
        return dataset


class OurVal(PictureVal):
    """What the validators of detectors share, whatever the form of their boxes.

    Args:
        *args: Those of Ultralytics.
        protocol: Of upright boxes ``"coco"``, ``"aitod"`` or ``"visdrone"``, of oriented ones ``"dota"``, of masks
            ``"coco"``; ``"ultralytics"`` for its own numbers only; the task's own (the first) where None. The name
            stands beside the numbers.
        ignore_regions: Drop detections in the ignored regions of the data; as the protocol has it where None
            (``visdrone`` drops them, the others count them as false). The protocol's name then shows a change.
        bands: Bands of the files to take, counted from 1, instead of the data YAML's or the model's.
        enhance: What enhances the pictures first (:func:`rsdet.enhance.loading.load_chain`): measured without and with
            it; ``without`` and ``enhance_gain`` are added to the metrics.
        enhance_tile: Side of the tiles that an enhancer gets, 0 for whole pictures.
        enhance_overlap: Pixels that neighbouring tiles share.
        tile: Side of the tiles of ``predict tile=`` by which each picture is looked at; the labels stay untiled.
        overlap: What neighbouring tiles share: below 1 a fraction of the tile, from 1 on pixels; 0.2 where None.
        merging: How objects that two tiles have seen become one: nms, nmm, soft-nms or wbf; nms where None.
        merging_iou: Overlap of two boxes from which they are the same object; 0.5 where None.
        **kwargs: Those of Ultralytics.

    Attributes:
        protocol: The protocol; None for Ultralytics' own numbers only.
        protocol_metrics: Result of the last run under the protocol; ``groups`` of it are those of the data YAML.
        shape: What is measured, a key of :data:`rsdet.metrics.detection_areas.SHAPES`.
        truth: Labels of the last run, in original pixels.
        detections: Detections of the last run, in original pixels.
        tiles: How pictures are cut; None where they are looked at as a whole.
        look: What looks at the tiles.
    """

    shape: ClassVar[str] = "boxes"

    def __init__(
        self,
        *args: Any,
        protocol: Any = None,
        ignore_regions: bool | None = None,
        bands: int | Sequence[int] | None = None,
        enhance: Any = None,
        enhance_tile: int | None = None,
        enhance_overlap: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        merging: str | None = None,
        merging_iou: float | None = None,
        **kwargs: Any,
    ):
        super().__init__(*args, bands=bands, **kwargs)
        self.protocol = rule_of(protocol, ignore_regions, self.shape) if isinstance(protocol, str) else protocol
        self.chain = None if enhance is None else load_chain(enhance, tile=enhance_tile, overlap=enhance_overlap)
        self.tiles = tiles_of({"tile": tile, "overlap": overlap, "merging": merging, "merging_iou": merging_iou})
        self.look: TiledLook | None = None
        self.protocol_metrics: DetectionMetrics | None = None
        self.ceiling: float | None = None
        self.num_queries: int | None = None
        self._images: dict[str, tuple[int | str, str]] = {}  # file -> id and name in predictions.json

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], model: Any) -> None:
        """Check our arguments before data are looked at.

        Raises:
            ConfigError: A value out of its range.
        """
        task = model.definition
        rule_of(given.get("protocol") or task.protocol, given.get("ignore_regions"), task.shape)
        super().check_settings(given, model)
        if tiles_of(given) is not None and not task.tiles:
            raise ConfigError(
                f"tile= is for networks of tasks that look at scenes, and {task.name} is none; leave it out."
            )

    def adopt(self, model: Any) -> None:
        """Take over how a model reads files, and looks at tiles where it shall.

        Args:
            model: The :class:`rsdet.RSDet` that is measured.
        """
        super().adopt(model)
        self.look = None if self.tiles is None else TiledLook.of(model, self.tiles, self.args)

    def __call__(self, trainer: Any = None, model: Any = None, **kwargs: Any) -> Any:
        """Validate; by itself, write the protocol's numbers into the folder of the run and add them to the metrics."""
        stats = super().__call__(trainer, model, **kwargs)
        if trainer is None:
            self.metrics.protocol_metrics, self.metrics.recall_ceiling = self.protocol_metrics, self.ceiling
            self.metrics.group_metrics = dict(getattr(self.protocol_metrics, "groups", {}))
            save_protocol(self.protocol_metrics, Path(self.save_dir))
        return stats

    def init_metrics(self, model: Any) -> None:
        """Start a new collection."""
        super().init_metrics(model)
        self.truth: list[ImageTruth] = []
        self.detections: list[ImageDetections] = []
        self._labels = {} if self.training else {x["im_file"]: x for x in self.dataloader.dataset.labels}
        native = getattr(model, "model", model)
        head = native.model[-1] if hasattr(native, "model") else getattr(native, "__getitem__", lambda _: None)(-1)
        self.num_queries = getattr(head, "num_queries", None)
        if self.args.save_json and not self.training and not (self.is_coco or self.is_lvis):  # these two have ids
            files = self.dataloader.dataset.im_files
            (images, categories), names = coco_of_split(self.data["path"], self.args.split), names_below(files)
            self._images = dict(zip(files, zip(image_ids(names, images), names, strict=True), strict=True))
            if set(self.names.values()) <= set(categories):
                self.class_map = [categories[name] for name in self.names.values()]
                if self.build_gdict:
                    self.gdict["categories"] = [{"id": i} for i in self.class_map]

    def pred_to_json(self, predn: dict[str, torch.Tensor], pbatch: dict[str, Any]) -> None:
        """Add the rows of one image; images have ids of their own, traceable to their files."""
        if (found := self._images.get(pbatch["im_file"])) is None:
            return super().pred_to_json(predn, pbatch)
        first = len(self.jdict)
        super().pred_to_json(predn, {**pbatch, "im_file": "0"})
        for row in self.jdict[first:]:
            row["image_id"], row["file_name"] = found
        return None

    def postprocess(self, *args: Any, **kwargs: Any) -> list[dict[str, torch.Tensor]]:
        """Boxes as in prediction: crossed edges are a box without area, which is counted and drawn as such."""
        preds = super().postprocess(*args, **kwargs)
        for pred in preds:
            boxes = pred["bboxes"]
            boxes[:, 2:4] = torch.maximum(boxes[:, 2:4], boxes[:, :2])
        return preds

    def update_metrics(self, preds: list[dict[str, Any]], batch: dict[str, Any]) -> None:
        """Collect what the protocol needs, then let Ultralytics count."""
        if not self.training:
            if self.look is not None:
                preds[:] = [self._by_tiles(self._prepare_batch(si, batch)) for si in range(len(preds))]
            for si, pred in enumerate(preds):
                self._collect(pred, self._prepare_batch(si, batch))
        super().update_metrics(preds, batch)

    def _by_tiles(self, pbatch: dict[str, Any]) -> dict[str, Any]:
        """What the tiles of a picture show, in the place of what was found in the whole."""
        found = self.look(self.dataloader.dataset.reader(pbatch["im_file"]))
        masks = tuple(pbatch["masks"].shape[-2:]) if "masks" in pbatch else None
        device = pbatch["bboxes"].device
        return {
            **network_shapes(found, self.shape, pbatch, masks),
            "conf": torch.as_tensor(found.scores, device=device),
            "cls": torch.as_tensor(found.classes, dtype=torch.float32, device=device),
            _FOUND: found,
        }

    def _collect(self, pred: dict[str, Any], pbatch: dict[str, Any]) -> None:
        image = Path(pbatch["im_file"])
        height, width = pbatch["ori_shape"]
        labels = self._labels[pbatch["im_file"]]
        folder = self.data.get("ignore")
        ignore = read_ignore(ignore_file(image, folder), height, width) if folder else np.zeros((0, 4))
        key, found = str(len(self.truth)), pred.pop(_FOUND, None)
        self.truth.append(
            ImageTruth(
                image_id=key,
                size_hw=(int(height), int(width)),
                **self.true_shapes(labels, int(height), int(width)),
                classes=labels["cls"].astype(int).reshape(-1),
                ignore_xyxy=ignore,
                groups=frozenset(g for g, keys in self.groups.items() if image_key(image.name) in keys),
            )
        )
        self.detections.append(
            ImageDetections(
                image_id=key,
                **(
                    self.found_shapes(pred, pbatch)
                    if found is None
                    else original_shapes(found, self.shape, (int(height), int(width)))
                ),
                scores=pred["conf"].double().cpu().numpy().reshape(-1),
                classes=pred["cls"].cpu().numpy().astype(int).reshape(-1),
            )
        )

    def true_shapes(self, labels: dict[str, Any], height: int, width: int) -> dict[str, Any]:
        """What an image's labels say of the shapes of its objects, as :class:`ImageTruth` takes it, in pixels."""
        # Not the boxes of the batch, which went through the letterbox in float32.
        centre, size = np.hsplit(labels["bboxes"].astype(np.float64) * [width, height, width, height], 2)
        # Fractions of six decimals or float32 are good for a hundredth of a pixel: a side of 8 px must be 8, since a
        # box of 8 x 8 belongs to two area ranges.
        areas = np.round(size, 2).prod(axis=1)
        return {"boxes_xyxy": np.concatenate([centre - size / 2, centre + size / 2], 1), "areas": areas}

    def found_shapes(self, pred: dict[str, Any], pbatch: dict[str, Any]) -> dict[str, Any]:
        """Shapes of the objects found, as :class:`ImageDetections` takes them, in pixels of the original image."""
        return {"boxes_xyxy": self.scale_preds(pred, pbatch)["bboxes"].double().cpu().numpy().reshape(-1, 4)}

    def finalize_metrics(self) -> None:
        """Compute the protocol's numbers and the recall ceiling of the query count."""
        super().finalize_metrics()
        if self.training:
            return
        if self.protocol is not None:
            self.protocol_metrics = evaluate(
                self.truth, self.detections, protocol=self.protocol, by_group=True, names=self.names
            )
            if self.look is not None:
                self.protocol_metrics = replace(self.protocol_metrics, look=str(self.look))
        if self.num_queries:
            self.ceiling = recall_ceiling(self.truth, self.num_queries)

    def print_results(self) -> None:
        """Print Ultralytics' table, and say which protocol it follows."""
        super().print_results()
        if self.training:
            return
        if self.look is not None:
            LOGGER.info(f"objects are those of {self.look}; imgsz= has no part in them")
        LOGGER.info("protocol of the table above: ultralytics (its own matching, network-sized boxes, max_det kept)")
        if self.ceiling is not None:
            LOGGER.info(
                f"recall ceiling of {self.num_queries} queries on these images: {self.ceiling:.4f}"
                + ("" if self.ceiling == 1 else " (raise nq= and max_det= for denser scenes)")
            )
        if self.protocol_metrics is not None:
            self.protocol_metrics.print()
            self._say_of_regions()
        if self.groups:
            self._say_of_groups()

    def _say_of_regions(self) -> None:
        regions = sum(len(t.ignore_xyxy) for t in self.truth)
        if regions and self.protocol.ignore_rule == "none":
            LOGGER.info(
                f"{regions} ignored regions are not used, as protocol {self.protocol.name} has it: detections in them "
                "count as false. ignore_regions=True drops these."
            )

    def _say_of_groups(self) -> None:
        """Say what the table of the groups does not show: images in none of them, and groups without images."""
        names = ", ".join(self.groups)
        if self.protocol_metrics is None:
            LOGGER.info(f"groups ({names}) are measured under a protocol of rsdet only; give protocol=coco, for one.")
            return
        if without := sum(not t.groups for t in self.truth):
            LOGGER.info(f"{without} of {len(self.truth)} images are in no group and count in the whole only.")
        for name in [g for g in self.groups if g not in self.protocol_metrics.groups]:
            LOGGER.warning(
                f"group {name!r} names none of the {len(self.truth)} images of this split; check its list "
                f"{self.data['groups'][name]} (one image name a line), or validate the split it is about with split=."
            )


class RTDETRVal(OurVal, RTDETRValidator):
    """Validator of the RT-DETR family."""


class YOLOVal(OurVal, DetectionValidator):
    """Validator of the YOLO family."""

"""Ultralytics' datasets of pictures and masks of class numbers, with our readers and a look at the masks first.

A mask is a PNG of whole numbers beside its picture: ``images/train/a.jpg`` has ``<masks_dir>/train/a.png``; 255 is no
class. Without ``masks_dir:`` in the data YAML the labels are polygons, and what none of them covers is background.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ultralytics.data.dataset import PolygonSemanticDataset, SemanticDataset
from ultralytics.data.utils import read_mask

from rsdet.enhance.chain import EnhanceChain
from rsdet.errors import DataError
from rsdet.metrics.confusion import IGNORE
from rsdet.names import printable
from rsdet.tasks.detect.dataset import OurDataset, in_place

_DAMAGED = ": ignoring corrupt image/mask: "  # what Ultralytics' scan says
_OF_MASKS = ("mask ids", "mask size", "index ")  # and goes on with where the mask is to blame
_SHOWN = 5  # values that are named


class OurSemanticDataset(OurDataset, SemanticDataset):
    """Pictures and masks."""

    def get_label_files(self) -> list[str]:
        """The mask of each picture, whether it is there or not."""
        self.label_files = super().get_label_files()  # as the datasets of objects have them
        return self.label_files

    def _scan_or_cache(self, path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        found, exists = super()._scan_or_cache(path, cache_hash)
        masks = dict(zip(self.im_files, self.mask_files, strict=True))
        for label in found["labels"]:
            if "mask_file" not in label:  # our cache keeps what all tasks have
                label["mask_file"] = _beside(masks[label["im_file"]])
                with Image.open(label["mask_file"]) as header:
                    label["mode"] = header.mode
        check_masks(found["msgs"], masks, self.label_lut, len(self.data["names"]))
        if not found["labels"]:
            first = next(iter(masks.values()))
            raise DataError(
                f"none of the {len(masks)} pictures of {self.img_path} has a mask, such as {first}; "
                "put masks there, or say in the data YAML with masks_dir: what stands in the place of 'images'."
            )
        return found, exists

    def result_to_label(self, result: tuple) -> tuple:
        """A label as all tasks have it: of no object."""
        label, *counts = super().result_to_label(result)
        return {**label, "cls": np.zeros((0, 1), np.float32)} if label else label, *counts

    @property
    def _task(self) -> str:
        return "semantic"


class OurPolygonDataset(OurDataset, PolygonSemanticDataset):
    """Pictures and polygons of which masks are made."""

    @property
    def _task(self) -> str:
        return "segment"


def semantic_datasets(chain: EnhanceChain | None = None) -> AbstractContextManager[None]:
    """Datasets of masks; see :func:`rsdet.tasks.detect.dataset.in_place`."""
    datasets = {"SemanticDataset": OurSemanticDataset, "PolygonSemanticDataset": OurPolygonDataset}
    return in_place({f"ultralytics.data.build:{name}": cls for name, cls in datasets.items()}, chain)


def check_masks(messages: Sequence[str], masks: dict[str, str], lut: np.ndarray, classes: int) -> None:
    """Refuse masks of another size than their picture, or with values that are no classes.

    Args:
        messages: What Ultralytics' scan says of files.
        masks: Picture to mask.
        lut: (256,) value of a mask to class, 255 for none.
        classes: Number of classes.

    Raises:
        DataError: There are some; the first is described.
    """
    wrong = [m for m in messages if any(_DAMAGED + what in m for what in _OF_MASKS)]
    if not wrong:
        return
    mask = next(m for p, m in masks.items() if printable(p) + _DAMAGED in wrong[0])
    why = wrong[0].partition(_DAMAGED)[2]
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    if why.startswith("mask size"):
        raise DataError(
            f"{printable(mask)}{more}: {why.replace('size', 'of', 1).replace('image size', 'a picture of')} (height, "
            "width); make the mask in the size of its picture."
        )
    file = _beside(mask)
    with Image.open(file) as header:
        values, counts = np.unique(read_mask(file, header.mode), return_counts=True)
    known = np.isin(values, np.flatnonzero((lut < max(classes, 2)) | (lut == IGNORE)))
    said = ", ".join(
        f"{v} ({n} px)" for v, n in list(zip(values[~known], counts[~known], strict=True))[:_SHOWN]
    )  # fmt: skip
    raise DataError(
        f"{printable(mask)}{more} holds values that are no class: {said}; the data have {classes} classes (0 to "
        f"{max(classes, 2) - 1}) and {IGNORE} for none; mend names: of the data YAML, or say there with label_mapping: "
        "what each value means."
    )


def check_any_labelled(dataset: Any, place: str) -> None:
    """Refuse training pictures of which no pixel has a class.

    Raises:
        DataError: There is none.
    """
    for i, label in enumerate(dataset.labels):
        mask = dataset.load_mask(i, image_shape=tuple(label["shape"]))
        kept = mask != IGNORE if dataset.include_class is None else np.isin(mask, dataset.include_class)
        if kept.any():
            return
    raise DataError(
        f"no pixel of the {len(dataset.labels)} masks of {place} has a class (all are {IGNORE}); check what the masks "
        "hold, and label_mapping: and classes= if they are given."
    )


def _beside(mask: str) -> str:
    """The mask, or that of another suffix as Ultralytics finds it."""
    if Path(mask).is_file():
        return mask
    return str(next(iter(sorted(Path(mask).parent.glob(f"{Path(mask).stem}.*"))), mask))

"""Ultralytics' datasets of pictures and masks of class numbers, with our readers and a look at the masks first.

A mask lies beside its picture: ``images/train/a.jpg`` has ``<masks_dir>/train/a.png``; what it holds is said by
:mod:`rsdet.data.masks`, and 255 is no class. Without ``masks_dir:`` in the data YAML the labels are polygons, and
what none of them covers is background.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import ultralytics.data.utils as stock
from ultralytics.data.dataset import PolygonSemanticDataset, SemanticDataset
from ultralytics.data.utils import get_hash, img2label_paths
from ultralytics.utils import LOCAL_RANK, LOGGER

from rsdet.data.masks.look import Look, ignored_folders, look_at, mask_of, read_classes
from rsdet.data.masks.reader import MaskReader
from rsdet.data.masks.values import DamagedMask
from rsdet.enhance.chain import EnhanceChain
from rsdet.errors import ConfigError, DataError
from rsdet.filestate import last_put
from rsdet.metrics.confusion import IGNORE
from rsdet.tasks.detect.dataset import OurDataset, in_place

_SECTIONS = ("label_mapping", "palette", "ignore_masks", "masks_dir")


class MaskedPictures(SemanticDataset):
    """Ultralytics' dataset, whose masks our reader reads.

    Attributes:
        seen: Pixels of each class, 255 for none, that the scan has counted: (256,) int64.
    """

    def __init__(self, *args: Any, data: dict[str, Any], **kwargs: Any):
        self.mask_reader = MaskReader.of(data)
        self._folders = ignored_folders(data)
        self._wrong: list[str] = []
        self._notes: Counter[str] = Counter()
        self.seen = np.zeros(256, np.int64)
        super().__init__(*args, data=data, **kwargs)

    def _parse_label_mapping(self, mapping: Any) -> dict[int, int]:
        return dict(self.mask_reader.mapping)  # Ultralytics turns the maps that a validation saves back by it

    def get_cache_hash(self) -> str:
        """Ultralytics' hash, of all that decides what masks mean."""
        rules = [f"{key}:{self.data.get(key)}" for key in (*_SECTIONS, "names")]
        beside = (str(f) for p in self.im_files for f in self._beside(p))
        masks = (str(mask_of(Path(f)) or f) for f in self.mask_files)
        files = [*self.im_files, *masks, *beside]
        return f"{get_hash([*files, *rules])}-{last_put(files)}"

    def verify_args(self) -> tuple[Any, Any]:
        """Our look at one picture and its masks."""
        return self._look, zip(self.im_files, self.mask_files, strict=True)

    def _look(self, args: tuple[str, str]) -> tuple[Any, ...]:
        im_file, mask_file = args
        found, said, wrong = None, "", ""
        try:
            said, size = stock.check_image(im_file)
            mask = mask_of(Path(mask_file))
            if mask is None or str(mask) == im_file:
                return None, im_file, None, "", f"{self.prefix}{im_file}: ignoring image with missing mask {mask_file}"
            look = look_at(self.mask_reader, Path(im_file), tuple(size), mask, self._beside(im_file))
            found = str(mask), tuple(size), look
        except DamagedMask as e:
            said = f"{self.prefix}{im_file}: ignoring image with damaged mask: {e}"
        except DataError as e:
            wrong = str(e)
        except Exception as e:  # whatever a damaged picture makes a decoder raise
            said = f"{self.prefix}{im_file}: ignoring corrupt image/mask: {e}"
        return found, im_file, True, wrong, said

    def _beside(self, im_file: str) -> list[Path]:
        """Masks of what is to be left out of a picture."""
        places = (img2label_paths([im_file], label_dir=folder, suffix=".png")[0] for folder in self._folders)
        return [file for place in places if (file := mask_of(Path(place)))]

    def result_to_label(self, result: tuple[Any, ...]) -> tuple[Any, ...]:
        """A label as all tasks have it: of no object."""
        found, im_file, there, wrong, said = result
        if wrong:
            self._wrong.append(wrong)
        if found is None:
            return None, int(not there), 0, 0, int(bool(there)), said
        mask, size, look = found
        self._count(look)
        label = {
            "im_file": im_file, "mask_file": mask, "shape": size, "cls": np.zeros((0, 1), np.float32),
            "bboxes": np.zeros((0, 4), np.float32), "segments": [], "normalized": True, "bbox_format": "xywh",
        }  # fmt: skip
        return label, 0, 1, 0, 0, said

    def _count(self, look: Look) -> None:
        self.seen += look.counts
        self._notes.update([look.note] if look.note else [])

    def cache_labels(self, path: Path = Path("./labels.cache")) -> dict[str, Any]:
        """Look at all pictures and masks; nothing is kept where masks are wrong, so that mended ones are seen.

        Raises:
            DataError: A mask has another size or place than its picture, or values without a meaning.
        """
        found = super().cache_labels(path)
        if self._wrong:
            first = f"{len(self._wrong)} masks are wrong, such as " if len(self._wrong) > 1 else ""
            raise DataError(first + self._wrong[0])
        for folder in self._folders:
            have = sum(mask_of(Path(f)) is not None for f in img2label_paths(self.im_files, folder, ".png"))
            if not have:
                raise DataError(
                    f"ignore_masks: none of the {len(self.im_files)} pictures of {self.img_path} has a mask in "
                    f"{folder}, which stands in the place of 'images'; mend the data YAML."
                )
            self._notes[f"there is no mask in {folder}, and nothing is left out of them"] += len(self.im_files) - have
        found["more"] = {"seen": self.seen.tolist(), "notes": {k: n for k, n in self._notes.items() if n}}
        return found

    def load_mask(self, index: int, image_shape: tuple[int, int] | None = None) -> np.ndarray:
        """Classes of a mask, (H, W) uint8, 255 for none."""
        label = self.labels[index]
        return read_classes(self.mask_reader, Path(label["mask_file"]), self._beside(label["im_file"]))


class WhereData(OurDataset):
    """What both kinds of masks have in common: no class where a file of values holds no data."""

    def load_mask(self, index: int, image_shape: tuple[int, int] | None = None) -> np.ndarray:
        """(H, W) uint8 class numbers."""
        mask = super().load_mask(index, image_shape)
        if not self.reader.of_values:
            return mask
        return np.where(self.reader.valid(self.labels[index]["im_file"]), mask, np.uint8(IGNORE))


class OurSemanticDataset(WhereData, MaskedPictures):
    """Pictures and masks."""

    def get_label_files(self) -> list[str]:
        """The mask of each picture, whether it is there or not."""
        self.label_files = super().get_label_files()  # as the datasets of objects have them
        return self.label_files

    def _scan_or_cache(self, path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        found, exists = super()._scan_or_cache(path, cache_hash)
        if not _sound(found["more"]):  # a cache that something else has written
            found = self.cache_labels(path)
        masks = dict(zip(self.im_files, self.mask_files, strict=True))
        for label in found["labels"]:
            label.setdefault("mask_file", str(mask_of(Path(masks[label["im_file"]]))))  # our cache keeps what all have
        if not found["labels"]:
            first = next(iter(masks.values()))
            raise DataError(
                f"none of the {len(masks)} pictures of {self.img_path} has a mask, such as {first}; "
                "put masks there, or say in the data YAML with masks_dir: what stands in the place of 'images'."
            )
        self.seen = np.array(found["more"]["seen"], np.int64)
        for note, pictures in found["more"]["notes"].items() if LOCAL_RANK in {-1, 0} else ():
            LOGGER.warning(f"{self.prefix}{pictures} pictures: {note}")
        return found, exists

    @property
    def _task(self) -> str:
        return "semantic"


class OurPolygonDataset(WhereData, PolygonSemanticDataset):
    """Pictures and polygons of which masks are made."""

    def __init__(self, *args: Any, data: dict[str, Any], **kwargs: Any):
        if said := [key for key in _SECTIONS if data.get(key)]:
            raise ConfigError(
                f"{said[0]}: of the data YAML is about masks, and without masks_dir: there are none; add the folder, "
                "in the place of 'images', as in masks_dir: masks."
            )
        if len(data["names"]) > IGNORE:  # what is beside polygons is one of them
            raise ConfigError(
                f"names: and the background are {len(data['names'])} classes; {IGNORE} at most are mapped."
            )
        super().__init__(*args, data=data, **kwargs)

    @property
    def _task(self) -> str:
        return "segment"


def semantic_datasets(chain: EnhanceChain | None = None) -> AbstractContextManager[None]:
    """Datasets of masks; see :func:`rsdet.tasks.detect.dataset.in_place`."""
    datasets = {"SemanticDataset": OurSemanticDataset, "PolygonSemanticDataset": OurPolygonDataset}
    return in_place({f"ultralytics.data.build:{name}": cls for name, cls in datasets.items()}, chain)


def _sound(more: Any) -> bool:
    """Whether a cache holds what a scan finds beside labels."""
    if not isinstance(more, dict) or not isinstance(more.get("notes"), dict):
        return False
    seen = more.get("seen")
    return isinstance(seen, list) and len(seen) == 256 and all(isinstance(n, int) for n in seen)

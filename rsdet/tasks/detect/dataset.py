"""Ultralytics' datasets with our reader behind them, for data with a ``sar:`` section, and our augmentations for any.

Nothing of Ultralytics is copied: its builders make the dataset, and find our classes under the names of theirs while
they do (as the model parser does in ``rsdet.registry``). Without a ``sar:`` section, ``speckle`` and ``rot90`` our
classes do exactly what theirs do.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from ultralytics.data.base import BaseDataset
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import get_split_fraction
from ultralytics.models.rtdetr.val import RTDETRDataset
from ultralytics.utils import LOCAL_RANK, LOGGER, RANK, remove_colorstr

from rsdet.data.gsd import gsd_of
from rsdet.data.label_cache import SUFFIX, read_label_cache, write_label_cache
from rsdet.data.pictures import PictureReader, reader_of
from rsdet.data.reading import reading
from rsdet.data.sar import Stretch, measure
from rsdet.data.sar.augment import QuarterTurn, with_sar_transforms
from rsdet.data.sar.check import same_type
from rsdet.data.sar.section import OLD_UNITS
from rsdet.enhance.chain import EnhanceChain
from rsdet.errors import DataError, RSDetError, WriteError
from rsdet.filestate import last_put
from rsdet.integration import swapped
from rsdet.names import printable
from rsdet.tasks.detect.labels import check_labels, check_messages
from rsdet.tasks.resuming import drawing_from


class OurDataset:
    """What the datasets of all tasks share.

    Attributes:
        reader: Reads the pictures.
        chain: Enhances each picture once it has been read, else ``None``.
        seed: Where set, everything random about a sample comes from it, the epoch and the sample; the epoch is part of
            the index, ``dataset[i + epoch * len(dataset)]``.
    """

    chain: EnhanceChain | None = None
    seed: int | None = None
    _epoch = -1

    def __init__(self, *args: Any, data: dict[str, Any], **kwargs: Any):
        self.reader = reader_of(data.get("sar"), data.get("channels", 3), data.get("bands"))
        super().__init__(*args, data=data, **kwargs)

    @property
    def npy_files(self) -> list[Path]:
        """Files of ``cache='disk'``. Ultralytics also reads those that an earlier run left behind.

        Their names are ours alone: an ``.npy`` beside a picture may be the user's, and Ultralytics would take it for
        the picture, write over it, or remove it.
        """
        return self._npy_files

    @npy_files.setter
    def npy_files(self, files: list[Path]) -> None:
        # A picture made with another stretch, or of other bands, is another picture: its cache has another name.
        key = self.reader.cache_key
        key += f".enhanced-{self.chain.key}" if self.chain else ""
        # The whole name, suffix and all: a.jpg and a.png are two pictures.
        self._npy_files = [Path(f"{f}{key}{SUFFIX}.npy") for f in self.im_files]

    def get_cache_hash(self) -> str:
        """Ultralytics' hash of the label cache, and what it does not know.

        What was put in the place of a file of the same size and time, and what another reader found unreadable, must be
        looked at again.
        """
        put = last_put([*self.label_files, *self.im_files])
        return f"{super().get_cache_hash()}-{put}" + ("-sar" if self.reader.of_values else "")

    def _load_or_scan_cache(self, cache_path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        """Ultralytics' scan of pictures and labels, or what our cache kept of it; Ultralytics' own is a pickle."""
        found, exists = self._scan_or_cache(cache_path.with_suffix(SUFFIX), cache_hash)
        check_messages(found["msgs"], self._task)
        if not found["labels"]:  # Ultralytics would name a cache that is not there
            raise DataError(
                f"none of the {len(self.im_files)} images of {self.img_path} can be used; the first: "
                f"{' '.join(found['msgs'][:1]) or 'no reason was found'}; mend the images or their label files."
            )
        return found, exists

    @property
    def _task(self) -> str:
        return "obb" if self.use_obb else "segment" if self.use_segments else "detect"

    def verify_labels(self, labels: list[dict[str, Any]], cache_path: Path) -> None:
        """Make sure that the labels are those of the task, in one form."""
        check_labels(labels, self._task)
        super().verify_labels(labels, cache_path.with_suffix(""))  # the folder, which is there; the cache may not be

    def _scan_or_cache(self, path: Path, cache_hash: str) -> tuple[dict[str, Any], bool]:
        classes = math.inf if self.single_cls else len(self.data["names"])
        found = read_label_cache(path, cache_hash, self.im_files, classes)
        if found is not None:
            if LOCAL_RANK in {-1, 0}:
                LOGGER.info("\n".join([f"{path}: {self.scan_summary(*found['results'][:4])}", *found["msgs"]]))
            return found, False  # Ultralytics would say that it comes from its own
        try:
            found = self.cache_labels(Path(printable(str(path))))  # which is to be shown
        except ValueError as e:
            if "No labels found" not in str(e):
                raise
            raise DataError(  # Ultralytics would name a cache that is not there
                f"none of the {len(self.im_files)} images of {self.img_path} has a label file; expected "
                f"{self.label_files[0]} and so on; check that the labels folder mirrors the images folder."
            ) from e
        found["msgs"] = list(map(remove_colorstr, found["msgs"]))
        try:
            if found["labels"]:
                write_label_cache(path, cache_hash, self.im_files, found)
        except WriteError as e:
            LOGGER.info(f"no label cache ({e}); the next run scans again.")
        return found, False

    def verify_args(self) -> tuple[Any, Any]:
        """Ultralytics' check of one image and its labels, with our reader in charge of the image."""
        verify, each = super().verify_args()

        def ours(args: Any) -> Any:
            with reading(self.reader):
                *found, said = verify(args)
            return *found, said and self.prefix + printable(said.removeprefix(self.prefix))

        return ours, each

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample; see the class."""
        if self.seed is None:
            return super().__getitem__(index)
        epoch, i = divmod(index, len(self))
        if epoch != self._epoch:
            self._begin(epoch)
        with drawing_from(self.seed, epoch, i):
            return super().__getitem__(i)

    def _begin(self, epoch: int) -> None:
        """Forget the pictures that Mosaic chooses from: those last read, which are others after a stop."""
        self._epoch = epoch
        if self.augment and self.cache != "ram":
            for i in self.buffer:
                self.ims[i], self.im_hw0[i], self.im_hw[i] = None, None, None
            self.buffer = random.Random(f"{self.seed} {epoch}").sample(range(len(self)), self.max_buffer_length)

    def _reading(self) -> AbstractContextManager[None]:
        return reading(self.reader, None if self.chain is None else self.chain.apply_bgr)

    def _unlink_foreign(self, i: int) -> None:
        """Take away a picture's cache that is a link, or older than the picture.

        A link would be written through to wherever it points. Ultralytics compares the time that the picture brings
        along, we that at which it was put there.
        """
        kept = self.npy_files[i]
        if kept.is_symlink() or (kept.exists() and last_put([self.im_files[i]]) > kept.stat().st_mtime_ns):
            kept.unlink()

    def load_image(self, i: int, *args: Any, **kwargs: Any) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
        """Ultralytics' loading, resizing and caching of one picture, read by our reader and enhanced."""
        self._unlink_foreign(i)
        with self._reading():
            return super().load_image(i, *args, **kwargs)

    def cache_images_to_disk(self, i: int) -> None:
        """Write the picture that our reader and the enhancers make."""
        self._unlink_foreign(i)
        with self._reading():
            super().cache_images_to_disk(i)

    def check_cache_disk(self, *args: Any, **kwargs: Any) -> bool:
        """Measure the pictures that our reader and the enhancers make."""
        with self._reading():
            return super().check_cache_disk(*args, **kwargs)

    def build_transforms(self, hyp: Any) -> Any:
        """Ultralytics' augmentations, with what ``speckle`` and ``rot90`` ask for."""
        if not self.augment:
            return super().build_transforms(hyp)
        drawn = self._task != "detect"  # Albumentations would move corners, outlines and masks half a pixel
        hyp = with_sar_transforms(hyp, getattr(self.reader, "stretch", None), rect=self.rect, turn=not drawn)
        transforms = super().build_transforms(hyp)
        if drawn and not self.rect and getattr(hyp, "rot90", 0.0):
            transforms.insert(-1, QuarterTurn(hyp.rot90))
        return transforms


class OurYOLODataset(OurDataset, YOLODataset):
    """Dataset of the YOLO family."""


class OurRTDETRDataset(OurDataset, RTDETRDataset):
    """Dataset of the RT-DETR family."""


@contextmanager
def in_place(datasets: Mapping[str, type], chain: EnhanceChain | None = None) -> Iterator[None]:
    """Let Ultralytics' builders make our datasets; the names are process-wide, so one thread builds at a time.

    Args:
        datasets: Place where Ultralytics looks a class up -> ours.
        chain: Enhances the pictures that the datasets hand out.
    """
    with ExitStack() as stack:
        for target, cls in datasets.items():
            # A class of its own, because the datasets look at their pictures while they are made.
            stack.enter_context(swapped(target, cls if chain is None else type(cls.__name__, (cls,), {"chain": chain})))
        yield


def our_datasets(chain: EnhanceChain | None = None) -> AbstractContextManager[None]:
    """Datasets of objects; see :func:`in_place`."""
    datasets = {"ultralytics.data.build:YOLODataset": OurYOLODataset}
    modules = ("ultralytics.models.rtdetr.val", "ultralytics.models.rtdetr.train")
    return in_place(datasets | {f"{m}:RTDETRDataset": OurRTDETRDataset for m in modules}, chain)


def check_pictures(dataset: Any, data: dict[str, Any]) -> None:
    """Look at the header of every image of a dataset once.

    Raises:
        DataError: At least one cannot be used.
        RSDetError: Data with a ``sar:`` section and a dataset that does not read it.
    """
    if isinstance(dataset, OurDataset):
        dataset.reader.check(dataset.im_files)
        return
    if data.get("sar") is not None or data.get("bands") is not None:
        raise RSDetError(
            f"{type(dataset).__name__} does not read SAR data or bands, this release of Ultralytics builds it in a new "
            "way; install the release that rsdet asks for."
        )
    PictureReader(data["channels"]).check(dataset.im_files)


def check_section(data: dict[str, Any]) -> None:
    """Make sure that ``sar:``, ``bands:`` and ``gsd:`` of a data YAML, where there are any, can be worked with.

    Raises:
        ConfigError: It cannot.
    """
    if isinstance(data.get("sar"), dict) and OLD_UNITS in data["sar"]:
        LOGGER.warning(
            f"sar: {OLD_UNITS}: of the data YAML is called units: now; the old name goes with a later release."
        )
    reader_of(data.get("sar"), data.get("channels", 3), data.get("bands"))
    gsd_of(data)


def train_section(data: dict[str, Any], fraction: float | int = 1.0) -> dict[str, Any] | None:
    """Return the ``sar:`` section that a training works with, its stretch measured on the training images.

    Args:
        data: Checked data YAML.
        fraction: Share of the training images that is used, as Ultralytics takes it.

    Raises:
        ConfigError: The section is wrong.
        DataError: The images do not fit it, or each other.
    """
    if data.get("sar") is None:
        return None
    wanted = Stretch.from_dict(data["sar"])
    listing = SimpleNamespace(prefix="", fraction=get_split_fraction(fraction, "train"))
    found = measure(BaseDataset.get_img_files(listing, data["train"]), wanted)
    if RANK in {-1, 0}:
        what = f", measured on {found.pixels} pixels of {found.images} training images" if found.images else ""
        LOGGER.info(f"SAR input: {found.stretch.describe()}{what}.")
    return found.stretch.to_dict()


def val_section(stored: dict[str, Any] | None, data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the ``sar:`` section to validate weights with, or to resume their training: theirs.

    Args:
        stored: Section of the weights.
        data: Checked data YAML.

    Raises:
        DataError: The data says otherwise, or needs a stretch that the weights do not have.
    """
    if stored is not None:
        check_same(stored, data.get("sar"))
        return stored
    if data.get("sar") is None:
        return None
    wanted = Stretch.from_dict(data["sar"])
    if not wanted.as_is:
        raise DataError(
            "the data has a sar: section with a stretch and the weights have none (they were trained on 8-bit "
            "pictures); train on this data first."
        )
    return wanted.to_dict()


def check_same(stored: dict[str, Any], section: Any) -> None:
    """Make sure that the ``sar:`` section of data says what the weights were trained on.

    Raises:
        DataError: Another quantity, units or sample type.
    """
    if section is None:
        return
    ours, theirs = Stretch.from_dict(stored), Stretch.from_dict(section)
    for key in ("quantity", "units", "dtype"):
        a, b = getattr(ours, key), getattr(theirs, key)
        if b is not None and not same_type(a, b):
            raise DataError(
                f"the data has sar: {key}: {b}, the weights were trained on {key}: {a}; mend the data YAML, or train "
                "on this data first."
            )

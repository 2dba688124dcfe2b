"""Where masks of objects come from when no file has them: superpixels, or Segment Anything through Ultralytics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from rsdet.data.pictures import PictureReader, to_picture
from rsdet.data.sar import SarReader
from rsdet.data.semi.object_masks import ObjectChoice, read_object_masks, write_object_masks
from rsdet.data.semi.regions import LARGEST, SMALLEST
from rsdet.errors import ConfigError, DataError, MissingDependencyError, install, nearest

Masks = tuple[list[np.ndarray], list[float]]  # each (H, W) bool, and how sure it is
MaskSource = Callable[[np.ndarray], Masks]


def superpixels() -> MaskSource:
    """Felzenszwalb's regions of an object's size, which nobody judges: all have the score 1.

    Raises:
        MissingDependencyError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as e:
        raise MissingDependencyError(f"source=superpixel needs scikit-image; {install('segment')}") from e

    def find(picture: np.ndarray) -> Masks:
        least = round(SMALLEST * picture.shape[0] * picture.shape[1])
        numbers = felzenszwalb(picture, scale=100, sigma=0.8, min_size=max(least, 1))
        shares = np.bincount(numbers.ravel()) / numbers.size
        masks = [numbers == i for i in np.flatnonzero((shares >= SMALLEST) & (shares <= LARGEST))]
        return masks, [1.0] * len(masks)

    return find


def segment_anything(weights: str | Path, fast: bool = False) -> MaskSource:
    """All that SAM or FastSAM finds; the scores are theirs.

    Args:
        weights: A file of weights, or a name that Ultralytics downloads, such as ``sam_b.pt`` or ``FastSAM-s.pt``.
        fast: FastSAM.
    """
    from ultralytics import SAM, FastSAM

    model = (FastSAM if fast else SAM)(str(weights))

    def find(picture: np.ndarray) -> Masks:
        result = model(picture, verbose=False)[0]
        if result.masks is None:
            return [], []
        masks = result.masks.data.cpu().numpy().astype(bool)
        return list(masks), result.boxes.conf.cpu().numpy().clip(0, 1).tolist()

    return find


SOURCES: dict[str, Callable[[str | Path | None], MaskSource]] = {
    "superpixel": lambda weights: superpixels(),
    "sam": lambda weights: segment_anything(weights or "sam_b.pt"),
    "fastsam": lambda weights: segment_anything(weights or "FastSAM-s.pt", fast=True),
}


def make_object_masks(
    pictures: Sequence[Path],
    folder: Path,
    source: str = "superpixel",
    weights: str | Path | None = None,
    reader: PictureReader | SarReader | None = None,
) -> Iterator[tuple[Path, int]]:
    """Find objects in pictures and write a JSON for each; pictures that have one are left alone.

    Args:
        pictures: Picture files.
        folder: Where ``<name of the picture>.json`` is written.
        source: ``superpixel``, ``sam`` or ``fastsam``.
        weights: Of SAM or FastSAM.
        reader: Of the model that will learn; None reads ordinary pictures in colour.

    Yields:
        The file of every picture as soon as it is there, and the number of objects found; -1 where it was there.

    Raises:
        ConfigError: No such source, or two pictures of one name.
        DataError: A picture cannot be read.
    """
    if source not in SOURCES:
        raise ConfigError(
            f"source={source!r} received; expected one of {', '.join(SOURCES)}.{nearest(source, SOURCES)}"
        )
    targets, reader = mask_files(pictures, folder), reader or PictureReader(3)
    find: MaskSource | None = None
    for picture, target in targets.items():
        if target.exists():
            yield target, -1
            continue
        find = find or SOURCES[source](weights)
        masks, scores = find(to_picture(picture, reader))
        write_object_masks(target, masks, scores)
        yield target, len(masks)


def mask_files(pictures: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """The file of masks of every picture.

    Raises:
        ConfigError: Two pictures of one name.
    """
    by_name: dict[str, Path] = {}
    for picture in pictures:
        if (other := by_name.setdefault(picture.stem, picture)) != picture:
            raise ConfigError(f"{other} and {picture} have one name, so one file of masks; give two folders")
    return {picture: folder / f"{stem}.json" for stem, picture in by_name.items()}


def check_pastable(pictures: Sequence[Path], folder: Path, choice: ObjectChoice) -> int:
    """How many pictures have no file of masks.

    Raises:
        ConfigError: Two pictures of one name.
        DataError: None has one, or none of the objects in them is good enough to be pasted.
    """
    files = list(mask_files(pictures, folder).values())
    there = [f for f in files if f.is_file()]
    if not there:
        raise DataError(
            f"masks={folder} has no file of any of the {len(files)} pictures, such as {files[0].name}; make them with "
            "rsdet masks data=..., or check the folder."
        )
    if not any(e["predicted_iou"] >= choice.min_score for f in there for e in read_object_masks(f)[:1]):
        raise DataError(
            f"masks={folder}: no object has a score of {choice.min_score:g}, from which on it is pasted; of FastSAM, "
            "whose scores are lower, say so with mask_source=fastsam."
        )
    return len(files) - len(there)

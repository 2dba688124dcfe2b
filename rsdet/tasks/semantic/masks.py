"""``rsdet masks``: masks of objects beside the pictures of a data set, for methods that paste objects."""

from __future__ import annotations

from pathlib import Path

from rsdet.data.resolve import split_files
from rsdet.data.semi.mask_sources import make_object_masks
from rsdet.modes.mode import say


def masks(data: str | Path, out: str | Path = "masks", source: str = "superpixel", weights: str | None = None) -> Path:
    """Find objects in the training pictures of a data set; a second call goes on where the first was stopped.

    Args:
        data: Data YAML, or the name of a shipped data set.
        out: Folder for one JSON a picture, to be given as ``masks=``.
        source: Who finds them: ``superpixel`` (scikit-image), ``sam`` or ``fastsam`` (Ultralytics, whose weights are
            downloaded).
        weights: File of SAM or FastSAM weights instead.

    Returns:
        The folder.
    """
    files, _ = split_files(data, "train", 10**9, "semantic")
    found = [n for _, n in make_object_masks(files, Path(out), source, weights)]
    say(
        f"{sum(max(n, 0) for n in found)} objects in {sum(n >= 0 for n in found)} pictures, {found.count(-1)} were done"
    )
    say(f"Masks saved to {out}")
    return Path(out)

"""Pairs that prove and time an exported file: the user's, those it was validated on, or rendered ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.data.dates import DatePair
from rsdet.data.download import find_stored
from rsdet.errors import DataError, RSDetError
from rsdet.runtime.geometry import PAD
from rsdet.tasks.change.data import read_change_data
from rsdet.tasks.change.looking import Looking
from rsdet.tasks.change.outputs import change_map
from rsdet.tasks.change.reading import PairReader
from rsdet.tasks.change.source import find_pairs
from rsdet.tasks.change.visual import compared
from rsdet.tasks.semantic.classmap import class_names
from rsdet.tasks.semantic.scenes import Mapper, overlap_px

N_PAIRS = 6
_LIGHT = 1.15  # of the later date of a rendered pair


def sample_pairs(model: Any, size: tuple[int, int], images: Sequence[Any] | None) -> list[np.ndarray]:
    """Pairs (H, W, 2 * bands) uint8.

    Args:
        model: The :class:`rsdet.RSDet`; its training arguments name a data set.
        size: Height and width of the input in pixels.
        images: Folders that hold both dates of one or more places, two paths each, or arrays; None for pairs of the
            validation split where they are on this disk, else rendered ones.

    Raises:
        DataError: One given cannot be read.
    """
    spec = model.model.yaml if hasattr(model.model, "yaml") else {}
    reader = PairReader.of({**spec, "channels": model.channels or 6})
    if images is not None and len(images):
        return [stack for x in images for stack in _given(x, reader)]
    stored = find_stored(((getattr(model, "ckpt", None) or {}).get("train_args") or {}).get("data"))
    try:
        pairs = [] if stored is None else read_change_data(stored, ("val",)).splits["val"]
        found = [cut(reader(p), size) for p in pairs[:: -(-len(pairs) // N_PAIRS) or 1]]
    except RSDetError:
        found = []  # they have changed since, and others will do
    return found or [rendered_pair(seed, size, reader.bands) for seed in range(N_PAIRS)]


def rendered_pair(seed: int, size: tuple[int, int], bands: int) -> np.ndarray:
    """A scene, and the same in other light with a part of another one in it."""
    from rsdet.data.scenes import render_scene

    side = max(*size, 96)
    before, other = (render_scene(s, side).image[: size[0], : size[1]] for s in (seed, seed + 1000))
    after = (before * _LIGHT).clip(0, 255).astype(np.uint8)
    part = slice(size[0] // 4, size[0] // 2), slice(size[1] // 4, size[1] // 2)
    after[part] = other[part]
    dates = before, after
    if bands != 3:
        dates = tuple(np.repeat(x.mean(2, keepdims=True).astype(np.uint8), bands, 2) for x in dates)
    return np.ascontiguousarray(np.concatenate(dates, 2))


def cut(stack: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The upper left corner of a pair in the size of an input; gray where the pair is smaller."""
    out = np.full((*size, stack.shape[2]), PAD, np.uint8)
    part = stack[: size[0], : size[1]]
    out[: part.shape[0], : part.shape[1]] = part
    return out


def _given(what: Any, reader: PairReader) -> list[np.ndarray]:
    if isinstance(what, np.ndarray):
        return [reader.checked(what, "the array")]
    if isinstance(what, (tuple, list)) and len(what) == 2:
        return [reader(DatePair(Path(what[0]), Path(what[1])))]
    if isinstance(what, (str, Path)):
        return [reader(pair) for pair in find_pairs(what).pairs]
    raise DataError(f"a pair must be a folder, two paths or an array, received {type(what).__name__}.")


# -- benchmark --------------------------------------------------------------------------------------------------------


def pair_folders(data: Path, folder: Path, most: int) -> list[Path]:
    """Folders that hold both dates of one place each, for pairs spread over the validation split."""
    pairs, made = read_change_data(data, ("val",)).splits["val"], []
    for i, pair in enumerate(pairs[:: -(-len(pairs) // most) or 1]):
        for date, file in (("t1", pair.before), ("t2", pair.after)):
            place = folder / f"pair{i}" / date
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place / f"{pair.before.stem}{file.suffix}")
        made.append(folder / f"pair{i}")
    return made


def read_folder(folder: Path, spec: Mapping[str, Any]) -> np.ndarray:
    """The pair of a folder that holds both dates.

    Raises:
        DataError: It holds none, or more than one.
    """
    pairs = find_pairs(folder).pairs
    if len(pairs) > 1:
        raise DataError(
            f"{folder} holds {len(pairs)} pairs; pass a folder for each by images=, or all of them by data=."
        )
    return PairReader.of(spec)(pairs[0])


def compared_files(
    run: Callable[[np.ndarray], Any], folders: Sequence[Path], spec: Mapping[str, Any], size: tuple[int, int]
) -> list[np.ndarray]:
    """Decode pairs and compare their dates in tiles; (H, W) uint8 of 0 and 1 for each.

    Args:
        run: (B, 2 * bands, H, W) float32 to logits (B, 1, H, W).
        folders: One for each place of the batch that the network takes at once.
        spec: What the model says of itself.
        size: Height and width of the input in pixels.
    """
    names, batch = class_names(spec.get("names") or {0: "changed"}), len(folders)

    def logits(x: np.ndarray) -> np.ndarray:
        return np.asarray(run(np.repeat(x, batch, 0)))[:1] if batch > 1 else np.asarray(run(x))

    side = min(size)
    mapper, looking = Mapper(logits, None, names, 1, size), Looking(side, overlap_px(None, side))
    return [
        change_map(looking.probability(mapper, read_folder(f, spec)), names, looking.threshold, size).classes
        for f in folders
    ]


def drawn(model: Any, folder: Path, spec: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """Both dates of a folder with what a model finds, (H, W, 3) uint8 in BGR."""
    stack = read_folder(folder, spec)
    if spec.get("untrained"):
        return compared(stack, np.zeros(stack.shape[:2], np.uint8))[..., ::-1]
    (result,) = model.predict(folder, imgsz=min(size), save=False, verbose=False)
    return compared(stack, result.map.classes)[..., ::-1]

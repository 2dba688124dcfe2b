"""What looks at the tiles of a scene: a model of any task and backend as one function, with what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rsdet.data.pictures import PictureReader
    from rsdet.data.sar.picture import SarReader
    from rsdet.runtime.results import Detections

_GRAY = 114  # what networks see around pictures that do not fill their input


@dataclass(frozen=True)
class TilePredictor:
    """A model that finds objects in pictures that are in memory.

    Attributes:
        run: Pictures (h, w, C) uint8 of one size, BGR where they have three channels, to what is found in each, in
            pixels of the picture.
        reader: How values of files become pictures.
        names: Class number -> name.
        identity: Everything that decides what is found: weights, thresholds, input size. Equal ones find the same.
        model: Its name, for people.
        task: Its task.
        backend: What runs it, for people.
        input_hw: Height and width of the network's input in pixels.
        stride: What these are multiples of.
        batch: Pictures at a time.
        bands: Bands of the files, counted from 1; None for all.
        gsd: Metres a pixel that it was trained with; None where nobody said.
        family: Its family.
        again: What :func:`opened_again` makes the same one of in another process: ``model`` (its file or name),
            ``settings`` and ``given`` (what it was opened with), ``gpu`` (whether one is of use); None for what is only
            in memory.
        max_det: Objects of a picture that it gives at most.
    """

    run: Callable[[Sequence[np.ndarray]], list[Detections]]
    reader: PictureReader | SarReader
    names: dict[int, str]
    identity: dict[str, Any]
    model: str
    task: str
    backend: str
    input_hw: tuple[int, int]
    stride: int
    batch: int
    bands: Sequence[int] | None = None
    gsd: float | None = None
    family: str = ""
    again: Mapping[str, Any] | None = None
    max_det: int | None = None

    def look(self, pictures: Sequence[np.ndarray], tile_px: int) -> list[Detections]:
        """What is found in tiles of one size.

        Those that do not fill the network's input lie on gray: the network would enlarge them, and undo ``scales=`` and
        ``gsd=``, or stretch them. An object whose centre lies on the gray is none; others may reach onto it.

        Args:
            pictures: As ``run`` takes them.
            tile_px: Side of the tiles of larger scenes.
        """
        if not pictures:
            return []
        height, width, channels = pictures[0].shape
        side = max(height, width, min(-(-tile_px // self.stride) * self.stride, *self.input_hw))
        small = max(height, width) < side or (self.family == "rtdetr" and height != width)
        if pictures[0].dtype != np.uint8 or not small:  # amplitudes are never resized
            return self.run(pictures)
        full = np.full((len(pictures), side, side, channels), _GRAY, np.uint8)
        full[:, :height, :width] = pictures
        ends = 2 * np.array([width, height])
        return [
            found.where((found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:] < ends).all(1))
            for found in self.run(list(full))
        ]


def opened_again(again: Mapping[str, Any], tile_px: int) -> TilePredictor:
    """Open a model as another process did; whether it is the same one, ``identity`` says.

    Args:
        again: What that process says of it.
        tile_px: Side of the tiles.
    """
    from rsdet.runtime import light

    name, given = again["model"], again["given"]
    found = light.tiles({"model": name, **given}, tile_px)
    if found is None:
        from rsdet.loadedmodel import opened

        model = opened(name, **again["settings"])
        found = import_module(model.definition.tiles).open_tiles(model, given, tile_px)
    return found

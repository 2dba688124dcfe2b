"""What a prediction writes of changes: the map, the probability, both dates with what was found, and areas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rsdet.data.dates import DatePair
from rsdet.errors import ConfigError
from rsdet.metrics.confusion import IGNORE
from rsdet.scenes.class_rasters import CLASSES
from rsdet.scenes.polygons import write_polygons
from rsdet.tasks.change.swipe import SWIPE, write_swipe
from rsdet.tasks.change.visual import compared
from rsdet.tasks.semantic.classmap import ClassMap, pixels_of
from rsdet.tasks.semantic.outputs import MapOutputs
from rsdet.tasks.semantic.polygons import POLYGONS, PolygonSettings, picture_polygons
from rsdet.tasks.semantic.visual import write_index
from rsdet.writing import write_picture

PROBABILITY = "probability"
THRESHOLD = 0.5


@dataclass
class ChangeResult:
    """What was found in a pair of pictures.

    Attributes:
        pair: The files.
        probability: (H, W) float32, that something has changed.
        map: Class numbers: 0 unchanged, called background, and 1 changed.
        speed: Milliseconds of the parts.
        save_path: The map as a file; None where nothing is saved.
    """

    pair: DatePair
    probability: np.ndarray
    map: ClassMap
    speed: dict[str, float]
    save_path: Path | None = None

    @property
    def path(self) -> str:
        """The earlier picture."""
        return str(self.pair.before)

    @property
    def changed(self) -> np.ndarray:
        """(H, W) bool."""
        return self.map.classes == 1

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.map.size_hw

    def __len__(self) -> int:
        """Number of changed regions: connected pixels, corners included."""
        return cv2.connectedComponents(self.changed.astype(np.uint8), connectivity=8)[0] - 1

    @property
    def places(self) -> str:
        """How many regions have changed, in words."""
        return f"{len(self)} place{'s' * (len(self) != 1)}"


def change_map(probability: np.ndarray, names: dict[int, str], threshold: float, input_hw: tuple[int, int]) -> ClassMap:
    """The map of a probability (H, W), whose confidence is that of what it says."""
    changed = probability >= threshold
    confidence = np.where(changed, probability, 1 - probability)
    return ClassMap(changed.astype(np.uint8), confidence, names, input_hw)


class ChangeOutputs(MapOutputs):
    """Writes into the folder of a run: ``classes/``, ``probability/``, pictures and, at its end, ``areas.csv``.

    Args:
        polygons: Which polygons are written into ``polygons/``.
        swipe: Write pages with a slider between the dates into ``swipe/``; None for those of rasters alone.

    Raises:
        ConfigError: A value out of its range.
    """

    def __init__(self, polygons: PolygonSettings | None = None, swipe: bool | None = None):
        super().__init__(polygons)
        self.swipe = swipe
        if not isinstance(swipe, (bool, type(None))):
            raise ConfigError(f"swipe={swipe} must be True or False.")

    def write_pair(self, folder: Path, result: ChangeResult, stack: np.ndarray) -> Path:
        """Write the map of a pair, and note its areas; returns the path of the map.

        Args:
            folder: Of the run.
            result: What was found.
            stack: (H, W, 2 * bands) uint8, both dates.
        """
        found, stem = result.map, self.stem(result.pair.before)
        path = write_index(folder / CLASSES / f"{stem}.png", found.classes)
        gray = np.rint(255 * result.probability).astype(np.uint8)
        write_picture(folder / PROBABILITY / f"{stem}.png", gray)
        shown = compared(stack, found.classes)
        write_picture(folder / f"{stem}.jpg", shown[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        if self.swipe:
            tags, share = (result.pair.before.name, result.pair.after.name), 100 * float(result.changed.mean())
            said = f"{stack.shape[1]} x {stack.shape[0]} pixels, {share:.2f} % changed in {result.places}."
            write_swipe(folder / SWIPE / f"{stem}.html", stack, found.classes, " and ".join(tags), tags, said)
        if self.polygons.wanted:
            write_polygons(folder / POLYGONS, stem, picture_polygons(found), found.names)
        self.add_areas(result.pair.before, pixels_of(np.where(found.classes == IGNORE, 0, found.classes)), found.names)
        return path

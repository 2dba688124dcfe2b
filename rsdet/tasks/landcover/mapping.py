"""A class for every pixel of a cube, with the one tiler: in the memory of some rows, into GeoTIFFs in the same place.

What the tiler hands to the model are places of pixels, not pixels: around each, the model gets a patch of the scene
itself, mirrored at the border of the scene. No tile has a border of its own, and a map is the same whatever its tiles.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet._version import __version__
from rsdet.data.cubes.cube import CubeFile
from rsdet.data.cubes.grids import check_same_grid
from rsdet.data.geotiff import BLOCK_PX, geo_of
from rsdet.data.tiling import Tile, tiled
from rsdet.errors import DataError
from rsdet.progress import Line, Tiles
from rsdet.quiet import say
from rsdet.scenes.class_rasters import CLASSES, PERCENT, write_class_rasters
from rsdet.scenes.dense import Form, write_dense
from rsdet.scenes.ground import PixelAreas
from rsdet.scenes.parts import Parts
from rsdet.tasks.landcover.classifier import PatchClassifier
from rsdet.tasks.landcover.patches import margins, patches_at
from rsdet.tasks.landcover.visual import picture_of, shown_bands, write_map_picture

ROWS = 64  # that are mapped at a time


@dataclass
class LandCoverMap:
    """The map of a cube.

    Attributes:
        path: The cube.
        classes: (H, W) uint8 class numbers from 1, 0 where there are no data.
        names: Class number from 0 to name.
        area_m2: (classes + 1,) area of each on the ground in square metres; None where that is not known.
        save_path: GeoTIFF of the classes; None where nothing was saved.
        speed: Milliseconds of the parts.
        gsd: Metres a pixel; None where that is not known.
    """

    path: str
    classes: np.ndarray
    names: Mapping[int, str]
    area_m2: np.ndarray | None = None
    save_path: Path | None = None
    speed: dict[str, float] = field(default_factory=dict)
    gsd: float | None = None

    def __len__(self) -> int:
        return int(np.count_nonzero(self.pixels[1:]))

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.classes.shape
        return height, width

    @property
    def pixels(self) -> np.ndarray:
        """(classes + 1,) pixels of each class, those without data first."""
        return np.bincount(self.classes.ravel(), minlength=len(self.names) + 1)

    def rate(self) -> str:
        """Pixels and, where their size is known, square kilometres a second, in words."""
        per_s = self.classes.size / max(self.speed["inference"] / 1e3, 1e-9)
        area = "" if self.gsd is None else f", {per_s * self.gsd**2 / 1e6:.3g} km2/s"
        return f"{per_s:.0f} px/s{area}"


class OpenScene:
    """A cube and its LiDAR, open, as a model looks at them.

    Args:
        classifier: The model.
        cube: The cube.
        lidar: Rasters of LiDAR; none for the cube alone.

    Raises:
        DataError: Bands or rasters that the model does not take, or another grid.
    """

    def __init__(self, classifier: PatchClassifier, cube: CubeFile, lidar: Sequence[CubeFile] = ()):
        self.classifier, self.cube, self.lidar = classifier, cube, list(lidar)
        places, count = list(classifier.scene.get("bands", range(classifier.bands))), cube.shape[2]
        whole = classifier.scene.get("of")
        if count == len(places) and count != whole:
            say(f"{cube.path} has {count} bands of {whole}, as many as the model takes; they are taken to be those.")
            places = list(range(count))
        elif count != whole and whole is not None:
            raise DataError(
                f"{cube.path} has {count} bands, the cube of the training had {whole}, of which {len(places)} were "
                "taken; pass a cube of the same sensor."
            )
        if max(places) >= count:
            raise DataError(f"{cube.path} has {count} bands, the model takes {len(places)}; pass a cube of its sensor.")
        self.places = places
        rasters = sum(r.shape[2] for r in self.lidar)
        if rasters != classifier.rasters and (rasters or not classifier.does_without):
            raise DataError(
                f"{cube.path}: the model takes {classifier.rasters} rasters of LiDAR, received {rasters}; "
                f"{'pass them as lidar=' if classifier.rasters else 'leave lidar= out'}."
            )
        for raster in self.lidar:
            check_same_grid(cube, raster)
        self.fill = classifier.fill[: len(places) + rasters]

    def rows(self, top: int, bottom: int) -> np.ndarray:
        """(bottom - top, W, bands + rasters) float32, NaN where there are no data."""
        parts = [self.cube.read(rows=slice(top, bottom), bands=self.places)]
        parts += [raster.read(rows=slice(top, bottom)) for raster in self.lidar]
        return np.concatenate(parts, 2) if self.lidar else parts[0]

    def probabilities(self, tile: np.ndarray) -> np.ndarray:
        """(h, W, classes) of the places (h, W, 2) of whole rows; NaN where the cube has no data."""
        patch, height = self.classifier.patch, self.cube.shape[0]
        before, behind = margins(patch)
        top, count = int(tile[0, 0, 0]), len(tile)
        wanted = np.arange(top - before, top + count + behind) % (2 * height)
        wanted = np.where(wanted < height, wanted, 2 * height - 1 - wanted)  # mirrored at the border of the scene
        first = int(wanted.min())
        values = self.rows(first, int(wanted.max()) + 1)[wanted - first]
        missing = np.isnan(values[before : before + count, :, : len(self.places)]).any(2)
        scene = np.pad(values, ((0, 0), (before, behind), (0, 0)), "symmetric")
        np.copyto(scene, self.fill, where=np.isnan(scene))
        out = np.full((count * tile.shape[1], len(self.classifier.names)), np.nan, np.float32)
        at = np.flatnonzero(~missing)
        for i in range(0, len(at), self.classifier.at_once):
            some = at[i : i + self.classifier.at_once]
            out[some] = _softmax(self.classifier(patches_at(scene, patch, *np.divmod(some, tile.shape[1]))))
        return out.reshape(count, tile.shape[1], -1)

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB of three of its bands."""
        nm = self.cube.wavelengths_nm
        shown = shown_bands(None if nm is None else nm[self.places], len(self.places))
        return picture_of(self.cube.read(bands=[self.places[k] for k in shown]))


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _places(tile: Tile) -> np.ndarray:
    """(h, w, 2) row and column of each pixel; whole numbers up to 2^53."""
    grid = np.mgrid[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
    return np.moveaxis(grid, 0, -1).astype(np.float64)


def map_cube(scene: OpenScene, rows: int = ROWS) -> np.ndarray:
    """(H, W, classes) probabilities of a scene in memory, NaN where it has no data."""
    height, width = scene.cube.size_hw
    places = _places(Tile(0, 0, height, width))
    return tiled(scene.probabilities, places, (rows, width)).astype(np.float32)


def map_into(
    scene: OpenScene, folder: Path, stem: str, *, probabilities: bool, facts: Mapping[str, Any], line: Line
) -> LandCoverMap:
    """Map a scene into ``classes/<stem>.tif`` and its companions; one that was stopped goes on.

    Args:
        scene: The scene.
        folder: Of the run.
        stem: Name of the results.
        probabilities: Write those of all classes, too.
        facts: What else decides the outcome.
        line: What says how far it is.

    Raises:
        DataError: A part of it cannot be read; what is done is kept.
        WriteError: The disk is full; what is done is kept.
    """
    began = time.perf_counter()
    out, (height, width) = folder / CLASSES / f"{stem}.tif", scene.cube.size_hw
    names, geo = scene.classifier.names, _geo(scene.cube)
    palette = np.array(scene.classifier.scene["palette"], np.uint8)
    form = Form(2 + probabilities * len(names), "float32" if probabilities else "uint8", geo)

    def encode(band: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        valid = ~np.isnan(band[..., 0])
        samples = np.zeros((*band.shape[:2], form.bands), form.dtype)
        known = np.nan_to_num(band)
        samples[..., 0] = known.argmax(2) + 1
        samples[..., 1] = np.rint(PERCENT * known.max(2))
        samples[..., 2:] = known[..., : form.bands - 2]
        return samples, valid

    def join(parts: Parts, size_hw: tuple[int, int], form: Form) -> None:
        colours = {k: (*rgb, 255 * (k > 0)) for k, rgb in enumerate(palette.tolist())}
        numbered = {k + 1: name for k, name in names.items()}
        write_class_rasters(parts, size_hw, form, out, numbered, colours, bands=list(names.values()))

    decides = {**facts, "model": scene.classifier.key, "rows": ROWS, "rsdet": __version__}
    write_dense(
        scene.probabilities, _places, encode, (height, width), out, form, tile=(ROWS, width), overlap=0, facts=decides,
        progress=Tiles(line), join=join,
    )  # fmt: skip
    spent = (time.perf_counter() - began) * 1e3
    with _opened(out) as f:
        classes = f.read(1)
    write_map_picture(folder / f"{stem}.jpg", scene.picture(), classes, names, palette)
    return LandCoverMap(
        str(scene.cube.path), classes, names, _areas(scene.cube, classes, len(names)), out, {"inference": spent}
    )


def _opened(path: Path) -> Any:
    import rasterio  # its files were written by it a moment ago

    return rasterio.open(path)


def _geo(cube: CubeFile) -> dict[str, Any]:
    """Place of a cube, as writers of GeoTIFFs take it; 0 is no class."""
    geo = geo_of(0)
    if cube.georef is None or not cube.georef.placed:
        return geo
    from affine import Affine
    from rasterio.crs import CRS

    crs = CRS.from_wkt(cube.georef.crs_wkt) if cube.georef.crs_wkt else None
    return {**geo, "crs": crs, "transform": Affine(*cube.georef.transform)}


def _areas(cube: CubeFile, classes: np.ndarray, count: int) -> np.ndarray | None:
    """Square metres of each class on the ground, block of rows by block of rows."""
    if cube.georef is None or not cube.georef.placed:
        return None
    side, total = PixelAreas(cube.georef), np.zeros(count + 1)
    for top in range(0, len(classes), BLOCK_PX):
        some = classes[top : top + BLOCK_PX]
        total += np.bincount(some.ravel(), side.rows(top, top + len(some)).ravel(), count + 1)
    return total if np.isfinite(total).all() else None

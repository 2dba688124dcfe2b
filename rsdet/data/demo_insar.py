"""Writes the embedded data set `data=demo-insar` to disk: simulated InSAR velocity maps with masks, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from rsdet.writing import write_picture

from .decoding import has_rasterio
from .geotiff import geo_of, write_tiff
from .insar_scenes import NAMES, render_insar_scene
from .insar_scenes.scene import PIXEL_M
from .rendered import MAX_SPLIT, SEEDS_PER_SET, Rendered, check_counts, check_drawable, make_rendered, write_data_yaml
from .sar_scenes.scene import check_size

VERSION = 1  # raise when the simulator changes what it draws, so that folders made before are made anew
EPSG = 32647  # UTM zone 47 north, where the maps are said to lie: eastern Tibet
CORNER_M = (500_000.0, 3_200_000.0)  # of the first map
PER_ROW = 8  # maps of a row, of each split
GAP_PX = 8
SAR = {"quantity": "velocity", "stretch": {"v_max": 100.0}}


def make_demo_insar(
    root: Path | str,
    n_train: int = 200,
    n_val: int = 60,
    size: int = 256,
    seed: int = 0,
    progress: bool = True,
    task: str = "semantic",
) -> Path:
    """Render the InSAR demonstration data set into a folder, or reuse what lies there when it is the same.

    `images` holds velocities along the line of sight in mm/y, positive towards the radar, `coherence` values of 0 to 1
    and `slope` degrees: GeoTIFF of one float32 band, NaN where there is no velocity; without a place on Earth where
    rasterio is not installed. `masks` are PNG: 1 where the ground visibly moves, 0 where not, 255 without velocity.

    Args:
        root: Folder of the data set. It is created; one that holds something else is not touched.
        n_train: Training maps, 1 to 500000.
        n_val: Validation maps, 1 to 500000; their seeds are never those of training maps.
        size: Side of the square maps in pixels of 20 m, 64 to 4096.
        seed: Number of the data set, 0 or more; different numbers share no map.
        progress: Show a progress bar while rendering.
        task: What the labels are for: `semantic`.

    Returns:
        Path of the data YAML, to be given as `data=`.

    Raises:
        ConfigError: The size cannot be rendered, or no labels for this task.
        DataError: The folder holds other files, or a number is out of its range.
    """
    check_drawable("demo-insar", task, ("semantic",))
    check_counts(n_train, n_val, seed)
    check_size(size)
    root = Path(root).expanduser().resolve()
    placed = has_rasterio()
    recipe = {
        "kind": "demo-insar", "version": VERSION, "n_train": n_train, "n_val": n_val, "size": size, "seed": seed,
        "placed": placed,
    }  # fmt: skip

    def draw(scene_seed: int, image: Path) -> None:
        scene = render_insar_scene(scene_seed, size)
        geo = _place(scene_seed, size) if placed else None
        bands = {"images": scene.velocity, "coherence": scene.coherence, "slope": scene.ground.slope_deg}
        for folder, band in bands.items():
            _write_band(_beside(image, folder), band, geo)
        write_picture(_beside(image, "masks").with_suffix(".png"), scene.mask)

    beside = (("masks", ".png"), ("coherence", ".tif"), ("slope", ".tif"))
    make_rendered(root, recipe, Rendered("demo-insar", ".tif", draw, beside=beside), progress)
    data = {
        "task": task, "path": str(root), "train": "images/train", "val": "images/val", "masks_dir": "masks",
        "channels": 1, "names": NAMES, "sar": SAR,
    }  # fmt: skip
    head = "# Made by rsdet: simulated InSAR maps for showing and testing. Nothing follows from them for real ground.\n"
    return write_data_yaml(root / "demo-insar.yaml", data, head)


def _beside(image: Path, folder: str) -> Path:
    """The file that belongs to an image, in the folder of the same split."""
    return image.parents[2] / folder / image.parent.name / image.name


def _write_band(path: Path, band: np.ndarray, geo: dict[str, Any] | None) -> None:
    if geo is None:
        write_picture(path, band)
    else:
        write_tiff(path, band[..., None], None, None, geo)


def _place(scene_seed: int, size: int) -> dict[str, Any]:
    """Every map at a place of its own with a gap around it, those of training in the west."""
    from affine import Affine

    validation, number = divmod(scene_seed % SEEDS_PER_SET, MAX_SPLIT)
    row, column = divmod(number, PER_ROW)
    step = (size + GAP_PX) * PIXEL_M
    east, north = CORNER_M[0] + (column + validation * PER_ROW) * step, CORNER_M[1] - row * step
    return geo_of(np.nan) | {"crs": f"EPSG:{EPSG}", "transform": Affine(PIXEL_M, 0, east, 0, -PIXEL_M, north)}

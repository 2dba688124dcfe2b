"""What a run has made of one scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rsdet.scenes.found import Found
from rsdet.scenes.georef import Georef
from rsdet.scenes.reader import SceneInfo
from rsdet.writing import with_ending


@dataclass(frozen=True, repr=False)
class SceneResult:
    """Objects of one scene, merged, and the files that hold them.

    Attributes:
        info: The scene.
        found: Its objects, best first, in pixels of the scene.
        names: Class number -> name.
        georef: Where the scene lies on Earth.
        files: What was written.
        tiles: Tiles of the plan; ``looked_at`` of them had data, ``unread`` could not be read, and why.
        cut: Objects that the edge of a tile cuts, and the overlap in pixels that would do.
        full: Tiles that hold as many objects as ``max_det`` allows.
        spent_s: Seconds of the whole, of the network, and that it waited for tiles.
    """

    info: SceneInfo
    found: Found
    names: dict[int, str]
    georef: Georef
    files: Sequence[Path]
    tiles: int
    looked_at: int
    unread: dict[int, str]
    cut: tuple[int, int]
    full: int = 0
    spent_s: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        height, width = self.info.size_hw
        files = [path.name for path in self.files]
        return f"SceneResult({self.path!r}, {len(self)} objects, {width}x{height} px, files={files})"

    @property
    def path(self) -> str:
        """File of the scene."""
        return str(self.info.path)

    @property
    def centres_map(self) -> np.ndarray:
        """(N, 2) centres of the boxes in the CRS of the scene; in pixels where it has none."""
        boxes = self.found.boxes_xyxy
        centres_px = (boxes[:, :2] + boxes[:, 2:]) / 2
        return self.georef.to_map(centres_px) if self.georef.placed else np.asarray(centres_px, np.float64)

    def to_layers(self, folder: str | Path, layers: Sequence[str], stem: str | None = None) -> list[Path]:
        """Write the objects as layers, whatever the run has written.

        Args:
            folder: Where they shall lie; it is made.
            layers: Of ``gpkg``, ``geojson``, ``parquet``, ``coco`` and ``csv``; the first three of scenes on a map.
            stem: Their name before the suffix; that of the scene where None.

        Returns:
            The files, a style for QGIS among them.

        Raises:
            ConfigError: A layer that there is not, or one of a map, of a scene without a place.
            WriteError: They cannot be written.
        """
        from rsdet.scenes.layers import write_layers  # wants shapely, which a result can do without

        folder = Path(folder).expanduser()
        name = Path(self.path).stem if stem is None else stem
        return write_layers(folder, name, self.found, self.names, self.georef, self.info, layers)

    def to_geojson(self, path: str | Path) -> Path:
        """Write the objects as GeoJSON, in longitudes and latitudes; see :meth:`to_layers`."""
        path = with_ending(Path(path).expanduser(), ".geojson")
        return self.to_layers(path.parent, ("geojson",), path.stem)[0]

    def summary(self) -> dict[str, Any]:
        """What is worth keeping of the run, as plain values."""
        counts = np.bincount(self.found.classes, minlength=0) if len(self) else []
        return {
            "scene": Path(self.path).name,
            "size_px": [self.info.size_hw[1], self.info.size_hw[0]],
            "objects": len(self),
            "classes": {self.names.get(i, str(i)): int(n) for i, n in enumerate(counts) if n},
            "tiles": self.tiles,
            "tiles_looked_at": self.looked_at,
            "tiles_unread": [{"tile": n, "why": why} for n, why in self.unread.items()],
            "tiles_at_max_det": self.full,
            "cut_objects": self.cut[0],
            "overlap_that_would_do_px": self.cut[1],
        }

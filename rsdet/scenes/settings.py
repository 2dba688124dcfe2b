"""What ``predict`` takes about scenes: keys, defaults, and which values make no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, nearest

MERGING = ("nms", "nmm", "soft-nms", "wbf")
LAYERS = ("gpkg", "geojson", "parquet", "coco", "csv")
ENGINES = ("local", "ray")


@dataclass(frozen=True, kw_only=True)
class SceneSettings:
    """Keys of ``predict`` that cut a scene into tiles and write what is found as layers of a map.

    Args:
        tile: Side of the tiles in pixels of the model's input; a scene is read by windows, never the whole.
        overlap: What neighbouring tiles share: below 1 a fraction of the tile, from 1 on pixels. The largest object
            should fit into it.
        scales: Several resolutions in one run: 0.5 looks at the scene with half as many pixels along each side.
        aoi: GeoJSON, GeoPackage or Shapefile of polygons, in any CRS, outside which nothing is looked for.
        gsd: Metres a pixel that the model expects, instead of what its weights say; False reads the scene as it is.
        scene_gsd: Metres a pixel of a scene whose file does not say it.
        stretch: Values of the scene that become black and white, one pair for all bands or a list of pairs; measured
            once on the scene where it has not 8 bits and the model does not know.
        merging: How objects that two tiles or scales have seen become one: nms, nmm, soft-nms or wbf.
        merging_iou: Overlap of two boxes from which they are the same object.
        layers: What is written: gpkg, geojson, parquet, coco, csv; gpkg where the scene lies on Earth, else coco and
            csv.
        quicklook: Write a small picture of the scene with what was found.
        crops: Objects on the contact sheet, half the strongest and half the weakest; 0 for none.
        stac: Write a STAC item of the result beside the layers.
        engine: local, or ray for a pool of workers of Ray.
        workers: Workers of the engine ray.
        plan: Write the windows to this JSON lines file and stop.
        job: Do a share of the windows, such as 3/100; needs the same settings as the plan.
        merge: Folder of a run whose jobs are done: join their parts and write the layers.
    """

    tile: int | None = None
    overlap: float = 0.2
    scales: float | Sequence[float] = 1.0
    aoi: str | None = None
    gsd: float | bool | None = None
    scene_gsd: float | None = None
    stretch: Sequence[Any] | None = None
    merging: str = "nms"
    merging_iou: float = 0.5
    layers: str | Sequence[str] | None = None
    quicklook: bool = True
    crops: int = 24
    stac: bool = False
    engine: str = "local"
    workers: int = 2
    plan: str | None = None
    job: str | None = None
    merge: str | None = None

    def __post_init__(self) -> None:
        for key in ("scales", "layers"):
            value = getattr(self, key)
            if isinstance(value, str):
                object.__setattr__(self, key, tuple(filter(None, value.replace(" ", "").split(","))))
            elif value is not None and not isinstance(value, Sequence):
                object.__setattr__(self, key, (value,))
            if value is not None and not getattr(self, key):
                raise ConfigError(f"{key}={value} names nothing; leave it out for what is usual.")
        for key in ("aoi", "plan", "merge"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"{key}={value} must be a path.")
        _check_tile(self)
        for key, allowed in (("merging", MERGING), ("engine", ENGINES)):
            _one_of(key, getattr(self, key), allowed)
        for layer in self.layers or ():  # type: ignore[union-attr]
            _one_of("layers", layer, LAYERS)
        if not all(_positive(s) and 1 / 64 <= s <= 64 for s in self.scales):  # type: ignore[union-attr]
            raise ConfigError(f"scales={self.scales} must be numbers from 1/64 to 64; e.g. scales=1,0.5.")
        for key in ("gsd", "scene_gsd"):
            value = getattr(self, key)
            if value is not None and not (_positive(value) or (key == "gsd" and value is False)):
                raise ConfigError(f"{key}={value} must be metres a pixel, above 0; e.g. {key}=0.3.")
        if not (_positive(self.merging_iou) and self.merging_iou < 1):
            raise ConfigError(f"merging_iou={self.merging_iou} must lie between 0 and 1; e.g. merging_iou=0.5.")
        for key, low in (("crops", 0), ("workers", 1)):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"{key}={value} must be a whole number of {low} or more.")
        for key in ("quicklook", "stac"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"{key}={getattr(self, key)} must be True or False.")
        if self.job is not None:
            share(self.job)

    @property
    def overlap_px(self) -> int:
        """Pixels that neighbouring tiles share at least."""
        return round(self.overlap * (self.tile or 0)) if self.overlap < 1 else int(self.overlap)


def share(job: Any) -> tuple[int, int]:
    """Number of a job, from 1, and of all jobs.

    Raises:
        ConfigError: No such pair.
    """
    parts = str(job).split("/")
    if len(parts) != 2 or not all(p.isdecimal() for p in parts) or not 1 <= int(parts[0]) <= int(parts[1]):
        raise ConfigError(f"job={job} must be one job of all, counted from 1; e.g. job=3/100.")
    return int(parts[0]), int(parts[1])


def _check_tile(s: SceneSettings) -> None:
    tile = s.tile
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, int) or tile < 1):
        raise ConfigError(f"tile={tile} must be a whole number of pixels; e.g. tile=640.")
    good = not isinstance(s.overlap, bool) and isinstance(s.overlap, (int, float)) and isfinite(s.overlap)
    if not good or s.overlap < 0 or (s.overlap >= 1 and s.overlap != int(s.overlap)):
        raise ConfigError(
            f"overlap={s.overlap} must be a fraction below 1, or whole pixels; e.g. overlap=0.2 or overlap=128."
        )
    if tile is not None and s.overlap_px >= tile:
        raise ConfigError(f"overlap={s.overlap} is no smaller than tile={tile}; e.g. overlap=0.2.")


def _positive(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, (int, float)) and isfinite(value) and value > 0


def _one_of(key: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{key}={value!r} must be one of {', '.join(allowed)}.{nearest(str(value), allowed)}")


OF_PICTURES = (
    "augment", "embed", "visualize", "show", "save_txt", "save_crop", "save_json", "save_coco", "save_enhanced",
)  # fmt: skip
KEYS = frozenset(f.name for f in fields(SceneSettings))
"""All keys about scenes; of these, enhancers and restoration take ``tile`` and ``overlap`` elsewhere, too."""


def asked(given: Mapping[str, Any]) -> bool:
    """Whether arguments of ``predict`` say anything about scenes."""
    return any(given.get(key) is not None for key in KEYS)


def take(given: Mapping[str, Any]) -> tuple[SceneSettings, dict[str, Any]]:
    """Split arguments into what is about scenes and the rest.

    Raises:
        ConfigError: A value that makes no sense, no tile, or an argument that is about whole pictures.
    """
    if given.get("tile") is None:
        key = next(k for k in given if k in KEYS and given[k] is not None)
        moved = f"; for the enhancer say enhance_{key}=" if key == "overlap" and given.get("enhance") else ""
        raise ConfigError(
            f"{key}= is about scenes, which are cut into tiles, and there is no tile=, e.g. tile=640{moved}."
        )
    if wrong := [k for k in OF_PICTURES if given.get(k)]:
        raise ConfigError(f"{wrong[0]}= is for whole pictures and tile= cuts scenes; leave one of them out.")
    mine = {k: _built_in(v) for k, v in given.items() if k in KEYS and v is not None}
    return SceneSettings(**mine), {k: v for k, v in given.items() if k not in KEYS}


def _built_in(value: Any) -> Any:
    """Paths as text, and what NumPy and PyTorch have as numbers and lists."""
    return str(value) if isinstance(value, Path) else value.tolist() if hasattr(value, "tolist") else value

"""Reading scenes: what the rest of the room uses."""

from rsdet.scenes.info import SceneInfo
from rsdet.scenes.raster import Raster, open_raster
from rsdet.scenes.values import Values
from rsdet.scenes.view import View

__all__ = ["Raster", "SceneInfo", "Values", "View", "open_raster"]

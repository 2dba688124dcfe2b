"""Aerial scenes drawn by the package itself: annotated, deterministic by seed, with no file to download.

They show that an installation works and give tests something to learn from. They are no measure of accuracy on real
imagery and are never used as one.
"""

from .layouts import STYLES
from .objects import NAMES
from .scene import COVER, Scene, render_scene, render_with_ids

__all__ = ["COVER", "NAMES", "STYLES", "Scene", "render_scene", "render_with_ids"]

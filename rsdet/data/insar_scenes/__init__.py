"""Simulated InSAR velocity maps: mountains, slopes that creep, what a radar sees of it, and where it sees nothing."""

from __future__ import annotations

from rsdet.data.insar_scenes.scene import InsarScene, render_insar_scene

__all__ = ["NAMES", "InsarScene", "render_insar_scene"]

NAMES = {0: "deformation"}

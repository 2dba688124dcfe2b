"""Degradations: from a clear picture to the input of a network, made while training.

A degradation is named in the ``degrade:`` section of a data YAML (``{name: haze, t: [0.35, 0.65]}``) and built here.
One file each; a file holds one class that derives from :class:`Degradation`.
"""

from __future__ import annotations

from rsdet.data.degrade.base import Degradation, build_degradation, names

__all__ = ["Degradation", "build_degradation", "names"]

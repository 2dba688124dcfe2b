"""SAR scenes simulated by the package itself: annotated, deterministic by seed, with no file to download.

They show that an installation works and give tests something to learn from. They are no measure of accuracy on real
imagery and are never used as one.
"""

from .clutter import gamma_speckle, gamma_texture, k_clutter
from .radar import Radar
from .scene import SarScene, render_sar_scene

NAMES = {0: "ship"}

__all__ = ["NAMES", "Radar", "SarScene", "gamma_speckle", "gamma_texture", "k_clutter", "render_sar_scene"]

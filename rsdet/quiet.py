"""What Ultralytics would do on the network without being asked: switched off in our processes.

Cheap to import (no torch): ``rsdet/__init__.py`` calls :func:`before_ultralytics` first thing, and
:func:`after_ultralytics` runs as soon as ``ultralytics.utils`` has been imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_ASKED_OFFLINE = "YOLO_OFFLINE" in os.environ


def before_ultralytics() -> None:
    """Set the switches that Ultralytics reads while it is being imported.

    Run-time pip and unrestricted unpickling are off unless the user has set the variables. The look-up of a name
    server that decides whether telemetry may be sent is skipped by declaring the import, and only it, offline.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
    if not _ASKED_OFFLINE and "ultralytics.utils" not in sys.modules:
        os.environ["YOLO_OFFLINE"] = "true"


def after_ultralytics() -> None:
    """Finish what the variables cannot say; safe to call twice, and when Ultralytics was imported before rsdet."""
    if not _ASKED_OFFLINE:
        os.environ.pop("YOLO_OFFLINE", None)  # downloads that the user asks for must work
    import ultralytics.utils as utils

    # Modules that copied the constants at import time, too. Those not imported yet will copy the values set here.
    copies = [sys.modules.get(f"ultralytics.utils.{name}") for name in ("checks", "events", "callbacks.comet")]
    may_install = utils.env_bool("YOLO_AUTOINSTALL", False)  # only when the user said so
    for module in [utils, *copies]:
        for flag, value in (("ONLINE", False), ("AUTOINSTALL", may_install)):
            if hasattr(module, flag):
                setattr(module, flag, value)
    events = getattr(sys.modules.get("ultralytics.utils.events"), "events", None)
    if events is not None:
        events.enabled = False


def local_font(font: str = "Arial.ttf") -> Path:
    """A font that matplotlib ships, in place of the one that Ultralytics would download for its plots."""
    import matplotlib

    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


def no_font_download() -> None:
    """Let every module that draws text use the font at hand."""
    for name in ("utils.checks", "utils.plotting", "data.utils"):
        module = sys.modules.get(f"ultralytics.{name}")
        if hasattr(module, "check_font"):
            module.check_font = local_font

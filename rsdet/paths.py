"""Where the shipped YAML files lie: the same answer from a wheel, an editable install and a checkout."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def _room(name: str) -> Path:
    # A wheel carries the folders inside the package (see pyproject.toml); a checkout has them beside it.
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def cfg_dir() -> Path:
    """Folder of the defaults and the model YAMLs."""
    return _room("cfg")


def datasets_dir() -> Path:
    """Folder of the dataset YAMLs."""
    return _room("datasets")


def assets_dir() -> Path:
    """Folder of the small files that belong to the demo."""
    return PACKAGE / "assets"


def weights_dir() -> Path:
    """Folder of the weights that ship, each beside its card (:mod:`rsdet.zoo`)."""
    return assets_dir() / "weights"


def home() -> Path:
    """Folder for what rsdet makes or fetches for the user: ``$RSDET_HOME``, else ``~/.cache/rsdet``."""
    said = os.environ.get("RSDET_HOME")  # set to nothing, it is not set: the working directory is nobody's cache
    return Path(said or "~/.cache/rsdet").expanduser()

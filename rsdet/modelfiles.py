"""What kind of model a name stands for, before anything is loaded; messages for names that stand for none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsdet.errors import ConfigError, nearest

PLAIN_SUFFIX = ".safetensors"


def is_official_asset(name: str) -> bool:
    """Whether it is the name of weights that Ultralytics offers for download."""
    from ultralytics.utils.downloads import GITHUB_ASSETS_NAMES

    return Path(name).parent == Path(".") and Path(name).name in GITHUB_ASSETS_NAMES


def is_artifact(name: str) -> bool:
    """Whether the name is that of an exported file."""
    from ultralytics.engine.exporter import export_formats

    known = tuple(s for s in export_formats()["Suffix"] if s)
    return Path(name).name.endswith((*known, ".xml"))


def family_of_head(model: Any) -> str:
    """Family of a network that does not say it."""
    return "rtdetr" if "RTDETR" in type(model.model[-1]).__name__ else "yolo"


def check_head(head: Any, family: str, cfg: str) -> None:
    """Make sure that a network of a family ends in a head of that family.

    Raises:
        ConfigError: It does not.
    """
    from ultralytics.nn.modules import Detect, RTDETRDecoder

    wrong = {"rtdetr": Detect, "yolo": RTDETRDecoder}[family]
    if isinstance(head, wrong) or not hasattr(head, "nc"):
        ends = {"rtdetr": "RTDETRDecoder", "yolo": "Detect"}[family]
        raise ConfigError(f"{cfg}: the last row is {type(head).__name__}; family {family} must end in {ends} or alike.")


def suggest(name: str) -> str:
    """A hint with the nearest names of shipped models and of files beside it, or an empty string."""
    from rsdet.modelyaml import list_models

    here = [p.name for p in Path(name).parent.glob("*") if p.suffix in {".pt", ".onnx", PLAIN_SUFFIX}]
    return nearest(Path(name).name, [*list_models(), *here])

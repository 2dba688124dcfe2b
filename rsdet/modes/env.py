"""``rsdet env``: what stands in a report of a bug."""

from __future__ import annotations

import json
from typing import Any

from rsdet.arguments import fit
from rsdet.modes.mode import Mode, say

# Packages by which an extra is known to be there; a test compares them with pyproject.toml.
EXTRAS = {
    "attention": ("timm",),
    "energy": ("nvidia-ml-py",),
    "geo": ("rasterio", "pyogrio", "shapely", "pyproj"),
    "hub": ("huggingface-hub",),
    "int8": ("openvino", "nncf"),
    "openvino": ("openvino",),
    "parquet": ("geopandas", "pyarrow"),
    "quality": ("torchmetrics",),
    "ray": ("ray",),
    "schedule": ("gymnasium", "stable-baselines3"),
    "segment": ("segmentation-models-pytorch", "timm", "scikit-image"),
    "stac": ("stac-model",),
    "tensorrt": ("tensorrt",),
}


def environment() -> dict[str, Any]:
    """Versions, devices, extras and settings, without names of the user's folders beyond those of the settings."""
    import os

    import torch
    from ultralytics.utils import SETTINGS

    from rsdet.data.resolve import datasets_root
    from rsdet.deploy.hardware import describe, version
    from rsdet.paths import PACKAGE, home

    extras = {}
    for name, packages in EXTRAS.items():
        lacking = [p for p in packages if version(p) is None]
        have = [f"{p} {version(p)}" for p in packages if p not in lacking]
        extras[name] = ", ".join(have) if not lacking else f"no ({', '.join(lacking)})"
    set_here = ("RSDET_", "YOLO_", "ULTRALYTICS_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE")
    return {
        "machine": describe("cuda:0" if torch.cuda.is_available() else "cpu"),
        "extras": extras,
        "folders": {"package": str(PACKAGE), "home": str(home()), "data sets": str(datasets_root())},
        "settings of Ultralytics": {k: v for k, v in sorted(SETTINGS.items()) if k in {"sync", "hub"} or v is True},
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(set_here) and "TOKEN" not in k},
    }


def print_environment(json: bool = False) -> None:
    """Print versions, devices, extras and settings.

    Args:
        json: As JSON.
    """
    found = environment()
    say(_json(found) if json else "\n".join(_lines(found)))


def _json(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, default=str)


def _lines(found: dict[str, Any]) -> list[str]:
    lines = []
    for title, rows in found.items():
        lines += [f"{title}:", *(f"  {k:<20} {'none' if v is None else v}" for k, v in rows.items())]
    return lines


def _run(args: dict[str, Any]) -> None:
    print_environment(**fit(print_environment, args, "env"))


MODE = Mode(
    "say what is installed and set, for reports of bugs",
    _run,
    examples=("env", "env json=True"),
    functions=lambda: (print_environment,),
)

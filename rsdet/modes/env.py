"""``rsdet env``: what stands in a report of a bug."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from importlib import metadata
from typing import Any

from rsdet.modes.mode import function_mode, say

OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")


def extras() -> dict[str, list[str]]:
    """Packages of each extra of rsdet, by what its installation says; none where it runs from a folder."""
    try:
        lines = metadata.requires("rsdet") or []
    except metadata.PackageNotFoundError:
        lines = []
    found: dict[str, list[str]] = {}
    for line in lines:
        package, name = re.match(r"[\w.-]+", line), re.search(r"extra == .([\w-]+)", line)
        if package and name and package[0] != "rsdet":
            found.setdefault(name[1], []).append(package[0])
    return found


def opencv() -> dict[str, str]:
    """Wheels of OpenCV that are installed, and whose files are imported: all of them write the same folder ``cv2``."""
    wheels = {}
    for name in OPENCV:
        with contextlib.suppress(metadata.PackageNotFoundError):
            wheels[name] = metadata.distribution(name)
    said = {}
    for name, wheel in wheels.items():
        library = next((f for f in wheel.files or () if re.fullmatch(r"cv2[\w.-]*\.(so|pyd)", f.name)), None)
        theirs = library is not None and library.hash is not None and _sha256(library.locate()) == library.hash.value
        whose = "imported" if theirs else "overwritten by another"
        said[name] = wheel.version if len(wheels) == 1 else f"{wheel.version}, {whose}"
    if len({wheel.version for wheel in wheels.values()}) > 1:
        said["different versions"] = (
            f"in one folder; pip uninstall {' '.join(wheels)}, then pip install one of them, without dependencies"
        )
    return said or {"none": "no wheel of OpenCV is installed"}


def _sha256(path: Any) -> str | None:
    """As RECORD of a wheel has it."""
    try:
        with open(path, "rb") as file:
            found = hashlib.sha256()
            while block := file.read(1 << 20):
                found.update(block)
    except OSError:
        return None
    return base64.urlsafe_b64encode(found.digest()).rstrip(b"=").decode()


def environment() -> dict[str, Any]:
    """Versions, devices, extras and settings, without names of the user's folders beyond those of the settings."""
    import os

    from rsdet.deploy.hardware import describe, software, version
    from rsdet.paths import PACKAGE, home

    there = {}
    for name, packages in extras().items():
        lacking = [p for p in packages if version(p) is None]
        there[name] = f"no ({', '.join(lacking)})" if lacking else ", ".join(f"{p} {version(p)}" for p in packages)
    set_here = ("RSDET_", "YOLO_", "ULTRALYTICS_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE")
    secret = re.compile("TOKEN|KEY|SECRET|PASS")
    folders = {"package": str(PACKAGE), "home": str(home())}
    if version("torch") and version("ultralytics"):
        import torch
        from ultralytics.utils import SETTINGS

        from rsdet.data.resolve import datasets_root

        machine = describe("cuda:0" if torch.cuda.is_available() else "cpu")
        folders["data sets"] = str(datasets_root())
        settings = {k: v for k, v in sorted(SETTINGS.items()) if k in {"sync", "hub"} or v is True}
    else:  # where exported files run
        machine, settings = software(), {}
    return {
        "machine": machine,
        "opencv": opencv(),
        "extras": there or {"not known": "rsdet is not installed, it runs from a folder"},
        "folders": folders,
        "settings of Ultralytics": settings,
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(set_here) and not secret.search(k)},
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


MODE = function_mode("env", f"{__name__}:print_environment", "say what is installed and set, for reports of bugs")

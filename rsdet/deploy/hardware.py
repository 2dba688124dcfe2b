"""What a measurement was made on: stored beside every number, without anything that names a person or a machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

from rsdet._version import __version__
from rsdet.errors import ConfigError
from rsdet.paths import PACKAGE

_PACKAGES = (
    "torch",
    "torchvision",
    "ultralytics",
    "onnx",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "numpy",
    "opencv-python",
)


def describe(device: str = "cpu", threads: int | None = None) -> dict[str, Any]:
    """Describe processor, accelerator, software and commit.

    Args:
        device: The device that was measured; its GPU is described when there is one.
        threads: Threads that the measured backends were told to use; PyTorch's setting when None.

    Returns:
        Plain values for a JSON file. What cannot be known is None. No host name, user name or path is included.
    """
    import psutil
    import torch

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cpu": cpu_model(),
        "cpu_cores_physical": psutil.cpu_count(logical=False),
        "cpu_cores_logical": psutil.cpu_count(),
        "cpu_cores_usable": usable_cores(),
        "cpu_governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cpu_load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "threads": threads or torch.get_num_threads(),
        "ram_gib": round(psutil.virtual_memory().total / 2**30, 1),
        **_gpu(device),
        **software(),
    }


def software() -> dict[str, Any]:
    """The system, Python, packages and commit; needs none of the packages."""
    return {
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "rsdet": __version__,
        **{name: version(name) for name in _PACKAGES},
        **_commit(),
    }


def slug(device: str = "cpu", precision: str = "fp32", threads: int | None = None) -> str:
    """Return a file-name stem that tells results of different set-ups apart, such as ``xeon-2c-torch2.15-fp32``.

    Args:
        device: The device that was measured.
        precision: Arithmetic, such as ``"fp32"``.
        threads: Threads used; all usable cores when None.
    """
    import torch

    torch_version = ".".join((version("torch") or "0.0").split("+")[0].split(".")[:2])
    if device != "cpu" and torch.cuda.is_available():
        machine = _short(torch.cuda.get_device_name(torch.device(device)))
    else:
        machine = f"{_short(cpu_model())}-{threads or usable_cores()}c"
    return f"{machine}-torch{torch_version}-{precision}"


def torch_device(device: str | int | None) -> str:
    """Return PyTorch's name of a device given as Ultralytics takes it: ``None`` and ``"cpu"``, ``0`` or ``"cuda:0"``.

    Raises:
        ConfigError: A GPU is asked for and PyTorch sees none.
    """
    import torch

    name = str(device if device is not None else "cpu")
    name = f"cuda:{name}" if name.isdigit() else name
    if name != "cpu" and not (name.startswith("cuda") and torch.cuda.is_available()):
        raise ConfigError(
            f"device={device} is not available here; expected cpu or the number of a CUDA GPU; use device=cpu"
        )
    return name


def cpu_model() -> str:
    """Return the processor's name as the system gives it, or its architecture where it gives none."""
    info = _read("/proc/cpuinfo") or ""
    found = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of logical cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def version(package: str) -> str | None:
    """Return the installed version of a distribution, None when it is not installed. Imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git_commit() -> str | None:
    """Return the commit of the checkout that rsdet runs from, with ``+changes`` when files differ from it."""
    return _commit()["git_commit"]


def _short(name: str) -> str:
    # "Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.0GHz" -> "xeon-platinum-8480"
    name = re.sub(r"@.*|\((r|tm|c)\)|\b\d+-core\b", " ", name.lower())
    name = re.sub(r"\b(intel|amd|nvidia|geforce|cpu|processor|with|graphics|radeon)\b", " ", name)
    return re.sub(r"[^a-z0-9.]+", "-", name).strip("-") or "unknown"


def _gpu(device: str) -> dict[str, Any]:
    import torch

    none = {"gpu": None, "gpu_driver": None, "cuda": None}
    if device == "cpu" or not torch.cuda.is_available():
        return none
    return {
        "gpu": torch.cuda.get_device_name(torch.device(device)),
        "gpu_driver": _driver(),
        "cuda": torch.version.cuda,
    }


def _driver() -> str | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        found = pynvml.nvmlSystemGetDriverVersion()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None  # such as a Jetson's integrated GPU, which the library does not know
    return found.decode() if isinstance(found, bytes) else found


def _commit() -> dict[str, str | None]:
    """Commit of rsdet's own checkout; nothing for an installed wheel, even inside someone else's repository."""
    root = PACKAGE.parent
    if not (root / ".git").exists() or not (root / "pyproject.toml").exists():
        return {"git_commit": None}
    try:
        sha, changes = (
            subprocess.run(
                ["git", "--no-optional-locks", *args], cwd=root, capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for args in (["rev-parse", "--verify", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return {"git_commit": None}  # no git here, or no commit yet
    return {"git_commit": sha + ("+changes" if changes else "")}


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None

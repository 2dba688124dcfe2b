"""What is needed to build or run an engine, and one line that says what is missing and how to get it."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from rsdet.deploy.trt import optable as table
from rsdet.errors import ExportError, MissingDependencyError

JETPACK = "on JetPack 6: sudo apt install tensorrt python3-libnvinfer, in a venv made with --system-site-packages"
DESKTOP = "on a desktop: pip install 'tensorrt-cu12>=10.3,<11'"


def require_tensorrt() -> Any:
    """Return the module ``tensorrt``.

    Raises:
        MissingDependencyError: It is not installed, or there is no NVIDIA GPU that PyTorch sees.
        ExportError: This version is known to give wrong results here.
    """
    try:
        import tensorrt
    except ImportError as e:
        raise MissingDependencyError(
            f"TensorRT is not installed (no Python module tensorrt); {JETPACK}; {DESKTOP}"
        ) from e
    import torch

    if not torch.cuda.is_available():
        built = "built without CUDA" if torch.version.cuda is None else "without access to a GPU"
        raise MissingDependencyError(
            f"no NVIDIA GPU can be used (PyTorch {torch.__version__} is {built}); an engine is built and run on the "
            f"GPU itself; on JetPack 6: install NVIDIA's PyTorch wheel for Jetson; on a desktop: install the driver "
            f"and a CUDA build of PyTorch"
        )
    _refuse_known_bad(tensorrt.__version__)
    return tensorrt


def built_on(device: str | int | None = 0) -> dict[str, Any]:
    """Describe what an engine is bound to.

    Args:
        device: CUDA device.

    Returns:
        ``gpu``, ``compute_capability``, ``tensorrt``, ``cuda``, ``driver`` and ``jetpack`` (the release line of a
        Jetson's system, else None); what cannot be known is None.
    """
    import torch

    found: dict[str, Any] = dict.fromkeys(("gpu", "compute_capability", "tensorrt", "cuda", "driver", "jetpack"))
    try:
        import tensorrt
    except ImportError:
        pass  # None says it
    else:
        found["tensorrt"] = tensorrt.__version__
    if torch.cuda.is_available():
        index = _index(device)
        major, minor = torch.cuda.get_device_capability(index)
        found.update(
            gpu=torch.cuda.get_device_name(index), compute_capability=f"{major}.{minor}", cuda=torch.version.cuda
        )
    found["driver"] = _driver()
    found["jetpack"] = _first_line(Path("/etc/nv_tegra_release"))
    return found


def available_mb() -> float | None:
    """Memory that a build may use now, in MB; on a Jetson that is what processor and GPU have together."""
    import psutil
    import torch

    free = psutil.virtual_memory().available / 1e6
    if Path("/etc/nv_tegra_release").exists():
        return free
    return torch.cuda.mem_get_info()[0] / 1e6 if torch.cuda.is_available() else None


def cuda_name(device: str | int | None) -> str:
    """Name of a CUDA device given as Ultralytics takes it; the first one for None and ``"cpu"``."""
    return f"cuda:{_index(device)}"


def _refuse_known_bad(version: str) -> None:
    if table.parse(version) < (8, 6):
        raise ExportError(
            f"TensorRT {version} takes no LayerNormalization; expected 8.6 or later; install JetPack 6 or later, on a "
            "desktop pip install 'tensorrt-cu12>=10.3,<11'"
        )
    bad = next((why for v, why in table.KNOWN_BAD.items() if version.startswith(v)), None)
    if bad:
        raise ExportError(f"TensorRT {version} gives wrong results ({bad}); expected another one; use 10.3")
    import torch

    capability = torch.cuda.get_device_capability()
    if platform.machine() == "aarch64" and capability >= (10, 1) and table.parse(version) < table.ARM_BLACKWELL_MIN:
        raise ExportError(
            f"TensorRT {version} puts boxes in wrong places on this GPU (compute capability {capability[0]}."
            f"{capability[1]}, ultralytics issue 22873); expected 10.15 or later; pip install 'tensorrt>=10.15,<11'"
        )


def _driver() -> str | None:
    text = _first_line(Path("/proc/driver/nvidia/version")) or ""
    found = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    return found.group(1) if found else None


def _first_line(path: Path) -> str | None:
    try:
        return (path.read_text(encoding="utf-8").splitlines() or [""])[0].strip() or None
    except OSError:
        return None


def _index(device: str | int | None) -> int:
    digits = re.findall(r"\d+", str(device if device is not None else ""))
    return int(digits[0]) if digits else 0

"""NVIDIA's management library, opened only where it can answer: energy, clocks, temperature, throttling of one GPU.

``pynvml`` (the package nvidia-ml-py) is optional. Each reading is a number or None, since boards differ in what they
answer: a Jetson's integrated GPU has no energy counter, a rented GPU may hide its clocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

# Bits of nvmlClocksEventReasons that mean "slower than it could be". Left out: idle (0x1), clocks set by the user
# (0x2), sync boost (0x10) and display clocks (0x100), which are settings.
SLOWDOWNS = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
}


class Gpu:
    """One GPU as NVML sees it. Use :func:`open_gpu`; :meth:`close` when done."""

    def __init__(self, nvml: Any, handle: Any):
        self._nvml, self._handle = nvml, handle
        name = self._ask(lambda: nvml.nvmlDeviceGetName(handle))
        self.name = name.decode() if isinstance(name, bytes) else str(name or "GPU")

    def energy_j(self) -> float | None:
        """Energy since the driver was loaded, in joules."""
        mj = self._ask(lambda: self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        return None if mj is None else mj / 1e3

    def clock_mhz(self) -> float | None:
        """Clock of the streaming multiprocessors."""
        return self._ask(lambda: self._nvml.nvmlDeviceGetClockInfo(self._handle, self._nvml.NVML_CLOCK_SM))

    def max_clock_mhz(self) -> float | None:
        """Highest clock of the streaming multiprocessors."""
        return self._ask(lambda: self._nvml.nvmlDeviceGetMaxClockInfo(self._handle, self._nvml.NVML_CLOCK_SM))

    def memory_clock_mhz(self) -> float | None:
        """Clock of the memory."""
        return self._ask(lambda: self._nvml.nvmlDeviceGetClockInfo(self._handle, self._nvml.NVML_CLOCK_MEM))

    def temperature_c(self) -> float | None:
        """Temperature of the GPU in degrees Celsius."""
        return self._ask(lambda: self._nvml.nvmlDeviceGetTemperature(self._handle, self._nvml.NVML_TEMPERATURE_GPU))

    def power_w(self) -> float | None:
        """Power drawn by the board."""
        mw = self._ask(lambda: self._nvml.nvmlDeviceGetPowerUsage(self._handle))
        return None if mw is None else mw / 1e3

    def slowdowns(self) -> list[str] | None:
        """Reasons why the clocks are held down at this moment; None where the GPU does not say."""
        # Renamed from "throttle" to "event" reasons in 2023; each package has at least one of them.
        ask = getattr(self._nvml, "nvmlDeviceGetCurrentClocksEventReasons", None) or getattr(
            self._nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None
        )
        bits = self._ask(lambda: ask(self._handle)) if ask else None
        return None if bits is None else [words for bit, words in SLOWDOWNS.items() if bits & bit]

    def close(self) -> None:
        """Let go of the library."""
        self._ask(self._nvml.nvmlShutdown)

    def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except self._nvml.NVMLError:
            return None  # not supported on this GPU, or not permitted


def open_gpu(device: str, nvml: Any = None) -> tuple[Gpu | None, str]:
    """Open the GPU that PyTorch calls ``device``.

    Args:
        device: ``"cuda:0"`` and so on.
        nvml: The module to ask instead of ``pynvml``.

    Returns:
        The GPU, or None, and then the reason in words.
    """
    if nvml is None:
        try:
            import pynvml as nvml
        except ImportError:
            return None, "the package nvidia-ml-py is not installed"
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as e:
        return None, f"NVML cannot be opened ({e})"
    try:
        return Gpu(nvml, _handle(nvml, device)), ""
    except (nvml.NVMLError, ValueError) as e:
        nvml.nvmlShutdown()
        return None, f"NVML does not know {device} ({e})"


def _handle(nvml: Any, device: str) -> Any:
    """NVML counts all GPUs of the machine, PyTorch those it may see: go by UUID, else by CUDA_VISIBLE_DEVICES."""
    index = int(device.partition(":")[2] or 0)
    uuid = _uuid(index)
    if uuid:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    visible = [v.strip() for v in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if v.strip()]
    name = visible[index] if index < len(visible) else str(index)
    if not name.isdigit():
        return nvml.nvmlDeviceGetHandleByUUID(name)
    return nvml.nvmlDeviceGetHandleByIndex(int(name))


def _uuid(index: int) -> str | None:
    import torch

    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        return None
    uuid = getattr(torch.cuda.get_device_properties(index), "uuid", None)  # since PyTorch 2.5 or so
    return f"GPU-{uuid}" if uuid else None

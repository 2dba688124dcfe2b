"""Energy per image, where the machine can tell; where it cannot, the words say so and no zero stands in for them.

Three kinds of meter, and what each covers is part of the result, since a GPU board, a processor package and a module's
supply rail are not the same thing: NVML's energy counter, the INA3221 power monitors of a Jetson, and RAPL, the
energy counter of Intel and AMD processors. All of them count everything that runs on what they cover, and they include
what it draws when idle, so use an idle machine.

Energy is measured in a pass of its own: while artifacts take turns, a counter that moves every 100 ms cannot tell
whose energy it counts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsdet.deploy.memory import UNKNOWN
from rsdet.deploy.nvml import Gpu, open_gpu
from rsdet.errors import ConfigError

_INA_EVERY_S = 0.02  # the monitors of a Jetson average over some milliseconds; closer readings say nothing new
_TOTAL_RAILS = ("VDD_IN", "POM_5V_IN", "VIN")  # supply of the whole module, by board
# AGX Orin has no such rail; these three together are what goes into the module.
_PART_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")


class Meter:
    """Counts joules between entering and leaving ``with``.

    Attributes:
        name: The instrument.
        covers: What its figure includes.
        joules: The result after leaving; None when it could not be read.
        why_not: Why there is no result, in words.
    """

    name = ""

    def __init__(self, covers: str):
        self.covers = covers
        self.joules: float | None = None
        self.why_not = ""

    def __enter__(self) -> Meter:
        self.joules, self.why_not = None, ""
        self._start()
        return self

    def __exit__(self, *exc: object) -> None:
        joules = self._stop()
        if joules is not None and joules <= 0:
            self.why_not = f"the counter of {self.name} did not move; measure for longer"
        elif joules is None:
            self.why_not = self.why_not or f"{self.name} stopped answering"
        else:
            self.joules = joules

    def close(self) -> None:
        """Let go of the instrument."""

    def _start(self) -> None:
        raise NotImplementedError

    def _stop(self) -> float | None:
        raise NotImplementedError


class NvmlMeter(Meter):
    """Total energy of a GPU board; the counter has a step of 1 mJ and moves about every 20 to 100 ms."""

    name = "NVML total energy"

    def __init__(self, gpu: Gpu):
        super().__init__(f"GPU board ({gpu.name})")
        self._gpu = gpu

    def _start(self) -> None:
        self._first = self._gpu.energy_j()

    def _stop(self) -> float | None:
        last = self._gpu.energy_j()
        return None if last is None or self._first is None else last - self._first

    def close(self) -> None:
        """Let go of NVML."""
        self._gpu.close()


class RaplMeter(Meter):
    """Energy counters of the processor packages. They wrap around, which is put right once per measurement.

    A counter of 262 kJ takes some twenty minutes at 200 W to come round, longer than anything measured here.
    """

    name = "RAPL"

    def __init__(self, zones: list[Path]):
        self._zones = zones
        super().__init__("CPU package" if len(zones) == 1 else f"{len(zones)} CPU packages")

    def _start(self) -> None:
        self._first = self._read()

    def _stop(self) -> float | None:
        last = self._read()
        if last is None or self._first is None:
            return None
        total_uj = 0
        for zone, a, b in zip(self._zones, self._first, last, strict=True):
            if b < a:
                limit = read_number(zone / "max_energy_range_uj")
                if limit is None:
                    self.why_not = "the RAPL counter wrapped around at a value that it does not tell"
                    return None
                b += limit
            total_uj += b - a
        return total_uj / 1e6

    def _read(self) -> list[int] | None:
        found = [read_number(z / "energy_uj") for z in self._zones]
        return None if None in found else found


class Ina3221Meter(Meter):
    """Voltage times current of a Jetson's supply rails, sampled by a thread and integrated by the trapezoidal rule."""

    name = "INA3221"

    def __init__(self, rails: dict[str, tuple[Path, Path]], every_s: float = _INA_EVERY_S):
        super().__init__(" + ".join(rails) + (" (whole module)" if set(rails) & set(_TOTAL_RAILS) else ""))
        self._rails, self._every_s = rails, every_s

    def power_w(self) -> float | None:
        """Power of all rails at this moment; None when one cannot be read."""
        total = 0.0
        for volts, amperes in self._rails.values():
            mv, ma = read_number(volts), read_number(amperes)
            if mv is None or ma is None:
                return None
            total += mv * ma / 1e6
        return total

    def _start(self) -> None:
        self._samples: list[tuple[float, float | None]] = [self._sample()]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _stop(self) -> float | None:
        self._end.set()
        self._thread.join()
        self._samples.append(self._sample())
        if any(p is None for _, p in self._samples):
            return None
        pairs = zip(self._samples, self._samples[1:], strict=False)
        return sum((t1 - t0) * (p0 + p1) / 2 for (t0, p0), (t1, p1) in pairs)

    def _watch(self) -> None:
        while not self._end.wait(self._every_s):
            self._samples.append(self._sample())

    def _sample(self) -> tuple[float, float | None]:
        return time.perf_counter(), self.power_w()


def find_meter(device: str = "cpu", root: str | Path = "/", nvml: Any = None) -> tuple[Meter | None, str]:
    """Look for an energy meter.

    A GPU is measured by NVML; a Jetson, whichever part of it works, by its supply rails; a CPU by RAPL. A processor's
    counter is never taken for a GPU's energy.

    Args:
        device: ``"cpu"`` or ``"cuda:0"`` and so on.
        root: Where ``sys`` is.
        nvml: The module to ask instead of ``pynvml``.

    Returns:
        The meter, or None, and then the reason in words.
    """
    root, reasons = Path(root), []
    if device.startswith("cuda"):
        gpu, why = open_gpu(device, nvml)
        if gpu is not None:
            if gpu.energy_j() is not None:
                return NvmlMeter(gpu), ""
            gpu.close()
            why = f"{gpu.name} has no energy counter that may be read"
        reasons.append(why)
    rails = _ina_rails(root)
    if rails:
        meter = Ina3221Meter(rails)
        if meter.power_w() is not None:
            return meter, ""
        reasons.append(f"the INA3221 rails {', '.join(rails)} cannot be read")
    elif device.startswith("cuda"):
        reasons.append("no INA3221 power monitor")
    if not device.startswith("cuda"):
        zones, why = _rapl_zones(root)
        if zones:
            return RaplMeter(zones), ""
        reasons.append(why)
    return None, "; ".join(reasons)


@dataclass(frozen=True)
class Energy:
    """Energy of one artifact.

    Attributes:
        joules_per_image: None where it could not be measured.
        mean_w: Mean power while measuring.
        images: Images that were run.
        seconds: How long it took.
        meter: The instrument and what it covers.
        why_not: Why there is no figure.
    """

    joules_per_image: float | None = None
    mean_w: float | None = None
    images: int = 0
    seconds: float = 0.0
    meter: str = ""
    why_not: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return numbers, or words where there are none."""
        known = self.joules_per_image is not None
        return {
            "mj_per_image": round(1e3 * self.joules_per_image, 3) if known else UNKNOWN,
            "mean_w": round(self.mean_w, 2) if known else UNKNOWN,
            "images": self.images,
            "seconds": round(self.seconds, 2),
            "meter": self.meter,
            "why_not": self.why_not,
        }


def measure_energy(
    fn: Callable[[], Any],
    images: int,
    meter: Meter | None,
    *,
    why_not: str = "",
    min_s: float = 3.0,
    min_runs: int = 10,
    sync: Callable[[], Any] | None = None,
) -> Energy:
    """Run a callable for some seconds, back to back, with a meter on.

    Args:
        fn: What to run; warmed up already.
        images: Images that one run handles.
        meter: From :func:`find_meter`; without one nothing is run.
        why_not: What :func:`find_meter` said when it found none.
        min_s: Shortest time to run for, in seconds; counters need one or two to be worth reading.
        min_runs: Fewest runs.
        sync: Waits for the device.

    Raises:
        ConfigError: ``images`` is not positive.
    """
    if images < 1:
        raise ConfigError(f"images={images} per run; expected 1 or more; pass the batch size")
    if meter is None:
        return Energy(why_not=why_not or "no energy meter on this machine")
    wait = sync or (lambda: None)
    wait()
    runs, begin = 0, time.perf_counter()
    with meter:
        while runs < min_runs or time.perf_counter() - begin < min_s:
            fn()
            runs += 1
        wait()
        seconds = time.perf_counter() - begin
    name, done = f"{meter.name}: {meter.covers}", runs * images
    if meter.joules is None:
        return Energy(images=done, seconds=seconds, meter=name, why_not=meter.why_not)
    return Energy(meter.joules / done, meter.joules / seconds, done, seconds, name)


def _ina_rails(root: Path) -> dict[str, tuple[Path, Path]]:
    """Rails of interest: name to the files of voltage (mV) and current (mA)."""
    found = {}
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label")):
        number, name = label.name[2:].removesuffix("_label"), read_text(label)
        files = label.with_name(f"in{number}_input"), label.with_name(f"curr{number}_input")
        if name and all(f.exists() for f in files):  # the "sum of shunt voltages" has no current
            found[name] = files
    total = next((r for r in _TOTAL_RAILS if r in found), None)
    wanted = [total] if total else [r for r in _PART_RAILS if r in found]
    return {r: found[r] for r in wanted}


def _rapl_zones(root: Path) -> tuple[list[Path], str]:
    """Package zones; the subzones below them and ``psys`` count the same energy again."""
    zones = [
        z
        for z in sorted(root.glob("sys/class/powercap/intel-rapl:*"))
        if (read_text(z / "name") or "")[:7] == "package"
    ]
    if not zones:
        return [], "the processor shows no RAPL counter"
    if any(read_number(z / "energy_uj") is None for z in zones):
        return [], "the RAPL counter may only be read by root"
    return zones, ""


def read_text(path: Path) -> str | None:
    """Content of a small file of the kernel, None when it is missing or may not be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def read_number(path: Path) -> int | None:
    """Whole number in a small file of the kernel, None when there is none."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None

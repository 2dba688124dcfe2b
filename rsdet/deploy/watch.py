"""Clocks, temperature and throttling while something is measured: a slow machine should not pass for a slow model.

A thread looks about once a second at what the kernel and NVML show, a handful of small files; nothing is started and
nothing is set. ``throttled`` is "yes" only where something says so and "no" only where something that would know says
otherwise; a lower clock alone proves neither, since it also falls when there is little to do.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsdet.deploy.energy import read_number, read_text
from rsdet.deploy.nvml import open_gpu

_CORES = 16  # cores whose clock is looked at; asking hundreds of them would itself be work
# Cooling by slowing down, by the type that the kernel gives the cooling device; fans are none.
_SLOWING = re.compile(r"cpufreq|devfreq|processor|throttl|powerclamp|cpuidle", re.IGNORECASE)
_JETSON_GPU = re.compile(r"\.(gpu|g[pvab]\d+b)$")


class Watcher:
    """Looks at the machine from :meth:`start` to :meth:`stop`; also a context manager.

    Args:
        device: What is measured, ``"cpu"`` or ``"cuda:0"``.
        every_s: Time between looks, in seconds.
        root: Where ``sys``, ``etc`` and ``var`` are.
        nvml: The module to ask instead of ``pynvml``.

    Attributes:
        summary: The result after :meth:`stop`.
    """

    def __init__(self, device: str = "cpu", every_s: float = 1.0, root: str | Path = "/", nvml: Any = None):
        self.device, self.every_s, self.root = device, every_s, Path(root)
        self.summary: dict[str, Any] = {}
        self._nvml, self._gpu = nvml, None

    def __enter__(self) -> Watcher:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> Watcher:
        """Read the settings and begin to look."""
        cpu = self.root / "sys/devices/system/cpu"
        self._cores = _usable(sorted(cpu.glob("cpu[0-9]*/cpufreq")))[:_CORES]
        self._counters = [*cpu.glob("cpu*/thermal_throttle/*_throttle_count"), *self._over_current()]
        self._coolers = {
            c: read_text(c / "type") or c.name
            for c in sorted(self.root.glob("sys/class/thermal/cooling_device*"))
            if _SLOWING.search(read_text(c / "type") or "")
        }
        self._zones = _names(
            {z: read_text(z / "type") for z in sorted(self.root.glob("sys/class/thermal/thermal_zone*"))}
        )
        self._jetson_gpu = next((d for d in self.root.glob("sys/class/devfreq/*") if _JETSON_GPU.search(d.name)), None)
        self._no_gpu = ""
        if self.device.startswith("cuda"):
            self._gpu, self._no_gpu = open_gpu(self.device, self._nvml)
        self._series: dict[str, list[float]] = {}
        self._reasons: Counter[str] = Counter()
        self._gpu_answers = False
        self._looks, self._failed = 0, None
        self._first_counts = {c: read_number(c) for c in self._counters}
        self._begin = time.perf_counter()
        self._look()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> dict[str, Any]:
        """End it and return the summary: plain values for a JSON file, None where nothing could be read."""
        self._end.set()
        self._thread.join()
        if self._failed is not None:
            raise self._failed
        self._look()
        self.summary = self._summarise()
        if self._gpu is not None:
            self._gpu.close()
            self._gpu = None
        return self.summary

    # -- looking ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._end.wait(self.every_s):
                self._look()
        except Exception as e:  # a thread's error would be lost; stop() raises it
            self._failed = e

    def _look(self) -> None:
        self._looks += 1
        clocks = [khz / 1e3 for c in self._cores if (khz := read_number(c / "scaling_cur_freq")) is not None]
        if clocks:
            self._put("cpu_mhz", max(clocks))  # the busy core; idle ones sit low
        for zone, name in self._zones.items():
            milli = read_number(zone / "temp")  # some zones answer only while their part has power
            if milli is not None and -40_000 < milli < 200_000:
                self._put(f"zone {name}", milli / 1e3)
        for cooler, kind in self._coolers.items():
            if (read_number(cooler / "cur_state") or 0) > 0:
                self._reasons[f"cooling by {kind}"] += 1
        if self._jetson_gpu is not None:
            hz = read_number(self._jetson_gpu / "cur_freq")
            self._put("gpu_mhz", None if hz is None else hz / 1e6)
        if self._gpu is not None:
            self._put("gpu_mhz", self._gpu.clock_mhz())
            self._put("gpu_memory_mhz", self._gpu.memory_clock_mhz())
            self._put("gpu_temperature_c", self._gpu.temperature_c())
            self._put("gpu_power_w", self._gpu.power_w())
            slowed = self._gpu.slowdowns()
            self._gpu_answers |= slowed is not None
            self._reasons.update(f"GPU {reason}" for reason in slowed or [])

    def _put(self, name: str, value: float | None) -> None:
        if value is not None:
            self._series.setdefault(name, []).append(float(value))

    def _over_current(self) -> list[Path]:
        """Event counters of a Jetson's over-current protection, as far as it is set to slow the clocks down."""
        found = self.root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt")
        return sorted(f for f in found if read_number(f.with_name(f.name.replace("event_cnt", "throt_en"))) != 0)

    # -- telling ---------------------------------------------------------------------------------------------------

    def _summarise(self) -> dict[str, Any]:
        said = {name: _span(values) for name, values in self._series.items()}
        cpu_max = [khz / 1e3 for c in self._cores if (khz := read_number(c / "cpuinfo_max_freq")) is not None]
        cpu_allowed = [khz / 1e3 for c in self._cores if (khz := read_number(c / "scaling_max_freq")) is not None]
        governors = sorted({g for c in self._cores if (g := read_text(c / "scaling_governor"))})
        zones = {n.removeprefix("zone "): s for n, s in said.items() if n.startswith("zone ")}
        throttled, why = self._throttled()
        summary = {
            "seconds": round(time.perf_counter() - self._begin, 1),
            "looks": self._looks,
            "throttled": throttled,
            "throttled_by": why,
            "cpu_governor": ", ".join(governors) or None,
            "cpu_mhz": said.get("cpu_mhz"),
            "cpu_mhz_hardware_max": max(cpu_max, default=None),
            "cpu_mhz_allowed_max": max(cpu_allowed, default=None),
            "temperature_c": zones or None,
        }
        if self.device.startswith("cuda") or self._jetson_gpu is not None:
            top = self._gpu.max_clock_mhz() if self._gpu is not None else None
            if top is None and self._jetson_gpu is not None:
                hz = read_number(self._jetson_gpu / "max_freq")
                top = None if hz is None else hz / 1e6
            keys = ("gpu_mhz", "gpu_memory_mhz", "gpu_temperature_c", "gpu_power_w")
            summary |= {k: said.get(k) for k in keys} | {"gpu_mhz_max": top}
        mode = power_mode(self.root)
        if mode is not None or self._jetson_gpu is not None:
            summary |= {"power_mode": mode, "clocks_pinned": self._pinned()}
        summary["not_read"] = self._not_read(summary)
        return summary

    def _throttled(self) -> tuple[str, list[str]]:
        why = [f"{reason} in {n} of {self._looks} looks" for reason, n in sorted(self._reasons.items())]
        counts, answered = Counter(), False
        for counter, first in self._first_counts.items():
            last = read_number(counter)
            if first is None or last is None:
                continue
            answered = True
            # Cores of a package show the same package counter: the largest is the number of events, not the sum.
            kind = counter.name.removesuffix("_count").removesuffix("_event_cnt").replace("_", " ")
            kind = f"over-current {kind}" if counter.name.startswith("oc") else kind
            counts[kind] = max(counts[kind], last - first)
        why += [f"{kind}: {n} events" for kind, n in sorted(counts.items()) if n > 0]
        knows = answered or bool(self._coolers)
        if self.device.startswith("cuda"):
            knows = self._gpu_answers or (self._jetson_gpu is not None and knows)
        return ("yes" if why else "no" if knows else "unknown"), why

    def _pinned(self) -> str | None:
        """Whether lowest and highest clock are the same, as the command jetson_clocks sets them."""
        pairs = [(c / "scaling_min_freq", c / "scaling_max_freq") for c in self._cores]
        if self._jetson_gpu is not None:
            pairs.append((self._jetson_gpu / "min_freq", self._jetson_gpu / "max_freq"))
        equal = [
            read_number(a) == read_number(b)
            for a, b in pairs
            if read_number(a) is not None and read_number(b) is not None
        ]
        return None if not equal else "yes" if all(equal) else "partly" if any(equal) else "no"

    def _not_read(self, summary: dict[str, Any]) -> list[str]:
        words = {"cpu_governor": "CPU governor", "cpu_mhz": "CPU clock", "temperature_c": "thermal zones",
                 "gpu_mhz": "GPU clock", "gpu_temperature_c": "GPU temperature", "gpu_power_w": "GPU power",
                 "power_mode": "power mode"}  # fmt: skip
        missing = [w for k, w in words.items() if k in summary and summary[k] is None]
        if self._jetson_gpu is not None:  # its rails and zones tell instead
            missing = [w for w in missing if w not in ("GPU temperature", "GPU power")]
        if summary["throttled"] == "unknown":
            missing.append("throttling")
        return missing + ([self._no_gpu] if self._no_gpu and self._jetson_gpu is None else [])


def power_mode(root: str | Path = "/") -> str | None:
    """Power mode of a Jetson, such as ``"MAXN_SUPER (2)"``; None elsewhere.

    The state file that nvpmodel keeps is read, with the mode's name from its configuration; where the file may not be
    read, ``nvpmodel -q`` is asked.
    """
    root = Path(root)
    found = re.search(r"pmode:\s*(\d+)", read_text(root / "var/lib/nvpmodel/status") or "")
    if found:
        number = int(found.group(1))
        conf = read_text(root / "etc/nvpmodel.conf") or ""
        name = re.search(rf"^\s*<\s*POWER_MODEL\s+ID={number}\s+NAME=(\S+)", conf, re.MULTILINE)
        return f"{name.group(1)} ({number})" if name else str(number)
    program = shutil.which("nvpmodel") if root == Path("/") else None
    if program is None:
        return None
    try:
        said = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_nvpmodel(said)


def parse_nvpmodel(text: str) -> str | None:
    """Read what ``nvpmodel -q`` prints: a line with the name and one with the number.

    Returns:
        Such as ``"15W (2)"``; None when neither is there.
    """
    name = re.search(r"NV Power Mode\s*:\s*(\S+)", text)
    number = re.search(r"^\s*(\d+)\s*$", text, re.MULTILINE)
    if name is None:
        return number.group(1) if number else None
    return f"{name.group(1)} ({int(number.group(1))})" if number else name.group(1)


def watch_line(summary: dict[str, Any]) -> str:
    """Say a summary in one line for the screen."""
    parts = [f"throttled: {summary['throttled']}" + "".join(f" ({w})" for w in summary["throttled_by"][:2])]
    for key, name in (("cpu_mhz", "CPU"), ("gpu_mhz", "GPU")):
        if summary.get(key):
            top = summary.get("cpu_mhz_hardware_max" if key == "cpu_mhz" else "gpu_mhz_max")
            parts.append(f"{name} {_range(summary[key])}{f' of {top:.0f}' if top else ''} MHz")
    if summary.get("cpu_governor"):
        parts.append(f"governor {summary['cpu_governor']}")
    zones = {**(summary.get("temperature_c") or {}), "GPU": summary.get("gpu_temperature_c")}
    hot = max(((s["max"], n) for n, s in zones.items() if s), default=None)
    if hot:
        parts.append(f"hottest {hot[0]:.0f} °C ({hot[1]})")
    if summary.get("power_mode"):
        parts.append(f"power mode {summary['power_mode']}, clocks pinned: {summary['clocks_pinned'] or 'unknown'}")
    if summary["not_read"]:
        parts.append(f"not readable here: {', '.join(summary['not_read'])}")
    return "; ".join(parts)


def _range(span: dict[str, float]) -> str:
    return f"{span['min']:.0f}-{span['max']:.0f}"


def _span(values: Sequence[float]) -> dict[str, float]:
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {k: round(v, 2) for k, v in found.items()}


def _names(types: dict[Path, str | None]) -> dict[Path, str]:
    """Name of each thermal zone: its type, with the number behind it where several are of one type."""
    often = Counter(types.values())
    return {z: (t if t and often[t] == 1 else f"{t or 'zone'} {z.name[12:]}") for z, t in types.items()}


def _usable(cores: list[Path]) -> list[Path]:
    if not hasattr(os, "sched_getaffinity"):
        return cores
    mine = os.sched_getaffinity(0)
    return [c for c in cores if int(c.parent.name[3:]) in mine] or cores

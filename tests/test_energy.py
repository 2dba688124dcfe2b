"""Energy: counters of fake machines, what wraps or stands still, and words where nothing can be read."""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsdet.deploy.energy import Energy, find_meter, measure_energy
from rsdet.deploy.memory import UNKNOWN
from rsdet.errors import ConfigError


def tree(root: Path, files: dict[str, object]) -> Path:
    """Write a fake sysfs; nothing of the real machine is read."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


class FakeNvml:
    """What is used of pynvml, with readings that the test sets; a reading of None is "not supported"."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, energy_mj=(), opens=True, **readings):
        self.energies, self.opens, self.readings, self.shut = iter(energy_mj), opens, readings, 0

    def _or_fail(self, value):
        if value is None:
            raise self.NVMLError("Not Supported")
        return value

    def nvmlInit(self):
        if not self.opens:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlShutdown(self):
        self.shut += 1

    def nvmlDeviceGetHandleByIndex(self, index):
        self.index = index
        return "handle"

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self.index = uuid
        return "handle"

    def nvmlDeviceGetName(self, handle):
        return b"NVIDIA Test 1"  # older packages answer in bytes

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        return self._or_fail(next(self.energies, None))

    def nvmlDeviceGetClockInfo(self, handle, which):
        return self._or_fail(self.readings.get("clock" if which == 1 else "memory_clock"))

    def nvmlDeviceGetMaxClockInfo(self, handle, which):
        return self._or_fail(self.readings.get("max_clock"))

    def nvmlDeviceGetTemperature(self, handle, which):
        return self._or_fail(self.readings.get("temperature"))

    def nvmlDeviceGetPowerUsage(self, handle):
        return self._or_fail(self.readings.get("power_mw"))

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return self._or_fail(self.readings.get("reasons"))


def rapl(root: Path, energy_uj: int = 1_000_000, limit: int = 262_143_328_850) -> Path:
    top = "sys/class/powercap/intel-rapl:"
    zones = {"0": ("package-0", energy_uj), "1": ("package-1", energy_uj), "2": ("psys", 5), "0:0": ("core", 7),
             "0:1": ("dram", 9)}  # fmt: skip
    return tree(root, {f"{top}{z}/{f}": v for z, (name, uj) in zones.items()
                       for f, v in (("name", name), ("energy_uj", uj), ("max_energy_range_uj", limit))})  # fmt: skip


def ina(root: Path, rails: dict[str, tuple[int, int]], chip: str = "1-0040") -> Path:
    at = f"sys/bus/i2c/drivers/ina3221/{chip}/hwmon/hwmon3"
    files: dict[str, object] = {f"{at}/in7_label": "sum of shunt voltages", f"{at}/in7_input": 99}
    for i, (name, (mv, ma)) in enumerate(rails.items(), 1):
        files |= {f"{at}/in{i}_label": name, f"{at}/in{i}_input": mv, f"{at}/curr{i}_input": ma}
    return tree(root, files)


# ------------------------------------------------------------------------------------------------- counters


@pytest.mark.parametrize(
    ("before", "after", "limit", "joules"),
    [
        (1_000_000, 3_500_000, 10_000_000, 2 * 2.5),
        (9_000_000, 1_000_000, 10_000_000, 2 * 2.0),
        (5_000_000, 5_000_000, 10_000_000, None),
    ],
    ids=["moves", "wraps around", "stands still"],
)
def test_rapl_adds_up_the_packages_and_nothing_twice(before, after, limit, joules, tmp_path):
    meter = find_meter("cpu", rapl(tmp_path, before, limit))[0]
    assert meter.covers == "2 CPU packages"
    with meter:
        rapl(tmp_path, after, limit)
    assert meter.joules == (None if joules is None else pytest.approx(joules))
    assert ("did not move" in meter.why_not) == (joules is None)


def test_a_counter_that_wraps_at_an_unknown_value_gives_no_figure(tmp_path):
    meter = find_meter("cpu", rapl(tmp_path, 9_000))[0]
    for f in tmp_path.rglob("max_energy_range_uj"):
        f.unlink()
    with meter:
        for f in tmp_path.rglob("energy_uj"):
            f.write_text("5")
    assert meter.joules is None
    assert "wrapped around" in meter.why_not


def test_a_counter_for_root_only_is_said_to_be_so(tmp_path, monkeypatch):
    rapl(tmp_path)
    read = Path.read_text

    def locked(self, *args, **kwargs):
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return read(self, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", locked)
    meter, why = find_meter("cpu", tmp_path)
    assert meter is None
    assert "root" in why


def test_a_counter_that_goes_away_gives_no_figure(tmp_path):
    meter = find_meter("cpu", rapl(tmp_path))[0]
    with meter:
        next(tmp_path.rglob("energy_uj")).unlink()
    assert meter.joules is None
    assert "stopped answering" in meter.why_not


def test_nvml_counts_millijoules_of_the_right_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    nvml = FakeNvml(energy_mj=(1000, 1000, 4500))  # the first is asked when the meter is looked for
    meter = find_meter("cuda:1", tmp_path, nvml)[0]
    assert nvml.index == 5
    assert meter.covers == "GPU board (NVIDIA Test 1)"
    with meter:
        pass
    assert meter.joules == pytest.approx(3.5)
    meter.close()
    assert nvml.shut == 1


@pytest.mark.parametrize(
    ("nvml", "said"),
    [
        (FakeNvml(opens=False), "Driver Not Loaded"),
        (FakeNvml(), "no energy counter"),
    ],
)
def test_a_gpu_that_does_not_tell_is_not_given_the_energy_of_the_processor(nvml, said, tmp_path):
    meter, why = find_meter("cuda:0", rapl(tmp_path), nvml)
    assert meter is None
    assert said in why
    assert "INA3221" in why


def test_without_the_package_the_reason_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in find_meter("cuda:0", tmp_path)[1]


# ------------------------------------------------------------------------------------------------- rails


@pytest.mark.parametrize(
    ("rails", "covers", "watts"),
    [
        ({"VDD_IN": (5000, 2000), "VDD_CPU_GPU_CV": (5000, 900), "VDD_SOC": (5000, 400)}, "VDD_IN (whole module)", 10),
        (
            {"VDD_GPU_SOC": (19000, 500), "VDD_CPU_CV": (19000, 100), "VIN_SYS_5V0": (5000, 800)},
            "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0",
            9.5 + 1.9 + 4.0,
        ),
    ],
    ids=["Orin Nano and NX", "AGX Orin"],
)
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_rails_of_a_jetson(rails, covers, watts, device, tmp_path):
    meter = find_meter(device, ina(tmp_path, rails), FakeNvml(opens=False))[0]
    assert meter.covers == covers
    assert meter.power_w() == pytest.approx(watts)
    begin = time.perf_counter()
    with meter:
        inner = time.perf_counter()
        time.sleep(0.15)
        inner = time.perf_counter() - inner
    outer = time.perf_counter() - begin  # a busy machine may be long about beginning and ending
    assert watts * inner * 0.999 <= meter.joules <= watts * outer * 1.001


def test_power_is_integrated_over_time_as_it_changes(tmp_path, monkeypatch):
    meter = find_meter("cpu", ina(tmp_path, {"VDD_IN": (5000, 2000)}))[0]
    clock = iter([0.0, 1.0, 3.0])
    powers = iter([10.0, 20.0, 10.0])
    meter._every_s = 60  # only the samples that the test takes
    meter._sample = lambda: (next(clock), next(powers))
    with meter:
        meter._samples.append(meter._sample())
    assert meter.joules == pytest.approx(15 * 1 + 15 * 2)


def test_a_rail_that_fails_on_the_way_gives_no_figure(tmp_path):
    meter = find_meter("cpu", ina(tmp_path, {"VDD_IN": (5000, 2000)}))[0]
    with meter:
        next(tmp_path.rglob("curr1_input")).write_text("")
        time.sleep(0.05)
    assert meter.joules is None


# ------------------------------------------------------------------------------------------------- per image


def test_energy_is_shared_among_all_images(tmp_path):
    meter = find_meter("cpu", ina(tmp_path, {"VDD_IN": (5000, 2000)}))[0]
    ticks = itertools.count()
    meter._every_s = 60  # only a sample at each end,
    meter._sample = lambda: (0.2 * next(ticks), 10.0)  # 0.2 s apart whatever the machine is busy with
    found = measure_energy(lambda: time.sleep(0.02), 4, meter, min_s=0.2, min_runs=2)
    assert found.images % 4 == 0
    assert found.images >= 8
    assert found.seconds >= 0.2
    assert found.mean_w == pytest.approx(2 / found.seconds)
    assert found.joules_per_image == pytest.approx(2 / found.images)
    said = found.as_dict()
    assert said["mj_per_image"] == pytest.approx(1e3 * found.joules_per_image, rel=1e-3)
    assert said["meter"] == "INA3221: VDD_IN (whole module)"


@pytest.mark.parametrize("seen", [None, "still"], ids=["no meter", "a counter that stands still"])
def test_no_figure_is_words_and_never_zero(seen, tmp_path):
    meter, why = (None, "no counter") if seen is None else find_meter("cpu", rapl(tmp_path))
    ran = []
    said = measure_energy(lambda: ran.append(1), 1, meter, why_not=why, min_s=0, min_runs=2).as_dict()
    assert said["mj_per_image"] == UNKNOWN
    assert said["mean_w"] == UNKNOWN
    assert said["why_not"]
    assert bool(ran) == (meter is not None)  # nothing is run for nothing


def test_the_device_is_waited_for_before_the_meter_is_read():
    calls = []

    class Fake(SimpleNamespace):
        def __enter__(self):
            calls.append("on")

        def __exit__(self, *exc):
            calls.append("off")

    fake = Fake(name="m", covers="c", joules=1.0, why_not="")
    measure_energy(lambda: calls.append("run"), 1, fake, min_s=0, min_runs=2, sync=lambda: calls.append("wait"))
    assert calls == ["wait", "on", "run", "run", "wait", "off"]


def test_images_per_run_must_be_positive():
    with pytest.raises(ConfigError, match="images=0"):
        measure_energy(int, 0, None)


def test_an_unmeasured_energy_has_no_number():
    assert not [v for k, v in Energy().as_dict().items() if k in ("mj_per_image", "mean_w") and v != UNKNOWN]


def test_this_machine_has_a_meter_or_a_reason():
    meter, why = find_meter("cpu")
    assert (meter is None) == bool(why)

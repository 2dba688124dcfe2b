"""Clocks, temperature and throttling on fake machines: what is read, what is concluded, what is left unsaid."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from test_energy import FakeNvml, tree

from rsdet.deploy.watch import Watcher, parse_nvpmodel, power_mode, watch_line

CPU = "sys/devices/system/cpu"


@pytest.fixture(autouse=True)
def _all_cores(monkeypatch):
    monkeypatch.setattr("rsdet.deploy.watch.os.sched_getaffinity", lambda _: {0, 1}, raising=False)


def desktop(root: Path, cores: int = 2, mhz: int = 3000, throttles: int = 7, governor: str = "performance") -> Path:
    files: dict[str, object] = {
        "sys/class/thermal/thermal_zone0/type": "x86_pkg_temp",
        "sys/class/thermal/thermal_zone0/temp": 61500,
        "sys/class/thermal/cooling_device0/type": "Processor",
        "sys/class/thermal/cooling_device0/cur_state": 0,
        "sys/class/thermal/cooling_device1/type": "pwm-fan",
        "sys/class/thermal/cooling_device1/cur_state": 3,
    }
    for i in range(cores):
        f = f"{CPU}/cpu{i}/cpufreq"
        files |= {f"{f}/scaling_cur_freq": (mhz - 1000 * i) * 1000, f"{f}/cpuinfo_max_freq": 4_200_000,
                  f"{f}/scaling_max_freq": 3_600_000, f"{f}/scaling_min_freq": 800_000,
                  f"{f}/scaling_governor": governor,
                  f"{CPU}/cpu{i}/thermal_throttle/package_throttle_count": throttles}  # fmt: skip
    return tree(root, files)


def jetson(root: Path, oc: int = 0, mode: str = "pmode:0002", low: int = 306_000_000) -> Path:
    desktop(root, throttles=0)
    for f in root.rglob("package_throttle_count"):
        f.unlink()
    return tree(root, {
        "sys/class/devfreq/17000000.gpu/cur_freq": 612_000_000,
        "sys/class/devfreq/17000000.gpu/min_freq": low,
        "sys/class/devfreq/17000000.gpu/max_freq": 1_020_000_000,
        "sys/class/devfreq/15480000.nvdec/cur_freq": 1,
        "sys/class/hwmon/hwmon3/oc1_event_cnt": 0,
        "sys/class/hwmon/hwmon3/oc1_throt_en": 1,
        "sys/class/hwmon/hwmon3/oc2_event_cnt": oc,
        "sys/class/hwmon/hwmon3/oc2_throt_en": 0,
        "sys/class/hwmon/hwmon3/oc3_event_cnt": oc,
        "sys/class/hwmon/hwmon3/oc3_throt_en": 1,
        "sys/class/thermal/thermal_zone2/type": "cv0-thermal",
        "sys/class/thermal/thermal_zone8/type": "tj-thermal",
        "sys/class/thermal/thermal_zone8/temp": 63781,
        "var/lib/nvpmodel/status": mode,
        "etc/nvpmodel.conf": "# < POWER_MODEL ID=2 NAME=OLD >\n< POWER_MODEL ID=0 NAME=15W >\n"
                             "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
    })  # fmt: skip


def test_a_run_of_a_desktop_processor(tmp_path):
    with Watcher("cpu", 60, desktop(tmp_path)) as watcher:
        desktop(tmp_path, mhz=2000)
    s = watcher.summary
    assert s["cpu_mhz"] == {"min": 2000, "median": 2500, "max": 3000}  # of the busy core
    assert (s["cpu_mhz_hardware_max"], s["cpu_mhz_allowed_max"]) == (4200, 3600)
    assert s["cpu_governor"] == "performance"
    assert s["temperature_c"] == {"x86_pkg_temp": {"min": 61.5, "median": 61.5, "max": 61.5}}
    assert (s["throttled"], s["throttled_by"]) == ("no", [])  # seven events before, none since; the fan may turn
    assert s["not_read"] == []
    assert "power_mode" not in s
    assert "throttled: no; CPU 2000-3000 of 4200 MHz; governor performance; hottest 62 °C" in watch_line(s)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({f"{CPU}/cpu1/thermal_throttle/package_throttle_count": 12}, "package throttle: 5 events"),
        ({"sys/class/thermal/cooling_device0/cur_state": 2}, "cooling by Processor in 1 of 2 looks"),
    ],
    ids=["event counter", "cooling device"],
)
def test_throttling_of_a_processor(change, reason, tmp_path):
    with Watcher("cpu", 60, desktop(tmp_path)) as watcher:
        tree(tmp_path, change)
    assert (watcher.summary["throttled"], watcher.summary["throttled_by"]) == ("yes", [reason])


def test_events_that_all_cores_report_are_counted_once(tmp_path):
    with Watcher("cpu", 60, desktop(tmp_path, throttles=7)) as watcher:
        desktop(tmp_path, throttles=9)
    assert watcher.summary["throttled_by"] == ["package throttle: 2 events"]


def test_a_machine_that_shows_nothing_is_unknown_and_says_what_is_missing(tmp_path):
    with Watcher("cpu", 60, tmp_path) as watcher:
        pass
    s = watcher.summary
    assert s["throttled"] == "unknown"
    assert s["cpu_mhz"] is s["temperature_c"] is s["cpu_governor"] is None
    assert s["not_read"] == ["CPU governor", "CPU clock", "thermal zones", "throttling"]
    assert "not readable here: CPU governor" in watch_line(s)


def test_the_thread_looks_while_the_work_goes_on(tmp_path):
    watcher = Watcher("cpu", 0.01, desktop(tmp_path)).start()
    end = time.monotonic() + 60  # that a busy machine lets it look soon is not what is tested
    while watcher._looks < 5 and time.monotonic() < end:
        time.sleep(0.01)
    assert watcher.stop()["looks"] > 5  # the first and the last are no work of the thread


def test_an_error_of_the_thread_is_not_lost(tmp_path, monkeypatch):
    watcher = Watcher("cpu", 0.01, desktop(tmp_path)).start()
    monkeypatch.setattr(watcher, "_look", lambda: 1 / 0)
    watcher._thread.join(60)
    with pytest.raises(ZeroDivisionError):
        watcher.stop()


def test_different_governors_are_both_named(tmp_path):
    desktop(tmp_path)
    tree(tmp_path, {f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave"})
    with Watcher("cpu", 60, tmp_path) as watcher:
        pass
    assert watcher.summary["cpu_governor"] == "performance, powersave"


# ------------------------------------------------------------------------------------------------- GPU


def gpu(**readings):
    return FakeNvml(**{"clock": 1700, "max_clock": 1980, "memory_clock": 2619, "temperature": 71, "power_mw": 350_000,
                       "reasons": 0, **readings})  # fmt: skip


@pytest.mark.parametrize(
    ("nvml", "throttled", "reasons"),
    [
        (gpu(), "no", []),
        (gpu(reasons=0x1 | 0x2), "no", []),
        (gpu(reasons=0x4), "yes", ["GPU power cap in 2 of 2 looks"]),
        (gpu(reasons=0x40), "yes", ["GPU hardware thermal slowdown in 2 of 2 looks"]),
        (gpu(reasons=None), "unknown", []),
        (FakeNvml(opens=False), "unknown", []),
    ],
    ids=["free", "idle and set by the user", "power", "heat", "does not say", "no driver"],
)
def test_throttling_of_a_gpu_is_not_concluded_from_the_processor(nvml, throttled, reasons, tmp_path):
    with Watcher("cuda:0", 60, desktop(tmp_path), nvml) as watcher:
        pass
    assert (watcher.summary["throttled"], watcher.summary["throttled_by"]) == (throttled, reasons)


def test_readings_of_a_gpu(tmp_path):
    nvml = gpu(power_mw=None)
    with Watcher("cuda:0", 60, desktop(tmp_path), nvml) as watcher:
        nvml.readings["clock"] = 1500
    s = watcher.summary
    assert s["gpu_mhz"] == {"min": 1500, "median": 1600, "max": 1700}
    assert (s["gpu_mhz_max"], s["gpu_temperature_c"]["max"]) == (1980, 71)
    assert s["not_read"] == ["GPU power"]
    assert nvml.shut == 1


# ------------------------------------------------------------------------------------------------- Jetson


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_a_jetson(device, tmp_path):
    with Watcher(device, 60, jetson(tmp_path), FakeNvml(opens=False)) as watcher:
        pass
    s = watcher.summary
    assert s["power_mode"] == "MAXN_SUPER (2)"
    assert s["clocks_pinned"] == "no"
    assert s["gpu_mhz"]["max"] == 612
    assert s["gpu_mhz_max"] == 1020
    assert set(s["temperature_c"]) == {"x86_pkg_temp", "tj-thermal"}  # cv0 is without power
    assert s["throttled"] == "no"
    assert s["not_read"] == []


def test_over_current_events_of_a_jetson_count_where_they_slow_it_down(tmp_path):
    with Watcher("cuda:0", 60, jetson(tmp_path), FakeNvml(opens=False)) as watcher:
        jetson(tmp_path, oc=27)
    assert (watcher.summary["throttled"], watcher.summary["throttled_by"]) == ("yes", ["over-current oc3: 27 events"])


@pytest.mark.parametrize(
    ("gpu_low", "cpu_low", "said"),
    [(1_020_000_000, 3_600_000, "yes"), (1_020_000_000, 800_000, "partly"), (306_000_000, 800_000, "no")],
)
def test_whether_jetson_clocks_holds_the_clocks(gpu_low, cpu_low, said, tmp_path):
    jetson(tmp_path, low=gpu_low)
    tree(tmp_path, {f"{CPU}/cpu{i}/cpufreq/scaling_min_freq": cpu_low for i in (0, 1)})
    with Watcher("cuda:0", 60, tmp_path, FakeNvml(opens=False)) as watcher:
        pass
    assert watcher.summary["clocks_pinned"] == said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NV Power Mode: MAXN\n0\n", "MAXN (0)"),
        ("NVPM VERB: Config file: /etc/nvpmodel.conf\nNV Power Mode: MODE_15W\n2", "MODE_15W (2)"),
        ("NV Power Mode: 25W", "25W"),
        ("NVPM ERROR: Error opening\n", None),
    ],
)
def test_what_nvpmodel_prints(text, expected):
    assert parse_nvpmodel(text) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"var/lib/nvpmodel/status": "pmode:0000"}, "0"),
        ({"var/lib/nvpmodel/status": "fmode:x", "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >"}, None),
        ({}, None),
    ],
    ids=["no configuration", "another file", "not a Jetson"],
)
def test_power_mode_of_files(files, expected, tmp_path):
    assert power_mode(tree(tmp_path, files)) == expected

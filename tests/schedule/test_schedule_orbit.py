"""Energy along an orbit: the paper's numbers, and the equations by a second route."""

import math

import numpy as np
import pytest

from rsdet.errors import ConfigError
from rsdet.schedule.orbit import Orbit
from rsdet.schedule.rows import read_rows
from rsdet.schedule.settings import read_mission
from rsdet.schedule.simulation import Simulation


def test_the_period_and_its_slots():
    orbit = Orbit()
    assert orbit.period_s == pytest.approx(5670, rel=0.002)
    assert orbit.slot_s == pytest.approx(189, rel=0.002)
    assert (orbit.sun_slots, orbit.slots - orbit.sun_slots) == (21, 9)


def test_energies_are_those_that_the_paper_prints():
    sim = Simulation(read_mission("paper"), read_rows())
    energies = [sim.available(i, np.zeros(30), 0.0) for i in range(30)]
    assert max(energies[:21]) == pytest.approx(5.80e6, rel=0.01)
    assert int(np.argmax(energies[:21])) + 1 == 11
    assert energies[0] == pytest.approx(4.34e5, rel=0.02)
    assert energies[21] == pytest.approx(3.2e6, rel=1e-9)
    assert min(energies) >= 0


def test_the_peak_moves_with_the_dark_slots_before_it():
    orbit = Orbit(dark_first=4)
    assert int(np.argmax(orbit.collected_j)) + 1 == 15
    assert orbit.stretches == [range(4), range(25, 30)]


def test_collected_energy_is_the_integral_of_the_irradiance():
    orbit = Orbit(slots=12, sunlit=0.6, sigma=0.11, dark_first=2)
    mu, steps = 0.6, 20_000
    expected = []
    for i in range(12):
        place = (i - 2) % 12
        x = (place + (np.arange(steps) + 0.5) / steps) / 12
        power = np.where(x <= mu, 1360 * np.exp(-((2 * x - mu) ** 2) / (8 * 0.11**2)), 0.0)
        expected.append(0.25 * 100 * power.mean() * orbit.slot_s)
    np.testing.assert_allclose(orbit.collected_j, expected, rtol=1e-3, atol=1)


@pytest.mark.parametrize(("beta", "share"), [(0.0, 0.622), (50.4, 0.70), (89.9, 1.0)])
def test_the_share_in_the_sun_follows_from_the_angle(beta, share):
    assert Orbit(sunlit=None, beta_deg=beta).share_in_sun == pytest.approx(share, abs=2e-3)


def test_energy_of_the_night_is_shared_out_again_in_every_slot():
    sim = Simulation(read_mission("paper"), read_rows())
    rng, used = np.random.default_rng(3), np.zeros(30)
    for i in range(21, 30):
        left = 8 * 3.6e6 - math.fsum(used[21:i])  # equation 7, whose sum begins with the first dark slot
        assert sim.available(i, used, 0.0) == pytest.approx(max(0.0, left) / (30 - i))
        used[i] = rng.uniform(0, 5e6)


def test_the_battery_keeps_account_of_every_joule():
    mission = read_mission("tight", dynamics="soc")
    sim = Simulation(mission, read_rows())
    sim.reset(np.random.default_rng(1))
    charge, lost = 6.4 * 3.6e6, 0.0
    while not sim.over:
        income = sim.collected[sim.slot]
        outcome = sim.step(int(sim.allowed(sim.energy_j, sim.images).argmax()))
        raw = charge + income - outcome.used_j
        assert raw >= 2 * 3.6e6 - 1e-6 or outcome.used_j == 0  # never below what must stay
        charge, lost = min(raw, 10 * 3.6e6), lost + max(0.0, raw - 10 * 3.6e6)
        assert sim.battery == pytest.approx(charge)
    used = sum(t["used_j"] for t in sim.trace)
    assert 6.4 * 3.6e6 + sim.collected.sum() - used - lost == pytest.approx(sim.battery)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sunlit": 0.0}, "no slot of 30 lies in the sun"),
        ({"sunlit": 1.2}, "sunlit"),
        ({"sunlit": math.nan}, "sunlit"),
        ({"slots": 2.5}, "slots"),
        ({"dark_first": 10}, "dark_first"),
        ({"battery_min_kwh": 11.0}, "must rise"),
        ({"area_m2": 0.0}, "area_m2"),
        ({"altitude_km": "high"}, "altitude_km"),
    ],
)
def test_orbits_that_cannot_be_are_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        Orbit(**changes)

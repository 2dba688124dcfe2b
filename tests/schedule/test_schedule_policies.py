"""Policies: nothing that is masked is ever taken, and the optimum is one, by enumeration."""

import itertools

import numpy as np
import pytest

from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.schedule.artifacts import LookupTable
from rsdet.schedule.dynamic import DynamicProgramming
from rsdet.schedule.evaluation import baselines, evaluate
from rsdet.schedule.files import load_policy, save_policy
from rsdet.schedule.learning import QLearning, Reinforce
from rsdet.schedule.orbit import Orbit
from rsdet.schedule.policies import Fixed, Greedy, Policy, Random
from rsdet.schedule.rows import Row, Rows, Spread, read_rows
from rsdet.schedule.settings import Mission, read_mission
from rsdet.schedule.simulation import Simulation

ALL = read_rows(pareto=False)


def fixed_row(name, accuracy, energy):
    return Row(name, Spread(accuracy, accuracy), Spread(energy, energy), Spread(0.01, 0.01))


def rewards(policy, seeds=range(20)):
    (score,) = evaluate({policy.name: policy}, seeds)
    return np.mean(score.rewards), score


@pytest.mark.parametrize(("row", "mean"), [(0, 3.31), (1, 2.83), (2, 2.54)])
def test_each_row_alone_gives_what_the_paper_prints_where_energy_never_binds(row, mean):
    sim = Simulation(read_mission("paper", load=(1.0, 1.0)), ALL)
    found = []
    for seed in range(60):
        sim.reset(np.random.default_rng(seed))
        while not sim.over:
            found.append(sim.step(row).reward)
    assert np.mean(found) == pytest.approx(mean, abs=0.04)


def test_the_reward_by_hand():
    rows = Rows((fixed_row("a", 0.9, 0.5),))
    sim = Simulation(Mission(load=(100.0,) * 30), rows)
    assert sim.step(0).reward == pytest.approx(1.5 * 0.9 / 0.5 + 10 * (0.9 - 0.7))


def test_what_is_masked_is_never_taken_however_much_a_policy_wants_it():
    class Stubborn(Policy):
        def values(self, seen):
            return np.array([1e9, -1e9, -1e9, -2e9])

    mission = read_mission("tight")
    for policy in (Stubborn(mission, ALL), Random(mission, ALL), Greedy(mission, ALL), Fixed(mission, ALL, 2)):
        for trace in rewards(policy)[1].traces:
            row = next((r for r in ALL.rows if r.name == trace["choice"]), None)
            if row is not None:  # the equations by hand, not the simulation's own mask
                assert trace["images"] * row.energy_j.high * 10 <= trace["energy_j"] + 1
                assert trace["used_j"] <= trace["energy_j"]
                assert trace["feasible"]


def test_a_choice_against_the_mask_brings_nothing_or_a_part():
    rows = Rows((fixed_row("a", 0.9, 1.0),))
    for infeasible, done in (("mask", 0), ("penalty", 0), ("partial", 4)):
        sim = Simulation(Mission(load=(1e6,) * 30, infeasible=infeasible), rows)
        sim.collected = np.full(30, sim.mission.orbit.charging_j + 4.5)
        outcome = sim.step(0)
        assert (outcome.done, outcome.feasible) == (done, False)
        assert (outcome.reward == -5.0) == (done == 0)
        assert sim.trace[0]["dropped"] == sim.trace[0]["images"] - done


def test_what_may_be_tried_is_tried_and_what_fits_of_it_is_done():
    shares = {}
    for how in ("mask", "penalty", "partial"):
        _, score = rewards(Fixed(read_mission("tight", infeasible=how), ALL, 0))
        tried = [t for t in score.traces if not t["feasible"]]
        assert bool(tried) == (how != "mask")
        assert all((t["done"] > 0) == (how == "partial") and t["used_j"] <= t["energy_j"] for t in tried)
        shares[how] = score.row()["done"]
    assert shares["mask"] == pytest.approx(shares["penalty"], abs=0.05)
    assert shares["partial"] > shares["mask"] + 0.05
    seen = {"slot": 0, "energy_j": 9.8 * 5e4, "images": 50_000, "battery_j": 0.0}  # enough for the dearest row's mean
    assert Greedy(read_mission("tight", infeasible="partial"), ALL).choose(seen) == 0
    assert Greedy(read_mission("tight", infeasible="penalty"), ALL).choose(seen) == 1


def test_the_same_seed_gives_the_same_orbit():
    policy = Greedy(read_mission("tight"), ALL)
    assert rewards(policy, [7])[1].traces == rewards(policy, [7])[1].traces
    assert rewards(policy, [7])[1].traces != rewards(policy, [8])[1].traces


def test_dearer_images_lower_accuracy_per_joule_in_proportion():
    plain, dear = (
        rewards(Fixed(read_mission("paper", load=(1.0, 1.0), energy_scale=scale), ALL, 0))[1].row()["aee"]
        for scale in (1.0, 4.0)
    )
    assert dear == pytest.approx(plain / 4, rel=1e-3)


@pytest.mark.parametrize(
    ("dynamics", "infeasible"), [("paper", "mask"), ("soc", "mask"), ("paper", "penalty"), ("soc", "partial")]
)
def test_the_optimum_is_that_of_trying_everything(dynamics, infeasible):
    orbit = Orbit(slots=6, sunlit=0.34, area_m2=3.0, battery_max_kwh=1.0, battery_min_kwh=0.2, battery_start_kwh=0.5)
    rows = Rows((fixed_row("much", 0.9, 1.4), fixed_row("little", 0.8, 0.7), fixed_row("least", 0.72, 0.5)))
    load = (6e5, 4e5, 8e5, 5e5, 9e5, 7e5)
    mission = Mission(orbit, load=load, dynamics=dynamics, aee_weight=0.0, infeasible=infeasible)
    sim = Simulation(mission, rows)
    images = []
    sim.reset(np.random.default_rng(0))
    for _ in range(6):
        images.append(sim.images)
        sim.step(sim.idle)
    best = -np.inf
    for plan in itertools.product(range(4), repeat=6):
        sim.reset(np.random.default_rng(0))
        total = 0.0
        for choice in plan:
            if not sim.allowed(sim.energy_j, sim.images)[choice]:
                break
            total += sim.step(choice).reward
        else:
            best = max(best, total)
    policy = DynamicProgramming(mission, rows, bins=4000)
    policy.train()
    found = 6 * rewards(policy, [0])[0]
    assert found == pytest.approx(best, abs=0.05)
    assert found > 6 * rewards(Greedy(mission, rows), [0])[0] - 1e-9


@pytest.mark.parametrize("mission", [read_mission("paper"), read_mission("tight", dynamics="soc")])
def test_no_policy_beats_the_optimum(mission):
    optimum = DynamicProgramming(mission, ALL)
    optimum.train()
    best = rewards(optimum)[0]
    learnt = [QLearning(mission, ALL), Reinforce(mission, ALL)]
    for policy in learnt:
        policy.train(0, episodes=60)
    others = [*learnt, *(p for p in baselines(optimum).values())]
    for policy in others:
        assert rewards(policy)[0] <= best + 0.03  # bins, and chance of what a draw costs


def test_learning_helps():
    mission = read_mission("paper")
    reference = rewards(Greedy(mission, ALL))[0]
    policy = Reinforce(mission, ALL)
    policy.train(0, episodes=250)
    assert rewards(policy)[0] >= 0.98 * reference


def test_a_policy_goes_through_a_file(tmp_path):
    mission = read_mission("tight", dynamics="soc", min_accuracy=0.5)
    for policy in (DynamicProgramming(mission, ALL, bins=20), QLearning(mission, ALL), Fixed(mission, ALL, 2)):
        policy.train(0, episodes=3)
        again = load_policy(save_policy(policy, tmp_path / policy.name), ALL)
        assert again.mission == mission
        assert rewards(again, range(3))[1].traces == rewards(policy, range(3))[1].traces


def test_a_policy_refuses_another_table(tmp_path):
    path = save_policy(Greedy(read_mission("paper"), ALL), tmp_path / "p")
    for other in (Rows(ALL.rows[::-1]), Rows(ALL.rows[:2])):
        with pytest.raises(DataError, match="other rows"):
            load_policy(path, other)


def test_names_keep_their_dots_and_files_of_others_stay(tmp_path):
    policy, other = Greedy(read_mission("paper"), ALL), tmp_path / "weights.safetensors"
    assert [save_policy(policy, tmp_path / name).name for name in ("duty0.5", "p.safetensors", "p")] == [
        "duty0.5.safetensors", "p.safetensors", "p.safetensors",
    ]  # fmt: skip
    for content in (b"", b"weights"):
        other.write_bytes(content)
        with pytest.raises(ConfigError, match="is not a policy"):
            save_policy(policy, other)
        assert other.read_bytes() == content
    with pytest.raises(WriteError, match="is a folder"):
        save_policy(policy, tmp_path)


def test_files_that_are_no_policies(tmp_path):
    path = save_policy(Greedy(read_mission("paper"), ALL), tmp_path / "p")
    data = path.read_bytes()
    for broken in (b"", data[: len(data) // 2], data.replace(b"0.924", b"0.999"), data.replace(b"greedy", b"foodly")):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            load_policy(path)
    with pytest.raises(DataError):
        load_policy(tmp_path / "absent.safetensors")


def test_the_table_of_a_policy_chooses_what_is_allowed_and_what_the_policy_would():
    policy = Greedy(read_mission("tight"), ALL)
    table = LookupTable.of(policy)
    names, rng = [*ALL.names, "idle"], np.random.default_rng(2)
    lines = table.lines()
    for _ in range(400):
        seen = {
            "slot": int(rng.integers(30)), "energy_j": float(rng.uniform(0, 7e6)),
            "images": int(rng.integers(0, 510_000)), "battery_j": 2e7,
        }  # fmt: skip
        (cell,) = [
            x for x in lines
            if x["slot"] == seen["slot"] + 1 and x["images_from"] <= seen["images"] <= x["images_to"]
            and x["energy_from_j"] <= seen["energy_j"] < (np.inf if x["energy_to_j"] == "inf" else x["energy_to_j"])
        ]  # fmt: skip
        choice = table.choose(seen)
        assert cell["choice"] == names[choice]
        assert choice == len(ALL) or policy.simulation.allowed(seen["energy_j"], seen["images"])[choice]
        corner = {**seen, "energy_j": float(cell["energy_from_j"]), "images": cell["images_to"]}
        assert names[policy.choose(corner)] == cell["choice"]


def test_missions_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match="no row reaches min_accuracy"):
        Simulation(read_mission("paper", min_accuracy=0.99), ALL)
    for changes, says in (({"infeasible": "maks"}, "mask"), ({"duty": 2.0}, "duty"), ({"load": (5, 1)}, "load"),
                          ({"bla": 1}, "no key 'bla'"), ({"energy_scale": 0}, "energy_scale")):  # fmt: skip
        with pytest.raises(ConfigError, match=says):
            read_mission("paper", **changes)
    path = tmp_path / "o.yaml"
    path.write_text("orbit: {sunlit: 0.0}")
    with pytest.raises(ConfigError, match="sun"):
        read_mission(path)
    path.write_text("orbit: {sunlight: 0.5}")
    with pytest.raises(ConfigError, match="no key 'sunlight'"):
        read_mission(path)


@pytest.mark.parametrize("kind", [DynamicProgramming, QLearning, Reinforce, Fixed])
def test_arrays_that_do_not_fit_are_refused_before_the_first_orbit(tmp_path, kind):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = save_policy(kind(read_mission("paper"), ALL), tmp_path / "p")
    with safe_open(path, framework="numpy") as f:
        said = f.metadata()
        arrays = {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (no mapping)
    name = next(k for k in arrays if k)
    for broken in (arrays[name][:-1], arrays[name] * np.nan, np.full((1,), 99.0), np.zeros((2, 2, 2, 2))):
        save_file({**arrays, name: np.ascontiguousarray(broken)}, path, said)
        with pytest.raises((DataError, ConfigError)):
            load_policy(path)


def test_rows_of_a_file_that_cost_nothing_are_refused(tmp_path):
    path = save_policy(Greedy(read_mission("paper"), ALL), tmp_path / "p")
    data = path.read_bytes().replace(b"0.87", b"-0.8")
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"above 0|was changed|no policy"):
        load_policy(path)


def test_a_fixed_policy_takes_the_row_that_is_asked_for():
    policy = Fixed(read_mission("paper"), ALL)
    policy.train(row=2)
    assert policy.row == 2
    for row in (3, -1, True, "a"):
        with pytest.raises(ConfigError, match="number of a row"):
            policy.train(row=row)

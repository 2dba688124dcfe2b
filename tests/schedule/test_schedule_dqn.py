"""Deep Q-learning, its graph, and the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rsdet.cli import run
from rsdet.schedule.artifacts import INPUTS, export_onnx
from rsdet.schedule.dqn import DQN
from rsdet.schedule.rows import read_rows
from rsdet.schedule.settings import read_mission

pytest.importorskip("gymnasium")
pytest.importorskip("stable_baselines3")


@pytest.fixture(scope="module", params=["full", "paper"])
def policy(request):
    mission = read_mission("tight", duty=0.9, dynamics="soc" if request.param == "full" else "paper")
    made = DQN(mission, read_rows(pareto=False), request.param)
    made.train(0, episodes=6)
    return made


def test_the_environment_is_one_of_gymnasium():
    from gymnasium.utils.env_checker import check_env

    from rsdet.schedule.environment import ScheduleEnv

    env = ScheduleEnv(read_mission("tight"), read_rows())
    check_env(env, skip_render_check=True)
    env.reset(seed=3)
    steps, over = 0, False
    while not over:
        mask = env.action_masks()
        seen, _, over, _, told = env.step(int(mask.argmax()))
        steps += 1
        assert env.observation_space.contains(seen)
        assert told["feasible"]
    assert steps == 30


def test_the_graph_chooses_what_pytorch_does(policy, tmp_path):
    import onnxruntime
    import torch

    path = export_onnx(policy, tmp_path / "p.onnx")
    layers = []
    for weight, bias in policy.layers:
        layer = torch.nn.Linear(*weight.shape[::-1]).double()
        layer.weight.data, layer.bias.data = torch.tensor(weight).double(), torch.tensor(bias).double()
        layers += [layer, torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    m, rng = policy.mission, np.random.default_rng(9)
    states = np.stack(
        [rng.uniform(0, 8e6, 500), rng.integers(0, 6e5, 500), rng.integers(0, 30, 500), rng.uniform(0, 3.6e7, 500)], 1
    )
    scale = np.array([m.max_energy_j, m.max_load, m.orbit.slots, 3.6e7])
    x = states / scale if policy.observation == "full" else (states / scale)[:, :2]
    if policy.observation == "full":
        x = np.c_[x, np.full(500, m.min_accuracy)]
    values = network(torch.tensor(np.clip(x, 0, 2).astype(np.float32)).double()).detach().numpy()
    worst = np.array([r.energy_j.high for r in policy.rows.rows]) * 10
    slow = np.array([r.delay_s.high for r in policy.rows.rows])
    fits = states[:, 1:2] * worst <= states[:, :1]
    fits &= states[:, 1:2] * slow <= 0.9 * m.orbit.slot_s
    idle = ~fits.any(1, keepdims=True) | (m.dynamics == "soc")
    expected = np.where(np.c_[fits, idle], values, -np.inf).argmax(1)
    session = onnxruntime.InferenceSession(str(path))
    choice, got = session.run(["choice", "values"], {"state": states})
    np.testing.assert_allclose(got, values, rtol=1e-5, atol=1e-6)
    assert (choice == expected).all()
    assert json.loads(session.get_modelmeta().custom_metadata_map["rsdet"])["inputs"] == list(INPUTS)


@pytest.mark.parametrize("how", ["penalty", "partial"])
def test_the_graph_knows_what_may_be_tried(policy, how, tmp_path):
    made = DQN(replace(policy.mission, infeasible=how), policy.rows, policy.observation)
    made.layers = policy.layers
    assert export_onnx(made, tmp_path / "p.onnx").is_file()  # the file has been compared with the policy


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["schedule", "train", "orbit=tight", "algo=dqn", "episodes=4", "out=p"]) == 0
    assert run(["schedule", "eval", "policy=p.safetensors", "seeds=4", "out=e"]) == 0
    summary = json.loads((tmp_path / "e" / "summary.json").read_text())
    assert summary["table"][0]["policy"] == "dqn"
    assert {r["policy"] for r in summary["table"]} >= {
        "greedy",
        "random",
        "dp",
        "dqn as a table",
        summary["best_fixed"],
    }
    assert len((tmp_path / "e" / "trace.csv").read_text().splitlines()) == 1 + 4 * 30
    assert run(["schedule", "plot", "source=e"]) == 0
    assert all((tmp_path / "e" / f).stat().st_size > 1000 for f in ("policies.png", "orbit.png"))
    assert run(["schedule", "export", "policy=p.safetensors", "format=onnx"]) == 0
    table = tmp_path / "p.csv"
    table.write_text("the table of measured rows")
    assert run(["schedule", "export", "policy=p.safetensors", "format=lut"]) == 0
    assert run(["schedule", "export", "policy=p.safetensors", "format=lut", "out=p.csv"]) == 2
    assert table.read_text() == "the table of measured rows"
    assert (tmp_path / "p.onnx").is_file()
    assert (tmp_path / "p-lut.csv").is_file()
    assert "is not a lookup table" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["trian"], "Did you mean 'train'"),
        ([], "train, eval"),
        (["train", "algo=dpn"], "one of dqn"),
        (["train", "orbit=papr"], "paper"),
        (["train", "table=absent.csv"], "absent.csv"),
        (["train", "power_w=0"], "power_w"),
        (["train", "episodes=0"], "episodes"),
        (["eval", "policy=absent"], "absent"),
        (["plot", "source=absent"], "absent"),
        (["export", "policy=absent", "format=lut"], "absent"),
    ],
)
def test_words_that_mean_nothing(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["schedule", *words]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.strip().splitlines()) == 1

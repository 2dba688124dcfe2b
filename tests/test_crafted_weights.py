"""Weights whose header, numbers or rows are crafted: one line, or a network that works."""

from __future__ import annotations

import json

import pytest
import torch
from exported import lively
from safetensors import safe_open
from safetensors.torch import save

from rsdet import RSDet
from rsdet.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def pickled(tmp_path_factory):
    """Good weights."""
    folder = tmp_path_factory.mktemp("weights")
    lively("yolo", folder)
    return folder / "yolo.pt"


@pytest.fixture(scope="module")
def plain(pickled):
    """Header and tensors of the same."""
    path = RSDet(pickled).save_plain(pickled.parent / "good")
    with safe_open(path, "pt") as f:
        return f.metadata(), {k: f.get_tensor(k) for k in f.keys()}  # noqa: SIM118 (no mapping)


@pytest.mark.parametrize("imgsz", ["[]", "[64, 64, 64]", "[64, true]", "1e3", str(10**20), str(1 << 20), "null"])
def test_a_size_that_no_picture_can_have(plain, tmp_path, imgsz):
    (tmp_path / "x.safetensors").write_bytes(save(plain[1], metadata={**plain[0], "imgsz": imgsz}))
    with pytest.raises(CheckpointError, match="its header is damaged"):
        RSDet(tmp_path / "x.safetensors")


@pytest.mark.parametrize("names", [{"0": "a", "00": "b", "1": "c", "2": "d"}, {"-1": "a", "0": "b"}, ["a", "b", "c"]])
def test_names_of_which_one_would_be_lost(plain, tmp_path, names):
    (tmp_path / "x.safetensors").write_bytes(save(plain[1], metadata={**plain[0], "names": json.dumps(names)}))
    with pytest.raises(CheckpointError, match="its header is damaged"):
        RSDet(tmp_path / "x.safetensors")


def test_nor_is_it_taken_from_the_user(plain, tmp_path):
    (tmp_path / "x.safetensors").write_bytes(save(plain[1], metadata=plain[0]))
    with pytest.raises(ConfigError, match=r"imgsz=.* must be a positive whole number"):
        RSDet(tmp_path / "x.safetensors").predict(tmp_path, imgsz=10**20)


@pytest.mark.parametrize(
    "more", [{"recipe": ["paper"]}, {"recipe": {"a": 1}}, {"recipes": [1]}, {"recipes": {"a": []}}]
)
def test_a_recipe_that_is_no_name_stops_no_one_from_looking_at_the_weights(plain, tmp_path, more):
    header = {**plain[0], "yaml": json.dumps({**json.loads(plain[0]["yaml"]), **more})}
    (tmp_path / "x.safetensors").write_bytes(save(plain[1], metadata=header))
    assert RSDet(tmp_path / "x.safetensors").info(verbose=False)["params"] > 0


@pytest.mark.parametrize(
    ("ending", "change", "message"),
    [
        ("conv.weight", lambda w: w.to(torch.complex64), "complex numbers"),
        ("running_var", lambda w: -w - 1, "no variance is below 0"),  # its root is NaN, and nothing would be found
        ("conv.weight", lambda w: torch.full_like(w, float("nan")).to(torch.float8_e4m3fn), "NaN or infinite"),
    ],
)
def test_numbers_of_which_no_network_can_be_made(plain, tmp_path, ending, change, message):
    name = next(k for k in plain[1] if k.endswith(ending))
    state = {**plain[1], name: change(plain[1][name])}
    (tmp_path / "x.safetensors").write_bytes(save(state, metadata=plain[0]))
    with pytest.raises(CheckpointError, match=message) as e:
        RSDet(tmp_path / "x.safetensors")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    "name", ["http://127.0.0.1:9/x.pt", "https://a.example/best.safetensors", "file:///etc/passwd"]
)
def test_an_address_is_no_name_of_weights(name):
    with pytest.raises(ConfigError, match=r"is an address.*download the file"):
        RSDet(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": {}}, "has no name for class 0"),
        ({"yaml": {}}, "says no family"),
        ({"save": []}, "do not fit together"),
        ({"save": {"a": 1}}, "do not fit together"),
        ({"save": None}, "do not fit together"),
    ],
)
def test_a_checkpoint_of_parts_that_do_not_fit_is_no_traceback(pickled, tmp_path, change, message):
    content = torch.load(pickled, weights_only=False)
    for key, value in change.items():
        setattr(content["model"], key, value)
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=message) as e:
        RSDet(tmp_path / "x.pt")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(("row", "source"), [(0, -5), (2, 0), (4, [0, 3]), (1, "x")])
def test_a_row_that_takes_what_is_not_kept(pickled, tmp_path, row, source):
    content = torch.load(pickled, weights_only=False)
    content["model"].model[row].f = source
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match="do not fit together"):
        RSDet(tmp_path / "x.pt")

"""Weights on the Hub, against a stand-in on this disk: nothing is asked of anybody unless it is called."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from rsdet import RSDet
from rsdet.errors import CheckpointError, ConfigError, MissingDependencyError, WriteError


class OwnError(Exception):
    """As those of httpx, by which the package asks the network: of no family of the system's errors."""


class FakeHub:
    """As much of huggingface_hub as is used; repositories are folders, and what is asked is noted."""

    def __init__(self, root: Path):
        self.root, self.asked, self.down = root, [], False
        self.error: Exception = ConnectionError("the network is unreachable")
        self.HfApi = lambda token=None: SimpleNamespace(create_repo=self.create, upload_folder=self.upload)

    def create(self, repository: str, private: bool, exist_ok: bool) -> str:
        self.answer("create", repository)
        (self.root / repository).mkdir(parents=True, exist_ok=exist_ok)
        return f"https://hub/{repository}"

    def upload(self, repo_id: str, folder_path: str, commit_message: str) -> None:
        self.answer("upload", repo_id)
        shutil.copytree(folder_path, self.root / repo_id, dirs_exist_ok=True)

    def hf_hub_download(self, repository: str, name: str, revision: str | None, token: str | None) -> str:
        self.answer("download", repository, revision)
        file = self.root / repository / name
        if not file.is_file():
            raise OSError(f"404 Client Error.\n\nRepository Not Found: {repository}")
        return str(file)

    def answer(self, *what: str | None) -> None:
        if self.down:
            raise self.error
        self.asked.append(what)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    fake = FakeHub(tmp_path / "hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", fake)
    return fake


def test_there_and_back_again(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = RSDet("vmc-detr-demo")
    assert hub.asked == []
    assert model.push_to_hub("org/ships", card={"licence": "AGPL-3.0-or-later"}) == "https://hub/org/ships"
    folder = hub.root / "org" / "ships"
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "model.safetensors", "model.yaml"]
    assert yaml.safe_load((folder / "model.yaml").read_text())["family"] == "rtdetr"
    head, page = (folder / "README.md").read_text().split("---\n")[1:]
    assert yaml.safe_load(head)["pipeline_tag"] == "object-detection"
    assert 'RSDet.from_pretrained("org/ships")' in page
    assert "AGPL" in page
    assert "car" in page
    back = RSDet.from_pretrained("org/ships", revision="v1")
    assert hub.asked[-1] == ("download", "org/ships", "v1")
    assert back.names == model.names
    for mine, theirs in zip(model.model.state_dict().values(), back.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_weights_that_have_a_name_keep_their_card_until_they_are_others(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = RSDet("vmc-detr-hituav")
    model.push_to_hub("org/mine")
    page = hub.root / "org" / "mine" / "README.md"
    for word in ("Suo et al.", "CC BY 4.0", "intended_use", "AP50: 0.49"):
        assert word in page.read_text(encoding="utf-8")
    model.push_to_hub("org/mine", card={"licence": "AGPL-3.0-or-later"})
    assert "Suo et al." not in page.read_text(encoding="utf-8")
    with torch.no_grad():
        next(model.model.parameters()).add_(0.1)  # as a training does
    model.push_to_hub("org/mine")
    assert "No card was written" in page.read_text(encoding="utf-8")


def test_names_of_the_zoo_and_files_ask_nobody(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = RSDet.from_pretrained("vmc-detr-demo")
    (tmp_path / "org").mkdir()
    model.save_plain("org/w")
    assert RSDet.from_pretrained("org/w.safetensors").names == model.names
    with pytest.raises(CheckpointError, match="do not exist"):
        RSDet.from_pretrained("runs/best.pt")  # mistyped, and nobody's repository
    with pytest.raises(ConfigError, match="leave revision= out"):
        RSDet.from_pretrained("vmc-detr-demo", revision="v1")
    assert hub.asked == []


def test_problems_are_one_line(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"cannot be fetched from the Hub \(404 Client Error\.\); check name"):
        RSDet.from_pretrained("org/nothing")
    model = RSDet("vmc-detr-demo")
    for name in ("ships", "a/b/c", "../up", ""):
        with pytest.raises(ConfigError, match="write it as org/name"):
            model.push_to_hub(name)
    hub.down = True
    with pytest.raises(WriteError, match=r"not written to org/ships \(the network is unreachable\)"):
        model.push_to_hub("org/ships")
    hub.error = OwnError("no route")
    with pytest.raises(WriteError, match=r"not written to org/ships \(no route\); check name, network and token"):
        model.push_to_hub("org/ships")
    with pytest.raises(ConfigError, match="does not know licence="):
        model.push_to_hub("org/ships", licence="MIT")
    with pytest.raises(ConfigError, match="must be a mapping or none"):
        model.push_to_hub("org/ships", card="README.md")
    with pytest.raises(ConfigError, match="must be a mapping of plain values"):
        model.push_to_hub("org/ships", card={"data": tmp_path})
    with pytest.raises(ConfigError, match="no weights"):
        RSDet("vmc-detr-lite.yaml", scale="t").push_to_hub("org/ships")


def test_a_repository_of_something_else_is_refused(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (hub.root / "org" / "bad").mkdir(parents=True)
    (hub.root / "org" / "bad" / "model.safetensors").write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        RSDet.from_pretrained("org/bad")


def test_without_the_package_the_remedy_is_said(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert RSDet.from_pretrained("vmc-detr-demo").task == "detect"  # what needs no Hub, goes without it
    with pytest.raises(MissingDependencyError, match="huggingface_hub, which is missing; pip install"):
        RSDet.from_pretrained("org/ships")

"""Weights by name: every card tells what it must, every file is what its card says, and a name finds them anywhere."""

from __future__ import annotations

import csv
import hashlib
import http.server
import runpy
import shutil
import threading
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import TINY
from safetensors import safe_open

from rsdet import RSDet, zoo
from rsdet.cli import run
from rsdet.data.scenes import render_scene
from rsdet.errors import CheckpointError, ConfigError, DataError
from rsdet.modelyaml import read_model_yaml
from rsdet.paths import weights_dir

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = [name for name in zoo.list_weights() if zoo.card_of(name).shipped]


# ------------------------------------------------------------------------------------- the contract of every card


@pytest.mark.parametrize("name", zoo.list_weights())
def test_a_card_tells_what_it_must(name):
    card = zoo.card_of(name)
    assert card.faults() == []
    text = card.path.read_text()
    assert "TO BE WRITTEN" not in text
    assert "." not in name
    assert name == name.lower()
    read_model_yaml(card.facts["model"].partition(":")[0])
    curve = card.facts["curve"]
    assert isinstance(curve, str) or len(curve["epochs"]) == len(curve["values"]) > 1
    failures = card.facts["failures"]
    pictures = failures.get("pictures", []) if isinstance(failures, dict) else []
    assert pictures, "what it gets wrong is shown"
    for file in pictures:
        shown = cv2.imread(str(ROOT / file))
        assert all(np.median(part) > 0 for part in np.array_split(shown, 2, axis=1)), f"{file}: half of it is black"


def test_the_table_says_what_the_cards_say():
    with (ROOT / "benchmarks" / "results" / "zoo.csv").open(encoding="utf-8", newline="") as f:
        table = list(csv.DictReader(f))
    same = ("task", "size_mb", "licence", "data_licence")
    where = ("data", "split", "images", "protocol", "imgsz")
    said = {}
    for card in map(zoo.card_of, zoo.list_weights()):
        facts = [card.facts["task"], f"{card.size_mb:.3g}", card.facts["licence"], card.facts["data"]["licence"]]
        for row in card.results:
            for measure, value in zoo.measures(row).items():
                said[(card.name, *(str(row[k]) for k in where), measure)] = (facts, value)
    assert {(r["model"], *(r[k] for k in where), r["measure"]) for r in table} == said.keys(), "benchmarks/zoo.py"
    for row in table:
        facts, value = said[(row["model"], *(row[k] for k in where), row["measure"])]
        assert [row[k] for k in same] == facts
        assert float(row["value"]) == pytest.approx(value, abs=0.005)


@pytest.mark.parametrize("name", SHIPPED)
def test_weights_are_half_precision_without_code_and_work(name, tmp_path):
    card = zoo.card_of(name)
    assert card.shipped.stat().st_size <= zoo.MOST_BYTES
    with safe_open(card.shipped, framework="pt") as f:
        kinds = {k: f.get_tensor(k).dtype for k in f.keys()}  # noqa: SIM118 (no mapping)
    model = RSDet(name)
    parameters = dict(model.model.named_parameters())
    assert {kinds[k] for k in parameters} == {torch.float16}
    assert model.task == card.facts["task"]
    assert model.overrides["imgsz"] == card.facts["imgsz"]
    assert not model.untrained
    assert all(isinstance(n, str) and n for n in model.names.values())
    picture = render_scene(11, 320).image[..., ::-1].copy()
    if card.facts["data"]["name"] == "demo-sar":  # which has amplitudes of 16 bits, and its weights their stretch
        picture = picture[..., 0].astype(np.uint16) * 16
    size = {} if model.task == "restore" else {"imgsz": card.facts["imgsz"]}
    (result,) = model.predict(picture, **size, project=str(tmp_path), verbose=False)
    assert result.orig_shape == (320, 320)


def test_no_weights_lie_beside_no_card():
    assert sorted(p.stem for p in weights_dir().glob(f"*{zoo.SUFFIX}")) == sorted(SHIPPED)


def test_numbers_are_said_in_words_and_with_their_unit():
    line = zoo.card_of("edsr-t-x2").line()
    assert "PSNR 32.1 dB, SSIM 0.922 (protocol" in line
    assert all("_db" not in zoo.card_of(name).line() for name in zoo.list_weights())


# --------------------------------------------------------------------------------------------------- names


def test_the_demo_finds_most_of_what_was_drawn(tmp_path):
    picture = render_scene(11, 320)
    (result,) = RSDet("vmc-detr-demo").predict(
        picture.image[..., ::-1].copy(), imgsz=320, conf=0.4, project=str(tmp_path), verbose=False
    )
    assert len(result) >= 3


def test_a_name_means_the_weights_and_its_yaml_a_fresh_network():
    assert RSDet("vmc-detr-demo").names[0] == "car"
    assert RSDet("vmc-detr-demo.yaml", **TINY).untrained


def test_a_file_here_comes_first_and_is_taken_for_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert zoo.find_card("vmc-detr-demo") is not None
    (tmp_path / "vmc-detr-demo").write_text("mine")
    assert zoo.find_card("vmc-detr-demo") is None
    with pytest.raises(ConfigError, match="is no model"):  # and not a fresh network by the YAML of that name
        RSDet("vmc-detr-demo")
    assert run(["get", "vmc-detr-demo"]) == 0  # asks for the weights and nothing else
    assert str(zoo.weights("vmc-detr-demo")) in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"neither a file nor a shipped model.*Did you mean"):
        RSDet("vmc-detr-*")  # a pattern names nothing
    for name in ("../weights/vmc-detr-demo", "vmc-detr-demo.yaml", "*", ""):
        assert zoo.find_card(name) is None


def test_the_command_line_knows_them(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["list", "weights"]) == 0
    line = next(s for s in capsys.readouterr().out.splitlines() if s.strip().startswith("vmc-detr-demo"))
    for word in ("(detect)", "AP", "protocol coco", "MB", "AGPL", "learnt from demo"):
        assert word in line
    assert run(["info", "model=vmc-detr-demo", "scale=n"]) == 2
    assert "fixed architecture" in capsys.readouterr().err
    assert run(["info", "model=vmc-detr-deno"]) == 2
    assert "Did you mean 'vmc-detr-demo'" in capsys.readouterr().err
    for ending in (".pt", ".safetensors"):  # as weights of Ultralytics are written
        assert run(["info", f"model=vmc-detr-demo{ending}"]) == 2
        assert "those that ship are named alone: model=vmc-detr-demo." in capsys.readouterr().err


def test_an_export_without_a_place_goes_to_the_working_directory():
    from rsdet.deploy.export import _target

    assert _target(zoo.weights("vmc-detr-demo"), None) == (Path(), None)
    assert _target(Path("runs/a/best.pt"), None) == (Path("runs/a"), None)


# --------------------------------------------------------------------------------------------------- larger files


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A zoo of one card whose file lies on a server of this machine; where it is asked for is counted."""
    files, cards = tmp_path / "server", tmp_path / "cards"
    files.mkdir()
    cards.mkdir()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=files))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    shutil.copy(zoo.weights("vmc-detr-demo"), files / "w.safetensors")
    data = (files / "w.safetensors").read_bytes()
    facts = yaml.safe_load((weights_dir() / "vmc-detr-demo.yaml").read_text())
    facts |= {"url": f"http://127.0.0.1:{server.server_port}/w.safetensors", "bytes": len(data)}
    facts["sha256"] = hashlib.sha256(data).hexdigest()
    (cards / "large.yaml").write_text(yaml.safe_dump(facts))
    monkeypatch.setattr("rsdet.zoo.weights_dir", lambda: cards)
    monkeypatch.setenv("RSDET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    yield asked, cards / "large.yaml", files / "w.safetensors"
    server.shutdown()
    server.server_close()


def test_larger_weights_are_fetched_once_and_verified(served, tmp_path):
    asked, _, _ = served
    assert zoo.card_of("large").faults() == []
    assert "fetched when it is used" in zoo.card_of("large").line()
    assert asked == []  # to look at a card asks nobody
    assert RSDet("large").names[0] == "car"
    assert zoo.weights("large", progress=False) == tmp_path / "home" / "weights" / "large.safetensors"
    assert asked == ["/w.safetensors"]


def test_other_bytes_than_the_card_says_are_refused(served, tmp_path):
    _, _, file = served
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(DataError, match="SHA-256"):
        zoo.weights("large", progress=False)
    assert not list((tmp_path / "home" / "weights").glob("large.safetensors*"))


def test_a_card_that_lacks_something_says_what(served):
    _, card, _ = served
    facts = yaml.safe_load(card.read_text())
    for key in ("licence", "sha256"):
        del facts[key]
    facts["results"] = [{"data": "demo", "split": "val", "images": 5, "imgsz": 320, "AP": 0.5}]
    facts["data"] = {"name": "demo"}
    card.write_text(yaml.safe_dump(facts))
    faults = " ".join(zoo.card_of("large").faults())
    for word in ("licence is missing", "no protocol", "data has no source, licence", "url, bytes and sha256"):
        assert word in faults
    with pytest.raises(CheckpointError, match="sha256"):
        zoo.weights("large")
    with pytest.raises(ConfigError, match=r"no weights 'larg'.*'large'"):
        zoo.weights("larg")


# --------------------------------------------------------------------------------------------------- half precision


def test_half_precision_is_as_good_as_a_rounding(tmp_path):
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    back = RSDet(model.save_plain(tmp_path / "a", half=True))
    whole = RSDet(model.save_plain(tmp_path / "b"))
    assert (tmp_path / "a.safetensors").stat().st_size < 0.75 * (tmp_path / "b.safetensors").stat().st_size
    for (name, mine), theirs, exact in zip(
        model.model.state_dict().items(), back.model.state_dict().values(), whole.model.state_dict().values(),
        strict=True,
    ):  # fmt: skip
        assert torch.equal(mine, exact), name
        assert torch.allclose(mine.double(), theirs.double(), rtol=2**-10, atol=2**-24), name


def test_what_half_precision_cannot_hold_is_refused(tmp_path):
    model = RSDet("vmc-detr-demo.yaml", **TINY)
    with torch.no_grad():
        next(model.model.parameters()).view(-1)[0] = 1e5
    with pytest.raises(CheckpointError, match=r"holds 1e\+05, more than half precision can"):
        model.save_plain(tmp_path / "a", half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("more", "lacks"),
    [
        ({"results": []}, "results is missing"),
        ({"results": "AP 0.9"}, "results is no list"),
        ({"results": [[1]]}, "results[0] has no data"),
        ({"data": "mine"}, "data has no name"),
        ({"bytes": "many"}, "neither large.safetensors beside it nor"),
        ({"url": ["http://a"]}, "neither large.safetensors beside it nor"),
        ({"bytes": -1}, "neither large.safetensors beside it nor"),
        ({"sha256": None}, "neither large.safetensors beside it nor"),
    ],
)
def test_a_card_of_a_strangers_hides_no_other_and_fetches_nothing(served, more, lacks, capsys):
    asked, card, _ = served
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), **more}))
    (card.parent / "other.yaml").write_text((weights_dir() / "vmc-detr-demo.yaml").read_text())
    shutil.copy(weights_dir() / "vmc-detr-demo.safetensors", card.parent / "other.safetensors")
    assert run(["list", "weights"]) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert f"large: not a complete card, {lacks}" in first
    assert second.startswith("  other (detect)")
    assert run(["get"]) == 0
    if "neither" in lacks:
        assert run(["get", "large"]) == 2
    assert asked == []


def test_words_of_a_card_do_nothing_to_the_terminal(served, capsys):
    _, card, _ = served
    card.write_text(yaml.safe_dump({**yaml.safe_load(card.read_text()), "about": "\x1b[31mred\nlarge2 (detect)"}))
    assert run(["list", "weights"]) == 0
    assert "\\x1b[31mred\\nlarge2" in capsys.readouterr().out


def test_the_training_of_the_demo_weights_keeps_its_curve_in_the_card(tmp_path):
    place = ROOT / "benchmarks" / "train_demo_weights.py"
    if not place.is_file():
        pytest.skip("benchmarks/ is not part of this copy")
    script = runpy.run_path(str(place))
    rows = "1,0.01\n2,0.02\n1,0.1\n2,0.25\n3,0.4\n"  # an earlier training was in the same folder
    (tmp_path / "results.csv").write_text("epoch, metrics/mAP50-95(B)\n" + rows)
    card, before = tmp_path / "card.yaml", zoo.card_of("vmc-detr-demo").facts
    card.write_text((weights_dir() / "vmc-detr-demo.yaml").read_text())
    for _ in range(2):  # one that is there is replaced as well
        script["keep_curve"](tmp_path / "results.csv", card)
        after = yaml.safe_load(card.read_text())
        assert (after["curve"]["epochs"], after["curve"]["values"]) == ([1, 2, 3], [0.1, 0.25, 0.4])
        assert {k: v for k, v in after.items() if k != "curve"} == {k: before[k] for k in before if k != "curve"}

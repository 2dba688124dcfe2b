"""``rsdet get``: fetched, verified, converted, and said where; the owner's server is one of this machine."""

from __future__ import annotations

import http.server
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
import yaml
from fakes import make_fake

from rsdet.cli import run
from rsdet.data.archives import digest_of, unpack
from rsdet.data.download import check_dataset, load_yaml
from rsdet.errors import DataError
from rsdet.paths import datasets_dir


@pytest.fixture
def owner(tmp_path, monkeypatch):
    """The archive of a repository that holds more than is needed, on a server, and a dataset YAML for it."""
    made = make_fake("hit_uav", tmp_path / "made" / "repository-f8100db")
    (made / "normal_xml").mkdir(exist_ok=True)
    (made / "normal_xml" / "unneeded.jpg").write_bytes(bytes(1000))
    archive = tmp_path / "serve" / "f8100db.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as z:
        for path in sorted(made.rglob("*")):
            z.write(path, path.relative_to(made.parent))
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=archive.parent))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("no_proxy", "*")
    only = [p for p in load_yaml(datasets_dir() / "hit-uav.yaml")["fetch"][0]["only"]]
    only = [*only, "*/images/*"]
    needed = unpack(archive, tmp_path / "needed", only)
    content = load_yaml(datasets_dir() / "hit-uav.yaml")
    item = {"url": f"http://127.0.0.1:{server.server_port}/f8100db.zip", "unpack_to": ".", "only": only}
    content["fetch"] = [{**item, "contents": digest_of(needed)}]
    file = tmp_path / "hit-uav.yaml"
    file.write_text(yaml.safe_dump(content))
    yield file, asked, tmp_path / "datasets"
    server.shutdown()
    server.server_close()


def test_only_what_is_needed_is_unpacked_and_verified(owner):
    file, asked, root = owner
    data = check_dataset(file, root, progress=False)
    assert asked == ["/f8100db.zip"]
    assert data["licence"] == "CC BY 4.0"
    assert (root / "hit-uav" / data["train"]).is_dir()
    assert not list((root / "hit-uav-original").rglob("unneeded.jpg"))
    check_dataset(file, root, progress=False, task="obb")
    assert asked == ["/f8100db.zip"]  # the owner's files are there


@pytest.mark.parametrize(("key", "value", "said"), [
    ("contents", "0" * 64, "has the digest"), ("only", ["*/nothing/*"], "holds nothing like"),
])  # fmt: skip
def test_other_contents_are_refused_and_not_kept(owner, key, value, said):
    file, _, root = owner
    content = load_yaml(file)
    content["fetch"][0][key] = value
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match=said):
        check_dataset(file, root, progress=False)
    assert not (root / "hit-uav").exists()
    assert not [p for p in (root / "hit-uav-original").iterdir() if p.is_dir()]


def test_what_the_user_has_put_there_is_not_fetched_again(owner):
    file, asked, root = owner
    make_fake("hit_uav", root / "hit-uav-original")
    check_dataset(file, root, progress=False)
    assert asked == []


@pytest.mark.parametrize(("name", "meant"), [("demo-sarr", "demo-sar"), ("hydice-urban", "hydice")])
def test_a_name_with_more_behind_it_is_no_other_set(name, meant, capsys, monkeypatch):
    for way in ("rsdet.data.resolve._render", "rsdet.data.cubes.shipped.prepare"):
        monkeypatch.setattr(way, lambda *args: pytest.fail("made, drawn or fetched"))
    assert run(["get", name]) == 2
    said = capsys.readouterr().err
    assert "has no parts" in said
    assert f"Did you mean '{meant}'" in said


def test_the_command_says_where_it_is_and_what_there_is(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("rsdet.data.resolve.home", lambda: tmp_path)
    assert run(["get"]) == 0
    text = " ".join(capsys.readouterr().out.split())  # whatever lines it was wrapped into
    for words in ("vmc-detr-demo (3.6 MB, ships with rsdet)", "hit-uav (licence: CC BY 4.0)"):
        assert words in text
    assert "aod-net-haze (5 kB, ships with rsdet)" in text
    assert "ssdd" in text.partition("by hand")[2]
    assert "aerial-cars-haze" in text.partition("are drawn here")[0], "its pictures are those of a set that is fetched"
    assert "demo-obb" in text.partition("drawn here")[2].partition("by hand")[0]
    assert run(["get", "vmc-detr-demo"]) == 0
    assert Path(capsys.readouterr().out.partition(": ")[2].strip()).is_file()
    assert run(["get", "hit-uaw"]) == 2
    assert "there is no 'hit-uaw' to get. Did you mean 'hit-uav'" in capsys.readouterr().err
    assert run(["get", "vmc-detr-demo", "task=obb"]) == 2
    assert "leave task= out" in capsys.readouterr().err

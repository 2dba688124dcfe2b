"""Downloads and archives, against a server on this machine that breaks off, lies and changes its mind."""

from __future__ import annotations

import hashlib
import http.server
import io
import re
import tarfile
import threading
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from fakes import fingerprint, make_fake, picture

from rsdet.data import download as module
from rsdet.data.archives import unpack
from rsdet.data.download import check_dataset, fetch, find_yaml, list_datasets, load_yaml
from rsdet.errors import ConfigError, DataError, WriteError
from rsdet.paths import datasets_dir

BODY = bytes(range(256)) * 4000  # about 1 MB, larger than the socket's buffers


class Server:
    """Serves bytes by path; what goes wrong is set per path."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.break_after: dict[str, list[int]] = {}  # path: bytes after which each coming answer ends
        self.no_range: set[str] = set()
        self.etag = '"one"'
        self.endless = False
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *args: None  # clients that hang up are part of the test
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def answer(self, request) -> None:
        path, wanted = request.path, request.headers.get("Range")
        self.asked.append((path, wanted))
        if path not in self.files:
            request.send_error(404)
            return
        body, start = self.files[path], 0
        if wanted and path not in self.no_range and request.headers.get("If-Range") == self.etag:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(body):
                request.send_response(416)
                request.send_header("Content-Range", f"bytes */{len(body)}")
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if self.endless:
            request.end_headers()
            while True:
                request.wfile.write(body)
        request.send_header("Content-Length", str(len(body) - start))
        if self.etag:
            request.send_header("ETag", self.etag)
        request.end_headers()
        cuts = self.break_after.get(path)
        end = start + cuts.pop(0) if cuts else len(body)
        request.wfile.write(body[start:end])
        if end < len(body):
            request.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("rsdet.data.fetch.time.sleep", lambda s: None)
    monkeypatch.setenv("no_proxy", "*")
    running = Server()
    running.files["/x.bin"] = BODY
    yield running
    running.http.shutdown()
    running.http.server_close()


def get(server, target, path="/x.bin", **options):
    return fetch(server.url(path), target, progress=False, **options)


def test_fetch(server, tmp_path):
    digest = hashlib.sha256(BODY).hexdigest()
    path = get(server, tmp_path / "a/x.bin", size=len(BODY), sha256=digest.upper())
    assert path.read_bytes() == BODY
    assert [p.name for p in path.parent.iterdir()] == ["x.bin"]
    get(server, path, size=len(BODY), sha256=digest)
    assert len(server.asked) == 1  # it is there, nothing is asked again


def test_broken_connection_is_resumed(server, tmp_path):
    server.break_after["/x.bin"] = [300_000, 200_000]
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY
    assert [r for _, r in server.asked] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server, tmp_path):
    server.break_after["/x.bin"] = [100_000] + [0] * 3
    with pytest.raises(DataError, match=r"broke off .* 100,000 bytes are kept; run it again"):
        get(server, tmp_path / "x.bin")
    assert not (tmp_path / "x.bin").exists()
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY
    assert server.asked[-1][1] == "bytes=100000-"


def test_a_file_that_changed_meanwhile_is_started_anew(server, tmp_path):
    server.break_after["/x.bin"] = [100_000] + [0] * 3
    with pytest.raises(DataError):
        get(server, tmp_path / "x.bin")
    server.files["/x.bin"], server.etag = BODY[::-1], '"two"'
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_version_nothing_is_glued_together(server, tmp_path, etag):
    server.etag = etag
    server.break_after["/x.bin"] = [100_000]
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY
    assert [r for _, r in server.asked] == [None, None]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.no_range.add("/x.bin")
    server.break_after["/x.bin"] = [100_000]
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY


def test_a_part_that_is_complete_needs_no_bytes(server, tmp_path):
    server.break_after["/x.bin"] = [100_000] + [0] * 3
    with pytest.raises(DataError):
        get(server, tmp_path / "x.bin")
    (tmp_path / "x.bin.part").write_bytes(BODY)
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY
    (tmp_path / "x.bin").unlink()


@pytest.mark.parametrize(
    ("options", "says"),
    [({"size": 5}, "has 1,024,000 bytes, expected 5"), ({"sha256": "0" * 64}, "has the SHA-256")],
)
def test_wrong_size_and_digest(server, tmp_path, options, says):
    with pytest.raises(DataError, match=says) as e:
        get(server, tmp_path / "x.bin", **options)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "x.bin").exists()
    if "sha256" in options:
        assert list(tmp_path.iterdir()) == []


def test_a_server_without_end_is_left(server, tmp_path):
    server.endless = True
    with pytest.raises(DataError, match=r"has 1,\d+,\d+ bytes, expected 1,024,000; it was deleted"):
        get(server, tmp_path / "x.bin", size=len(BODY))
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_of_a_part_that_was_not_asked_for_is_an_error_as_any_other(server, tmp_path):
    server.answer = lambda request: request.send_error(416)
    with pytest.raises(DataError, match="answered 416"):
        get(server, tmp_path / "x.bin")


def test_a_second_download_of_the_same_file_waits_for_no_one_and_harms_nothing(server, tmp_path):
    first = threading.Event()
    go_on, stock = threading.Event(), server.answer

    def slowly(request):
        first.set()
        assert go_on.wait(30)
        stock(request)

    server.answer = slowly
    target = tmp_path / f"{'x' * 120}.bin"
    done = threading.Thread(target=get, args=(server, target))
    done.start()
    assert first.wait(30)
    with pytest.raises(WriteError, match=r"another download of x+.bin is writing to .*; wait for it, or end it"):
        get(server, target)
    go_on.set()
    done.join()
    assert target.read_bytes() == BODY
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_missing_on_the_server(server, tmp_path):
    with pytest.raises(DataError, match="404"):
        get(server, tmp_path / "y.bin", "/y.bin")
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", "x.zip", "http://", "http://[::1", "http://x/ü"])
def test_only_http(tmp_path, url):
    with pytest.raises(DataError, match="http"):
        fetch(url, tmp_path / "x", progress=False)


def test_no_server(tmp_path, server):
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(DataError, match="broke off"):
        get(server, tmp_path / "x.bin")


def test_full_disk_is_noticed_before_the_download(server, tmp_path, monkeypatch):
    monkeypatch.setattr("rsdet.data.fetch.shutil.disk_usage", lambda p: type("U", (), {"free": 1000}))
    with pytest.raises(DataError, match=r"needs 1,024,000 bytes, .* has 1,000 free"):
        get(server, tmp_path / "x.bin")


# ------------------------------------------------------------------------------------------------------- archives


def zipped(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            z.writestr(info, content)
    return path


def tarred(path: Path, members: dict[str, bytes], **attributes) -> Path:
    with tarfile.open(path, "w:gz") as t:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in attributes.items():
                setattr(info, key, value)
            t.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_unpack(tmp_path, pack):
    archive = pack(tmp_path / "a.bin", {"d/x.txt": b"hello", "y.txt": b""})
    out = unpack(archive, tmp_path / "out")
    assert (out / "d/x.txt").read_bytes() == b"hello"
    assert (out / "y.txt").read_bytes() == b""
    (out / "d/x.txt").write_bytes(b"old")
    (out / "mine").touch()
    unpack(archive, out)
    assert (out / "d/x.txt").read_bytes() == b"hello"
    assert (out / "mine").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "out"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil", "d/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil"])
def test_members_that_lead_out_are_refused(tmp_path, pack, name):
    archive = pack(tmp_path / "a.bin", {"good": b"1", name: b"2"})
    with pytest.raises(DataError, match="leads out of the folder"):
        unpack(archive, tmp_path / "deep/out")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["a.bin"]
    assert not (tmp_path / "deep/out").exists()


def test_links_are_refused(tmp_path):
    for archive in (
        zipped(tmp_path / "a.zip", {"link": b"/etc/passwd"}, mode=0o120777),
        tarred(tmp_path / "b.tgz", {"link": b""}, type=tarfile.SYMTYPE, linkname="/etc"),
        tarred(tmp_path / "c.tgz", {"link": b""}, type=tarfile.LNKTYPE, linkname="../x"),
        tarred(tmp_path / "d.tgz", {"pipe": b""}, type=tarfile.FIFOTYPE),
    ):
        with pytest.raises(DataError, match="is a link or device"):
            unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_bombs_are_refused(tmp_path, pack, monkeypatch):
    monkeypatch.setattr("rsdet.data.archives._ALWAYS_FINE", 1000)
    archive = pack(tmp_path / "a.bin", {"zeros": bytes(3_000_000)})
    with pytest.raises(DataError, match="would unpack to more than"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_damaged_archives(tmp_path, pack):
    archive = pack(tmp_path / "a.bin", {"x": bytes(range(256)) * 50, "y": b"1" * 1000})
    data = bytearray(archive.read_bytes())
    data[len(data) // 3] ^= 0xFF
    archive.write_bytes(data)
    with pytest.raises(DataError, match=r"is damaged|no zip or tar"):
        unpack(archive, tmp_path / "out")
    archive.write_bytes(bytes(data[: len(data) // 2]))
    with pytest.raises(DataError, match=r"is damaged|no zip or tar"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_no_archive(tmp_path):
    (tmp_path / "page.zip").write_text("<html>please log in</html>")
    with pytest.raises(DataError, match="no zip or tar"):
        unpack(tmp_path / "page.zip", tmp_path / "out")


# ------------------------------------------------------------------------------------------------------- datasets


def pack_folder(folder: Path, archive: Path) -> bytes:
    with zipfile.ZipFile(archive, "w") as z:
        for path in sorted(folder.rglob("*")):
            z.write(path, path.relative_to(folder))
    return archive.read_bytes()


@pytest.fixture
def recipe(server, tmp_path):
    """A dataset YAML of ours whose files lie on the server."""
    server.files["/fake.zip"] = pack_folder(make_fake("visdrone", tmp_path / "made"), tmp_path / "fake.zip")
    content = {
        "name": "fake",
        "protocol": "visdrone",
        "licence": "none",
        "source_format": "visdrone",
        "splits": {"train": {"images": 6471}, "val": {"images": 1}},
        "fetch": [{"url": server.url("/fake.zip"), "unpack_to": "here", "bytes": len(server.files["/fake.zip"])}],
    }
    path = tmp_path / "fake.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_named_dataset_is_fetched_converted_and_kept(server, recipe, tmp_path, caplog):
    root = tmp_path / "datasets"
    data = check_dataset(recipe, root, progress=False)
    assert data["protocol"] == "visdrone"
    assert data["path"] == str(root / "fake")
    assert data["yaml_file"] == str(root / "fake/fake.yaml")
    assert (root / "fake" / data["val"] / "v.jpg").is_file()
    assert data["ignore"] == "ignore"
    assert "train has 2 images, its owner states 6471" in caplog.text
    assert "val has" not in caplog.text
    state, asked = fingerprint(root), len(server.asked)
    assert check_dataset(recipe, root, progress=False) == data
    assert fingerprint(root) == state
    assert len(server.asked) == asked
    (root / "fake/convert-report.json").unlink()  # as good as never converted: what is on disk is not trusted
    with pytest.raises(DataError, match="did not write"):
        check_dataset(recipe, root, progress=False)
    assert len(server.asked) == asked  # unpacked files are there, no second download


def test_broken_download_leaves_no_dataset(server, recipe, tmp_path):
    content = load_yaml(recipe)
    content["fetch"][0]["sha256"] = "0" * 64
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(DataError, match="SHA-256"):
        check_dataset(recipe, tmp_path / "datasets", progress=False)
    assert not (tmp_path / "datasets/fake").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"url": "http://h/x.zip", "unpack_to": "../up"}, {"url": "http://h/"}, {"unpack_to": "x"}, "http://h/x.zip",
        {"url": "http://h/x.zip", "bytes": "12"}, {"url": "http://h/x.zip", "sha256": 12},
    ],
)  # fmt: skip
def test_fetch_entries_are_checked(recipe, tmp_path, entry):
    content = {**load_yaml(recipe), "fetch": [entry]}
    recipe.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"fetch|(bytes|sha256) of http://h/x.zip must be"):
        check_dataset(recipe, tmp_path / "datasets", progress=False)


def test_without_address_the_user_is_told_what_to_do(tmp_path):
    root = tmp_path / "datasets"
    with pytest.raises(DataError, match=r"no files in .*hazydet-original; download HazyDet from .* unpack it there"):
        check_dataset("hazydet", root, progress=False)
    make_fake("hit_uav", root / "hit-uav-original")
    data = check_dataset("hit-uav.yaml", root, progress=False)
    assert data["names"] == {0: "Person", 1: "Car", 2: "Bicycle", 3: "OtherVehicle"}
    assert data["licence"] == "CC BY 4.0"


def test_a_split_that_was_not_converted_yet_is_not_ready(tmp_path, monkeypatch):
    root = tmp_path / "datasets"
    make_fake("coco", root / "two-original")
    recipe = tmp_path / "two.yaml"
    sources = {s: f"annotations/instances_{s}2017.json" for s in ("train", "val")}
    recipe.write_text(yaml.safe_dump({"source_format": "coco", "sources": sources, "names": {0: "ship", 1: "plane"}}))
    real, calls = module.convert, []

    def once(*args, **options):
        calls.append(options["split"])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **options)

    monkeypatch.setattr(module, "convert", once)
    with pytest.raises(KeyboardInterrupt):
        check_dataset(recipe, root, progress=False)
    monkeypatch.setattr(module, "convert", real)
    data = check_dataset(recipe, root, progress=False)
    assert (data["train"], data["val"]) == ("images/train", "images/val")
    assert data["names"] == {0: "ship", 1: "plane"}


@pytest.mark.parametrize("bad", [{"options": {"exec": 1}}, {"sources": ["a.json"]}])
def test_importer_options_are_checked(recipe, tmp_path, bad):
    recipe.write_text(yaml.safe_dump(load_yaml(recipe) | bad))
    with pytest.raises(ConfigError):
        check_dataset(recipe, tmp_path / "datasets", progress=False)


def test_missing_source_file(tmp_path):
    (tmp_path / "datasets/ai-tod-original/images").mkdir(parents=True)
    with pytest.raises(DataError, match=r"aitod_train_v1.json is missing; follow the owner's guide"):
        check_dataset("ai-tod", tmp_path / "datasets", progress=False)


def test_plain_yaml_of_the_user(tmp_path):
    picture(tmp_path / "images/a.jpg")
    path = tmp_path / "mine.yaml"
    path.write_text("train: images\nval: images\nnames: [x]\n")
    data = check_dataset(path)
    assert data["yaml_file"] == str(path)
    assert data["path"] == str(tmp_path)
    assert check_dataset(tmp_path)["yaml_file"] == str(path)


def test_code_in_a_yaml_is_not_run(tmp_path):
    path = tmp_path / "evil.yaml"
    code = f"download: |\n  open({str(tmp_path / 'pwned')!r}, 'w')\n"
    path.write_text("path: nowhere\ntrain: images\nval: images\nnames: [x]\n" + code)
    with pytest.raises(DataError, match="neither runs nor fetches what stands under download:"):
        check_dataset(path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- 1\n- 2\n", "received list"),
        ("a: [", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_yaml_that_is_none(tmp_path, content, says):
    (tmp_path / "x.yaml").write_text(content)
    with pytest.raises(ConfigError, match=says) as e:
        check_dataset(tmp_path / "x.yaml")
    assert "\n" not in str(e.value)


def test_unknown_dataset():
    with pytest.raises(ConfigError, match="Did you mean 'visdrone'"):
        check_dataset("visdron")


def test_ultralytics_names_still_work():
    assert find_yaml("coco8.yaml").name == "coco8.yaml"
    assert find_yaml("coco8").parent.name == "datasets"
    assert find_yaml("visdrone.yaml").parent == datasets_dir()


def test_single_files_are_fetched_each_verified(server, tmp_path):
    made = make_fake("voc", tmp_path / "made")
    files = {p.relative_to(made).as_posix(): p.read_bytes() for p in made.rglob("*") if p.is_file()}
    server.files |= {f"/some/place/{quote(k)}": v for k, v in files.items()}
    wanted = {k: hashlib.sha256(v).hexdigest() for k, v in files.items()}
    content = {"name": "few", "source_format": "voc", "fetch": [{"url": server.url("/some/place/"), "files": wanted}]}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(content))
    root, first = tmp_path / "datasets", next(k for k in files if k.endswith(".xml"))
    server.files[f"/some/place/{quote(first)}"] += b"<!-- another file by now -->"
    with pytest.raises(DataError, match="SHA-256"):
        check_dataset(tmp_path / "few.yaml", root, progress=False)
    assert not (root / "few").exists()
    assert not (root / "few-original" / first).exists()
    server.files[f"/some/place/{quote(first)}"] = files[first]
    asked = len(server.asked)
    data = check_dataset(tmp_path / "few.yaml", root, progress=False)
    assert {k: (root / "few-original" / k).read_bytes() for k in files} == files
    assert Path(data["yaml_file"]).is_file()
    assert len(server.asked) - asked < len(files) or len(files) <= 8, "what had come was fetched again"
    for place in ("../up.jpg", "/up.jpg", "", ".", 5):
        content["fetch"][0]["files"] = {place: "0" * 64}
        (tmp_path / "out.yaml").write_text(yaml.safe_dump({**content, "name": "out"}))
        with pytest.raises(ConfigError, match="paths below the dataset"):
            check_dataset(tmp_path / "out.yaml", root, progress=False)


@pytest.mark.parametrize("name", ["visdrone", "ai-tod", "tinyperson", "hit-uav", "hit-uav-sample", "dota-v1"])
def test_shipped_yamls_say_what_users_need(name):
    assert name in list_datasets()
    content = load_yaml(find_yaml(name))
    for key in ("licence", "homepage", "citation", "protocol", "splits", "names", "path", "train", "val"):
        assert content.get(key), f"{name}.yaml has no {key}"
    assert content["name"] == name == content["path"]
    assert "download" not in content  # Ultralytics runs what stands there
    assert list(content["names"]) == list(range(len(content["names"])))
    from rsdet.data.importers import IMPORTERS

    assert content["source_format"] in IMPORTERS
    assert content.get("fetch") or content.get("instruction")
    for item in content.get("fetch", ()):
        assert item["url"].startswith("https://")
    assert set(content.get("sources", {})) <= set(content["splits"])

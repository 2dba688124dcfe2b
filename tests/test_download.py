"""Downloads, from a server on this machine that breaks off, lies and changes its mind."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from file_server import BODY

from rsdet.data.download import fetch
from rsdet.errors import DataError, WriteError

pytest_plugins = ["file_server"]


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


@pytest.mark.parametrize("etag", ['"two"', '"one"'])
def test_a_server_that_goes_on_with_another_file_glues_nothing(server, tmp_path, etag):
    """It minds no If-Range: what its answer says of the file, its version or its length, must be the same."""
    server.break_after["/x.bin"] = [100_000]
    server.ignores_if_range = True
    server.then["/x.bin"] = BODY[::-1][: -1000 if etag == '"one"' else None], etag
    assert get(server, tmp_path / "x.bin").read_bytes() == server.then["/x.bin"][0]


@pytest.mark.parametrize("version", ['"one"\r\nX-Evil: 1', ["a"], {"a": 1}, 3, "\u20ac"])
def test_notes_that_somebody_else_wrote_go_into_no_request(server, tmp_path, version):
    (tmp_path / "x.bin.part").write_bytes(b"not of this file")
    (tmp_path / "x.bin.part.json").write_text(json.dumps({"url": server.url("/x.bin"), "version": version}))
    assert get(server, tmp_path / "x.bin").read_bytes() == BODY


@pytest.mark.parametrize("place", ["ftp://127.0.0.1:9/x", "file:///etc/passwd", "data:text/plain,x"])
def test_a_server_leads_to_no_place_that_is_not_of_the_web(server, tmp_path, place):
    server.leads_to = place
    with pytest.raises(DataError, match="answered 302"):
        get(server, tmp_path / "x.bin")
    assert len(server.asked) == 1

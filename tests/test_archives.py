"""Archives are unpacked whole or not at all, and nothing of theirs leaves the folder."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from rsdet.data.archives import unpack
from rsdet.errors import DataError


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


@pytest.mark.parametrize("cut", [1536, 1600, 3072, 4608])  # behind a file, in the header that follows, before the end
def test_a_tar_that_ends_between_two_files_is_cut_short(tmp_path, cut):
    """tarfile takes whatever is no header for the end, and the files behind it were lost without a word."""
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as t:
        for i in range(3):
            info = tarfile.TarInfo(f"f{i}")
            info.size = 1000
            t.addfile(info, io.BytesIO(b"x" * 1000))
    whole = archive.read_bytes()
    for data in (whole[:cut], whole[:1536] + b"\xff" * 512 + whole[1536:]):
        archive.write_bytes(data)
        with pytest.raises(DataError, match="is damaged"):
            unpack(archive, tmp_path / "out")
    archive.write_bytes(whole)
    assert len(list(unpack(archive, tmp_path / "out").iterdir())) == 3


def test_of_names_that_are_one_the_last_is_kept_and_that_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("rsdet.data.archives.say", lambda text, level: said.append(text))
    unpack(zipped(tmp_path / "a.zip", {"a/b": b"1", "a//b": b"2", "a\\b": b"3", "c": b"4"}), tmp_path / "out")
    assert (tmp_path / "out" / "a" / "b").read_bytes() == b"3"
    (line,) = said
    assert "2 files more than once, such as a//b" in line


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"a": b"1", "a/b": b"2"}, "a file and a folder at once"),
        ({"a/b": b"1", "a": b"2"}, "a file and a folder at once"),
        ({"a": b"1", "a/": b""}, "a file and a folder at once"),
        ({".": b"1"}, "a file and a folder at once"),
        ({"": b"1"}, "is no name"),
        ({"a" * 300: b"1"}, "has a longer name"),
    ],
)
def test_names_that_no_folder_can_hold_are_the_fault_of_the_archive(tmp_path, members, why):
    with pytest.raises(DataError, match=why):
        unpack(zipped(tmp_path / "a.zip", members), tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""Datasets by name: fetched, verified, converted and kept, or the user is told what to do."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml
from fakes import fingerprint, make_fake, picture

from rsdet.data import download as module
from rsdet.data.download import check_dataset, find_yaml, list_datasets, load_yaml
from rsdet.errors import ConfigError, DataError
from rsdet.paths import datasets_dir

pytest_plugins = ["file_server"]


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


def test_where_the_owner_does_not_answer_the_way_by_hand_is_said(server, recipe, tmp_path):
    content = {**load_yaml(recipe), "instruction": "download fake from its page and unpack it there, in peace"}
    content["fetch"][0]["url"] = server.url("/gone.zip")
    recipe.write_text(yaml.safe_dump(content))
    root = tmp_path / "datasets"
    with pytest.raises(DataError, match=r"gone\.zip answered 404.*; or download fake from its page") as e:
        check_dataset(recipe, root, progress=False)
    assert f"unpack it into {root / 'fake-original'}, in peace" in str(e.value)
    make_fake("visdrone", root / "fake-original" / "here")
    assert check_dataset(recipe, root, progress=False)["protocol"] == "visdrone"


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


@pytest.mark.parametrize(
    "name", ["visdrone", "ai-tod", "tinyperson", "hit-uav", "hit-uav-sample", "dota-v1", "sar-ship-dataset"]
)
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

"""``source=`` of a run over scenes: what is found, and what is left out by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsdet.errors import DataError
from rsdet.scenes.sources import scenes_of

pytest.importorskip("rasterio", reason="scenes are read with rasterio")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The working folder, with rasters in it and below."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.tif", "a.png", "below/c d.tif", "below/e.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        cv2.imwrite(name, np.zeros((8, 8, 3), np.uint8))
    Path("notes.md").write_text("no raster")
    return tmp_path


def names(source) -> list[str]:
    return [p.name for p in scenes_of(source).files]


def item(name: str = "item", **assets) -> dict:
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": assets}


def asset(href: str, *roles: str, kind: str | None = "image/tiff; application=geotiff") -> dict:
    return {"href": href, "roles": list(roles)} | ({"type": kind} if kind else {})


def stac(name: str, *items: dict) -> str:
    whole = items[0] if len(items) == 1 else {"type": "FeatureCollection", "features": list(items)}
    Path(name).write_text(json.dumps(whole))
    return name


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("b.tif", ["b.tif"]),
        (".", ["a.png", "b.tif"]),
        ("**/*.tif", ["b.tif", "c d.tif"]),
        ("b.tif, a.png", ["b.tif", "a.png"]),
        (["b.tif", "below", "./b.tif"], ["b.tif", "c d.tif", "e.jpg"]),
        (Path("list.txt"), ["b.tif", "c d.tif"]),
        ("list.csv", ["a.png", "b.tif"]),
        ("raw", ["raw"]),
    ],
)
def test_what_a_source_stands_for(source, found, place):
    Path("list.txt").write_text("b.tif\nbelow/*.tif\n")
    Path("list.csv").write_text("a.png,b.tif\n")
    Path("raw").write_bytes(Path("b.tif").read_bytes())  # passed by name, a raster may end in anything
    assert names(source) == found


def test_what_cannot_be_used_is_named_and_the_rest_is_done(place):
    Path("empty.tif").touch()
    Path("film.mp4").write_bytes(b"film")
    Path("torn.tif").write_bytes(b"II*\0 and no more")
    Path("list.txt").write_text("b.tif\ntorn.tif\nnotes.md\ngone.tif\nempty.tif\nfilm.mp4\nhttps://host/far.tif\n")
    found = scenes_of("list.txt")
    assert [p.name for p in found.files] == ["b.tif"]
    why = "\n".join(found.skipped)
    for words in (
        "gone.tif does not exist",
        "empty.tif is empty",
        "torn.tif ",
        "notes.md is no scene",
        "film.mp4 is a video",
        "far.tif is on another machine",
    ):
        assert words in why
    assert names(["gone.tif", "a.png"]) == ["a.png"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (None, "predict needs source="),
        ([], "predict needs source="),
        ("", "predict needs source="),
        (np.zeros((4, 4)), "tile= is for files, received ndarray"),
        ([np.zeros((4, 4))], "tile= is for files, received ndarray"),
        ("film.mp4", "video"),
        ("b.tiff", "Did you mean 'b.tif'"),
        ("*.jp2", "matches no image"),
        ("hollow", "is a folder without rasters"),
        ("https://host/a.tif", "^https://host/a.tif is on another machine; download it first"),
        ("/vsicurl/https://host/a.tif", "download it first"),
        ("0", "does not exist"),
    ],
)
def test_sources_that_are_refused(source, words, place):
    Path("film.mp4").write_bytes(b"film")
    Path("hollow").mkdir()
    with pytest.raises(DataError, match=words):
        scenes_of(source)


def test_a_stac_item_stands_for_its_data(place):
    Path("items").mkdir()
    picture = asset("../a.png", "thumbnail", kind="image/png")
    table = asset("../notes.md", "data", kind="text/csv")
    assert names(stac("items/1.json", item(image=asset("../b.tif", "data"), seen=picture, table=table))) == ["b.tif"]
    assert names(
        stac("items/2.json", item(B2=asset("x", "data"), B3=asset("y", "data"), v=asset("../b.tif", "visual")))
    )
    assert names(stac("items/3.json", item(one=asset("../below/c%20d.tif"), seen=picture))) == ["c d.tif"]
    assert names(stac("items/4.json", item(one=asset("../b.tif", "data", kind=None)))) == ["b.tif"]
    assert names(stac("items/5.json", item(one=asset(Path("b.tif").absolute().as_uri(), "data")))) == ["b.tif"]
    assert names("items/*.json") == ["b.tif", "c d.tif"]
    assert names("items/1.json,a.png") == ["b.tif", "a.png"]
    Path("list.txt").write_text("items/3.json\na.png\n")
    assert names("list.txt") == ["c d.tif", "a.png"]


def test_items_whose_files_are_not_here_are_named(place):
    source = stac(
        "all.geojson",
        item("near", a=asset("b.tif", "data")),
        item("far", a=asset("https://host/a.tif", "data")),
        item("share", a=asset("//host/a.tif", "data")),
        item("bucket", a=asset("s3://bucket/a.tif", "data")),
        item("virtual", a=asset("/vsizip/a.zip/a.tif", "data")),
        item("lost", a=asset("gone.tif", "data")),
        item("bands", B2=asset("a.png", "data"), B3=asset("b.tif", "data")),
        item("bare"),
        item("odd", a=asset("a\0.tif", "data"), b="text", c={"href": 3}),
    )
    found = scenes_of(source)
    assert [p.name for p in found.files] == ["b.tif"]
    why = "\n".join(found.skipped)
    assert why.count("download it first") == 4
    for words in (
        "'far' lies at https://host/a.tif",
        "gone.tif does not exist",
        "'bands' has several",
        "'bare' has no",
    ):
        assert words in why
    assert len(found.skipped) == 8


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no STAC items"),
        ('{"type": "FeatureCollection", "features": [3]}', "has no asset"),
        ('{"type": "Collection", "links": []}', "holds a STAC Collection"),
    ],
)
def test_other_json_is_no_scene(text, words, place):
    Path("x.json").write_text(text)
    with pytest.raises(DataError, match=words):
        scenes_of("x.json")


def test_finding_scenes_needs_no_pytorch():
    code = "import sys, rsdet.scenes.sources; sys.exit(bool({'torch', 'ultralytics', 'rasterio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

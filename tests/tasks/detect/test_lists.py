"""``source=list.txt`` is a folder by other means: every task and backend looks at each file in it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from exported import lively
from PIL import Image

from rsdet import RSDet, cli
from rsdet.classical.detector import Cfar
from rsdet.data.scenes import render_scene
from rsdet.enhance.chain import EnhanceChain
from rsdet.errors import DataError
from rsdet.runtime import Detector
from rsdet.runtime import light as small_cli
from rsdet.tasks.detect import visual
from rsdet.tasks.detect.source import usable_source
from rsdet.tasks.restore.source import find

SIZE = 96
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of pictures, good ones and others, and beside it one of more."""
    root = tmp_path_factory.mktemp("lists")
    for name in ("in/a.png", "in/b.png", "in/sub/c.png", "in/sub/d.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), render_scene(len(name), (SIZE, SIZE)).image)
    Image.fromarray(RNG.integers(0, 4096, (SIZE, SIZE)).astype(np.uint16)).save(root / "in/deep.png")
    Image.fromarray(RNG.integers(0, 255, (SIZE, SIZE, 4), dtype=np.uint8), "CMYK").save(root / "in/ink.jpg")
    (root / "in/torn.png").write_bytes((root / "in/a.png").read_bytes()[:900])
    (root / "in/film.mp4").write_bytes(b"no film")
    return root


@pytest.fixture(scope="module")
def models(place, tmp_path_factory):
    made = lively("yolo", tmp_path_factory.mktemp("yolo"))
    out = tmp_path_factory.mktemp("onnx")
    onnx = made.export(format="onnx", imgsz=SIZE, images=[place / "in/a.png"], out=str(out), verbose=False).path
    return {"weights": made.ckpt_path, "artifact": onnx}


def listed(path: Path, text: str | bytes) -> list[str]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with usable_source(path) as usable:
        return [p.name for p in usable.files]


@pytest.mark.parametrize(
    ("name", "text", "files"),
    [
        ("l.txt", "a.png\nb.png\n", ["a.png", "b.png"]),
        ("l.txt", "\ufeffa.png\r\n\r\n  sub/c.png  \r\n", ["a.png", "c.png"]),
        ("l.txt", "# of spring\na.png\n  # b.png\n", ["a.png"]),
        ("l.txt", "sub\n", ["c.png", "d.png"]),
        ("l.txt", "sub/*.png\na.png\na.png\n", ["c.png", "d.png", "a.png"]),
        ("l.txt", "{root}/in/b.png\n", ["b.png"]),
        ("l.csv", "source\na.png\nb.png\n", ["a.png", "b.png"]),
        ("l.csv", 'a.png,"b.png"\nsub/c.png\n', ["a.png", "b.png", "c.png"]),
        ("L.TXT", "a.png", ["a.png"]),
    ],
)
def test_what_a_list_may_hold(name, text, files, place):
    assert listed(place / "in" / name, text.replace("{root}", str(place))) == files


def test_more_names_with_commas_than_one_name_may_have_letters(place, tmp_path, monkeypatch):
    """The system refuses to look for such a name, and that was taken for a place that cannot be read."""
    monkeypatch.chdir(place / "in")
    with usable_source(",".join(["a.png"] * 60 + ["b.png"])) as usable:
        assert [p.name for p in usable.files] == ["a.png", "b.png"]
    with pytest.raises(DataError, match="does not exist"), usable_source("c" * 5000 + ".png"):
        pass


def test_the_working_folder_comes_first(place, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes((place / "in/b.png").read_bytes())
    (place / "in/first.txt").write_text("a.png\nb.png\n")
    monkeypatch.chdir(tmp_path)
    with usable_source(str(place / "in/first.txt")) as usable:
        assert [p.absolute().parent for p in usable.files] == [tmp_path, place / "in"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "holds no images"), ("# nothing\n", "holds no images"), (b"\xff\xfe\x00a", "no text in UTF-8"),
     ("nowhere.png\n", "nowhere.png does not exist"), ("film.mp4\n", "film.mp4 is no video"), ("in/\0.png", "in/")],
)  # fmt: skip
def test_lists_of_nothing(text, message, place):
    with pytest.raises(DataError, match=message) as e:
        listed(place / "in" / "none.txt", text)
    assert "\n" not in str(e.value)


def names(source) -> tuple[list[str], list[str]]:
    with usable_source(source) as usable:
        return [p.name for p in usable.files], usable.skipped


def test_several_sources_may_hold_patterns_and_brackets(place):
    (place / "in" / "[1].png").write_bytes((place / "in/a.png").read_bytes())
    a, odd, below = (str(place / "in" / name) for name in ("a.png", "[1].png", "sub/*.png"))
    for source in (f"{a},{odd},{below}", [a, odd, below]):
        assert names(source) == (["a.png", "[1].png", "c.png", "d.png"], [])


@pytest.mark.parametrize("empty", ["nothing", "sub/*.jpg"])
def test_a_source_among_others_that_holds_nothing_is_named(empty, place):
    (place / "in" / "nothing").mkdir(exist_ok=True)
    several = [str(place / "in/a.png"), str(place / "in" / empty)]
    (place / "in" / "some.txt").write_text("\n".join(several))
    for source in (several, ",".join(several), place / "in" / "some.txt"):
        files, skipped = names(source)
        assert files == ["a.png"]
        assert len(skipped) == 1
        assert ("is a folder" if empty == "nothing" else "matches no image") in skipped[0]
        found = find([source] if isinstance(source, Path) else source)  # the other task
        assert len([p for p in found.files if p.name == "a.png"]) == 1
        assert len(found) + len(found.skipped) == 2


def video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (SIZE, SIZE))
    for i in range(frames):
        writer.write(render_scene(i, (SIZE, SIZE)).image)
    writer.release()
    return path


@pytest.mark.parametrize("how", ["txt", "list", "folder", "commas"])
def test_videos_together_are_taken_frame_by_frame(how, models, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    films = [str(video(folder / "a.mp4", 2)), str(video(folder / "b.mp4", 3)), str(folder / "torn.mp4")]
    Path(films[2]).write_bytes(b"no film")
    (tmp_path / "l.txt").write_text("\n".join(films))
    source = {"txt": tmp_path / "l.txt", "list": films, "folder": folder, "commas": ",".join(films)}[how]
    model = RSDet(models["weights"])
    found = model.predict(source, imgsz=SIZE, save=False, verbose=False, project=str(tmp_path))
    assert [Path(r.path).name for r in found] == ["a.mp4"] * 2 + ["b.mp4"] * 3
    assert len(model.skipped) == 1
    assert "torn.mp4 is no video" in model.skipped[0]


@pytest.mark.parametrize("kind", ["weights", "artifact"])
def test_every_file_of_a_list_is_looked_at(kind, models, place, tmp_path, capsys, caplog):
    bad = {
        "deep.png": "8 bits per sample",
        "ink.jpg": "save it as RGB",
        "torn.png": "",
        "nowhere.png": "does not exist",
    }
    (place / "in" / "all.txt").write_text("\n".join(["a.png", *bad, "sub/d.png"]))
    words = [f"model={models[kind]}", f"source={place / 'in' / 'all.txt'}", f"imgsz={SIZE}"]
    assert cli.run(["predict", *words, "save=False", "save_json=True", f"project={tmp_path}", "name=p"]) == 2
    said = "".join(capsys.readouterr()) + caplog.text
    assert "4 left out, all others are done" in said
    for name, why in bad.items():
        assert any(name in line and why in line for line in said.splitlines())
    done = json.loads((tmp_path / "p" / "predictions.json").read_text())
    assert sorted(Path(d["path"]).name for d in done) == ["a.png", "d.png"]


def test_the_small_runtime_does_lists_by_itself(models, place, tmp_path):
    (place / "in" / "two.txt").write_text("a.png\nnowhere.png\nb.png\n")
    words = {"model": str(models["artifact"]), "source": str(place / "in" / "two.txt"), "project": str(tmp_path)}
    found = small_cli.predict({**words, "save": False, "verbose": False})
    assert (found.images, len(found.skipped)) == (2, 1)


@pytest.mark.parametrize("name", ["dcp", "cfar"])
def test_lists_are_taken_by_methods_without_weights(name, tmp_path):
    for i in range(2):
        Image.fromarray(RNG.integers(1, 255, (64, 64), dtype=np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "l.txt").write_text("0.png\nnowhere.png\n1.png\n")
    model = RSDet(name)
    assert len(model.predict(tmp_path / "l.txt", project=str(tmp_path), save=False, verbose=False)) == 2
    assert len(model.skipped) == 1
    assert "nowhere.png does not exist" in model.skipped[0]


def test_a_picture_that_ultralytics_fetches_itself_is_looked_at_too(models, place, tmp_path, monkeypatch):
    monkeypatch.setattr("ultralytics.data.build.check_file", lambda source: str(place / "in" / "deep.png"))
    with pytest.raises(DataError, match=r"deep\.png .*8 bits per sample"):
        RSDet(models["weights"]).predict("https://example.com/deep.png", imgsz=SIZE, save=False, verbose=False)


@pytest.mark.parametrize("kind", ["weights", "artifact", "dcp"])
def test_one_picture_larger_than_the_memory_does_not_end_the_folder(kind, models, place, tmp_path, monkeypatch):
    real = cv2.imdecode

    def scarce(data, flags):
        if flags == cv2.IMREAD_COLOR or len(data) > 0:
            picture = real(data, flags)
            if picture is not None and picture.shape[0] > SIZE:
                raise MemoryError
            return picture

    for i, side in enumerate((SIZE, SIZE + 1, SIZE)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), render_scene(i, (side, side)).image)
    monkeypatch.setattr(cv2, "imdecode", scarce)
    model = RSDet(models.get(kind, kind))
    size = {} if kind == "dcp" else {"imgsz": SIZE, "batch": 3}
    if kind == "artifact":
        words = {"model": str(models[kind]), "source": str(tmp_path), "project": str(tmp_path / "r"), "save": False}
        found = small_cli.predict(words)
        assert (found.images, len(found.skipped)) == (2, 1)
        size["batch"] = 1
    assert len(model.predict(tmp_path, project=str(tmp_path / "r"), save=False, verbose=False, **size)) == 2
    assert len(model.skipped) == 1
    assert "1.png does not fit into the memory" in model.skipped[0]


@pytest.mark.parametrize("kind", ["weights", "artifact", "small runtime", "enhanced", "cfar"])
def test_nor_does_one_that_can_be_read_and_is_too_large_for_what_follows(kind, models, tmp_path, monkeypatch):
    """Drawing, enhancing and CFAR need several times the memory of the picture."""
    for i, side in enumerate((SIZE, SIZE + 1, SIZE)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), render_scene(i, (side, side)).image[..., : 1 if kind == "cfar" else 3])

    def scarce(real, sized):
        def run(*args, **kwargs):
            if SIZE + 1 in sized(*args).shape:
                raise MemoryError
            return real(*args, **kwargs)

        return run

    run = {"source": str(tmp_path), "project": str(tmp_path / "r"), "verbose": False, "save_json": True}
    if kind == "cfar":
        monkeypatch.setattr(Cfar, "__call__", scarce(Cfar.__call__, lambda self, image: image))
    elif kind == "enhanced":
        monkeypatch.setattr(EnhanceChain, "apply_bgr", scarce(EnhanceChain.apply_bgr, lambda self, image, *_: image))
        run["enhance"] = "dcp"
    elif kind == "small runtime":
        detect = Detector.detect

        def of_small(self, pictures, *args):
            return [scarce(lambda p: detect(self, [p], *args)[0], lambda p: p)(p) for p in pictures]

        monkeypatch.setattr(Detector, "detect", of_small)
    else:
        monkeypatch.setattr(visual, "draw", scarce(visual.draw, lambda image, *_: image))
    if kind in ("artifact", "small runtime"):
        found = small_cli.predict(
            {"model": str(models["artifact"]), **run, **({} if kind == "artifact" else {"batch": 3})}
        )
        assert (found.images, len(found.skipped)) == (2, 1)
        skipped = found.skipped
    else:
        model = RSDet(models.get(kind, "cfar" if kind == "cfar" else models["weights"]))
        run |= {} if kind == "cfar" else {"imgsz": SIZE, "batch": 3}
        assert [Path(r.path).name for r in model.predict(save=True, **run)] == ["0.png", "2.png"]
        skipped = model.skipped
    assert len(skipped) == 1
    assert "1.png does not fit into the memory" in skipped[0]
    (folder,) = (tmp_path / "r").iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["0.jpg", "2.jpg", "predictions.json"]
    assert "1.png" not in (folder / "predictions.json").read_text()

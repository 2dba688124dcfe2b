"""A run in the folder of its own sources is refused: its results would take their names, and so their place."""

from __future__ import annotations

import cv2
import pytest
from exported import lively
from fakes import contents

from rsdet import RSDet, cli
from rsdet.data.scenes import render_scene
from rsdet.errors import ConfigError


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    model = lively("yolo", root)
    return {
        "weights": model.ckpt_path,
        "artifact": model.export(format="onnx", imgsz=96, out=str(root), verbose=False).path,
        "dcp": "dcp",
        "cfar": "cfar",
    }


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    (folder.parent / "labels").mkdir()
    for name in ("a.png", "a.jpg", "b.jpg"):
        cv2.imwrite(str(folder / name), render_scene(1, (96, 96)).image[..., 0])
        (folder.parent / "labels" / name).with_suffix(".txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return folder


@pytest.mark.parametrize("kind", ["weights", "artifact", "dcp", "cfar"])
@pytest.mark.parametrize("link", [False, True])
def test_pictures(kind, link, models, pictures, tmp_path, capsys):
    before, source = contents(pictures), pictures
    if link:
        source = tmp_path / "link"
        source.symlink_to(pictures)
    words = [f"model={models[kind]}", f"source={source}", f"project={pictures.parent}", "name=images", "exist_ok=True"]
    assert cli.run(["predict", *words]) == 2
    assert "is where the pictures come from" in capsys.readouterr().err
    assert contents(pictures) == before
    assert cli.run(["predict", *words[:-1]]) == 0  # the next free name
    assert contents(pictures) == before


def test_labels_and_videos(models, pictures):
    before = contents(pictures.parent)
    place = dict(project=str(pictures.parent.parent), name="set", exist_ok=True, verbose=False, imgsz=96)
    with pytest.raises(ConfigError, match="is where the pictures come from"):
        RSDet(models["weights"]).predict(pictures, save=False, save_txt=True, **place)
    film = pictures.parent / "film.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 96))
    writer.write(render_scene(1, (96, 96)).image)
    writer.release()
    for kind in ("weights", "artifact"):
        with pytest.raises(ConfigError, match="is where the pictures come from"):
            RSDet(models[kind]).predict(film, save=True, **place)
    film.unlink()
    assert contents(pictures.parent) == before


@pytest.mark.parametrize("kind", ["weights", "artifact", "dcp", "enhanced"])
def test_names_that_look_like_those_of_results_cost_no_result(kind, models, tmp_path):
    """``a.jpg`` and ``a.png`` become ``a`` and ``a-2``, which may be the name of a picture as well."""
    (tmp_path / "in" / "x").mkdir(parents=True)
    names = ("a-2.png", "a.jpg", "a.png", "x/a.png", "a-3.png")
    for i, name in enumerate(names):
        cv2.imwrite(str(tmp_path / "in" / name), render_scene(i, (96, 96)).image)
    words = [f"source={tmp_path}/in/**/*.*", f"project={tmp_path}", "name=r", "save=True"]
    words += {"enhanced": ["enhance=dcp", "save_enhanced=True", f"model={models['weights']}"]}.get(
        kind, [f"model={models.get(kind)}"]
    )
    assert cli.run(["predict", *words]) == 0
    folder = tmp_path / "r" / ("enhanced" if kind == "enhanced" else "")
    assert len([p for p in folder.iterdir() if p.is_file()]) == len(names)

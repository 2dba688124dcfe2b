"""Scenes known by name: their YAMLs say all they must, the owner's files are found, and counts are checked."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from rsdet.data.cubes.dataset import cube_data, read_cube_data
from rsdet.data.cubes.opening import label_map, open_cube
from rsdet.data.cubes.shipped import prepare
from rsdet.data.download import list_datasets
from rsdet.errors import DataError
from rsdet.paths import datasets_dir
from rsdet.textfiles import read_yaml

io = pytest.importorskip("scipy.io")
YAMLS = {n: read_yaml(datasets_dir() / f"{n}.yaml") for n in list_datasets()}
SCENES = sorted(n for n, content in YAMLS.items() if content.get("source_format") == "cube")
TOTALS = {
    "houston2013": (2832, 12197), "trento-split": (819, 29395), "augsburg": (761, 77533), "trento": (30214,),
    "muufl": (53687,), "pavia-u": (42776,), "indian-pines": (10249,), "salinas": (54129,), "sandiego": (134,),
    "hydice": (19,), "abu-urban-2": (155,), "abu-beach-4": (68,),
}  # fmt: skip


def faked(name: str, original: Path) -> None:
    """Tiny files of the names and variables of a set."""
    content = YAMLS[name]
    sizes = {"cube": (5, 4, content["counts"]["size"][2]), "lidar": (5, 4, 2)}
    arrays: dict[str, dict] = {}
    for what in ("cube", "lidar", "train", "test", "labels"):
        if what in content:
            entry = content[what]
            files = entry["file"] if isinstance(entry["file"], list) else [entry["file"]]
            keys = entry["key"] if isinstance(entry["key"], list) else [entry["key"]]
            file = next(f for f in files if f.endswith(".mat"))
            values = np.random.default_rng(0).random(sizes[what]) if what in sizes else np.zeros((5, 4), np.int16)
            if what not in sizes:
                values[["train", "test", "labels"].index(what), :] = 1
            head, *rest = keys[-1].split(".")
            place = arrays.setdefault(file, {})
            for part in rest:
                place, head = place.setdefault(head, {}), part
            place[head] = values
    for file, variables in arrays.items():
        (original / "as unpacked").mkdir(parents=True, exist_ok=True)
        io.savemat(original / "as unpacked" / file, variables)


def test_all_scenes_of_the_issue_are_known() -> None:
    assert sorted(TOTALS) == SCENES


@pytest.mark.parametrize("name", SCENES)
def test_a_yaml_says_what_it_must_and_its_files_are_found(name: str, tmp_path: Path) -> None:
    content = YAMLS[name]
    assert {"licence", "homepage", "citation", "instruction", "names"} <= content.keys()
    with pytest.raises(DataError, match=f"{name}: no files in .*{name}-original; "):
        prepare(datasets_dir() / f"{name}.yaml", content, tmp_path)
    original = tmp_path / f"{name}-original"
    original.mkdir()
    (original / "readme.txt").write_text("x")
    with pytest.raises(DataError, match=r"cube .*labels|cube .*train .*test") as e:
        prepare(datasets_dir() / f"{name}.yaml", content, tmp_path)
    assert "\n" not in str(e.value)
    faked(name, original)
    path = prepare(datasets_dir() / f"{name}.yaml", content, tmp_path)
    data = read_cube_data(path, read_yaml(path))
    maps = [k for k in ("train", "test", "labels") if k in content]
    assert [sum(content["counts"][k]) for k in maps] == list(TOTALS[name])
    for k in maps:
        assert len(content["counts"][k]) == len(data.names)
        assert (data.map(k) > 0).sum() == 4
    assert set(data.palette) in (set(), set(data.names))
    with data.open() as scene:
        assert scene.cube.shape[2] == content["counts"]["size"][2]
        assert scene.lidar_bands == (2 if "lidar" in content else 0)


def test_two_copies_of_a_file_are_refused(tmp_path: Path) -> None:
    faked("sandiego", tmp_path / "sandiego-original")
    shutil.copytree(tmp_path / "sandiego-original" / "as unpacked", tmp_path / "sandiego-original" / "again")
    with pytest.raises(DataError, match=r"2 files sandiego_plane\.mat: again/.*, as unpacked/"):
        prepare(datasets_dir() / "sandiego.yaml", YAMLS["sandiego"], tmp_path)


@pytest.mark.parametrize(
    ("name", "folder"), [(n, "hsi-anomaly") for n in ("sandiego", "hydice", "abu-urban-2", "abu-beach-4")]
)
def test_the_shared_scenes_have_the_counts(
    name: str, folder: str, shared_data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    source = shared_data / folder / YAMLS[name]["cube"]["file"]
    if not source.is_file():
        pytest.skip(f"no {folder} among the shared data")
    (tmp_path / f"{name}-original").mkdir()
    shutil.copy(source, tmp_path / f"{name}-original")
    data = cube_data(prepare(datasets_dir() / f"{name}.yaml", YAMLS[name], tmp_path), "anomaly")
    assert (data.map("labels") > 0).sum() == TOTALS[name][0]
    assert "owner states" not in capsys.readouterr().out + caplog.text


def test_lidar_and_map_of_trento_have_the_counts(shared_data: Path) -> None:
    folder = shared_data / "trento-lidar"
    if not folder.is_dir():
        pytest.skip("no trento-lidar among the shared data")
    labels = label_map(folder / "allgrd.mat")
    assert np.bincount(labels.ravel())[1:].tolist() == YAMLS["trento"]["counts"]["labels"]
    with open_cube(folder / "Italy_lidar.mat", YAMLS["trento"]["lidar"]["key"]) as lidar:
        assert lidar.shape == (*labels.shape, 2)


ROIS = """; ENVI Output of ROIs (4.8) [a day]
; Number of ROIs: 2
; File Dimension: 5 x 3
;
; ROI name: grass
; ROI rgb value: {0, 205, 0}
; ROI npts: 2
;
; ROI name: tree
; ROI rgb value: {0, 139, 0}
; ROI npts: 1
;    ID     X    Y
      1     1    1
      2     5    3

      1     2    1
"""


def test_regions_as_text_are_a_map(tmp_path: Path) -> None:
    (tmp_path / "tr.txt").write_text(ROIS)
    np.testing.assert_array_equal(label_map(tmp_path / "tr.txt"), [[1, 2, 0, 0, 0], [0] * 5, [0, 0, 0, 0, 1]])
    for old, new, message in (
        ("npts: 2", "npts: 4", "states 5 pixels of 2 regions and has 3"),
        ("     5    3", "     6    3", "outside of 5x3"),
        ("     2    1\n", "     1    1\n", "1 pixels in two regions"),
        ("     5    3", "     x    3", "without the whole numbers"),
    ):
        (tmp_path / "tr.txt").write_text(ROIS.replace(old, new))
        with pytest.raises(DataError, match=message):
            label_map(tmp_path / "tr.txt")
    with pytest.raises(DataError, match="regions of interest and no cube"):
        open_cube(tmp_path / "tr.txt")
